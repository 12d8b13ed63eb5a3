"""Albums that beets knows are decided together, wherever their files lie."""

from __future__ import annotations

from pathlib import Path

import pytest
from album_helpers import ALBUM, Library
from beets.library import Item
from beets.library import Library as BeetsLibrary
from beets_helpers import Beet, Samples, scratch

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


def test_each_track_by_itself(beet: Beet, settings: Settings) -> None:
    fill(beet, settings)
    assert genretag(beet, album="each")["3"] == ["Jazz"]


@pytest.mark.slow
def test_a_compilation_of_beets_is_decided_track_by_track(beet: Beet, settings: Settings) -> None:
    fill(beet, settings, comp=True)
    assert genretag(beet)["3"] == ["Jazz"]


@pytest.mark.slow
def test_one_track_of_an_album_is_decided_with_those_that_are_known(beet: Beet, settings: Settings) -> None:
    fill(beet, settings)
    genretag(beet, "-p")
    assert genretag(beet, "title:3")["3"] == ["Electronic"]
