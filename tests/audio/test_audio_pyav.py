"""Opening media files with the PyAV that is installed: tags may be no valid UTF-8."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import pytest
from audio_factory import FORMATS, decode, make, metadata
from speex_factory import checksum

TAGGED = ("mp3", "flac", "ogg", "opus", "oggflac", "mp4", "alac", "wavpack", "wav", "aiff")
"""The containers of `make` whose text is UTF-8 by agreement only; ASF has UTF-16."""
TITLE, LATIN1 = b"A title", b"A titl\xe9"
SEEN = ("A titl\ufffd", "A titl\udce9")
"""PyAV up to 18 replaces the byte, PyAV 19 escapes it."""


def latin1_title(path: Path) -> Path:
    """Write the title in Latin-1 without saying so, as old programs did."""
    data = bytearray(path.read_bytes().replace(TITLE, LATIN1))
    assert LATIN1 in data
    if data.startswith(b"OggS"):
        start = data.index(b"OggS", 4)
        end = data.index(b"OggS", start + 4)
        data[start + 22 : start + 26] = bytes(4)
        data[start + 22 : start + 26] = struct.pack("<I", checksum(bytes(data[start:end])))
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", TAGGED)
def test_a_title_that_is_not_utf8_is_no_obstacle(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path / f"song{FORMATS[kind][2]}", kind)
    sound = decode(path)
    latin1_title(path)
    assert metadata(path)["title"] in SEEN
    assert decode(path) == sound


def test_the_same_in_id3v1(tmp_path: Path) -> None:
    path = make(tmp_path / "song.mp3", "mp3", title=None, artist=None)
    with path.open("ab") as file:
        file.write(b"TAG" + LATIN1.ljust(124, b"\0") + b"\xff")
    assert metadata(path)["title"] in SEEN


def test_pyav_itself_needs_to_be_told_before_19(tmp_path: Path) -> None:
    """The reason for the adapter; remove it when the oldest allowed PyAV is 19."""
    path = str(latin1_title(make(tmp_path / "song.flac", "flac")))
    if int(av.__version__.split(".")[0]) < 19:
        with pytest.raises(UnicodeDecodeError):
            av.open(path)
    else:
        with pytest.raises(TypeError, match="metadata_errors"):
            av.open(path, **{"metadata_errors": "replace"})  # type: ignore[call-overload]
