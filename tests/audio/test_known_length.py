"""A length that is known is not counted again: counting reads every packet of an MP3."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from audio_factory import make

from genretagger.audio import listen
from genretagger.audio.ffmpeg import FfmpegReader
from genretagger.audio.windows import spread
from genretagger.files.kinds import kind_of


def test_a_known_length_gives_the_same_windows_without_counting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_: FfmpegReader) -> float:
        raise AssertionError("counted again")

    with make(tmp_path / "song.mp3", "mp3", 12.0).open("rb") as file:
        kind = kind_of(file)
        assert kind is not None
        decode = partial(
            listen.decode,
            file,
            kind,
            windows_of=partial(spread, window_s=3.0, count=2),
            rate_hz=16_000,
            window_samples=48_000,
            margin_samples=0,
        )
        length_s, counted = listen.duration(file, kind), decode()
        monkeypatch.setattr(FfmpegReader, "length_s", never)
        known = decode(length_s=length_s)
        with pytest.raises(AssertionError, match="counted again"):
            decode()
    assert known.windows == counted.windows
    assert known.samples.tobytes() == counted.samples.tobytes()
