"""The flow, and the only file that knows it:

    path → audio → mel windows → activations → track scores → genres (with a reason) → database → tags

Each file goes through `_one` from top to bottom: what is it (`knowledge`), is its genre ours to write (`ownership`),
what is to be heard in it (`knowledge` again), what follows for its tags, write them (`writer`). The order at the end is
always: store the result, announce the write, write the tags, mark as written; a kill between any two of them is settled
at the next start (`recover`).

A failure is recorded in `_safely`, per file, and the others go on.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.errors import (
    FileChangedError,
    FileError,
    GenretaggerError,
    NotAllowedError,
    SystemFaultError,
    TooShortError,
)
from genretagger.files.discover import Found
from genretagger.files.replace import see_free, stamp_of
from genretagger.model.listener import Listener
from genretagger.model.store import DEFAULT, ModelStore
from genretagger.steps.knowledge import Knowledge
from genretagger.steps.ownership import Ownership
from genretagger.steps.plan.entry import Planned, planned
from genretagger.steps.run import Run
from genretagger.steps.schedule import Flow, interleave
from genretagger.steps.writer import Writer
from genretagger.tags.api import fault_of_names
from genretagger.text import printable
from genretagger.types import Decision, Heard, Outcome, Stamp, Status, Track
from genretagger.vocabulary.names import vocabulary
from genretagger.vocabulary.resolve import merged
from genretagger.worker.limits import too_little_memory
from genretagger.worker.pool import Limits, WorkerPool

_log = logging.getLogger(__name__)
_PLENTY_MB = 1024
"""A limit on memory that leaves less than this is told of when memory runs out."""
_Result = TypeVar("_Result")

Progress = Callable[[str, int, int | None], None]
"""Is told what is being done, how much of it is done, and of how much."""


class Pipeline:
    """The stages, ready for use; made by `open_pipeline`.

    A front end that writes by rules of its own uses them one by one; see `genretagger.beets`.

    Args:
        settings: how to listen, decide and write.
        store: the database.
        workers: the child processes.
        listener: the model, loaded when first needed.
    """

    def __init__(self, settings: Settings, store: Store, workers: WorkerPool, listener: Listener) -> None:
        self._settings = settings
        self._workers = workers
        self.store = store
        self.listener = listener
        self.writer = Writer(settings, store, workers)
        self.knowledge = Knowledge(store, workers, listener, self.writer.options)
        self.ownership = Ownership(settings, store)

    def recover(self) -> None:
        """Settle the writes that a kill interrupted: what is in the file decides."""
        self.writer.recover()

    def begin(
        self,
        command: str,
        *,
        dry_run: bool = False,
        force: bool = False,
        plan: Callable[[Planned], None] | None = None,
        once: bool = False,
        hear_only: bool = False,
    ) -> Run:
        """Begin a run, whose writes can be undone together; see `Run`."""
        number = self.store.runs.begin(command, self._settings.recorded())
        return Run(number, dry_run or plan is not None or hear_only, force, plan, once, hear_only)

    def finish(self, run: Run) -> None:
        """End a run."""
        self.store.runs.finish(run.id)

    def tag(self, files: Iterable[Found], run: Run, *, stop: Future[None]) -> Iterator[Outcome]:
        """Take files through all stages, several at a time.

        Args:
            files: what to listen to; may be endless.
            run: from `begin`.
            stop: when done, the run ends soon, and with it the child processes; writes that were begun are finished.

        Yields:
            What became of each file, in the order in which they end.
        """
        yield from self._together((self._safely(file, run) for file in files), stop)

    def hear(
        self, files: Iterable[Found], *, worth: Callable[[Heard], bool], stop: Future[None]
    ) -> Iterator[Heard | FileError]:
        """Learn all about tracks without changing any: listen where nobody has, and write nothing.

        Args:
            files: what to listen to.
            worth: told a track that nobody listened to yet; says whether to.
            stop: when done, the iteration ends soon.

        Yields:
            Each track, or why it cannot be heard, in the order in which they end.
        """
        yield from self._together((self._heard(file, worth) for file in files), stop)

    def _together(self, flows: Iterable[Flow[_Result]], stop: Future[None]) -> Iterator[_Result]:
        yield from interleave(flows, width=2 * self._settings.worker_count + 1, stop=stop)
        if stop.done():
            self._workers.close(finish=False)  # what they still decode, nobody waits for

    def _one(self, file: Found, run: Run) -> Flow[Outcome]:
        """Take one file from top to bottom."""
        track = yield from self.knowledge.track(file.path, anew=run.force)
        if run.hear_only:
            decision = yield from self.knowledge.decision(track, anew=run.force)
            status = Status.TAGGED if decision.genres else Status.SKIPPED
            return _outcome(track, status, decision.reason, decision, genres=decision.genres)
        if reason := self.ownership.reason(track, run):
            return _outcome(track, Status.UNCHANGED, reason, self.knowledge.known_decision(track))
        if reason := self._unfit(file, track):
            return _outcome(track, Status.SKIPPED, reason)
        see_free(file.path)
        try:
            decision = yield from self.knowledge.decision(track, anew=run.force)
        except TooShortError as error:
            return _outcome(track, Status.SKIPPED, error.cause)
        if not decision.genres:
            return _outcome(track, Status.SKIPPED, decision.reason, decision)
        wanted = self._wanted(track, decision)
        if wanted == track.genres.values:
            return _outcome(track, Status.UNCHANGED, decision.reason, decision)
        if fault := fault_of_names(wanted):
            return _outcome(track, Status.SKIPPED, f"its genres cannot be written: {fault}", decision)
        if run.plan is not None:
            run.plan(planned(file.root, track, wanted, decision, model=self.listener.name))
        elif not run.dry_run:
            model, reason = self.listener.name, decision.reason
            try:
                yield from self.writer.write(file, track, wanted, run_id=run.id, model=model, reason=reason)
            except NotAllowedError as refusal:  # which only a try could tell
                return _outcome(track, Status.SKIPPED, str(refusal))
        return _outcome(track, Status.TAGGED, decision.reason, decision, genres=wanted)

    def _unfit(self, file: Found, track: Track) -> str:
        """Say why a file is left out by the settings or the container; empty where nothing speaks against it."""
        if track.duration_s is not None and track.duration_s < self._settings.min_duration_s:
            return f"it is shorter than {self._settings.min_duration_s:g} s"
        return self.writer.refusal(file, track)

    def _wanted(self, track: Track, decision: Decision) -> tuple[str, ...]:
        """The genres that the file shall have, by the policy."""
        rules = self._settings
        return merged(track.genres.values, decision.genres, rules.policy, rules.protect, vocabulary())

    def _safely(self, file: Found, run: Run) -> Flow[Outcome]:
        """Take one file from top to bottom, whatever it is: a failure is recorded, and the others go on."""
        started, stamp = time.monotonic(), _stamp(file.path)
        try:
            outcome = yield from self._patiently(file, run)
        except FileError as error:
            outcome = self.failed(file.path, error, run, stamp)
        except GenretaggerError:
            raise  # the database or the model: no other file would fare better
        except Exception as error:
            if starved := _starved(error):
                raise starved from error
            _log.exception("%s", printable(file.path))
            bug = FileError(f"a bug: {type(error).__name__}: {error}", hint="Report it")
            outcome = self.failed(file.path, bug, run, stamp)
        seconds = time.monotonic() - started
        return replace(outcome, model=self.listener.name, seconds=seconds, dry_run=run.dry_run)

    def _patiently(self, file: Found, run: Run) -> Flow[Outcome]:
        """Take one file from top to bottom, and once more where somebody, perhaps another genretagger, changed it."""
        try:
            return (yield from self._one(file, run))
        except FileChangedError:
            return (yield from self._one(file, run))

    def _heard(self, file: Found, worth: Callable[[Heard], bool]) -> Flow[Heard | FileError]:
        try:
            return (yield from self.knowledge.everything(file.path, worth))
        except FileError as error:
            error.path = error.path or file.path
            return error

    def failed(self, path: Path, error: FileError, run: Run, stamp: Stamp | None = None) -> Outcome:
        """Record why a file, or a folder, could not be handled.

        Args:
            path: the file or folder; a folder is no track, so its failure is told and not kept.
            error: what happened.
            run: the run that met it.
            stamp: what `stat` said before the attempt: a file that was completed since is another one.
        """
        # what the system failed at says nothing about the file, which is tried again as if nothing had been
        of_file = not isinstance(error, SystemFaultError)
        if of_file and not os.path.isdir(path):  # noqa: PTH112 - is_dir() raises where a folder above it is closed
            self.store.tracks.save_failure(path, stamp, error)
        return Outcome(path, Status.FAILED, str(error), model=self.listener.name, dry_run=run.dry_run, error=error)

    @property
    def provider(self) -> str:
        """The ONNX Runtime provider that the model runs on; empty until it is loaded."""
        return self.listener.provider


def _stamp(path: Path) -> Stamp | None:
    try:
        return stamp_of(path)
    except FileError:
        return None


def _starved(error: Exception) -> GenretaggerError | None:
    """What to say if this process, and not a child, lacks memory or a library: no other file would fare better."""
    said = (str(error).strip().splitlines() or [""])[-1].rstrip(". ")
    if isinstance(error, MemoryError) or "start new thread" in said:
        cause = "there is not enough memory"
    elif isinstance(error, ImportError):
        cause = f"a library cannot be loaded: {said}"
    else:
        return None
    if limit := too_little_memory(_PLENTY_MB):
        return GenretaggerError(f"{cause}; {limit}", hint="Raise it: `ulimit -v unlimited -d unlimited`.")
    return GenretaggerError(cause, hint="`genretagger doctor` looks for the cause; --jobs 1 needs less memory.")


def _outcome(
    track: Track,
    status: Status,
    reason: str,
    decision: Decision | None = None,
    *,
    genres: tuple[str, ...] | None = None,
) -> Outcome:
    return Outcome(
        track.path,
        status,
        reason,
        genres_before=track.genres.values,
        genres=track.genres.values if genres is None else genres,
        scores=decision.scores if decision else {},
    )


@contextmanager
def open_pipeline(settings: Settings, *, notice: Callable[[str], None], progress: Progress) -> Iterator[Pipeline]:
    """Open the database, the model (fetching the default one on first use) and the child processes.

    Args:
        settings: from `config.load`.
        notice: is told what a person should know.
        progress: is told how far the model's installation is.

    Raises:
        GenretaggerError: the database or the model cannot be had.
    """
    models = ModelStore(settings.models_dir)
    if settings.model == DEFAULT and settings.model not in {model.name for model in models.installed()}:
        notice(f"fetching the model {settings.model}, once")
        models.pull(settings.model, progress=progress)
    model = models.get(settings.model)
    limits = Limits(memory_mb=settings.memory_limit_mb, time_s=settings.time_limit_s)
    with Store.open(settings.database) as store, WorkerPool(settings.worker_count, limits) as workers:
        pipeline = Pipeline(settings, store, workers, Listener(settings, model, notice))
        pipeline.recover()
        yield pipeline
