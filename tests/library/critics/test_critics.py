"""Critics: what is stored is proven again, and what cannot be read is refused. test_families.py tries every family."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from wdist.critics.affine import affine
from wdist.critics.base import TrainedConfig
from wdist.critics.bcop import BCOPConfig
from wdist.critics.critic import Critic, CriticInput, load_critic
from wdist.critics.frozen import freeze
from wdist.critics.groupsort import GroupSortConfig
from wdist.errors import OptionError, SampleError, WdistError
from wdist.nn.frozen import Clip
from wdist.nn.lipschitz import lipschitz_bound

NO_SCALE = {"kind": "none", "divisor": 1.0, "center": 0.0, "data_divisor": 1.0}
TABLE = CriticInput((6,), None, False, NO_SCALE)
IMAGES = CriticInput((1, 8, 8), None, True, NO_SCALE | {"data_divisor": 255.0})


def random_critic(config: TrainedConfig, takes: CriticInput) -> Critic:
    return Critic(config, freeze(config.build(takes.row_shape, seed=3), None, 1.0), takes)


def test_a_clipped_critic_is_loaded_with_its_interval(tmp_path: Path) -> None:
    critic = random_critic(GroupSortConfig(width=7, depth=1), TABLE)
    clipped = Critic(critic.settings, nn.Sequential(*critic.module, Clip(-0.5, 0.75)), TABLE)
    clipped.save(tmp_path)
    rows = np.random.default_rng(0).normal(3.0, 2.0, (50, 6)).astype(np.float32)
    scores = load_critic(tmp_path).scores(rows)
    np.testing.assert_array_equal(scores, clipped.scores(rows))
    assert (scores.min(), scores.max()) == (-0.5, 0.75)


def test_declared_bound_in_the_file_is_not_believed(tmp_path: Path) -> None:
    critic = random_critic(GroupSortConfig(width=8, depth=1), TABLE)
    critic.save(tmp_path)
    document = json.loads((tmp_path / "critic.json").read_text())
    document["lipschitz_bound"] = 0.1
    (tmp_path / "critic.json").write_text(json.dumps(document))
    assert load_critic(tmp_path).lipschitz_bound == critic.lipschitz_bound


def test_other_formats_and_layers_are_refused(tmp_path: Path) -> None:
    critic = random_critic(GroupSortConfig(width=8, depth=1), TABLE)
    critic.save(tmp_path)
    document = json.loads((tmp_path / "critic.json").read_text())
    (tmp_path / "critic.json").write_text(json.dumps(document | {"format": 99}))
    with pytest.raises(WdistError, match="format 99"):
        load_critic(tmp_path)
    (tmp_path / "critic.json").write_text(json.dumps(document | {"family": "forest"}))
    with pytest.raises(WdistError, match="forest"):
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


def test_bcop_refuses_tables_and_tiny_images() -> None:
    with pytest.raises(OptionError, match="needs images"):
        BCOPConfig().build((12,), seed=0)
    with pytest.raises(OptionError, match="even sides"):
        BCOPConfig().build((1, 5, 5), seed=0)


def test_evaluate_takes_rows_as_the_user_has_them() -> None:
    critic = random_critic(BCOPConfig(channels=(8,), kernel_size=2, width=8, depth=1), IMAGES)
    grey = np.random.default_rng(1).integers(0, 256, (5, 8, 8), dtype=np.uint8)
    np.testing.assert_array_equal(critic.evaluate(grey), critic.scores(grey[:, None] / 255))
    with pytest.raises(SampleError, match="uint8 grey levels"):
        critic.evaluate(grey.astype(np.float32))
    with pytest.raises(SampleError, match="shape"):
        critic.evaluate(grey[:, :4])
