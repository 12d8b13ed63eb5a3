"""One run: a network learns from some tracks, and each epoch is tried on artists new to it.

Everything random of an epoch comes from the seed, the number of the run and that of the epoch. So
an epoch that begins again after a kill is the same epoch.

Contents: `Lesson`, `Hyperparameters`, `run`, `odds_of`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from genretagger.audio.mel import FrontEnd
from genretagger.training.network.augment import augmented
from genretagger.training.network.state import Best, Current
from genretagger.training.network.windows import WindowFile
from genretagger.types import DoubleArray, FlagArray, IndexArray

TellEpoch = Callable[[int, float, float | None], None]
"""Called after each epoch: how many are done, the loss, the held-out score if there is one."""

_AT_ONCE = 64
_WARM = 0.1
"""The share of a run in which the learning rate rises."""
_LEAST_RATE = 0.02
_DECAY = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What there is to learn: n tracks, k genres.

    Attributes:
        windows: of all tracks.
        places: (n, 2) where each track's windows are.
        truth: (n, k) bool.
        front_end: what made the windows.
    """

    windows: WindowFile
    places: IndexArray
    truth: FlagArray
    front_end: FrontEnd


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """How a network learns.

    Attributes:
        epochs: the most of them; the learning rate falls to almost nothing until then.
        patience: a run ends after so many epochs without a better score.
        rate: the highest learning rate.
        batch: windows at once.
        each: windows that an epoch draws for each track, on average.
        fewest, most: windows of an epoch.
        seed: of all that is random.
    """

    epochs: int
    patience: int
    rate: float
    batch: int
    each: float
    fewest: int
    most: int
    seed: int


class Stopped(Exception):  # noqa: N818 - it says what happened
    """The owner interrupted. Holds the state after the last whole epoch; None if there was none."""

    def __init__(self, current: Current | None) -> None:
        super().__init__("interrupted")
        self.current = current


def run(
    network: Any,
    lesson: Lesson,
    hyper: Hyperparameters,
    *,
    number: int,
    learn_from: FlagArray,
    choose_by: FlagArray | None,
    epochs: int,
    device: torch.device,
    current: Current | None,
    keep: Callable[[Current], None],
    tell: TellEpoch,
    stop: Callable[[], bool],
) -> Best:
    """Let a network learn.

    Args:
        network: `Compact` or `TrainableEar`; it ends with the weights of the best epoch.
        lesson: what there is to learn.
        hyper: how.
        number: of the run, for the dice.
        learn_from: (n,) the tracks to learn from.
        choose_by: (n,) the tracks that choose the epoch; None to take the last one.
        epochs: after which it ends at the latest.
        device: what computes.
        current: the state to go on from; None to begin.
        keep: is given the state after each epoch.
        tell: called after each epoch.
        stop: says whether to stop.

    Returns:
        The best network.

    Raises:
        Stopped: `stop` said so.
    """
    network.to(device)
    optimizer = torch.optim.AdamW(network.groups(hyper.rate), weight_decay=_DECAY)
    best: Best | None = None
    done = 0
    if current is not None:
        network.load_state_dict(current.weights)
        optimizer.load_state_dict(current.optimizer)
        best, done = current.best, current.epoch
    sampler = _Sampler(lesson, learn_from, hyper)
    rates = [group["lr"] for group in network.groups(hyper.rate)]
    while done < epochs and (best is None or done - best.epoch < hyper.patience):
        loss = _epoch(network, optimizer, sampler, rates, hyper, (number, done), device, stop)
        if loss is None:
            raise Stopped(current)
        done += 1
        score = None
        if choose_by is not None:
            odds = odds_of(network, lesson, choose_by, device)
            score, held_loss = _average_precision(odds, lesson.truth[choose_by]), _loss(odds, lesson.truth[choose_by])
            if best is None or (round(score, 3), -held_loss) > (round(best.score, 3), -best.loss):
                best = Best(_copy(network.state_dict()), score, held_loss, done)
        current = Current(done, _copy(network.state_dict()), optimizer.state_dict(), best)
        keep(current)
        tell(done, loss, score)
    if choose_by is None or best is None:
        best = Best(_copy(network.state_dict()), math.nan, math.nan, done)
    network.load_state_dict(best.weights)
    return best


def _epoch(
    network: Any,
    optimizer: torch.optim.Optimizer,
    sampler: _Sampler,
    rates: list[float],
    hyper: Hyperparameters,
    at: tuple[int, int],
    device: torch.device,
    stop: Callable[[], bool],
) -> float | None:
    """Learn for one epoch; gives the mean loss, or None if it was stopped."""
    dice = np.random.default_rng([hyper.seed, *at])
    torch.manual_seed(int(dice.integers(2**62)))  # of the dropout
    network.train()
    losses, batches = 0.0, list(sampler.batches(dice))
    for place, (windows, truth) in enumerate(batches):
        if stop():
            return None
        factor = _rate((at[1] + place / len(batches)) / hyper.epochs)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        mel = torch.from_numpy(sampler.lesson.windows.read(windows)).to(device).float()
        wanted = torch.from_numpy(truth.astype(np.float32)).to(device)
        with torch.no_grad():
            mel, wanted = augmented(mel, wanted, dice, sampler.lesson.front_end)
        optimizer.zero_grad(set_to_none=True)
        with _half(device):
            loss = nn.functional.binary_cross_entropy_with_logits(network(mel).float(), wanted)
        loss.backward()
        optimizer.step()
        losses += float(loss.detach())
    return losses / len(batches)


def _rate(done: float) -> float:
    """The learning rate after a share of the run, 0 to 1: it rises, then falls as a cosine does."""
    if done < _WARM:
        return max(done / _WARM, _LEAST_RATE)
    fallen = (done - _WARM) / (1 - _WARM)
    return _LEAST_RATE + (1 - _LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * min(fallen, 1.0)))


def _half(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Mixed precision, on a GPU only: it does not help a CPU. bfloat16 needs no loss scaling."""
    half = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.autocast("cuda", torch.bfloat16) if half else contextlib.nullcontext()


class _Sampler:
    """Draws windows so that rare genres come as often as common ones."""

    def __init__(self, lesson: Lesson, rows: FlagArray, hyper: Hyperparameters) -> None:
        self.lesson, self._hyper = lesson, hyper
        self._tracks = np.flatnonzero(rows & (lesson.places[:, 1] > lesson.places[:, 0]))
        truth = lesson.truth[self._tracks]
        rarity = 1 / np.maximum(truth.sum(axis=0), 1)
        weights = (truth * rarity).max(axis=1)
        self._weights = weights / weights.sum()

    def batches(self, dice: np.random.Generator) -> Iterator[tuple[IndexArray, FlagArray]]:
        """The windows of an epoch, in batches, with the genres of their tracks."""
        count = int(np.clip(len(self._tracks) * self._hyper.each, self._hyper.fewest, self._hyper.most))
        count -= count % self._hyper.batch
        drawn = dice.choice(self._tracks, max(count, self._hyper.batch), p=self._weights)
        first, last = self.lesson.places[drawn].T
        numbers = (first + dice.random(len(drawn)) * (last - first)).astype(np.int64)
        for start in range(0, len(drawn), self._hyper.batch):
            part = slice(start, start + self._hyper.batch)
            yield numbers[part], self.lesson.truth[drawn[part]]


def odds_of(network: Any, lesson: Lesson, rows: FlagArray, device: torch.device) -> DoubleArray:
    """Log-odds of tracks, averaged over their windows: (rows, genres); 0 for a track without."""
    network.eval()
    tracks = np.flatnonzero(rows)
    places = lesson.places[tracks]
    numbers = np.concatenate([np.arange(first, last) for first, last in places] or [np.zeros(0, np.int64)])
    owners = np.repeat(np.arange(len(tracks)), places[:, 1] - places[:, 0])
    sums = np.zeros((len(tracks), lesson.truth.shape[1]))
    with torch.inference_mode():
        for start in range(0, len(numbers), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            mel = torch.from_numpy(lesson.windows.read(numbers[part])).to(device).float()
            np.add.at(sums, owners[part], network(mel).float().cpu().numpy().astype(np.float64))
    means: DoubleArray = sums / np.maximum(places[:, 1] - places[:, 0], 1)[:, None]
    return means


def _average_precision(odds: DoubleArray, truth: FlagArray) -> float:
    """Mean area under precision by recall, over the genres that some but not all tracks have."""
    found = []
    for said, own in zip(odds.T, truth.T, strict=True):
        if own.any():
            hits = own[np.argsort(-said, kind="stable")]
            found.append(float((hits.cumsum() / np.arange(1, len(hits) + 1))[hits].mean()))
    return float(np.mean(found)) if found else 0.0


def _loss(odds: DoubleArray, truth: FlagArray) -> float:
    return float((np.logaddexp(0, odds) - odds * truth).mean())


def _copy(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: values.detach().cpu().clone() for name, values in weights.items()}
