"""What a monitor can be asked, and the times of its batches."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from wdist.definitions.times import checked_time
from wdist.errors import OptionError
from wdist.monitoring.options import MonitorOptions, monitor_options
from wdist.options import Options

SHARED = ("critic", "seed", "scale", "category_cost", "layout", "device", "method", "upper")


def test_options_of_an_estimate_mean_the_same_to_a_monitor() -> None:
    own, others = (model.model_json_schema()["properties"] for model in (MonitorOptions, Options))
    assert {name: own[name] for name in SHARED} == {name: others[name] for name in SHARED}


def test_options_and_reading_are_told_apart() -> None:
    options, reading = monitor_options({"scale": np.array([1.0, 2.0]), "missing": "level", "update_steps": np.int64(5)})
    assert (options.scale, options.update_steps, reading.missing) == ([1.0, 2.0], 5, "level")
    assert options.alpha == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"groups": "patient"}, "independent draws"),
        ({"split": "blocks"}, "independent draws"),
        ({"diameter": 3}, "approximate"),
        ({"max_seconds": 3}, "update_steps"),
        ({"tolerence": 3}, "did you mean 'tolerance'"),
        ({"tolerance": -1}, "at least 0"),
        ({"tolerance": float("nan")}, "finite"),
        ({"confidence": 1.0}, "below 1"),
        ({"thresholds": {"distance": -1}}, "thresholds.distance"),
        ({"thresholds": {"colums": {}}}, "colums"),
        ({"thresholds": {"distance": True}}, "thresholds.distance is True; it must be a number"),
        ({"thresholds": {"columns": {"a": "0.1"}}}, "thresholds.columns.a is '0.1'; it must be a number"),
        ({"update_steps": 0}, "at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(given: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        monitor_options(given)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (3, 3.0),
        (np.float32(0.5), 0.5),
        ("2026-03-31", "2026-03-31"),
        ("2026-03-31T10:00Z", "2026-03-31T10:00Z"),
        (datetime.date(2026, 3, 31), "2026-03-31"),
        (pd.Timestamp("2026-03-31 10:00"), "2026-03-31T10:00:00"),
        (np.datetime64("2026-03-31"), "2026-03-31"),
        (np.datetime64("2026-03-31T10:00", "ns"), "2026-03-31T10:00:00.000000000"),
        (np.datetime64("2026-03-31", "ns"), "2026-03-31T00:00:00.000000000"),
        (None, None),
    ],
)
def test_times_are_numbers_or_dates(given: Any, kept: Any) -> None:
    assert checked_time(given) == kept


@pytest.mark.parametrize("given", ["yesterday", "", "2026-13-01", float("nan"), float("inf"), True, [1], 10**400])
def test_what_is_no_time_is_refused(given: Any) -> None:
    with pytest.raises(OptionError, match="at is"):
        checked_time(given)


@pytest.mark.parametrize(
    ("given", "last", "words"),
    [
        (1, 1.0, "not later"),
        ("2026-01-01", "2026-01-01T00:00:00", "not later"),
        ("2026-01-01T01:00+02:00", "2026-01-01T00:00+00:00", "not later"),
        ("2026-01-02", 5.0, "all times as numbers"),
        (5, "2026-01-02", "all times as numbers"),
        ("2026-01-02T00:00Z", "2026-01-01", "with a zone"),
    ],
)
def test_times_only_grow_and_are_of_one_kind(given: Any, last: Any, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        checked_time(given, last)
    assert checked_time("2026-01-01T03:00+02:00", "2026-01-01T00:00+00:00") == "2026-01-01T03:00+02:00"
