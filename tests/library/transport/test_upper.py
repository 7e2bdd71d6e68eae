"""The upper bound stays above the truth as often as it says, and refuses diameters that the data contradict."""

import numpy as np
import pytest
from scipy import stats

from wdist import estimate_w1
from wdist.data.samples import open_samples
from wdist.errors import OptionError, SampleError
from wdist.transport.upper import diameter_from_ranges, upper_bound


def bound(x: np.ndarray, y: np.ndarray, alpha: float = 0.1, diameter: float = 2.0, **options: int) -> float:
    return upper_bound(open_samples(x, "source"), open_samples(y, "target"), alpha, diameter, **options).value


def test_violated_no_more_often_than_alpha_where_there_is_no_bias() -> None:
    """Two-point distributions on the line, far apart in their weights: blocks have almost no bias to hide behind."""
    generator, alpha, runs = np.random.default_rng(0), 0.1, 400
    truth = 0.9 - 0.1
    violations = 0
    for run in range(runs):
        x, y = (generator.random(100) < 0.1).astype(float), (generator.random(100) < 0.9).astype(float)
        violations += bound(x, y, alpha, 1.0, block_rows=20, blocks=5, seed=run) < truth
    assert violations <= stats.binom.ppf(0.9999, runs, alpha)


def test_formula() -> None:
    x, y = np.zeros((100, 2)), np.ones((100, 2))
    result = upper_bound(open_samples(x, "source"), open_samples(y, "target"), 0.05, 10.0, block_rows=25)
    assert (result.blocks, result.block_rows) == (4, 25)
    assert result.block_mean == pytest.approx(np.sqrt(2))
    assert result.value == pytest.approx(np.sqrt(2) + 10 * np.sqrt((1 / 100 + 1 / 100) * np.log(20) / 2))
    assert "more than 10 apart" in result.assumption


def test_never_above_the_diameter() -> None:
    generator = np.random.default_rng(1)
    assert bound(generator.random((100, 3)), generator.random((100, 3)), diameter=1.8) <= 1.8


def test_diameter_below_the_data_is_refused_with_both_rows() -> None:
    x, y = np.zeros((5_000, 2)), np.zeros((5_000, 2))
    x[4_321], y[17] = [3, 0], [0, -4]
    with pytest.raises(OptionError, match=r"diameter 4 is smaller .* row 4321 of source .* row 17 of target|5 apart"):
        bound(x, y, diameter=4.0)
    assert bound(x, y, diameter=5.0, blocks=2) <= 5.0


def test_known_ranges() -> None:
    assert diameter_from_ranges(np.zeros(16), np.ones(16)) == 4.0
    with pytest.raises(OptionError, match="ranges"):
        diameter_from_ranges(np.ones(3), np.zeros(3))


@pytest.mark.parametrize("diameter", [0.0, -1.0, np.nan, np.inf])
def test_refused_diameters(diameter: float) -> None:
    with pytest.raises(OptionError, match="diameter"):
        bound(np.zeros((10, 1)), np.ones((10, 1)), diameter=diameter)


def test_too_few_rows() -> None:
    with pytest.raises(SampleError, match="at least 2"):
        bound(np.zeros((1, 1)), np.ones((10, 1)))


@pytest.mark.parametrize(
    "options",
    [{"split": "blocks"}, {"groups": (np.arange(200) // 2, np.arange(200) // 2)}, {"scale": "standardize"}],
    ids=lambda options: next(iter(options)),
)
def test_refused_where_rows_are_no_independent_draws_in_a_known_metric(options: dict[str, object]) -> None:
    """With groups of unequal sizes the bound over rows was below the lower bound over groups: .029 and .155."""
    x, y = np.random.default_rng(0).random((2, 200, 2))
    with pytest.raises(OptionError, match="diameter"):
        estimate_w1(x, y, diameter=2.0, critic="affine", **options)  # type: ignore[arg-type]
