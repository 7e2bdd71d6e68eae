"""The documentation is true: its code runs against a real server, its commands exist, its links lead somewhere.

Conventions of README.md and docs/**/*.md:
  ```python    all blocks of one page, in order, are one program, run in a fresh interpreter in an empty folder with a
               link to examples/; a hidden <!-- test: python statement --> goes before it
  ```console   lines after "$ " are commands: after the page's Python, one shell runs them all in order. Servers,
               containers, package managers and make are not run, only checked to have that option or target
  ```text      nothing is checked
Notebooks (docs/**/*.ipynb) are kept without outputs; their cells are one program, run in their own folder.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any
from urllib.parse import unquote

import pytest
from fastapi.routing import APIRoute
from names import programs
from names.source import documented_imports
from server_process import ServerProcess

import wdist
import wdist_client
import wdist_service
from wdist_service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
LONG = README, ROOT / "docs/README.md", ROOT / "docs/start.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "clients/python/README.md"]
# What building the site writes is no page of the source.
BUILT = ROOT / "docs/api.md", ROOT / "docs/reference/objects", ROOT / "docs/reference/commands"
PAGES += [ROOT / "examples/diamonds/README.md"]
PAGES += [p for p in sorted((ROOT / "docs").rglob("*.md")) if not any(p.is_relative_to(built) for built in BUILT)]
NOTEBOOKS = sorted((ROOT / "docs").rglob("*.ipynb"))
# Data that a notebook reads and that is not in the repository: the variable that names its file, and where it may lie.
DATA = {"monitor": ("WDIST_ELECTRICITY", "shared/data/pairs/electricity.npz")}
ADDRESS = re.compile(r"http://(127\.0\.0\.1|localhost):8000")
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# They install, build, leave the folder, or name a database and a bucket that are not here.
NOT_RUN = {"make", "docker", "pip", "git", "cd", ".ci/run", "export"}
ENDLESS = {"serve", "worker"}


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
    """Console commands, continuation lines joined."""
    text = "".join(text for _, text in blocks(page, "console")).replace("\\\n", " ")
    return [line[2:].strip() for line in text.splitlines() if line.startswith("$ ")]


def words(command: str) -> list[str]:
    return shlex.split(command, comments=True)


def is_run(command: str) -> bool:
    first = words(command)
    return first[0] not in NOT_RUN and not (first[0] == "wdist" and first[1] in ENDLESS)


WITH_CODE = [page for page in PAGES if program(page).strip() or any(map(is_run, commands(page)))]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real server with an empty data directory. Its webhooks may reach receivers on this machine."""
    allowed = {"WDIST_SERVER_WEBHOOK_PRIVATE": '["127.0.0.0/8"]'}
    with ServerProcess(tmp_path_factory.mktemp("server") / "data", environment=allowed) as running:
        yield running.url


def wdist_command() -> str:
    return str(Path(sys.executable).with_name("wdist"))


# The HTTP page and the client's README always run, and so does the Python of the README. Guides and the README's twelve
# commands, 5 to 60 s each, wait for `make test-all`.
@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=[pytest.mark.slow] if p.parent.name == "guides" or p in LONG else []) for p in WITH_CODE],
    ids=name,
)
def test_code_and_commands_of_a_page_run(page: Path, server: str, tmp_path: Path) -> None:
    environment = reader(server, tmp_path)
    run_program(page, server, tmp_path, environment)
    lines = [command for command in commands(page) if is_run(command)]
    for tool in ("curl", "jq", "openssl"):
        if shutil.which(tool) is None and any(re.search(rf"\b{tool}\b", line) for line in lines):
            pytest.skip(f"no {tool} on this machine")
    strict = 'curl() { command curl --fail-with-body --silent --show-error "$@"; }'
    shell = ADDRESS.sub(server, "\n".join(["set -euxo pipefail", strict, *lines]))
    run(["bash", "-c", shell], tmp_path, environment)


def test_the_python_of_the_readme_runs(server: str, tmp_path: Path) -> None:
    run_program(README, server, tmp_path, reader(server, tmp_path))


def reader(server: str, folder: Path) -> dict[str, str]:
    """The environment of a reader who works in this folder."""
    (folder / "examples").symlink_to(ROOT / "examples")
    environment = {**os.environ, "WDIST_BASE_URL": server, "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    environment["WDIST_SERVER_DATA"] = str(folder / "data")
    environment["PYTHONPATH"] = str(Path(__file__).parent)  # readme_files.py
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    return environment


def run_program(page: Path, server: str, folder: Path, environment: dict[str, str]) -> None:
    """Run the page's Python, and compare what it prints with what the page shows."""
    script = folder / "page.py"
    script.write_text(ADDRESS.sub(server, program(page)))
    printed = run([sys.executable, "-W", "error::DeprecationWarning:__main__", str(script)], folder, environment)
    assert_shown_figures_are_printed(page, printed)


FIGURE = re.compile(r"^  (lower_bound|value|small-sample OT|mean difference) +(\d\.\d+)", re.MULTILINE)


def assert_shown_figures_are_printed(page: Path, printed: str) -> None:
    """A page that shows what its example prints shows it truly, up to what another processor rounds differently."""
    for text in (text for _, text in blocks(page, "text") if text.startswith(("They differ", "No evidence"))):
        assert without_numbers(text.partition("\n\n")[0]) in without_numbers(printed), f"{name(page)} shows other words"
        for figure, shown in FIGURE.findall(text):
            found = dict(reversed(FIGURE.findall(printed)))  # of what is printed first
            assert float(found[figure]) == pytest.approx(float(shown), rel=0.03), figure


def without_numbers(text: str) -> str:
    return " ".join(re.sub(r"\d+(\.\d+)?", "#", text).split())


def run(command: list[str], place: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


def cells(notebook: Path, kind: str) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == kind]


def data_of(notebook: Path) -> dict[str, str] | None:
    """The variable that names the notebook's data, which lies beside a parent of this checkout; None if it does not."""
    if notebook.stem not in DATA or DATA[notebook.stem][0] in os.environ:
        return {}
    variable, place = DATA[notebook.stem]
    return next(({variable: str(folder / place)} for folder in ROOT.parents if (folder / place).exists()), None)


# They take 8 to 15 s each, and wait for `make test-all`.
@pytest.mark.parametrize(
    "notebook",
    [pytest.param(n, marks=pytest.mark.slow) for n in NOTEBOOKS],
    ids=name,
)
def test_a_notebook_runs_and_keeps_no_outputs(notebook: Path, tmp_path: Path) -> None:
    data = data_of(notebook)
    if data is None:
        pytest.skip(f"no {DATA[notebook.stem][1]} beside this checkout, and tests fetch nothing from OpenML")
    code = cells(notebook, "code")
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    script = tmp_path / f"{notebook.stem}.py"
    script.write_text("\n".join("".join(cell["source"]) for cell in code))
    environment = {**os.environ, **data, "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    run([sys.executable, "-W", "error::DeprecationWarning:__main__", str(script)], notebook.parent, environment)


ENDLESS_COMMANDS = {c for page in PAGES for c in commands(page) if words(c)[0] == "wdist" and not is_run(c)}


@pytest.mark.parametrize("command", sorted(ENDLESS_COMMANDS))
def test_options_of_a_server_command_exist(command: str) -> None:
    shown = subprocess.run(
        [wdist_command(), words(command)[1], "--help"], capture_output=True, text=True, check=True
    ).stdout
    for option in (word.split("=")[0] for word in words(command) if word.startswith("--")):
        assert option in shown, f"{option} is not an option"


@pytest.mark.parametrize("page", [p for p in PAGES if commands(p)], ids=name)
def test_make_targets_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for command in commands(page):
        first, *rest = words(command)
        for target in (word for word in rest if first == "make" and "=" not in word):
            assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), f"make {target} does not exist"


def prose(page: Path) -> str:
    """The text without code."""
    if page.suffix == ".ipynb":
        return "\n".join("".join(cell["source"]) for cell in cells(page, "markdown"))
    return FENCE.sub("", page.read_text())


@pytest.mark.parametrize("page", [*PAGES, *NOTEBOOKS], ids=name)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    text = prose(page)
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


def build_site(place: Path, *options: str) -> None:
    sphinx = [str(Path(sys.executable).with_name("sphinx-build")), "-q", "-W", "--keep-going", "-b", "html", *options]
    data = {name: value for notebook in NOTEBOOKS for name, value in (data_of(notebook) or {}).items()}
    run([*sphinx, str(ROOT / "docs"), str(place)], ROOT, {**os.environ, **data, "OMP_NUM_THREADS": "1"})
    for page in ("index.html", "api.html", "guides/index.html", "reference/library.html", "notebooks/digits.html"):
        assert (place / page).exists()


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_has_a_page_for_each_public_name(tmp_path: Path) -> None:
    build_site(tmp_path, "-D", "nb_execution_mode=off")  # another test runs the notebooks
    offered = {f"{package.__name__}.{name}" for package in (wdist, wdist_client) for name in package.__all__}
    imported = {item.replace(":", ".") for item in documented_imports() if ":" in item}
    submodules = {item for item in imported if hasattr(import_module(item.rpartition(".")[0]), "__path__")}
    pages = {page.stem: page.read_text() for page in (tmp_path / "reference/objects").glob("*.html")}
    missing = (offered | imported) - submodules - set(pages)
    assert not missing, f"add to docs/reference/library.md or client.md: {', '.join(sorted(missing))}"
    empty = [item for item, html in pages.items() if f'id="{item}"' not in html]
    assert not empty, f"no description: {', '.join(empty)}"
    commands = {item for item in programs.commands() if not re.search(r" (-|\()", item)}
    shown = {page.stem for page in (tmp_path / "reference/commands").glob("*.html")}
    assert shown == {item.replace(" ", "-") for item in commands}


@pytest.mark.slow
def test_the_site_shows_what_the_notebooks_print(tmp_path: Path) -> None:
    build_site(tmp_path)
    for notebook in (each for each in NOTEBOOKS if data_of(each) is not None):
        page = (tmp_path / "notebooks" / f"{notebook.stem}.html").read_text()
        assert page.count('class="cell_output') >= 3
        assert "image/png" in page or "<img" in page


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    for setting, field in Settings.model_fields.items():
        line = f"| `WDIST_SERVER_{setting.upper()}` | {field.description or ''} |"
        assert line.rstrip(" |") in page, line


def test_every_endpoint_is_documented() -> None:
    page = (ROOT / "docs/http.md").read_text()
    modules = [
        import_module(m.name)
        for m in walk_packages(wdist_service.__path__, "wdist_service.")
        if m.name.endswith((".endpoints", ".event_stream"))
    ]
    routes = [
        route
        for module in modules
        for route in module.router.routes
        if isinstance(route, APIRoute) and route.include_in_schema
    ]
    assert len(routes) > 10
    for method, path in [(method, route.path) for route in routes for method in route.methods - {"HEAD", "OPTIONS"}]:
        assert f"| `{method} {path}` |" in page, f"{method} {path}"


def test_every_page_is_listed_in_an_index() -> None:
    indexes = [p for p in PAGES if p.name == "README.md"]
    listed = {(i.parent / t).resolve() for i in indexes for t in re.findall(r"\]\(([^)#\s]+)", i.read_text())}
    pages = [p for p in PAGES if p.is_relative_to(ROOT / "docs")] + NOTEBOOKS
    missing = [name(p) for p in pages if p not in listed | {ROOT / "docs/README.md"}]
    assert not missing
