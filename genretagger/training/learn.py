"""Makes the content of a model folder from known tracks, with an honest measure of its quality.

examples → genres frequent enough → groups → folds → head → ONNX and card
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from genretagger.errors import ConfigError, ModelError
from genretagger.model.card import EMBEDDINGS, Card
from genretagger.model.installed import InstalledModel
from genretagger.text import plural
from genretagger.training import held_out, split
from genretagger.training.examples import Example, Lessons, frequent, matrix
from genretagger.training.lesson import ChoiceRules, TrainingResult
from genretagger.training.measures import Measures, choose, measure
from genretagger.training.memory import remembered, to_remember
from genretagger.types import Json
from genretagger.vocabulary.part import KEY, Folds
from genretagger.vocabulary.two_ears import built_in

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from genretagger.training.head import Head
    from genretagger.types import FloatArray

    Flags = npt.NDArray[np.bool_]

SEED = 0
_MOST_DROPPED = 1_000


def learn(
    lessons: Lessons,
    backbone: InstalledModel,
    *,
    name: str,
    origin: Mapping[str, Json],
    least: int,
    rules: ChoiceRules,
    before: Card | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TrainingResult:
    """Train a head and measure it.

    Args:
        lessons: from `examples.collect`.
        backbone: the model that gave their embeddings.
        name: of the new model.
        origin: where tracks and genres come from, for the card.
        least: tracks that a genre needs.
        rules: how genres are chosen.
        before: the card of the previous model of that name; its held-out tracks stay held out.
        progress: gets the number of fits that are done, and of all; None for no reports.

    Raises:
        ConfigError: there are too few tracks or genres.
        ModelError: the backbone gives no embedding.
    """
    import numpy as np

    from genretagger.model import two_ears
    from genretagger.training.head import train

    genres, dropped = frequent(lessons.examples, least)
    examples = tuple(each for each in lessons.examples if set(each.genres) & set(genres))
    _check(genres, dropped, lessons, least)
    embedding = backbone.card.output(EMBEDDINGS)
    values = matrix(examples, lambda each: _activations(each)[1])
    if embedding is None or not values.shape[1]:
        raise ModelError(f"The model {backbone.name!r} gives no embedding to learn from", hint="Choose another one.")
    warnings: list[str] = []
    known = Folds() if before is None else remembered(before)
    groups, folds = _folds(examples, known.ties, warnings)
    truth: Flags = np.array([[genre in each.genres for genre in genres] for each in examples])
    unmeasured = held_out.unmeasured(genres, truth, folds)
    if unmeasured:
        warnings.append(
            f"only one artist, album or folder has {_listed(unmeasured)}: "
            "how well the model infers that cannot be measured"
        )
    music = built_in(backbone.name, backbone.card.classes)
    is_music = np.array([music.is_music(_activations(each)[0]) for each in examples], np.float32)
    unmusical = np.array([np.median(is_music[column]) < rules.min_score for column in truth.T])
    ears = two_ears.ears(backbone.card)
    head, scores = train(values, truth, folds, is_music, unmusical, seed=SEED, ears=ears, progress=progress)
    judged = held_out.judged(genres, truth, scores, unmeasured, rules)
    measures = None if judged is None else measure(judged)
    counts = {genre: int(column.sum()) for genre, column in zip(genres, truth.T, strict=True)}
    chosen = choose(scores, min_score=rules.min_score, share_of_top=rules.share_of_top, max_genres=rules.max_genres)
    part: dict[str, Json] = {
        "scores": "probabilities",
        "learned": {
            "genres": list(genres),
            "tracks": counts,
            "unmusical": [genre for genre, flag in zip(genres, unmusical, strict=True) if flag],
            "limit": head.limit,
            **({} if head.line is None else {"ears": list(ears), "line": list(head.line)}),
            "backbone": {"name": backbone.name, "sha256": backbone.sha256, "labels": list(backbone.card.classes)},
            "training": {
                "tracks": len(examples),
                "groups": groups,
                **origin,
                "min_tracks": least,
                "dropped": dict(Counter(dropped).most_common(_MOST_DROPPED)),
                "seed": SEED,
                "at": _now(),
            },
            "unmeasured": list(unmeasured),
            "held_out": None if measures is None else _figures(measures),
            "folds": to_remember(examples, folds, chosen),
        },
    }
    return TrainingResult(
        onnx=_onnx(backbone, head, len(ears) or 1),
        card=_card(name, genres, backbone, len(head.bias) + len(head.origin), part),
        genres=counts,
        dropped=dropped,
        unmeasured=unmeasured,
        measures=measures,
        judged=judged,
        suspects=held_out.suspects(examples, genres, truth, scores, unmeasured),
        changes=held_out.changes(examples, genres, truth, chosen, known.tracks, before),
        groups=groups,
        warnings=tuple(warnings),
    )


def _check(genres: Sequence[str], dropped: Mapping[str, int], lessons: Lessons, least: int) -> None:
    if len(genres) >= 2:
        return
    told = (
        f"{plural(len(lessons.examples), 'track')} {_have(len(lessons.examples))} a genre that is not genretagger's own"
    )
    if lessons.own:
        told += f", {lessons.own:,} {_have(lessons.own)} only genres that genretagger wrote"
    rare = f"; too rare, or of every track: {_listed([f'{genre} ({count})' for genre, count in dropped.items()])}"
    raise ConfigError(
        f"there is too little to learn from: at least two genres with {least} tracks each are needed, and {told}"
        f"{rare if dropped else ''}",
        hint="Name more music, take genres from folders (--labels folder) or a table, or lower --min-tracks",
    )


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def _activations(example: Example) -> tuple[FloatArray, FloatArray]:
    from genretagger.model.listener import track_activations

    heard = example.heard.activations
    if heard is None:
        raise ValueError("an example without activations")
    return track_activations(heard.values), heard.embedding


def _folds(
    examples: Sequence[Example], ties: Mapping[str, int], warnings: list[str]
) -> tuple[int, npt.NDArray[np.int64]]:
    """How many groups there are, and the fold of each track."""
    import numpy as np

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
    # all remaining tracks lie in one fold, so no track would be left to learn from
    if len(set(folds)) < 2:
        folds = split.dealt(groups, genres, {}, parts)
    return found, np.array(folds)


def _figures(measures: Measures) -> Json:
    """The measures for the card, without the confusion table, which takes 6 MB with 600 genres."""
    return {name: value for name, value in measures.to_json().items() if name != "confusion"}


def _onnx(backbone: InstalledModel, head: Head, ears: int) -> bytes:
    from genretagger.model.merge import with_learned_head

    try:
        content = backbone.onnx_path.read_bytes()
    except OSError as error:
        raise ModelError(f"model.onnx cannot be read: {error.strerror}", path=backbone.onnx_path) from error
    return with_learned_head(
        content,
        backbone.card,
        weights=head.weights,
        bias=head.bias,
        axes=head.axes,
        origin=head.origin,
        ears=ears,
        line=head.line,
    )


def _card(name: str, genres: Sequence[str], backbone: InstalledModel, embedding: int, part: Json) -> Card:
    card = backbone.card
    frames, mels = card.inputs[0].shape[-2:]
    document = Card.build(
        name=name,
        version="1",
        classes=(*genres, *(f"{backbone.name}: {label}" for label in card.classes)),
        input_shape=(frames or 0, mels or 0),
        more_inputs=card.more_inputs,
        embedding=embedding,
        rate_hz=card.rate_hz,
        algorithm=card.algorithm,
        licence=card.licence,
        source=f"learned from the owner's tracks on {card.name} ({card.source or 'no source given'})"[:1000],
    ).document
    return Card.from_document({**document, KEY: part})


def _now() -> str:
    """The time in UTC; if SOURCE_DATE_EPOCH is set, that time, so that builds are reproducible."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = datetime.fromtimestamp(int(fixed), UTC) if fixed.isdigit() else datetime.now(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _listed(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
