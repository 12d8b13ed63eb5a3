"""Findings from the scores of held-out tracks: limits, changes, and mislabelled tracks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from genretagger.model.card import Card
from genretagger.training.examples import Example
from genretagger.training.measures import ChoiceRules, Judged, choose_genres, f1
from genretagger.training.result import Change, Suspect
from genretagger.types import FlagArray, FloatArray, IndexArray
from genretagger.vocabulary.names import key

_SUSPECT_OWN, _SUSPECT_OTHER, _SUSPECT_TIMES = 0.5, 0.3, 4.0
"""A track looks mislabelled if its own genre scores less than the first number, and another genre
at least the second and so many times as much. Chosen on 200 synthesised tracks with planted
mistakes; docs/data.md has the results on others.
"""


def unmeasured(genres: Sequence[str], truth: FlagArray, folds: IndexArray) -> tuple[str, ...]:
    """Genres that are in one fold, so that no model without them in training can be tested."""
    return tuple(genre for genre, column in zip(genres, truth.T, strict=True) if len(set(folds[column].tolist())) < 2)


def judged(
    genres: tuple[str, ...], truth: FlagArray, scores: FloatArray, beyond: Sequence[str], rules: ChoiceRules
) -> Judged | None:
    """The tracks and genres that could be held out."""
    columns = [place for place, genre in enumerate(genres) if genre not in beyond]
    rows = truth[:, columns].any(axis=1)
    if not columns or not rows.any():
        return None
    kept = scores[rows][:, columns]
    chosen = choose_genres(kept, rules)
    return Judged(tuple(genres[place] for place in columns), truth[rows][:, columns], kept, chosen)


def suspects(
    examples: Sequence[Example], genres: Sequence[str], truth: FlagArray, scores: FloatArray, beyond: Sequence[str]
) -> tuple[Suspect, ...]:
    """Tracks with a low score of their own genre and a high one of another, the clearest first."""
    found = []
    for each, own, said in zip(examples, truth, scores, strict=True):
        if set(each.genres) & set(beyond):
            continue
        mine = float(said[own].max())
        other = int(np.where(own, -1.0, said).argmax())
        if mine < _SUSPECT_OWN and float(said[other]) >= max(_SUSPECT_OTHER, _SUSPECT_TIMES * mine):
            found.append(Suspect(each, mine, genres[other], float(said[other])))
    return tuple(sorted(found, key=lambda each: (each.own - each.score, each.example.path)))


def changes(
    examples: Sequence[Example],
    genres: Sequence[str],
    truth: FlagArray,
    chosen: FlagArray,
    said: Mapping[str, Sequence[int]],
    before: Card | None,
) -> tuple[Change, ...]:
    """Compare the previous model's decisions with the new one's on held-out tracks, by genre."""
    if before is None or not said:
        return ()
    part = before.part
    if part is None or part.learned is None:
        return ()
    # the spelling of genres may have changed
    earlier = [key(genre) for genre in part.learned.genres]
    shared = [place for place, each in enumerate(examples) if each.id in said]
    found = []
    for column, genre in enumerate(genres):
        own = truth[shared, column]
        old = [key(genre) in [earlier[at] for at in said[examples[place].id] if at < len(earlier)] for place in shared]
        new = chosen[shared, column]
        found.append(Change(genre, int(own.sum()), f1(own, np.array(old, bool)), f1(own, new)))
    return tuple(found)
