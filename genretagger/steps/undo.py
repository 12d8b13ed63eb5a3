"""Putting back the genre fields that were there before a write, exactly as they were stored.

An undo goes through the same protocol as a write and is recorded as one. A redo is the undo of an
undo: it puts back what the undo took away. If somebody changed the genre since, that genre stays
unless forced. Neither needs a model.
"""

from __future__ import annotations

import os
from pathlib import Path

from genretagger.causes import Cause, because
from genretagger.database.store import Store
from genretagger.database.undos import Undos
from genretagger.database.values import StoredWrite, WriteKind, WriteState
from genretagger.errors import NoSuchRowError, NotAllowedError
from genretagger.files.discover import Found
from genretagger.steps.run import Run
from genretagger.steps.schedule import Flow
from genretagger.steps.writer import Writer
from genretagger.types import Outcome, Status

_THEIRS = (Cause.OTHER_RECORDING, Cause.CHANGED_SINCE_WRITE)


def is_theirs(outcome: Outcome) -> bool:
    """Whether a file was skipped because somebody changed or replaced it after the write."""
    return outcome.status is Status.SKIPPED and outcome.reason.cause in _THEIRS


def take_back(write: StoredWrite, run: Run, store: Store, writer: Writer) -> Flow[Outcome]:
    """Take back one write, or say what would be done; an undo as well, which is a redo.

    Raises:
        FileError: nothing was written, and the reason.
    """
    redo = write.kind is WriteKind.UNDO
    if store.writes.get(write.id).state is WriteState.UNDONE:
        now = write.before.values
        return Outcome(write.path, Status.UNCHANGED, because(Cause.DONE_MEANWHILE, redo=redo), now, now)
    path = _present_path(store, write)
    track = yield from writer.look(path)
    now, before = track.genres.values, write.before.values
    if track.payload_hash != write.payload_hash:
        return Outcome(write.path, Status.SKIPPED, because(Cause.OTHER_RECORDING), now, now)
    if now != write.after.values and not run.force:
        return Outcome(write.path, Status.SKIPPED, because(Cause.CHANGED_SINCE_WRITE, redo=redo), now, now)
    # The folder that the write was allowed in is the only one that its undo may touch.
    file = Found(path, Path(os.path.realpath(path)).parent)
    if reason := writer.refusals.forbidden(file, track):
        return Outcome(write.path, Status.SKIPPED, reason, now, now)
    reason = because(Cause.REDO, write=write.undo_of) if redo else because(Cause.UNDO, write=write.id)
    if not run.dry_run:
        model = chooser(store.writes, write)
        try:
            yield from writer.write(
                file, track, write.before, run_id=run.id, model=model, reason=reason, undo_of=write.id
            )
        except NotAllowedError as refusal:  # only a try could show it
            return Outcome(write.path, Status.SKIPPED, refusal.reason, now, now)
    return Outcome(write.path, Status.TAGGED, reason, now, before)


def chooser(undos: Undos, undo: StoredWrite) -> str:
    """Name the model that chose the genres which an undo took away.

    Empty if their owner chose them, or if the write is not an undo.
    """
    if undo.kind is not WriteKind.UNDO:
        return ""
    write, seen = undo, {undo.id}
    while write.undo_of is not None and write.undo_of not in seen:
        seen.add(write.undo_of)
        try:
            taken = undos.get(write.undo_of)
        except NoSuchRowError:
            return ""
        if write is undo and undo.before.values != taken.after.values:
            return ""  # a forced undo, of what the owner had chosen since
        write = taken
    return write.model


def _present_path(store: Store, write: StoredWrite) -> Path:
    """The path of a write; if nothing is there, one to which the same audio was moved since.

    What was moved has the genres that were written. A copy that was written to has a write of its
    own to undo.
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
