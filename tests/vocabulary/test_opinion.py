"""The default model's opinion of genres with a known name, and learned models that weigh it."""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import replace
from importlib import resources
from typing import Any

import numpy as np
import pytest

from benchmarks.labelled import model_labels
from genretagger.errors import ModelError
from genretagger.model.said import kept
from genretagger.vocabulary.learned import Learned
from genretagger.vocabulary.opinion import known_by_name, opinion
from genretagger.vocabulary.part import KEY, Backbone, LearnedPart, Opinion, part_of
from genretagger.vocabulary.two_ears import MODEL, TwoEars, built_in

LABELS = model_labels()
MINE = ("reggae", "drum'n'bass", "Kitchen Songs")
WITHOUT = LearnedPart(
    genres=MINE,
    tracks=dict.fromkeys(MINE, 7),
    unmusical=MINE,
    limit=1.0,
    backbone=Backbone(MODEL, "", tuple(LABELS)),
    ears=(3, 4),
    line=(1.5, 0.25),
)
WITH = replace(WITHOUT, opinion=Opinion(0.4, {"reggae": "Reggae", "drum'n'bass": "Drum and Bass"}))
PLACE = [0.5, -1.0, 0.0, 1.0, -0.5, 0.25, *[0.0] * 7]


def default() -> TwoEars:
    scorer = built_in(MODEL, LABELS)
    assert isinstance(scorer, TwoEars)
    return scorer


def heard(seed: int = 1) -> Any:
    """Activations as a track has them: most of them tiny."""
    return np.exp(np.random.default_rng(seed).uniform(-9, -0.1, len(LABELS))).astype(np.float32)


def by_hand(genre: str, activations: Any) -> float:
    """The evidence of the labels, from the two files, as the docstring of `two_ears` says it."""
    files = resources.files("genretagger.vocabulary")
    written = tomllib.loads(files.joinpath(f"{MODEL}.toml").read_text())
    with files.joinpath(f"{MODEL}.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        background = arrays["background"].astype(float)
    witnesses = [(name, each) for name, entry in written["genres"].items() for each in entry["for"]]
    more: dict[str, list[tuple[str, float, float]]] = {"yamnet": [], "musicnn": []}
    for (name, each), usual in zip(witnesses, background, strict=True):
        ear = "yamnet" if each["labels"][0].startswith("yamnet/") else "musicnn"
        level = sum(float(activations[LABELS.index(label)]) for label in each["labels"])
        more[ear].append((name, each["weight"], math.log(level + written["floor"][ear]) - usual))
    total = 0.0
    for of_ear in more.values():
        mean = sum(lift for _, _, lift in of_ear) / len(of_ear)
        lifts = [(name, weight, lift - mean) for name, weight, lift in of_ear]
        total += sum(
            weight * min(max(lift, -written["most_lift"]), written["most_lift"])
            for name, weight, lift in lifts
            if name == genre
        )
    return float(written["gain"] * total)


def scores(part: LearnedPart, activations: Any) -> dict[str, float]:
    own = np.zeros(len(MINE), np.float32)
    learned = Learned((*MINE, *LABELS), part)
    return dict(learned.scores(np.concatenate([own, activations]), np.array(PLACE, np.float32)).by_genre)


def log_odds(score: float) -> float:
    return math.log(score / (1 - score))


def test_genres_are_known_by_any_spelling_of_their_name() -> None:
    assert known_by_name(MINE, default()) == {"reggae": "Reggae", "drum'n'bass": "Drum and Bass"}
    assert known_by_name(MINE, built_in("musicnn", LABELS[:100])) == {}


def test_an_opinion_is_what_the_labels_say_without_the_prior() -> None:
    activations = heard()
    found = opinion(MINE, known_by_name(MINE, default()), default(), activations)
    assert found == pytest.approx([by_hand("Reggae", activations), by_hand("Drum and Bass", activations), 0.0])
    assert min(abs(found[:2])) > 0.05


def test_more_of_a_genre_is_a_higher_opinion_of_it() -> None:
    known, activations = known_by_name(MINE, default()), heard()
    before = opinion(MINE, known, default(), activations)
    activations[LABELS.index("yamnet/Reggae")] = 0.99
    after = opinion(MINE, known, default(), activations)
    assert after[0] > before[0] + 0.5
    assert after[2] == before[2] == 0


def test_the_opinion_is_added_to_the_log_odds_of_known_genres() -> None:
    activations = heard()
    without, found = scores(WITHOUT, activations), scores(WITH, activations)
    assert found["Kitchen Songs"] == without["Kitchen Songs"]
    for genre, name in (("reggae", "Reggae"), ("drum'n'bass", "Drum and Bass")):
        more = log_odds(found[genre]) - log_odds(without[genre])
        assert more == pytest.approx(0.4 * by_hand(name, activations))


def test_what_is_stored_gives_nearly_the_same_opinion() -> None:
    known = known_by_name(MINE, default())
    for seed in range(5):
        activations = heard(seed)
        stored = kept(activations[None], np.zeros(1, np.float32))[0][0].astype(np.float32)
        exact, rounded = (opinion(MINE, known, default(), each) for each in (activations, stored))
        assert np.abs(exact - rounded).max() < 0.05


def test_an_opinion_has_a_digest_of_its_own() -> None:
    others = (
        WITHOUT,
        replace(WITH, opinion=Opinion(0.5, {"reggae": "Reggae", "drum'n'bass": "Drum and Bass"})),
        replace(WITH, opinion=Opinion(0.4, {"reggae": "Reggae"})),
    )
    digests = {Learned((*MINE, *LABELS), part).digest for part in (WITH, *others)}
    assert len(digests) == 4


@pytest.mark.parametrize(
    "wrong",
    [
        Opinion(-0.1, {"reggae": "Reggae"}),
        Opinion(math.nan, {"reggae": "Reggae"}),
        Opinion(math.inf, {"reggae": "Reggae"}),
        Opinion(0.4, {"Polka": "Polka"}),
    ],
)
def test_an_opinion_that_makes_no_sense_is_refused(wrong: Opinion) -> None:
    with pytest.raises(ModelError, match="is not what this genretagger writes"):
        Learned((*MINE, *LABELS), replace(WITH, opinion=wrong))


@pytest.mark.parametrize(
    "written",
    [
        0.4,
        {"weight": "0.4", "genres": {}},
        {"weight": True, "genres": {}},
        {"genres": {}},
        {"weight": 0.4},
        {"weight": 0.4, "genres": ["Reggae"]},
        {"weight": 0.4, "genres": {"reggae": 3}},
    ],
)
def test_a_card_with_another_opinion_is_refused(written: Any) -> None:
    learned = {
        "genres": list(MINE), "tracks": dict.fromkeys(MINE, 7), "unmusical": [], "limit": 1.0,
        "backbone": {"name": MODEL, "sha256": "", "labels": LABELS}, "ears": [3, 4], "line": [1.5, 0.25],
        "opinion": {"weight": 0.4, "genres": {"reggae": "Reggae"}},
    }  # fmt: skip
    document = {KEY: {"scores": "probabilities", "learned": learned}}
    part = part_of(json.loads(json.dumps(document)))
    assert part is not None
    assert part.learned is not None
    assert part.learned.opinion == Opinion(0.4, {"reggae": "Reggae"})
    learned["opinion"] = written
    with pytest.raises(ModelError, match="is not what this genretagger writes"):
        part_of(json.loads(json.dumps(document)))


def test_a_genre_that_the_default_model_no_longer_knows_has_no_opinion() -> None:
    activations = heard()
    gone = replace(WITH, opinion=Opinion(0.4, {"reggae": "Reggae of the Past", "drum'n'bass": "Drum and Bass"}))
    found = scores(gone, activations)
    assert found["reggae"] == scores(WITHOUT, activations)["reggae"]
    assert found["drum'n'bass"] == scores(WITH, activations)["drum'n'bass"]
