"""Damaged copies of a file: bytes flipped, inserted, deleted, the end cut off. The number decides.

Tags lie at the start and at the end, so most of the damage goes there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_EDGE_BYTES = 4096
_MOST_BYTES = 64


def mutant(data: bytes, number: int) -> bytes:
    """One damaged copy.

    Args:
        data: the sound file.
        number: which copy; the same number always gives the same one.
    """
    random = np.random.default_rng([number, len(data)])
    damaged = bytearray(data)
    for _ in range(int(random.choice((1, 1, 1, 2, 4)))):
        if damaged:
            _KINDS[int(random.choice(len(_KINDS), p=_SHARES))](damaged, random)
    return bytes(damaged)


def _place(damaged: bytearray, random: np.random.Generator) -> int:
    size, where = len(damaged), random.random()
    edge = min(size, _EDGE_BYTES if random.random() < 0.5 else _EDGE_BYTES // 16)
    if where < 0.6:
        return int(random.integers(edge))
    return size - 1 - int(random.integers(edge)) if where < 0.85 else int(random.integers(size))


def _flip(damaged: bytearray, random: np.random.Generator) -> None:
    for _ in range(int(random.integers(1, 5))):
        damaged[_place(damaged, random)] = int(random.choice((0, 1, 0x7F, 0x80, 0xFF, int(random.integers(256)))))


def _insert(damaged: bytearray, random: np.random.Generator) -> None:
    length, place = int(random.integers(1, _MOST_BYTES)), _place(damaged, random)
    damaged[place:place] = bytes(length) if random.random() < 0.3 else random.bytes(length)


def _delete(damaged: bytearray, random: np.random.Generator) -> None:
    place = _place(damaged, random)
    del damaged[place : place + int(random.integers(1, _MOST_BYTES))]


def _cut(damaged: bytearray, random: np.random.Generator) -> None:
    del damaged[_place(damaged, random) :]


_KINDS: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (_flip, _insert, _delete, _cut)
_SHARES = (0.55, 0.18, 0.18, 0.09)
