"""What the database knows of tracks, and what follows from it: nothing is heard or stored here."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from genretagger.causes import Cause, because
from genretagger.database.store import Store
from genretagger.database.values import HearingResult, StoredAnalysis
from genretagger.errors import FileError
from genretagger.files.replace import stamp_of
from genretagger.model.listener import Listener
from genretagger.steps.recent import Recent
from genretagger.steps.schedule import Flow, Step
from genretagger.types import Activations, Decision, Track

SILENT = Decision((), {}, because(Cause.SILENT))
"""What is decided on a track in which there is nothing to hear; it is not stored."""


class Recall:
    """What is known of tracks.

    Args:
        store: the database.
        listener: the model.
    """

    def __init__(self, store: Store, listener: Listener) -> None:
        self._store, self.listener = store, listener
        self._recent = Recent()

    def known_decision(self, track: Track, key: str, *, or_below: bool = False) -> Decision | None:
        """Give the decision by the present model and windows, if any.

        One of an earlier version, which stored no cause, does not count: what was heard is decided
        on again.

        Args:
            track: the file.
            key: by which rules, and from which evidence.
            or_below: also from any evidence that is named below that key.
        """
        listener = self.listener
        stored = self._store.decisions.get(track.payload_hash, listener.fingerprint, listener.sampling)
        if stored is None or stored.decision.reason.cause is Cause.RECORDED:
            return None
        if stored.settings != key and not (or_below and stored.settings.startswith(f"{key}/")):
            return None
        return stored.decision

    def shown_decision(self, track: Track) -> Decision | None:
        """Give the decision by the present model, windows and rules, whatever its evidence."""
        listener = self.listener
        stored = self._store.decisions.get(track.payload_hash, listener.fingerprint, listener.sampling)
        return stored.decision if stored is not None and stored.settings.split("/")[0] == listener.rules_key else None

    def decided(self, heard: Activations) -> Flow[Decision]:
        """Decide on one track by itself, beside the main loop; nothing is stored."""
        decision: Decision = yield Step(self.listener.deciding.submit(partial(self.listener.decide, heard)))
        return decision

    def keep(self, track: Track, decision: Decision, *, key: str) -> Decision:
        """Give a decision back; `Knowledge` stores it."""
        del track, key
        return decision

    def known(self, path: Path) -> Track | None:
        """What was read of a file, if it is still the same; it is not opened."""
        try:
            return self._store.tracks.get(path, stamp_of(path))
        except FileError:
            return None

    def heard(self, track: Track) -> StoredAnalysis | None:
        """The stored activations of the present model or its backbone; never listens."""
        where = (track.payload_hash, self.listener.fingerprint, self.listener.sampling)
        return self._stored(where) or self._derived(track)

    def _stored(self, where: tuple[str, str, str]) -> StoredAnalysis | None:
        """The present model's stored activations; None if there are none or they do not fit it."""
        recent = self._recent.get(where)
        if recent is not None:
            return recent
        stored = self._store.analyses.get(*where)
        if stored is not None and stored.activations is not None and not self.listener.gave(stored.activations):
            return None
        if stored is not None:
            self._recent.keep(where, stored)
        return stored

    def _derived(self, track: Track) -> StoredAnalysis | None:
        """A learned model's activations, derived from what its backbone heard already."""
        below = self.listener.backbone
        heard = self._store.analyses.get(track.payload_hash, below, self.listener.sampling) if below else None
        if heard is None or heard.activations is None:
            return heard
        activations = self.listener.derive(heard.activations)
        if activations is None:
            return None
        return replace(heard, model=self.listener.name, fingerprint=self.listener.fingerprint, activations=activations)


def audible(analysis: StoredAnalysis | None, track: Track) -> StoredAnalysis:
    """Give back what was heard in a track, if it could be heard.

    Raises:
        FileError: it could not.
    """
    if analysis is None or (analysis.activations is None and analysis.hearing is not HearingResult.SILENT):
        raise (analysis and analysis.error) or FileError("it could not be heard", path=track.path)
    return analysis
