"""What headers declare, and when they are believed."""

from __future__ import annotations

import io

import pytest

from genretagger.audio.headers import mp3_declared_s

FRAME = b"\xff\xfb\x90\x00".ljust(417, b"\0")
"""MPEG-1 layer III at 128 kbit/s and 44.1 kHz: 1152 samples."""
FRAMES = 200


@pytest.mark.parametrize(
    ("share", "is_cut"),
    [(1.0, False), (0.995, False), (0.98, True), (0.75, True), (0.4, True)],
    ids=["whole", "a little less", "an end is missing", "a quarter is missing", "most is missing"],
)
def test_an_mp3_with_less_than_its_header_counts_was_cut(share: float, is_cut: bool) -> None:
    counts = b"".join(number.to_bytes(4, "big") for number in (3, FRAMES, FRAMES * len(FRAME)))
    first = (FRAME[:36] + b"Xing" + counts).ljust(len(FRAME), b"\0")
    data = first + (FRAMES - 1) * FRAME
    declared_s = mp3_declared_s(io.BytesIO(data[: round(share * len(data))]))
    assert declared_s == (pytest.approx(FRAMES * 1152 / 44_100) if is_cut else None)
