"""`beet genretag` on a library of real files: what it changes, leaves alone, and prints."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import command_helpers
import pytest
from beets_helpers import KINDS, Beet, Samples, read, scratch, set_tags
from conftest import Ended

Command = Callable[..., Ended]
TECHNO = ["Trance"]
ALL = dict.fromkeys(KINDS, TECHNO)
NONE: dict[str, list[str]] = {kind: [] for kind in KINDS}


@pytest.fixture
def beet(tmp_path: Path, data_dir: Path, techno_samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Beet:
    """A library of one album without genres."""
    beet = scratch(tmp_path, data_dir, techno_samples, tmp_path_factory.getbasetemp())
    beet.add()
    return beet


@pytest.mark.slow
def test_pretend_query_write_and_nothing_more_to_do(beet: Beet) -> None:
    before = command_helpers.snapshot(beet.library)
    answer = beet("genretag", "--pretend")
    assert answer.out.count("+ Trance") + answer.out.count("-> Trance") == 4
    assert "4 tagged, 0 unsure, 0 kept, 0 failed (pretended)" in answer.err
    assert (beet.genres(), command_helpers.snapshot(beet.library)) == (NONE, before)
    beet("genretag", "-q", "title:flac")
    assert beet.genres() == beet.in_files() == {**NONE, "flac": TECHNO}
    answer = beet("genretag")
    assert "3 tagged, 0 unsure, 1 kept, 0 failed" in answer.err
    assert beet.genres() == beet.in_files() == ALL
    assert beet.albums() == {"Album": TECHNO}
    after, noted = command_helpers.snapshot(beet.library), command_helpers.rows(beet.data_dir, "writes", "runs")
    answer = beet("genretag")
    assert (answer.out, answer.err) == ("", "genretagger: 0 tagged, 0 unsure, 4 kept, 0 failed\n")
    assert command_helpers.snapshot(beet.library) == after
    assert command_helpers.rows(beet.data_dir, "writes", "runs") == noted


@pytest.mark.slow
def test_the_owners_genre_stays_without_force(beet: Beet) -> None:
    beet("genretag", "-q")
    beet("modify", "-y", "title:mp3", "genres=Polka")
    assert "0 tagged, 0 unsure, 4 kept" in beet("genretag").err
    assert beet.tracks()["mp3"].fields == {}
    assert beet.in_files()["mp3"] == ["Polka"]
    assert beet.albums() == {"Album": TECHNO}
    beet("genretag", "-fkq", "title:mp3")
    assert beet.in_files() == beet.genres() == {**ALL, "mp3": ["Polka", *TECHNO]}
    beet("genretag", "-fq")
    assert beet.in_files() == beet.genres() == ALL


@pytest.mark.slow
def test_the_library_alone(beet: Beet) -> None:
    beet("genretag", "--nowrite", "-q")
    assert (beet.genres(), beet.in_files()) == (ALL, NONE)


@pytest.mark.slow
def test_undo_and_what_was_undone_stays_so(beet: Beet) -> None:
    beet("genretag", "-q")
    beet("modify", "-y", "title:mp3", "genres=Polka")
    assert "3 undone, 0 failed (pretended)" in beet("genretag", "-up").err
    assert beet.in_files() == {**ALL, "mp3": ["Polka"]}
    answer = beet("genretag", "--undo")
    assert "3 undone, 0 failed" in answer.err
    assert beet.genres() == beet.in_files() == {**NONE, "mp3": ["Polka"]}
    assert beet.albums() == {"Album": ["Polka"]}
    assert {len(row.fields) for title, row in beet.tracks().items() if title != "mp3"} == {0}
    answer = beet("genretag")
    assert "0 tagged, 0 unsure, 4 kept" in answer.err
    assert answer.err.count("you undid its genre") == 3
    beet("genretag", "-fq", "title:flac")
    assert beet.in_files() == {**NONE, "mp3": ["Polka"], "flac": TECHNO}


def test_one_bad_file_and_one_that_is_gone(beet: Beet) -> None:
    tracks = beet.tracks()
    flac, opus = tracks["flac"].path, tracks["opus"].path
    assert flac is not None
    assert opus is not None
    flac.write_bytes(b"fLaC" + bytes(5000))
    opus.unlink()
    answer = beet("genretag", status=1)
    assert "2 tagged, 0 unsure, 0 kept, 2 failed" in answer.err
    assert f"{flac}: " in answer.err
    assert f"{opus}: the file is gone" in answer.err
    assert beet.genres() == {**NONE, "mp3": TECHNO, "mp4": TECHNO}
    assert flac.read_bytes() == b"fLaC" + bytes(5000)


@pytest.mark.slow
def test_albums_get_one_decision_and_the_owners_tracks_stay(beet: Beet) -> None:
    beet("modify", "-y", "title:mp3", "genres=Polka")
    answer = beet("genretag", "-a")
    assert "3 tagged, 0 unsure, 1 kept" in answer.err
    assert beet.genres() == beet.in_files() == {**ALL, "mp3": ["Polka"]}
    assert beet.albums() == {"Album": TECHNO}
    assert beet.tracks()["flac"].fields["genretagger_source"] == "album"
    assert "0 tagged, 0 unsure, 4 kept" in beet("genretag", "-a").err


@pytest.mark.slow
def test_beets_and_genretagger_do_not_fight(beet: Beet, genretagger: Command) -> None:
    beet("genretag", "-q", "title:mp3")
    heard = command_helpers.rows(beet.data_dir, "analyses")
    files = {title: row.path.read_bytes() for title, row in beet.tracks().items() if row.path}
    ended = genretagger("tag", beet.library, "--json")
    status = {Path(line["path"]).name: line["status"] for line in ended.lines}
    assert status == {"mp3.mp3": "unchanged", "flac.flac": "tagged", "opus.opus": "tagged", "mp4.m4a": "tagged"}
    written = {title: row.path.read_bytes() for title, row in beet.tracks().items() if row.path}
    assert written["mp3"] == files["mp3"]
    assert "4 tagged" not in beet("genretag").err
    assert beet.genres() == beet.in_files() == ALL
    assert command_helpers.rows(beet.data_dir, "analyses") == heard, "nobody listened twice"
    assert {line["status"] for line in genretagger("tag", beet.library, "--json").lines} == {"unchanged"}
    assert len(command_helpers.writes(beet.data_dir)) == 4


@pytest.mark.slow
def test_a_genre_in_the_file_that_beets_does_not_know_stays(beet: Beet) -> None:
    path = beet.tracks()["mp3"].path
    assert path is not None
    set_tags(path, genre=["Polka"])
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime + 10))  # beets compares whole seconds
    answer = beet("genretag", "title:mp3")
    assert "its file has the genre Polka: `beet update` reads it" in answer.err
    assert read(path) == ["Polka"]
    beet("update")
    assert beet.genres()["mp3"] == ["Polka"]


@pytest.mark.slow
def test_another_model_renews_what_is_ours(beet: Beet) -> None:
    shutil.copytree(beet.data_dir / "models" / "musicnn-yamnet", beet.data_dir / "models" / "other")
    beet("genretag", "-q", "title:mp3")
    beet("genretag", "-q", "title:mp3", "--model", "other")
    assert beet.tracks()["mp3"].fields["genretagger_model"] == "other"
    assert "absent" in beet("genretag", "title:mp3", "--model", "absent", status=1).err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"min_weight": 10}, "genretagger.min_weight in beets' configuration"),
        ({"whitelist": "/nowhere.txt"}, "genretagger.whitelist in beets' configuration"),
        ({"sources": "lastfm"}, "genretagger.sources in beets' configuration must be one of"),
    ],
    ids=["score", "whitelist", "sources"],
)
def test_options_that_make_no_sense(beet: Beet, options: dict[str, object], says: str) -> None:
    beet.configure(genretagger=options)
    assert says in beet("genretag", status=1).err
