"""The words of an estimate: true of its figures, and never two sentences that contradict each other."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from wdist.definitions.results.numbers import rounded_down, rounded_up, three_digits, two_digits
from wdist.definitions.results.verdict import p_in_words, verdict

SPLITS = "random", "groups", "blocks"
NEEDED = {"source": 2_412, "target": 2_412}
LARGE = {"lower_bound": 0.6912, "value": 0.7349, "upper_bound": 0.8471}
NONE = {"lower_bound": 0.0, "value": 0.0431, "upper_bound": 0.1177}


def result(**changed: Any) -> dict[str, Any]:
    figures = {
        **LARGE,
        "upper_kind": "approximate",
        "confidence": 0.95,
        "p_value": 0.0001,
        "spread": 1.9281,
        "scale": {"kind": "standardize"},
        "units": "Euclidean distance in standard deviations of each column",
        "split": "random",
        "method_version": 2,
    }
    return figures | changed


def test_what_another_level_of_a_category_counts_is_said_where_there_are_categories() -> None:
    units = f"{result()['units']}; two levels of a category are 0.5 apart"
    apart = "For comparison, two random rows of the source are 1.93 apart on average"
    assert verdict(result(units=units)).size == f"{apart}; another level of a category counts 0.5."
    assert verdict(result()).size == f"{apart}."
    assert verdict(result(units=units, spread=None)).size is None


def test_the_sentences_of_the_usual_answers() -> None:
    apart = "For comparison, two random rows of the source are 1.93 apart on average."
    assert verdict(result()).text == (
        "They differ (p < 0.001). The distance is between 0.691 (95 %) and 0.848 (95 %, approximate) standard "
        f"deviations; the critic shows 0.735. {apart}"
    )
    assert verdict(result(**NONE, p_value=0.21)).text == (
        "No evidence of a difference (p = 0.21). If there is one, the distance is at most 0.118 (95 %, approximate) "
        f"standard deviations; the critic shows 0.0431. {apart}"
    )
    assert verdict(result(**NONE, p_value=0.0017, rows_needed=NEEDED)).text == (
        "They differ (p = 0.0017). There are too few rows to say by how much: the lower bound is 0. About 2,400 rows "
        "of each set would do, if the distance is what the critic shows. The distance is at most 0.118 (95 %, "
        f"approximate) standard deviations; the critic shows 0.0431. {apart}"
    )
    assert verdict(result(lower_bound=0.0025, p_value=0.0713, spread=None)).text == (
        "Undecided (p = 0.071): one test says that they differ, the other does not. By the lower bound alone, the "
        "distance is at least 0.00250 (95 %) standard deviations; the p-value, which decides, does not confirm a "
        "difference. More rows may tell. The distance is at most 0.848 (95 %, approximate) standard deviations; the "
        "critic shows 0.735."
    )


def test_the_sentences_of_groups_and_blocks() -> None:
    groups = {"split": "groups", "groups": {"source": 20, "target": 30}, "spread": None}
    counted = "Groups count equally, whatever their sizes: a draw is a group and then a row of it."
    assert verdict(result(**groups, p_value=0.08)).text == (
        "They differ (95 % confidence). The distance is between 0.691 (95 %) and 0.848 (95 %, approximate) standard "
        f"deviations; the critic shows 0.735. {counted}"
    )
    found = verdict(result(**groups, **NONE, rows_needed={"source": 61, "target": 122}))
    assert found.headline == "Undecided (p < 0.001): one test says that they differ, the other does not."
    assert found.distance.startswith(
        "By the p-value alone they differ; the lower bound, which decides, is 0. About 61 groups of the source and 120 "
        "of the target would tell, if the distance is what the critic shows."
    )
    blocks = verdict(result(split="blocks", p_value=None, upper_bound=None, no_upper_bound="rows depend on each other"))
    assert blocks.headline == "They differ (approximately 95 % confidence)."
    assert blocks.distance == (
        "The distance is at least 0.691 (95 %, approximate) standard deviations; the critic shows 0.735. There is no "
        "upper bound: rows depend on each other."
    )
    assert blocks.caveat == "Rows ordered in time depend on their neighbours: the true confidence may be far lower."


def test_the_sentences_of_odd_figures() -> None:
    crossed = verdict(result(lower_bound=0.9, value=0.95))
    assert (crossed.kind, crossed.headline) == ("contradiction", "The bounds contradict each other.")
    assert "One of the two is wrong" in crossed.distance
    negative = verdict(result(**NONE | {"value": -0.02}, p_value=0.6))
    assert negative.distance.endswith("; the critic shows none.")
    beyond = verdict(result(value=0.9))
    assert beyond.distance.endswith("the critic shows 0.900, by chance more than that.")
    same = verdict(result(lower_bound=0.0, value=0.0, upper_bound=0.0, p_value=1.0, spread=0.0))
    assert same.headline == "No evidence of a difference (p = 1)."
    assert same.distance == "The distance is at most 0 (95 %, approximate) standard deviations; the critic shows none."
    hidden = verdict(result(**NONE | {"upper_bound": None}, p_value=0.5))
    assert hidden.distance == (
        "How large a difference these rows may hide is not known; the critic shows 0.0431 standard deviations."
    )


def test_figures_of_an_earlier_version_are_withdrawn() -> None:
    groups = {"split": "groups", "groups": {"source": 20, "target": 30}}
    found = verdict(result(**groups, method_version=1))
    assert (found.kind, found.headline) == ("withdrawn", "No answer: run this estimate again.")
    assert "with the same options" in found.distance
    assert "0.69" not in found.text
    ruler = verdict(result(method_version=1))
    assert "at least 0.691 (95 %) standard deviations" in ruler.distance
    assert "The upper bound is withdrawn: Version 1" in ruler.distance
    assert "0.848" not in ruler.text


def test_what_holds_together_with_other_statements() -> None:
    def told(p_value: float, lower: float, upper: float | None = 0.95, **changed: Any) -> str:
        together = {"statements": 6, "lower_bound": lower, "upper_bound": upper}
        return verdict(result(p_value=p_value, simultaneous=together, **changed)).caveat or ""

    assert told(0.0001, 0.61) == (
        "Together with all 6 statements, it is between 0.610 (95 %) and 0.950 (95 %, approximate)."
    )
    assert told(0.0001, 0.0) == (
        "Together with all 6 statements, they still differ. It is then at most 0.950 (95 %, approximate)."
    )
    assert told(0.04, 0.0, None) == (
        "Together with all 6 statements, this may be chance: among so many, one may seem to differ."
    )
    assert (
        told(0.04, 0.1, None) == "Together with all 6 statements, one test says that they differ, the other does not."
    )
    assert told(0.5, 0.0, **NONE) == "Together with all 6 statements, it is at most 0.950 (95 %, approximate)."


def cases() -> list[dict[str, Any]]:
    """The product of all that the words depend on."""
    found = []
    for split, p_value, lower, upper, shown, together, needed in itertools.product(
        SPLITS, (None, 0.0001, 0.0499, 0.0501, 0.4), (0.0, 0.3), (None, 0.0, 0.2, 0.5), (-0.1, 0.0, 0.4),
        (None, (0.0, None), (0.0, 0.6), (0.2, 0.6)), (None, NEEDED),
    ):  # fmt: skip
        if lower > max(shown, 0.0) or (together and together[0] > lower):
            continue  # a bound is at most its value, and the simultaneous one at most the bound
        simultaneous = together and {"statements": 6, "lower_bound": together[0], "upper_bound": together[1]}
        groups = {"source": 40, "target": 40} if split == "groups" else None
        reason = None if upper is not None else "upper='none' was asked for"
        found.append(
            result(
                split=split,
                groups=groups,
                p_value=None if split == "blocks" else p_value,
                lower_bound=lower,
                upper_bound=upper,
                value=shown,
                simultaneous=simultaneous,
                rows_needed=needed,
                no_upper_bound=reason,
            )
        )
    return found


def expected_kind(figures: dict[str, Any]) -> str:
    """What decides: of rows that have one, the p-value; else the lower bound."""
    lower, upper, p_value = figures["lower_bound"], figures["upper_bound"], figures["p_value"]
    if upper is not None and upper < lower:
        return "contradiction"
    bound_says, p_says = lower > 0, p_value is not None and p_value <= 0.05
    if bound_says and p_says:
        return "differ"
    if not bound_says and not p_says:
        return "no_evidence"
    if figures["split"] == "random" and p_value is not None:
        return "size_unknown" if p_says else "undecided"
    return "differ" if bound_says else "undecided"


def test_no_two_sentences_contradict_each_other_whatever_the_figures() -> None:
    kinds = set()
    for figures in cases():
        found = verdict(figures)
        kinds.add(found.kind)
        assert found.kind == expected_kind(figures), figures
        words = found.text
        says_differ = "They differ (" in words
        assert says_differ == (found.kind in ("differ", "size_unknown")), words
        assert ("No evidence" in words) == (found.kind == "no_evidence"), words
        assert ("too few rows" in words) == (found.kind == "size_unknown"), words
        assert not (words.count("the critic shows none") and words.count("the critic shows 0")), words
        if found.kind == "no_evidence":
            assert not any(told in words for told in ("at least", "between", "differ,", "would do", "would tell")), (
                words
            )
        if not says_differ:
            assert "still differ" not in words, words
        if figures["lower_bound"] == 0:
            assert "at least" not in words, words
        if figures["upper_bound"] is None and (figures["simultaneous"] or {}).get("upper_bound") is None:
            assert "at most" not in words, words
        assert "None" not in words, words
        assert "nan" not in words, words
        assert "  " not in words, words
        assert words.endswith("."), words
    assert kinds == {"differ", "size_unknown", "undecided", "no_evidence", "contradiction"}


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.967, 0.99, 0.99999])
def test_a_p_value_is_shown_on_its_side_of_alpha(confidence: float) -> None:
    alpha = 1 - confidence
    for p_value in (alpha * (1 - 1e-3), alpha * (1 - 1e-9), alpha * (1 + 1e-9), alpha * (1 + 1e-3), 0.5, 1.0):
        said = p_in_words(p_value, alpha)
        shown = float(said.removeprefix("p = ").removeprefix("p < "))
        assert (shown <= alpha) == (p_value <= alpha) or said == "p < 0.001", said
    assert verdict(result(confidence=0.9, p_value=0.1)).kind == "differ"  # 1 - 0.9 is a little less than 0.1


def test_bounds_are_never_made_stronger_by_rounding() -> None:
    generator = np.random.default_rng(0)
    numbers = [
        *np.exp(generator.uniform(-700, 700, 2_000)),
        *np.exp(generator.uniform(-12, 20, 4_000)),
        *(k / 1_000 for k in range(1, 2_000)),
        *(10.0**k for k in range(-300, 300)),
        *(math.nextafter(10.0**k, side) for k in range(-300, 300) for side in (-math.inf, math.inf)),
        5e-324, 1.7e308,
    ]  # fmt: skip
    for number in map(float, numbers):
        low, near, high = (float(shown(number).replace(",", "")) for shown in (rounded_down, three_digits, rounded_up))
        assert low <= number <= high, number
        assert low <= near <= high, number
        assert high - low <= 0.0101 * number or number < 1e-320, number


@pytest.mark.parametrize(
    ("number", "down", "near", "up"),
    [
        (0.0, "0", "0", "0"), (1.0, "1.00", "1.00", "1.00"), (0.69, "0.690", "0.690", "0.690"),
        (0.99951, "0.999", "1.00", "1.00"), (12.345, "12.3", "12.3", "12.4"), (999.9, "999", "1,000", "1,000"),
        (3_812.0, "3,810", "3,810", "3,820"), (2.5e-5, "2.50e-05", "2.50e-05", "2.50e-05"),
        (123_456_789.0, "1.23e+08", "1.23e+08", "1.24e+08"), (math.inf, "inf", "inf", "inf"),
    ],
)  # fmt: skip
def test_numbers_have_three_digits(number: float, down: str, near: str, up: str) -> None:
    assert (rounded_down(number), three_digits(number), rounded_up(number)) == (down, near, up)


def test_numbers_of_rows_have_two_digits() -> None:
    assert [two_digits(count) for count in (7, 61, 122, 2_412, 996_000)] == ["7", "61", "120", "2,400", "1,000,000"]
