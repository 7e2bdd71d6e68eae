"""A plan moves exactly the weights, costs no less than the optimum, and falls towards it pass by pass."""

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from wdist.errors import SampleError
from wdist.transport import plans
from wdist.transport.exact import exact_w1
from wdist.transport.plans import Plan, Work, feasible_plan

SCALES = [1e-300, 1e-100, 1e-13, 1.0, 1e30, 1e200, 1e300]


@pytest.fixture(autouse=True, scope="module")
def _several_blocks() -> Iterator[None]:
    """Sets of more than 500 rows in all get blocks and passes, so that these tests need no large ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans, "ONE_BLOCK", dict.fromkeys(plans.ONE_BLOCK, 500))
        yield


def equal(n: int) -> np.ndarray:
    return np.full(n, 1 / n)


def pair(n: int, m: int, d: int, seed: int = 0, shift: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.standard_normal((n, d)), generator.standard_normal((m, d)) + shift


def planned(x: np.ndarray, y: np.ndarray, effort: plans.Effort = "standard", seed: int = 0) -> Plan:
    return feasible_plan(x, y, equal(len(x)), equal(len(y)), effort, seed)


def blocks_of(size: int, passes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks, so that small sets need several."""
    monkeypatch.setattr(plans, "work", lambda n, m, effort: Work(size, passes))


def check_marginals(plan: Plan, weights_x: np.ndarray, weights_y: np.ndarray) -> None:
    assert plan.source.dtype == plan.target.dtype == np.int64
    assert plan.mass.dtype == np.float64
    assert (plan.mass > 0).all()
    for rows, weights in ((plan.source, weights_x), (plan.target, weights_y)):
        np.testing.assert_allclose(np.bincount(rows, plan.mass, len(weights)), weights, rtol=0, atol=1e-12)


@st.composite
def weighted_sets(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows on a coarse grid (many are equal) or not, of any size, offset and weights, some of them 0."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    d = draw(st.sampled_from([1, 2, 5, 20]))
    scale, offset = draw(st.sampled_from(SCALES)), draw(st.sampled_from([0.0, 1e9]))
    found = []
    for _ in range(2):
        n = draw(st.integers(1, 120))
        rows = generator.standard_normal((n, d))
        if draw(st.booleans()):
            rows = np.round(rows)
        weights = generator.random(n) ** draw(st.sampled_from([0, 1, 20]))
        if draw(st.booleans()):
            weights[1:] *= generator.random(n - 1) < 0.5
        found += [(rows + offset) * (scale if offset == 0 else 1.0), weights / weights.sum()]
    return found[0], found[2], found[1], found[3]


@settings(max_examples=150, deadline=None)
@given(sets=weighted_sets(), size=st.sampled_from([2, 7, 40, 1_000]))
def test_marginals(sets: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], size: int) -> None:
    x, y, weights_x, weights_y = sets
    with pytest.MonkeyPatch.context() as patch:
        blocks_of(size, 3, patch)
        plan = feasible_plan(x, y, weights_x, weights_y, "standard", 0)
    check_marginals(plan, weights_x, weights_y)
    assert math.isfinite(plan.cost(x, y))


@settings(max_examples=60, deadline=None)
@given(sets=weighted_sets())
def test_on_the_line_it_is_not_below_scipys_distance_and_meets_it_in_one_block(
    sets: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    x, y, weights_x, weights_y = sets
    x, y = x[:, :1], y[:, :1]
    size = max(np.abs(x).max(), np.abs(y).max(), 1e-300)
    truth = wasserstein_distance(x[:, 0] / size, y[:, 0] / size, weights_x, weights_y)
    with pytest.MonkeyPatch.context() as patch:
        blocks_of(10, 2, patch)
        rough = feasible_plan(x, y, weights_x, weights_y, "standard", 0)
    assert rough.cost(x, y) / size >= truth - 1e-12
    assert planned_cost(x, y, weights_x, weights_y) / size == pytest.approx(truth, rel=1e-9, abs=1e-12)


def planned_cost(x: np.ndarray, y: np.ndarray, weights_x: np.ndarray, weights_y: np.ndarray) -> float:
    return feasible_plan(x, y, weights_x, weights_y, "standard", 0).cost(x, y)


@pytest.mark.parametrize(("n", "m", "d"), [(200, 200, 3), (250, 90, 1), (1, 300, 2), (300, 1, 2), (1, 1, 4)])
def test_one_block_is_the_optimum(n: int, m: int, d: int) -> None:
    x, y = pair(n, m, d)
    assert planned(x, y).cost(x, y) == pytest.approx(exact_w1(x, y), rel=1e-9)


@pytest.mark.parametrize("d", [2, 7, 40])
def test_every_pass_lowers_the_cost_and_none_goes_below_the_optimum(d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = pair(900, 700, d)
    costs = []
    for passes in range(6):
        blocks_of(100, passes, monkeypatch)
        plan = planned(x, y)
        check_marginals(plan, equal(900), equal(700))
        costs.append(plan.cost(x, y))
    assert all(after < before for before, after in pairwise(costs))
    assert costs[-1] >= exact_w1(x, y) * (1 - 1e-9)


@pytest.mark.parametrize("d", [2, 7])
def test_near_the_optimum_and_far_below_blocks_of_random_rows(d: int) -> None:
    x, y = pair(2_000, 2_000, d)
    best = exact_w1(x, y)
    blocks = float(np.mean([exact_w1(x[k : k + 250], y[k : k + 250]) for k in range(0, 2_000, 250)]))
    standard, tight = (planned(x, y, effort).cost(x, y) for effort in ("standard", "tight"))
    assert best <= tight < standard
    assert standard - best < 0.25 * (blocks - best)


def test_the_seed_decides_and_nothing_else() -> None:
    x, y = pair(800, 900, 4)
    first, again, other = planned(x, y, seed=3), planned(x, y, seed=3), planned(x, y, seed=4)
    for name in ("source", "target", "mass"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert first.cost(x, y) != other.cost(x, y)


@pytest.mark.parametrize("power", [-990, -40, 0, 40, 990])
def test_a_power_of_two_changes_the_unit_alone(power: int) -> None:
    x, y = pair(700, 600, 3)
    plan, scaled = planned(x, y), planned(np.ldexp(x, power), np.ldexp(y, power))
    np.testing.assert_array_equal(plan.source, scaled.source)
    np.testing.assert_array_equal(plan.mass, scaled.mass)
    assert scaled.cost(np.ldexp(x, power), np.ldexp(y, power)) == pytest.approx(
        math.ldexp(plan.cost(x, y), power), rel=1e-12
    )


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("d", [3, 30])
def test_quality_at_every_scale(scale: float, d: int) -> None:
    x, y = pair(700, 600, d)
    cost = planned(x * scale, y * scale).cost(x * scale, y * scale) / scale
    assert exact_w1(x, y) * (1 - 1e-9) <= cost < 1.03 * exact_w1(x, y)


@pytest.mark.parametrize("offset", [1e6, 1e9, -1e12])
def test_an_offset_does_not_blur_the_cost(offset: float) -> None:
    x, y = pair(700, 600, 3)
    x, y = np.ldexp(np.rint(np.ldexp(x, 10)), -10), np.ldexp(np.rint(np.ldexp(y, 10)), -10)  # sums are exact
    plan = planned(x + offset, y + offset)
    assert plan.cost(x + offset, y + offset) == plan.cost(x, y)
    assert plan.cost(x, y) < 1.03 * exact_w1(x, y)


def test_small_columns_beside_a_large_constant_one() -> None:
    x, y = pair(700, 600, 3)
    x[:, 0] = y[:, 0] = 0.0
    truth = exact_w1(x, y)
    x, y = x * 1e-200, y * 1e-200
    x[:, 0] = y[:, 0] = 1.1
    assert truth * (1 - 1e-9) <= planned(x, y).cost(x, y) / 1e-200 < 1.03 * truth


def test_a_far_row_does_not_hide_the_others() -> None:
    x, y = pair(700, 700, 2)
    truth = exact_w1(x, y)
    x, y = np.vstack([x, [1e20, 1e20]]), np.vstack([y, [1e20, 1e20]])
    plan = planned(x, y)
    check_marginals(plan, equal(701), equal(701))
    assert plan.cost(x, y) * 701 / 700 < 1.03 * truth


def test_equal_rows_cost_nothing() -> None:
    x = np.ones((2_000, 3))
    assert planned(x, x[:1_500]).cost(x, x) == 0.0


@pytest.mark.parametrize(("n", "m"), [(20, 5_000), (5_000, 20), (2, 3_000)])
def test_very_unequal_sizes(n: int, m: int) -> None:
    x, y = pair(n, m, 3, shift=2.0)
    plan = planned(x, y)
    check_marginals(plan, equal(n), equal(m))
    assert exact_w1(x, y) * (1 - 1e-9) <= plan.cost(x, y) < 1.1 * exact_w1(x, y)


def test_images_are_flattened() -> None:
    x, y = pair(300, 280, 24)
    plan = planned(x.reshape(300, 2, 3, 4), y.reshape(280, 2, 3, 4))
    np.testing.assert_array_equal(plan.mass, planned(x, y).mass)
    assert plan.cost(x.reshape(300, 2, 3, 4), y.reshape(280, 2, 3, 4)) == plan.cost(x, y)


def test_cost_by_hand() -> None:
    plan = Plan(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([0.25, 0.25, 0.5]))
    assert plan.cost(np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([[3.0, 4.0], [1.0, 0.0]])) == 0.25 * 5 + 0.25 + 0.5


@pytest.mark.parametrize("effort", ["standard", "tight"])
def test_the_work_is_bounded_and_small_blocks_serve_large_sets(effort: plans.Effort) -> None:
    rows = [300, 5_000, 13_000, 100_000, 200_000, 200_001, 2_000_000]
    found = [plans.work(each, each, effort) for each in rows]
    passes = [each.passes for each in found]
    assert plans.work(200, 300, effort) == Work(500, 1)  # one block, exact
    assert passes == sorted(passes, reverse=True)
    assert passes[0] > passes[-1] == 1
    assert found[0].block_pairs > found[-1].block_pairs
    assert plans.work(100, 10_000, effort) == plans.work(10_000, 100, effort)
    assert plans.work(100, 100_000, effort).passes > plans.work(100_000, 100_000, effort).passes


def test_rows_that_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = pair(60, 50, 2)
    y[7, 1] = np.nan
    with pytest.raises(SampleError, match="row 7 of the second set is not finite"):
        planned(x, y)
    x, y = np.full((5, 2), -1.7e308), np.full((4, 2), 1.7e308)
    with pytest.raises(SampleError, match="farther apart"):
        planned(x, y)
    with pytest.raises(SampleError, match="double precision"):
        Plan(np.array([0]), np.array([0]), np.array([1.0])).cost(x, y)
    assert plans.too_large(60, 50) is None
    monkeypatch.setattr(plans, "MOST_ROWS", 100)
    with pytest.raises(SampleError, match=r"between 60 and 50 rows .* limit is 100 rows in all; use a random subset"):
        planned(*pair(60, 50, 2))
