"""The one command for a lent GPU runs, here with small sizes on the processor."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from wdist import device

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = ("steps", "critics", "estimates", "repeats", "passes", "service")


def run(out: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "benchmarks.gpu", "--out", str(out), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(device.is_there(), reason="this machine has a CUDA device")
def test_without_a_device_it_says_that_nothing_was_measured(tmp_path: Path) -> None:
    code, said = run(tmp_path)
    assert (code, "nothing was measured" in said, list(tmp_path.iterdir())) == (1, True, [])


def test_what_does_not_fit_is_told_and_takes_nothing_along(tmp_path: Path) -> None:
    code, said = run(tmp_path, "--quick", "--device", "cpu", "--minutes", "0")
    assert code == 2
    assert "not measured: steps, critics, estimates, repeats, passes, service" in said
    page = (tmp_path / "page.md").read_text()
    assert page.count("Not measured, or not all: TimeoutError: only 0 s were left") == len(SECTIONS)


@pytest.mark.slow
def test_all_sections_run(tmp_path: Path) -> None:
    code, said = run(tmp_path, "--quick", "--device", "cpu", "--minutes", "30")
    assert code == 0, said[-4000:]
    found = json.loads((tmp_path / "results.json").read_text())
    assert tuple(found["sections"]) == SECTIONS
    assert all(told["rows"] for told in found["sections"].values())
    assert all(row["same"] for row in found["sections"]["repeats"]["rows"])
    assert {row["ended"] for row in found["sections"]["service"]["rows"]} == {"succeeded", "finished"}
    page = (tmp_path / "page.md").read_text()
    assert "small sizes, which measures nothing" in page
    assert page.count("## ") == len(SECTIONS)
