"""assert_same_distribution, and frames of the real pandas and polars."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from wdist import estimate_w1
from wdist.errors import OptionError, SampleError
from wdist.testing import assert_same_distribution

QUICK = {"critic": "affine", "steps": 1, "baseline_rows": 0}


def normal(seed: int, shift: float = 0.0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(2000, 3))
    rows[:, 0] += shift
    return rows.astype(np.float32)


def test_equal_populations_pass_and_the_result_is_returned() -> None:
    result = assert_same_distribution(normal(1), normal(2), **QUICK)
    assert result.lower_bound == 0
    assert result.confidence == 0.99


def test_a_shift_fails_in_words() -> None:
    with pytest.raises(
        AssertionError, match=r"(?s)week 12.*differ: W1 is at least 0\.\d+ with confidence 0\.99.*p_value"
    ):
        assert_same_distribution(normal(1), normal(2, shift=1.0), message="week 12", **QUICK)


def test_a_tolerance_above_the_truth_passes() -> None:
    # W1 of the shift is 1: the bound exceeds 1 in at most 1 % of runs, and it is far above 0.1.
    assert assert_same_distribution(normal(1), normal(2, shift=1.0), tolerance=1.0, **QUICK).lower_bound > 0.1
    with pytest.raises(AssertionError, match=r"tolerance of 0\.1"):
        assert_same_distribution(normal(1), normal(2, shift=1.0), tolerance=0.1, **QUICK)


@pytest.mark.parametrize("tolerance", [-1.0, float("nan"), float("inf")])
def test_a_tolerance_is_a_distance(tolerance: float) -> None:
    with pytest.raises(OptionError, match="tolerance"):
        assert_same_distribution(normal(1), normal(2), tolerance=tolerance, **QUICK)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames_are_their_values(frame: type) -> None:
    x, y = normal(1), normal(2, shift=1.0)
    columns = ["carat", "depth", "price"]
    plain = estimate_w1(x, y, **QUICK)
    framed = estimate_w1(
        frame(dict(zip(columns, x.T, strict=True))), frame(dict(zip(columns, y.T, strict=True))), **QUICK
    )
    assert (framed.value, framed.lower_bound) == (plain.value, plain.lower_bound)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_a_column_of_words_is_named(frame: type) -> None:
    words = frame({"carat": [0.5] * 200, "cut": ["Ideal"] * 200})
    with pytest.raises(SampleError, match="column 'cut' holds text: declare it with categories"):
        estimate_w1(words, words, **QUICK)
