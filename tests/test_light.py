"""What only listens loads no librosa, numba or scipy: no command, service, or child process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import command_helpers as helpers
import pytest
from daemon_helpers import Watcher

HEAVY = ("librosa", "numba", "scipy", "sklearn")


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], set[str]]:
    """Tells which of the heavy packages any process tried to import since."""
    traps, answer = tmp_path / "traps", tmp_path / "answer"
    traps.mkdir()
    answer.mkdir()
    for name in HEAVY:
        (traps / f"{name}.py").write_text(
            f"import os\nopen(os.path.join({str(answer)!r}, {name!r}), 'w').close()\nraise ImportError('trapped')\n"
        )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(traps), os.environ.get("PYTHONPATH")])))
    return lambda: {path.name for path in answer.iterdir()}


def test_the_trap_works(loaded: Callable[[], set[str]]) -> None:
    subprocess.run([sys.executable, "-c", "import scipy"], check=False, capture_output=True)
    assert loaded() == {"scipy"}


def test_tag_and_show(
    loaded: Callable[[], set[str]], data_dir: Path, music: Path, make_techno: Callable[..., Path]
) -> None:
    song = make_techno(music / "a.flac")
    ended = run(data_dir, "tag", "--device", "cpu", music)
    assert ended.returncode == 0, ended.stderr
    assert helpers.genres_of(song) == ["Trance"]
    ended = run(data_dir, "show", song)
    assert ended.returncode == 0, ended.stderr
    assert "Trance" in ended.stdout
    assert loaded() == set()


def test_the_service(loaded: Callable[[], set[str]], data_dir: Path, music: Path, song: bytes) -> None:
    with Watcher(music, data_dir=data_dir) as watcher:
        (music / "a.flac").write_bytes(song)
        watcher.wait_for("tagged")
        watcher.stop()
    assert loaded() == set()


def run(data_dir: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The real command, and how it ended."""
    return subprocess.run(
        [sys.executable, "-m", "genretagger", *arguments],
        env={**os.environ, "GENRETAGGER_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
