"""The owner's command after a write, such as one that makes a player scan its library again.

It gets the path and the genres as arguments, without a shell. Commands run one at a time, in the
order of the writes. A command that takes too long is ended, together with all that it started. A
command that fails is logged, and nothing else changes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import IO

from genretagger.daemon.notify import without_manager

TIME_LIMIT_S = 60.0

_KEPT_BYTES = 4096
"""How much of a command's output is kept: it may print anything."""

_LAST_WORDS_S = 1.0
"""How long to wait for the last output of a command that has ended; a process that it left running
may never end.
"""


class Hook:
    """A thread that runs the command.

    Args:
        failed: gets the path and the cause of a failure.
        time_limit_s: how long the command may take.
    """

    def __init__(self, failed: Callable[[Path, str], None], *, time_limit_s: float = TIME_LIMIT_S) -> None:
        self._failed, self._time_limit_s = failed, time_limit_s
        self._calls: SimpleQueue[tuple[Sequence[str], Path, Sequence[str]]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def run(self, command: Sequence[str], path: Path, genres: Sequence[str]) -> None:
        """Run the command for a file soon."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="genretagger-hook", daemon=True)
            self._thread.start()
        self._calls.put((command, path, genres))

    def _work(self) -> None:
        while True:
            command, path, genres = self._calls.get()
            if fault := _fault([*command, os.fspath(path), *genres], self._time_limit_s):
                self._failed(path, fault)


def _fault(command: Sequence[str], time_limit_s: float) -> str:
    """Run a command, and say what went wrong; empty if nothing did."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=without_manager(),
            process_group=0 if os.name == "posix" else None,
        )
    except (OSError, ValueError) as error:
        return str(error)
    assert process.stderr is not None
    said: list[bytes] = [b""]
    listener = threading.Thread(target=_keep_end, args=(process.stderr, said), daemon=True)
    listener.start()
    try:
        status = process.wait(time_limit_s)
    except subprocess.TimeoutExpired:
        _end(process)
        return f"it took longer than {time_limit_s:g} s"
    if status == 0:
        return ""
    listener.join(_LAST_WORDS_S)
    last = said[0].decode("utf-8", "backslashreplace").strip().rpartition("\n")[2]
    return f"it ended with status {status}: {last[:200]}" if last else f"status {status}"


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    process.wait()


def _keep_end(stream: IO[bytes], said: list[bytes]) -> None:
    """Read all output of a command, which would block otherwise, and keep the end of it."""
    with stream:
        while more := os.read(stream.fileno(), 1 << 16):
            said[0] = (said[0] + more)[-_KEPT_BYTES:]
