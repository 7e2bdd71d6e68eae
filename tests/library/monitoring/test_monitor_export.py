"""Updates as CSV and as JSON lines."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from wdist import Monitor, OptionError
from wdist.definitions.monitoring import UpdateFigures

QUICK: Any = {"critic": "affine", "upper": "none"}


@pytest.fixture(scope="module")
def monitor() -> Monitor:
    random = np.random.default_rng(0)

    def table(shift: float) -> pd.DataFrame:
        return pd.DataFrame(random.normal(size=(200, 2)) + shift, columns=["=1+1", "tail, long"])

    monitor = Monitor(table(0), **QUICK)
    for number, name in enumerate(["=HYPERLINK(1)", "+1", "-cmd", "@x", "\tx", " =2", 'plain "quoted"\nname', "-1"]):
        monitor.update(table(2.0 * (number > 5)), at=float(number) - 3, name=name)
    return monitor


def test_csv_has_a_row_for_each_update_with_its_figures(monitor: Monitor) -> None:
    table = list(csv.DictReader(io.StringIO(monitor.export())))
    assert len(table) == len(monitor.history)
    for row, update in zip(table, monitor.history, strict=True):
        assert (int(row["number"]), float(row["at"])) == (update.number, update.at)
        for name in ("value", "lower_bound", "series_lower_bound", "evidence"):
            assert float(row[name]) == getattr(update, name)
        assert int(row["test_rows"]) == update.rows["test"]
        assert row["series_upper_bound"] == ""
        for column in update.columns:
            assert float(row[f"column_lower_bound:{column.name}"]) == column.lower_bound
    assert table[-1]["alarms"] == "distance; evidence"
    assert float(table[0]["at"]) == -3  # a number stays one


def test_no_cell_of_text_is_a_formula(monitor: Monitor) -> None:
    table = list(csv.reader(io.StringIO(monitor.export())))
    names = [row[table[0].index("name")] for row in table[1:]]
    assert names == ["'=HYPERLINK(1)", "'+1", "'-cmd", "'@x", "'\tx", "' =2", 'plain "quoted"\nname', "'-1"]
    for row in table:
        for cell in row:
            is_number = cell.replace(".", "").replace("-", "").replace("e", "").isdigit()
            assert is_number or not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def test_json_lines_hold_all_figures(monitor: Monitor, tmp_path: Path) -> None:
    text = monitor.export(tmp_path / "updates.jsonl")
    assert (tmp_path / "updates.jsonl").read_text() == text
    read = [UpdateFigures.model_validate_json(line) for line in text.splitlines()]
    assert [vars(each) for each in read] == [vars(each) for each in monitor.history]
    assert all(json.loads(line)["meaning"] for line in text.splitlines())


def test_the_ending_says_the_format(monitor: Monitor, tmp_path: Path) -> None:
    assert monitor.export(tmp_path / "updates.csv") == monitor.export(format="csv")
    with pytest.raises(OptionError, match="it must be 'csv' or 'jsonl'"):
        monitor.export(format="xml")  # type: ignore[arg-type]
