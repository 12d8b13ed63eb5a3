"""A thread in which decisions are made, so that the main loop goes on meanwhile.

All that waits when the thread is free is computed in one go. Each decision is computed by itself:
the sums of a batch may be rounded differently, and equal tracks must get equal scores.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from genretagger.model.batching import settle

T = TypeVar("T")


class Deciding:
    """The thread, which starts when it is first needed."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="genretagger-deciding")
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Compute something after all that waits; gives a future of its result, or of its error."""
        future: Future[T] = Future()
        with self._lock:
            is_idle = not self._waiting
            self._waiting.append((future, work))
        if is_idle:
            self._thread.submit(self._all)
        return future

    def close(self) -> None:
        """Finish what is computed, and forget what waits."""
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
        for future, _ in waiting:
            future.cancel()
        self._thread.shutdown(wait=True)

    def _all(self) -> None:
        """Compute all that waits."""
        with self._lock:
            batch, self._waiting = self._waiting, deque()
        for future, work in batch:
            if future.set_running_or_notify_cancel():
                settle(future, work)
