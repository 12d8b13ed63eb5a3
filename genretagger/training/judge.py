"""Measures how often an installed model is right on tracks with known genres."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from genretagger.errors import ConfigError
from genretagger.model.card import Card
from genretagger.training.examples import Lessons
from genretagger.training.measures import Judged, Measures, measure
from genretagger.training.memory import remembered
from genretagger.vocabulary.names import key, vocabulary
from genretagger.vocabulary.resolve import identity, own_names


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result.

    Attributes:
        measures: on the tracks with a genre that the model knows.
        deaf_to: known genres that the model does not have, with their number of tracks.
        deaf_tracks: how many tracks have no other genre, and were left out.
        deaf_given: how many of those get a genre anyway, which cannot be right.
        learned_from: how many of the tracks the model was trained on.
        learned_artists: how many are by artists, or of albums, that it was trained on.
    """

    measures: Measures
    deaf_to: Mapping[str, int]
    deaf_tracks: int
    deaf_given: int
    learned_from: int
    learned_artists: int


def judge(lessons: Lessons, genres: Sequence[str], card: Card, aliases: Mapping[str, str]) -> Evaluation:
    """Measure a model.

    Args:
        lessons: tracks with the model's decisions.
        genres: all that the model can infer.
        card: of the model.
        aliases: the owner's names, which the decisions use.

    Raises:
        ConfigError: no track has a genre that the model can infer.
    """
    own_name = own_names(aliases, vocabulary())

    def called(genre: str) -> str:
        known = vocabulary().canonical(genre) or genre
        return own_name.get(key(genre)) or own_name.get(key(known)) or genre

    parts: dict[str, list[str]] = {}  # several genres may have one name
    for genre in genres:
        parts.setdefault(identity(called(genre), vocabulary()), []).append(genre)
    names = [called(part[0]) for part in parts.values()]
    columns = {name: number for number, name in enumerate(parts)}
    deaf: Counter[str] = Counter()
    truth, scores, chosen, judged = [], [], [], []
    deaf_given = 0
    for example in lessons.examples:
        known = {genre: columns.get(identity(called(genre), vocabulary())) for genre in example.genres}
        deaf.update(genre for genre, column in known.items() if column is None)
        own = [column for column in known.values() if column is not None]
        if not own:
            deaf_given += bool(example.heard.decision.genres)
            continue
        judged.append(example)
        truth.append([number in own for number in range(len(names))])
        decision = example.heard.decision
        scores.append([max(decision.scores.get(genre, 0.0) for genre in part) for part in parts.values()])
        given = {columns.get(identity(genre, vocabulary())) for genre in decision.genres}
        chosen.append([number in given for number in range(len(names))])
    if not judged:
        if not deaf:
            raise _without_genres(lessons)
        known_names = ", ".join(sorted(deaf)[:12])
        raise ConfigError(
            f"no track has a known genre that the model can infer (known: {known_names})",
            hint="Give them the model's names with --map, or choose another --model",
        )
    known_to_it = remembered(card)
    unjudged = frozenset(known_to_it.unjudged)
    return Evaluation(
        measures=measure(
            Judged(tuple(names), np.array(truth, bool), np.array(scores, np.float32), np.array(chosen, bool))
        ),
        deaf_to=dict(sorted(deaf.items())),
        deaf_tracks=len(lessons.examples) - len(judged),
        deaf_given=deaf_given,
        learned_from=sum(each.id in known_to_it.tracks or each.id in unjudged for each in judged),
        learned_artists=sum(any(tie in known_to_it.ties for tie in each.ties) for each in judged),
    )


def _without_genres(lessons: Lessons) -> ConfigError:
    """The error that says why there is nothing to measure."""
    hint = "Name music with known genres, or say where they are: --labels folder, or a table"
    if lessons.unheard:
        return ConfigError("no track with a genre has audio that a model can use", hint=hint)
    if lessons.own:
        return ConfigError("the only genres of the tracks are those that genretagger wrote", hint=hint)
    return ConfigError("no track has a genre" if lessons.unlabelled else "no track was found", hint=hint)
