"""The documentation is true: its code runs against a real server, its commands exist, its links lead somewhere.

Conventions of README.md and docs/**/*.md:
  ```python    all blocks of one page, in order, are one program, run in a fresh interpreter in an empty folder with a
               link to examples/; a hidden <!-- test: python statement --> goes before it
  ```console   lines after "$ " are commands. `wdist` and `curl` are run, in order, after the page's Python; servers,
               containers, package managers and make targets are only checked to exist
  ```text      nothing is checked
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from server_process import ServerProcess

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "clients/python/README.md"]
PAGES += [ROOT / "examples/diamonds/README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ADDRESS = re.compile(r"http://(127\.0\.0\.1|localhost):8000")
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = {"serve", "worker"}  # they do not end


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """(line number of the first line, text) of each fenced block in `language`."""
    text = page.read_text()
    return [(text.count("\n", 0, m.start(2)) + 1, m.group(2)) for m in FENCE.finditer(text) if m.group(1) == language]


def program(page: Path) -> str:
    """The page's Python blocks as one program whose line numbers are the page's."""
    lines: list[str] = []
    for m in re.finditer(r"<!-- test: (.*?) -->", page.read_text()):
        lines = [m.group(1)]
    for start, text in blocks(page, "python"):
        lines += [""] * (start - 1 - len(lines)) + text.splitlines()
    return "\n".join(lines)


def commands(page: Path) -> list[str]:
    """Console commands without comments, continuation lines joined."""
    found = []
    for _, text in blocks(page, "console"):
        for line in text.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                found.append(line[2:].strip())
    return found


WITH_CODE = [p for p in PAGES if program(p).strip() or any(c.split()[0] in {"wdist", "curl"} for c in commands(p))]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real server with an empty data directory."""
    with ServerProcess(tmp_path_factory.mktemp("server") / "data") as running:
        yield running.url


def wdist() -> str:
    return str(Path(sys.executable).with_name("wdist"))


@pytest.mark.parametrize("page", WITH_CODE, ids=name)
def test_code_and_commands_of_a_page_run(page: Path, server: str, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    environment = {**os.environ, "WDIST_BASE_URL": server, "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    script = tmp_path / "page.py"
    script.write_text(ADDRESS.sub(server, program(page)))
    run([sys.executable, "-W", "error::DeprecationWarning:__main__", str(script)], tmp_path, environment, name(page))
    for command in commands(page):
        words = shlex.split(command, comments=True)
        if words[0] == "wdist" and words[1] in NOT_RUN:
            check_options(words)
        elif words[0] in {"wdist", "curl"}:
            if words[0] == "curl" and shutil.which("curl") is None:
                pytest.skip("no curl on this machine: the page's curl lines are not run")
            command = command.replace("curl ", "curl --fail-with-body --silent --show-error ", 1)
            shell = ["bash", "-euo", "pipefail", "-c", ADDRESS.sub(server, command)]
            run(shell, tmp_path, environment, f"{name(page)}: {command}")


def run(command: list[str], place: Path, environment: dict[str, str], what: str) -> None:
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, f"{what}\n{done.stdout}{done.stderr}"


def check_options(words: list[str]) -> None:
    """Each --option of a command that is not run stands in its help."""
    shown = subprocess.run([wdist(), words[1], "--help"], capture_output=True, text=True, check=True).stdout
    for option in (word.split("=")[0] for word in words[2:] if word.startswith("--")):
        assert option in shown, f"`{shlex.join(words)}`: {option} is not an option"


@pytest.mark.parametrize("page", [p for p in PAGES if commands(p)], ids=name)
def test_make_targets_and_tools_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for command in commands(page):
        words = [w for w in shlex.split(command, comments=True) if "=" not in w or w.startswith("-")]
        assert words[0] in {"make", "wdist", "curl", "docker", "pip", "git", "cd", "python", "printf"}, command
        if words[0] == "make":
            for target in words[1:]:
                assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), f"make {target} does not exist"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / unquote(path)).resolve() if path else page
        assert file.exists(), f"{name(page)}: {target}"
        assert file.is_relative_to(ROOT), f"{name(page)}: {target} leads out of the repository"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{name(page)}: no heading for {target}"


def anchors(page: Path) -> set[str]:
    """Anchors of the headings, by the rule that code hosts use."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower().strip()).replace(" ", "-") for h in headings}


def test_every_page_is_listed_in_an_index() -> None:
    indexes = [p for p in PAGES if p.name == "README.md"]
    listed = {(i.parent / t).resolve() for i in indexes for t in re.findall(r"\]\(([^)#\s]+)", i.read_text())}
    missing = [name(p) for p in (ROOT / "docs").rglob("*.md") if p not in listed and p != ROOT / "docs/README.md"]
    assert not missing
