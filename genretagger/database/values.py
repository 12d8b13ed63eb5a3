"""What the database gives back: frozen values, never rows of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from genretagger.causes import Cause, Reason
from genretagger.errors import FILE_ERRORS, FileError
from genretagger.types import Activations, Decision, GenreField, Json, Track


class HearingResult(StrEnum):
    """How listening to a payload ended; a result that the same model and sampling keep to."""

    HEARD = "heard"
    SILENT = "silent"
    UNDECODABLE = "undecodable"


class WriteState(StrEnum):
    """The state of a write.

    PENDING: begun, and the file may or may not have been changed. DONE: the file holds `after`.
    ABANDONED: the file was left as it was. UNDONE: it was done, and a later write put `before`
    back.
    """

    PENDING = "pending"
    DONE = "done"
    ABANDONED = "abandoned"
    UNDONE = "undone"


class WriteKind(StrEnum):
    """What a write did: WRITE wrote genres, UNDO took a write back, REDO restored an undone one."""

    WRITE = "write"
    UNDO = "undo"
    REDO = "redo"


@dataclass(frozen=True, slots=True)
class StoredFailure:
    """Why a file could not be handled.

    Attributes:
        error: the error as it was raised, with its class, path and hint.
        retry: whether the unchanged file is worth another attempt.
    """

    error: FileError
    retry: bool
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class AnalysisNote:
    """A stored analysis without its arrays.

    Attributes:
        sampling: which windows were listened to, such as "spread-16.1".
        provider: the ONNX Runtime provider that computed it; empty if nothing was computed.
        windows: how many windows were heard.
        cause: why the model could not listen; empty otherwise.
    """

    model: str
    fingerprint: str
    sampling: str
    provider: str
    hearing: HearingResult
    windows: int
    cause: str
    seconds: float
    analysed_at: datetime


@dataclass(frozen=True, slots=True, eq=False)
class StoredAnalysis(AnalysisNote):
    """What a model said of a payload.

    Attributes:
        activations: what was heard; None unless `hearing` is HEARD.
        error: why the model could not listen; None unless `hearing` is UNDECODABLE.
    """

    activations: Activations | None
    error: FileError | None


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """The genres chosen for a payload.

    Attributes:
        model: name of the model that it rests on.
        sampling: the windows that it rests on.
        settings: fingerprint of the settings that it was made with.
        said: the reason in the words of that time.
    """

    decision: Decision
    model: str
    sampling: str
    settings: str
    decided_at: datetime
    said: str


@dataclass(frozen=True, slots=True)
class StoredRun:
    """One command that could write, and its writes now (`writes`: how many in each state)."""

    id: int
    command: str
    settings: Json
    started_at: datetime
    finished_at: datetime | None
    writes: Mapping[WriteState, int]


@dataclass(frozen=True, slots=True)
class StoredWrite:
    """One change of a genre field.

    Attributes:
        run_id: number of the run that made it.
        path: the file, where it was then.
        before: the genre field as it was, enough to put it back.
        after: the genre field as it was written, or was meant to be while the write is pending.
        model: name of the model that the genres come from.
        reason: why it was written.
        temporary_name: name of the copy that was edited, in the file's folder; to clean up after a
            kill.
        undo_of: number of the write that this one takes back; of a redo, the undo. None if it takes
            nothing back.
        started_at: when it began.
        finished_at: when its state was settled; None while it is pending.
        of_run: for an undo or a redo, the number of the run that wrote what it takes or puts
            back; otherwise None.
        undone_by: number of the run that took it back; None if none did.
        said: the reason in the words of that time.
    """

    id: int
    run_id: int
    path: Path
    payload_hash: str
    before: GenreField
    after: GenreField
    model: str
    reason: Reason
    temporary_name: str | None
    state: WriteState
    undo_of: int | None
    started_at: datetime
    finished_at: datetime | None
    kind: WriteKind = WriteKind.WRITE
    of_run: int | None = None
    undone_by: int | None = None
    said: str = ""

    @property
    def stands(self) -> bool:
        """Whether it took place and was not taken back."""
        return self.state is WriteState.DONE

    @property
    def is_undone(self) -> bool:
        """Whether its genres were taken away again, by this write or after it."""
        return self.kind is WriteKind.UNDO or self.state is WriteState.UNDONE


def ours_among(genres: Sequence[str], writes: Sequence[StoredWrite]) -> tuple[str, ...]:
    """Which genres of a file genretagger chose, so that a learner does not learn its own opinions.

    What the owner had before, chose in a plan, or left or put there when they changed the field
    afterwards, is theirs.

    Args:
        writes: the writes to it that took place, oldest first.
    """
    ours: frozenset[str] = frozenset()
    after: tuple[str, ...] | None = None
    before_write: dict[int, frozenset[str]] = {}
    for write in writes:
        if after is not None and write.before.values != after:
            ours = frozenset()  # the owner was here
        before_write[write.id] = ours
        after = write.after.values
        if write.undo_of is not None:
            ours = before_write.get(write.undo_of, frozenset())
        elif write.model:
            ours = (ours | {*after} - {*write.before.values}) & {*after}
        else:
            ours = frozenset()
    return tuple(genre for genre in genres if genre in ours) if tuple(genres) == after else ()


@dataclass(frozen=True, slots=True)
class Known:
    """Everything that is known of one path.

    Attributes:
        track: what was there when it was last read; None if it never could be.
        failure: why it last failed; None if it did not.
        analyses: who listened to it and how, newest first.
        decisions: what was chosen, newest first.
        writes: what was written to this path or to the same audio elsewhere, newest first.
        seen_at: when it was last looked at; None if only writes are left of it.
    """

    path: Path
    track: Track | None
    failure: StoredFailure | None
    analyses: tuple[AnalysisNote, ...]
    decisions: tuple[StoredDecision, ...]
    writes: tuple[StoredWrite, ...]
    seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many there are of each.

    Attributes:
        tracks: paths that are known.
        failed: paths that failed when last looked at.
        heard: payloads, models and samplings that were listened to.
        decided: payloads, models and samplings with a decision.
        writes: how many writes are in each state.
    """

    tracks: int
    failed: int
    heard: int
    decided: int
    writes: Mapping[WriteState, int]


class JobState(StrEnum):
    """The state of a job: due now or later, being handled, or set aside with a reason."""

    WAITING = "waiting"
    WORKING = "working"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who works on the queue: services on several machines may share it, each with its own part.

    A job belongs to the service that queued it, until a process claims it; from then on it belongs
    to that process.

    Attributes:
        name: of a service, or of one of its processes: `<service>/<process>`. No two services have
            the same.
        folders: it takes only files in these folders; none means any file.
    """

    name: str
    folders: tuple[Path, ...] = ()

    @property
    def service(self) -> str:
        """The name of the service that it is, or belongs to."""
        return self.name.partition("/")[0]


@dataclass(frozen=True, slots=True)
class NewJob:
    """A file to handle.

    Attributes:
        root: the watched folder that it is in, which a write must not leave.
        priority: 0 for what has just come, 1 for the backlog.
        changed: whether it is another file than the one that may have failed before.
    """

    path: Path
    root: Path
    priority: int = 0
    changed: bool = False


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A file that the service has to handle.

    Attributes:
        root: the watched folder that it is in.
        priority: 0 for what has just come, 1 for the backlog.
        attempts: how often it was begun.
        not_before: when it may be tried.
        reason: why it failed last, in words; empty if it did not.
        cause: the same, as a cause; None if it did not.
        hint: what to do about it.
        updated_at: when that was.
    """

    path: Path
    root: Path
    state: JobState
    priority: int
    attempts: int
    not_before: datetime
    reason: str
    cause: Cause | None
    hint: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class JobCounts:
    """How many files are new, in the backlog, being worked on, and quarantined."""

    new: int
    backlog: int
    working: int
    quarantined: int


class Handled(NamedTuple):
    """The rules by which a file was handled, and how it ended; both None if it was not handled."""

    key: str | None = None
    cause: Cause | None = None


class Seen(NamedTuple):
    """What a scan compares a file with; `path` is in bytes."""

    path: bytes
    size_bytes: int | None
    mtime_ns: int | None
    ctime_ns: int | None
    inode: int | None
    handled: Handled
    failure_retry: bool | None
    job: str | None


def rebuild_error(name: str | None, cause: str, *, path: Path | None, hint: str | None) -> FileError:
    """The stored error, ready to raise again; if its class is gone, a plain FileError."""
    return FILE_ERRORS.get(name or "", FileError)(cause, path=path, hint=hint or "")


def field_to_json(field: GenreField) -> Json:
    """A genre field as JSON."""
    return {"values": list(field.values), "raw": field.raw, "form": field.form}


def field_from_json(stored: Json) -> GenreField:
    """The genre field that `field_to_json` stored."""
    return GenreField(tuple(stored["values"]), stored["raw"], stored["form"])
