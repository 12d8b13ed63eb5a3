"""The runs of a training, and the tracks of each; this needs no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genretagger.training.course import Course
from genretagger.types import FlagArray

FEW = 1500
"""A library of more tracks is judged by one fifth of it."""


@dataclass(frozen=True, slots=True)
class RunParts:
    """The tracks of a run: to learn from, to choose the epoch by, and to be tested on."""

    learn_from: FlagArray
    choose_by: FlagArray | None
    test_on: FlagArray | None


def parts_of(course: Course) -> list[RunParts]:
    """The tracks of each run; the last one learns from all."""
    folds = course.folds
    present = sorted(set(folds.tolist()))
    judged = present if len(course.examples) <= FEW else present[:1]
    parts = []
    for fold in judged:
        test = folds == fold
        chooser = present[(present.index(fold) + 1) % len(present)]
        choice = folds == chooser if len(present) > 2 else None
        parts.append(RunParts(~test if choice is None else ~test & ~choice, choice, test))
    return [*parts, RunParts(np.ones(len(folds), bool), None, None)]
