"""The witness of a result: scores, unusual rows, columns; and the picture."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from wdist import estimate_w1, testing
from wdist.definitions.results.numbers import rounded_down
from wdist.errors import WdistError
from wdist.result import Result
from wdist.witness.histograms import edges_of
from wdist_client.results.witness import Witness as WitnessOfServer

QUICK = {"baseline_rows": 0, "upper": "none"}


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
    assert witness.means == pytest.approx(
        {"source": witness.source_scores.mean(), "target": witness.target_scores.mean()}, rel=1e-12
    )
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
    assert first.attribution > 0.97  # only noise is left for the others
    assert sum(column.attribution for column in result.witness.columns) == pytest.approx(1.0)
    # W1 of the column is 1 + 5 / 20: the target is larger everywhere, so it is the difference of the means.
    assert first.lower_bound is not None
    assert 0.8 < first.lower_bound < first.value
    # 600 test rows a side: a standard error of the mean difference is below 0.12
    assert first.value == pytest.approx(1.25, abs=0.36)
    assert all(column.lower_bound == 0 for column in others)
    assert result.lower_bound <= 1.25


def test_gradient_is_the_slope(result: Result, table: tuple[pd.DataFrame, pd.DataFrame]) -> None:
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


def test_what_columns_carry_has_known_shares() -> None:
    """Shifts by 1 and .3, two columns that only depend on each other, and a wide one that both sets share exactly."""
    generator = np.random.default_rng(3)
    x, y = generator.normal(size=(2, 2_000, 4))
    y += [1.0, 0.3, 0.0, 0.0]
    shares = {column.name: column.attribution for column in estimate_w1(x, y, critic="affine", **QUICK).witness.columns}
    assert list(shares)[:2] == ["0", "1"]
    assert shares["0"] == pytest.approx(1 / 1.09, abs=0.06)  # f is linear along (1, .3): shares go with the squares

    x, y = generator.normal(size=(2, 2_000, 4))
    y[:, 3] = 0.9 * y[:, 2] + np.sqrt(1 - 0.81) * y[:, 3]
    columns = estimate_w1(x, y, critic="groupsort", steps=150, **QUICK).witness.columns
    assert {column.name for column in columns[:2]} == {"2", "3"}
    assert all(column.attribution > 0.3 for column in columns[:2])
    assert [column.lower_bound for column in columns] == [0.0] * 4  # each column alone is the same

    x, y = generator.normal(size=(2, 2_000, 3))
    x[:, 0] = y[:, 0] = 30 * generator.standard_t(3, size=2_000)
    y[:, 1] += 1.0
    for seed in range(2):
        columns = estimate_w1(x, y, critic="affine", seed=seed, **QUICK).witness.columns
        assert columns[0].name == "1", seed
        assert {column.name: column.attribution for column in columns}["0"] < 0.05


def test_histograms_are_in_the_units_of_the_table() -> None:
    """Of numbers, whole numbers, times, categories, booleans, and missing values; shares sum to 1."""
    generator = np.random.default_rng(4)
    n = 500
    frames = [
        pd.DataFrame(
            {
                "amount": 1_000 * generator.normal(size=n),
                "count": generator.integers(0, 5, size=n),
                "day": pd.Timestamp("2026-03-01") + pd.to_timedelta(generator.integers(0, 60, size=n), unit="D"),
                "kind": generator.choice(list("abcdefghijkl"), size=n),
                "flag": generator.random(n) < 0.25 + side / 2,
            }
        )
        for side in range(2)
    ]
    frames[0].loc[0, "amount"] = 1e9  # does not flatten the picture
    frames[1].loc[::5, ["kind", "day", "amount"]] = None
    result = estimate_w1(
        *frames, critic="affine", categories=["kind"], time_unit="days", missing="level", scale="standardize", **QUICK
    )
    found = {column.name: column.histogram for column in result.witness.columns}
    for histogram in found.values():
        assert histogram is not None
        for side in ("source", "target"):
            missing = (histogram.get("missing") or {}).get(side, 0.0)
            assert sum(histogram[side]) + missing == pytest.approx(1.0)
    amount, count, day, kind, flag = (found[name] for name in frames[0].columns)
    assert -4_000 < amount["edges"][0] < -2_000 < 2_000 < amount["edges"][-1] < 4_000
    assert 10 <= len(amount["source"]) <= 20
    assert amount["missing"]["source"] == 0.0
    assert amount["missing"]["target"] == pytest.approx(0.2, abs=0.09)  # of 200 test rows: 3 standard errors
    assert count["edges"] == [-0.5, 0.5, 1.5, 2.5, 3.5, 4.5]
    assert day["edges"][0] == "2026-03-01"
    assert "2026-04-29" <= day["edges"][-1] < "2026-05-05"
    assert len(kind["levels"]) == len(kind["source"]) == 9
    assert kind["levels"][-1] == "other (4 levels)"
    assert flag["levels"] == ["false", "true"]
    assert flag["source"][1] == pytest.approx(0.25, abs=0.1)
    assert flag["target"][1] == pytest.approx(0.75, abs=0.1)


@pytest.mark.parametrize(
    ("low", "high", "is_whole", "expected"),
    [
        (0.0, 1.0, False, (0.0, 0.1, 1.0)),
        (-0.37, 0.21, False, (-0.4, -0.35, 0.25)),
        (3.0, 3.0, True, (2.5, 3.5, 3.5)),
        (0.1, 0.1, False, (-0.4, 0.6, 0.6)),
        (0.0, 500.0, True, (0.0, 50.0, 500.0)),
        (1e9, 1e9 + 1e-6, False, None),
        (-3e38, 3e38, True, None),
        (1e-300, 5e-300, False, None),
    ],
)
def test_edges_are_round_numbers(
    low: float, high: float, is_whole: bool, expected: tuple[float, float, float] | None
) -> None:
    edges = edges_of(low, high, is_whole=is_whole)
    assert edges[0] <= low <= high <= edges[-1]
    assert 2 <= len(edges) <= 21
    assert (np.diff(edges) > 0).all()
    if expected is not None:
        assert (edges[0], edges[1], edges[-1]) == expected


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
    labels[:400] = 0  # one large group: the mean of group means is not that of rows
    grouped = estimate_w1(x, y, critic="affine", groups=(labels, labels + 1_000), baseline_rows=0)
    assert [column.lower_bound for column in grouped.witness.columns] == [None, None]
    assert "there are no bounds, because rows are not independent" in str(grouped.witness)
    assert "there are no bounds, because rows are not independent" in grouped.witness._repr_html_()
    assert str(grouped.witness).count("no bound") == 3  # of each column, too
    assert grouped.witness.means is not None
    difference = grouped.witness.means["target"] - grouped.witness.means["source"]
    assert difference == pytest.approx(grouped.unclipped, rel=1e-9)
    images = generator.random((2, 200, 6, 6))
    assert estimate_w1(*images, critic="affine", baseline_rows=0).witness.columns == []


def test_shown_and_plain(result: Result) -> None:
    document = json.loads(json.dumps(result.witness.to_dict(3)))
    assert [len(document["unusual"][side]) for side in ("source", "target")] == [3, 3]
    assert sum(document["histogram"]["target"]) == pytest.approx(1.0)
    assert len(document["histogram"]["edges"]) == len(document["histogram"]["source"]) + 1
    text = str(result.witness).splitlines()
    assert text[3].split()[:3] == ["moved", "100", "%"]
    assert all(len(line) <= 120 for line in text)
    assert len(repr(result.witness)) < 120
    assert "moved" in result.witness._repr_html_()


def test_picture(result: Result) -> None:
    interval, curve, histogram = result.plot(names=("January", "February")).axes
    assert "January and February" in interval.get_title("left")
    assert [text.get_text().split(",")[0] for text in histogram.get_legend().get_texts()] == ["January", "February"]
    left, right = (line.get_xdata()[0] for line in histogram.lines)
    assert right - left == pytest.approx(result.unclipped)
    assert f"between {rounded_down(result.lower_bound)} and" in interval.get_title("left")
    assert len(curve.lines[0].get_xdata()) == len(result.curve)
    assert len(histogram.patches) == 2


def test_picture_in_axes_of_ones_own(result: Result) -> None:
    figure = Figure()
    first, second = figure.subplots(1, 2)
    assert result.plot(ax=second) is figure
    assert len(figure.axes) == 2
    assert f"between {rounded_down(result.lower_bound)} and" in second.get_title("left")
    assert not first.lines
    columns = result.witness.plot(("January", "February"))
    assert columns.axes[0].get_title("left").startswith("moved: carries 100%")
    assert [text.get_text() for text in columns.legends[0].get_texts()] == ["January", "February"]


def test_result_made_elsewhere_has_no_witness(result: Result) -> None:
    bare = Result(**{name: getattr(result, name) for name in Result.model_fields})
    with pytest.raises(WdistError, match="no witness"):
        _ = bare.witness


def test_a_column_that_shows_less_than_nothing_is_0_for_people_and_as_measured_in_json(
    result: Result, table: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    shown = result.model_copy()
    less = replace(result.witness.columns[0], name="less", value=-0.0998, lower_bound=0.0)
    witness = replace(result.witness, columns=[less])
    shown.__dict__["witness"] = witness
    shown.report(tmp_path / "r.html")
    report = (tmp_path / "r.html").read_text()
    told = "\n".join(text for _, text in testing._details(shown, table, {}))
    at_server = WitnessOfServer(witness.to_dict())
    assert "less: W1 of it alone 0, at least 0" in told
    assert re.search(r"<td>less</td>(<td[^>]*>[^<]*</td>)<td[^>]*>0</td><td[^>]*>0</td>", report)
    assert (str(at_server), at_server._repr_html_()) == (str(witness), witness._repr_html_())
    assert not any("0.0998" in text for text in (told, report, str(at_server), at_server._repr_html_()))
    assert witness.to_dict()["columns"][0]["value"] == -0.0998


def test_a_critic_that_shows_nothing_has_no_shares_to_tell(result: Result, tmp_path: Path) -> None:
    shown = result.model_copy()
    columns = [replace(column, attribution=0.0, lower_bound=0.0) for column in result.witness.columns]
    witness = replace(result.witness, columns=columns)
    shown.__dict__["witness"] = witness
    shown.report(tmp_path / "r.html")
    report = (tmp_path / "r.html").read_text()
    at_server = WitnessOfServer(witness.to_dict())
    assert str(witness).splitlines()[3].split()[:2] == ["moved", "-"]
    assert (str(at_server), at_server._repr_html_()) == (str(witness), witness._repr_html_())
    assert re.search(r"<td>moved</td><td[^>]*>-</td>", report)
    assert not any(re.search(r"\b0 ?%", text) for text in (str(witness), witness._repr_html_(), report))
    assert witness.plot().axes[0].get_title("left") == "moved"
