"""Critics: building, freezing to plain layers in the data's units, proving, storing and loading."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from wdist.critics.critic import Critic, CriticInput, load_critic
from wdist.critics.families import AffineConfig, BCOPConfig, Config, GroupSortConfig, affine, build
from wdist.critics.frozen import freeze
from wdist.errors import OptionError, SampleError, WdistError
from wdist.nn.frozen import Clip
from wdist.nn.lipschitz import lipschitz_bound

NO_SCALE = {"kind": "none", "divisor": 1.0, "center": 0.0, "data_divisor": 1.0}
TABLE = CriticInput((6,), None, False, NO_SCALE)
IMAGES = CriticInput((1, 8, 8), None, True, NO_SCALE | {"data_divisor": 255.0})
CASES: list[tuple[Config, CriticInput]] = [
    (GroupSortConfig(width=16, depth=2), TABLE),
    (GroupSortConfig(width=7, depth=1), TABLE),
    (BCOPConfig(channels=(8, 12), kernel_size=2, width=10, depth=1), IMAGES),
]


def trained_look(config: GroupSortConfig | BCOPConfig, takes: CriticInput, unit: float) -> tuple[nn.Sequential, Critic]:
    """A net with non-zero biases, and its frozen critic for rows shifted by 3 and measured in `unit`."""
    net = build(config, takes.row_shape, seed=3)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("bias"):
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    shift = torch.full(takes.row_shape, 3.0)
    return net, Critic(config, freeze(net, shift, unit), takes)


def rows_like(takes: CriticInput, n: int = 50) -> np.ndarray:
    return np.random.default_rng(0).normal(3.0, 2.0, (n, *takes.row_shape)).astype(np.float32)


@pytest.mark.parametrize(("config", "takes"), CASES, ids=lambda v: type(v).__name__)
def test_frozen_critic_is_the_trained_net_in_the_data_units(config: Config, takes: CriticInput) -> None:
    assert not isinstance(config, AffineConfig)
    unit = 5.0
    net, critic = trained_look(config, takes, unit)
    rows = rows_like(takes)
    expected = unit * net.double()((torch.from_numpy(rows).double() - 3.0) / unit).detach().reshape(-1).numpy()
    # float32 storage of kernels and biases: a few ulps of values of size |x| ~ 20
    np.testing.assert_allclose(critic.scores(rows), expected, atol=2e-5)


@pytest.mark.parametrize(("config", "takes"), CASES, ids=lambda v: type(v).__name__)
def test_bound_is_proven_near_one_and_holds(config: Config, takes: CriticInput) -> None:
    assert not isinstance(config, AffineConfig)
    _, critic = trained_look(config, takes, 5.0)
    assert abs(critic.lipschitz_bound - 1) < 1e-5
    a, b = rows_like(takes), rows_like(takes)[::-1] + np.float32(0.25)
    gap = np.abs(critic.scores(a) - critic.scores(np.ascontiguousarray(b)))
    distance = np.linalg.norm((a.astype(np.float64) - b).reshape(len(a), -1), axis=1)
    assert np.all(gap <= critic.lipschitz_bound * distance + 1e-9)


@pytest.mark.parametrize(("config", "takes"), CASES, ids=lambda v: type(v).__name__)
def test_save_and_load_give_the_same_critic(config: Config, takes: CriticInput, tmp_path: Path) -> None:
    assert not isinstance(config, AffineConfig)
    _, critic = trained_look(config, takes, 5.0)
    clipped = Critic(config, nn.Sequential(*critic.module, Clip(-0.5, 0.75)), takes)
    clipped.save(tmp_path)
    loaded = load_critic(tmp_path)
    rows = rows_like(takes)
    np.testing.assert_array_equal(loaded.scores(rows), clipped.scores(rows))
    assert loaded.lipschitz_bound == clipped.lipschitz_bound
    assert (loaded.family, loaded.config, loaded.takes) == (clipped.family, clipped.config, clipped.takes)
    assert loaded.scores(rows).min() >= -0.5
    assert loaded.scores(rows).max() <= 0.75


def test_declared_bound_in_the_file_is_not_believed(tmp_path: Path) -> None:
    _, critic = trained_look(GroupSortConfig(width=8, depth=1), TABLE, 1.0)
    critic.save(tmp_path)
    document = json.loads((tmp_path / "critic.json").read_text())
    document["lipschitz_bound"] = 0.1
    (tmp_path / "critic.json").write_text(json.dumps(document))
    assert load_critic(tmp_path).lipschitz_bound == critic.lipschitz_bound


def test_other_formats_and_layers_are_refused(tmp_path: Path) -> None:
    _, critic = trained_look(GroupSortConfig(width=8, depth=1), TABLE, 1.0)
    critic.save(tmp_path)
    document = json.loads((tmp_path / "critic.json").read_text())
    (tmp_path / "critic.json").write_text(json.dumps(document | {"format": 99}))
    with pytest.raises(WdistError, match="format 99"):
        load_critic(tmp_path)
    document["layers"][1]["kind"] = "softmax"
    (tmp_path / "critic.json").write_text(json.dumps(document))
    with pytest.raises(WdistError, match="softmax"):
        load_critic(tmp_path)


def test_affine_is_the_unit_direction() -> None:
    module = affine(torch.tensor([3.0, 0.0, 4.0]))
    assert abs(lipschitz_bound(module, (3,)) - 1) < 1e-6
    assert module(torch.tensor([[3.0, 7.0, 4.0]])).item() == pytest.approx(5.0, rel=1e-6)
    assert lipschitz_bound(affine(torch.zeros(3)), (3,)) < 1e-12


def test_building_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    build(GroupSortConfig(width=8, depth=1), (4,), seed=9)
    assert torch.equal(torch.rand(3), expected)


def test_bcop_refuses_tables_and_tiny_images() -> None:
    with pytest.raises(OptionError, match="needs images"):
        build(BCOPConfig(), (12,), seed=0)
    with pytest.raises(OptionError, match="even sides"):
        build(BCOPConfig(), (1, 5, 5), seed=0)


def test_evaluate_takes_rows_as_the_user_has_them() -> None:
    _, critic = trained_look(BCOPConfig(channels=(8,), kernel_size=2, width=8, depth=1), IMAGES, 1.0)
    grey = np.random.default_rng(1).integers(0, 256, (5, 8, 8), dtype=np.uint8)
    np.testing.assert_array_equal(
        critic.evaluate(grey), critic.scores((grey[:, None] / np.float32(255)).astype(np.float32))
    )
    with pytest.raises(SampleError, match="uint8 grey levels"):
        critic.evaluate(grey.astype(np.float32))
    with pytest.raises(SampleError, match="shape"):
        critic.evaluate(grey[:, :4])
