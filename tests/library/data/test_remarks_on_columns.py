"""Columns that name rows, text that is no category, lines that hold nothing, and files that cannot be written."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import wdist
from wdist.cli.main import main
from wdist.data.checks import identifier_warnings
from wdist.data.samples import SampleSet
from wdist.errors import OptionError, SampleError

QUICK: dict[str, Any] = {"critic": "affine", "steps": 2, "baseline_rows": 0, "upper": "none"}
RANDOM = np.random.default_rng(0)


def _set(values: Any, other: Any = None) -> SampleSet:
    second = RANDOM.normal(size=len(values)) if other is None else other
    return wdist.open_samples(pd.DataFrame({"k": values, "price": second}))


@pytest.mark.parametrize(
    ("values", "is_told"),
    [
        (np.arange(1000, 1400), True),
        (RANDOM.permutation(400) + 7000, True),
        (np.delete(np.arange(2000, 2500), [3, 90, 200]), True),
        (RANDOM.integers(0, 600, 400), False),  # some twice
        (np.arange(400) / 10, False),
        (np.arange(400) * 100, False),
        (RANDOM.normal(40, 10, 400).round(), False),
        (np.arange(10), False),
    ],
)
def test_a_column_that_names_rows_is_told(values: Any, is_told: bool) -> None:
    told = identifier_warnings(_set(values), _set(np.arange(5000, 5400)))
    assert bool(told) is is_told
    assert not is_told or "drop=['k']" in told[0]


def test_of_a_column_that_counts_from_1_one_warning_is_enough() -> None:
    frames = [pd.DataFrame({"k": np.arange(1, 101), "price": RANDOM.normal(size=100)}) for _ in range(2)]
    told = [each for each in wdist.estimate_w1(*frames, **QUICK).warnings if "'k'" in each]
    assert len(told) == 2, "of each set, as before"


def test_rows_of_both_sets_are_told_before_anything_else() -> None:
    frame = pd.DataFrame({"k": np.arange(1000, 1400), "price": RANDOM.normal(size=400)})
    told = wdist.estimate_w1(frame, frame, **QUICK).warnings
    assert "the sets are not independent draws" in told[0]
    assert len(told) > 1


@pytest.mark.parametrize(("texts", "option"), [(400, "drop"), (3, "categories")])
def test_text_with_a_value_of_its_own_in_each_row_is_left_out(texts: int, option: str) -> None:
    frame = pd.DataFrame({"notes": [f"note {k % texts}" for k in range(400)], "city": ["a", "b"] * 200})
    with pytest.raises(SampleError) as refused:
        wdist.open_samples(frame)
    together = str(refused.value).split("All at once: ")[1]
    assert f"{option}=['notes']" in together or "categories=['notes', 'city']" in together
    assert ("400 different texts in 400 rows" in str(refused.value)) is (option == "drop")


@pytest.mark.parametrize("line", ["", "   ", " \t "])
@pytest.mark.parametrize("at", [0, 1, 21, 3000])
def test_a_line_of_spaces_is_blank(tmp_path: Path, line: str, at: int) -> None:
    rows = ["a,b", *(f"{k},{k % 7}.5" for k in range(4000))]
    path = tmp_path / "t.csv"
    path.write_text("\n".join([*rows[:at], line, *rows[at:]]) + "\n")
    assert wdist.open_samples(path).n == 4000
    path.write_text("\n".join([*rows[:21], line, *rows[21:], "5"]) + "\n")
    with pytest.raises(SampleError, match=r"line 4003 has 1 cell, the lines before have 2"):
        wdist.open_samples(path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = wdist.estimate_w1(RANDOM.normal(size=(200, 2)), RANDOM.normal(size=(200, 2)), **QUICK)
    path = tmp_path / "nope" / "x"
    for write in (result.save, result.report, result.certificate.save):
        with pytest.raises(OSError, match=r"the folder .*nope is not there") as refused:
            write(path)
        assert "None" not in str(refused.value)
    with pytest.raises(OptionError, match=r"result.plot\(\).savefig\('x.png'\)"):
        result.plot("x.png")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["estimate", "A", "B", "--drop", "city", "born"], "repeat --drop: --drop city --drop born"),
        (["estimate", "A", "B", "C"], "estimate takes two sets; for three: wdist matrix A B C"),
        (["estimate", "A", "B", "--fail-above", "-1"], "a distance is never below 0"),
        (["monitor", "create", "m", "--threshold", "0.3"], "did you mean --alarm-above?"),
        (["monitor", "create", "m", "--thresholds", "0.3"], "did you mean --alarm-above?"),
    ],
)
def test_wrong_usage_is_told_what_to_give(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_a_wrong_by_is_told_before_text_in_other_columns() -> None:
    frame = pd.DataFrame({"price": RANDOM.normal(size=400), "notes": ["x", "y"] * 200, "size": 1.5})
    with pytest.raises(OptionError, match="'price' has 400 levels"):
        wdist.matrix_w1(frame, by="price")
