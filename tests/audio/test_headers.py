"""What headers declare, and when they are believed."""

from __future__ import annotations

import io
from typing import Literal

import pytest

from genretagger.audio.headers import is_fragmented, mp3_declared_s, mp3_promised_s, wav_declared_s

FRAME = b"\xff\xfb\x90\x00".ljust(417, b"\0")
"""MPEG-1 layer III at 128 kbit/s and 44.1 kHz: 1152 samples."""
HALF_FRAMES = {
    22_050: b"\xff\xf3\x80\x00".ljust(208, b"\0"),
    24_000: b"\xff\xf3\x84\x00".ljust(192, b"\0"),
    11_025: b"\xff\xe3\x80\x00".ljust(417, b"\0"),
    12_000: b"\xff\xe3\x84\x00".ljust(384, b"\0"),
    8_000: b"\xff\xe3\x88\x00".ljust(576, b"\0"),
}
"""Layer III at 64 kbit/s, by its rate in Hz, of MPEG-2 or, below 16 kHz, MPEG-2.5: 576 samples."""
FRAMES = 200


def counting(frame: bytes, flags: int, *counts: int) -> bytes:
    """A first frame with a Xing header that holds these counts."""
    numbers = b"".join(number.to_bytes(4, "big") for number in (flags, *counts))
    return (frame[:36] + b"Xing" + numbers).ljust(len(frame), b"\0")


@pytest.mark.parametrize(
    ("share", "is_cut"),
    [(1.0, False), (0.995, False), (0.98, True), (0.75, True), (0.4, True)],
    ids=["whole", "a little less", "an end is missing", "a quarter is missing", "most is missing"],
)
def test_an_mp3_with_less_than_its_header_counts_was_cut(share: float, is_cut: bool) -> None:
    data = counting(FRAME, 3, FRAMES, FRAMES * len(FRAME)) + (FRAMES - 1) * FRAME
    declared_s = mp3_declared_s(io.BytesIO(data[: round(share * len(data))]))
    assert declared_s == (pytest.approx(FRAMES * 1152 / 44_100) if is_cut else None)


@pytest.mark.parametrize("rate_hz", HALF_FRAMES)
def test_frames_of_mpeg_2_are_half_as_long(rate_hz: int) -> None:
    frame, length_s = HALF_FRAMES[rate_hz], pytest.approx(FRAMES * 576 / rate_hz)
    first = counting(frame, 3, FRAMES, FRAMES * len(frame))
    assert mp3_declared_s(io.BytesIO(first + 100 * frame)) == length_s, "it was cut"
    assert mp3_promised_s(io.BytesIO(first + (FRAMES - 1) * frame)) == length_s, "it is whole"


def test_a_header_that_counts_frames_only_proves_no_cut() -> None:
    """Without a count of bytes, the table of contents follows; it must not be taken for one."""
    data = counting(FRAME, 1 | 4, FRAMES, 0x00FFFFFF) + 100 * FRAME
    assert mp3_declared_s(io.BytesIO(data)) is None


@pytest.mark.parametrize("order", ["little", "big"], ids=["RIFF", "RIFX"])
@pytest.mark.parametrize("other", [b"", b"even", b"odd"], ids=["no other chunk", "an even one", "an odd one"])
def test_a_wav_whose_samples_are_cut_off_declares_its_length(other: bytes, order: Literal["little", "big"]) -> None:
    """Chunks of odd length are followed by one byte that their size does not count."""

    def number(value: int, size: int = 4) -> bytes:
        return value.to_bytes(size, order)

    form = b"fmt " + number(16) + number(1, 2) + number(1, 2) + number(8000)
    form += number(16_000) + number(2, 2) + number(16, 2)
    between = b"note" + number(len(other)) + other + bytes(len(other) % 2) if other else b""
    name = {"little": b"RIFF", "big": b"RIFX"}[order]
    data = name + b"\0\0\0\0WAVE" + form + between + b"data" + number(160_000) + bytes(40_000)
    assert wav_declared_s(io.BytesIO(data)) == 10.0
    assert wav_declared_s(io.BytesIO(data + bytes(120_000))) is None


@pytest.mark.parametrize("last", [b"moof", b"sidx", b"free"])
@pytest.mark.parametrize("is_large", [False, True], ids=["a size of 32 bits", "a size of 64 bits"])
def test_fragments_behind_an_atom_of_either_size_are_seen(last: bytes, is_large: bool) -> None:
    head = (
        (1).to_bytes(4, "big") + b"mdat" + (316).to_bytes(8, "big") if is_large else (308).to_bytes(4, "big") + b"mdat"
    )
    data = bytes((0, 0, 0, 8)) + b"ftyp" + head + bytes(300) + bytes((0, 0, 0, 8)) + last
    assert is_fragmented(io.BytesIO(data)) is (last != b"free")
