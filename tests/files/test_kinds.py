"""Kinds depend on the content, not on the name; and text is never audio."""

from __future__ import annotations

import io
import os
from pathlib import Path

import av
import pytest
from audio_factory import FORMATS, make, tone
from hypothesis import given, settings
from hypothesis import strategies as st

from genretagger.files.kinds import AUDIO_SUFFIXES, KINDS, id3v2_size, kind_of

EXPECTED = {name: "mp4" if name == "alac" else name for name in FORMATS}


def named(data: bytes) -> str | None:
    kind = kind_of(io.BytesIO(data))
    return kind.name if kind else None


def id3_tag(size: int, version: int = 4) -> bytes:
    sizes = bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3" + bytes((version, 0, 0)) + sizes + bytes(size)


@pytest.fixture(scope="module")
def mp3(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = make(tmp_path_factory.mktemp("kinds") / "a.mp3", "mp3", 1.0, title=None, artist=None)
    return path.read_bytes()


@pytest.mark.parametrize("name", FORMATS)
def test_every_container_is_known_and_its_demuxer_opens_it(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / "no extension", name, 1.0)
    with path.open("rb") as file:
        kind = kind_of(file)
    assert kind is not None
    assert kind.name == EXPECTED[name]
    with av.open(str(path), format=kind.demuxer) as container:
        assert container.streams.audio[0].codec_context.sample_rate > 0


def test_every_demuxer_exists() -> None:
    assert all(av.ContainerFormat(kind.demuxer).is_input for kind in KINDS.values())


def test_suffixes_are_lower_case_extensions() -> None:
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in AUDIO_SUFFIXES)
    assert {suffix for _, _, suffix in FORMATS.values()} <= AUDIO_SUFFIXES


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"#EXTM3U\nhttp://example.invalid/a.mp3\n" * 50, id="playlist"),
        pytest.param(b"ffconcat version 1.0\nfile '/etc/passwd'\n", id="concat script"),
        pytest.param(b"[Verse]\nno audio here\n" * 5000, id="long text"),
        pytest.param("Ωmega \xff\xfb ".encode("utf-16") * 5000, id="UTF-16 text"),
        pytest.param(bytes(100_000), id="zeros"),
        pytest.param(b"\xff" * 100_000, id="ones"),
        pytest.param(id3_tag(200), id="a tag and nothing else"),
        pytest.param(id3_tag(200) + b"#EXTM3U\nhttp://example.invalid/\n" * 99, id="playlist behind a tag"),
        pytest.param(b"RIFF\x00\x00\x00\x00AVI LIST" + bytes(500), id="AVI"),
        pytest.param(b"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00" + bytes(500), id="AVIF picture"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(500), id="PNG"),
        pytest.param(b"ID3\x04\x00\x00\xff\xff\xff\xff" + bytes(500), id="broken tag"),
        pytest.param(id3_tag(0)[:6] + b"\x7f\x7f\x7f\x7f", id="a tag that claims 256 MB"),
    ],
)
def test_what_is_no_audio(data: bytes) -> None:
    assert named(data) is None


def test_ogg_video_is_no_audio() -> None:
    def page(packet: bytes, serial: int, flags: int = 2) -> bytes:
        head = b"OggS\x00" + bytes((flags,)) + bytes(8) + serial.to_bytes(4, "little") + bytes(8)
        return head + bytes((1, len(packet))) + packet

    vorbis, theora = page(b"\x01vorbis" + bytes(23), 1), page(b"\x80theora" + bytes(33), 2)
    assert named(vorbis + page(b"x", 1, 0)) == "ogg"
    assert named(vorbis + theora) is None
    assert named(page(b"fishead\x00" + bytes(56), 3) + vorbis) == "ogg"


@pytest.mark.parametrize("junk", [0, 1, 700, 60_000])
def test_mp3_behind_a_tag_and_junk(mp3: bytes, junk: int) -> None:
    assert named(id3_tag(300) + bytes(junk) + mp3) == "mp3"


def test_mp3_behind_several_tags(mp3: bytes) -> None:
    assert named(id3_tag(300, 3) + id3_tag(100) + mp3) == "mp3"


def test_mp3_behind_too_much_junk_is_not_one(mp3: bytes) -> None:
    assert named(id3_tag(300) + bytes(70_000) + mp3) is None
    assert named(bytes(5_000) + mp3) is None, "without a tag, less is tolerated"


def test_mp3_cut_in_the_middle_of_a_frame(mp3: bytes) -> None:
    assert named(mp3[100:]) == "mp3"


def test_mp3_inside_another_file_is_not_one(mp3: bytes) -> None:
    assert named(b"PK\x03\x04" + bytes(40) + mp3) is None
    tar = b"song.mp3".ljust(257, b"\x00") + b"ustar\x00" + bytes(249)
    assert named(tar + mp3) is None


def test_lonely_frames_are_not_enough(mp3: bytes) -> None:
    header = mp3[:4]
    assert named(bytes(64) + header + bytes(100_000)) is None
    assert named((header + bytes(200)) * 400) is None, "headers at the wrong distance"


def test_flac_behind_an_id3_tag(tmp_path: Path) -> None:
    flac = make(tmp_path / "a", "flac", 0.5).read_bytes()
    assert named(id3_tag(77) + flac) == "flac"


def test_mp3_of_every_version_and_rate(tmp_path: Path) -> None:
    for rate_hz in (48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000):
        path = make(tmp_path / "a", "mp3", title=None, artist=None, samples=tone(1.0, rate_hz), rate_hz=rate_hz)
        assert named(path.read_bytes()) == "mp3", rate_hz


def test_a_tag_with_a_footer_is_ten_bytes_longer() -> None:
    assert id3v2_size(b"ID3\x04\x00\x10\x00\x00\x01\x00") == 128 + 20
    assert id3v2_size(b"ID3\x04\x00\x00\x00\x00\x01\x00") == 128 + 10
    assert id3v2_size(b"ID3\x04\x00\x00\x00\x00\x80\x00") == 0


def test_only_the_beginning_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.write(b"text " * 100)
        os.truncate(file.fileno(), 1 << 34)

    class Counting(io.FileIO):
        total = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(-1 if size is None else size) or b""
            Counting.total += len(data)
            return data

    with Counting(path) as counted:
        assert kind_of(counted) is None
    assert 0 < Counting.total < 200_000


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=600), st.sampled_from(["", "ID3\x04", "OggS", "\x00\x00\x00\x20ftyp", "\x0b\x77", "\xff\xfb"])
)
def test_no_bytes_make_it_fail(data: bytes, start: str) -> None:
    kind = kind_of(io.BytesIO(start.encode("latin-1") + data))
    assert kind is None or kind is KINDS[kind.name]


def test_random_bytes_are_hardly_ever_audio() -> None:
    found = [name for seed in range(200) if (name := named(seed.to_bytes(4, "big") + os.urandom(70_000)))]
    assert not found
