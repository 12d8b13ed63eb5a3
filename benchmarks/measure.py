"""The seconds of each stage on one track, with the real rooms, in this process.

The program runs decoding and tags in child processes. Here they are called directly, so that the
stage is measured without the transport between processes, which has its own ratio
(`Bench.in_a_child`).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from genretagger.audio import listen
from genretagger.audio.mel import heard
from genretagger.audio.windows import sampling_key, spread
from genretagger.database.store import Store
from genretagger.database.values import WriteState
from genretagger.errors import UnsupportedFileError
from genretagger.files.kinds import Kind, kind_of
from genretagger.files.replace import new_temporary_name, open_for_reading, stamp_of
from genretagger.model import InstalledModel
from genretagger.model.filter_bank import ears_of
from genretagger.model.listener import track_activations
from genretagger.model.session import Session
from genretagger.tags import api
from genretagger.types import Activations, Decision, FloatArray, GenreField, Sound, TagChange, Track
from genretagger.vocabulary.calibration import calibration
from genretagger.vocabulary.names import vocabulary
from genretagger.vocabulary.resolve import Rules, decide
from genretagger.worker.pool import WorkerPool

STAGES = ("inspect", "decode", "mel", "inference", "decide", "database", "write")
"""In the order of the flow."""

HEARING = ("decode", "mel", "inference")
"""The stages with a cost that depends on how much of the track is decoded."""

_T = TypeVar("_T")
# synthesised music may sound like no genre, but the write has to be measured
_ALWAYS = Rules(min_score=1e-9)


class Bench:
    """A model and a database to measure with.

    Args:
        model: an installed model.
        store: an empty database.
        scratch: a folder for the copies that are written to.
        windows: how many windows are used.
    """

    def __init__(self, model: InstalledModel, store: Store, scratch: Path, windows: int) -> None:
        self._store = store
        self._scratch = scratch
        self._name = model.name
        self._ears = ears_of(model)
        self._front_end = self._ears[0].front_end
        self.session = Session.open(model)
        self._calibration = calibration(model.name, model.card.classes)
        self._model_id = store.models.save(model.name, model.sha256, model.card.classes)
        self._run_id = store.runs.begin("bench", {})
        self.windows = windows
        self._seconds: dict[str, float] = {}

    def stages(self, path: Path) -> dict[str, float]:
        """Take a copy of a track through all stages; returns the seconds of each.

        Raises:
            FileError: the file cannot be read, decoded or written.
        """
        self._seconds = {}
        copy = Path(shutil.copy(path, self._scratch / f"copy{path.suffix}"))
        try:
            track = self._timed("inspect", partial(self._inspect, copy))
            activations = self._heard(copy, self.windows)
            decision = self._timed("decide", partial(self._decide, activations))
            temporary_name = new_temporary_name(copy)
            write_id = self._timed("database", partial(self._announce, track, activations, decision, temporary_name))
            change = self._timed("write", partial(self._write, track, decision, temporary_name))
            settle = partial(
                self._store.writes.finish, write_id, WriteState.DONE, after=change.after, stamp=change.stamp
            )
            self._timed("database", settle)
        finally:
            copy.unlink()
        return self._seconds

    def hearing(self, path: Path, windows: int | None) -> dict[str, float]:
        """Run the stages of `HEARING` on a track; returns the seconds of each.

        Args:
            path: the track.
            windows: how many; None for all.
        """
        self._seconds = {}
        self._heard(path, windows)
        return self._seconds

    def whole_track(self, path: Path) -> float | None:
        """Seconds of a script: librosa.load, mel of the whole track for each ear, the same model.

        Returns:
            None if librosa cannot read the file without other programs.
        """
        import librosa
        import soundfile

        try:
            soundfile.info(path)
        except soundfile.LibsndfileError:
            return None
        ours = self._front_end
        started = time.perf_counter()
        samples, _ = librosa.load(path, sr=ours.rate_hz, mono=True)
        inputs = []
        for kind in (ear.front_end for ear in self._ears):
            mel = librosa.feature.melspectrogram(
                y=samples,
                sr=kind.rate_hz,
                n_fft=kind.n_fft,
                win_length=kind.win_length,
                hop_length=kind.hop_length,
                n_mels=kind.mels,
                fmin=kind.fmin_hz,
                fmax=kind.fmax_hz,
                power=kind.power,
            )
            frames = np.log(kind.factor * mel + kind.shift).T.astype(np.float32)
            size = kind.window_frames * kind.patches
            count = len(frames) // size
            inputs.append(frames[: count * size].reshape(count, *kind.shape))
        count = min(map(len, inputs))
        self.session.run(*(each[:count] for each in inputs))
        return time.perf_counter() - started

    def in_a_child(self, path: Path, workers: WorkerPool) -> float:
        """Seconds until a child process has decoded a track into frames and these are here."""
        started = time.perf_counter()
        workers.hear(path, count=self.windows, ears=self._ears).result()
        return time.perf_counter() - started

    def _timed(self, stage: str, work: Callable[[], _T]) -> _T:
        started = time.perf_counter()
        result = work()
        self._seconds[stage] = self._seconds.get(stage, 0.0) + time.perf_counter() - started
        return result

    def _inspect(self, path: Path) -> Track:
        with open_for_reading(path) as file:
            kind = _kind(kind_of(file), path)
            return Track(
                path,
                stamp_of(path),
                kind.name,
                listen.duration(file, kind),
                api.payload_hash(file, kind),
                api.read(file, kind),
                api.refusal(file, kind),
            )

    def _heard(self, path: Path, windows: int | None) -> Activations:
        sound = self._timed("decode", partial(self._decode, path, windows))
        frames = self._timed("mel", partial(self._frames, sound))
        values, embeddings = self._timed("inference", partial(self.session.run, *frames))
        return Activations(values.astype(np.float16), embeddings.mean(axis=0), self.session.provider)

    def _frames(self, sound: Sound) -> list[FloatArray]:
        _, rows = heard(sound.samples, self._front_end.margin_samples, self._ears)
        shapes = [ear.front_end.shape for ear in self._ears]
        parts = np.split(rows, np.cumsum([np.prod(shape) for shape in shapes])[:-1], axis=1)
        return [part.reshape(len(rows), *shape) for part, shape in zip(parts, shapes, strict=True)]

    def _decode(self, path: Path, windows: int | None) -> Sound:
        with open_for_reading(path) as file:
            return listen.decode(
                file,
                _kind(kind_of(file), path),
                windows_of=partial(spread, window_s=self._front_end.window_s, count=windows),
                rate_hz=self._front_end.rate_hz,
                window_samples=self._front_end.window_samples,
                margin_samples=self._front_end.margin_samples,
            )

    def _decide(self, activations: Activations) -> Decision:
        scores = self._calibration.scores(track_activations(activations.values))
        return decide(scores, _ALWAYS, vocabulary())

    def _announce(self, track: Track, activations: Activations, decision: Decision, temporary_name: str) -> int:
        """Make the pipeline's database requests before a write; returns the write's number."""
        store, key = self._store, sampling_key(self.windows)
        store.tracks.get(track.path, track.stamp)
        store.tracks.save(track)
        store.writes.get_last(track.path, track.payload_hash)
        store.analyses.save(track.payload_hash, self._model_id, key, activations, seconds=0.0)
        store.decisions.save(track.payload_hash, self._model_id, key, decision, settings="bench")
        return store.writes.begin(
            self._run_id,
            track.path,
            track.payload_hash,
            track.genres,
            GenreField(decision.genres, None, track.genres.form),
            model=self._name,
            reason=decision.reason,
            temporary_name=temporary_name,
        )

    def _write(self, track: Track, decision: Decision, temporary_name: str) -> TagChange:
        # a name that no file has yet, so that something is written even if the file has just these
        # genres
        return api.write(
            track.path,
            root=self._scratch,
            change=api.NewGenres((*decision.genres, "Benchmark")),
            expected=track.stamp,
            payload_hash=track.payload_hash,
            temporary_name=temporary_name,
            audio_sample=listen.sample,
        )


def _kind(kind: Kind | None, path: Path) -> Kind:
    if kind is None:
        raise UnsupportedFileError("it is not audio that genretagger knows", path=path)
    return kind
