"""The genres of a track over time, and its picture: from file through child to model."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import command_helpers as helpers
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from audio_factory import make
from conftest import RATE_HZ, techno

from benchmarks.genres import compose
from genretagger.audio import mel
from genretagger.audio import trace as whole
from genretagger.config import Settings
from genretagger.errors import AudioError, FileError, TooShortError, UnsupportedFileError
from genretagger.files.kinds import kind_of
from genretagger.model.filter_bank import ears_of
from genretagger.model.installed import InstalledModel
from genretagger.pipeline import Pipeline
from genretagger.types import Timeline

WINDOW_S = 2.992


@pytest.fixture
def opened(settings: Settings) -> Iterator[Pipeline]:
    """A pipeline with the default model."""
    with helpers.pipeline(settings) as found:
        yield found


def write(path: Path, samples: npt.NDArray[np.floating], rate_hz: int = RATE_HZ) -> Path:
    soundfile.write(path, samples, rate_hz)
    return path


def of(timeline: Timeline, genre: str) -> npt.NDArray[np.float32]:
    column: npt.NDArray[np.float32] = timeline.scores[:, timeline.genres.index(genre)]
    return column


def test_a_track_that_changes_in_the_middle_changes_its_timeline_there(opened: Pipeline, tmp_path: Path) -> None:
    count = round(8 * WINDOW_S * 16_000)
    parts = [compose(genre, 0, 0, seconds=30)[:count] for genre in ("Techno", "Choral")]
    song = write(tmp_path / "two.flac", np.concatenate(parts), 16_000)
    found = opened.timeline(song)
    assert found.seconds.tolist() == pytest.approx([number * WINDOW_S for number in range(16)])
    assert (round(found.window_s, 6), found.model) == (WINDOW_S, "musicnn-yamnet")
    assert found.heard.all()
    assert found.scores.shape == (16, len(opened.listener.genres))
    means = found.scores.mean(axis=0)
    assert (np.diff(means) <= 1e-6).all()
    for genre in ("Electronic", "Trance"):
        assert of(found, genre)[:8].mean() > 0.8
        assert of(found, genre)[8:].mean() < 0.3
    assert of(found, "Ambient")[8:].mean() > 4 * of(found, "Ambient")[:8].mean()
    assert (of(found, "Trance")[:8].min(), of(found, "Trance")[8:].max()) == pytest.approx((1, 0), abs=0.45)
    middle = found.picture.levels_db.shape[1] // 2
    low = found.picture.levels_db[:8]
    assert low[:, : middle - 4].mean() > low[:, middle + 4 :].mean() + 10  # the kick is gone


def test_a_window_has_the_score_that_a_decision_on_it_would_give(data_dir: Path, tmp_path: Path) -> None:
    song = write(tmp_path / "one.flac", techno(WINDOW_S + 0.5))
    with helpers.pipeline(helpers.settings(data_dir, windows="all")) as opened:
        found = opened.timeline(song)
        decision = opened.decide(song)
    assert found.scores.shape[0] == 1
    of_window = dict(zip(found.genres, found.scores[0].tolist(), strict=True))
    assert decision.scores.keys() <= of_window.keys()
    answer = {genre: decision.scores.get(genre, 0.0) for genre in of_window}  # none below 0.001
    assert of_window == pytest.approx(answer, abs=3e-3)  # which is made of what is stored, rounded


def test_silence_is_in_the_timeline_and_has_no_genre(opened: Pipeline, tmp_path: Path) -> None:
    quiet = round(3 * WINDOW_S * RATE_HZ)
    song = write(tmp_path / "gap.flac", np.concatenate([techno(3 * WINDOW_S), np.zeros(quiet), techno(3 * WINDOW_S)]))
    found = opened.timeline(song)
    assert found.heard.tolist() == [True] * 3 + [False] * 3 + [True] * 3
    assert not found.scores[3:6].any()
    assert (found.scores[found.heard].max(axis=1) > 0.3).all()
    nothing = opened.timeline(write(tmp_path / "nothing.flac", np.zeros(RATE_HZ * 10)))
    assert not nothing.heard.any()
    assert not nothing.scores.any()
    assert (nothing.picture.levels_db <= 0).all()


def test_the_picture_shows_a_tone_where_it_is(opened: Pipeline, tmp_path: Path) -> None:
    time = np.arange(10 * RATE_HZ) / RATE_HZ
    hz = np.where(time < 5, 440.0, 2000.0)
    song = write(tmp_path / "tones.flac", 0.5 * np.sin(2 * np.pi * np.cumsum(hz) / RATE_HZ))
    for fourier, close in ((False, 0.06), (True, 0.05)):
        picture = opened.timeline(song, columns=200, fourier=fourier).picture
        bands, columns = picture.levels_db.shape
        assert bands == (257 if fourier else 96)
        assert 100 < columns <= 200
        assert picture.length_s == pytest.approx(10, abs=0.01)
        assert columns * picture.column_s == pytest.approx(10, abs=0.2)
        assert picture.envelope.shape == (columns, 2)
        steady = np.r_[5 : columns // 2 - 3, columns // 2 + 3 : columns - 5]
        assert picture.envelope[steady, 1] == pytest.approx(0.5, abs=0.03)
        assert picture.envelope[steady, 0] == pytest.approx(-0.5, abs=0.03)
        assert (np.diff(picture.bands_hz) > 0).all()
        loudest = picture.bands_hz[picture.levels_db.argmax(axis=0)]
        assert loudest[3 : columns // 2 - 3] == pytest.approx(440, rel=close)
        assert loudest[columns // 2 + 3 : -3] == pytest.approx(2000, rel=close)
        assert picture.levels_db.max() == 0
        assert picture.levels_db.min() >= -80


@pytest.mark.parametrize("kind", ["mp3", "flac", "ogg", "opus", "mp4", "wav"])
def test_the_windows_are_those_that_a_model_hears(
    kind: str, opened: Pipeline, tmp_path: Path, model: InstalledModel
) -> None:
    song = make(tmp_path / f"song.{kind}", kind, samples=techno(13.0))
    ears = ears_of(model)
    trace = opened._workers.trace(song, ears=ears, columns=64).result()
    heard = opened._workers.hear(song, count=None, ears=ears).result()
    assert trace.frames.windows == heard.windows
    for one, other in zip(trace.frames.mels, heard.mels, strict=True):
        assert np.abs(one - other).max() < 2e-2


def test_memory_is_bounded_however_long_the_track_is(tmp_path: Path, model: InstalledModel) -> None:
    ears = ears_of(model)
    path = write(tmp_path / "long.flac", np.tile(compose("Jazz", 0, 0, seconds=10), 12), 16_000)
    with path.open("rb") as file:
        kind = kind_of(file)
        assert kind is not None
        found, body = whole.trace(file, kind, ears, most_windows=10, most_columns=32, fourier=False)
        everything, whole_body = whole.trace(file, kind, ears, most_windows=100, most_columns=10_000, fourier=False)
    assert found.length_s == pytest.approx(120, abs=0.01)
    assert found.starts_s == pytest.approx(everything.starts_s[::4])
    assert 5 <= len(found.starts_s) <= 10
    assert 16 < found.columns <= 32
    size = sum(int(np.prod(ear.front_end.shape)) for ear in ears)
    assert body.size == 32 * 98 + size * len(found.kept)
    # what is merged is the mean, the lowest and the highest of what it was made of
    frames = whole_body[: everything.columns * 98].reshape(-1, 98)
    step = round(found.column_s / everything.column_s)
    columns = body[: found.columns * 98].reshape(-1, 98)
    assert columns[3, :96] == pytest.approx(frames[3 * step : 4 * step, :96].mean(axis=0), rel=1e-3)
    assert columns[3, 96] == frames[3 * step : 4 * step, 96].min()
    assert columns[3, 97] == frames[3 * step : 4 * step, 97].max()
    kept = body[32 * 98 :].reshape(-1, size)
    all_kept = whole_body[10_000 * 98 :].reshape(-1, size)
    assert np.array_equal(kept, all_kept[[place for place in everything.kept if place % 4 == 0]])


def test_what_cannot_be_heard_is_told(opened: Pipeline, tmp_path: Path) -> None:
    short = write(tmp_path / "short.flac", techno(0.1))
    with pytest.raises(TooShortError, match="too short"):
        opened.timeline(short)
    text = tmp_path / "text.flac"
    text.write_bytes(b"no music " * 100)
    with pytest.raises(UnsupportedFileError) as answer:
        opened.timeline(text)
    assert answer.value.path == text
    cut = make(tmp_path / "cut.flac", "flac", samples=techno(13.0))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    with pytest.raises(AudioError, match="truncated"):
        opened.timeline(cut)
    with pytest.raises(FileError):
        opened.timeline(tmp_path / "absent.flac")
    with pytest.raises(ValueError, match="columns"):
        opened.timeline(short, columns=0)


def test_a_page_may_ask_from_its_own_threads(
    opened: Pipeline, make_techno: Callable[..., Path], tmp_path: Path
) -> None:
    song = make_techno(tmp_path / "a.flac")
    before = song.read_bytes()
    found: list[Timeline] = []
    threads = [threading.Thread(target=lambda: found.append(opened.timeline(song, columns=50))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert all(np.array_equal(each.scores, found[0].scores) for each in found)
    assert song.read_bytes() == before


def test_power_undoes_the_logarithm(model: InstalledModel) -> None:
    dice = np.random.default_rng(0)
    for ear in ears_of(model):
        samples = 0.3 * dice.standard_normal((1, ear.front_end.window_samples)).astype(np.float32)
        bands = mel.power(mel.log_mel(samples, ear.front_end, ear.bank), ear.front_end)
        louder = mel.power(mel.log_mel(2 * samples, ear.front_end, ear.bank), ear.front_end)
        assert np.median(louder / bands) == pytest.approx(4, rel=1e-3)
        middle = mel.bands_hz(ear)
        assert (np.diff(middle) > 0).all()
        assert ear.front_end.fmin_hz <= middle[0] < middle[-1] <= ear.front_end.fmax_hz


@pytest.mark.slow
def test_the_parent_keeps_little(opened: Pipeline, make_techno: Callable[..., Path], tmp_path: Path) -> None:
    opened.timeline(make_techno(tmp_path / "a.flac"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    opened.timeline(write(tmp_path / "b.flac", np.tile(compose("Dub", 0, 0, seconds=20), 30), 16_000))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000  # kB; 600 s give 29 MB of frames
