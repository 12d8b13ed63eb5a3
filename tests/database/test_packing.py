"""Arrays in their stored form."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from genretagger.database.packing import packed, unpacked

DICE = np.random.default_rng(3)
CASES: dict[str, npt.NDArray[Any]] = {
    "activations": (DICE.random((16, 621)) ** 6).astype(np.float16),
    "one window": DICE.random((1, 50)).astype(np.float16),
    "no label": np.zeros((4, 0), np.float16),
    "embedding": DICE.standard_normal(1424).astype(np.float32),
    "half an embedding": DICE.standard_normal(401).astype(np.float16),
    "extremes": np.array([np.inf, -0.0, 6e-8, 65504], np.float16),
    "big-endian": DICE.random((3, 5)).astype(">f4"),
}


@pytest.mark.parametrize("values", CASES.values(), ids=CASES)
def test_what_is_packed_comes_back_bit_for_bit(values: npt.NDArray[Any]) -> None:
    stored = packed(values)
    assert len(stored) % 2
    shape = values.shape if values.ndim == 2 else None
    back = unpacked(stored, shape=shape, plain="<f4")
    assert back is not None
    assert back.shape == values.shape
    assert back.tobytes() == values.astype(values.dtype.newbyteorder("<")).tobytes()


def test_what_earlier_versions_stored_is_read() -> None:
    values = CASES["activations"]
    back = unpacked(values.astype("<f2").tobytes(), shape=values.shape, plain="<f2")
    assert back is not None
    assert (back == values).all()


@pytest.mark.parametrize(
    "damaged",
    [b"", b"\x02", b"\x02zzz!", packed(CASES["activations"])[:-2], packed(CASES["one window"]), b"\x00" * 99],
    ids=["nothing", "no data", "no zlib", "cut off", "another shape", "zeros"],
)
def test_bytes_that_hold_no_such_array_give_none(damaged: bytes) -> None:
    assert unpacked(damaged, shape=(16, 621), plain="<f2") is None


def test_sparse_activations_take_a_fraction() -> None:
    values = (np.maximum(DICE.random((16, 621)) - 0.9, 0)).astype(np.float16)
    assert len(packed(values)) < values.nbytes / 3
