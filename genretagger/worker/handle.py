"""One child process, seen by the parent: started when needed, killed when it takes too long.

Contents: `Child`, `NotBegun`, `Reply`.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import IO, Any, NamedTuple

from genretagger import launch
from genretagger.errors import (
    FileError,
    SystemFaultError,
    WorkerError,
    WorkerLostError,
    WorkerMemoryError,
    WorkerTimeoutError,
)
from genretagger.types import Json
from genretagger.worker import wire
from genretagger.worker.limits import SYSTEM_FAULT_STATUS, Limits, one_thread_each, own_group

_log = logging.getLogger(__name__)

_LAST_WORDS_BYTES = 8192
_EXIT_S = 5.0
_START_S = 120.0
"""Starting takes half a second, or a minute from a sleeping disk. No file is to blame."""
_MORE_TIME = "Raise time_limit_s and tag it with --force."
_SYSTEM = "It will be tried again; see the system log."
_OUT_OF_MEMORY = (b"MemoryError", b"bad_alloc", b"Cannot allocate memory", b"out of memory", b"Out of memory")


class NotBegun(Exception):  # noqa: N818 - it says what to do: ask another child
    """The child died before it touched the file: the file is not at fault. Holds its last words."""


class Reply(NamedTuple):
    """What a child answered: the header, the samples."""

    header: Json
    body: bytearray


class Child:
    """A child process; one thread at a time may ask it, any thread may kill it.

    Args:
        command: what to start.
        limits: what a file may cost.
    """

    def __init__(self, command: Sequence[str], limits: Limits) -> None:
        self._command = list(command)
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._last_words = bytearray()
        self._listener: threading.Thread | None = None
        self._number = 0
        self._killed: WorkerError | None = None
        self.retired = False

    def start(self) -> None:
        """Start it ahead of the first request, if it is not running. `ask` reports a failure."""
        with contextlib.suppress(NotBegun, WorkerError):
            self._started()

    def ask(self, request: dict[str, Json], *, most_body: int = 0) -> Reply:
        """Have a file handled.

        Raises:
            NotBegun: the child died before it began.
            WorkerError: the child died meanwhile, took too long, was killed, or sent an invalid
                answer.
            SystemFaultError: the pipe between us failed.
        """
        try:
            process = self._started()
        except RuntimeError as error:  # "can't start new thread"
            self.kill(WorkerError("no thread could be started"))
            self._bury()
            raise NotBegun(str(error)) from error
        self._number += 1
        request = {**request, "id": self._number, "limits": asdict(self._limits)}
        begun = False
        try:
            late = f"the child process took longer than {_START_S:g} s to start"
            with self._within(_START_S, WorkerTimeoutError(late)):
                if process.stdin is None or process.stdout is None:
                    raise EOFError
                wire.write_frame(process.stdin, request)
                begun = wire.read_frame(process.stdout)[0].get("begun") == self._number  # type: ignore[arg-type]
                if not begun:
                    raise wire.ProtocolError("it did not report that it had started")
            late = f"took longer than {self._limits.time_s:g} s"
            with self._within(self._limits.time_s, WorkerTimeoutError(late, hint=_MORE_TIME)):
                header, body = wire.read_frame(process.stdout, most_body=most_body)  # type: ignore[arg-type]
                if header.get("id") != self._number:
                    raise wire.ProtocolError("an answer to another request")
        except (EOFError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in (errno.EPIPE, errno.ECONNRESET) and not self._killed:
                self.kill(WorkerError("its pipe failed"))
                self._bury()
                cause = f"the pipe to the child process failed: {error.strerror or error}"
                raise SystemFaultError(cause, hint=_SYSTEM) from error
            self._bury()
            if begun or self._killed:
                raise self._epitaph() from error
            raise NotBegun(self.last_words()) from error
        except wire.ProtocolError as error:
            self.kill(WorkerError("it sent an invalid answer"))
            self._bury()
            raise WorkerError(
                f"the child process sent an invalid answer: {error}", hint="The file may be hostile."
            ) from error
        self.retired = self.retired or bool(self._killed) or header.get("retire") is not False
        return Reply(header, body)

    @contextlib.contextmanager
    def _within(self, seconds: float, late: WorkerError) -> Iterator[None]:
        """Kill the child if the block takes longer."""
        timer = threading.Timer(seconds, self.kill, [late])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def _started(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._killed:
                raise WorkerError("stopped before it was done")
            if self._process is None:
                try:
                    self._process = subprocess.Popen(
                        self._command,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE,
                        bufsize=0,
                        cwd=launch.root_folder(),
                        env=launch.environment(**one_thread_each()),
                        **own_group(),  # type: ignore[call-overload]
                    )
                except OSError as error:
                    raise NotBegun(error.strerror or str(error)) from error
                listener = threading.Thread(
                    target=self._keep_last_words, args=(self._process.stderr,), name="genretagger-stderr", daemon=True
                )
                listener.start()
                self._listener = listener
            return self._process

    def _keep_last_words(self, stream: IO[bytes]) -> None:
        """Read what libraries print, so that the pipe never fills, and keep the end of it."""
        with contextlib.suppress(OSError, ValueError):
            while data := stream.read(_LAST_WORDS_BYTES):
                self._last_words += data
                del self._last_words[:-_LAST_WORDS_BYTES]

    def last_words(self) -> str:
        """The last line that it printed, without what a terminal would obey."""
        lines = bytes(self._last_words).decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return "".join(mark for mark in last if mark.isprintable())[:300]

    def kill(self, error: WorkerError) -> None:
        """End it now; a call in progress fails with this error."""
        with self._lock:
            self._killed = self._killed or error
            if self._process is not None and self._process.poll() is None:
                self._process.kill()

    def close(self) -> None:
        """Let it end by itself, and kill it if it does not."""
        with self._lock:
            self._killed = self._killed or WorkerError("stopped")
            process = self._process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        self._bury()

    @property
    def process_id(self) -> int | None:
        """The process number of the child while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def _bury(self) -> None:
        """Leave no zombie, no open pipe and no thread."""
        self.retired = True
        process = self._process
        if process is None:
            return
        try:
            process.wait(_EXIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._listener is not None:
            self._listener.join(_EXIT_S)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        if self._last_words:
            _log.debug("the child process %d said: %s", process.pid, self.last_words())

    def _epitaph(self) -> FileError:
        """The error that says why the child died."""
        status: Any = self._process.returncode if self._process is not None else None
        if self._killed is not None:
            return self._killed
        if any(mark in self._last_words for mark in _OUT_OF_MEMORY):
            cause = f"needed more than {self._limits.memory_mb} MB of memory"
            return WorkerMemoryError(cause, hint="Raise memory_limit_mb and tag it with --force.")
        if status == SYSTEM_FAULT_STATUS:
            return SystemFaultError(self.last_words(), hint=_SYSTEM)
        if status is None or status >= 0:
            return WorkerError(f"the decoder ended by itself (status {status})")
        if status == -getattr(signal, "SIGXCPU", 0):
            cpu_s = self._limits.time_s if self._limits.cpu_s is None else self._limits.cpu_s
            return WorkerTimeoutError(f"needed more than {cpu_s:g} s of processor time", hint=_MORE_TIME)
        if status == -getattr(signal, "SIGKILL", 0):
            # A child's own limits end it in another way: this was the system, short of memory, or a
            # person.
            return WorkerLostError("the decoder was killed (signal 9)", hint="The system may have run out of memory.")
        name = signal.strsignal(-status) or "unknown"
        return WorkerError(f"the decoder crashed (signal {-status}: {name.lower()})")
