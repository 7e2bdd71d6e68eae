"""Exact transport and the trivial distances, against scipy and against known couplings."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.stats import wasserstein_distance

from wdist.data.samples import open_samples
from wdist.errors import SampleError
from wdist.transport import exact


def rows(n: int, d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def test_distances_match_differences_under_a_large_offset() -> None:
    x, y = rows(40, 5, 0) + 1e5, rows(30, 5, 1) + 1e5
    expected = np.linalg.norm(x[:, None] - y[None], axis=2)
    np.testing.assert_allclose(exact.distances(x, y), expected, rtol=1e-9)


def test_exact_w1_is_the_optimal_assignment() -> None:
    x, y = rows(150, 3, 0), rows(150, 3, 1) + 0.5
    cost = exact.distances(x, y)
    assignment = linear_sum_assignment(cost)
    assert exact.exact_w1(x, y) == pytest.approx(cost[assignment].mean(), rel=1e-9)


def test_exact_w1_of_unequal_sizes_on_the_line() -> None:
    x, y = rows(70, 1, 0), rows(110, 1, 1) * 2
    assert exact.exact_w1(x, y) == pytest.approx(wasserstein_distance(x[:, 0], y[:, 0]), rel=1e-9)


def test_translation_and_images() -> None:
    x = rows(60, 16, 2)
    assert exact.exact_w1(x, x + 3.0) == pytest.approx(3.0 * 4, rel=1e-9)
    assert exact.exact_w1(x.reshape(60, 4, 4), x.reshape(60, 4, 4)) == pytest.approx(0.0, abs=1e-6)


def test_duals_are_feasible_and_tight() -> None:
    x, y = rows(80, 2, 3), rows(90, 2, 4) + 1
    cost, log = exact.solve_plan(x, y)
    slack = exact.distances(x, y) - np.asarray(log["u"])[:, None] - np.asarray(log["v"])[None]
    assert slack.min() > -1e-9
    assert log["u"].mean() + log["v"].mean() == pytest.approx(cost, rel=1e-9)


def test_the_solver_is_loaded_without_the_rest_of_pot_and_pot_can_be_imported_after() -> None:
    code = """
import sys
import numpy as np
from wdist.transport.pot import load_emd2
costs = np.random.default_rng(0).random((5, 7))
weights = np.full(5, 1 / 5), np.full(7, 1 / 7)
cost = load_emd2()(*weights, costs)
assert not {"ot", "sklearn", "networkx"} & set(sys.modules)
import ot
assert ot.emd2(*weights, costs) == cost
assert ot.lp.emd_wrap.emd_c
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_too_large_is_refused_before_memory_is_touched() -> None:
    x = np.broadcast_to(np.zeros(2), (100_000, 2))
    with pytest.raises(SampleError, match=r"74\.5 GiB .* random subset"):
        exact.exact_w1(x, x)


def test_a_solver_that_does_not_converge_gives_no_number() -> None:
    x = rows(20, 2, 0)
    x[3, 1] = np.nan
    with pytest.raises(SampleError, match=r"did not converge|not finite"):
        exact.exact_w1(x, rows(20, 2, 1))


def test_null_baseline_shows_the_bias_of_exact_transport() -> None:
    x, y = open_samples(rows(800, 20, 5), "source"), open_samples(rows(500, 20, 6), "target")
    baseline = exact.null_baseline(x, y, 300, seed=0)
    assert baseline is not None
    assert baseline["rows"] == 300
    # equal distributions: both numbers show the same bias, far above 0; deviation of either is about 0.03
    assert baseline["within"] > 2
    assert abs(baseline["between"] - baseline["within"]) < 0.2
    assert exact.null_baseline(x, y, 300, seed=0) == baseline


def test_null_baseline_is_cut_to_what_there_is() -> None:
    x, y = open_samples(rows(150, 2, 5), "source"), open_samples(rows(120, 2, 6), "target")
    baseline = exact.null_baseline(x, y, 1_000, seed=0)
    assert baseline is not None
    assert baseline["rows"] == 75
    assert exact.null_baseline(x, y, 0, seed=0) is None


def test_one_dimensional_w1_agrees_with_scipy() -> None:
    a, b = rows(300, 1, 9)[:, 0], rows(217, 1, 10)[:, 0] ** 3
    assert exact.one_dimensional_w1(a, b) == pytest.approx(wasserstein_distance(a, b), rel=1e-12)
    assert exact.one_dimensional_w1(a[:217], b) == pytest.approx(wasserstein_distance(a[:217], b), rel=1e-12)
