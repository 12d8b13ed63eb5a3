"""Writing what the owner chose while listening.

It follows the same protocol as the writes of `tag`, is recorded and can be undone. It is recorded
as the owner's own: `tag` leaves such a file alone from then on, and `train` learns from it. It
needs no model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from genretagger.causes import Cause, Reason, because
from genretagger.database.undos import Undos
from genretagger.database.values import WriteState
from genretagger.errors import NotAllowedError
from genretagger.files.discover import Found
from genretagger.files.replace import see_free
from genretagger.steps.plan.entry import LineError, checked
from genretagger.steps.run import Run
from genretagger.steps.schedule import Flow
from genretagger.steps.writer import Writer
from genretagger.types import Outcome, Status, Track


@dataclass(frozen=True, slots=True)
class Choice:
    """The genres that the owner wants for a file.

    Attributes:
        path: the file.
        payload_hash: the audio that was listened to; another recording at the path is left alone.
        before: the genres that the owner saw in the file.
        genres: those that it will have; none removes the field.
    """

    path: Path
    payload_hash: str
    before: tuple[str, ...]
    genres: tuple[str, ...]


def choose(choice: Choice, run: Run, undos: Undos, writer: Writer) -> Flow[Outcome]:
    """Write one choice.

    If the file has these genres already, nothing is written to it; that its owner agrees is
    recorded.

    Raises:
        FileError: nothing was written, and the reason.
    """
    path = choice.path
    track = yield from writer.look(path)
    now = track.genres.values
    if track.payload_hash != choice.payload_hash:
        return Outcome(path, Status.SKIPPED, because(Cause.OTHER_RECORDING), now, now)
    if now != choice.before:
        return Outcome(path, Status.SKIPPED, because(Cause.CHANGED_BY_ANOTHER), now, now)
    try:
        genres = checked(choice.genres, now)
    except LineError as error:
        return Outcome(path, Status.SKIPPED, because(Cause.BAD_NAMES, fault=str(error)), now, now)
    reason = because(Cause.CHOSEN_LISTENING)
    if genres == now:
        _confirm(track, run, undos, reason)
        return Outcome(path, Status.UNCHANGED, reason, now, now)
    file = Found(path, path.parent)
    if refusal := writer.refusals.of(file, track):
        return Outcome(path, Status.SKIPPED, refusal, now, now)
    see_free(path)
    try:
        yield from writer.write(file, track, genres, run_id=run.id, model="", reason=reason)
    except NotAllowedError as error:  # only a try could show it
        return Outcome(path, Status.SKIPPED, error.reason, now, now)
    return Outcome(path, Status.TAGGED, reason, now, genres)


def _confirm(track: Track, run: Run, undos: Undos, reason: Reason) -> None:
    """Record that the owner wants the genres that the file has; this writes nothing to it."""
    number = undos.begin(run.id, track.path, track.payload_hash, track.genres, track.genres, model="", reason=reason)
    undos.finish(number, WriteState.DONE, after=track.genres, stamp=track.stamp)
