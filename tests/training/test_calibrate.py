"""Calibration on artificial log-odds, so that the right lines are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from genretagger.training.calibrate import line_of, lines_of_few, platt, with_opinion


def drawn(dice: np.random.Generator, odds: Any) -> Any:
    """Truths that are as likely as these log-odds say."""
    return dice.random(odds.shape) < 1 / (1 + np.exp(-odds))


def fitted(design: Any, truth: Any, usual: list[float], firmness: list[float]) -> Any:
    """The weights with the least loss, found without derivatives of ours."""
    hits, misses = truth.sum(), (~truth).sum()
    target = np.where(truth, (hits + 0.5) / (hits + 1), 0.5 / (misses + 1))

    def loss(line: Any) -> float:
        said = design @ line
        held = 0.5 * (np.array(firmness) * (line - usual) ** 2).sum()
        return float((np.logaddexp(0, said) - target * said).sum() + held)

    return minimize(loss, usual, tol=1e-12).x


def test_lines_of_few_tracks_are_what_the_formula_says() -> None:
    dice = np.random.default_rng(1)
    odds = dice.normal(0, 2, (60, 3))
    truth = drawn(dice, 0.8 * odds - 1)
    slope, shift = fitted(np.stack([odds.ravel(), np.ones(odds.size)], 1), truth.ravel(), [1, 0], [1e-3, 1e-6])
    slopes, shifts = lines_of_few(odds, truth)
    for number in range(3):
        said = slope * odds[:, number] + shift
        own = fitted(np.stack([said, np.ones(60)], 1), truth[:, number], [1, 0], [4, 4])
        assert slopes[number] == pytest.approx(own[0] * slope, abs=1e-4)
        assert shifts[number] == pytest.approx(own[0] * shift + own[1], abs=1e-4)


def test_few_tracks_share_a_line_and_many_have_their_own() -> None:
    dice = np.random.default_rng(2)

    def distance(tracks: int) -> float:
        """How far the second genre's line is from its own by Platt, over that from the others'."""
        odds = dice.normal(0, 2, (tracks, 8))
        really = odds.copy()
        really[:, 1] = 0.4 * odds[:, 1] - 1
        truth = drawn(dice, really)
        _, own = line_of(odds, truth)
        _, shifts = lines_of_few(odds, truth)
        return float(abs(shifts[1] - own[1]) / abs(own[1]))

    assert distance(20) > 0.25
    assert distance(5000) < 0.05


def test_a_genre_that_cannot_be_judged_gets_the_line_of_all() -> None:
    dice = np.random.default_rng(3)
    odds = dice.normal(0, 2, (80, 3))
    truth = drawn(dice, odds)
    odds[:, 2] = np.where(truth[:, 2], -np.inf, -2.0)  # whenever one was held out, there was no other
    slopes, shifts = lines_of_few(odds, truth)
    finite = np.isfinite(odds)
    assert (slopes[2], shifts[2]) == platt(odds[finite], truth[finite])


def test_a_genre_whose_odds_mislead_keeps_a_slope_that_is_not_negative() -> None:
    dice = np.random.default_rng(4)
    odds = dice.normal(0, 3, (400, 3))
    truth = drawn(dice, odds)
    truth[:, 1] = drawn(dice, -2 * odds[:, 1] - 1)
    slopes, shifts = lines_of_few(odds, truth)
    assert slopes[1] == 0
    assert 1 / (1 + np.exp(-shifts[1])) == pytest.approx(truth[:, 1].mean(), abs=0.01)
    assert slopes[0] > 0.3


def test_an_opinion_that_helps_counts_as_much_as_it_should() -> None:
    dice = np.random.default_rng(5)
    odds, opinion = dice.normal(0, 1.5, 20_000), dice.normal(0, 2, 20_000)
    truth = drawn(dice, 0.9 * odds - 0.5 + 0.4 * opinion)
    assert with_opinion(odds, opinion, truth) == pytest.approx((0.9, -0.5, 0.4), abs=0.05)
    few = slice(0, 200)
    design = np.stack([odds, np.ones(20_000), opinion], 1)[few]
    expected = fitted(design, truth[few], [1, 0, 0], [1e-3, 1e-6, 1])
    assert with_opinion(odds[few], opinion[few], truth[few]) == pytest.approx(tuple(expected), abs=1e-4)


def test_an_opinion_that_does_not_help_counts_for_nothing() -> None:
    dice = np.random.default_rng(6)
    odds, opinion = dice.normal(0, 1.5, 5000), dice.normal(0, 2, 5000)
    misled = drawn(dice, odds - 0.5 * opinion)
    assert with_opinion(odds, opinion, misled) == (*platt(odds, misled), 0)
    truth = drawn(dice, odds)
    assert 0 <= with_opinion(odds, opinion, truth)[2] < 0.03
    assert with_opinion(odds, np.zeros(5000), truth) == (*platt(odds, truth), 0)


def test_a_handful_of_tracks_does_not_overrate_an_opinion() -> None:
    truth = np.array([True, False, True, False])
    weight = with_opinion(np.zeros(4), np.array([3.0, -3.0, 3.0, -3.0]), truth)[2]
    assert weight < 1
