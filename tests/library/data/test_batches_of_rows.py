"""Mini-batches: the same rows whether a set is held in memory or read ahead from its file."""

from pathlib import Path

import numpy as np
import pytest
import torch

from wdist.data import batches as feed
from wdist.data.batches import Batches
from wdist.data.samples import SampleSet, open_samples
from wdist.data.scaling import Scaling

ROWS, COLUMNS, BATCH = 200, 3, 16


@pytest.fixture
def samples(tmp_path: Path) -> SampleSet:
    path = tmp_path / "rows.npy"
    np.save(path, np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(ROWS, COLUMNS))
    return open_samples(path, "rows")


def feed_of(samples: SampleSet) -> Batches:
    index = np.random.default_rng(0).permutation(ROWS)[:100]
    shift = np.array([1.0, 2.0, 3.0])
    return Batches(
        samples,
        index,
        Scaling("none", np.array(1.0), np.array(0.0)),
        seed=5,
        side=0,
        batch=BATCH,
        device=torch.device("cpu"),
        shift=shift,
        unit=7.0,
    )


def in_order(rows: torch.Tensor) -> torch.Tensor:
    return rows[rows[:, 0].argsort()]


def test_rows_read_ahead_are_those_held_in_memory(samples: SampleSet, monkeypatch: pytest.MonkeyPatch) -> None:
    held = feed_of(samples)
    monkeypatch.setattr(feed, "PRELOAD_BYTES", 0)
    streamed = feed_of(samples)
    # In order, over the end of an epoch (6 batches of 16 of 100 rows), again from the start, and with jumps.
    for step in (*range(9), 0, 1, 5, 4, 12, 13):
        assert torch.equal(streamed.rows(step), in_order(held.rows(step))), step


def test_a_file_that_cannot_be_read_ahead_is_an_error_of_its_step(
    samples: SampleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PRELOAD_BYTES", 0)
    streamed = feed_of(samples)
    streamed.rows(0)
    streamed.index = streamed.index + ROWS  # rows beyond the end, for the batch after the one that is read already
    streamed.rows(1)
    with pytest.raises(IndexError):
        streamed.rows(2)
