"""The pipeline for a program with threads of its own: one of ours owns the database, the children and the model.

    ears = Ears(settings, notice=print, progress=bar.update)
    for heard in ears.hear(paths):
        ...
    ears.close()

beets imports in several threads, and a pipeline belongs to the one that opened it. So a single thread, started when
first needed, does everything, one request after the other; short requests are served between two tracks of a long one.
All that one program does is one run, which `genretagger undo` takes back at once.
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
from genretagger.beets.history import Account, spelt
from genretagger.config import Settings
from genretagger.database.values import ours_among
from genretagger.errors import FileError, WriteRefusedError
from genretagger.files.discover import Found
from genretagger.pipeline import Pipeline, Progress, open_pipeline
from genretagger.steps.run import Run
from genretagger.steps.schedule import wait_for
from genretagger.types import Decision, Outcome, Status, Track

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class _Request:
    """Something to be done in our thread.

    Attributes:
        serve: does it; raises nothing.
        fail: is told instead why it cannot be done.
    """

    serve: Callable[[Pipeline, Run], None]
    fail: Callable[[BaseException], None]


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard in one file.

    Attributes:
        outcome: `genres` are the chosen ones, none where nothing is confident enough; `genres_before` the file's own.
        ours: whether genretagger chose all of the file's genres.
        owned: why the history leaves the genre to its owner; empty where it does not.
    """

    outcome: Outcome
    ours: bool = False
    owned: str = ""


class Ears:
    """Listens for a front end that writes by rules of its own.

    Args:
        settings: how to listen and decide.
        notice: is told what a person should know; from our thread.
        progress: is told how far the installation of the model is; from our thread.
    """

    def __init__(self, settings: Settings, *, notice: Callable[[str], None], progress: Progress) -> None:
        self.settings = settings
        self.run_id: int | None = None
        """Number of the run; None until it began."""
        self._notice = notice
        self._progress = progress
        self._stop: Future[None] = Future()
        self._changed = threading.Condition()
        self._long: list[_Request] = []
        self._short: list[_Request] = []
        self._closed = False
        self._failure: BaseException | None = None
        self._given: set[tuple[str, ...]] | None = None
        # A daemon: whoever forgets `close` must not hang at exit.
        self._thread = threading.Thread(target=self._work, name="genretagger", daemon=True)

    def hear(self, paths: Sequence[Path]) -> Iterator[Heard]:
        """Listen to files and decide, several at a time; nothing is written.

        Args:
            paths: absolute.

        Yields:
            What was heard, in the order of the paths.

        Raises:
            GenretaggerError: the database or the model cannot be had.
        """
        results: queue.SimpleQueue[Heard | BaseException | None] = queue.SimpleQueue()

        def serve(pipeline: Pipeline, run: Run) -> None:
            try:
                files = (Found(path, path.parent) for path in dict.fromkeys(paths))
                for outcome in pipeline.tag(files, run, stop=self._stop):
                    results.put(_heard(pipeline, run, outcome))
                    self._serve(pipeline, run)
                results.put(None)
            except BaseException as error:  # noqa: BLE001 - it is raised in the thread that asked
                results.put(error)

        self._submit(self._long, _Request(serve, results.put))
        waiting: dict[Path, Heard] = {}
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
        """Choose genres for an album, from what was heard in all of its tracks; each counts the same.

        Args:
            paths: files that were heard before; those in which nothing could be heard have no say.
        """

        def work(pipeline: Pipeline, _: Run) -> Decision:
            store, listener = pipeline.store, pipeline.listener
            heard = []
            for path in paths:
                try:
                    track = _read(pipeline, path)
                except FileError:
                    continue
                analysis = store.analyses.get(track.payload_hash, listener.fingerprint, listener.plan)
                if analysis is not None and analysis.activations is not None:
                    heard.append(analysis.activations)
            if not heard:
                return Decision((), {}, "nothing was heard in any of its tracks")
            return listener.decide(*heard)

        return self._call(work)

    def refusal(self, path: Path) -> str:
        """Say why beets should not write a file: hard links, links that lead elsewhere, tags that are damaged.

        Raises:
            FileError: the file cannot be read.
        """
        file = Found(path, path.parent)
        return self._call(lambda pipeline, _: pipeline.writer.refusal(file, _read(pipeline, path), in_place=True))

    def announce(self, path: Path, genres: tuple[str, ...], *, reason: str) -> int | None:
        """Note in the history that another program is about to write our genres into a file.

        Args:
            path: the file.
            genres: as they will be read back.
            reason: why, in words.

        Returns:
            The number of the write, for `settle`; None where the file has these genres already.

        Raises:
            FileError: the file cannot be read, so that what it holds could not be put back.
        """

        def work(pipeline: Pipeline, run: Run) -> int | None:
            listener, writer = pipeline.listener, pipeline.writer
            track = _read(pipeline, path)
            if track.genres.values == genres:
                return None
            return writer.announce(track, genres, run_id=run.id, model=listener.name, reason=reason)

        return self._call(work)

    def settle(self, write_id: int) -> None:
        """Look whether a write that was announced took place, and record what the file holds now."""
        self._call(lambda pipeline, _: wait_for(pipeline.writer.settle(write_id)))

    def write(self, path: Path, genres: tuple[str, ...], *, reason: str) -> int | None:
        """Write genres by genretagger's own protocol: a copy takes the place of the file.

        Returns:
            The number of the write; None if the file has these genres already.

        Raises:
            FileError: nothing was written, and the reason.
        """

        def work(pipeline: Pipeline, run: Run) -> int | None:
            listener, writer = pipeline.listener, pipeline.writer
            file = Found(path, path.parent)
            track = _read(pipeline, path)
            if refusal := writer.refusal(file, track):
                raise WriteRefusedError(refusal, path=path)
            if track.genres.values == genres:
                return None
            wait_for(writer.write(file, track, genres, run_id=run.id, model=listener.name, reason=reason))
            last = pipeline.store.writes.get_last(path, track.payload_hash)
            return last.id if last is not None else None

        return self._call(work)

    def may_have_given(self, genres: tuple[str, ...]) -> bool:
        """Whether genretagger ever wrote these genres into any file; asked before a file is read to find out more."""
        database = self.settings.database
        if isinstance(database, Path) and not database.exists():
            return False

        def work(pipeline: Pipeline, _: Run) -> bool:
            if self._given is None:
                self._given = {spelt(write.after.values) for write in pipeline.store.writes.get_all() if write.model}
            return spelt(genres) in self._given

        return self._call(work)

    def account(self, path: Path, number: int, genres: tuple[str, ...]) -> Account:
        """Say whose the genres of a file are, by the history of its audio.

        Args:
            path: the file.
            number: of our last write to it, as another program noted it; 0 if it did not. It finds the history of a
                file whose audio was converted since.
            genres: as the other program spells them, which may have read a joined field as several values.

        Raises:
            FileError: the file cannot be read.
        """

        def work(pipeline: Pipeline, run: Run) -> Account:
            track = _read(pipeline, path)
            trail = history.trail(pipeline, track, number)
            return history.account(trail, track.genres.values, genres, pipeline.ownership.reason(track, run))

        return self._call(work)

    def undo(
        self, path: Path, genres: tuple[str, ...], number: int, *, write: bool, pretend: bool = False
    ) -> tuple[str, ...]:
        """Put back the genre that a file had before genretagger first wrote it, unless somebody changed it since.

        What somebody chose between two of our writes is what comes back. The file may have been moved or converted.

        Args:
            path: the file.
            genres: ours, as the other program has them.
            number: of our last write to it, see `account`.
            write: put it back in the file; otherwise only say what the file had.
            pretend: check whether that can be done, and do not do it.

        Returns:
            The genres that the file had; those that it has, if ours are not in it.

        Raises:
            FileError: nothing was written, and the reason: it cannot be, or the history knows nothing of these genres.
        """

        def work(pipeline: Pipeline, run: Run) -> tuple[str, ...]:
            track = _read(pipeline, path)
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
            file = Found(path, path.parent)
            if write and (refusal := pipeline.writer.refusal(file, track)):
                raise WriteRefusedError(refusal, path=path)
            if write and not pretend:
                for back in history.ways_back(trail, track, steps):
                    again = _read(pipeline, path)
                    wait_for(pipeline.writer.write(file, again, back.field, run_id=run.id, **back.noted()))
            return steps[-1].before.values

        return self._call(work)

    def close(self) -> None:
        """End the run, the children and the thread; what is being heard is dropped."""
        with self._changed:
            self._closed = True
            if not self._stop.done():
                self._stop.set_result(None)
            self._changed.notify_all()
            begun = self._thread.ident is not None
        if begun:
            self._thread.join()

    def _call(self, work: Callable[[Pipeline, Run], _Result]) -> _Result:
        """Have a short request served, and wait for it."""
        answer: Future[_Result] = Future()

        def serve(pipeline: Pipeline, run: Run) -> None:
            try:
                answer.set_result(work(pipeline, run))
            except BaseException as error:  # noqa: BLE001 - it is raised in the thread that asked
                answer.set_exception(error)

        self._submit(self._short, _Request(serve, answer.set_exception))
        return answer.result()

    def _submit(self, requests: list[_Request], request: _Request) -> None:
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

    def _next(self) -> _Request | None:
        """Wait for a request; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._short or self._long or self._closed)
            for requests in (self._short, self._long):
                if requests and not (self._closed and requests is self._long):
                    return requests.pop(0)
            return None

    def _serve(self, pipeline: Pipeline, run: Run) -> None:
        """Serve the short requests that came meanwhile: writes must not wait for the next album to be heard."""
        while True:
            with self._changed:
                if not self._short:
                    return
                request = self._short.pop(0)
            request.serve(pipeline, run)


def _read(pipeline: Pipeline, path: Path) -> Track:
    """Read what a file is, unless the database knows.

    Raises:
        FileError: it cannot be read.
    """
    return wait_for(pipeline.knowledge.track(path, anew=False))


def _heard(pipeline: Pipeline, run: Run, outcome: Outcome) -> Heard:
    """Add what the history and the settings say of a file."""
    if outcome.status is Status.FAILED:
        return Heard(outcome)
    store = pipeline.store
    try:
        track = _read(pipeline, outcome.path)
        owned = pipeline.ownership.reason(track, run)
    except FileError as error:
        return Heard(pipeline.failed(outcome.path, error, run))
    genres = track.genres.values
    ours = ours_among(genres, store.writes.get_history(track.path, track.payload_hash))
    return Heard(outcome, bool(ours) and ours == genres, owned)
