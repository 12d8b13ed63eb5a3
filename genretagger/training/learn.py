"""Makes a model folder from known tracks: a regression on the backbone's output, measured honestly.

examples → course (genres, groups, folds) → head → ONNX and card
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from genretagger.model import two_ears
from genretagger.model.card import Card
from genretagger.model.installed import InstalledModel
from genretagger.model.manifest import MAX_ONNX_BYTES, read
from genretagger.model.merge import with_learned_head
from genretagger.training.course import SEED, Course
from genretagger.training.examples import Lessons
from genretagger.training.head import train
from genretagger.training.lesson import TrainingResult
from genretagger.training.measures import ChoiceRules
from genretagger.types import Json


def learn(
    lessons: Lessons,
    backbone: InstalledModel,
    *,
    name: str,
    origin: Mapping[str, Json],
    least: int,
    rules: ChoiceRules,
    before: Card | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TrainingResult:
    """Train a head and measure it.

    Args:
        lessons: from `examples.collect`.
        backbone: the model that gave their embeddings.
        name: of the new model.
        origin: where tracks and genres come from, for the card.
        least: tracks that a genre needs.
        rules: how genres are chosen.
        before: the card of the previous model of that name; its held-out tracks stay held out.
        progress: gets the number of fits that are done, and of all; None for no reports.

    Raises:
        ConfigError: there are too few tracks or genres.
        ModelError: the backbone gives no embedding.
    """
    course = Course.of(lessons, backbone, least=least, rules=rules, before=before)
    return taught(course, name=name, origin={**origin, "min_tracks": least}, progress=progress)


def taught(
    course: Course, *, name: str, origin: Mapping[str, Json], progress: Callable[[int, int], None] | None = None
) -> TrainingResult:
    """Train a head on a course, and measure it; otherwise as `learn`."""
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
