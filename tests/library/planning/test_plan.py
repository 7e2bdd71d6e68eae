"""`plan_w1`: what it says, what it refuses, and what it counts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from wdist import OptionError, RowPlan, SampleError, plan_w1
from wdist.data.sources.advice import in_flags
from wdist.data.splits import part_sizes
from wdist.inference.sample_size.design import held_out_groups

QUICK: dict[str, Any] = {"critic": "affine", "steps": 1}


def pair(shift: float, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.random.default_rng(7).normal(size=(2, n, 1))
    return x, y + shift


def plan(shift: float = 0.6, n: int = 400, **asked: Any) -> RowPlan:
    return plan_w1(*pair(shift, n), **{**QUICK, **asked})


def number(found: RowPlan) -> int:
    assert found.rows is not None
    return found.rows["source"].about


def test_a_margin_in_words_and_as_json() -> None:
    found = plan(margin=0.1)
    assert found.rows is not None
    rows = found.rows["source"]
    assert rows == found.rows["target"]
    assert 100 < rows.low < rows.about < rows.high
    assert found.sentence.startswith("For a margin of 0.1 at 95 % confidence: about 1,")
    assert found.sentence.endswith(")." if rows.low < rows.high else ".")
    told = json.loads(json.dumps(found.to_dict()))
    assert told["rows"]["target"] == {"low": rows.low, "about": rows.about, "high": rows.high}
    assert (told["margin"], told["detect"], told["power"], told["reason"], told["unit"]) == (
        0.1, None, None, None, "rows",
    )  # fmt: skip
    assert told["shown"]["low"] == told["pilot"]["lower_bound"] == found.pilot.lower_bound
    assert told["shown"]["low"] < told["pilot"]["value"] < told["shown"]["high"]
    assert str(found).startswith(found.sentence)
    assert "held out 200 and 200 rows" in str(found)


def test_the_pilot_s_distance_is_detected_by_a_range_of_its_interval() -> None:
    found = plan(0.35, 200, detect=True)
    assert found.rows is not None
    assert found.rows["source"].low < found.rows["source"].about < found.rows["source"].high
    assert found.sentence.startswith("To detect the pilot's distance with power 0.8 at 95 % confidence: about ")
    assert any("critic trained on more rows" in caveat for caveat in found.caveats)


def test_more_is_asked_for_by_more_rows() -> None:
    quarter = number(plan(detect=0.2))
    assert number(plan(detect=0.1)) == pytest.approx(4 * quarter * 0.4 / (part_sizes(quarter)[2] / quarter), rel=0.1)
    assert number(plan(detect=0.2, power=0.95)) > quarter
    assert number(plan(detect=0.2, confidence=0.99)) > quarter
    assert number(plan(detect=0.2, statements=10)) > quarter
    assert "together with all 10 statements" in plan(detect=0.2, statements=10).sentence
    assert any("critic trained on more rows" in caveat for caveat in plan(detect=0.1).caveats)
    assert not any("twice as many" in caveat for caveat in plan(detect=0.1).caveats)  # of an affine critic


def test_a_ratio_saves_rows_of_one_set_and_costs_rows_of_the_other() -> None:
    equal, found = plan(margin=0.05), plan(margin=0.05, ratio=3)
    assert found.rows is not None
    assert found.rows["target"].about == 3 * found.rows["source"].about
    assert number(found) == pytest.approx(number(equal) * (1 + 1 / 3) / 2, rel=0.08)
    assert " rows of the source (" in found.sentence
    assert " of the target (" in found.sentence


def test_the_number_is_unknown_where_the_pilot_shows_nothing() -> None:
    found = plan(shift=0.1, n=150, detect=True)
    assert found.pilot.lower_bound == 0
    assert found.rows is None
    assert found.reason is not None
    assert found.reason.startswith("the pilot's lower bound is 0")
    assert found.reason in found.sentence
    assert json.loads(json.dumps(found.to_dict()))["rows"] is None
    assert found.sentence.endswith("Take a larger pilot, or name a distance that matters, such as detect=0.3.")
    assert plan(shift=0.1, n=150, detect=0.3).rows is not None


def test_a_pilot_that_shows_less_than_nothing_says_so_and_what_to_do() -> None:
    found = plan(shift=0.0, n=120, detect=True, seed=38)
    assert found.pilot.value < 0
    assert "is unknown: the pilot shows no difference. Take a larger pilot, or name a distance" in found.sentence
    assert "its critic shows 0 (0 to 0)," in str(found)
    assert "such as --detect 0.3." in in_flags(str(found))
    with pytest.raises(OptionError, match="not below what the pilot shows, 0, so"):
        plan(shift=0.0, n=120, margin=0.1, seed=38)


def test_fewer_rows_than_a_split_takes_are_never_planned() -> None:
    found = plan(shift=5.0, detect=5.0)
    assert number(found) == 100
    assert found.sentence.endswith("100 rows of each set, the fewest that can be split.")
    unequal = plan(shift=5.0, detect=5.0, ratio=0.25)
    assert unequal.rows is not None
    assert (unequal.rows["source"].about, unequal.rows["target"].about) == (400, 100)


@pytest.mark.parametrize(
    ("n", "ratio", "expected"), [(200, 1.0, (200, 200)), (400, 1.0, (400, 400)), (400, 2.0, (400, 800))]
)
def test_the_pilot_s_distance_is_not_planned_with_fewer_rows_than_its_critic_learned_from(
    n: int, ratio: float, expected: tuple[int, int]
) -> None:
    """Of 16 columns 0.2 apart, a pilot of 200 rows asked for 100: they show the difference in 40 %, not in 80 %."""
    generator = np.random.default_rng(5)
    x, y = generator.normal(size=(n, 16)), generator.normal(size=(n, 16)) + 0.4
    found = plan_w1(x, y, detect=True, ratio=ratio, **QUICK)
    assert found.rows is not None
    assert (found.rows["source"].about, found.rows["target"].about) == expected
    assert found.rows["source"].low < n
    assert found.caveats[0].startswith("as many as the pilot has")
    assert not any("fewer are enough" in caveat for caveat in found.caveats)


@pytest.mark.parametrize("given", [{"diameter": 50.0}, {"ranges": [-20.0, 20.0]}], ids=str)
def test_what_the_upper_bound_assumes_changes_no_plan(given: dict[str, Any]) -> None:
    assert plan(margin=0.1, **given).rows == plan(margin=0.1).rows


def test_groups_are_counted() -> None:
    x, y = pair(0.6, 1_600)
    groups = np.arange(1_600) // 4
    apart = plan_w1(x, y, margin=0.05, groups=(groups, groups + 400), **QUICK)
    assert apart.unit == "groups"
    assert "groups of each set" in apart.sentence
    assert any("groups are counted" in caveat for caveat in apart.caveats)
    # The mean of four rows has half the deviation of one, and fewer groups than rows are held out.
    rows = number(plan_w1(x, y, margin=0.05, **QUICK))
    tested = held_out_groups(number(apart), number(apart))[0]
    assert tested == pytest.approx(part_sizes(rows)[2] / 4, rel=0.3)
    shared = plan_w1(x, y, margin=0.1, groups=(groups, groups), **QUICK)
    assert shared.rows is not None
    with pytest.raises(OptionError, match="leave out ratio"):
        plan_w1(x, y, margin=0.1, groups=(groups, groups), ratio=2, **QUICK)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "give margin or detect, such as margin=0.1 or detect=True"),
        ({"detect": False}, "give margin or detect"),
        ({"margin": 0.1, "detect": True}, "give margin or detect, not both"),
        ({"margin": 0}, "margin is 0; it must be a distance above 0"),
        ({"margin": -1.0}, "margin is -1.0; it must be"),
        ({"margin": float("nan")}, "margin is nan"),
        ({"margin": True}, "margin is True"),
        ({"margin": 2.0}, "margin 2 is not below what the pilot shows, .*: give a smaller margin"),
        ({"detect": 0.0}, "detect is 0.0; it must be a distance above 0, or True"),
        ({"detect": 0.1, "power": 1.0}, "power is 1.0; it must be a probability"),
        ({"detect": 0.1, "power": 0}, "power is 0; it must be a probability"),
        ({"detect": 0.1, "ratio": 0}, "ratio is 0; it must be rows of y for each row of x"),
        ({"detect": 0.1, "method": "betting"}, "method 'betting' has no plan"),
        ({"detect": 0.1, "confidence": 2}, "confidence"),
    ],
)
def test_a_mistake_is_refused_by_name(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        plan(**asked)


def test_a_small_pilot_is_refused_by_its_name() -> None:
    with pytest.raises(SampleError, match=r"pilot_x: 50 rows are too few; at least 100 are needed"):
        plan(n=50, margin=0.1)
