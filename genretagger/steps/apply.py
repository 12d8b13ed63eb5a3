"""Writing what a plan says, if the files are unchanged since it was made.

Each write follows the same protocol as those of `tag`, is recorded and can be undone. No model is
needed.
"""

from __future__ import annotations

from genretagger.causes import Cause, Reason, because
from genretagger.errors import NotAllowedError
from genretagger.files.discover import Found
from genretagger.files.replace import see_free
from genretagger.steps.plan.entry import Planned
from genretagger.steps.run import Run
from genretagger.steps.schedule import Flow
from genretagger.steps.writer import Writer
from genretagger.types import Outcome, Stamp, Status, Track
from genretagger.vocabulary.names import key, vocabulary
from genretagger.vocabulary.resolve import protected


def apply(planned: Planned, run: Run, writer: Writer, protect: tuple[str, ...]) -> Flow[Outcome]:
    """Write one entry of a plan, or say what would be written.

    Args:
        planned: the entry.
        run: a dry run writes nothing.
        writer: writes.
        protect: genres that no plan may remove.

    Raises:
        FileError: nothing was written, and the reason.
    """
    track = yield from writer.look(planned.path)
    now = track.genres.values
    if track.payload_hash == planned.payload_hash and now == planned.after:
        # an apply that was interrupted may be run again
        return Outcome(planned.path, Status.UNCHANGED, because(Cause.HAS_THESE), now, now)
    if cause := _difference(planned, track):
        return Outcome(planned.path, Status.FAILED, because(cause), now, now)
    file = Found(planned.path, planned.root)
    if reason := writer.refusals.of(file, track) or _loss(planned, protect):
        return Outcome(planned.path, Status.SKIPPED, reason, now, now)
    see_free(planned.path)
    # Genres that the owner chose are recorded without a model, so that `tag` leaves them alone from
    # then on.
    model, reason = planned.model, planned.reason
    if planned.edited:
        model, reason = "", because(Cause.EDITED_PLAN)
    if not run.dry_run:
        try:
            yield from writer.write(file, track, planned.after, run_id=run.id, model=model, reason=reason)
        except NotAllowedError as refusal:  # only a try could show it
            return Outcome(planned.path, Status.SKIPPED, refusal.reason, now, now)
    return Outcome(planned.path, Status.TAGGED, reason, now, planned.after)


def _difference(planned: Planned, track: Track) -> Cause | None:
    """Say how a file differs from what the plan expects; None if it does not."""
    if track.payload_hash != planned.payload_hash:
        return Cause.OTHER_THAN_PLANNED
    if track.genres != planned.before:
        return Cause.GENRE_CHANGED_SINCE_PLAN
    if _touched(track.stamp) != _touched(planned.stamp):
        return Cause.CHANGED_SINCE_PLAN
    return None


def _touched(stamp: Stamp) -> tuple[int, int, int]:
    """The part of a stamp that changes only if somebody touches the file.

    Devices, and inodes on some file systems, get new numbers when a disk is mounted again, and a
    plan may be reviewed for days. A new name for the file (a hard link) changes its ctime as well.
    """
    return stamp.size_bytes, stamp.mtime_ns, stamp.ctime_ns


def _loss(planned: Planned, protect: tuple[str, ...]) -> Reason | None:
    """Say which protected genre the plan would remove; None if it removes none."""
    stays = {key(name) or name for name in planned.after}
    for name in protected(planned.before.values, protect, vocabulary()):
        if (key(name) or name) not in stays:
            return because(Cause.WOULD_LOSE, genre=name)
    return None
