"""How commands talk to a running service: a socket that says how it stands, and takes a word to look again.

On Linux it lies in the abstract namespace, named after the data folder: no file is left over, and no path is too long.
Elsewhere it is a file in the data folder. Only the same user, and root, get an answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from genretagger.types import Json

DENIED = {"denied": True}
"""What another user is answered."""

_ANSWER_S = 5.0


def address(data_dir: Path) -> str:
    """Where the service of a data folder listens."""
    if platform.system() == "Linux":
        name = hashlib.sha256(os.fsencode(os.path.realpath(data_dir))).hexdigest()[:32]
        return f"\0genretagger-{name}"
    return str(data_dir / "watch.sock")


@dataclass(frozen=True, slots=True)
class Question:
    """What a command wants to know, and where the answer will be."""

    word: str
    answer: Future[Json] = field(default_factory=Future)


class Control:
    """The service's end.

    Args:
        data_dir: of the service.
        answer: gives the reply to a word; may raise TimeoutError.
    """

    def __init__(self, data_dir: Path, answer: Callable[[str], Json]) -> None:
        self._answer = answer
        where = address(data_dir)
        if not where.startswith("\0"):
            Path(where).unlink(missing_ok=True)  # the lock of the service says that nobody listens there
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(where)
        self._socket.listen(8)
        threading.Thread(target=self._serve, name="genretagger-control", daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError, ValueError):
                connection.settimeout(_ANSWER_S)
                word = connection.recv(64).decode("ascii", "replace").strip()
                answer = self._answer(word) if _is_ours(connection) else DENIED
                connection.sendall(json.dumps(answer).encode() + b"\n")


def ask(data_dir: Path, word: str) -> Json:
    """Say a word to the service of a data folder: `status` or `wake`.

    Returns:
        Its answer; an empty one if a service runs that does not answer, `DENIED` if it runs as another user, and None
        if none runs.
    """
    if not hasattr(socket, "AF_UNIX"):
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_S)
        try:
            connection.connect(address(data_dir))
        except TimeoutError:  # so many have asked before
            return {}
        except PermissionError:
            return DENIED
        except OSError:
            return None
        try:
            connection.sendall(word.encode("ascii"))
            with connection.makefile("rb") as answer:
                return json.loads(answer.readline() or b"{}")
        except (OSError, ValueError):
            return {}


def _is_ours(connection: socket.socket) -> bool:
    """Whether the process at the other end is the same user's or root's; systems that do not say are believed."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", credentials)[1] in (0, os.geteuid())
