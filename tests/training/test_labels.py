"""Where genres come from, and that genretagger never learns its own opinions."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from genretagger.database.values import StoredWrite, WriteState, ours_among
from genretagger.discover import Found
from genretagger.errors import ConfigError
from genretagger.training.labels import Folders, NameMap, Tags, from_beets, from_csv, spelled
from genretagger.types import Credits, Decision, GenreField, Heard, Stamp, Track


def heard(path: str, genres: Sequence[str] = (), ours: Sequence[str] = ()) -> Heard:
    stamp, field = Stamp(1, 2, 3, 4, 5, 1), GenreField(tuple(genres), None, "ID3v2.4")
    return Heard(Track(Path(path), stamp, "mp3", 1.0, "x", field), Credits(), None, Decision((), {}, ""), tuple(ours))


def found(path: str, root: str = "/m") -> Found:
    return Found(Path(path), Path(root))


def test_tags_without_our_own() -> None:
    assert list(Tags().labels(heard("/m/1.mp3", ["Jazz", "Techno"], ["Techno"]), found("/m/1.mp3"))) == ["Jazz"]


def test_folders_are_those_right_below_the_one_that_was_named() -> None:
    source = Folders()
    assert list(source.labels(heard("/m/Jazz/Nina/1.mp3"), found("/m/Jazz/Nina/1.mp3"))) == ["Jazz"]
    assert list(source.labels(heard("/m/1.mp3"), found("/m/1.mp3"))) == ["m"]


def write(number: int, before: Sequence[str], after: Sequence[str], **more: Any) -> StoredWrite:
    fields = [GenreField(tuple(values), None, "") for values in (before, after)]
    options = {"model": "musicnn", "state": WriteState.DONE, "undo_of": None, **more}
    return StoredWrite(
        id=number, run_id=1, path=Path("/m/1"), payload_hash="x", before=fields[0], after=fields[1], reason="",
        temporary_name=None, started_at=datetime(2026, 1, 1), finished_at=None, **options,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("genres", "writes", "ours"),
    [
        pytest.param(["Jazz"], [], [], id="never written"),
        pytest.param(["Techno"], [write(1, [], ["Techno"])], ["Techno"], id="written by us"),
        pytest.param(["House"], [write(1, [], ["Techno"])], [], id="corrected by the owner"),
        pytest.param(["Techno", "House"], [write(1, [], ["Techno"])], [], id="completed by the owner, so confirmed"),
        pytest.param(["Jazz", "Techno"], [write(1, ["Jazz"], ["Jazz", "Techno"])], ["Techno"], id="added to theirs"),
        pytest.param(
            ["Techno", "House"],
            [write(1, [], ["Techno"]), write(2, ["Techno"], ["Techno", "House"])],
            ["Techno", "House"],
            id="written twice",
        ),
        pytest.param(
            ["Dub", "House"],
            [write(1, [], ["Techno"]), write(2, ["Dub"], ["Dub", "House"])],
            ["House"],
            id="corrected between two writes",
        ),
        pytest.param(
            ["Jazz"],
            [
                write(1, ["Jazz"], ["Techno"], state=WriteState.UNDONE),
                write(2, ["Techno"], ["Jazz"], undo_of=1, model=""),
            ],
            [],
            id="undone",
        ),
        pytest.param(
            ["Techno"],
            [
                write(1, [], ["Techno"]),
                write(2, ["Techno"], ["House"], state=WriteState.UNDONE),
                write(3, ["House"], ["Techno"], undo_of=2),
            ],
            ["Techno"],
            id="undone to what was ours",
        ),
        pytest.param(["Dub"], [write(1, [], ["Dub"], model="")], [], id="chosen by the owner in a plan"),
    ],
)
def test_what_is_ours_and_what_is_the_owners(genres: list[str], writes: list[StoredWrite], ours: list[str]) -> None:
    assert list(ours_among(genres, writes)) == ours


def test_a_table(tmp_path: Path) -> None:
    table = tmp_path / "genres.csv"
    table.write_bytes(
        b"\xef\xbb\xbfPath,Genres,note\nsub/1.mp3,Jazz; Dub,x\n"
        + os.fsencode(tmp_path)
        + b"/2.mp3,Rock,\nsub/1.mp3,Blues,\n"
    )
    source = from_csv(table)
    assert list(source.labels(heard("x"), found(str(tmp_path / "sub/1.mp3")))) == ["Jazz", "Dub", "Blues"]
    assert list(source.labels(heard("x"), found(str(tmp_path / "2.mp3")))) == ["Rock"]
    assert list(source.labels(heard("x"), found(str(tmp_path / "3.mp3")))) == []


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe\x00"])
def test_what_is_no_table_is_told_by_name(tmp_path: Path, content: bytes) -> None:
    table = tmp_path / "genres.csv"
    table.write_bytes(content)
    with pytest.raises(ConfigError, match="table") as caught:
        from_csv(table)
    assert caught.value.path == table
    assert "path,genres" in caught.value.hint


def test_beets_library_is_only_looked_at(tmp_path: Path) -> None:
    library = tmp_path / "library.db"
    with sqlite3.connect(library) as connection:
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, path BLOB, genres TEXT)")
        rows = [(b"/m/1.mp3", "Jazz\\\u2400Dub"), (b"/m/\xff.mp3", "Rock; Pop"), (b"/m/3.mp3", "")]
        connection.executemany("INSERT INTO items (path, genres) VALUES (?, ?)", rows)
    connection.close()
    before = library.read_bytes()
    source = from_beets(library)
    assert list(source.labels(heard("/m/1.mp3"), found("/m/1.mp3"))) == ["Jazz", "Dub"]
    odd = os.fsdecode(b"/m/\xff.mp3")
    assert list(source.labels(heard(odd, ["Pop"], ["Pop"]), found(odd))) == ["Rock"]  # Pop came from us
    assert list(source.labels(heard("/m/3.mp3"), found("/m/3.mp3"))) == []
    assert library.read_bytes() == before
    library.write_bytes(b"no database at all, but long enough to be looked at as one" * 20)
    with pytest.raises(ConfigError, match="cannot be read"):
        from_beets(library)
    with pytest.raises(ConfigError, match="no such library"):
        from_beets(tmp_path / "nowhere.db")


def test_a_map_renames_merges_splits_and_drops(tmp_path: Path) -> None:
    file = tmp_path / "map.toml"
    file.write_text('"Deep House" = "House"\n"Pop Rock" = ["Pop", "Rock"]\nMisc = ""\nrap = "Hip-Hop"\n')
    names = NameMap.load(file)
    assert names.apply(["deep-house", "House"]) == ("House",)
    assert names.apply(["Pop/Rock", "Misc", "RAP"]) == ("Pop", "Rock", "Hip-Hop")
    assert NameMap.load(None).apply(["Singer/Songwriter; Folk", "\x00", "  "]) == ("Singer & Songwriter", "Folk")


@pytest.mark.parametrize("content", ["a = 3", "a = [1]", "not toml", "[a]\nb = 1"])
def test_what_is_no_map_is_told_by_name(tmp_path: Path, content: str) -> None:
    file = tmp_path / "map.toml"
    file.write_text(content)
    with pytest.raises(ConfigError, match="map") as caught:
        NameMap.load(file)
    assert caught.value.path == file
    assert "Deep House" in caught.value.hint


def test_the_owners_most_frequent_spelling_holds() -> None:
    tracks = [("Hip Hop", "Jazz"), ("hip-hop",), ("hip-hop",), ("Rap",)]
    assert spelled(tracks) == {"hiphop": "hip-hop", "jazz": "Jazz", "rap": "Rap"}
