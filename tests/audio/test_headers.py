"""What headers declare, and when they are believed."""

from __future__ import annotations

import io

import pytest

from genretagger.audio.headers import mp3_declared_s, wav_declared_s

FRAME = b"\xff\xfb\x90\x00".ljust(417, b"\0")
"""MPEG-1 layer III at 128 kbit/s and 44.1 kHz: 1152 samples."""
HALF_FRAME = b"\xff\xf3\x80\x00".ljust(208, b"\0")
"""MPEG-2 layer III at 64 kbit/s and 22.05 kHz: 576 samples."""
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


def test_frames_of_mpeg_2_are_half_as_long() -> None:
    first = counting(HALF_FRAME, 3, FRAMES, FRAMES * len(HALF_FRAME))
    assert mp3_declared_s(io.BytesIO(first + 100 * HALF_FRAME)) == pytest.approx(FRAMES * 576 / 22_050)


def test_a_header_that_counts_frames_only_proves_no_cut() -> None:
    """Without a count of bytes, the table of contents follows; it must not be taken for one."""
    data = counting(FRAME, 1 | 4, FRAMES, 0x00FFFFFF) + 100 * FRAME
    assert mp3_declared_s(io.BytesIO(data)) is None


@pytest.mark.parametrize("other", [b"", b"even", b"odd"], ids=["no other chunk", "an even one", "an odd one"])
def test_a_wav_whose_samples_are_cut_off_declares_its_length(other: bytes) -> None:
    """Chunks of odd length are followed by one byte that their size does not count."""
    form = b"fmt " + (16).to_bytes(4, "little") + bytes((1, 0, 1, 0)) + (8000).to_bytes(4, "little")
    form += (16_000).to_bytes(4, "little") + bytes((2, 0, 16, 0))
    between = b"note" + len(other).to_bytes(4, "little") + other + bytes(len(other) % 2) if other else b""
    data = b"RIFF\0\0\0\0WAVE" + form + between + b"data" + (160_000).to_bytes(4, "little") + bytes(40_000)
    assert wav_declared_s(io.BytesIO(data)) == 10.0
    assert wav_declared_s(io.BytesIO(data + bytes(120_000))) is None
