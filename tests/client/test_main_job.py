"""examples/diamonds/run.py, as `make run` starts it: what it says, and that nothing outlives it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from server_process import ServerProcess, free_port

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "diamonds" / "run.py"
pytestmark = pytest.mark.timeout(200)


def start(port: int, data: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "WDIST_SERVER_DATA": str(data), "WDIST_SERVER_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), "--port", str(port), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Its output up to the line with these words."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if words in line:
            return seen
    raise AssertionError(f"it ended before saying {words!r}: {seen}{process.stderr.read() if process.stderr else ''}")


def assert_refused(process: subprocess.Popen[str], *words: str) -> None:
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert "Traceback (most recent call last)" not in said
    for word in words:
        assert word in said


def assert_free(port: int) -> None:
    """Nothing listens any more, some seconds granted to processes that are told to end."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=1):
            time.sleep(0.1)
            continue
        return
    raise AssertionError(f"something still listens on port {port}")


def test_a_port_taken_by_another_program(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert_refused(start(port, tmp_path / "data", "--once"), "taken by another program", f"PORT={port + 1}")


def test_a_port_taken_by_a_server_of_ours(server: ServerProcess, tmp_path: Path) -> None:
    assert_refused(start(server.port, tmp_path / "data", "--once"), "A wdist server already runs", "Ctrl-C")


def test_a_data_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    port = free_port()
    assert_refused(start(port, tmp_path / "file" / "data", "--once"), "The server cannot start", "WDIST_SERVER_DATA=")
    assert_free(port)


def test_the_server_dies_while_the_job_runs(tmp_path: Path) -> None:
    port = free_port()
    process = start(port, tmp_path / "data")
    read_until(process, "Estimating")
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout
    os.kill(int(children.split()[0]), signal.SIGKILL)
    assert_refused(process, "The server ended by itself (exit code -9)", "All of it:")
    assert_free(port)


@pytest.mark.parametrize("order", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_it_ends_the_server(tmp_path: Path, order: signal.Signals) -> None:
    port = free_port()
    process = start(port, tmp_path / "data")
    read_until(process, "Estimating")
    process.send_signal(order)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == (-9 if order == signal.SIGKILL else 0)
    assert "Traceback (most recent call last)" not in said
    assert_free(port)


@pytest.mark.slow
def test_the_result_and_its_meaning(tmp_path: Path) -> None:
    port = free_port()
    process = start(port, tmp_path / "data", "--once")
    said, errors = process.communicate(timeout=180)
    assert (process.returncode, errors) == (0, "")
    for words in ("12,082 rows of 7 columns", "lower bound", "value", "confidence", "p-value", "Lipschitz bound"):
        assert words in said
    for words in ("They differ (p < 0.001)", f"kept in {tmp_path / 'data'}\n", "rm -r ", "WDIST_SERVER_DATA=/a/folder"):
        assert words in said
    for words in ("mean difference", "exact OT", "3,000 stones"):
        assert words in said
    assert_free(port)
