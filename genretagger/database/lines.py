"""Long listings: a line for each file or write of a whole library.

`Reports` and `Writes` convert and check each value by itself, and make a typed value of each row. A
library has millions of values, so listings check the types of a whole row at once, and then only
what types cannot tell. Unusual rows (an undo, an invalid value, a file that failed) are read again
one by one, so both ways give the same lines.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple, Self, TypeVar

from sqlalchemy import JSON, Column, ColumnElement, Select, Text, cast, select, type_coerce
from sqlalchemy.types import NullType

from genretagger.database.access import Access, Repository
from genretagger.database.columns import Document
from genretagger.database.models import DECISIONS, MODELS, TRACKS, WRITES
from genretagger.database.paths import lies_under
from genretagger.database.reports import KnownPart, Reports
from genretagger.database.rules import RULES
from genretagger.database.values import Known, StoredWrite, WriteKind, WriteState
from genretagger.database.writes import Writes

_ROWS = 1000
"""How many rows a listing reads at a time."""

_MANY = 20
"""A page of which more than one row in so many is unusual is read again as a whole."""


class TrackLine(NamedTuple):
    """What a table says of a file; fields of which nothing is known are empty.

    Attributes:
        path: as text, with surrogate escapes for bytes that are not UTF-8.
        genres: those in the file.
        decided: those that were decided for its audio last.
        scores: of all genres, best first; empty if they were not asked for.
        score: the best of them.
        reason: why it was decided so, in the words of that time.
        failure: why the file failed last, in words; `failure_cause` is its cause.
    """

    path: str
    artist: str
    album: str
    title: str
    kind: str | None
    duration_s: float | None
    genres: tuple[str, ...]
    decided: tuple[str, ...]
    scores: Mapping[str, float]
    score: float | None
    cause: str | None
    reason: str
    model: str
    sampling: str
    decided_at: datetime | None
    seen_at: datetime | None
    failure: str | None
    failure_cause: str | None = None

    @classmethod
    def of(cls, known: Known) -> Self:
        """The line of a file of which everything was looked up."""
        track, last = known.track, known.decisions[0] if known.decisions else None
        credits = track.credits if track is not None else None
        scores = last.decision.scores if last is not None else {}
        return cls(
            path=os.fspath(known.path),
            artist=credits.artist if credits is not None else "",
            album=credits.album if credits is not None else "",
            title=credits.title if credits is not None else "",
            kind=track.kind if track is not None else None,
            duration_s=track.duration_s if track is not None else None,
            genres=track.genres.values if track is not None else (),
            decided=last.decision.genres if last is not None else (),
            scores=scores,
            score=max(scores.values()) if scores else None,
            cause=last.decision.reason.cause.value if last is not None else None,
            reason=last.said if last is not None else "",
            model=last.model if last is not None else "",
            sampling=last.sampling if last is not None else "",
            decided_at=last.decided_at if last is not None else None,
            seen_at=known.seen_at,
            failure=known.failure.error.cause if known.failure is not None else None,
            failure_cause=known.failure.error.why.value if known.failure is not None else None,
        )


class WriteLine(NamedTuple):
    """What a history says of a write; see `values.StoredWrite` for the rest.

    Attributes:
        path: as text, with surrogate escapes for bytes that are not UTF-8.
        before, after: the genres before and after it.
        reason: why it was written, in the words of that time.
    """

    id: int
    run_id: int
    path: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    model: str
    reason: str
    state: WriteState
    started_at: datetime
    kind: WriteKind = WriteKind.WRITE
    of_run: int | None = None
    undone_by: int | None = None

    @classmethod
    def of(cls, write: StoredWrite) -> Self:
        """The line of a write of which everything was looked up."""
        return cls(
            id=write.id,
            run_id=write.run_id,
            path=os.fspath(write.path),
            before=write.before.values,
            after=write.after.values,
            model=write.model,
            reason=write.said,
            state=write.state,
            started_at=write.started_at,
            kind=write.kind,
            of_run=write.of_run,
            undone_by=write.undone_by,
        )


class _UnusualError(Exception):
    """A row has to be read by the careful way."""


def _plain(column: Column[Any]) -> ColumnElement[Any]:
    """A column as the engine stores it; a document as its text."""
    if isinstance(column.type, Document):
        return cast(type_coerce(column, JSON), Text)
    return type_coerce(column, NullType())


_TRACK = (
    *("path", "id", "payload_hash", "artist", "album", "title", "kind", "duration_s"),
    *("genres", "genre_form", "seen_at", "failure"),
)
_DECISION = ("genres", "scores", "cause", "reason", "sampling", "decided_at")
_WRITE = ("id", "run_id", "path", "before", "after", "model", "reason", "state", "started_at", "undo_of")

_BEST = re.compile(r'\[\["(?:[^"\\]|\\.)*", (\d\.\d+(?:e-\d+)?|[01])\][,\]]')
"""The beginning of stored scores, up to the best one."""


class Lines(Repository):
    """Lines for listings of a whole library."""

    def __init__(self, access: Access, reports: Reports, writes: Writes) -> None:
        super().__init__(access)
        self._reports, self._writes = reports, writes

    def get_tracks(self, under: Path | None = None, *, scores: bool) -> Iterator[TrackLine]:
        """A line for each file, in the order of the bytes of their paths, a page at a time.

        Args:
            under: only this path and what is below it, by whole parts.
            scores: whether to give the scores of all genres.
        """
        place = type_coerce(TRACKS.c.path, NullType())
        wanted = select(*(_plain(TRACKS.c[name]).label(name) for name in _TRACK)).order_by(place)
        if under is not None:
            wanted = wanted.where(lies_under(TRACKS.c.path, under, self._access.libraries))
        here = self._access.libraries

        def line(row: Sequence[Any]) -> TrackLine:
            return _track_line(row, here.bytes_here, scores=scores)

        def careful(rows: Sequence[Any]) -> Iterator[TrackLine]:
            among = TRACKS.c.id.in_([row.id for row in rows])
            yield from map(TrackLine.of, self._reports.get_all(under, frozenset({KnownPart.DECISIONS}), among))

        page = wanted.limit(_ROWS)
        while rows := self._rows(_with_decisions(page)):
            page = wanted.where(place > rows[-1][0]).limit(_ROWS)
            yield from _lines(list(_firsts(rows)), line, careful)

    def get_writes(self, *, run_id: int | None = None, under: Path | None = None) -> Iterator[WriteLine]:
        """A line for each write, newest first, a page at a time.

        Args:
            run_id: only of this run.
            under: only to this path, or below it.
        """
        here, number = self._access.libraries, type_coerce(WRITES.c.id, NullType())
        wanted = select(*(_plain(WRITES.c[name]).label(name) for name in _WRITE)).order_by(number.desc()).limit(_ROWS)
        if run_id is not None:
            wanted = wanted.where(WRITES.c.run_id == run_id)
        if under is not None:
            wanted = wanted.where(lies_under(WRITES.c.path, under, here))

        def line(row: Sequence[Any]) -> WriteLine:
            return _write_line(row, here.bytes_here)

        def careful(rows: Sequence[Any]) -> Iterator[WriteLine]:
            among = WRITES.c.id.in_([row.id for row in rows])
            yield from map(WriteLine.of, self._writes.get_all(run_id=run_id, under=under, among=among))

        page = wanted
        while rows := self._rows(page):
            page = wanted.where(number < rows[-1].id)
            yield from _lines(rows, line, careful)

    def _rows(self, wanted: Select[Any]) -> Sequence[Any]:
        with self._access.read() as connection:
            return connection.execute(wanted).all()


_Line = TypeVar("_Line", TrackLine, WriteLine)


def _lines(
    rows: Sequence[Any], line: Callable[[Sequence[Any]], _Line], careful: Callable[[Sequence[Any]], Iterator[_Line]]
) -> Iterator[_Line]:
    """The lines of a page: unusual rows are read again one by one, or all rows if many are."""
    found: list[_Line | None] = []
    for row in rows:
        try:
            found.append(line(row))
        except _UnusualError:
            found.append(None)
    if _MANY * found.count(None) > len(found):
        yield from careful(rows)
        return
    for row, quick in zip(rows, found, strict=True):
        if quick is not None:
            yield quick
        else:
            yield from careful([row])


def _with_decisions(page: Select[Any]) -> Select[Any]:
    """These files, each with the decisions for its audio, newest first."""
    files = page.subquery()
    decided = (_plain(DECISIONS.c[name]).label(f"decision_{name}") for name in _DECISION)
    return (
        select(*files.c, *decided, MODELS.c.name.label("model"))
        .outerjoin_from(files, DECISIONS, DECISIONS.c.payload_hash == files.c.payload_hash)
        .outerjoin(MODELS, MODELS.c.id == DECISIONS.c.model_id)
        .order_by(files.c.path, DECISIONS.c.decided_at.desc(), DECISIONS.c.id.desc())
    )


def _firsts(rows: Sequence[Any]) -> Iterator[Any]:
    """The first row of each file."""
    last: object = ()  # no path, not even a missing one
    for row in rows:
        if row[0] != last:
            yield row
        last = row[0]


_TEXT, _MOMENT, _BYTES, _AMOUNT = (str,), (str, datetime), (bytes, memoryview), (int, float)
_TRACK_TYPES = (_BYTES, (int,), *[_TEXT] * 5, _AMOUNT, _TEXT, _TEXT, _MOMENT, (NoneType,))
_DECISION_TYPES = (*[_TEXT] * 5, _MOMENT, _TEXT)
_NO_DECISION_TYPES = ((NoneType,),) * len(_DECISION_TYPES)
_OPTIONAL = {name: _TRACK.index(name) for name in ("artist", "album", "title", "duration_s")}
_WRITE_TYPES = ((int,), (int,), _BYTES, *[_TEXT] * 5, _MOMENT, (NoneType,))


@lru_cache(maxsize=256)
def _fits_track(types: tuple[type, ...]) -> bool:
    """Whether a file that was read has values of these types, with or without a decision."""
    track, decision = types[: len(_TRACK)], types[len(_TRACK) :]
    return all(
        kind in allowed or (kind is NoneType and place in _OPTIONAL.values())
        for place, (kind, allowed) in enumerate(zip(track, _TRACK_TYPES, strict=True))
    ) and any(
        all(kind in allowed for kind, allowed in zip(decision, each, strict=True))
        for each in (_DECISION_TYPES, _NO_DECISION_TYPES)
    )


@lru_cache(maxsize=64)
def _fits_write(types: tuple[type, ...]) -> bool:
    """Whether values of these types are what a write has that is not an undo."""
    return all(kind in allowed for kind, allowed in zip(types, _WRITE_TYPES, strict=True))


def _track_line(row: Sequence[Any], here: Callable[[bytes], bytes], *, scores: bool) -> TrackLine:
    if not _fits_track(tuple(map(type, row))):
        raise _UnusualError
    path, _, _, artist, album, title, kind, duration_s, genres, _, seen_at, _ = row[: len(_TRACK)]
    decided, scored, cause, reason, sampling, decided_at, model = row[len(_TRACK) :]
    if duration_s is not None and not 0 <= duration_s < math.inf:
        raise _UnusualError
    untitled = title is None  # one read gives all of them
    return TrackLine(
        _path(here(path), "tracks"),
        "" if untitled else artist or "",
        "" if untitled else album or "",
        title or "",
        kind,
        duration_s,
        _texts(genres),
        _texts(decided) if decided is not None else (),
        _scores(scored) if scores and scored is not None else {},
        _best(scored) if scored is not None else None,
        cause,
        reason or "",
        model or "",
        sampling or "",
        None if decided_at is None else _moment(decided_at),
        _moment(seen_at),
        None,
    )


def _write_line(row: Sequence[Any], here: Callable[[bytes], bytes]) -> WriteLine:
    if not _fits_write(tuple(map(type, row))) or row[7] not in _PLAIN_STATES:
        raise _UnusualError
    number, run_id, path, before, after, model, reason, state, started_at, _ = row
    return WriteLine(
        number,
        run_id,
        _path(here(path), "writes"),
        _field(before),
        _field(after),
        model,
        reason,
        _PLAIN_STATES[state],
        _moment(started_at),
    )


_PLAIN_STATES = {state.value: state for state in WriteState if state is not WriteState.UNDONE}

_T = TypeVar("_T")


def _sound(value: _T, table: str, column: str) -> _T:
    """A value that its column may hold."""
    if not RULES[table][column][0](value):
        raise _UnusualError
    return value


def _path(raw: bytes, table: str) -> str:
    text = os.fsdecode(raw)
    if raw.startswith(b"/") and b"\0" not in raw:
        return text
    return os.fspath(_sound(Path(text), table, "path"))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _UnusualError from None


@lru_cache(maxsize=4096)  # a library has few different genres
def _texts(text: str) -> tuple[str, ...]:
    return tuple(_sound(_parsed(text), "tracks", "genres"))


@lru_cache(maxsize=4096)
def _field(text: str) -> tuple[str, ...]:
    return tuple(_sound(_parsed(text), "writes", "before")["values"])


def _scores(text: str) -> Mapping[str, float]:
    return dict(_sound(_parsed(text), "decisions", "scores"))


def _best(text: str) -> float | None:
    if text == "[]":
        return None
    if (match := _BEST.match(text)) is None:
        raise _UnusualError
    return float(match[1])


def _moment(value: str | datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise _UnusualError from None
    return _sound(moment.replace(tzinfo=UTC), "tracks", "seen_at")
