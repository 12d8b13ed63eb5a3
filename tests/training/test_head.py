"""The head on artificial embeddings, so that the right answers are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from genretagger.training.head import Head, train
from genretagger.vocabulary.learned import Learned

SIZE = 40
EARS = (16, 24)


def cloud(genres: int = 3, artists: int = 5, tracks: int = 6, noise: float = 0.6) -> tuple[Any, Any, Any]:
    """Embeddings (n, 40) around points for genres and artists, truth (n, genres), folds (n,)."""
    dice = np.random.default_rng(1)
    centres = dice.normal(0, 1.2, (genres, SIZE))
    manners = dice.normal(0, 0.5, (genres, artists, SIZE))
    rows = [(g, a) for g in range(genres) for a in range(artists) for _ in range(tracks)]
    values = np.stack([centres[g] + manners[g, a] + dice.normal(0, noise, SIZE) for g, a in rows]).astype(np.float32)
    truth = np.array([[g == column for column in range(genres)] for g, _ in rows])
    return values, truth, np.array([a for _, a in rows])


def fit(values: Any, truth: Any, folds: Any, is_music: Any = None, ears: tuple[int, ...] = ()) -> tuple[Head, Any]:
    music = np.ones(len(values), np.float32) if is_music is None else is_music
    return train(values, truth, folds, music, np.zeros(truth.shape[1], bool), seed=0, ears=ears)


def scores(head: Head, values: Any) -> tuple[Any, Any]:
    """Likelihoods (n, k) and similarities (n,), as the model's outputs and `Learned` give them."""
    odds = values @ head.weights + head.bias
    distances = ((values @ head.axes + head.origin) ** 2).mean(axis=1)
    return 1 / (1 + np.exp(-odds)), np.array([Learned.resemblance(float(each), head.limit) for each in distances])


def test_it_knows_the_genres_of_artists_it_never_met() -> None:
    values, truth, folds = cloud()
    head, held_out = fit(values[folds < 4], truth[folds < 4], folds[folds < 4])
    assert (held_out.argmax(axis=1) == truth[folds < 4].argmax(axis=1)).mean() > 0.95
    likely, known = scores(head, values[folds == 4])
    assert (likely.argmax(axis=1) == truth[folds == 4].argmax(axis=1)).all()
    assert np.median(known) > 0.9


def test_what_is_far_from_all_that_was_learned_is_foreign() -> None:
    values, truth, folds = cloud()
    head, _ = fit(values, truth, folds)
    far = np.random.default_rng(2).normal(0, 8, (50, SIZE)).astype(np.float32)
    likely, known = scores(head, far)
    assert likely.max() > 0.9  # the nearest genre would be sure of itself
    assert known.max() < 0.1


def test_scores_are_calibrated_on_labels_that_are_often_wrong() -> None:
    values, truth, folds = cloud(genres=2, artists=10, tracks=40, noise=2.5)
    flipped = np.random.default_rng(3).random(len(truth)) < 0.2
    truth[flipped] = truth[flipped][:, ::-1]
    _, held_out = fit(values, truth, folds % 5)
    for low in (0.1, 0.3, 0.5, 0.7):
        inside = (held_out[:, 0] >= low) & (held_out[:, 0] < low + 0.2)
        if inside.sum() > 30:
            assert truth[inside, 0].mean() == pytest.approx(held_out[inside, 0].mean(), abs=0.15)
    assert held_out.max() < 0.95  # one label in five is wrong, so nothing is sure


def test_several_genres_of_a_track() -> None:
    values, truth, folds = cloud(genres=3, tracks=10)
    both = truth.copy()
    both[:, 2] |= truth[:, 0]  # the first one is always the third as well
    head, _ = fit(values, both, folds)
    likely, _ = scores(head, values)
    first = likely[truth[:, 0]]
    assert (first[:, 0] > 0.5).mean() > 0.95
    assert (first[:, 2] > 0.5).mean() > 0.95
    assert (first[:, 1] > 0.5).mean() < 0.05


def test_labels_that_mean_nothing_are_never_said() -> None:
    values, _, folds = cloud(noise=1.0)
    truth = np.random.default_rng(4).random((len(values), 2)) < 0.3
    _, held_out = fit(values, truth, folds)
    assert (held_out > 0.5).mean() < 0.05


def test_a_genre_of_one_fold_and_a_dimension_that_never_changes_do_no_harm() -> None:
    values, truth, folds = cloud()
    values[:, 7] = 3.25
    lonely = np.zeros((len(truth), 1), bool)
    lonely[folds == 2] = True
    head, held_out = fit(values, np.concatenate([truth, lonely], axis=1), folds)
    for part in (head.weights, head.bias, head.axes, head.origin, held_out):
        assert np.isfinite(part).all()
    assert head.limit > 0


def test_what_does_not_sound_like_music_is_capped() -> None:
    values, truth, folds = cloud()
    music = np.full(len(values), 0.3, np.float32)
    _, held_out = fit(values, truth, folds, music)
    assert held_out.max() <= 0.3 + 1e-6
    free = np.ones(truth.shape[1], bool)
    _, held_out = train(values, truth, folds, music, free, seed=0)
    assert held_out.max() > 0.8


def two_ears(seed: int = 5, tracks: int = 6) -> tuple[Any, Any, Any]:
    """A cloud: its first 16 dimensions are one ear's, the others a second one's that hears less."""
    values, truth, folds = cloud(tracks=tracks)
    values[:, EARS[0] :] += np.random.default_rng(seed).normal(0, 2, (len(values), EARS[1])).astype(np.float32)
    return values, truth, folds


def of_ears(head: Head, values: Any) -> tuple[Any, Any]:
    """As `scores`, by the formulas of two ears."""
    size = head.weights.shape[1] // 2
    said = 1 / (1 + np.exp(-np.clip(values @ head.weights + head.bias, -15, 15)))
    mean = (said[:, :size] + said[:, size:]) / 2
    assert head.line is not None
    likely = 1 / (1 + np.exp(-(head.line[0] * np.log(mean / (1 - mean)) + head.line[1])))
    squares = (values @ head.axes + head.origin) ** 2
    far = np.maximum(squares[:, : EARS[0]].mean(axis=1), squares[:, EARS[0] :].mean(axis=1))
    return likely, np.array([Learned.resemblance(float(each), head.limit) for each in far])


def test_two_ears_know_the_genres_of_artists_that_they_never_met() -> None:
    values, truth, folds = two_ears()
    head, held_out = fit(values[folds < 4], truth[folds < 4], folds[folds < 4], ears=EARS)
    assert (held_out.argmax(axis=1) == truth[folds < 4].argmax(axis=1)).mean() > 0.9
    likely, known = of_ears(head, values[folds == 4])
    assert (likely.argmax(axis=1) == truth[folds == 4].argmax(axis=1)).mean() > 0.9
    assert np.median(known) > 0.9
    # each ear has its own regression and its own cloud
    size = truth.shape[1]
    assert not head.weights[: EARS[0], size:].any()
    assert not head.weights[EARS[0] :, :size].any()
    assert not head.axes[: EARS[0], EARS[0] :].any()
    assert not head.axes[EARS[0] :, : EARS[0]].any()
    alone, _ = fit(values[:, : EARS[0]][folds < 4], truth[folds < 4], folds[folds < 4])
    own, other = head.weights[: EARS[0], :size], alone.weights  # alike but for the slope of the calibration
    assert own / np.linalg.norm(own, axis=0) == pytest.approx(other / np.linalg.norm(other, axis=0), abs=1e-5)
    assert (own * other).sum(axis=0).min() > 0


@pytest.mark.parametrize("ear", [0, 1])
def test_what_is_far_for_either_ear_is_foreign(ear: int) -> None:
    values, truth, folds = two_ears()
    head, _ = fit(values, truth, folds, ears=EARS)
    part = slice(0, EARS[0]) if ear == 0 else slice(EARS[0], None)
    far = values.copy()
    far[:, part] = np.random.default_rng(2).normal(0, 12, far[:, part].shape)
    assert of_ears(head, far)[1].max() < 0.1
    assert np.median(of_ears(head, values)[1]) > 0.9


def test_the_mean_of_two_ears_is_calibrated_where_labels_are_often_wrong() -> None:
    values, truth, folds = cloud(genres=2, artists=10, tracks=40, noise=2.5)
    flipped = np.random.default_rng(3).random(len(truth)) < 0.2
    truth[flipped] = truth[flipped][:, ::-1]
    _, held_out = fit(values, truth, folds % 5, ears=EARS)
    for low in (0.1, 0.3, 0.5, 0.7):
        inside = (held_out[:, 0] >= low) & (held_out[:, 0] < low + 0.2)
        if inside.sum() > 30:
            assert truth[inside, 0].mean() == pytest.approx(held_out[inside, 0].mean(), abs=0.15)
    assert held_out.max() < 0.95


def test_a_genre_of_one_fold_does_no_harm_to_two_ears() -> None:
    values, truth, folds = two_ears()
    lonely = np.zeros((len(truth), 1), bool)
    lonely[folds == 2] = True
    head, held_out = fit(values, np.concatenate([truth, lonely], axis=1), folds, ears=EARS)
    for part in (head.weights, head.bias, head.axes, head.origin, held_out, np.array(head.line, float)):
        assert np.isfinite(part).all()


def test_ears_that_do_not_make_up_the_embedding_are_refused() -> None:
    values, truth, folds = cloud()
    with pytest.raises(ValueError, match="ears of 16, 16 values do not make up an embedding of 40"):
        fit(values, truth, folds, ears=(16, 16))


@pytest.mark.parametrize("ears", [(), EARS])
def test_the_number_of_threads_makes_no_difference(ears: tuple[int, ...]) -> None:
    from threadpoolctl import threadpool_limits

    values, truth, folds = two_ears(tracks=20)
    with threadpool_limits(1):
        first = fit(values, truth, folds, ears=ears)
    with threadpool_limits(4):
        second = fit(values, truth, folds, ears=ears)
    for name in ("weights", "bias", "axes", "origin", "limit", "line"):
        assert np.array_equal(getattr(first[0], name), getattr(second[0], name)), name
    assert np.array_equal(first[1], second[1])


def test_the_same_input_gives_the_same_bits() -> None:
    values, truth, folds = cloud()
    first, second = fit(values, truth, folds), fit(values, truth, folds)
    for name in ("weights", "bias", "axes", "origin", "limit"):
        assert np.array_equal(getattr(first[0], name), getattr(second[0], name)), name
    assert np.array_equal(first[1], second[1])


def test_a_long_ear_is_scaled_as_a_whole_so_that_its_rare_values_stay_quiet() -> None:
    values, truth, folds = cloud(genres=2, artists=3, tracks=3)
    long = np.tile(values[:, 16:], 42)[:, :1000]
    heard = np.concatenate([values[:, :16], long], axis=1)

    def counts(head: Head, place: int) -> float:
        return float(np.abs(head.weights[place]).max() * heard[:, place].std())

    for place, is_quieter in ((3, False), (20, True)):  # one of each ear
        quiet = heard.copy()
        quiet[:, place] *= 0.3
        before = counts(fit(heard, truth, folds, ears=(16, 1000))[0], place)
        after = 0.3 * counts(fit(quiet, truth, folds, ears=(16, 1000))[0], place)
        assert (after < 0.3 * before) is is_quieter
