"""What a monitor says to do is said in the words of the surface where it is read."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from server_process import ServerProcess

from wdist_client import Client, WdistError
from wdist_client.command import main

QUICK = {"critic": "affine", "upper": "none"}


def rows(seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (200, 2))


def test_python_is_told_calls(client: Client) -> None:
    monitor = client.monitors.create(rows(0), **QUICK)
    assert "no alarm is on" in str(monitor.update(rows(1)))
    monitor.pause()
    with pytest.raises(WdistError, match=r"is paused: resume it with monitor\.resume\(\), then"):
        monitor.update(rows(2, 2.0))
    monitor.resume()
    for seed in (2, 3, 4):
        update = monitor.update(rows(seed, 2.0))
    said = str(update)
    assert "warning: the monitor was paused in this epoch" in said
    assert said.count("begin a new epoch with monitor.new_epoch(reference)") == 2  # of the pause, and of the alarm
    assert "gathered over all updates of this epoch" in said
    monitor.new_epoch(rows(5, 2.0))
    assert monitor.alarms == []


@pytest.mark.parametrize("option", ["groups", "split", "statements"])
def test_options_of_estimates_are_refused_with_what_to_do_instead(client: Client, option: str) -> None:
    given = {"groups": "shop", "split": "blocks", "statements": 2}[option]
    with pytest.raises(WdistError, match=f"{option} is no option of a monitor: its "):
        client.monitors.create(rows(0), **QUICK, **{option: given})


def test_the_command_line_is_told_commands(
    server: ServerProcess, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WDIST_BASE_URL", raising=False)
    with Client(server.url) as client:
        monitor = client.monitors.create(rows(10), **QUICK)
        for seed in (12, 13, 14):
            monitor.update(rows(seed, 2.0))
    assert main(["--url", server.url, "monitor", "show", monitor.id]) == 3
    command = f"`wdist-remote --url {server.url} monitor epoch MONITOR REFERENCE`"
    assert f"then begin a new epoch with {command}" in capsys.readouterr().out
    assert main(["--url", server.url, "monitor", "pause", monitor.id]) == 0
    np.save("batch.npy", rows(15))
    assert main(["--url", server.url, "monitor", "update", monitor.id, "batch.npy"]) == 2
    assert re.search(r"resume it with `wdist-remote --url \S+ monitor resume MONITOR`, then", capsys.readouterr().err)
