"""The numbers that calibrate the default model, and the libraries that they are measured on."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest

from benchmarks import styles
from benchmarks.levels import levels
from genretagger.model.checkpoint import Checkpoint
from genretagger.types import Json
from genretagger.vocabulary.names import vocabulary

DATA: Json = tomllib.loads(resources.files("genretagger.vocabulary").joinpath("musicnn.toml").read_text("utf-8"))


def test_usual_levels_are_those_that_the_checkpoint_remembers(published: Callable[[str], bytes]) -> None:
    folder = "musicnn/MSD_musicnn"
    found = levels(Checkpoint(published(f"{folder}/.index"), published(f"{folder}/.data-00000-of-00001")))
    written = {label: usual for label, usual in DATA["usual"].items() if label.startswith("msd/")}
    assert len(found) == len(written) == 50
    assert list(written.values()) == pytest.approx(found, rel=0.06)  # two digits are written


def test_arrangements_have_genres_that_the_default_model_can_hear() -> None:
    table = styles.table()
    for name, kind in table["kinds"].items():
        assert set(kind["genres"]) <= set(DATA["genres"]), name
        assert all(vocabulary().canonical(genre) == genre for genre in kind["genres"])
        assert kind["harmony"] in styles.HARMONY
        assert 0 < kind["bpm"][0] < kind["bpm"][1]
    used = {kind for arrangements in table["makers"].values() for kind in arrangements.values()}
    assert used == set(table["kinds"])


@pytest.mark.skipif(not Path("/usr/share/mma/lib").exists(), reason="MMA is not installed")
def test_a_piece_is_the_same_each_time() -> None:
    pieces = list(styles.pieces(["guests"], each=2))
    assert pieces == list(styles.pieces(["guests"], each=2))
    assert len({piece.name for piece in pieces}) == len(pieces) == 2 * len(styles.table()["makers"]["guests"])
    for piece in pieces:
        assert styles.score(piece) == styles.score(piece)
        assert f"Groove {piece.groove}\n" in styles.score(piece)
