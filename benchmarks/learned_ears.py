"""How well few tracks teach, by one ear, by both stacked, by both averaged, and with an opinion.

    python -m benchmarks.learned_ears FOLDER [--seeds N] [--first SEED] [--source NAME]

From recordings with known genres (see `benchmarks.labelled`), seven of each genre are learned and
three of other groups are judged, by the code that `train` and the decisions use; again with other
recordings for each seed. A random guess among ten genres is right in 0.10. The clips of
gtzan-curated, which are asked by default, last two to three seconds: one stretch, where a whole
track gives sixteen.

The last two ways also weigh what the default model thinks of the genres by their names (see
`vocabulary.opinion`), one of them by wrong names: each genre has the name of another one.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from benchmarks.labelled import Array, Labelled, model_labels, read
from genretagger.training.head import train
from genretagger.training.split import FOLDS, dealt
from genretagger.types import FloatArray
from genretagger.vocabulary.learned import Learned
from genretagger.vocabulary.opinion import known_by_name, opinion
from genretagger.vocabulary.part import Backbone, LearnedPart, Opinion
from genretagger.vocabulary.two_ears import MODEL, built_in

LEARNED, JUDGED, LEAST_SCORE = 7, 3, 0.5
EARS = (400, 1024)
Places = npt.NDArray[np.int_]


@dataclass(frozen=True, slots=True)
class Way:
    """A way to learn.

    Attributes:
        name: for people.
        part: what of the embedding is used.
        ears: how it is divided into ears.
        names: how many genres on is the one whose name a genre has; None for no opinion.
    """

    name: str
    part: slice
    ears: tuple[int, ...]
    names: int | None = None


WAYS = (
    Way("musicnn alone", slice(0, EARS[0]), ()),
    Way("YAMNet alone", slice(EARS[0], None), ()),
    Way("stacked", slice(None), ()),
    Way("averaged", slice(None), EARS),
    Way("with an opinion", slice(None), EARS, names=0),
    Way("by wrong names", slice(None), EARS, names=1),
)


@dataclass(frozen=True, slots=True)
class Said:
    """What one way says of the recordings that are judged, of all seeds.

    Attributes:
        best: the highest score of each recording.
        right: whether it is that of the right genre.
        known: how much each resembles what was learned from.
        foreign: the highest score of each recording that is not music.
        foreign_known: how much each of those resembles what was learned from.
    """

    best: Array
    right: npt.NDArray[np.bool_]
    known: Array
    foreign: Array
    foreign_known: Array


def groups_of(folder: Path) -> list[str]:
    """The group of each recording."""
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        return [row["group"] for row in csv.DictReader(file)]


def divided(rows: Places, genres: Sequence[str], groups: Sequence[str], seed: int) -> tuple[Places, Places]:
    """Choose what to learn and to judge: each group on one side, at most one recording a genre."""
    dice = np.random.default_rng(seed)
    side: dict[str, str] = {}
    chosen: dict[str, list[int]] = {"judged": [], "learned": []}
    for genre in sorted({genres[row] for row in rows}):
        left = {"judged": JUDGED, "learned": LEARNED}
        met: set[str] = set()
        for row in dice.permutation([row for row in rows if genres[row] == genre]):
            group = groups[row]
            for name in left:
                if left[name] and group not in met and side.get(group, name) == name:
                    side[group] = name
                    met.add(group)
                    left[name] -= 1
                    chosen[name].append(int(row))
    return np.array(chosen["learned"]), np.array(chosen["judged"])


def judge(data: Labelled, groups: Sequence[str], labels: Sequence[str], rows: Places, way: Way, seed: int) -> Said:
    """Learn and judge once."""
    genres = tuple(sorted({str(data.genre[row]) for row in rows}))
    learned, judged = divided(rows, [str(genre) for genre in data.genre], groups, seed)
    truth = np.array([[data.genre[row] == genre for genre in genres] for row in learned])
    folds = np.array(dealt([groups[row] for row in learned], [[str(data.genre[row])] for row in learned], {}, FOLDS))
    music = built_in(MODEL, labels)
    is_music = np.array([music.is_music(data.activations[row].astype(np.float32)) for row in learned], np.float32)
    known: dict[str, str] = {}
    if way.names is not None:
        names = known_by_name(genres, music)
        turned = (*genres[way.names :], *genres[: way.names])
        known = {genre: names[other] for genre, other in zip(genres, turned, strict=True) if other in names}
    theirs = np.stack([opinion(genres, known, music, data.activations[row].astype(np.float32)) for row in learned])
    heard: FloatArray = data.embedding[:, way.part].astype(np.float32)
    head, _ = train(
        heard[learned], truth, folds, is_music, np.zeros(len(genres), bool), seed=0, ears=way.ears, opinion=theirs
    )
    scorer = Learned(
        (*genres, *labels),
        LearnedPart(
            genres=genres,
            tracks=MappingProxyType(dict.fromkeys(genres, LEARNED)),
            unmusical=(),
            limit=head.limit,
            backbone=Backbone(MODEL, "", tuple(labels)),
            ears=way.ears,
            line=head.line or (1.0, 0.0),
            opinion=Opinion(head.opinion, known),
        ),
    )

    def best(row: int) -> tuple[str, float, float]:
        embedding = np.concatenate([heard[row] @ head.weights + head.bias, heard[row] @ head.axes + head.origin])
        activations = np.concatenate([np.zeros(len(genres)), data.activations[row]]).astype(np.float32)
        scores = scorer.scores(activations, embedding)
        genre = next(iter(scores.by_genre))
        return genre, scores.by_genre[genre], scores.is_known

    said = [best(row) for row in judged]
    foreign = [best(int(row)) for row in np.flatnonzero(data.used & ~data.is_music)[seed % 5 :: 5]]
    return Said(
        best=np.array([score for _, score, _ in said]),
        right=np.array([genre == data.genre[row] for row, (genre, _, _) in zip(judged, said, strict=True)]),
        known=np.array([known for _, _, known in said]),
        foreign=np.array([score for _, score, _ in foreign]),
        foreign_known=np.array([known for _, _, known in foreign]),
    )


def main() -> None:
    """Measure by the arguments of the command line."""
    parser = argparse.ArgumentParser(description="Measure how well a few recordings of each genre teach it.")
    parser.add_argument("folder", type=Path, help="with features.npz and labels.csv")
    parser.add_argument("--seeds", type=int, default=10, help="how often, with other recordings each time")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--source", default="gtzan", help="whose recordings")
    options = parser.parse_args()
    data, groups, labels = read(options.folder), groups_of(options.folder), model_labels()
    rows = np.flatnonzero(data.used & data.is_music & (data.source == options.source))
    enough = [name for name in set(data.genre[rows]) if (data.genre[rows] == name).sum() >= LEARNED + JUDGED]
    rows = rows[np.isin(data.genre[rows], enough)]
    print(f"{len(enough)} genres, {LEARNED} recordings of each learned, {JUDGED} judged, {options.seeds} times")
    print("right first | get a genre | of those right | mean score less right | too far | not music: genre, too far")
    seeds = range(options.first, options.first + options.seeds)
    for way in WAYS:
        parts = [judge(data, groups, labels, rows, way, seed) for seed in seeds]
        best, right, known, foreign, foreign_known = (
            np.concatenate([getattr(each, name) for each in parts])
            for name in ("best", "right", "known", "foreign", "foreign_known")
        )
        given = best >= LEAST_SCORE
        print(
            f"{way.name:<15} {right.mean():.3f} | {given.mean():.3f} | {right[given].mean():.3f} | "
            f"{(best - right).mean():+.3f} | {(known < LEAST_SCORE).mean():.3f} | "
            f"{(foreign >= LEAST_SCORE).mean():.3f}, {(foreign_known < LEAST_SCORE).mean():.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
