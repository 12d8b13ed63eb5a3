"""What a child process may use: a small function per limit, also for systems without it.

The child sets all limits on itself: after a fork of a parent with threads, no Python may run before
the exec.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a child process does not need the configuration, which loads pydantic
    from genretagger.config import Settings

_MB = 1 << 20

SYSTEM_FAULT_STATUS = 75
"""A child ends with this when the system failed and not the file (EX_TEMPFAIL of sysexits.h)."""

LEAST_MB = 256
"""What a file needs: 150 MB for 16 windows, and the stacks of FFmpeg's threads."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost.

    Attributes:
        memory_mb: most memory of a child; what decoding 16 windows needs is 150.
        time_s: most seconds by the clock.
        cpu_s: most seconds of processor time; None means as by the clock.
        files: files after which a child is replaced by a fresh one, for what libraries leak.
        resident_mb: a child that keeps more than this in memory after a file is replaced too.
    """

    memory_mb: int = 1024
    time_s: float = 300.0
    cpu_s: float | None = None
    files: int = 200
    resident_mb: int = 400

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Take the limits that the owner set."""
        return cls(memory_mb=settings.memory_limit_mb, time_s=settings.time_limit_s)


def limit_memory(memory_mb: int) -> None:
    """Make allocations beyond this fail: MemoryError in Python, ENOMEM in FFmpeg.

    Linux counts private writable memory (RLIMIT_DATA); the address space (RLIMIT_AS) is four times
    that because mapped libraries take 1 GB of it and hold nothing. macOS and the BSDs enforce the
    address space at most; Windows has no such limit, and there only the time is limited.
    """
    with contextlib.suppress(ImportError):
        import resource

        for name, limit in (("RLIMIT_DATA", memory_mb * _MB), ("RLIMIT_AS", (4 * memory_mb + 1024) * _MB)):
            number = getattr(resource, name, None)
            if number is not None:
                _set_both(number, limit)


def too_little_memory(least_mb: int = LEAST_MB) -> str | None:
    """Say what is wrong if the inherited limits (`ulimit -v`, `-d`) are too low for any file.

    If more is left and a file runs out of memory, the file is to blame.

    Args:
        least_mb: what has to be left.
    """
    try:
        import resource

        used = Path("/proc/self/statm").read_text(encoding="ascii").split()
        page = os.sysconf("SC_PAGE_SIZE")
    except (ImportError, OSError, ValueError):
        return None
    for name, flag, pages in (("RLIMIT_AS", "-v", int(used[0])), ("RLIMIT_DATA", "-d", int(used[5]))):
        limit = resource.getrlimit(getattr(resource, name))[0]
        left_mb = (limit - pages * page) // _MB
        if limit != resource.RLIM_INFINITY and left_mb < least_mb:
            return f"the limit on memory (ulimit {flag} {limit // 1024}) leaves {max(0, left_mb)} MB"
    return None


def hopeless_limit() -> str | None:
    """Say what is wrong if the inherited limits alone keep every child from working at all.

    This is checked before NumPy is loaded: OpenBLAS ends the process without a useful message if it
    gets no memory.
    """
    try:
        import resource
    except ImportError:
        return None
    for name, flag in (("RLIMIT_AS", "-v"), ("RLIMIT_DATA", "-d")):
        limit = resource.getrlimit(getattr(resource, name))[0]
        if limit != resource.RLIM_INFINITY and limit < LEAST_MB * _MB:
            return f"the limit on memory (ulimit {flag} {limit // 1024}) is below the {LEAST_MB} MB that a file needs"
    return None


def limit_cpu(cpu_s: float) -> None:
    """End this process (SIGXCPU) when it has used this much processor time more.

    It ends children in an endless loop after their parent was killed. Without it
    (Windows) the parent's clock is the only one.
    """
    with contextlib.suppress(ImportError):
        import resource

        usage = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(usage.ru_utime + usage.ru_stime + cpu_s) + 1
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        if hard != resource.RLIM_INFINITY:
            soft = min(soft, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def forbid_core_dumps() -> None:
    """Leave no core file of somebody's music; writing one takes seconds. Windows writes none."""
    with contextlib.suppress(ImportError):
        import resource

        _set_both(resource.RLIMIT_CORE, 0)


def _set_both(number: int, limit: int) -> None:
    """Set the soft and the hard limit, never above what is set already."""
    import resource

    hard = resource.getrlimit(number)[1]
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(number, (limit, limit))


def ignore_stop_signals() -> None:
    """Ignore stop signals; the child finishes a write and ends when its pipe closes.

    Ctrl-C in a terminal, a closed terminal and a service manager signal all processes of a group at
    once.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, signal.SIG_IGN)


def resident_mb() -> int:
    """Memory of this process now; 0 if the system does not say (then only files are counted)."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // _MB


def one_thread_each() -> dict[str, str]:
    """Environment that limits a child's numeric libraries to one thread: processes are parallel."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    return dict.fromkeys(names, "1")


def own_group() -> dict[str, int]:
    """Arguments of Popen that keep the keyboard's Ctrl-C from a child while it starts."""
    if sys.platform == "win32":
        import subprocess

        return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    return {"process_group": 0}
