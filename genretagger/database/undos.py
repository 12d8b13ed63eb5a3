"""What can be undone, and what can be put back again, in the order of both.

For one file it is what an editor does: an undo takes back the newest write in effect, a redo puts
back what the last undo took, and a new write forgets what could have been put back. A run is undone
as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, select

from genretagger.database.chains import SETTLED, stored_writes
from genretagger.database.models import WRITES
from genretagger.database.paths import PAGE_ROWS
from genretagger.database.values import StoredRun, StoredWrite, WriteKind, WriteState
from genretagger.database.writes import Writes

_NEVER: Mapping[int, datetime] = {}


class Undos(Writes):
    """Questions of `undo` and `redo`. All give writes newest first, the order to take them in."""

    def get_undoable(self, *, run_id: int | None = None, under: Path | None = None) -> Iterator[StoredWrite]:
        """Writes in effect: they took place, were not undone, and are not undos themselves.

        Args:
            run_id: only of this run.
            under: only to this path, or below it.
        """
        for write in self.get_all(run_id=run_id, under=under):
            if write.state is WriteState.DONE and write.kind is not WriteKind.UNDO:
                yield write

    def get_redoable(self, *, run_id: int | None = None, under: Path | None = None) -> Iterator[StoredWrite]:
        """Undos in effect, after which nothing new was written to the file.

        Args:
            run_id: only undos that this run made, or that took back what this run wrote.
        """
        writes = self.get_all(under=under) if run_id is None else self._undos_of(run_id)
        page: list[StoredWrite] = []
        for write in writes:
            if write.state is WriteState.DONE and write.kind is WriteKind.UNDO:
                page.append(write)
                if len(page) == PAGE_ROWS:
                    yield from self._newest_ones(page)
                    page = []
        yield from self._newest_ones(page)

    def get_last_run(self, tried: Mapping[int, datetime] = _NEVER) -> StoredRun | None:
        """The newest run that has a write in effect.

        Args:
            tried: runs to pass over, unless they wrote something after this time.
        """
        for run in self._runs.get_all():
            if run.writes.get(WriteState.DONE) and _any_since(self.get_undoable(run_id=run.id), tried.get(run.id)):
                return run
        return None

    def get_last_undo(self, tried: Mapping[int, datetime] = _NEVER) -> StoredRun | None:
        """The newest run with an undo that can be put back; see `get_last_run`."""
        for run in self._runs.get_all():
            if run.writes.get(WriteState.DONE):
                undos = (write for write in self.get_redoable(run_id=run.id) if write.run_id == run.id)
                if _any_since(undos, tried.get(run.id)):
                    return run
        return None

    def has_taken_place(self, *, run_id: int | None = None, under: Path | None = None) -> bool:
        """Whether a write by a run, under a path, or at all took place; undone ones count too."""
        return any(write.state.value in SETTLED for write in self.get_all(run_id=run_id, under=under))

    def _undos_of(self, run_id: int) -> list[StoredWrite]:
        undone = WRITES.alias()
        wanted = select(WRITES).outerjoin(undone, WRITES.c.undo_of == undone.c.id)
        wanted = wanted.where((WRITES.c.run_id == run_id) | (undone.c.run_id == run_id), WRITES.c.undo_of.is_not(None))
        with self._access.read() as connection:
            rows = self._sound(connection, WRITES, wanted.order_by(WRITES.c.id.desc()))
            return [
                write
                for start in range(0, len(rows), PAGE_ROWS)
                for write in stored_writes(connection, rows[start : start + PAGE_ROWS])
            ]

    def _newest_ones(self, undos: list[StoredWrite]) -> list[StoredWrite]:
        """Those of these undos after which nothing new was written."""
        if not undos:
            return []
        wanted = (
            select(WRITES.c.path, func.max(WRITES.c.id))
            .where(
                WRITES.c.path.in_({write.path for write in undos}),
                WRITES.c.undo_of.is_(None),
                WRITES.c.state.in_(SETTLED),
            )
            .group_by(WRITES.c.path)
        )
        with self._access.read() as connection:
            newest = {row[0]: row[1] for row in connection.execute(wanted)}
        return [write for write in undos if newest.get(write.path, 0) < write.id]


def _any_since(writes: Iterable[StoredWrite], since: datetime | None) -> bool:
    return any(since is None or write.started_at > since for write in writes)
