"""What survives a kill: a training's state after each epoch, in one file that is replaced whole.

Contents: `TrainingState`, `StateFile`.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from genretagger.errors import ConfigError
from genretagger.files.durable import save

_FORMAT = 1

WeightsByName = dict[str, torch.Tensor]


@dataclass(slots=True)
class Best:
    """The best network of a run so far: weights, score on tracks it did not learn from, epoch."""

    weights: WeightsByName
    score: float
    loss: float
    epoch: int


@dataclass(slots=True)
class Current:
    """A run that is under way, after an epoch.

    Attributes:
        epoch: how many epochs are done.
        weights: of the network.
        optimizer: its state.
        best: so far; None before the first epoch, and if nothing is held out.
    """

    epoch: int
    weights: WeightsByName
    optimizer: dict[str, Any]
    best: Best | None


@dataclass(slots=True)
class EndedRun:
    """A run that has ended.

    Attributes:
        best: its network.
        odds: (tracks, genres) of the tracks of the fold that it was tested on, and of those that
            chose the epoch.
    """

    best: Best
    odds: dict[str, torch.Tensor]


@dataclass(slots=True)
class TrainingState:
    """A training.

    Attributes:
        ended: the runs that have ended, in order.
        current: the one that is under way; None between two.
        seconds: spent so far.
    """

    ended: list[EndedRun] = field(default_factory=list)
    current: Current | None = None
    seconds: float = 0.0


class StateFile:
    """Where a state is kept.

    Args:
        folder: of the training.
        key: names what is learned from what, and how; a state with another key is ignored.
        name: of the file, without its suffix.
    """

    def __init__(self, folder: Path, key: str, name: str) -> None:
        self._path, self._key = folder / f"{name}.pt", key

    def load(self) -> TrainingState | None:
        """The state after the last epoch; None if there is none of this training."""
        try:
            kept = torch.load(self._path, map_location="cpu", weights_only=True)
            if (kept["format"], kept["key"]) != (_FORMAT, self._key):
                return None
            return _state(kept["state"])
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError):
            return None

    def save(self, state: TrainingState) -> None:
        """Replace what is kept.

        Raises:
            ConfigError: the disk does not take it.
        """
        content = io.BytesIO()
        torch.save({"format": _FORMAT, "key": self._key, "state": asdict(state)}, content)
        try:
            save(self._path, content.getvalue())
        except OSError as error:
            cause = f"the state of the training cannot be kept: {error.strerror or error}"
            raise ConfigError(cause, path=self._path, hint="Free some space, and go on with --resume") from error


def _state(kept: dict[str, Any]) -> TrainingState:
    current = kept["current"]
    return TrainingState(
        ended=[EndedRun(Best(**each["best"]), each["odds"]) for each in kept["ended"]],
        current=None
        if current is None
        else Current(
            current["epoch"], current["weights"], current["optimizer"],
            None if current["best"] is None else Best(**current["best"]),
        ),
        seconds=kept["seconds"],
    )  # fmt: skip
