"""The witness of a result: scores, unusual rows, columns; and the picture."""

import json

import numpy as np
import pandas as pd
import pytest

from wdist import estimate_w1
from wdist.errors import WdistError
from wdist.result import Result


@pytest.fixture(scope="module")
def table() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Three columns of noise; in the target, `moved` is larger by 1, and one row in twenty by 6."""
    generator = np.random.default_rng(0)
    frames = [pd.DataFrame(generator.normal(size=(2_000, 3)), columns=["quiet", "moved", "still"]) for _ in range(2)]
    frames[1]["moved"] += 1.0
    frames[1].loc[::20, "moved"] += 5.0
    return frames[0], frames[1]


@pytest.fixture(scope="module")
def result(table: tuple[pd.DataFrame, pd.DataFrame]) -> Result:
    return estimate_w1(*table, critic="groupsort", steps=150, baseline_rows=0)


def test_scores_are_those_of_the_critic_on_test_rows(result: Result, table: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    witness = result.witness
    assert len(witness.source_rows) == len(witness.source_scores) == result.n["source"]["test"]
    scores = result.critic.evaluate(table[1].to_numpy()[witness.target_rows]) / result.lipschitz_bound
    low, high = scores.min(), scores.max()  # the stored critic is clipped, the witness is not
    assert witness.target_scores.clip(low, high) == pytest.approx(scores, abs=1e-12)
    difference = witness.target_scores.mean() - witness.source_scores.mean()
    assert result.unclipped == pytest.approx(difference, rel=1e-9)
    assert result.unclipped > result.value  # rows that moved by 6 are clipped


def test_unusual_rows_are_the_ones_that_moved_most(result: Result, table: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    unusual = result.witness.unusual(10)
    # Rows divisible by 20 moved by 6 and lie beyond 3 standard deviations of the others.
    assert all(entry.row % 20 == 0 for entry in unusual["target"])
    scores = [entry.score for entry in unusual["target"]]
    assert scores == sorted(scores, reverse=True)
    assert table[0]["moved"].iloc[[entry.row for entry in unusual["source"]]].mean() < -0.8
    assert {entry.row for entry in unusual["source"]} <= set(result.witness.source_rows.tolist())


def test_the_moved_column_carries_the_distance(result: Result) -> None:
    first, *others = result.witness.columns
    assert first.name == "moved"
    assert first.attribution > 0.7 > 0.4 > max(column.attribution for column in others)
    # W1 of the column is 1 + 5 / 20: the target is larger everywhere, so it is the difference of the means.
    assert first.lower_bound is not None
    assert 0.8 < first.lower_bound < first.value
    # 600 test rows a side: a standard error of the mean difference is below 0.12
    assert first.value == pytest.approx(1.25, abs=0.36)
    assert all(column.lower_bound == 0 for column in others)
    assert result.lower_bound <= 1.25


def test_attribution_is_the_mean_slope(result: Result, table: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    rows = table[0].to_numpy()[:50] + 0.0137
    gradient = result.critic.gradient(rows)
    assert np.all(np.linalg.norm(gradient, axis=1) <= result.lipschitz_bound * (1 + 1e-12))
    step = 1e-5
    for column in range(3):
        moved = rows.copy()
        moved[:, column] += step
        slope = (result.critic.scores(moved) - result.critic.scores(rows)) / step
        # f is piecewise linear in float64: away from its kinks the quotient is the gradient
        assert np.median(np.abs(slope - gradient[:, column])) < 1e-6


def test_gradient_counts_in_the_units_of_the_rows() -> None:
    generator = np.random.default_rng(1)
    x, y = (generator.normal(size=(300, 2)) * [1.0, 100.0] + shift for shift in ([0, 0], [1, 0]))
    scaled = estimate_w1(x, y, critic="affine", scale=[1.0, 100.0], baseline_rows=0)
    middle = np.array([[0.5, 10.0]])  # where the critic does not clip
    slope, plain = scaled.critic.gradient(middle)[0], scaled.critic.slopes((middle / [1, 100]).astype(np.float32))[0]
    assert np.linalg.norm(plain) == pytest.approx(1.0, abs=1e-6)
    assert slope == pytest.approx(plain / [1.0, 100.0], rel=1e-12)


def test_groups_and_images_have_no_bounds_per_column() -> None:
    generator = np.random.default_rng(2)
    x, y = generator.normal(size=(2, 900, 2))
    labels = np.arange(900) // 3
    grouped = estimate_w1(x, y, critic="affine", groups=(labels, labels + 1_000), baseline_rows=0)
    assert [column.lower_bound for column in grouped.witness.columns] == [None, None]
    assert "no bound: rows are not independent" in str(grouped.witness)
    assert "no bound: rows are not independent" in grouped.witness._repr_html_()
    images = generator.random((2, 200, 6, 6))
    assert estimate_w1(*images, critic="affine", baseline_rows=0).witness.columns == []


def test_shown_and_plain(result: Result) -> None:
    document = json.loads(json.dumps(result.witness.to_dict(3)))
    assert [len(document["unusual"][side]) for side in ("source", "target")] == [3, 3]
    assert sum(document["histogram"]["target"]) == pytest.approx(1.0)
    assert len(document["histogram"]["edges"]) == len(document["histogram"]["source"]) + 1
    assert "moved" in str(result.witness)
    assert "moved" in result.witness._repr_html_()


def test_picture(result: Result) -> None:
    interval, curve, histogram = result.plot().axes
    assert f"{result.lower_bound:.4g}" in interval.get_title("left")
    assert len(curve.lines[0].get_xdata()) == len(result.curve)
    assert len(histogram.patches) == 2


def test_result_made_elsewhere_has_no_witness(result: Result) -> None:
    bare = Result(**{name: getattr(result, name) for name in Result.model_fields})
    with pytest.raises(WdistError, match="no witness"):
        _ = bare.witness
