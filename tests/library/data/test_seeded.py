"""Scores carry their rounding through every step, against exact arithmetic with fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wdist.data.seeded import SeededScores
from wdist.errors import OptionError

OFFSETS = st.sampled_from([0.0, 1.0, -3e3, 1e9, -1e15])
SHARES = st.lists(st.tuples(st.floats(0, 1), st.floats(-1, 1)), min_size=4, max_size=24)


def as_given(values: np.ndarray, rounding: np.ndarray | float) -> SeededScores:
    rows = np.arange(len(values))
    return SeededScores.of(values, rows, rows, rounding)


class Exact:
    """Scores within [low, high], as float64 with a rounding, and the exact ones somewhere within it."""

    def __init__(self, shares: list[tuple[float, float]], offset: float, width: float, error: float) -> None:
        self.low, self.high = offset, offset + width
        values = np.array([offset + share * width for share, _ in shares]).clip(self.low, self.high)
        self.scores = as_given(values, error * width)
        low, high = Fraction(self.low), Fraction(self.high)
        self.exact = [
            min(high, max(low, Fraction(value) + Fraction(place) * Fraction(error * width)))
            for value, (_, place) in zip(values.tolist(), shares, strict=True)
        ]


def assert_within(scores: SeededScores, exact: list[Fraction]) -> None:
    for value, rounding, truth in zip(scores.values.tolist(), scores.rounding.tolist(), exact, strict=True):
        assert abs(Fraction(value) - truth) <= Fraction(rounding)


@given(SHARES, SHARES, OFFSETS, st.sampled_from([1e-3, 1.0, 7.3, 1e6]), st.sampled_from([0.0, 1e-17, 1e-9, 0.3]))
@settings(max_examples=60, deadline=None)
def test_each_step_knows_how_far_it_is_from_exact_scores(
    shares: list[tuple[float, float]], others: list[tuple[float, float]], offset: float, width: float, error: float
) -> None:
    n = min(len(shares), len(others))
    x, y = (Exact(side[:n], offset, width, error) for side in (shares, others))
    low, high = Fraction(x.low), Fraction(x.high)
    if low == high:
        return
    assert_within(x.scores, x.exact)
    assert_within(-x.scores, [-f for f in x.exact])
    assert_within(y.scores - x.scores, [b - a for a, b in zip(x.exact, y.exact, strict=True)])
    assert_within(x.scores - x.low, [f - low for f in x.exact])
    unit = [(f - low) / (high - low) for f in x.exact]
    assert_within(x.scores.to_unit(x.low, x.high), unit)
    for value, truth in zip(x.scores.to_unit(x.low, x.high).lowered(0.0).values.tolist(), unit, strict=True):
        assert 0 <= Fraction(value) <= truth
    middle = x.low + (x.high - x.low) / 2
    assert_within(x.scores.clip(x.low, middle), [min(f, Fraction(middle)) for f in x.exact])
    for sizes in ([1] * n, [n], [n - n // 2, n // 2], [1, *([2] * ((n - 1) // 2)), *([1] * ((n - 1) % 2))]):
        ends = np.cumsum(sizes)
        parts = [x.exact[end - size : end] for end, size in zip(ends, sizes, strict=True)]
        assert_within(x.scores.part_means(np.array(sizes)), [sum(part) / len(part) for part in parts])
    codes = np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3] * 4)[:n]
    means, names = x.scores.group_means(codes)
    assert names.tolist() == list(dict.fromkeys(codes.tolist()))
    groups = [[f for f, code in zip(x.exact, codes, strict=True) if code == name] for name in names]
    assert_within(means, [sum(g) / len(g) for g in groups])


def test_rounding_of_means_does_not_grow_with_a_common_offset() -> None:
    values, codes = np.random.default_rng(0).random(6_000) + 2.0**40, np.zeros(6_000, dtype=np.int64)
    means, _ = as_given(values, 0.0).group_means(codes)
    assert means.rounding[0] < 2.0**-53 * 2.0**40 * 1.1  # the result alone is rounded at that size


def test_rounding_is_permuted_with_its_scores() -> None:
    values, labels = np.array([5.0, 6.0, 7.0]), np.array([10, 20, 30])
    scores = SeededScores.of(values, labels, labels[[2, 0, 1]], values / 100)
    np.testing.assert_array_equal(scores.values, [7.0, 5.0, 6.0])
    np.testing.assert_array_equal(scores.rounding, scores.values / 100)
    mixed = SeededScores.shuffled(np.arange(50.0), 3, np.arange(50.0) / 100)
    np.testing.assert_array_equal(mixed.rounding, mixed.values / 100)
    assert not np.array_equal(mixed.values, np.arange(50.0))
    assert SeededScores.shuffled(values, 0).rounding.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("rounding", [-1e-9, np.nan, [0.0, 0.0], [[0.0, 0.0, 0.0]]], ids=str)
def test_impossible_rounding_is_refused(rounding: object) -> None:
    with pytest.raises(OptionError, match="rounding of shape"):
        SeededScores.of(np.zeros(3), np.arange(3), np.arange(3), rounding)  # type: ignore[arg-type]
