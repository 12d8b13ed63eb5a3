"""Standard streams that are closed, full or without a place, and a current folder that is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from few import few
from library_helpers import Library

COMMAND = f"{sys.executable} -m genretagger"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    song = tmp_path / "song.flac"
    song.touch()
    with Library.at(tmp_path / "data") as library:
        library.track(song, ["Rock"], ["Rock"])
    repository = str(Path(__file__).resolve().parents[2])
    return {**os.environ, "GENRETAGGER_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": repository}


def shell(line: str, environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", line], env=environment, cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("command", few(("export", "show song.flac", "models list", "config show"), 0))
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_hinders_nothing(
    environment: dict[str, str], tmp_path: Path, command: str, closed: str
) -> None:
    ended = shell(f"{COMMAND} {command} {closed}", environment, tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert bool(ended.stdout) == (closed == "2>&-")


def test_without_standard_error_files_are_tagged_all_the_same(environment: dict[str, str], tmp_path: Path) -> None:
    ended = shell(f"{COMMAND} models pull --from /dev/null 2>&-", environment, tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")  # the bar asks whether standard error is a terminal


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("command", few(("export", "show song.flac", "config show", "show --json song.flac"), 0))
def test_a_full_disk_behind_standard_output_is_told_in_one_line(
    environment: dict[str, str], tmp_path: Path, command: str
) -> None:
    ended = shell(f"{COMMAND} {command} > /dev/full", environment, tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") <= 2
    assert "No space left" in ended.stderr


@pytest.mark.parametrize("command", few(("tag .", "show song.flac", "export .", "undo song.flac", "doctor ."), 0, 2))
def test_a_current_folder_that_is_gone_is_told_in_one_line(
    environment: dict[str, str], tmp_path: Path, command: str
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    ended = shell(f"rmdir {gone}; {COMMAND} {command}", environment, gone)
    assert ended.returncode in (1, 2)
    assert "Traceback" not in ended.stderr
    assert "folder" in ended.stderr or "does not exist" in ended.stderr
