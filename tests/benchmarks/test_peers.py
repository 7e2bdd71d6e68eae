"""The series that all tools are given, and the table of what they found."""

import numpy as np
import pytest

from benchmarks.peers import series
from benchmarks.peers.__main__ import table


@pytest.mark.parametrize("kind", series.KINDS)
def test_series_are_the_same_every_time_and_drift_in_the_first_column_only(kind):
    first, again = list(series.batches(kind, 3)), list(series.batches(kind, 3))
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert [batch.shape for batch in first] == [(series.BATCH, series.COLUMNS)] * series.WEEKS
    before, after = np.concatenate(first[: series.START - 1]), np.concatenate(first[series.START + 11 :])
    moved = after.mean(axis=0) - before.mean(axis=0)
    error = 5 * np.concatenate(first).std(axis=0) * np.sqrt(1 / len(before) + 1 / len(after))
    assert (moved[0] > error[0]) == (kind != "none")
    assert (np.abs(moved[1:]) < error[1:]).all()


def test_seeds_and_kinds_are_independent_of_each_other():
    batches = [next(iter(series.batches(kind, seed))) for kind in series.KINDS for seed in (0, 1)]
    batches += [series.reference(seed)[: series.BATCH] for seed in (0, 1)]
    flat = np.array([batch[:, 0] for batch in batches])
    correlations = np.corrcoef(flat) - np.eye(len(flat))
    assert np.abs(correlations).max() < 0.2


def run(kind, weeks, seed=0, digest="a", tool="wdist"):
    return {
        "tool": tool,
        "version": "1.0",
        "kind": kind,
        "seed": seed,
        "weeks": weeks,
        "cpu_seconds": 2.0,
        "digest": digest,
    }


def test_delays_count_from_the_first_drifted_batch_and_early_alarms_are_no_find():
    runs = [run("none", []), run("none", [4, 9], 1), run("gradual", [series.START])]
    runs += [run("sudden", [3, series.START + 2]), run("sudden", [], 1)]
    runs += [run("sudden", [series.START + 4], seed) for seed in (2, 3)]
    assert list(table(runs))[-1] == "| wdist 1.0 | 1 of 2 | 1.0 | 4 (3 of 4) | 0 (1 of 1) |  | 2.0 |"
    assert (
        "none (1 of 4)"
        in list(table([*runs[:3], *(run("sudden", [], k) for k in range(3)), run("sudden", [30], 3)]))[-1]
    )


def test_tools_that_were_given_other_rows_are_not_compared():
    with pytest.raises(ValueError, match="nannyml, columns was given other rows of none, seed 0"):
        list(table([run("none", []), run("none", [], digest="b", tool="nannyml, columns")]))


def test_rows_are_written_to_few_digits_so_that_all_versions_of_numpy_make_the_same():
    rows = series.reference(0)
    assert np.array_equal(rows, rows.round(6))
    assert series.digest("none", 0) != series.digest("sudden", 0)
