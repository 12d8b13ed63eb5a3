"""Models that were learned on a backbone with two ears: their outputs, and refused cards."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from musicnn_labels import LABELS

from genretagger.errors import ModelError
from genretagger.vocabulary.calibration import calibration
from genretagger.vocabulary.learned import Learned
from genretagger.vocabulary.part import Backbone, LearnedPart

ONE_EAR = LearnedPart(
    genres=("Dub", "Ska"),
    tracks={"Dub": 8, "Ska": 7},
    unmusical=("Dub", "Ska"),
    limit=1.0,
    backbone=Backbone("musicnn", "", LABELS),
)
TWO_EARS = replace(ONE_EAR, ears=(3, 4), line=(2.0, 0.5))
ALL = ("Dub", "Ska", *LABELS)


def scores(part: LearnedPart, *embedding: float) -> tuple[dict[str, float], float]:
    said = Learned(ALL, part).scores(np.zeros(len(ALL), np.float32), np.array(embedding, np.float32))
    return dict(said.by_genre), said.is_known


def test_probabilities_are_averaged_and_corrected() -> None:
    found, known = scores(TWO_EARS, math.log(9), 0.0, 0.0, -math.log(9), *[0.0] * 7)
    assert known == 1
    # Dub: the mean of 0.9 and 0.5 is 0.7; Ska: of 0.5 and 0.1 is 0.3
    assert found["Dub"] == pytest.approx(1 / (1 + math.exp(-(2 * math.log(0.7 / 0.3) + 0.5))))
    assert found["Ska"] == pytest.approx(1 / (1 + math.exp(-(2 * math.log(0.3 / 0.7) + 0.5))))


def test_the_farthest_ear_decides() -> None:
    sure = [20.0, 20.0, 20.0, 20.0]
    for place in ([3.0, 3.0, 3.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 3.0, 3.0, 3.0, 3.0]):
        found, known = scores(TWO_EARS, *sure, *place)
        assert known == pytest.approx(1 / (1 + 9**4))
        assert max(found.values()) == pytest.approx(known)


def test_certain_ears_give_a_score_that_is_a_number() -> None:
    found, _ = scores(TWO_EARS, 1e4, -1e4, 1e4, -1e4, *[0.0] * 7)
    assert 0.99 < found["Dub"] <= 1
    assert 0 <= found["Ska"] < 0.01


@pytest.mark.parametrize(
    "part",
    [
        replace(TWO_EARS, ears=(7,)),
        replace(TWO_EARS, ears=(3, -4)),
        replace(TWO_EARS, ears=(0, 7)),
        replace(TWO_EARS, line=(math.nan, 0.0)),
        replace(TWO_EARS, line=(1.0, math.inf)),
    ],
)
def test_ears_that_make_no_sense_are_refused(part: LearnedPart) -> None:
    with pytest.raises(ModelError, match="is not what this genretagger writes"):
        Learned(ALL, part)


@pytest.mark.parametrize("size", [0, 4, 10, 12, 1000])
def test_an_embedding_of_another_size_is_refused(size: int) -> None:
    assert Learned(ALL, TWO_EARS).can_have(11)
    with pytest.raises(ModelError, match="gives no embedding"):
        scores(TWO_EARS, *[0.0] * size)


def test_models_of_one_ear_decide_as_before() -> None:
    """The digest belongs to stored decisions: another one would have them all made again."""
    essence = [1, 1.0, ["Dub", "Ska"], calibration("musicnn", LABELS).digest, {"Dub": 8, "Ska": 7}]
    assert Learned(ALL, ONE_EAR).digest == hashlib.sha256(json.dumps(essence).encode()).hexdigest()
    assert Learned(ALL, TWO_EARS).digest != Learned(ALL, ONE_EAR).digest
    found, known = scores(ONE_EAR, math.log(9), -1.5, 0.5, 1.5, 0.0)
    distance = (0.5**2 + 1.5**2) / 3
    assert known == 1 / (1 + distance**4)
    assert found["Dub"] == min(1 / (1 + math.exp(-float(np.float32(math.log(9))))), known)
    assert found["Ska"] == 1 / (1 + math.exp(1.5))


def test_models_of_two_ears_without_an_opinion_decide_as_before() -> None:
    music = calibration("musicnn", LABELS).digest
    essence = [1, 1.0, ["Dub", "Ska"], music, {"Dub": 8, "Ska": 7}, [3, 4], [2.0, 0.5]]
    assert Learned(ALL, TWO_EARS).digest == hashlib.sha256(json.dumps(essence).encode()).hexdigest()
