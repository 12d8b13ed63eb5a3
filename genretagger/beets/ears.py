"""The pipeline for a program with threads: one thread owns the database, children and model.

    ears = Ears(settings, notice=print, progress=bar.update)
    for heard in ears.hear(paths):
        ...
    ears.close()

beets imports in several threads, and a pipeline belongs to the thread that opened it. So a single
thread, started when first needed, does everything, one request after the other; short requests are
served between two tracks of a long one. All that one program does is one run, which `genretagger
undo` takes back at once.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from genretagger.beets import history
from genretagger.beets.history import Origin, spelt
from genretagger.causes import Reason
from genretagger.config import Settings
from genretagger.database.values import ours_among
from genretagger.errors import FileError, WriteRefusedError
from genretagger.files.discover import Found
from genretagger.pipeline import Pipeline, Progress, open_pipeline
from genretagger.sentences import sentence
from genretagger.steps.run import Run
from genretagger.steps.together import Given
from genretagger.types import Decision, Outcome, Status

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class _ThreadRequest:
    """A request for our thread.

    Attributes:
        serve: does it; raises nothing.
        fail: gets the reason if it cannot be done.
    """

    serve: Callable[[Pipeline, Run], None]
    fail: Callable[[BaseException], None]


@dataclass(frozen=True, slots=True)
class Inferred:
    """The result for one file.

    Attributes:
        outcome: `genres` are the chosen ones, empty if none is confident enough; `genres_before`
            the file's own.
        ours: whether genretagger chose all of the file's genres.
        owned: why the history leaves the genre to its owner; None if it does not.
    """

    outcome: Outcome
    ours: bool = False
    owned: Reason | None = None


class Ears:
    """Infers genres for a front end that writes by its own rules.

    Args:
        settings: how to decode and decide.
        notice: gets messages for a person, from our thread.
        progress: gets the progress of installing the model, from our thread.
    """

    def __init__(self, settings: Settings, *, notice: Callable[[str], None], progress: Progress) -> None:
        self.settings = settings
        self.run_id: int | None = None
        """Number of the run; None until it has begun."""
        self._notice = notice
        self._progress = progress
        self._stop: Future[None] = Future()
        self._changed = threading.Condition()
        self._long: list[_ThreadRequest] = []
        self._short: list[_ThreadRequest] = []
        self._closed = False
        self._failure: BaseException | None = None
        self._given: set[tuple[str, ...]] | None = None
        # A daemon: a program that forgets `close` must not hang at exit.
        self._thread = threading.Thread(target=self._work, name="genretagger", daemon=True)

    def hear(self, paths: Sequence[Path], albums: Iterable[Sequence[Path]] = ()) -> Iterator[Inferred]:
        """Infer and decide for files, several at a time; nothing is written.

        Args:
            paths: absolute.
            albums: the files of each album by one artist, which are decided together if the
                settings say so. Files that are not among `paths` count if their audio was analysed
                before.

        Yields:
            The results, in the order of the paths.

        Raises:
            GenretaggerError: the database or the model cannot be opened.
        """
        results: queue.SimpleQueue[Inferred | BaseException | None] = queue.SimpleQueue()

        def serve(pipeline: Pipeline, run: Run) -> None:
            try:
                grouping = Given(albums)
                files = (Found(path, path.parent) for path in grouping.in_order(paths))
                for outcome in pipeline.tag(files, run, stop=self._stop, grouping=grouping):
                    results.put(_heard(pipeline, run, outcome))
                    self._serve(pipeline, run)
                results.put(None)
            except BaseException as error:  # noqa: BLE001 - it is raised in the thread that asked
                results.put(error)

        self._submit(self._long, _ThreadRequest(serve, results.put))
        waiting: dict[Path, Inferred] = {}
        left = Counter(paths)
        for path in paths:
            while path not in waiting:
                result = results.get()
                if result is None:
                    return  # stopped
                if isinstance(result, BaseException):
                    raise result
                waiting[result.outcome.path] = result
            left[path] -= 1
            yield waiting[path] if left[path] else waiting.pop(path)

    def decide_together(self, paths: Iterable[Path]) -> Decision:
        """Choose genres for an album, from the activations of all its tracks.

        Each track counts the same.

        Args:
            paths: files that were handled before; those without activations do not count.
        """
        return self._call(lambda pipeline, _: pipeline.by_request.decide_together(paths))

    def refusal(self, path: Path) -> Reason | None:
        """Say why beets should not write a file: hard links, links to elsewhere, damaged tags.

        Raises:
            FileError: the file cannot be read.
        """
        return self._call(lambda pipeline, _: pipeline.by_request.refusal(path, in_place=True))

    def announce(self, path: Path, genres: tuple[str, ...], *, reason: Reason) -> int | None:
        """Note in the history that another program is about to write our genres into a file.

        Args:
            genres: as they will be read back.

        Returns:
            The number of the write, for `settle`; None if the file has these genres already.

        Raises:
            FileError: the file cannot be read, so its old genres could not be put back.
        """
        return self._call(lambda pipeline, run: pipeline.by_request.announce(path, genres, run, reason))

    def settle(self, write_id: int) -> None:
        """Check whether an announced write took place, and record what the file holds now."""
        self._call(lambda pipeline, _: pipeline.by_request.settle(write_id))

    def write(self, path: Path, genres: tuple[str, ...], *, reason: Reason) -> int | None:
        """Write genres by genretagger's own protocol: an edited copy replaces the file.

        Returns:
            The number of the write; None if the file has these genres already.

        Raises:
            FileError: nothing was written; the error has the reason.
        """
        return self._call(lambda pipeline, run: pipeline.by_request.write(path, genres, run, reason))

    def may_have_given(self, genres: tuple[str, ...]) -> bool:
        """Whether genretagger ever wrote these genres into any file.

        If not, the caller need not read the file to find out more.

        This is quick, and comes before a file is read.
        """
        if not self.settings.has_database:
            return False

        def work(pipeline: Pipeline, _: Run) -> bool:
            if self._given is None:
                self._given = {spelt(write.after.values) for write in pipeline.store.writes.get_all() if write.model}
            return spelt(genres) in self._given

        return self._call(work)

    def origin(self, path: Path, number: int, genres: tuple[str, ...]) -> Origin:
        """Say who gave a file its genres, by the history of its audio.

        Args:
            number: of our last write to it, if another program noted it; 0 if not. With it, the
                history of a converted file is found.
            genres: as the other program spells them; it may have read a joined field as several
                values.

        Raises:
            FileError: the file cannot be read.
        """

        def work(pipeline: Pipeline, run: Run) -> Origin:
            track = pipeline.by_request.read(path)
            trail = history.trail(pipeline, track, number)
            return history.origin(trail, track.genres.values, genres, pipeline.ownership.reason(track, run))

        return self._call(work)

    def undo(
        self, path: Path, genres: tuple[str, ...], number: int, *, write: bool, pretend: bool = False
    ) -> tuple[str, ...]:
        """Put back the genre from before genretagger's first write, unless it changed since.

        If the owner chose a genre between two of our writes, that genre comes back. The file may
        have been moved or converted.

        Args:
            genres: ours, as the other program has them.
            number: of our last write to it, see `origin`.
            write: put it back in the file; if not, only return what the file had.
            pretend: check whether this is possible, and change nothing.

        Returns:
            The genres that the file had; those that it has, if ours are not in it.

        Raises:
            FileError: nothing was written: it is not possible, or the history does not know these
                genres.
        """

        def work(pipeline: Pipeline, run: Run) -> tuple[str, ...]:
            track = pipeline.by_request.read(path)
            now = track.genres.values
            trail = history.trail(pipeline, track, number)
            steps = trail.steps(now)
            if not steps:
                if spelt(now) == spelt(genres):
                    raise FileError(
                        "genretagger's history does not say what it had before",
                        path=path,
                        hint="Nothing was changed; `beet modify` sets its genres by hand",
                    )
                return now
            if write and (refusal := pipeline.by_request.refusal(path, in_place=False)):
                raise WriteRefusedError(sentence(refusal), path=path)
            if write and not pretend:
                for back in history.ways_back(trail, track, steps):
                    pipeline.by_request.put(pipeline.by_request.read(path), back.field, run, **back.noted())
            return steps[-1].before.values

        return self._call(work)

    def close(self) -> None:
        """End the run, the children and the thread; files in progress are dropped."""
        with self._changed:
            self._closed = True
            if not self._stop.done():
                self._stop.set_result(None)
            self._changed.notify_all()
            begun = self._thread.ident is not None
        if begun:
            self._thread.join()

    def _call(self, work: Callable[[Pipeline, Run], _Result]) -> _Result:
        """Send a short request, and wait for its answer."""
        answer: Future[_Result] = Future()

        def serve(pipeline: Pipeline, run: Run) -> None:
            try:
                answer.set_result(work(pipeline, run))
            except BaseException as error:  # noqa: BLE001 - it is raised in the thread that asked
                answer.set_exception(error)

        self._submit(self._short, _ThreadRequest(serve, answer.set_exception))
        return answer.result()

    def _submit(self, requests: list[_ThreadRequest], request: _ThreadRequest) -> None:
        with self._changed:
            if not self._closed:
                requests.append(request)
                if self._thread.ident is None:
                    self._thread.start()
                self._changed.notify_all()
                return
            failure = self._failure
        request.fail(failure or FileError("it was stopped"))

    def _work(self) -> None:
        """Open the pipeline and serve requests until the end; the body of our thread."""
        try:
            with open_pipeline(self.settings, notice=self._notice, progress=self._progress) as pipeline:
                run = pipeline.begin("beets", hear_only=True)
                self.run_id = run.id
                while (request := self._next()) is not None:
                    request.serve(pipeline, run)
                pipeline.finish(run)
        except BaseException as error:  # noqa: BLE001 - it is raised in whichever thread asks
            self._failure = error
        with self._changed:
            self._closed = True
            left = [*self._short, *self._long]
        for request in left:
            request.fail(self._failure or FileError("it was stopped"))

    def _next(self) -> _ThreadRequest | None:
        """Wait for a request; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._short or self._long or self._closed)
            for requests in (self._short, self._long):
                if requests and not (self._closed and requests is self._long):
                    return requests.pop(0)
            return None

    def _serve(self, pipeline: Pipeline, run: Run) -> None:
        """Serve the short requests that came meanwhile: writes must not wait for the next album."""
        while True:
            with self._changed:
                if not self._short:
                    return
                request = self._short.pop(0)
            request.serve(pipeline, run)


def _heard(pipeline: Pipeline, run: Run, outcome: Outcome) -> Inferred:
    """Add what the history and the settings say about a file."""
    if outcome.status is Status.FAILED:
        return Inferred(outcome)
    store = pipeline.store
    try:
        track = pipeline.by_request.read(outcome.path)
        owned = pipeline.ownership.reason(track, run)
    except FileError as error:
        return Inferred(pipeline.failed(outcome.path, error, run))
    genres = track.genres.values
    ours = ours_among(genres, store.writes.get_history(track.path, track.payload_hash))
    return Inferred(outcome, bool(ours) and ours == genres, owned)
