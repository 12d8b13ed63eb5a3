"""What a derived index of the library asks: what is there, what changed since, and the embeddings.

The page keeps flat rows beside the database, because the tables here are made for one track at a
time. These questions are narrow and cheap, so that the index can follow the database closely.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import LargeBinary, func, select, text, type_coerce

from genretagger.database.access import Repository
from genretagger.database.columns import now
from genretagger.database.models import ANALYSES, DECISIONS, TRACKS, WRITES
from genretagger.database.packing import unpacked
from genretagger.database.paths import BATCH
from genretagger.database.values import HearingResult
from genretagger.types import FloatArray

EMBEDDING_ROWS = 200
"""How many embeddings are read at a time; each takes some 7 kB, behind 20 kB of activations."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A file in short.

    Attributes:
        id: its number, which stays as long as the path is known.
        path: in bytes.
        mark: changes whenever the row of the file does.
    """

    id: int
    path: bytes
    mark: str


class Listings(Repository):
    """Questions about many files at once."""

    def get_version(self) -> tuple[int, ...]:
        """Changes if another connection saved something; cheap enough to ask every second."""
        with self._access.read() as connection:
            if self._access.is_sqlite:
                return (int(connection.execute(text("PRAGMA data_version")).scalar_one()),)
            newest = [select(func.max(table.c.id)).scalar_subquery() for table in (TRACKS, DECISIONS, WRITES)]
            times = [
                func.coalesce(select(func.max(column)).scalar_subquery(), datetime(1970, 1, 1))
                for column in (TRACKS.c.seen_at, DECISIONS.c.decided_at, WRITES.c.finished_at)
            ]
            row = connection.execute(select(*newest, *times)).one()
            return tuple(hash(value) for value in row)

    def get_now(self) -> datetime:
        """The present, as the database notes it."""
        return now()

    def get_listed(self) -> Iterator[Listed]:
        """Every file in short, in the order of their numbers."""
        wanted = select(
            type_coerce(TRACKS.c.path, LargeBinary), TRACKS.c.seen_at, TRACKS.c.ctime_ns, TRACKS.c.failure_class
        )
        for page in self._pages(wanted, TRACKS.c.id, rows=5000):
            for path, seen_at, ctime_ns, failure, number in page:
                yield Listed(number, bytes(path), f"{seen_at}|{ctime_ns}|{failure}")

    def get_id(self, path: Path) -> int | None:
        """The number of a file; None if it is not known."""
        with self._access.read() as connection:
            return connection.execute(select(TRACKS.c.id).where(TRACKS.c.path == path)).scalar()

    def get_path(self, number: int) -> Path | None:
        """The path of a file by its number; None if there is no such file."""
        with self._access.read() as connection:
            found = connection.execute(select(TRACKS.c.path).where(TRACKS.c.id == number)).scalar()
        return found if isinstance(found, Path) else None

    def get_changed_since(self, moment: datetime) -> set[str]:
        """The payload hashes that were decided on or written to since."""
        decided = select(DECISIONS.c.payload_hash).where(DECISIONS.c.decided_at >= moment)
        written = select(WRITES.c.payload_hash).where(
            (WRITES.c.started_at >= moment) | (WRITES.c.finished_at >= moment)
        )
        with self._access.read() as connection:
            return {row[0] for wanted in (decided, written) for row in connection.execute(wanted)}

    def get_paths(self, hashes: set[str]) -> list[Path]:
        """The paths of files whose audio has one of these payload hashes."""
        paths: list[Path] = []
        ordered = sorted(hashes)
        for start in range(0, len(ordered), BATCH):
            wanted = select(TRACKS.c.path).where(TRACKS.c.payload_hash.in_(ordered[start : start + BATCH]))
            with self._access.read() as connection:
                paths += [row.path for row in connection.execute(wanted) if isinstance(row.path, Path)]
        return paths

    def get_last_analysis(self) -> int:
        """The number of the newest analysis; 0 if there is none."""
        with self._access.read() as connection:
            return int(connection.execute(select(func.max(ANALYSES.c.id))).scalar() or 0)

    def get_main_ear(self) -> tuple[int, str] | None:
        """The number of the model, and the sampling, that heard most tracks; None if no track.

        Of equals the model that came first: others were learned on it, and have heard nothing
        themselves.
        """
        count = func.count().label("count")
        wanted = (
            select(ANALYSES.c.model_id, ANALYSES.c.sampling, count)
            .where(ANALYSES.c.hearing == HearingResult.HEARD.value)
            .group_by(ANALYSES.c.model_id, ANALYSES.c.sampling)
            .order_by(count.desc(), ANALYSES.c.model_id)
            .limit(1)
        )
        with self._access.read() as connection:
            row = connection.execute(wanted).first()
        return None if row is None else (row.model_id, row.sampling)

    def get_embeddings(self, ear: tuple[int, str], *, after: int = 0) -> Iterator[tuple[int, str, FloatArray]]:
        """Number, payload hash and embedding, (dimensions,) float32, of what a model heard.

        Args:
            ear: from `get_main_ear`.
            after: only analyses with a higher number.
        """
        wanted = select(ANALYSES.c.payload_hash, ANALYSES.c.embedding).where(
            ANALYSES.c.model_id == ear[0],
            ANALYSES.c.sampling == ear[1],
            ANALYSES.c.hearing == HearingResult.HEARD.value,
            ANALYSES.c.id > after,
        )
        for page in self._pages(wanted, ANALYSES.c.id, rows=EMBEDDING_ROWS):
            for payload_hash, embedding, number in page:
                if isinstance(payload_hash, str) and isinstance(embedding, bytes):
                    values = unpacked(embedding, shape=None, plain="<f4")
                    if values is not None:
                        yield number, payload_hash, values.astype("<f4", copy=False)
