"""What changes something: the owner's choices, undo, the end of a service's quarantine.

Each works in the writing thread, by the same protocol and with the same history as the commands.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field

from genretagger.database.values import StoredWrite, WriteKind
from genretagger.errors import GenretaggerError
from genretagger.sentences import sentence
from genretagger.shelf import need
from genretagger.shelf.index import Index
from genretagger.steps.choose import Choice
from genretagger.steps.rewriting import Rewriting
from genretagger.strict import UnfitError, read
from genretagger.text import printable
from genretagger.types import Json, Outcome, Status
from genretagger.web.desk import Desk

MOST_GENRES = 20
MOST_TRACKS = 5000

T = TypeVar("T")


class BadRequestError(GenretaggerError):
    """The page sent an invalid request."""


_Text = Annotated[str, Field(max_length=400)]
_Number = Annotated[int, Field(gt=0, lt=1 << 62)]


@dataclass(frozen=True, slots=True)
class ChoiceAsked:
    """The genres that a track shall have.

    Attributes:
        track: its number.
        payload_hash: the audio that was listened to.
        before: the genres that were shown.
        genres: those that the owner chose.
    """

    track: _Number
    payload_hash: _Text
    before: Annotated[tuple[str, ...], Field(max_length=1000)]
    genres: Annotated[tuple[str, ...], Field(max_length=MOST_GENRES)]


@dataclass(frozen=True, slots=True)
class UndoAsked:
    """What is to be undone: the newest write to a track, or all that a run wrote."""

    track: _Number | None = None
    run: _Number | None = None


@dataclass(frozen=True, slots=True)
class TracksAsked:
    """Tracks by their numbers."""

    tracks: Annotated[tuple[_Number, ...], Field(max_length=MOST_TRACKS)]


@dataclass(frozen=True, slots=True)
class LoginAsked:
    """A password to be tried."""

    password: _Text


@dataclass(frozen=True, slots=True)
class TeachAsked:
    """Begin to train, or stop it."""

    stop: bool = False


@dataclass(frozen=True, slots=True)
class ModelAsked:
    """A model by its name."""

    model: _Text


def asked(kind: type[T], value: Json) -> T:
    """Check a request of the page.

    Raises:
        BadRequestError: it is not of this kind; the message names the first wrong field.
    """
    try:
        return read(kind, value)
    except UnfitError as error:
        raise BadRequestError(f"{error.where or 'the request'}: {error.message}") from error


async def choose(desk: Desk, what: ChoiceAsked) -> Json:
    """Write what the owner chose for a track."""

    def work(rewriting: Rewriting, index: Index) -> Json:
        path = _path(rewriting, what.track)
        choice = Choice(path, what.payload_hash, what.before, what.genres)
        (outcome,) = rewriting.choose([choice], desk.run_of(rewriting))
        if outcome.status in (Status.TAGGED, Status.UNCHANGED):
            need.drop(index, what.track)
        desk.caught_up(rewriting, index, [path])
        return _answer(outcome)

    return await desk.write(work)


async def undo(desk: Desk, what: UndoAsked) -> Json:
    """Take back the newest write to a track, or all that a run wrote.

    Raises:
        BadRequestError: the request names neither.
    """
    if what.run is not None:
        return await _undo_run(desk, what.run)
    if what.track is not None:
        return await _undo_track(desk, what.track)
    raise BadRequestError("track: Field required, or run")


async def _undo_track(desk: Desk, number: int) -> Json:

    def work(rewriting: Rewriting, index: Index) -> Json:
        path = _path(rewriting, number)
        newest = next(iter(rewriting.store.writes.get_undoable(under=path)), None)
        if newest is None:
            raise BadRequestError("nothing was written to this track that could be undone")
        (outcome,) = _undone(desk, rewriting, [newest]) or (None,)
        desk.caught_up(rewriting, index, [path])
        if outcome is None:
            raise BadRequestError("it was undone meanwhile")
        return _answer(outcome)

    return await desk.write(work)


async def _undo_run(desk: Desk, number: int) -> Json:

    def work(rewriting: Rewriting, index: Index) -> Json:
        writes = list(rewriting.store.writes.get_undoable(run_id=number))
        if not writes or all(write.kind is WriteKind.UNDO for write in writes):
            raise BadRequestError("nothing is left to undo of this run")
        outcomes = _undone(desk, rewriting, writes, number)
        counts = Counter(outcome.status.value for outcome in outcomes)
        desk.caught_up(rewriting, index, [write.path for write in writes])
        return {"undone": counts["tagged"], "skipped": counts["skipped"], "failed": counts["failed"]}

    return await desk.write(work)


def _undone(desk: Desk, rewriting: Rewriting, writes: list[StoredWrite], number: int | None = None) -> list[Outcome]:
    """Take back some writes, or all that are left of a run."""
    asked = {"run": number, "paths": None, "force": False}
    run = rewriting.begin("undo", notes=None if number is None else {"asked": asked})
    outcomes = []
    for done, outcome in enumerate(rewriting.undo(writes, run, stop=desk.stop), 1):
        outcomes.append(outcome)
        if len(writes) > 1:
            desk.hub.tell("progress", {"what": "undo", "done": done, "of": len(writes)})
    if all(outcome.status is not Status.FAILED for outcome in outcomes) and not desk.stop.done():
        rewriting.finish(run)
    return outcomes


def _path(rewriting: Rewriting, number: int) -> Path:
    path = rewriting.store.listings.get_path(number)
    if path is None:
        raise BadRequestError("there is no such track")
    return path


def _answer(outcome: Outcome) -> Json:
    return {
        "status": outcome.status.value,
        "genres": [printable(each) for each in outcome.genres],
        "cause": outcome.reason.cause.value,
        "why": printable(sentence(outcome.reason)),
        "ok": outcome.status in (Status.TAGGED, Status.UNCHANGED),
    }
