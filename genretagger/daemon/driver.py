"""The engine, as the watcher sees it: start it, read its messages, end it, kill it if it hangs."""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from genretagger import launch
from genretagger.config import Settings
from genretagger.daemon.messages import EngineMessage, EngineState, FileBegun, FileEnded, from_line
from genretagger.daemon.notify import without_manager
from genretagger.database.values import Claimant

UNSETTLED = "unsettled"
"""The end of a file that another program is changing: the watcher waits until it is complete
again.
"""

PAUSED = "paused"
"""The end of a file at which the system failed: it is tried again when the fault is over."""

RESUME = "resume"
"""The line that makes an engine try all disks again."""


@dataclass(frozen=True, slots=True)
class EngineSaid:
    """A message from an engine."""

    engine: Driver
    message: EngineMessage


@dataclass(frozen=True, slots=True)
class EngineEnded:
    """The engine has ended: its exit status, and the last line that it printed."""

    engine: Driver
    status: int
    last_words: str


class Driver:
    """One engine, from its start to its end.

    Args:
        service: the owner of the jobs.
        tell: gets its messages, in another thread.
        keep_open: descriptors that it inherits, such as the lock of the service.

    Attributes:
        claimant: the name that its jobs are known by, which no other engine has.
        busy: the files that it handles now, and since when.
        is_loading: whether it loads the model or itself, and so may be silent for long.
        is_stopping: whether it was asked to end.
        process_id: its process number.
    """

    def __init__(
        self,
        settings: Settings,
        service: Claimant,
        tell: Callable[[EngineSaid | EngineEnded], None],
        *,
        keep_open: tuple[int, ...] = (),
    ) -> None:
        self._tell = tell
        self.claimant = replace(service, name=f"{service.name}/{secrets.token_hex(4)}")
        self.busy: dict[Path, float] = {}
        self.heard_s = time.monotonic()
        self.is_loading = True
        self.is_stopping = False
        self._last_words = ""
        self._process = subprocess.Popen(
            launch.command("daemon.engine", self.claimant.name, *map(str, self.claimant.folders)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
            # ours may be on a disk that the owner wants to unmount
            cwd=launch.root_folder(),
            env=without_manager(launch.environment()),
            pass_fds=keep_open,
            process_group=0,  # Ctrl-C on the keyboard is for the watcher
        )
        self.process_id = self._process.pid
        self._write(json.dumps(settings.model_dump(mode="json")))
        self._aside = threading.Thread(target=self._keep_last_words, args=(self._process.stderr,), daemon=True)
        self._aside.start()
        threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True).start()

    def note(self, message: EngineMessage) -> None:
        """Keep track of what the engine does."""
        self.heard_s = time.monotonic()
        if isinstance(message, EngineState) and message.event != "beat":
            self.is_loading = message.event == "loading"
        elif isinstance(message, FileBegun):
            self.busy[Path(message.path)] = self.heard_s
        elif isinstance(message, FileEnded):
            self.busy.pop(Path(message.path), None)

    def silent_s(self) -> float:
        """How long the engine has been silent; it sends a message every second."""
        return time.monotonic() - self.heard_s

    def wake(self) -> None:
        """Tell the engine that there is something to do."""
        self._write("")

    def resume(self) -> None:
        """Make the engine try the paused disks again."""
        self._write(RESUME)

    def stop(self) -> None:
        """Ask the engine to finish its writes, and to end."""
        self.is_stopping = True
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; returns whether it ended in time."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End it at once.

        Its children notice, change no file any more, and end.
        """
        self._process.kill()

    def _write(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._process.stdin is not None:
                self._process.stdin.write(line + "\n")
                self._process.stdin.flush()

    def _listen(self, stream: IO[str]) -> None:
        for line in stream:
            with contextlib.suppress(ValueError):
                self._tell(EngineSaid(self, from_line(line)))
        status = self._process.wait()
        self._aside.join(5)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self._tell(EngineEnded(self, status, self._last_words))

    def _keep_last_words(self, stream: IO[str]) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in stream:
                self._last_words = line.strip()[:500] or self._last_words
