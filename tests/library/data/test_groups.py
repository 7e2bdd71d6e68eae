"""Statements about groups: means per group, and a permutation test that keeps groups whole."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from wdist import OptionError, estimate_w1
from wdist.data.groups import checked_labels, group_means
from wdist.data.seeded import SeededScores
from wdist.data.splits import split_groups
from wdist.inference.mean_bounds import difference_lower_bound
from wdist.inference.permutation_test import group_permutation_p_value, permutation_p_value


def test_means_come_in_the_order_of_first_appearance() -> None:
    means, labels = group_means([1.0, 2.0, 3.0, 10.0], [7, 3, 7, 5])
    np.testing.assert_array_equal(labels, [7, 3, 5])
    np.testing.assert_array_equal(means, [2.0, 2.0, 10.0])


@pytest.mark.parametrize(
    "missing",
    [
        np.array([1.0, 2.0, np.nan]),
        np.array(["a", "b", None], dtype=object),
        np.array(["a", "b", np.nan], dtype=object),
        pd.array([1, 2, pd.NA]),
        np.array(["2026-01-01", "2026-01-02", "NaT"], dtype="datetime64[D]"),
        np.ma.array([1, 2, 3], mask=[False, False, True]),
    ],
    ids=str,
)
def test_missing_labels_are_no_group(missing: object) -> None:
    with pytest.raises(OptionError, match=r"row 2 of source is missing \(1 in all\)"):
        checked_labels(missing, "source", 3)


def test_labels_of_any_other_kind_are_refused() -> None:
    with pytest.raises(OptionError, match="target has 3 rows, but labels of shape"):
        checked_labels([1, 2], "target", 3)
    for labels in (np.array([1j]), np.array([3], dtype="m8[s]"), np.array([{1}]), np.zeros(1, dtype="V8")):
        with pytest.raises(OptionError, match=r"source: .* labels? "):
            checked_labels(labels, "source", 1)
    rows = np.random.default_rng(0).normal(size=(200, 2))
    days = np.arange(200).astype("M8[D]")
    for text in (days, np.array([f"p{k}" for k in range(200)])):
        with pytest.raises(OptionError, match="text"):
            estimate_w1(rows, rows + 1, groups=(np.arange(200), text))


def simulate(generator: np.random.Generator, shared: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Null data: 60 groups a side of 10 rows, most of the variance between groups; half of the groups on both sides."""
    effects = generator.standard_normal(120)
    groups_x, groups_y = np.repeat(np.arange(60), 10), np.repeat(np.arange(60) + (30 if shared else 60), 10)
    scores = [effects[g] + 0.3 * generator.standard_normal(600) for g in (groups_x, groups_y)]
    return scores[0], groups_x, scores[1], groups_y


@pytest.mark.parametrize("shared", [False, True])
def test_whole_groups_give_valid_p_values_where_rows_do_not(shared: bool) -> None:
    generator, runs = np.random.default_rng(int(shared)), 500
    by_group, by_row = [], []
    for seed in range(runs):
        x, gx, y, gy = simulate(generator, shared)
        by_group.append(group_permutation_p_value(*group_means(x, gx), *group_means(y, gy), seed, 199))
        by_row.append(permutation_p_value(x, y, seed, 199))
    for level in (0.05, 0.3):
        assert (np.array(by_group) <= level).sum() <= stats.binom.ppf(0.9999, runs, level)
    assert (np.array(by_group) <= 0.3).sum() >= stats.binom.ppf(0.0001, runs, 0.3) - 3  # exact, hence not conservative
    assert (np.array(by_row) <= 0.05).sum() > stats.binom.ppf(0.9999, runs, 0.05)


def test_shared_groups_are_a_paired_test() -> None:
    generator = np.random.default_rng(2)
    effects = 10 * generator.standard_normal(80)
    labels = np.arange(80)
    x, y = effects + generator.standard_normal(80), effects + generator.standard_normal(80) + 1
    assert group_permutation_p_value(x, labels, y, labels, 0) < 0.001
    assert group_permutation_p_value(x, labels, y, labels + 80, 0) > 0.05  # the same numbers, were they unpaired


def test_bounds_on_group_means_hold() -> None:
    generator, runs, alpha = np.random.default_rng(3), 400, 0.1
    violations = 0
    for _ in range(runs):
        x, gx, y, gy = simulate(generator, shared=True)
        fx, fy = (SeededScores.shuffled(group_means(s, g)[0], 0).clip(-3, 3) for s, g in ((x, gx), (y, gy)))
        violations += difference_lower_bound(fx, fy, -3, 3, alpha) > 0
    assert violations <= stats.binom.ppf(0.9999, runs, alpha)


def test_a_split_keeps_the_order_that_group_means_expect() -> None:
    generator = np.random.default_rng(4)
    split, _, (codes, _) = split_groups(generator.integers(0, 150, 2_000), generator.integers(0, 150, 2_000) + 150, 0)
    _, labels = group_means(np.zeros(len(split.test)), codes[split.test])
    assert not np.array_equal(labels, np.sort(labels))
    changes = np.count_nonzero(np.diff(codes[split.test])) + 1
    assert changes == len(labels)  # rows of a group stand together


def test_a_set_against_itself_in_equal_groups_is_no_fault() -> None:
    """Both sides get the same train rows, so that the mean difference has no direction."""
    rows = np.random.default_rng(0).normal(size=(600, 1))
    labels = np.repeat(np.arange(200), 3)
    result = estimate_w1(rows, rows, critic="affine", groups=(labels, labels), baseline_rows=0)
    assert (result.value, result.lower_bound) == (0.0, 0.0)
    assert result.lipschitz_bound == pytest.approx(1.0)
