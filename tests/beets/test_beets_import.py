"""Imports by the real `beet`, of every kind: the genres are in the library and in the files."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import command_helpers
import pytest
from beets_helpers import KINDS, Beet, Samples, plays, read, scratch, set_tags

TECHNO = ["Trance"]
ALL = dict.fromkeys(KINDS, TECHNO)


@pytest.fixture
def beet(tmp_path: Path, data_dir: Path, techno_samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Beet:
    return scratch(tmp_path, data_dir, techno_samples, tmp_path_factory.getbasetemp())


@pytest.mark.parametrize(
    "threaded", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["threaded", "in one thread"]
)
def test_as_is_with_copies(beet: Beet, threaded: bool) -> None:
    originals = beet.copies(beet.music / "album")
    own = beet.copies(beet.music / "other", ["flac"], "Other", genre=["Polka"])
    before = {path: path.read_bytes() for path in originals + own}
    beet.configure(threaded=threaded)
    ended = beet("import", beet.music)
    assert "genretagger" not in ended.err
    tracks = beet.tracks()
    assert beet.in_files()["mp3"] == TECHNO
    assert {path: path.read_bytes() for path in originals + own} == before, "the originals stay"
    rows = beet._rows(albums=False)
    mine = [row for row in rows if row.genres != ["Polka"]]
    assert {row.title: row.genres for row in mine} == ALL
    assert {row.title: read(row.path) for row in mine if row.path} == ALL
    (polka,) = [row for row in rows if row.genres == ["Polka"]]
    assert polka.fields == {}
    assert beet.albums() == {"Album": TECHNO, "Other": ["Polka"]}
    assert tracks["mp3"].fields["genretagger_source"] == "track"
    assert tracks["mp3"].fields["genretagger_model"] == "musicnn-yamnet"
    path = tracks["mp3"].path
    assert path is not None
    assert plays(path) == pytest.approx(12, abs=0.2)
    assert beet("ls", "-f", "$title", "genretagger_score:0.8..", "mp3").out == "mp3\n"
    assert beet("ls", "-f", "$title", "genretagger_score:..0.8").out == ""


def test_matched_with_moves(beet: Beet) -> None:
    beet.copies(beet.music / "album")
    beet.configure("genretagger known", {"autotag": True, "move": True, "copy": False})
    beet("import", beet.music)
    assert beet.genres() == beet.in_files() == ALL
    assert {row.fields["data_source"] for row in beet.tracks().values()} == {"known"}
    assert not list(beet.music.rglob("*.*"))
    assert [(write.state, write.model) for write in command_helpers.writes(beet.data_dir)] == [
        ("done", "musicnn-yamnet")
    ] * 4


@pytest.mark.slow
@pytest.mark.parametrize("matched", [pytest.param(True, marks=pytest.mark.slow), False], ids=["matched", "as is"])
def test_singletons_in_place(beet: Beet, matched: bool) -> None:
    beet.copies(beet.music, ["mp3", "flac"])
    beet.configure("genretagger known", {"autotag": matched, "copy": False, "singletons": True})
    beet("import", beet.music)
    assert beet.genres() == beet.in_files() == {"mp3": TECHNO, "flac": TECHNO}
    assert beet.tracks()["mp3"].path == beet.music / "mp3.mp3"
    assert len(command_helpers.writes(beet.data_dir)) == 2


@pytest.mark.parametrize("allowed", [None, True], ids=["by default", "allowed"])
def test_hard_links_leave_the_other_name_as_it_was(beet: Beet, allowed: bool | None) -> None:
    (original,) = beet.copies(beet.music / "album", ["flac"])
    before = original.read_bytes()
    beet.configure(importing={"copy": False, "hardlink": True}, genretagger={"hard_links": allowed})
    beet("import", beet.music)
    assert beet.genres() == {"flac": TECHNO}
    assert beet.in_files() == {"flac": TECHNO if allowed else []}
    assert original.read_bytes() == before
    assert original.stat().st_nlink == (1 if allowed else 2)


@pytest.mark.slow
def test_symbolic_links_are_not_written_through(beet: Beet) -> None:
    (original,) = beet.copies(beet.music / "album", ["flac"])
    before = original.read_bytes()
    beet.configure(importing={"copy": False, "link": True})
    beet("import", beet.music)
    assert beet.genres() == {"flac": TECHNO}
    assert original.read_bytes() == before


@pytest.mark.slow
def test_the_library_alone_where_beets_does_not_write(beet: Beet) -> None:
    beet.copies(beet.music, ["mp3"])
    beet.configure(importing={"write": False})
    beet("import", beet.music)
    assert (beet.genres(), beet.in_files()) == ({"mp3": TECHNO}, {"mp3": []})


@pytest.mark.slow
def test_not_at_import_where_auto_is_off(beet: Beet) -> None:
    beet.copies(beet.music, ["mp3"])
    beet.configure(genretagger={"auto": False})
    beet("import", beet.music)
    assert beet.genres() == beet.in_files() == {"mp3": []}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("id3v23", "version", "frame"),
    [(True, 3, ["Trance"]), pytest.param(False, 4, TECHNO, marks=pytest.mark.slow)],
)
def test_mp3_in_the_format_that_beets_is_set_to(beet: Beet, id3v23: bool, version: int, frame: list[str]) -> None:
    beet.copies(beet.music, ["mp3"])
    beet.configure(id3v23=id3v23)
    beet("import", beet.music)
    path = beet.tracks()["mp3"].path
    assert path is not None
    id3: Any = importlib.import_module("mutagen.id3")
    tag = id3.ID3(path, translate=False)
    assert (tag.version[1], tag["TCON"].text) == (version, frame)
    (write,) = command_helpers.writes(beet.data_dir)
    assert (write.state, list(write.after.values)) == ("done", frame)
    assert "0 tagged, 0 unsure, 1 kept" in beet("genretag").err


def test_an_import_never_fails_because_of_us(beet: Beet) -> None:
    beet.copies(beet.music / "album", ["mp3"])
    beet.copies(beet.music / "second", ["flac"], "Second")
    nowhere = {"GENRETAGGER_DATA_DIR": str(beet.folder / "empty"), "PIP_NO_INDEX": "1"}
    ended = beet("import", beet.music, environment=nowhere)
    assert ended.err.count("the plugin stops") == 1
    assert beet.genres() == {"mp3": [], "flac": []}
    answer = beet("genretag", status=1, environment=nowhere)
    assert "musicnn" in answer.err


def test_a_bad_file_costs_itself(beet: Beet) -> None:
    _, bad = beet.copies(beet.music / "album", ["mp3", "flac"])
    content = bad.read_bytes()
    bad.write_bytes(content[:9000] + bytes(len(content) - 9000))
    set_tags(bad, title="flac")
    ended = beet("import", beet.music)
    assert beet.genres() == {"mp3": TECHNO, "flac": []}
    assert "flac.flac" in ended.err


@pytest.mark.slow
def test_names_that_are_no_text(beet: Beet) -> None:
    (path,) = beet.copies(beet.music, ["flac"])
    odd = Path(os.fsdecode(os.fsencode(beet.music) + b"/\xff[]\n.flac"))
    path.rename(odd)
    beet.configure(importing={"copy": False, "singletons": True})
    beet("import", beet.music)
    assert beet.genres() == beet.in_files() == {"flac": TECHNO}
    odd.write_bytes(b"nothing")
    answer = beet("genretag", "-f", status=1)
    assert "0 tagged, 0 unsure, 0 kept, 1 failed" in answer.err
    assert len(answer.err.splitlines()) == 2
