"""Summary statistics of streamed values against numpy's of the whole array."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from service_process import npy

from wdist.errors import SampleError
from wdist_service.sample_sets.npy import read_header
from wdist_service.sample_sets.statistics import Statistics

SHAPES = [(1, 1), (7, 3), (1000, 64), (70_001, 3), (513, 300), (2000, 256), (50, 9, 9, 3)]
TYPES = ["f4", "f8", "u1", "i1", "i8", "f2", ">f4", "b1", "u2"]


def stream(array: np.ndarray, pieces: list[int]) -> Statistics:
    """Statistics of an array that comes in pieces of these sizes, again and again."""
    body = npy(array)
    header = read_header(body[:4096])
    assert header is not None
    statistics, at, turn = Statistics(header), header.offset, 0
    while at < len(body):
        statistics.update(body[at : at + pieces[turn % len(pieces)]])
        at += pieces[turn % len(pieces)]
        turn += 1
    statistics.end()
    return statistics


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", TYPES)
def test_figures_are_numpy_s(shape: tuple[int, ...], dtype: str) -> None:
    generator = np.random.default_rng(math.prod(shape))
    low = 0 if dtype[0] in "ub" else -100
    for array in (
        np.asarray((generator.normal(size=shape) * 30 + 50).clip(low, 120).astype(dtype), order=o) for o in "CF"
    ):
        found, exact = stream(array, [1, 300_000, 4097]).to_json(), array.astype(np.float64)
        assert (found["min"], found["max"]) == (exact.min(), exact.max())
        assert found["constant"] == bool((exact == exact[:1]).all())
        # Sums in float64 of up to 200,000 values of one size: 1e-16 times a few hundred roundings a block.
        np.testing.assert_allclose([found["mean"], found["std"]], [exact.mean(), exact.std()], rtol=1e-12, atol=1e-12)
        for name, expected in (("mean", exact.mean(0)), ("std", exact.std(0)), ("min", exact.min(0))):
            if found["columns"] is not None:
                given_ = [column[name] for column in found["columns"]]
                np.testing.assert_allclose(given_, expected, rtol=1e-10, atol=1e-12)
    assert (stream(np.ones(shape, dtype), [999]).to_json()["std"]) == 0


def test_data_far_from_zero_keeps_its_deviation() -> None:
    array = 1e9 + np.random.default_rng(1).normal(size=(40_000, 2))
    found = stream(array, [65_537]).to_json()["columns"]
    # float64 holds 1e9 + x to 1e-7: that is what numpy's own figure is worth.
    np.testing.assert_allclose([column["std"] for column in found], array.std(0), rtol=1e-9)


@given(at=st.integers(0, 2999), value=st.sampled_from([np.nan, np.inf, -np.inf, 1e39]), piece=st.integers(1, 5000))
def test_an_unusable_value_is_named(at: int, value: float, piece: int) -> None:
    array = np.zeros((1000, 3))
    array[at // 3, at % 3] = value
    with pytest.raises(SampleError, match=f"in row {at // 3}, column {at % 3} is"):
        stream(array, [piece])


def test_values_in_column_order_are_named_too() -> None:
    array = np.zeros((700, 5), order="F")
    array[650, 3] = np.nan
    assert b"'fortran_order': True" in npy(array)[:128]
    with pytest.raises(SampleError, match="in row 650, column 3 is"):
        stream(array, [10_000])
    assert np.load(io.BytesIO(npy(array))).flags.f_contiguous
