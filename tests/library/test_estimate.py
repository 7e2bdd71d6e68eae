"""estimate_w1 from end to end: known distances, null, determinism, options, bad input."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wdist import OptionError, Result, SampleError, estimate_w1, load_critic
from wdist.data.known_truth import funnel_pair
from wdist.definitions.figures import METHOD_VERSION
from wdist.definitions.results.numbers import rounded_down, rounded_up
from wdist.errors import Stopped
from wdist.training.progress import Progress

NAMES = [
    "value",
    "unclipped",
    "lower_bound",
    "upper_bound",
    "upper_kind",
    "upper",
    "no_upper_bound",
    "confidence",
    "simultaneous",
    "p_value",
    "lipschitz_bound",
    "score_deviation",
    "spread",
    "rows_needed",
    "critic",
    "seed",
    "n",
    "split",
    "groups",
    "scale",
    "units",
    "trivial",
    "empirical",
    "null_baseline",
    "method_version",
    "steps",
    "planned_steps",
    "seconds",
    "device",
    "warnings",
    "verdict",
    "meaning",
]
QUICK: dict[str, Any] = {"steps": 150, "baseline_rows": 0}


def gaussian(n: int, d: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(n, d)) + shift).astype(np.float32)


@pytest.fixture(scope="module")
def shifted() -> Result:
    """Two Gaussians in R^4, moved by (1, 1, 1, 1): W1 = 2."""
    return estimate_w1(gaussian(3000, 4, 1), gaussian(3000, 4, 2, 1.0), steps=200, seed=3)


def test_translation_is_found_and_not_exceeded(shifted: Result) -> None:
    assert 1.6 < shifted.lower_bound <= 2.0
    assert shifted.value == pytest.approx(2.0, abs=4 * np.sqrt(2 / 900))  # four standard errors of 900 test rows a side
    assert shifted.lower_bound < shifted.value
    assert shifted.p_value is not None
    assert shifted.p_value <= 1e-3


def test_result_has_exactly_the_shared_names(shifted: Result) -> None:
    document = json.loads(json.dumps(shifted.to_dict(), allow_nan=False))
    assert list(document) == NAMES
    assert document["n"]["source"] == {"train": 1500, "select": 300, "test": 1200}
    assert set(document["trivial"]) == {"mean_difference", "max_sliced"}
    assert set(document["null_baseline"]) == {"rows", "between", "within"}
    assert set(document["critic"]) == {"family", "config"}
    assert document["method_version"] == METHOD_VERSION
    assert float(shifted) == shifted.lower_bound
    for text in (str(shifted), shifted._repr_html_(), document["meaning"]):
        assert f"between {rounded_down(shifted.lower_bound)} (95 %) and " in text


def test_product_of_norms_is_one(shifted: Result) -> None:
    assert abs(shifted.lipschitz_bound - 1) < 1e-5


def test_trivial_bound_is_never_lost_by_much(shifted: Result) -> None:
    # the affine critic competes on select; on test it can only be ahead by noise
    assert shifted.value > shifted.trivial["mean_difference"] - 0.1


def test_equal_distributions_give_no_evidence() -> None:
    result = estimate_w1(gaussian(2000, 6, 1), gaussian(2000, 6, 2), **QUICK)
    assert result.lower_bound == 0
    assert result.p_value is not None
    assert result.p_value > 0.01
    assert abs(result.value) < 4 * np.sqrt(2 / 600)
    assert result.meaning.startswith("No evidence of a difference (p = ")
    assert result.upper_bound is not None
    assert f"If there is one, the distance is at most {rounded_up(result.upper_bound)} (95 %" in result.meaning


def test_funnels_from_below() -> None:
    x, y, w1 = funnel_pair(4, 4, 6000, 0)
    result = estimate_w1(x, y, steps=300, baseline_rows=0)
    assert 0.6 * w1 < result.lower_bound <= w1


def test_same_seed_same_result_and_another_seed_another() -> None:
    x, y = gaussian(400, 3, 1), gaussian(500, 3, 2, 0.5)
    first, again, other = (estimate_w1(x, y, seed=s, steps=40) for s in (7, 7, 8))
    left, right = first.to_dict(), again.to_dict()
    left.pop("seconds"), right.pop("seconds")
    assert left == right
    assert other.value != first.value


def test_source_and_target_may_be_swapped() -> None:
    x, y = gaussian(1000, 3, 1), gaussian(1000, 3, 2, 1.0)
    one, two = estimate_w1(x, y, **QUICK), estimate_w1(y, x, **QUICK)
    assert one.value == pytest.approx(two.value, abs=0.3)
    assert min(one.lower_bound, two.lower_bound) > 1


def test_units_follow_the_data() -> None:
    x, y = gaussian(800, 3, 1), gaussian(800, 3, 2, 0.5)
    plain = estimate_w1(x, y, **QUICK)
    thousandfold = estimate_w1(1000 * x, 1000 * y, **QUICK)
    assert thousandfold.value == pytest.approx(1000 * plain.value, rel=1e-3)
    by_number = estimate_w1(1000 * x, 1000 * y, scale=1000.0, **QUICK)
    assert by_number.value == pytest.approx(plain.value, rel=1e-3)
    assert by_number.scale is not None


def test_standardize_looks_at_train_rows_only() -> None:
    x, y = gaussian(800, 2, 1) * [1, 100], gaussian(800, 2, 2, 0.5) * [1, 100]
    result = estimate_w1(x, y, scale="standardize", **QUICK)
    assert result.scale is not None
    assert result.scale["divisor"][1] == pytest.approx(100, rel=0.1)
    assert "standard deviations" in result.units


@pytest.mark.parametrize("critic", ["affine", "sliced", "groupsort", "cone", "bcop", "auto"])
def test_every_family_on_images(critic: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 200, (300, 8, 8), dtype=np.uint8)
    y = rng.integers(55, 256, (300, 8, 8), dtype=np.uint8)
    result = estimate_w1(x, y, critic=critic, steps=30, baseline_rows=0)
    assert critic in ("auto", result.critic.family)
    # every pixel moves by 55/255 in the mean, 64 of them; cones hardly see that, but see it
    assert 0.5 < result.lower_bound <= result.value < 8 * 55 / 255 * 1.1
    result.critic.save(tmp_path)
    np.testing.assert_array_equal(load_critic(tmp_path).evaluate(x[:20]), result.critic.evaluate(x[:20]))


def test_inputs_of_every_kind_agree(tmp_path: Path) -> None:
    x, y = gaussian(300, 3, 1), gaussian(300, 3, 2, 1.0)
    np.save(tmp_path / "x.npy", x)
    expected = estimate_w1(x, y, **QUICK).value
    assert estimate_w1(tmp_path / "x.npy", torch.from_numpy(y), **QUICK).value == expected
    assert estimate_w1(str(tmp_path / "x.npy"), y.tolist(), **QUICK).value == expected


def test_progress_is_told_and_stop_obeyed() -> None:
    seen: list[Progress] = []
    estimate_w1(gaussian(300, 3, 1), gaussian(300, 3, 2, 1.0), progress=seen.append, **QUICK)
    assert seen[-1].step == seen[-1].steps == 150
    assert [p.step for p in seen] == sorted(p.step for p in seen)
    assert seen[-1].value is not None
    assert {"groupsort", "cone"} <= {p.trying for p in seen}, "the portfolio tries several families"
    with pytest.raises(Stopped):
        estimate_w1(gaussian(200, 3, 1), gaussian(200, 3, 2), should_stop=lambda: True, **QUICK)


def test_the_time_left_is_never_more_than_the_budget_while_critics_are_compared() -> None:
    seen: list[Progress] = []
    x, y = gaussian(400, 3, 1), gaussian(400, 3, 2, 0.5)
    estimate_w1(x, y, max_seconds=1.5, baseline_rows=0, progress=seen.append)
    compared = [p for p in seen if p.steps != seen[-1].steps]  # the last stage's number of steps is known only there
    assert compared
    assert all(p.eta_seconds is not None and p.eta_seconds <= 1.5 for p in compared)


def test_a_critic_that_shows_less_than_the_means_do_is_warned_of() -> None:
    x, y = gaussian(400, 3, 1), gaussian(400, 3, 2, 0.5)
    (warning,) = estimate_w1(x, y, critic="cone", steps=5, baseline_rows=0).warnings
    assert "train the critic for longer" in warning
    assert "critic='auto'" in warning
    clipped = estimate_w1(x, y, critic="affine", baseline_rows=0)
    assert clipped.value < (clipped.trivial["mean_difference"] or 0.0)
    assert clipped.warnings == [], "clipping takes little, and unclipped shows it"


def test_confidence_is_not_rounded_up_to_certainty() -> None:
    x, y = gaussian(400, 3, 1), gaussian(400, 3, 2, 0.5)
    text = str(estimate_w1(x, y, critic="affine", confidence=0.99999999999, baseline_rows=0))
    assert "99.999999999 % confidence" in text
    assert "100 %" not in text
    assert "closed form" in text  # and not 0 steps


def test_max_seconds_is_kept_roughly() -> None:
    result = estimate_w1(gaussian(2000, 8, 1), gaussian(2000, 8, 2, 0.1), max_seconds=1.0, baseline_rows=0)
    assert result.steps >= 20
    assert result.seconds < 30, "the budget is one second of training; a loaded machine may take a few more"


BAD_OPTIONS = [
    ({"confidence": 1.0}, "confidence"),
    ({"confidence": 0.2}, "confidence"),
    ({"confidence": float("nan")}, "confidence"),
    ({"critic": "resnet"}, "critic is 'resnet'"),
    ({"critic": "bcop"}, "needs images"),
    ({"seed": -1}, "seed"),
    ({"seed": 1.5}, "seed"),
    ({"steps": 0}, "steps"),
    ({"steps": 10, "max_seconds": 5.0}, "not both"),
    ({"max_seconds": -1.0}, "max_seconds"),
    ({"device": "abacus"}, "device 'abacus'"),
    ({"device": "meta"}, "device 'meta'"),
    ({"scale": "large"}, "scale is 'large'"),
    ({"scale": [1.0, 2.0]}, "scale"),
    ({"scale": 0.0}, "scale"),
    ({"layout": "chwn"}, "layout"),
    ({"baseline_rows": 10**6}, "baseline_rows"),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS, ids=lambda v: str(v))
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        estimate_w1(gaussian(200, 3, 1), gaussian(200, 3, 2), **options)


def test_bad_data_is_named() -> None:
    good = gaussian(200, 3, 1)
    with pytest.raises(SampleError, match=r"target.*3 rows"):
        estimate_w1(good, good[:3])
    spoiled = good.copy()
    spoiled[17, 2] = np.nan
    with pytest.raises(SampleError, match=r"target.*17.*2"):
        estimate_w1(good, spoiled)
    with pytest.raises(SampleError, match=r"3.*4|columns"):
        estimate_w1(good, gaussian(200, 4, 1))
    with pytest.raises(SampleError, match="same"):
        estimate_w1(np.ones((200, 3)), np.ones((200, 3)))
    with pytest.raises(SampleError, match="test rows"):
        estimate_w1(good[:100], good[:100] + 1, confidence=1 - 1e-16)


class Counter:
    """Stops a run after a number of polls."""

    def __init__(self, polls: int) -> None:
        self.left = polls

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("polls", [3, 9, 40, 110])
def test_a_resumed_estimate_equals_an_uninterrupted_one(polls: int, tmp_path: Path) -> None:
    x, y = gaussian(400, 3, 1), gaussian(400, 3, 2, 0.5)
    options: dict[str, Any] = {"steps": 150, "seed": 5, "baseline_rows": 0}
    expected = estimate_w1(x, y, **options).to_dict()
    path = tmp_path / "run.checkpoint"
    with pytest.raises(Stopped):
        estimate_w1(x, y, checkpoint=path, should_stop=Counter(polls), **options)
    assert path.exists()
    resumed = estimate_w1(x, y, checkpoint=path, **options).to_dict()
    expected.pop("seconds"), resumed.pop("seconds")
    assert resumed == expected


def test_a_checkpoint_of_another_problem_is_refused(tmp_path: Path) -> None:
    x, y = gaussian(400, 3, 1), gaussian(400, 3, 2, 0.5)
    path = tmp_path / "run.checkpoint"
    with pytest.raises(Stopped):
        estimate_w1(x, y, checkpoint=path, should_stop=Counter(9), **QUICK)
    with pytest.raises(OptionError, match="other data or options"):
        estimate_w1(x + 1, y, checkpoint=path, **QUICK)


def test_a_damaged_checkpoint_starts_afresh(tmp_path: Path) -> None:
    x, y = gaussian(400, 3, 1), gaussian(400, 3, 2, 0.5)
    path = tmp_path / "run.checkpoint"
    path.write_bytes(b"\x00" * 100)
    result = estimate_w1(x, y, checkpoint=path, **QUICK)
    assert result.value == estimate_w1(x, y, **QUICK).value
