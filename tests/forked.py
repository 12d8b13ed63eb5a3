"""Starts the programs of the tests by forks, which costs a third; see `fork_server.py`.

`by_forks` replaces the method of `subprocess.Popen` that starts a process. If the command is one of
`PROGRAMS`, the new process is a fork of a server that has imported the program's libraries.

Anything out of the ordinary starts for real: another interpreter, other options of Python,
inherited descriptors, another user, or a variable that may matter before the program runs and is
not as it was. So does every process that a command starts itself. Everything starts for real with
REAL_STARTS=1, and in tests with the marker `real_starts`.

A library may only be imported ahead if it starts no threads that a fork would miss: forks after
ONNX Runtime was imported hang.
"""

from __future__ import annotations

import contextlib
import ctypes
import inspect
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fork_server

from genretagger import launch
from genretagger.worker.limits import one_thread_each

Popen = subprocess.Popen[Any]

_SET_CHILD_SUBREAPER = 36  # of prctl(2)
_LATE = ("GENRETAGGER_", "KMP_", "PYTEST_", "XDG_")
"""Only the program itself reads variables whose names start so."""
_LATE_TOO = {"BEETSDIR", "COLUMNS", "LINES", "NO_COLOR", "ORT_DISABLE_TELEMETRY", "TERM", "TMPDIR", "TZ"}
_PLAIN: dict[str, tuple[object, ...]] = {
    "executable": (None,),
    "preexec_fn": (None,),
    "close_fds": (True,),
    "pass_fds": ((),),
    "shell": (False,),
    "restore_signals": (True,),
    "gid": (None,),
    "gids": (None,),
    "uid": (None,),
    "umask": (-1,),
    "start_new_session": (False,),
    "process_group": (-1, 0),
}
"""The options of a start that a fork can stand in for, as `Popen` gives them to its method."""


@dataclass(frozen=True)
class Program:
    """A program that runs in forks.

    Attributes:
        name: of its module, or the path of a script.
        libraries: what it imports that is not genretagger's.
        options: of Python, before `-m`.
        variables: of its environment, beside those that the tests run with.
        more: what it imports if its first argument is this one.
    """

    name: str
    libraries: tuple[str, ...]
    options: tuple[str, ...] = ("-P",)
    variables: Mapping[str, str] = field(default_factory=launch.environment)
    more: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def start(self) -> list[str]:
        """How a command that runs it begins."""
        return [self.name] if os.sep in self.name else [sys.executable, *self.options, "-m", self.name]


_COMMAND = (
    "concurrent.futures.thread email.parser http.client importlib.readers mutagen numpy platformdirs "
    "pydantic.dataclasses pydantic.fields pydantic.main pydantic.plugin._loader pydantic.plugin._schema_validator "
    "pydantic.type_adapter queue rich.progress rich.table secrets sqlalchemy "
    "sqlalchemy.dialects.sqlite.pysqlite sqlalchemy.orm tomllib typer._adapters typer.main urllib.request zoneinfo"
)
_BEET = f"{_COMMAND} confuse jellyfish lap mediafile requests yaml"  # beets 2.7 reads its configuration on import
PROGRAMS = (
    Program(
        "genretagger",
        tuple(_COMMAND.split()),
        options=(),
        variables=dict(os.environ),
        more=dict.fromkeys(("evaluate", "train"), ("sklearn.linear_model", "sklearn.metrics", "threadpoolctl")),
    ),
    Program(str(Path(sys.executable).with_name("beet")), tuple(_BEET.split()), options=(), variables=dict(os.environ)),
    Program("genretagger.worker", ("av", "numpy"), variables=launch.environment(**one_thread_each())),
)


class Server:
    """A server of one program, which runs from the first fork on.

    Args:
        program: what it runs.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._process: Popen | None = None

    def fork(self, message: bytes, streams: Sequence[int]) -> int:
        """Have it fork a child of ours; gives its number."""
        with self._lock:
            if self._socket is None:
                self._socket = self._started()
            self._adopt_orphans(True)
            try:
                socket.send_fds(self._socket, [message], streams)
                return int(self._socket.recv(32))
            finally:
                self._adopt_orphans(False)

    def close(self) -> None:
        """End it."""
        if self._socket is not None and self._process is not None:
            self._socket.close()
            self._process.wait()

    def _started(self) -> socket.socket:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            command = [sys.executable, *self.program.options, str(Path(fork_server.__file__)), str(its.fileno())]
            self._process = subprocess.Popen(
                [*command, self.program.name, *self.program.libraries],
                stdin=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
                env=self.program.variables,
            )
        return ours

    def _adopt_orphans(self, wanted: bool) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


class Starter:
    """Starts processes, by forks if it can.

    Attributes:
        paused: start everything for real.
        forks: how many it made.
    """

    def __init__(self) -> None:
        self.paused = False
        self.forks = 0
        self._servers = [Server(program) for program in PROGRAMS]
        self._really = getattr(subprocess.Popen, "_execute_child")  # noqa: B009 - mypy does not know it
        self._signature = inspect.signature(self._really)

    def start(self, process: Popen, *given: Any) -> None:
        """Stand in for the method of `Popen`."""
        options = self._signature.bind(process, *given).arguments
        number = None if self.paused else self._fork(options)
        if number is None:
            self._really(process, *given)
            return
        process.pid = number
        setattr(process, "_child_created", True)  # noqa: B010 - as the method of Popen does
        ends = [options[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")]
        getattr(process, "_close_pipe_fds")(*ends)  # noqa: B009

    def close(self) -> None:
        """End the servers."""
        for server in self._servers:
            server.close()

    def _fork(self, options: Mapping[str, Any]) -> int | None:
        """Start a process by a fork; gives its number, or nothing if only a real start will do."""
        # A library may have changed the environment of this process behind os.environ.
        if not isinstance(options["args"], list | tuple) or options["env"] is None:
            return None
        command = [os.fsdecode(each) for each in options["args"]]
        environment = {os.fsdecode(name): os.fsdecode(value) for name, value in options["env"].items()}
        server = self._server_of(command, environment)
        if server is None or any(options[name] not in plain for name, plain in _PLAIN.items()):
            return None
        mask = os.umask(0o077)
        os.umask(mask)
        arguments = command[len(server.program.start) :]
        request = {
            "command": command,
            "arguments": len(arguments),
            "libraries": server.program.more.get(arguments[0], ()) if arguments else (),
            "environment": environment,
            "umask": mask,
            "leads": options["process_group"] == 0,
        }
        message = json.dumps(request).encode()
        if len(message) > fork_server.MOST_BYTES:
            return None
        try:
            folder = os.open(options["cwd"] or ".", os.O_RDONLY | os.O_DIRECTORY)
        except OSError:  # `Popen` has words for it
            return None
        streams = [options[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        streams = [number if stream == -1 else stream for number, stream in enumerate(streams)]
        try:
            self.forks += 1
            return server.fork(message, [*streams, folder])
        finally:
            os.close(folder)

    def _server_of(self, command: list[str], environment: Mapping[str, str]) -> Server | None:
        for server in self._servers:
            start = server.program.start
            if command[: len(start)] == start and _early(environment) == _early(server.program.variables):
                return server
        return None


def _early(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that may matter while Python starts and imports libraries."""
    return {name: value for name, value in environment.items() if not name.startswith(_LATE) and name not in _LATE_TOO}


@contextlib.contextmanager
def by_forks() -> Iterator[Starter]:
    """Start programs by forks, on Linux and unless REAL_STARTS is set."""
    starter = Starter()
    if sys.platform != "linux" or os.environ.get("REAL_STARTS"):
        yield starter
        return
    really = getattr(subprocess.Popen, "_execute_child")  # noqa: B009
    setattr(subprocess.Popen, "_execute_child", lambda process, *given: starter.start(process, *given))  # noqa: B010
    try:
        yield starter
    finally:
        setattr(subprocess.Popen, "_execute_child", really)  # noqa: B010
        starter.close()
