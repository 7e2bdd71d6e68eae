"""The theory of the source paper, executed: Theorem 1, Theorem 2, and the table of gradient-norm preserving blocks."""

import itertools

import pytest
import torch
from dense import dense_matrix
from torch import nn

from wdist.errors import OptionError
from wdist.nn.convolutions import BCOP
from wdist.nn.layers import Abs, GroupSort, InvertibleDownsampling, MaxMin, OrthogonalLinear
from wdist.nn.orthogonal import append_projector, random_orthogonal
from wdist.paper.components import common_kernel, components, double_channels, invariant, projector_kernel
from wdist.stiefel.optimizer import StiefelOptimizer, polish


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(17)


def draw(channels, ranks, generator, sign=1):
    H = random_orthogonal(channels, channels, generator=generator, dtype=torch.float64)
    if torch.linalg.det(H) * sign < 0:
        H[0] *= -1
    R = [random_orthogonal(channels, k, generator=generator, dtype=torch.float64) for k in ranks]
    return H, R


@pytest.mark.parametrize(("channels", "taps"), [(1, 2), (1, 4), (2, 2), (2, 3), (3, 3), (2, 4)])
def test_theorem_1_counts_the_components(channels, taps, generator):
    """At least so many: each choice of ranks and sign has the invariant (s, r). At most: equal r share a kernel."""
    seen = set()
    shared = {}
    for ranks in itertools.product(range(channels + 1), repeat=taps - 1):
        r = sum(channels - k for k in ranks)
        for sign in (1, -1):
            kernel = projector_kernel(*draw(channels, ranks, generator, sign))
            assert invariant(kernel) == (sign, r)
            seen.add((sign, r))
        common = common_kernel(ranks, channels)
        assert invariant(common) == (1, r)
        assert torch.equal(common, shared.setdefault(r, common))
    assert len(seen) == components(channels, taps) == 2 * (taps - 1) * channels + 2


def test_invariant_needs_an_orthogonal_kernel(generator):
    with pytest.raises(OptionError, match="not orthogonal"):
        invariant(torch.randn(2, 2, 3, generator=generator))


def fit(R_ranks, channels, target, steps=300):
    """Trains W(H, P) towards the target on its first channels: the loss reached and all invariants met."""
    generator = torch.Generator().manual_seed(3)
    H, R = draw(channels, R_ranks, generator)
    parameters = [nn.Parameter(each) for each in (H, *R)]
    optimizer = StiefelOptimizer(parameters, lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    seen = set()
    n = target.shape[0]
    for _ in range(steps):
        optimizer.zero_grad()
        kernel = projector_kernel(parameters[0], parameters[1:])
        loss = (kernel[:n, :n] - target).square().sum()
        loss.backward()
        seen.add(invariant(kernel.detach()))
        optimizer.step()
        schedule.step()
    return loss.item(), seen


def test_gradient_descent_cannot_leave_its_component_and_doubling_frees_it():
    """Target: a pure delay of both channels, r = 2. Projectors of rank 1 have r = 1, and there they stay."""
    target = torch.zeros(2, 2, 2, dtype=torch.float64)
    target[:, :, 1] = torch.eye(2)
    trapped, seen = fit([1], 2, target)
    assert len(seen) == 1
    assert seen.pop()[1] == 1
    # The distance to a component of other r stays away from 0: one channel is not delayed, |I - P|^2 misses at least 1.
    assert trapped > 0.9
    free, _ = fit([2], 4, target)
    assert free < 1e-3


@pytest.mark.parametrize("ranks", [(0,), (3,), (1,), (0, 3), (2, 1), (3, 3, 0)])
def test_theorem_2_in_one_dimension(ranks, generator):
    H, R = draw(3, ranks, generator)
    H2, R2 = double_channels(H, R)
    assert all(each.shape == (6, 3) for each in R2)
    assert all(torch.allclose(each.mT @ each, torch.eye(3, dtype=torch.float64), atol=1e-12) for each in R2)
    x = torch.randn(2, 6, 9, generator=generator, dtype=torch.float64)
    C, C2 = projector_kernel(H, R), projector_kernel(H2, R2)
    assert torch.allclose(nn.functional.conv1d(x, C2)[:, :3], nn.functional.conv1d(x[:, :3], C), atol=1e-12)


def test_theorem_2_in_two_dimensions(generator):
    """C = W(H, P_1, Q_1) with any ranks, against a BCOP layer of twice the channels with projectors of rank n."""
    H, (P, Q) = draw(3, (0, 2), generator)
    H2, R2 = double_channels(H, [P, Q])
    layer = BCOP(6, 6, 2, bias=False).double()
    with torch.no_grad():
        layer.H.copy_(H2)
        layer.R.copy_(torch.stack(R2))
    X = append_projector(H[None, None].transpose(0, 1), P).transpose(0, 1)
    C = append_projector(X, Q).permute(2, 3, 0, 1)
    x = torch.randn(2, 6, 7, 7, generator=generator, dtype=torch.float64)
    expected = nn.functional.conv2d(x[:, :3], C)
    assert torch.allclose(nn.functional.conv2d(x, layer.weight)[:, :3], expected, atol=1e-12)


class Residual(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


def convolution(**options):
    torch.manual_seed(1)
    layer = nn.Conv2d(2, 2, 3, bias=False, **options)
    with torch.no_grad():
        layer.weight.copy_(polish(BCOP(2, 2, 3, bias=False)).weight)
    return layer


def strided():
    return nn.Sequential(polish(BCOP(2, 8, 3, bias=False)), nn.MaxPool2d(1, stride=2))


# (block, what was there, what replaces it): the rows of the poster's table.
TABLE = [
    ("skip connection", lambda: Residual(convolution(padding=1, padding_mode="circular")), None),
    ("batch normalisation", lambda: nn.BatchNorm2d(2).eval(), None),
    ("stride", strided, lambda: InvertibleDownsampling(2)),
    ("zero padding", lambda: convolution(padding=1), lambda: convolution(padding=1, padding_mode="circular")),
    ("free convolution", lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), lambda: polish(BCOP(2, 3, 3))),
    ("free dense layer", lambda: nn.Sequential(nn.Flatten(), nn.Linear(32, 40)),
     lambda: nn.Sequential(nn.Flatten(), OrthogonalLinear(32, 40))),
    ("ReLU", nn.ReLU, MaxMin),
    ("ReLU, neighbours", nn.ReLU, lambda: GroupSort(2)),
    ("ReLU, one input", nn.ReLU, Abs),
]  # fmt: skip


def jacobian_singular_values(block):
    torch.manual_seed(2)
    block = block.double()
    if isinstance(block, nn.BatchNorm2d):
        block.running_var.fill_(4.0)
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64)
    J = torch.autograd.functional.jacobian(lambda each: block(each).reshape(-1), x)
    return torch.linalg.svdvals(J.reshape(J.shape[0], -1))


@pytest.mark.parametrize(("before", "after"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_table_of_gradient_norm_preserving_blocks(before, after):
    """All singular values of the Jacobian are 1 after the replacement, and were not before."""
    assert (jacobian_singular_values(before()) - 1).abs().max() > 0.1
    if after is not None:
        # float32 weights: rounding of entries, in the spectral norm below 1e-6.
        assert (jacobian_singular_values(after()) - 1).abs().max() < 1e-6


def test_dropping_samples_loses_gradient():
    """A strided orthogonal convolution reads a quarter of its outputs: its norm is at most 1, but not preserved."""
    A = dense_matrix(strided(), (2, 4, 4))
    sigma = torch.linalg.svdvals(A)
    assert sigma.max() <= 1 + 1e-6
    assert sigma.min() < 0.9
