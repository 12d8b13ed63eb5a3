"""The owner's command after a write, such as one that tells a player to look at its library again.

It gets the path and the genres as arguments; no shell reads them. One at a time, in the order of the writes; one that
takes too long is ended, and one that fails is told of and changes nothing.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue

TIME_LIMIT_S = 60.0


class Hook:
    """A thread that runs the command.

    Args:
        failed: is told of a failure: the path, and why.
    """

    def __init__(self, failed: Callable[[Path, str], None]) -> None:
        self._failed = failed
        self._calls: SimpleQueue[tuple[Sequence[str], Path, Sequence[str]]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def run(self, command: Sequence[str], path: Path, genres: Sequence[str]) -> None:
        """Have the command run for a file, soon."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="genretagger-hook", daemon=True)
            self._thread.start()
        self._calls.put((command, path, genres))

    def _work(self) -> None:
        while True:
            command, path, genres = self._calls.get()
            if fault := _fault([*command, os.fspath(path), *genres]):
                self._failed(path, fault)


def _fault(command: Sequence[str]) -> str:
    """Run a command, and say what was wrong with it; empty where nothing was."""
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it took longer than {TIME_LIMIT_S:g} s"
    except (OSError, ValueError) as error:
        return str(error)
    if ended.returncode == 0:
        return ""
    said = ended.stderr.decode("utf-8", "backslashreplace").strip().rpartition("\n")[2]
    return f"it ended with status {ended.returncode}: {said[:200]}" if said else f"status {ended.returncode}"
