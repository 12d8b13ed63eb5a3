"""Reads the tensors of a TensorFlow checkpoint without TensorFlow.

A checkpoint (TensorFlow calls the format TensorBundle) is a pair of files. `.index` is a LevelDB
table: sorted blocks of key and value, found through an index block, found through the footer. Each
key is a variable's name, each value a protobuf message `BundleEntryProto` that says where the
tensor is in `.data-00000-of-00001`, which is the raw little-endian numbers and nothing else.

The bytes are untrusted: every length is checked against what is really there before anything is
sliced, so a truncated or hostile file ends in a `ModelError`, and no allocation is larger than the
two files together. The format's own crc32c sums are not verified: the package's SHA-256 has already
vouched for every byte, and the converted model is checked by its results. In pure Python they would
cost seconds, for the same promise twice.

Format: tensorflow/core/util/tensor_bundle and tensorflow/core/protobuf/tensor_bundle.proto of
TensorFlow, and doc/table_format.md of LevelDB.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from genretagger.errors import ModelError
from genretagger.types import FloatArray

_MAGIC = 0xDB4775248B80FB57
_FOOTER_BYTES = 48
_MAX_ENTRIES = 10_000
_MAX_DIMENSIONS = 8
_MAX_TEXT_BYTES = 4096  # of a name, and of what is said of it; keys share prefixes, so a small file may hold huge ones
_FLOAT32 = 1  # DataType.DT_FLOAT


@dataclass(frozen=True, slots=True)
class _TensorPlace:
    """Where one tensor is in the data file."""

    dtype: int
    shape: tuple[int, ...]
    offset: int
    size_bytes: int


class Checkpoint:
    """The tensors of one checkpoint, by variable name.

    Args:
        index: content of the `.index` file.
        data: content of the only `.data-00000-of-00001` file.

    Raises:
        ModelError: the index is truncated, damaged, compressed or of another format.
    """

    def __init__(self, index: bytes, data: bytes) -> None:
        self._data = data
        self._entries = {key.decode("utf-8", "replace"): _entry(value) for key, value in _table(index) if key}

    @property
    def names(self) -> frozenset[str]:
        """Names of all variables, the optimizer's among them."""
        return frozenset(self._entries)

    def tensor(self, name: str, shape: tuple[int, ...]) -> FloatArray:
        """Give one variable as a read-only view of the data file.

        Args:
            name: the variable, such as "conv2d_1/kernel".
            shape: the shape that it must have.

        Raises:
            ModelError: there is no such variable, its type or shape is another, or the data file
                ends before it does.
        """
        entry = self._entries.get(name)
        if entry is None:
            raise _damaged(f"it has no variable {name}")
        if entry.dtype != _FLOAT32 or entry.shape != shape:
            raise _damaged(f"variable {name} has shape {entry.shape} where {shape} float32 was expected")
        count = math.prod(shape)
        if entry.size_bytes != count * 4 or entry.offset + entry.size_bytes > len(self._data):
            raise _damaged(f"variable {name} is beyond the end of the data")
        return np.frombuffer(self._data, dtype="<f4", count=count, offset=entry.offset).reshape(shape)


def _damaged(cause: str) -> ModelError:
    return ModelError(
        f"The checkpoint cannot be read: {cause}", hint="Fetch the model again: `genretagger models pull --force`"
    )


def _table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Walk the key-value pairs of a LevelDB table."""
    if len(content) < _FOOTER_BYTES or int.from_bytes(content[-8:], "little") != _MAGIC:
        raise _damaged("its index is truncated or of another format")
    footer = content[-_FOOTER_BYTES:-8]
    at = 0
    handle = []  # offset and size of the meta index, then of the index
    for _ in range(4):
        number, at = _varint(footer, at)
        handle.append(number)
    entries = 0
    for _, pointer in _block(content, handle[2], handle[3]):
        offset, at = _varint(pointer, 0)
        size, at = _varint(pointer, at)
        for pair in _block(content, offset, size):
            entries += 1
            if entries > _MAX_ENTRIES:  # a hostile index may point at the same block forever
                raise _damaged("its index names too many variables")
            yield pair


def _block(content: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Walk the key-value pairs of one block; a key omits what it shares with the key before."""
    if size < 4 or offset + size + 1 > len(content):
        raise _damaged("a block is beyond the end of its index")
    if content[offset + size] != 0:
        raise _damaged("its index is compressed, which TensorFlow never does")
    block = content[offset : offset + size]
    restarts = int.from_bytes(block[-4:], "little")
    end = size - 4 - 4 * restarts
    if end < 0:
        raise _damaged("a block of its index is inconsistent")
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or at + own + length > end or max(shared + own, length) > _MAX_TEXT_BYTES:
            raise _damaged("an entry of its index is inconsistent")
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + length]
        at += own + length


def _entry(value: bytes) -> _TensorPlace:
    """Parse a BundleEntryProto."""
    numbers = {1: 0, 3: 0, 4: 0, 5: 0}  # dtype, shard_id, offset, size
    shape: tuple[int, ...] = ()
    for tag, content in _message(value):
        if tag in numbers and isinstance(content, int):
            numbers[tag] = content
        elif tag == 2 and isinstance(content, bytes):
            shape = tuple(_dimension(part) for name, part in _message(content) if name == 2)
    if numbers[3] != 0:
        raise _damaged("it is spread over several data files")
    if len(shape) > _MAX_DIMENSIONS:
        raise _damaged("a variable has too many dimensions")
    return _TensorPlace(numbers[1], shape, numbers[4], numbers[5])


def _dimension(content: bytes | int) -> int:
    """Parse the size out of a TensorShapeProto.Dim."""
    size = 0
    if isinstance(content, bytes):
        for tag, number in _message(content):
            if tag == 1 and isinstance(number, int):
                size = number
    return size


def _message(content: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Walk the fields of a protobuf message: field number and its value."""
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        kind = tag & 7
        if kind == 0:
            number, at = _varint(content, at)
            yield tag >> 3, number
            continue
        if kind == 2:
            size, at = _varint(content, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise _damaged("an entry of its index is not a protobuf message")
        if at + size > len(content):
            raise _damaged("an entry of its index is truncated")
        yield tag >> 3, content[at : at + size]
        at += size


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """Read a number of 7 bits a byte; gives it and the place after it."""
    number = 0
    for shift in range(0, 64, 7):
        if at >= len(content):
            raise _damaged("its index is truncated")
        byte = content[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise _damaged("a number in its index is too long")
