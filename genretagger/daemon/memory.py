"""Memory that was freed, but that the C library keeps for later."""

from __future__ import annotations

import ctypes
import sys


def give_back_memory() -> None:
    """Give it back to the system after a burst of work; only glibc can be asked to, and elsewhere nothing happens."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform.startswith("linux") else None
    if trim is not None:
        trim(0)
