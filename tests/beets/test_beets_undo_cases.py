"""Undo of files that beets moved, copied or converted, or that were undone in the library only."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import command_helpers
import pytest
from beets_helpers import OTHER, TECHNO, Beet, Samples, path_of, read, scratch
from conftest import Ended

Command = Callable[..., Ended]


@pytest.fixture
def beet(tmp_path: Path, data_dir: Path, techno_samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Beet:
    """With a second model, which chooses other genres."""
    beet = scratch(tmp_path, data_dir, techno_samples, tmp_path_factory.getbasetemp())
    shutil.copytree(data_dir / "models" / "musicnn-yamnet", data_dir / "models" / "other")
    return beet


# 01


@pytest.mark.slow
def test_undo_after_move(beet: Beet) -> None:
    beet.add("mp3", "flac")
    beet("genretag", "-q")
    beet("genretag", "-q", "--model", "other", "title:flac")
    before = path_of(beet, "mp3")
    beet("modify", "-y", "title:mp3", "title=Moved")
    beet.configure(paths={"default": "$album/New/$title"})
    beet("move", "title:flac")
    assert not before.exists()
    assert beet.in_files() == {"Moved": TECHNO, "flac": OTHER}
    assert "2 undone, 0 failed (pretended)" in beet("genretag", "-up").err
    assert "2 undone, 0 failed" in beet("genretag", "-u").err
    assert beet.in_files() == beet.genres() == {"Moved": [], "flac": []}
    assert {len(row.fields) for row in beet.tracks().values()} == {0}
    assert "0 tagged, 0 unsure, 2 kept" in beet("genretag").err, "what was undone stays so"


@pytest.mark.slow
def test_the_command_line_undoes_what_beets_moved(beet: Beet, genretagger: Command) -> None:
    beet.add("mp3", "flac")
    beet("genretag", "-q")
    beet("modify", "-y", "title:mp3", "title=Moved")
    assert "2 writes undone, 0 skipped, 0 failed" in genretagger("undo", beet.library).err
    assert beet.in_files() == {"Moved": [], "flac": []}


@pytest.mark.slow
def test_what_was_moved_and_decided_anew_goes_back_to_what_its_owner_had(beet: Beet) -> None:
    beet.copies(beet.music, ["flac"], genre=["8-bit Gems"])
    beet("import", beet.music)
    beet("genretag", "-fq")
    beet("modify", "-y", "title=Moved")
    beet("genretag", "-q", "--model", "other")
    assert beet.in_files() == {"Moved": OTHER}
    assert "1 undone" in beet("genretag", "-u").err
    assert beet.in_files() == beet.genres() == {"Moved": ["8-bit Gems"]}


@pytest.mark.slow
def test_an_undo_that_cannot_be_says_so_and_keeps_its_notes(beet: Beet) -> None:
    beet.add("mp3", "flac", "opus")
    beet("genretag", "-q")
    gone, unknown, linked = path_of(beet, "mp3"), path_of(beet, "flac"), path_of(beet, "opus")
    away = gone.rename(beet.folder / "away.mp3")
    (beet.folder / "link.opus").hardlink_to(linked)
    connection = sqlite3.connect(beet.data_dir / "library.sqlite3")
    with connection:
        connection.execute("DELETE FROM writes WHERE path = ?", (os.fsencode(unknown),))
    connection.close()
    before = {title: row.fields for title, row in beet.tracks().items()}
    for flags in ("-up", "-u"):
        answer = beet("genretag", flags, status=1)
        assert "0 undone, 3 failed" in answer.err, flags
        assert f"{gone}: the file is gone" in answer.err
        assert f"{unknown}: genretagger's history does not say what it had before" in answer.err
        assert f"{linked}: it is hard-linked" in answer.err
        assert {title: row.fields for title, row in beet.tracks().items()} == before
    away.rename(gone)
    assert "1 undone, 0 failed" in beet("genretag", "-u", "title:mp3").err
    assert read(gone) == []


@pytest.mark.slow
def test_the_undo_of_a_copy_leaves_the_undo_of_its_original(beet: Beet) -> None:
    beet.add("flac")
    beet("genretag", "-q")
    original = path_of(beet, "flac")
    kept = beet.folder / "kept.flac"
    shutil.copy(original, kept)
    beet("modify", "-y", "title=Moved")
    shutil.copy(kept, original)
    assert "1 undone" in beet("genretag", "-u").err
    assert (beet.in_files(), read(original)) == ({"Moved": []}, TECHNO)
    states = [str(write.state) for write in command_helpers.writes(beet.data_dir) if write.path == original]
    assert states == ["done"], "its original still has our genre, and can be undone"


@pytest.mark.slow
def test_after_an_undo_an_albums_genres_of_its_owner_are_not_ours(beet: Beet) -> None:
    beet.copies(beet.music, ["flac"], genre=["Polka"])
    beet("import", beet.music)
    beet("genretag", "-fq")
    assert beet.albums() == {"Album": TECHNO}
    beet("genretag", "-u")
    assert beet.albums() == {"Album": ["Polka"]}
    assert all(not row.fields for row in beet._rows(albums=True))
    beet("genretag", "-a", "--model", "other")
    assert beet.albums() == {"Album": ["Polka"]}


# 06


def test_undo_after_convert_k(beet: Beet) -> None:
    encoder = beet.folder / "encode.py"
    encoder.write_text(ENCODE)
    beet.add("flac")
    command = f"{sys.executable} {encoder} $source $dest"
    beet.configure(
        "genretagger convert",
        convert={"format": "mp3", "formats": {"mp3": {"command": command, "extension": "mp3"}}},
    )
    beet("modify", "-y", "genres=Zydeco")
    beet("genretag", "-fq")
    beet("convert", "-y", "-k", "-d", beet.folder / "originals")
    path = path_of(beet, "flac")
    assert path.suffix == ".mp3"
    assert beet.in_files() == beet.genres() == {"flac": TECHNO}
    assert "1 undone, 0 failed (pretended)" in beet("genretag", "-up").err
    assert "1 undone, 0 failed" in beet("genretag", "-u").err
    assert beet.in_files() == beet.genres() == {"flac": ["Zydeco"]}
    assert beet.tracks()["flac"].fields == {}
    (original,) = (beet.folder / "originals").rglob("*.flac")
    assert read(original) == TECHNO, "the original was moved away, and is no part of the library"


ENCODE = """
import sys, av
with av.open(sys.argv[1]) as source, av.open(sys.argv[2], "w", format="mp3") as target:
    out = target.add_stream("libmp3lame", rate=44100)
    for frame in source.decode(audio=0):
        frame.pts = None
        for packet in out.encode(frame):
            target.mux(packet)
    for packet in out.encode(None):
        target.mux(packet)
"""


@pytest.mark.slow
def test_what_was_undone_in_the_library_only_can_be_forced(beet: Beet) -> None:
    beet.add("mp3")
    beet("genretag", "-qW")
    beet("genretag", "-quW")
    assert beet.genres() == {"mp3": []}
    assert "1 kept" in beet("genretag").err
    beet("genretag", "-f")
    assert beet.in_files() == beet.genres() == {"mp3": TECHNO}
    assert "genretagger_undone" not in beet.tracks()["mp3"].fields
