"""The windows of all tracks in one file on disk, as float16: a library would fill the memory.

A window of musicnn's front end takes 36 kB. If all windows together would be larger than the bound,
each track gets fewer of them. The file is a cache: it is removed when the training has ended.

Contents: `WindowFile`, `count_each`, `key_of`, `clear`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np

from genretagger.errors import ConfigError
from genretagger.files.durable import save
from genretagger.strict import read
from genretagger.types import FloatArray, HalfArray, IndexArray

MOST_EACH = 16
"""Windows of a track; more of them sound alike."""
_HALF_BYTES = 2
_SPARE = 0.5
"""The share of the free space that is left to others."""
_DATA, _INDEX = "windows.f16", "windows.json"


def count_each(tracks: int, shape: Sequence[int], folder: Path, bound_mb: int) -> int:
    """How many windows each track can have.

    Args:
        tracks: how many there are.
        shape: of a window.
        folder: where the file will be; its disk must have room.
        bound_mb: the most megabytes of the file.

    Raises:
        ConfigError: not even one window of each track fits.
    """
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise ConfigError(f"the folder cannot be used: {error.strerror or error}", path=folder) from error
    room = min(bound_mb * 10**6, int(free * (1 - _SPARE)))
    each = room // max(1, tracks * _HALF_BYTES * math.prod(shape))
    if each < 1:
        needed = -(-tracks * _HALF_BYTES * math.prod(shape) // 10**6)
        raise ConfigError(
            f"{tracks:,} tracks need at least {needed:,} MB on the disk, and {room // 10**6:,} MB may be used",
            path=folder,
            hint="Free some space, raise --cache-mb, or name less music",
        )
    return min(each, MOST_EACH)


def key_of(tracks: Iterable[str], each: int) -> str:
    """Names what a file holds: the windows of these tracks, so many of each."""
    return hashlib.sha256(json.dumps([sorted(tracks), each]).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _WindowIndex:
    """What is noted beside the windows.

    Attributes:
        key: names what they were made of.
        shape: of a window.
        places: the first window of each track, and the end of its last.
        count: how many windows there are.
    """

    key: str
    shape: tuple[int, ...]
    places: dict[str, tuple[int, int]]
    count: int


class WindowFile:
    """The windows of tracks, in the order in which the tracks came.

    Args:
        folder: where the file is.
        shape: of a window.
    """

    def __init__(self, folder: Path, shape: Sequence[int]) -> None:
        self._folder, self._shape = folder, tuple(shape)
        self._places: dict[str, tuple[int, int]] = {}
        self._count = 0
        self._mapped: HalfArray | None = None

    @classmethod
    def found(cls, folder: Path, shape: Sequence[int], key: str) -> Self | None:
        """The file of an interrupted training, if it is complete and of the same key; else None."""
        try:
            index = read(_WindowIndex, json.loads((folder / _INDEX).read_text("ascii")), exact=True)
            if index.key != key or index.shape != tuple(shape):
                return None
            if not all(0 <= start <= end <= index.count for start, end in index.places.values()):
                return None
            file = cls(folder, shape)
            file._places, file._count = index.places, index.count
            if (folder / _DATA).stat().st_size != file._count * math.prod(shape) * _HALF_BYTES:
                return None
            file._mapped = np.memmap(folder / _DATA, np.float16, mode="r", shape=(file._count, *shape))
        except (OSError, ValueError, RecursionError):
            return None
        return file

    def add(self, name: str, windows: FloatArray) -> None:
        """Append the windows of a track, (windows, *shape).

        Raises:
            ConfigError: the disk does not take them.
        """
        if self._mapped is not None:
            raise ValueError("the file is complete")
        limit = float(np.finfo(np.float16).max)
        try:
            with (self._folder / _DATA).open("ab" if self._count else "wb") as file:
                file.write(np.clip(windows, -limit, limit).astype(np.float16).tobytes())
        except OSError as error:
            cause = f"the decoded windows cannot be kept: {error.strerror or error}"
            raise ConfigError(cause, path=self._folder, hint="Free some space, or lower --cache-mb") from error
        self._places[name] = (self._count, self._count + len(windows))
        self._count += len(windows)

    def finish(self, key: str) -> None:
        """Say that all tracks are there; the file can be read from now on.

        Args:
            key: names what the windows were made of.

        Raises:
            ConfigError: the disk does not take it.
        """
        index = _WindowIndex(key, self._shape, self._places, self._count)
        try:
            save(self._folder / _INDEX, json.dumps(asdict(index)).encode("ascii"))
            self._mapped = np.memmap(self._folder / _DATA, np.float16, mode="r", shape=(self._count, *self._shape))
        except OSError as error:
            cause = f"the decoded windows cannot be kept: {error.strerror or error}"
            raise ConfigError(cause, path=self._folder, hint="Free some space") from error

    def places(self, names: Sequence[str]) -> IndexArray:
        """The first window of each track and the end of its last: (tracks, 2); equal if none."""
        return np.array([self._places.get(name, (0, 0)) for name in names], np.int64).reshape(-1, 2)

    def read(self, numbers: IndexArray) -> HalfArray:
        """Some windows, (n, *shape) float16."""
        if self._mapped is None:
            raise ValueError("the file is not complete yet")
        return np.stack([self._mapped[number] for number in numbers])

    @property
    def size_bytes(self) -> int:
        """How large the file is."""
        return self._count * math.prod(self._shape) * _HALF_BYTES

    def close(self) -> None:
        """Let go of the file, so that it can be removed."""
        self._mapped = None


def clear(folder: Path) -> None:
    """Remove what a training kept on the disk."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)
