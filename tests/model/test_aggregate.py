from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from genretagger.model.listener import track_activations
from genretagger.model.said import Said, kept
from genretagger.types import HalfArray, Window

HALVES = arrays.arrays(
    np.float16,
    st.tuples(st.integers(1, 40), st.integers(1, 12)),
    elements=st.floats(0, 1, width=16),
)


def test_the_mean_of_each_label_over_the_windows() -> None:
    values = np.array([[0.0, 0.25, 1.0], [0.5, 0.25, 0.0]], np.float16)
    result = track_activations(values)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, [0.25, 0.25, 0.5])


@given(HALVES)
@settings(deadline=None)
def test_it_lies_between_the_quietest_and_the_loudest_window(values: HalfArray) -> None:
    result = track_activations(values)
    assert result.shape == values.shape[1:]
    assert (result >= values.min(axis=0) - 1e-6).all()
    assert (result <= values.max(axis=0) + 1e-6).all()


@given(HALVES)
@settings(deadline=None)
def test_it_depends_on_nothing_but_the_values(values: HalfArray) -> None:
    stored = np.frombuffer(values.tobytes(), np.float16).reshape(values.shape)  # as the database gives them back
    assert track_activations(stored).tobytes() == track_activations(values).tobytes()


def test_many_windows_lose_no_precision() -> None:
    values = np.full((1200, 1), 0.1, np.float16)  # an hour; a sum in float16 would stop at 64
    assert track_activations(values)[0] == pytest.approx(float(np.float16(0.1)), rel=1e-5)


def test_no_window() -> None:
    with pytest.raises(ValueError, match="without windows"):
        track_activations(np.zeros((0, 50), np.float16))


def test_what_is_kept_is_kept_again_as_it_is() -> None:
    """What is stored is what was decided on, however often it is read and written."""
    dice = np.random.default_rng(8)
    heard = (10 ** dice.uniform(-7, 0, (16, 100))).astype(np.float32)
    said = dice.standard_normal(150).astype(np.float32) * np.repeat(np.array([1, 100, 0.01], np.float32), 50)
    values, embedding = kept(heard, said)
    assert np.abs(values.astype(np.float32) - heard).max() < 0.005
    assert (np.abs(values.astype(np.float32) - heard) <= np.maximum(heard / 128, 2.0**-16)).all()
    assert (kept(values.astype(np.float32), embedding)[0] == values).all()
    for start in range(0, 150, 64):  # what is small beside its neighbours loses digits
        block = slice(start, start + 64)
        assert np.abs(embedding - said)[block].max() <= np.abs(said[block]).max() / 128
    assert (embedding.astype(np.float16) == embedding).all(), "half precision holds it"
    assert kept(heard, np.zeros(0, np.float32))[1].shape == (0,)
    huge = np.array([1e6, -3.0, 0.0], np.float32)  # beyond half precision
    assert kept(heard, huge)[1] == pytest.approx([1e6, 0, 0], abs=1e4)


def test_of_a_track_the_mean_of_its_windows_is_kept() -> None:
    dice = np.random.default_rng(9)
    windows = tuple(Window(3.0 * number, 3.0) for number in range(4))
    values = dice.uniform(0, 1, (4, 600)).astype(np.float32)
    said = Said(windows, values, dice.standard_normal((4, 200)).astype(np.float32), "CPU").activations
    assert said.values.shape == (1, 600)
    assert said.windows == 4
    assert track_activations(said.values) == pytest.approx(values.mean(axis=0), rel=1 / 128)
