"""Decoding: the right samples from every container, and a true reason for damaged ones."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import av
import librosa
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from audio_factory import FORMATS, make
from audio_helpers import (
    MARGIN_SAMPLES,
    RATE_HZ,
    SHARED,
    WINDOW_S,
    WINDOW_SAMPLES,
    by_librosa,
    clock,
    decode,
    duration,
    encode,
    sample,
    track,
)
from few import few

from genretagger.audio import silence
from genretagger.errors import AudioError, FileError
from genretagger.types import Sound, Window

LIBROSA_READS = ("mp3", "flac", "ogg", "opus", "wav", "aiff", "caf")
DELAYS_S = {"aac": 1024 / 44100, "ac3": 256 / 44100, "eac3": 256 / 44100, "asf": -0.046}
"""Seconds that the encoder adds and the container does not tell of."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for `track`."""
    return tmp_path_factory.mktemp("library")


def cut(whole: npt.NDArray[np.float32], window: Window) -> npt.NDArray[np.float32]:
    """The expected row of a window, from the whole track at the model's rate."""
    padded = np.pad(whole, (MARGIN_SAMPLES, WINDOW_SAMPLES))
    start = round(window.start_s * RATE_HZ)
    return padded[start : start + WINDOW_SAMPLES]


@pytest.mark.parametrize("name", few(LIBROSA_READS, 0, 2))
@pytest.mark.parametrize("count", [4, None], ids=["spread", "all"])
def test_windows_equal_what_librosa_decodes(library: Path, name: str, count: int | None) -> None:
    path = track(library, name)
    whole = by_librosa(path)
    sound = decode(path, count)
    assert len(sound.windows) == (4 if count else 13)
    for row, window in zip(sound.samples, sound.windows, strict=True):
        np.testing.assert_allclose(row, cut(whole, window), atol=2e-4)


@pytest.mark.parametrize("name", few(FORMATS, 0, 5, 10))
def test_a_window_is_of_its_time(library: Path, name: str) -> None:
    source = librosa.resample(
        clock(40, 48000 if name == "opus" else 44100), orig_sr=48000 if name == "opus" else 44100, target_sr=RATE_HZ
    )
    delay_s = DELAYS_S.get(name, 0.0)
    sound = decode(track(library, name), 6)
    for row, window in zip(sound.samples, sound.windows, strict=True):
        expected = cut(source, Window(window.start_s - delay_s, window.duration_s))
        reach = 800  # 50 ms
        matches = np.correlate(row, expected[reach:-reach])
        # at 44.1 kHz, FFmpeg's clock of raw AC-3 is 0.02 % off: a frame is no whole number of ticks
        most = 160 if name in {"ac3", "eac3"} else 17
        assert abs(int(matches.argmax()) - reach) <= most, "more than a millisecond off"


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in {"aac", "ac3", "eac3", "mp4"}])
def test_seeking_gives_the_samples_of_decoding_through(library: Path, name: str) -> None:
    """Except three codecs that add random noise, and WMA, which counts in milliseconds."""
    path = track(library, name)
    sought, through = decode(path, 5), decode(path, None)
    whole = np.zeros(40 * RATE_HZ, np.float32)
    for row, window in zip(through.samples, through.windows, strict=True):
        start = round(window.start_s * RATE_HZ)
        whole[start : start + WINDOW_SAMPLES - MARGIN_SAMPLES] = row[MARGIN_SAMPLES:]
    for row, window in zip(sought.samples, sought.windows, strict=True):
        expected = cut(whole, window)
        if name == "asf":
            matches = np.correlate(row, expected[32:-32])
            assert abs(int(matches.argmax()) - 32) <= 16
        else:
            np.testing.assert_allclose(row, expected, atol=1e-6)


def test_stereo_is_the_mean_and_other_rates_are_resampled(tmp_path: Path) -> None:
    left, right = clock(12, 32000), clock(12, 32000)[::-1]
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([left, right], axis=1), 32000, subtype="FLOAT")
    expected = librosa.resample((left + right) / 2, orig_sr=32000, target_sr=RATE_HZ)
    for row, window in zip(decode(path, 3).samples, decode(path, 3).windows, strict=True):
        np.testing.assert_allclose(row, cut(expected, window), atol=1e-6)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_width_of_sample_has_full_scale_at_one(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "wide.wav"
    soundfile.write(path, clock(4, RATE_HZ), RATE_HZ, subtype=subtype)
    (row,) = decode(path, 1).samples
    start = round(decode(path, 1).windows[0].start_s * RATE_HZ)
    np.testing.assert_allclose(
        row[MARGIN_SAMPLES : MARGIN_SAMPLES + 8000], clock(4, RATE_HZ)[start : start + 8000], atol=0.008
    )


def test_real_music_equals_librosa() -> None:
    folder = SHARED / "audio"
    if not folder.is_dir():
        pytest.skip("the shared recordings are not here")
    for name in ("vibe_ace.ogg", "minuet.mp3", "speech_austen.ogg", "robin.ogg"):
        whole = by_librosa(folder / name)
        sound = decode(folder / name)
        for row, window in zip(sound.samples, sound.windows, strict=True):
            if window.duration_s >= WINDOW_S:
                np.testing.assert_allclose(row, cut(whole, window), atol=2e-4, err_msg=name)


# Lengths


def test_before_the_start_there_are_zeros(library: Path) -> None:
    row = decode(track(library, "flac"), None).samples[0]
    assert not row[:MARGIN_SAMPLES].any()
    assert abs(row[MARGIN_SAMPLES : MARGIN_SAMPLES + 50]).max() > 0.01


@pytest.mark.parametrize("name", FORMATS)
def test_duration(library: Path, name: str) -> None:
    assert duration(track(library, name)) == pytest.approx(40.0, abs=0.06)


def test_a_short_track_is_repeated(tmp_path: Path) -> None:
    path = tmp_path / "short.wav"
    soundfile.write(path, clock(1, RATE_HZ), RATE_HZ, subtype="FLOAT")
    sound = decode(path)
    assert sound.windows == (Window(0.0, 1.0),)
    body = sound.samples[0, MARGIN_SAMPLES:]
    np.testing.assert_allclose(body[: 2 * RATE_HZ], np.tile(clock(1, RATE_HZ), 2), atol=1e-6)
    assert len(body) == WINDOW_SAMPLES - MARGIN_SAMPLES
    assert body[-100:].any()


@pytest.mark.parametrize("samples", [0, 1, 4000])
def test_next_to_nothing_is_too_short(tmp_path: Path, samples: int) -> None:
    path = tmp_path / "blip.wav"
    soundfile.write(path, np.ones(samples), RATE_HZ)
    with pytest.raises(AudioError, match=r"short|no audio"):
        decode(path)


def _without_length(flac: bytes, samples: int = 0) -> bytes:
    """A FLAC file whose STREAMINFO counts that many samples."""
    start = flac.index(b"fLaC") + 18
    packed = int.from_bytes(flac[start : start + 8], "big")
    packed = packed >> 36 << 36 | samples
    return flac[:start] + packed.to_bytes(8, "big") + flac[start + 8 :]


def test_a_flac_that_does_not_count_is_counted(library: Path) -> None:
    data = _without_length(track(library, "flac").read_bytes())
    assert duration(data) == pytest.approx(40.0)
    np.testing.assert_array_equal(decode(data, 4).samples, decode(track(library, "flac"), 4).samples)


def test_a_flac_that_counts_too_many_is_truncated(library: Path) -> None:
    data = _without_length(track(library, "flac").read_bytes(), 100 * 44100)
    with pytest.raises(AudioError, match=r"truncated: it should last 1:40, the audio ends at 0:40"):
        decode(data)


def test_an_mp3_of_varying_rate_without_header_is_counted(tmp_path: Path) -> None:
    """Half of it is silence, so a guess from the first frames would be far off."""
    samples = np.concatenate([np.zeros(20 * 44100, np.float32), clock(20)])
    path = tmp_path / "vbr.mp3"
    with av.open(str(path), "w", format="mp3", options={"write_xing": "0"}) as output:
        stream: Any = output.add_stream("libmp3lame", rate=44100)
        stream.layout = "mono"
        stream.codec_context.flags |= 2  # variable rate
        stream.codec_context.global_quality = 4 * 118
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="fltp", layout="mono")
        frame.sample_rate = 44100
        for part in av.AudioResampler("fltp", "mono", 44100, frame_size=1152).resample(frame):
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    assert duration(path) == pytest.approx(40.0, abs=0.1)
    sound = decode(path, 4)
    assert silence.silent_windows(sound).tolist() == [True, True, False, False]


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFF, 0])
def test_a_wav_from_a_pipe(library: Path, length: int) -> None:
    data = bytearray(track(library, "wav").read_bytes())
    struct.pack_into("<I", data, data.index(b"data") + 4, length)
    struct.pack_into("<I", data, 4, length)
    assert decode(bytes(data), 4).windows[-1].start_s == pytest.approx(33.5, abs=0.1)


def test_a_fragmented_mp4(tmp_path: Path) -> None:
    path = tmp_path / "fragments.m4a"
    options = {"movflags": "frag_keyframe+empty_moov", "frag_duration": "1000000"}
    encode(path, "mp4", "aac", clock(30), options)
    assert duration(path) == pytest.approx(30.0, abs=0.1)
    assert decode(path, 8).windows[-1].start_s > 25


def test_chained_ogg_is_one_track(tmp_path: Path) -> None:
    """Recorded radio: FFmpeg's duration and seeking know only one link of the chain."""
    first, second = tmp_path / "1.ogg", tmp_path / "2.ogg"
    make(first, "ogg", samples=clock(20))
    make(second, "ogg", samples=0.5 * clock(10))
    chained = first.read_bytes() + second.read_bytes()
    sound = decode(chained, None)
    assert sound.windows[-1].start_s > 25
    loud = np.abs(sound.samples).mean(axis=1)
    assert loud[0] / loud[-1] == pytest.approx(2, rel=0.2)
    assert duration(chained) == pytest.approx(30.0, abs=0.1)


def test_joined_mp3s_of_two_rates_are_one_track(tmp_path: Path) -> None:
    first, second = tmp_path / "1.mp3", tmp_path / "2.mp3"
    for path, rate_hz in ((first, 44100), (second, 22050)):
        make(path, "mp3", samples=clock(12, rate_hz), rate_hz=rate_hz, title=None, artist=None)
    sound = decode(_without_xing(first.read_bytes()) + _without_xing(second.read_bytes()), None)
    assert len(sound.windows) == 8
    spectrum = np.abs(np.fft.rfft(sound.samples[6, MARGIN_SAMPLES : MARGIN_SAMPLES + RATE_HZ]))
    pitch_hz = float(spectrum.argmax())  # of the second from 17.95 s on, 5.95 s into the second file
    assert min(abs(pitch_hz - tone_hz) for tone_hz in (450, 500)) < 5


def _without_xing(mp3: bytes) -> bytes:
    """Without the first frame, which counts the others."""
    start = mp3.index(b"\xff\xfb") if b"\xff\xfb" in mp3[:100] else mp3.index(b"\xff\xf3")
    return mp3[mp3.index(mp3[start : start + 2], start + 4) :]


def test_joined_vorbis_of_two_rates_is_not_supported(tmp_path: Path) -> None:
    first, second = tmp_path / "1.ogg", tmp_path / "2.ogg"
    make(first, "ogg", samples=clock(10))
    make(second, "ogg", samples=clock(10, 22050), rate_hz=22050)
    with pytest.raises(FileError):
        decode(first.read_bytes() + second.read_bytes())


# Silence


def test_silence_is_told(tmp_path: Path) -> None:
    path = tmp_path / "half.flac"
    soundfile.write(path, np.concatenate([np.zeros(20 * 16000), clock(20, 16000)]), 16000)
    sound = decode(path, 4)
    assert silence.silent_windows(sound).tolist() == [True, True, False, False]
    assert not silence.silent_windows(sound).all()
    assert silence.peaks(sound)[3] == pytest.approx(np.abs(sound.samples[3]).max())
    assert silence.silent_windows(Sound(np.zeros((2, 10), np.float32), 16000, ())).all()


def test_an_hour_of_silence_takes_little_memory(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "hour.flac"
    with soundfile.SoundFile(path, "w", 16000, 1, format="FLAC") as file:
        for _ in range(360):
            file.write(np.zeros(160_000, np.int16))
    tracemalloc.start()
    sound = decode(path, 16)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert silence.silent_windows(sound).all()
    assert sound.windows[-1].start_s > 3400
    assert peak < 40 << 20


# The fingerprint


@pytest.mark.parametrize("name", few(("mp3", "flac", "ogg", "opus", "oggflac", "mp4", "alac"), 0, 5))
def test_the_fingerprint_ignores_tags(library: Path, tmp_path: Path, name: str) -> None:
    small = track(library, name)
    grown = tmp_path / small.name
    rate_hz = 48000 if name == "opus" else 44100
    make(grown, name, samples=clock(40, rate_hz), title="long " * 40_000)
    assert grown.stat().st_size > small.stat().st_size + 150_000
    assert sample(grown) == sample(small)


@pytest.mark.parametrize("name", few(FORMATS, 0, 5, 10))
def test_the_fingerprint_sees_other_audio(library: Path, tmp_path: Path, name: str) -> None:
    rate_hz = 48000 if name == "opus" else 44100
    samples = clock(40, rate_hz)
    samples[round(20.2 * rate_hz) : round(20.4 * rate_hz)] = 0
    other = make(tmp_path / f"other{FORMATS[name][2]}", name, samples=samples)
    assert sample(track(library, name)) == sample(track(library, name))
    assert sample(other) != sample(track(library, name))
