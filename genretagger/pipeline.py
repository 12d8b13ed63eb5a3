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
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.database.values import Hearing, WriteState
from genretagger.discover import Found
from genretagger.errors import FileError, GenretaggerError
from genretagger.files import stamp_of
from genretagger.listener import Listener
from genretagger.model.store import PULLABLE, ModelStore
from genretagger.schedule import Flow, Step, interleave
from genretagger.text import printable
from genretagger.types import Decision, Outcome, Policy, Sound, Status, Track
from genretagger.vocabulary.names import key
from genretagger.worker.pool import Limits, WorkerPool
from genretagger.writer import Writer

_log = logging.getLogger(__name__)

Progress = Callable[[str, int, int | None], None]
"""Is told what is being done, how much of it is done, and of how much."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command over many files.

    Attributes:
        id: its number in the database; its writes belong to it.
        dry_run: listen and decide, but write no tag.
        force: listen again, and write also where the owner undid or edited what was written before.
    """

    id: int
    dry_run: bool = False
    force: bool = False


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

    def begin(self, command: str, *, dry_run: bool = False, force: bool = False) -> Run:
        """Begin a run, whose writes can be undone together."""
        return Run(self._store.begin_run(command, self._settings.recorded()), dry_run, force)

    def recover(self) -> None:
        """Settle the writes that a kill interrupted: what is in the file decides."""
        flows = (self._writer.settle(write) for write in self._store.pending_writes())
        for _ in interleave(flows, width=1, stop=Future()):
            pass

    def finish(self, run: Run) -> None:
        """End a run."""
        self._store.finish_run(run.id)

    def tag(self, files: Iterable[Found], run: Run, *, stop: Future[None]) -> Iterator[Outcome]:
        """Take files through all stages, several at a time.

        Args:
            files: what to listen to; may be endless.
            run: from `begin`.
            stop: when done, the run ends soon; writes that were begun are finished.

        Yields:
            What became of each file, in the order in which they end.
        """
        flows = (self._safely(file, run) for file in files)
        return interleave(flows, width=2 * self._settings.worker_count + 1, stop=stop)

    def _one(self, file: Found, run: Run) -> Flow[Outcome]:
        """Take one file from top to bottom."""
        track = yield from self._track(file, run)
        if reason := self._owned(track, run):
            return _outcome(track, Status.UNCHANGED, reason, self._known_decision(track))
        if track.refusal is not None:
            return _outcome(track, Status.SKIPPED, track.refusal)
        decision = yield from self._decision(track, run)
        if not decision.genres:
            return _outcome(track, Status.SKIPPED, decision.reason, decision)
        wanted = _merged(track.genres.values, decision.genres, self._settings.policy)
        if wanted == track.genres.values:
            return _outcome(track, Status.UNCHANGED, decision.reason, decision)
        if not run.dry_run:
            reason, model = decision.reason, self._listener.name
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
            if known is not None:
                return known
        track: Track = yield Step(self._workers.inspect(file.path, options=self._writer.options))
        self._store.save_track(track)
        return track

    def _owned(self, track: Track, run: Run) -> str:
        """Say why the genres are the owner's business and not ours; empty where they are not."""
        if self._settings.policy is Policy.KEEP and track.genres.values:
            return "it has a genre"
        last = None if run.force else self._store.last_write(track.path, track.payload_hash)
        if last is None or last.path != track.path:
            return ""
        if last.undo_of is not None or last.state is WriteState.UNDONE:
            return "its genre was undone; --force tags it again"
        if last.after.values != track.genres.values:
            return "its genre was changed after genretagger wrote it, so it is yours; --force tags it again"
        return ""

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
        listener = self._listener
        where = (track.payload_hash, listener.fingerprint, listener.plan)
        analysis = None if run.force else self._store.analysis(*where)
        if analysis is None:
            yield from self._listen(track)
            analysis = self._store.analysis(*where)
        if analysis is None or analysis.hearing is Hearing.SILENT:
            return Decision((), {}, "nothing but silence or steady noise")
        if analysis.activations is None:
            raise analysis.error or FileError("it could not be heard", path=track.path)
        decision = listener.decide(analysis.activations)
        self._store.save_decision(
            track.payload_hash, self._model_id, listener.plan, decision, settings=listener.rules_key
        )
        return decision

    def _listen(self, track: Track) -> Flow[None]:
        """Decode, compute the mel windows, run the model, and store what it said."""
        started = time.monotonic()
        where = (track.payload_hash, self._model_id, self._listener.plan)
        try:
            sound: Sound = yield Step(self._workers.decode(track.path, **self._listener.request))
        except FileError as error:
            self._store.save_unheard(*where, error, seconds=time.monotonic() - started)
            raise
        activations = self._listener.hear(sound) if sound.windows else None
        if activations is None:
            self._store.save_unheard(*where, None, seconds=time.monotonic() - started)
        else:
            self._store.save_analysis(*where, activations, seconds=time.monotonic() - started)

    def _safely(self, file: Found, run: Run) -> Flow[Outcome]:
        """Take one file from top to bottom, whatever it is: a failure is recorded, and the others go on."""
        started = time.monotonic()
        try:
            outcome = yield from self._one(file, run)
        except FileError as error:
            outcome = self.failed(file.path, error)
        except GenretaggerError:
            raise  # the database or the model: no other file would fare better
        except Exception as error:  # noqa: BLE001 - the one broad catch: a bug met in one file must not end the service
            _log.exception("%s", printable(file.path))
            outcome = self.failed(file.path, FileError(f"a bug: {type(error).__name__}: {error}", hint="Report it"))
        seconds = time.monotonic() - started
        return replace(outcome, model=self._listener.name, seconds=seconds, dry_run=run.dry_run)

    def failed(self, path: Path, error: FileError) -> Outcome:
        """Record why a file, or a folder, could not be handled."""
        try:
            stamp = stamp_of(path)
        except FileError:
            stamp = None
        self._store.save_failure(path, stamp, error)
        return Outcome(path, Status.FAILED, str(error))


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


def _merged(before: tuple[str, ...], chosen: tuple[str, ...], policy: Policy) -> tuple[str, ...]:
    """Say which genres the file shall have."""
    if policy is not Policy.ADD:
        return chosen
    had = {key(name) for name in before}
    return (*before, *(name for name in chosen if key(name) not in had))


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
    if settings.model in PULLABLE and settings.model not in {model.name for model in models.installed()}:
        notice(f"fetching the model {settings.model}, once")
        models.pull(settings.model, progress=progress)
    model = models.get(settings.model)
    limits = Limits(memory_mb=settings.memory_limit_mb, time_s=settings.time_limit_s)
    with Store.open(settings.database) as store, WorkerPool(settings.worker_count, limits) as workers:
        pipeline = Pipeline(settings, store, workers, Listener(settings, model, notice))
        pipeline.recover()
        yield pipeline
