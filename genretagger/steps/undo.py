"""Putting back the genre fields that were there before a write, exactly as they were stored.

An undo goes through the same protocol as a write and is recorded as one. A redo is the undo of an undo: it puts back
what the undo took away. If somebody changed the genre since, theirs stays unless forced. Neither needs a model.
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
from genretagger.database.values import StoredWrite, WriteKind, WriteState
from genretagger.errors import FileChangedError, FileError, NoSuchRowError, NotAllowedError
from genretagger.files.discover import Found
from genretagger.steps.schedule import Flow, Step, interleave
from genretagger.steps.writer import Writer
from genretagger.types import Outcome, Status, Track
from genretagger.worker.pool import WorkerPool

_ANOTHER = "another recording lies there now"
_CHANGED = "its genre was changed since"


def is_theirs(outcome: Outcome) -> bool:
    """Whether a file was skipped because somebody changed or replaced it after the write."""
    return outcome.status is Status.SKIPPED and outcome.reason.startswith((_ANOTHER, _CHANGED))


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
    """Take back writes; undos as well, which is a redo.

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
        model = _chooser(store, write) if write.kind is WriteKind.UNDO else ""
        return replace(outcome, model=model, seconds=time.monotonic() - started, dry_run=dry_run)

    def _patiently(write: StoredWrite) -> Flow[Outcome]:
        """Take one write, and once more where somebody, perhaps another genretagger, changed the file."""
        try:
            return (yield from _one(write))
        except FileChangedError:
            return (yield from _one(write))

    def _one(write: StoredWrite) -> Flow[Outcome]:
        redo = write.kind is WriteKind.UNDO
        if store.writes.get(write.id).state is WriteState.UNDONE:
            now = write.before.values
            did = "put it back" if redo else "undid it"
            return Outcome(write.path, Status.UNCHANGED, f"another genretagger {did} meanwhile", now, now)
        path = _where_it_lies(store, write)
        track: Track = yield Step(workers.inspect(path, options=writer.options))
        store.tracks.save(track)
        now, before = track.genres.values, write.before.values
        if track.payload_hash != write.payload_hash:
            return Outcome(write.path, Status.SKIPPED, _ANOTHER, now, now)
        if now != write.after.values and not force:
            does = "puts it back all the same" if redo else "undoes it too"
            return Outcome(write.path, Status.SKIPPED, f"{_CHANGED}: --force {does}", now, now)
        # The folder that the write was allowed in is the only one that its undo may touch.
        file = Found(path, Path(os.path.realpath(path)).parent)
        if reason := writer.forbidden(file, track):
            return Outcome(write.path, Status.SKIPPED, reason, now, now)
        reason = f"redo of write {write.undo_of}" if redo else f"undo of write {write.id}"
        if not dry_run:
            model = _chooser(store, write) if redo else ""
            try:
                yield from writer.write(
                    file, track, write.before, run_id=run_id, model=model, reason=reason, undo_of=write.id
                )
            except NotAllowedError as refusal:  # which only a try could tell
                return Outcome(write.path, Status.SKIPPED, str(refusal), now, now)
        return Outcome(write.path, Status.TAGGED, reason, now, before)

    # One at a time: two writes to one file must be undone in their order.
    yield from interleave(flows(), width=1, stop=stop)
    if stop.done():
        workers.close(finish=False)  # what they still read, nobody waits for


def _chooser(store: Store, undo: StoredWrite) -> str:
    """Name the model that chose the genres which an undo took away; empty if their owner did."""
    write, seen = undo, {undo.id}
    while write.undo_of is not None and write.undo_of not in seen:
        seen.add(write.undo_of)
        try:
            taken = store.writes.get(write.undo_of)
        except NoSuchRowError:
            return ""
        if write is undo and undo.before.values != taken.after.values:
            return ""  # a forced undo, of what the owner had chosen since
        write = taken
    return write.model


def _where_it_lies(store: Store, write: StoredWrite) -> Path:
    """The path of a write; if nothing lies there, one to which the same audio was moved since.

    What was moved has the genres that were written. A copy that was written to has a write of its own to undo.
    """
    if os.path.lexists(write.path):
        return write.path
    for path in store.tracks.get_paths(write.payload_hash):
        if not os.path.lexists(path) or any(each.path == path for each in store.writes.get_all(under=path)):
            continue
        known = store.reports.get(path)
        if known is not None and known.track is not None and known.track.genres.values == write.after.values:
            return path
    return write.path
