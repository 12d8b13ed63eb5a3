"""A process that writes one genre for each line that it gets, in a fork that waits to be traced.

The process handles the first line itself, so that all late imports are done and a system call has
the same number in every fork. A fork stops itself, so that a tracer can be attached; the parent
lets it go on. Its exit status says how it ended.

Run it as `python fault_writer.py`. A line is the JSON of path and request, as a child process of
genretagger gets it. The answer is the process id of the fork. On an empty line, this process waits
for the fork and answers with its wait status.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path

from genretagger.errors import GenretaggerError
from genretagger.types import Json
from genretagger.worker import child

WRITTEN, REFUSED, BUG = 0, 10, 11


def main() -> None:
    child.write(*_request(sys.stdin.readline()))
    _answer("ready")
    for line in sys.stdin:
        path, request = _request(line)
        fork = os.fork()
        if fork == 0:
            os._exit(_write(path, request))
        _answer(str(fork))
        sys.stdin.readline()
        _answer(str(os.waitpid(fork, 0)[1]))


def _answer(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _request(line: str) -> tuple[Path, Json]:
    path, request = json.loads(line)
    return Path(path), request


def _write(path: Path, request: Json) -> int:
    child.PARENT_ID = os.getppid()
    os.kill(os.getpid(), signal.SIGSTOP)
    try:
        child.write(path, request)
    except GenretaggerError:
        return REFUSED
    except BaseException:  # noqa: BLE001 - the exit status reports any error
        traceback.print_exc()
        return BUG
    return WRITTEN


if __name__ == "__main__":
    main()
