"""The files: what is at each path, and what failed."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, bindparam, delete, select, type_coerce, update

from genretagger.causes import Cause
from genretagger.database.access import Repository, upsert
from genretagger.database.columns import now
from genretagger.database.models import JOBS, TRACKS
from genretagger.database.paths import ranges_below
from genretagger.database.reasons import cause_of, refusal_from_text, refusal_to_text
from genretagger.database.rules import number
from genretagger.database.values import Handled, Seen, StoredFailure, rebuild_error
from genretagger.errors import FileError
from genretagger.types import Credits, GenreField, Stamp, Track

# The device is not compared: its number changes when a disk is mounted again. Neither is the number
# of links.
_COMPARED = ("size_bytes", "mtime_ns", "ctime_ns", "inode")
_SAME_FILE = tuple(TRACKS.c[name] == bindparam(name) for name in ("path", *_COMPARED))
_CREDITS = tuple(field.name for field in fields(Credits))
_READ = ("kind", "duration_s", "payload_hash", "genres", "genre_raw", "genre_form", "refusal", *_CREDITS)
_FAILED = ("failure", "failure_hint", "failure_class", "failure_retry")
_TRACK = tuple(TRACKS.c[name] for name in _READ)
_FAILURE = (*(TRACKS.c[name] for name in _FAILED), TRACKS.c.seen_at)
# Built once: building a statement costs more than running it.
_KNOWN = select(TRACKS.c.id, *_TRACK, *_FAILURE).where(*_SAME_FILE)
_KNOWN_TRACK = select(TRACKS.c.id, *_TRACK).where(*_SAME_FILE, TRACKS.c.payload_hash.is_not(None))
_KNOWN_FAILURE = select(TRACKS.c.id, *_FAILURE).where(*_SAME_FILE, TRACKS.c.failure.is_not(None))
_LAST_FAILURE = select(TRACKS.c.id, *_FAILURE).where(TRACKS.c.path == bindparam("path"), TRACKS.c.failure.is_not(None))
_OF_THE_AUDIO = {"handled": "payload_hash", "handled_as": "payload_hash"}
"""What was handled is the audio at a path: an edit of its tags changes nothing about that."""
SCAN_ROWS = 2000
"""How many rows a scan takes at a time."""

NO_FAILURE: Mapping[str, None] = dict.fromkeys(_FAILED)
"""The columns of a file that did not fail."""
_NO_TRACK = dict.fromkeys((*_READ, "handled", "handled_as"))


class Tracks(Repository):
    """The table of files."""

    def get(self, path: Path, stamp: Stamp) -> Track | None:
        """What was read of a file, if it is still the same file.

        Args:
            stamp: what `stat` says of it now.

        Returns:
            The track with this stamp; None if the path is unknown, was never read, or size, times
            or inode differ.
        """
        with self._access.read() as connection:
            rows = self._sound(connection, TRACKS, _KNOWN_TRACK, _key(path, stamp))
        return track_of(rows[0], path, stamp) if rows else None

    def get_known(self, path: Path, stamp: Stamp) -> tuple[Track | None, StoredFailure | None]:
        """What was read of a file, and why it failed: `get` and `get_failure` in one look."""
        with self._access.read() as connection:
            rows = self._sound(connection, TRACKS, _KNOWN, _key(path, stamp))
        if not rows:
            return None, None
        (row,) = rows
        track = None if row.payload_hash is None else track_of(row, path, stamp)
        return track, None if row.failure is None else failure_of(row, path)

    def save(self, track: Track) -> None:
        """Keep what was read of a file; an earlier failure of it is forgotten."""
        values = {
            **asdict(track.stamp),
            "kind": track.kind,
            "duration_s": track.duration_s,
            "payload_hash": track.payload_hash,
            **genre_columns(track.genres),
            "refusal": refusal_to_text(track.refusal),
            **_credit_columns(track.credits),
            **NO_FAILURE,
            "seen_at": now(),
        }
        with self._access.write(one_statement=True) as connection:
            upsert(connection, TRACKS, {"path": track.path}, values, tied=_OF_THE_AUDIO)

    def save_failure(self, path: Path, stamp: Stamp | None, error: FileError) -> None:
        """Keep why a file failed, so that it is not tried again and again.

        What was read of the same file stays (its audio may fail where its tags did not); what was
        read of an earlier file at the path goes.

        Args:
            stamp: what `stat` said before the attempt; None if even that failed. Then nothing tells
                whether the file changed later, so it is worth another attempt whatever the error
                says.
        """
        known = None if stamp is None or error.retry else self.get_failure(path, stamp)
        is_known = known is not None and not known.retry and type(known.error) is type(error)
        if is_known and error.why is not Cause.FAILED:
            return  # the file is unchanged: no second write, as the disk may be slow
        values: dict[str, Any] = {
            "failure": error.cause,
            "failure_hint": error.hint,
            "failure_class": type(error).__name__,
            "failure_retry": error.retry or stamp is None,
            "seen_at": now(),
        }
        with self._access.write() as connection:
            if stamp is not None:
                values |= asdict(stamp)
                same = select(TRACKS.c.id).where(*_SAME_FILE)
                if connection.execute(same, _key(path, stamp)).first() is None:
                    values |= _NO_TRACK
            upsert(connection, TRACKS, {"path": path}, values)

    def get_failure(self, path: Path, stamp: Stamp) -> StoredFailure | None:
        """Why a file failed, if it is still the same file; see `get` for what that means."""
        with self._access.read() as connection:
            rows = self._sound(connection, TRACKS, _KNOWN_FAILURE, _key(path, stamp))
        return failure_of(rows[0], path) if rows else None

    def get_last_failure(self, path: Path) -> StoredFailure | None:
        """Why the file at a path failed last, if it did; it may be a different file by now."""
        with self._access.read() as connection:
            rows = self._sound(connection, TRACKS, _LAST_FAILURE, {"path": path})
        return failure_of(rows[0], path) if rows else None

    def get_inode(self, path: Path) -> int | None:
        """The inode of the file that was at a path at the last look."""
        with self._access.read() as connection:
            return number(connection.execute(select(TRACKS.c.inode).where(TRACKS.c.path == path)).scalar())

    def get_paths(self, payload_hash: str) -> list[Path]:
        """The paths at which some audio was at the last look, the newest first."""
        wanted = select(TRACKS.c.path).where(TRACKS.c.payload_hash == payload_hash).order_by(TRACKS.c.id.desc())
        with self._access.read() as connection:
            return [row.path for row in connection.execute(wanted)]

    def save_move(self, source: Path, target: Path) -> None:
        """Keep what is known of a file that others moved; forget the file that it replaced."""
        with self._access.write() as connection:
            if connection.execute(select(TRACKS.c.id).where(TRACKS.c.path == source)).first() is not None:
                connection.execute(delete(TRACKS).where(TRACKS.c.path == target))
                connection.execute(update(TRACKS).where(TRACKS.c.path == source).values(path=target))

    def get_handled(self, path: Path, payload_hash: str) -> Handled:
        """By which rules this audio at this path was handled to its end, and how it ended."""
        wanted = select(TRACKS.c.handled, TRACKS.c.handled_as)
        with self._access.read() as connection:
            row = connection.execute(wanted.where(TRACKS.c.path == path, TRACKS.c.payload_hash == payload_hash)).first()
        return Handled() if row is None else _handled(row.handled, row.handled_as)

    def get_seen_below(self, folder: Path) -> Iterator[Seen]:
        """What is known of the files below a folder, by the bytes of their paths, page by page."""
        times = TRACKS.c.size_bytes, TRACKS.c.mtime_ns, TRACKS.c.ctime_ns, TRACKS.c.inode
        ends = TRACKS.c.handled, TRACKS.c.handled_as, TRACKS.c.failure_retry
        wanted = select(*times, *ends, JOBS.c.state).outerjoin(JOBS, JOBS.c.path == TRACKS.c.path)
        here = self._access.libraries

        def seen(below: ColumnElement[bool]) -> Iterator[Seen]:
            for page in self._pages(wanted.where(below), type_coerce(TRACKS.c.path, LargeBinary), rows=SCAN_ROWS):
                for size, mtime, ctime, inode, key, cause, retry, state, stored in page:
                    failure_retry = retry if isinstance(retry, bool) else None
                    path = here.bytes_here(stored)
                    yield Seen(path, size, mtime, ctime, inode, _handled(key, cause), failure_retry, state)

        ranges = ranges_below(TRACKS.c.path, folder, here)  # more than one if libraries are mounted below the folder
        yield from heapq.merge(*map(seen, ranges), key=attrgetter("path"))


def genre_columns(genres: GenreField) -> dict[str, Any]:
    """A genre field as columns."""
    return {"genres": list(genres.values), "genre_raw": genres.raw, "genre_form": genres.form}


def _credit_columns(credits: Credits | None) -> dict[str, str | None]:
    return dict.fromkeys(_CREDITS) if credits is None else asdict(credits)


def track_of(row: Any, path: Path, stamp: Stamp) -> Track:
    """The track that a row with the columns of `tracks` holds."""
    genres = GenreField(tuple(row.genres), row.genre_raw, row.genre_form)
    credits = None
    if row.title is not None:  # one read gives all of them
        credits = Credits(*(getattr(row, name) or "" for name in _CREDITS))
    refusal = refusal_from_text(row.refusal)
    return Track(path, stamp, row.kind, row.duration_s, row.payload_hash, genres, refusal, credits)


def failure_of(row: Any, path: Path) -> StoredFailure:
    """The failure that a row with the columns of `tracks` holds."""
    error = rebuild_error(row.failure_class, row.failure, path=path, hint=row.failure_hint)
    return StoredFailure(error, bool(row.failure_retry), row.seen_at)


def _handled(key: object, cause: object) -> Handled:
    return Handled(key if isinstance(key, str) else None, cause_of(cause))


def _key(path: Path, stamp: Stamp) -> dict[str, Any]:
    return {"path": path, **{name: getattr(stamp, name) for name in _COMPARED}}
