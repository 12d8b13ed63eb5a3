"""How many answers the tracks of an album get, one by one and together, and which outliers survive.

    python -m benchmarks.albums FOLDER

The folder is that of `benchmarks.labelled`. Its albums are groups of at least four recordings of
game music by one artist, and made-up ones: up to ten recordings of one genre and source, which
differ more than an album does, as their artists do. Each album is also measured with one or two
outliers: recordings of another family of genres than any answer in the album, whose own answer is
right. All scores come from fits that did not have the artist.

Printed for several limits of `steps.pool`: different answers an album (with the share of those that
each track alone gives, and of those that each gave by the former default model, which had one ear),
tracks with a genre, right ones of those (not for game music, whose genre
nobody knows), and outliers that lost their answer, which a parent of it is not. Everything in
`steps.pool` was chosen with the groups in `TUNED`; all others are printed apart from those.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.fit import FILE
from benchmarks.fitting import Bench, fit
from benchmarks.labelled import FOLDS, Labelled, model_labels, read
from genretagger.steps.pool import NESTED, Measure, Voice, members
from genretagger.vocabulary import two_ears
from genretagger.vocabulary.calibration import Scores
from genretagger.vocabulary.fitted import read_fitted
from genretagger.vocabulary.names import vocabulary
from genretagger.vocabulary.resolve import Rules, decide

MEASURES = (NESTED, *(replace(NESTED, farthest=far) for far in (2.0, 4.0, 5.0, 6.0, 7.0, 9.0)))
ROUNDS = 10
TUNED = frozenset({0, 2, 4})
"""Folds of groups; see above."""
_FEWEST, _MOST = 4, 10
_GAMES = "deb"
_FORMER_LABELS, _FORMER_VALUES = 100, 400
"""What the former default has of the labels and the embedding."""

Answer = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Album:
    """Rows of one album, and those of outliers that were put into it."""

    kind: str
    rows: tuple[int, ...]
    outliers: tuple[int, ...] = ()


class Judge:
    """What is decided on recordings by a fit that did not have their artist.

    Args:
        data: the recordings.
    """

    def __init__(self, data: Labelled) -> None:
        bench, labels = Bench.of(data, two_ears.hearing()), model_labels()
        sharpness = read_fitted(FILE.read_bytes()).sharpness
        fits = [replace(fit(bench, data.fold != fold), sharpness=sharpness) for fold in range(FOLDS)]
        self.data = data
        self._scorers = [two_ears.TwoEars(labels, two_ears.hearing(), each, "held out") for each in fits]
        self._former = two_ears.built_in("musicnn", labels[:_FORMER_LABELS])
        self._together: dict[tuple[int, ...], Answer] = {}
        self.alone = {row: self.together((row,)) for row in map(int, np.flatnonzero(data.used))}
        self.formerly = {row: self._formerly(row) for row in self.alone}
        self.voices = {row: self._voice(row) for row in self.alone}

    def together(self, rows: tuple[int, ...]) -> Answer:
        """The answer for some recordings of one fold together."""
        if rows not in self._together:
            self._together[rows] = decide(self._scores(rows), Rules(), vocabulary()).genres
        return self._together[rows]

    def _scores(self, rows: tuple[int, ...]) -> Scores:
        activations = self.data.activations[list(rows)].mean(axis=0).astype(np.float32)
        embedding = self.data.embedding[list(rows)].mean(axis=0).astype(np.float32)
        scorer = self._scorers[int(self.data.fold[rows[0]])]
        return scorer.scores(activations, embedding, tracks=len(rows))

    def _formerly(self, row: int) -> Answer:
        heard = self.data.activations[row, :_FORMER_LABELS].astype(np.float32)
        scores = self._former.scores(heard, self.data.embedding[row, :_FORMER_VALUES].astype(np.float32))
        return decide(scores, Rules(), vocabulary()).genres

    def _voice(self, row: int) -> Voice:
        embedding = self.data.embedding[row].astype(np.float32)
        return Voice(self._scores((row,)), embedding, bool(self.alone[row]))

    def is_right(self, row: int, answer: Answer) -> bool:
        """Whether the first genre of an answer is right."""
        return bool(answer) and answer[0] in self.data.truth[row]


def albums(folder: Path, judge: Judge, seed: int) -> list[Album]:
    """Make albums, each without outliers and, where there are some, with them."""
    data, chance = judge.data, random.Random(seed)
    lines = (folder / "labels.csv").read_text(encoding="utf-8").splitlines()
    group = [line.split(",")[lines[0].split(",").index("group")] for line in lines[1:]]
    found: dict[tuple[str, str, int], list[int]] = defaultdict(list)
    for row in judge.alone:
        if not data.is_music[row]:
            continue
        kind = str(data.source[row])
        found[kind, group[row] if kind == _GAMES else str(data.genre[row]), int(data.fold[row])].append(row)
    made = []
    for (kind, _, fold), rows in sorted(found.items()):
        if len(rows) < _FEWEST:
            continue
        if kind != _GAMES:
            rows = chance.sample(rows, min(_MOST, len(rows)))
        made.append(Album(kind, tuple(rows)))
        families = {_family(judge.alone[row][0]) for row in rows if judge.alone[row]}
        families |= {_family(genre) for row in rows for genre in data.truth[row]}
        others = [
            row
            for row, answer in judge.alone.items()
            if data.fold[row] == fold
            and (data.source[row] == kind or (kind == _GAMES and data.is_music[row]))
            and judge.is_right(row, answer)
            and not families & {_family(genre) for genre in data.truth[row]}
        ]
        count = 1 if len(rows) < 8 else 2
        if len(others) >= count:
            made.append(Album(kind, tuple(rows), tuple(chance.sample(others, count))))
    return made


def measure(judge: Judge, made: list[Album], how: Measure) -> dict[str, Counter[str]]:
    """Count what becomes of albums, as `steps.together` decides."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for album in made:
        rows = [*album.rows, *album.outliers]
        inside = members([judge.voices[row] for row in rows], how)
        chosen = tuple(sorted(row for row, belongs in zip(rows, inside, strict=True) if belongs))
        answer = judge.together(chosen) if chosen else ()
        answers = {row: answer if answer and row in chosen else judge.alone[row] for row in rows}
        count = counts[album.kind]
        if album.outliers:
            count["outliers"] += len(album.outliers)
            count["lost"] += sum(_is_lost(judge.alone[row], answers[row]) for row in album.outliers)
            continue
        count["albums"] += 1
        count["tracks"] += len(rows)
        for name, given in (("formerly", judge.formerly), ("alone", judge.alone), ("together", answers)):
            count[f"answers {name}"] += len({given[row] for row in rows})
            count[f"with {name}"] += sum(bool(given[row]) for row in rows)
            count[f"right {name}"] += sum(judge.is_right(row, given[row]) for row in rows)
    return counts


def _is_lost(own: Answer, given: Answer) -> bool:
    return not given or given[0] not in {own[0], *vocabulary().ancestors(own[0])}


def _family(genre: str) -> str:
    return [genre, *vocabulary().ancestors(genre)][-1]


def _line(kind: str, count: Counter[str]) -> str:
    before, after = (count[f"answers {name}"] / count["albums"] for name in ("alone", "together"))
    coverage = [count[f"with {name}"] / count["tracks"] for name in ("alone", "together")]
    right = [count[f"right {name}"] / max(1, count[f"with {name}"]) for name in ("alone", "together")]
    share = count["answers together"] / count["answers formerly"]
    accuracy = "" if kind == _GAMES else f", right {right[0]:.0%} → {right[1]:.0%}"
    return (
        f"    {kind:6} {count['albums']:4} albums: {before:.2f} → {after:.2f} answers ({after / before:.0%}), "
        f"{share:.0%} of the former default's, "
        f"genre {coverage[0]:.0%} → {coverage[1]:.0%}{accuracy}; {count['lost']} of {count['outliers']} outliers lost"
    )


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("labelled", type=Path)
    folder = parser.parse_args().labelled
    with threadpool_limits(1):
        judge = Judge(read(folder))
        made = [album for seed in range(ROUNDS) for album in albums(folder, judge, seed)]
        for how in MEASURES:
            for name, is_tuned in (("chosen with", True), ("not chosen with", False)):
                half = [album for album in made if (judge.data.fold[album.rows[0]] in TUNED) is is_tuned]
                print(f"limit {how.farthest:g}{' (as it is)' if how == NESTED else ''}, {name}")
                counts = measure(judge, half, how)
                for kind, count in (*sorted(counts.items()), ("all", sum(counts.values(), Counter()))):
                    print(_line(kind, count), flush=True)


if __name__ == "__main__":
    main()
