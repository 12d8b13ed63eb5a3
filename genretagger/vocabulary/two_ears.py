"""From what both ears of the default model heard to the probability of each genre.

Two files beside this one: `musicnn-yamnet.toml`, written by hand, says which labels speak for which
genre; `musicnn-yamnet.npz` is what `benchmarks.fit` measured and learned on recordings with known
genres. Four pure steps:

1. **Is it music?** A logistic regression on how much music, speech and singing YAMNet hears.
2. **What do the labels say?** Each witness of a genre is a group of labels of one ear. Its *lift*
   is the natural log of how much more of it is heard than in music at large (its *background
   level*), and than the same ear hears of all witnesses. An ear that says more of
   everything, since the recording is short or dull, says nothing:

       more = log(sum of a + floor) - background level
       lift = more - mean of more over all witnesses of that ear
       P0(genre) = softmax(gain * (sum of weight * lift) + log prior)

3. **What has the head learned?** For each genre with enough recordings, one logistic regression on
   the embedding of each ear; the mean of their log-odds, less those of the prior, is the genre's
   second lift. The head divides the probability of the genres that it knows among them, in
   proportion to P0 * exp(head_gain * lift). It takes nothing from a genre that it was never taught,
   which it could only take for another one.
4. **Parents.** A genre's score is the probability of it or any genre below it. So Electronic is
   sure if only Techno or House is in doubt. `sharpness`, an exponent of the probabilities, was
   chosen so that a score is the share of such answers that are right.

All of it is times the probability of music.

Several tracks that are heard together, as those of an album, give a mean that is too cautious: it
is right more often than its probabilities say. So their exponent also grows with their number, see
`pooled_sharpness`.
"""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import numpy as np

from genretagger.types import DoubleArray, FloatArray
from genretagger.vocabulary.calibration import Calibration, Scores, calibration
from genretagger.vocabulary.fitted import Fitted, read_fitted
from genretagger.vocabulary.names import vocabulary

MODEL = "musicnn-yamnet"
FORMULAS = 2
"""Raise it when the formulas change: stored decisions are then made again."""

_GROWTH, _SHARPEST = 0.3, 2.0

_LOUDEST = 2
"""How many labels the grounds of a genre name."""


@dataclass(frozen=True, slots=True)
class Witness:
    """Labels of one ear that speak for a genre; any of them will do.

    Attributes:
        genre: index of the genre.
        labels: as the model spells them, such as `yamnet/Reggae`.
        weight: how much it counts; those of a genre sum to one.
        floor: below this activation it makes no difference how little is heard.
    """

    genre: int
    labels: tuple[str, ...]
    weight: float
    floor: float


class WitnessTable:
    """The part that is written by hand: genres, witnesses, priors.

    Args:
        content: of `musicnn-yamnet.toml`.

    Attributes:
        genres: every genre that can come out.
        taught: the genres that the head knows, in the order of its columns.
        family: (genres, genres) 1 if the column's genre is the row's, or one below it.
        speaking_for: for each genre that has any, the numbers of its witnesses.
        column: (genres,) index into `taught` of the genre or its nearest taught parent; -1 if there
            is none.
    """

    def __init__(self, content: str) -> None:
        document = tomllib.loads(content)
        entries: dict[str, Any] = document["genres"]
        self.genres = tuple(entries)
        self.gain = float(document["gain"])
        self.head_gain = float(document["head_gain"])
        self.most_lift = float(document["most_lift"])
        self.most_head_lift = float(document["most_head_lift"])
        self.music: dict[str, tuple[str, ...]] = {name: tuple(labels) for name, labels in document["music"].items()}
        self.log_prior = np.log(np.array([float(entry["prior"]) for entry in entries.values()]))
        self.taught = tuple(name for name, entry in entries.items() if entry.get("taught", False))
        floors = document["floor"]
        self.witnesses = tuple(
            Witness(number, tuple(witness["labels"]), float(witness["weight"]), floors[_ear(witness["labels"][0])])
            for number, entry in enumerate(entries.values())
            for witness in entry["for"]
        )
        self.speaking_for: dict[str, list[int]] = {}
        for number, witness in enumerate(self.witnesses):
            self.speaking_for.setdefault(self.genres[witness.genre], []).append(number)
        self._floors = np.array([each.floor for each in self.witnesses])
        ears = np.array([_ear(each.labels[0]) for each in self.witnesses])
        self._ears = [ears == ear for ear in sorted(set(ears))]
        self._weights = np.zeros((len(self.witnesses), len(self.genres)))
        for number, witness in enumerate(self.witnesses):
            self._weights[number, witness.genre] = witness.weight
        lines = [(name, *vocabulary().ancestors(name)) for name in self.genres]
        self.family = np.array([[float(name in line) for line in lines] for name in self.genres])
        self.column = np.array(
            [next((self.taught.index(name) for name in line if name in self.taught), -1) for line in lines]
        )

    def levels(self, activations: DoubleArray, index: Mapping[str, int]) -> DoubleArray:
        """Sum the labels of each witness: (tracks, labels) → (tracks, witnesses)."""
        levels = activations[:, [index[each.labels[0]] for each in self.witnesses]]
        for number, each in enumerate(self.witnesses):
            if len(each.labels) > 1:
                levels[:, number] = activations[:, [index[x] for x in each.labels]].sum(axis=1)
        return np.asarray(levels)

    def log_levels(self, levels: DoubleArray) -> DoubleArray:
        """The natural log of levels, finite even if nothing is heard."""
        logs: DoubleArray = np.log(levels + self._floors)
        return logs

    def lifts(self, levels: DoubleArray, background: DoubleArray) -> DoubleArray:
        """How much louder than usual each witness is, compared with its ear's others; natural logs.

        Args:
            levels: (tracks, witnesses).
            background: (witnesses,).
        """
        more = self.log_levels(levels) - background
        for ear in self._ears:
            more[:, ear] -= more[:, ear].mean(axis=1, keepdims=True)
        return more

    def music_features(self, activations: DoubleArray, index: Mapping[str, int]) -> DoubleArray:
        """What the music test looks at: (tracks, labels) → (tracks, features), natural logs."""
        sums = [activations[:, [index[x] for x in labels]].sum(axis=1) for labels in self.music.values()]
        music = np.clip(sums[0], 1e-3, 1 - 1e-3)
        return np.stack([np.log(music / (1 - music)), *(np.log(each + 1e-2) for each in sums[1:])], 1)

    def evidence(self, lifts: DoubleArray) -> DoubleArray:
        """What the labels say, in natural logs: (tracks, witnesses) → (tracks, genres)."""
        return self.gain * _product(np.clip(lifts, -self.most_lift, self.most_lift), self._weights)

    def posterior(self, lifts: DoubleArray, head_lifts: DoubleArray, sharpness: float = 1.0) -> DoubleArray:
        """The probability of each genre, given music; not counting the genres below it.

        Args:
            lifts: (tracks, witnesses).
            head_lifts: (tracks, taught); NaN for a genre that this head was not taught.
            sharpness: exponent of the probabilities.

        Returns:
            (tracks, genres); each row sums to one.
        """
        evidence = self.evidence(lifts) + self.log_prior
        first = np.exp(evidence - evidence.max(axis=1, keepdims=True))
        first /= first.sum(axis=1, keepdims=True)
        learned = np.where(self.column >= 0, head_lifts[:, self.column], np.nan)
        knows = ~np.isnan(learned)
        learned = np.clip(np.nan_to_num(learned), -self.most_head_lift, self.most_head_lift)
        second = np.where(knows, first * np.exp(self.head_gain * learned), 0)
        mass = np.where(knows, first, 0).sum(axis=1, keepdims=True)
        share = mass / np.maximum(second.sum(axis=1, keepdims=True), 1e-30)
        both = np.where(knows, second * share, first) ** sharpness
        return np.asarray(both / both.sum(axis=1, keepdims=True))

    def with_children(self, posterior: DoubleArray) -> DoubleArray:
        """Add to each genre the probability of those below it: (tracks, genres)."""
        return _product(posterior, self.family.T)


class TwoEars:
    """As `vocabulary.learned.Scorer`, for the default model.

    Args:
        labels: the model's labels, in the order of its output.
        hearing: what is written by hand.
        fitted: what was measured.
        digest: names both.

    Raises:
        ValueError: a witness names a label that the model does not have, or the two files do not
            fit.
    """

    def __init__(self, labels: Sequence[str], hearing: WitnessTable, fitted: Fitted, digest: str) -> None:
        self.digest = digest
        self.genres: tuple[str, ...] = hearing.genres
        self._index = {label: number for number, label in enumerate(labels)}
        self._hearing = hearing
        self._fitted = fitted
        needed = {label for each in hearing.witnesses for label in each.labels}
        needed |= {label for group in hearing.music.values() for label in group}
        if unknown := sorted(needed - set(labels)):
            raise ValueError(f"{unknown[0]!r} is not a label of the model")
        if len(fitted.background) != len(hearing.witnesses) or fitted.head[0].shape[1] != len(hearing.taught):
            raise ValueError("the fitted data belongs to another list of genres: run benchmarks.fit again")

    def is_music(self, activations: FloatArray) -> float:
        """The probability that a track is music.

        Args:
            activations: (labels,) float32, each 0 to 1, of a whole track.
        """
        features = self._hearing.music_features(activations.astype(float)[None], self._index)[0]
        odds = float((features * self._fitted.music[:-1]).sum() + self._fitted.music[-1])
        return 1 / (1 + math.exp(-min(max(odds, -50.0), 50.0)))

    def evidence(self, activations: FloatArray) -> DoubleArray:
        """What the labels say for each genre, without its prior, in natural logs; 0 is usual.

        Args:
            activations: (labels,) float32, each 0 to 1, of a whole track.

        Returns:
            (genres,).
        """
        _, lifts = self._levels_and_lifts(activations)
        evidence: DoubleArray = self._hearing.evidence(lifts)[0]
        return evidence

    def _levels_and_lifts(self, activations: FloatArray) -> tuple[DoubleArray, DoubleArray]:
        levels = self._hearing.levels(np.clip(activations.astype(float), 0, 1)[None], self._index)
        return levels, self._hearing.lifts(levels, self._fitted.background)

    def scores(self, activations: FloatArray, embedding: FloatArray, *, tracks: int = 1) -> Scores:
        """As `Scorer`; a score is the probability that the genre, or one below it, is right."""
        hearing = self._hearing
        is_music = self.is_music(activations)
        levels, lifts = self._levels_and_lifts(activations)
        head_lifts = head_odds(self._fitted.head, embedding.astype(float)[None])
        posterior = hearing.posterior(lifts, head_lifts, self._fitted.sharpness * pooled_sharpness(tracks))
        found = is_music * np.clip(hearing.with_children(posterior)[0], 0, 1)
        order = sorted(range(len(found)), key=lambda number: (-found[number], self.genres[number]))
        return Scores(
            MappingProxyType({self.genres[number]: float(found[number]) for number in order}),
            _Grounds(hearing, self._fitted.usual, levels[0], lifts[0]),
            is_music,
            nested=True,
        )


class _Grounds(Mapping[str, str]):
    """For each genre, the labels that spoke loudest for it; put into words when somebody asks.

    Args:
        hearing: has the witnesses.
        usual: (witnesses,) mean activation in music at large.
        levels: (witnesses,) what was heard of each.
        lifts: (witnesses,) how much more that is than usual; natural logs.
    """

    def __init__(self, hearing: WitnessTable, usual: DoubleArray, levels: DoubleArray, lifts: DoubleArray) -> None:
        self._hearing, self._usual, self._levels, self._lifts = hearing, usual, levels, lifts

    def __getitem__(self, genre: str) -> str:
        witnesses, numbers = self._hearing.witnesses, self._hearing.speaking_for[genre]
        parts: dict[str, tuple[float, str]] = {}
        for number in sorted(numbers, key=lambda number: -self._lifts[number] * witnesses[number].weight):
            name = witnesses[number].labels[0].partition("/")[2].lower().removesuffix(" music")
            level, usual = min(float(self._levels[number]), 1.0), float(self._usual[number])
            text = f"{name} {level:.2f}, where {f'{usual:.2f}' if usual >= 0.01 else 'less than 0.01'} is usual"
            if level > parts.get(name, (-1.0, ""))[0]:  # both ears know it: the one that hears more of it
                parts[name] = (level, text)
        return f"sounds like {' and '.join([text for _, text in parts.values()][:_LOUDEST])}"

    def __iter__(self) -> Iterator[str]:
        return iter(self._hearing.speaking_for)

    def __len__(self) -> int:
        return len(self._hearing.speaking_for)


def pooled_sharpness(tracks: int) -> float:
    """The exponent for probabilities from the mean of several similar tracks; 1 for one track.

    Measured on sets of 2, 4 and 8 recordings of one genre by different artists, and on those that
    sound most alike: the best exponents are 1.2, 1.5 and 1.9. Without one, the answers that get
    0.65 are right in 97 of 100 sets.
    """
    return float(min(tracks**_GROWTH, _SHARPEST))


def head_odds(head: tuple[DoubleArray, DoubleArray], embedding: DoubleArray) -> DoubleArray:
    """How much more likely the head finds each genre than it is at large, in log-odds.

    Args:
        head: for each ear, (dimensions + 1, taught).
        embedding: (tracks, dimensions of both ears).

    Returns:
        (tracks, taught).

    Raises:
        ValueError: the embedding has another size.
    """
    first, second = head
    size = len(first) - 1
    if embedding.shape[1] != size + len(second) - 1:
        raise ValueError(f"the embedding has {embedding.shape[1]} values, and not {size + len(second) - 1}")
    odds: DoubleArray = _product(embedding[:, :size], first[:-1]) + first[-1]
    both: DoubleArray = (odds + _product(embedding[:, size:], second[:-1]) + second[-1]) / 2
    return both


def _product(left: DoubleArray, right: DoubleArray) -> DoubleArray:
    """A matrix product; its bits depend neither on the number of threads nor on that of rows."""
    return np.stack([(row[:, None] * right).sum(axis=0) for row in left])


def _ear(label: str) -> str:
    return "yamnet" if label.startswith("yamnet/") else "musicnn"


def hearing() -> WitnessTable:
    """Read what is written by hand."""
    return WitnessTable(_bytes("toml").decode())


@cache
def _both() -> tuple[WitnessTable, Fitted, str]:
    written, measured = _bytes("toml"), _bytes("npz")
    digest = hashlib.sha256(f"{FORMULAS}\n".encode() + written + b"\n" + measured).hexdigest()
    return WitnessTable(written.decode()), read_fitted(measured), digest


def _bytes(suffix: str) -> bytes:
    return resources.files("genretagger.vocabulary").joinpath(f"{MODEL}.{suffix}").read_bytes()


def built_in(model: str, labels: Sequence[str]) -> TwoEars | Calibration:
    """Give what scores a model that brings no scores of its own.

    Args:
        model: the model's name.
        labels: its labels, in the order of its output.
    """
    if model == MODEL and "yamnet/Music" in labels:  # else it is the owner's own model of that name
        return TwoEars(labels, *_both())
    return calibration(model, labels)
