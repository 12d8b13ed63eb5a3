"""One watcher a database: it holds a lock in the data folder, and so does its engine."""

from __future__ import annotations

import time
from pathlib import Path

from genretagger.daemon.control import ask
from genretagger.errors import ConfigError
from genretagger.files.system import lock

LOCK = "watch.lock"
_AGAIN_S = 0.1


def take(data_dir: Path, *, wait_s: float) -> int:
    """Become the watcher of a data folder.

    Args:
        data_dir: of the database; created if it is missing.
        wait_s: how long to wait for the engine of a watcher that was killed: it holds the lock
            until it has ended.

    Returns:
        The descriptor that holds the lock, for as long as it or a copy in a child process is open.

    Raises:
        ConfigError: another watcher is running, or the folder cannot be written.
    """
    deadline = time.monotonic() + wait_s
    while (descriptor := _lock(data_dir)) is None:
        if time.monotonic() > deadline or ask(data_dir, "status"):
            raise ConfigError(
                "another `genretagger watch` is at work on this database",
                path=data_dir,
                hint="Add the folder to that one, or name another database with GENRETAGGER_DATA_DIR",
            )
        time.sleep(_AGAIN_S)
    return descriptor


def _lock(data_dir: Path) -> int | None:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        return lock(data_dir / LOCK)
    except OSError as error:
        raise ConfigError(
            f"the data folder cannot be used: {error.strerror or error}",
            path=data_dir,
            hint="Check its permissions, or name another one with GENRETAGGER_DATA_DIR",
        ) from error
