"""What is known of a file: from the database, or found out now by reading it, listening to it and deciding.

Nothing is done again that the database knows: a file with an unchanged stamp is not opened, a track with a known
payload hash is not listened to, a decision by unchanged rules is not made anew. What is found out is stored at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from genretagger.database.store import Store
from genretagger.database.values import Hearing, StoredAnalysis, ours_among
from genretagger.errors import FileError
from genretagger.files.replace import see_unchanged, stamp_of
from genretagger.model.listener import Listener
from genretagger.steps.schedule import Flow, Step
from genretagger.tags.api import WriteOptions
from genretagger.types import Credits, Decision, Heard, Sound, Track
from genretagger.worker.pool import WorkerPool

_SILENT = Decision((), {}, "nothing but silence or steady noise")


class Knowledge:
    """What is known, and how to find out the rest.

    Args:
        store: the database.
        workers: the child processes.
        listener: the model.
        options: how tags are read.
    """

    def __init__(self, store: Store, workers: WorkerPool, listener: Listener, options: WriteOptions) -> None:
        self._store = store
        self._workers = workers
        self._listener = listener
        self._options = options
        self._model_id = store.models.save(listener.name, listener.fingerprint, listener.labels)

    def track(self, path: Path, *, anew: bool) -> Flow[Track]:
        """Read what a file is, unless the database knows and nobody touched the file since.

        Args:
            path: the file.
            anew: read it, whatever the database knows.

        Raises:
            FileError: it cannot be read; or it could not, and is still the same.
        """
        stamp = stamp_of(path)
        if not anew:
            failure = self._store.tracks.get_failure(path, stamp)
            if failure is not None and not failure.retry:
                raise failure.error
            known = self._store.tracks.get(path, stamp)
            if known is not None and failure is None:
                return known
        track: Track = yield Step(self._workers.inspect(path, options=self._options))
        self._store.tracks.save(track)
        return track

    def decision(self, track: Track, *, anew: bool) -> Flow[Decision]:
        """Choose the genres, listening only where nobody has listened by this plan.

        Raises:
            FileError: the track cannot be heard.
        """
        known = None if anew else self.known_decision(track)
        if known is not None:
            self._store.decisions.renew(track.payload_hash, self._model_id, self._listener.plan)
            return known
        analysis = yield from self.analysis(track, anew=anew)
        if analysis.activations is None:
            return _SILENT
        listener = self._listener
        decision = listener.decide(analysis.activations)
        self._store.decisions.save(
            track.payload_hash, self._model_id, listener.plan, decision, settings=listener.rules_key
        )
        return decision

    def known_decision(self, track: Track) -> Decision | None:
        """Give the decision that was made by the present model, windows and rules, if there is one."""
        listener = self._listener
        stored = self._store.decisions.get(track.payload_hash, listener.fingerprint, listener.plan)
        return stored.decision if stored is not None and stored.settings == listener.rules_key else None

    def everything(self, path: Path, worth: Callable[[Heard], bool]) -> Flow[Heard]:
        """Learn all about a track: what it is, who plays, what the model says.

        Args:
            path: the file.
            worth: told a track that nobody listened to yet; says whether to.

        Raises:
            FileError: it cannot be read or heard.
        """
        track = yield from self.track(path, anew=False)
        ours = ours_among(track.genres.values, self._store.writes.get_history(track.path, track.payload_hash))
        unheard = Heard(track, Credits(), None, _SILENT, ours)
        if not worth(unheard):
            return unheard
        credits = track.credits
        if credits is None:  # a database of an earlier version, which did not keep them
            found: Credits = yield Step(self._workers.credit(track.path))
            credits = found
            self._store.tracks.save(replace(track, credits=credits))
        analysis = yield from self.analysis(track, anew=False)
        activations = analysis.activations
        decision = _SILENT if activations is None else self._listener.decide(activations)
        return Heard(track, credits, activations, decision, ours)

    def analysis(self, track: Track, *, anew: bool) -> Flow[StoredAnalysis]:
        """Give what was heard in a track; its activations are None where there is nothing to hear.

        Raises:
            FileError: it cannot be heard.
        """
        where = (track.payload_hash, self._listener.fingerprint, self._listener.plan)
        analysis = None if anew else self._stored(where) or self._derived(track)
        if analysis is None:
            yield from self._listen(track)
            analysis = self._store.analyses.get(*where)
        if analysis is None or (analysis.activations is None and analysis.hearing is not Hearing.SILENT):
            raise (analysis and analysis.error) or FileError("it could not be heard", path=track.path)
        return analysis

    def _stored(self, where: tuple[str, str, str]) -> StoredAnalysis | None:
        """What the present model said; None if it said nothing yet, or what is stored cannot come from it."""
        stored = self._store.analyses.get(*where)
        if stored is not None and stored.activations is not None and not self._listener.gave(stored.activations):
            return None
        return stored

    def _derived(self, track: Track) -> StoredAnalysis | None:
        """What a learned model says of a track that its backbone heard already."""
        below = self._listener.backbone
        heard = self._store.analyses.get(track.payload_hash, below, self._listener.plan) if below else None
        if heard is None or heard.activations is None:
            return heard
        activations = self._listener.derive(heard.activations)
        if activations is None:
            return None
        where = (track.payload_hash, self._model_id, self._listener.plan)
        self._store.analyses.save(*where, activations, seconds=0.0)
        return self._store.analyses.get(track.payload_hash, self._listener.fingerprint, self._listener.plan)

    def _listen(self, track: Track) -> Flow[None]:
        """Decode, compute the mel windows, run the model, and store what it said."""
        started = time.monotonic()
        where = (track.payload_hash, self._model_id, self._listener.plan)
        try:
            sound: Sound = yield Step(self._workers.decode(track.path, **self._listener.request))
        except FileError as error:
            see_unchanged(track)
            self._store.analyses.save_unheard(*where, error, seconds=time.monotonic() - started)
            raise
        see_unchanged(track)
        activations = self._listener.hear(sound) if sound.windows else None
        if activations is None:
            self._store.analyses.save_unheard(*where, None, seconds=time.monotonic() - started)
        else:
            self._store.analyses.save(*where, activations, seconds=time.monotonic() - started)
