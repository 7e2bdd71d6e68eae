"""Statements made together hold together."""

import numpy as np
from scipy import stats

from wdist.data.splits import HeldOutRows, split_rows
from wdist.inference.simultaneous import adjusted_matrix, adjusted_p_values, column_lower_bounds


def test_holm_by_hand_with_gaps_in_a_matrix() -> None:
    p = np.array([[np.nan, 0.01, 0.04], [0.03, np.nan, 0.9]])
    expected = np.array([[np.nan, 0.04, 0.09], [0.09, np.nan, 0.9]])
    np.testing.assert_allclose(adjusted_p_values(p), expected)


def test_columns_hold_together_under_the_null_and_find_the_one_that_moved() -> None:
    generator, runs, alpha, d = np.random.default_rng(0), 30, 0.2, 5
    wrong = found = 0
    for run in range(runs):
        x, y = generator.standard_normal((1_200, d)), generator.standard_normal((1_200, d))
        y[:, 2] *= 2.5  # no change of the mean: W1 of this column is 1.5 * sqrt(2 / pi) = 1.2
        splits = [split_rows(1_200, run, side) for side in (0, 1)]
        fits = [table[split.train] for table, split in zip((x, y), splits, strict=True)]
        tests = [
            HeldOutRows(table[np.sort(split.test)], np.sort(split.test), np.zeros(len(split.test)), split)
            for table, split in zip((x, y), splits, strict=True)
        ]
        values, lower = column_lower_bounds(*fits, *tests, alpha)
        wrong += bool((np.delete(lower, 2) > 0).any() or lower[2] > 1.5 * np.sqrt(2 / np.pi))
        found += int(lower[2] > 0.6 and values.argmax() == 2)
    assert wrong <= stats.binom.ppf(0.9999, runs, alpha)
    assert found == runs


def test_matrix_counts_every_pair_once() -> None:
    p_values = np.array([[1, 0.01, 0.03], [0.01, 1, np.nan], [0.03, np.nan, 1]])
    adjusted = adjusted_matrix(p_values)
    # two tests, the smaller times 2
    assert adjusted[0].tolist() == [1.0, 0.02, 0.03]
    assert np.array_equal(adjusted, adjusted.T, equal_nan=True)
    assert np.isnan(adjusted[1, 2])
    assert adjusted_matrix([[0.01, 0.4]]).tolist() == [[0.02, 0.4]]
