"""Signals from the first moment: what `genretagger watch` does with them before the service itself is ready for them.

This is imported before everything else, so it imports next to nothing. Until the service takes over, SIGTERM and SIGINT
end the process at once with status 0: nothing has begun that a kill could harm. A SIGHUP is remembered.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

_asked_to_reload = False
_installed = False


def is_installed() -> bool:
    """Whether the signals are ours: nobody else should take them."""
    return _installed


def install(arguments: list[str]) -> None:
    """Take the signals if these arguments start the service.

    Args:
        arguments: of the command, without its name.
    """
    global _installed
    if arguments[:1] != ["watch"]:
        return
    _installed = True
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, _remember)


def was_asked_to_reload() -> bool:
    """Whether a SIGHUP came meanwhile."""
    return _asked_to_reload


def ignore_all() -> None:
    """Ignore the signals from now on: the service has ended, and only Python's own end is left."""
    for number in (signal.SIGTERM, signal.SIGINT, *(() if sys.platform == "win32" else (signal.SIGHUP,))):
        signal.signal(number, signal.SIG_IGN)


def _end(_: int, __: FrameType | None) -> None:
    os._exit(0)  # an exception in the middle of an import could be swallowed there


def _remember(_: int, __: FrameType | None) -> None:
    global _asked_to_reload
    _asked_to_reload = True
