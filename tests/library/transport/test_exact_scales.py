"""Exact transport stays exact for rows of any magnitude, for rows far from all others, and for equal rows."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.stats import wasserstein_distance

from wdist.data.samples import open_samples
from wdist.errors import SampleError
from wdist.transport import exact
from wdist.transport.bracket import empirical_bracket

SCALES = [1e-300, 1e-200, 1e-100, 1e-30, 1e-16, 1e-13, 1e-6, 1.0, 1e6, 1e30, 1e100, 1e200, 1e300]


def rows(n: int, d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def assignment_cost(x: np.ndarray, y: np.ndarray) -> float:
    """W1 of two sets of which one has a multiple of the other's rows; values near 1."""
    n = max(len(x), len(y))
    x, y = np.repeat(x, n // len(x), axis=0), np.repeat(y, n // len(y), axis=0)
    costs = np.linalg.norm(x[:, None] - y[None], axis=2)
    return float(costs[linear_sum_assignment(costs)].mean())


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("m", [60, 45])
def test_on_the_line_it_is_scipys_distance_at_every_scale(scale: float, m: int) -> None:
    x, y = rows(60, 1, 0), rows(m, 1, 1) + 0.3
    expected = pytest.approx(wasserstein_distance(x[:, 0], y[:, 0]), rel=1e-12)
    x, y = x * scale, y * scale
    assert exact.exact_w1(x, y) / scale == expected
    assert exact.one_dimensional_w1(x[:, 0], y[:, 0]) / scale == expected
    bracket = empirical_bracket(x, y, np.zeros(60), np.zeros(m), 1.0)
    assert bracket["exact"] is not None
    assert bracket["exact"] / scale == expected
    planned, log = exact.solve_plan(x, y)
    assert planned / scale == expected
    assert log["u"].mean() / scale + log["v"].mean() / scale == pytest.approx(planned / scale, rel=1e-9)


@pytest.mark.parametrize("offset", [1e3, 1e9, -1e12])
def test_on_the_line_an_offset_does_not_blur_it(offset: float) -> None:
    x, y = offset + 1e-3 * rows(60, 1, 0), offset + 1e-3 * rows(45, 1, 1)
    expected = wasserstein_distance(x[:, 0] - offset, y[:, 0] - offset)
    assert exact.exact_w1(x, y) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("m", [40, 20])
def test_in_the_plane_it_is_the_best_assignment_at_every_scale(scale: float, m: int) -> None:
    x, y = rows(40, 2, 2), rows(m, 2, 3) + 0.3
    assert exact.exact_w1(x * scale, y * scale) / scale == pytest.approx(assignment_cost(x, y), rel=1e-12)


def test_small_columns_beside_a_large_constant_one() -> None:
    x, y = rows(40, 2, 2), rows(40, 2, 3)
    x[:, 0] = y[:, 0] = 0.0
    expected = assignment_cost(x, y)
    x, y = x * 1e-200, y * 1e-200
    x[:, 0] = y[:, 0] = 1.1
    assert exact.exact_w1(x, y) / 1e-200 == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("far", [1e6, 1e10, 1e12, 1e14, 1e16, 1e20, 1e100, 1e300])
@pytest.mark.parametrize(("d", "m"), [(1, 40), (1, 20), (2, 40), (2, 20), (5, 40)])
def test_far_rows_do_not_hide_the_others(far: float, d: int, m: int) -> None:
    x, y = rows(40, d, 4), rows(m, d, 5) + 0.3
    share = 40 // m  # rows of x with the mass of one row of y
    near_x, near_y = np.delete(x, range(share), axis=0), np.delete(y, 7, axis=0)
    x[:share] = y[7] = far
    expected = assignment_cost(near_x, near_y) * len(near_y) / m
    assert exact.exact_w1(x, y) == pytest.approx(expected, rel=1e-9)


def test_far_rows_at_several_distances() -> None:
    x, y = rows(60, 2, 6), rows(60, 2, 7)
    expected = assignment_cost(x[5:], y[:-5]) * 55 / 60
    for k, far in enumerate([1e150, 1e100, 1e60, 1e20, 1e8]):
        x[k] = y[-1 - k] = far
    assert exact.exact_w1(x, y) == pytest.approx(expected, rel=1e-9)


def test_two_far_clusters_keep_their_own_digits() -> None:
    x, y = (1e9 + 1e-3 * rows(60, 2, seed) for seed in (8, 9))
    x[:30] *= -1
    y[20:50] *= -1
    expected = (assignment_cost(x[:30], y[20:50]) + assignment_cost(x[30:], np.delete(y, range(20, 50), axis=0))) / 2
    assert exact.exact_w1(x, y) == pytest.approx(expected, rel=1e-9)


def test_a_far_row_of_one_set_dominates() -> None:
    x, y = rows(40, 2, 4), rows(40, 2, 5)
    x[0] = 1e20
    assert exact.exact_w1(x, y) == pytest.approx(1e20 * np.sqrt(2) / 40, rel=1e-12)


@pytest.mark.parametrize("d", [1, 2, 7])
@pytest.mark.parametrize("scale", SCALES)
def test_equal_and_repeated_rows_are_at_distance_zero(d: int, scale: float) -> None:
    x = rows(30, d, 10) * scale
    assert exact.exact_w1(x, x[::-1]) == 0.0
    assert exact.exact_w1(np.repeat(x, 2, axis=0), x) == 0.0
    assert exact.exact_w1(np.repeat(x[:1], 5, axis=0), x[:1]) == 0.0


def test_duplicates_count_with_their_mass() -> None:
    x, y = np.round(rows(40, 2, 11)), np.round(rows(20, 2, 12))
    assert exact.exact_w1(x, y) == pytest.approx(assignment_cost(x, y), rel=1e-12)


def test_one_row_against_several() -> None:
    x, y = rows(1, 3, 13) * 1e-200, rows(9, 3, 14) * 1e-200
    expected = np.linalg.norm((x - y) / 1e-200, axis=1).mean()
    assert exact.exact_w1(x, y) / 1e-200 == pytest.approx(expected, rel=1e-12)


def test_the_baseline_of_small_values() -> None:
    x, y = rows(300, 4, 15), rows(200, 4, 16)
    baseline, small = (
        exact.null_baseline(open_samples(x * scale, "source"), open_samples(y * scale, "target"), 100, seed=0)
        for scale in (1.0, 2.0**-44)
    )
    assert baseline is not None
    assert small is not None
    assert small["between"] * 2.0**44 == pytest.approx(baseline["between"], rel=1e-9)
    assert small["within"] * 2.0**44 == pytest.approx(baseline["within"], rel=1e-9)


def test_distances_beyond_double_precision_are_refused_by_row() -> None:
    x, y = rows(5, 2, 17), rows(4, 2, 18)
    x[3], y[1] = 1.7e308, -1.7e308
    with pytest.raises(SampleError, match=r"row 3 of the first set and row 1 of the second .* divide all rows"):
        exact.exact_w1(x, y)
    with pytest.raises(SampleError, match="divide all values"):
        exact.exact_w1([[1.7e308]], [[-1.7e308]])


@pytest.mark.parametrize("d", [1, 2])
def test_rows_that_are_not_finite_are_named(d: int) -> None:
    x, y = rows(5, d, 17), rows(4, d, 18)
    y[2, 0] = np.inf
    with pytest.raises(SampleError, match="row 2 of the second set is not finite"):
        exact.exact_w1(x, y)


def test_a_cost_that_the_dual_value_does_not_confirm_is_not_called_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "GAP", 0.0)  # rounding alone leaves a gap
    x, y = rows(40, 2, 2), rows(40, 2, 3)
    with pytest.raises(SampleError, match=r"only known to lie between .* leave out the farthest rows"):
        exact.exact_w1(x, y)
    bracket = empirical_bracket(x, y, np.zeros(40), np.zeros(40), 1.0)
    assert bracket["exact"] is None
    assert bracket["lower"] is not None
    assert bracket["upper"] is not None
    assert bracket["lower"] < bracket["upper"]
    assert bracket["lower"] == pytest.approx(assignment_cost(x, y), rel=1e-12)
