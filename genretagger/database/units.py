"""The work list of `archive`: units (a folder's files) that machines claim, and their speed.

PostgreSQL only. A unit is claimed by one statement that passes over what others have locked, and
belongs to the run that claimed it until its lease ends; the run renews the leases of all of its
units while it lives. Who writes the files of a unit holds a lock of the server meanwhile (`held`),
which ends with the process, so nobody writes beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Select, and_, case, cast, func, or_, select, text, update

from genretagger.causes import Cause
from genretagger.database.access import Repository
from genretagger.database.columns import now
from genretagger.database.models import ANALYSES, STAGES, TRACKS, UNITS
from genretagger.database.paths import lies_under
from genretagger.database.reasons import cause_of
from genretagger.errors import DatabaseError, GenretaggerError

_LOCK = 0x67656E72  # the class of our locks: "genr"

_INCOMING = """
CREATE TEMP TABLE IF NOT EXISTS incoming
    (folder bytea, root bytea, part integer, parts integer, files integer, names text) ON COMMIT DELETE ROWS
"""
_COPY = "COPY incoming (folder, root, part, parts, files, names) FROM STDIN"
_OTHER_PARTS = """
DELETE FROM units USING incoming
WHERE units.folder = incoming.folder AND units.parts <> incoming.parts AND units.state <> 'working'
"""
_MERGE = """
INSERT INTO units (folder, root, part, parts, files, names, rules, state, attempts,
                   tagged, unchanged, skipped, failed, updated_at)
SELECT folder, root, part, parts, files, names, :rules, 'waiting', 0, 0, 0, 0, 0, :at FROM incoming
ON CONFLICT (folder, part, parts) DO UPDATE
SET root = excluded.root, files = excluded.files, names = excluded.names, rules = excluded.rules, state = 'waiting',
    attempts = 0, tagged = 0, unchanged = 0, skipped = 0, failed = 0, failure = NULL, failure_cause = NULL,
    owner = NULL, updated_at = :at
WHERE (units.names <> excluded.names OR units.rules <> excluded.rules OR units.state = 'failed' OR :again)
    AND (units.state <> 'working' OR units.lease_until < :at)
"""


class UnitState(StrEnum):
    """The state of a unit; FAILED was tried too often, and the next listing tries it again."""

    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"
    FAILED = "failed"


class FailedUnit(NamedTuple):
    """A folder that failed as a whole, and why: as a cause, and in words."""

    folder: Path
    cause: Cause
    reason: str


@dataclass(frozen=True, slots=True)
class NewUnit:
    """What a listing finds.

    Attributes:
        folder: of an album, or one with too many files for an album.
        root: the folder that a write must not leave.
        part: which of its parts, from 0; files belong to a part by a hash of their names.
        parts: into how many it is divided.
        files: how many there are in this part.
        names: digest of their names.
    """

    folder: Path
    root: Path
    part: int
    parts: int
    files: int
    names: str


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit that a run has claimed; see `NewUnit`."""

    id: int
    folder: Path
    root: Path
    part: int
    parts: int
    attempts: int


@dataclass(frozen=True, slots=True)
class ArchiveProgress:
    """How far an archive is.

    Attributes:
        units: how many are in each state.
        files: how many files are in the units of each state.
        tagged, unchanged, skipped, failed: what became of the files of units that are done.
    """

    units: dict[UnitState, int]
    files: dict[UnitState, int]
    tagged: int
    unchanged: int
    skipped: int
    failed: int


@dataclass(frozen=True, slots=True)
class Rate:
    """The speed of a stage on a node: tracks, seconds of work on them, and minutes counted."""

    node: str
    stage: str
    tracks: int
    seconds: float
    minutes: int


class Units(Repository):
    """The tables of units and stages."""

    def see_server(self) -> None:
        """Refuse a database that many machines cannot share.

        Raises:
            DatabaseError: it is SQLite.
        """
        if self._access.is_sqlite:
            raise DatabaseError(
                "an archive needs PostgreSQL", path=self._access.path, hint="name it: --database postgresql://host/name"
            )

    def add(self, units: Iterable[NewUnit], *, rules: str, again: bool = False) -> int:
        """Add what was found, by COPY; a finished unit stays so unless its names or rules change.

        Args:
            units: a few thousand, no two the same.
            rules: digest of the settings.
            again: let those wait again that are done.

        Returns:
            How many wait that did not before.
        """
        stored = self._access.libraries.to_stored
        with self._access.write() as connection:
            connection.execute(text(_INCOMING))
            with connection.connection.cursor() as cursor, cursor.copy(_COPY) as copy:  # type: ignore[attr-defined]
                for each in units:
                    folder, root = stored(each.folder), stored(each.root)
                    copy.write_row((folder, root, each.part, each.parts, each.files, each.names))
            connection.execute(text(_OTHER_PARTS))
            at = now().replace(tzinfo=None)
            return connection.execute(text(_MERGE), {"rules": rules, "at": at, "again": again}).rowcount

    def claim(self, owner: str, *, rules: str, roots: Sequence[Path], lease_s: float, attempts: int) -> Unit | None:
        """Take the next unit; one that was attempted too often is set aside instead.

        Args:
            owner: the run that it belongs to from now on.
            rules: only units to be handled by these.
            roots: only below these folders.
            lease_s: for how many seconds nobody else may have it.
            attempts: the most attempts.
        """
        at = now()
        first = (
            select(UNITS.c.id)
            .where(UNITS.c.state == UnitState.WAITING.value, UNITS.c.rules == rules, self._below(roots))
            .order_by(UNITS.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        taken = {
            "state": case((UNITS.c.attempts < attempts, UnitState.WORKING.value), else_=UnitState.FAILED.value),
            "attempts": case((UNITS.c.attempts < attempts, UNITS.c.attempts + 1), else_=UNITS.c.attempts),
            "failure": case(
                (UNITS.c.attempts < attempts, UNITS.c.failure),
                else_=func.coalesce(UNITS.c.failure, "each process that worked on it died"),
            ),
            "failure_cause": case(
                (or_(UNITS.c.attempts < attempts, UNITS.c.failure.is_not(None)), UNITS.c.failure_cause),
                else_=Cause.KILLED.value,
            ),
            "owner": owner,
            "lease_until": at + timedelta(seconds=lease_s),
            "wanted": None,
            "updated_at": at,
        }
        change = update(UNITS).where(UNITS.c.id == first.scalar_subquery()).values(taken).returning(*UNITS.columns)
        while True:
            with self._access.write() as connection:
                row = connection.execute(change).first()
            if row is None:
                return None
            if row.state == UnitState.WORKING.value:
                return Unit(row.id, row.folder, row.root, row.part, row.parts, row.attempts)

    @contextmanager
    def held(self, unit_id: int) -> Iterator[bool]:
        """Lock a unit, and say whether that worked. The lock ends with this process at latest."""
        with self._access.read() as connection:
            held = bool(connection.scalar(select(func.pg_try_advisory_lock(_LOCK, unit_id))))
        try:
            yield held
        finally:
            if held:
                with self._access.read() as connection:
                    connection.execute(select(func.pg_advisory_unlock(_LOCK, unit_id)))

    def get(self, unit_id: int, owner: str) -> Unit | None:
        """A unit that a run is working on; None if it does so no longer."""
        wanted = select(UNITS).where(UNITS.c.id == unit_id, *_of(owner))
        with self._access.read() as connection:
            row = connection.execute(wanted).first()
        return None if row is None else Unit(row.id, row.folder, row.root, row.part, row.parts, row.attempts)

    def save_wanted(self, unit_id: int, owner: str, payloads: Sequence[str]) -> None:
        """Note which payloads of a unit the model was sent, once all of them are on their way."""
        with self._access.write() as connection:
            connection.execute(update(UNITS).where(UNITS.c.id == unit_id, *_of(owner)).values(wanted=list(payloads)))

    def is_heard(self, unit_id: int, owner: str, model_id: int, sampling: str) -> bool:
        """Whether the model has handled each payload it got of a unit, and no more will come."""
        with self._access.read() as connection:
            wanted = connection.scalar(select(UNITS.c.wanted).where(UNITS.c.id == unit_id, *_of(owner)))
        return isinstance(wanted, list) and self.get_heard_count(wanted, model_id, sampling) == len(set(wanted))

    def finish(self, unit_id: int, owner: str, node: str, counts: dict[str, int]) -> bool:
        """Note that a unit is done; returns False if it belongs to somebody else by now.

        Args:
            node: where.
            counts: how many files were "tagged", "unchanged", "skipped" and "failed".
        """
        done = {"state": UnitState.DONE.value, "node": node, "failure": None, "failure_cause": None, **counts}
        with self._access.write() as connection:
            ours = update(UNITS).where(UNITS.c.id == unit_id, *_of(owner))
            return bool(connection.execute(ours.values(**done, updated_at=now())).rowcount)

    def fail(self, unit_id: int, owner: str, error: GenretaggerError, *, is_last: bool = False) -> None:
        """Let a unit wait again that failed as a whole; `claim` says how often.

        Args:
            unit_id: which.
            owner: the run that has it.
            error: why.
            is_last: set it aside at once; the next listing tries it again.
        """
        state = UnitState.FAILED if is_last else UnitState.WAITING
        with self._access.write() as connection:
            ours = update(UNITS).where(UNITS.c.id == unit_id, *_of(owner))
            why = {"failure": error.message, "failure_cause": error.why.value}
            connection.execute(ours.values(state=state.value, updated_at=now(), **why))

    def renew(self, owner: str, lease_s: float) -> int:
        """Keep all units of a run for another while; returns how many."""
        with self._access.write() as connection:
            ours = update(UNITS).where(*_of(owner))
            return connection.execute(ours.values(lease_until=now() + timedelta(seconds=lease_s))).rowcount

    def give_back(self, owner: str) -> int:
        """Let units of a run wait again if a process died at work on them; returns how many."""
        with self._access.write() as connection:
            ours = update(UNITS).where(*_of(owner))
            return connection.execute(ours.values(state=UnitState.WAITING.value, updated_at=now())).rowcount

    def give_back_lost(self) -> int:
        """Let units of runs that ended without a word wait again; the attempt does not count."""
        lost = (UNITS.c.state == UnitState.WORKING.value, UNITS.c.lease_until < now())
        values = {"state": UnitState.WAITING.value, "attempts": UNITS.c.attempts - 1, "updated_at": now()}
        with self._access.write() as connection:
            return connection.execute(update(UNITS).where(*lost).values(values)).rowcount

    def get_waiting_count(self, *, rules: str, roots: Sequence[Path], most: int) -> int:
        """How many units wait, up to a number."""
        waiting = (UNITS.c.state == UnitState.WAITING.value, UNITS.c.rules == rules, self._below(roots))
        some = select(UNITS.c.id).where(*waiting).order_by(UNITS.c.id).limit(most).subquery()
        with self._access.read() as connection:
            return connection.execute(select(func.count()).select_from(some)).scalar_one()

    def get_owners(self, roots: Sequence[Path]) -> dict[str, str]:
        """Runs that work below some folders now, with the rules of each."""
        alive = and_(UNITS.c.state == UnitState.WORKING.value, UNITS.c.lease_until >= now(), self._below(roots))
        with self._access.read() as connection:
            found = connection.execute(select(UNITS.c.owner, UNITS.c.rules).where(alive).distinct())
            return {row.owner: row.rules for row in found}

    def get_lease_end(self, *, rules: str, roots: Sequence[Path]) -> datetime | None:
        """When the first unit of another run becomes free, if that run is gone."""
        lent = and_(UNITS.c.state == UnitState.WORKING.value, UNITS.c.rules == rules, self._below(roots))
        with self._access.read() as connection:
            return connection.execute(select(func.min(UNITS.c.lease_until)).where(lent)).scalar()

    def get_heard_count(self, payloads: Sequence[str], model_id: int, sampling: str) -> int:
        """How many of some payloads were listened to."""
        wanted = select(func.count()).where(
            ANALYSES.c.payload_hash.in_(payloads), ANALYSES.c.model_id == model_id, ANALYSES.c.sampling == sampling
        )
        with self._access.read() as connection:
            return connection.execute(wanted).scalar_one()

    def get_progress(self) -> ArchiveProgress:
        """How far the archive is."""
        outcomes = ("tagged", "unchanged", "skipped", "failed")
        sums = [func.coalesce(func.sum(UNITS.c[name]), 0) for name in ("files", *outcomes)]
        units, files = dict.fromkeys(UnitState, 0), dict.fromkeys(UnitState, 0)
        ended = dict.fromkeys(outcomes, 0)
        with self._access.read() as connection:
            for row in connection.execute(select(UNITS.c.state, func.count(), *sums).group_by(UNITS.c.state)):
                state = UnitState(row[0])
                units[state], files[state] = row[1], int(row[2])
                if state is UnitState.DONE:
                    ended = dict(zip(outcomes, map(int, row[3:]), strict=True))
        return ArchiveProgress(units, files, **ended)

    def get_failures(self) -> dict[str, int]:
        """How many files failed, by the class of the error, most first."""
        by_class = select(TRACKS.c.failure_class, func.count()).where(TRACKS.c.failure_class.is_not(None))
        with self._access.read() as connection:
            rows = connection.execute(by_class.group_by(TRACKS.c.failure_class)).all()
        return dict(sorted(((row[0], row[1]) for row in rows), key=lambda each: -each[1]))

    def get_failed(self, limit: int = 20) -> list[FailedUnit]:
        """Folders that failed as a whole, and why."""
        columns = UNITS.c.folder, UNITS.c.failure, UNITS.c.failure_cause
        wanted = select(*columns).where(UNITS.c.state == UnitState.FAILED.value).limit(limit)
        with self._access.read() as connection:
            found = connection.execute(wanted).all()
        return [
            FailedUnit(row.folder, cause_of(row.failure_cause) or Cause.RECORDED, row.failure or "") for row in found
        ]

    def save_stage(self, node: str, stage: str, *, tracks: int, seconds: float, fetched_bytes: int = 0) -> None:
        """Count what a stage has done on a node, in the present minute."""
        from sqlalchemy.dialects.postgresql import insert  # 10 ms, which no other command needs

        minute = now().replace(second=0, microsecond=0)
        counts = {"tracks": tracks, "seconds": seconds, "fetched_bytes": fetched_bytes}
        row = insert(STAGES).values(node=node, stage=stage, minute=minute, **counts)
        more = {name: STAGES.c[name] + row.excluded[name] for name in counts}
        with self._access.write() as connection:
            connection.execute(row.on_conflict_do_update(index_elements=["node", "stage", "minute"], set_=more))

    def get_rates(self, minutes: int = 10) -> list[Rate]:
        """How fast each stage was on each node in the last minutes."""
        since = now() - timedelta(minutes=minutes)
        span = func.extract("epoch", func.max(STAGES.c.minute) - func.min(STAGES.c.minute)) / 60 + 1
        wanted = (
            select(STAGES.c.node, STAGES.c.stage, func.sum(STAGES.c.tracks), func.sum(STAGES.c.seconds), span)
            .where(STAGES.c.minute >= since)
            .group_by(STAGES.c.node, STAGES.c.stage)
            .order_by(STAGES.c.node, STAGES.c.stage)
        )
        return self._rates(wanted)

    def get_fetched(self) -> int:
        """How many bytes were read of objects since the beginning."""
        wanted = select(cast(func.coalesce(func.sum(STAGES.c.fetched_bytes), 0), BigInteger))
        with self._access.read() as connection:
            return int(connection.execute(wanted).scalar_one())

    def get_totals(self) -> list[Rate]:
        """What each stage has done on each node since the beginning."""
        wanted = select(
            STAGES.c.node, STAGES.c.stage, func.sum(STAGES.c.tracks), func.sum(STAGES.c.seconds), func.count()
        ).group_by(STAGES.c.node, STAGES.c.stage)
        return self._rates(wanted)

    def _rates(self, wanted: Select[Any]) -> list[Rate]:
        with self._access.read() as connection:
            return [
                Rate(node, stage, int(tracks), float(seconds), int(minutes))
                for node, stage, tracks, seconds, minutes in connection.execute(wanted)
            ]

    def _below(self, roots: Sequence[Path]) -> ColumnElement[bool]:
        return or_(*(lies_under(UNITS.c.folder, root, self._access.libraries) for root in roots))


def _of(owner: str) -> tuple[ColumnElement[bool], ...]:
    return UNITS.c.state == UnitState.WORKING.value, UNITS.c.owner == owner
