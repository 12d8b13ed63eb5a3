"""Everything that is known: of one path, of all, in numbers, and whether the database itself is sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, cast, func, or_, select, text, type_coerce
from sqlalchemy.types import NullType

from genretagger.database.access import Repository
from genretagger.database.analyses import analysis_note
from genretagger.database.chains import stored_writes
from genretagger.database.decisions import decision_of
from genretagger.database.models import AnalysisRow, Base, DecisionRow, ModelRow, TrackRow, WriteRow
from genretagger.database.paths import lies_under
from genretagger.database.rules import OddRow, fault, word
from genretagger.database.tracks import failure_of, track_of
from genretagger.database.values import AnalysisNote, Counts, Known, StoredDecision, StoredWrite, WriteState
from genretagger.types import Stamp

_ANALYSES = (
    select(
        AnalysisRow.id,
        AnalysisRow.payload_hash,
        ModelRow.name,
        ModelRow.fingerprint,
        AnalysisRow.plan,
        AnalysisRow.provider,
        AnalysisRow.hearing,
        AnalysisRow.windows,
        AnalysisRow.failure,
        AnalysisRow.seconds,
        AnalysisRow.analysed_at,
    )
    .join(ModelRow, ModelRow.id == AnalysisRow.model_id)
    .order_by(AnalysisRow.analysed_at.desc(), AnalysisRow.id.desc())
)
_DECISIONS = (
    select(DecisionRow, ModelRow.name)
    .join(ModelRow, ModelRow.id == DecisionRow.model_id)
    .order_by(DecisionRow.decided_at.desc(), DecisionRow.id.desc())
)


class Reports(Repository):
    """Questions about the whole database."""

    def get(self, path: Path) -> Known | None:
        """Everything that is known of one path; None if it was never seen."""
        with self._access.read() as connection:
            rows = self._sound(connection, TrackRow, select(TrackRow).where(TrackRow.path == path))
            if known := self._known(connection, rows):
                return known[0]
            writes = self._writes(connection, WriteRow.path == path)
        return Known(path, None, None, (), (), tuple(writes), None) if writes else None

    def get_all(self, under: Path | None = None) -> Iterator[Known]:
        """Everything that is known of all paths, in the order of their bytes, a page at a time.

        Args:
            under: only this path and what lies below it, by whole parts.
        """
        wanted = select(TrackRow)
        if under is not None:
            wanted = wanted.where(lies_under(TrackRow.path, under))
        # compared as it is stored, so that an odd path has its place in the order as well
        for rows in self._pages(wanted, type_coerce(TrackRow.path, NullType())):
            with self._access.read() as connection:
                page = self._known(connection, self._access.sound(TrackRow, rows))
            yield from page

    def get_counts(self) -> Counts:
        """How many there are of each."""
        with self._access.read() as connection:

            def count(*conditions: ColumnElement[bool], of: Any) -> int:
                return connection.execute(select(func.count(of)).where(*conditions)).scalar_one()

            states = connection.execute(select(WriteRow.state, func.count()).group_by(WriteRow.state)).all()
            return Counts(
                tracks=count(of=TrackRow.id),
                failed=count(TrackRow.failure.is_not(None), of=TrackRow.id),
                heard=count(of=AnalysisRow.id),
                decided=count(of=DecisionRow.id),
                writes={known: count for state, count in states if (known := word(WriteState, state)) is not None},
            )

    def check_integrity(self) -> list[str]:
        """What is wrong inside of an SQLite file, in SQLite's words; empty if all is well, and for other engines."""
        if not self._access.is_sqlite:
            return []
        with self._access.read() as connection:
            found = [str(row[0]) for row in connection.execute(text("PRAGMA integrity_check"))]
            orphans = connection.execute(text("PRAGMA foreign_key_check")).all()
        faults = [] if found == ["ok"] else found
        return faults + [f"row {row[1]} of {row[0]} refers to a missing row of {row[2]}" for row in orphans]

    def count_unrecorded(self) -> int:
        """How many tracks carry just the genres that were decided for them, although no write of them is known."""
        known = select(WriteRow.id).where(WriteRow.payload_hash == TrackRow.payload_hash).exists()
        same = (
            select(DecisionRow.id)
            .where(
                DecisionRow.payload_hash == TrackRow.payload_hash,
                cast(DecisionRow.genres, Text) == cast(TrackRow.genres, Text),
            )
            .exists()
        )
        wanted = select(func.count(TrackRow.id)).where(cast(TrackRow.genres, Text) != "[]", ~known, same)
        with self._access.read() as connection:
            return connection.execute(wanted).scalar_one()

    def get_odd_rows(self) -> Iterator[OddRow]:
        """Every row of every table that holds what it cannot, a page at a time."""
        for mapper in sorted(Base.registry.mappers, key=lambda each: str(each.local_table)):
            model = mapper.class_
            for rows in self._pages(select(model), model.id):
                yield from filter(None, (fault(model.__tablename__, row) for row in rows))

    def _known(self, connection: Connection, rows: Sequence[Any]) -> list[Known]:
        """Everything about these rows of `tracks`, with one question a table."""
        hashes = {row.payload_hash for row in rows if row.payload_hash is not None}
        analyses: dict[str, list[AnalysisNote]] = {}
        for row in self._sound(connection, AnalysisRow, _ANALYSES.where(AnalysisRow.payload_hash.in_(hashes))):
            analyses.setdefault(row.payload_hash, []).append(AnalysisNote(**analysis_note(row)))
        decisions: dict[str, list[StoredDecision]] = {}
        for row in self._sound(connection, DecisionRow, _DECISIONS.where(DecisionRow.payload_hash.in_(hashes))):
            decisions.setdefault(row.payload_hash, []).append(decision_of(row))
        paths = [row.path for row in rows]
        by_hash: dict[str, list[StoredWrite]] = {}
        by_path: dict[Path, list[StoredWrite]] = {}
        for write in self._writes(connection, or_(WriteRow.payload_hash.in_(hashes), WriteRow.path.in_(paths))):
            by_hash.setdefault(write.payload_hash, []).append(write)
            by_path.setdefault(write.path, []).append(write)
        return [
            Known(
                path=row.path,
                track=None if row.payload_hash is None else track_of(row, row.path, _stamp_of(row)),
                failure=None if row.failure is None else failure_of(row, row.path),
                analyses=tuple(analyses.get(row.payload_hash, ())),
                decisions=tuple(decisions.get(row.payload_hash, ())),
                writes=_merged(by_hash.get(row.payload_hash, []), by_path.get(row.path, [])),
                seen_at=row.seen_at,
            )
            for row in rows
        ]

    def _writes(self, connection: Connection, condition: ColumnElement[bool]) -> list[StoredWrite]:
        wanted = select(WriteRow).where(condition).order_by(WriteRow.id.desc())
        return stored_writes(connection, self._sound(connection, WriteRow, wanted))


def _merged(first: list[StoredWrite], second: list[StoredWrite]) -> tuple[StoredWrite, ...]:
    unique = {write.id: write for write in (*first, *second)}
    return tuple(unique[number] for number in sorted(unique, reverse=True))


def _stamp_of(row: Any) -> Stamp:
    return Stamp(row.size_bytes, row.mtime_ns, row.ctime_ns, row.inode, row.device, row.links)
