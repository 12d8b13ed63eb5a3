"""Measures of artificial judgements, with values that are easy to check by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from genretagger.training.measures import ChoiceRules, Judged, choose_genres, measure

NAMES = ("Jazz", "Rock", "Dub")
TRUTH = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 1]], bool)


def judged(scores: Any, truth: Any = TRUTH, **rules: Any) -> Judged:
    values = np.array(scores, np.float32)
    rules = {"min_score": 0.5, "share_of_top": 0.8, "max_genres": 2, **rules}
    return Judged(NAMES, np.array(truth, bool), values, choose_genres(values, ChoiceRules(**rules)))


def test_a_perfect_prediction_has_one_everywhere() -> None:
    measures = measure(judged(TRUTH.astype(float)))
    assert [*measures.macro, *measures.micro] == [1] * 6
    assert (measures.top1, measures.top3, measures.coverage, measures.right) == (1, 1, 1, 1)
    assert measures.calibration_error == 0
    assert measures.confusion == ((2, 0, 0, 0), (0, 2, 0, 0), (0, 0, 0, 0))
    assert all(step.coverage == step.right == 1 for step in measures.sweep)


def test_the_figures_of_a_mixed_prediction() -> None:
    measures = measure(
        judged(
            [
                [0.9, 0.1, 0.0],  # right
                [0.2, 0.6, 0.0],  # wrong
                [0.3, 0.4, 0.0],  # nothing is written, and the best guess is right
                [0.0, 0.7, 0.6],  # both right
            ]
        )
    )
    jazz, rock, dub = measures.genres
    assert (jazz.precision, jazz.recall, jazz.f1) == pytest.approx((1, 0.5, 2 / 3))
    assert (rock.precision, rock.recall, rock.f1) == pytest.approx((0.5, 0.5, 0.5))
    assert [dub.precision, dub.recall, dub.f1] == [1, 1, 1]
    assert measures.macro == pytest.approx((2.5 / 3, 2 / 3, (2 / 3 + 0.5 + 1) / 3))
    assert measures.micro == pytest.approx((3 / 4, 3 / 5, 2 / 3))
    assert (measures.top1, measures.top3) == (0.75, 1.0)
    assert (measures.coverage, measures.right) == pytest.approx((0.75, 2 / 3))
    assert measures.confusion == ((1, 1, 0, 0), (0, 1, 0, 1), (0, 0, 0, 0))
    by_threshold = {step.threshold: (step.coverage, step.right) for step in measures.sweep}
    assert by_threshold[0.35] == pytest.approx((1, 0.75))
    assert by_threshold[0.65] == pytest.approx((0.5, 1))
    assert list(by_threshold[0.95]) == [0, None]
    # four bins of one track each: 0.9 right, 0.6 wrong, 0.4 right, 0.7 right
    assert measures.calibration_error == pytest.approx((0.1 + 0.6 + 0.6 + 0.3) / 4, abs=1e-6)


def test_a_genre_that_nobody_has_counts_in_no_mean() -> None:
    measures = measure(judged([[0.9, 0.0, 0.0], [0.9, 0.0, 0.8]], [[1, 0, 0], [1, 0, 0]]))
    dub = measures.genres[2]
    assert [dub.tracks, dub.chosen, dub.precision, dub.recall, dub.f1] == [0, 1, 0, None, None]
    assert [*measures.macro] == [1, 1, 1]
    assert measures.micro[0] == pytest.approx(2 / 3)


def test_nothing_to_measure_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing to measure"):
        measure(judged(np.zeros((0, 3)), np.zeros((0, 3))))


def test_choices_follow_the_rules() -> None:
    scores = np.array([[0.9, 0.8, 0.75], [0.9, 0.6, 0.1], [0.4, 0.4, 0.1]], np.float32)
    assert choose_genres(scores, ChoiceRules(0.5, 0.8, 2)).tolist() == [
        [True, True, False],
        [True, False, False],
        [False, False, False],
    ]
    assert choose_genres(scores, ChoiceRules(0.3, 0.5, 3)).sum() == 3 + 2 + 2


def test_the_json_holds_everything() -> None:
    document = measure(judged(TRUTH.astype(float))).to_json()
    assert document["confusion"]["columns"] == [*NAMES, "(none)"]
    assert document["confusion"]["rows"]["Rock"] == [0, 2, 0, 0]
    assert document["macro"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert len(document["sweep"]) == 19
