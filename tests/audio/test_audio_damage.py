"""Decoding of damaged, odd and hostile files: a true reason, and only ever a FileError."""

from __future__ import annotations

import errno
import importlib
import io
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from audio_factory import make
from audio_helpers import (
    MARGIN_SAMPLES,
    RATE_HZ,
    SHARED,
    WINDOW_SAMPLES,
    clock,
    decode,
    encode,
    kind,
    opened,
    track,
)

from genretagger.audio import listen
from genretagger.audio.sndfile import SndfileReader
from genretagger.errors import AudioError, FileError, SystemFaultError
from genretagger.files.kinds import kind_of
from genretagger.types import Window


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for `track`."""
    return tmp_path_factory.mktemp("library")


# Damage


@pytest.mark.parametrize("name", ["flac", "wav", "aiff", "mp3", "tta", "wavpack"])
def test_half_a_file_is_truncated(library: Path, name: str) -> None:
    data = track(library, name).read_bytes()
    with pytest.raises(AudioError, match=r"truncated: it should last 0:40, the audio ends at 0:(19|20)"):
        decode(data[: len(data) // 2])


def test_half_an_mp4_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "fast.m4a"
    encode(path, "mp4", "aac", clock(40), {"movflags": "faststart"})
    data = path.read_bytes()
    assert decode(data, 4).windows[-1].start_s > 30
    with pytest.raises(AudioError, match="truncated: it should last 0:40, the audio ends at 0:"):
        decode(data[: len(data) * 2 // 3])


@pytest.mark.parametrize("name", ["flac", "wav", "mp3", "ogg"])
def test_a_file_without_its_last_bytes_is_not_truncated(library: Path, name: str) -> None:
    data = track(library, name).read_bytes()
    assert len(decode(data[:-100], 4).windows) == 4


@pytest.mark.parametrize("name", ["ogg", "opus", "aac"])
def test_half_of_what_declares_no_length_is_just_shorter(library: Path, name: str) -> None:
    data = track(library, name).read_bytes()
    assert 14 < decode(data[: len(data) // 2], 4).windows[-1].start_s < 20


def test_a_few_broken_packets_are_passed_over(library: Path) -> None:
    data = bytearray(track(library, "flac").read_bytes())
    for place in (3, 5):
        start = len(data) * place // 10
        data[start : start + 500] = bytes(500)
    sound = decode(bytes(data), None)
    np.testing.assert_allclose(sound.samples[0], decode(track(library, "flac"), None).samples[0], atol=1e-6)
    assert len(sound.windows) == 13


@pytest.mark.parametrize("name", ["flac", "mp3", "ogg", "mp4", "wavpack"])
def test_rubble_is_damaged(library: Path, name: str) -> None:
    data = bytearray(track(library, name).read_bytes())
    start, end = len(data) // 10, len(data) * 8 // 10
    data[start:end] = np.random.default_rng(5).bytes(end - start)
    try:
        sound = decode(bytes(data), 8)
    except AudioError:
        return
    assert np.isfinite(sound.samples).all()
    assert np.abs(sound.samples).max() <= 8
    assert name in {"mp4", "mp3", "ogg"}, "its frames have checksums"


class Failing(io.BytesIO):
    """A file on a disk that fails in the middle of it."""

    def read(self, count: int | None = -1, /) -> bytes:
        if self.tell() > 20_000:
            raise OSError(errno.EIO, "Input/output error")
        return super().read(count)


def test_what_the_disk_refuses_is_no_damage_to_libsndfile_either(library: Path) -> None:
    file = Failing(track(library, "ogg").read_bytes())
    with pytest.raises(SystemFaultError, match="input/output error"):
        SndfileReader(file, kind(opened(track(library, "ogg")))).read(400_000, 1000)


def test_what_the_disk_refuses_is_no_damage(library: Path) -> None:
    file = Failing(track(library, "wav").read_bytes())
    with pytest.raises(SystemFaultError, match="input/output error"):
        listen.decode(
            file,
            kind(opened(track(library, "wav"))),
            windows_of=lambda _: (Window(30.0, 1.0),),
            rate_hz=16000,
            window_samples=16000,
            margin_samples=0,
        )


# Odd files


def _float_wav(values: npt.NDArray[np.float32], rate_hz: int = 16000, channels: int = 1) -> bytes:
    body = values.astype("<f4").tobytes()
    form = struct.pack("<HHIIHH", 3, channels, rate_hz, (rate_hz * 4 * channels) & 0xFFFFFFFF, 4 * channels, 32)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + len(body))
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + form
        + b"data"
        + struct.pack("<I", len(body))
        + body
    )


def test_numbers_that_are_none_become_silence() -> None:
    values = clock(4, RATE_HZ)
    values[30000:30100], values[31000], values[32000], values[33000] = np.nan, np.inf, -np.inf, 1e30
    sound = decode(_float_wav(values), 1)
    assert np.isfinite(sound.samples).all()
    assert np.abs(sound.samples).max() <= 10


@pytest.mark.parametrize("rate_hz", [1, 10_000_000, 0])
def test_absurd_rates_are_damage(rate_hz: int) -> None:
    with pytest.raises(AudioError):
        decode(_float_wav(clock(4, RATE_HZ), rate_hz))


@pytest.mark.parametrize("channels", [0, 255])
def test_absurd_channels(channels: int) -> None:
    values = np.repeat(clock(1, RATE_HZ), channels or 1)
    try:
        sound = decode(_float_wav(values, channels=channels))
    except AudioError:
        return
    np.testing.assert_allclose(
        sound.samples[0, MARGIN_SAMPLES : MARGIN_SAMPLES + 1000], clock(1, RATE_HZ)[:1000], atol=1e-4
    )


def test_pictures_and_odd_bytes_in_tags_are_no_matter(library: Path, tmp_path: Path) -> None:
    path = tmp_path / "tagged.flac"
    path.write_bytes(track(library, "flac").read_bytes())
    flac = importlib.import_module("mutagen.flac")
    tags = flac.FLAC(path)
    picture = flac.Picture()
    picture.data, picture.mime, picture.type = b"\xff\xd8\xff\xe0" + bytes(50_000), "image/jpeg", 3
    tags.add_picture(picture)
    tags["title"] = "AAAABBBB"
    tags.save()
    data = path.read_bytes().replace(b"AAAABBBB", b"\xff\xfe\xc3\x28\xa0\xa1\xe2\x28")
    np.testing.assert_array_equal(decode(data, 3).samples, decode(track(library, "flac"), 3).samples)


def test_one_of_several_streams_is_heard(tmp_path: Path) -> None:
    path = tmp_path / "two.m4a"
    encode(path, "mp4", "aac", clock(10), {}, streams=2)
    assert len(decode(path, 2).windows) == 2


def test_no_other_file_is_opened(tmp_path: Path) -> None:
    """A playlist that names a file, under the name of a song."""
    secret = make(tmp_path / "secret.wav", "wav")
    playlist = f"ffconcat version 1.0\nfile {secret}\n".encode()
    assert kind_of(io.BytesIO(playlist)) is None


def test_ogg_that_ffmpeg_refuses_is_read_by_libsndfile(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from genretagger.audio import ffmpeg

    expected = decode(track(library, "ogg"), 4)

    def refuse(*_: object, **__: object) -> None:
        raise AudioError("damaged: Header processing failed")

    monkeypatch.setattr(ffmpeg.FfmpegReader, "__init__", refuse)
    np.testing.assert_allclose(decode(track(library, "ogg"), 4).samples, expected.samples, atol=1e-4)
    with pytest.raises(AudioError, match="Header processing failed"):
        decode(track(library, "mp4"), 4)


# Everything at once


def _corpus() -> list[Path]:
    return sorted(path for path in (SHARED / "corpus").glob("*/*") if path.is_file())


@pytest.mark.skipif(not _corpus(), reason="the shared corpus is not here")
def test_odd_files_decode_or_fail_as_files() -> None:
    decoded = 0
    for path in _corpus():
        with path.open("rb") as file:
            if kind_of(file) is None:
                continue
        try:
            sound = decode(path)
        except FileError:
            continue
        decoded += 1
        assert np.isfinite(sound.samples).all(), path
        assert sound.samples.shape == (len(sound.windows), WINDOW_SAMPLES), path
    assert decoded > 80
