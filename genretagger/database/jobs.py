"""What the services have to do: each file once, in an order; `claims.py` has what becomes of it.

Several services may share one database, on several machines. Each drops its own jobs only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from sqlalchemy import ColumnElement, LargeBinary, delete, func, insert, not_, or_, select, type_coerce
from sqlalchemy import update as change

from genretagger.database.claims import Claims, is_of, stored_job
from genretagger.database.columns import now
from genretagger.database.models import JOBS, TRACKS
from genretagger.database.paths import BATCH, PAGE_ROWS, lies_under, padded
from genretagger.database.rules import word
from genretagger.database.tracks import NO_FAILURE, SCAN_ROWS
from genretagger.database.values import Claimant, JobCounts, JobState, NewJob, StoredJob

_ADDING = 0x6A6F6273
"""The lock of the server that whoever adds jobs holds: "jobs"."""


class Jobs(Claims):
    """The table of jobs, and what it says about files."""

    def add(self, service: Claimant, jobs: Iterable[NewJob]) -> int:
        """Add files to handle; a file that has a job keeps it, with the higher of both priorities.

        A file that failed stays quarantined, or waits as long as it has to, unless it is another
        one now (`NewJob.changed`): then it starts afresh. A job stays with the service that queued
        it, and a job that somebody works on stays as it is.

        Args:
            service: the owner of the jobs.

        Returns:
            How many files wait that did not before.
        """
        added, wanted = 0, list(jobs)
        for start in range(0, len(wanted), BATCH):
            added += self._add(service, {job.path: job for job in wanted[start : start + BATCH]})
        return added

    def _add(self, service: Claimant, jobs: Mapping[Path, NewJob]) -> int:
        at = now()
        fresh = {
            "state": JobState.WAITING.value,
            "attempts": 0,
            "not_before": at,
            "failure": None,
            "failure_hint": None,
            "failure_cause": None,
            "updated_at": at,
        }
        with self._access.write() as connection:
            if not self._access.is_sqlite:  # of which only one connection writes at a time
                connection.execute(select(func.pg_advisory_xact_lock(_ADDING)))
            known = select(JOBS).where(JOBS.c.path.in_(padded(list(jobs)))).order_by(JOBS.c.id).with_for_update()
            found = connection.execute(known).all()
            there = {row.path: row for row in self._access.sound(JOBS, found)}
            odd = [row.id for row in found if row.path not in there]
            connection.execute(delete(JOBS).where(JOBS.c.id.in_(odd)))  # a row that says what is to be done is new
            begun = {**fresh, "worker": service.name, "added_at": at}
            new = [
                {"path": path, "root": job.root, "priority": job.priority, **begun}
                for path, job in jobs.items()
                if path not in there
            ]
            if new:
                connection.execute(insert(JOBS), new)
            added = len(new)
            for path, row in there.items():
                job, mine = jobs[path], change(JOBS).where(JOBS.c.path == path)
                if row.state == JobState.QUARANTINED.value:
                    if job.changed:
                        connection.execute(mine.values(root=job.root, priority=job.priority, **fresh))
                        added += 1
                elif job.changed and row.failure is not None and row.state == JobState.WAITING.value:
                    connection.execute(mine.values(priority=min(job.priority, row.priority), **fresh))
                elif job.priority < row.priority:
                    connection.execute(mine.values(priority=job.priority))
        return added

    def forget(self, service: Claimant) -> int:
        """Drop a service's jobs outside all of its folders: it does not watch those files any more.

        Returns:
            How many jobs.
        """
        inside = [lies_under(JOBS.c.path, folder, self._access.libraries) for folder in service.folders]
        if not inside:
            return 0
        with self._access.write() as connection:
            return connection.execute(delete(JOBS).where(_droppable(service), not_(or_(*inside)))).rowcount

    def get_waiting_below(self, folder: Path) -> Iterator[list[Path]]:
        """The waiting files below a folder, page by page; a page may be dropped before the next."""
        wanted = select().where(
            JOBS.c.state == JobState.WAITING.value, lies_under(JOBS.c.path, folder, self._access.libraries)
        )
        for page in self._pages(wanted, type_coerce(JOBS.c.path, LargeBinary), rows=SCAN_ROWS):
            yield [self._access.libraries.from_stored(row.place) for row in page]

    def drop_waiting(self, service: Claimant, paths: Sequence[Path]) -> None:
        """Drop those jobs of a service that are for these files and wait."""
        for start in range(0, len(paths), BATCH):
            some = JOBS.c.path.in_(padded(paths[start : start + BATCH]))
            with self._access.write() as connection:
                connection.execute(
                    delete(JOBS).where(JOBS.c.state == JobState.WAITING.value, _droppable(service), some)
                )

    def retry(self, paths: Sequence[Path] = ()) -> list[Path]:
        """Let quarantined files be tried again, as if for the first time.

        Args:
            paths: files, and folders for all below them; none means all.

        Returns:
            The files.
        """
        wanted: list[ColumnElement[bool]] = [JOBS.c.state == JobState.QUARANTINED.value]
        if paths:
            wanted.append(or_(*(lies_under(JOBS.c.path, path, self._access.libraries) for path in paths)))
        with self._access.write() as connection:
            columns = select(JOBS.c.id, JOBS.c.path)
            rows = self._sound(connection, JOBS, columns.where(*wanted).order_by(JOBS.c.path))
            found = [row.path for row in rows]
            for path in found:
                connection.execute(
                    change(JOBS)
                    .where(JOBS.c.path == path)
                    .values(state=JobState.WAITING.value, attempts=0, not_before=now(), updated_at=now())
                )
                connection.execute(change(TRACKS).where(TRACKS.c.path == path).values(**NO_FAILURE))
        return found

    def get(self, path: Path) -> StoredJob | None:
        """The job of a file, if it has one."""
        with self._access.read() as connection:
            rows = self._sound(connection, JOBS, select(JOBS).where(JOBS.c.path == path))
        return stored_job(rows[0]) if rows else None

    def get_all(self, state: JobState, *, limit: int = PAGE_ROWS) -> list[StoredJob]:
        """The jobs in a state, those that changed last first."""
        wanted = select(JOBS).where(JOBS.c.state == state.value).order_by(JOBS.c.updated_at.desc(), JOBS.c.id.desc())
        with self._access.read() as connection:
            return [stored_job(row) for row in self._sound(connection, JOBS, wanted.limit(limit))]

    def get_counts(self) -> JobCounts:
        """How many jobs there are of each kind."""
        with self._access.read() as connection:
            rows = connection.execute(
                select(JOBS.c.state, JOBS.c.priority, func.count()).group_by(JOBS.c.state, JOBS.c.priority)
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
        """Name the jobs with an unknown state; nothing else asks for them."""
        odd = select(JOBS).where(or_(JOBS.c.state.not_in([each.value for each in JobState]), JOBS.c.state.is_(None)))
        with self._access.read() as connection:
            self._sound(connection, JOBS, odd.limit(PAGE_ROWS))


def _droppable(service: Claimant) -> ColumnElement[bool]:
    """A condition: a job belongs to this service; jobs queued by an older version belong to all."""
    return or_(JOBS.c.worker.is_(None), is_of(service))
