"""Claims on jobs: who works on which file, until when, and how that ends.

A claim is one statement, which picks a job and writes its new owner into it. SQLite lets one
statement write at a time; PostgreSQL locks the job that it picks, and passes over those that others
have locked. So no two processes get the same job. A claim counts the attempt before the file is
opened: a file that kills every process that opens it is set aside after a few attempts.

Several services may share one database, on several machines. A process ends, fails and gives back
its own jobs only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, not_, or_, select
from sqlalchemy import update as change

from genretagger.causes import Cause
from genretagger.database.access import Repository
from genretagger.database.columns import now
from genretagger.database.models import JOBS, TRACKS
from genretagger.database.paths import lies_under, padded
from genretagger.database.reasons import cause_of
from genretagger.database.values import Claimant, JobState, StoredJob
from genretagger.errors import FileError

_owner: ColumnElement[str] = func.coalesce(JOBS.c.worker, "")  # NULL is neither equal nor unequal


class Claims(Repository):
    """The table of jobs, as those who work on them see it."""

    def claim(
        self,
        claimant: Claimant,
        *,
        lease_s: float,
        attempts: int,
        outside: Sequence[Path] = (),
        among: Sequence[Path] = (),
    ) -> StoredJob | None:
        """Take the next file that is due: new ones before the backlog, in the order they came.

        A job is due again when its lease runs out, and also if it is in the future: the clock was
        set back. One that was attempted too often is quarantined instead.

        Args:
            lease_s: for how many seconds nobody else may.
            attempts: the most attempts for a file.
            outside: folders with files to leave alone.
            among: only one of these files, at most 500; empty for any.
        """
        at = now()
        allowed = self._allowed(claimant, outside)
        if among:
            allowed.append(JOBS.c.path.in_(padded(among)))
        waiting = and_(JOBS.c.state == JobState.WAITING.value, or_(JOBS.c.not_before <= at, JOBS.c.updated_at > at))
        # A process keeps its own jobs, however long they take: the clock may have been set, or the
        # machine asleep.
        lost = and_(_lent(claimant.name), JOBS.c.lease_until < at)
        queue = select(JOBS.c.id).where(waiting, *allowed).order_by(JOBS.c.priority, JOBS.c.not_before, JOBS.c.id)
        others = select(JOBS.c.id).where(lost, *allowed).order_by(JOBS.c.id)
        values = {
            "state": JobState.WORKING.value,
            "attempts": JOBS.c.attempts + 1,
            "worker": claimant.name,
            "lease_until": at + timedelta(seconds=lease_s),
            "updated_at": at,
        }
        with self._access.write() as connection:
            while row := self._take(connection, queue, values) or self._take(connection, others, values):
                if row.attempts <= attempts:
                    return stored_job(row)
                before = row.attempts - 1
                aside = {
                    "state": JobState.QUARANTINED.value,
                    "attempts": before,
                    "failure": row.failure or f"the service died {before} times while it was at work on it",
                    "failure_hint": row.failure_hint or "",
                    "failure_cause": row.failure_cause if row.failure else Cause.KILLED.value,
                    "lease_until": None,
                    "worker": claimant.service,
                }
                connection.execute(change(JOBS).where(JOBS.c.id == row.id).values(**aside))
        return None

    def _take(self, connection: Connection, wanted: Select[Any], values: Mapping[str, Any]) -> Any:
        """Change the first job of a selection and return its new row; None if there is none.

        Rows that others have locked are skipped. A row with invalid values is left as it is and
        skipped too.
        """
        while True:
            first = self._without_odd(wanted).limit(1).with_for_update(skip_locked=True)
            taken = change(JOBS).where(JOBS.c.id == first.scalar_subquery()).values(**values)
            with connection.begin_nested() as attempt:
                rows = connection.execute(taken.returning(*JOBS.columns)).all()
                sound = self._access.sound(JOBS, rows)
                if sound or not rows:
                    return sound[0] if sound else None
                attempt.rollback()

    def _allowed(self, claimant: Claimant, outside: Sequence[Path]) -> list[ColumnElement[bool]]:
        """Conditions: the file is where the claimant takes files, outside all other folders."""
        here = self._access.libraries
        inside = [lies_under(JOBS.c.path, folder, here) for folder in claimant.folders]
        return [
            *([or_(*inside)] if inside else ()),
            *(not_(lies_under(JOBS.c.path, folder, here)) for folder in outside),
        ]

    def _first(self, connection: Connection, wanted: Select[Any]) -> Any:
        """The first sound row of jobs; None if there is none."""
        while True:
            rows = connection.execute(self._without_odd(wanted).limit(1)).all()
            sound = self._access.sound(JOBS, rows)
            if sound or not rows:
                return sound[0] if sound else None

    def _without_odd(self, wanted: Select[Any]) -> Select[Any]:
        odd = [number for table, number in self._access.left_out if table == JOBS.name]
        return wanted.where(JOBS.c.id.not_in(odd)) if odd else wanted

    def finish(self, claimant: Claimant, path: Path, handled: str | None, cause: Cause | None = None) -> None:
        """Note that a file was handled to its end, which is true whoever has its job by now.

        The job goes if the claimant has it; if somebody else does, it stays.

        Args:
            claimant: the process that claimed it.
            handled: the key of the rules by which; None if the file is gone.
        """
        with self._access.write() as connection:
            connection.execute(delete(JOBS).where(JOBS.c.path == path, _has(claimant)))
            if handled is not None:
                ended = {"handled": handled, "handled_as": None if cause is None else cause.value}
                connection.execute(change(TRACKS).where(TRACKS.c.path == path).values(**ended))

    def fail(
        self, claimant: Claimant, path: Path, error: FileError, *, again_in_s: float | None, attempted: bool = True
    ) -> None:
        """Note that an attempt failed. If somebody else has the job by now, nothing changes.

        Args:
            claimant: the process that claimed it.
            again_in_s: when to try again; None to quarantine the file.
            attempted: whether the attempt counts: it does not if the system failed and not the
                file.
        """
        at = now()
        state = JobState.QUARANTINED if again_in_s is None else JobState.WAITING
        values: dict[str, Any] = {
            "state": state.value,
            "not_before": at + timedelta(seconds=again_in_s or 0),
            "failure": error.cause,
            "failure_hint": error.hint,
            "failure_cause": error.why.value,
            "lease_until": None,
            "worker": claimant.service,
            "updated_at": at,
        }
        if not attempted:
            values["attempts"] = JOBS.c.attempts - 1
        with self._access.write() as connection:
            connection.execute(change(JOBS).where(JOBS.c.path == path, _has(claimant)).values(**values))

    def give_back(self, claimant: Claimant, *, attempted: bool) -> int:
        """Let all jobs of a process wait again, behind the others: it has ended, or is about to.

        Args:
            claimant: the process; a service for all of its processes.
            attempted: whether the attempt counts: it does if the process died, and not if it was
                asked to stop.

        Returns:
            How many jobs.
        """
        values: dict[str, Any] = {
            "state": JobState.WAITING.value,
            "not_before": now(),
            "lease_until": None,
            "worker": claimant.service,
        }
        if not attempted:
            values["attempts"] = JOBS.c.attempts - 1
        with self._access.write() as connection:
            return connection.execute(change(JOBS).where(_has(claimant)).values(**values)).rowcount

    def get_next_at(self, claimant: Claimant, *, outside: Sequence[Path] = ()) -> datetime | None:
        """When there is a job for a claimant; None if there is none, as far as is known now.

        Args:
            outside: folders with files that do not count.
        """
        allowed = self._allowed(claimant, outside)
        waiting = and_(JOBS.c.state == JobState.WAITING.value, *allowed)
        lost = and_(_lent(claimant.name), not_(is_of(claimant)), *allowed)
        at = now()
        with self._access.read() as connection:
            due = self._first(connection, select(JOBS).where(waiting).order_by(JOBS.c.not_before))
            if due is not None and due.not_before > at:
                ahead = select(JOBS.c.id).where(waiting, JOBS.c.updated_at > at).limit(1)
                if connection.execute(ahead).first() is not None:
                    return at
            ends = select(JOBS).where(lost, JOBS.c.lease_until.is_not(None)).order_by(JOBS.c.lease_until)
            lent = self._first(connection, ends)
        times = ([] if due is None else [due.not_before]) + ([] if lent is None else [lent.lease_until])
        return min(times, default=None)


def is_of(claimant: Claimant) -> ColumnElement[bool]:
    """A condition: a job belongs to a process, or to a service or any of its processes."""
    return or_(_owner == claimant.name, _owner.startswith(f"{claimant.name}/", autoescape=True))


def _has(claimant: Claimant) -> ColumnElement[bool]:
    """A condition: a process, or any process of a service, works on a job."""
    return and_(JOBS.c.state == JobState.WORKING.value, is_of(claimant))


def _lent(to_others_than: str) -> ColumnElement[bool]:
    """A condition: another process works on a job."""
    return and_(JOBS.c.state == JobState.WORKING.value, _owner != to_others_than)


def stored_job(row: Any) -> StoredJob:
    """The job that a row of `jobs` holds."""
    return StoredJob(
        path=row.path,
        root=row.root,
        state=JobState(row.state),
        priority=row.priority,
        attempts=row.attempts,
        not_before=row.not_before,
        reason=row.failure or "",
        cause=(cause_of(row.failure_cause) or Cause.RECORDED) if row.failure else None,
        hint=row.failure_hint or "",
        updated_at=row.updated_at,
    )
