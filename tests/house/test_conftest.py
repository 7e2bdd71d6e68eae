"""An unlisted skip fails in continuous integration, and only there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"


ONE_TEST = "import pytest\n\n@pytest.mark.skip(reason={reason!r})\ndef test_two():\n    pass\n"
WHICH_PROCESS = """
import os, pytest

@pytest.mark.parametrize("k", range(20))
def test_it(k):
    with open({file!r}, "a") as told:
        told.write(f"{{os.getpid()}}\\n")
"""
WHOLE_MODULE = "import pytest\n\npytest.skip({reason!r}, allow_module_level=True)\n"


@pytest.mark.parametrize(
    ("skipped", "shards", "ci", "reason", "code"),
    [
        (ONE_TEST, (), "1", "too slow today", 1),
        (ONE_TEST, (), "", "too slow today", 0),
        (ONE_TEST, (), "1", "no CUDA device", 0),
        (ONE_TEST, ("-n", "2"), "1", "too slow today", 1),
        (WHOLE_MODULE, ("-n", "2"), "1", "too slow today", 1),
    ],
    ids=["in ci", "elsewhere", "listed", "in two processes", "a whole module in two processes"],
)
def test_a_skip_nobody_listed_fails_in_ci(
    tmp_path: Path, skipped: str, shards: tuple[str, ...], ci: str, reason: str, code: int
) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_one.py").write_text("def test_one():\n    pass\n")
    (tmp_path / "test_two.py").write_text(skipped.format(reason=reason))
    environment = {**os.environ, "CI": ci}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        *shards,
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == code, run.stdout + run.stderr
    assert ("does not list" in run.stdout) == (reason == "too slow today")


def test_a_file_and_the_page_stay_in_one_process(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    page = tmp_path / "tests/page"
    page.mkdir(parents=True)
    for file, kind in ((tmp_path / "test_a.py", "a"), (page / "test_b.py", "page"), (page / "test_c.py", "page")):
        file.write_text(WHICH_PROCESS.format(file=str(tmp_path / kind)))
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "load", "-p", "no:cacheprovider"]
    run = subprocess.run([*command, "--rootdir", str(tmp_path), str(tmp_path)], cwd=tmp_path, check=False)
    assert run.returncode == 0
    processes = [(tmp_path / kind).read_text().split() for kind in ("a", "page")]
    assert [len(each) for each in processes] == [20, 40]
    assert [len(set(each)) for each in processes] == [1, 1]
