"""Artist and album of every container, as another program wrote them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from audio_factory import make

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
