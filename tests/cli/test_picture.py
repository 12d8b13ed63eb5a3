"""`genretagger picture` and `show --over-time`: real pictures, and the rows of the terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from audio_factory import make
from matplotlib import image

from benchmarks.genres import compose
from genretagger.cli import describe
from genretagger.types import FloatArray, Picture, Timeline

Command = Callable[..., Any]


@pytest.fixture
def song(data_dir: Path, tmp_path: Path) -> Path:
    """Twelve seconds of techno, then twelve of a choir."""
    parts = [compose(genre, 0, 0, seconds=12) for genre in ("Techno", "Choral")]
    path = tmp_path / "two $kinds$.flac"
    soundfile.write(path, np.concatenate(parts), 16_000)
    return path


def drawn(path: Path) -> FloatArray:
    """The pixels of a picture, (height, width, 3)."""
    pixels: FloatArray = image.imread(path)[:, :, :3]
    return pixels


@pytest.mark.slow
def test_pictures_for_dark_and_light_pages(genretagger: Command, song: Path, tmp_path: Path) -> None:
    before = song.read_bytes()
    light, dark, again = (tmp_path / f"{name}.png" for name in ("light", "dark", "again"))
    for path, more in ((light, ()), (dark, ("--theme", "dark")), (again, ())):
        ended = genretagger("picture", song, "-o", path, *more)
        assert (ended.status, ended.out) == (0, f"{path}\n"), ended.err
    assert drawn(light)[2, 2].min() > 0.9
    assert drawn(dark)[2, 2].max() < 0.15
    assert light.read_bytes() == again.read_bytes()
    assert drawn(light).shape == (640, 1000, 3)
    assert song.read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".tmp"]


def test_the_plain_spectrogram_as_svg(genretagger: Command, song: Path, tmp_path: Path) -> None:
    ended = genretagger("picture", song, "--fourier", "-o", tmp_path / "plain.svg")
    assert ended.status == 0, ended.err
    root = ElementTree.parse(tmp_path / "plain.svg").getroot()
    assert root.tag.endswith("svg")


@pytest.mark.slow
def test_where_a_picture_goes(
    genretagger: Command, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert genretagger("picture", song).status == 0
    assert [path.name for path in Path.cwd().iterdir()] == ["two $kinds$.png"]
    ended = genretagger("picture", song)
    assert (ended.status, "there is such a file already" in ended.err) == (2, True)
    ended = genretagger("picture", song, "-o", "picture.gif")
    assert (ended.status, "a picture is a PNG or SVG file" in ended.err) == (2, True)
    ended = genretagger("picture", song, "-o", tmp_path / "absent" / "a.png")
    assert (ended.status, "it cannot be written" in ended.err) == (2, True)


def test_without_matplotlib_it_says_which_command_installs_it(song: Path, tmp_path: Path) -> None:
    code = (
        "import importlib.util, sys; real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: None if name == 'matplotlib' else real(name, *more)\n"
        "from genretagger.cli.main import main; sys.argv = ['genretagger', 'picture', sys.argv[1]]; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, song],
        env={**os.environ, "GENRETAGGER_DATA_DIR": str(tmp_path / "data")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 2
    assert "pip install 'genretagger[report]'" in ended.stderr
    assert not list(tmp_path.glob("*.png"))


def test_a_damaged_file_is_told(genretagger: Command, data_dir: Path, tmp_path: Path) -> None:
    cut = make(tmp_path / "cut.flac", "flac", seconds=12.0)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    ended = genretagger("picture", cut, "-o", tmp_path / "a.png")
    assert ended.status != 0
    assert "cut.flac: truncated" in ended.err
    assert not (tmp_path / "a.png").exists()
    ended = genretagger("show", "--over-time", cut)
    assert "cut.flac: truncated" in ended.err


def test_show_over_time(genretagger: Command, song: Path) -> None:
    ended = genretagger("show", "--over-time", song, PYTHONIOENCODING="utf-8")
    assert ended.status == 0, ended.err
    (row,) = [line for line in ended.out.splitlines() if "over time  Electronic" in line]
    marks = row.split()[3]
    assert len(marks) == 8
    assert set(marks[:4]) <= set("▆▇█")
    assert set(marks[5:]) <= set("▁▂▃▄▅")
    ascii_only = genretagger("show", "-t", song, PYTHONIOENCODING="ascii")
    assert "over time  Electronic" in ascii_only.out
    (said,) = genretagger("show", "--over-time", "--json", song).lines
    timeline = said["over_time"]
    assert timeline["seconds"] == pytest.approx([2.992 * number for number in range(8)], abs=1e-3)
    assert timeline["heard"] == [True] * 8
    assert all(len(scores) == 8 for scores in timeline["scores"].values())
    assert min(timeline["scores"]["Electronic"][:4]) > 0.6
    (without,) = genretagger("show", "--json", song).lines
    assert "over_time" not in without


def timeline(scores: FloatArray, genres: tuple[str, ...], heard: list[bool]) -> Timeline:
    picture = Picture(
        np.zeros((4, 8), np.float32),
        np.arange(4, dtype=np.float32),
        np.zeros((8, 2), np.float32),
        1.0,
        3.0 * len(heard),
    )
    starts = np.arange(len(heard), dtype=np.float32) * 3
    return Timeline(starts, 3.0, genres, scores, np.array(heard), picture, "test")


def test_rows_fit_a_terminal_and_show_silence_as_a_gap() -> None:
    many = timeline(np.full((500, 1), 0.99, np.float32), ("Jazz",), [True] * 500)
    first, last = describe.timeline_lines(many)
    assert first.split()[2:] == ["Jazz", "█" * 60, "0.99"]
    assert last.split() == ["0:00", "25:00"]
    gap = timeline(np.array([[1], [0], [1]], np.float32), ("Jazz",), [True, False, True])
    assert "Jazz  █ █ 1.00" in next(describe.timeline_lines(gap))
    (none,) = describe.timeline_lines(timeline(np.zeros((3, 1), np.float32), ("Jazz",), [True] * 3))
    assert "no genre is heard" in none
