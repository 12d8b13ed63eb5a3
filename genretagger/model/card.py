"""A model's card: what it eats, what it says, and where it comes from.

The card is the metadata JSON that Essentia's models are published with, so their files can be used as they are.
What genretagger reads of it: `name`, `classes`, `schema` (the shapes and purposes of inputs and outputs),
`inference.sample_rate`, and `inference.algorithm`, which names the front end. The rest is kept as it was.

A card is untrusted: it is limited in size and count, and every value is checked before it is used.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from genretagger.errors import ModelError
from genretagger.textfile import read_text
from genretagger.types import Json

MAX_CARD_BYTES = 4 * 1024 * 1024
MAX_LABELS = 10_000
_MAX_TENSORS = 64
_MAX_TEXT = 1_000
_TURNING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
_RATES_HZ = range(1_000, 384_001)
_HINT = "A card is the JSON file that Essentia publishes beside each model."

PREDICTIONS = "predictions"
EMBEDDINGS = "embeddings"


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output as the card describes it.

    Attributes:
        name: as the publisher's framework spells it; the ONNX export may spell it otherwise.
        shape: sizes; None where the card says a word, such as "batch_size".
        purpose: "predictions", "embeddings" or "".
        operation: the operation that computes it, such as "Sigmoid", or "".
        algorithm: of an input, the front end that gives it; "" if it is the card's `inference.algorithm`.
    """

    name: str
    shape: tuple[int | None, ...]
    purpose: str = ""
    operation: str = ""
    algorithm: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A checked card.

    Attributes:
        name: the model's name, for people.
        version: the publisher's version, or "".
        classes: the labels, in the order of the predictions; none where it only gives embeddings.
        inputs: what it eats.
        outputs: what it says.
        rate_hz: the sample rate that it listens at.
        algorithm: the front end of the first input, `inference.algorithm`.
        licence: the weights' licence, or "".
        source: where the weights come from, or "".
        document: the whole JSON document.
    """

    name: str
    version: str
    classes: tuple[str, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    rate_hz: int
    algorithm: str
    licence: str
    source: str
    document: dict[str, Json] = field(repr=False, compare=False)

    @classmethod
    def load(cls, path: Path) -> Card:
        """Read a card.

        Raises:
            ModelError: the file is missing, too large, no JSON, or no card.
        """
        try:
            content = read_text(path, most_bytes=MAX_CARD_BYTES)
        except OSError as error:
            raise ModelError(f"The card cannot be read: {error.strerror}", path=path) from error
        except ValueError as error:
            raise ModelError(f"The card cannot be used: {error}", path=path, hint=_HINT) from error
        try:
            return cls.parse(content)
        except ModelError as error:
            raise ModelError(error.cause, path=path, hint=error.hint) from error

    @classmethod
    def parse(cls, content: str | bytes) -> Card:
        """Check the text of a card.

        Raises:
            ModelError: it is no JSON, or no card.
        """
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ModelError("The card is not valid JSON", hint=_HINT) from error
        return cls.from_document(document)

    @classmethod
    def from_document(cls, document: Json) -> Card:
        """Check a card that is JSON already.

        Raises:
            ModelError: a value is missing or of the wrong kind.
        """
        root = _object(document, "the card")
        schema = _object(_get(root, "schema", "schema"), "schema")
        inference = _object(_get(root, "inference", "inference"), "inference")
        rate_hz = _get(inference, "sample_rate", "inference.sample_rate")
        if not isinstance(rate_hz, int) or isinstance(rate_hz, bool) or rate_hz not in _RATES_HZ:
            raise _wrong("inference.sample_rate", "a whole number of hertz")
        inputs = _tensors(_get(schema, "inputs", "schema.inputs"), "schema.inputs")
        outputs = _tensors(_get(schema, "outputs", "schema.outputs"), "schema.outputs")
        return cls(
            name=_text(_get(root, "name", "name"), "name"),
            version=_text(root.get("version", ""), "version"),
            classes=_classes(root, needed=all(tensor.purpose != EMBEDDINGS for tensor in outputs)),
            inputs=inputs,
            outputs=outputs,
            rate_hz=rate_hz,
            algorithm=_text(_get(inference, "algorithm", "inference.algorithm"), "inference.algorithm"),
            licence=_text(root.get("licence", root.get("license", "")), "licence"),
            source=_text(root.get("source", root.get("link", "")), "source"),
            document=root,
        )

    @classmethod
    def build(
        cls,
        *,
        name: str,
        version: str,
        classes: tuple[str, ...],
        input_shape: tuple[int, int],
        embedding: int,
        rate_hz: int,
        algorithm: str,
        licence: str,
        source: str,
        more_inputs: Mapping[str, tuple[tuple[int, ...], str]] = MappingProxyType({}),
    ) -> Card:
        """Make the card of a model that genretagger exports itself.

        Args:
            name: the model's name, for people.
            version: its version.
            classes: labels in the order of the output `activations`.
            input_shape: frames and mels of the input `mel`.
            embedding: dimensions of the output `embeddings`; 0 where there is none.
            rate_hz: the sample rate that it listens at.
            algorithm: the front end.
            licence: the weights' licence.
            source: where the weights come from.
            more_inputs: what it eats beside `mel`: name → shape and front end.
        """
        inputs: list[Json] = [{"name": "mel", "type": "float", "shape": list(input_shape)}]
        inputs += [
            {"name": extra, "type": "float", "shape": list(shape), "algorithm": ear}
            for extra, (shape, ear) in more_inputs.items()
        ]
        outputs: list[Json] = [
            {"name": "activations", "type": "float", "shape": [len(classes)], "output_purpose": PREDICTIONS}
        ]
        if embedding:
            outputs.append({"name": "embeddings", "type": "float", "shape": [embedding], "output_purpose": EMBEDDINGS})
        return cls.from_document(
            {
                "name": name,
                "type": "auto-tagging",
                "version": version,
                "classes": list(classes),
                "schema": {"inputs": inputs, "outputs": outputs},
                "inference": {"sample_rate": rate_hz, "algorithm": algorithm},
                "licence": licence,
                "source": source,
            }
        )

    def dump(self) -> bytes:
        """Give the card as JSON text, always the same for the same card."""
        text = json.dumps(self.document, indent=2, ensure_ascii=False) + "\n"
        return text.encode("utf-8", "backslashreplace")  # which is how JSON spells half a surrogate pair, too

    @property
    def ears(self) -> tuple[tuple[str, tuple[int | None, ...]], ...]:
        """The front end of each input, and the shape that it has to give."""
        return tuple((tensor.algorithm or self.algorithm, tensor.shape) for tensor in self.inputs)

    @property
    def more_inputs(self) -> Mapping[str, tuple[tuple[int, ...], str]]:
        """The inputs but the first, as `build` takes them."""
        return {
            tensor.name: (tuple(size for size in tensor.shape if size is not None), algorithm)
            for tensor, (algorithm, _) in zip(self.inputs[1:], self.ears[1:], strict=True)
        }

    def output(self, purpose: str) -> Tensor | None:
        """Give the output of this purpose, None where the card names none."""
        return next((tensor for tensor in self.outputs if tensor.purpose == purpose), None)


def _wrong(where: str, expected: str) -> ModelError:
    return ModelError(f"The card's `{where}` is not {expected}", hint=_HINT)


def _get(mapping: dict[str, Json], key: str, where: str) -> Json:
    if key not in mapping:
        raise ModelError(f"The card lacks `{where}`", hint=_HINT)
    return mapping[key]


def _object(value: Json, where: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise _wrong(where, "a JSON object")
    return value


def _text(value: Json, where: str) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise _wrong(where, f"a text of at most {_MAX_TEXT} characters")
    return value


def _classes(root: dict[str, Json], *, needed: bool) -> tuple[str, ...]:
    """Labels; a model that gives embeddings, such as VGGish, may have none."""
    value = _get(root, "classes", "classes") if needed else root.get("classes", [])
    if not isinstance(value, list) or not needed <= len(value) <= MAX_LABELS:
        raise _wrong("classes", f"a list of 1 to {MAX_LABELS} labels")
    labels = tuple(_text(label, "classes") for label in value)
    if len(set(labels)) != len(labels):
        raise _wrong("classes", "a list of different labels")
    if any(map(_is_hidden, "".join(labels))):  # a label may become a genre, and be written and shown
        raise _wrong("classes", "a list of labels without control characters")
    return labels


def _is_hidden(character: str) -> bool:
    """A control character, half a surrogate pair, or a mark that reverses the direction of the text."""
    return unicodedata.category(character) in ("Cc", "Cs") or unicodedata.bidirectional(character) in _TURNING


def _tensors(value: Json, where: str) -> tuple[Tensor, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= _MAX_TENSORS:
        raise _wrong(where, f"a list of 1 to {_MAX_TENSORS} tensors")
    tensors = []
    for entry in value:
        tensor = _object(entry, where)
        shape = _get(tensor, "shape", f"{where}.shape")
        if not isinstance(shape, list) or len(shape) > 8:
            raise _wrong(f"{where}.shape", "a list of sizes")
        tensors.append(
            Tensor(
                name=_text(_get(tensor, "name", f"{where}.name"), f"{where}.name"),
                shape=tuple(size if isinstance(size, int) and size > 0 else None for size in shape),
                purpose=_text(tensor.get("output_purpose", ""), f"{where}.output_purpose"),
                operation=_text(tensor.get("op", ""), f"{where}.op"),
                algorithm=_text(tensor.get("algorithm", ""), f"{where}.algorithm"),
            )
        )
    return tuple(tensors)
