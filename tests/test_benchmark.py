from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from genretagger.model import InstalledModel

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_the_benchmark_measures_every_stage_of_every_container(tmp_path: Path, model: InstalledModel) -> None:
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.stages", "--quick", "--json", "--repeat", "1", "--seconds", "7"),
            *("--windows", "2", "--workers", "1", "--model-dir", str(model.folder.parent)),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "GENRETAGGER_DATA_DIR": str(tmp_path / "never made")},
        capture_output=True,
        text=True,
        check=True,
    )
    report = json.loads(ended.stdout)
    assert [row["track"].rpartition(".")[2] for row in report["tracks"]] == ["mp3", "flac", "m4a", "ogg", "opus"]
    for row in report["tracks"]:
        stages = {name: seconds for name, seconds in row.items() if name not in ("track", "total")}
        assert list(stages) == ["inspect", "decode", "mel", "inference", "decide", "database", "write"]
        assert min(stages.values()) > 0
        assert sum(stages.values()) == pytest.approx(row["total"])
    assert len(report["ratios"]) == 6
    assert all(0 < row["least"] <= row["median"] <= row["most"] for row in report["ratios"])
    (run,) = report["runs"]
    assert (run["workers"], run["statuses"]) == (1, {"tagged": 5})
    assert run["tracks_per_s"] == pytest.approx(5 / run["seconds"])
    assert run["single_s"] > 0
    assert [row["windows"] for row in report["memory"]] == [2, "all"]
    if sys.platform == "linux":
        assert all(50 < row["parent_mb"] < 2000 and 20 < row["child_mb"] < 1000 for row in report["memory"])
    assert list(tmp_path.iterdir()) == [], "nothing is left"


@pytest.mark.slow
def test_owners_files_are_measured_and_not_touched(tmp_path: Path, model: InstalledModel, shared_audio: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    content = (shared_audio / "ragtime.ogg").read_bytes()
    (music / "ragtime.ogg").write_bytes(content)
    (music / "broken.mp3").write_bytes(b"no music")
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.stages", "--repeat", "1", "--workers", "1"),
            *("--model-dir", str(model.folder.parent), str(music)),
        ],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "left out" in ended.stderr
    assert "broken.mp3" in ended.stderr
    for words in ("ragtime.ogg", "share", "librosa.load and the whole track / 16 windows", "tracks/s", "parent"):
        assert words in ended.stdout
    assert (music / "ragtime.ogg").read_bytes() == content
    assert sorted(path.name for path in music.iterdir()) == ["broken.mp3", "ragtime.ogg"]
