"""The history of a file that another program moves, renames and converts.

A file is identified by its audio, so a move or a rename changes nothing. Conversion changes the
audio. Then the number of our last write, which the other program keeps, leads to the history of the
audio before.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genretagger.causes import Cause, Reason, because
from genretagger.database.reports import Reports
from genretagger.database.values import StoredWrite, WriteState, ours_among
from genretagger.errors import DatabaseError, FileError
from genretagger.pipeline import Pipeline
from genretagger.steps.schedule import wait_for
from genretagger.types import GenreField, Track


@dataclass(frozen=True, slots=True)
class Origin:
    """Who gave a file its genres.

    Attributes:
        genres: those that the file has, in the caller's spelling if they are the same.
        kept: the owner's, in front of ours.
        given: ours; empty if the history does not know them as ours.
        write: number of our write that led to them; 0 if there is none.
        model: name of the model that they come from.
        owned: why the history leaves the genre to its owner; None if it does not.
    """

    genres: tuple[str, ...]
    kept: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    write: int = 0
    model: str = ""
    owned: Reason | None = None


@dataclass(frozen=True, slots=True)
class Trail:
    """The writes that led to a file.

    Attributes:
        writes: those that took place, oldest first.
        moved: the paths of those writes that their audio has left.
        same_audio: whether the file has the audio that was written to; if not, it was converted.
    """

    writes: tuple[StoredWrite, ...]
    moved: frozenset[Path]
    same_audio: bool

    def steps(self, genres: tuple[str, ...]) -> list[StoredWrite]:
        """Our writes in effect that led to a file's genres, newest first, back to another's."""
        found: list[StoredWrite] = []
        undos: set[int] = set()
        for write in self.writes:
            # the undo of an undo is a write again
            if write.undo_of is not None and write.undo_of not in undos:
                undos.add(write.id)
        for write in reversed(self.writes):
            if write.state is WriteState.UNDONE or write.id in undos:
                continue
            if not write.model or spelt(write.after.values) != spelt(genres):
                break
            found.append(write)
            genres = write.before.values
        return found


@dataclass(frozen=True, slots=True)
class WayBack:
    """One write of an undo.

    Attributes:
        field: what to write.
        step: the write that it takes back.
        marks: whether that write then counts as undone; not if it was made to another copy, which
            stays unchanged.
    """

    field: GenreField | tuple[str, ...]
    step: StoredWrite
    marks: bool

    def noted(self) -> dict[str, Any]:
        """The fields for the entry in the history."""
        reason = because(Cause.UNDO, write=self.step.id)
        return {"model": "", "reason": reason, "undo_of": self.step.id if self.marks else None}


def spelt(genres: Sequence[str]) -> tuple[str, ...]:
    """Genres for a comparison: in ID3v2.3, beets joins several with a slash."""
    return tuple(part for genre in genres for part in genre.split("/"))


def trail(pipeline: Pipeline, track: Track, number: int) -> Trail:
    """Find the writes that led to a file.

    Args:
        number: of our last write to it, if another program noted it; 0 if not.
    """
    store = pipeline.store
    writes = _writes_to(store.reports, track.path, track.payload_hash)
    if writes or not number:
        return _chosen(pipeline, writes, track.path, same_audio=True)
    try:
        noted = store.writes.get(number)
    except DatabaseError:  # the number comes from another history
        return Trail((), frozenset(), same_audio=False)
    writes = _writes_to(store.reports, noted.path, noted.payload_hash)
    return _chosen(pipeline, writes, noted.path, same_audio=False)


def origin(found: Trail, now: tuple[str, ...], genres: tuple[str, ...], owned: Reason | None) -> Origin:
    """Say who gave a file its genres.

    Args:
        now: the genres in the file.
        genres: as another program reads them.
    """
    now = genres if spelt(now) == spelt(genres) else now
    steps = found.steps(now)
    if not steps:
        return Origin(now, owned=owned)
    taken = [_spelt(write) for write in found.writes]
    ours = frozenset(ours_among(spelt(now), taken))
    end = next((place for place, genre in enumerate(now) if ours.issuperset(spelt((genre,)))), len(now))
    kept, given = now[:end], now[end:]
    if not ours.issuperset(spelt(given)):
        return Origin(now, owned=owned)  # the owner put other genres among ours
    return Origin(now, kept, given, steps[0].id, steps[0].model, owned)


def ways_back(found: Trail, track: Track, steps: Sequence[StoredWrite]) -> list[WayBack]:
    """The writes that take a file back, in their order.

    The same audio goes back step by step, exactly as it came. Converted audio may be of another
    kind, so it gets the names of the genres in one step. So does a copy; the history of its
    original stays.
    """
    exact = found.same_audio and all(step.path == track.path or step.path in found.moved for step in steps)
    if exact:
        return [WayBack(step.before, step, marks=True) for step in steps]
    before = steps[-1].before
    if found.same_audio and before.form == track.genres.form:
        return [WayBack(before, steps[0], marks=False)]
    names = before.values or GenreField((), None, track.genres.form)
    return [WayBack(names, steps[0], marks=steps[0].path in found.moved)]


def _writes_to(reports: Reports, path: Path, payload_hash: str) -> list[StoredWrite]:
    """The writes to some audio that took place, at any path, oldest first."""
    known = reports.get(path)
    writes = known.writes if known is not None else ()
    took_place = (WriteState.DONE, WriteState.UNDONE)
    return [each for each in reversed(writes) if each.payload_hash == payload_hash and each.state in took_place]


def _chosen(pipeline: Pipeline, writes: Sequence[StoredWrite], path: Path, *, same_audio: bool) -> Trail:
    """Leave out writes to other copies; if no others are left, those to the newest copy count."""
    places = {write.path for write in writes}
    moved = frozenset(place for place in places if not _lies_at(pipeline, place, writes[0].payload_hash))
    chosen = [write for write in writes if write.path == path or write.path in moved]
    chosen = chosen or [write for write in writes if write.path == writes[-1].path]
    return Trail(tuple(chosen), moved, same_audio)


def _lies_at(pipeline: Pipeline, path: Path, payload_hash: str) -> bool:
    if not os.path.lexists(path):
        return False
    try:
        track: Track = wait_for(pipeline.knowledge.track(path, force=False))
    except FileError:
        return True  # it cannot be read, so it is taken to be unchanged
    return track.payload_hash == payload_hash


def _spelt(write: StoredWrite) -> StoredWrite:
    before, after = write.before, write.after
    return replace(
        write, before=replace(before, values=spelt(before.values)), after=replace(after, values=spelt(after.values))
    )
