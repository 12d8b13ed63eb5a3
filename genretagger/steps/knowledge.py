"""What is known of a file: from the database, or by reading, listening and deciding now.

Work whose result is in the database is not repeated: a file with an unchanged stamp is not opened,
a track with a known payload hash is not listened to, a decision by unchanged rules is not made
again. New results are stored at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from genretagger.database.analyses import Packed, pack
from genretagger.database.store import Store
from genretagger.database.values import StoredAnalysis, ours_among
from genretagger.errors import FileError
from genretagger.files.replace import see_unchanged, stamp_of
from genretagger.model.batching import then
from genretagger.model.listener import Listener
from genretagger.model.said import Said
from genretagger.steps.recall import SILENT, Recall, audible
from genretagger.steps.schedule import Flow, Step
from genretagger.tags.api import WriteOptions
from genretagger.types import Activations, Credits, Decision, Frames, Heard, Track
from genretagger.worker.pool import WorkerPool


class Knowledge(Recall):
    """What is known, and how to find out the rest.

    Args:
        store: the database.
        workers: the child processes.
        listener: the model.
        options: how tags are read.
    """

    def __init__(self, store: Store, workers: WorkerPool, listener: Listener, options: WriteOptions) -> None:
        super().__init__(store, listener)
        self._workers = workers
        self._options = options
        self.model_id = store.models.save(listener.name, listener.fingerprint, listener.labels)

    def track(self, path: Path, *, force: bool) -> Flow[Track]:
        """Read a file, unless the database knows it and nobody touched it since.

        Args:
            path: the file.
            force: read it even if the database knows it.

        Raises:
            FileError: it cannot be read; or it could not, and is still the same.
        """
        stamp = stamp_of(path)
        if not force:
            known, failure = self._store.tracks.get_known(path, stamp)
            if failure is not None and not failure.retry:
                raise failure.error
            if known is not None and failure is None:
                return known
        track: Track = yield Step(self._workers.inspect(path, options=self._options))
        self._store.tracks.save(track)
        return track

    def known_decision(self, track: Track, key: str, *, or_below: bool = False) -> Decision | None:
        """The same, and make it the newest."""
        decision = super().known_decision(track, key, or_below=or_below)
        if decision is not None:
            self._store.decisions.renew(track.payload_hash, self.model_id, self.listener.sampling)
        return decision

    def keep(self, track: Track, decision: Decision, *, key: str) -> Decision:
        """Store a decision, and give it back.

        Args:
            track: the file.
            decision: on it.
            key: names the rules and the evidence; see `known_decision`.
        """
        self._store.decisions.save(track.payload_hash, self.model_id, self.listener.sampling, decision, settings=key)
        return decision

    def everything(self, path: Path, worth: Callable[[Heard], bool]) -> Flow[Heard]:
        """Learn all about a track: what it is, who plays, what the model says.

        Args:
            path: the file.
            worth: called with a track that was not heard yet; returns whether to listen to it.

        Raises:
            FileError: it cannot be read or heard.
        """
        track = yield from self.track(path, force=False)
        ours = ours_among(track.genres.values, self._store.writes.get_history(track.path, track.payload_hash))
        unheard = Heard(track, Credits(), None, SILENT, ours)
        if not worth(unheard):
            return unheard
        track = yield from self.with_credits(track)
        analysis = yield from self.analysis(track, force=False)
        activations = analysis.activations
        decision = SILENT if activations is None else (yield from self.decided(activations))
        return Heard(track, track.credits or Credits(), activations, decision, ours)

    def with_credits(self, track: Track) -> Flow[Track]:
        """Read who plays, if a database of an earlier version did not keep it.

        Raises:
            FileError: it cannot be read.
        """
        if track.credits is None:
            found: Credits = yield Step(self._workers.credit(track.path))
            track = replace(track, credits=found)
            self._store.tracks.save(track)
        return track

    def analysis(self, track: Track, *, force: bool) -> Flow[StoredAnalysis]:
        """Give what was heard in a track; its activations are None if there is nothing to hear.

        Raises:
            FileError: it cannot be heard.
        """
        where = (track.payload_hash, self.listener.fingerprint, self.listener.sampling)
        analysis = None if force else self.heard(track)
        if analysis is None:
            yield from self._listen(track)
            analysis = self._stored(where)
        return audible(analysis, track)

    def _derived(self, track: Track) -> StoredAnalysis | None:
        """The same, and store what this model says."""
        derived = super()._derived(track)
        if derived is None or derived.activations is None:
            return derived
        where = (track.payload_hash, self.model_id, self.listener.sampling)
        self._store.analyses.save(*where, derived.activations, seconds=0.0)
        return self._stored((track.payload_hash, self.listener.fingerprint, self.listener.sampling))

    def _listen(self, track: Track) -> Flow[None]:
        """Have the track decoded into mel windows, run the model, and store its activations."""
        started = time.monotonic()
        self.listener.prepare()
        said: Said | None = None
        packed: Packed | None = None
        stages = self.listener.stages(track.duration_s)
        for stage in stages:
            frames = yield from self._frames(track, stage, started)
            if frames.windows:
                ahead_s = track.duration_s if len(stages) > 1 else None
                said, packed = yield Step(then(self.listener.go_on(frames, said, duration_s=ahead_s), _packed))
            del frames
            if said is not None and said.is_clear:
                break
        if packed is None:
            self._keep_silent(track, started)
        else:
            self.keep_heard(track.payload_hash, packed, seconds=time.monotonic() - started)

    def keep_heard(self, payload_hash: str, heard: Activations | Packed, *, seconds: float) -> None:
        """Store the present model's activations of a track."""
        self._forget(payload_hash)
        self._store.analyses.save(payload_hash, self.model_id, self.listener.sampling, heard, seconds=seconds)

    def frames(self, track: Track) -> Flow[Frames | None]:
        """Have the track decoded into mel windows; None if it has nothing to hear, which is stored.

        Raises:
            FileError: it cannot be decoded.
        """
        started = time.monotonic()
        frames = yield from self._frames(track, None, started)
        if frames.windows:
            return frames
        self._keep_silent(track, started)
        return None

    def _frames(self, track: Track, stage: int | None, started: float) -> Flow[Frames]:
        """The mel windows of one stage; a failure to decode is stored."""
        try:
            length_s, request = track.duration_s, self.listener.request
            frames: Frames = yield Step(self._workers.hear(track.path, length_s=length_s, stage=stage, **request))
        except FileError as error:
            see_unchanged(track)
            self._forget(track.payload_hash)
            where = (track.payload_hash, self.model_id, self.listener.sampling)
            self._store.analyses.save_unheard(*where, error, seconds=time.monotonic() - started)
            raise
        see_unchanged(track)
        return frames

    def _forget(self, payload_hash: str) -> None:
        """Drop the cached analysis of a track before it is replaced."""
        self._recent.forget((payload_hash, self.listener.fingerprint, self.listener.sampling))

    def _keep_silent(self, track: Track, started: float) -> None:
        self._forget(track.payload_hash)
        where = (track.payload_hash, self.model_id, self.listener.sampling)
        self._store.analyses.save_unheard(*where, None, seconds=time.monotonic() - started)


def _packed(said: Said) -> tuple[Said, Packed]:
    """Activations, and their stored form; made in the thread of the model."""
    return said, pack(said.activations)
