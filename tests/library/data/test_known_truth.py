"""Pairs with a known distance: their critics are 1-Lipschitz and attain it, and exact transport agrees."""

import numpy as np
import pytest

from wdist.data.known_truth import (
    Funnels,
    KnownTruth,
    funnel_pair,
    heavy_tail_truth,
    identical_truth,
    scaling_truth,
    spheres_truth,
    translation_truth,
)
from wdist.errors import OptionError
from wdist.transport.exact import distances, exact_w1

FUNNELS = Funnels(3, 5, seed=1)
TRUTHS = [
    FUNNELS.truth(),
    translation_truth(4, 0.7),
    scaling_truth(3, 2.5),
    spheres_truth(3, 1.0, 1.8),
    identical_truth(2),
    heavy_tail_truth(2, 0.6),
]


@pytest.mark.parametrize("truth", TRUTHS, ids=lambda truth: truth.name)
def test_potential_attains_the_distance(truth: KnownTruth) -> None:
    x, y, w1 = truth.pair(200_000, seed=5)
    u, v = truth.potential(x), truth.potential(y)
    error = np.sqrt(u.var() / len(u) + v.var() / len(v))
    assert abs(v.mean() - u.mean() - w1) < 4 * error + 2e-3 * w1  # 2e-3: the funnels' own Monte Carlo error, 4 sigma


@pytest.mark.parametrize("truth", TRUTHS, ids=lambda truth: truth.name)
def test_potential_is_one_lipschitz(truth: KnownTruth) -> None:
    x, y, _ = truth.pair(400, seed=6)
    rows = np.concatenate([x, y])
    gaps = np.abs(truth.potential(rows)[:, None] - truth.potential(rows)[None])
    separations = distances(rows, rows)
    # rows are float32 and distances come from an expansion: relative 1e-12 of the squared norms
    assert np.all(gaps <= separations + 1e-5 * (1 + np.linalg.norm(rows, axis=1).max()))


def test_funnel_rows_stay_in_the_cube_and_rays_are_transport_rays() -> None:
    x, y = FUNNELS.couple(5_000, np.random.default_rng(0))
    assert np.abs(x).max() <= FUNNELS.half_width
    lengths = np.linalg.norm(x - y, axis=1)
    np.testing.assert_allclose(FUNNELS.potential(y) - FUNNELS.potential(x), lengths, atol=1e-12)


def test_funnel_distance_agrees_with_exact_transport_of_coupled_rows() -> None:
    x, y = FUNNELS.couple(1_000, np.random.default_rng(1))
    # the coupling is optimal for the sample itself, so the solver finds the same cost up to its rounding
    assert exact_w1(x, y) == pytest.approx(np.linalg.norm(x - y, axis=1).mean(), rel=1e-9)


def test_funnel_standard_error_shrinks_and_covers() -> None:
    coarse, fine = FUNNELS.w1(20_000), FUNNELS.w1(400_000)
    assert fine[1] < coarse[1] / 3
    assert abs(fine[0] - coarse[0]) < 4 * (coarse[1] + fine[1])


def test_funnel_pair_is_reproducible_and_unpaired() -> None:
    x, y, w1 = funnel_pair(2, 4, 500, seed=3)
    again = funnel_pair(2, 4, 500, seed=3)
    np.testing.assert_array_equal(x, again[0])
    np.testing.assert_array_equal(y, again[1])
    assert w1 == again[2]
    assert x.dtype == y.dtype == np.float32
    assert not np.allclose(funnel_pair(2, 4, 500, seed=4)[0], x)
    # were rows paired, their mean distance would be W1
    assert np.linalg.norm(x - y, axis=1).mean() > 1.5 * w1


def test_refusals() -> None:
    with pytest.raises(OptionError, match="positive"):
        Funnels(0, 4, 0)
    with pytest.raises(OptionError, match="below 1"):
        scaling_truth(2, 0.5)
    with pytest.raises(OptionError, match="ascending"):
        spheres_truth(2, 3.0, 1.0)
