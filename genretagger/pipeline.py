"""The flow, and the only file that knows it:

    path → audio → mel windows → activations → track scores → genres (with a reason)
         → database → tags

Each file goes through `_begin`: what is it (`knowledge`), is its genre ours to write and may we
write to it (`verdict`), what is to be heard in it (`knowledge` again). There it waits for the
others of its album. Then comes `_end`: decide on it, with its album (`together`), see what follows
for its tags (`verdict` again), write them (`writer`). The order at the end is always: store the
result, announce the write, write the tags, mark as written; a kill between any two of them is
settled at the next start (`recover`).

`Hearing` holds what listens and changes no file, and `Rewriting` what needs no model. Whatever
happens with one file, the others go on: see `steps.one_file`.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from genretagger.addresses import absolute
from genretagger.causes import Reason
from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.errors import FileError, NotAllowedError, SystemFaultError
from genretagger.files.discover import Found
from genretagger.files.replace import stamp_of
from genretagger.model.installed import InstalledModel
from genretagger.model.listener import Listener
from genretagger.model.store import DEFAULT, ModelStore
from genretagger.steps.by_request import ByRequest
from genretagger.steps.hearing import Hearing
from genretagger.steps.one_file import safely
from genretagger.steps.ownership import Ownership
from genretagger.steps.plan.entry import planned
from genretagger.steps.rewriting import Rewriting
from genretagger.steps.run import Run
from genretagger.steps.schedule import Flow, Kept, Then, in_groups, wait_for
from genretagger.steps.together import ByFolder, Each, Grouping, Together
from genretagger.steps.verdict import Verdicts, unheard
from genretagger.types import Albums, Decision, Frames, Outcome, Stamp, Status, Track
from genretagger.worker.pool import WorkerPool

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")

Progress = Callable[[str, int, int | None], None]
"""Called with the current stage, how much of it is done, and of how much."""


class Pipeline(Hearing):
    """All stages, ready for use; made by `open_pipeline`.

    A front end that writes by its own rules uses `by_request`; see `genretagger.beets`.

    Args:
        settings: how to listen, decide and write.
        store: the database.
        workers: the child processes.
        listener: the model, loaded when first needed.
    """

    def __init__(self, settings: Settings, store: Store, workers: WorkerPool, listener: Listener) -> None:
        super().__init__(settings, store, workers, listener)
        self.ownership = Ownership(settings, store.writes, store.tracks)
        self.verdicts = Verdicts(settings, self.ownership.reason)
        self.by_request = ByRequest(store.analyses, store.writes, self.writer, self.knowledge, listener)

    def decide(self, path: Path) -> Decision:
        """Say which genres one file should have. The file is listened to once, and never changed.

        Raises:
            GenretaggerError: the file cannot be read or heard, or the database cannot be used.
        """
        try:
            track = wait_for(self.knowledge.track(absolute(path), force=False))
            wait_for(self.knowledge.analysis(track, force=False))
            track = wait_for(self.knowledge.with_credits(track))
        except FileError as error:
            error.path = error.path or path
            raise
        albums = Each() if self._settings.album is Albums.EACH else ByFolder()
        together = Together(self.knowledge, albums, [track], is_written=lambda _: False, force=False)
        return wait_for(together.decision(track))

    def tag_file(self, path: Path, *, dry_run: bool = False) -> Outcome:
        """Take one file through all stages, in its own run that `genretagger undo` can take back.

        Args:
            path: the file.
            dry_run: whether to write nothing.

        Raises:
            GenretaggerError: the database or the model cannot be used; what is wrong with the file
                is in the outcome.
        """
        run = self.begin("tag", dry_run=dry_run)
        path = absolute(path)
        (outcome,) = self.tag([Found(path, path.parent)], run, stop=Future())
        self.finish(run)
        return outcome

    def tag(
        self, files: Iterable[Found], run: Run, *, stop: Future[None], grouping: Grouping | None = None
    ) -> Iterator[Outcome]:
        """Take files through all stages, several at a time.

        Args:
            files: what to listen to; may be endless. Those of an album come one after the other.
            run: from `begin`.
            stop: when done, the run ends soon, and with it the child processes; writes that were
                begun are finished.
            grouping: knows the albums; None to find them by folder and tags. If the settings want
                each track decided by itself, there are none.

        Yields:
            What became of each file, in the order in which they end.
        """
        albums = Each() if self._settings.album is Albums.EACH else grouping or ByFolder()

        def first(file: Found) -> Flow[Outcome | Kept[_Begun]]:
            return self._heard(file, run)

        def rest(begun: list[_Begun]) -> list[Flow[Outcome | Then[Outcome]]]:
            group = self._group([each.track for each in begun], albums, run)
            return [self._ended(each, group, albums, run) for each in begun]

        flows = in_groups(files, place=lambda file: albums.place(file.path), begin=first, follow=rest)
        yield from self._run(flows, stop)

    def unheard(self, file: Found, run: Run) -> Unheard | None:
        """Take one file as far as the model: what `tag` would send it; None if there is nothing.

        For a front end that runs the model elsewhere: it stores what that said by
        `Knowledge.keep_heard`, and has `tag` do the rest, which then finds everything in the
        database. So a failure is left to `tag` as well.
        """

        def work() -> Flow[Unheard | None]:
            track = yield from self._to_hear(file, run)
            if isinstance(track, Outcome) or self.knowledge.heard(track) is not None:
                return None
            frames = yield from self.knowledge.frames(track)
            return None if frames is None else Unheard(track, frames)

        return wait_for(safely(file.path, work, lambda _: None))

    def _heard(self, file: Found, run: Run) -> Flow[Outcome | Kept[_Begun]]:
        """Take one file up to the wait for the rest of its album; record a failure."""
        started = time.monotonic()
        end = yield from safely(file.path, partial(self._begin, file, run), self._failing(file, run))
        seconds = time.monotonic() - started
        if isinstance(end, Track):
            return Kept(_Begun(file, end, seconds))
        return replace(end, model=self.listener.name, dry_run=run.dry_run, seconds=seconds)

    def _ended(self, begun: _Begun, group: Together, albums: Grouping, run: Run) -> Flow[Outcome | Then[Outcome]]:
        """Finish one file after it and the rest of its album were heard; record a failure."""
        started, file, known = time.monotonic(), begun.file, iter([begun.track])

        def work() -> Flow[Outcome]:
            track = next(known, None)
            if track is not None:
                return (yield from self._end(file, track, group, run))
            again = yield from self._begin(file, run)  # somebody changed it while it waited
            if isinstance(again, Outcome):
                return again
            return (yield from self._end(file, again, self._group([again], albums, run), run))

        outcome = yield from safely(file.path, work, self._failing(file, run))
        seconds = begun.seconds + time.monotonic() - started
        return replace(outcome, model=self.listener.name, dry_run=run.dry_run, seconds=seconds)

    def _failing(self, file: Found, run: Run) -> Callable[[FileError], Outcome]:
        stamp = _stamp(file.path)
        return lambda error: self.failed(file.path, error, run, stamp)

    def _group(self, tracks: Iterable[Track], albums: Grouping, run: Run) -> Together:
        is_written = (lambda _: False) if run.hear_only else self.ownership.is_written
        return Together(self.knowledge, albums, tracks, is_written=is_written, force=run.force)

    def _begin(self, file: Found, run: Run) -> Flow[Outcome | Track]:
        """Find out what a file is, and listen to it if its genre is ours to write."""
        track = yield from self._to_hear(file, run)
        if isinstance(track, Outcome):
            return track
        try:
            yield from self.knowledge.analysis(track, force=run.force)
        except FileError as error:
            if run.hear_only:
                raise
            return _outcome(track, *unheard(error))
        return (yield from self.knowledge.with_credits(track))

    def _to_hear(self, file: Found, run: Run) -> Flow[Outcome | Track]:
        """Find out what a file is, and whether its genre is ours to write."""
        track = yield from self.knowledge.track(file.path, force=run.force)
        if not run.hear_only and (verdict := self.verdicts.before(file, track, run)):
            shown = self.knowledge.shown_decision(track) if verdict[0] is Status.UNCHANGED else None
            return _outcome(track, *verdict, shown)
        return track

    def _end(self, file: Found, track: Track, group: Together, run: Run) -> Flow[Outcome]:
        """Decide on a file that was heard, and do what follows."""
        decision = yield from group.decision(track)
        if run.hear_only:
            status = Status.TAGGED if decision.genres else Status.SKIPPED
            return _outcome(track, status, decision.reason, decision, genres=decision.genres)
        return (yield from self._changed(file, track, decision, run))

    def _changed(self, file: Found, track: Track, decision: Decision, run: Run) -> Flow[Outcome]:
        """Plan or write what follows from a decision for the tags of a file."""
        status, reason, wanted = self.verdicts.after(track, decision)
        if status is not Status.TAGGED:
            return _outcome(track, status, reason, decision)
        if run.plan is not None:
            run.plan(planned(file.root, track, wanted, decision, model=self.listener.name))
        elif not run.dry_run:
            model = self.listener.name
            try:
                yield from self.writer.write(file, track, wanted, run_id=run.id, model=model, reason=reason)
            except NotAllowedError as refusal:  # which only a try could show
                return _outcome(track, Status.SKIPPED, refusal.reason)
        return _outcome(track, status, reason, decision, genres=wanted)

    def failed(self, path: Path, error: FileError, run: Run, stamp: Stamp | None = None) -> Outcome:
        """Record why a file, or a folder, could not be handled.

        Args:
            path: the file or folder; a folder is not a track, so its failure is reported and not
            kept. error: what happened. run: the run that met it. stamp: what `stat` said before the
            attempt: a file that was completed since is another
                one.
        """
        # what the system failed at says nothing about the file, which is tried again as if nothing
        # had been
        of_file = not isinstance(error, SystemFaultError)
        if of_file and not os.path.isdir(path):  # noqa: PTH112 - is_dir() raises where a folder above it is closed
            self.store.tracks.save_failure(path, stamp, error)
        return Outcome(path, Status.FAILED, error.reason, model=self.listener.name, dry_run=run.dry_run, error=error)


@dataclass(frozen=True, slots=True)
class Unheard:
    """A track that the model has to listen to, and what it has to hear."""

    track: Track
    frames: Frames


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
def open_rewriting(settings: Settings, *, create: bool = True) -> Iterator[Rewriting]:
    """Open the database and the child processes, for what needs no model.

    Args:
        settings: from `config.load`.
        create: make the database, if there is none.

    Raises:
        GenretaggerError: the database cannot be opened.
    """
    with (
        Store.open(settings.database, create=create, libraries=settings.libraries) as store,
        WorkerPool.of(settings) as workers,
    ):
        rewriting = Rewriting(settings, store, workers)
        rewriting.recover()
        yield rewriting


@contextmanager
def open_pipeline(
    settings: Settings,
    *,
    notice: Callable[[str], None] = _log.info,
    progress: Progress = lambda *_: None,
    workers: WorkerPool | None = None,
) -> Iterator[Pipeline]:
    """Open the database, the model (fetching the default one on first use) and the child processes.

    Args:
        settings: from `config.load`.
        workers: the child processes, if the caller has started and will close them.
        notice: called with what a person should know.
        progress: called with the progress of the model's installation.

    Raises:
        GenretaggerError: the database or the model cannot be opened.
    """
    with ExitStack() as stack:
        model = _installed(settings, notice, progress)
        store = stack.enter_context(Store.open(settings.database, libraries=settings.libraries))
        workers = workers or stack.enter_context(WorkerPool.of(settings))
        listener = Listener(settings, model, notice)
        stack.callback(listener.close)
        pipeline = Pipeline(settings, store, workers, listener)
        pipeline.recover()
        yield pipeline


def _installed(settings: Settings, notice: Callable[[str], None], progress: Progress) -> InstalledModel:
    """The model that the settings name; the default one is fetched on first use."""
    models = ModelStore(settings.models_dir)
    if settings.model == DEFAULT and settings.model not in {model.name for model in models.installed()}:
        notice(f"fetching the model {settings.model}, once")
        models.pull(settings.model, progress=progress)
    return models.get(settings.model)
