"""Critics trained together take the steps that they would take alone."""

import copy

import pytest
import torch
from torch import nn

from wdist.errors import OptionError
from wdist.nn.convolutions import BCOP
from wdist.nn.layers import GroupSort, MaxMin, OrthogonalLinear
from wdist.nn.lipschitz import lipschitz_bound
from wdist.stiefel.optimizer import StiefelOptimizer, parameter_groups, polish
from wdist.training.stacked import StackedModule, flat_name


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(13)


def dense():
    return nn.Sequential(
        OrthogonalLinear(6, 16), MaxMin(), OrthogonalLinear(16, 16), GroupSort(2), OrthogonalLinear(16, 1)
    )


def convolutional():
    return nn.Sequential(BCOP(1, 4, 3), MaxMin(), BCOP(4, 4, 2), nn.Flatten(), OrthogonalLinear(64, 1))


def unstacked(together, modules):
    """The stacked modules apart, in copies of the modules that they were made of."""
    apart = copy.deepcopy(modules)
    for b, module in enumerate(apart):
        own = {name: getattr(together, flat_name(name))[b].detach() for name, _ in module.named_parameters()}
        module.load_state_dict(own, strict=False)
    return apart


@pytest.mark.parametrize(("build", "shape"), [(dense, (6,)), (convolutional, (1, 4, 4))])
def test_training_together_is_training_alone(build, shape):
    alone = [build().double() for _ in range(3)]
    together = StackedModule(copy.deepcopy(alone))
    x = torch.randn(3, 20, *shape, dtype=torch.float64)
    y = torch.randn(3, 20, *shape, dtype=torch.float64) * 0.5
    optimizers = [StiefelOptimizer(parameter_groups(net, lr=0.05)) for net in alone]
    batched = StiefelOptimizer(parameter_groups(together, lr=0.05))
    for _ in range(4):
        for b, (net, optimizer) in enumerate(zip(alone, optimizers, strict=True)):
            optimizer.zero_grad()
            (net(x[b]).mean() - net(y[b]).mean()).backward()
            optimizer.step()
        batched.zero_grad()
        (together(x) - together(y)).mean((1, 2)).sum().backward()
        batched.step()
    # Rounding of 2^-53 per product, amplified where a direction is nearly degenerate: measured, tenfold a step, so that
    # ten steps leave 1e-6 and four 1e-12. A step that is not the same would differ by the rate.
    for net, twin in zip(alone, unstacked(together, alone), strict=True):
        for p, q in zip(net.parameters(), twin.parameters(), strict=True):
            assert torch.allclose(p, q, rtol=0, atol=1e-9)


def test_each_critic_is_certified_alone():
    alone = [dense() for _ in range(4)]
    together = polish(StackedModule(alone))
    assert together(torch.randn(4, 5, 6)).shape == (4, 5, 1)
    assert all(abs(lipschitz_bound(net, (6,)) - 1) < 2e-6 for net in unstacked(together, alone))
    stiefel, euclidean = parameter_groups(together)
    assert [tuple(p.shape) for p in stiefel["params"]] == [(4, 16, 6), (4, 16, 16), (4, 1, 16)]
    assert len(euclidean["params"]) == 3


def test_different_architectures_are_refused():
    with pytest.raises(OptionError, match="same architecture"):
        StackedModule([OrthogonalLinear(2, 3), OrthogonalLinear(3, 2)])
    with pytest.raises(OptionError, match="no modules"):
        StackedModule([])
    with pytest.raises(OptionError, match="leading axis of 2"):
        StackedModule([dense(), dense()])(torch.zeros(3, 1, 6))
