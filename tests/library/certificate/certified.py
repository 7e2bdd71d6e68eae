"""One certificate of every family of critics, with all that went into it; the critics are not trained."""

import numpy as np
import torch
from torch import nn

from wdist.certificate.file import HeldOut, StoredCritic, build_certificate
from wdist.critics.affine import AffineConfig, affine
from wdist.critics.base import CriticConfig, TrainedConfig
from wdist.critics.bcop import BCOPConfig
from wdist.critics.cone import ConeConfig
from wdist.critics.critic import Critic, CriticInput
from wdist.critics.frozen import describe, freeze
from wdist.critics.groupsort import GroupSortConfig
from wdist.critics.sliced import SlicedConfig, sliced
from wdist.data.pair import SamplePair
from wdist.data.samples import open_samples
from wdist.data.scaling import Scaling
from wdist.data.splits import split_rows
from wdist.inference.base import Prior
from wdist.inference.units import lower_bound_of, p_value_of, units_of_rows, value_of
from wdist.nn.frozen import Clip
from wdist.nn.layers import GroupSort
from wdist.transport.sliced import fit_direction, fit_sliced

FAMILIES = ["affine", "sliced", "groupsort", "groupsort-4", "cone", "cone-negative", "bcop"]


def rows(family: str, n: int, seed: int, shift: float) -> np.ndarray:
    """Tables of 6 columns with an offset, or uint8 colour images (n, 8, 8, 3)."""
    generator = np.random.default_rng(seed)
    if family == "bcop":
        return generator.integers(0, 256 - int(100 * shift), (n, 8, 8, 3), dtype=np.uint8)
    return (generator.standard_normal((n, 6)) + 3 + shift).astype(np.float32)


def module(family: str, x: np.ndarray, y: np.ndarray) -> tuple[CriticConfig, nn.Sequential]:
    """A frozen net of the family with random weights and biases (a proof does not ask for training)."""
    generator = torch.Generator().manual_seed(5)
    shift = torch.full((6,), 3.0)
    if family == "affine":
        return AffineConfig(), affine(torch.ones(6))
    if family == "sliced":
        return SlicedConfig(), sliced(
            *fit_sliced(x[:200], y[:200], x[200:300], y[200:300], fit_direction(x[:200], y[:200]))
        )
    config: TrainedConfig
    if family == "bcop":
        config, shift = BCOPConfig(channels=(8, 12), kernel_size=2, width=10, depth=1), torch.full((3, 1, 1), 0.4)
    elif family.startswith("cone"):
        config = ConeConfig(anchors=5, sign=-1 if family.endswith("negative") else 1, depth=int(family == "cone"))
    else:
        config = GroupSortConfig(width=16, depth=2)
    shape = (3, 8, 8) if family == "bcop" else (6,)
    net = config.build(shape, seed=3, start=torch.randn((5, 6), generator=generator))
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith(("bias", "offsets")):
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    if family == "groupsort-4":
        net = nn.Sequential(*(GroupSort(4) if type(layer).__name__ == "MaxMin" else layer for layer in net))
    return config, freeze(net, shift, unit=2.0)


class Case:
    """One certificate with all that went into it."""

    def __init__(self, family: str, n: int = 400) -> None:
        self.arrays = rows(family, n, 1, 0.0), rows(family, n + 50, 2, 0.8)
        config, frozen = module(family, *self.arrays)
        self.samples = open_samples(self.arrays[0], "source"), open_samples(self.arrays[1], "target")
        self.splits = split_rows(n, 4, 0), split_rows(n + 50, 4, 1)
        scale = Scaling.fit("standardize" if family == "groupsort" else None, *self.samples, *self.splits)
        takes = CriticInput(self.samples[0].row_shape, self.samples[0].layout, family == "bcop", scale.to_json())
        bare = Critic(config, frozen, takes)
        select = [bare.evaluate(a[s.select]) for a, s in zip(self.arrays, self.splits, strict=True)]
        if select[1].mean() < select[0].mean() and isinstance(frozen[-1], nn.Linear):
            frozen[-1].weight.neg_()
            bare, select = Critic(config, frozen, takes), [-scores for scores in select]
        low, high = float(min(s.min() for s in select)), float(max(s.max() for s in select))
        self.critic = Critic(config, nn.Sequential(*frozen, Clip(low, high)), takes)
        (mean_x, spread_x), (mean_y, spread_y) = ((float(s.mean()), float(s.std())) for s in select)
        prior: Prior = ((mean_x, spread_x), (mean_y, spread_y))
        pair = SamplePair(*self.samples, *self.splits, scale, 4, torch.device("cpu"))
        units, bound = units_of_rows(*pair.test_scores(self.critic)), self.critic.lipschitz_bound
        result = {
            "value": value_of(units) / bound,
            "lower_bound": max(0.0, lower_bound_of(units, low, high, 0.05, "betting", prior)) / bound,
            "confidence": 0.95,
            "p_value": p_value_of(units, low, high, 0.05, prior, 4),
            "seed": 4,
            "trivial": {"mean_difference": 1.0, "max_sliced": None},
            "units": "Euclidean distance",
            "steps": 0,
            "seconds": 0.0,
            "device": "cpu",
            "warnings": [],
        }
        layers, tensors = describe(self.critic.module)
        stored = StoredCritic(
            self.critic.family,
            layers,
            {name: tensor.numpy() for name, tensor in tensors.items()},
            bound,
            takes.to_json(),
        )
        self.certificate = build_certificate(
            result, stored, self.samples, self.splits, HeldOut(units, "betting", prior)
        )
