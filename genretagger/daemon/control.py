"""How commands talk to a running service: a socket that reports its state and accepts `wake`.

On Linux it lies in the abstract namespace, named after the data folder: no file is left over, and
no path is too long. On other systems it is a file in the data folder. Only the same user, and root,
get an answer.
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
from queue import Empty, SimpleQueue

from genretagger.types import Json

DENIED = {"denied": True}
"""The answer for another user."""

_ANSWER_S = 5.0
_REPLY_S = 4.0
"""How long the service waits for its own loop, so that the command gets an answer in time."""


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


class Questions:
    """The words of commands on their way to the loop of the service, and the answers on their way back.

    Only the loop knows everything, and no answer means that it hangs.

    Args:
        wake: makes the loop look for questions before it does anything else.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._waiting: SimpleQueue[Question] = SimpleQueue()

    def ask(self, word: str) -> Json:
        """Wait for the answer of the loop.

        Raises:
            TimeoutError: it gave none.
        """
        question = Question(word)
        self._waiting.put(question)
        self._wake()
        return question.answer.result(_REPLY_S)

    def answer(self, reply: Callable[[str], Json]) -> None:
        """Answer all questions that wait; called by the loop."""
        with contextlib.suppress(Empty):
            while True:
                question = self._waiting.get_nowait()
                question.answer.set_result(reply(question.word))


class Control:
    """The service's end.

    Args:
        data_dir: of the service.
        answer: returns the reply to a word; may raise TimeoutError.
    """

    def __init__(self, data_dir: Path, answer: Callable[[str], Json]) -> None:
        self._answer = answer
        where = address(data_dir)
        if not where.startswith("\0"):
            # we hold the lock of the service, so no other process listens there
            Path(where).unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(where)
        self._socket.listen(8)
        threading.Thread(target=self._serve, name="genretagger-control", daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
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
    """Send a word to the service of a data folder: `status` or `wake`.

    Returns:
        Its answer; empty if a service runs but does not answer, `DENIED` if it runs as another
        user, and None if none runs.
    """
    if not hasattr(socket, "AF_UNIX"):
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_S)
        try:
            connection.connect(address(data_dir))
        except TimeoutError:  # too many others ask at the same time
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
    """Whether the peer process runs as the same user or root.

    If the system does not say, the peer is trusted.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", credentials)[1] in (0, os.geteuid())
