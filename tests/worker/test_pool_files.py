"""Real files through real children: read, listened to, written."""

from __future__ import annotations

import importlib
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_factory import decode as samples_of
from audio_factory import make
from audio_helpers import MARGIN_SAMPLES, RATE_HZ, SHARED, WINDOW_S, WINDOW_SAMPLES, clock
from audio_helpers import decode as decode_here

from genretagger.audio.mel import log_mel
from genretagger.errors import AudioError, FileChangedError, FileError, UnsupportedFileError
from genretagger.files.replace import new_temporary_name
from genretagger.model import InstalledModel
from genretagger.model.filter_bank import ears_of
from genretagger.tags.api import NewGenres, OldGenres
from genretagger.types import Sound, Stamp
from genretagger.worker.limits import Limits
from genretagger.worker.pool import WorkerPool

pytestmark = pytest.mark.real_starts


def listen(pool: WorkerPool, path: Path, count: int | None = 16) -> Sound:
    return pool.decode(
        path,
        count=count,
        window_s=WINDOW_S,
        rate_hz=RATE_HZ,
        window_samples=WINDOW_SAMPLES,
        margin_samples=MARGIN_SAMPLES,
    ).result()


def test_a_file_is_read_heard_and_written(tmp_path: Path) -> None:
    path = make(tmp_path / "song.flac", "flac", 12.0, genre="Rock")
    before = samples_of(path)
    with WorkerPool(1) as pool:
        track = pool.inspect(path).result()
        assert (track.path, track.kind, track.duration_s) == (path, "flac", 12.0)
        assert track.genres.values == ("Rock",)
        assert track.refusal is None
        assert track.stamp == Stamp.of(path.stat())

        sound = listen(pool, path, 3)
        np.testing.assert_array_equal(sound.samples, decode_here(path, 3).samples)

        name = new_temporary_name(path)
        change = pool.write(track, NewGenres(("Jazz", "Bop")), root=tmp_path, temporary_name=name).result()
        assert (change.before.values, change.after.values) == (("Rock",), ("Jazz", "Bop"))
        assert change.stamp == Stamp.of(path.stat())
        written = pool.inspect(path).result()
        assert written.payload_hash == track.payload_hash
        assert samples_of(path) == before

        with pytest.raises(FileChangedError):
            pool.write(track, NewGenres(("Pop",)), root=tmp_path, temporary_name=name).result()
        pool.write(written, OldGenres(track.genres.raw), root=tmp_path, temporary_name=name).result()
        assert pool.inspect(path).result().genres == track.genres
    assert list(tmp_path.iterdir()) == [path]


def test_a_child_gives_the_frames_of_each_ear_and_where_they_lie(tmp_path: Path, model: InstalledModel) -> None:
    """The same bits as the windows' numbers make here, for both ears; a silent half is left out."""
    samples = clock(12.0)
    samples[: len(samples) // 2] = 0
    path = make(tmp_path / "song.flac", "flac", samples=samples)
    ears = ears_of(model)
    with WorkerPool(1) as pool:
        frames = pool.hear(path, count=4, ears=ears).result()
        sound = listen(pool, path, count=4)
        again = pool.hear(path, count=4, ears=ears).result()
    assert 1 <= len(frames.windows) <= 2
    assert frames.windows == sound.windows
    assert all(window.start_s > 4 for window in frames.windows)
    for ear, mel, same in zip(ears, frames.mels, again.mels, strict=True):
        kind = ear.front_end
        assert mel.shape == (len(frames.windows), *kind.shape)
        expected = log_mel(sound.samples[:, : kind.window_samples], kind, ear.bank)
        assert np.array_equal(mel, expected.reshape(mel.shape))
        assert np.array_equal(mel, same)


def test_a_track_of_steady_noise_gives_no_frames(tmp_path: Path, model: InstalledModel) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(44_100 * 8).astype(np.float32)
    path = make(tmp_path / "noise.flac", "flac", samples=noise)
    with WorkerPool(1) as pool:
        assert len(listen(pool, path).windows) == 2
        frames = pool.hear(path, count=16, ears=ears_of(model)).result()
    assert frames.windows == ()
    assert [mel.shape for mel in frames.mels] == [(0, 187, 96), (0, 3, 96, 64)]


def test_a_long_track_is_heard_in_parts_to_its_end(tmp_path: Path, model: InstalledModel) -> None:
    lively = np.tile(clock(60.0, 8_000) * np.abs(np.sin(np.arange(480_000) * np.pi / 4_000)).astype(np.float32), 5)
    path = make(tmp_path / "mix.flac", "flac", samples=lively, rate_hz=8_000)
    with WorkerPool(1) as pool:
        frames = pool.hear(path, count=None, ears=ears_of(model)).result()
    assert len(frames.windows) == 100  # more than are made into frames at once
    for mel in frames.mels:
        assert len(mel) == 100
        assert np.ptp(mel[-1]) > 1


def test_names_of_any_bytes(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"odd \xff\n[x]; $(x).flac")
    make(tmp_path / "plain.flac", "flac", 2.0, genre="Rock").rename(path)
    with WorkerPool(1) as pool:
        assert pool.inspect(path).result().path == path


def test_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "song.flac", "flac", 2.0)
    monkeypatch.chdir(tmp_path)
    with WorkerPool(1) as pool:
        assert pool.inspect(Path("song.flac")).result().path == tmp_path / "song.flac"


def test_silent_windows_do_not_come_out(tmp_path: Path) -> None:
    half, silent = tmp_path / "half.flac", tmp_path / "silent.flac"
    soundfile.write(half, np.concatenate([np.zeros(20 * 16000), clock(20, 16000)]), 16000)
    soundfile.write(silent, np.zeros(20 * 16000), 16000)
    with WorkerPool(1) as pool:
        heard = listen(pool, half, 4)
        assert [window.start_s > 20 for window in heard.windows] == [True, True]
        nothing = listen(pool, silent)
        assert nothing.windows == ()
        assert nothing.samples.shape == (0, WINDOW_SAMPLES)


def test_a_track_that_cannot_be_heard_can_still_be_read(tmp_path: Path) -> None:
    path = make(tmp_path / "song.flac", "flac", 12.0, genre="Rock")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with WorkerPool(1) as pool:
        assert pool.inspect(path).result().genres.values == ("Rock",)
        with pytest.raises(AudioError, match="truncated"):
            listen(pool, path)


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp3"
    path.touch()
    with WorkerPool(1) as pool, pytest.raises(UnsupportedFileError, match="empty"):
        pool.inspect(path).result()


def test_a_compressed_tag_that_is_a_bomb(tmp_path: Path) -> None:
    """A few MB that unpack to 400 MB: it costs at most its own file."""
    bomb = tmp_path / "bomb.mp3"
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(400)) + packer.flush()
    body = (400 << 20).to_bytes(4, "big") + packed  # the length that an ID3v2.3 frame unpacks to
    frame = b"TXXX" + len(body).to_bytes(4, "big") + b"\x00\x80" + body
    size = len(frame)
    header = b"ID3\x03\x00\x00" + bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
    song = make(tmp_path / "song.mp3", "mp3", 5.0, title=None, artist=None)
    bomb.write_bytes(header + frame + song.read_bytes())
    with WorkerPool(1, Limits(memory_mb=300, time_s=60.0)) as pool:
        try:
            track = pool.inspect(bomb).result()
        except FileError:
            pass
        else:
            assert track.kind == "mp3"
        assert pool.inspect(song).result().kind == "mp3"
        for process_id in pool.process_ids():
            status = Path(f"/proc/{process_id}/status").read_text(encoding="utf-8")
            peak_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
            assert peak_kb < 300 << 10


def test_a_long_mix_fits_into_little(tmp_path: Path) -> None:
    """Two hours: windows by seeking, in a child with 300 MB."""
    path = tmp_path / "mix.flac"
    minute = clock(60, 8000)
    with soundfile.SoundFile(path, "w", 8000, 1, format="FLAC", subtype="PCM_16", compression_level=0) as file:
        for _ in range(120):
            file.write(minute)
    with WorkerPool(1, Limits(memory_mb=300, time_s=60.0)) as pool:
        sound = listen(pool, path)
        assert len(sound.windows) == 16
        assert sound.windows[-1].start_s > 6900


@pytest.mark.slow
def test_a_long_mix_can_be_heard_for_an_hour(tmp_path: Path) -> None:
    minute = make(tmp_path / "minute.mp3", "mp3", samples=clock(60), title=None, artist=None).read_bytes()
    path = tmp_path / "mix.mp3"
    path.write_bytes(minute[minute.index(b"\xff\xfb", 100) :] * 120)  # without the first frame, which counts the others
    with WorkerPool(1, Limits(memory_mb=1024, time_s=120.0)) as pool:
        sound = listen(pool, path, None)
    assert len(sound.windows) == int(3600 / WINDOW_S)
    assert sound.windows[-1].start_s > 7190


@pytest.mark.skipif(not (SHARED / "corpus").is_dir(), reason="the shared corpus is not here")
def test_odd_files_are_read_or_fail_as_files() -> None:
    paths = sorted(path for path in (SHARED / "corpus").glob("*/*") if path.is_file())
    with WorkerPool(2, Limits(time_s=60.0)) as pool:
        jobs = [(path, pool.inspect(path)) for path in paths]
        for path, job in jobs:
            error = job.exception()
            assert error is None or isinstance(error, FileError), path
            assert "a bug" not in str(error), path
        assert sum(job.exception() is None for _, job in jobs) > 100


@pytest.mark.skipif(not (SHARED / "audio").is_dir(), reason="the shared recordings are not here")
def test_real_recordings() -> None:
    mutagen = importlib.import_module("mutagen")
    with WorkerPool(2) as pool:
        for path in sorted((SHARED / "audio").glob("*.*")):
            if path.suffix == ".md":
                continue
            track = pool.inspect(path).result()
            assert track.duration_s == pytest.approx(mutagen.File(path).info.length, abs=0.1)
            assert len(listen(pool, path).windows) >= 1
