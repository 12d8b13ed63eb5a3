"""The default model's opinion in a model that was really trained, from the card to the scores."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import command_helpers as helpers
import numpy as np
import pytest
from training_helpers import gathered, learned

from genretagger.model import ModelStore
from genretagger.model.listener import Listener, track_activations
from genretagger.training.examples import Lessons
from genretagger.training.labels import Table
from genretagger.vocabulary.learned import mean_odds
from genretagger.vocabulary.two_ears import MODEL, TwoEars, built_in

KNOWN = {"Techno": "Techno", "Chiptune": "Chiptune"}
"""The default model gives these of `training_helpers.GENRES`, and neither Dub nor Solo Piano."""


def dimmed(lessons: Lessons) -> Lessons:
    """The same tracks with embeddings full of noise: the regression learns little from them."""
    heard = [each.heard.activations for each in lessons.examples]
    embeddings = np.stack([each.embedding for each in heard if each is not None])
    noise = np.random.default_rng(1).normal(0, 2, embeddings.shape) * embeddings.std(axis=0)
    examples = [
        replace(example, heard=replace(example.heard, activations=replace(each, embedding=noisy.astype(np.float32))))
        for example, each, noisy in zip(lessons.examples, heard, embeddings + noise, strict=True)
        if each is not None
    ]
    return replace(lessons, examples=tuple(examples))


def test_the_card_says_what_the_opinion_counts_and_scores_follow_it(data_dir: Path, known: Path) -> None:
    lessons = dimmed(gathered(data_dir, [known]))
    learned(data_dir, lessons)
    mine = ModelStore(data_dir / "models").get("mine")
    written = mine.card.document["genretagger"]["learned"]
    assert written["opinion"]["genres"] == KNOWN
    assert written["opinion"]["weight"] > 0
    backbone = built_in(MODEL, written["backbone"]["labels"])
    assert isinstance(backbone, TwoEars)
    listener = Listener(helpers.settings(data_dir, model="mine"), mine, print)
    size, moved = len(written["genres"]), 0
    for example in lessons.examples:
        below = example.heard.activations
        assert below is not None
        derived = listener.derive(below)
        assert derived is not None
        found = listener.scores(derived)
        activations = track_activations(below.values)
        evidence = dict(zip(backbone.genres, backbone.evidence(activations), strict=True))
        own = mean_odds(derived.embedding[: 2 * size].reshape(2, size), tuple(written["line"]))
        for genre, odds in zip(written["genres"], own, strict=True):
            more = written["opinion"]["weight"] * evidence[KNOWN[genre]] if genre in KNOWN else 0.0
            likely = 1 / (1 + math.exp(-(odds + more)))
            cap = min(found.is_known, 1.0 if genre in written["unmusical"] else backbone.is_music(activations))
            assert found.by_genre[genre] == pytest.approx(min(likely, cap), abs=1e-6)
            moved += abs(more) > 0.1 and likely < cap
    assert moved
    listener.close()


def test_genres_of_other_names_leave_the_card_without_an_opinion(data_dir: Path, known: Path) -> None:
    mine = {os.fsencode(path): (f"Room {path.parts[-3]}",) for path in sorted(known.rglob("*.flac"))}
    learned(data_dir, dimmed(gathered(data_dir, [known], Table("a table", mine))))
    written = ModelStore(data_dir / "models").get("mine").card.document["genretagger"]["learned"]
    assert "opinion" not in written
    assert np.isfinite(written["line"]).all()
