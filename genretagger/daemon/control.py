"""How commands talk to a running service: a socket that reports its state and accepts `wake`.

A client that says `follow` gets the state as a line of JSON now and whenever it changes, until the
client or the service ends. The service keeps nothing for a follower: one that does not keep up is
disconnected.

On Linux it is in the abstract namespace, named after the data folder: no file is left over, and
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
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from queue import Empty, SimpleQueue

from genretagger.daemon.state import ServiceState
from genretagger.strict import read
from genretagger.types import Json

_DENIED = {"denied": True}
"""The answer for another user."""


class NoAnswer(Enum):
    """Why there is no state: no service runs, it runs as another user, or it does not answer."""

    NOT_RUNNING = "not running"
    DENIED = "denied"
    SILENT = "silent"


MOST_FOLLOWERS = 8

_ANSWER_S = 5.0
_LOOK_S = 0.5
"""How often a follower looks whether to end."""

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
    """A question of a command, and the place for its answer."""

    word: str
    answer: Future[Json] = field(default_factory=Future)


class Questions:
    """Commands on their way to the loop of the service, and the answers on their way back.

    Only the loop knows the whole state. If it does not answer, it hangs.

    Args:
        wake: makes the loop look for questions before it does anything else.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._waiting: SimpleQueue[Question] = SimpleQueue()

    def ask(self, word: str) -> Json:
        """Wait for the answer of the loop.

        Raises:
            TimeoutError: the loop did not answer.
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
        self._followers: list[socket.socket] = []
        self._lock = threading.Lock()
        where = address(data_dir)
        if not where.startswith("\0"):
            # we hold the lock of the service, so no other process listens there
            Path(where).unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(where)
        self._socket.listen(8)
        threading.Thread(target=self._serve, name="genretagger-control", daemon=True).start()

    def close(self) -> None:
        """Stop answering and close the socket."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._lock:
            for follower in self._followers:
                follower.close()
            self._followers.clear()

    @property
    def has_followers(self) -> bool:
        """Whether anybody wants to know what changes."""
        return bool(self._followers)

    def publish(self, state: Json) -> None:
        """Send the state to all followers; disconnect those that are gone or do not keep up."""
        line = json.dumps(state).encode() + b"\n"
        with self._lock:
            for follower in tuple(self._followers):
                try:
                    sent = follower.send(line)
                except OSError:
                    sent = 0
                if sent < len(line):
                    self._followers.remove(follower)
                    follower.close()

    def _add(self, follower: socket.socket) -> None:
        follower.setblocking(False)
        with self._lock:
            for each in tuple(self._followers):
                if _is_gone(each):
                    self._followers.remove(each)
                    each.close()
            if len(self._followers) < MOST_FOLLOWERS:
                self._followers.append(follower)
            else:
                follower.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            try:
                connection.settimeout(_ANSWER_S)
                word = connection.recv(64).decode("ascii", "replace").strip()
                ours = _is_ours(connection)
                answer = self._answer(word) if ours else _DENIED
                connection.sendall(json.dumps(answer).encode() + b"\n")
            except (OSError, ValueError):
                connection.close()
                continue
            if ours and word == "follow":
                self._add(connection)
            else:
                connection.close()


def ask(data_dir: Path, word: str) -> ServiceState | NoAnswer:
    """Send a word to the service of a data folder, `status` or `wake`; both give its state."""
    if not hasattr(socket, "AF_UNIX"):
        return NoAnswer.NOT_RUNNING
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_S)
        try:
            connection.connect(address(data_dir))
        except TimeoutError:  # too many others ask at the same time
            return NoAnswer.SILENT
        except PermissionError:
            return NoAnswer.DENIED
        except OSError:
            return NoAnswer.NOT_RUNNING
        try:
            connection.sendall(word.encode("ascii"))
            with connection.makefile("rb") as answer:
                return _state(answer.readline()) or NoAnswer.DENIED
        except (OSError, ValueError, RecursionError):
            return NoAnswer.SILENT


def follow(data_dir: Path, end: threading.Event) -> Iterator[ServiceState]:
    """The state of the service of a data folder, now and whenever it changes.

    Args:
        end: when set, the iteration ends soon.

    Yields:
        What `status` answers; nothing if no service runs, or it belongs to another user.
    """
    if not hasattr(socket, "AF_UNIX"):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_S)
        with contextlib.suppress(OSError, ValueError, RecursionError):
            connection.connect(address(data_dir))
            connection.sendall(b"follow")
            connection.settimeout(_LOOK_S)
            rest = b""
            while not end.is_set():
                try:
                    part = connection.recv(1 << 16)
                except TimeoutError:
                    continue
                if not part:
                    return
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    if state := _state(line):
                        yield state


def _state(line: bytes) -> ServiceState | None:
    """The state in an answer; None if it is denied.

    Raises:
        ValueError, RecursionError: it is no state, or one of another version.
    """
    value = json.loads(line)
    return None if value == _DENIED else read(ServiceState, value)


def _is_gone(connection: socket.socket) -> bool:
    """Whether the other end was closed."""
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _is_ours(connection: socket.socket) -> bool:
    """Whether the peer process runs as the same user or root.

    If the system does not say, the peer is trusted.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", credentials)[1] in (0, os.geteuid())
