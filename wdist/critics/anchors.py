"""Where the anchors of a cone critic start: k-means centroids of one side."""

import math

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]

SEED_ROWS = 20_000  # rows used for k-means++ seeding, each step of which passes over all of them
SEED_ELEMENTS = 1 << 22  # numbers in those rows, so that high dimensions use fewer rows
BLOCK_ELEMENTS = 1 << 22  # size of the block of distances held at once: 16 MB


def kmeans_anchors(rows: Rows, count: int, seed: int = 0, passes: int = 8) -> Rows:
    """`count` centroids (count, d) of rows (n, d), float32, by greedy k-means++ and then Lloyd's algorithm.

    With fewer than `count` distinct rows, some centroids coincide. Lloyd's passes go over all rows in blocks. A
    centroid without rows moves to the row farthest from its centroid. Source of k-means++: Arthur and Vassilvitskii
    (2007).
    """
    flat = np.ascontiguousarray(rows.reshape(len(rows), -1), dtype=np.float32)
    generator = np.random.default_rng([seed, 5])
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
