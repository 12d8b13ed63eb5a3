"""The cloud of what was learned from, and how far a track may be from it: out of distribution.

Distances come from probabilistic principal components: the tracks are a cloud, long in a few
directions and equally thin in all others, and a track's coordinates are divided by the cloud's
spread in each direction. Each ear of a backbone has its own cloud and its own limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from genretagger.types import DoubleArray, FlagArray, FloatArray, IndexArray
from genretagger.vocabulary.learned import Learned

_MOST_COMPONENTS = 16
_TRACKS_A_COMPONENT = 6
_LEAST_SPREAD = 0.1
"""A share of the median spread. Without it, a dimension in which the training tracks do not vary
would put every other track infinitely far out of distribution.
"""
_QUANTILE, _SLACK = 0.95, 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Cloud:
    """Standardised coordinates: (x - mean) @ axes."""

    mean: DoubleArray
    axes: DoubleArray

    @classmethod
    def of(cls, values: DoubleArray) -> Cloud:
        """Find the cloud of tracks: (n, d)."""
        mean, spread = standard(values)
        scaled = (values - mean) / spread
        count, size = scaled.shape
        kept = max(1, min(_MOST_COMPONENTS, count // _TRACKS_A_COMPONENT, size - 1))
        variances, axes = np.linalg.eigh(scaled.T @ scaled / count)
        variances, axes = variances[::-1].clip(min=0), axes[:, ::-1]
        thin = max(float(variances[kept:].mean()), 1e-6)
        scale = np.sqrt(np.concatenate([np.maximum(variances[:kept], thin), np.full(size - kept, thin)]))
        return cls(mean, axes / scale / spread[:, None])

    def distance(self, values: DoubleArray) -> DoubleArray:
        """(n,) mean squares of the coordinates."""
        squares: DoubleArray = (((values - self.mean) @ self.axes) ** 2).mean(axis=1)
        return squares


@dataclass(frozen=True, slots=True, eq=False)
class Familiarity:
    """How much tracks resemble those that were learned from.

    Attributes:
        axes, origin, limit: as in `head.Head`.
        known: (n,) 0 to 1, of each track by clouds that did not have its fold.
    """

    axes: FloatArray
    origin: FloatArray
    limit: float
    known: DoubleArray

    def capped(self, likely: DoubleArray, is_music: FloatArray, unmusical: FlagArray) -> FloatArray:
        """The scores of the tracks: probabilities that are capped as `vocabulary.learned` says.

        Args:
            likely: (n, k).
            is_music: (n,) float32.
            unmusical: (k,) bool: genres that need not sound like music.
        """
        musical = np.where(unmusical[None], 1.0, is_music[:, None])
        return np.minimum(np.minimum(likely, self.known[:, None]), musical).astype(np.float32)


def familiarity(embeddings: FloatArray, folds: IndexArray, ears: Sequence[int]) -> Familiarity:
    """Find the out-of-distribution limit, and how familiar held-out tracks are.

    Args:
        embeddings: (n, d) float32.
        folds: (n,) the fold of each track; at least two different ones.
        ears: as of `head.train`.
    """
    from threadpoolctl import threadpool_limits

    values = embeddings.astype(np.float64)
    axes, origin = np.zeros((values.shape[1], values.shape[1])), np.zeros(values.shape[1])
    known, limits = np.ones(len(values)), []
    held_out = [folds == fold for fold in np.unique(folds)]
    with threadpool_limits(1):
        for part in ear_places(values.shape[1], ears):
            own = np.ascontiguousarray(values[:, part])
            distances = np.zeros(len(own))
            for held in held_out:
                distances[held] = Cloud.of(own[~held]).distance(own[held])
            for held in held_out:
                limit = limit_of(distances[~held])
                near = [Learned.resemblance(float(each), limit) for each in distances[held]]
                known[held] = np.minimum(known[held], near)
            cloud, limit = Cloud.of(own), limit_of(distances)
            limits.append(limit)
            scale = 1 / np.sqrt(limit) if ears else 1.0
            axes[part, part] = cloud.axes * scale
            origin[part] = -cloud.mean @ cloud.axes * scale
    found = (axes.astype(np.float32), origin.astype(np.float32))
    return Familiarity(*found, 1.0 if ears else limits[0], known)


def ear_places(size: int, ears: Sequence[int]) -> list[slice]:
    """Where each ear's values are in an embedding.

    Raises:
        ValueError: the ears do not make up the embedding.
    """
    if not ears:
        return [slice(0, size)]
    if sum(ears) != size:
        raise ValueError(f"ears of {', '.join(map(str, ears))} values do not make up an embedding of {size}")
    ends = list(accumulate(ears))
    return [slice(end - width, end) for end, width in zip(ends, ears, strict=True)]


def standard(values: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """(d,) mean and (d,) spread of tracks (n, d); no spread is far below the median of all."""
    spread = values.std(axis=0)
    return values.mean(axis=0), np.maximum(spread, max(_LEAST_SPREAD * float(np.median(spread)), 1e-9))


def limit_of(distances: DoubleArray) -> float:
    """The limit, from the distances of held-out tracks."""
    return max(_SLACK * float(np.quantile(distances, _QUANTILE)), 1e-6)
