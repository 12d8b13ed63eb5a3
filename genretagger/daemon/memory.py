"""Gives back memory that was freed, but that the C library keeps for later."""

from __future__ import annotations

import ctypes
import sys


def give_back_memory() -> None:
    """Give memory back to the system after a burst of work; does nothing without glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform.startswith("linux") else None
    if trim is not None:
        trim(0)
