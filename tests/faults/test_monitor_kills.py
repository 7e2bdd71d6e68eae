"""A monitor's folder is as before a change or as after it, wherever a kill or a power cut ends the change."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from monitor_steps import QUICK, go_on, killed, rows, told, update
from stepping_clock import Clock
from synced_disk import SyncedDisk

from wdist import Monitor
from wdist.monitoring.folder import COMMIT

TEXT = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from monitor_steps import QUICK, rows
from wdist import Monitor
notes = Path(sys.argv[3]) / "events"
def tell():
    print(len(notes.read_text().splitlines()), flush=True)
monitor = Monitor(rows(1), folder=sys.argv[2], **QUICK)
tell()
for number in range(2):
    monitor.update(rows(100 + number))
    tell()
"""


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Makes processes that have torch from their start."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["wdist.monitoring.update", "wdist.monitoring.monitor"])
    return context


def ended(context: ForkServerContext, work: Callable[..., None], *arguments: Any) -> int | None:
    process = context.Process(target=work, args=arguments)
    process.start()
    process.join()
    return process.exitcode


def test_a_kill_at_any_write_of_an_update_leaves_before_or_after(processes: ForkServerContext, tmp_path: Path) -> None:
    folder = tmp_path / "monitor"
    monitor = Monitor(rows(1), folder=folder, **QUICK)
    monitor.update(rows(99))
    before = told(folder)
    whole = Monitor(rows(1), name="monitor", **QUICK)
    whole.update(rows(99))
    whole.update(rows(100))
    seen = set()
    for at in count(1):
        code = ended(processes, killed, str(folder), at, update, 0)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        seen.add(found := Monitor.open(folder).figures.updates)
        if found == 2:  # the commit was on the disk: what was left is cleared by the next change
            break
        assert told(folder) == before
    else:
        raise AssertionError
    assert at > 5
    figures = [update.to_dict() | {"seconds": 0} for update in Monitor.open(folder).history]
    assert figures == [update.to_dict() | {"seconds": 0} for update in whole.history]
    Monitor.open(folder).update(rows(3))
    assert sorted(path.name.split("-")[0] for path in folder.iterdir()) == [
        "history.jsonl", "lock", "monitor.json", "reference", "state",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_kill_at_any_write_of_a_monitors_life_changes_nothing_that_it_says(
    processes: ForkServerContext, tmp_path: Path
) -> None:
    go_on(str(tmp_path / "whole"))
    expected = told(tmp_path / "whole")
    for at in count(1):
        folder = tmp_path / str(at)
        code = ended(processes, killed, str(folder), at, go_on)
        assert code in (0, -signal.SIGKILL)
        if code == 0:
            break
        assert ended(processes, go_on, str(folder)) == 0
        assert told(folder) == expected
    assert at > 30


@pytest.mark.slow
def test_kills_at_random_moments_change_nothing_that_a_monitor_says(
    processes: ForkServerContext, tmp_path: Path
) -> None:
    go_on(str(tmp_path / "whole"))
    chance, folder = random.Random(5), tmp_path / "killed"
    kills = 0
    for _ in range(200):
        process = processes.Process(target=go_on, args=(str(folder),))
        process.start()
        time.sleep(chance.uniform(0.02, 0.4))
        kill(process)
        if process.exitcode == 0:
            break
        kills += 1
    assert kills > 3
    assert ended(processes, go_on, str(folder)) == 0
    assert told(folder) == told(tmp_path / "whole")


def kill(process: BaseProcess) -> None:
    process.kill()
    process.join()


def test_two_processes_that_update_at_once_wait_for_each_other(processes: ForkServerContext, tmp_path: Path) -> None:
    folder = tmp_path / "monitor"
    Monitor(rows(1), folder=folder, **QUICK)
    both = [processes.Process(target=update, args=(str(folder), number)) for number in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    history = Monitor.open(folder).history
    assert [each.number for each in history] == [1, 2]
    assert len({each.sha256 for each in history}) == 2


def test_a_power_cut_at_any_moment_loses_no_update_that_was_answered(tmp_path: Path) -> None:
    disk = SyncedDisk(tmp_path)
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", TEXT, here, str(disk.path / "monitor"), str(tmp_path / "notes")]
    environment = {**os.environ, **{name: value or "" for name, value in disk.environment.items()}}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    answered = [int(line) for line in done.stdout.split()]
    assert len(answered) == 3
    for number in range(1, len(disk.events()) + 1):
        for names in ("late", "early"):
            folder = disk.after_cut(number, names, tmp_path / "cut") / "monitor"
            least = sum(number >= event for event in answered)
            if (folder / COMMIT).exists():
                monitor = Monitor.open(folder)
            else:
                assert least == 0
                monitor = Monitor(rows(1), folder=folder, **QUICK)
            assert least - 1 <= len(monitor.history) <= 2
            if number in answered:  # goes on from there
                monitor.update(rows(7))


@pytest.mark.slow
def test_steps_of_the_clock_change_nothing(tmp_path: Path) -> None:
    clock, folder = Clock(tmp_path), tmp_path / "monitor"
    Monitor(rows(1), folder=folder, **QUICK)
    environment = {**os.environ, **{name: value or "" for name, value in clock.environment.items()}}
    text = "import sys; sys.path.insert(0, sys.argv[1]); import monitor_steps as m; m.update(*sys.argv[2:])"
    for number, seconds in (("0", -3600), ("1", 7200)):
        command = [sys.executable, "-c", text, str(Path(__file__).parent), str(folder), number]
        with subprocess.Popen(command, env=environment) as process:
            time.sleep(0.5)
            clock.step(seconds)
            assert process.wait() == 0
    whole = Monitor(rows(1), name="monitor", **QUICK)
    for number in range(2):
        whole.update(rows(100 + number))
    stepped = Monitor.open(folder).history
    assert [each.to_dict() | {"seconds": 0} for each in stepped] == [
        each.to_dict() | {"seconds": 0} for each in whole.history
    ]
    assert all(0 <= each.seconds < 60 for each in stepped)
