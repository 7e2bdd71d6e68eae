"""The cone critic: the lowest of many cones, whose anchors start at k-means centroids of one side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wdist.critics.base import CLOSE, TrainedConfig
from wdist.data.pair import SamplePair
from wdist.nn.frozen import Cone
from wdist.nn.layers import MaxMin, OrthogonalLinear
from wdist.streams import Purpose, stream

Rows = NDArray[np.float32]

ANCHOR_ROWS = 50_000  # train rows used by the k-means that places anchors
SEED_ROWS = 20_000  # rows used for k-means++ seeding, each step of which passes over all of them
SEED_ELEMENTS = 1 << 22  # numbers in those rows, so that high dimensions use fewer rows
BLOCK_ELEMENTS = 1 << 22  # size of the block of distances held at once: 16 MB


@dataclass(frozen=True)
class ConeConfig(TrainedConfig):
    """f(x) = sign min_k (||h(x) - a_k|| + b_k), with h of `depth` square orthogonal layers and MaxMin (0: identity).

    Source: the funnel potentials of Korotin, Kolesov, Burnaev, "Kantorovich Strikes Back!" (2022).
    """

    family: ClassVar[str] = "cone"
    batch_rows: ClassVar[int] = 1024

    anchors: int = 64
    sign: int = 1
    depth: int = 0

    @classmethod
    def contenders(cls, row_shape: tuple[int, ...], train_rows: int) -> Sequence[ConeConfig]:
        # At most one anchor for every eight rows, so that the cones do not overfit.
        counts = sorted({max(2, min(most, train_rows // 8)) for most in (64, 256)})
        return [cls(count, sign) for count in counts for sign in (1, -1)]

    def start(self, pair: SamplePair) -> Tensor:
        """Anchors (K, d) on the source (cones open upwards, f is small there) or the target (downwards)."""
        side = 0 if self.sign > 0 else 1
        rows = pair.batches("train", 1)[side].head(ANCHOR_ROWS).cpu().numpy()
        return torch.from_numpy(kmeans_anchors(rows, self.anchors, pair.seed))

    def layers(self, row_shape: tuple[int, ...], start: Tensor | None, generator: torch.Generator) -> list[nn.Module]:
        features = int(np.prod(row_shape))
        trunk: list[nn.Module] = []
        for _ in range(self.depth):
            trunk += [OrthogonalLinear(features, features, generator=generator), MaxMin()]
        anchors = torch.zeros(self.anchors, features, dtype=torch.float32) if start is None else start.float()
        with torch.no_grad():
            anchors = nn.Sequential(*trunk)(anchors)
        return [nn.Flatten(), *trunk, Cone(anchors, torch.zeros_like(anchors[:, 0]), self.sign)]

    def rates(self, row_shape: tuple[int, ...]) -> tuple[float, float]:
        # Adam moves every coordinate of an anchor by its rate: about 1 % of a coordinate's spread per step.
        return super().rates(row_shape)[0], 0.01 / math.sqrt(int(np.prod(row_shape)))

    def is_hopeless(self, tried: Sequence[TrainedConfig], values: Sequence[float]) -> bool:
        """Whether, with fewer anchors, the other sign did better or another family won clearly."""
        pilots = list(zip(tried, values, strict=False))
        smaller = {c.sign: v for c, v in pilots if isinstance(c, ConeConfig) and c.anchors < self.anchors}
        others = [v for c, v in pilots if not isinstance(c, ConeConfig)]
        if not smaller:
            return False
        best = max(smaller.values())
        return smaller.get(self.sign, best) < best or bool(others and best < CLOSE * max(others))


def kmeans_anchors(rows: Rows, count: int, seed: int = 0, passes: int = 8) -> Rows:
    """`count` centroids (count, d) of rows (n, d), float32, by greedy k-means++ and then Lloyd's algorithm.

    With fewer than `count` distinct rows, some centroids coincide. Lloyd's passes go over all rows in blocks. A
    centroid without rows moves to the row farthest from its centroid. Source of k-means++: Arthur and Vassilvitskii
    (2007).
    """
    flat = np.ascontiguousarray(rows.reshape(len(rows), -1), dtype=np.float32)
    generator = stream(seed, Purpose.ANCHORS)
    size = max(4 * count, min(SEED_ROWS, SEED_ELEMENTS // flat.shape[1]))
    sample = flat if len(flat) <= size else flat[generator.choice(len(flat), size, replace=False)]
    centre = sample.mean(axis=0)  # expanded squared distances lose digits far from 0
    centroids = _seed_centroids(sample - centre, count, generator)
    for _ in range(passes):
        moved = _lloyd_pass(flat, centre, centroids)
        if np.array_equal(moved, centroids):
            break
        centroids = moved
    centroids += centre
    return centroids


def _squared_distances(block: Rows, centroids: Rows) -> Rows:
    squared: Rows = np.matmul(block, centroids.T)
    squared *= -2
    squared += np.einsum("ij,ij->i", block, block)[:, None]
    squared += np.einsum("ij,ij->i", centroids, centroids)
    np.maximum(squared, 0, out=squared)
    return squared


def _seed_centroids(sample: Rows, count: int, generator: np.random.Generator) -> Rows:
    """Greedy k-means++: draw a few rows by squared distance and keep the one that lowers the sum most."""
    trials = 2 + int(math.log(count))
    chosen = [int(generator.integers(len(sample)))]
    nearest = _squared_distances(sample, sample[chosen])[:, 0].astype(np.float64)
    while len(chosen) < count:
        total = nearest.sum()
        if total <= 0:  # every row is a centroid already
            chosen.append(int(generator.integers(len(sample))))
            continue
        drawn = np.searchsorted(np.cumsum(nearest), generator.random(trials) * total)
        candidates = np.minimum(drawn, len(sample) - 1)
        after = np.minimum(_squared_distances(sample, sample[candidates]), nearest[:, None])
        best = int(after.sum(axis=0).argmin())
        chosen.append(int(candidates[best]))
        nearest = after[:, best].astype(np.float64)
    return sample[chosen].copy()


def _lloyd_pass(flat: Rows, centre: Rows, centroids: Rows) -> Rows:
    """Move every centroid to the mean of its rows."""
    count, d = centroids.shape
    sums, sizes = np.zeros((count, d)), np.zeros(count)
    farthest_row, farthest = centroids[0], -1.0
    step = max(1, BLOCK_ELEMENTS // max(count, d))
    for start in range(0, len(flat), step):
        block = flat[start : start + step] - centre
        squared = _squared_distances(block, centroids)
        owner = squared.argmin(axis=1)
        members = np.zeros((count, len(block)), dtype=np.float32)
        members[owner, np.arange(len(block))] = 1
        sums += members @ block
        sizes += np.bincount(owner, minlength=count)
        own = squared[np.arange(len(block)), owner]
        if own.max() > farthest:
            farthest, farthest_row = float(own.max()), block[own.argmax()]
    moved: Rows = (sums / np.maximum(sizes, 1)[:, None]).astype(np.float32)
    empty = np.flatnonzero(sizes == 0)
    moved[empty] = centroids[empty]
    if len(empty):
        moved[empty[0]] = farthest_row
    return moved
