"""`wdist monitor`."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from wdist import Monitor
from wdist.cli.main import main

QUICK = ("--critic", "affine", "--upper", "none")


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for name, shift in (("reference", 0.0), ("same", 0.0), ("moved", 2.0), ("next", 2.0), ("after", 2.0)):
        values = random.normal(size=(200, 2)) + shift
        text = "\n".join(["price,weight", *(f"{a},{b}" for a, b in values.tolist())])
        Path(f"{name}.csv").write_text(text + "\n")


def wdist(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["monitor", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_week_after_another_until_an_alarm(capsys: pytest.CaptureFixture[str]) -> None:
    code, said, errors = wdist(capsys, "create", "m", "reference.csv", *QUICK, "--alarm-above", "0.5")
    assert (code, errors) == (0, "")
    assert said == f"{Monitor.open('m')}\n"
    code, said, errors = wdist(capsys, "update", "m", "same.csv", "--at", "2026-01-05")
    assert (code, errors) == (0, "")
    assert said == f"{Monitor.open('m').history[0]}\n"
    code, said, _ = wdist(capsys, "update", "m", "moved.csv", "--at", "2026-01-12", "--json")
    assert code == 3
    assert json.loads(said) == Monitor.open("m").history[1].to_dict()
    code, said, errors = wdist(capsys, "show", "m")
    assert (code, errors) == (3, "")
    assert "ALARM: the distance is at least" in said
    code, said, errors = wdist(capsys, "show", "m", "--json")
    assert (code, json.loads(said)) == (3, Monitor.open("m").to_dict())
    assert "wdist: ALARM: the distance is at least" in errors


def test_a_repeated_batch_is_refused_or_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    wdist(capsys, "create", "m", "reference.csv", *QUICK)
    assert wdist(capsys, "update", "m", "same.csv", "--at", "7", "--quiet") == (0, "", "")
    code, said, errors = wdist(capsys, "update", "m", "same.csv", "--at", "7")
    assert (code, said) == (2, "")
    assert "same.csv holds the rows of update 1" in errors
    code, said, errors = wdist(capsys, "update", "m", "same.csv", "--at", "7", "--if-new")
    assert (code, said) == (0, "")
    assert "same.csv holds the rows of update 1" in errors
    assert wdist(capsys, "update", "m", "same.csv", "--at", "7", "--if-new", "--quiet") == (0, "", "")
    code, said, errors = wdist(capsys, "update", "m", "moved.csv", "--quiet")
    assert (code, said) == (3, "")
    assert errors.startswith("wdist: ALARM: ")
    assert wdist(capsys, "update", "m", "moved.csv", "--quiet", "--if-new")[0] == 3  # while it is on


def test_thresholds_are_printed_set_and_reset(capsys: pytest.CaptureFixture[str]) -> None:
    wdist(capsys, "create", "m", "reference.csv", *QUICK)
    wdist(capsys, "update", "m", "moved.csv")
    default = {"distance": None, "columns": {}}
    code, said, errors = wdist(capsys, "thresholds", "m")
    assert (code, json.loads(said)) == (3, default)
    code, said, errors = wdist(capsys, "thresholds", "m", "--alarm-above", "9", "--column-above", "price=8")
    assert json.loads(said) == {"distance": 9.0, "columns": {"price": 8.0}}
    assert "the evidence of the series has reached its limit" in errors
    assert "the distance" not in errors
    assert json.loads(wdist(capsys, "thresholds", "m", "--reset")[1]) == default
    for wrong, words in (
        (["--column-above", "price"], "--column-above takes NAME=W"),
        (["--column-above", "size=1"], "no column 'size'"),
        (["--column-above", "price=x"], "must be a number"),
        (["--alarm-above", "-1"], "at least 0"),
        (["--alarm-above", "1", "--reset"], "not both"),
    ):
        code, said, errors = wdist(capsys, "thresholds", "m", *wrong)
        assert (code, said) == (2, "")
        assert words in errors


def test_an_epoch_keeps_the_options_that_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    wdist(capsys, "create", "m", "reference.csv", *QUICK, "--column-above", "price=0.1", "--scale", "2,1")
    assert wdist(capsys, "update", "m", "moved.csv")[0] == 3
    code, _, errors = wdist(capsys, "epoch", "m", "next.csv", "--tolerance", "0.2")
    assert (code, errors) == (0, "")
    figures = Monitor.open("m").figures
    assert (figures.epoch, figures.tolerance, figures.thresholds.columns) == (2, 0.2, {"price": 0.1})
    assert (figures.options["critic"], figures.options["scale"]) == ("affine", [2, 1])
    assert wdist(capsys, "update", "m", "after.csv")[0] == 0
    assert wdist(capsys, "epoch", "m", "next.csv")[0] == 2


def test_export_prints_or_writes(capsys: pytest.CaptureFixture[str]) -> None:
    wdist(capsys, "create", "m", "reference.csv", *QUICK)
    wdist(capsys, "update", "m", "moved.csv")
    monitor = Monitor.open("m")
    assert wdist(capsys, "export", "m") == (0, monitor.export(format="csv"), "")
    assert wdist(capsys, "export", "m", "--format", "jsonl") == (0, monitor.export(format="jsonl"), "")
    assert wdist(capsys, "export", "m", "-o", "all.jsonl") == (0, "", "")
    assert Path("all.jsonl").read_text() == monitor.export(format="jsonl")
    code, _, errors = wdist(capsys, "export", "m", "-o", "no/where.csv")
    assert code == 2
    assert errors == "wdist: no/where.csv cannot be written: the folder no is not there; name another file\n"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda rows: rows.rename(columns={rows.columns[0]: "prize"}),
            "lacks 'price', and has 'prize': give it the columns price, weight",
        ),
        (lambda rows: rows.iloc[:, ::-1], "put them into the order"),
        (
            lambda rows: pd.concat([rows, pd.DataFrame({"price": ["?"], "weight": ["?"]})]),
            "Batches are read as the reference was",
        ),
        (
            lambda rows: pd.DataFrame({"shop": ["Kiel"] * len(rows), "opened": ["01.02.2026"] * len(rows)}),
            "it lacks 'price', 'weight', and has 'shop', 'opened': give it the columns",
        ),
    ],
)
def test_a_batch_is_refused_with_what_can_be_done(
    capsys: pytest.CaptureFixture[str], change: Callable[[pd.DataFrame], pd.DataFrame], words: str
) -> None:
    wdist(capsys, "create", "m", "reference.csv", *QUICK)
    change(pd.read_csv("same.csv")).to_csv("batch.csv", index=False)
    code, said, errors = wdist(capsys, "update", "m", "batch.csv")
    assert (code, said) == (2, "")
    assert words in errors
    assert "both" not in errors  # the reference stays as it is
    assert Monitor.open("m").history == []


def test_what_is_said_names_the_command_that_does_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Words of Python are for Python, and options that an update does not take are for another monitor."""
    wdist(capsys, "create", "my shop", "reference.csv", *QUICK)
    for batch in ("moved", "next", "after"):
        code, _, errors = wdist(capsys, "update", "my shop", f"{batch}.csv", "--json")
    assert code == 3
    begin = "begin a new epoch with `wdist monitor epoch 'my shop' REFERENCE`"
    assert f"the alarm stays on until rows of today that were in no batch are the reference; then {begin}" in errors
    assert begin in wdist(capsys, "show", "my shop")[1]
    for change, option in (({"price": ["?"]}, "--categories price"), ({"price": [None]}, "--missing drop")):
        rows = pd.read_csv("same.csv")
        pd.concat([rows, pd.DataFrame({"weight": [1.0], **change})]).to_csv("batch.csv", index=False)
        code, _, errors = wdist(capsys, "update", "my shop", "batch.csv")
        wrong, _, advice = errors.partition(". Batches are read as the reference was: ")
        assert "--" not in wrong
        assert advice == (f"mend this one, or create the monitor anew, its reference and batches read with {option}\n")
    for option in ("--groups", "--split", "--ranges"):
        code, _, errors = wdist(capsys, "create", "another", "reference.csv", option, "price")
        assert code == 2
        assert f"{option} is no option of a monitor: " in errors


def test_standard_input_is_a_batch(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    wdist(capsys, "create", "m", "reference.csv", *QUICK)
    content = io.BytesIO(Path("same.csv").read_bytes())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=content, isatty=lambda: False))
    assert wdist(capsys, "update", "m", "-", "--name", "Monday", "--quiet") == (0, "", "")
    assert Monitor.open("m").history[0].name == "Monday"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "nowhere"], "nowhere holds no monitor"),
        (["update", "nowhere", "same.csv"], "nowhere holds no monitor"),
        (["create", ".", "reference.csv"], "holds other files"),
        (["create", "new", "missing.csv"], "missing.csv"),
        (["create", "new", "reference.csv", "--confidence", "2"], "confidence"),
        (["create", "new", "reference.csv", "--drop", "size"], "size"),
        (["create", "new"], "REFERENCE"),
        (["create", "new", "reference.csv", "--alarm-above", "-1"], "--alarm-above is -1"),
        (["create", "new", "reference.csv", "--column-above", "price=x"], "--column-above price is 'x'"),
        (
            ["create", "new", "reference.csv", "--max-seconds", "2"],
            "of a monitor: give --update-steps",
        ),
        ([], "say which command: "),
        (["updat"], "did you mean update?"),
    ],
)
def test_what_is_refused_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    code, said, errors = wdist(capsys, *arguments)
    assert (code, said) == (2, "")
    assert errors.count("\n") == 1
    assert words in errors
    assert not Path("new").exists()


def test_showing_a_monitor_does_not_wait_for_torch(capsys: pytest.CaptureFixture[str]) -> None:
    wdist(capsys, "create", "m", "reference.csv", *QUICK)
    wdist(capsys, "update", "m", "same.csv")
    text = "import sys; from wdist.cli.main import main; main(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    for arguments in (["show", "m"], ["export", "m"], ["thresholds", "m"]):
        command = [sys.executable, "-c", text, "monitor", *arguments]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0
