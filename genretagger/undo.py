"""Putting back the genre fields that were there before a write, exactly as they were stored.

An undo goes through the same protocol as a write, is recorded as one, and can be undone itself. Where somebody changed
the genre after us, theirs stays unless forced. It needs no model.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.database.values import StoredWrite, WriteState
from genretagger.discover import Found
from genretagger.errors import FileChangedError, FileError
from genretagger.schedule import Flow, Step, interleave
from genretagger.types import Outcome, Status, Track
from genretagger.worker.pool import WorkerPool
from genretagger.writer import Writer


def undo(
    writes: Iterable[StoredWrite],
    *,
    settings: Settings,
    store: Store,
    workers: WorkerPool,
    run_id: int,
    dry_run: bool,
    force: bool,
    stop: Future[None],
) -> Iterator[Outcome]:
    """Undo writes.

    Args:
        writes: newest first.
        settings: how to write.
        store: the database.
        workers: the child processes.
        run_id: the run that the undoing writes belong to.
        dry_run: only say what would be done.
        force: put the old genre back even where somebody changed it since.
        stop: when done, what was begun is finished and nothing new begins.

    Yields:
        What became of each file.
    """
    writer = Writer(settings, store, workers)

    def flows() -> Iterator[Flow[Outcome]]:
        for write in writes:
            if write.state is WriteState.DONE:
                yield _safely(write)

    def _safely(write: StoredWrite) -> Flow[Outcome]:
        started = time.monotonic()
        try:
            outcome = yield from _patiently(write)
        except FileError as error:
            outcome = Outcome(write.path, Status.FAILED, str(error))
        return replace(outcome, model=write.model, seconds=time.monotonic() - started, dry_run=dry_run)

    def _patiently(write: StoredWrite) -> Flow[Outcome]:
        """Take one write, and once more where somebody, perhaps another genretagger, changed the file."""
        try:
            return (yield from _one(write))
        except FileChangedError:
            return (yield from _one(write))

    def _one(write: StoredWrite) -> Flow[Outcome]:
        if store.write(write.id).state is WriteState.UNDONE:
            now = write.before.values
            return Outcome(write.path, Status.UNCHANGED, "another genretagger undid it meanwhile", now, now)
        path = _where_it_lies(store, write)
        track: Track = yield Step(workers.inspect(path, options=writer.options))
        store.save_track(track)
        now, before = track.genres.values, write.before.values
        if track.payload_hash != write.payload_hash:
            return Outcome(write.path, Status.SKIPPED, "another recording lies there now", now, now)
        if now != write.after.values and not force:
            return Outcome(write.path, Status.SKIPPED, "its genre was changed since: --force undoes it too", now, now)
        reason = f"undo of write {write.id}"
        if not dry_run:
            # The folder that the write was allowed in is the only one that its undo may touch.
            folder = Path(os.path.realpath(path)).parent
            yield from writer.write(
                Found(path, folder),
                track,
                write.before,
                run_id=run_id,
                model=write.model,
                reason=reason,
                undo_of=write.id,
            )
        return Outcome(write.path, Status.TAGGED, reason, now, before)

    # One at a time: two writes to one file must be undone in their order.
    yield from interleave(flows(), width=1, stop=stop)
    if stop.done():
        workers.close(finish=False)  # what they still read, nobody waits for


def _where_it_lies(store: Store, write: StoredWrite) -> Path:
    """The path of a write; if nothing lies there, one at which the same audio was seen since."""
    if os.path.lexists(write.path):
        return write.path
    return next(filter(os.path.lexists, store.paths_of(write.payload_hash)), write.path)
