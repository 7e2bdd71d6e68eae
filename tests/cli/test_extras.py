"""A command whose extra is not installed says what to install; the others work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wdist.definitions.installing import install_client, install_extra, pip_install

SERVER = ["alembic", "dbos", "fastapi", "obstore", "platformdirs", "pyarrow", "pydantic_settings", "sqlalchemy"]

BLOCK = """
import sys
class Finder:
    def find_spec(name, *_):
        if name in {missing}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Finder)
"""


def wdist(missing: list[str], *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a process where some packages cannot be imported."""
    program = BLOCK.format(missing=missing) + f"from wdist.cli.main import main\nsys.exit(main({list(arguments)!r}))"
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=120)


@pytest.mark.parametrize(
    ("missing", "arguments", "says"),
    [
        (SERVER, ["serve"], f"wdist serve needs the server: {install_extra('server')}"),
        (SERVER, ["worker"], f"wdist worker needs the server: {install_extra('server')}"),
        (SERVER, ["keys", "list"], f"wdist keys needs the server: {install_extra('server')}"),
        (["wdist_service"], ["serve"], f"wdist serve needs the server: {install_extra('server')}"),
        (["wdist_service"], ["doctor"], f"wdist doctor needs the server: {install_extra('server')}"),
        (["wdist_client"], ["remote", "status"], f"wdist remote needs the client: {install_client()}"),
        (["wdist_client"], ["remote", "--help"], f"wdist remote needs the client: {install_client()}"),
        (["httpx"], ["remote", "status"], f"wdist remote needs httpx: {pip_install('httpx')}"),
        (
            ["pyarrow"],
            ["estimate", "a.csv", "a.csv"],
            f"wdist: a.csv: reading CSV needs pyarrow: {pip_install('pyarrow')}",
        ),
        (
            ["openpyxl"],
            ["estimate", "a.xlsx", "a.xlsx"],
            f"wdist: a.xlsx: reading Excel needs openpyxl: {pip_install('openpyxl')}",
        ),
        (["ot"], ["estimate", "x.npy", "x.npy"], f"wdist estimate needs ot: {pip_install('POT')}"),
    ],
)
def test_what_to_install(tmp_path: Path, missing: list[str], arguments: list[str], says: str) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(400, 2)))
    done = wdist(missing, *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{says}\n")


@pytest.mark.parametrize("missing", [SERVER, ["wdist_service"], ["wdist_client"]])
def test_help_wrong_usage_and_completion_work_without(missing: list[str]) -> None:
    assert "serve" in wdist(missing, "--help").stdout
    assert wdist(missing, "esitmate").stderr.startswith("wdist: unknown command: esitmate (did you mean estimate?)")
    completed = wdist(missing, "completion", "bash")
    assert completed.stderr == ""
    assert "--confidence" in completed.stdout


def test_an_estimate_of_arrays_needs_no_extra(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(400, 2)))
    quick = ("--critic", "affine", "--steps", "1", "--baseline-rows", "0")
    assert wdist([*SERVER, "wdist_client"], "estimate", "x.npy", "x.npy", *quick, cwd=tmp_path).returncode == 0


def test_the_doctor_tells_of_a_missing_server() -> None:
    done = wdist(SERVER, "doctor")
    assert f"warn  server     wdist serve needs the server: {install_extra('server')}" in done.stdout
    assert done.returncode == 0
