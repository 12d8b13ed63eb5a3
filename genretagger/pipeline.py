"""The flow, and the only file that knows it:

    path → audio → mel windows → activations → track scores → genres (with a reason) → database → tags

Each file goes through `_one` from top to bottom. What the database knows is not done again: a file with an unchanged
stamp is not opened, a track with a known payload hash is not listened to, a decision by unchanged rules is not made
anew. The order at the end is always: store the result, announce the write, write the tags, mark as written; a kill
between any two of them is settled at the next start (`recover`).

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

from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.database.values import Hearing, StoredAnalysis, StoredWrite, WriteState, ours_among
from genretagger.discover import Found
from genretagger.errors import FileChangedError, FileError, GenretaggerError
from genretagger.files import stamp_of
from genretagger.listener import Listener
from genretagger.model.store import DEFAULT, ModelStore
from genretagger.plan import Planned
from genretagger.schedule import Flow, Step, interleave, wait_for
from genretagger.text import printable
from genretagger.types import Credits, Decision, Heard, Outcome, Policy, Sound, Stamp, Status, Track
from genretagger.vocabulary.names import vocabulary
from genretagger.vocabulary.resolve import merged
from genretagger.worker.pool import Limits, WorkerPool
from genretagger.writer import Writer

_log = logging.getLogger(__name__)

_SILENT = Decision((), {}, "nothing but silence or steady noise")

Progress = Callable[[str, int, int | None], None]
"""Is told what is being done, how much of it is done, and of how much."""


EDITED = "it was handled before, and its tags were edited by another program since"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command over many files.

    Attributes:
        id: its number in the database; its writes belong to it.
        dry_run: listen and decide, but write no tag.
        force: listen again, and write also where the owner undid or edited what was written before.
        plan: is told of each change; then nothing is written, as in a dry run.
        once: leave the audio that was handled to its end before at its path, whatever was done to its tags since.
        hear_only: listen and decide, whatever the file has and whoever may write it: who asks has rules of its own.
    """

    id: int
    dry_run: bool = False
    force: bool = False
    plan: Callable[[Planned], None] | None = None
    once: bool = False
    hear_only: bool = False


class Pipeline:
    """The stages, ready for use; made by `open_pipeline`.

    Args:
        settings: how to listen, decide and write.
        store: the database.
        workers: the child processes.
        listener: the model, loaded when first needed.
    """

    def __init__(self, settings: Settings, store: Store, workers: WorkerPool, listener: Listener) -> None:
        self._settings = settings
        self._store = store
        self._workers = workers
        self._listener = listener
        self._writer = Writer(settings, store, workers)
        self._model_id = store.model_id(listener.name, listener.fingerprint, listener.labels)

    @property
    def store(self) -> Store:
        """The database, for what a front end keeps there."""
        return self._store

    @property
    def provider(self) -> str:
        """The ONNX Runtime provider that the model runs on; empty until it is loaded."""
        return self._listener.provider

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
        number = self._store.begin_run(command, self._settings.recorded())
        return Run(number, dry_run or plan is not None or hear_only, force, plan, once, hear_only)

    @property
    def genres(self) -> Sequence[str]:
        """Every genre that the model can hear."""
        return self._listener.genres

    def recover(self) -> None:
        """Settle the writes that a kill interrupted: what is in the file decides."""
        self._writer.recover()

    def finish(self, run: Run) -> None:
        """End a run."""
        self._store.finish_run(run.id)

    def tag(self, files: Iterable[Found], run: Run, *, stop: Future[None]) -> Iterator[Outcome]:
        """Take files through all stages, several at a time.

        Args:
            files: what to listen to; may be endless.
            run: from `begin`.
            stop: when done, the run ends soon, and with it the child processes; writes that were begun are finished.

        Yields:
            What became of each file, in the order in which they end.
        """
        flows = (self._safely(file, run) for file in files)
        yield from interleave(flows, width=2 * self._settings.worker_count + 1, stop=stop)
        if stop.done():
            self._workers.close(finish=False)  # what they still decode, nobody waits for

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
        flows = (self._heard(file, worth) for file in files)
        yield from interleave(flows, width=2 * self._settings.worker_count + 1, stop=stop)
        if stop.done():
            self._workers.close(finish=False)

    def _heard(self, file: Found, worth: Callable[[Heard], bool]) -> Flow[Heard | FileError]:
        run = Run(0, dry_run=True)
        try:
            track = yield from self._track(file, run)
            ours = ours_among(track.genres.values, self._store.history(track.path, track.payload_hash))
            unheard = Heard(track, Credits(), None, _SILENT, ours)
            if not worth(unheard):
                return unheard
            credits: Credits = yield Step(self._workers.credit(track.path))
            analysis = yield from self._analysis(track, run)
        except FileError as error:
            error.path = error.path or file.path
            return error
        activations = analysis.activations
        decision = _SILENT if activations is None else self._listener.decide(activations)
        return Heard(track, credits, activations, decision, ours)

    def _one(self, file: Found, run: Run) -> Flow[Outcome]:
        """Take one file from top to bottom."""
        track = yield from self._track(file, run)
        if run.hear_only:
            decision = yield from self._decision(track, run)
            status = Status.TAGGED if decision.genres else Status.SKIPPED
            return _outcome(track, status, decision.reason, decision, genres=decision.genres)
        if reason := self._owned(track, run):
            return _outcome(track, Status.UNCHANGED, reason, self._known_decision(track))
        if run.once and self._store.handled(track.path, track.payload_hash) == self._settings.rules_key:
            return _outcome(track, Status.UNCHANGED, EDITED, self._known_decision(track))
        if track.duration_s is not None and track.duration_s < self._settings.min_duration_s:
            return _outcome(track, Status.SKIPPED, f"it is shorter than {self._settings.min_duration_s:g} s")
        if reason := self._writer.refusal(file, track):
            return _outcome(track, Status.SKIPPED, reason)
        decision = yield from self._decision(track, run)
        if not decision.genres:
            return _outcome(track, Status.SKIPPED, decision.reason, decision)
        wanted = merged(
            track.genres.values, decision.genres, self._settings.policy, self._settings.protect, vocabulary()
        )
        if wanted == track.genres.values:
            return _outcome(track, Status.UNCHANGED, decision.reason, decision)
        reason, model = decision.reason, self._listener.name
        if run.plan is not None:
            run.plan(
                Planned(
                    path=track.path,
                    root=file.root,
                    stamp=track.stamp,
                    payload_hash=track.payload_hash,
                    before=track.genres,
                    after=wanted,
                    proposed=wanted,
                    scores=decision.scores,
                    reason=reason,
                    model=model,
                )
            )
        elif not run.dry_run:
            yield from self._writer.write(file, track, wanted, run_id=run.id, model=model, reason=reason)
        return _outcome(track, Status.TAGGED, decision.reason, decision, genres=wanted)

    def _track(self, file: Found, run: Run) -> Flow[Track]:
        """Read what a file is, unless the database knows and nobody touched the file since."""
        stamp = stamp_of(file.path)
        if not run.force:
            failure = self._store.known_failure(file.path, stamp)
            if failure is not None and not failure.retry:
                raise failure.error
            known = self._store.known_track(file.path, stamp)
            if known is not None and failure is None:
                return known
        track: Track = yield Step(self._workers.inspect(file.path, options=self._writer.options))
        self._store.save_track(track)
        return track

    def _owned(self, track: Track, run: Run) -> str:
        """Say why the genres are the owner's business and not ours; empty where they are not."""
        if self._settings.policy is Policy.KEEP and track.genres.values and not run.hear_only:
            return "it has a genre"
        last = None if run.force else self._store.last_write(track.path, track.payload_hash)
        if last is None:
            return ""
        undone = last.undo_of is not None or last.state is WriteState.UNDONE
        if last.path != track.path and (os.path.lexists(last.path) or not (undone or self._was_moved(last, track))):
            return ""  # a copy is a file of its own
        if undone:
            return "its genre was undone; --force tags it again"
        if not last.model:
            return "you chose its genre in a plan; --force tags it again"
        if last.after.values != track.genres.values:
            _same(track)  # another genretagger may have written it, after we read it
            return "its genre was changed after genretagger wrote it, so it is yours; --force tags it again"
        return ""

    def _was_moved(self, last: StoredWrite, track: Track) -> bool:
        """Whether a track is the file that was written under a path where nothing lies now, and no newer copy of it."""
        if track.stamp.inode == self._store.inode_at(last.path):
            return True
        now = track.genres.values  # on another disk: somebody chose what is neither ours nor from before
        return bool(now) and now not in (last.before.values, last.after.values)

    def _known_decision(self, track: Track) -> Decision | None:
        """Give the decision that was made by the present model, windows and rules, if there is one."""
        listener = self._listener
        stored = self._store.decision(track.payload_hash, listener.fingerprint, listener.plan)
        return stored.decision if stored is not None and stored.settings == listener.rules_key else None

    def _decision(self, track: Track, run: Run) -> Flow[Decision]:
        """Choose the genres, listening only where nobody has listened by this plan."""
        known = None if run.force else self._known_decision(track)
        if known is not None:
            return known
        analysis = yield from self._analysis(track, run)
        if analysis.activations is None:
            return _SILENT
        listener = self._listener
        decision = listener.decide(analysis.activations)
        self._store.save_decision(
            track.payload_hash, self._model_id, listener.plan, decision, settings=listener.rules_key
        )
        return decision

    def _analysis(self, track: Track, run: Run) -> Flow[StoredAnalysis]:
        """Give what was heard in a track; its activations are None where there is nothing to hear.

        Raises:
            FileError: it cannot be heard.
        """
        where = (track.payload_hash, self._listener.fingerprint, self._listener.plan)
        analysis = None if run.force else self._store.analysis(*where) or self._derived(track)
        if analysis is None:
            yield from self._listen(track)
            analysis = self._store.analysis(*where)
        if analysis is None or (analysis.activations is None and analysis.hearing is not Hearing.SILENT):
            raise (analysis and analysis.error) or FileError("it could not be heard", path=track.path)
        return analysis

    def _derived(self, track: Track) -> StoredAnalysis | None:
        """What a learned model says of a track that its backbone heard already."""
        below = self._listener.backbone
        heard = self._store.analysis(track.payload_hash, below, self._listener.plan) if below else None
        if heard is None or heard.activations is None:
            return heard
        activations = self._listener.derive(heard.activations)
        where = (track.payload_hash, self._model_id, self._listener.plan)
        self._store.save_analysis(*where, activations, seconds=0.0)
        return self._store.analysis(track.payload_hash, self._listener.fingerprint, self._listener.plan)

    def _listen(self, track: Track) -> Flow[None]:
        """Decode, compute the mel windows, run the model, and store what it said."""
        started = time.monotonic()
        where = (track.payload_hash, self._model_id, self._listener.plan)
        try:
            sound: Sound = yield Step(self._workers.decode(track.path, **self._listener.request))
        except FileError as error:
            _same(track)
            self._store.save_unheard(*where, error, seconds=time.monotonic() - started)
            raise
        _same(track)
        activations = self._listener.hear(sound) if sound.windows else None
        if activations is None:
            self._store.save_unheard(*where, None, seconds=time.monotonic() - started)
        else:
            self._store.save_analysis(*where, activations, seconds=time.monotonic() - started)

    @property
    def parts(self) -> tuple[Store, Listener, Writer]:
        """What the stages work with, for a front end that writes by rules of its own; see `genretagger.beets`."""
        return self._store, self._listener, self._writer

    def read(self, path: Path, run: Run) -> Track:
        """Read what one file is, unless the database knows.

        Raises:
            FileError: it cannot be read.
        """
        return wait_for(self._track(Found(path, path.parent), run))

    def owned(self, track: Track, run: Run) -> str:
        """Say why the history leaves the genre of a track to its owner; empty where it does not."""
        return self._owned(track, run)

    def _safely(self, file: Found, run: Run) -> Flow[Outcome]:
        """Take one file from top to bottom, whatever it is: a failure is recorded, and the others go on."""
        started, stamp = time.monotonic(), _stamp(file.path)
        try:
            outcome = yield from self._patiently(file, run)
        except FileError as error:
            outcome = self.failed(file.path, error, run, stamp)
        except GenretaggerError:
            raise  # the database or the model: no other file would fare better
        except Exception as error:  # noqa: BLE001 - the one broad catch: a bug met in one file must not end the service
            _log.exception("%s", printable(file.path))
            bug = FileError(f"a bug: {type(error).__name__}: {error}", hint="Report it")
            outcome = self.failed(file.path, bug, run, stamp)
        seconds = time.monotonic() - started
        return replace(outcome, model=self._listener.name, seconds=seconds, dry_run=run.dry_run)

    def _patiently(self, file: Found, run: Run) -> Flow[Outcome]:
        """Take one file from top to bottom, and once more where somebody, perhaps another genretagger, changed it."""
        try:
            return (yield from self._one(file, run))
        except FileChangedError:
            return (yield from self._one(file, run))

    def failed(self, path: Path, error: FileError, run: Run, stamp: Stamp | None = None) -> Outcome:
        """Record why a file, or a folder, could not be handled.

        Args:
            path: the file or folder; a folder is no track, so its failure is told and not kept.
            error: what happened.
            run: the run that met it.
            stamp: what `stat` said before the attempt: a file that was completed since is another one.
        """
        if not os.path.isdir(path):  # noqa: PTH112 - is_dir() raises where a folder above it is closed
            self._store.save_failure(path, stamp, error)
        return Outcome(path, Status.FAILED, str(error), model=self._listener.name, dry_run=run.dry_run)


def _same(track: Track) -> None:
    """See that a file is still the one that was read: what another says must not be kept for it.

    Raises:
        FileChangedError: it is not.
    """
    if stamp_of(track.path) != track.stamp:
        raise FileChangedError("the file changed since it was read", path=track.path, hint="It will be read again.")


def _stamp(path: Path) -> Stamp | None:
    try:
        return stamp_of(path)
    except FileError:
        return None


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
