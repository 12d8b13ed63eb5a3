"""What training makes of the default model's opinion; its models decide by the same rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.labelled import model_labels
from genretagger.training.head import Head, train
from genretagger.vocabulary.learned import Learned
from genretagger.vocabulary.opinion import known_by_name, opinion
from genretagger.vocabulary.part import Backbone, LearnedPart, Opinion
from genretagger.vocabulary.two_ears import MODEL, built_in

LABELS = model_labels()
GENRES = ("Jazz", "Kitchen Songs", "Reggae")
EARS, COPIES = (16, 24), 5
HEARD = {"Jazz": "yamnet/Jazz", "Reggae": "yamnet/Reggae"}


def library(means_it: bool = True) -> tuple[Any, Any, Any, Any]:
    """Embeddings (n, 40), truth (n, 3), folds (n,), activations (n, 621): the same in each fold.

    Args:
        means_it: whether the labels speak for the genres of these names, or for the next ones.
    """
    dice = np.random.default_rng(7)
    genre = np.arange(30) % 3
    values = dice.normal(0, 1.5, (3, 40))[genre] + dice.normal(0, 4, (30, 40))
    activations = np.exp(dice.uniform(-9, -4, (30, len(LABELS))))
    for number, name in enumerate(GENRES):
        speaks = (genre + (0 if means_it else 1)) % 3 == number
        if name in HEARD:
            activations[speaks & (dice.random(30) < 0.8), LABELS.index(HEARD[name])] = 0.5
    truth = genre[:, None] == np.arange(3)
    copies = [np.concatenate([each.astype(kind)] * COPIES) for each, kind in (
        (values, np.float32), (truth, bool), (activations, np.float32))]  # fmt: skip
    return copies[0], copies[1], np.repeat(np.arange(COPIES), 30), copies[2]


def fit(values: Any, truth: Any, folds: Any, activations: Any) -> tuple[Head, Any]:
    music = built_in(MODEL, LABELS)
    theirs = np.stack([opinion(GENRES, known_by_name(GENRES, music), music, each) for each in activations])
    free = np.ones(3, bool)
    return train(values, truth, folds, np.ones(len(values), np.float32), free, seed=0, ears=EARS, opinion=theirs)


def decided(head: Head, values: Any, activations: Any) -> Any:
    """Scores (n, 3) as a model with this head gives them."""
    assert head.line is not None
    part = LearnedPart(
        genres=GENRES,
        tracks=dict.fromkeys(GENRES, 10),
        unmusical=GENRES,
        limit=head.limit,
        backbone=Backbone(MODEL, "", tuple(LABELS)),
        ears=EARS,
        line=head.line,
        opinion=Opinion(head.opinion, known_by_name(GENRES, built_in(MODEL, LABELS))),
    )
    learned = Learned((*GENRES, *LABELS), part)
    rows = []
    for each, heard in zip(values, activations, strict=True):
        embedding = np.concatenate([each @ head.weights + head.bias, each @ head.axes + head.origin])
        said = learned.scores(np.concatenate([np.zeros(3, np.float32), heard]), embedding.astype(np.float32))
        rows.append([said.by_genre[genre] for genre in GENRES])
    return np.array(rows)


def test_held_out_scores_and_the_models_own_follow_the_same_rule() -> None:
    """Each fold has the same tracks, so a head that never met one of them knows all of them."""
    values, truth, folds, activations = library()
    head, held_out = fit(values, truth, folds, activations)
    assert head.opinion > 0.1
    assert np.abs(held_out - decided(head, values, activations)).max() < 0.05


def test_an_opinion_makes_more_right_on_artists_that_were_held_out() -> None:
    values, truth, _, activations = (each[:30] for each in library())
    folds = np.arange(30) // 3 % 5
    _, alone = train(values, truth, folds, np.ones(30, np.float32), np.ones(3, bool), seed=0, ears=EARS)
    head, together = fit(values, truth, folds, activations)
    right = truth.argmax(axis=1)
    assert head.opinion > 0.1
    assert (together.argmax(axis=1) == right).sum() > (alone.argmax(axis=1) == right).sum()
    assert ((together - truth) ** 2).sum() < ((alone - truth) ** 2).sum()


def test_an_owner_who_means_something_else_is_not_contradicted() -> None:
    values, truth, _, activations = (each[:30] for each in library(means_it=False))
    folds = np.arange(30) // 3 % 5
    head, scores = fit(values, truth, folds, activations)
    free, music = np.ones(3, bool), np.ones(30, np.float32)
    alone, expected = train(values, truth, folds, music, free, seed=0, ears=EARS)
    assert head.opinion == 0
    assert head.line == alone.line
    assert np.array_equal(scores, expected)


def test_one_ear_has_no_opinion() -> None:
    values, truth, folds, _ = library()
    free, music = np.ones(3, bool), np.ones(len(values), np.float32)
    theirs = np.ones(truth.shape) + truth
    head, scores = train(values, truth, folds, music, free, seed=0, opinion=theirs)
    alone, expected = train(values, truth, folds, music, free, seed=0)
    assert head.opinion == 0
    assert np.array_equal(head.bias, alone.bias)
    assert np.array_equal(scores, expected)


@pytest.mark.parametrize("threads", [1, 4])
def test_an_opinion_is_weighed_alike_with_any_number_of_threads(threads: int) -> None:
    from threadpoolctl import threadpool_limits

    data = library()
    with threadpool_limits(threads):
        head, _ = fit(*data)
    with threadpool_limits(2):
        again, _ = fit(*data)
    assert (head.opinion, head.line) == (again.opinion, again.line)
