"""The daily backup: made in its own thread at the lowest priority; the queue never waits."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from pathlib import Path

from genretagger.daemon.events import Events
from genretagger.errors import DatabaseError

_LOOK_S = 900.0
"""How often to check whether a backup is due; this also works on a machine that sleeps at night."""

_LEAST_PRIORITY = 19


class DailyBackup:
    """Makes a backup of the database once a day, if it changed.

    Args:
        database: the SQLite file; None for another engine, which has its own backups.
    """

    def __init__(self, database: Path | None, events: Events) -> None:
        self._database, self._events = database, events
        self._stopping = threading.Event()
        self._told = ""
        self._thread = threading.Thread(target=self._run, name="genretagger-backup", daemon=True)

    def start(self) -> None:
        """Begin to check again and again, until `stop`."""
        self._thread.start()

    def _run(self) -> None:
        if self._database is None:
            return
        # on Linux, each thread has its own priority
        with contextlib.suppress(AttributeError, OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LEAST_PRIORITY)
        while not self._stopping.is_set():
            self._look(self._database)
            self._stopping.wait(_LOOK_S)

    def stop(self) -> None:
        """End soon.

        A backup that is under way is given up when the process ends, and leaves no partial file.
        """
        self._stopping.set()

    def _look(self, database: Path) -> None:
        from genretagger.database.backups import back_up_daily

        try:
            made = back_up_daily(database)
        except (DatabaseError, sqlite3.Error, OSError) as error:
            fault = error.cause if isinstance(error, DatabaseError) else str(error)
            if fault != self._told:  # once, not at each check
                self._events.warning("no backup was made", path=database, reason=fault)
            self._told = fault
            return
        self._told = ""
        if made is not None:
            self._events.info("backup made", path=made)
