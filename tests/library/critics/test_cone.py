"""k-means anchors find the clusters, in any units, on degenerate data too."""

import numpy as np

from wdist.critics.cone import kmeans_anchors
from wdist.data.known_truth import Funnels
from wdist.transport.exact import distances


def test_separate_clusters_each_get_an_anchor() -> None:
    generator = np.random.default_rng(0)
    centres = generator.uniform(-10, 10, (40, 8))
    rows = (centres[generator.integers(0, 40, 30_000)] + 0.1 * generator.standard_normal((30_000, 8))).astype(
        np.float32
    )
    for offset in (0.0, 1_000.0):
        anchors = kmeans_anchors(rows + np.float32(offset), 40, seed=1)
        assert anchors.shape == (40, 8)
        assert anchors.dtype == np.float32
        assert distances(centres + offset, anchors).min(axis=1).max() < 0.1


def test_anchors_of_funnel_sources_are_nearer_to_the_centres_than_rows_are() -> None:
    funnels = Funnels(16, 64, seed=0)
    x, _ = funnels.couple(20_000, np.random.default_rng(1))
    gaps = distances(funnels.centres, kmeans_anchors(x.astype(np.float32), 64)).min(axis=1)
    of_rows = distances(funnels.centres, x[:64]).min(axis=1)
    served = np.bincount(distances(x[:5_000], funnels.centres).argmin(axis=1), minlength=64) > 40
    # in 16 dimensions rows lie at a mean of 2/3 of their ray, so that single rows are poor anchors
    assert np.median(gaps[served]) < 0.6 * np.median(of_rows[served])


def test_same_seed_same_anchors() -> None:
    rows = np.random.default_rng(2).standard_normal((2_000, 3)).astype(np.float32)
    np.testing.assert_array_equal(kmeans_anchors(rows, 10, seed=4), kmeans_anchors(rows, 10, seed=4))
    assert not np.array_equal(kmeans_anchors(rows, 10, seed=4), kmeans_anchors(rows, 10, seed=5))


def test_fewer_distinct_rows_than_anchors() -> None:
    rows = np.repeat(np.eye(3, dtype=np.float32), 50, axis=0)
    anchors = kmeans_anchors(rows, 8)
    assert np.isfinite(anchors).all()
    assert distances(np.eye(3), anchors).min(axis=1).max() < 1e-6
    images = kmeans_anchors(rows.reshape(150, 1, 1, 3), 2)
    assert images.shape == (2, 3)
