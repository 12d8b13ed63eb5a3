"""The flow, and the only file that knows it:

    path → audio → mel windows → activations → track scores → genres (with a reason) → database → tags

Each file goes through `_begin`: what is it (`knowledge`), is its genre ours to write (`ownership`), what is to be heard
in it (`knowledge` again). It waits there for the others of its album. Then comes `_end`: decide on all of them
(`together`), what follows for the tags of each, write them (`writer`). The order at the end is always: store the
result, announce the write, write the tags, mark as written; a kill between any two of them is settled at the next start
(`recover`).

A failure is recorded in `_safely`, per file, and the others go on.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from genretagger.causes import Cause, Reason, because
from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.errors import (
    BugError,
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
from genretagger.steps.schedule import Flow, Kept, Then, in_groups, interleave
from genretagger.steps.together import ByFolder, Each, Grouping, Together
from genretagger.steps.writer import Writer
from genretagger.tags.api import fault_of_names
from genretagger.text import printable
from genretagger.types import Albums, Decision, Heard, Outcome, Stamp, Status, Track
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
        number = self.store.begin_run(command, self._settings.recorded())
        return Run(number, dry_run or plan is not None or hear_only, force, plan, once, hear_only)

    def finish(self, run: Run) -> None:
        """End a run."""
        self.store.finish_run(run.id)

    def tag(
        self, files: Iterable[Found], run: Run, *, stop: Future[None], grouping: Grouping | None = None
    ) -> Iterator[Outcome]:
        """Take files through all stages, several at a time.

        Args:
            files: what to listen to; may be endless. Those of an album come one after the other.
            run: from `begin`.
            stop: when done, the run ends soon, and with it the child processes; writes that were begun are finished.
            grouping: knows the albums; None to find them by folder and tags, if the settings ask for it.

        Yields:
            What became of each file, in the order in which they end.
        """
        if self._settings.album is Albums.EACH:
            albums: Grouping = Each()
        else:
            albums = grouping or ByFolder()

        def first(file: Found) -> Flow[Outcome | Kept[_Begun]]:
            return self._first(file, run)

        def rest(begun: list[_Begun]) -> list[Flow[Outcome | Then[Outcome]]]:
            return self._rest(begun, albums, run)

        flows = in_groups(files, place=lambda file: albums.place(file.path), begin=first, follow=rest)
        yield from self._together(flows, stop)

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
        heard: Iterator[Heard | FileError] = self._together((self._heard(file, worth) for file in files), stop)
        yield from heard

    def _together(self, flows: Iterable[Flow[_Result | Then[_Result]]], stop: Future[None]) -> Iterator[_Result]:
        yield from interleave(flows, width=2 * self._settings.worker_count + 1, stop=stop)
        if stop.done():
            self._workers.close(finish=False)  # what they still decode, nobody waits for

    def _begin(self, file: Found, run: Run) -> Flow[Outcome | Track]:
        """Find out what a file is, and listen to it if its genre is ours to write."""
        track = yield from self.knowledge.track(file.path, anew=run.force)
        if not run.hear_only:
            if reason := self.ownership.reason(track, run):
                return _outcome(track, Status.UNCHANGED, reason, self.knowledge.shown_decision(track))
            if reason := self._unfit(file, track):
                return _outcome(track, Status.SKIPPED, reason)
            see_free(file.path)
        try:
            yield from self.knowledge.analysis(track, anew=run.force)
        except TooShortError as error:
            if run.hear_only:
                raise
            return _outcome(track, Status.SKIPPED, because(error.why, says=error.cause))
        return (yield from self.knowledge.with_credits(track))

    def _end(self, file: Found, track: Track, decision: Decision, run: Run) -> Flow[Outcome]:
        """Do what follows from a decision."""
        if run.hear_only:
            status = Status.TAGGED if decision.genres else Status.SKIPPED
            return _outcome(track, status, decision.reason, decision, genres=decision.genres)
        if not decision.genres:
            return _outcome(track, Status.SKIPPED, decision.reason, decision)
        wanted = self._wanted(track, decision)
        if wanted == track.genres.values:
            return _outcome(track, Status.UNCHANGED, decision.reason, decision)
        if fault := fault_of_names(wanted):
            return _outcome(track, Status.SKIPPED, because(Cause.BAD_NAMES, fault=fault), decision)
        if run.plan is not None:
            run.plan(planned(file.root, track, wanted, decision, model=self.listener.name))
        elif not run.dry_run:
            model, reason = self.listener.name, decision.reason
            try:
                yield from self.writer.write(file, track, wanted, run_id=run.id, model=model, reason=reason)
            except NotAllowedError as refusal:  # which only a try could tell
                return _outcome(track, Status.SKIPPED, refusal.reason)
        return _outcome(track, Status.TAGGED, decision.reason, decision, genres=wanted)

    def _unfit(self, file: Found, track: Track) -> Reason | None:
        """Say why a file is left out by the settings or the container; None where nothing speaks against it."""
        if track.duration_s is not None and track.duration_s < self._settings.min_duration_s:
            return because(Cause.TOO_SHORT, least_s=self._settings.min_duration_s)
        return self.writer.refusal(file, track)

    def _wanted(self, track: Track, decision: Decision) -> tuple[str, ...]:
        """The genres that the file shall have, by the policy."""
        rules = self._settings
        return merged(track.genres.values, decision.genres, rules.policy, rules.protect, vocabulary())

    def _first(self, file: Found, run: Run) -> Flow[Outcome | Kept[_Begun]]:
        """Take one file to where it waits for the others of its album."""
        started = time.monotonic()

        def begin() -> Flow[Outcome | Track]:
            try:
                return (yield from self._begin(file, run))
            except FileChangedError:  # by somebody, perhaps another genretagger: once more
                return (yield from self._begin(file, run))

        end = yield from self._safely(file, run, begin())
        seconds = time.monotonic() - started
        return self._told(end, run, seconds) if isinstance(end, Outcome) else Kept(_Begun(file, end, seconds))

    def _rest(self, begun: Sequence[_Begun], albums: Grouping, run: Run) -> list[Flow[Outcome | Then[Outcome]]]:
        """Take the files of an album, all of which were heard, to their ends."""
        group = self._group([each.track for each in begun], albums, run)
        return [self._last(each, group, albums, run) for each in begun]

    def _last(self, begun: _Begun, group: Together, albums: Grouping, run: Run) -> Flow[Outcome | Then[Outcome]]:
        """Take one file that was heard to its end."""
        started, file = time.monotonic(), begun.file

        def end() -> Flow[Outcome]:
            try:
                return (yield from self._end(file, begun.track, group.decision(begun.track), run))
            except FileChangedError:  # once more, from the top
                track = yield from self._begin(file, run)
                if isinstance(track, Outcome):
                    return track
                decision = self._group([track], albums, run).decision(track)
                return (yield from self._end(file, track, decision, run))

        outcome = yield from self._safely(file, run, end())
        return self._told(outcome, run, begun.seconds + time.monotonic() - started)

    def _group(self, tracks: Iterable[Track], albums: Grouping, run: Run) -> Together:
        is_written = (lambda _: False) if run.hear_only else self.ownership.is_written
        return Together(self.knowledge, albums, tracks, is_written=is_written, anew=run.force)

    def _told(self, outcome: Outcome, run: Run, seconds: float) -> Outcome:
        return replace(outcome, model=self.listener.name, seconds=seconds, dry_run=run.dry_run)

    def _safely(self, file: Found, run: Run, flow: Flow[_Result]) -> Flow[_Result | Outcome]:
        """Carry one file on, whatever it is: a failure is recorded, and the others go on."""
        stamp = _stamp(file.path)
        try:
            return (yield from flow)
        except FileError as error:
            return self.failed(file.path, error, run, stamp)
        except GenretaggerError:
            raise  # the database or the model: no other file would fare better
        except Exception as error:
            if starved := _starved(error):
                raise starved from error
            _log.exception("%s", printable(file.path))
            bug = BugError(f"a bug: {type(error).__name__}: {error}", hint="Report it")
            return self.failed(file.path, bug, run, stamp)

    def _heard(self, file: Found, worth: Callable[[Heard], bool]) -> Flow[Heard | FileError | Then[Heard | FileError]]:
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
            self.store.save_failure(path, stamp, error)
        return Outcome(path, Status.FAILED, error.reason, model=self.listener.name, dry_run=run.dry_run, error=error)

    @property
    def provider(self) -> str:
        """The ONNX Runtime provider that the model runs on; empty until it is loaded."""
        return self.listener.provider


@dataclass(frozen=True, slots=True)
class _Begun:
    """A file that was heard, and waits for the others of its album; `seconds` were spent on it."""

    file: Found
    track: Track
    seconds: float


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
    reason: Reason,
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
