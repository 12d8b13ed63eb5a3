"""From a model's activations to calibrated genre scores, by data: `<model>.toml` beside this file.

If the model's activations were exact probabilities, an activation a would be the share of
recordings heard like this that listeners gave the label, and a / u, with its *usual* level u, the
likelihood of the sound given the label over the likelihood of the sound at large. Both count. An
activation of 0.2 means little for `rock`, which a fifth of all recordings have, and much for
`House`; but 0.04 is wrong for `House` in most cases as well, although it is twice the usual. So
each label is measured against a level between its own usual one and one that is common to all:

    level = u^trust * common^(1 - trust)

A genre is heard by one or more *witnesses*, each a group of labels of one network; their
activations and usual levels are summed (any of them will do). With weights w that sum to one,

    evidence = sum of w * log((sum of a + e) / (level + e)),    e = FLOOR * level, of the summed u
    score    = 1 / (1 + exp(-gain * (evidence - log(threshold))))

so that a score of 0.5 means "`threshold` times that level". The witnesses of the two networks
multiply, as independent ones do, with weights below one because they are not quite independent.
Labels that speak *against* a genre lower it if they are above their own level.

Last, all scores are scaled by how much the track sounds like music at all, from two measures: how
much is *playing* (the labels of instruments, beats and the like, against their usual level), and
how far the activations differ from the background levels (their Kullback-Leibler divergence, in
nats; for speech or a barking dog they hardly differ). A track counts as music if the first, times a
power of the second, reaches a threshold.
"""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from importlib import resources
from types import MappingProxyType
from typing import Any

from genretagger.types import FloatArray
from genretagger.vocabulary.names import names_genre, vocabulary

FORMULAS = 2
"""Raise it when the formulas change: stored decisions are then made again."""

FLOOR = 0.1
"""The share of the level below which less makes no difference, so that the log stays finite."""

_SEPARATOR = re.compile(r"\s*[/;,]\s*")
"""What players split genres on."""


@dataclass(frozen=True, slots=True)
class LabelWitness:
    """Labels of one network that speak for, or against, a genre.

    Attributes:
        labels: any of them will do.
        weight: how much it counts.
    """

    labels: Sequence[str]
    weight: float


@dataclass(frozen=True, slots=True)
class Profile:
    """How one genre is heard.

    Attributes:
        witnesses: speak for it.
        against: speak against it, if above their level.
        threshold: how many times the level makes a score of 0.5.
    """

    witnesses: tuple[LabelWitness, ...]
    against: tuple[LabelWitness, ...]
    threshold: float


@dataclass(frozen=True, slots=True)
class Scores:
    """What a calibration makes of a track.

    Attributes:
        by_genre: every genre that the model can hear, with its score, 0 to 1, best first.
        grounds: for each genre, in words, which labels spoke for it.
        is_music: 0 to 1; the scores were scaled or capped by it.
        is_known: 0 to 1, how much it resembles what the model learned from; 1 if nobody can
            tell.
        parents: of genres that the model's labels give one, such as `Electronic---Deep House`.
        nested: a genre's score covers those below it as well: that of Electronic is at least that
            of House.
    """

    by_genre: Mapping[str, float]
    grounds: Mapping[str, str]
    is_music: float
    is_known: float = 1.0
    parents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nested: bool = False


@dataclass(frozen=True, slots=True)
class MusicTest:
    """How to separate music from other sounds.

    Attributes:
        playing: labels of what is played.
        saying: labels of one network, all that have a usual level.
        threshold: from which a track counts as music.
        gain: how steeply.
        saying_weight: the power of the second measure.
    """

    playing: Sequence[str]
    saying: Sequence[str]
    threshold: float
    gain: float
    saying_weight: float = 0.5


@dataclass(eq=False)
class Calibration:
    """What turns one model's activations into scores.

    Args:
        labels: the model's labels, in the order of its output.
        usual: the usual level of each label that a profile names, 0 to 1.
        profiles: how each genre is heard.
        gain: how steeply the score rises with the evidence.
        trust: how much of a label's level is its own usual one, 0 to 1.
        common: the level that is common to all labels.
        music: how to separate music from other sounds; None to take everything for music.
        digest: names this calibration; another digest means other scores.
        parents: of genres with labels that name one.

    Raises:
        ValueError: a profile names a label that the model does not have, or that has no usual
            level.
    """

    labels: Sequence[str]
    usual: Mapping[str, float]
    profiles: Mapping[str, Profile]
    _: KW_ONLY
    gain: float
    music: MusicTest | None
    digest: str
    trust: float = 1.0
    common: float = 0.1
    parents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.genres = tuple(self.profiles)
        witnesses = [each for profile in self.profiles.values() for each in (*profile.witnesses, *profile.against)]
        named = {label for each in witnesses for label in each.labels}
        known = set(self.labels)
        for label in named | ({*self.music.playing, *self.music.saying} if self.music else set()):
            if label not in known or not 0 < self.usual.get(label, 0) < 1:
                raise ValueError(f"{label!r} is not a label of the model, or has no usual level")

    def is_music(self, activations: FloatArray) -> float:
        """How much a track sounds like music, 0 to 1; 1 if that is not known.

        Args:
            activations: (labels,) float32, each 0 to 1, of a whole track.
        """
        test = self.music
        if test is None:
            return 1.0
        heard = self._heard(activations)
        playing = math.exp(_lift(sum(heard[label] for label in test.playing), self._usual_of(test.playing)))
        saying = sum(_divergence(heard[label], self.usual[label]) for label in test.saying)
        level = playing * max(saying, 0.0) ** test.saying_weight  # rounding can leave a divergence just below nothing
        return sigmoid(test.gain * math.log(max(level, 1e-9) / test.threshold))

    def _heard(self, activations: FloatArray) -> dict[str, float]:
        return {label: float(activations[number]) for number, label in enumerate(self.labels)}

    def scores(self, activations: FloatArray, embedding: FloatArray | None = None, *, tracks: int = 1) -> Scores:
        """Score every genre.

        Args:
            activations: (labels,) float32, each 0 to 1, of a whole track.
            embedding: makes no difference here.
            tracks: makes no difference here.
        """
        del embedding, tracks
        heard = self._heard(activations)
        is_music = self.is_music(activations)
        scores = {
            name: is_music * sigmoid(self.gain * self._evidence(profile, heard))
            for name, profile in self.profiles.items()
        }
        ranked = dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))
        grounds = {name: self._grounds(profile, heard) for name, profile in self.profiles.items()}
        return Scores(MappingProxyType(ranked), MappingProxyType(grounds), is_music, parents=self.parents)

    def _evidence(self, profile: Profile, heard: Mapping[str, float]) -> float:
        """Weigh the witnesses: 0 is as likely as not."""
        speaking_for = sum(witness.weight * self._lift(witness, heard) for witness in profile.witnesses)
        speaking_against = sum(witness.weight * max(0.0, self._lift(witness, heard)) for witness in profile.against)
        return speaking_for - speaking_against - math.log(profile.threshold)

    def _lift(self, witness: LabelWitness, heard: Mapping[str, float]) -> float:
        """Give the natural log of how many times its level a witness is heard at."""
        level = self._usual_of(witness.labels) ** self.trust * self.common ** (1 - self.trust)
        return _lift(sum(heard[label] for label in witness.labels), level)

    def _usual_of(self, labels: Sequence[str]) -> float:
        return sum(self.usual[label] for label in labels)

    def _grounds(self, profile: Profile, heard: Mapping[str, float]) -> str:
        """Name a genre's two loudest labels; if two networks share a label, the louder counts."""
        lifts = {label: heard[label] / self.usual[label] for witness in profile.witnesses for label in witness.labels}
        loudest: dict[str, str] = {}
        for label in sorted(lifts, key=lambda label: -lifts[label]):
            loudest.setdefault(label.rpartition("/")[2], label)
        return ", ".join(
            f"{name} {heard[label]:.2f} (usual {self.usual[label]:.2f})" for name, label in list(loudest.items())[:2]
        )


def _lift(heard: float, level: float) -> float:
    return math.log((heard + FLOOR * level) / (level + FLOOR * level))


def sigmoid(odds: float) -> float:
    """A probability, from the natural log of its odds."""
    return 1 / (1 + math.exp(-min(max(odds, -700.0), 700.0)))


def _divergence(level: float, usual: float) -> float:
    """Kullback-Leibler divergence of one yes-or-no answer from the usual one, in nats."""
    level = min(max(level, 1e-6), 1 - 1e-6)
    return level * math.log(level / usual) + (1 - level) * math.log((1 - level) / (1 - usual))


_HEARS_LIKE = {"musicnn-yamnet": "musicnn"}
"""Models that use the calibration of another one, as they have all of its labels."""


def calibration(model: str, labels: Sequence[str]) -> Calibration:
    """Give the calibration of a model: its own if genretagger has one, else the plain one.

    Args:
        model: the model's name.
        labels: its labels, in the order of its output.
    """
    model = _HEARS_LIKE.get(model, model)
    file = resources.files("genretagger.vocabulary").joinpath(f"{model}.toml")
    if model.isidentifier() and file.is_file():
        content = file.read_text(encoding="utf-8")
        usual = tomllib.loads(content).get("usual")
        if usual and set(usual) <= set(labels):  # else it is the owner's own model of that name
            return _read(content, labels)
    return _plain(labels)


def _read(content: str, labels: Sequence[str]) -> Calibration:
    document = tomllib.loads(content)
    return Calibration(
        labels,
        document["usual"],
        {
            name: Profile(_witnesses(entry.get("for", ())), _witnesses(entry.get("against", ())), entry["threshold"])
            for name, entry in document["genres"].items()
        },
        gain=document["gain"],
        trust=document["trust"],
        common=document["common"],
        music=MusicTest(**document["music"]) if "music" in document else None,
        digest=hashlib.sha256(f"{FORMULAS}\n{content}".encode()).hexdigest(),
    )


def _witnesses(entries: Sequence[Mapping[str, Any]]) -> tuple[LabelWitness, ...]:
    return tuple(LabelWitness(**entry) for entry in entries)


def genre_of(label: str) -> tuple[str, tuple[str, ...]]:
    """The genre that a label names, "" if it names none, and the parents that it names as well.

    `Electronic---Deep House` is Deep House, a kind of Electronic.
    """
    family, _, name = label.rpartition("---")
    if not names_genre(name, family):
        return "", ()
    genre, parent = (vocabulary().canonical(text) or _SEPARATOR.sub(" & ", text) for text in (name, family))
    return genre, (parent,) if parent and parent != genre else ()


def genres_of(labels: Sequence[str]) -> tuple[dict[str, list[int]], dict[str, tuple[str, ...]]]:
    """For each genre that labels name, their numbers, and the parents that the first one names."""
    numbers: dict[str, list[int]] = {}
    parents: dict[str, tuple[str, ...]] = {}
    for number, label in enumerate(labels):
        genre, above = genre_of(label)
        if genre:
            numbers.setdefault(genre, []).append(number)
            parents.setdefault(genre, above)
    return numbers, parents


def _plain(labels: Sequence[str]) -> Calibration:
    """Take each label as a genre and its activation as the score: for models without calibration.

    With a usual level of one half, a threshold of one and the gain that makes the two meet at one
    half, a score is close to the activation itself, and their order is the same. Labels that name
    one genre share that level, so that one of them is enough. Those that name none are left out.
    """
    numbers, parents = genres_of(labels)
    members = {genre: [labels[number] for number in own] for genre, own in numbers.items()}
    return Calibration(
        labels,
        {label: 0.5 / len(group) for group in members.values() for label in group},
        {genre: Profile((LabelWitness(group, 1.0),), (), 1.0) for genre, group in members.items()},
        gain=2.0,
        music=None,
        digest=f"plain {FORMULAS}",
        parents=parents,
    )
