"""Library and client work where POSIX does not: without its modules, its /proc, and folders that can be opened."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BEGINNING = "import without_posix; without_posix.install()\n"
ROWS = """
import numpy as np
generator = np.random.default_rng(0)
x, y = (generator.normal(shift, 1, (300, 3)) for shift in (0, 2))
"""


def without_posix(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The program in a fresh interpreter, in a folder of its own."""
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    command = [sys.executable, "-c", BEGINNING + program]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def succeeds(program: str, folder: Path) -> None:
    done = without_posix(program, folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["fcntl", "resource", "pwd", "grp", "termios"])
def test_modules_of_posix_are_missing(tmp_path: Path, name: str) -> None:
    done = without_posix(f"import {name}", tmp_path)
    assert f"ModuleNotFoundError: no {name} here" in done.stderr


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("open('/proc/cpuinfo')", "FileNotFoundError: no /proc/cpuinfo here"),
        ("import pathlib; pathlib.Path('/proc/self/status').read_text()", "FileNotFoundError"),
        ("import os; os.open('.', os.O_RDONLY)", "PermissionError: . is a folder"),
    ],
)
def test_what_cannot_be_opened(tmp_path: Path, program: str, error: str) -> None:
    assert error in without_posix(program, tmp_path).stderr


def test_the_library_estimates_and_keeps_critic_and_certificate(tmp_path: Path) -> None:
    program = """
from wdist import estimate_w1, load_critic, verify_certificate
result = estimate_w1(x, y, steps=30, seed=0)
assert 0 < result.lower_bound < result.value
result.critic.save("critic")
assert np.array_equal(load_critic("critic").evaluate(x), result.critic.evaluate(x))
np.save("x.npy", x)
np.save("y.npy", y)
result.certificate.save("certificate")
assert verify_certificate("certificate", "x.npy", "y.npy").valid
"""
    succeeds(ROWS + program, tmp_path)


def test_the_library_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    program = """
import pathlib
from wdist import estimate_w1
from wdist.errors import Stopped
file = pathlib.Path("estimate.checkpoint")
try:
    estimate_w1(x, y, steps=60, seed=0, checkpoint=file, should_stop=iter([False] * 20 + [True]).__next__)
except Stopped:
    pass
else:
    raise SystemExit("it was not stopped")
assert file.exists()
assert not pathlib.Path("estimate.checkpoint.part").exists()
whole = estimate_w1(x, y, steps=60, seed=0)
assert estimate_w1(x, y, steps=60, seed=0, checkpoint=file).value == whole.value
"""
    succeeds(ROWS + program, tmp_path)


def test_a_result_of_reproduce_names_the_machine(tmp_path: Path) -> None:
    succeeds("from wdist.paper.result_files import machine\nassert 'torch' in machine()", tmp_path)


def test_the_command_estimates(tmp_path: Path) -> None:
    program = """
from wdist.cli.main import main
np.save("x.npy", x)
np.save("y.npy", y)
assert main(["estimate", "x.npy", "y.npy", "--steps", "5"]) == 0
"""
    succeeds(ROWS + program, tmp_path)


def test_the_command_reads_tables_and_names_the_line_of_a_mistake(tmp_path: Path) -> None:
    program = """
from wdist.cli.main import main
np.savetxt("x.csv", x, delimiter=",")
np.savetxt("y.csv", y, delimiter=",")
assert main(["estimate", "x.csv", "y.csv", "--steps", "5"]) == 0
y[201, 1] = np.nan
np.savetxt("y.csv", y, delimiter=",")
raise SystemExit(main(["estimate", "x.csv", "y.csv", "--steps", "5"]))
"""
    done = without_posix(ROWS + program, tmp_path)
    assert "column 1, line 202 has a missing value" in done.stderr


def test_the_client_packs_a_folder_of_images(tmp_path: Path) -> None:
    program = """
import io, pathlib, zipfile
from PIL import Image
from wdist_client.rows.payload import payload
folder = pathlib.Path("images")
folder.mkdir()
for k in range(60):
    Image.fromarray(generator.integers(0, 256, (4, 4), np.uint8)).save(folder / f"{k}.png")
packed = payload(folder)
whole = b"".join(packed.blocks())
assert len(zipfile.ZipFile(io.BytesIO(whole)).namelist()) == 60
assert b"".join(packed.blocks(start=100)) == whole[100:]
"""
    succeeds(ROWS + program, tmp_path)


def test_the_client_is_imported_whole(tmp_path: Path) -> None:
    program = """
import wdist_client
for name in wdist_client.__all__:
    getattr(wdist_client, name)
with wdist_client.Client("http://127.0.0.1:9", max_retries=0) as client:
    try:
        client.version()
    except wdist_client.APIConnectionError:
        pass
    else:
        raise SystemExit("nobody listens there")
"""
    succeeds(program, tmp_path)


def test_the_client_estimates_in_its_own_process(tmp_path: Path) -> None:
    program = """
from wdist_client import Client
with Client(":local:") as client:
    sets = [client.sample_sets.create(rows) for rows in (x, y)]
    result = client.estimates.create(*sets, steps=30, seed=0).wait(timeout=120)
assert 0 < result.lower_bound < result.value
"""
    succeeds(ROWS + program, tmp_path)
