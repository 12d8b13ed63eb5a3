"""How many windows an accelerator takes at once: measured on its first start, and remembered.

The number is in `batch.json` beside the model, by provider, version of ONNX Runtime and name of
the device. It stays the same from then on: the last bits of a result depend on it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from genretagger.files.durable import save
from genretagger.strict import read

NAME = "batch.json"
_CLEARLY = 0.95
"""A larger batch costs memory and delays tracks: it must need less than this share of the time."""

_MOST_BYTES = 1 << 16
_NVIDIA = Path("/proc/driver/nvidia/gpus")


def batch_for(folder: Path, key: str, sizes: Sequence[int], seconds: Callable[[int], float]) -> int:
    """Give the batch size for a device: what was remembered, or else what is measured now.

    Args:
        folder: the model's.
        key: names the provider and the device.
        sizes: that may be chosen, the smallest first.
        seconds: runs a batch of some size, and says how long it took.
    """
    remembered = _read(folder / NAME)
    if (size := remembered.get(key, 0)) in sizes:
        return size
    size = fastest(sizes, seconds)
    _write(folder / NAME, {**remembered, key: size})
    return size


def fastest(sizes: Sequence[int], seconds: Callable[[int], float]) -> int:
    """The size that takes the least time for a window.

    Args:
        sizes: to try, the smallest first.
        seconds: as of `batch_for`. The first run of each size, in which libraries choose their
            ways, does not count.
    """
    best, best_s = sizes[0], float("inf")
    for size in sizes:
        seconds(size)
        each_s = min(seconds(size), seconds(size)) / size
        if each_s < best_s * (_CLEARLY if best_s < float("inf") else 1):
            best, best_s = size, each_s
    return best


def device_name() -> str:
    """What the system calls its graphics cards; empty if it does not say."""
    names = []
    with contextlib.suppress(OSError):
        for card in sorted(_NVIDIA.iterdir()):
            lines = (card / "information").read_text("utf-8", "replace").splitlines()
            names += [line.partition(":")[2].strip() for line in lines if line.startswith("Model")]
    return ", ".join(names)


def _read(path: Path) -> dict[str, int]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            return {}
        return read(dict[str, int], json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return {}


def _write(path: Path, sizes: dict[str, int]) -> None:
    """Remember; a folder that may not be written costs a second at each start."""
    with contextlib.suppress(OSError):
        save(path, json.dumps(sizes, indent=1).encode())
