"""Tries a stranger's model in a limited child process, and refuses if it crashes, hangs or grows.

python -m genretagger.model.trial MODEL.onnx < CARD    tries a model; the parent has checked
                                                       the card, which is JSON
python -m genretagger.model.trial < MODEL.onnx         says whether its input is embeddings
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from genretagger import launch
from genretagger.errors import ModelError
from genretagger.model.card import Card, Tensor
from genretagger.strict import read
from genretagger.types import FloatArray, Json

TIME_S = 120
"""The largest published model loads in 5 s, and hears a window of 30 s in 2 s."""
_MEMORY_BYTES = 4 << 30
_LOOKING_BYTES = 1 << 30
"""A published model needs less than its own size more; 20 MB of empty nodes needed 2 GB."""
_COPIES = 4
"""Of the file, in memory: as it was read, parsed, packed and optimized."""
_OWN_LIMITS = "A model must hear one window within two minutes and 4 GB of memory."


def attempt(onnx_path: Path, card: Card) -> None:
    """Try a model out.

    Raises:
        ModelError: it does not run, says other things than its card, or goes beyond the limits.
    """
    _child(os.fspath(onnx_path), content=json.dumps(asdict(card) | {"document": {}}).encode("ascii"))


def is_head(onnx: bytes) -> bool:
    """Whether a model takes embeddings: one input of two dimensions.

    Raises:
        ModelError: it is not an ONNX model, or none that may be used.
    """
    return _child(content=onnx).head


@dataclass(frozen=True, slots=True)
class _TrialResult:
    """What a child says: what is wrong, if anything, and whether the model takes embeddings."""

    cause: str
    hint: str
    head: bool = False


def _child(*arguments: str, content: bytes = b"") -> _TrialResult:
    """What a child process says.

    Raises:
        ModelError: it says that something is wrong, or ends before it says anything.
    """
    try:
        ended = subprocess.run(
            launch.command("model.trial", *arguments),
            env=launch.environment(),
            input=content,
            capture_output=True,
            timeout=TIME_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"The model did not end within {TIME_S} s", hint=_OWN_LIMITS) from error
    except OSError as error:
        raise ModelError(f"The model cannot be tried: {error.strerror}") from error
    try:
        said = read(_TrialResult, json.loads(ended.stdout.splitlines()[-1]))
    except (ValueError, IndexError, RecursionError) as error:
        if ended.returncode == 0 or b"MemoryError" in ended.stderr or b"bad_alloc" in ended.stderr:
            raise ModelError("The model needs too much memory", hint=_OWN_LIMITS) from error
        raise ModelError(f"The model makes ONNX Runtime crash (status {ended.returncode})", hint=_OWN_LIMITS) from error
    if said.cause:
        raise ModelError(said.cause, hint=said.hint)
    return said


def excitation(*shape: int) -> FloatArray:
    """Two windows, (2, *shape) float32: silence, and sound in every band, equal on every machine.

    Args:
        shape: of a window, which ends with frames and bands.
    """
    frame, mel = np.arange(shape[-2])[:, None], np.arange(shape[-1])[None]
    lively = ((frame * 37 + mel * 101 + frame * mel * 7) % 257) / np.float32(64)
    return np.stack([np.zeros(shape), np.broadcast_to(lively, shape)]).astype(np.float32)


def check_range(onnx_path: Path, card: Card) -> None:
    """Let a model listen, and see that it says numbers from 0 to 1.

    Raises:
        ModelError: it does not.
    """
    from genretagger.model.session import Session

    session = Session.start(onnx_path, card, "cpu", threads=1)
    activations, embeddings = session.run(*(excitation(*shape) for shape in session.windows))
    if activations.size and (activations.min() < -1e-3 or activations.max() > 1 + 1e-3):
        raise ModelError(
            "The model's predictions are not between 0 and 1",
            path=onnx_path,
            hint="The card may name logits for predictions: correct its `schema.outputs`.",
        )
    if not np.isfinite(embeddings).all():
        raise ModelError("The model gave an embedding that holds no numbers", path=onnx_path)


def _limit(most_bytes: int) -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (most_bytes, most_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (TIME_S, TIME_S + 5))


def _listen(onnx: str) -> Json:
    path = Path(onnx)
    _limit(_MEMORY_BYTES + _COPIES * path.stat().st_size)
    check_range(path, _card(json.load(sys.stdin.buffer)))
    return {}


def _card(checked: Json) -> Card:
    """The card, which the parent checked: a second check costs 0.2 s and 14 MB for pydantic."""

    def tensors(side: str) -> tuple[Tensor, ...]:
        return tuple(Tensor(**{**each, "shape": tuple(each["shape"])}) for each in checked[side])

    classes = tuple(checked["classes"])
    return Card(**{**checked, "classes": classes, "inputs": tensors("inputs"), "outputs": tensors("outputs")})


def _look() -> Json:
    from genretagger.model.merge import parsed
    from genretagger.model.tensors import inputs

    content = sys.stdin.buffer.read()
    _limit(_LOOKING_BYTES + _COPIES * len(content))
    sizes = inputs(parsed(content).graph)
    return {"head": len(sizes) == 1 and len(sizes[0].type.tensor_type.shape.dim) == 2}


def _main(*arguments: str) -> None:
    said: Json = {"cause": "", "hint": ""}
    try:
        said |= _listen(*arguments) if arguments else _look()
    except ModelError as error:
        said = {"cause": error.cause, "hint": error.hint}
    except MemoryError:
        said = {"cause": "The model needs too much memory", "hint": _OWN_LIMITS}
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
