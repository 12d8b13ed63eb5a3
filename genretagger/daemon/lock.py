"""One watcher for each data folder: it holds a lock in the folder, and so does its engine.

The lock file also holds the name of the service, which marks its jobs in a database that several
services share. The name lasts as long as the folder: the next service takes over the jobs of a
killed one, and cannot get the lock before the last process of the killed one has ended.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
import time
from pathlib import Path

from genretagger.daemon.control import NoAnswer, ask
from genretagger.errors import ConfigError
from genretagger.files.system import lock

LOCK = "watch.lock"
_AGAIN_S = 0.1
_NAME = re.compile(rb"(?a)(\d{1,20}) ([0-9a-f]{16}@[^\s/]{1,255})\n")


def take(data_dir: Path, *, wait_s: float) -> int:
    """Become the watcher of a data folder.

    Args:
        wait_s: how long to wait for the engine of a watcher that was killed: it holds the lock
            until it has ended.

    Returns:
        The descriptor that holds the lock, for as long as it or a copy in a child process is open.

    Raises:
        ConfigError: another watcher is running, or the folder cannot be written.
    """
    deadline = time.monotonic() + wait_s
    while (descriptor := _lock(data_dir)) is None:
        if time.monotonic() > deadline or ask(data_dir, "status") not in (NoAnswer.NOT_RUNNING, NoAnswer.SILENT):
            raise ConfigError(
                "another `genretagger watch` is at work on this database",
                path=data_dir,
                hint="Add the folder to that one, or name another database with GENRETAGGER_DATA_DIR",
            )
        time.sleep(_AGAIN_S)
    return descriptor


def name_of_service(descriptor: int) -> str:
    """The service that holds the lock: a random number, and the name of its host for people.

    It is noted with the number of the lock's inode. In a copy of the data folder, perhaps on
    another machine, the inode is another one; so a copy gets its own name, and never takes the
    jobs of the service that it was copied from. On a full disk the name lasts only as long as this
    service: if it is killed, its jobs wait until their leases end.
    """
    host = re.sub(r"[\s/]", "-", socket.gethostname())[:255] or "host"
    name = f"{secrets.token_hex(8)}@{host}"
    with contextlib.suppress(OSError):
        inode = os.fstat(descriptor).st_ino
        os.lseek(descriptor, 0, os.SEEK_SET)
        noted = _NAME.fullmatch(os.read(descriptor, 1000))
        if noted is not None and int(noted[1]) == inode:
            return os.fsdecode(noted[2])
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, os.fsencode(f"{inode} {name}\n"))
        os.fsync(descriptor)
    return name


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
