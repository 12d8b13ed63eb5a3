"""Runs a program in forks of one process that has imported the program's libraries already.

    python fork_server.py SOCKET PROGRAM LIBRARY...    PROGRAM: a module, as with `python -m`, or
                                                       the path of a script

`forked.py` starts this server and sends it commands. Importing SQLAlchemy, pydantic and others is
most of what a short command costs, so they are imported here, once. Nothing of genretagger is: each
fork imports genretagger itself, as a started command does.

A fork takes over the streams, working directory, environment and umask that it is given. It becomes
a child of the process that asked: that process adopts orphans at this moment, and the process
between the server and the fork ends at once. So the process that asked can wait for the fork and
kill it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import runpy
import socket
import sys
import time
from pathlib import Path
from typing import Any

MOST_BYTES = 1 << 16
"""Of one request: arguments and environment as JSON."""


def main() -> str:
    """Import the libraries and serve. It returns only in forks, with the program."""
    number, program, *libraries = sys.argv[1:]
    server = socket.socket(fileno=int(number))
    if not sys.flags.safe_path:
        del sys.path[0]  # the folder of this file
    load(libraries)
    script = program if os.sep in program else ""
    become(**next_request(server), script=script)
    server.detach()
    return program


def load(libraries: list[str]) -> None:
    """Import what is not imported yet."""
    for library in libraries:
        with contextlib.suppress(ModuleNotFoundError):  # an inner module that other versions lack
            importlib.import_module(library)
    gc.collect()
    gc.freeze()  # or each fork copies the pages of all objects when it collects garbage


def next_request(server: socket.socket) -> dict[str, Any]:
    """Serve until nobody is left who could ask. It returns only in forks, with their request."""
    while True:
        message, streams, _, _ = socket.recv_fds(server, MOST_BYTES, 4)
        if not message:
            os._exit(0)
        request: dict[str, Any] = json.loads(message)
        if missing := [name for name in request.pop("libraries") if name not in sys.modules]:
            load(missing)
        adopted, reply = os.pipe()
        number_read, number_written = os.pipe()
        between = os.fork()
        if between == 0:
            fork = os.fork()
            if fork:
                os.write(number_written, str(fork).encode())
                os._exit(0)
            os.close(reply)
            os.read(adopted, 1)  # returns when the server closes its end
            take_over(streams)
            return request
        os.waitpid(between, 0)
        answer = os.read(number_read, 32)
        for descriptor in (adopted, reply, number_read, number_written, *streams):
            os.close(descriptor)
        server.sendall(answer)


def take_over(streams: list[int]) -> None:
    """Use these descriptors as standard streams and working directory, and no others."""
    for number, descriptor in enumerate(streams[:3]):
        os.dup2(descriptor, number)
    os.fchdir(streams[3])
    os.closerange(3, 256)


def become(
    command: list[str], arguments: int, environment: dict[str, str], umask: int, leads: bool, script: str
) -> None:
    """Look as if Python had been started with this.

    Args:
        command: the whole command.
        arguments: how many of its last words are arguments of the program.
        environment: all variables.
        umask: of files that it makes.
        leads: whether it leads a process group of its own.
        script: the path of the program, if it is no module.
    """
    if leads:
        os.setpgid(0, 0)
    os.environ.clear()
    os.environ.update(environment)
    os.umask(umask)
    time.tzset()
    sys.orig_argv[:] = command
    sys.argv[:] = [script or "-m", *command[len(command) - arguments :]]
    if script:
        sys.orig_argv[:] = [sys.executable, *command]
        sys.path.insert(0, os.fspath(Path(script).parent))
    elif not sys.flags.safe_path:
        with contextlib.suppress(FileNotFoundError):  # the working directory is gone
            sys.path.insert(0, os.fspath(Path.cwd()))
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        renew(number, name)


def renew(number: int, name: str) -> None:
    """Open a standard stream again, as Python does when it starts."""
    old = getattr(sys, name)
    mode = "w" if number else "r"
    unbuffered = old.write_through  # with PYTHONUNBUFFERED
    file: Any = os.fdopen(number, f"{mode}b", 0 if unbuffered and number else -1, closefd=False)
    getattr(file, "raw", file).name = f"<{name}>"
    by_lines = not unbuffered and (number == 2 or file.isatty())
    new: Any = io.TextIOWrapper(file, old.encoding, old.errors, "\n", by_lines, unbuffered)
    new.mode = mode
    setattr(sys, name, new)
    setattr(sys, f"__{name}__", new)


if __name__ == "__main__":
    name = main()
    if os.sep in name:
        runpy.run_path(name, run_name="__main__")
    else:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
