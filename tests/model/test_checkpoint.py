from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from genretagger.errors import ModelError
from genretagger.model.checkpoint import Checkpoint

FOLDER = "musicnn/MSD_musicnn"


@pytest.fixture(scope="module")
def index(published: Callable[[str], bytes]) -> bytes:
    return published(f"{FOLDER}/.index")


@pytest.fixture(scope="module")
def data(published: Callable[[str], bytes]) -> bytes:
    return published(f"{FOLDER}/.data-00000-of-00001")


def test_reads_the_published_tensors(index: bytes, data: bytes) -> None:
    checkpoint = Checkpoint(index, data)
    assert "conv2d_7/kernel" in checkpoint.names
    variance = checkpoint.tensor("batch_normalization_9/moving_variance", (1506,))
    assert (variance > 0).all()  # holds for a variance, and for hardly any other stretch of the file
    assert np.isfinite(checkpoint.tensor("conv2d/kernel", (7, 38, 1, 204))).all()
    published = {name for name in checkpoint.names if "Adam" not in name}
    assert len(published) == 66  # 10 layers of kernel and bias, 11 normalizations of four, the optimizer's two powers


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        pytest.param("conv2d/kernel", (7, 38, 204, 1), id="another shape"),
        pytest.param("conv2d/kernels", (7, 38, 1, 204), id="another name"),
    ],
)
def test_an_unexpected_tensor_is_refused(index: bytes, data: bytes, name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError):
        Checkpoint(index, data).tensor(name, shape)


def test_data_that_ends_too_early_is_refused(index: bytes, data: bytes) -> None:
    with pytest.raises(ModelError, match="beyond the end"):
        Checkpoint(index, data[:1000]).tensor("dense_1/kernel", (200, 50))


def test_every_truncation_is_refused(index: bytes) -> None:
    for length in range(0, len(index), 5):
        with pytest.raises(ModelError):
            Checkpoint(index[:length], b"")


def test_damage_is_refused_or_harmless(index: bytes) -> None:
    """Random damage may hit padding or an unused number; otherwise it ends in a ModelError."""
    dice = random.Random(20)
    refused = 0
    for _ in range(400):
        broken = bytearray(index)
        for _ in range(dice.choice((1, 3, 30))):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        try:
            checkpoint = Checkpoint(bytes(broken), b"\0" * 1000)
            for name in list(checkpoint.names)[:50]:
                checkpoint.tensor(name, (204,))
        except ModelError:
            refused += 1
    assert refused > 50


def varint(number: int) -> bytes:
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def block(*pairs: tuple[bytes, bytes], shared: int = 0) -> bytes:
    body = b"".join(
        varint(shared if position else 0) + varint(len(key)) + varint(len(value)) + key + value
        for position, (key, value) in enumerate(pairs)
    )
    return body + (0).to_bytes(4, "little") + (1).to_bytes(4, "little")


def table(data_block: bytes, pointers: int = 1) -> bytes:
    """A LevelDB table whose index points at the same block again and again."""
    handle = varint(0) + varint(len(data_block))
    index = block(*[(b"k", handle)] * pointers)
    start = len(data_block) + 5
    footer = (varint(0) + varint(0) + varint(start) + varint(len(index))).ljust(40, b"\0")
    return data_block + b"\0" * 5 + index + b"\0" * 5 + footer + (0xDB4775248B80FB57).to_bytes(8, "little")


def entry(dtype: int = 1, sizes: tuple[int, ...] = (2,), shard: int = 0, offset: int = 0, size: int = 8) -> bytes:
    shape = b"".join(b"\x12" + varint(len(part)) + part for part in (b"\x08" + varint(n) for n in sizes))
    return (
        b"\x08" + varint(dtype) + b"\x12" + varint(len(shape)) + shape
        + b"\x18" + varint(shard) + b"\x20" + varint(offset) + b"\x28" + varint(size)
    )  # fmt: skip


def test_a_table_made_by_hand_reads_as_written() -> None:
    checkpoint = Checkpoint(table(block((b"", b""), (b"v", entry()))), np.array([1, 2], "<f4").tobytes())
    assert checkpoint.tensor("v", (2,)).tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(entry(dtype=2), id="doubles"),
        pytest.param(entry(size=4), id="fewer bytes than its shape needs"),
        pytest.param(entry(offset=4), id="beyond the end"),
        pytest.param(entry(offset=2**62), id="far beyond the end"),
        pytest.param(entry(sizes=(2**40, 2**40)), id="a shape of yottabytes"),
        pytest.param(entry(sizes=(1,) * 200), id="two hundred dimensions"),
        pytest.param(entry(shard=1), id="in another file"),
        pytest.param(b"\xff" * 40, id="a number without end"),
        pytest.param(b"\x0b\x08", id="not a protobuf"),
    ],
)
def test_a_hostile_entry_is_refused(value: bytes) -> None:
    with pytest.raises(ModelError):
        Checkpoint(table(block((b"v", value))), b"\0" * 8).tensor("v", (2,))


def test_a_small_table_cannot_name_millions_of_variables() -> None:
    many = block(*[(b"v", entry())] * 1000)
    with pytest.raises(ModelError, match="too many"):
        Checkpoint(table(many, pointers=5000), b"\0" * 8)


def test_keys_cannot_grow_without_end() -> None:
    """Each key repeats the one before and adds to it: a file of n bytes could name n² of them."""
    body = b""
    length = 0
    for _ in range(200):
        body += varint(length) + varint(100) + varint(0) + b"k" * 100
        length += 100
    with pytest.raises(ModelError):
        Checkpoint(table(body + (0).to_bytes(8, "little")), b"")


def test_a_compressed_block_is_refused() -> None:
    good = bytearray(table(block((b"v", entry()))))
    good[len(block((b"v", entry())))] = 1
    with pytest.raises(ModelError, match="compressed"):
        Checkpoint(bytes(good), b"\0" * 8)
