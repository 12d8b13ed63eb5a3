"""A model's card: its input, its output, and where it comes from.

The card is the metadata JSON that Essentia's models are published with, so their files can be used
as they are. What genretagger reads of it: `name`, `classes`, `schema` (the shapes and purposes of
inputs and outputs), `inference.sample_rate`, and `inference.algorithm`, which names the front end.
The rest is kept as it was.

A card is untrusted: it is limited in size and count, and every value is checked before it is used.
"""

from __future__ import annotations

import contextlib
import json
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from genretagger.errors import ModelError
from genretagger.model.bounds import MAX_CARD_BYTES, MAX_LABELS, MAX_TENSORS, MAX_TEXT
from genretagger.strict import UnfitError, read
from genretagger.textfile import read_text
from genretagger.types import Json
from genretagger.vocabulary.part import Part, part_of, says_learned

if TYPE_CHECKING:
    from genretagger.model import published

_TURNING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
_LABELS = f"a list of 1 to {MAX_LABELS} labels"
_TENSORS = f"a list of 1 to {MAX_TENSORS} tensors"
_HINT = "A card is the JSON file that Essentia publishes beside each model."

PREDICTIONS = "predictions"
EMBEDDINGS = "embeddings"


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output as the card describes it.

    Attributes:
        name: as the publisher's framework spells it; the ONNX export may spell it otherwise.
        shape: sizes; None if the card has a word, such as "batch_size".
        purpose: "predictions", "embeddings" or "".
        operation: the operation that computes it, such as "Sigmoid", or "".
        algorithm: of an input, the front end that gives it; "" if it is the card's
            `inference.algorithm`.
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
        classes: the labels, in the order of the predictions; empty if it only gives embeddings.
        inputs: what it takes.
        outputs: what it gives.
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
        with about(path):
            return cls.parse(content)

    @classmethod
    def parse(cls, content: str | bytes) -> Card:
        """Check the text of a card.

        Raises:
            ModelError: it is not JSON, or no card.
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
        from genretagger.model.published import Published

        try:
            known = read(Published, document)
        except UnfitError as fault:
            raise _refused(fault) from fault
        outputs = _tensors(known.schema.outputs)
        needed = all(tensor.purpose != EMBEDDINGS for tensor in outputs)
        return cls(
            name=known.name,
            version=known.version,
            classes=_classes(known.classes, "classes" in document, needed=needed),
            inputs=_tensors(known.schema.inputs),
            outputs=outputs,
            rate_hz=known.inference.sample_rate,
            algorithm=known.inference.algorithm,
            licence=known.licence,
            source=known.source,
            document=document,
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
        more: Mapping[str, Json] = MappingProxyType({}),
    ) -> Card:
        """Make the card of a model that genretagger exports itself.

        Args:
            name: the model's name, for people.
            version: its version.
            classes: labels in the order of the output `activations`.
            input_shape: frames and mels of the input `mel`.
            embedding: dimensions of the output `embeddings`; 0 if there is none.
            rate_hz: the sample rate that it listens at.
            algorithm: the front end.
            licence: the weights' licence.
            source: where the weights come from.
            more_inputs: what it takes besides `mel`: name → shape and front end.
            more: what else the document says.
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
                **more,
            }
        )

    def build_on(self, **own: Any) -> Card:
        """Make the card of a model that takes what this one takes.

        Args:
            own: the other arguments of `build`.
        """
        frames, mels = self.inputs[0].shape[-2:]
        return Card.build(
            input_shape=(frames or 0, mels or 0),
            more_inputs=self.more_inputs,
            rate_hz=self.rate_hz,
            algorithm=self.algorithm,
            **own,
        )

    @property
    def part(self) -> Part | None:
        """What genretagger itself wrote into the card; None if it wrote nothing.

        Raises:
            ModelError: that part is invalid.
        """
        return part_of(self.document)

    @property
    def says_learned(self) -> bool:
        """Whether training made the model, even if the part that says so is damaged."""
        return says_learned(self.document)

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

    @property
    def embedding(self) -> int | None:
        """How many values the embedding has; None if there is none, or if the card does not say."""
        described = self.output(EMBEDDINGS)
        return described.shape[-1] if described is not None and described.shape else None

    def output(self, purpose: str) -> Tensor | None:
        """Give the output of this purpose, None if the card names none."""
        return next((tensor for tensor in self.outputs if tensor.purpose == purpose), None)


@contextlib.contextmanager
def about(path: Path | None) -> Iterator[None]:
    """Name the owner's file in errors, or no file: a temporary one would be gone by then."""
    try:
        yield
    except ModelError as error:
        raise ModelError(error.cause, path=path, hint=error.hint) from error


def told_apart(names: list[str], described: Tensor | None, *words: str) -> list[str]:
    """The one of some tensors whose name holds that on a card, or its purpose; all, if none does.

    Args:
        names: as the ONNX file spells them.
        described: what the card says of the tensor.
        words: further ones that the name may hold.
    """
    said = (described.name, described.purpose, described.operation) if described is not None else ()
    for word in filter(None, (*said, *words)):
        matching = [name for name in names if word.lower() in name.lower()]
        if len(matching) == 1:
            return matching
    return names


def _refused(fault: UnfitError) -> ModelError:
    if fault.kind == "missing":
        return ModelError(f"The card lacks `{fault.where}`", hint=_HINT)
    return _wrong(fault.where, _expected(fault))


def _expected(fault: UnfitError) -> str:
    """What belongs to a place of a card, in words."""
    if fault.kind == "dataclass_type":
        return "a JSON object"
    if fault.kind in ("string_type", "value_error"):
        return f"a text of at most {MAX_TEXT} characters"
    return {
        "inference.sample_rate": "a whole number of hertz",
        "classes": _LABELS,
        "schema.inputs": _TENSORS,
        "schema.outputs": _TENSORS,
    }.get(fault.where, "a list of sizes")


def _wrong(where: str, expected: str) -> ModelError:
    return ModelError(f"The card's `{where or 'the card'}` is not {expected}", hint=_HINT)


def _classes(labels: list[str], there: bool, *, needed: bool) -> tuple[str, ...]:
    """Labels; a model that gives embeddings, such as VGGish, may have none."""
    if needed and not labels:
        raise _wrong("classes", _LABELS) if there else ModelError("The card lacks `classes`", hint=_HINT)
    if len(set(labels)) != len(labels):
        raise _wrong("classes", "a list of different labels")
    if any(map(_is_hidden, set("".join(labels)))):  # a label may become a genre, and be written and shown
        raise _wrong("classes", "a list of labels without control characters")
    return tuple(labels)


def _is_hidden(character: str) -> bool:
    """A control character, half a surrogate pair, or a mark that reverses the text direction."""
    return unicodedata.category(character) in ("Cc", "Cs") or unicodedata.bidirectional(character) in _TURNING


def _tensors(tensors: list[published.PublishedTensor]) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(
            name=tensor.name,
            shape=tuple(size if isinstance(size, int) and size > 0 else None for size in tensor.shape),
            purpose=tensor.output_purpose,
            operation=tensor.op,
            algorithm=tensor.algorithm,
        )
        for tensor in tensors
    )
