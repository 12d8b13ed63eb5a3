"""A child that misbehaves by the name of the file, and is a real one otherwise."""

from __future__ import annotations

import sys
from pathlib import Path

from genretagger.worker.limits import Limits
from genretagger.worker.pool import WorkerPool

_SCRIPT = """
import ctypes, os, signal, sys, time
from genretagger.worker import child

def segfault():
    ctypes.string_at(0)

def abort():
    os.abort()

def hang():
    signal.pause()

def burn():
    while True:
        pass

def eat():
    blocks = []
    while True:
        blocks.append(bytearray(16 << 20))

def eat_in_c():
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    while True:
        block = libc.malloc(ctypes.c_size_t(16 << 20))
        if not block:
            sys.stderr.write("terminate called after throwing an instance of 'std::bad_alloc'")
            sys.stderr.flush()
            os.abort()
        ctypes.memset(block, 1, 16 << 20)

def killed():
    os.kill(os.getpid(), signal.SIGKILL)

def leave():
    os._exit(3)

def outlive():
    parent_id = os.getppid()
    print("begun", file=sys.stderr, flush=True)
    while os.getppid() == parent_id:
        time.sleep(0.01)

def slow():
    time.sleep(0.5)

def bug():
    raise ZeroDivisionError("in the decoder")

def chatter():
    os.write(1, b"x" * 3_000_000)
    os.write(2, b"y" * 3_000_000)
    print("and more")

def garbage():
    for number in range(3, 64):
        try:
            os.write(number, b"garbage" * 100)
        except OSError:
            pass
    signal.pause()

def lie():
    return {"kind": 5}, b""

def oversize():
    return {}, b"z" * 1000

def misbehaving(operation):
    def run(path, request):
        action = globals().get(path.stem)
        answer = action() if action else None
        return answer or operation(path, request)
    return run

child.main({name: misbehaving(operation) for name, operation in child.OPERATIONS.items()})
"""


def misbehaving_pool(jobs: int = 1, limits: Limits | None = None) -> WorkerPool:
    """A pool of such children."""
    return WorkerPool(jobs, limits, command=misbehaving_command())


def misbehaving_command() -> list[str]:
    """What starts one."""
    return [sys.executable, "-c", _SCRIPT]


def is_alive(process_id: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}
