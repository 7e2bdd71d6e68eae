"""`wdist remote monitor` on a real server: what is printed where, and exit statuses for cron and CI."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from server_process import ServerProcess

from wdist_client import Client, UpdateFailed
from wdist_client.command import main
from wdist_client.command.monitor import MonitorOptions
from wdist_client.contract import MonitorOptions as Contract
from wdist_client.models import MonitorUpdate

pytestmark = pytest.mark.timeout(240)
QUICK = ("--critic", "affine")


@pytest.fixture(autouse=True)
def at_the_server(server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WDIST_BASE_URL", server.url)
    monkeypatch.chdir(tmp_path)
    for name, seed, n, shift in (("reference", 0, 800, 0), ("quiet", 1, 300, 0), ("drifted", 2, 300, 1)):
        frame = pd.DataFrame(np.random.default_rng(seed).normal(size=(n, 2)) + shift, columns=["a", "b"])
        frame.assign(kind="x").to_csv(f"{name}.csv", index=False)


class Ran:
    """One command: what it printed, and its exit status."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        self.status = main(arguments)
        self.out, self.err = capsys.readouterr()


def created(capsys: pytest.CaptureFixture[str], *more: str) -> str:
    made = Ran(capsys, "monitor", "create", "reference.csv", "--drop", "kind", *QUICK, *more)
    assert made.status == 0, made.err
    return made.out.strip()


def test_a_week_after_another_and_the_exit_status_of_an_alarm(capsys: pytest.CaptureFixture[str]) -> None:
    name = created(capsys, "--name", "orders", "--metadata", "night=1")
    assert re.fullmatch(r"mon_\w+", name)
    quiet = Ran(capsys, "monitor", "update", name, "quiet.csv", "--at", "2026-01-05")
    assert (quiet.status, quiet.err) == (0, "")
    assert "columns that differ most" in quiet.out
    drifted = Ran(capsys, "monitor", "update", name, "drifted.csv", "--at", "2026-01-12", "--json")
    assert drifted.status == 3
    figures = json.loads(drifted.out)
    assert (figures["number"], figures["at"], figures["name"]) == (2, "2026-01-12", "drifted.csv")
    assert 0 < figures["series_lower_bound"] <= np.sqrt(2)
    assert "ALARM: the distance is at least" in drifted.err
    shown = Ran(capsys, "monitor", "show", name)
    assert shown.status == 3
    assert "orders: 2 updates" in shown.out
    assert shown.out.count("2026-01-") >= 2
    assert (shown.err, json.loads(Ran(capsys, "monitor", "show", name, "--json").out)["id"]) == ("", name)
    listed = Ran(capsys, "monitor", "list", "--metadata", "night=1", "--alarm")
    assert listed.status == 0
    assert re.search(rf"{name} +orders +ALARM +2 updates +W1 >= ", listed.out)
    updates = Ran(capsys, "monitor", "updates", name).out.splitlines()
    assert [re.search(r"succeeded +(\S+)", line)[1] for line in updates] == ["2026-01-12", "2026-01-05"]


def test_a_batch_that_was_seen_is_refused_or_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    name = created(capsys)
    assert Ran(capsys, "monitor", "update", name, "quiet.csv", "--quiet").out == ""
    again = Ran(capsys, "monitor", "update", name, "quiet.csv")
    assert (again.status, len(again.err.splitlines())) == (2, 1)
    assert "mu_" in again.err
    assert Ran(capsys, "monitor", "update", name, "quiet.csv", "--if-new").status == 0
    pd.read_csv("quiet.csv").iloc[::-1].to_csv("reversed.csv", index=False)
    assert Ran(capsys, "monitor", "update", name, "reversed.csv").status == 2
    assert Ran(capsys, "monitor", "update", name, "reversed.csv", "--if-new").status == 0
    reference = Ran(capsys, "monitor", "update", name, "reference.csv", "--if-new")
    assert reference.status == 2  # it is no batch at all
    assert Ran(capsys, "monitor", "update", name, "drifted.csv", "--quiet").status == 3
    silent = Ran(capsys, "monitor", "update", name, "quiet.csv", "--if-new", "--quiet")
    assert (silent.status, silent.out) == (3, "")
    assert silent.err.startswith("ALARM: ")


def test_thresholds_are_printed_changed_and_reset(capsys: pytest.CaptureFixture[str]) -> None:
    name = created(capsys, "--alarm-above", "0.05", "--column-above", "a=0.1")
    assert json.loads(Ran(capsys, "monitor", "thresholds", name).out) == {"distance": 0.05, "columns": {"a": 0.1}}
    Ran(capsys, "monitor", "update", name, "drifted.csv")
    changed = Ran(capsys, "monitor", "thresholds", name, "--alarm-above", "50", "--column-above", "b=0.01")
    assert changed.status == 3
    assert "ALARM: the distance of column b is at least" in changed.err
    assert json.loads(Ran(capsys, "monitor", "thresholds", name, "--reset").out) == {"distance": None, "columns": {}}
    for wrong in (
        ("--column-above", "0.1"),
        ("--column-above", "a=x"),
        ("--alarm-above", "-1"),
        ("--alarm-above", "nan"),
    ):
        refused = Ran(capsys, "monitor", "thresholds", name, *wrong)
        assert (refused.status, len(refused.err.splitlines())) == (2, 1)


def test_pause_resume_epoch_export_and_delete(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    name = created(capsys)
    assert Ran(capsys, "monitor", "pause", name).out == f"{name} is paused\n"
    assert Ran(capsys, "monitor", "update", name, "quiet.csv").status == 2
    assert Ran(capsys, "monitor", "resume", name).out == f"{name} is active\n"
    assert Ran(capsys, "monitor", "update", name, "drifted.csv").status == 3
    waiting = Ran(capsys, "monitor", "update", name, "quiet.csv", "--no-wait").out.strip()
    with Client() as client:
        client.monitors.get(name).get_update(waiting).wait()
    assert "is succeeded" in Ran(capsys, "monitor", "cancel", name, waiting).out  # it had ended
    new = pd.DataFrame(np.random.default_rng(9).normal(size=(800, 2)) + 1, columns=["a", "b"]).assign(kind="y")
    new.to_csv("new.csv", index=False)
    begun = Ran(capsys, "monitor", "epoch", name, "new.csv", "--tolerance", "0.2")
    assert begun.status == 0
    assert "epoch 2" in begun.out
    assert Ran(capsys, "monitor", "export", name).out.count("\n") == 3
    assert Ran(capsys, "monitor", "export", name, "-o", "all.jsonl").out == ""
    assert [json.loads(line)["number"] for line in (tmp_path / "all.jsonl").read_text().splitlines()] == [1, 2]
    assert Ran(capsys, "monitor", "delete", name).err == f"{name} is deleted\n"
    assert Ran(capsys, "monitor", "show", name).status == 2


def test_every_option_of_the_contract_has_a_flag() -> None:
    flags = MonitorOptions.__dataclass_fields__.keys() - {"metadata"}
    assert flags == Contract.__annotations__.keys()


def test_a_failed_update_says_that_the_series_is_unchanged() -> None:
    record = MonitorUpdate.model_validate(
        {"id": "mu_1", "monitor": "mon_1", "status": "failed", "error": {"type": "SampleError", "message": "too few."}}
    )
    assert str(UpdateFailed(record)) == "update mu_1 failed: too few; the monitor's series is as it was before"
