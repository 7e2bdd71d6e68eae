"""Lipschitz bounds: never below the true norm, tight on good weights, and refused where nothing is proven."""

import math

import pytest
import torch
from dense import true_norm
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from wdist.errors import UnprovenError
from wdist.nn.convolutions import BCOP, OSSN, RKO, SVCM
from wdist.nn.frozen import CircularConv2d, Cone
from wdist.nn.layers import BjorckLinear, GroupSort, InvertibleDownsampling, MaxMin, OrthogonalLinear, Scale
from wdist.nn.lipschitz import layer_bounds, lipschitz_bound, register
from wdist.nn.spectra import any_grid, convolution_norm_bound, matrix_norm_bound, zero_padded_norm_bound


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(11)


def damage(module, how):
    """Weights as a bad training, a bug or an adversary leaves them."""
    with torch.no_grad():
        for p in module.parameters():
            if p.dim() < 2:
                continue
            if how == "scaled":
                p.mul_(1.7)
            elif how == "perturbed":
                p.add_(1e-3 * torch.randn_like(p))
            elif how == "random":
                p.normal_()
            elif how == "rank one":
                p.copy_(torch.ones_like(p))
            elif how == "zero":
                p.zero_()
    return module


LAYERS = {
    "dense": (lambda: OrthogonalLinear(7, 5), (7,)),
    "bjorck": (lambda: BjorckLinear(5, 6), (5,)),
    "linear": (lambda: nn.Linear(6, 4), (6,)),
    "bcop": (lambda: BCOP(3, 4, 3), (3, 5, 4)),
    "bcop even": (lambda: BCOP(4, 3, 2), (4, 3, 5)),
    "bcop stride": (lambda: BCOP(2, 5, 4, stride=2), (2, 6, 4)),
    "bcop 1-d": (lambda: BCOP(2, 3, 3, dimensions=1), (2, 7)),
    "rko": (lambda: RKO(3, 4, 3), (3, 4, 5)),
    "ossn": (lambda: OSSN(3, 4, 3), (3, 4, 5)),
    "svcm": (lambda: SVCM(3, 4, 3), (3, 4, 5)),
    "conv zeros": (lambda: nn.Conv2d(3, 4, 3, padding=1), (3, 5, 4)),
    "conv valid": (lambda: nn.Conv2d(3, 4, 3), (3, 5, 4)),
    "conv wide padding": (lambda: nn.Conv2d(2, 2, 2, padding=3), (2, 3, 4)),
    "conv stride": (lambda: nn.Conv2d(3, 4, 3, stride=2, padding=1), (3, 6, 5)),
    "conv groups": (lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2), (4, 5, 4)),
    "conv circular": (lambda: nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), (3, 5, 4)),
    "conv 1-d": (lambda: nn.Conv1d(3, 4, 4, padding=2), (3, 9)),
    "composition": (
        lambda: nn.Sequential(
            InvertibleDownsampling(2), BCOP(4, 6, 2), nn.Flatten(), OrthogonalLinear(36, 3), Scale(-2)
        ),
        (1, 4, 6),
    ),
}


@pytest.mark.parametrize("how", ["as built", "scaled", "perturbed", "random", "rank one", "zero"])
@pytest.mark.parametrize("name", LAYERS)
def test_bound_is_never_below_the_true_norm(name, how):
    build, shape = LAYERS[name]
    module = damage(build(), how)
    bound = lipschitz_bound(module, shape)
    norm = true_norm(module, shape)
    assert norm <= bound * (1 + 1e-14)  # the dense norm itself is rounded
    if name not in (
        "composition",
        "conv zeros",
        "conv valid",
        "conv wide padding",
        "conv stride",
        "conv 1-d",
        "conv groups",
    ):
        assert bound <= norm * (1 + 1e-6) + 1e-12


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**31),
    st.tuples(*[st.integers(1, 4)] * 2),
    st.tuples(*[st.integers(1, 3)] * 2),
    st.tuples(*[st.integers(0, 3)] * 2),
    st.floats(-8, 3),
)
def test_bounds_of_arbitrary_kernels(seed, channels, kernel, extra, exponent):
    generator = torch.Generator().manual_seed(seed)
    K = torch.randn(*channels, *kernel, generator=generator, dtype=torch.float64) * 10**exponent
    grid = tuple(k + e for k, e in zip(kernel, extra, strict=True))
    circular = convolution_norm_bound(K, grid)
    norm = true_norm(CircularConv2d(K, None), (channels[1], *grid))
    assert norm * (1 - 1e-14) <= circular <= norm * (1 + 1e-6)
    everywhere, slack = any_grid(kernel)
    assert norm <= convolution_norm_bound(K, everywhere) * slack * (1 + 1e-14)
    padded = nn.Conv2d(channels[1], channels[0], kernel, padding=(kernel[0] - 1, kernel[1] - 1), bias=False).double()
    with torch.no_grad():
        padded.weight.copy_(K)
    assert true_norm(padded, (channels[1], *grid)) <= zero_padded_norm_bound(K, grid) * (1 + 1e-14)


def test_own_grid_is_not_enough_for_zero_padding():
    """The reason for the larger torus: on its own grid this kernel looks harmless."""
    K = torch.tensor([1.0, -1.0]).reshape(1, 1, 1, 2)
    own = convolution_norm_bound(K, (1, 1))
    layer = nn.Conv2d(1, 1, (1, 2), padding=(0, 1), bias=False)
    with torch.no_grad():
        layer.weight.copy_(K)
    assert own < 1e-12
    assert true_norm(layer, (1, 1, 1)) > 1.41
    assert lipschitz_bound(layer.float(), (1, 1, 1)) >= 2**0.5


@pytest.mark.parametrize("size", [(1, 1), (300, 2), (2, 300), (64, 64)])
def test_matrix_bound_is_tight_and_above(size):
    W = torch.randn(*size, dtype=torch.float64)
    norm = float(torch.linalg.matrix_norm(W, 2))
    assert norm < matrix_norm_bound(W) < norm * (1 + 1e-11)


def test_bound_holds_along_differences_of_a_whole_critic():
    critic = nn.Sequential(
        BCOP(1, 8, 3), MaxMin(), nn.Flatten(), OrthogonalLinear(128, 16), GroupSort(2), nn.Linear(16, 1)
    )
    L = lipschitz_bound(critic, (1, 4, 4))
    critic = critic.double()
    x, y = torch.randn(2, 2000, 1, 4, 4, dtype=torch.float64)
    y = torch.where(torch.arange(2000)[:, None, None, None] % 2 == 0, y, x + 1e-4 * y)  # far and near pairs
    slopes = (critic(x) - critic(y)).detach().abs().flatten() / (x - y).flatten(1).norm(dim=1)
    assert slopes.max() <= L
    head = float(torch.linalg.matrix_norm(critic[-1].weight.detach(), 2))
    assert abs(L / head - 1) < 1e-5


def test_layers_are_listed_by_name_in_order():
    critic = nn.Sequential(nn.Flatten(), nn.Sequential(OrthogonalLinear(4, 3), MaxMin()), Scale(3.0))
    bounds = layer_bounds(critic, (1, 2, 2))
    assert [(b.name, b.kind) for b in bounds] == [
        ("0", "Flatten"),
        ("1.0", "OrthogonalLinear"),
        ("1.1", "MaxMin"),
        ("2", "Scale"),
    ]
    assert math.prod(b.bound for b in bounds) == pytest.approx(3, rel=1e-6)


def test_frozen_kernels_are_what_is_bounded():
    layer = BCOP(2, 3, 3).eval().freeze()
    layer.frozen_kernel.mul_(2)
    assert lipschitz_bound(layer, (2, 4, 4)) == pytest.approx(2, rel=1e-6)


def test_cone_is_one_lipschitz():
    cone = Cone(torch.randn(5, 3), torch.randn(5))
    assert 1 <= lipschitz_bound(cone, (3,)) < 1 + 1e-15


class Doubling(nn.ReLU):
    def forward(self, x):
        return 2 * super().forward(x)


class Skipping(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


def hooked():
    layer = OrthogonalLinear(2, 2)
    layer.register_forward_hook(lambda module, args, output: 2 * output)
    return layer


def prehooked():
    layer = OrthogonalLinear(2, 2)
    layer.register_forward_pre_hook(lambda module, args: (2 * args[0],))
    return nn.Sequential(layer)


def patched():
    layer = nn.Identity()
    layer.forward = lambda x: 2 * x
    return layer


def parametrised():
    layer = nn.Linear(2, 2)
    nn.utils.parametrizations.spectral_norm(layer)
    return layer


@pytest.mark.parametrize(
    "build",
    [
        Doubling,
        lambda: Skipping(OrthogonalLinear(2, 2)),
        hooked,
        prehooked,
        patched,
        parametrised,
        lambda: nn.BatchNorm1d(2),
        lambda: nn.Flatten(0),
        lambda: OrthogonalLinear(3, 2),
        lambda: nn.Conv2d(2, 2, 1),
    ],
)
def test_what_is_not_proven_is_refused(build):
    with pytest.raises(UnprovenError):
        lipschitz_bound(build(), (2,))


def test_a_module_that_is_applied_twice_counts_twice():
    double = Scale(2.0)
    assert lipschitz_bound(nn.Sequential(double, MaxMin(), double), (2,)) == pytest.approx(4.0)
    down = InvertibleDownsampling(2)
    assert lipschitz_bound(nn.Sequential(down, down, nn.Flatten(), OrthogonalLinear(64, 1)), (1, 8, 8)) < 1.000001


def test_a_sequence_that_may_do_anything_with_its_children_is_refused():
    class Louder(nn.Sequential):
        def __call__(self, x):
            return 100 * super().__call__(x)

    with pytest.raises(UnprovenError, match="Louder"):
        lipschitz_bound(Louder(OrthogonalLinear(2, 2)), (2,))


def test_what_hides_in_a_layer_is_found():
    hooked, replaced = BCOP(2, 4, 4, stride=2), BCOP(2, 4, 4, stride=2)
    hooked.downsample.register_forward_hook(lambda module, given, result: 5 * result)
    replaced.downsample = nn.Sequential(InvertibleDownsampling(2), Scale(5.0))
    for layer in (hooked, replaced):
        with pytest.raises(UnprovenError):
            lipschitz_bound(layer, (2, 8, 8))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(2, 2, 3, padding=2, dilation=2),
        nn.Conv2d(2, 2, 3, padding="same"),
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(2, 2, 3, padding=2, padding_mode="circular"),
        nn.Conv2d(3, 2, 3),
    ],
)
def test_unproven_convolutions_are_refused(layer):
    with pytest.raises(UnprovenError):
        lipschitz_bound(layer, (2, 6, 6))


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["dense", "bcop", "rko", "ossn", "svcm", "conv zeros"])
def test_weights_that_are_not_finite_have_no_bound(name, value):
    build, shape = LAYERS[name]
    module = build()
    with torch.no_grad():
        weight = next(p for p in module.parameters() if p.dim() > 1)
        weight[(0,) * weight.dim()] = value
    with pytest.raises(UnprovenError, match="non-finite"):
        lipschitz_bound(module, shape)


def test_rules_can_be_added_for_exact_classes():
    class Halving(nn.Module):
        def forward(self, x):
            return x / 2

    register(Halving)(lambda module, shape: (0.5, shape))
    assert lipschitz_bound(nn.Sequential(Halving(), nn.ReLU()), (3,)) == pytest.approx(0.5)
