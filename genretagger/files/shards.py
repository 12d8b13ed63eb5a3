"""Splits a long list among machines that do not know each other: by a hash, equal everywhere."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


def bucket(name: bytes, count: int) -> int:
    """Which of some buckets a name falls into, from 0; the same on every machine."""
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest()) % count


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several shares.

    Attributes:
        number: which, from 1.
        count: of how many.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Understand `3/16`.

        Raises:
            ValueError: it is something else.
        """
        number, _, count = text.partition("/")
        if not (number.isascii() and number.isdigit() and count.isascii() and count.isdigit()):
            raise ValueError(f"{text!r} is not a share: write the third of sixteen as 3/16")
        if not 1 <= int(number) <= int(count) <= 1 << 20:
            raise ValueError(f"{text!r} is not a share: the first is 1/{count}, the last {count}/{count}")
        return cls(int(number), int(count))

    def __contains__(self, name: bytes) -> bool:
        return bucket(name, self.count) == self.number - 1
