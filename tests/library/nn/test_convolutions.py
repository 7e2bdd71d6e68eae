"""One harness for every convolution: judged by its dense float64 matrix, at the start and after optimiser steps."""

import copy

import pytest
import torch
from dense import dense_matrix

from wdist.errors import OptionError
from wdist.nn.convolutions import BCOP, OSSN, RKO, SVCM
from wdist.nn.lipschitz import lipschitz_bound, singular_values
from wdist.stiefel.optimizer import StiefelOptimizer, parameter_groups, polish

KINDS = [BCOP, RKO, OSSN, SVCM]
# in, out, kernel, stride, grid: shrinking, growing, odd, one channel, even kernels, non-square, as large as the grid
CASES = [
    (3, 8, 3, 1, (6, 5)),
    (8, 3, 3, 1, (4, 6)),
    (5, 5, 2, 1, (4, 3)),
    (3, 4, 4, 2, (8, 6)),
    (2, 7, 3, 2, (6, 8)),
    (1, 1, 3, 1, (4, 4)),
    (1, 2, 5, 1, (5, 6)),
    (4, 4, 1, 1, (3, 2)),
    (3, 6, 3, 1, (7,)),
    (6, 5, 4, 2, (12,)),
]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(5)


def build(kind, case):
    inner, outer, kernel, stride, grid = case
    return kind(inner, outer, kernel, stride, dimensions=len(grid)), (inner, *grid)


def train(layer, shape, steps=12, lr=0.1):
    """Pulls the layer towards random outputs, as any training would."""
    optimizer = StiefelOptimizer(parameter_groups(layer, lr=lr, euclidean_lr=0.05))
    x = torch.randn(8, *shape)
    goal = torch.randn_like(layer(x))
    for _ in range(steps):
        optimizer.zero_grad()
        (layer(x) - goal).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_singular_values_are_those_of_the_dense_matrix(kind, case):
    layer, shape = build(kind, case)
    for _ in range(2):
        dense = torch.linalg.svdvals(dense_matrix(copy.deepcopy(layer), shape))
        assert torch.allclose(singular_values(layer, shape[1:]), dense, rtol=0, atol=1e-12)
        bound = lipschitz_bound(layer, shape)
        assert dense.max() <= bound <= dense.max() + 1e-6
        assert dense.max() <= 1 + 5e-3  # trained with a rate of 0.1, not yet polished
        train(layer, shape)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bcop_is_orthogonal_after_training(case):
    layer, shape = build(BCOP, case)
    train(layer, shape)
    polish(layer)
    assert (singular_values(layer, shape[1:]) - 1).abs().max() < 5e-6
    double = polish(layer.double())
    assert (singular_values(double, shape[1:]) - 1).abs().max() < 1e-12


@pytest.mark.parametrize(
    ("channels", "kernel"), [(1, 7), (2, 7), (16, 1), (16, 5), (64, 7), (64, 6), (256, 2), (256, 3), (256, 7)]
)
def test_bcop_stays_exact_for_large_kernels_and_many_channels(channels, kernel):
    layer = polish(BCOP(channels, channels, kernel))
    grid = (7, 8)
    sigma = singular_values(layer, grid) if channels < 256 else None
    if sigma is not None:
        assert (sigma - 1).abs().max() < 5e-6
    # The certificate alone where 56 decompositions of 256 x 256 matrices would take half a minute.
    assert lipschitz_bound(layer, (channels, *grid)) < 1 + 5e-6


@pytest.mark.parametrize("kind", [RKO, OSSN, SVCM])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_others_stay_below_one_after_training(kind, case):
    layer, shape = build(kind, case)
    train(layer, shape)
    polish(layer)
    assert singular_values(layer, shape[1:]).max() <= 1 + 1e-6


@pytest.mark.parametrize("kind", [OSSN, SVCM])
def test_norm_without_a_grid_holds_on_every_grid_and_is_close(kind):
    layer = kind(4, 6, 5)
    with torch.no_grad():
        layer.unconstrained.mul_(7)
    worst = max(float(singular_values(layer, (n, n + 1)).max()) for n in (5, 6, 9, 16, 31, 64))
    assert 0.98 < worst <= 1 + 1e-6
    exact = kind(4, 6, 5, grid=(9, 10))
    with torch.no_grad():
        exact.unconstrained.mul_(7)
    assert abs(singular_values(exact, (9, 10)).max() - 1) < 1e-6


def test_one_sided_normalisation_leaves_small_kernels_alone():
    layer = OSSN(3, 3, 3)
    with torch.no_grad():
        layer.unconstrained.mul_(1e-3)
    assert torch.equal(layer.weight, layer.unconstrained)


def test_gradient_of_the_spectral_norm_is_exact():
    layer = OSSN(2, 3, 3, grid=(5, 4)).double()
    with torch.no_grad():
        layer.unconstrained.mul_(3)

    def weight(V):
        return torch.func.functional_call(layer, {"unconstrained": V}, (x,))

    x = torch.randn(1, 2, 5, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(weight, layer.unconstrained.detach().clone().requires_grad_())


def test_clipping_and_masking_brings_singular_values_together():
    layer = SVCM(6, 6, 3, grid=(8, 8))
    with torch.no_grad():
        layer.unconstrained.mul_(4)

    def raw_norm():
        return float(
            torch.linalg.matrix_norm(
                torch.fft.fft2(layer.unconstrained.detach().double(), s=(8, 8)).permute(2, 3, 0, 1), 2
            ).max()
        )

    norms = [raw_norm()]
    for _ in range(4):
        layer.project()
        norms.append(raw_norm())
    assert norms == sorted(norms, reverse=True)
    assert norms[-1] > 1  # cutting to the support undoes part of the clip: the exact norm has to divide last
    spread = singular_values(layer, (8, 8))
    assert spread.max() <= 1 + 1e-6
    assert spread.median() > 0.6


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_weight_is_the_weight(kind):
    layer = kind(3, 4, 3).eval()
    x = torch.randn(2, 3, 6, 6)
    expected = layer(x)
    layer.freeze()
    assert torch.allclose(layer(x), expected, atol=1e-6)
    assert lipschitz_bound(layer, (3, 6, 6)) <= 1 + 1e-6
    with torch.no_grad():
        next(p for p in layer.parameters() if p.dim() > 1).normal_()
    assert torch.allclose(layer(x), expected, atol=1e-6)  # a frozen copy ...
    assert not torch.allclose(layer.train()(x), expected, atol=1e-3)  # ... which training gives up
    layer.eval().freeze()
    layer.load_state_dict(kind(3, 4, 3).state_dict())
    assert layer.frozen_kernel is None


@pytest.mark.parametrize("kind", KINDS)
def test_weight_is_a_pure_function_of_the_parameters(kind):
    layer, twin = kind(3, 4, 3), kind(3, 4, 3)
    layer(torch.randn(2, 3, 6, 6)).sum().backward()
    twin.load_state_dict(layer.state_dict())
    assert torch.equal(layer.weight, twin.weight)
    assert torch.equal(layer.eval().weight, twin.train().weight)


def test_stride_is_a_downsampling_then_a_smaller_kernel():
    layer = BCOP(3, 8, 4, stride=2)
    assert layer.weight.shape == (8, 12, 2, 2)
    assert layer(torch.randn(2, 3, 6, 10)).shape == (2, 8, 3, 5)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: BCOP(0, 3, 3), "channels"),
        (lambda: RKO(3, 0, 3), "channels"),
        (lambda: BCOP(3, 3, 0), "kernel_size"),
        (lambda: BCOP(3, 3, 3, dimensions=3), "dimensions"),
        (lambda: BCOP(4, 4, 3, groups=2), "groups"),
        (lambda: OSSN(4, 4, 3, padding_mode="zeros"), "padding"),
        (lambda: OSSN(4, 4, 3, grid=(4,)), "grid"),
        (lambda: BCOP(3, 3, 5)(torch.zeros(1, 3, 4, 8)), "larger than the image grid"),
        (lambda: BCOP(3, 3, 3)(torch.zeros(1, 3, 4, 8, dtype=torch.uint8)), "floating point"),
        (lambda: BCOP(3, 3, 3)(torch.zeros(1, 2, 4, 8)), r"\(n, 3, h, w\)"),
        (lambda: BCOP(3, 3, 3, stride=2)(torch.zeros(1, 3, 5, 8)), "divisible"),
    ],
)
def test_bad_input_is_refused_with_a_reason(call, says):
    with pytest.raises(OptionError, match=says):
        call()
