"""Tables whose columns differ: the message names both, and what it advises works as it stands."""

from __future__ import annotations

import ast
import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from wdist import SampleError, estimate_w1, matrix_w1
from wdist.cli.main import main
from wdist.data.columns import check_names

QUICK: dict[str, Any] = {"critic": "affine", "steps": 5, "baseline_rows": 0}
FLAGS = ["--critic", "affine", "--steps", "5", "--baseline-rows", "0"]


@pytest.fixture
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    generator = np.random.default_rng(0)
    names = ["height", "o'clock", "net price"]
    return tuple(pd.DataFrame(generator.normal(k, 1, (200, 3)), columns=names) for k in range(2))  # type: ignore[return-value]


def other_columns(table: pd.DataFrame, how: str) -> pd.DataFrame:
    return table[table.columns[::-1]] if how == "another order" else table.rename(columns={"height": "width"})


@pytest.mark.parametrize("how", ["another order", "different columns"])
@pytest.mark.parametrize("ending", ["frame", "csv", "parquet"])
def test_the_advice_compares_the_same_columns(
    how: str, ending: str, tables: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    x, y = tables
    shared = [name for name in x.columns if name in other_columns(y, how).columns]
    given: list[Any] = [x, other_columns(y, how)]
    if ending != "frame":
        given = [tmp_path / f"{name}.{ending}" for name in "xy"]
        for table, path in zip((x, other_columns(y, how)), given, strict=True):
            getattr(table, f"to_{ending}")(path, index=False)
    with pytest.raises(SampleError, match=how) as error:
        estimate_w1(*given, **QUICK)
    found = re.search(r"columns=(\[.*?\])", str(error.value))
    assert found, str(error.value)
    result = estimate_w1(*given, columns=ast.literal_eval(found[1]), **QUICK)
    assert result.value == pytest.approx(estimate_w1(x[shared], y[shared], **QUICK).value, rel=1e-12)
    with pytest.raises(SampleError, match=how) as error:
        matrix_w1({"June": given[0], "July": given[1]}, **QUICK)
    assert "June" in str(error.value)
    assert "July" in str(error.value)


@pytest.mark.parametrize("how", ["another order", "different columns"])
def test_the_advice_of_the_command_works(
    how: str, tables: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    x, y = tables
    x.to_csv("june.csv", index=False)
    other_columns(y, how).to_csv("july.csv", index=False)
    for command in ("estimate", "matrix"):
        assert main([command, "june.csv", "july.csv", *FLAGS]) == 2
        said = capsys.readouterr().err
        assert "june.csv" in said
        assert "july.csv" in said
        flags = re.search(r"read both with (--columns .*?)( to compare.*)?$", said, flags=re.MULTILINE)
        assert flags, said
        assert main([command, "june.csv", "july.csv", *shlex.split(flags[1]), "--json", *FLAGS]) == 0
        assert json.loads(capsys.readouterr().out)


def test_parts_of_lists_and_very_long_lists_are_not_written_out_as_an_option() -> None:
    for names in (["a", "e[0]", "e[1]"], [f"a rather long name of column {k}" for k in range(100)]):
        with pytest.raises(SampleError, match=r"columns=\[\.\.\.\], in the order") as error:
            check_names(names, names[::-1])
        assert len(str(error.value)) < 1500
    with pytest.raises(SampleError, match="give both a, b, in that order"):
        check_names(["a", "b"], ["c", "d"])
