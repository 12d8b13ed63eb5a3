"""Runs and their writes: what was changed in which file, to finish, show and undo it.

The order is: store the result → `begin` → change the file → `finish`. A kill in between leaves a
pending write, and a look at the file shows whether it was changed.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, case, insert, or_, select
from sqlalchemy import update as change

from genretagger.causes import Reason
from genretagger.database.access import Access, Repository
from genretagger.database.chains import SETTLED, stored_writes
from genretagger.database.columns import now
from genretagger.database.models import RUNS, TRACKS, WRITES
from genretagger.database.paths import lies_under
from genretagger.database.reasons import reason_columns
from genretagger.database.rules import number
from genretagger.database.runs import Runs
from genretagger.database.tracks import genre_columns
from genretagger.database.values import StoredWrite, WriteState, field_from_json, field_to_json
from genretagger.errors import NoSuchRowError
from genretagger.types import GenreField, Stamp, Track

_LONGEST_WRITE = timedelta(hours=1)
"""No write takes longer, even of a huge file on a slow disk; 300 MB took a quarter second."""

_FOREIGN_CLOCK = timedelta(hours=1)
"""How far the clock of a file server may be from ours."""


# Built once: building it costs more than running it, and each known file asks.
_LAST_WRITE = (
    select(WRITES)
    .where(
        WRITES.c.payload_hash == bindparam("payload_hash"),
        or_(WRITES.c.state == WriteState.DONE.value, WRITES.c.state == WriteState.UNDONE.value),
    )
    .order_by(case((WRITES.c.path == bindparam("path"), 0), else_=1), WRITES.c.id.desc())
)


class Writes(Repository):
    """The table of writes."""

    def __init__(self, access: Access, runs: Runs) -> None:
        super().__init__(access)
        self._runs = runs

    def begin(
        self,
        run_id: int,
        path: Path,
        payload_hash: str,
        before: GenreField,
        after: GenreField,
        *,
        model: str,
        reason: Reason,
        temporary_name: str | None = None,
        undo_of: int | None = None,
    ) -> int:
        """Note what is about to be written, before the file is touched.

        Args:
            before: the genre field as it is, enough to put it back.
            temporary_name: name of the copy that will be edited, in the file's folder.
            undo_of: number of the write that this one undoes.

        Returns:
            The number of the write, higher than all before it.
        """
        row = {
            "run_id": run_id,
            "path": path,
            "payload_hash": payload_hash,
            "before": field_to_json(before),
            "after": field_to_json(after),
            "model": model,
            **reason_columns(reason),
            "temporary_name": None if temporary_name is None else Path(temporary_name),
            "state": WriteState.PENDING.value,
            "undo_of": undo_of,
            "started_at": now(),
        }
        with self._access.write() as connection:
            write_id: int = connection.execute(insert(WRITES).values(**row).returning(WRITES.c.id)).scalar_one()
        self._runs.save_newest(write=write_id)
        return write_id

    def adopt(self, run_id: int, track: Track, before: GenreField, *, model: str, reason: Reason) -> int:
        """Note a write that took place although its record was lost, so that it can be undone.

        Args:
            before: what is taken for its genre field before that write.
            reason: why it is taken for ours.

        Returns:
            The number of the write.
        """
        with self._access.group():
            number = self.begin(
                run_id, track.path, track.payload_hash, before, track.genres, model=model, reason=reason
            )
            self.finish(number, WriteState.DONE)
        return number

    def finish(
        self, write_id: int, state: WriteState, *, after: GenreField | None = None, stamp: Stamp | None = None
    ) -> None:
        """Settle a write, and with it what is known of the file, in one transaction.

        A finished undo also marks the write that it undid. A write that another process took for
        abandoned may still be finished: the process that has the file open decides.

        Args:
            state: DONE or ABANDONED.
            after: the genre field as it was read back; None if it is as announced.
            stamp: what `stat` says of the file now; None leaves what is known of the file as it is.

        Raises:
            DatabaseError: if there is no such write.
        """
        with self._access.write() as connection:
            row = self._row(connection, write_id)
            written = field_from_json(row.after) if after is None else after
            values = {"state": state.value, "after": field_to_json(written), "finished_at": now()}
            connection.execute(change(WRITES).where(WRITES.c.id == write_id).values(**values))
            if state is not WriteState.DONE:
                return
            if row.undo_of is not None:
                undone = change(WRITES).where(WRITES.c.id == row.undo_of)
                connection.execute(undone.values(state=WriteState.UNDONE.value))
            if stamp is not None:
                track = change(TRACKS).where(TRACKS.c.path == row.path, TRACKS.c.payload_hash == row.payload_hash)
                connection.execute(track.values(**genre_columns(written), **asdict(stamp), seen_at=now()))

    def get(self, write_id: int) -> StoredWrite:
        """One write by its number.

        Raises:
            DatabaseError: if there is no such write.
        """
        with self._access.read() as connection:
            return stored_writes(connection, [self._row(connection, write_id)])[0]

    def _row(self, connection: Connection, write_id: int) -> Any:
        rows = self._sound(connection, WRITES, select(WRITES).where(WRITES.c.id == write_id))
        if not rows:
            raise NoSuchRowError(f"there is no write {write_id}", path=self._access.path)
        return rows[0]

    def get_last(self, path: Path, payload_hash: str) -> StoredWrite | None:
        """The newest finished write to this audio, to see if its owner changed the genre since.

        A write to the same path counts before one to another: the audio may have been moved from
        there, or be a copy that was never written; `StoredWrite.path` says where it was. An undo
        is a write as well.
        """
        with self._access.read() as connection:
            wanted = {"path": path, "payload_hash": payload_hash}
            found = connection.execute(_LAST_WRITE.limit(1), wanted).all()
            rows = self._access.sound(WRITES, found)
            if found and not rows:
                rows = self._sound(connection, WRITES, _LAST_WRITE, wanted)
            return stored_writes(connection, rows[:1])[0] if rows else None

    def get_history(self, path: Path, payload_hash: str) -> list[StoredWrite]:
        """Finished writes to this audio, oldest first: those to this path, else to the newest one.

        What began after the file at this path last changed was written to a copy of it, and says
        nothing of this one.
        """
        wanted = select(WRITES).where(WRITES.c.payload_hash == payload_hash, WRITES.c.state.in_(SETTLED))
        with self._access.read() as connection:
            found = stored_writes(connection, self._sound(connection, WRITES, wanted.order_by(WRITES.c.id)))
            changed_ns = number(connection.execute(select(TRACKS.c.ctime_ns).where(TRACKS.c.path == path)).scalar())
        if here := [write for write in found if write.path == path]:
            return here
        if changed_ns is not None:
            latest = datetime.fromtimestamp(changed_ns / 1e9, UTC) + _FOREIGN_CLOCK
            found = [write for write in found if write.started_at <= latest]
        return [write for write in found if write.path == found[-1].path]

    def get_all(
        self, *, run_id: int | None = None, under: Path | None = None, among: ColumnElement[bool] | None = None
    ) -> Iterator[StoredWrite]:
        """Writes, newest first, which is the order to undo them in.

        Args:
            run_id: only of this run.
            under: only to this path, or below it.
            among: only rows of `writes` for which this holds.
        """
        wanted = select(WRITES)
        if among is not None:
            wanted = wanted.where(among)
        if run_id is not None:
            wanted = wanted.where(WRITES.c.run_id == run_id)
        if under is not None:
            wanted = wanted.where(lies_under(WRITES.c.path, under, self._access.libraries))
        for rows in self._pages(wanted, WRITES.c.id, newest_first=True):
            with self._access.read() as connection:
                page = stored_writes(connection, self._access.sound(WRITES, rows))
            yield from page

    def get_pending(self, *, command: str | None = None, under: Path | None = None) -> list[StoredWrite]:
        """Writes that a kill left behind, oldest first.

        Those of a process that may still be at work, which is a matter of a moment, are none of the
        caller's business: neither to settle nor to clean up after.

        Args:
            command: only those of runs of this command, and all of them: the caller knows that none
                is at work.
            under: only to this path, or below it.
        """
        wanted = (
            select(WRITES, RUNS.c.host, RUNS.c.pid)
            .outerjoin(RUNS, RUNS.c.id == WRITES.c.run_id)  # a write has to be settled even if its run is lost
            .where(WRITES.c.state == WriteState.PENDING.value)
            .order_by(WRITES.c.id)
        )
        if command is not None:
            wanted = wanted.where(RUNS.c.command == command)
        if under is not None:
            wanted = wanted.where(lies_under(WRITES.c.path, under, self._access.libraries))
        with self._access.read() as connection:
            rows = self._sound(connection, WRITES, wanted)
            if command is None:
                rows = [row for row in rows if not _may_be_at_work(row.host, row.pid, row.started_at)]
            return stored_writes(connection, rows)


def _may_be_at_work(host: object, pid: object, started_at: datetime) -> bool:
    import psutil

    if now() - started_at > _LONGEST_WRITE:
        return False
    if host != socket.gethostname() or not isinstance(pid, int):
        return True
    # This process has one thread that writes, and it is asking. A restarted container gives its
    # processes the same numbers again, so what carries this one's may be from an earlier life.
    return pid != os.getpid() and bool(psutil.pid_exists(pid))
