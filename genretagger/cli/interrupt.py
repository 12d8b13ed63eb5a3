"""Turns Ctrl-C into a request: work in progress is finished, and finished work is kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


@contextmanager
def interruptible() -> Iterator[Future[None]]:
    """Turn the first Ctrl-C (or SIGTERM) into a request to stop; a second one stops at once."""
    stop: Future[None] = Future()

    def request(number: int, frame: FrameType | None) -> None:
        del frame
        signal.signal(number, signal.default_int_handler)
        # In its own thread, since the interrupted code may hold the lock that set_result
        # needs.
        threading.Thread(target=_finish, args=(stop,)).start()

    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _finish(stop: Future[None]) -> None:
    if not stop.done():
        stop.set_result(None)
