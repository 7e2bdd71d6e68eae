"""The assertions of wdist.testing, what pytest prints where they fail, and frames of the real pandas and polars."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from wdist import estimate_w1
from wdist.errors import OptionError, SampleError
from wdist.testing import DistributionError, assert_close, assert_differ, assert_same_distribution

QUICK = {"critic": "affine", "steps": 1, "baseline_rows": 0}


def normal(seed: int, shift: float = 0.0, count: int = 1000) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, 3))
    rows[:, 0] += shift
    return rows.astype(np.float32)


def test_equal_populations_pass_and_the_result_is_returned() -> None:
    result = assert_same_distribution(normal(1), normal(2), **QUICK)
    assert result.lower_bound == 0
    assert result.confidence == 0.99


def test_a_shift_fails_in_words() -> None:
    with pytest.raises(AssertionError, match=r"(?s)week 12.*different populations.*They differ \(p.*p_value") as failed:
        assert_same_distribution(normal(1), normal(2, shift=1.0), message="week 12", **QUICK)
    assert isinstance(failed.value, DistributionError)
    assert failed.value.result.lower_bound > 0


def test_a_tolerance_above_the_truth_passes() -> None:
    # W1 of the shift is 1: the bound exceeds 1 in at most 1 % of runs, and it is far above 0.1.
    assert assert_same_distribution(normal(1), normal(2, shift=1.0), tolerance=1.0, **QUICK).lower_bound > 0.1
    with pytest.raises(AssertionError, match=r"tolerance of 0\.1"):
        assert_same_distribution(normal(1), normal(2, shift=1.0), tolerance=0.1, **QUICK)


@pytest.mark.parametrize("tolerance", [-1.0, float("nan"), float("inf")])
def test_a_tolerance_is_a_distance(tolerance: float) -> None:
    with pytest.raises(OptionError, match="tolerance"):
        assert_same_distribution(normal(1), normal(2), tolerance=tolerance, **QUICK)


@pytest.mark.parametrize("assertion", ["assert_same_distribution", "assert_close", "assert_differ"])
def test_each_claim_in_all_three_cases(assertion: str) -> None:
    """The populations are 3 apart, and the interval is around it: claims below, within and above it."""
    x, y = normal(1, count=400), normal(2, shift=3.0, count=400)
    claims = {
        "assert_same_distribution": lambda w: assert_same_distribution(x, y, tolerance=w, **QUICK),
        "assert_close": lambda w: assert_close(x, y, at_most=w, **QUICK),
        "assert_differ": lambda w: assert_differ(x, y, at_least=w, **QUICK),
    }
    passes = []
    for distance in (1, 3, 9):
        try:
            result = claims[assertion](distance)
        except DistributionError as failed:
            result = failed.result
            passes.append(False)
        else:
            passes.append(True)
        assert result.upper_bound is not None
        assert 1 < result.lower_bound < 3 < result.upper_bound < 9
    expected = {
        "assert_same_distribution": [False, True, True],
        "assert_close": [False, False, True],
        "assert_differ": [True, False, False],
    }
    assert passes == expected[assertion]


def test_equal_populations_are_not_shown_to_differ_nor_to_be_very_close() -> None:
    x, y = normal(1, count=400), normal(2, count=400)
    with pytest.raises(DistributionError, match="no difference is shown"):
        assert_differ(x, y, **QUICK)
    with pytest.raises(DistributionError, match=r"not shown that W1 is at most 0\.01.*\n\n.*\n(?s:.)*more rows"):
        assert_close(x, y, at_most=0.01, **QUICK)
    with pytest.raises(OptionError, match="assert_close needs an upper bound"):
        assert_close(x, y, at_most=1, upper="none", **QUICK)
    with pytest.raises(OptionError, match="at_most is 0; it must be a distance, above 0"):
        assert_close(x, y, at_most=0, **QUICK)


@pytest.mark.parametrize("critic", ["groupsort", "auto"])
def test_the_call_in_the_message_repeats_the_estimate(critic: str, tmp_path: Path) -> None:
    x, y = normal(1, count=400), normal(2, shift=3.0, count=400)
    report = tmp_path / "drift.html"
    with pytest.raises(DistributionError) as failed:
        assert_same_distribution(x, y, critic=critic, max_seconds=0.3, baseline_rows=0, seed=7, report=report)
    text = str(failed.value)
    assert report.read_text().startswith("<!")
    assert f"A report with pictures is in {report}." in text
    (call,) = (line.split(maxsplit=2)[2] for line in text.splitlines() if line.startswith("  repeat it"))
    assert "seed=7" in call
    again = eval(call, {"estimate_w1": estimate_w1, "x": x, "y": y})
    assert (again.value, again.lower_bound) == (failed.value.result.value, failed.value.result.lower_bound)


def test_the_call_in_the_message_can_be_copied(tmp_path: Path) -> None:
    for name, shift in (("old", 0.0), ("new", 3.0)):
        rows = pd.DataFrame(normal(int(shift), shift=shift, count=400)[:, :2], columns=["a", "b"])
        rows.assign(city="x", born="y").to_csv(tmp_path / f"{name}.csv", index=False)
    with pytest.raises(DistributionError) as failed:
        assert_same_distribution(
            str(tmp_path / "old.csv"), tmp_path / "new.csv", drop=["city", "born"], scale=np.array([1.0, 2.0]), **QUICK
        )
    (call,) = (line.split(maxsplit=2)[2] for line in str(failed.value).splitlines() if line.startswith("  repeat it"))
    assert f"estimate_w1({str(tmp_path / 'old.csv')!r}, {str(tmp_path / 'new.csv')!r}, drop=['city', 'born']" in call
    again = eval(call, {"estimate_w1": estimate_w1})
    assert again.lower_bound == failed.value.result.lower_bound
    x, y = normal(1, count=400), normal(2, shift=3.0, count=400)
    labels = list(range(400)), list(range(400, 800))
    with pytest.raises(DistributionError, match=r"repeat it +estimate_w1\(x, y, .*, groups=\.\.\.\)"):
        assert_same_distribution(x, y, groups=labels, **QUICK)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("tolerence", "tolerance"), ("at_last", "at_least"), ("confidense", "confidence"), ("stesp", "steps")],
)
def test_an_option_that_is_nearly_one_is_told_it(wrong: str, meant: str) -> None:
    for assertion in (assert_same_distribution, assert_differ):
        with pytest.raises(OptionError, match=f"there is no {wrong!r} here; did you mean {meant!r}"):
            assertion(normal(0), normal(1), **{wrong: 1})


def test_what_pytest_prints(tmp_path: Path) -> None:
    (tmp_path / "test_gate.py").write_text(
        "import numpy as np\n"
        "from wdist.testing import assert_same_distribution\n"
        "QUICK = {'critic': 'affine', 'steps': 1, 'baseline_rows': 0}\n"
        "def rows(shift):\n"
        "    drawn = np.random.default_rng(int(shift)).normal(size=(600, 3))\n"
        "    drawn[:, 1] += shift\n"
        "    return drawn\n"
        "def test_shift():\n    assert_same_distribution(rows(0), rows(1), **QUICK)\n"
        "def test_text():\n    assert_same_distribution(rows(0), [['a', 'b', 'c']] * 600, **QUICK)\n"
        "def test_option():\n    assert_same_distribution(rows(0), rows(1), tolerance=-1)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no", "test_gate.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    shift, text, option = done.stdout.split("\n____")[1:]
    assert "wdist/" not in done.stdout.split("short test summary")[0]  # no frame of wdist
    assert "They differ (p" in shift
    assert "600 and 600, of which 240 and 240 were held out" in shift
    assert "column       1: W1 of it alone" in shift
    assert "seed=0" in shift
    assert len(shift.splitlines()) < 45
    assert "SampleError" in text
    assert len(text.splitlines()) < 15
    assert "tolerance is -1; it must be a distance" in option
    assert len(option.split("short test summary")[0].splitlines()) < 15


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames_are_their_values(frame: type) -> None:
    x, y = normal(1), normal(2, shift=1.0)
    columns = ["carat", "depth", "price"]
    plain = estimate_w1(x, y, **QUICK)
    framed = estimate_w1(
        frame(dict(zip(columns, x.T, strict=True))), frame(dict(zip(columns, y.T, strict=True))), **QUICK
    )
    assert (framed.value, framed.lower_bound) == (plain.value, plain.lower_bound)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_a_column_of_words_is_named(frame: type) -> None:
    words = frame({"carat": [0.5] * 200, "cut": ["Ideal"] * 200})
    with pytest.raises(SampleError, match="column 'cut' holds text: declare it with categories"):
        estimate_w1(words, words, **QUICK)
