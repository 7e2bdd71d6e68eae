"""Sliced critics: 1-Lipschitz, not below affine, and at the truth where one direction carries everything."""

import numpy as np
import pytest

from wdist.data.known_truth import KnownTruth, identical_truth, scaling_truth, translation_truth
from wdist.transport.exact import one_dimensional_w1
from wdist.transport.sliced import evaluate_potential, fit_direction, fit_potential, fit_sliced


def evaluate_sliced(rows, direction, knots, values):
    """h(<v, x>) of rows (n, d)."""
    return evaluate_potential(rows.reshape(len(rows), -1) @ direction, knots, values)


def fit_and_evaluate(truth: KnownTruth, n: int, seed: int) -> float:
    """Held-out mean difference of a sliced critic; half of the rows fit it, a sixth selects."""
    x, y, _ = truth.pair(n, seed)
    fit, chosen = n // 2, 2 * n // 3
    critic = fit_sliced(x[:fit], y[:fit], x[fit:chosen], y[fit:chosen], fit_direction(x[:fit], y[:fit], seed))
    return float(evaluate_sliced(y[chosen:], *critic).mean() - evaluate_sliced(x[chosen:], *critic).mean())


def test_a_change_of_scale_is_found_in_full() -> None:
    truth = scaling_truth(8, 3.0)
    # 6,667 held-out rows: standard error 0.024 of 1.60; the mean difference, and any affine critic, sees 0
    assert fit_and_evaluate(truth, 20_000, 0) > 0.95 * truth.w1


def test_a_translation_is_found_in_full() -> None:
    truth = translation_truth(8, 1.0)
    assert fit_and_evaluate(truth, 20_000, 1) > 0.95 * truth.w1


def test_equal_distributions_show_no_optimism_on_held_out_rows() -> None:
    values = [fit_and_evaluate(identical_truth(10), 3_000, seed) for seed in range(20)]
    # each value has a standard error of at most sqrt(2 / 1,000) = 0.045
    assert abs(np.mean(values)) < 4 * 0.045 / np.sqrt(20)


def test_slopes_are_plus_or_minus_one_everywhere() -> None:
    generator = np.random.default_rng(2)
    x, y = generator.standard_normal(5_000), 2 * generator.standard_normal(5_000)
    for penalty in (0.0, 1.0, np.inf):
        knots, values = fit_potential(x, y, penalty)
        slopes = np.diff(values) / np.diff(knots)
        np.testing.assert_allclose(np.abs(slopes), 1.0, rtol=1e-9)
        outside = np.array([knots[0] - 5, knots[0] - 4, knots[-1] + 4, knots[-1] + 5])
        beyond = evaluate_potential(outside, knots, values)
        np.testing.assert_allclose(np.diff(beyond)[[0, 2]], slopes[[0, -1]], rtol=1e-9)


def test_slopes_survive_values_that_differ_by_rounding_only() -> None:
    generator = np.random.default_rng(7)
    base = generator.integers(0, 4, 5_000) * 1e5 + 1e7
    jittered = base * (1 + generator.integers(-2, 3, 5_000) * np.finfo(float).eps)
    for x, y in ((base, jittered), (generator.standard_t(1, 5_000), 3 * generator.standard_t(1, 5_000))):
        knots, values = fit_potential(x, y, 0.0)
        np.testing.assert_allclose(np.abs(np.diff(values) / np.diff(knots)), 1.0, rtol=1e-9)


def test_unpenalised_potential_attains_the_one_dimensional_distance() -> None:
    from scipy.stats import wasserstein_distance

    generator = np.random.default_rng(3)
    x, y = generator.standard_normal(400), generator.standard_normal(300) * 1.5 + 0.2
    knots, values = fit_potential(x, y, 0.0, cells=100_000)  # a knot at every row
    value = evaluate_potential(y, knots, values).mean() - evaluate_potential(x, knots, values).mean()
    assert value == pytest.approx(wasserstein_distance(x, y), rel=1e-6)


def test_penalty_straightens_noise() -> None:
    generator = np.random.default_rng(4)
    x, y = generator.standard_normal(2_000), generator.standard_normal(2_000)

    def turns(penalty: float) -> int:
        _, values = fit_potential(x, y, penalty)
        return int((np.diff(np.sign(np.diff(values))) != 0).sum())

    assert turns(0.0) > turns(1.0) > turns(16.0) >= turns(np.inf) == 0


def test_direction_is_a_unit_vector_whatever_the_data() -> None:
    generator = np.random.default_rng(5)
    for x, y in (
        (np.zeros((50, 3)), np.zeros((60, 3))),
        (generator.standard_normal((50, 1)), generator.standard_normal((60, 1))),
        (generator.standard_normal((300, 2_000)), generator.standard_normal((300, 2_000)) + 0.1),
    ):
        assert np.linalg.norm(fit_direction(x, y)) == pytest.approx(1.0)


@pytest.mark.parametrize("dim", [6, 100])
def test_direction_of_a_change_of_scale(dim: int) -> None:
    truth = scaling_truth(dim, 3.0)
    x, y, w1 = truth.pair(6_000, seed=0)
    direction = fit_direction(x[:4_000], y[:4_000])
    assert abs(direction[0]) > 0.95
    found = one_dimensional_w1(x[4_000:] @ direction, y[4_000:] @ direction)
    assert found == pytest.approx(w1, rel=0.1)  # 2,000 rows: standard error of the 1-D distance about 0.05


def test_constant_projections_still_give_a_critic() -> None:
    x = np.ones((50, 2))
    direction, knots, values = fit_sliced(x, x, x, x, np.array([0.6, 0.8]))
    assert np.all(np.diff(knots) > 0)
    assert np.isfinite(evaluate_sliced(x, direction, knots, values)).all()


def test_discrete_values_are_no_obstacle() -> None:
    generator = np.random.default_rng(6)
    x, y = generator.integers(0, 2, (4_000, 1)), generator.integers(0, 2, (4_000, 1)) * 3
    critic = fit_sliced(x[:2_000], y[:2_000], x[2_000:3_000], y[2_000:3_000], np.ones(1))
    value = evaluate_sliced(y[3_000:], *critic).mean() - evaluate_sliced(x[3_000:], *critic).mean()
    assert value == pytest.approx(1.0, abs=0.15)  # W1 = (3 - 1) / 2; standard error about 0.05
