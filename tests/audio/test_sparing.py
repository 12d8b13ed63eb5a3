"""Reading no more of a file than needed, for those to whom each byte comes from far."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from audio_factory import make, tone

from genretagger.audio import listen
from genretagger.audio.headers import ends_otherwise, is_chained, mp3_promised_s
from genretagger.audio.windows import spread
from genretagger.files.kinds import kind_of

BLOCK = 32 << 10
SECONDS = 100


class Counted(io.BytesIO):
    """A file that notes which of its blocks were read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.blocks: set[int] = set()

    def read(self, size: int | None = -1, /) -> bytes:
        start = self.tell()
        data = super().read(size)
        self.blocks |= set(range(start // BLOCK, -(-(start + len(data)) // BLOCK)))
        return data

    @property
    def share(self) -> float:
        return len(self.blocks) * BLOCK / len(self.getbuffer())


@pytest.fixture(scope="module")
def long_mp3(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make(tmp_path_factory.mktemp("long") / "long.mp3", "mp3", SECONDS).read_bytes()


def test_a_whole_header_of_an_mp3_is_believed(long_mp3: bytes) -> None:
    kind = kind_of(io.BytesIO(long_mp3))
    assert kind is not None
    sparing, counting = Counted(long_mp3), Counted(long_mp3)
    assert listen.duration(sparing, kind, sparing=True) == pytest.approx(listen.duration(counting, kind), abs=1e-6)
    assert counting.share > 0.9
    assert sparing.share < 0.1


def test_windows_of_an_mp3_are_jumped_to(long_mp3: bytes) -> None:
    file = Counted(long_mp3)
    kind = kind_of(file)
    assert kind is not None
    sound = listen.decode(
        file,
        kind,
        windows_of=lambda length_s: spread(length_s, window_s=3, count=4),
        rate_hz=16000,
        window_samples=48000,
        margin_samples=0,
        sparing=True,
    )
    assert len(sound.windows) == 4
    assert abs(sound.samples).max(axis=1).min() > 0.1, "each is heard"
    assert file.share < 0.6


def test_a_header_that_does_not_fit_the_file_is_not_believed(long_mp3: bytes) -> None:
    assert mp3_promised_s(io.BytesIO(long_mp3)) == pytest.approx(SECONDS, abs=0.1)
    for other in (long_mp3[: len(long_mp3) // 2], long_mp3 + long_mp3[4096:]):
        assert mp3_promised_s(io.BytesIO(other)) is None
    without = make_without_header(long_mp3)
    kind = kind_of(io.BytesIO(without))
    assert kind is not None
    assert mp3_promised_s(io.BytesIO(without)) is None
    assert listen.duration(io.BytesIO(without), kind, sparing=True) == listen.duration(io.BytesIO(without), kind)


def make_without_header(mp3: bytes) -> bytes:
    """The same audio, without the frame that counts it."""
    mark = max(mp3.find(b"Xing"), mp3.find(b"Info"))
    return mp3[:mark] + b"\0\0\0\0" + mp3[mark + 4 :]


def test_the_last_page_of_an_ogg_file_shows_a_chain(tmp_path: Path) -> None:
    one = make(tmp_path / "1.opus", "opus", samples=tone(8.0, 48000)).read_bytes()
    other = make(tmp_path / "2.ogg", "ogg", 3.0).read_bytes()
    for data, chained in ((one, False), (other, False), (one + other, True), (one[:-200] + bytes(70_000), True)):
        assert ends_otherwise(io.BytesIO(data)) is chained
    assert is_chained(io.BytesIO(one + other))
