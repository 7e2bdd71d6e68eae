"""Layers and activations: judged by Jacobians and by the dense matrix."""

import pytest
import torch
from torch import nn

from wdist.errors import OptionError
from wdist.nn.layers import (
    Abs,
    BjorckLinear,
    FullSort,
    GroupSort,
    InvertibleDownsampling,
    InvertibleUpsampling,
    MaxMin,
    OrthogonalLinear,
    Scale,
)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(3)


ACTIVATIONS = [MaxMin(), GroupSort(2), GroupSort(3), GroupSort(4), FullSort(), Abs()]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
@pytest.mark.parametrize("shape", [(2, 8), (3, 7), (2, 1), (2, 5, 3), (2, 6, 3, 2)])
def test_activations_preserve_the_norm_of_gradients(activation, shape):
    x = torch.randn(*shape, dtype=torch.float64)
    J = torch.autograd.functional.jacobian(activation, x).reshape(x.numel(), x.numel())
    # A signed permutation: orthogonal without rounding.
    assert torch.equal(J @ J.mT, torch.eye(x.numel(), dtype=torch.float64))
    assert torch.autograd.gradcheck(activation, x.clone().requires_grad_())


@pytest.mark.parametrize("activation", [MaxMin(), GroupSort(2)], ids=repr)
def test_pair_sorting_differentiates_twice_and_maps(activation):
    x = torch.randn(3, 5, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(activation, x)
    stacked = torch.randn(4, 3, 5, 2, dtype=torch.float64)
    together = torch.func.vmap(activation)(stacked)
    assert torch.equal(together, torch.stack([activation(each) for each in stacked]))
    gradients = torch.func.vmap(torch.func.grad(lambda each: activation(each).pow(3).sum()))(stacked)
    assert torch.allclose(gradients, 3 * stacked.square())  # sum of cubes does not see a permutation


def test_groupsort_sorts_groups_of_neighbours():
    x = torch.tensor([[3.0, 1.0, 2.0, 0.0, 5.0, 4.0, -1.0]])
    assert GroupSort(2)(x).tolist() == [[1, 3, 0, 2, 4, 5, -1]]
    assert GroupSort(3)(x).tolist() == [[1, 2, 3, 0, 4, 5, -1]]
    assert GroupSort(9)(x).tolist() == x.tolist()
    assert FullSort()(x).tolist() == [sorted(x[0].tolist())]
    assert MaxMin()(x).tolist() == [[3, 5, 4, 0, 1, 2, -1]]


@pytest.mark.parametrize("shape", [(2, 3, 12), (2, 3, 8, 12)])
def test_downsampling_is_a_permutation_with_its_inverse(shape):
    x = torch.arange(float(torch.tensor(shape).prod())).reshape(shape)
    y = InvertibleDownsampling(4)(x)
    assert y.shape == (2, 3 * 4 ** (len(shape) - 2), *(size // 4 for size in shape[2:]))
    assert torch.equal(y.flatten().sort().values, x.flatten())
    assert torch.equal(InvertibleUpsampling(4)(y), x)


@pytest.mark.parametrize("features", [(4, 9), (9, 4), (6, 6), (5, 1), (1, 1)])
def test_dense_layers_are_orthogonal(features):
    for layer in (OrthogonalLinear(*features), BjorckLinear(*features)):
        sigma = torch.linalg.svdvals(layer.weight.detach().double())
        # float32 storage: entries are off by 2^-25 relatively, the spectral norm by less than that times sqrt(m n).
        assert (sigma - 1).abs().max() < 2e-6
        x = torch.randn(3, features[0])
        assert torch.allclose(layer(x), x @ layer.weight.mT + layer.bias)


def test_bjorck_twin_trains_with_a_standard_optimiser():
    net = nn.Sequential(BjorckLinear(5, 16), MaxMin(), BjorckLinear(16, 1))
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    x, y = torch.randn(256, 5), torch.randn(256, 5) + 1
    for _ in range(100):
        optimizer.zero_grad()
        loss = net(x).mean() - net(y).mean()
        loss.backward()
        optimizer.step()
    # W1 of a shift by (1, ..., 1) is sqrt 5 = 2.236; the sample adds noise of about 2 sqrt(2 / 256) / sqrt(5).
    assert 2.0 < -loss.item() < 2.5
    assert torch.linalg.svdvals(net[0].weight.detach().double()).max() < 1 + 1e-5


@pytest.mark.parametrize(
    "build",
    [
        lambda: OrthogonalLinear(0, 3),
        lambda: BjorckLinear(3, 0),
        lambda: GroupSort(0),
        lambda: InvertibleDownsampling(0),
        lambda: Scale(float("nan")),
        lambda: InvertibleDownsampling(2)(torch.zeros(1, 1, 3, 4)),
        lambda: InvertibleUpsampling(2)(torch.zeros(1, 3, 3, 4)),
        lambda: OrthogonalLinear(3, 2)(torch.zeros(1, 3, dtype=torch.int64)),
    ],
)
def test_bad_input_is_refused(build):
    with pytest.raises(OptionError):
        build()
