"""Artist and album of every container, as another program wrote them."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import mutagen
import pytest
from ape_factory import make_ape
from audio_factory import make, make_dsf

from genretagger.errors import UnsupportedFileError
from genretagger.tags import credits
from genretagger.types import Credits
from genretagger.worker.pool import WorkerPool

ALBUM = {
    "mp3": ("mp3", "EasyMP3", {"albumartist": "Them", "album": "First"}),
    "flac": ("flac", "FLAC", {"albumartist": "Them", "album": "First"}),
    "ogg": ("oggvorbis", "OggVorbis", {"ALBUMARTIST": "Them", "ALBUM": "First"}),
    "mp4": ("easymp4", "EasyMP4", {"albumartist": "Them", "album": "First"}),
    "wavpack": ("wavpack", "WavPack", {"Album Artist": "Them", "Album": "First"}),
    "asf": ("asf", "ASF", {"WM/AlbumArtist": "Them", "WM/AlbumTitle": "First"}),
}


@pytest.mark.parametrize("kind", ALBUM)
def test_artist_album_artist_album_and_title(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path / "song", kind, seconds=0.5, artist="Ünë")
    with path.open("rb") as file:
        assert credits.read(file) == Credits("Ünë", "", "", "A title")
    module, reader, fields = ALBUM[kind]
    tags: Any = getattr(importlib.import_module(f"mutagen.{module}"), reader)(path)
    for name, value in fields.items():
        tags[name] = value
    tags.save()
    with path.open("rb") as file:
        assert credits.read(file) == Credits("Ünë", "Them", "First", "A title")


FLAG = {
    **dict.fromkeys(("mp3", "wav", "aiff", "dsf"), "TCMP"),
    **dict.fromkeys(("flac", "ogg", "opus"), "COMPILATION"),
    **dict.fromkeys(("mp4", "alac"), "cpil"),
    **dict.fromkeys(("wavpack", "ape"), "Compilation"),
    "asf": "WM/IsCompilation",
}


def _flag(path: Path, name: str, value: str) -> None:
    """Mark a compilation as players do."""
    file: Any = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    tags = file.tags
    id3: Any = importlib.import_module("mutagen.id3")
    asf: Any = importlib.import_module("mutagen.asf")
    if name == "TCMP":
        tags.setall(name, [id3.TCMP(encoding=0, text=[value])])
    elif name == "cpil":
        tags[name] = value == "1"
    elif name == "WM/IsCompilation":
        tags[name] = [asf.ASFBoolAttribute(value == "1")]
    else:
        tags[name] = value
    file.save()


@pytest.mark.parametrize("kind", FLAG)
def test_the_flag_for_compilations_means_various_artists(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"song.{kind}"
    if kind == "ape":
        make_ape(path)
    elif kind == "dsf":
        make_dsf(path)
    else:
        make(path, kind, seconds=0.5, artist="Anna")
    with path.open("rb") as file:
        before = credits.read(file)
    for value, album_artist in (("1", "Various Artists"), ("0", "")):
        _flag(path, FLAG[kind], value)
        with path.open("rb") as file:
            assert credits.read(file) == replace(before, album_artist=album_artist)


def test_the_flag_for_compilations_counts_more_than_an_album_artist(tmp_path: Path) -> None:
    path = make(tmp_path / "song.flac", "flac", seconds=0.5, artist="Anna")
    file: Any = mutagen.File(path)
    file.tags.update({"albumartist": "Anna", "compilation": "1"})
    file.save()
    with path.open("rb") as opened:
        assert credits.read(opened).album_artist == "Various Artists"


def test_nothing_and_damage_are_no_credits(tmp_path: Path) -> None:
    path = make(tmp_path / "song.flac", "flac", seconds=0.5, title=None, artist=None)
    with path.open("rb") as file:
        assert credits.read(file) == Credits()
    path.write_bytes(path.read_bytes()[:60] + bytes(60))
    with path.open("rb") as file:
        assert credits.read(file) == Credits()


def test_they_are_read_in_a_child_process(tmp_path: Path) -> None:
    path = make(tmp_path / "song.mp3", "mp3", seconds=0.5, artist="A\x07 name")
    (tmp_path / "text.mp3").write_text("no music")
    with WorkerPool(1) as pool:
        assert pool.credit(path).result().artist.startswith("A")
        with pytest.raises(UnsupportedFileError):
            pool.credit(tmp_path / "text.mp3").result()
