"""What is said beside the lower bound: certificate, groups, blocks of time, upper bound, empirical distance."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wdist import OptionError, SampleError, WdistError, certify, estimate_w1, verify_certificate

QUICK: dict[str, Any] = {"steps": 40, "baseline_rows": 0}


def gaussian(n: int, d: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(n, d)) + shift).astype(np.float32)


X, Y = gaussian(600, 3, 1), gaussian(700, 3, 2, 1.0)


@pytest.mark.parametrize("critic", ["affine", "sliced", "groupsort", "cone"])
@pytest.mark.parametrize("options", [{}, {"scale": "standardize", "method": "empirical_bernstein"}], ids=str)
def test_certificates_of_tables_are_verified(critic: str, options: dict[str, Any], tmp_path: Path) -> None:
    result = estimate_w1(X, Y, critic=critic, **QUICK, **options)
    digest = result.certificate.save(tmp_path / "c.cert")
    report = verify_certificate(tmp_path / "c.cert", X, Y, digest)
    assert report.valid, str(report)
    other = X.copy()
    other[5, 1] += 1e-3
    assert not verify_certificate(tmp_path / "c.cert", other, Y).valid


def test_certificate_of_a_convolutional_critic_is_verified(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 200, (200, 8, 8), dtype=np.uint8)
    y = rng.integers(55, 256, (200, 8, 8), dtype=np.uint8)
    estimate_w1(x, y, critic="bcop", steps=10, baseline_rows=0).certificate.save(tmp_path / "c.cert")
    report = verify_certificate(tmp_path / "c.cert", x, y)
    assert report.valid, str(report)


def test_blocks_of_time_are_called_approximate(tmp_path: Path) -> None:
    result = estimate_w1(X, Y, split="blocks", **QUICK)
    assert "p_value" not in str(result)
    assert result.p_value is None
    assert any("approximate" in warning for warning in result.warnings)
    assert result.lower_bound > 0
    assert result.meaning.startswith("They differ (approximately 95 % confidence). The distance is at least ")
    assert "true confidence may be far lower" in result.meaning
    assert "with approximately 95 % confidence" in str(result)
    assert "with 95 % confidence" not in str(result)
    assert result.to_dict()["split"] == "blocks"
    result.certificate.save(tmp_path / "c.cert")
    report = verify_certificate(tmp_path / "c.cert", X, Y)
    assert report.valid, str(report)
    assert "at approximate confidence 0.95" in report.sentence
    assert "Units: Euclidean distance in the data's own units." in report.sentence
    assert any("confidence itself" in point for point in report.not_checked)


def test_the_verified_sentence_names_groups_scale_and_both_ends(tmp_path: Path) -> None:
    def sentence(**options: Any) -> str:
        estimate_w1(X, Y, critic="affine", baseline_rows=0, **options).certificate.save(tmp_path / "c.cert")
        report = verify_certificate(tmp_path / "c.cert", X, Y)
        assert report.valid, str(report)
        return report.sentence

    labels = np.arange(600) // 2, np.arange(700) // 2 + 1000
    assert "those of drawing a group" in sentence(groups=labels)
    assert "Units: Euclidean distance after division by the given scale: 2." in sentence(scale=2.0)
    assert "Units: Euclidean distance after division by the given scale: 1, 2, 3." in sentence(scale=[1.0, 2.0, 3.0])
    assert "(approximate)" in sentence()
    both = sentence(diameter=30.0)
    assert "(finite-sample)" in both
    assert "no two possible rows are farther apart than 30" in both


def test_statements_read_together_are_weaker_each() -> None:
    alone, among = estimate_w1(X, Y, **QUICK), estimate_w1(X, Y, statements=20, **QUICK)
    assert alone.simultaneous is None
    assert among.lower_bound == alone.lower_bound
    assert among.simultaneous is not None
    assert among.simultaneous["statements"] == 20
    # It is what a single estimate says at 1 - 0.05 / 20, but for where scores are clipped.
    strict = estimate_w1(X, Y, confidence=1 - 0.05 / 20, **QUICK)
    assert among.simultaneous["lower_bound"] == pytest.approx(strict.lower_bound, rel=0.05)
    assert 0 < among.simultaneous["lower_bound"] < alone.lower_bound
    assert "20 statements" in str(among)
    with pytest.raises(OptionError, match="statements"):
        estimate_w1(X, Y, statements=0, **QUICK)


def test_empirical_distance_of_the_uploaded_rows() -> None:
    exact = estimate_w1(X, Y, **QUICK).empirical
    assert exact is not None
    assert exact["lower"] == exact["upper"] == exact["exact"]
    assert estimate_w1(X, Y, empirical=False, **QUICK).empirical is None
    assert estimate_w1(gaussian(2000, 3, 1), Y, **QUICK).empirical is None


def test_groups_stay_whole_and_count_as_one() -> None:
    # 120 groups of 20 equal rows: by rows the null is rejected at once, by groups it is not
    rng = np.random.default_rng(4)
    labels = np.repeat(np.arange(120), 20)
    x = (rng.normal(size=(120, 2))[labels] + 1e-3 * rng.normal(size=(2400, 2))).astype(np.float32)
    y = (rng.normal(size=(120, 2))[labels] + 1e-3 * rng.normal(size=(2400, 2))).astype(np.float32)
    result = estimate_w1(x, y, groups=(labels, labels + 1000), **QUICK)
    assert result.lower_bound == 0
    assert result.p_value is not None
    assert result.p_value > 0.01
    moved = estimate_w1(x, y + 3, groups=(labels, labels + 1000), steps=40, baseline_rows=50)
    assert 1 < moved.lower_bound < 3 * np.sqrt(2) + 0.5
    assert moved.groups is not None
    # 30 % of 120 groups are too few: 50 a side, and chance distributes these 100 over the sides
    assert (sum(moved.groups.values()), min(moved.groups.values()) >= 25) == (100, True)
    assert "a draw is a group and then a row of it" in moved.meaning
    assert "50 rows of each set, not by group" in str(moved)
    with pytest.raises(OptionError, match=r"source has 2400 rows"):
        estimate_w1(x, y, groups=(labels[:7], labels), **QUICK)
    with pytest.raises(SampleError, match="groups"):
        estimate_w1(x, y, groups=(labels // 10, labels), **QUICK)
    with pytest.raises(OptionError, match="split"):
        estimate_w1(x, y, groups=(labels, labels), split="blocks", **QUICK)


def test_beside_groups_the_trivial_bound_counts_groups_too() -> None:
    # one large group in ten is elsewhere: by rows the means are 10 / 2.8 = 3.6 apart, by groups 1
    labels = np.repeat(np.arange(200), np.where(np.arange(200) % 10 == 0, 10, 2))
    centres = np.where(np.arange(200) % 10 == 0, 10.0, 0.0)
    x, y = np.random.default_rng(6).normal(size=(2, len(labels), 1)) * 0.1
    result = estimate_w1(x, y + centres[labels, None], groups=(labels, labels + 200), **QUICK)
    assert result.trivial["mean_difference"] == pytest.approx(1, abs=1.5)  # 60 groups: sqrt(0.09 * 100 / 60) = 0.39
    assert result.trivial["max_sliced"] is None


def heavy(seed: int, shift: float, every: int = 50) -> np.ndarray:
    """Rows of which one in `every` is far away, with `shift` only there."""
    rows = gaussian(1_000, 2, seed)
    rows[::every, 0] = 40 + shift
    return rows


def test_a_value_that_the_clip_takes_below_the_mean_difference_is_explained() -> None:
    result = estimate_w1(heavy(1, 0.0, 100), heavy(2, 200.0, 100), critic="affine", baseline_rows=0)
    mean_difference = result.trivial["mean_difference"]
    assert mean_difference is not None
    assert result.value < 0.9 * mean_difference
    assert result.unclipped == pytest.approx(mean_difference, rel=1e-6)
    (said,) = [warning for warning in result.warnings if "below the mean difference" in warning]
    assert "clipped for the bound" in said
    assert f"{result.unclipped:.4g}" in said
    assert "unclipped" in str(result)


def test_value_and_unclipped_are_one_where_no_score_is_rare() -> None:
    x, y = (np.random.default_rng(seed).random((2_000, 2)) < share for seed, share in ((1, 0.3), (2, 0.6)))
    result = estimate_w1(x.astype(np.float64), y.astype(np.float64), critic="affine", baseline_rows=0)
    assert result.unclipped == pytest.approx(result.value, rel=1e-9)
    assert not any("clipped" in warning for warning in result.warnings)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("critic", ["affine", "groupsort"])
def test_value_is_never_quietly_below_the_mean_difference(seed: int, critic: str) -> None:
    x, y = gaussian(300, 4, seed), gaussian(300, 4, seed + 50, 0.1)
    result = estimate_w1(x, y, critic=critic, steps=10, seed=seed, baseline_rows=0)
    mean_difference = result.trivial["mean_difference"]
    assert mean_difference is not None
    assert result.unclipped is not None
    is_told = any("below the mean difference" in warning for warning in result.warnings)
    is_shown = f"{result.value:.4g}" != f"{mean_difference:.4g}"
    is_clipped_a_little = mean_difference <= result.unclipped * (1 + 1e-9) and result.value >= 0.95 * mean_difference
    assert is_told == (is_shown and result.value < mean_difference and not is_clipped_a_little)


@pytest.mark.parametrize(
    ("figures", "is_auto", "said"),
    [
        ((0.025, 0.026, 0.85, 0.5), True, "with so few held-out rows, each of them may be chance"),
        ((0.025, 0.026, 0.85, 0.5), False, "train the critic for longer, or let critic='auto' choose"),
        ((0.6, 0.61, 0.85, 0.1), True, ": train the critic for longer"),
        ((0.6, 0.61, 0.65, 0.1), True, "by less than the margin of the bound"),
        ((0.6, 0.61, 0.65, 0.7), True, "with so few held-out rows"),
        ((0.6, 0.86, 0.85, 0.1), True, "because rare scores are clipped for the bound; without clipping it is 0.86"),
        ((0.82, 0.86, 0.85, 0.1), True, None),
        ((0.9, 0.9, 0.85, 0.1), True, None),
    ],
)
def test_what_is_advised_where_value_is_below_the_mean_difference(
    figures: tuple[float, float, float, float], is_auto: bool, said: str | None
) -> None:
    value, unclipped, mean_difference, margin = figures
    told = certify._below(value, unclipped, mean_difference, margin=margin, is_auto=is_auto)
    assert len(told) == (said is not None)
    assert all(str(said) in each for each in told)
    assert not (is_auto and any("auto" in each for each in told))


def test_groups_have_an_unclipped_value_of_groups() -> None:
    x, y = heavy(3, 0.0), heavy(4, 200.0)
    labels = np.arange(1_000) // 4
    result = estimate_w1(x, y, groups=(labels, labels + 1_000), critic="affine", baseline_rows=0)
    assert result.unclipped == pytest.approx(result.trivial["mean_difference"], rel=1e-6)
    assert result.unclipped > result.value


def test_copies_across_the_parts_are_warned_of() -> None:
    doubled = np.concatenate([X, X])
    result = estimate_w1(doubled, Y, **QUICK)
    assert any("copies" in warning for warning in result.warnings)


@pytest.mark.parametrize(("options", "message"), [({"method": "hope"}, "method"), ({"split": "odd"}, "split")])
def test_unknown_statements_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        estimate_w1(X, Y, **QUICK, **options)


def test_a_difference_that_is_too_small_to_bound_is_not_called_none() -> None:
    result = estimate_w1(gaussian(400, 2, 1), gaussian(400, 2, 2, 0.15), critic="affine", baseline_rows=0)
    assert result.lower_bound == 0
    assert result.p_value is not None
    assert result.p_value < 0.05
    assert result.verdict.headline.startswith("They differ (p = ")
    assert "too few rows to say by how much: the lower bound is 0. About " in result.meaning
    assert result.rows_needed is not None
    assert result.rows_needed["source"] > 400


@pytest.mark.parametrize("is_asked_before", [True, False])
def test_results_are_pickled(is_asked_before: bool) -> None:
    result = estimate_w1(X, Y, progress=lambda _: None, critic="affine", baseline_rows=0)
    if is_asked_before:
        assert result.certificate.content
        assert len(result.witness.columns) == 3
    other = pickle.loads(pickle.dumps(result))
    assert other.to_dict() == result.to_dict()
    assert np.array_equal(other.critic.evaluate(X), result.critic.evaluate(X))
    assert copy.deepcopy(result).certificate.content == result.certificate.content, "a copy in this process keeps it"
    if is_asked_before:
        assert other.certificate.content == result.certificate.content
        assert np.array_equal(other.witness.source_scores, result.witness.source_scores)
    else:
        with pytest.raises(WdistError, match="asked for before"):
            _ = other.certificate
        with pytest.raises(WdistError, match="asked for before"):
            _ = other.witness


def test_groups_are_a_pair() -> None:
    with pytest.raises(OptionError, match="groups takes a pair"):
        estimate_w1(X, Y, groups=[np.arange(600)], **QUICK)  # type: ignore[arg-type]
