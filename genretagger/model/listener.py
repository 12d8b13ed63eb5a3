"""A listener: a model with front end, windows and calibration, loaded when first needed.

    log-mel windows → activations → track scores → decision

The windows come from a child process, which gets a description of how the model hears. The model
and ONNX Runtime take a second to load; a run that only meets known tracks never loads them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, fields, replace
from typing import TypedDict

import numpy as np

from genretagger.audio.mel import Ear
from genretagger.audio.windows import AUTO, FIRST, MOST, STAGES, sampling_key, spread
from genretagger.causes import Cause, because
from genretagger.config import Settings
from genretagger.errors import ModelError
from genretagger.model.batching import flat, then
from genretagger.model.filter_bank import ears_of
from genretagger.model.front_ends import front_ends
from genretagger.model.installed import InstalledModel
from genretagger.model.merge import learned_head
from genretagger.model.said import Said
from genretagger.model.session import Session
from genretagger.model.store import ModelStore
from genretagger.types import Activations, Decision, FloatArray, Frames, HalfArray
from genretagger.vocabulary.calibration import Scores
from genretagger.vocabulary.learned import Scorer, mean_odds, scorer
from genretagger.vocabulary.names import digest, key, vocabulary
from genretagger.vocabulary.resolve import Rules, decide

PARTS = 8
"""See `Listener._is_clear`."""


class HearRequest(TypedDict):
    """Arguments of `WorkerPool.hear`."""

    count: int | None
    ears: Sequence[Ear]


class Listener:
    """Hears tracks and decides on their genres.

    Args:
        settings: windows, device, threads, and the rules of decisions.
        model: an installed model.
        notice: called once if the device that was asked for is not available.
    """

    def __init__(self, settings: Settings, model: InstalledModel, notice: Callable[[str], None]) -> None:
        self.name = model.name
        self.fingerprint = model.sha256
        self.labels = model.card.classes
        self.sampling = sampling_key(settings.windows)
        front_ends(model.card)  # a model that no front end serves is refused now, and not at the first track
        self._settings = settings
        self._model = model
        self._notice = notice
        self._session: Session | None = None
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="genretagger-loader")
        self._opening: Future[Session] | None = None
        self._ears: Sequence[Ear] = ()
        self.deciding = ThreadPoolExecutor(1, thread_name_prefix="genretagger-deciding")
        """The thread that makes the decisions, each by itself: equal tracks must get equal scores,
        and the sums of a batch may be rounded differently.
        """
        self.on_loading: Callable[[bool], None] = lambda _: None
        """Called with True when loading begins and False when it ends; compiling takes minutes."""
        self._head: tuple[FloatArray, FloatArray, FloatArray, FloatArray] | None = None
        part = model.card.part
        self._learned = None if part is None else part.learned
        self._scorer: Scorer = scorer(model.name, model.card.classes, part)
        self._tell_of_unknown_names(settings, notice)
        self._rules = Rules(**{rule.name: getattr(settings, rule.name) for rule in fields(Rules)})
        rules = json.dumps([asdict(self._rules), self._scorer.digest, digest()], sort_keys=True)
        self.rules_key = hashlib.sha256(rules.encode()).hexdigest()
        """Equal keys make equal decisions from equal activations."""

    def _tell_of_unknown_names(self, settings: Settings, notice: Callable[[str], None]) -> None:
        """Report unknown names: in `allow` they leave all untagged, in `forbid` they do nothing."""
        known = {key(name) for name in (*self._scorer.genres, *vocabulary().genres)}
        for option, names in (("allow", settings.allow), ("forbid", settings.forbid)):
            for name in names:
                if key(vocabulary().canonical(name) or name) not in known:
                    notice(f"{option}: {name!r} is not a genre that {self.name} or the vocabulary knows")

    @property
    def genres(self) -> Sequence[str]:
        """Every genre that the model can hear."""
        return self._scorer.genres

    @property
    def request(self) -> HearRequest:
        """What to ask a child process for.

        Raises:
            ModelError: the filter banks beside the model are damaged.
        """
        if not self._ears:
            self._ears = ears_of(self._model)
        windows = self._settings.windows
        return {"count": MOST if windows == AUTO else windows, "ears": self._ears}

    def stages(self, duration_s: float | None) -> Sequence[int | None]:
        """In which stages to listen to a track; None stands for all of its windows at once.

        Args:
            duration_s: of the track; None if it is not known.
        """
        if self._settings.windows != AUTO or duration_s is None or not self.labels or not duration_s > 0:
            return (None,)
        return range(STAGES) if self._room(duration_s) > FIRST else (None,)

    def _room(self, duration_s: float) -> int:
        """How many windows of a track `auto` may listen to."""
        return len(spread(duration_s, self.request["ears"][0].front_end.window_s, MOST))

    @property
    def backbone(self) -> str:
        """Fingerprint of the model that hears all this learned one needs; "" if there is none."""
        return "" if self._learned is None or self._learned.network else self._learned.backbone.sha256

    def gave(self, activations: Activations) -> bool:
        """Whether stored activations can be this model's: their sizes fit, and each is a number."""
        size = self._model.card.embedding
        return not (
            (self.labels and activations.values.shape[1] != len(self.labels))
            or (size is not None and len(activations.embedding) != size)
            or not (np.isfinite(activations.values).all() and np.isfinite(activations.embedding).all())
        )

    def derive(self, heard: Activations) -> Activations | None:
        """What this model says of a track, from what its backbone said: nobody has to listen again.

        Args:
            heard: by the backbone.

        Returns:
            As `submit` gives it, to rounding; a genre's activation is that of the whole track in
            each window. None if the embedding has another size than the backbone's.
        """
        if self._head is None:
            self._head = learned_head(self._intact().onnx_path.read_bytes())
        weights, bias, axes, origin = self._head
        if len(heard.embedding) != len(weights):
            return None
        odds = heard.embedding @ weights + bias
        together = odds
        if self._learned is not None and self._learned.ears:
            together = mean_odds(odds.reshape(len(self._learned.ears), -1), self._learned.line)
        own = np.tile(1 / (1 + np.exp(-np.clip(together, -80, 80))), (len(heard.values), 1))
        return Activations(
            np.concatenate([own.astype(np.float16), heard.values], axis=1),
            np.concatenate([odds, heard.embedding @ axes + origin]).astype(np.float32),
            heard.provider,
            heard.heard,
        )

    def prepare(self) -> Future[Session]:
        """Begin to load the model, unless that has begun: the first track is decoded meanwhile."""
        if self._opening is None:
            self.on_loading(True)
            self._opening = self._loader.submit(self._open)
            self._opening.add_done_callback(lambda _: self.on_loading(False))
        return self._opening

    def submit(self, frames: Frames) -> Future[Activations]:
        """Have the model run over the windows of a track.

        Args:
            frames: as `request` asks for them, at least one window.

        Returns:
            A future of what it said; it may fail with a `ModelError`.
        """
        return then(self.go_on(frames), lambda said: said.activations)

    def go_on(self, frames: Frames, before: Said | None = None, *, duration_s: float | None = None) -> Future[Said]:
        """Have the model run over further windows of a track.

        Args:
            frames: of one of the `stages`, at least one window.
            before: what it said of the stages before.
            duration_s: of the track, if there may be further stages: then the result says whether
                they are needed.

        Returns:
            A future of what it said of all windows so far; it may fail with a `ModelError`.
        """

        def joined(said: tuple[FloatArray, FloatArray]) -> Said:
            values, embeddings = said
            now = before or Said((), values[:0], embeddings[:0], self.provider)
            now = now.with_more(frames.windows, values, embeddings)
            _ = now.activations  # rounded here, and not in the thread of the caller
            return replace(now, is_clear=duration_s is not None and self._is_clear(now, self._room(duration_s)))

        return then(self.over_time(frames), joined)

    def _is_clear(self, said: Said, most: int) -> bool:
        """Whether the decision on a track would stay if it were listened to further.

        What was heard is cut into eight parts, each spread over the track. If all windows to come
        sounded like any one of these parts, the genres would still be the same.

        Args:
            said: of the windows so far.
            most: windows of the track that may be listened to.
        """
        heard = said.activations
        genres = self.decide(heard).genres
        count = len(said.windows)
        ahead = max(0, most - count) / most
        for part in range(PARTS):
            values, embeddings = said.values[part::PARTS], said.embeddings[part::PARTS]
            if not len(values):
                return False
            mean = (1 - ahead) * track_activations(heard.values) + ahead * values.mean(axis=0)
            embedding = (1 - ahead) * heard.embedding + ahead * embeddings.mean(axis=0)
            if self.choose(self._scorer.scores(mean, embedding, tracks=1)).genres != genres:
                return False
        return True

    def over_time(self, frames: Frames) -> Future[tuple[FloatArray, FloatArray]]:
        """Have the model run over the windows of a track, and keep them apart.

        Args:
            frames: as `request` asks for them; may hold no window.

        Returns:
            A future of what it said of each window: activations (n, labels) and embeddings (n,
            dimensions), both float32. It may fail with a `ModelError`.
        """
        return flat(then(self.prepare(), lambda session: session.submit(*frames.mels)))

    def score_over_time(self, activations: FloatArray, embeddings: FloatArray) -> FloatArray:
        """Score each window like a whole track: (windows, genres) float32, in order of `genres`.

        Args:
            activations: (windows, labels), from `over_time`.
            embeddings: (windows, dimensions), likewise.
        """
        scores = np.zeros((len(activations), len(self.genres)), np.float32)
        for row, own, embedding in zip(scores, activations.astype(np.float16), embeddings, strict=True):
            found = self._scorer.scores(track_activations(own[None]), embedding).by_genre
            row[:] = [found[genre] for genre in self.genres]
        return scores

    def close(self) -> None:
        """Free the model; what waits for it is forgotten."""
        for thread in (self.deciding, self._loader):
            thread.shutdown(wait=True, cancel_futures=True)
        if self._session is not None:
            self._session.close()

    @property
    def provider(self) -> str:
        """The ONNX Runtime provider that the model runs on; empty until it is loaded."""
        return self._session.provider if self._session is not None else ""

    def decide(self, *tracks: Activations) -> Decision:
        """Choose genres from what was heard; pure, and equal for equal settings.

        Args:
            tracks: one, or all of an album, each of which counts the same however long it is.
        """
        return self.choose(self.scores(*tracks)) if self.labels else self._mute()

    def choose(self, scores: Scores) -> Decision:
        """Choose genres by what `scores` gave; see `decide`."""
        return decide(scores, self._rules, vocabulary()) if self.labels else self._mute()

    def _mute(self) -> Decision:
        return Decision((), {}, because(Cause.NO_GENRES_IN_MODEL, model=self.name))

    def scores(self, *tracks: Activations) -> Scores:
        """Score every genre from what was heard in one track or in a whole album; see `decide`."""
        means = np.stack([track_activations(track.values) for track in tracks])
        embedding = np.stack([track.embedding for track in tracks]).mean(axis=0)
        return self._scorer.scores(means.mean(axis=0), embedding, tracks=len(tracks))

    def _open(self) -> Session:
        if self._session is None:
            rules = self._settings
            self._session = Session.open(self._intact(), rules.device, rules.threads, tf32=rules.tf32)
            if self._session.warning:
                self._notice(self._session.warning)
        return self._session

    def _intact(self) -> InstalledModel:
        """The model, every byte of it checked.

        A bit that rotted would give wrong genres, kept under the fingerprint of the sound model. 20
        ms for 7 MB.

        Raises:
            ModelError: it is damaged, or another one by now.
        """
        intact = ModelStore(self._model.folder.parent).verify(self.name)
        if intact.sha256 != self.fingerprint:
            raise ModelError(
                f"Model {self.name!r} was replaced meanwhile", path=intact.folder, hint="Run the command again."
            )
        return intact


def track_activations(values: HalfArray) -> FloatArray:
    """Average over the windows, as the original musicnn does for its tags.

    The input is float16 because that is what the database keeps: a decision made again from stored
    activations must equal the one made when the track was heard.

    Args:
        values: (windows, labels) float16, each 0 to 1.

    Returns:
        (labels,) float32.

    Raises:
        ValueError: there is no window.
    """
    if values.shape[0] == 0:
        raise ValueError("a track without windows has no activations")
    mean: FloatArray = np.asarray(values, dtype=np.float32).mean(axis=0)
    return mean
