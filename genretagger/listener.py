"""A listener: one model with its front end, its windows and its calibration, loaded when first needed.

    sound → log-mel windows → activations → track scores → decision

The model, librosa and ONNX Runtime take two seconds to load; a run that only meets known tracks never loads them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, TypedDict

from genretagger.config import Settings
from genretagger.errors import ModelError
from genretagger.model.store import InstalledModel, ModelStore
from genretagger.types import Activations, Decision, Sound
from genretagger.vocabulary.calibration import calibration
from genretagger.vocabulary.names import digest, key, vocabulary
from genretagger.vocabulary.resolve import Rules, decide
from genretagger.windows import plan_key

if TYPE_CHECKING:
    from genretagger.model.session import Session


class DecodeRequest(TypedDict):
    """Arguments of `WorkerPool.decode`."""

    count: int | None
    window_s: float
    rate_hz: int
    window_samples: int
    margin_samples: int


class Listener:
    """Hears tracks and decides on their genres.

    Args:
        settings: windows, device, threads, and the rules of decisions.
        model: an installed model.
        notice: is told, once, when the device that was asked for cannot be had.
    """

    def __init__(self, settings: Settings, model: InstalledModel, notice: Callable[[str], None]) -> None:
        from genretagger.features import front_end

        self.name = model.name
        self.fingerprint = model.sha256
        self.labels = model.card.classes
        self.plan = plan_key(settings.windows)
        self._front_end = front_end(model.card.algorithm)
        self._settings = settings
        self._model = model
        self._notice = notice
        self._session: Session | None = None
        self._calibration = calibration(model.name, model.card.classes)
        self._tell_of_unknown_names(settings, notice)
        self._rules = Rules(
            max_genres=settings.max_genres,
            min_score=settings.min_score,
            share_of_top=settings.share_of_top,
            allow=settings.allow,
            forbid=settings.forbid,
            aliases=settings.aliases,
            add_parents=settings.add_parents,
            capitalisation=settings.capitalisation.value,
        )
        rules = json.dumps([asdict(self._rules), self._calibration.digest, digest()], sort_keys=True)
        self.rules_key = hashlib.sha256(rules.encode()).hexdigest()
        """Equal keys make equal decisions from equal activations."""

    def _tell_of_unknown_names(self, settings: Settings, notice: Callable[[str], None]) -> None:
        """A misspelt name in `allow` would leave everything untagged, and one in `forbid` would forbid nothing."""
        known = {key(name) for name in (*self._calibration.genres, *vocabulary().genres)}
        for option, names in (("allow", settings.allow), ("forbid", settings.forbid)):
            for name in names:
                if key(vocabulary().canonical(name) or name) not in known:
                    notice(f"{option}: {name!r} is no genre that {self.name} or the vocabulary knows")

    @property
    def request(self) -> DecodeRequest:
        """What to ask the decoder for."""
        front_end = self._front_end
        return {
            "count": self._settings.windows,
            "window_s": front_end.window_s,
            "rate_hz": front_end.rate_hz,
            "window_samples": front_end.window_samples,
            "margin_samples": front_end.margin_samples,
        }

    def hear(self, sound: Sound) -> Activations | None:
        """Run the model over the windows in which anything happens.

        Args:
            sound: decoded windows, at least one.

        Returns:
            What it said; None where there is nothing but steady noise.
        """
        import numpy as np

        from genretagger.features import STEADY, coherence, log_mel

        mel = log_mel(sound.samples, self._front_end)
        mel = mel[coherence(mel, self._front_end) >= STEADY]
        if not len(mel):
            return None
        session = self._open()
        activations, embeddings = session.run(mel)
        return Activations(activations.astype(np.float16), embeddings.mean(axis=0), session.provider)

    def decide(self, *tracks: Activations) -> Decision:
        """Choose genres from what was heard; pure, and equal for equal settings.

        Args:
            tracks: one, or all of an album, each of which counts the same however long it is.
        """
        import numpy as np

        from genretagger.aggregate import track_activations

        means = np.stack([track_activations(track.values) for track in tracks])
        scores = self._calibration.scores(means.mean(axis=0))
        return decide(scores, self._rules, vocabulary())

    def _open(self) -> Session:
        if self._session is None:
            from genretagger.model.session import Session

            # A bit that rotted would give wrong genres, kept under the fingerprint of the sound model. 20 ms for 7 MB.
            intact = ModelStore(self._model.folder.parent).verify(self.name)
            if intact.sha256 != self.fingerprint:
                raise ModelError(
                    f"Model {self.name!r} was replaced meanwhile", path=intact.folder, hint="Run the command again."
                )
            self._session = Session.open(self._model, self._settings.device, self._settings.threads)
            if self._session.warning:
                self._notice(self._session.warning)
        return self._session
