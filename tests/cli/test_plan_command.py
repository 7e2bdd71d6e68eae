"""`wdist plan`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from wdist import plan_w1
from wdist.cli.main import main

QUICK = ("--critic", "affine", "--steps", "1")


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """x and y, 1.5 apart, as tables with a column of labels and without."""
    monkeypatch.chdir(tmp_path)
    x, y = np.random.default_rng(1).normal(size=(2, 400, 2))
    y[:, 0] += 1.5
    np.save("x.npy", x)
    np.save("y.npy", y)
    for name, rows in (("x", x), ("y", y)):
        lines = [f"{a},{b},{name}{k // 2}" for k, (a, b) in enumerate(rows.tolist())]
        Path(f"{name}.csv").write_text("\n".join(["a,b,who", *lines]))


def test_the_command_says_what_the_library_says(capsys: pytest.CaptureFixture[str]) -> None:
    expected = plan_w1(np.load("x.npy"), np.load("y.npy"), margin=0.1, ratio=2, critic="affine", steps=1)
    assert main(["plan", "x.npy", "y.npy", "--margin", ".1", "--ratio", "2", *QUICK]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == (f"{expected}\n", "")
    assert main(["plan", "x.npy", "y.npy", "--margin", ".1", "--ratio", "2", *QUICK, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"] == expected.to_dict()["rows"]


@pytest.mark.parametrize(
    ("words", "detect"),
    [(["--detect"], True), (["--detect", "1"], 1.0), (["--detect=0.2"], 0.2)],
)
def test_detect_takes_a_distance_or_none(
    capsys: pytest.CaptureFixture[str], words: list[str], detect: float | bool
) -> None:
    assert main(["plan", "x.npy", "y.npy", *QUICK, "--json", *words]) == 0
    told = json.loads(capsys.readouterr().out)["detect"]
    assert told == detect
    assert isinstance(told, bool) == isinstance(detect, bool)


def test_groups_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "x.csv", "y.csv", "--margin", ".2", "--groups", "who", *QUICK]) == 0
    assert "groups of each set" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give --margin 0.1, or --detect"),
        (["--margin", ".1", "--detect"], "not both"),
        (["--margin", "0"], "margin is 0.0"),
        (["--margin", "9"], "give a smaller margin"),
        (["--detect", "--power", "2"], "power is 2.0"),
        (["--detect", "much"], "much"),
        (["--detect", "--confidence", "2"], "confidence"),
        (["--marign", "1"], "--marign"),
    ],
)
def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert main(["plan", "x.npy", "y.npy", *QUICK, *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err
    assert len(said.err.splitlines()) == 1


def test_a_file_that_is_too_small_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("few.npy", np.zeros((50, 2)))
    assert main(["plan", "x.npy", "few.npy", "--detect", *QUICK]) == 2
    assert "few.npy: 50 rows are too few; at least 100 are needed" in capsys.readouterr().err


def test_help_names_the_choice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--help"]) == 0
    said = capsys.readouterr().out
    for flag in ("--margin", "--detect", "--power", "--ratio", "--groups", "--json", "--confidence"):
        assert flag in said
