"""Audio with a tag after it: if its end is missing, no tag is written, as it would be played."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from ape_factory import make_ape
from audio_factory import decode, make
from conftest import SHARED
from tags_helpers import kind_at, put, refusal_of

from genretagger.errors import WriteRefusedError
from genretagger.files.kinds import id3v2_end, kind_of
from genretagger.tags import tails
from genretagger.tags.extents import audio_end


def monkey(folder: Path) -> bytes:
    data = make_ape(folder / "made").read_bytes()
    return data[: data.index(b"APETAGEX")]


def wavpack(folder: Path) -> bytes:
    data = make(folder / "made", "wavpack", 1.0, title=None, artist=None).read_bytes()
    return data[: data.index(b"APETAGEX")]


def musepack7(_: Path) -> bytes:
    """Five frames of 1 to 90 bits, each after its length, in words with swapped bytes."""
    bits = "".join(f"{length:020b}" + "1" * length for length in (1, 90, 33, 32, 31))
    bits = "0" * 8 + bits  # after the 25th byte of the header
    words = bits.ljust(-(-len(bits) // 32) * 32, "0")
    body = b"".join(struct.pack("<I", int(words[at : at + 32], 2)) for at in range(0, len(words), 32))
    return b"MP+\x07" + struct.pack("<I", 5) + bytes(16) + body


def musepack8(_: Path) -> bytes:
    def packet(name: bytes, content: bytes) -> bytes:
        size = len(content) + 3
        return name + (bytes((size,)) if size < 128 else bytes((128 | size + 1 >> 7, size + 1 & 127))) + content

    return b"MPCK" + packet(b"SH", bytes(20)) + packet(b"AP", bytes(200)) + packet(b"SE", b"")


def tak(_: Path) -> bytes:
    last = struct.pack("<Q", 400 | 100 << 40) + bytes(3)
    blocks = bytes((1,)) + (13).to_bytes(3, "little") + bytes(13)
    blocks += bytes((7,)) + len(last).to_bytes(3, "little") + last + bytes(4)
    return b"tBaK" + blocks + bytes(500)


MAKERS: dict[str, Callable[[Path], bytes]] = {
    "ape": monkey,
    "wavpack": wavpack,
    "mpc": musepack7,
    "mpc8": musepack8,
    "tak": tak,
}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("front", [0, 7])
def test_the_end_is_told(tmp_path: Path, kind: str, front: int) -> None:
    data = MAKERS[kind](tmp_path)
    path = tmp_path / "song"
    path.write_bytes(bytes(front) + data)
    end, slack = front + len(data), 3 if kind == "mpc" else 0
    with path.open("rb") as file:
        found = audio_end(file, kind, front, end)
        assert found is not None
        assert end - slack <= found <= end
        for missing in (slack + 1, 10, 50):
            cut = audio_end(file, kind, front, end - missing)
            assert cut is not None
            assert cut > end - missing


@pytest.mark.parametrize("kind", MAKERS)
def test_a_file_without_its_last_bytes_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "song"
    data = MAKERS[kind](tmp_path)
    for length in (len(data) - 4, len(data) - 30, 10, 20):
        path.write_bytes(data[:length])
        assert kind_at(path).name == kind
        assert "is cut off" in (refusal_of(path) or "")


@pytest.mark.parametrize("kind", ["ape", "wavpack"])
def test_a_whole_file_is_written(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "song"
    path.write_bytes(MAKERS[kind](tmp_path))
    sound = decode(path)
    put(path, "Jazz")
    assert decode(path) == sound


def test_broken_blocks_of_wavpack_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "song"
    data = bytearray(wavpack(tmp_path))
    data[5] ^= 0x40
    path.write_bytes(data)
    assert refusal_of(path) is not None


def test_part_of_a_tag_behind_wavpack_is_refused(tmp_path: Path) -> None:
    """It would be right in front of our tag, and look like a part of it."""
    path = tmp_path / "song"
    head = struct.pack("<8sIIII8x", b"APETAGEX", 2000, 155, 5, 0xA0000000)
    for kind in ("wavpack", "ape"):
        path.write_bytes(MAKERS[kind](tmp_path) + head[:27])
        assert "remains of another APEv2 tag" in (refusal_of(path) or "")


FILES = [path for suffix in ("ape", "mpc", "wv", "tak") for path in SHARED.glob(f"corpus/*/*.{suffix}")]


@pytest.mark.skipif(not FILES, reason="the corpus of odd files is not beside this repository")
def test_real_files_end_where_they_say() -> None:
    answer = 0
    for path in FILES:
        with path.open("rb") as file:
            known = kind_of(file)
            kind = known.name if known else ""
            start = id3v2_end(file, 0)
            limit = tails.tails_start(file, start)
            found = audio_end(file, kind, start, limit)
        answer += found is not None
        assert found is None or limit - 3 <= found <= limit, path
    assert answer > 15


@pytest.mark.skipif(not SHARED.exists(), reason="the cases are not beside this repository")
def test_wavpack_cut(tmp_path: Path) -> None:
    path = tmp_path / "song.wv"
    path.write_bytes((SHARED / "cases" / "wavpack-cut" / "cut3.wv").read_bytes())
    assert refusal_of(path) == "the WavPack file is cut off"
    with pytest.raises(WriteRefusedError, match="cut off"):
        put(path, "Jazz", audio_sample=None)
