"""Server-sent events for all open pages: two tabs agree, and they see a service's queue move.

Any thread may send an event; the loop passes it on. A page that does not keep up loses its stream,
and its browser opens another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator

from genretagger.types import Json

MOST_PAGES = 64
_MOST_WAITING = 200
_ALIVE_S = 15.0


class Hub:
    """Passes events on to all open pages."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pages: set[asyncio.Queue[str | None]] = set()
        self._last: dict[str, str] = {}
        self._lock = threading.Lock()

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to pass events on, in a loop."""
        self._loop = loop

    def tell(self, kind: str, value: Json, *, keep: bool = False) -> None:
        """Send an event to all pages, from any thread.

        Args:
            kind: of the event.
            value: as JSON holds it.
            keep: send it also to pages that open later, until a newer event of its kind.
        """
        text = f"event: {kind}\ndata: {json.dumps(value)}\n\n"
        if keep:
            with self._lock:
                self._last[kind] = text
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._spread, text)

    def _spread(self, text: str) -> None:
        for page in tuple(self._pages):
            if page.qsize() >= _MOST_WAITING:
                self._pages.discard(page)
                page.put_nowait(None)
            else:
                page.put_nowait(text)

    def close(self) -> None:
        """End all streams; called in the loop."""
        for page in tuple(self._pages):
            page.put_nowait(None)

    @property
    def is_full(self) -> bool:
        """Whether no further page gets a stream."""
        return len(self._pages) >= MOST_PAGES

    async def stream(self) -> AsyncIterator[bytes]:
        """The events that one open page receives."""
        page: asyncio.Queue[str | None] = asyncio.Queue()
        with self._lock:
            kept = "".join(self._last.values())
        self._pages.add(page)
        try:
            yield f"retry: 2000\n\n{kept}".encode()
            while True:
                try:
                    text = await asyncio.wait_for(page.get(), _ALIVE_S)
                except TimeoutError:
                    text = ": alive\n\n"
                if text is None:
                    return
                yield text.encode()
        finally:
            self._pages.discard(page)
