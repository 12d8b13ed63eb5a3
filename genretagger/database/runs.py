"""Runs: the commands that could write, and what became of their writes."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, select
from sqlalchemy import update as change

from genretagger.database.access import Access, Repository
from genretagger.database.columns import now
from genretagger.database.models import RUNS, WRITES
from genretagger.database.place import save_newest as note_counts
from genretagger.database.rules import number, word
from genretagger.database.values import StoredRun, WriteState
from genretagger.types import Json


class Runs(Repository):
    """The table of runs."""

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        self._newest: tuple[int, int] | None = None

    def begin(self, command: str, settings: Mapping[str, Json]) -> int:
        """Note that a command starts that may write.

        Args:
            settings: the settings that it runs with, as JSON.

        Returns:
            The number of the run, higher than all before it.
        """
        row = {
            "command": command,
            "settings": dict(settings),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started_at": now(),
        }
        with self._access.write() as connection:
            run_id: int = connection.execute(insert(RUNS).values(**row).returning(RUNS.c.id)).scalar_one()
        self.save_newest(run=run_id)
        return run_id

    def get_newest_numbers(self) -> tuple[int, int]:
        """The numbers of the newest run and the newest write; 0 if there is none."""
        with self._access.read() as connection:
            newest = connection.execute(select(select(func.max(RUNS.c.id)).scalar_subquery(), func.max(WRITES.c.id)))
            run_id, write_id = newest.one()
        return number(run_id) or 0, number(write_id) or 0

    def save_newest(self, *, run: int | None = None, write: int | None = None) -> None:
        """Keep the note beside the database up to date, after the commit."""
        if (path := self._access.path) is None:
            return
        if self._newest is None:
            self._newest = self.get_newest_numbers()
        self._newest = (max(run or 0, self._newest[0]), max(write or 0, self._newest[1]))
        runs, writes = self._newest
        self._access.after_commit(lambda: note_counts(path, runs=runs, writes=writes))

    def finish(self, run_id: int) -> None:
        """Note that a run came to its end."""
        with self._access.write() as connection:
            connection.execute(change(RUNS).where(RUNS.c.id == run_id).values(finished_at=now()))

    def get_all(self) -> Iterator[StoredRun]:
        """All runs, newest first."""
        for rows in self._pages(select(RUNS), RUNS.c.id, newest_first=True):
            with self._access.read() as connection:
                page = self._stored_runs(connection, rows)
            yield from page

    def get(self, run_id: int) -> StoredRun | None:
        """One run by its number; None if there is no such run, or its row is invalid."""
        with self._access.read() as connection:
            page = self._stored_runs(connection, connection.execute(select(RUNS).where(RUNS.c.id == run_id)).all())
        return page[0] if page else None

    def _stored_runs(self, connection: Connection, rows: Sequence[Any]) -> list[StoredRun]:
        sound = self._access.sound(RUNS, rows)
        writes: dict[int, dict[WriteState, int]] = {row.id: {} for row in sound}
        counted = connection.execute(
            select(WRITES.c.run_id, WRITES.c.state, func.count())
            .where(WRITES.c.run_id.in_(list(writes)))
            .group_by(WRITES.c.run_id, WRITES.c.state)
        )
        for run_id, state, count in counted:
            if (known := word(WriteState, state)) is not None:
                writes[run_id][known] = count
        return [
            StoredRun(row.id, row.command, row.settings, row.started_at, row.finished_at, writes[row.id])
            for row in sound
        ]
