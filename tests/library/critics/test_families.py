"""Every family of critics keeps the contract: what is trained and frozen is stored, proven and loaded again."""

from pathlib import Path

import numpy as np
import pytest
import torch

from wdist.critics.base import CriticConfig, FittedConfig, TrainedConfig
from wdist.critics.critic import Critic, CriticInput, load_critic
from wdist.critics.frozen import freeze
from wdist.critics.registry import FAMILIES
from wdist.data.pair import SamplePair
from wdist.data.samples import open_samples
from wdist.data.scaling import Scaling
from wdist.data.splits import split_rows
from wdist.errors import OptionError
from wdist.training.halving import Budget, contenders
from wdist.training.selection import CriticSelection

ROWS, STEPS, SEED = 200, 2, 3
SHAPES = ((6,), (1, 8, 8))
CASES = [(name, shape) for name, family in FAMILIES.items() for shape in SHAPES if family.fits(shape)]
TRAINED = [(name, shape) for name, shape in CASES if not FAMILIES[name].is_fitted]


def pair_of(shape: tuple[int, ...]) -> SamplePair:
    generator = np.random.default_rng(0)
    layout = "nchw" if len(shape) == 3 else None
    x, y = (
        open_samples(generator.normal(mean, 2, (ROWS, *shape)).astype(np.float32), f"mean {mean}", layout)
        for mean in (3.0, 3.8)
    )
    splits = split_rows(ROWS, SEED, 0), split_rows(ROWS, SEED, 1)
    return SamplePair(x, y, *splits, Scaling.fit(None, x, y, *splits), SEED, torch.device("cpu"))


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]} {case[1]}")
def case(request: pytest.FixtureRequest) -> tuple[str, tuple[int, ...]]:
    found: tuple[str, tuple[int, ...]] = request.param
    return found


@pytest.fixture
def critic(case: tuple[str, tuple[int, ...]]) -> Critic:
    """The last critic of the family that a selection with a few steps leaves."""
    name, shape = case
    selection = CriticSelection(pair_of(shape), contenders(name, shape, ROWS), Budget(STEPS, None))
    candidates = selection.run()
    assert sum(c.record.step for c in candidates) >= (0 if FAMILIES[name].is_fitted else STEPS)
    return candidates[-1].critic


def test_the_bound_is_proven_near_one_and_holds(critic: Critic, case: tuple[str, tuple[int, ...]]) -> None:
    assert critic.family == case[0]
    assert critic.lipschitz_bound == pytest.approx(1, abs=1e-5)
    rows = np.random.default_rng(1).normal(3, 2, (2, 50, *case[1])).astype(np.float32)
    gap = np.abs(critic.scores(rows[0]) - critic.scores(rows[1]))
    distance = np.linalg.norm((rows[0].astype(np.float64) - rows[1]).reshape(50, -1), axis=1)
    assert gap.max() > 0
    assert np.all(gap <= critic.lipschitz_bound * distance + 1e-9)


def test_a_stored_critic_is_loaded_as_it_was(critic: Critic, case: tuple[str, tuple[int, ...]], tmp_path: Path) -> None:
    critic.save(tmp_path)
    loaded = load_critic(tmp_path)
    rows = np.random.default_rng(2).normal(3, 2, (50, *case[1])).astype(np.float32)
    np.testing.assert_array_equal(loaded.scores(rows), critic.scores(rows))
    assert loaded.lipschitz_bound == critic.lipschitz_bound
    assert (loaded.settings, loaded.takes) == (critic.settings, critic.takes)


@pytest.mark.parametrize(("name", "shape"), TRAINED)
def test_the_frozen_critic_is_the_trained_net_in_the_units_of_the_data(name: str, shape: tuple[int, ...]) -> None:
    pair, unit = pair_of(shape), 5.0
    for config in contenders(name, shape, ROWS):
        assert isinstance(config, TrainedConfig)
        net = config.build(shape, SEED, config.start(pair))
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for part, parameter in net.named_parameters():
                if part.endswith(("bias", "offsets")):
                    parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
        frozen = Critic(
            config, freeze(net, torch.full(shape, 3.0), unit), CriticInput.of(pair.source, pair.target, pair.scaling)
        )
        rows = np.random.default_rng(0).normal(3, 2, (50, *shape)).astype(np.float32)
        expected = unit * net.double()((torch.from_numpy(rows).double() - 3.0) / unit).detach().reshape(-1).numpy()
        # float32 storage of kernels and biases: a few ulps of values of size |x| ~ 20
        np.testing.assert_allclose(frozen.scores(rows), expected, atol=2e-5)


@pytest.mark.parametrize(("name", "shape"), TRAINED)
def test_building_depends_on_the_seed_alone(name: str, shape: tuple[int, ...]) -> None:
    (config, *_) = contenders(name, shape, ROWS)
    assert isinstance(config, TrainedConfig)
    start = config.start(pair_of(shape))
    state = torch.random.get_rng_state()
    first, second = (config.build(shape, seed=9, start=start).state_dict() for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(weights, second[name]) for name, weights in first.items())
    config.build(shape, seed=9).load_state_dict(first)  # without a start, for weights of an earlier stage


@pytest.mark.parametrize("name", FAMILIES)
def test_the_entry_describes_the_class(name: str) -> None:
    family = FAMILIES[name]
    config = family.load()
    assert issubclass(config, CriticConfig)
    assert (family.name, config.family) == (name, name)
    assert issubclass(config, FittedConfig) == family.is_fitted
    assert family.help.endswith(".")
    assert family.step_cost > 0


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_that_needs_images_refuses_tables(name: str) -> None:
    if not FAMILIES[name].needs_images:
        assert contenders(name, (12,), ROWS)
        return
    with pytest.raises(OptionError, match="needs images"):
        contenders(name, (12,), ROWS)
