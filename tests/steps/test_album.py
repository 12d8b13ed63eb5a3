"""Which files are one album: by folder, tags and artist."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from genretagger.steps.album import MOST_FILES, albums, files_at, home
from genretagger.types import Credits

ALBUM = "Selected Works"


def track(artist: str = "Anna", album: str = ALBUM, *, by: str = "") -> Credits:
    return Credits(artist, by, album, "A title")


def found(*tracks: Credits | None) -> list[list[int]]:
    return albums(dict(enumerate(tracks)))


def test_tracks_of_one_album_by_one_artist() -> None:
    assert found(track(), track(), track()) == [[0, 1, 2]]


def test_a_single_track_is_no_album() -> None:
    assert found(track()) == []
    assert found() == []


def test_two_albums_in_one_folder() -> None:
    other = track(album="Other Works")
    assert found(track(), other, track(), other) == [[0, 2], [1, 3]]


@pytest.mark.parametrize(
    "tracks",
    [
        pytest.param([track("Anna"), track("Berta"), track("Carla")], id="three artists"),
        pytest.param([track("Anna"), track("Anna"), track("Berta"), track("Carla")], id="one of them twice"),
        pytest.param([track("Various Artists"), track("Various Artists")], id="various as artist"),
        pytest.param([track("Anna", by="Various Artists")] * 3, id="various as album artist"),
        pytest.param([track("Anna", by="V.A.")] * 3, id="V.A."),
        pytest.param([track("Anna", by="Verschiedene Interpreten")] * 3, id="in German"),
        pytest.param([track(name, by="DJ Dora") for name in ("Anna", "Berta", "Carla")], id="a mix"),
        pytest.param([track(""), track("")], id="no artist"),
        pytest.param([track("Unknown Artist")] * 3, id="unknown artist"),
        pytest.param([track(album="")] * 3, id="no album"),
        pytest.param([track(album="Unknown Album")] * 3, id="unknown album"),
        pytest.param([None, None, track()], id="tags that nobody has read"),
        pytest.param([track(album="One"), track(album="Two"), track(album="Three")], id="mixed folder"),
    ],
)
def test_no_album(tracks: list[Credits | None]) -> None:
    assert found(*tracks) == []


@pytest.mark.parametrize(
    "tracks",
    [
        pytest.param([track("Anna"), track("ANNA"), track("anna ")], id="spelling"),
        pytest.param([track("Anna"), track("Anna feat. Berta"), track("Anna (ft. Carla)")], id="guests"),
        pytest.param([track("Anna", by="Anna"), track("Berta & Anna", by="Anna")], id="album artist"),
        pytest.param([track("Bach", by="Orchestra")] * 2, id="composer and orchestra"),
        pytest.param([track(album=f"{ALBUM} (Disc {number} of 2)") for number in (1, 2)], id="discs"),
        pytest.param([track(album=f"{ALBUM} [CD{number}]") for number in (1, 2)], id="discs by another program"),
        pytest.param([track("!!!", "÷"), track("!!!", "÷")], id="names without letters"),
        pytest.param([track("中島みゆき", "夜会"), track("中島みゆき", "夜会")], id="other scripts"),
    ],
)
def test_one_album(tracks: list[Credits | None]) -> None:
    assert found(*tracks) == [list(range(len(tracks)))]


def test_tracks_by_others_are_left_out() -> None:
    assert found(track(), track("Berta"), track(), track()) == [[0, 2, 3]]


def test_folders_of_discs_count_as_the_one_above() -> None:
    album = Path("/music/Anna/Selected Works")
    for disc in ("CD1", "CD 2", "Disc 1", "disk-2 - Live", "Disque 1", "CD_01"):
        assert home(album / disc / "1.flac") == album, disc
    for folder in ("CDs", "Discography", "Discovery", "Disc", "1", "CD1000 Hits"):
        assert home(album / folder / "1.flac") == album / folder, folder


def test_the_files_of_an_album(tmp_path: Path) -> None:
    names = ["CD 1/1.flac", "CD 1/2.mp3", "CD 2/1.flac", "bonus.ogg", "CD 1/.hidden.mp3", "Live/1.mp3", "cover.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp3"))
    odd.touch()
    assert files_at(tmp_path) == [*(tmp_path / name for name in names[:4]), odd]
    assert files_at(tmp_path / "gone") is None


def test_a_collection_is_no_album(tmp_path: Path) -> None:
    for number in range(MOST_FILES):
        (tmp_path / f"{number}.mp3").touch()
    assert len(files_at(tmp_path) or ()) == MOST_FILES
    (tmp_path / "one more.mp3").touch()
    assert files_at(tmp_path) is None
