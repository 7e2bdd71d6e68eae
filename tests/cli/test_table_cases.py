"""Each file of `table_cases`, named on the command line, becomes what it must."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from table_cases import CASES
from table_files import Case, Cell

from wdist.cli.main import main
from wdist.data.sources.advice import in_flags
from wdist.data.tables.naming import asked

READ = [case for case in CASES if case.error is None]
REFUSED = [case for case in CASES if case.error is not None]


def flags(reading: Mapping[str, Any]) -> Iterator[str]:
    for name, value in reading.items():
        for each in value if isinstance(value, list) else [value]:
            yield from shlex.split(in_flags(asked(name, str(each).lower() if isinstance(each, bool) else str(each))))


def decoded(rows: np.ndarray, recipe: Mapping[str, Any]) -> list[list[Cell]]:
    """Encoded rows as the table means them: a column of 0 and 1 for each level, and one for missing values."""
    names = recipe["encoding"]["names"]
    return [[_cell(row, names, column) for column in recipe["encoding"]["columns"]] for row in rows]


def _cell(row: np.ndarray, names: Sequence[str], column: Mapping[str, Any]) -> Cell:
    name, is_missing = column["name"], f"{column['name']} is missing"
    if is_missing in names and row[names.index(is_missing)] == 1:
        return None
    if column["kind"] == "category":
        (level,) = [each for each in column["levels"] if row[names.index(f"{name}={each}")] == 1]
        return str(level)
    value = float(row[names.index(name)])
    return value == 1 if column["kind"] == "boolean" else value


@pytest.mark.parametrize("case", READ, ids=lambda case: case.name)
def test_a_file_is_written_as_its_rows(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, output = case.build(tmp_path), tmp_path / "rows"
    assert main(["encode", str(path), "-o", str(output), *flags(case.reading)]) == 0, capsys.readouterr().err
    (written,) = output.glob("*.npy")
    rows, recipe = np.load(written), output / "recipe.json"
    assert case.rows is not None
    found = decoded(rows, json.loads(recipe.read_text())) if recipe.exists() else rows.tolist()
    assert found == [list(row) for row in case.rows]
    assert (case.note or "") in capsys.readouterr().err


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_a_refusal_is_one_line_with_the_flags_that_settle_it(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["encode", str(case.build(tmp_path)), "-o", str(tmp_path / "rows"), *flags(case.reading)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("wdist: ")
    assert said.count("\n") == 1
    assert (case.error or "") in said
    for option, value in case.advice:
        assert in_flags(asked(option, value)) in said
