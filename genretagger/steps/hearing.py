"""The stages that listen and change no file: what is known of tracks, windows, genres over time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from genretagger.addresses import absolute
from genretagger.audio.windows import MOST_COLUMNS
from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.errors import FileError
from genretagger.files.discover import Found
from genretagger.files.objects import Fetched
from genretagger.model.listener import Listener
from genretagger.steps.knowledge import Knowledge
from genretagger.steps.one_file import safely
from genretagger.steps.rewriting import Rewriting
from genretagger.steps.schedule import Flow, Step, wait_for
from genretagger.steps.timeline import timeline
from genretagger.types import Frames, Heard, Timeline
from genretagger.worker.pool import WorkerPool


class Hearing(Rewriting):
    """The stages that listen and change no file; `pipeline.Pipeline` says what they are made of."""

    def __init__(self, settings: Settings, store: Store, workers: WorkerPool, listener: Listener) -> None:
        super().__init__(settings, store, workers)
        self.listener = listener
        self.knowledge = Knowledge(store, workers, listener, self.writer.options)

    def timeline(self, path: Path, *, columns: int = 1024, fourier: bool = False) -> Timeline:
        """Give the genres of one file over time, and a picture. Stores nothing and changes nothing.

        May be called from any thread.

        Args:
            path: the file.
            columns: the most columns of the picture, at most `MOST_COLUMNS`.
            fourier: picture the frequencies of the Fourier transform instead of the mel bands.

        Raises:
            GenretaggerError: the file cannot be read or heard, or the model fails.
            ValueError: `columns` is out of range.
        """
        if not 1 <= columns <= MOST_COLUMNS:
            raise ValueError(f"a picture has 1 to {MOST_COLUMNS} columns, not {columns}")
        try:
            return wait_for(timeline(absolute(path), self._workers, self.listener, columns=columns, fourier=fourier))
        except FileError as error:
            error.path = error.path or path
            raise

    def hear(
        self, files: Iterable[Found], *, worth: Callable[[Heard], bool], stop: Future[None]
    ) -> Iterator[Heard | FileError]:
        """Learn all about tracks without changing any: listen to those that were not heard yet.

        Args:
            files: what to listen to.
            worth: called with a track that was not heard yet; returns whether to listen to it.
            stop: when done, the iteration ends soon.

        Yields:
            Each track, or why it cannot be heard, in the order in which they end.
        """

        def flow(file: Found) -> Flow[Heard | FileError]:
            return safely(file.path, partial(self.knowledge.everything, file.path, worth), lambda error: error)

        heard: Iterator[Heard | FileError] = self._run(map(flow, files), stop)
        yield from heard

    def frames(
        self, paths: Iterable[Path], *, count: int, stop: Future[None]
    ) -> Iterator[tuple[Path, Frames | FileError]]:
        """Decode tracks as the first ear of the model takes them, and hear nothing.

        Args:
            paths: the files.
            count: the most windows of each.
            stop: when done, the iteration ends soon.

        Yields:
            Each file with its windows, or why it cannot be decoded, in the order in which they end.
        """
        ears = self.listener.request["ears"][:1]

        def decoded(path: Path) -> Flow[tuple[Path, Frames | FileError]]:
            frames: Frames = yield Step(self._workers.hear(path, count=count, ears=ears))
            return path, frames

        def flow(path: Path) -> Flow[tuple[Path, Frames | FileError]]:
            return safely(path, partial(decoded, path), lambda error: (path, error))

        found: Iterator[tuple[Path, Frames | FileError]] = self._run(map(flow, paths), stop)
        yield from found

    def take_fetched(self) -> Fetched:
        """What the child processes have read of objects since the last call."""
        return self._workers.take_fetched()

    @property
    def provider(self) -> str:
        """The ONNX Runtime provider that the model runs on; empty until it is loaded."""
        return self.listener.provider
