"""What happens to an owner's ONNX file, card and labels before the trial: checks, backbone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from genretagger import strict
from genretagger.errors import ModelError
from genretagger.model.bounds import MAX_LABELS
from genretagger.model.card import Card
from genretagger.model.installed import InstalledModel
from genretagger.model.manifest import MAX_ONNX_BYTES, read
from genretagger.textfile import read_text
from genretagger.types import Json
from genretagger.vocabulary.part import KEY

_MAX_LABELS_BYTES = 1024 * 1024


_NO_LIST = "The list of labels cannot be used: it is neither text nor a JSON list"


def labelled(card: Card, labels: Path | None) -> Card:
    """The card with the labels of a file: one a line, or a JSON list.

    Raises:
        ModelError: the file cannot be read, or holds something else.
    """
    if labels is None:
        return card
    hint = "It holds one label a line, or a JSON list, in the order of the model's output."
    try:
        text = read_text(labels, most_bytes=_MAX_LABELS_BYTES)
    except OSError as error:
        raise ModelError(f"The labels cannot be read: {error.strerror}", path=labels) from error
    except UnicodeDecodeError as error:
        raise ModelError(_NO_LIST, path=labels, hint=hint) from error
    except ValueError as error:
        raise ModelError(f"The list of labels cannot be used: {error}", path=labels, hint=hint) from error
    try:
        lines = strict.read(list[str], json.loads(text)) if text.lstrip().startswith("[") else text.splitlines()
    except (ValueError, RecursionError) as error:
        raise ModelError(_NO_LIST, path=labels, hint=hint) from error
    names = [line.strip() for line in lines]
    while names and not names[-1]:
        names.pop()
    if not 1 <= len(names) <= MAX_LABELS:
        raise ModelError(f"The list of labels does not hold 1 to {MAX_LABELS} of them", path=labels, hint=hint)
    if not all(names) or len(set(names)) < len(names):
        raise ModelError("The list of labels holds an empty one, or one twice", path=labels, hint=hint)
    try:
        return Card.from_document({**card.document, "classes": names})
    except ModelError as error:
        raise ModelError(error.cause, path=labels, hint=hint) from error


def backbone_of(card: Card, named: str | None, installed: Callable[[], list[InstalledModel]]) -> InstalledModel:
    """Find the model that a head listens through.

    Args:
        card: the head's.
        named: what the owner calls it; None to look for the one that the card names.
        installed: gives all models that are installed.

    Raises:
        ModelError: it is not installed, or another one than the head was made for.
    """
    inference = card.document.get("inference")
    wanted = inference.get("embedding_model") if isinstance(inference, dict) else None
    wanted = wanted if isinstance(wanted, dict) else {}
    name, algorithm = str(wanted.get("model_name", "")), str(wanted.get("algorithm", ""))
    models = installed()
    if named is None:
        found = [model for model in models if name and name in (model.name, model.card.name)]
        if not found:
            made_for = f", made for {name}" if name else ""
            raise ModelError(
                f"The model listens to the embeddings of another model{made_for}, not to sound",
                hint="Add that one first, and name it with --backbone NAME.",
            )
        return found[0]
    chosen = next((model for model in models if model.name == named), None)
    if chosen is None:
        raise ModelError(
            f"There is no model {named!r} to listen through",
            hint=f"Installed: {', '.join(model.name for model in models) or 'none'}.",
        )
    if algorithm and algorithm != chosen.card.algorithm:
        raise ModelError(
            f"The head was made for {name or algorithm} ({algorithm}), and {named} is of another kind "
            f"({chosen.card.algorithm})",
            hint="Add the model that its card names, and give that one.",
        )
    return chosen


def through(backbone: InstalledModel, onnx: bytes, card: Card) -> tuple[bytes, Card]:
    """Join a head to its backbone; gives the ONNX file and its card.

    Raises:
        ModelError: they do not fit together.
    """
    from genretagger.model.merge import with_head

    joined = with_head(read(backbone.onnx_path, MAX_ONNX_BYTES), backbone.card, onnx, card)
    part: Json = {"scores": "probabilities", "backbone": {"name": backbone.name, "sha256": backbone.sha256}}
    return joined, backbone.card.build_on(
        name=card.name,
        version=card.version,
        classes=card.classes,
        embedding=backbone.card.embedding or 0,
        licence=" and ".join(dict.fromkeys(filter(None, (card.licence, backbone.card.licence)))),
        source=card.source,
        more={KEY: part, "head": card.document},
    )
