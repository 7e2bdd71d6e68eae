"""An unlisted skip fails in continuous integration, and only there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"


@pytest.mark.parametrize(
    ("ci", "reason", "code"),
    [("1", "too slow today", 1), ("", "too slow today", 0), ("1", "no CUDA device", 0)],
)
def test_a_skip_nobody_listed_fails_in_ci(tmp_path: Path, ci: str, reason: str, code: int) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_it.py").write_text(
        "import pytest\n\ndef test_one():\n    pass\n\n"
        f"@pytest.mark.skip(reason={reason!r})\ndef test_two():\n    pass\n"
    )
    environment = {**os.environ, "CI": ci}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == code, run.stdout + run.stderr
    assert ("does not list" in run.stdout) == (reason == "too slow today")
