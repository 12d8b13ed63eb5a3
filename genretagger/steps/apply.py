"""Writing what a plan says, where the files are still as they were when it was made.

Each write goes by the same protocol as those of `tag`, is recorded and can be undone. It needs no model.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import replace

from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.errors import FileChangedError, FileError, NotAllowedError
from genretagger.files.discover import Found
from genretagger.files.replace import see_free
from genretagger.steps.plan.entry import Planned
from genretagger.steps.schedule import Flow, Step, interleave
from genretagger.steps.writer import Writer
from genretagger.types import Outcome, Stamp, Status, Track
from genretagger.vocabulary.names import key, vocabulary
from genretagger.vocabulary.resolve import protected
from genretagger.worker.pool import WorkerPool

CHOSEN_BY_OWNER = "chosen by you in a plan"


def apply(
    plan: Iterable[Planned],
    *,
    settings: Settings,
    store: Store,
    workers: WorkerPool,
    run_id: int | None,
    stop: Future[None],
) -> Iterator[Outcome]:
    """Write a plan.

    Args:
        plan: each file once.
        settings: how to write.
        store: the database.
        workers: the child processes.
        run_id: the run that the writes belong to; None only says what would be done.
        stop: when done, what was begun is finished and nothing new begins.

    Yields:
        What became of each file, in the order in which they end.
    """
    writer = Writer(settings, store, workers)

    def _safely(planned: Planned) -> Flow[Outcome]:
        started = time.monotonic()
        try:
            outcome = yield from _patiently(planned)
        except FileError as error:
            outcome = Outcome(planned.path, Status.FAILED, str(error))
        return replace(
            outcome,
            model=planned.model,
            scores=planned.scores,
            seconds=time.monotonic() - started,
            dry_run=run_id is None,
        )

    def _patiently(planned: Planned) -> Flow[Outcome]:
        """Take one file, and once more where it changes at this moment: another line may name it through a link."""
        try:
            return (yield from _one(planned))
        except FileChangedError:
            return (yield from _one(planned))

    def _one(planned: Planned) -> Flow[Outcome]:
        track: Track = yield Step(workers.inspect(planned.path, options=writer.options))
        store.tracks.save(track)
        now = track.genres.values
        if track.payload_hash == planned.payload_hash and now == planned.after:
            # an apply that was interrupted may be run again
            return Outcome(planned.path, Status.UNCHANGED, "it has these genres already", now, now)
        if cause := _difference(planned, track):
            return Outcome(planned.path, Status.FAILED, f"{cause}. Plan it anew", now, now)
        file = Found(planned.path, planned.root)
        if reason := writer.refusal(file, track) or _loss(planned, settings.protect):
            return Outcome(planned.path, Status.SKIPPED, reason, now, now)
        see_free(planned.path)
        # What its owner chose is no model's doing: it is recorded as theirs, and `tag` leaves it alone from then on.
        model, reason = ("", CHOSEN_BY_OWNER) if planned.edited else (planned.model, planned.reason)
        if run_id is not None:
            try:
                yield from writer.write(file, track, planned.after, run_id=run_id, model=model, reason=reason)
            except NotAllowedError as refusal:  # which only a try could tell
                return Outcome(planned.path, Status.SKIPPED, str(refusal), now, now)
        return Outcome(planned.path, Status.TAGGED, reason, now, planned.after)

    flows = (_safely(planned) for planned in plan)
    yield from interleave(flows, width=2 * settings.worker_count + 1, stop=stop)
    if stop.done():
        workers.close(finish=False)  # what they still read, nobody waits for


def _difference(planned: Planned, track: Track) -> str:
    """Say how a file is not what was planned for; empty where it is."""
    if track.payload_hash != planned.payload_hash:
        return "another recording lies there than when the plan was made"
    if track.genres != planned.before:
        return "its genre was changed since the plan was made"
    if _touched(track.stamp) != _touched(planned.stamp):
        return "it was changed since the plan was made"
    return ""


def _touched(stamp: Stamp) -> tuple[int, int, int]:
    """What of a stamp says that somebody touched the file.

    Devices, and inodes on some file systems, get new numbers when a disk is mounted anew, and a plan may be reviewed
    for days. A new name for the file (a hard link) changes its ctime as well.
    """
    return stamp.size_bytes, stamp.mtime_ns, stamp.ctime_ns


def _loss(planned: Planned, protect: tuple[str, ...]) -> str:
    """Say which protected genre the plan would remove; empty where it removes none."""
    stays = {key(name) or name for name in planned.after}
    for name in protected(planned.before.values, protect, vocabulary()):
        if (key(name) or name) not in stays:
            return f"it would lose the genre {name}, which the option protect keeps: add it to the plan"
    return ""
