"""A course: known tracks, ready for any way of learning, and results in one form.

examples → genres frequent enough → groups → folds → (a way of learning)
         → scores of held-out tracks → measures, card
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from genretagger.errors import ConfigError, ModelError
from genretagger.model.card import EMBEDDINGS, Card
from genretagger.model.installed import InstalledModel
from genretagger.model.listener import track_activations
from genretagger.text import plural
from genretagger.training import held_out, split
from genretagger.training.examples import Example, Lessons, frequent
from genretagger.training.measures import ChoiceRules, Measures, choose_genres, measure
from genretagger.training.memory import remembered, to_remember
from genretagger.training.result import TrainingResult
from genretagger.types import DoubleArray, FlagArray, FloatArray, IndexArray, Json
from genretagger.vocabulary.opinion import known_by_name, opinion
from genretagger.vocabulary.part import KEY, Folds
from genretagger.vocabulary.two_ears import built_in

SEED = 0
_MOST_DROPPED = 1_000


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """What is known before anything is learned: n tracks, k genres.

    Attributes:
        backbone: the model that heard the tracks.
        rules: how genres are chosen.
        examples: the tracks that have a genre to learn.
        genres: those to learn.
        dropped: those left out, with their number of tracks.
        truth: (n, k) bool.
        folds: (n,) the fold of each track; tracks of one artist or album share one.
        groups: how many artists and albums that have nothing in common.
        values: (n, d) float32, the backbone's embeddings.
        is_music: (n,) float32, how much each track sounds like music.
        unmusical: (k,) bool: genres that need not.
        known_by_name: the genres of which the backbone has an opinion, and its names for them.
        opinion: (n, k) that opinion; 0 if there is none. See `vocabulary.opinion`.
        unmeasured: genres of one group only.
        warnings: for people.
        before: the card of the previous model of that name.
        known: what that remembers.
    """

    backbone: InstalledModel
    rules: ChoiceRules
    examples: tuple[Example, ...]
    genres: tuple[str, ...]
    dropped: Mapping[str, int]
    truth: FlagArray
    folds: IndexArray
    groups: int
    values: FloatArray
    is_music: FloatArray
    unmusical: FlagArray
    known_by_name: Mapping[str, str]
    opinion: DoubleArray
    unmeasured: tuple[str, ...]
    warnings: tuple[str, ...]
    before: Card | None
    known: Folds

    @classmethod
    def of(
        cls, lessons: Lessons, backbone: InstalledModel, *, least: int, rules: ChoiceRules, before: Card | None = None
    ) -> Course:
        """Make one.

        Args:
            lessons: from `examples.collect`.
            backbone: the model that gave their embeddings.
            least: tracks that a genre needs.
            rules: how genres are chosen.
            before: the card of the previous model of that name; its held-out tracks stay held out.

        Raises:
            ConfigError: there are too few tracks or genres.
            ModelError: the backbone gives no embedding.
        """
        genres, dropped = frequent(lessons.examples, least)
        examples = tuple(each for each in lessons.examples if set(each.genres) & set(genres))
        _check(genres, dropped, lessons, least)
        heard = [_activations(each) for each in examples]
        values = np.stack([embedding for _, embedding in heard]).astype(np.float32)
        if backbone.card.output(EMBEDDINGS) is None or not values.shape[1]:
            cause = f"The model {backbone.name!r} gives no embedding to learn from"
            raise ModelError(cause, hint="Choose another one.")
        warnings: list[str] = []
        known = Folds() if before is None else remembered(before)
        groups, folds = _folds(examples, known.ties, warnings)
        truth: FlagArray = np.array([[genre in each.genres for genre in genres] for each in examples])
        unmeasured = held_out.unmeasured(genres, truth, folds)
        if unmeasured:
            warnings.append(
                f"{_listed(unmeasured)}: all of its tracks come from one artist, album or folder, "
                "so its quality cannot be measured"
            )
        music = built_in(backbone.name, backbone.card.classes)
        is_music = np.array([music.is_music(activations) for activations, _ in heard], np.float32)
        by_name = known_by_name(genres, music)
        said = np.stack([opinion(genres, by_name, music, activations) for activations, _ in heard])
        unmusical = np.array([np.median(is_music[column]) < rules.min_score for column in truth.T])
        return cls(
            backbone, rules, examples, genres, dropped, truth, folds, groups, values, is_music, unmusical, by_name,
            said, unmeasured, tuple(warnings), before, known,
        )  # fmt: skip

    @property
    def counts(self) -> dict[str, int]:
        """How many tracks each genre has."""
        return {genre: int(column.sum()) for genre, column in zip(self.genres, self.truth.T, strict=True)}

    def result(
        self,
        scores: FloatArray,
        *,
        name: str,
        origin: Mapping[str, Json],
        onnx: bytes,
        embedding: int,
        part: Mapping[str, Json],
        rows: FlagArray | None = None,
        warnings: Sequence[str] = (),
    ) -> TrainingResult:
        """Measure what was learned, and write its card.

        Args:
            scores: (n, k) of each track by a model that did not learn from its fold.
            name: of the new model.
            origin: where tracks and genres come from, and how it was learned.
            onnx: content of `model.onnx`.
            embedding: how many values the model's embedding has.
            part: what a way of learning adds to the card.
            rows: (n,) bool, the tracks that were judged; None for all.
            warnings: more of them.
        """
        rules = self.rules
        rows = np.ones(len(self.examples), bool) if rows is None else rows
        asked = tuple(example for example, row in zip(self.examples, rows, strict=True) if row)
        truth, said = self.truth[rows], scores[rows]
        judged = held_out.judged(self.genres, truth, said, self.unmeasured, rules) if len(asked) else None
        measures = None if judged is None else measure(judged)
        chosen = choose_genres(said, rules)
        backbone, counts = self.backbone, self.counts
        learned: dict[str, Json] = {
            "genres": list(self.genres),
            "tracks": counts,
            "unmusical": [genre for genre, flag in zip(self.genres, self.unmusical, strict=True) if flag],
            **part,
            "backbone": {"name": backbone.name, "sha256": backbone.sha256, "labels": list(backbone.card.classes)},
            "training": {
                "tracks": len(self.examples),
                "groups": self.groups,
                **origin,
                "dropped": dict(Counter(self.dropped).most_common(_MOST_DROPPED)),
                "seed": SEED,
                "at": _now(),
            },
            "unmeasured": list(self.unmeasured),
            "held_out": None if measures is None else _figures(measures),
            "folds": to_remember(self.examples, self.folds, rows, chosen),
        }
        return TrainingResult(
            onnx=onnx,
            card=_card(name, self.genres, backbone, embedding, {"scores": "probabilities", "learned": learned}),
            genres=counts,
            dropped=self.dropped,
            unmeasured=self.unmeasured,
            measures=measures,
            judged=judged,
            suspects=held_out.suspects(asked, self.genres, truth, said, self.unmeasured),
            changes=held_out.changes(asked, self.genres, truth, chosen, self.known.tracks, self.before),
            groups=self.groups,
            warnings=(*self.warnings, *warnings),
            asked=tuple(each.id for each in asked if not set(each.genres) <= {*self.unmeasured, *self.dropped}),
        )


def _check(genres: Sequence[str], dropped: Mapping[str, int], lessons: Lessons, least: int) -> None:
    if len(genres) >= 2:
        return
    counted = (
        f"{plural(len(lessons.examples), 'track')} {_have(len(lessons.examples))} a genre that is not genretagger's own"
    )
    if lessons.own:
        counted += f", {lessons.own:,} {_have(lessons.own)} only genres that genretagger wrote"
    rare = f"; too rare, or on every track: {_listed([f'{genre} ({count})' for genre, count in dropped.items()])}"
    raise ConfigError(
        f"there is too little to learn from: at least two genres with {least} tracks each are needed, and {counted}"
        f"{rare if dropped else ''}",
        hint="Name more music, take genres from folders (--labels folder) or a table, or lower --min-tracks",
    )


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def _activations(example: Example) -> tuple[FloatArray, FloatArray]:
    heard = example.heard.activations
    if heard is None:
        raise ValueError("an example without activations")
    return track_activations(heard.values), heard.embedding


def _folds(examples: Sequence[Example], ties: Mapping[str, int], warnings: list[str]) -> tuple[int, IndexArray]:
    """How many groups there are, and the fold of each track."""
    groups = split.grouped([each.ties for each in examples])
    found = len(set(groups))
    known: dict[str, int] = {}
    for group, each in zip(groups, examples, strict=True):
        for tie in each.ties:
            if tie in ties:
                known.setdefault(group, ties[tie])
    ((_, count),) = Counter(groups).most_common(1)
    if found < 2:
        warnings.append(
            "all tracks belong to one artist, album or folder, so none can be held out together: the figures are by "
            "track, and better than they would be for other artists"
        )
        groups = [each.id for each in examples]
        known = {}
    elif count > len(examples) / 2:
        warnings.append(f"{count:,} of {len(examples):,} tracks are tied together by shared artists and albums")
    genres, parts = [each.genres for each in examples], min(split.FOLDS, len(set(groups)))
    folds = split.dealt(groups, genres, known, parts)
    # all remaining tracks are in one fold, so no track would be left to learn from
    if len(set(folds)) < 2:
        folds = split.dealt(groups, genres, {}, parts)
    return found, np.array(folds)


def _figures(measures: Measures) -> Json:
    """The measures for the card, without the confusion table, which takes 6 MB with 600 genres."""
    return {name: value for name, value in measures.to_json().items() if name != "confusion"}


def _card(name: str, genres: Sequence[str], backbone: InstalledModel, embedding: int, part: Json) -> Card:
    card = backbone.card
    return card.build_on(
        name=name,
        version="1",
        classes=(*genres, *(f"{backbone.name}: {label}" for label in card.classes)),
        embedding=embedding,
        licence=card.licence,
        source=f"learned from the owner's tracks on {card.name} ({card.source or 'no source given'})"[:1000],
        more={KEY: part},
    )


def _now() -> str:
    """The time in UTC; if SOURCE_DATE_EPOCH is set, that time, so that builds are reproducible."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = datetime.fromtimestamp(int(fixed), UTC) if fixed.isdigit() else datetime.now(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _listed(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
