"""Comparisons: what is bounded, how the error is shared, what is said, and how often it is wrong."""

from __future__ import annotations

import math
from statistics import NormalDist, median
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmarks.comparisons import Case, along, figures_of, flipped, normals, shifted, simulate
from wdist.definitions.results.numbers import rounded_down, rounded_up
from wdist.errors import OptionError
from wdist.inference.comparison import MAX_CANDIDATES, compared_figures, set_names, statements_needed
from wdist.inference.comparison.bounds import direct_bound
from wdist.inference.comparison.words import growth_of


def figures(value: float, low: float, high: float, statements: int = 8, **more: Any) -> dict[str, Any]:
    """The figures of an estimate of 1,000 rows, 400 of them tested, as far as a comparison reads them."""
    rows = {"train": 500, "select": 100, "test": 400}
    return {
        "value": value, "confidence": 0.95, "units": "mm", "scale": None, "split": "random", "groups": None,
        "upper_kind": "approximate", "n": {"source": rows, "target": rows}, "no_upper_bound": None,
        "score_deviation": {"source": 1.0, "target": 2.0},
        "upper": {
            "cost": value + 0.05, "deviation": 0.1, "variance": {"source": 4.0, "target": 9.0},
            "units": {"source": 1_000, "target": 1_000}, "is_linked": False,
        },
        "simultaneous": {"statements": statements, "lower_bound": low, "upper_bound": high},
    } | more  # fmt: skip


def test_the_difference_of_two_is_bounded_directly() -> None:
    found = compared_figures("r", ["a", "b"], [figures(1.0, 0.6, 1.5), figures(3.0, 2.5, 3.6)])
    # The reference: scores 1^2 / 400, rows 4 / 1,000, and twice the root of 1 * 4 over 1,000; likewise the candidates.
    spread = math.sqrt(1 / 400 + 4 / 1_000 + 2 * 2 / 1_000 + 4 / 400 + 9 / 1_000 + 2 * 6 / 1_000)
    z = NormalDist().inv_cdf(1 - 0.05 / 4)
    (difference,) = found.differences
    assert difference.lower_bound == pytest.approx(3.0 - 1.05 - z * spread, rel=1e-12)
    assert difference.upper_bound == pytest.approx(-(1.0 - 3.05 - z * spread), rel=1e-12)
    assert (difference.answer, difference.shown) == ("yes", 2.0)
    assert found.sentence == difference.sentence
    assert found.sentence == (
        f"`a` is closer to `r` than `b`, by {rounded_down(difference.lower_bound)} "
        f"to {rounded_up(difference.upper_bound)} (95 %, approximate)."
    )


@pytest.mark.parametrize(
    "change",
    [
        {"upper_kind": "finite-sample"},
        {"split": "groups", "groups": {"source": 40, "target": 40}},
        {"simultaneous": {"statements": 4, "lower_bound": 2.5, "upper_bound": 3.6}},
    ],
)
def test_without_a_share_of_the_error_or_independent_rows_the_difference_follows_from_the_ends(change: dict) -> None:
    results = [figures(1.0, 0.6, 1.5), figures(3.0, 2.5, 3.6, **change)]
    (difference,) = compared_figures("r", ["a", "b"], results).differences
    assert (difference.lower_bound, difference.upper_bound) == (2.5 - 1.5, 3.6 - 0.6)


def test_all_differences_of_more_candidates_follow_from_the_ends_and_ties_are_named() -> None:
    results = [figures(2.0, 1.8, 2.3, 6), figures(1.0, 0.8, 1.3, 6), figures(1.1, 0.9, 1.4, 6)]
    found = compared_figures("r", ["far", "one", "other"], results)
    assert [(each.name, each.position, each.best, each.worst) for each in found.ranking] == [
        ("one", 1, 1, 2), ("other", 2, 1, 2), ("far", 0, 3, 3),
    ]  # fmt: skip
    assert [each.answer for each in found.differences] == ["no", "no", "more-rows"]
    assert found.differences[0].upper_bound == pytest.approx(1.3 - 1.8)
    assert found.sentence == (
        "One of `one` and `other` is closest to `r`, and these rows do not tell which; `far` is farther away (95 %, "
        "approximate, all statements together)."
    )
    assert compared_figures("r", ["a", "b", "c"], [results[0], results[1], results[0]]).sentence == (
        "`b` is closer to `r` than each of the other 2 (95 %, approximate, all statements together)."
    )
    left = compared_figures("r", ["far", "lost", "one"], [results[0], None, results[1]])
    assert (left.missing, len(left.differences), left.differences[0].lower_bound) == (["lost"], 1, 0.8 - 2.3)


def test_candidates_are_equally_near_within_delta_if_both_bounds_are() -> None:
    results = [figures(1.0, 0.9, 1.2, 6), figures(1.1, 1.0, 1.3, 6), figures(1.0, 0.9, 1.2, 6)]
    names = ["a", "b", "c"]
    assert [each.within_delta for each in compared_figures("r", names, results).differences] == [None] * 3
    assert [each.within_delta for each in compared_figures("r", names, results, 0.35).differences] == [
        False,
        True,
        False,
    ]
    found = compared_figures("r", names, results, 0.41)
    assert [each.within_delta for each in found.differences] == [True] * 3
    assert found.sentence == "All 3 candidates are equally near `r` within 0.41 (95 %, approximate)."
    assert "equally near `r` within 0.41: their distances differ by -0.200 to 0.400" in found.differences[0].sentence


def test_rows_that_would_do_and_where_no_number_does() -> None:
    # The critic of `b` shows less than `a` is away at least, but its plan costs so much that `b` may be farther.
    a = figures(2.0, 1.9, 3.0, 6)
    b, c = (figures(value, low, 2.6, 6, upper=a["upper"]) for value, low in ((1.0, 0.7), (1.2, 0.8)))
    never, _, open_ = compared_figures("r", ["a", "b", "c"], [a, b, c]).differences
    assert (never.answer, never.shown, never.lower_bound, never.upper_bound) == (
        "no-number-of-rows",
        -1.0,
        0.7 - 3.0,
        2.6 - 1.9,
    )
    assert never.growth is not None
    assert never.growth.least == pytest.approx(1.7**2)  # 0.7 above 0 while the critics show 1
    assert never.growth.most is None  # the plan of `b` costs 2.05: 1.05 more than its critic shows
    assert "No number of rows shows that `a` is closer to `r` than `b`" in never.sentence
    assert "`b` seems closer; more than 2,900 rows of each set would be needed" in never.sentence
    assert (open_.answer, open_.shown) == ("more-rows", pytest.approx(0.2))
    cheap = compared_figures("r", ["b", "c", "a"], [figures(1.0, 0.7, 2.6, 6), figures(1.2, 0.8, 2.6, 6), a])
    assert "`b` seems closer; about 110,000 to 170,000 rows of each set would do if" in cheap.differences[0].sentence
    same = compared_figures("r", ["a", "b"], [a, a]).differences[0]
    assert (same.answer, same.growth) == ("more-rows", None)
    assert "no number of rows can be named" in same.sentence


def test_deviations_of_groups_in_both_sets_are_added_before_more_rows_are_ruled_out() -> None:
    """The critic of `b` shows 1, `a` is 1.3 away at least: 2.24 deviations are 0.25, or added 0.34."""
    groups = {"split": "groups", "groups": {"source": 400, "target": 400}}
    for is_linked, answer in ((False, "no-number-of-rows"), (True, "more-rows")):
        upper = figures(2.0, 0, 0)["upper"] | {"is_linked": is_linked}
        a = figures(2.0, 1.3, 3.0, 4, upper=upper, **groups)
        b = figures(1.0, 0.5, 2.6, 4, upper=upper, **groups)
        assert compared_figures("r", ["a", "b"], [a, b]).differences[0].answer == answer


def test_growth_by_hand() -> None:
    found = growth_of(shown=0.1, width=0.3, bias=0.05)
    assert found is not None
    assert (found.least, found.most) == (pytest.approx(9), pytest.approx((0.25 / 0.05) ** 2))
    no_end = growth_of(shown=0.1, width=0.3, bias=0.2)
    assert no_end is not None
    assert no_end.most is None
    assert growth_of(shown=0.0, width=0.3, bias=0.0) is None


def test_statements_and_what_is_refused() -> None:
    assert [statements_needed(k, {}) for k in (2, 3, 6)] == [8, 6, 12]
    for assumed in ({"diameter": 2.0}, {"ranges": [0, 1]}, {"groups": "who"}):
        assert statements_needed(2, assumed) == 4
    for count in (0, 1):
        with pytest.raises(OptionError, match="at least two candidates"):
            statements_needed(count, {})
    with pytest.raises(OptionError, match="too many"):
        statements_needed(MAX_CANDIDATES + 1, {})
    with pytest.raises(OptionError, match="upper='none'"):
        statements_needed(2, {"upper": "none"})
    with pytest.raises(OptionError, match="ordered in time"):
        statements_needed(2, {"split": "blocks"})
    good = figures(1.0, 0.8, 1.2)
    for delta in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(OptionError, match="delta"):
            compared_figures("r", ["a", "b"], [good, good], delta)
    for bad, words in (
        (figures(1.0, 0.8, 1.2, upper=None, no_upper_bound="too many rows"), "b has no upper bound.*too many rows"),
        (figures(1.0, 0.8, 1.2, simultaneous=None), "b has no simultaneous bounds"),
        (figures(1.0, 0.8, 1.2, scale={"kind": "standardize"}), "not in one unit"),
        (None, "fewer than two candidates"),
    ):
        with pytest.raises(OptionError, match=words):
            compared_figures("r", ["a", "b"], [good, bad])


def test_stored_sets_have_names_that_tell_them_apart() -> None:
    known = {"ss_1": "real", "ss_2": "fake", "ss_3": "fake", "ss_4": None}
    assert set_names(["ss_1", "ss_2", "ss_3", "ss_4", "ss_5"], known) == [
        "real", "fake (ss_2)", "fake (ss_3)", "ss_4", "ss_5",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "case",
    [
        # The critics point to opposite sides, so that the rows of the reference err against the difference twice.
        shifted("opposite sides", 1, (1.0, -1.2), (200,) * 3),
        shifted("equal candidates, a sorted file", 1, (1.0, -1.0), (200,) * 3, is_sorted=True),
        shifted("unequal sizes", 1, (1.0, -1.2), (400, 150, 1_000)),
        flipped("coins", 0.5, (0.7, 0.25), (300,) * 3),
        shifted("three", 1, (1.0, -1.2, 1.1), (200,) * 4),
    ],
    ids=lambda case: case.name,
)
def test_everything_said_holds_together(case: Case) -> None:
    runs, error = 120, 0.4  # an error that so few runs would find, if it were larger
    rates = simulate(case, runs, 1 - error)
    assert rates.wrong <= stats.binom.ppf(0.999, runs, error)
    assert rates.runs == runs


@pytest.mark.parametrize("are_linked", [False, True])
def test_the_direct_bound_is_wrong_as_often_as_it_may_be(are_linked: bool) -> None:
    """It is sharp where the critic x and the best function -x of the other candidate err in the same direction.

    Candidates at -1 and 1 from the reference, whose plan costs the difference of the means. If they are linked, both
    come from the same draws, such as one prompt for each row: then the error is as large as it may be.
    """
    runs, n, alpha = 20_000, 400, 0.05
    generator = np.random.default_rng(5)
    test, rest = (generator.normal(size=(3, runs)) / math.sqrt(share * n) for share in (0.4, 0.6))
    if are_linked:
        test[1], rest[1] = test[2], rest[2]
    every = 0.4 * test + 0.6 * rest
    rows = {"train": 200, "select": 40, "test": 160}
    one = {"source": 1.0, "target": 1.0}
    critic = {"score_deviation": one, "n": {"source": rows, "target": rows}}
    plan = {"variance": one, "units": {"source": n, "target": n}}
    z = NormalDist().inv_cdf(1 - alpha)
    wrong = sum(
        direct_bound({"upper": plan | {"cost": cost}}, critic | {"value": value}, z) > 0
        for value, cost in zip((1 + test[2] - test[0]).tolist(), (1 - every[1] + every[0]).tolist(), strict=True)
    )
    assert wrong <= stats.binom.ppf(0.9995, runs, alpha)
    if are_linked:
        assert wrong >= stats.binom.ppf(0.0005, runs, alpha)


def test_so_many_rows_do() -> None:
    """With as many rows as the answer names, most comparisons are decided; with a quarter of them few are."""
    shifts, n = (1.0, -1.3), 300
    needed = []
    for number in range(80):
        case = shifted("pilot", 1, shifts, (n,) * 3)
        generator = np.random.default_rng([3, number])
        rows = [draw(generator, n) for draw in (case.reference, *case.candidates)]
        found = compared_figures("r", ["a", "b"], figures_of(case, rows, number, 0.95, 8)).differences[0]
        if found.growth is not None and found.answer == "more-rows" and found.shown > 0:
            needed.append((found.growth.most or found.growth.least) * n)
    enough = round(median(needed))
    share = {}
    for rows_of_each in (enough, enough // 4):
        rates = simulate(shifted("then", 1, shifts, (rows_of_each,) * 3), 100, first=100)
        share[rows_of_each] = rates.answers.get("yes", 0) / rates.runs
    assert share[enough] >= 0.5
    assert share[enough // 4] < share[enough] / 2


def test_oracle_critics_are_those_of_the_pair() -> None:
    """The simulation proves nothing if its distances were wrong: they are those of its critics."""
    generator = np.random.default_rng(0)
    x, y = normals(1, 0)(generator, 200_000), normals(1, -1.2)(generator, 200_000)
    assert along(-1.0)(y).mean() - along(-1.0)(x).mean() == pytest.approx(1.2, abs=0.02)
