"""What the stages of an archive pass on to each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genretagger.archive.stages import packed, unpacked
from genretagger.pipeline import Unheard
from genretagger.types import Frames, GenreField, Stamp, Track, Window


@pytest.mark.parametrize("count", [0, 1, 3])
def test_frames_arrive_as_they_were(count: int) -> None:
    dice = np.random.default_rng(count)
    mels = tuple(dice.random((count, *shape)).astype(np.float32) for shape in ((187, 96), (3, 96, 64)))
    frames = Frames(tuple(Window(4.0 * number, 2.992) for number in range(count)), mels)
    track = Track(Path("/a.mp3"), Stamp(1, 2, 3, 4, 5, 1), "mp3", 20.0, "f" * 64, GenreField((), None, "ID3v2.4"))
    found = unpacked(*packed(Unheard(track, frames)))
    assert found.windows == frames.windows
    assert all(np.array_equal(one, other) for one, other in zip(found.mels, mels, strict=True))
