"""The server's worker threads, so that its loop never waits: they read, write, listen and index.

A database belongs to the thread that opened it, so each of them opens its own. The child processes
that show files are shared. Whatever is asked for is a coroutine here.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from genretagger.config import Settings, load
from genretagger.database.store import Store
from genretagger.errors import GenretaggerError
from genretagger.pipeline import Pipeline, open_pipeline, open_rewriting
from genretagger.shelf import filling
from genretagger.shelf.index import Index
from genretagger.shelf.likeness import Likeness
from genretagger.steps.explain import Explainer
from genretagger.steps.rewriting import Rewriting
from genretagger.steps.run import Run
from genretagger.web.live import Hub
from genretagger.worker.showing import ShowingPool

_K = TypeVar("_K")
_T = TypeVar("_T")
READERS = 3


async def shared(tasks: dict[_K, asyncio.Task[_T]], key: _K, make: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """What a coroutine gives; several that ask for the same key at once wait for the same task."""
    if key not in tasks:
        tasks[key] = asyncio.create_task(make())
        tasks[key].add_done_callback(lambda _: tasks.pop(key, None))
    return await asyncio.shield(tasks[key])


class Books:
    """What a reading thread has open: the database, and the index."""

    def __init__(self, settings: Settings) -> None:
        self.store = Store.open(settings.database, create=True, libraries=settings.libraries)
        self.index = Index(settings.data_dir)
        self.explainer = Explainer(settings, self.store)

    def follow(self, settings: Settings) -> None:
        """Explain by other settings from now on."""
        if settings is not self.explainer.settings:
            self.explainer.close()
            self.explainer = Explainer(settings, self.store)


class Desk:
    """All threads that work for the server.

    Args:
        settings: from `config.load`.
        hub: passes changes on to all pages.
    """

    def __init__(self, settings: Settings, hub: Hub) -> None:
        self.settings, self.hub = settings, hub
        self._local = threading.local()
        self._lock = threading.Lock()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="genretagger-page")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="genretagger-writer")
        self._listener = ThreadPoolExecutor(1, thread_name_prefix="genretagger-listener")
        self._writing: tuple[ExitStack, Rewriting, Index] | None = None
        self._run: Run | None = None
        self._listening: tuple[ExitStack, Pipeline] | None = None
        self._heard_at_s = 0.0
        self._likeness: tuple[tuple[int, int], Likeness] | None = None
        self.showing = ShowingPool.of(settings, 2)
        self.stop: Future[None] = Future()

    # Reading

    async def read(self, work: Callable[[Books], _T]) -> _T:
        """Have a reading thread do something short."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._reading, work)

    def _reading(self, work: Callable[[Books], _T]) -> _T:
        if not hasattr(self._local, "books"):
            self._local.books = Books(self.settings)
        self._local.books.follow(self.settings)
        return work(self._local.books)

    def likeness(self, books: Books) -> Likeness:
        """All vectors, shared by the reading threads and loaded again when there are more."""
        note = books.index.note("likeness") or {}
        state = int(note.get("count", 0)), int(note.get("fitted", 0))
        with self._lock:
            if self._likeness is None or self._likeness[0] != state:
                self._likeness = state, Likeness(books.index)
            return self._likeness[1].for_index(books.index)

    # Writing

    async def write(self, work: Callable[[Rewriting, Index], _T]) -> _T:
        """Have the writing thread do something, after what was asked for before."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._write, work)

    def _write(self, work: Callable[[Rewriting, Index], _T]) -> _T:
        if self._writing is None:
            stack = ExitStack()
            rewriting = stack.enter_context(open_rewriting(self.settings))
            index = stack.enter_context(Index(self.settings.data_dir))
            self._writing = stack, rewriting, index
        return work(self._writing[1], self._writing[2])

    def run_of(self, rewriting: Rewriting) -> Run:
        """The run of all choices on this server: one command, which `undo` takes back at once."""
        if self._run is None:
            self._run = rewriting.begin("serve")
        return self._run

    def caught_up(self, rewriting: Rewriting, index: Index, paths: list[Path]) -> list[int]:
        """Add files that were just written to the index, tell all pages, return their numbers."""
        filling.refresh_paths(rewriting.store, index, paths)
        numbers = [number for path in paths if (number := rewriting.store.listings.get_id(path)) is not None]
        self.hub.tell("tracks", numbers[:500])
        return numbers

    # Listening

    async def listen(self, work: Callable[[Pipeline], _T]) -> _T:
        """Have the listening thread do something; it loads the model when it is first needed."""
        return await asyncio.get_running_loop().run_in_executor(self._listener, self._listen, work)

    def _listen(self, work: Callable[[Pipeline], _T]) -> _T:
        if self._listening is None:
            stack = ExitStack()
            small = self.settings.model_copy(update={"threads": self.settings.threads or 1, "jobs": 1})
            opened = open_pipeline(
                small,
                notice=lambda text: self.hub.tell("notice", text),
                progress=lambda what, done, of: self.hub.tell("progress", {"what": what, "done": done, "of": of}),
            )
            pipeline = stack.enter_context(opened)
            self._listening = stack, pipeline
        try:
            return work(self._listening[1])
        finally:
            self._heard_at_s = time.monotonic()

    def rest(self) -> None:
        """Free the model if nobody has listened for a while; called from time to time."""

        def free() -> None:
            if self._listening is not None and time.monotonic() - self._heard_at_s > self.settings.idle_s:
                self._close_listening()

        if self._listening is not None:
            with contextlib.suppress(RuntimeError):
                self._listener.submit(free)

    def reload(self) -> None:
        """Read the configuration again: another model is in use."""
        with contextlib.suppress(GenretaggerError):
            self.settings = load(data_dir=self.settings.data_dir)
            self._listener.submit(self._close_listening)

    def _close_listening(self) -> None:
        if self._listening is not None:
            stack, self._listening = self._listening[0], None
            stack.close()

    # The end

    def close(self) -> None:
        """Finish what is being written, and end everything else."""
        self.stop.set_result(None)
        self._readers.shutdown(wait=True, cancel_futures=True)
        self.showing.close(finish=False)

        def end_writing() -> None:
            if self._writing is not None:
                if self._run is not None:
                    self._writing[1].finish(self._run)
                self._writing[0].close()

        self._writer.submit(end_writing).result()
        self._writer.shutdown(wait=True)
        self._listener.submit(self._close_listening).result()
        self._listener.shutdown(wait=True, cancel_futures=True)
