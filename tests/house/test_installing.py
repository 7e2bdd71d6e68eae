"""Advice on what to install can be followed: wdist is on no package index, so nothing says to install it by name."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from wdist.data.readers.registry import FORMATS
from wdist.definitions import installing
from wdist_client import errors as client

ROOT = Path(__file__).resolve().parents[2]
PROJECTS = [ROOT / "pyproject.toml", ROOT / "clients/python/pyproject.toml"]
LIBRARY, CLIENT = (tomllib.loads(project.read_text())["project"] for project in PROJECTS)
WITH_A_VALUE = {"-c", "-r", "--constraint", "--requirement", "--index-url", "--extra-index-url", "--find-links"}
OF_USERS = {"pandas"}  # whose frames are read, where there are any; wdist itself needs none
OF_OTHERS = {"jupyterlab", "standardwebhooks"}  # what guides use beside wdist
BUILD = "dist/wdist-0.3.0-py3-none-any.whl", "dist/wdist_client-0.3.0-py3-none-any.whl"


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", each, maxsplit=1)[0].lower() for each in requirements}


def extras(project: dict) -> dict[str, set[str]]:
    return {extra: names(listed) for extra, listed in project["optional-dependencies"].items()}


PUBLISHED = names([*LIBRARY["dependencies"], *CLIENT["dependencies"]]).union(
    OF_OTHERS, *(each for project in (LIBRARY, CLIENT) for each in extras(project).values())
) - {"wdist", "wdist-client"}


def texts() -> Iterator[tuple[str, str]]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if name.startswith("tests/upgrade/fixtures/") or Path(ROOT / name) == Path(__file__):
            continue
        try:
            yield name, (ROOT / name).read_text()
        except (UnicodeDecodeError, FileNotFoundError):
            continue


def advised(text: str) -> Iterator[str]:
    """What `pip install` is told to install: the words behind it up to where the command ends, options left out."""
    for found in re.finditer(r"\bpip3? install +([^`\n#|;&)]*)", text):
        words = iter(found[1].split())
        for word in words:
            if word in WITH_A_VALUE:
                next(words, None)
            elif not word.startswith("-"):
                yield word.strip("\"'.,:")


def test_what_is_advised_is_found() -> None:
    text = 'x: pip install -q --index-url https://a "wdist[server]" torch, `pip install ./clients/python`'
    assert list(advised(text)) == ["wdist[server]", "torch", "/clients/python"]


def test_no_text_says_to_install_wdist_by_name() -> None:
    unpublished = re.compile(r"wdist([-_]client)?(\[[\w,]+\])?([=<>~].*)?", re.IGNORECASE)
    found = [f"{name}: {word}" for name, text in texts() for word in advised(text) if unpublished.fullmatch(word)]
    assert not found


def test_pages_name_packages_that_wdist_lists() -> None:
    """A path, a wheel, a variable of a shell, or a package that one of the two projects lists."""
    pages = [(name, text) for name, text in texts() if name.endswith(".md")]
    words = {(name, word) for name, text in pages for word in advised(text) if re.fullmatch(r"[\w-]+", word)}
    assert {word for _, word in words}, "no page names a package"
    assert not {(name, word) for name, word in words if word.lower() not in PUBLISHED}


@pytest.mark.parametrize(
    ("folder", "project"), [("wdist", LIBRARY), ("clients/python/wdist_client", CLIENT)], ids=["library", "client"]
)
def test_messages_name_packages_of_extras(folder: str, project: dict) -> None:
    of_extras = set[str]().union(*extras(project).values())
    named = {
        argument.value
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "pip_install"
        for argument in node.args
        if isinstance(argument, ast.Constant) and not argument.value.startswith(".")
    } - {"./clients/python"}
    assert {"matplotlib", "pyarrow"} <= named
    assert named - OF_USERS <= of_extras


def test_each_package_of_a_file_format_is_in_an_extra_of_its_own_and_in_the_server() -> None:
    needed = {kind.needs for kind in FORMATS.values() if kind.needs is not None}
    of_one = set[str]().union(*(listed for listed in extras(LIBRARY).values() if len(listed) == 1))
    assert needed <= of_one
    assert needed <= extras(LIBRARY)["server"]


def install_from(url: str | None, site: Path, editable: bool = False) -> None:
    """Metadata in `site`, as pip leaves it, of both distributions installed from this address."""
    for name in ("wdist", "wdist-client"):
        info = site / f"{name.replace('-', '_')}-0.3.0.dist-info"
        info.mkdir(parents=True)
        requires = "Requires-Dist: no-such-package>=1; extra == 'server'\nRequires-Dist: numpy\n"
        (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 0.3.0\n{requires}")
        if url is not None:
            here = url if name == "wdist" else url.replace("wdist-0.3.0", "wdist_client-0.3.0")
            told = {"dir_info": {"editable": editable}} if not url.endswith(".whl") else {"archive_info": {}}
            (info / "direct_url.json").write_text(json.dumps({"url": here, **told}))


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with wheels, in a folder whose name has a space."""
    for path in BUILD:
        (file := tmp_path / "a clone" / path).parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (tmp_path / "a clone/clients/python").mkdir(parents=True)
    return tmp_path / "a clone"


@pytest.mark.parametrize("editable", [False, True])
def test_an_installed_clone_is_where_the_rest_comes_from(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, editable: bool
) -> None:
    install_from(clone.as_uri(), tmp_path / "site", editable)
    monkeypatch.syspath_prepend(tmp_path / "site")
    option = "-e " if editable else ""
    assert installing.install_extra("server").endswith(f'pip install {option}"{clone}[server]"')
    assert installing.install_client().endswith(f'pip install {option}"{clone}/clients/python"')


def test_a_wheel_s_neighbours_are_named(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_from((clone / BUILD[0]).as_uri(), tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert installing.install_extra("server").endswith(f'pip install "{clone / BUILD[0]}[server]"')
    assert installing.install_client().endswith(f'pip install "{clone / BUILD[1]}"')
    assert client.install_library().endswith(f'pip install "{clone / BUILD[0]}"')


@pytest.mark.parametrize("url", [None, "file:///gone/wdist-0.3.0-py3-none-any.whl", "https://example.com/wdist.whl"])
def test_without_the_source_packages_are_named(
    url: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_from(url, tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert installing.install_extra("server").endswith('pip install "no-such-package>=1"')
    assert installing.install_client().endswith("pip install ./clients/python in a clone of wdist's repository")
    assert client.install_library().endswith("pip install . in a clone of its repository")


def test_the_client_s_folder_leads_to_the_library(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_from((clone / "clients/python").as_uri(), tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert client.install_library().endswith(f'pip install "{clone}"')


def test_the_pip_named_is_that_of_this_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = {installing.pip_install("torch>=2", "POT"), client.pip_install("torch>=2", "POT")}
    assert len({each.replace('"', "") for each in said}) == 1
    (python, _, rest) = said.pop().partition(" -m pip install ")
    assert Path(python).samefile(Path(__import__("sys").executable))
    assert rest.replace('"', "") == "torch>=2 POT"
