"""What changes something: the owner's choices, undo, the end of a service's quarantine.

Each works in the writing thread, by the same protocol and with the same history as the commands.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from genretagger.database.values import StoredWrite, WriteKind
from genretagger.errors import GenretaggerError
from genretagger.sentences import sentence
from genretagger.shelf import need
from genretagger.shelf.index import Index
from genretagger.steps.choose import Choice
from genretagger.steps.rewriting import Rewriting
from genretagger.text import printable
from genretagger.types import Json, Outcome, Status
from genretagger.web.desk import Desk

MOST_GENRES = 20
_MOST_TEXT = 400


class BadRequestError(GenretaggerError):
    """The page asked for something that makes no sense."""


def _number(value: Json, name: str) -> int:
    number = value.get(name) if isinstance(value, dict) else None
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number < 1 << 62:
        raise BadRequestError(f"{name} is no number")
    return number


def _names(value: Json, name: str) -> tuple[str, ...]:
    names = value.get(name)
    good = isinstance(names, list) and len(names) <= (MOST_GENRES if name == "genres" else 1000)
    if not good or not all(isinstance(each, str) and len(each) <= 10_000 for each in names):
        raise BadRequestError(f"{name} is no list of at most {MOST_GENRES} names")
    return tuple(names)


async def choose(desk: Desk, value: Json) -> Json:
    """Write what the owner chose for a track: the genres that it shall have.

    Args:
        value: also names the audio that was listened to, and the genres that were shown.

    Raises:
        BadRequestError: it makes no sense.
    """
    number, payload_hash = _number(value, "track"), text_from(value, "payload_hash")
    before, genres = _names(value, "before"), _names(value, "genres")

    def work(rewriting: Rewriting, index: Index) -> Json:
        path = _path(rewriting, number)
        choice = Choice(path, payload_hash, before, genres)
        (outcome,) = rewriting.choose([choice], desk.run_of(rewriting))
        if outcome.status in (Status.TAGGED, Status.UNCHANGED):
            need.settle(index, number)
        desk.caught_up(rewriting, index, [path])
        return _told(outcome)

    return await desk.write(work)


async def undo_track(desk: Desk, value: Json) -> Json:
    """Take back the newest write to a track."""
    number = _number(value, "track")

    def work(rewriting: Rewriting, index: Index) -> Json:
        path = _path(rewriting, number)
        newest = next(iter(rewriting.store.writes.get_undoable(under=path)), None)
        if newest is None:
            raise BadRequestError("nothing was written to this track that could be undone")
        (outcome,) = _undone(desk, rewriting, [newest]) or (None,)
        desk.caught_up(rewriting, index, [path])
        if outcome is None:
            raise BadRequestError("it was undone meanwhile")
        return _told(outcome)

    return await desk.write(work)


async def undo_run(desk: Desk, value: Json) -> Json:
    """Take back all that a run wrote."""
    number = _number(value, "run")

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


def _told(outcome: Outcome) -> Json:
    return {
        "status": outcome.status.value,
        "genres": [printable(each) for each in outcome.genres],
        "cause": outcome.reason.cause.value,
        "why": printable(sentence(outcome.reason)),
        "ok": outcome.status in (Status.TAGGED, Status.UNCHANGED),
    }


def text_from(value: Json, name: str) -> str:
    """A short text of a request.

    Raises:
        BadRequestError: it is none.
    """
    text = value.get(name) if isinstance(value, dict) else None
    if not isinstance(text, str) or len(text) > _MOST_TEXT:
        raise BadRequestError(f"{name} is no text")
    return text


def numbers_from(value: Json, name: str, most: int) -> list[int]:
    """Numbers of tracks in a request.

    Raises:
        BadRequestError: they are none.
    """
    numbers = value.get(name) if isinstance(value, dict) else None
    if not isinstance(numbers, list) or len(numbers) > most or not all(type(each) is int for each in numbers):
        raise BadRequestError(f"{name} is no list of at most {most} numbers")
    return numbers
