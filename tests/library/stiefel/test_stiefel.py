"""The optimiser: stays on the manifold, descends, finds optima, and behaves like any torch optimiser."""

import copy
import math

import pytest
import torch
from torch import nn

from wdist.errors import OptionError, TrainingError
from wdist.nn.convolutions import BCOP
from wdist.nn.layers import MaxMin, OrthogonalLinear
from wdist.nn.lipschitz import lipschitz_bound
from wdist.nn.orthogonal import gram, orthogonality_error, polar, random_orthogonal, tangent
from wdist.stiefel.optimizer import StiefelOptimizer, parameter_groups, polish
from wdist.stiefel.step import LARGEST_RATE, direction_precision, restore_orthogonality, stiefel_step

SHAPES = [(1, 1), (1, 7), (2, 2), (3, 3), (3, 5), (16, 16), (16, 17), (20, 90), (64, 64)]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(7)


def small_net():
    return nn.Sequential(
        BCOP(1, 4, 3), MaxMin(), nn.Flatten(), OrthogonalLinear(64, 8), MaxMin(), OrthogonalLinear(8, 1)
    )


def loss_of(net):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(32, 1, 4, 4, generator=generator)
    return net(x).mean() - net(x.square()).mean()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("lr", [0.01, 0.1])
def test_step_follows_the_polar_direction_and_stays_on_the_manifold(shape, lr):
    W = random_orthogonal(3, *shape, dtype=torch.float64)
    M = torch.randn(3, *shape, dtype=torch.float64)
    moved = stiefel_step(W, M, lr)
    # Four-term series of the retraction, directions of at most 2: see wdist.stiefel.step.
    assert orthogonality_error(moved).max() < 4 * lr**4 * shape[0] ** 0.5 + 1e-5 * lr
    if shape == (1, 1):
        assert torch.equal(moved, W)  # O(1) is two points
        return
    velocity = (moved - W) / lr
    assert ((velocity * M).sum((1, 2)) < 0).all()
    assert torch.linalg.svdvals(velocity).max() < 2.1
    ideal = polar(tangent(W, M))
    # Skew matrices of odd size are singular: one direction cannot be moved.
    rank = shape[0] - shape[0] % 2 if shape[0] == shape[1] else shape[0]
    cosine = -(velocity * ideal).sum((1, 2)) / (velocity.norm(dim=(1, 2)) * rank**0.5)
    assert cosine.min() > 0.7


@pytest.mark.parametrize("shape", [(8, 8), (64, 64), (8, 12), (64, 80)])
@pytest.mark.parametrize("rank", [1, None])
def test_a_direction_in_bfloat16_leaves_the_step_on_the_manifold(shape, rank):
    """Rank one is the worst case for the scaling: nothing lies between the estimate of the norm and the norm."""
    W = random_orthogonal(3, *shape)
    M = torch.randn(3, *shape) if rank is None else torch.randn(3, shape[0], 1) @ torch.randn(3, 1, shape[1])
    lr = 0.1
    moved = stiefel_step(W, M, lr, direction_dtype=torch.bfloat16)
    assert orthogonality_error(moved.double()).max() < 4 * lr**4 * shape[0] ** 0.5 + 1e-5
    velocity = (moved - W) / lr
    assert torch.linalg.svdvals(velocity).max() < 2.1
    assert ((velocity * M).sum((1, 2)) < 0).all()
    if rank is None:
        # Values in [l, u] have a cosine of at least 2 sqrt(l u) / (l + u) to a constant: .76 for [.35, 1.65].
        ideal = polar(tangent(W, M)).float()
        cosine = -(velocity * ideal).sum((1, 2)) / (velocity.norm(dim=(1, 2)) * shape[0] ** 0.5)
        assert cosine.min() > 0.75
    still = stiefel_step(W, torch.zeros_like(W), lr, direction_dtype=torch.bfloat16)
    assert torch.allclose(still, W, atol=1e-6)


def test_only_large_float32_matrices_get_directions_of_low_precision():
    assert direction_precision(torch.empty(1, 64, 4096)) == torch.float32
    assert direction_precision(torch.empty(1, 512, 512, dtype=torch.float64)) == torch.float64
    assert direction_precision(torch.empty(1, 512, 512)) in (torch.float32, torch.bfloat16)


def test_zero_gradient_moves_nothing():
    for shape in SHAPES:
        W = random_orthogonal(2, *shape)
        assert torch.allclose(stiefel_step(W, torch.zeros_like(W), 0.1), W, atol=1e-6)


def test_gradient_normal_to_the_manifold_moves_nothing_far():
    """A gradient in the normal space has no tangent part: what moves is its rounding, held down by the damping."""
    W = random_orthogonal(1, 8, 20, dtype=torch.float64)
    N = torch.randn(8, 8, dtype=torch.float64)
    moved = stiefel_step(W, (N + N.mT) @ W, 0.1)
    assert (moved - W).norm() < 0.02  # a full step would be 0.1 sqrt(8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_drift_is_bounded_over_hundreds_of_steps(dtype):
    layers = nn.ModuleList([OrthogonalLinear(32, 32), OrthogonalLinear(50, 20), OrthogonalLinear(9, 1)]).to(dtype)
    optimizer = StiefelOptimizer(parameter_groups(layers, lr=0.05))
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for _ in range(400):
        for p in layers.parameters():
            p.grad = torch.randn(p.shape, generator=generator, dtype=dtype)
        optimizer.step()
        worst = max(worst, max(float(orthogonality_error(layer.weight.detach().double())) for layer in layers))
    # Between two corrections at most ten steps of 4 lr^4 sqrt(p) each.
    assert worst < 10 * 4 * 0.05**4 * 32**0.5
    polish(layers)
    limit = 1e-6 if dtype == torch.float32 else 1e-13
    assert max(float(orthogonality_error(layer.weight.detach().double())) for layer in layers) < limit


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (1, 5)])
def test_finds_the_nearest_orthogonal_matrix(shape):
    """min ||W - A||^2 over the manifold is the polar factor of A; O(n) has two components, so A starts near W."""
    layer = OrthogonalLinear(*reversed(shape), bias=False).double()
    A = layer.weight.detach() * 2 + 0.4 * torch.randn(shape, dtype=torch.float64)
    optimizer = StiefelOptimizer(parameter_groups(layer, lr=0.1))
    steps = 400
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        (layer.weight - A).square().sum().backward()
        optimizer.step()
        schedule.step()
    assert torch.allclose(polish(layer).weight.detach(), polar(A), atol=2e-3)


def test_product_of_norms_is_one_after_training():
    net = small_net()
    optimizer = StiefelOptimizer(parameter_groups(net, lr=0.05, euclidean_lr=1e-2))
    first = loss_of(net).item()
    for _ in range(60):
        optimizer.zero_grad()
        loss_of(net).backward()
        optimizer.step()
    assert loss_of(net).item() < first - 0.1
    assert abs(lipschitz_bound(polish(net), (1, 4, 4)) - 1) < 2e-6


def run(net, optimizer, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(net).backward()
        optimizer.step()


def test_state_dict_continues_exactly():
    net = small_net()
    optimizer = StiefelOptimizer(parameter_groups(net))
    run(net, optimizer, 5)
    twin = copy.deepcopy(net)
    resumed = StiefelOptimizer(parameter_groups(twin))
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    run(net, optimizer, 15)
    run(twin, resumed, 15)
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.equal(p, q)


def test_optimizer_can_be_copied():
    net = small_net()
    optimizer = StiefelOptimizer(parameter_groups(net))
    run(net, optimizer, 2)
    net2, optimizer2 = copy.deepcopy((net, optimizer))
    run(net, optimizer, 3)
    run(net2, optimizer2, 3)
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), net2.parameters(), strict=True))


def test_steps_do_not_depend_on_what_shares_the_batch():
    """Layers of one shape are stepped together: the same as one by one, up to the rounding of the products."""
    together = [OrthogonalLinear(12, 12) for _ in range(3)] + [OrthogonalLinear(5, 9), OrthogonalLinear(9, 5)]
    alone = copy.deepcopy(together)
    gradients = [torch.randn_like(layer.weight) for layer in together]
    for layers in (together, alone):
        for layer, gradient in zip(layers, gradients, strict=True):
            layer.weight.grad = gradient.clone()
    StiefelOptimizer([layer.weight for layer in together], lr=0.1).step()
    for layer in alone:
        StiefelOptimizer([layer.weight], lr=0.1).step()
    for a, b in zip(together, alone, strict=True):
        assert torch.allclose(a.weight, b.weight, atol=2e-6)


def test_euclidean_parameters_follow_adam():
    p, q = nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.zeros(5))
    twins = [nn.Parameter(p.detach().clone()), nn.Parameter(q.detach().clone())]
    ours = StiefelOptimizer([{"params": [p, q], "manifold": "euclidean", "lr": 0.1}], betas=(0.9, 0.99))
    adam = torch.optim.Adam(twins, lr=0.1, betas=(0.9, 0.99))
    for _ in range(20):
        for each, twin in zip((p, q), twins, strict=True):
            each.grad = each.detach() - 1
            twin.grad = twin.detach() - 1
        ours.step()
        adam.step()
    assert torch.allclose(p, twins[0], atol=1e-6)
    assert torch.allclose(q, twins[1], atol=1e-6)


def test_adam_counts_the_steps_of_each_parameter():
    p, q = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    twins = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))]
    ours = StiefelOptimizer([{"params": [p, q], "manifold": "euclidean", "lr": 0.1}], betas=(0.9, 0.99))
    adam = torch.optim.Adam(twins, lr=0.1, betas=(0.9, 0.99))
    for step in range(40):
        for each in (p, twins[0], *((q, twins[1]) if step >= 30 else ())):
            each.grad = torch.full((3,), 1.0 + step % 3)
        ours.step()
        adam.step()
    assert torch.allclose(p, twins[0], atol=1e-6)
    assert torch.allclose(q, twins[1], atol=1e-6)
    assert q[0] < 0.1  # it has moved by 0.1 in each of ten steps


def test_closure_scheduler_and_missing_gradients():
    layer = OrthogonalLinear(4, 4)
    optimizer = StiefelOptimizer(parameter_groups(layer))
    optimizer.step()  # no gradients yet
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0 if step else 1.0)
    before = layer.weight.detach().clone()

    def closure():
        optimizer.zero_grad()
        loss = layer(torch.ones(1, 4)).sum()
        loss.backward()
        return loss.detach()

    assert float(optimizer.step(closure)) == pytest.approx(float(before.sum()), abs=1e-6)
    assert not torch.equal(layer.weight, before)
    scheduler.step()
    before = layer.weight.detach().clone()
    optimizer.step(closure)
    assert torch.allclose(layer.weight, before, atol=1e-6)


def test_groups_tell_manifold_and_euclidean_parameters_apart():
    net = nn.Sequential(BCOP(2, 4, 3), nn.Flatten(), OrthogonalLinear(16, 2), nn.Linear(2, 2))
    stiefel, euclidean = parameter_groups(net, lr=0.3, euclidean_lr=0.2)
    assert {id(p) for p in stiefel["params"]} == {id(net[0].H), id(net[0].R), id(net[2].weight)}
    assert {id(p) for p in euclidean["params"]} == {
        id(net[0].bias),
        id(net[2].bias),
        id(net[3].weight),
        id(net[3].bias),
    }
    assert (stiefel["lr"], euclidean["lr"]) == (0.3, 0.2)
    assert parameter_groups(nn.Linear(2, 2))[0]["manifold"] == "euclidean"


BAD_OPTIONS = [
    ({"lr": -1.0}, r"in \[0, 0.15\]"),
    ({"lr": math.nan}, r"in \[0, 0.15\]"),
    ({"lr": 0.16}, r"in \[0, 0.15\]"),
    ({"manifold": "euclidean", "lr": math.nan}, "lr"),
    ({"manifold": "euclidean", "lr": math.inf}, "lr"),
    ({"manifold": "Stiefel"}, '"stiefel" or "euclidean", not \'Stiefel\''),
    ({"momentum": 1.0}, "momentum"),
    ({"momentum": math.nan}, "momentum"),
    ({"correct_every": 0}, "correct_every"),
    ({"betas": (2, 3)}, "betas"),
    ({"eps": -1.0}, "eps"),
    ({"direction_dtype": torch.float16}, "direction_dtype"),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS)
def test_bad_options_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        StiefelOptimizer([{"params": [nn.Parameter(torch.eye(2))], **options}])
    optimizer = StiefelOptimizer([nn.Parameter(torch.eye(2))])
    with pytest.raises(OptionError, match=message):
        optimizer.add_param_group({"params": [nn.Parameter(torch.eye(2))], **options})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("manifold", ["stiefel", "euclidean"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.complex64])
def test_weights_of_other_dtypes_are_refused(manifold, dtype):
    weight = nn.Parameter(torch.eye(4).to(dtype))
    with pytest.raises(OptionError, match=r"parameter 0 of the group, \(4, 4\), is torch\..*module\.float\(\)"):
        StiefelOptimizer([{"params": [weight], "manifold": manifold}])


def test_parameters_that_are_not_on_the_manifold_are_refused():
    with pytest.raises(OptionError, match=r"parameter 1 of the group, \(4,\), is no matrix.*parameter_groups"):
        StiefelOptimizer(OrthogonalLinear(4, 4).parameters())
    with pytest.raises(OptionError, match=r"bias, \(4,\), is no matrix"):
        StiefelOptimizer(OrthogonalLinear(4, 4).named_parameters())
    for weight in (nn.Linear(8, 8).weight, nn.Conv2d(4, 8, 3).weight, nn.Parameter(torch.full((4, 4), torch.nan))):
        with pytest.raises(OptionError, match=r"not semi-orthogonal.*polar"):
            StiefelOptimizer([weight])
    stacked = random_orthogonal(3, 4, 8)
    stacked[1] *= 1.1
    with pytest.raises(OptionError, match=r"sigma\^2 - 1 of its singular values is 0.21"):
        StiefelOptimizer([nn.Parameter(stacked)])


def test_weights_in_training_frozen_and_empty_ones_are_taken():
    """What is off by the drift of the largest rate, and what no step will move."""
    stacked = nn.Parameter(random_orthogonal(2, 3, 4, 8) * 1.02)
    frozen = nn.Parameter(torch.ones(5), requires_grad=False)
    optimizer = StiefelOptimizer([stacked, frozen, nn.Parameter(torch.empty(0, 4))], lr=0.15)
    stacked.grad = torch.randn_like(stacked)
    for _ in range(10):
        optimizer.step()
    assert orthogonality_error(stacked.detach()).max() < 1e-5
    assert torch.equal(frozen, torch.ones(5))


def test_a_rate_that_a_schedule_makes_too_large_is_refused_before_a_step():
    weight = nn.Parameter(random_orthogonal(4, 8))
    before = weight.detach().clone()
    optimizer = StiefelOptimizer([weight], lr=0.1)
    weight.grad = torch.randn_like(weight)
    for rate in (0.2, -0.2, math.nan):
        optimizer.param_groups[0]["lr"] = rate
        with pytest.raises(OptionError, match="rate of a group on the Stiefel manifold"):
            optimizer.step()
    assert torch.equal(weight, before)


def gradients(W):
    """Of rank one, ill-conditioned, normal to the manifold, mostly so, and any."""
    *batch, p, n = W.shape
    yield torch.randn(*batch, p, 1) @ torch.randn(*batch, 1, n)
    yield (torch.randn(*batch, p, p) * torch.logspace(0, -5, p)) @ torch.randn(*batch, p, n)
    yield -W.clone()
    yield W + 0.1 * torch.randn(W.shape)
    yield torch.randn(W.shape)


@pytest.mark.parametrize("shape", [(16, 16), (16, 20), (16, 128), (90, 100), (48, 400), (260, 280)])
def test_the_largest_rate_keeps_weights_near_the_manifold(shape):
    """The bounds on singular values that wdist.stiefel.step derives, for every path of the step."""
    drift = (1 + 1.4 * LARGEST_RATE**4) ** 10 - 1  # of sigma^2, between two corrections
    low, high = (1 - drift, 1 + drift) if shape[0] == shape[1] else (0.993, 1.02)
    for kind in range(5):
        weight = nn.Parameter(random_orthogonal(2, *shape))
        optimizer = StiefelOptimizer([weight], lr=LARGEST_RATE)
        for _ in range(30):
            weight.grad = list(gradients(weight.detach()))[kind]
            optimizer.step()
            sigma = torch.linalg.eigvalsh(gram(weight.detach().double())).sqrt()
            assert low < sigma.min() <= sigma.max() < high


@pytest.mark.parametrize(
    "shape", [(1, 7), (16, 16), (16, 20), (16, 128), (90, 100), (48, 400), (260, 280), (260, 2100)]
)
def test_no_finite_gradient_breaks_a_weight(shape):
    """The direction does not depend on the size; where float32 overflows or underflows there is no step."""
    W, G = random_orthogonal(2, *shape), torch.randn(2, *shape)

    def step(G):
        return stiefel_step(W, G, 0.1, direction_dtype=torch.float32)  # of bfloat16 three digits are equal

    usual = step(G)
    for size in (1e-12, 1e-6, 1e6, 1e15):
        assert torch.allclose(step(G * size), usual, atol=1e-4)
    for size in (1e-42, 1e-35, 1e20, 1e25, 1e30, 1e35):
        assert torch.allclose(step(G * size), W, atol=1e-5)
    for size in (1e-30, 1e-25, 1e-20, 1e17, 1e18, 1e19):
        moved = step(G * size)
        assert torch.linalg.matrix_norm(moved - W, ord=2).max() < 0.171 + 0.1**2
        assert orthogonality_error(moved.double()).max() < 4 * 0.1**4 * shape[0] ** 0.5 + 1e-5
    assert step(G * math.nan).isnan().any()  # a trainer has to see it


def test_polish_refuses_weights_that_are_not_finite():
    layer = OrthogonalLinear(3, 3)
    with torch.no_grad():
        layer.weight[0, 0] = torch.nan
    with pytest.raises(TrainingError, match=r"OrthogonalLinear\.weight"):
        polish(layer)


def test_restoring_squares_the_error():
    W = random_orthogonal(2, 10, 30, dtype=torch.float64) * 1.01
    assert orthogonality_error(restore_orthogonality(W)).max() < 0.75 * 10**0.5 * 0.0202**2
