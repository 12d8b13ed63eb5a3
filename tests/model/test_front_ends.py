from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genretagger.audio import mel
from genretagger.audio.mel import FrontEnd
from genretagger.errors import AudioError, ModelError
from genretagger.model.filter_bank import computed_bank
from genretagger.model.front_ends import FRONT_ENDS, front_end

REFERENCE = Path(__file__).resolve().parents[2] / "../shared/reference"
MUSICNN = FRONT_ENDS["musicnn"]


def log_mel(samples: Any, kind: FrontEnd) -> Any:
    return mel.log_mel(samples, kind, computed_bank(kind))


def music(seconds: float, rate_hz: int = 16_000) -> Any:
    """Chords and noise: something in every band."""
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    dice = np.random.default_rng(3)
    tones = sum(np.sin(2 * np.pi * hertz * time * (1 + 0.01 * time)) for hertz in (55, 220, 440, 1760, 5000))
    return (0.1 * tones + 0.01 * dice.standard_normal(len(time))).astype(np.float32)


def whole_track(samples: Any, kind: FrontEnd) -> Any:
    """(frames, mels): every frame of a track, which is silent before and after itself."""
    margin = np.zeros(kind.margin_samples, np.float32)
    return log_mel(np.concatenate([margin, samples, margin])[None], kind)[0]


def reference(file: str) -> Any:
    if not (REFERENCE / file).exists():
        pytest.skip(f"the reference outputs {file} are not on this machine")
    return np.load(REFERENCE / file)


@pytest.mark.parametrize("clip", ["vibe_ace.ogg", "minuet.mp3"])
def test_frames_equal_those_of_the_original_implementation(clip: str) -> None:
    stored = reference("musicnn.npz")
    expected = stored[f"{clip}|logmel_head"]
    frames = whole_track(stored[f"{clip}|waveform_head"], MUSICNN)[: len(expected)]
    # the head was cut off the frames of the whole clip, so its last frame hears what comes after
    # the cut
    assert np.abs(frames[:-1] - expected[:-1]).max() < 2e-6


@pytest.mark.parametrize("kind", FRONT_ENDS.values(), ids=FRONT_ENDS)
def test_frames_equal_those_of_librosa(kind: FrontEnd) -> None:
    import librosa

    samples, bank = music(9), computed_bank(kind)
    spectrum = librosa.stft(
        samples,
        n_fft=kind.n_fft,
        win_length=kind.win_length,
        hop_length=kind.hop_length,
        window=librosa.filters.get_window("hann", kind.win_length, fftbins=not kind.symmetric),
        center=False,
    )
    filters = bank.filters
    if not kind.straight_in_mels:
        filters = librosa.filters.mel(
            sr=kind.rate_hz,
            n_fft=kind.n_fft,
            n_mels=kind.mels,
            fmin=kind.fmin_hz,
            fmax=kind.fmax_hz,
            htk=kind.htk,
            norm="slaney" if kind.slaney_norm else None,
        )
        assert np.array_equal(filters, bank.filters)
    expected = mel._compressed(filters @ np.abs(spectrum) ** kind.power, kind).T
    (frames,) = log_mel(samples[None], kind)
    assert frames.shape == expected.shape
    assert np.abs(frames - expected).max() <= 1e-5 * np.abs(expected).max()
    assert np.abs(frames - expected).max() < 5e-6


@pytest.mark.parametrize("clip", ["vibe_ace.ogg", "minuet.mp3"])
@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("TensorflowPredictMusiCNN", "musicnn"),
        ("TensorflowPredictEffnetDiscogs", "musicnn"),
        ("TensorflowPredictMAEST", "musicnn"),
        ("TensorflowPredictVGGish", "vggish"),
    ],
)
def test_frames_equal_those_of_essentia(name: str, key: str, clip: str) -> None:
    stored = reference("essentia_mel.npz")
    expected = stored[f"{clip}|{key}"]
    if name == "TensorflowPredictMAEST":
        expected = (expected - 2.06755686098554) / (2 * 1.268292820667291)
    frames = whole_track(stored[f"{clip}|waveform"], FRONT_ENDS[name])
    assert abs(len(frames) - len(expected)) <= 1
    assert np.abs(frames[: len(expected)] - expected[: len(frames)]).max() < 1e-4


def test_a_family_hears_windows_of_several_lengths() -> None:
    lengths = {
        frames: front_end("TensorflowPredictMAEST", (None, frames, 96)) for frames in (1876, 626, 316)
    }  # 30, 10 and 5 seconds
    assert {frames: kind.window_frames for frames, kind in lengths.items()} == {1876: 1876, 626: 626, 316: 316}
    assert [round(kind.window_s) for kind in lengths.values()] == [30, 10, 5]
    assert log_mel(np.zeros((2, lengths[626].window_samples), np.float32), lengths[626]).shape == (2, 626, 96)
    for window in ((1, 500, 96), (1, 626, 64)):
        with pytest.raises(ModelError, match="316 or 626 or 1876 frames of 96 bands"):
            front_end("TensorflowPredictMAEST", window)


def test_a_cut_window_has_the_frames_of_the_whole_track() -> None:
    track = music(12)
    frames = whole_track(track, MUSICNN)
    padded = np.concatenate([np.zeros(MUSICNN.margin_samples, np.float32), track])
    firsts = [0, 1, 100, 500]  # the first frame of each window
    windows = np.stack([padded[first * 256 : first * 256 + MUSICNN.window_samples] for first in firsts])
    cut = log_mel(windows, MUSICNN)
    assert cut.shape == (4, 187, 96)
    assert cut.dtype == np.float32
    for window, first in zip(cut, firsts, strict=True):
        assert np.abs(window - frames[first : first + 187]).max() < 1e-6


def test_a_window_is_the_same_in_any_company() -> None:
    track = music(14)
    windows = np.stack([track[start : start + MUSICNN.window_samples] for start in range(0, 160_000, 40_000)])
    together = log_mel(windows, MUSICNN)
    assert len({window.tobytes() for window in together}) == 4
    for alone, company in zip(windows, together, strict=True):
        assert np.array_equal(log_mel(alone[None], MUSICNN)[0], company)


def test_a_long_track_is_heard_in_parts_and_costs_no_more_memory_for_it() -> None:
    windows = np.stack([music(3.2)[: MUSICNN.window_samples]] * 60)
    assert len(windows) * MUSICNN.window_frames > 2 * mel._FRAMES_AT_ONCE
    assert {window.tobytes() for window in log_mel(windows, MUSICNN)} == {log_mel(windows[:1], MUSICNN)[0].tobytes()}


def test_sizes_of_a_window() -> None:
    assert MUSICNN.window_samples == 186 * 256 + 512
    assert MUSICNN.margin_samples == 256
    assert MUSICNN.window_s == pytest.approx(2.992)


def test_silence_is_zero_and_louder_is_more() -> None:
    silent = log_mel(np.zeros((1, MUSICNN.window_samples), np.float32), MUSICNN)
    assert not silent.any()
    track = music(3.2)[None, : MUSICNN.window_samples]
    assert log_mel(track, MUSICNN).mean() > log_mel(track / 10, MUSICNN).mean() > 0


def test_a_tone_lands_in_its_band() -> None:
    time = np.arange(MUSICNN.window_samples) / 16_000
    loudest = [
        int(
            log_mel(np.sin(2 * np.pi * hertz * time, dtype=np.float64).astype(np.float32)[None], MUSICNN)[
                0, 90
            ].argmax()
        )
        for hertz in (200, 1000, 4000)
    ]
    assert loudest == sorted(set(loudest))


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param(np.zeros((1, 511), np.float32), id="shorter than a frame"),
        pytest.param(np.zeros(4096, np.float32), id="one dimension"),
        pytest.param(np.full((1, 4096), np.nan, np.float32), id="no numbers"),
        pytest.param(np.full((1, 4096), np.inf, np.float32), id="infinite"),
        pytest.param(np.full((2, 4096), 3e38, np.float32) * np.float32(-1), id="far beyond full scale"),
    ],
)
def test_hopeless_samples_cost_one_file(samples: Any) -> None:
    with pytest.raises(AudioError):
        log_mel(samples, MUSICNN)


def test_no_windows_give_no_frames() -> None:
    assert log_mel(np.zeros((0, MUSICNN.window_samples), np.float32), MUSICNN).shape == (0, 187, 96)


def test_an_unknown_front_end_lists_the_known_ones() -> None:
    assert front_end("musicnn") is MUSICNN
    with pytest.raises(ModelError, match="TensorflowPredictFuture") as caught:
        front_end("TensorflowPredictFuture")
    assert "musicnn" in caught.value.hint
