"""Copies across the split are found and explained; of discrete data it is said that they may be copies."""

import numpy as np
import pytest

from wdist import estimate_w1
from wdist.data.checks import duplicate_warnings, row_hashes
from wdist.data.samples import open_samples
from wdist.data.splits import GroupOrder, split_rows


def warnings_for(x: np.ndarray, y: np.ndarray) -> list[str]:
    source, target = open_samples(x, "source"), open_samples(y, "target")
    return duplicate_warnings(source, target, split_rows(source.n, 0, 0), split_rows(target.n, 0, 1))


def test_copies_are_named_with_their_consequence() -> None:
    rows = np.random.default_rng(0).standard_normal((500, 3)).astype(np.float32)
    (warning,) = warnings_for(np.concatenate([rows, rows]), np.random.default_rng(1).standard_normal((1_000, 3)))
    assert warning.startswith("source: ")
    assert "copies" in warning
    assert "do not hold" in warning


@pytest.mark.parametrize("times", [3, 5, 10])
def test_rows_copied_many_times_are_warned_of(times: int) -> None:
    generator = np.random.default_rng(times)
    x, y = (np.repeat(generator.standard_normal((500, 2)), times, axis=0) for _ in range(2))
    warnings = warnings_for(x, y)
    assert [warning.split(":")[0] for warning in warnings] == ["source", "target"]
    assert all(f"500 of {500 * times:,} rows are distinct; if these are copies" in warning for warning in warnings)


def test_a_point_mass_is_warned_of_elsewhere() -> None:
    assert warnings_for(np.ones((200, 2)), np.random.default_rng(0).standard_normal((200, 2))) == []


def test_copies_in_a_common_group_pass() -> None:
    generator = np.random.default_rng(5)
    labels = np.repeat(np.arange(200), 10)
    x, y = (generator.standard_normal((200, 2))[labels] for _ in range(2))
    splits = GroupOrder.of((labels, labels + 200), 0).pair()[:2]
    assert duplicate_warnings(open_samples(x, "source"), open_samples(y, "target"), *splits) == []


def test_distinct_rows_pass_and_discrete_ones_may_be_copies() -> None:
    generator = np.random.default_rng(2)
    assert warnings_for(generator.standard_normal((500, 3)), generator.standard_normal((500, 3))) == []
    (warning,) = warnings_for(generator.standard_normal((500, 2)), generator.integers(0, 3, (500, 2)))
    assert warning.startswith(
        "target: 9 of 500 rows are distinct; if these are copies and not independent draws of discrete"
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64, np.int64])
def test_equal_hashes_are_equal_rows(dtype: type) -> None:
    rows = np.random.default_rng(3).integers(0, 4, (3_000, 5)).astype(dtype)
    hashes = row_hashes(open_samples(rows, "source"))
    assert len(np.unique(hashes)) == len(np.unique(rows, axis=0))
    swapped = rows[:, ::-1]  # the same numbers in another order are another row
    differing = (swapped != rows).any(axis=1)
    assert (row_hashes(open_samples(swapped, "source")) != hashes)[differing].all()


def test_a_set_against_itself_is_warned_of() -> None:
    generator = np.random.default_rng(4)
    rows = generator.normal(size=(300, 2))
    other = generator.normal(size=(300, 2))
    (warning,) = estimate_w1(rows, rows, critic="affine", baseline_rows=0).warnings
    assert "300 of 300 rows of target also occur in source" in warning
    warnings = estimate_w1(rows, other, critic="affine", baseline_rows=0).warnings
    assert not any("occur" in warning or "distinct" in warning for warning in warnings)
    few = generator.integers(0, 3, (300, 2)).astype(float)  # of discrete data it says so, once for each set
    first, second = estimate_w1(few, few[::-1], critic="affine", baseline_rows=0).warnings
    assert "source: 9 of 300 rows are distinct" in first
    assert "target: 9 of 300 rows are distinct" in second


@pytest.mark.parametrize(("rows", "digits"), [(550, 2), (900, 2), (4_000, 2), (60_000, 3)])
def test_rounded_numbers_coincide_in_two_sets_as_they_do_in_one(rows: int, digits: int) -> None:
    """Prices of two shops, drawn alike or not, share many values; nobody is told that they are no independent draws."""
    generator = np.random.default_rng(11)
    source = np.round(generator.lognormal(2.0, 0.6, (rows, 1)), digits)
    for shift in (0.0, 0.3):
        target = np.round(generator.lognormal(2.0 + shift, 0.6, (rows // 2, 1)), digits)
        warnings = warnings_for(source, target)
        said = [warning for warning in warnings if "also occur in" in warning]
        assert any("Rounded numbers coincide by chance" in warning or "are distinct" in warning for warning in warnings)
        assert all("no more than rows of one set coincide" in warning for warning in said)
    taken = np.concatenate([source[: rows // 2 - 20], target[:20]])  # nearly all of them are the source's
    if digits == 2 and rows == 550:
        assert "the sets are not independent draws, and the bound" in warnings_for(source, taken)[0]


def test_equal_values_of_other_types_are_the_same_rows() -> None:
    rows = np.random.default_rng(6).integers(-50, 50, (2_000, 3))
    expected = row_hashes(open_samples(rows))
    for dtype in ("i1", ">i2", "<f2", ">f4", "f4", "f8", ">f8"):
        np.testing.assert_array_equal(row_hashes(open_samples(rows.astype(dtype))), expected)
    np.testing.assert_array_equal(row_hashes(open_samples(np.asfortranarray(rows.astype(np.float32)))), expected)
    negative = np.where(rows == 0, -0.0, rows.astype(float))
    np.testing.assert_array_equal(row_hashes(open_samples(negative)), expected)
    shared = warnings_for(rows.astype(np.float32) + 0.25, rows.astype(">f8") + 0.25)
    assert any("2,000 of 2,000 rows of target also occur in source" in warning for warning in shared)


def test_every_nan_is_one_value() -> None:
    rows = np.random.default_rng(7).normal(size=(200, 2))
    rows[:, 1] = np.nan
    other = rows.copy()
    other.view(np.uint64)[:, 1] |= np.uint64(0x8000_0000_0000_0001)  # another of the many patterns of bits that are NaN
    assert np.isnan(other[:, 1]).all()
    np.testing.assert_array_equal(row_hashes(open_samples(other)), row_hashes(open_samples(rows)))
    assert len(np.unique(row_hashes(open_samples(rows)))) == 200


def test_images_are_hashed_as_they_are_compared() -> None:
    pixels = np.random.default_rng(8).integers(0, 256, (300, 6, 5, 3), dtype=np.uint8)
    expected = row_hashes(open_samples(pixels))
    np.testing.assert_array_equal(row_hashes(open_samples(pixels / 255)), expected)
    np.testing.assert_array_equal(row_hashes(open_samples(pixels.transpose(0, 3, 1, 2))), expected)
