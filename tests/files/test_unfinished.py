"""Whether a download into a folder goes on, by the names in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from genretagger.files.unfinished import is_arriving

UNFINISHED = ("2.flac.part", "2.mp3.crdownload", "2.ogg.!qB", "2.flac.aria2", ".syncthing.2.flac.tmp")
OTHERS = ("1.flac", "cover.jpg.part", "notes.part", ".hidden.part", "2.flac.txt", "tmp")


@pytest.mark.parametrize("name", UNFINISHED)
def test_a_download_that_goes_on(tmp_path: Path, name: str) -> None:
    (tmp_path / "1.flac").touch()
    assert not is_arriving(tmp_path, 100)
    (tmp_path / name).touch()
    assert is_arriving(tmp_path, 100)


@pytest.mark.parametrize("name", OTHERS)
def test_other_names_are_no_downloads_of_music(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert not is_arriving(tmp_path, 100)


def test_a_download_that_was_given_up_is_not_waited_for(tmp_path: Path) -> None:
    left = tmp_path / "2.flac.part"
    left.touch()
    os.utime(left, (1_000_000_000, 1_000_000_000))
    assert not is_arriving(tmp_path, 100)


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    assert not is_arriving(tmp_path / "gone", 100)
