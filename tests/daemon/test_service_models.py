"""A model that was trained on the user's genres, in the service."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import command_helpers as helpers
import numpy as np
import pytest
import soundfile
from daemon_helpers import Watcher
from training_helpers import gathered, learned, library

from benchmarks.genres import write_track

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes through /proc")


@pytest.mark.slow
def test_the_service_listens_with_what_was_learned(
    data_dir: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    known = library(data_dir, tmp_path_factory.getbasetemp(), tmp_path / "known")
    learned(data_dir, gathered(data_dir, [known]))
    music, ready = tmp_path / "music", tmp_path / "ready"
    music.mkdir()
    ready.mkdir()
    write_track(ready / "dub.flac", "Dub", 77, 0, seconds=8.0, tag=None)
    noise = np.random.default_rng(0).standard_normal(8 * 16000) * 0.1
    soundfile.write(ready / "noise.flac", noise, 16000)
    for start in range(2):  # and again after a restart
        with Watcher(music, data_dir=data_dir, model="mine") as watcher:
            for name in ("dub", "noise"):
                shutil.copy(ready / f"{name}.flac", music / f"{name} {start}.flac")
            assert watcher.wait_for("tagged")["genres"] == ["Dub"]
            if not watcher.seen("skipped"):
                watcher.wait_for("skipped")
            assert watcher.status()["model"] == "mine"
            assert watcher.stop() == 0
        assert helpers.genres_of(music / f"dub {start}.flac") == ["Dub"]
        assert helpers.genres_of(music / f"noise {start}.flac") == []
    assert {write.model for write in helpers.writes(data_dir)} == {"mine"}
