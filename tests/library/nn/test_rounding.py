"""Rounding bounds: never below the error against exact arithmetic, small for ordinary nets, refused where unproven."""

import math
from collections.abc import Iterator
from decimal import Decimal

import pytest
import torch
from exact import distance, exact_output, to_decimals
from layer_examples import EXAMPLES
from torch import Tensor, nn

from wdist.errors import OptionError, UnprovenError
from wdist.nn.contract import Layer, layer
from wdist.nn.convolutions import BCOP
from wdist.nn.frozen import CircularConv2d, Clip, Cone, PiecewiseLinear, Shift
from wdist.nn.layers import GroupSort, InvertibleDownsampling, MaxMin, OrthogonalLinear, Scale
from wdist.nn.lipschitz import lipschitz_bound, register
from wdist.nn.rounding import forward_with_rounding, rounding_bound
from wdist.nn.standard_model import Application, exact, one_operation
from wdist.nn.torch_layers import plain_linear

SCALES = [1e-30, 1e-8, 1.0, 1e8, 1e30]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(19)


def with_values(module: nn.Module, scale: float) -> nn.Module:
    """Everything that has the unit of the data, times `scale`."""
    module = module.double().eval()
    with torch.no_grad():
        for part in module.modules():
            if getattr(part, "bias", None) is not None:
                part.bias.copy_(scale * torch.randn_like(part.bias))
            for name in ("shift", "anchors", "offsets", "knots", "values"):
                if isinstance(found := getattr(part, name, None), Tensor):
                    found.mul_(scale)
            if isinstance(part, Clip):
                part.low, part.high = part.low * scale, part.high * scale
    return module


def errors_and_bounds(
    module: nn.Module, rows: Tensor, error: Tensor | None = None
) -> Iterator[tuple[Decimal, Decimal]]:
    with torch.no_grad():
        computed, bound = forward_with_rounding(module, rows, error)
        assert torch.equal(computed, module(rows))
    apart = distance(to_decimals(computed), exact_output(module, rows))
    return zip(apart, (Decimal(float(b)) for b in bound), strict=True)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example[0]()).__name__)
def test_no_layer_is_further_off_than_its_bound(example, scale) -> None:
    module, shape = with_values(example[0](), scale), example[1]
    rows = scale * torch.randn(6, *shape, dtype=torch.float64)
    pairs = [*errors_and_bounds(module, rows)]
    assert all(apart <= bound for apart, bound in pairs)
    # As a bound of relative errors it is within a few hundred roundings, or none.
    size = rows.flatten(1).norm(dim=1).max() + module(rows).detach().flatten(1).norm(dim=1).max()
    assert all(bound <= Decimal(2e-13 * float(size)) for _, bound in pairs)
    assert any(apart > 0 for apart, _ in pairs) == any(bound > 0 for _, bound in pairs)


@pytest.mark.parametrize(
    ("module", "part"),
    [
        (plain_linear(torch.tensor([[1.1]])), 1 / 4),  # one rounding where three are allowed for
        (Scale(1.1), 1 / 2),
        (Shift(torch.tensor([-0.3])), 1 / 4),
        (Cone(torch.zeros(1, 1), torch.tensor([1.0])), 1 / 16),
        (PiecewiseLinear(torch.tensor([0.0, 3.0]), torch.tensor([0.0, 1.0])), 1 / 40),
        (CircularConv2d(torch.full((1, 1, 1, 1), 1.1)), 1 / 4),
    ],
    ids=lambda case: type(case).__name__ if isinstance(case, nn.Module) else None,
)
def test_the_bound_is_a_small_multiple_of_the_largest_error(module: nn.Module, part: float) -> None:
    """With a unit roundoff that is too small by as much, the tests of this file would fail."""
    shape = (1, 1, 1) if isinstance(module, CircularConv2d) else (1,)
    rows = torch.linspace(0.5, 3, 400, dtype=torch.float64).reshape(-1, *shape)
    assert part < max(float(apart / bound) for apart, bound in errors_and_bounds(module.double(), rows)) <= 1


def random_net(kind: str) -> tuple[nn.Sequential, tuple[int, ...]]:
    if kind == "dense":
        layers = [
            Shift(torch.zeros(5)),
            nn.Linear(5, 12),
            MaxMin(),
            nn.Linear(12, 9),
            GroupSort(3),
            nn.Linear(9, 2),
            Scale(0.3),
        ]
        return nn.Sequential(*layers), (5,)
    if kind == "linear":
        return nn.Sequential(nn.Linear(5, 3)), (5,)
    if kind == "images":
        layers = [InvertibleDownsampling(2), CircularConv2d(torch.randn(6, 4, 3, 3), torch.randn(6)), MaxMin()]
        layers += [BCOP(6, 4, 2), nn.ReLU(), nn.Conv2d(4, 3, 2, padding=1, stride=2), nn.Flatten(), nn.Linear(18, 1)]
        return nn.Sequential(*layers), (1, 8, 6)
    if kind == "1-d":
        layers = [
            BCOP(2, 4, 3, stride=2, dimensions=1),
            MaxMin(),
            nn.Conv1d(4, 2, 3, padding=1, groups=2),
            nn.Flatten(),
        ]
        return nn.Sequential(*layers, OrthogonalLinear(6, 1)), (2, 6)
    if kind == "cone":
        return nn.Sequential(
            OrthogonalLinear(4, 4), MaxMin(), Cone(torch.randn(7, 4), torch.randn(7), -1), Clip(-3, 3)
        ), (4,)
    knots = torch.tensor([-1.0, -0.2, 0.1, 2.0])
    return nn.Sequential(nn.Flatten(), nn.Linear(3, 1), PiecewiseLinear(knots, torch.randn(4))), (3,)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kind", ["dense", "images", "1-d", "cone", "sliced"])
def test_no_net_is_further_off_than_its_bounds(kind: str, scale: float) -> None:
    net, shape = random_net(kind)
    net = with_values(net, scale)
    rows = scale * torch.randn(5, *shape, dtype=torch.float64)
    radius = float(rows.flatten(1).norm(dim=1).max())
    everywhere = rounding_bound(net, shape, radius)
    for apart, bound in errors_and_bounds(net, rows):
        assert apart <= bound <= Decimal(everywhere)
        assert bound <= Decimal(1e-11 * scale)
    assert everywhere <= 1e-10 * scale * lipschitz_bound(net, shape) + 1e-11 * scale


@pytest.mark.parametrize("offset", [1e3, 1e6, 1e9])
def test_bounds_hold_far_from_0_and_a_centre_keeps_them_small(offset: float) -> None:
    for centred in (False, True):
        net, shape = random_net("dense")
        net = with_values(net, 1.0)
        if centred:
            net[0].shift.fill_(offset)
        rows = offset + torch.randn(5, *shape, dtype=torch.float64)
        for apart, bound in errors_and_bounds(net, rows):
            assert apart <= bound <= Decimal(1e-13 * (1 if centred else 1e2 * offset))


def test_the_error_of_rows_is_passed_on() -> None:
    net, shape = random_net("dense")
    net = with_values(net, 1.0)
    meant = torch.randn(50, *shape, dtype=torch.float64)
    step = torch.randn_like(meant)
    error = torch.logspace(-12, 0, 50, dtype=torch.float64)
    given = meant + step * (0.999 * error / step.norm(dim=1))[:, None]
    with torch.no_grad():
        computed, bound = forward_with_rounding(net, given, error)
    apart = distance(to_decimals(computed), exact_output(net, meant))
    ratios = [float(a) / float(b) for a, b in zip(apart, bound, strict=True)]
    assert 0.02 < max(ratios) <= 1
    assert torch.all(bound <= 1.001 * lipschitz_bound(net, shape) * error + 1e-12)


def staircase() -> nn.Sequential:
    """The identity of two coordinates on paper; in float64 its values are even numbers."""
    up, down = nn.Linear(2, 2, dtype=torch.float64), nn.Linear(2, 2, dtype=torch.float64)
    with torch.no_grad():
        for linear, bias in ((up, 2.0**53), (down, -(2.0**53))):
            linear.weight.copy_(torch.eye(2))
            linear.bias.fill_(bias)
    return nn.Sequential(up, down)


def test_a_staircase_is_bounded_as_one() -> None:
    net, rows = staircase(), torch.tensor([[0.998, 0.4], [1.002, 0.4]], dtype=torch.float64)
    computed = net(rows).detach()
    assert (computed[0] - computed[1]).norm() == 2  # at a distance of .004: the Lipschitz bound alone is no proof
    assert lipschitz_bound(net, (2,)) < 1 + 1e-12
    assert all(apart <= bound for apart, bound in errors_and_bounds(net, rows))
    E = rounding_bound(net, (2,), 1.1)
    assert 0.004 * lipschitz_bound(net, (2,)) + 2 * E >= 2
    assert E < 30


@pytest.mark.parametrize("kind", ["dense", "images", "1-d"])
def test_bounds_hold_where_biases_swallow_the_values(kind: str) -> None:
    net, shape = random_net(kind)
    net = with_values(net, 1.0)
    with torch.no_grad():
        for part in net:
            if getattr(part, "bias", None) is not None:
                part.bias.copy_(2.0**53 * part.bias.sign())
    rows = torch.randn(8, *shape, dtype=torch.float64)
    pairs = [*errors_and_bounds(net, rows)]
    assert all(apart <= bound for apart, bound in pairs)
    assert max(apart for apart, _ in pairs) > Decimal("0.1")


@pytest.mark.parametrize("scale", [1e-320, 1e-308, 1e-200, 1e-160])
@pytest.mark.parametrize("kind", ["linear", "dense", "cone", "sliced"])
def test_bounds_hold_where_numbers_underflow(kind: str, scale: float) -> None:
    net, shape = random_net(kind)
    net = with_values(net, scale)
    if kind == "sliced":  # scaled knots and values may coincide
        net[-1].knots.copy_(torch.tensor([-1.0, -0.2, 0.1, 2.0]))
    rows = torch.randn(5, *shape, dtype=torch.float64) * scale
    assert all(apart <= bound for apart, bound in errors_and_bounds(net, rows))


def test_what_overflows_has_no_bound() -> None:
    cases = [
        (nn.Sequential(Scale(1e10), Clip(-1, 1)), 1e300),
        (nn.Sequential(nn.Linear(2, 2), nn.ReLU(), Clip(-1, 1)), 1e306),  # times the 1,000 added to each weight
        (nn.Sequential(Cone(torch.zeros(2, 2), torch.zeros(2)), Clip(-1, 1)), 1e200),
    ]
    for net, size in cases:
        net = net.double()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter += 1e3
        rows = torch.full((1, 2), size, dtype=torch.float64)
        assert forward_with_rounding(net, rows)[1].item() == math.inf
        assert rounding_bound(net, (2,), 2 * size) == math.inf
        assert forward_with_rounding(net, rows / size)[1].item() < 1e-5


def test_float32_is_bounded_for_dense_nets_alone() -> None:
    net = with_values(random_net("dense")[0], 1.0)
    rows = torch.randn(20, 5)
    in_double = net.float().double()
    with torch.no_grad():
        exact_values = exact_output(in_double, rows.double())
        computed, bound = forward_with_rounding(net.float(), rows)
    apart = distance(to_decimals(computed), exact_values)
    assert all(0 < a <= Decimal(float(b)) for a, b in zip(apart, bound, strict=True))
    assert bound.max() < 1e-3
    assert float(bound.max()) <= rounding_bound(net, (5,), float(rows.norm(dim=1).max()), torch.float32)
    for kind, message in (("images", "convolutions in float32"), ("cone", "cones in float32")):
        net, shape = random_net(kind)
        with pytest.raises(UnprovenError, match=message):
            rounding_bound(net, shape, 1.0, torch.float32)


def test_layers_of_users_have_a_bound_when_they_give_one() -> None:
    class Halving(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x / 2

    net = nn.Sequential(nn.ReLU(), Halving())
    register(Halving)(lambda module, shape: (0.5, shape))
    with pytest.raises(UnprovenError, match=r"'1' of class Halving: .*register\(Halving, rounding=\.\.\.\)"):
        rounding_bound(net, (3,), 1.0)
    register(Halving, rounding=lambda module, at: one_operation(at))(lambda module, shape: (0.5, shape))
    assert rounding_bound(net, (3,), 1.0) == pytest.approx(2**-54, rel=0.02)
    register(Halving)(lambda module, shape: (0.6, shape))  # another bound leaves the rounding
    assert rounding_bound(net, (3,), 1.0) > 0

    @layer()
    class Turned(Layer):
        def forward(self, x: Tensor) -> Tensor:
            return -x

        def bound(self, shape: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
            return 1.0, shape

    with pytest.raises(UnprovenError, match="Turned"):
        rounding_bound(Turned(), (3,), 1.0)

    @layer()
    class Backwards(Turned):
        def rounding(self, at: Application) -> Tensor:
            return exact(at)

    assert rounding_bound(Backwards(), (3,), 1.0) == 0


def test_what_cannot_be_bounded_is_named() -> None:
    net = random_net("dense")[0]
    with pytest.raises(OptionError, match=r"the module holds torch.float32, the rows are torch.float64"):
        forward_with_rounding(net, torch.zeros(1, 5, dtype=torch.float64))
    with pytest.raises(OptionError, match="radius must be at least 0, got nan"):
        rounding_bound(net, (5,), math.nan)
    with pytest.raises(OptionError, match=r"not in torch\.float16"):
        rounding_bound(net, (5,), 1.0, torch.float16)
    with pytest.raises(UnprovenError, match="BatchNorm1d"):
        rounding_bound(nn.BatchNorm1d(5), (5,), 1.0)


@pytest.mark.parametrize("apart", [1.0, 1e4, 1e6, 1e8, 1e30])
@pytest.mark.parametrize("offset", [0.0, 1e9])
def test_slopes_of_cones_whose_anchors_are_far_apart(apart: float, offset: float) -> None:
    """Far-apart pairs of anchors, each of two neighbours, which an expansion of squares confuses near the anchors."""
    near = 1e-8 * apart
    far = offset + apart * torch.randn(8, 3, dtype=torch.float64)
    anchors = torch.cat((far, far + near * torch.randn(8, 3, dtype=torch.float64)))
    cone = Cone(anchors, torch.zeros(16, dtype=torch.float64))
    rows = anchors + 1e-4 * near * torch.randn(16, 3, dtype=torch.float64)
    moved = rows + 1e-4 * near * torch.randn(16, 3, dtype=torch.float64)
    with torch.no_grad():
        (f, e), (g, d) = forward_with_rounding(cone, rows), forward_with_rounding(cone, moved)
    assert all(a <= b for x in (rows, moved) for a, b in errors_and_bounds(cone, x))
    assert torch.all((f - g).abs().flatten() <= (rows - moved).norm(dim=1) * (1 + 1e-12) + e + d)
    assert torch.all(e <= 1e-14 * (apart + offset) * 10)


def test_cones_are_evaluated_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    cone = Cone(torch.randn(40, 3, dtype=torch.float64), torch.randn(40, dtype=torch.float64), -1)
    rows = torch.randn(1_000, 3, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        whole = cone(rows)
        monkeypatch.setattr("wdist.nn.frozen._BLOCK_BYTES", 8 * 40 * 7)
        assert torch.equal(cone(rows), whole)
        assert cone(rows[:0]).shape == (0, 1)
    torch.testing.assert_close(cone(rows), whole, rtol=1e-14, atol=1e-14)
    (slopes,) = torch.autograd.grad(cone(rows).sum(), rows)
    torch.testing.assert_close(slopes.norm(dim=1), torch.ones(1_000, dtype=torch.float64))
