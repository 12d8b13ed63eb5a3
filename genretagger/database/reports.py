"""Everything that is known, of one path, of all, in numbers; and whether the database is sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, cast, func, or_, select, text, type_coerce
from sqlalchemy.types import NullType

from genretagger.database.access import Repository
from genretagger.database.analyses import analysis_note
from genretagger.database.chains import stored_writes
from genretagger.database.decisions import decision_of
from genretagger.database.models import ANALYSES, DECISIONS, MODELS, TRACKS, WRITES, metadata
from genretagger.database.paths import lies_under
from genretagger.database.rules import OddRow, fault, word
from genretagger.database.tracks import failure_of, track_of
from genretagger.database.values import AnalysisNote, Counts, Known, StoredDecision, StoredWrite, WriteState
from genretagger.types import Stamp

_ANALYSES = (
    select(
        ANALYSES.c.id,
        ANALYSES.c.payload_hash,
        MODELS.c.name,
        MODELS.c.fingerprint,
        ANALYSES.c.sampling,
        ANALYSES.c.provider,
        ANALYSES.c.hearing,
        ANALYSES.c.windows,
        ANALYSES.c.failure,
        ANALYSES.c.seconds,
        ANALYSES.c.analysed_at,
    )
    .join(MODELS, MODELS.c.id == ANALYSES.c.model_id)
    .order_by(ANALYSES.c.analysed_at.desc(), ANALYSES.c.id.desc())
)
_DECISIONS = (
    select(DECISIONS, MODELS.c.name)
    .join(MODELS, MODELS.c.id == DECISIONS.c.model_id)
    .order_by(DECISIONS.c.decided_at.desc(), DECISIONS.c.id.desc())
)


class KnownPart(Enum):
    """What is known of a path beside the file itself."""

    ANALYSES = "analyses"
    DECISIONS = "decisions"
    WRITES = "writes"


EVERYTHING = frozenset(KnownPart)


class Reports(Repository):
    """Questions about the whole database."""

    def get(self, path: Path) -> Known | None:
        """Everything that is known of one path; None if it was never seen."""
        with self._access.read() as connection:
            rows = self._sound(connection, TRACKS, select(TRACKS).where(TRACKS.c.path == path))
            if known := self._known(connection, rows):
                return known[0]
            writes = self._writes(connection, WRITES.c.path == path)
        return Known(path, None, None, (), (), tuple(writes), None) if writes else None

    def get_some(self, paths: Sequence[Path]) -> list[Known]:
        """Everything that is known of a few paths, in their order; unknown paths are left out.

        Args:
            paths: at most as many as one statement may name.
        """
        with self._access.read() as connection:
            rows = self._sound(connection, TRACKS, select(TRACKS).where(TRACKS.c.path.in_(paths)))
            known = {each.path: each for each in self._known(connection, rows)}
        return [known[path] for path in paths if path in known]

    def get_all(
        self,
        under: Path | None = None,
        parts: frozenset[KnownPart] = EVERYTHING,
        among: ColumnElement[bool] | None = None,
    ) -> Iterator[Known]:
        """Everything that is known of all paths, in the order of their bytes, a page at a time.

        Args:
            under: only this path and what is below it, by whole parts.
            parts: what to look up beside the files themselves; the rest is given as empty.
            among: only rows of `tracks` for which this holds.
        """
        wanted = select(TRACKS)
        if among is not None:
            wanted = wanted.where(among)
        if under is not None:
            wanted = wanted.where(lies_under(TRACKS.c.path, under, self._access.libraries))
        # compared as it is stored, so that paths of arbitrary bytes are in order as well
        for rows in self._pages(wanted, type_coerce(TRACKS.c.path, NullType())):
            with self._access.read() as connection:
                page = self._known(connection, self._access.sound(TRACKS, rows), parts)
            yield from page

    def get_counts(self) -> Counts:
        """How many there are of each."""
        with self._access.read() as connection:

            def count(*conditions: ColumnElement[bool], of: Any) -> int:
                return connection.execute(select(func.count(of)).where(*conditions)).scalar_one()

            states = connection.execute(select(WRITES.c.state, func.count()).group_by(WRITES.c.state)).all()
            return Counts(
                tracks=count(of=TRACKS.c.id),
                failed=count(TRACKS.c.failure.is_not(None), of=TRACKS.c.id),
                heard=count(of=ANALYSES.c.id),
                decided=count(of=DECISIONS.c.id),
                writes={known: count for state, count in states if (known := word(WriteState, state)) is not None},
            )

    def get_faults(self) -> list[str]:
        """What SQLite finds wrong inside its file; empty if nothing, and for other engines."""
        if not self._access.is_sqlite:
            return []
        with self._access.read() as connection:
            found = [str(row[0]) for row in connection.execute(text("PRAGMA integrity_check"))]
            orphans = connection.execute(text("PRAGMA foreign_key_check")).all()
        faults = [] if found == ["ok"] else found
        return faults + [f"row {row[1]} of {row[0]} refers to a missing row of {row[2]}" for row in orphans]

    def get_unrecorded_count(self) -> int:
        """How many tracks carry exactly the genres decided for them although no write is known."""
        known = select(WRITES.c.id).where(WRITES.c.payload_hash == TRACKS.c.payload_hash).exists()
        same = (
            select(DECISIONS.c.id)
            .where(
                DECISIONS.c.payload_hash == TRACKS.c.payload_hash,
                cast(DECISIONS.c.genres, Text) == cast(TRACKS.c.genres, Text),
            )
            .exists()
        )
        wanted = select(func.count(TRACKS.c.id)).where(cast(TRACKS.c.genres, Text) != "[]", ~known, same)
        with self._access.read() as connection:
            return connection.execute(wanted).scalar_one()

    def get_odd_rows(self) -> Iterator[OddRow]:
        """Every row of every table that holds what it cannot, a page at a time."""
        for model in sorted(metadata.tables.values(), key=lambda each: each.name):
            for rows in self._pages(select(model), model.c.id):
                yield from filter(None, (fault(model.name, row) for row in rows))

    def _known(
        self, connection: Connection, rows: Sequence[Any], parts: frozenset[KnownPart] = EVERYTHING
    ) -> list[Known]:
        """Everything about these rows of `tracks`, with one question a table."""
        hashes = {row.payload_hash for row in rows if row.payload_hash is not None}
        analyses: dict[str, list[AnalysisNote]] = {}
        of_these = _ANALYSES.where(ANALYSES.c.payload_hash.in_(hashes))
        for row in self._sound(connection, ANALYSES, of_these) if KnownPart.ANALYSES in parts else ():
            analyses.setdefault(row.payload_hash, []).append(AnalysisNote(**analysis_note(row)))
        decisions: dict[str, list[StoredDecision]] = {}
        of_these = _DECISIONS.where(DECISIONS.c.payload_hash.in_(hashes))
        for row in self._sound(connection, DECISIONS, of_these) if KnownPart.DECISIONS in parts else ():
            decisions.setdefault(row.payload_hash, []).append(decision_of(row))
        paths = [row.path for row in rows]
        by_hash: dict[str, list[StoredWrite]] = {}
        by_path: dict[Path, list[StoredWrite]] = {}
        written = or_(WRITES.c.payload_hash.in_(hashes), WRITES.c.path.in_(paths))
        for write in self._writes(connection, written) if KnownPart.WRITES in parts else ():
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
        wanted = select(WRITES).where(condition).order_by(WRITES.c.id.desc())
        return stored_writes(connection, self._sound(connection, WRITES, wanted))


def _merged(first: list[StoredWrite], second: list[StoredWrite]) -> tuple[StoredWrite, ...]:
    unique = {write.id: write for write in (*first, *second)}
    return tuple(unique[number] for number in sorted(unique, reverse=True))


def _stamp_of(row: Any) -> Stamp:
    return Stamp(row.size_bytes, row.mtime_ns, row.ctime_ns, row.inode, row.device, row.links)
