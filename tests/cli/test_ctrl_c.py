"""Ctrl-C during an estimate: on a terminal the first one states what there is, the second one ends the command."""

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pytest
from terminal import until

from wdist.cli.estimate import finishing_on_ctrl_c


@pytest.fixture(autouse=True)
def in_a_folder_of_two_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    x, y = np.random.default_rng(0).normal(size=(2, 400, 3))
    y[:, 0] += 1
    np.save("x.npy", x)
    np.save("y.npy", y)


LONG = ("estimate", "x.npy", "y.npy", "--critic", "groupsort", "--steps", "1000000", "--baseline-rows", "0", "--json")


def on_a_terminal() -> tuple[int, subprocess.Popen[str]]:
    """A long estimate whose standard error and Ctrl-C are those of a terminal of its own."""
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "wdist.cli.main", *LONG]
    process = subprocess.Popen(
        command, stdin=end, stdout=subprocess.PIPE, stderr=end, text=True, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(2, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(end)
    return terminal, process


def test_the_first_ctrl_c_states_what_there_is() -> None:
    terminal, process = on_a_terminal()
    with process:
        assert "groupsort: step" in until(terminal, "groupsort: step", 60)
        os.write(terminal, b"\x03")
        assert "Ctrl-C again" in until(terminal, "Ctrl-C again", 20)
        said, _ = process.communicate(timeout=60)
    os.close(terminal)
    assert process.returncode == 0
    result = json.loads(said)
    assert 0 < result["steps"] < 1_000_000
    assert any("ended early" in warning for warning in result["warnings"])
    assert result["value"] > 0


def test_the_second_ctrl_c_ends_the_command() -> None:
    terminal, process = on_a_terminal()
    with process:
        until(terminal, "groupsort: step", 60)
        os.kill(process.pid, signal.SIGSTOP)  # both arrive before the next step
        os.write(terminal, b"\x03")
        os.kill(process.pid, signal.SIGCONT)
        until(terminal, "Ctrl-C again", 20)
        os.kill(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    os.close(terminal)
    assert (process.returncode, said) == (130, "")


def test_without_a_terminal_ctrl_c_ends_the_command() -> None:
    command = [sys.executable, "-m", "wdist.cli.main", *LONG, "--progress"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "step" not in process.stderr.read(1):
            if "step" in process.stderr.readline():
                break
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "")


class HalfWritten:
    """Standard error of a terminal that is in the middle of a line, where Ctrl-C comes and nothing may be written."""

    def __init__(self, number: int) -> None:
        self.number, self.depth = number, 0

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.number

    def write(self, text: str) -> int:
        if self.depth:
            raise RuntimeError("reentrant call")
        self.depth = 1
        signal.raise_signal(signal.SIGINT)
        self.depth = 0
        return len(text)


def test_ctrl_c_in_the_middle_of_a_line_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    out, into = os.pipe()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", HalfWritten(into))
        with finishing_on_ctrl_c() as is_asked:
            assert is_asked is not None
            sys.stderr.write("groupsort: step")
            assert is_asked()
    os.close(into)
    with os.fdopen(out, "rb") as said:
        assert b"Ctrl-C again ends without a result" in said.read()
