"""`windows = auto`: as many as the decision needs, the same however many files are under way."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import command_helpers as helpers
import numpy as np
import numpy.typing as npt
import pytest
from audio_factory import make

from genretagger.model.said import Said
from genretagger.types import Window


def windows_heard(data_dir: Path) -> set[tuple[str, str, int]]:
    """For each recording its hash, the sampling, and how many windows were heard."""
    with contextlib.closing(sqlite3.connect(data_dir / "library.sqlite3")) as connection:
        return set(connection.execute("SELECT payload_hash, sampling, windows FROM analyses"))


def test_what_was_heard_in_stages_is_in_the_order_of_the_track() -> None:
    said = Said((), np.zeros((0, 2), np.float32), np.zeros((0, 3), np.float32), "CPU")
    late, early = Window(6.0, 3.0), Window(0.0, 3.0)
    said = said.with_more((late,), np.array([[0.5, 1]], np.float32), np.full((1, 3), 6, np.float32))
    more = np.array([[0.25, 0], [9, 9]], np.float32), np.array([[0, 0, 0], [9, 9, 9]], np.float32)
    said = said.with_more((early, late), *more)  # one of them is known: it counts once
    assert said.windows == (early, late)
    assert said.values.tolist() == [[0.25, 0], [0.5, 1]]
    assert said.embeddings[:, 0].tolist() == [0, 6]
    assert said.activations.embedding.tolist() == [3, 3, 3]


@pytest.fixture
def folder(music: Path, techno_samples: npt.NDArray[np.float32]) -> Path:
    """A minute and a half of steady music, one that turns to noise and back, and a short one."""
    rate_hz = 44100
    loop = np.resize(techno_samples, 96 * rate_hz)
    dice = np.random.default_rng(4)
    mixed = loop.copy()
    for start_s in (0, 30, 60):
        noise = dice.standard_normal(15 * rate_hz).astype(np.float32) * 0.1
        mixed[start_s * rate_hz : (start_s + 15) * rate_hz] = noise * np.abs(np.sin(np.arange(len(noise)) / 9000))
    make(music / "steady.flac", "flac", samples=loop)
    make(music / "mixed.flac", "flac", samples=mixed)
    make(music / "short.flac", "flac", samples=loop[: 12 * rate_hz])
    return music


def test_it_stops_early_and_alike(data_dir: Path, folder: Path) -> None:
    found = []
    for jobs in (1, 3):
        options = helpers.settings(data_dir, windows="auto", jobs=jobs, album="each")
        outcomes = helpers.tag(options, folder, dry_run=True, force=True)
        found.append(
            ({name: (each.genres, dict(each.scores)) for name, each in outcomes.items()}, windows_heard(data_dir))
        )
    assert found[0] == found[1]
    decided, heard = found[0]
    assert {sampling for _, sampling, _ in heard} == {"auto.1"}
    assert decided["steady.flac"][0]
    counts = sorted(windows for *_, windows in heard)
    assert 8 in counts  # the steady one was clear after the first stage
    assert counts[0] <= 4  # the short one has no more
    assert len(counts) == 3
