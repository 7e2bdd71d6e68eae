"""Imports point downward only, and torch stays out of the processes that do not compute with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

HELP = """
from contextlib import suppress
from wdist.cli.main import main
with suppress(SystemExit):
    main(["--help"])
"""
# Loaded by these imports, torch would cost its second and its 200 MB of memory in a process that never uses it.
WITHOUT_TORCH = {
    "library": "import wdist",
    "client": "import wdist_client",
    "API": "import wdist_service.app",
    "command line": HELP,
    "verifier": "import wdist.verify",
}


def modules_after(statement: str) -> set[str]:
    """Top-level names in sys.modules of a fresh interpreter after one statement."""
    program = (
        f"import json, sys\n{statement}\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stdout.splitlines()[-1]))


def test_the_probe_sees_torch_when_it_is_there() -> None:
    assert "torch" in modules_after("from wdist import estimate_w1")


@pytest.mark.parametrize("statement", WITHOUT_TORCH.values(), ids=WITHOUT_TORCH.keys())
def test_torch_is_not_imported(statement: str) -> None:
    assert "torch" not in modules_after(statement)


def test_the_verifier_loads_numpy_alone() -> None:
    brought = modules_after("import wdist.verify") - modules_after("import numpy.random") - sys.stdlib_module_names
    assert brought == {"wdist"}


def test_the_client_loads_neither_library_nor_server() -> None:
    assert modules_after("import wdist_client").isdisjoint({"wdist", "wdist_service"})


def test_the_import_contracts_hold() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 0, run.stdout + run.stderr
