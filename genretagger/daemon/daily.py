"""The backup of the day: made in a thread of its own at the lowest priority, so that the queue never waits for it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from pathlib import Path

from genretagger.daemon.events import Events
from genretagger.errors import DatabaseError

_LOOK_S = 900.0
"""How often to look whether a backup is due: also on a machine that sleeps at night."""

_LEAST_PRIORITY = 19


class DailyBackup(threading.Thread):
    """Makes a backup of the database once a day, if it changed.

    Args:
        database: the SQLite file; None if the database is another engine's, which has its own backups.
        events: the log.
    """

    def __init__(self, database: Path | None, events: Events) -> None:
        super().__init__(name="backup", daemon=True)
        self._database, self._events = database, events
        self._stopping = threading.Event()
        self._told = ""

    def run(self) -> None:
        """Look now and then, until `stop`."""
        if self._database is None:
            return
        with contextlib.suppress(AttributeError, OSError):  # on Linux, a thread has a priority of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LEAST_PRIORITY)
        while not self._stopping.is_set():
            self._look(self._database)
            self._stopping.wait(_LOOK_S)

    def stop(self) -> None:
        """End soon; a backup that is being made is given up with the process, and leaves no half of one."""
        self._stopping.set()

    def _look(self, database: Path) -> None:
        from genretagger.database.backups import back_up_daily

        try:
            made = back_up_daily(database)
        except (DatabaseError, sqlite3.Error, OSError) as error:
            fault = error.cause if isinstance(error, DatabaseError) else str(error)
            if fault != self._told:  # once, not at each look
                self._events.warning("no backup was made", path=database, cause=fault)
            self._told = fault
            return
        self._told = ""
        if made is not None:
            self._events.info("backup made", path=made)
