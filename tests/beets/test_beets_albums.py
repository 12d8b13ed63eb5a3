"""Albums that beets knows are decided together, wherever their files lie."""

from __future__ import annotations

from pathlib import Path

import pytest
from album_helpers import ALBUM, ELECTRONIC, METAL, Library
from beets.library import Item
from beets.library import Library as BeetsLibrary
from beets_helpers import Beet, Samples, scratch
from few import few

from genretagger.config import Settings


@pytest.fixture
def beet(tmp_path: Path, data_dir: Path, techno_samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Beet:
    return scratch(tmp_path, data_dir, techno_samples, tmp_path_factory.getbasetemp())


def fill(beet: Beet, settings: Settings, *, comp: bool = False) -> None:
    """Put an album into beets' library, each of its files in a folder of its own."""
    music = Library(settings, beet.library)
    paths = [music.add(f"folder {name}/{name}", sound, title=name) for name, sound in ALBUM.items()]
    library = BeetsLibrary(str(beet.database), str(beet.library))
    try:
        album = library.add_album([Item.from_path(path) for path in paths])
        album.comp = comp
        album.store()
    finally:
        library._close()


def genretag(beet: Beet, *arguments: str, album: str = "pool") -> dict[str, list[str]]:
    beet("genretag", *arguments, environment={"GENRETAGGER_ALBUM": album, "GENRETAGGER_MIN_DURATION_S": "0.1"})
    return beet.genres()


def test_an_album_of_beets_is_decided_together(beet: Beet, settings: Settings) -> None:
    fill(beet, settings)
    genres = genretag(beet)
    assert {name: genres[name] for name in "12345"} == {name: ["Electronic"] for name in "12345"}
    assert genres["6"] == ["Metal"]


@pytest.mark.slow
def test_each_track_by_itself(beet: Beet, settings: Settings) -> None:
    fill(beet, settings)
    assert genretag(beet, album="each")["3"] == ["Jazz"]


@pytest.mark.parametrize("album", few((None, "pool", "each"), 0))
def test_an_import_decides_on_the_tracks_of_an_album_together(
    beet: Beet, settings: Settings, album: str | None
) -> None:
    music = Library(settings, beet.music)
    for name, sound in ALBUM.items():
        music.add(f"one/{name}", sound, title=name)
    for name, sound in {"7": METAL, "8": METAL, "10": METAL, "9": ELECTRONIC}.items():
        music.add(f"two/{name}", sound, title=name, artist="Berta", album="Other Works")
    beet.configure(genretagger={} if album is None else {"album": album})
    beet("import", beet.music, environment={"GENRETAGGER_MIN_DURATION_S": "0.1"})
    expected = (
        {"3": ["Jazz" if album == "each" else "Electronic"]}
        | {name: ["Electronic"] for name in "12459"}
        | {name: ["Metal"] for name in ("6", "7", "8", "10")}
    )
    assert beet.genres() == beet.in_files() == expected
    assert beet.albums() == {"Works": ["Electronic"], "Other Works": ["Metal"]}


@pytest.mark.slow
def test_an_import_of_a_compilation_decides_track_by_track(beet: Beet, settings: Settings) -> None:
    music = Library(settings, beet.music)
    for name, sound in ALBUM.items():
        music.add(name, sound, title=name, artist=f"Artist {name}")
    beet("import", beet.music, environment={"GENRETAGGER_MIN_DURATION_S": "0.1"})
    assert beet.genres()["3"] == ["Jazz"]


def test_another_value_than_pool_or_each_is_refused(beet: Beet, settings: Settings) -> None:
    fill(beet, settings)
    beet.configure(genretagger={"album": "some"})
    assert "genretagger.album in beets' configuration" in beet("genretag", status=1).err


@pytest.mark.slow
def test_a_compilation_of_beets_is_decided_track_by_track(beet: Beet, settings: Settings) -> None:
    fill(beet, settings, comp=True)
    assert genretag(beet)["3"] == ["Jazz"]


@pytest.mark.slow
def test_one_track_of_an_album_is_decided_with_those_that_are_known(beet: Beet, settings: Settings) -> None:
    fill(beet, settings)
    genretag(beet, "-p")
    assert genretag(beet, "title:3")["3"] == ["Electronic"]
