"""A plan: what `tag` would write, as a file that its owner reads, shortens or edits before `apply` writes it.

JSON lines, all of it ASCII. The first line is the header; each other line is one file:

    {"genretagger_plan": 1, "created_at": "2026-01-31T12:00:00+00:00"}
    {"path": …, "after": ["Techno"], "proposed": ["Techno"], "before": {…}, "reason": …, …}

`after` is what will be written and is there to be edited; lines may be deleted. Everything else tells which file, in
which state, was meant. What is read is bounded and checked line by line, as anybody may have written it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from genretagger.errors import GenretaggerError
from genretagger.tags.api import fault_of_names
from genretagger.types import Decision, GenreField, Json, Stamp, Track

VERSION = 1
_MARK = "genretagger_plan"

LINE_BYTES = 32 << 20
"""Twice what a child process may say of a file, so that every entry fits."""

MOST_ENTRIES = 5_000_000
MOST_ADDED = 50
"""How many genres a plan may add to a file; `max_genres` is at most 20, and each may bring its parents."""

_MOST_TEXT = 100_000
_MOST_DIGITS = 25  # of a number; times in nanoseconds have 19


class PlanError(GenretaggerError):
    """A plan cannot be used as it is; nothing of it was written."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What shall become of one file.

    Attributes:
        path: the file, absolute.
        root: the folder that the write must not leave.
        stamp: what `stat` said of the file when this was planned.
        payload_hash: the track's identity.
        before: the genre field as it was then.
        after: the genres that it shall have, best first; none removes the field.
        proposed: the genres that genretagger planned.
        scores: every genre of the vocabulary with its score.
        reason: why these were planned, in words.
        model: name of the model.
    """

    path: Path
    root: Path
    stamp: Stamp
    payload_hash: str
    before: GenreField
    after: tuple[str, ...]
    proposed: tuple[str, ...]
    scores: Mapping[str, float]
    reason: str
    model: str

    @property
    def edited(self) -> bool:
        """Whether the owner chose other genres than those that were planned."""
        return self.after != self.proposed


def planned(root: Path, track: Track, after: tuple[str, ...], decision: Decision, *, model: str) -> Planned:
    """Plan that a track gets genres that were decided on.

    Args:
        root: the folder that the write must not leave.
        track: what the file is.
        after: the genres that it shall have.
        decision: why.
        model: name of the model.
    """
    return Planned(
        path=track.path,
        root=root,
        stamp=track.stamp,
        payload_hash=track.payload_hash,
        before=track.genres,
        after=after,
        proposed=after,
        scores=decision.scores,
        reason=decision.reason,
        model=model,
    )


def header() -> bytes:
    """Give the first line of a new plan."""
    return _line({_MARK: VERSION, "created_at": datetime.now(UTC).isoformat(timespec="seconds")})


def to_line(planned: Planned) -> bytes:
    """Give the line of one file, what a person reads first."""
    return _line(
        {
            "path": os.fspath(planned.path),
            "after": list(planned.after),
            "proposed": list(planned.proposed),
            "before": asdict(planned.before),
            "reason": planned.reason[:_MOST_TEXT],
            "scores": {name: round(score, 4) for name, score in planned.scores.items()},
            "model": planned.model,
            "root": os.fspath(planned.root),
            "payload_hash": planned.payload_hash,
            "stamp": asdict(planned.stamp),
        }
    )


def _line(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=True).encode("ascii") + b"\n"


def read(file: BinaryIO, name: Path) -> Iterator[Planned]:
    """Read and check a plan, one line at a time.

    Args:
        file: open at its start.
        name: what to call it in errors.

    Raises:
        PlanError: this is no plan, or one of another version, or a line of it cannot be used; with its number.
    """
    lines = _lines(file, name)
    try:
        _, first = next(lines, (1, None))
    except PlanError as error:
        raise _no_plan(name) from error
    version = first.get(_MARK) if isinstance(first, dict) else None
    if type(version) is not int:
        raise _no_plan(name)
    if version != VERSION:
        cause = f"the plan has version {version}, and this genretagger reads version {VERSION}"
        raise PlanError(cause, path=name, hint="Make it anew with `genretagger tag --plan`")
    seen: dict[str, int] = {}
    for number, value in lines:
        try:
            planned = _planned(value)
        except _LineError as fault:
            raise _error(number, str(fault), name) from fault
        if (earlier := seen.setdefault(os.fspath(planned.path), number)) != number:
            raise _error(number, f"it names the same file as line {earlier}", name)
        if len(seen) > MOST_ENTRIES:
            raise _error(number, f"a plan has at most {MOST_ENTRIES:,} files", name)
        yield planned


class _LineError(Exception):
    """What is wrong with a line."""


def _no_plan(name: Path) -> PlanError:
    return PlanError("this is no plan of genretagger", path=name, hint="`genretagger tag --plan FILE` makes one")


def _error(number: int, fault: str, name: Path) -> PlanError:
    return PlanError(f"line {number}: {fault}", path=name, hint="Mend or delete the line; nothing of it was written")


def _lines(file: BinaryIO, name: Path) -> Iterator[tuple[int, Json]]:
    """Give each line's number and value, blank lines left out."""
    number = 0
    while text := file.readline(LINE_BYTES + 1):
        number += 1
        if len(text) > LINE_BYTES:
            raise _error(number, f"it is longer than {LINE_BYTES >> 20} MB", name)
        if not text.strip():
            continue
        try:
            value = json.loads(
                text.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_number, parse_int=_whole
            )
        except UnicodeDecodeError as error:
            raise _error(number, "it is not UTF-8", name) from error
        except json.JSONDecodeError as error:
            raise _error(number, f"it is no JSON object ({error.msg}, column {error.colno})", name) from error
        except RecursionError as error:
            raise _error(number, "it is nested too deeply", name) from error
        except _LineError as fault:
            raise _error(number, str(fault), name) from fault
        yield number, value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise _LineError("a field stands there twice")
    return value


def _no_number(text: str) -> NoReturn:
    raise _LineError(f"{text} is no number")


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise _LineError("a number is absurdly long")
    return int(text)


def _planned(value: Json) -> Planned:
    """Check the value of a line.

    Raises:
        _LineError: something in it is not what it has to be.
    """
    names = [field.name for field in fields(Planned)]
    if not isinstance(value, dict):
        raise _LineError("it is no JSON object")
    if missing := [name for name in names if name not in value]:
        raise _LineError(f"the field {missing[0]} is missing")
    if unknown := [name for name in value if name not in names]:
        raise _LineError(f"unknown field {unknown[0][:40]!r}; valid are {', '.join(names)}")
    path, root = _path(value["path"], "path"), _path(value["root"], "root")
    if not path.is_relative_to(root):
        raise _LineError("path does not lie in root")
    before = _genres(value["before"])
    return Planned(
        path=path,
        root=root,
        stamp=_stamp(value["stamp"]),
        payload_hash=_text(value["payload_hash"], "payload_hash"),
        before=before,
        after=_after(_names(value["after"], "after"), before.values),
        proposed=_names(value["proposed"], "proposed"),
        scores=_scores(value["scores"]),
        reason=_text(value["reason"], "reason"),
        model=_text(value["model"], "model"),
    )


def _text(value: Json, name: str) -> str:
    if not isinstance(value, str) or len(value) > _MOST_TEXT:
        raise _LineError(f"{name} is not a text of at most {_MOST_TEXT:,} characters")
    return value


def _path(value: Json, name: str) -> Path:
    text = _text(value, name)
    try:
        path = Path(os.fsdecode(os.fsencode(text)))
    except UnicodeEncodeError as error:
        raise _LineError(f"{name} holds half a character") from error
    if "\x00" in text or not path.is_absolute() or ".." in path.parts:
        raise _LineError(f"{name} is not an absolute path")
    return path


def _names(value: Json, name: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise _LineError(f'{name} is not a list of names, such as ["Techno", "House"]')
    return tuple(value)


def _after(names: tuple[str, ...], before: tuple[str, ...]) -> tuple[str, ...]:
    """Check the names that the file does not have yet; those that it has are its owner's."""
    had = set(before)
    added = tuple(name for name in names if name not in had)
    if len(added) > MOST_ADDED:
        raise _LineError(f"after adds {len(added):,} genres; {MOST_ADDED} are the most")
    if fault := fault_of_names(added):
        raise _LineError(f"after: {fault}")
    for name in added:
        if any(mark in name for mark in "/;,"):
            raise _LineError(f"after: the name {name[:40]!r} holds one of / ; , which players split genres on")
    return names


def _genres(value: Json) -> GenreField:
    if not isinstance(value, dict) or set(value) != {"values", "raw", "form"}:
        raise _LineError("before is not a genre field of values, raw and form")
    return GenreField(_names(value["values"], "before.values"), value["raw"], _text(value["form"], "before.form"))


def _stamp(value: Json) -> Stamp:
    names = {field.name for field in fields(Stamp)}
    if not isinstance(value, dict) or set(value) != names or not all(type(each) is int for each in value.values()):
        raise _LineError(f"stamp is not made of whole numbers {', '.join(sorted(names))}")
    return Stamp(**value)


def _scores(value: Json) -> dict[str, float]:
    if not isinstance(value, dict):
        raise _LineError("scores are not names with numbers")
    if not all(type(score) in (int, float) and 0 <= score <= 1 for score in value.values()):
        raise _LineError("a score is not a number from 0 to 1")
    return value
