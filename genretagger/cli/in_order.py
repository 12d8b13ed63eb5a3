"""Gives results in the order in which their files were found, although they end in any order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


class InOrder(Generic[T]):
    """Holds results back until those before them are there."""

    def __init__(self, order: Iterable[Path]) -> None:
        self._order = iter(order)
        self._next: Path | None = next(self._order, None)
        self._waiting: dict[Path, T | None] = {}

    def end(self, path: Path, result: T | None) -> Iterator[T]:
        """Take the result of a file, and give all that can be given now.

        Args:
            result: what to give for it; None for nothing.
        """
        self._waiting[path] = result
        while self._next is not None and self._next in self._waiting:
            ready = self._waiting.pop(self._next)
            self._next = next(self._order, None)
            if ready is not None:
                yield ready

    def rest(self) -> Iterator[T]:
        """What still waits for others, when no more will come."""
        waiting, self._waiting = self._waiting, {}
        yield from (result for result in waiting.values() if result is not None)
