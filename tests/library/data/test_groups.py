"""Labels of groups, and estimates of sets whose groups are the same."""

import numpy as np
import pandas as pd
import pytest

from wdist import OptionError, estimate_w1
from wdist.data.groups import checked_labels


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


def test_a_set_against_itself_in_equal_groups_is_no_fault() -> None:
    """Both sides get the same train rows, so that the mean difference has no direction."""
    rows = np.random.default_rng(0).normal(size=(600, 1))
    labels = np.repeat(np.arange(200), 3)
    result = estimate_w1(rows, rows, critic="affine", groups=(labels, labels), baseline_rows=0)
    assert (result.value, result.lower_bound) == (0.0, 0.0)
    assert result.lipschitz_bound == pytest.approx(1.0)
