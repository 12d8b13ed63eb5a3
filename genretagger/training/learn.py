"""Makes a model folder from known tracks: a regression on the backbone's output, measured honestly.

examples → course (genres, groups, folds) → head → ONNX and card
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from genretagger.model import two_ears
from genretagger.model.manifest import MAX_ONNX_BYTES, read
from genretagger.model.merge import with_learned_head
from genretagger.training.course import SEED, Course
from genretagger.training.head import train
from genretagger.training.result import TrainingResult
from genretagger.types import Json


def taught(
    course: Course, *, name: str, origin: Mapping[str, Json], progress: Callable[[int, int], None] | None = None
) -> TrainingResult:
    """Train a head on a course, and measure it.

    Args:
        course: the tracks.
        name: of the new model.
        origin: where tracks and genres come from, for the card.
        progress: gets the number of fits that are done, and of all; None for no reports.
    """
    backbone = course.backbone
    ears = two_ears.ears(backbone.card)
    head, scores = train(
        course.values,
        course.truth,
        course.folds,
        course.is_music,
        course.unmusical,
        seed=SEED,
        ears=ears,
        opinion=course.opinion,
        progress=progress,
    )
    return course.result(
        scores,
        name=name,
        origin=origin,
        onnx=with_learned_head(
            read(backbone.onnx_path, MAX_ONNX_BYTES),
            backbone.card,
            weights=head.weights,
            bias=head.bias,
            axes=head.axes,
            origin=head.origin,
            ears=len(ears) or 1,
            line=head.line,
        ),
        embedding=len(head.bias) + len(head.origin),
        part={
            "limit": head.limit,
            **({} if head.line is None else {"ears": list(ears), "line": list(head.line)}),
            **({"opinion": {"weight": head.opinion, "genres": dict(course.known_by_name)}} if head.opinion else {}),
        },
    )
