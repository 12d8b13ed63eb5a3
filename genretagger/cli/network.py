"""What `train --network` adds to `train`: decode windows, train on them, compare the results."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from genretagger.cli import output
from genretagger.cli.known import percent, two_digits
from genretagger.errors import ConfigError, FileError
from genretagger.text import printable
from genretagger.training.network.way import Way
from genretagger.types import Json

if TYPE_CHECKING:
    from genretagger.config import Settings
    from genretagger.pipeline import Pipeline, Progress
    from genretagger.training.course import Course
    from genretagger.training.favour import Verdict
    from genretagger.training.network.windows import WindowFile
    from genretagger.training.result import TrainingResult


@dataclass(frozen=True, slots=True)
class NetworkWish:
    """What the owner wants of a network.

    Attributes:
        way: what it begins with.
        resume: go on with a training that was cut off.
        epochs: the most of a run; None for as many as are usual.
        cache_mb: the most megabytes of decoded windows on the disk.
    """

    way: Way
    resume: bool
    epochs: int | None
    cache_mb: int


def train_network(
    pipeline: Pipeline,
    course: Course,
    wish: NetworkWish,
    *,
    settings: Settings,
    name: str,
    origin: Mapping[str, Json],
    stop: Future[None],
    tell: Progress,
    keep: bool = False,
) -> tuple[TrainingResult, tuple[FileError, ...]]:
    """Train one network.

    Args:
        pipeline: decodes.
        course: the tracks.
        wish: what is wanted.
        settings: where the data folder is, and what computes.
        name: of the model.
        origin: for its card.
        stop: done if the owner interrupts.
        tell: shows the progress.
        keep: leave the decoded windows for the next way of learning.

    Returns:
        What was learned, and the files that cannot be decoded.

    Raises:
        NothingLearnedError: interrupted too early.
    """
    from genretagger.model.front_ends import front_ends
    from genretagger.training.network import learn as school
    from genretagger.training.network.state import StateFile
    from genretagger.training.network.windows import clear, count_each

    folder = settings.data_dir / "training" / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        cause = f"the folder of the training cannot be made: {error.strerror or error}"
        raise ConfigError(cause, path=folder) from error
    hyper = school.hyperparameters_of(wish.way, wish.epochs)
    shape = front_ends(course.backbone.card)[0].shape
    each = count_each(len(course.examples), shape, folder, wish.cache_mb)
    windows, failures = _windows(pipeline, course, folder, shape, each, stop, tell)
    if windows is None:
        raise school.NothingLearnedError
    school.see_enough(windows, course, [str(error) for error in failures])
    most, began = school.estimate(course, hyper), time.monotonic()

    def report_step(step: school.LearningStep) -> None:
        held = "" if step.score is None else f", held out {step.score:.2f}"
        text = f"part {step.run} of {step.runs}, epoch {step.epoch}: loss {step.loss:.3f}{held}"
        tell(text, (step.run - 1) * hyper.epochs + step.epoch, most)
        if step.epoch == step.epochs or step.epoch % 10 == 0:
            output.notice(f"{text} ({time.monotonic() - began:.0f} s)")

    key = school.key_of(course, wish.way, hyper, each)
    try:
        result = school.learn(
            course,
            windows,
            way=wish.way,
            hyper=hyper,
            name=name,
            origin={**origin, "epochs": wish.epochs},
            kept=StateFile(folder, key, wish.way.value),
            resume=wish.resume,
            device=settings.device,
            threads=settings.threads,
            tell=report_step,
            stop=stop.done,
        )
    finally:
        windows.close()
    if stop.done():
        size = sum(file.stat().st_size for file in folder.iterdir()) // 10**6
        output.notice(f"`--resume` goes on from here; until then, {folder} keeps {size:,} MB")
    elif not keep:
        clear(folder)
    return result, failures


def _windows(
    pipeline: Pipeline,
    course: Course,
    folder: Path,
    shape: Sequence[int],
    each: int,
    stop: Future[None],
    tell: Progress,
) -> tuple[WindowFile | None, tuple[FileError, ...]]:
    """The windows of all tracks, kept from before or decoded now; None if interrupted."""
    from genretagger.training.network.windows import WindowFile, key_of

    ids = {example.path: example.id for example in course.examples}
    key = key_of(ids.values(), each)
    if (kept := WindowFile.found(folder, shape, key)) is not None:
        return kept, ()
    windows, failures = WindowFile(folder, shape), []
    found: dict[str, int] = {}
    for path, frames in pipeline.frames(ids, count=each, stop=stop):
        if isinstance(frames, FileError):
            failures.append(frames)
        else:
            windows.add(ids[path], frames.mels[0])
        found[ids[path]] = 1
        tell(f"decoding {path.name}", len(found), len(ids))
    if stop.done():
        return None, tuple(failures)
    windows.finish(key)
    return windows, tuple(failures)


def tell_verdict(verdict: Verdict) -> None:
    """Say which way of learning the figures favour, to people."""
    output.say()
    output.say("The ways of learning, on the same held-out tracks:")
    output.say()
    rows = [
        (
            each.title,
            str(each.tracks),
            percent(each.top1),
            percent(each.coverage),
            percent(each.right),
            two_digits(each.f1),
            f"{each.seconds:.0f} s",
        )
        for each in verdict.ways
    ]
    output.table(("", "tracks", "best guess right", "get a genre", "of those right", "F1", "training"), rows)
    output.say()
    output.say(printable(verdict.reason))


def verdict_json(verdict: Verdict) -> Json:
    """The verdict as JSON."""
    return {
        "favoured": verdict.favoured,
        "reason": verdict.reason,
        "ways": [
            {
                "way": each.way,
                "tracks": each.tracks,
                "top1": each.top1,
                "coverage": each.coverage,
                "right": each.right,
                "macro_f1": each.f1,
                "seconds": round(each.seconds, 1),
            }
            for each in verdict.ways
        ],
    }
