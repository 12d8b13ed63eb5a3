"""What the service has to do: each file once, in an order, claimed by one worker at a time.

A claim is one writing transaction, which excludes all others, so that no two workers get the same job. It counts the
attempt before the file is opened: a file that kills whoever opens it is found out after a few attempts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    LargeBinary,
    Select,
    and_,
    delete,
    func,
    insert,
    not_,
    or_,
    select,
    type_coerce,
)
from sqlalchemy import update as change

from genretagger.causes import Cause
from genretagger.database.access import Access
from genretagger.database.columns import now
from genretagger.database.models import JobRow, TrackRow
from genretagger.database.rules import word
from genretagger.database.values import Handled, JobCounts, JobState, NewJob, Seen, StoredJob, cause_of
from genretagger.database.writes import PAGE_ROWS, lies_under
from genretagger.errors import FileError

_BATCH = 500
"""How many jobs are added in one transaction."""

SCAN_ROWS = 2000
"""How many rows a scan takes at a time."""


class Jobs(Access):
    """The table of jobs, and what it says of files."""

    def add_jobs(self, jobs: Iterable[NewJob]) -> int:
        """Add what is to be done; a file that has a job keeps it, and the higher priority of the two.

        A file that failed stays quarantined, or waits as long as it has to, unless it is another one now
        (`NewJob.changed`): then it starts afresh.

        Returns:
            How many files wait that did not before.
        """
        added, wanted = 0, list(jobs)
        for start in range(0, len(wanted), _BATCH):
            added += self._add({job.path: job for job in wanted[start : start + _BATCH]})
        return added

    def _add(self, jobs: Mapping[Path, NewJob]) -> int:
        at = now()
        fresh = {
            "state": JobState.WAITING.value,
            "attempts": 0,
            "not_before": at,
            "failure": None,
            "failure_hint": None,
            "updated_at": at,
        }
        known = select(JobRow).where(JobRow.path.in_(_padded(list(jobs))))
        with self._write() as connection:
            found = connection.execute(known).all()
            there = {row.path: row for row in self._sound(JobRow, found)}
            odd = [row.id for row in found if row.path not in there]
            connection.execute(delete(JobRow).where(JobRow.id.in_(odd)))  # a row that says what is to be done is new
            new = [
                {"path": path, "root": job.root, "priority": job.priority, "added_at": at, **fresh}
                for path, job in jobs.items()
                if path not in there
            ]
            if new:
                connection.execute(insert(JobRow), new)
            added = len(new)
            for path, row in there.items():
                job, mine = jobs[path], change(JobRow).where(JobRow.path == path)
                if row.state == JobState.QUARANTINED.value:
                    if job.changed:
                        connection.execute(mine.values(root=job.root, priority=job.priority, **fresh))
                        added += 1
                elif job.changed and row.failure is not None and row.state == JobState.WAITING.value:
                    connection.execute(mine.values(priority=min(job.priority, row.priority), **fresh))
                elif job.priority < row.priority:
                    connection.execute(mine.values(priority=job.priority))
        return added

    def claim_job(
        self,
        worker: str,
        *,
        lease_s: float,
        attempts: int,
        outside: Sequence[Path] = (),
        among: Sequence[Path] = (),
    ) -> StoredJob | None:
        """Take the next file that is due: new ones before the backlog, and in the order in which they came.

        A job whose lease ran out is due again, and so is one of the future: the clock was set back. One that was
        attempted too often is quarantined instead.

        Args:
            worker: who takes it.
            lease_s: for how many seconds nobody else may.
            attempts: the most attempts for a file.
            outside: folders whose files are left alone.
            among: only one of these files, at most 500; empty for any.
        """
        at = now()
        waiting = and_(JobRow.state == JobState.WAITING.value, or_(JobRow.not_before <= at, JobRow.updated_at > at))
        # its own it has, however long: the clock may have been set, or the machine asleep
        lost = and_(JobRow.state == JobState.WORKING.value, JobRow.lease_until < at, JobRow.worker != worker)
        allowed = [not_(lies_under(JobRow.path, folder)) for folder in outside]
        allowed += [JobRow.path.in_(_padded(among))] if among else []
        waiting, lost = and_(waiting, *allowed), and_(lost, *allowed)
        with self._write() as connection:
            while True:
                row = self._first(
                    connection, select(JobRow).where(waiting).order_by(JobRow.priority, JobRow.not_before, JobRow.id)
                ) or self._first(connection, select(JobRow).where(lost).order_by(JobRow.id))
                if row is None:
                    return None
                mine = change(JobRow).where(JobRow.id == row.id)
                if row.attempts < attempts:
                    connection.execute(
                        mine.values(
                            state=JobState.WORKING.value,
                            attempts=row.attempts + 1,
                            worker=worker,
                            lease_until=at + timedelta(seconds=lease_s),
                            updated_at=at,
                        )
                    )
                    return _job(row, state=JobState.WORKING, attempts=row.attempts + 1)
                cause = row.failure or f"the service died {row.attempts} times while it was at work on it"
                connection.execute(
                    mine.values(
                        state=JobState.QUARANTINED.value,
                        failure=cause,
                        failure_hint=row.failure_hint or "",
                        lease_until=None,
                        worker=None,
                        updated_at=at,
                    )
                )

    def _first(self, connection: Connection, wanted: Select[Any]) -> Any:
        """The first sound row of jobs; None if there is none."""
        while True:
            odd = [number for table, number in self._left_out if table == JobRow.__tablename__]
            rows = connection.execute(wanted.where(JobRow.id.not_in(odd)).limit(1) if odd else wanted.limit(1)).all()
            sound = self._sound(JobRow, rows)
            if sound or not rows:
                return sound[0] if sound else None

    def finish_job(self, path: Path, handled: str | None, cause: Cause | None = None) -> None:
        """Note that a file was handled to its end.

        Args:
            path: the file.
            handled: the key of the rules by which; None where the file is gone.
            cause: how it ended.
        """
        with self._write() as connection:
            connection.execute(delete(JobRow).where(JobRow.path == path))
            if handled is not None:
                ended = {"handled": handled, "handled_as": None if cause is None else cause.value}
                connection.execute(change(TrackRow).where(TrackRow.path == path).values(**ended))

    def fail_job(self, path: Path, error: FileError, *, again_in_s: float | None, attempted: bool = True) -> None:
        """Note that an attempt failed.

        Args:
            path: the file.
            error: why.
            again_in_s: when to try again; None to quarantine the file.
            attempted: whether the attempt counts: it does not if the system failed and not the file.
        """
        at = now()
        state = JobState.QUARANTINED if again_in_s is None else JobState.WAITING
        values: dict[str, Any] = {
            "state": state.value,
            "not_before": at + timedelta(seconds=again_in_s or 0),
            "failure": error.cause,
            "failure_hint": error.hint,
            "lease_until": None,
            "worker": None,
            "updated_at": at,
        }
        if not attempted:
            values["attempts"] = JobRow.attempts - 1
        with self._write() as connection:
            connection.execute(change(JobRow).where(JobRow.path == path).values(**values))

    def give_back_jobs(self, *, attempted: bool) -> int:
        """Let everything that is being worked on wait again, behind all else: its worker is gone.

        Args:
            attempted: whether the attempt counts: it does where the worker died, and not where it was asked to stop.
        """
        values: dict[str, Any] = {
            "state": JobState.WAITING.value,
            "not_before": now(),
            "lease_until": None,
            "worker": None,
        }
        if not attempted:
            values["attempts"] = JobRow.attempts - 1
        with self._write() as connection:
            done = connection.execute(change(JobRow).where(JobRow.state == JobState.WORKING.value).values(**values))
            return done.rowcount

    def forget_jobs(self, *, outside: Sequence[Path]) -> None:
        """Drop the jobs of files that lie in none of these folders: they are no longer watched."""
        inside = or_(*(lies_under(JobRow.path, folder) for folder in outside))
        with self._write() as connection:
            connection.execute(delete(JobRow).where(not_(inside)))

    def waiting_below(self, folder: Path) -> Iterator[list[Path]]:
        """The files below a folder that wait, a page at a time; those of a page may be dropped before the next."""
        stored, last = type_coerce(JobRow.path, LargeBinary), b""
        while True:
            page = (
                select(stored)
                .where(JobRow.state == JobState.WAITING.value, lies_under(JobRow.path, folder), stored > last)
                .order_by(stored)
                .limit(SCAN_ROWS)
            )
            with self._read() as connection:
                paths: list[bytes] = list(connection.execute(page).scalars())
            if paths:
                yield [Path(os.fsdecode(path)) for path in paths]
            if len(paths) < SCAN_ROWS:
                return
            last = paths[-1]

    def drop_waiting_jobs(self, paths: Sequence[Path]) -> None:
        """Drop the jobs of these files, unless somebody is at them or they are quarantined."""
        for start in range(0, len(paths), _BATCH):
            some = JobRow.path.in_(_padded(paths[start : start + _BATCH]))
            with self._write() as connection:
                connection.execute(delete(JobRow).where(JobRow.state == JobState.WAITING.value, some))

    def release_jobs(self, paths: Sequence[Path] = ()) -> list[Path]:
        """Let quarantined files be tried again, as if for the first time.

        Args:
            paths: files, and folders for all below them; none means all.

        Returns:
            The files.
        """
        wanted: list[ColumnElement[bool]] = [JobRow.state == JobState.QUARANTINED.value]
        if paths:
            wanted.append(or_(*(lies_under(JobRow.path, path) for path in paths)))
        with self._write() as connection:
            rows = connection.execute(select(JobRow.id, JobRow.path).where(*wanted).order_by(JobRow.path)).all()
            found = [row.path for row in self._sound(JobRow, rows)]
            for path in found:
                connection.execute(
                    change(JobRow)
                    .where(JobRow.path == path)
                    .values(state=JobState.WAITING.value, attempts=0, not_before=now(), updated_at=now())
                )
                forgiven = {"failure": None, "failure_hint": None, "failure_class": None, "failure_retry": None}
                connection.execute(change(TrackRow).where(TrackRow.path == path).values(**forgiven))
        return found

    def next_job_at(self, *, outside: Sequence[Path] = ()) -> datetime | None:
        """When the next job is due; None if nothing waits.

        Args:
            outside: folders whose files do not count.
        """
        allowed = (not_(lies_under(JobRow.path, folder)) for folder in outside)
        waiting = and_(JobRow.state == JobState.WAITING.value, *allowed)
        at = now()
        with self._read() as connection:
            row = self._first(connection, select(JobRow).where(waiting).order_by(JobRow.not_before))
            first: datetime | None = None if row is None else row.not_before
            if first is None or first <= at:
                return first
            ahead = select(JobRow.id).where(waiting, JobRow.updated_at > at).limit(1)
            return first if connection.execute(ahead).first() is None else at

    def job(self, path: Path) -> StoredJob | None:
        """The job of a file, if it has one."""
        with self._read() as connection:
            rows = self._sound(JobRow, connection.execute(select(JobRow).where(JobRow.path == path)).all())
        return _job(rows[0]) if rows else None

    def jobs(self, state: JobState, *, limit: int = PAGE_ROWS) -> list[StoredJob]:
        """The jobs in a state, those that changed last first."""
        wanted = select(JobRow).where(JobRow.state == state.value).order_by(JobRow.updated_at.desc(), JobRow.id.desc())
        with self._read() as connection:
            return [_job(row) for row in self._sound(JobRow, connection.execute(wanted.limit(limit)).all())]

    def job_counts(self) -> JobCounts:
        """How many jobs there are of each kind."""
        with self._read() as connection:
            rows = connection.execute(
                select(JobRow.state, JobRow.priority, func.count()).group_by(JobRow.state, JobRow.priority)
            ).all()
        counts = dict.fromkeys(JobState, 0)
        new = 0
        for state, priority, count in rows:
            if (known := word(JobState, state)) is None:
                self._name_odd_jobs()
                continue
            counts[known] += count
            new += count if state == JobState.WAITING.value and priority == 0 else 0
        return JobCounts(new, counts[JobState.WAITING] - new, counts[JobState.WORKING], counts[JobState.QUARANTINED])

    def _name_odd_jobs(self) -> None:
        """Name the jobs whose state is no word of ours; nothing else asks for them."""
        odd = select(JobRow).where(or_(JobRow.state.not_in([each.value for each in JobState]), JobRow.state.is_(None)))
        with self._read() as connection:
            self._sound(JobRow, connection.execute(odd.limit(PAGE_ROWS)).all())

    def handled(self, path: Path, payload_hash: str) -> Handled:
        """By which rules this audio at this path was handled to its end, and how it ended."""
        wanted = select(TrackRow.handled, TrackRow.handled_as)
        with self._read() as connection:
            row = connection.execute(wanted.where(TrackRow.path == path, TrackRow.payload_hash == payload_hash)).first()
        return Handled() if row is None else _handled(row.handled, row.handled_as)

    def seen_below(self, folder: Path) -> Iterator[Seen]:
        """What is known of the files below a folder, in the order of their paths' bytes: a page at a time."""
        stored = type_coerce(TrackRow.path, LargeBinary)
        columns = (
            stored,
            TrackRow.size_bytes,
            TrackRow.mtime_ns,
            TrackRow.ctime_ns,
            TrackRow.inode,
            TrackRow.handled,
            TrackRow.handled_as,
            TrackRow.failure_retry,
            JobRow.state,
        )
        last = b""
        while True:
            page = (
                select(*columns)
                .outerjoin(JobRow, JobRow.path == TrackRow.path)
                .where(lies_under(TrackRow.path, folder), stored > last)
                .order_by(stored)
                .limit(SCAN_ROWS)
            )
            with self._read() as connection:
                rows = connection.execute(page).all()
            for row in rows:
                path, size, mtime, ctime, inode, key, cause, retry, state = row
                failure_retry = retry if isinstance(retry, bool) else None
                yield Seen(path, size, mtime, ctime, inode, _handled(key, cause), failure_retry, state)
            if len(rows) < SCAN_ROWS:
                return
            last = rows[-1][0]


def _padded(paths: Sequence[Path]) -> list[Path]:
    """The same paths, some of them more than once, so that their number is one of a few.

    The driver keeps each statement that it prepared, and one with 500 places takes 100 kB: 10 MB for all lengths.
    """
    size = next(size for size in (1, 8, 64, _BATCH) if len(paths) <= size)
    return [*paths, *[paths[-1]] * (size - len(paths))]


def _handled(key: object, cause: object) -> Handled:
    return Handled(key if isinstance(key, str) else None, cause_of(cause))


def _job(row: Any, **changes: Any) -> StoredJob:
    values = {
        "path": row.path,
        "root": row.root,
        "state": JobState(row.state),
        "priority": row.priority,
        "attempts": row.attempts,
        "not_before": row.not_before,
        "cause": row.failure or "",
        "hint": row.failure_hint or "",
        "updated_at": row.updated_at,
    }
    return StoredJob(**{**values, **changes})
