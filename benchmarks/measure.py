"""The seconds of each stage on one track, with the real rooms, in this process.

Decoding and tags run in child processes in earnest; here they are called directly, so that a stage is measured and not
its transport, which is a ratio of its own (`Bench.in_a_child`).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from genretagger import audio
from genretagger.audio.windows import plan, plan_key
from genretagger.database import Store, WriteState
from genretagger.errors import UnsupportedFileError
from genretagger.files.kinds import Kind, kind_of
from genretagger.files.replace import new_temporary_name, open_for_reading, stamp_of
from genretagger.model import InstalledModel
from genretagger.model.filter_bank import bank_of
from genretagger.model.front_ends import front_end, log_mel
from genretagger.model.listener import track_activations
from genretagger.model.session import Session
from genretagger.tags import api
from genretagger.types import Activations, Decision, GenreField, Sound, TagChange, Track
from genretagger.vocabulary.calibration import calibration
from genretagger.vocabulary.names import vocabulary
from genretagger.vocabulary.resolve import Rules, decide
from genretagger.worker.pool import WorkerPool

STAGES = ("inspect", "decode", "mel", "inference", "decide", "database", "write")
"""In the order of the flow."""

HEARING = ("decode", "mel", "inference")
"""Those whose cost depends on how much of the track is listened to."""

_T = TypeVar("_T")
_ALWAYS = Rules(min_score=1e-9)  # synthesised music need not sound like any genre, and the write is to be measured


class Bench:
    """A model and a database to measure with.

    Args:
        model: an installed model.
        store: an empty database.
        scratch: a folder for the copies that are written to.
        windows: how many windows are listened to.
    """

    def __init__(self, model: InstalledModel, store: Store, scratch: Path, windows: int) -> None:
        self._store = store
        self._scratch = scratch
        self._name = model.name
        self._front_end = front_end(model.card.algorithm)
        self._bank = bank_of(model, self._front_end)
        self.session = Session.open(model)
        self._calibration = calibration(model.name, model.card.classes)
        self._model_id = store.models.save(model.name, model.sha256, model.card.classes)
        self._run_id = store.runs.begin("bench", {})
        self.windows = windows
        self._seconds: dict[str, float] = {}

    def stages(self, path: Path) -> dict[str, float]:
        """Take a copy of a track through all stages, and give the seconds of each.

        Raises:
            FileError: the file cannot be read, heard or written.
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
        """Listen to a track; the seconds of each stage of `HEARING`.

        Args:
            path: the track.
            windows: how many; None for all.
        """
        self._seconds = {}
        self._heard(path, windows)
        return self._seconds

    def whole_track(self, path: Path) -> float | None:
        """Seconds of what a script would do: librosa.load, the mel of the whole track, the same model.

        Returns:
            None where librosa cannot read the file without other programs.
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
        mel = librosa.feature.melspectrogram(
            y=samples,
            sr=ours.rate_hz,
            n_fft=ours.n_fft,
            hop_length=ours.hop_length,
            n_mels=ours.mels,
            fmin=ours.fmin_hz,
            fmax=ours.fmax_hz,
        )
        frames = ours.compress(mel).T
        count = len(frames) // ours.window_frames
        windows = frames[: count * ours.window_frames].reshape(count, ours.window_frames, ours.mels)
        self.session.run(np.ascontiguousarray(windows, np.float32))
        return time.perf_counter() - started

    def in_a_child(self, path: Path, workers: WorkerPool) -> float:
        """Seconds to have a track decoded by a child process, its samples brought here."""
        ours = self._front_end
        started = time.perf_counter()
        workers.decode(
            path,
            count=self.windows,
            window_s=ours.window_s,
            rate_hz=ours.rate_hz,
            window_samples=ours.window_samples,
            margin_samples=ours.margin_samples,
        ).result()
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
                audio.duration(file, kind),
                api.payload_hash(file, kind),
                api.read(file, kind),
                api.refusal(file, kind),
            )

    def _heard(self, path: Path, windows: int | None) -> Activations:
        sound = self._timed("decode", partial(self._decode, path, windows))
        mel = self._timed("mel", partial(log_mel, sound.samples, self._front_end, self._bank))
        values, embeddings = self._timed("inference", partial(self.session.run, mel))
        return Activations(values.astype(np.float16), embeddings.mean(axis=0), self.session.provider)

    def _decode(self, path: Path, windows: int | None) -> Sound:
        with open_for_reading(path) as file:
            return audio.decode(
                file,
                _kind(kind_of(file), path),
                plan=partial(plan, window_s=self._front_end.window_s, count=windows),
                rate_hz=self._front_end.rate_hz,
                window_samples=self._front_end.window_samples,
                margin_samples=self._front_end.margin_samples,
            )

    def _decide(self, activations: Activations) -> Decision:
        scores = self._calibration.scores(track_activations(activations.values))
        return decide(scores, _ALWAYS, vocabulary())

    def _announce(self, track: Track, activations: Activations, decision: Decision, temporary_name: str) -> int:
        """Ask and tell the database what the pipeline does before a write; gives the number of the write."""
        store, key = self._store, plan_key(self.windows)
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
        # a name that no file has yet, so that something is written also where the owner's file has just these genres
        return api.write(
            track.path,
            root=self._scratch,
            change=api.NewGenres((*decision.genres, "Benchmark")),
            expected=track.stamp,
            payload_hash=track.payload_hash,
            temporary_name=temporary_name,
            audio_sample=audio.sample,
        )


def _kind(kind: Kind | None, path: Path) -> Kind:
    if kind is None:
        raise UnsupportedFileError("it is no audio that genretagger knows", path=path)
    return kind
