"""Scores of every family with their rounding: against exact arithmetic, in any units, and small for ordinary data."""

from decimal import Decimal

import numpy as np
import pytest
import torch
from exact import exact_output, to_decimals
from torch import nn

from wdist.critics.critic import Critic, CriticInput
from wdist.critics.frozen import freeze
from wdist.critics.registry import FAMILIES
from wdist.data.pair import SamplePair
from wdist.data.samples import open_samples
from wdist.data.scaling import Scaling
from wdist.data.splits import split_rows
from wdist.nn.frozen import Cone
from wdist.training.halving import Budget, contenders
from wdist.training.selection import CriticSelection

NO_SCALE = {"kind": "none", "divisor": 1.0, "center": 0.0, "data_divisor": 1.0}
ROWS, SEED = 120, 4


def trained(name: str, shape: tuple[int, ...], scale: float, offset: float) -> tuple[Critic, np.ndarray]:
    """A critic of the family, trained for two steps on rows around offset * scale of spread `scale`; and rows."""
    generator = np.random.default_rng(1)
    x, y = (
        (scale * (offset + generator.normal(mean, 1, (ROWS, *shape)))).astype(np.float32).astype(np.float64)
        for mean in (0.0, 0.5)
    )
    layout = "nchw" if len(shape) == 3 else None
    opened = open_samples(x.astype(np.float32), "x", layout), open_samples(y.astype(np.float32), "y", layout)
    splits = split_rows(ROWS, SEED, 0), split_rows(ROWS, SEED, 1)
    pair = SamplePair(*opened, *splits, Scaling.fit(None, *opened, *splits), SEED, torch.device("cpu"))
    selection = CriticSelection(pair, contenders(name, shape, ROWS)[:1], Budget(2, None))
    return selection.run()[-1].critic, np.concatenate((x, y))


@pytest.mark.parametrize(("scale", "offset"), [(1e-30, 0.0), (1.0, 0.0), (1.0, 1e4), (1e30, 3.0)])
@pytest.mark.parametrize("name", FAMILIES)
def test_scores_are_within_their_rounding(name: str, scale: float, offset: float) -> None:
    shape = (1, 6, 6) if FAMILIES[name].needs_images else (3,)
    critic, rows = trained(name, shape, scale, offset)
    scores, rounding = critic.scores_and_rounding(rows, np.zeros(len(rows)))
    np.testing.assert_array_equal(scores, critic.scores(rows))
    few = slice(None, None, 40 if len(shape) == 3 else 20)
    exact = exact_output(critic.module.double(), torch.from_numpy(rows[few])).reshape(-1)
    computed = to_decimals(torch.from_numpy(scores[few]))
    off = [abs(a - b) for a, b in zip(computed, exact, strict=True)]
    assert all(a <= Decimal(float(b)) for a, b in zip(off, rounding[few], strict=True))
    assert rounding.max() <= 1e-9 * np.ptp(scores)
    assert rounding.max() >= 1e-17 * np.ptp(scores)


def test_the_error_of_rows_costs_l_times_as_much() -> None:
    critic, rows = trained("groupsort", (3,), 1.0, 0.0)
    error = np.geomspace(1e-6, 1, len(rows))
    without = critic.scores_and_rounding(rows, np.zeros(len(rows)))[1]
    with_error = critic.scores_and_rounding(rows, error)[1]
    np.testing.assert_allclose(with_error - without, critic.lipschitz_bound * error, rtol=1e-6)


def test_scores_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    critic, rows = trained("cone", (3,), 1.0, 0.0)
    whole = critic.scores_and_rounding(rows, np.full(len(rows), 1e-9))
    monkeypatch.setattr("wdist.critics.critic._BLOCK_BYTES", 8 * 3 * 7)
    parts = critic.scores_and_rounding(rows, np.full(len(rows), 1e-9))
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_cone_is_scored_by_distances_themselves() -> None:
    """Anchors 10^6 to 10^8 apart: by expansion of squares the slope is up to 10^4 where 1 is proven."""
    generator = torch.Generator().manual_seed(0)
    config = FAMILIES["cone"].load()()
    for apart in (1e6, 1e7, 1e8):
        first = torch.cat((apart * torch.randn(6, 1, generator=generator), torch.zeros(6, 3)), 1)
        anchors = torch.cat((first, first + torch.tensor([0.0, 1.0, 0.0, 0.0]) * 1e-8 * apart))
        net = freeze(nn.Sequential(nn.Flatten(), Cone(anchors, torch.zeros(12))), None, 1.0)
        critic = Critic(config, net, CriticInput((4,), None, False, NO_SCALE))
        x = anchors.double().numpy().repeat(50, 0) + 1e-3 * np.random.default_rng(0).standard_normal((600, 4))
        y = x + 1e-3 * np.random.default_rng(1).standard_normal((600, 4))
        (f, e), (g, d) = (critic.scores_and_rounding(rows, np.zeros(600)) for rows in (x, y))
        moved = np.linalg.norm(x - y, axis=1)
        assert np.all(np.abs(f - g) <= critic.lipschitz_bound * moved + e + d)
        assert (np.abs(f - g) / moved).max() < 1.001
