"""Whether the database is still there: its folder may move, its disk fail or be unmounted."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path

from genretagger.daemon.disks import fault_of
from genretagger.database.store import Store
from genretagger.database.values import Claimant


class Storage:
    """The file of a database; a database without a file always counts as there.

    Args:
        database: the file or address; it is there now.
    """

    def __init__(self, database: str | Path) -> None:
        self._file = database if isinstance(database, Path) else None
        self._identity = self._seen()

    def fault(self, *, troubled: bool) -> str:
        """Check, and say what is wrong; empty if nothing is.

        Args:
            troubled: whether the database refused something, so that the state of its disk matters.
        """
        if self._file is None:
            return ""
        if self._seen() is None:
            return f"the database is gone: {self._file}"
        fault = fault_of(self._file, copied=False) if troubled else None
        return fault.cause if fault else ""

    def is_another(self) -> bool:
        """Whether another file has taken the database's name since the last call."""
        before, self._identity = self._identity, self._seen() or self._identity
        return before != self._identity

    def _seen(self) -> tuple[int, int] | None:
        if self._file is None:
            return None
        try:
            found = self._file.stat()
        except OSError:
            return None
        # an empty file is not a database
        return (found.st_dev, found.st_ino) if found.st_size else None


def take_over(database: str | Path, service: Claimant, libraries: Mapping[str, Path] | None = None) -> None:
    """Put the jobs of the service's last run back into the queue; drop jobs outside its folders.

    Args:
        database: its file or address; created if it is missing.
        service: the name of this service, which no other has, and its folders.
        libraries: the places of those with a name.

    Raises:
        DatabaseError: it cannot be opened.
    """
    _migrate_aside(database)
    with Store.open(database, libraries=libraries) as store:
        store.jobs.give_back(service, attempted=True)
        store.jobs.forget(service)


def _migrate_aside(database: str | Path) -> None:
    """Bring the database up to date in a child process: migrations load 15 MB that would stay.

    Errors are not reported here: the next open of the database meets them again.
    """
    if not hasattr(os, "fork") or threading.active_count() > 1:
        return
    child = os.fork()
    if child == 0:
        try:
            Store.open(database).close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
