"""Handles signals of `genretagger watch` until the service itself is ready for them.

This is imported before everything else, so it imports next to nothing. Until the service takes
over, SIGTERM and SIGINT end the process at once with status 0: no work has begun that this could
harm. A SIGHUP is remembered.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

_asked_to_reload = False
_installed = False


def is_installed() -> bool:
    """Whether this module handles the signals, so that no other code should."""
    return _installed


def take_signals(arguments: list[str]) -> None:
    """Handle the signals if these arguments start the service.

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
    """Whether a SIGHUP came before the service was ready."""
    return _asked_to_reload


def ignore_all() -> None:
    """Ignore the signals from now on: only the exit of the interpreter is left."""
    for number in (signal.SIGTERM, signal.SIGINT, *(() if sys.platform == "win32" else (signal.SIGHUP,))):
        signal.signal(number, signal.SIG_IGN)


def _end(_: int, __: FrameType | None) -> None:
    os._exit(0)  # an exception in the middle of an import could be swallowed there


def _remember(_: int, __: FrameType | None) -> None:
    global _asked_to_reload
    _asked_to_reload = True
