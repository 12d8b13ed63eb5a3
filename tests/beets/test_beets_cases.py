"""Faults from trials with real libraries: each test has the name of the trial that it repeats."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import command_helpers
import pytest
from beets_helpers import KINDS, OTHER, SILENCE, TECHNO, Beet, Samples, lend, path_of, read, scratch, set_tags
from conftest import Ended

from genretagger.text import is_blank

Command = Callable[..., Ended]

pytestmark = pytest.mark.timeout(600)
"""Each test starts `beet` up to ten times."""


@pytest.fixture
def beet(tmp_path: Path, data_dir: Path, techno_samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Beet:
    """With a second model, which chooses other genres."""
    beet = scratch(tmp_path, data_dir, techno_samples, tmp_path_factory.getbasetemp())
    shutil.copytree(data_dir / "models" / "musicnn-yamnet", data_dir / "models" / "other")
    return beet


# 02


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [("-LA",), ("-L",), ("-A", "library")],
    ids=["as is", "matched", "by path"],
)
def test_reimport_loses_ownership(beet: Beet, arguments: tuple[str, ...]) -> None:
    beet.copies(beet.music, ["mp3", "opus", "flac"])
    set_tags(beet.music / "mp3.mp3", genre=["Electronic"])
    set_tags(beet.music / "opus.opus", genre=TECHNO)  # as ours would be
    beet.configure("genretagger known")
    beet("import", beet.music)
    beet.copies(beet.folder / "second", ["mp4"], "Album")
    before, albums = beet.tracks(), beet.albums()
    assert before["mp3"].fields == before["opus"].fields == {}
    assert before["flac"].fields["genretagger_genres"] == "Trance"
    assert albums in ({"Album": TECHNO}, {"Album": [*TECHNO, "Electronic"]})
    for _ in range(2):
        beet("import", *(beet.library if each == "library" else each for each in arguments))
        after = beet.tracks()
        for title in before:
            fields = {name: value for name, value in after[title].fields.items() if name.startswith("genretagger")}
            expected = {name: value for name, value in before[title].fields.items() if name.startswith("genretagger")}
            assert (after[title].genres, fields) == (before[title].genres, expected), title
        assert beet.albums() == albums
    beet("genretag", "-q", "--model", "other")
    assert beet.in_files() == beet.genres() == {"mp3": ["Electronic"], "opus": TECHNO, "flac": OTHER}
    beet("genretag", "-q", "-u")
    assert beet.in_files() == beet.genres() == {"mp3": ["Electronic"], "opus": TECHNO, "flac": []}


@pytest.mark.slow
def test_notes_of_an_earlier_version_that_an_album_gave_its_tracks(beet: Beet) -> None:
    """Libraries in which a re-import mixed up the notes: the history knows who owns a genre."""
    beet.add("mp3", "flac")
    set_tags(path_of(beet, "mp3"), genre=["Jazz"])
    beet("modify", "-y", "title:mp3", "genres=Jazz")
    beet("genretag", "-q")
    lend(beet, genretagger_genres="Jazz")  # now the user's genre counts as ours, and ours as the user's
    beet("genretag", "--model", "other")
    assert beet.in_files() == beet.genres() == {"mp3": ["Jazz"], "flac": OTHER}


@pytest.mark.slow
def test_an_albums_old_notes_get_names_of_their_own(beet: Beet) -> None:
    beet.add("mp3", "flac")
    beet("modify", "-y", "title:mp3", "genres=Jazz")
    beet("genretag", "-q")
    connection = sqlite3.connect(beet.database)
    with connection:
        connection.execute("UPDATE album_attributes SET key = replace(key, 'genretagger_album_', 'genretagger_')")
    connection.close()
    genres = beet.genres()
    beet("import", "-LA")
    assert beet.tracks()["mp3"].fields == {}
    assert beet.genres() == genres
    beet("genretag", "-q", "--model", "other")
    assert beet.in_files() == beet.genres() == {"mp3": ["Jazz"], "flac": OTHER}
    assert beet.albums()["Album"][-1] != "Trance", "the album is still ours to keep in step"


@pytest.mark.slow
def test_whose_it_is_survives_removal_and_another_import(beet: Beet) -> None:
    beet.copies(beet.music, ["mp3", "flac"])
    set_tags(beet.music / "mp3.mp3", genre=["Polka"])
    beet("import", beet.music)
    beet("genretag", "-fkq", "title:mp3")
    assert beet.in_files() == {"mp3": ["Polka", *TECHNO], "flac": TECHNO}
    for elsewhere in (False, True):
        beet("remove", "-f", "album:Album")
        if elsewhere:
            (beet.library / "Album").rename(beet.folder / "elsewhere")
        beet("import", beet.folder / "elsewhere" if elsewhere else beet.library)
        assert beet.genres() == {"mp3": ["Polka", *TECHNO], "flac": TECHNO}
        fields = beet.tracks()["mp3"].fields
        assert (fields["genretagger_genres"], fields["genretagger_kept"]) == ("Trance", "Polka")
    beet("genretag", "-q", "--model", "other")
    assert beet.in_files() == beet.genres() == {"mp3": ["Polka", *OTHER], "flac": OTHER}
    assert "2 undone" in beet("genretag", "-u").err
    assert beet.in_files() == beet.genres() == {"mp3": ["Polka"], "flac": []}


@pytest.mark.slow
@pytest.mark.parametrize("way", ["stored", "modify", pytest.param("zero", marks=pytest.mark.slow), "write"])
def test_whose_it_is_survives_what_beets_does(beet: Beet, way: str) -> None:
    beet.add("mp3", "flac")
    beet("modify", "-y", "title:mp3", "genres=Polka")
    beet.configure("genretagger zero", zero={"fields": "comments", "update_database": True})
    beet("genretag", "-W" if way == "write" else "-w", "-q")
    if way == "stored":
        lend(beet, genretagger_album_genres="Polka", genretagger_album_kept="Polka", label="Mine")
    elif way == "modify":
        beet("modify", "-y", "-a", "label=Mine", "genretagger_genres=Polka", "genretagger_model=x")
    elif way == "zero":
        beet("zero", "album:Album")
    else:
        beet("write")
        (write,) = [write for write in command_helpers.writes(beet.data_dir) if str(write.state) == "done"]
        assert write.path == path_of(beet, "flac"), "what beets wrote for us is in the history"
    assert beet.genres() == beet.in_files() == {"mp3": ["Polka"], "flac": TECHNO}
    beet("genretag", "-q", "--model", "other")
    assert beet.genres() == beet.in_files() == {"mp3": ["Polka"], "flac": OTHER}
    beet("genretag", "-q", "-u")
    assert beet.genres() == beet.in_files() == {"mp3": ["Polka"], "flac": []}


@pytest.mark.slow
def test_genres_of_an_album_that_were_stored_over_those_of_its_tracks(beet: Beet) -> None:
    beet.add("mp3", "flac")
    beet("genretag", "-q")
    beet("genretag", "-q", "--model", "other", "title:flac")
    connection = sqlite3.connect(beet.database)
    with connection:
        connection.execute("UPDATE items SET genres = (SELECT genres FROM albums)")
    connection.close()
    assert beet.genres()["flac"] == beet.genres()["mp3"] == beet.albums()["Album"]
    assert "2 undone" in beet("genretag", "-u").err
    assert beet.genres() == beet.in_files() == {"mp3": [], "flac": []}


# 03


def test_ctrl_c_album(beet: Beet) -> None:
    for album in ("One", "Two", "Three"):
        beet.add("mp3", "flac", album=album)
    beet.configure("genretagger interrupting")
    answer = beet("genretag", status=130)
    assert "interrupted: run the same command again to continue" in answer.err
    assert "2 tagged" in answer.err
    done = {album for album, genres in beet.albums().items() if genres}
    assert len(done) == 1, "the album of the tracks that were done has its genres"
    beet.configure()
    connection = sqlite3.connect(beet.database)  # as after a kill, which leaves no time for albums
    with connection:
        connection.execute("UPDATE albums SET genres = ''")
        connection.execute("DELETE FROM album_attributes WHERE key LIKE 'genretagger%'")
    connection.close()
    assert "4 tagged, 0 unsure, 2 kept" in beet("genretag").err
    assert beet.albums() == dict.fromkeys(("One", "Two", "Three"), TECHNO)
    answer = beet("genretag")
    assert answer.err == "genretagger: 0 tagged, 0 unsure, 6 kept, 0 failed\n"


# 04


@pytest.mark.slow
def test_empty_genre_import(beet: Beet) -> None:
    blank = {"flac": [""], "mp4": [" "], "opus": ["\u200b "], "mp3": ["\u3164"]}
    for kind, genres in blank.items():
        beet.copies(beet.music, [kind], genre=genres)
    shutil.copy(beet.recordings / SILENCE, beet.folder / "quiet.flac")
    (beet.folder / "quiet").mkdir()
    shutil.move(beet.folder / "quiet.flac", beet.folder / "quiet" / "quiet.flac")
    set_tags(beet.folder / "quiet" / "quiet.flac", title="quiet", album="Quiet", artist="Me", genre=[" "])
    beet("import", beet.music)
    beet("import", beet.folder / "quiet")
    assert beet.genres() == {**dict.fromkeys(KINDS, TECHNO), "quiet": [" "]}, "a file in which nothing is heard stays"
    assert {title: genres for title, genres in beet.in_files().items() if title != "quiet"} == dict.fromkeys(
        KINDS, TECHNO
    )
    assert beet.albums() == {"Album": TECHNO, "Quiet": []}
    beet("genretag", "-q", "-u", "album:Album")
    assert all(all(map(is_blank, genres)) for genres in beet.in_files().values())
    assert beet.genres() == {**{kind: [] for kind in KINDS}, "quiet": [" "]}


@pytest.mark.slow
def test_blank_genres_in_the_library_are_none(beet: Beet) -> None:
    beet.add("mp3", "flac")
    lend(beet, genres=" ")
    assert "2 tagged" in beet("genretag").err
    assert beet.genres() == beet.in_files() == {"mp3": TECHNO, "flac": TECHNO}
    assert beet.albums() == {"Album": TECHNO}


# 05


@pytest.mark.parametrize(
    "how", [pytest.param("locked", marks=pytest.mark.slow), "read-only", pytest.param("folder", marks=pytest.mark.slow)]
)
def test_locked_library(beet: Beet, how: str) -> None:
    beet.add("mp3", "flac")
    beet("genretag", "-q", "title:mp3")
    beet.configure(timeout=0.5)
    before = {title: row.path.read_bytes() for title, row in beet.tracks().items() if row.path}
    holder = sqlite3.connect(beet.database, isolation_level=None)
    if how == "locked":
        holder.execute("BEGIN IMMEDIATE")
    elif not forbid(beet.database if how == "read-only" else beet.database.parent):
        pytest.skip("this user writes whatever the mode says, and chattr +i is not to be had")
    try:
        for arguments in ([], ["-a"], ["-u"], ["-f", "-q"]):
            answer = beet("genretag", *arguments, status=1)
            assert f"beets' library {beet.database} cannot be written" in answer.err
            assert len(answer.err.splitlines()) == 1, answer.err
        assert "1 tagged" in beet("genretag", "-p").err
    finally:
        holder.close()
        allow(beet.database if how == "read-only" else beet.database.parent)
    assert {title: row.path.read_bytes() for title, row in beet.tracks().items() if row.path} == before
    assert beet.genres() == {"mp3": TECHNO, "flac": []}
    assert "1 tagged, 0 unsure, 1 kept" in beet("genretag").err


def forbid(place: Path) -> bool:
    """Make a file or folder unwritable for this user; says whether that was possible."""
    if os.geteuid() != 0:
        place.chmod(0o500)
        return True
    return change_attributes("+i", place)


def allow(place: Path) -> None:
    if os.geteuid() != 0:
        place.chmod(0o700)
    else:
        change_attributes("-i", place)


def change_attributes(how: str, place: Path) -> bool:
    if shutil.which("chattr") is None:
        return False
    return subprocess.run(["chattr", how, place], capture_output=True, check=False).returncode == 0


@pytest.mark.slow
def test_a_library_that_is_locked_between_two_tracks(beet: Beet) -> None:
    beet.add("mp3", "flac")
    beet.configure("genretagger locking", timeout=0.5)
    answer = beet("genretag", status=1)
    assert "cannot be written (database is locked). Another program is using it" in answer.err
    assert sorted(map(len, beet.genres().values())) == [0, len(TECHNO)]
    assert beet.genres() == beet.in_files(), "no file has what the library could not hold"


# 07


@pytest.mark.slow
def test_write_no_then_w(beet: Beet) -> None:
    beet.copies(beet.music, ["mp3", "flac", "opus"])
    beet.configure(importing={"write": False})
    beet("import", beet.music)
    assert (set(map(tuple, beet.genres().values())), set(map(tuple, beet.in_files().values()))) == (
        {tuple(TECHNO)},
        {()},
    )
    foreign = path_of(beet, "opus")
    set_tags(foreign, genre=["Polka"])
    assert "2 written (pretended)" in beet("genretag", "-wp").err
    answer = beet("genretag", "-w")
    assert "2 written" in answer.err
    assert "its file has the genre Polka: `beet update` reads it" in answer.err
    assert beet.in_files() == {"mp3": TECHNO, "flac": TECHNO, "opus": ["Polka"]}
    assert " written\n" not in beet("genretag", "-w").err

    beet("genretag", "-u")
    assert beet.genres() == {"mp3": [], "flac": [], "opus": ["Polka"]}
    assert beet.in_files()["mp3"] == TECHNO, "import.write: no"
    assert "you undid its genre in the library" in beet("genretag").err, "what was undone is not given again"
    assert beet.genres()["mp3"] == []
    beet("genretag", "-u", "-w")
    assert beet.in_files() == beet.genres() == {"mp3": [], "flac": [], "opus": ["Polka"]}
    assert {len(row.fields) for row in beet.tracks().values()} == {0}
    assert "0 undone" in beet("genretag", "-u", "-w").err


# Links


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["link", "hardlink"])
def test_a_matched_import_gives_no_genre_to_what_a_link_leads_to(beet: Beet, kind: str) -> None:
    (original,) = beet.copies(beet.music / "album", ["flac"])
    beet.configure("genretagger known", {"autotag": True, "copy": False, kind: True})
    answer = beet("-vv", "import", beet.music)
    assert beet.genres() == {"flac": TECHNO}
    assert read(original) == []
    assert "in the library only" in answer.err
    beet("write")
    assert read(original) == [], "later neither"
