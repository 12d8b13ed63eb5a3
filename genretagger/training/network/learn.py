"""The owner's network: each fifth of the artists tests one trained without it; one learns from all.

    course → a run for each fold (learn, choose the epoch, be tested) → a run on all tracks
           → calibration → ONNX, card

A run for a fold learns from three fifths. Another fifth chooses the epoch, and the one that is held
out says how good the network is; it is met only once. The last run learns from everything for as
many epochs as were best on average. A library of more than `parts.FEW` tracks is judged by one
fifth alone: that are hundreds of tracks, and a third of the time.

"None of these" comes from the backbone, which stays in the model: its music test and its distance
from what was learned from hold for a network as they do for a regression; see `vocabulary.learned`.

Contents: `learn`, `hyperparameters_of`, `key_of`, `NothingLearnedError`.
"""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genretagger.errors import ConfigError, ModelError
from genretagger.model import two_ears
from genretagger.model.front_ends import front_ends
from genretagger.model.manifest import MAX_ONNX_BYTES, read
from genretagger.model.merge import with_network
from genretagger.model.session import Session
from genretagger.training.calibrate import calibrated, line_of
from genretagger.training.cloud import familiarity
from genretagger.training.course import SEED, Course
from genretagger.training.network.compact import Compact
from genretagger.training.network.ear import TrainableEar, first_ear
from genretagger.training.network.loop import Hyperparameters, Lesson, Stopped, odds_of, run
from genretagger.training.network.parts import RunParts, parts_of
from genretagger.training.network.state import Best, EndedRun, StateFile, TrainingState
from genretagger.training.network.way import Way
from genretagger.training.network.windows import WindowFile
from genretagger.training.result import TrainingResult
from genretagger.types import DoubleArray, FlagArray, Json

LONG, SHORT = 30, 15
"""Epochs from scratch, and of a network that knows music already."""
_PATIENCE = 8
_AGREES = 1e-4
_CHECKED = 16
_FORMAT = 1


class NothingLearnedError(Exception):
    """The owner interrupted before the first epoch had ended."""


@dataclass(frozen=True, slots=True)
class LearningStep:
    """The state of a training.

    Attributes:
        run: its number, from 1.
        runs: how many there are.
        epoch: how many epochs of the run are done.
        epochs: the most that it takes.
        loss: of the last one.
        score: on held-out tracks; None if there are none in this run.
    """

    run: int
    runs: int
    epoch: int
    epochs: int
    loss: float
    score: float | None


def hyperparameters_of(way: Way, epochs: int | None) -> Hyperparameters:
    """How a network learns; `epochs` None for as many as are usual.

    An epoch of a small library is only eight batches. So the rate from musicnn is what a network on
    a small library needs: with a tenth of it, the network hardly moves from where it began.
    """
    if way is Way.SCRATCH:
        return Hyperparameters(epochs or LONG, _PATIENCE, 2e-3, 32, 4.0, 256, 32_768, SEED)
    return Hyperparameters(epochs or SHORT, _PATIENCE, 1e-3, 32, 2.0, 256, 16_384, SEED)


def key_of(course: Course, way: Way, hyper: Hyperparameters, each: int) -> str:
    """Names a training: another key means that what was kept belongs to another one."""
    ingredients: list[Json] = [
        _FORMAT,
        way.value,
        asdict(hyper),
        each,
        course.backbone.sha256,
        list(course.genres),
        [each.id for each in course.examples],
        course.folds.tolist(),
        hashlib.sha256(course.truth.tobytes()).hexdigest(),
    ]
    return hashlib.sha256(json.dumps(ingredients).encode()).hexdigest()


def learn(
    course: Course,
    windows: WindowFile,
    *,
    way: Way,
    hyper: Hyperparameters,
    name: str,
    origin: Mapping[str, Json],
    kept: StateFile,
    resume: bool,
    device: str,
    threads: int,
    tell: Callable[[LearningStep], None],
    stop: Callable[[], bool],
) -> TrainingResult:
    """Train a network, measure it, and make the content of a model folder.

    Args:
        course: the tracks.
        windows: of all of them.
        way: what the network begins with.
        hyper: how it learns.
        name: of the new model.
        origin: for the card.
        kept: where the state is kept.
        resume: go on from what is kept.
        device: "auto", "cpu" or "cuda"; others compute on the CPU.
        threads: of the CPU; 0 for one a core.
        tell: called after each epoch.
        stop: says whether the owner interrupted: the best network so far is taken then.

    Raises:
        NothingLearnedError: interrupted before the first epoch had ended.
        ModelError: the backbone's network cannot be loaded, or its ONNX file differs from it.
        ConfigError: the disk is full.
    """
    school = _School(course, windows, way, hyper, device, threads, kept, tell, stop)
    state = (kept.load() if resume else None) or TrainingState()
    began = time.monotonic() - state.seconds
    interrupted = False
    try:
        for number in range(len(state.ended), len(school.parts)):
            school.attend(number, state, began)
    except Stopped as stopped:
        interrupted = True
        school.take_up(len(state.ended), state, stopped)
    if not state.ended:
        raise NothingLearnedError
    return school.result(state, name=name, origin=origin, interrupted=interrupted)


class _School:
    """All that the runs of a training share."""

    def __init__(
        self,
        course: Course,
        windows: WindowFile,
        way: Way,
        hyper: Hyperparameters,
        device: str,
        threads: int,
        kept: StateFile,
        tell: Callable[[LearningStep], None],
        stop: Callable[[], bool],
    ) -> None:
        self.course, self.way, self.hyper, self.kept, self.tell, self.stop = course, way, hyper, kept, tell, stop
        if threads:
            torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True, warn_only=True)  # a GPU has no such form of some operations
        there = torch.cuda.is_available()
        self.device = torch.device("cuda" if there and device in ("auto", "cuda", "tensorrt") else "cpu")
        places = windows.places([example.id for example in course.examples])
        self.front_end = front_ends(course.backbone.card)[0]
        self.lesson = Lesson(windows, places, course.truth, self.front_end)
        self.parts = parts_of(course)

    def network(self, number: int) -> Any:
        """A new network, always the same for a run."""
        torch.manual_seed(self.hyper.seed * 1000 + number)
        genres = len(self.course.genres)
        return Compact(self.front_end, genres) if self.way is Way.SCRATCH else first_ear(self.course.backbone, genres)

    def attend(self, number: int, state: TrainingState, began: float) -> None:
        """One run.

        Raises:
            Stopped: the owner interrupted.
        """
        part = self.parts[number]
        epochs = self._epochs(state) if part.test_on is None else self.hyper.epochs
        network = self.network(number)

        def keep(current: Any) -> None:
            state.current, state.seconds = current, time.monotonic() - began
            self.kept.save(state)

        def tell(done: int, loss: float, score: float | None) -> None:
            self.tell(LearningStep(number + 1, len(self.parts), done, epochs, loss, score))

        best = run(
            network,
            self.lesson,
            self.hyper,
            number=number,
            learn_from=part.learn_from,
            choose_by=part.choose_by,
            epochs=epochs,
            device=self.device,
            current=state.current,
            keep=keep,
            tell=tell,
            stop=self.stop,
        )
        state.ended.append(self._ended(network, part, best))
        state.current, state.seconds = None, time.monotonic() - began
        self.kept.save(state)

    def take_up(self, number: int, state: TrainingState, stopped: Stopped) -> None:
        """Take the best of a run that was interrupted as its end."""
        current, part = stopped.current, self.parts[number]
        if current is None:
            return
        network = self.network(number).to(self.device)
        best = current.best or Best(current.weights, math.nan, math.nan, current.epoch)
        network.load_state_dict(best.weights)
        state.ended.append(self._ended(network, part, best))

    def _ended(self, network: Any, part: RunParts, best: Best) -> EndedRun:
        asked = {"test": part.test_on, "choice": part.choose_by}
        odds = {
            name: torch.from_numpy(odds_of(network, self.lesson, rows, self.device))
            for name, rows in asked.items()
            if rows is not None
        }
        return EndedRun(best, odds)

    def _epochs(self, state: TrainingState) -> int:
        """How long to learn from everything: as long as was best on average."""
        chosen = [each.best.epoch for each in state.ended]
        return max(1, round(sum(chosen) / len(chosen)))

    def result(
        self, state: TrainingState, *, name: str, origin: Mapping[str, Json], interrupted: bool
    ) -> TrainingResult:
        """Calibrate and measure what was learned, and write it."""
        course = self.course
        tested = [
            (part.test_on, part, ended)
            for part, ended in zip(self.parts, state.ended, strict=False)
            if part.test_on is not None
        ]
        rows = np.zeros(len(course.examples), bool)
        odds = np.zeros(course.truth.shape)
        for own, part, ended in tested:
            rows |= own
            odds[own] = _out_of_fold(ended.odds["test"].numpy(), course.truth[part.learn_from])
        ears = two_ears.ears(course.backbone.card)
        near = familiarity(course.values, course.folds, ears)
        likely = np.zeros(course.truth.shape)
        for own, part, ended in tested:
            others = rows & ~own
            if others.any():
                likely[own] = calibrated(odds[others], course.truth[others], odds[own])
            elif part.choose_by is not None:  # the only one that was tested: calibrated by what chose the epoch
                choice = _out_of_fold(ended.odds["choice"].numpy(), course.truth[part.learn_from])
                likely[own] = calibrated(choice, course.truth[part.choose_by], odds[own])
            else:
                likely[own] = calibrated(odds[own], course.truth[own], odds[own])
        slope, shift = line_of(odds[rows], course.truth[rows])
        network, best = self._final(state)
        onnx = self._onnx(network, slope, shift, near.axes, near.origin, max(1, len(ears)))
        warnings = []
        if interrupted:
            done = f"{len(tested)} of {len(self.parts) - 1} parts of the music"
            warnings.append(f"interrupted: this is the best network so far, and the figures are of {done}")
        written: dict[str, Json] = {
            "network": {
                "way": self.way.value,
                "epochs": best.epoch,
                "weights": sum(each.numel() for each in network.parameters() if each.requires_grad),
                "device": self.device.type,
            },
            "limit": near.limit,
            **({"ears": list(ears), "line": [1.0, 0.0]} if ears else {}),
        }
        result = course.result(
            near.capped(likely, course.is_music, course.unmusical),
            name=name,
            origin=origin,
            onnx=onnx,
            embedding=max(1, len(ears)) * len(course.genres) + len(near.origin),
            part=written,
            rows=rows,
            warnings=warnings,
        )
        self._check(result, network, slope, shift)
        return result

    def _final(self, state: TrainingState) -> tuple[Any, Best]:
        """The network to install: the one that learned from all tracks, or else the best other."""
        if len(state.ended) == len(self.parts):
            number = len(self.parts) - 1
        else:
            scores = np.nan_to_num([each.best.score for each in state.ended], nan=-1.0)
            number = int(scores.argmax())
        network = self.network(number)
        network.load_state_dict(state.ended[number].best.weights)
        network.to("cpu").eval()
        return network, state.ended[number].best

    def _onnx(self, network: Any, slope: Any, shift: Any, axes: Any, origin: Any, ears: int) -> bytes:
        backbone = self.course.backbone
        content = read(backbone.onnx_path, MAX_ONNX_BYTES)
        if isinstance(network, TrainableEar):
            part: Any = lambda prefix, shared: network.to_onnx(slope, shift, prefix, shared)  # noqa: E731
        else:
            part = network.to_onnx(slope, shift)
        return with_network(content, backbone.card, part, genres=len(slope), axes=axes, origin=origin, ears=ears)

    def _check(self, result: TrainingResult, network: Any, slope: Any, shift: Any) -> None:
        """Compare the file with the network on windows of the library.

        Raises:
            ModelError: they differ.
        """
        starts = self.lesson.places[self.lesson.places[:, 1] > self.lesson.places[:, 0], 0][:_CHECKED]
        mel = self.lesson.windows.read(starts).astype(np.float32)
        with torch.inference_mode():
            wanted = network(torch.from_numpy(mel)).numpy() * slope + shift
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            path.write_bytes(result.onnx)
            session = Session.start(path, result.card, "cpu", 1)
            try:
                more = [np.zeros((len(mel), *shape), np.float32) for shape in session.windows[1:]]
                said = session.run(mel, *more)[0][:, : len(slope)]
            finally:
                session.close()
        error = float(np.abs(said - 1 / (1 + np.exp(-wanted))).max())
        if not error <= _AGREES:
            raise ModelError(f"The exported network differs from the trained one by {error:.1e}", hint="Report it.")


def _out_of_fold(odds: DoubleArray, learned: FlagArray) -> DoubleArray:
    """The log-odds, infinite if no training track had the genre, or all had it."""
    odds = np.where(learned.any(axis=0), odds, -np.inf)
    return np.where(learned.all(axis=0), np.inf, odds)


def estimate(course: Course, hyper: Hyperparameters) -> int:
    """The most epochs of all runs together."""
    return hyper.epochs * len(parts_of(course))


def see_enough(windows: WindowFile, course: Course, failed: Sequence[str]) -> None:
    """Check that what was decoded suffices.

    Raises:
        ConfigError: too few tracks, or all tracks of a genre, cannot be decoded.
    """
    places = windows.places([each.id for each in course.examples])
    there = places[:, 1] > places[:, 0]
    empty = [genre for genre, own in zip(course.genres, course.truth.T, strict=True) if not (there & own).any()]
    if empty:
        raise ConfigError(
            f"no track of {', '.join(empty)} can be decoded any more ({len(failed)} failed)",
            hint="Look at the files that failed",
        )
