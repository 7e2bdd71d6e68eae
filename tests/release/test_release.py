"""Both distributions as a user gets them: built, unpacked and built again, installed into a bare environment, tried."""

from __future__ import annotations

import email
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import wdist
import wdist_client

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"wdist": ROOT, "wdist_client": ROOT / "clients/python"}
SIDE_FILES = {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO", ".gitignore"}  # at the root of an sdist
CONTENTS = {
    "wdist": SIDE_FILES | {"wdist", "service", "CHANGELOG.md", "constraints.txt"},
    "wdist_client": SIDE_FILES | {"wdist_client"},
}
PACKAGES = {"wdist": ["wdist", "service/wdist_service"], "wdist_client": ["wdist_client"]}
FILE_LIMIT = 100_000  # bytes; weights in docs/paper have 650,000 and more
LARGE_FILES = {"swagger-ui-bundle.js", "swagger-ui.css"}  # the API's own page, which needs no network


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that must succeed, and that must not see the checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(folder: Path, target: str, to: Path) -> Path:
    """The one file that the build leaves in `to`."""
    run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", to, cwd=folder)
    (made,) = to.iterdir()
    return made


@dataclass(frozen=True)
class Built:
    """One distribution: its import package's name, the sdist, the tree's wheel, and the wheel made from the sdist."""

    name: str
    sdist: Path
    wheel: Path
    wheel_of_sdist: Path

    def sdist_names(self) -> set[str]:
        """Paths below the sdist's one folder."""
        with tarfile.open(self.sdist) as tar:
            return {member.name.partition("/")[2] for member in tar if member.isfile()}


def content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Built]:
    made = {}
    for name, folder in FOLDERS.items():
        place = tmp_path_factory.mktemp(name)
        sdist = build(folder, "sdist", place / "sdist")
        with tarfile.open(sdist) as tar:
            tar.extractall(place / "unpacked", filter="data")
        (unpacked,) = (place / "unpacked").iterdir()
        wheel_of_sdist = build(unpacked, "wheel", place / "again")
        made[name] = Built(name, sdist, build(folder, "wheel", place / "wheel"), wheel_of_sdist)
    return made


@pytest.fixture(params=FOLDERS)
def built(request: pytest.FixtureRequest, distributions: dict[str, Built]) -> Built:
    return distributions[request.param]


@pytest.fixture(scope="module")
def programs(distributions: dict[str, Built], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment with both wheels; dependencies come from the tests' own one."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, symlinks=True)
    # A path in a .pth file brings the packages that lie there, but not its own .pth files: not the editable wdist.
    site = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", environment / "bin/python", "install", "-q"]
    wheels = [built.wheel for built in distributions.values()]
    # --ignore-installed: pip sees the tests' own wdist through the .pth file, and must not take it for this one.
    run(*pip, "--no-deps", "--no-index", "--ignore-installed", *wheels, cwd=environment)
    return environment / "bin"


def test_an_sdist_has_what_a_build_needs_and_no_more(built: Built) -> None:
    names = built.sdist_names()
    assert {name.partition("/")[0] for name in names} == CONTENTS[built.name]
    with tarfile.open(built.sdist) as tar:
        large = {Path(member.name).name for member in tar if member.size > FILE_LIMIT}
    assert large == (LARGE_FILES if built.name == "wdist" else set())


def test_an_sdist_has_every_file_of_its_packages(built: Built) -> None:
    folder = FOLDERS[built.name]
    files = {
        path.relative_to(folder).as_posix()
        for package in PACKAGES[built.name]
        for path in (folder / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files <= built.sdist_names()


def test_the_wheel_of_the_sdist_is_that_of_the_tree(built: Built) -> None:
    assert content(built.wheel_of_sdist) == content(built.wheel)


def test_a_wheel_names_its_version_and_has_license_and_types(built: Built) -> None:
    files = content(built.wheel)
    assert wdist.__version__ == wdist_client.__version__
    info = f"{built.name}-{wdist.__version__}.dist-info"
    metadata = email.message_from_bytes(files[f"{info}/METADATA"])
    assert metadata["Version"] == wdist.__version__
    assert files[f"{info}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert {f"{Path(package).name}/py.typed" for package in PACKAGES[built.name]} <= set(files)


@pytest.mark.parametrize("package", ["wdist", "wdist_service", "wdist_client"])
def test_the_installed_packages_are_those_of_the_wheels(programs: Path, tmp_path: Path, package: str) -> None:
    where = run(programs / "python", "-c", f"import {package}; print({package}.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(programs.parent)


def test_the_command_tells_its_version(programs: Path, tmp_path: Path) -> None:
    assert run(programs / "wdist", "--version", cwd=tmp_path) == f"wdist {wdist.__version__}\n"


def test_the_installed_command_estimates(programs: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for shift, name in enumerate(("a.npy", "b.npy")):
        np.save(tmp_path / name, generator.normal(3 * shift, 1, (200, 2)))
    command = [programs / "wdist", "estimate", "a.npy", "b.npy", "--steps", "1", "--seed", "0"]
    assert "W1" in run(*command, cwd=tmp_path)


@pytest.mark.parametrize(
    "command", [["python", "-m", "wdist.verify", "--help"], ["wdist-remote", "--help"], ["wdist", "remote", "--help"]]
)
def test_the_installed_programs_tell_their_usage(programs: Path, tmp_path: Path, command: list[str]) -> None:
    assert run(programs / command[0], *command[1:], cwd=tmp_path).lower().startswith("usage: ")
