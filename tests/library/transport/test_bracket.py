"""The bracket holds the exact distance of the files' rows, whatever critic and whatever sizes."""

import numpy as np
import pytest

from wdist.data.known_truth import Funnels
from wdist.transport import bracket as empirical
from wdist.transport.exact import distances, exact_w1

GENERATOR = np.random.default_rng(0)
X, Y = GENERATOR.standard_normal((700, 3)), GENERATOR.standard_normal((900, 3)) * 1.5 + 0.5
EXACT = exact_w1(X, Y)


def test_small_sets_get_the_exact_value() -> None:
    bracket = empirical.empirical_bracket(X, Y, np.zeros(700), np.zeros(900), 1.0)
    assert bracket == {"lower": EXACT, "upper": EXACT, "exact": EXACT}


@pytest.mark.parametrize("scores", ["zero", "noise", "norm", "wild"])
def test_dual_value_is_below_the_distance_for_any_values(scores: str) -> None:
    g = {
        "zero": np.zeros(900),
        "noise": GENERATOR.standard_normal(900),
        "norm": np.linalg.norm(Y, axis=1),
        "wild": 1e3 * GENERATOR.standard_normal(900),  # far from 1-Lipschitz
    }[scores]
    assert empirical.dual_value(X, Y, g) <= EXACT


def test_c_transform_sharpens_a_lipschitz_critic() -> None:
    f = np.linalg.norm(X - X.mean(0), axis=1), np.linalg.norm(Y - X.mean(0), axis=1)
    plain = f[1].mean() - f[0].mean()
    assert plain < empirical.dual_value(X, Y, f[1]) <= EXACT


def test_dual_value_of_coincident_rows_is_not_lifted_by_rounding() -> None:
    x = 1e4 + GENERATOR.standard_normal((200, 5))
    assert -1e-4 < empirical.dual_value(x, x, GENERATOR.standard_normal(200)) <= 0.0


def test_distances_of_coincident_rows_are_zero() -> None:
    x = 1e3 * GENERATOR.standard_normal((300, 7))
    np.testing.assert_array_equal(np.diag(distances(x, x)), 0.0)


def test_optimal_potential_closes_the_bracket_from_below() -> None:
    funnels = Funnels(4, 6, seed=2)
    x, y = funnels.couple(800, np.random.default_rng(1))
    assert empirical.dual_value(x, y, funnels.potential(y)) == pytest.approx(exact_w1(x, y), rel=1e-6)


def test_bracket_of_larger_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(empirical, "EXACT_ROWS", 500)
    f, g = np.linalg.norm(X, axis=1), np.linalg.norm(Y, axis=1)
    bracket = empirical.empirical_bracket(X, Y, 3 * f, 3 * g, 3.0)
    assert bracket["exact"] is None
    assert bracket["lower"] is not None
    assert bracket["upper"] is not None
    assert g.mean() - f.mean() <= bracket["lower"] <= EXACT <= bracket["upper"]
