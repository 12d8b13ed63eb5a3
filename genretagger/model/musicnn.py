"""The published musicnn checkpoints as one ONNX model.

Two networks of the same layout, one trained on the Million Song Dataset and one on MagnaTagATune,
listen side by side: input `mel` (n, 187, 96) float32, outputs `activations` (n, 100) and
`embeddings` (n, 400), the first network's half first.

The graph computes what the published one does, arranged to cost less (57 instead of 66 ms a window
on one thread, 33 instead of 39 on two, for both networks):

- The front layers of both networks read the same mel, so each pair of convolutions is one with
  twice the filters.
- The input's batch normalization `a·x + b` is folded into them: `a` scales the filters, and `b`
  adds to each output the sum of the filter's taps that are not in the padding. That sum does not
  depend on the frequency, so it is a constant (filters, 187), and it can be added after the maximum
  over frequency.
- ReLU and a batch normalization's scale are moved behind the maximum over frequency, which leaves
  1/30 to 1/96 of the values for them: with the scale folded into the filters, `scale · relu(x)` is
  `max(x, 0)` if the scale is positive and `min(x, 0)` if it is negative, and both commute
  with the maximum.
- The batch normalization before the dense layer is folded into it.

Four fifths of the front filters are dead: their kernels are zeros, apart from rounding errors of
the training. `listen` can leave them out. Each gives a constant, what bias, ReLU and shift make of
0, which goes into the bias of the first middle convolution (that pads with zeros, so its bias
differs at the first and last three frames) and, by maximum and mean, into that of the dense layer.
That makes both networks four times as fast, and moves activations by 6e-6 at most. Together with
the dead filters, `listen` replaces the convolutions that are wider than one band: see `spectra.py`.
The model `musicnn` keeps both, so that its file is the one that stored results belong to.

Sums of weights are accumulated one after another, never by BLAS: its order differs between
machines: the same weights give the same bytes everywhere, so the file's hash names the model.

Source of the layout: musicnn 0.1.0, models.py (Jordi Pons, Music Technology Group, ISC licence).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genretagger.errors import ModelError
from genretagger.model.card import Card
from genretagger.model.checkpoint import Checkpoint
from genretagger.model.graph import Graph, total
from genretagger.model.session import Session
from genretagger.model.spectra import Spectra
from genretagger.types import DoubleArray, FlagArray, FloatArray

NAME = "musicnn"
VERSION = "0.1.0"
WHEEL_SHA256 = "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa"
LICENCE_MEMBER = "musicnn-0.1.0.dist-info/LICENSE.md"

_LABELS_MEMBER = "musicnn/configuration.py"
_FOLDERS = {"msd": "musicnn/MSD_musicnn", "mtt": "musicnn/MTT_musicnn"}
WHEEL_BYTES = 29_292_476
MEMBERS = (
    LICENCE_MEMBER,
    _LABELS_MEMBER,
    *(f"{folder}/{name}" for folder in _FOLDERS.values() for name in (".index", ".data-00000-of-00001")),
)
"""What `convert` and the installation need out of the wheel."""

FRAMES, MELS, LABELS, EMBEDDING = 187, 96, 50, 200
_EPSILON = 1e-3
_DEAD = 1e-4
"""A filter with a smaller norm, batch norms included, is dead. Most are under 1e-6 or over 1e-2."""


@dataclass(frozen=True, slots=True)
class _FrontConvolution:
    """A convolution on the mel: frames by mels by filters, with `before` zero frames in front."""

    frames: int
    mels: int
    filters: int
    before: int


_FRONTS = (
    _FrontConvolution(7, 38, 204, 3),
    _FrontConvolution(7, 67, 204, 3),
    _FrontConvolution(128, 1, 51, 63),
    _FrontConvolution(64, 1, 51, 31),
    _FrontConvolution(32, 1, 51, 15),
)
_MIDDLE = (561, 64, 64)  # input channels of the three convolutions of 7 frames and 64 filters
_FEATURES = 753


class MusicnnWeights(Checkpoint):
    """The weights of one network, in float64 so that folding costs no accuracy."""

    def get(self, name: str, *shape: int) -> DoubleArray:
        """A tensor of this shape."""
        return self.tensor(name, shape).astype(np.float64)

    def convolution(self, number: int, frames: int, width: int, filters: int) -> tuple[DoubleArray, DoubleArray]:
        """Kernel as (filters, 1, frames, width) and bias of the n-th convolution."""
        name = f"conv2d_{number}" if number else "conv2d"
        kernel = self.get(f"{name}/kernel", frames, width, 1, filters)
        return kernel.transpose(3, 2, 0, 1), self.get(f"{name}/bias", filters)

    def normalization(self, number: int, channels: int) -> tuple[DoubleArray, DoubleArray]:
        """Scale and shift of the n-th batch normalization."""
        name = f"batch_normalization_{number}" if number else "batch_normalization"
        variance = self.get(f"{name}/moving_variance", channels)
        scale = self.get(f"{name}/gamma", channels) / np.sqrt(variance + _EPSILON)
        return scale, self.get(f"{name}/beta", channels) - self.get(f"{name}/moving_mean", channels) * scale


def convert(read: Callable[[str], bytes]) -> tuple[bytes, Card]:
    """Build the ONNX model and its card out of the published files.

    Args:
        read: gives the content of a member of the wheel, one of `MEMBERS`.

    Returns:
        The bytes of `model.onnx`, always the same for the same weights, and the card.

    Raises:
        ModelError: the files are not those of musicnn 0.1.0.
    """
    graph = Graph()
    activations, embeddings = listen(graph, "mel", networks(read))
    outputs = {
        "activations": (activations, LABELS * len(_FOLDERS)),
        "embeddings": (embeddings, EMBEDDING * len(_FOLDERS)),
    }
    return graph.serialized(NAME, {"mel": (FRAMES, MELS)}, outputs), _card(labels(read))


def networks(read: Callable[[str], bytes]) -> list[MusicnnWeights]:
    """Read the weights of both networks.

    Args:
        read: as of `convert`.

    Raises:
        ModelError: the files are not those of musicnn 0.1.0.
    """
    return [
        MusicnnWeights(read(f"{folder}/.index"), read(f"{folder}/.data-00000-of-00001")) for folder in _FOLDERS.values()
    ]


def listen(
    graph: Graph, mel: str, networks: Sequence[MusicnnWeights], *, prune: bool = False
) -> tuple[list[str], list[str]]:
    """Add the networks to a graph.

    Args:
        graph: where to.
        mel: the name of the input that they share, (n, 187, 96).
        networks: from `networks`.
        prune: leave the dead filters out.

    Returns:
        The names of the activations (n, 50) and of the embedding (n, 200) of each network.
    """
    fronts = _front(graph, mel, networks, prune=prune)
    heads = [_head(graph, network, front) for network, front in zip(networks, fronts, strict=True)]
    return [head[0] for head in heads], [head[1] for head in heads]


@dataclass(frozen=True, slots=True)
class _FrontValues:
    """What a network hears by its front filters.

    Attributes:
        features: the name of the values of the living filters, (n, living, 187).
        alive: (561,) bool, which those are.
        constants: (561,) float64, what a filter gives that is dead.
    """

    features: str
    alive: FlagArray
    constants: DoubleArray


def _front(graph: Graph, mel: str, networks: Sequence[MusicnnWeights], *, prune: bool) -> list[_FrontValues]:
    """The convolutions on the mel for all networks at once; returns each network's result."""
    picture = graph.add("Unsqueeze", mel, graph.constant(np.array([1])))
    spectra = Spectra(graph, mel, frames=FRAMES, bands=MELS, taps=7) if prune else None
    maxima: list[list[str]] = [[] for _ in networks]
    biases: list[list[DoubleArray]] = [[] for _ in networks]
    scales: list[list[DoubleArray]] = [[] for _ in networks]
    shifts: list[list[DoubleArray]] = [[] for _ in networks]
    alive: list[list[FlagArray]] = [[] for _ in networks]
    for number, front in enumerate(_FRONTS):
        kernels = []
        for index, network in enumerate(networks):
            (gain,), (offset,) = network.normalization(0, 1)
            kernel, bias = network.convolution(number, front.frames, front.mels, front.filters)
            scale, shift = network.normalization(number + 1, front.filters)
            kernel = kernel * scale[:, None, None, None]
            lives = np.sqrt(np.square(kernel * gain).sum(axis=(1, 2, 3))) >= (_DEAD if prune else 0.0)
            kernels.append((kernel * gain)[lives])
            taps = total(kernel[:, 0], axis=2)
            biases[index].append((bias * scale)[:, None] + offset * _taps_on_sound(taps, front.before))
            scales[index].append(scale)
            shifts[index].append(shift)
            alive[index].append(lives)
        if spectra is not None and front.mels > 1:
            loudest = spectra.loudest(np.concatenate(kernels)[:, 0])
        else:
            padding = [front.before, 0, front.frames - 1 - front.before, 0]
            heard = graph.add("Conv", picture, graph.constant(np.concatenate(kernels)), pads=padding)
            loudest = graph.add("ReduceMax", heard, axes=[3], keepdims=0)
        sizes = [graph.constant(np.array([len(kernel) for kernel in kernels]))] if prune else []
        for index, part in enumerate(graph.split("Split", len(networks), loudest, *sizes, axis=1)):
            maxima[index].append(part)
    features = []
    for index in range(len(networks)):
        lives, shift = np.concatenate(alive[index]), np.concatenate(shifts[index])
        bias, rises = np.concatenate(biases[index]), np.concatenate(scales[index]) > 0
        limit = np.finfo(np.float32).max  # stands for infinity, which some providers handle badly
        least, most = np.where(rises, 0.0, -limit)[:, None], np.where(rises, limit, 0.0)[:, None]
        value = graph.add("Concat", *maxima[index], axis=1)
        value = graph.add("Add", value, graph.constant(bias[lives]))
        value = graph.add("Max", value, graph.constant(least[lives]))
        value = graph.add("Min", value, graph.constant(most[lives]))
        value = graph.add("Add", value, graph.constant(shift[lives, None]))
        # in the middle of the window, where no tap is in the padding; elsewhere it differs by
        # less than rounding
        silent = np.clip(bias[:, FRAMES // 2], least[:, 0], most[:, 0]) + shift
        features.append(_FrontValues(value, lives, silent))
    return features


def _head(graph: Graph, network: MusicnnWeights, front: _FrontValues) -> tuple[str, str]:
    """The rest of one network; gives its activations (n, 50) and embedding (n, 200)."""
    layers, dead = [front.features], ~front.alive
    for number, channels in enumerate(_MIDDLE):
        # the published graph convolves a picture of (frames by channels) with a kernel as wide as
        # the picture
        kernel, bias = network.convolution(len(_FRONTS) + number, 7, channels, 64)
        scale, shift = network.normalization(len(_FRONTS) + number + 1, 64)
        weights = kernel[:, 0].transpose(0, 2, 1)
        if number == 0 and dead.any():
            taps = total(weights[:, dead] * front.constants[dead, None], axis=1)
            bias = bias[:, None] + _taps_on_sound(taps, 3)
            value = graph.add("Conv", layers[-1], graph.constant(weights[:, front.alive]), pads=[3, 3])
            value = graph.add("Relu", graph.add("Add", value, graph.constant(bias)))
        else:
            both = graph.constant(weights), graph.constant(bias)
            value = graph.add("Relu", graph.add("Conv", layers[-1], *both, pads=[3, 3]))
        value = graph.add("Mul", value, graph.constant(scale[:, None]))
        value = graph.add("Add", value, graph.constant(shift[:, None]))
        layers.append(graph.add("Add", value, layers[-1]) if number else value)
    features = graph.add("Concat", *layers, axis=1)
    pooled = graph.add(
        "Concat",
        graph.add("ReduceMax", features, axes=[2], keepdims=0),
        graph.add("ReduceMean", features, axes=[2], keepdims=0),
        axis=1,
    )
    hidden, bias = network.get("dense/kernel", 2 * _FEATURES, EMBEDDING), network.get("dense/bias", EMBEDDING)
    scale, shift = network.normalization(9, 2 * _FEATURES)
    bias = bias + total(shift[:, None] * hidden, axis=0)
    hidden = hidden * scale[:, None]
    loudest, mean = hidden[0::2], hidden[1::2]  # published: max and mean of each feature side by side
    if dead.any():
        # a constant is its own maximum and mean
        constant = (loudest + mean)[: len(dead)][dead] * front.constants[dead, None]
        bias = bias + total(constant, axis=0)
    kept = np.concatenate([front.alive, np.ones(_FEATURES - len(dead), bool)])
    hidden = np.concatenate([loudest[kept], mean[kept]])
    value = graph.add("Relu", graph.add("Gemm", pooled, graph.constant(hidden), graph.constant(bias)))
    scale, shift = network.normalization(10, EMBEDDING)
    embedding = graph.add("Add", graph.add("Mul", value, graph.constant(scale)), graph.constant(shift))
    last, bias = network.get("dense_1/kernel", EMBEDDING, LABELS), network.get("dense_1/bias", LABELS)
    logits = graph.add("Gemm", embedding, graph.constant(last), graph.constant(bias))
    return graph.add("Sigmoid", logits), embedding


def _taps_on_sound(taps: DoubleArray, before: int) -> DoubleArray:
    """For each frame of the window, the sum of the taps that fall on it and not on the padding.

    Args:
        taps: (filters, frames) of the kernel, summed over frequency.
        before: frames of padding before the window.

    Returns:
        (filters, 187).
    """
    sums = np.concatenate([np.zeros((len(taps), 1)), np.add.accumulate(taps, axis=1)], axis=1)
    frame = np.arange(FRAMES)
    first = np.maximum(before - frame, 0)
    last = np.minimum(FRAMES + before - frame, taps.shape[1])
    on_sound: DoubleArray = sums[:, last] - sums[:, first]
    return on_sound


def labels(read: Callable[[str], bytes]) -> tuple[str, ...]:
    """Take the labels of both networks from the package's source, so that they go with the weights.

    Raises:
        ModelError: there are none, or too few.
    """
    source = read(_LABELS_MEMBER)
    try:
        lists = {
            target.id: ast.literal_eval(node.value)
            for node in ast.parse(source).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        found = [(network, list(lists[f"{network.upper()}_LABELS"])) for network in _FOLDERS]
    except (SyntaxError, ValueError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise ModelError("The package holds no list of labels", hint=_FETCH_AGAIN) from error
    if any(len(names) != LABELS for _, names in found):
        raise ModelError(f"The package's lists of labels do not hold {LABELS} each", hint=_FETCH_AGAIN)
    return tuple(f"{network}/{label}" for network, names in found for label in names)


def _card(classes: tuple[str, ...]) -> Card:
    return Card.build(
        name=NAME,
        version=VERSION,
        classes=classes,
        input_shape=(FRAMES, MELS),
        embedding=EMBEDDING * len(_FOLDERS),
        rate_hz=16_000,
        algorithm="musicnn",
        licence="ISC",
        source="musicnn 0.1.0 on the Python package index, https://github.com/jordipons/musicnn",
    )


_FETCH_AGAIN = "Fetch it again: `genretagger models pull`."


def check_input() -> FloatArray:
    """A fixed window (1, 187, 96) float32 that excites all filters; integers: equal everywhere."""
    frame, mel = np.arange(FRAMES)[:, None], np.arange(MELS)[None]
    return (((frame * 37 + mel * 101 + frame * mel * 7) % 257) / np.float32(128)).astype(np.float32)[None]


CHECKED = {0: 0.125421, 1: 0.105529, 4: 0.092894, 6: 0.084684, 19: 0.078867, 53: 0.088016, 54: 0.066865, 58: 0.110865}
"""What the published graph says of `check_input`: label's number → activation."""


def check(onnx_path: Path, card: Card) -> None:
    """Compare a converted model with what the published graph says of `check_input`.

    Raises:
        ModelError: it does not run, or differs by more than 1e-4.
    """
    see_agrees(onnx_path, card, [check_input()], CHECKED)


def see_agrees(onnx_path: Path, card: Card, inputs: Sequence[FloatArray], wanted: Mapping[int, float]) -> None:
    """Compare a converted model's activations of the first window with those that it should give.

    Args:
        onnx_path: the model.
        card: its card.
        inputs: the mel windows, for each front end.
        wanted: label's number → activation.

    Raises:
        ModelError: it does not run, or differs by more than 1e-4.
    """
    activations, _ = Session.start(onnx_path, card, "cpu").run(*inputs)
    error = np.abs(activations[0, list(wanted)] - np.array(list(wanted.values()))).max()
    if not error <= 1e-4:
        raise ModelError(
            f"The converted model is wrong by {error:.1e}",
            path=onnx_path,
            hint="Please report this, with the output of `genretagger doctor`.",
        )
