"""Every declared layer keeps the contract: its bound holds, and its frozen form can be stored."""

import json

import pytest
import torch
from layer_examples import EXAMPLES
from torch import nn

from wdist.errors import WdistError
from wdist.nn import contract
from wdist.nn.frozen import CircularConv2d, Clip, PiecewiseLinear, Shift
from wdist.nn.layers import MaxMin
from wdist.nn.lipschitz import lipschitz_bound

UNIT = 5.0


@pytest.fixture(params=EXAMPLES, ids=lambda example: type(example[0]()).__name__)
def example(request: pytest.FixtureRequest) -> tuple[nn.Module, tuple[int, ...]]:
    torch.manual_seed(7)
    build, shape = request.param
    module = build()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name == "bias":
                parameter.normal_()
    return module.eval(), shape


def test_every_declared_layer_has_an_example() -> None:
    ours = {kind for kind in contract._BY_CLASS if kind.__module__.startswith(("wdist.", "torch."))}
    assert {type(build()) for build, _ in EXAMPLES} == ours


def test_the_bound_is_not_below_the_slope_between_any_two_points(example: tuple[nn.Module, tuple[int, ...]]) -> None:
    module, shape = example
    bound = lipschitz_bound(module, shape)
    module = module.double()
    x, y = torch.randn(2, 2_000, *shape, dtype=torch.float64)
    y = torch.where(torch.arange(2_000).reshape(-1, *[1] * len(shape)) % 2 == 0, y, x + 1e-4 * y)  # far and near pairs
    with torch.no_grad():
        slopes = (module(x) - module(y)).flatten(1).norm(dim=1) / (x - y).flatten(1).norm(dim=1)
    assert 0 < slopes.max() <= bound * (1 + 1e-9)


def test_the_shape_of_the_output_is_the_one_that_the_rule_states(example: tuple[nn.Module, tuple[int, ...]]) -> None:
    module, shape = example
    rule = contract.rule_of(module)
    assert rule is not None
    with torch.no_grad():
        assert rule(module, shape)[1] == module(torch.randn(2, *shape)).shape[1:]


def test_what_is_stored_is_restored(example: tuple[nn.Module, tuple[int, ...]]) -> None:
    module, shape = example
    layers = contract.frozen(module, UNIT)
    try:
        entries = [json.loads(json.dumps(contract.to_entry(layer))) for layer in layers]
    except WdistError:
        assert layers == [module]  # has neither a stored form nor one that it freezes to
        return
    restored = [contract.from_entry(e, layer.state_dict()) for e, layer in zip(entries, layers, strict=True)]
    x = torch.randn(50, *shape)
    with torch.no_grad():
        given = nn.Sequential(*restored)(x)
        assert torch.equal(given, nn.Sequential(*layers)(x))
        if not isinstance(module, Clip | CircularConv2d | PiecewiseLinear | Shift):  # made in units of the data
            torch.testing.assert_close(given, UNIT * module(x / UNIT), rtol=1e-5, atol=1e-5)


def test_a_subclass_has_no_stored_form() -> None:
    class Louder(MaxMin):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    with pytest.raises(WdistError, match="Louder"):
        contract.to_entry(Louder())


@pytest.mark.parametrize(
    ("entry", "tensors"),
    [
        ({"kind": "softmax"}, {}),
        ({"kind": "clip", "low": 0.0}, {}),
        ({"kind": "shift"}, {}),
        ({"kind": "maxmin"}, {"weight": torch.zeros(1)}),
    ],
)
def test_entries_that_make_no_layer_are_refused(entry: dict[str, object], tensors: dict[str, torch.Tensor]) -> None:
    with pytest.raises(WdistError, match=str(entry["kind"])):
        contract.from_entry(entry, tensors)
