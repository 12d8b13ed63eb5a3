"""Who owns a genre in beets: genretagger owns what it added, the user what was there before."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from beets_helpers import Beet, Samples, read, scratch, set_tags
from conftest import Ended

Command = Callable[..., Ended]
TECHNO = ["Trance"]
OTHER = ["yamnet & Music", "mtt & techno"]


@pytest.fixture
def beet(tmp_path: Path, data_dir: Path, techno_samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Beet:
    """Two models; the genres of the second are not in the vocabulary."""
    beet = scratch(tmp_path, data_dir, techno_samples, tmp_path_factory.getbasetemp())
    shutil.copytree(data_dir / "models" / "musicnn-yamnet", data_dir / "models" / "other")
    return beet


def other(beet: Beet, *arguments: str) -> Ended:
    """Decide with a model that chooses other genres."""
    return beet("genretag", "--model", "other", *arguments)


@pytest.mark.slow
def test_what_was_there_stays_its_owners_through_later_decisions(beet: Beet) -> None:
    beet.copies(beet.music, ["flac"], genre=["8-bit Gems"])
    beet("import", beet.music)
    assert beet.tracks()["flac"].fields == {}
    beet("genretag", "-f", "-k")
    assert beet.in_files() == beet.genres() == {"flac": ["8-bit Gems", *TECHNO]}
    fields = beet.tracks()["flac"].fields
    assert (fields["genretagger_genres"], fields["genretagger_kept"]) == ("Trance", "8-bit Gems")
    assert "0 tagged, 0 unsure, 1 kept" in beet("genretag").err

    other(beet)
    assert beet.in_files() == beet.genres() == {"flac": ["8-bit Gems", *OTHER]}
    assert beet.albums()["Album"][0] == "8-bit Gems"
    beet("genretag", "-a")
    assert beet.in_files() == beet.genres() == {"flac": ["8-bit Gems", *TECHNO]}
    assert beet.albums() == {"Album": ["8-bit Gems", *TECHNO]}
    other(beet, "-fk")
    assert beet.in_files() == beet.genres() == {"flac": ["8-bit Gems", *OTHER]}

    assert "1 undone" in beet("genretag", "--undo").err
    assert beet.in_files() == beet.genres() == {"flac": ["8-bit Gems"]}, "all that genretagger gave is gone"
    assert beet.tracks()["flac"].fields == {}
    assert beet.albums() == {"Album": ["8-bit Gems"]}
    for arguments in ([], ["-a"]):
        beet("genretag", "--model", "other", *arguments)
        assert beet.in_files() == beet.genres() == {"flac": ["8-bit Gems"]}
        assert beet.albums() == {"Album": ["8-bit Gems"]}
    beet("genretag", "-f")
    assert beet.in_files() == beet.genres() == {"flac": TECHNO}
    assert "genretagger_kept" not in beet.tracks()["flac"].fields
    beet("genretag", "--undo")
    assert beet.in_files() == beet.genres() == {"flac": ["8-bit Gems"]}


@pytest.mark.slow
def test_what_its_owner_chose_after_us_stays(beet: Beet) -> None:
    beet.add("flac", "mp3")
    beet("genretag", "-q")
    beet("modify", "-y", "title:flac", "genres=Ragtime")
    beet("genretag", "-fk", "title:flac")
    for arguments in (["-a"], ["--model", "other"], []):
        beet("genretag", *arguments)
        assert beet.genres()["flac"][0] == "Ragtime"
        assert beet.genres()["flac"][1:] == beet.genres()["mp3"]
        assert beet.in_files() == beet.genres()
    beet("modify", "-y", "title:flac", "genres=Ragtime; Polka; Electronic")
    changed = beet.genres()["flac"]
    other(beet)
    assert beet.genres()["flac"] == changed, "what its owner changed is theirs as a whole"
    assert beet.tracks()["flac"].fields == {}


@pytest.mark.slow
def test_undo_takes_back_every_decision(beet: Beet) -> None:
    beet.add("flac")
    beet("genretag", "-q")
    other(beet)
    assert beet.in_files() == {"flac": OTHER}
    answer = beet("genretag", "-up").out
    assert "- mtt & techno" in answer
    assert "Electronic" not in answer
    assert beet.in_files() == {"flac": OTHER}
    beet("genretag", "-u")
    assert beet.in_files() == beet.genres() == {"flac": []}
    assert "you undid its genre" in beet("genretag").err


@pytest.mark.slow
def test_an_albums_own_genre_stays(beet: Beet) -> None:
    beet.add("flac", "mp3")
    beet("modify", "-y", "-a", "-I", "genres=Zydeco")
    assert beet.genres()["flac"] == []
    beet("genretag", "-a")
    assert beet.albums() == {"Album": ["Zydeco"]}
    beet("genretag", "-fk")
    assert beet.albums() == {"Album": ["Zydeco", *TECHNO]}
    other(beet)
    assert beet.albums() == {"Album": ["Zydeco", *OTHER]}
    beet("genretag", "-a")
    assert beet.albums() == {"Album": ["Zydeco", *TECHNO]}
    beet.configure(genretagger={"force": True})
    beet("genretag", "--undo")
    assert beet.genres() == {"flac": [], "mp3": []}
    assert beet.albums() == {"Album": ["Zydeco"]}
    beet("genretag", "-f")
    assert beet.albums() == {"Album": TECHNO}


@pytest.mark.slow
def test_what_is_protected_stays_its_owners(beet: Beet, monkeypatch: pytest.MonkeyPatch) -> None:
    beet.copies(beet.music, ["flac"], genre=["Polka", "8-bit Gems"])
    beet("import", beet.music)
    monkeypatch.setenv("GENRETAGGER_PROTECT", "Polka")
    beet("genretag", "-f")
    assert beet.genres() == {"flac": ["Polka", *TECHNO]}
    monkeypatch.delenv("GENRETAGGER_PROTECT")
    other(beet)
    assert beet.in_files() == beet.genres() == {"flac": ["Polka", *OTHER]}


@pytest.mark.slow
def test_nothing_is_ours_where_all_was_there(beet: Beet) -> None:
    beet.copies(beet.music, ["flac"], genre=["Trance"])
    beet("import", beet.music)
    assert "0 tagged, 0 unsure, 1 kept" in beet("genretag", "-fk").err
    assert beet.tracks()["flac"].fields == {}
    other(beet)
    assert beet.in_files() == beet.genres() == {"flac": ["Trance"]}


@pytest.mark.slow
def test_what_the_command_line_added_to_is_not_taken_for_ours(beet: Beet, genretagger: Command) -> None:
    beet.add("flac")
    path = beet.tracks()["flac"].path
    assert path is not None
    set_tags(path, genre=["Polka"])
    genretagger("tag", path, "--policy", "add")
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime + 10))  # beets compares whole seconds
    answer = beet("genretag")
    assert "its file has the genre Polka, Trance: `beet update` reads it" in answer.err
    assert read(path) == ["Polka", *TECHNO]
    beet("update")
    other(beet)
    assert beet.in_files() == beet.genres() == {"flac": ["Polka", *TECHNO]}
