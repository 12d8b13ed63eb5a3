"""Where genres come from, and that genretagger never learns its own opinions."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from genretagger.causes import recorded
from genretagger.database.values import StoredWrite, WriteState, ours_among
from genretagger.errors import ConfigError
from genretagger.files.discover import Found
from genretagger.training.labels import Folders, NameMap, Tags, spelled
from genretagger.types import Credits, Decision, GenreField, Heard, Stamp, Track


def heard(path: str, genres: Sequence[str] = (), ours: Sequence[str] = ()) -> Heard:
    stamp, field = Stamp(1, 2, 3, 4, 5, 1), GenreField(tuple(genres), None, "ID3v2.4")
    return Heard(
        Track(Path(path), stamp, "mp3", 1.0, "x", field), Credits(), None, Decision((), {}, recorded("")), tuple(ours)
    )


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
        id=number, run_id=1, path=Path("/m/1"), payload_hash="x", before=fields[0], after=fields[1],
        reason=recorded(""), temporary_name=None, started_at=datetime(2026, 1, 1), finished_at=None, **options,
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
            ["Techno", "Dub", "House"],
            [write(1, [], ["Techno"]), write(2, ["Techno", "Dub"], ["Techno", "Dub", "House"])],
            ["House"],
            id="left beside what the owner added between two writes",
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
        pytest.param(
            ["Techno"],
            [
                write(1, [], ["Techno"]),
                write(2, ["Techno"], ["House"], state=WriteState.UNDONE),
                write(3, ["House"], ["Techno"], undo_of=2, model=""),
            ],
            ["Techno"],
            id="undone, which names no model, to what was ours",
        ),
        pytest.param(["Dub"], [write(1, [], ["Dub"], model="")], [], id="chosen by the owner in a plan"),
    ],
)
def test_what_is_ours_and_what_is_the_owners(genres: list[str], writes: list[StoredWrite], ours: list[str]) -> None:
    assert list(ours_among(genres, writes)) == ours


def test_a_map_renames_merges_splits_and_drops(tmp_path: Path) -> None:
    file = tmp_path / "map.toml"
    file.write_text('"Deep House" = "House"\n"Pop Rock" = ["Pop", "Rock"]\nMisc = ""\nrap = "Hip-Hop"\n')
    names = NameMap.load(file)
    assert names.apply(["deep-house", "House"]) == ("House",)
    assert names.apply(["Pop/Rock", "Misc", "RAP"]) == ("Pop", "Rock", "Hip-Hop")
    file.write_bytes(b'\xef\xbb\xbf"Dub" = "Reggae"\n')  # as Windows' Notepad saves it
    assert NameMap.load(file).apply(["dub"]) == ("Reggae",)
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
    decomposed = unicodedata.normalize("NFD", "Chançon")  # as the folders of a Mac are called
    assert NameMap({}).apply([decomposed, "chançon"]) == ("Chançon",)
    assert spelled(tracks) == {"hiphop": "hip-hop", "jazz": "Jazz", "rap": "Rap"}
