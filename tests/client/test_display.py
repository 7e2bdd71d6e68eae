"""What a person sees of a result and of a running job."""

import html
import json
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from wdist import estimate_w1
from wdist.definitions.figures import summary_lines
from wdist_client import Batch, Comparison, Estimate, Result
from wdist_client.display.text import JobBar, figures, interval_svg

RESULT: dict[str, Any] = {
    "value": 0.73, "lower_bound": 0.63, "upper_bound": None, "confidence": 0.95, "p_value": 0.0001,
    "lipschitz_bound": 1.0000001, "critic": {"family": "groupsort", "config": {"widths": [64]}}, "seed": 0,
    "n": {"source": {"train": 60, "select": 10, "test": 50}, "target": {"train": 60, "select": 10, "test": 50}},
    "scale": None, "units": "own", "trivial": {"mean_difference": 0.64, "max_sliced": 0.7}, "empirical": None,
    "null_baseline": {"rows": 1000, "between": 0.8, "within": 0.3}, "steps": 900, "seconds": 6.0, "device": "cpu",
    "warnings": ["few <rows>"], "meaning": "At least 0.63 & more.", "sharpness": 1,
}  # fmt: skip


def result(**changes: Any) -> Result:
    return Result.model_validate({**RESULT, **changes})


def job(status: str, **more: Any) -> Estimate:
    return Estimate.model_validate({"id": "est_1", "status": status, "source": "ss_1", "target": "ss_2", **more})


def test_float_is_the_lower_bound_and_new_fields_are_kept() -> None:
    assert float(result()) == 0.63
    assert result().sharpness == 1  # type: ignore[attr-defined]
    assert result().trivial.mean_difference == 0.64


@pytest.mark.parametrize("missing", ["upper_bound", "p_value", "null_baseline", "trivial", "warnings", "steps"])
def test_optional_fields_may_be_missing(missing: str) -> None:
    some = Result.model_validate({k: v for k, v in RESULT.items() if k != missing})
    assert "0.63" in str(some)
    assert "0.63" in some._repr_html_()


def test_records_of_older_and_newer_servers_are_read() -> None:
    batch = Batch.model_validate(
        {"id": "batch_1", "status": "paused", "kind": "star", "counts": {"total": 3, "lost": 1}}
    )
    assert (batch.status, batch.kind, batch.ended, batch.counts.ended, batch.counts["lost"]) == (
        "paused", "star", False, 0, 1,
    )  # fmt: skip
    assert (batch.priority, batch.metadata, batch.created_at) == (None, {}, None)
    running = job("running", progress={"step": 3}, started_at="2026-01-02T03:04:05Z")
    assert running.started_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (running.attempt, running.progress and running.progress.steps) == (0, None)


def test_text_names_every_figure() -> None:
    text = str(result(upper_bound=0.9))
    assert text.startswith("At least 0.63 & more.")
    for word in (
        "lower_bound",
        "upper_bound",
        "value",
        "p_value",
        "lipschitz_bound",
        "mean difference",
        "small-sample OT",
    ):
        assert word in text
    assert "warning: few <rows>" in text


def test_why_there_is_no_upper_bound_is_told() -> None:
    without = result(no_upper_bound="rows <ordered> in time")
    assert "  no upper bound: rows <ordered> in time" in str(without).splitlines()
    assert "<p>no upper bound: rows &lt;ordered&gt; in time</p>" in without._repr_html_()
    assert "no upper bound" not in str(result())  # an older version did not say


def test_each_withdrawn_end_has_its_mark() -> None:
    for name, label in (
        ("lower_bound", "W1 is between 0.630 (withdrawn: run again) and 0.900"),
        ("upper_bound", "W1 is between 0.630 and 0.900 (withdrawn: run again)"),
    ):
        old = result(upper_bound=0.9, withdrawn={"figures": [name], "reason": "Wrong.", "action": "Run again."})
        assert f"aria-label='{label}, value 0.73'" in interval_svg(old)


def test_candidates_without_a_result_are_told() -> None:
    place = {"position": 0, "best": 1, "worst": 2, "value": 0.5, "lower_bound": 0.4, "upper_bound": 0.6}
    found: dict[str, Any] = {
        "reference": "r", "confidence": 0.95, "kind": "approximate", "delta": None, "units": "mm", "sentence": "Both.",
        "ranking": [{"name": "a", **place}, {"name": "b", **place}], "differences": [],
    }  # fmt: skip
    left = "Without a result, and left out: <c>, d."
    comparison = Comparison.model_validate({**found, "missing": ["<c>", "d"]})
    assert left in str(comparison).splitlines()
    assert html.escape(left) in comparison._repr_html_()
    assert "left out" not in str(Comparison.model_validate(found))


def test_groups_and_blocks_of_time_are_named() -> None:
    blocks = str(result(split="blocks", p_value=None))
    assert "with approximately 95 % confidence" in blocks
    assert "with 99.999999999 % confidence" in str(result(confidence=0.99999999999))
    assert "with confidence" not in blocks
    groups = str(result(split="groups", groups={"source": 50, "target": 51}))
    assert "shows on held-out groups" in groups
    assert "1,000 rows of each set, not by group" in groups


@pytest.mark.parametrize(
    "options",
    [
        {"diameter": 50.0, "statements": 1200},
        {"split": "blocks", "statements": 2, "baseline_rows": 0},
        {"groups": (np.arange(200) // 2, np.arange(200) // 2)},
        {"confidence": 0.99999999999, "scale": 2.0},
    ],
)
def test_lines_are_those_of_the_library(options: dict[str, Any]) -> None:
    rng = np.random.default_rng(5)
    made = estimate_w1(rng.normal(size=(200, 2)), rng.normal(size=(200, 2)) + 1, critic="affine", **options).to_dict()
    read = Result.model_validate_json(json.dumps(made))
    assert figures(read) == summary_lines(made)
    assert len(figures(read)) > 4


def test_exact_transport_is_of_all_rows_and_that_of_few_says_what_it_is_for() -> None:
    rng = np.random.default_rng(3)
    sides = rng.normal(size=(192, 8)), rng.normal(size=(180, 8)) + 1
    made = estimate_w1(*sides, critic="affine", baseline_rows=90)
    assert made.empirical is not None
    assert made.null_baseline is not None
    read = Result.model_validate_json(json.dumps(made.to_dict()))
    told = {name: (figure, meaning) for name, figure, meaning in figures(read)}
    assert told["exact OT"] == (f"{made.empirical['exact']:.5g}", "of all 192 and 180 rows")
    within = f"{made.null_baseline['within']:.3g}"
    few = f"between 90 rows of each set; within one set {within}: the bias of so few rows"
    assert told["small-sample OT"] == (f"{made.null_baseline['between']:.5g}", few)
    assert {line.split("  ")[1] for line in str(made).splitlines() if "OT" in line} == {"exact OT", "small-sample OT"}
    for text in (str(made), str(read)):
        assert "  192 and 180 rows, 96 and 90 of them held out" in text.splitlines()
    names = ["value, held out", "mean difference", "exact OT, all rows"]
    names += ["OT, 90 rows of each set", "OT, 90 rows of one set"]
    for axes in (made.plot().axes[0], read.plot(ax=Figure().subplots()).axes[0]):
        assert [label.get_text() for label in axes.get_yticklabels()][1:] == names
    equal = estimate_w1(sides[0][:180], sides[1], critic="affine", groups=(np.arange(180), np.arange(180)))
    assert "of all 180 rows of each set, not by group" in str(equal)


def test_a_record_is_read_by_attribute_and_by_item() -> None:
    groups = result(groups={"source": 50, "target": 51}).groups
    assert groups is not None
    assert (groups.source, groups["target"]) == (50, 51)
    assert result()["n"]["source"]["test"] == 50
    assert result()["sharpness"] == 1
    with pytest.raises(KeyError, match="copy"):
        result()["copy"]


def test_html_is_well_formed_and_escaped() -> None:
    page = ElementTree.fromstring(result()._repr_html_())
    words = "".join(page.itertext())
    assert "At least 0.63 & more." in words
    assert "few <rows>" in words


@pytest.mark.parametrize(
    "changes",
    [{}, {"lower_bound": 0.0, "value": -0.01}, {"upper_bound": 2.0}, {"value": 0.0, "lower_bound": 0.0, "trivial": {}}],
)
def test_interval_is_drawn_inside_the_picture(changes: dict[str, Any]) -> None:
    picture = ElementTree.fromstring(interval_svg(result(**changes), width=300))
    positions = [float(e.attrib[a]) for e in picture.iter() for a in ("x1", "x2", "cx") if a in e.attrib]
    assert 10 <= min(positions) <= max(positions) <= 290


def test_bar_shows_step_and_uncertified_value(capfd: pytest.CaptureFixture[str]) -> None:
    progress = {"step": 30, "steps": 100, "seconds": 1.0, "value": 0.5, "eta_seconds": 2.0, "trying": "groupsort"}
    bar = JobBar(job("queued"), True)
    bar.show(job("running", progress=progress))
    bar.leave(job("running"))
    shown = capfd.readouterr().err
    assert "running groupsort:  30%" in shown
    assert "so far 0.5, not certified, 2 s left" in shown
    assert 'client.estimates.get("est_1").wait()' in shown


def test_a_function_is_told_instead_of_a_bar(capfd: pytest.CaptureFixture[str]) -> None:
    told: list[Estimate] = []
    bar = JobBar(job("queued"), told.append)
    bar.show(job("running"))
    bar.close()
    assert [e.status for e in told] == ["running"]
    assert capfd.readouterr().err == ""
