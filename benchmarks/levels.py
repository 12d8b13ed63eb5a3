"""Estimates how often each label was given in the training data of musicnn's first network.

These counts were not published, but the checkpoint remembers them. The network was trained on
201,680 excerpts of the Million Song Dataset with Adam, which keeps, for each bias of the last
layer, a mean over the last thousand batches of the squared gradient. That gradient is the mean over
a batch of (probability given - label), so

    mean squared gradient = B / (batch * labels²)
    B = mean of (probability given - label)², the Brier score

with 32 excerpts a batch and 50 labels. For a label that was given to a share p of the recordings,
B = p (1 - p) (1 - r), where r is the share that the network explains. r follows from the spread of
its logits: their mean over the training data is known exactly, because the last batch normalization
has the mean `beta`. With a normal distribution around it and calibrated probabilities, one spread
fits B. If none fits (the most frequent labels, because their logits are skewed), r = 0.2.

    python -m benchmarks.levels musicnn-0.1.0-py3-none-any.whl

prints the background levels of `genretagger/vocabulary/musicnn.toml`. They are right to about a
third: counted by eye in 192 of the 11,774 published validation labels (jordipons/musicnn-training),
rock has 20 %, pop 13, jazz 12, alternative 9, indie 9, female vocalists 6, electronic 5, dance 3,
metal 3 and 00s 1 %; this estimate says 26, 13, 8, 10, 13, 9, 10, 5, 3, 1.

MagnaTagATune's network memorised its 19,000 clips, so its Brier scores say nothing; its
counts are published.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import expit

from genretagger.model.checkpoint import Checkpoint
from genretagger.model.download import read_members
from genretagger.model.musicnn import EMBEDDING, LABELS, MEMBERS, WHEEL_SHA256, convert

BATCH = 32
UNKNOWN = 0.2
"""The share that a network is assumed to explain of a label if no spread fits."""

_WIDEST = 2.6
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(81)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def levels(checkpoint: Checkpoint) -> npt.NDArray[np.float64]:
    """The share of the recordings that have each label, (50,), from a checkpoint of musicnn."""
    weights = checkpoint.tensor("dense_1/kernel", (EMBEDDING, LABELS)).astype(np.float64)
    bias = checkpoint.tensor("dense_1/bias", (LABELS,)).astype(np.float64)
    centre = checkpoint.tensor("batch_normalization_10/beta", (EMBEDDING,)).astype(np.float64)
    squared = checkpoint.tensor("dense_1/bias/Adam_1", (LABELS,)).astype(np.float64)
    means, brier = weights.T @ centre + bias, BATCH * LABELS**2 * squared
    return np.array([_share(mean, score) for mean, score in zip(means, brier, strict=True)])


def _share(mean: float, brier: float) -> float:
    def moments(spread: float) -> tuple[float, float]:
        given = expit(mean + spread * _NODES)
        return float(_WEIGHTS @ given), float(_WEIGHTS @ given**2)

    def excess(spread: float) -> float:
        first, second = moments(spread)
        return first - second - brier

    explained = UNKNOWN
    if excess(0.0) >= 0:
        explained = 0.0
    elif excess(_WIDEST) > 0:
        first, second = moments(float(brentq(excess, 0.0, _WIDEST)))
        explained = (second - first**2) / (first - first**2)
    variance = min(brier / (1 - explained), 0.25)
    return float((1 - np.sqrt(1 - 4 * variance)) / 2)


def main() -> None:
    """Print the levels."""
    parser = argparse.ArgumentParser(description="How often each label was given in the default model's training data.")
    parser.add_argument("wheel", type=Path, help="the wheel of musicnn 0.1.0")
    members = read_members(parser.parse_args().wheel, WHEEL_SHA256, MEMBERS)
    checkpoint = Checkpoint(*(members[f"musicnn/MSD_musicnn/{name}"] for name in (".index", ".data-00000-of-00001")))
    labels = convert(members.__getitem__)[1].classes
    for label, share in zip(labels[:LABELS], levels(checkpoint), strict=True):
        print(f'"{label}" = {share:.2g}')


if __name__ == "__main__":
    main()
