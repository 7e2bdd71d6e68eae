"""The image's steps by hand, as a container engine is not always there: copied, installed, started and asked."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from server_process import ServerProcess

from wdist_client import Client
from wdist_service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
KEY = "wd_" + "0123456789abcdef" * 3


def copied() -> list[str]:
    """What the COPY lines take from the build context."""
    lines = [line.split()[1:-1] for line in DOCKERFILE.splitlines() if re.match(r"COPY (?!--from)", line)]
    return [name for names in lines for name in names]


def stage(name: str) -> str:
    """The instructions of one stage; those of the stages that it begins with are not among them."""
    match = re.search(rf"^FROM \S+ AS {name}$(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    assert match, f"no stage {name} in the Dockerfile"
    return match[1]


def instruction(name: str, stage_name: str) -> list[str]:
    """The JSON list of CMD or ENTRYPOINT."""
    match = re.search(rf"^{name} (\[.*\])$", stage(stage_name), re.MULTILINE)
    assert match, f"no {name} in the stage {stage_name}"
    words: list[str] = json.loads(match[1])
    return words


def health() -> str:
    """The program that the health check runs."""
    match = re.search(r'^    CMD \["python", "-c", "(.*)"\]$', DOCKERFILE, re.MULTILINE)
    assert match, "no HEALTHCHECK in the Dockerfile"
    return match[1]


def test_the_build_context_lets_through_what_is_copied() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert allowed == set(copied())


@pytest.mark.parametrize(
    ("arguments", "index"),
    [
        ({}, "https://download.pytorch.org/whl/cpu"),
        (
            {"PIP_INDEX_URL": "https://pypi.org/simple", "PIP_EXTRA_INDEX_URL": "https://mirror.example/simple"},
            "https://download.pytorch.org/whl/cpu",
        ),
        ({"TORCH": "cu130"}, "https://download.pytorch.org/whl/cu130"),
        ({"TORCH_INDEX_URL": "https://mirror.example/cpu"}, "https://mirror.example/cpu"),
        ({"TORCH_INDEX_URL": ""}, "https://download.pytorch.org/whl/cpu"),
    ],
)
def test_torch_comes_from_its_own_index_whatever_the_others_are(
    arguments: dict[str, str], index: str, tmp_path: Path
) -> None:
    """The step of the build that installs torch, with a pip and a Python that only say how they were called."""
    step = next(text for text in re.findall(r"^RUN (.*?[^\\])$", DOCKERFILE, re.M | re.S) if "torch.txt" in text)
    step = re.sub(r"--mount=\S+", "", step).replace("\\\n", " ")
    for name, script in (("pip", 'echo "$PIP_INDEX_URL|$PIP_EXTRA_INDEX_URL|$*"'), ("python", 'echo "/site"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    step = step.replace("/opt/pip/bin/pip", str(tmp_path / "pip")).replace(
        "/opt/wdist/bin/python", f"{tmp_path}/python"
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "TORCH": "cpu"} | arguments
    done = subprocess.run(
        ["sh", "-c", step], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (torch,) = (line for line in done.stdout.splitlines() if "torch.txt" in line)
    assert torch.startswith("||"), "other indexes are unset for torch"
    assert f"--index-url {index} " in torch
    assert (tmp_path / "torch.txt").read_text().startswith("torch>=")


def test_each_requirement_is_in_one_layer() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    every = [*project["dependencies"], *project["optional-dependencies"]["server"]]
    command = [sys.executable, "deploy/requirements.py"]
    layers = [
        subprocess.run([*command, name], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
        for name in ("api", "torch", "training")
    ]
    assert sorted(line for layer in layers for line in layer) == sorted(every)
    assert [len(layer) for layer in layers[1:]] == [1, 2]


@pytest.mark.parametrize("file", ["compose.yaml", "deploy/compose.cluster.yaml"])
def test_compose_files_name_targets_and_settings_that_exist(file: str) -> None:
    text = (ROOT / file).read_text()
    for target in re.findall(r"^ +target: (\w+)$", text, re.MULTILINE):
        assert stage(target)
    given = set(re.findall(r"WDIST_SERVER_(\w+):", text))
    assert given
    assert {name.lower() for name in given} <= set(Settings.model_fields)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment into which the build stage's files are installed; dependencies come from the tests' own one."""
    context, environment = tmp_path_factory.mktemp("context"), tmp_path_factory.mktemp("environment")
    for name in copied():
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, context / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (context / name).parent.mkdir(exist_ok=True)
            shutil.copy(source, context / name)
    venv.create(environment, symlinks=True)
    # A path in a .pth file brings the packages that lie there, but not its own .pth files: not the editable wdist.
    site = sysconfig.get_path("purelib", vars={"base": str(environment)})
    (Path(site) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin/python"), "install", "-q"]
    command = [*pip, "--no-deps", "--no-build-isolation", "--no-index", str(context)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return environment


@pytest.fixture(scope="module")
def container(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server as the image starts it, on a free port, with its first key from a file."""
    assert DOCKERFILE.rstrip().endswith(stage("server").rstrip()), "docker build without a target makes the server"
    assert instruction("ENTRYPOINT", "runtime") == ["wdist"]
    assert instruction("CMD", "server") == ["serve", "--host", "0.0.0.0", "--port", "8000"]
    assert instruction("CMD", "api") == ["serve", "--host", "0.0.0.0", "--port", "8000", "--workers", "0"]
    assert instruction("CMD", "worker") == ["worker"]
    place = tmp_path_factory.mktemp("container")
    (place / "key").write_text(KEY + "\n")
    environment: dict[str, str | None] = {"WDIST_SERVER_BOOTSTRAP_KEY_FILE": str(place / "key")}
    with ServerProcess(place / "data", ["--host", "0.0.0.0"], environment, command=installed / "bin/wdist") as server:
        yield server


def test_the_installed_packages_are_the_ones_that_run(installed: Path) -> None:
    program = "import wdist, wdist_service; print(wdist.__file__, wdist_service.__file__)"
    command = [installed / "bin/python", "-c", program]
    run = subprocess.run(command, cwd=installed, capture_output=True, text=True, check=True)
    assert all(Path(file).is_relative_to(installed) for file in run.stdout.split())


def test_the_health_check_tells_a_running_server_from_none(container: ServerProcess) -> None:
    for port, code in ((container.port, 0), (9, 1)):
        program = health().replace(":8000", f":{port}")
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
        assert run.returncode == code, run.stderr


def test_the_page_is_in_the_image(container: ServerProcess) -> None:
    with urllib.request.urlopen(container.url) as answer:
        assert answer.headers.get_content_type() == "text/html"


def test_it_answers_only_with_the_key_from_the_file(container: ServerProcess) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{container.url}/v1/estimates")
    generator = np.random.default_rng(0)
    with Client(container.url, api_key=KEY) as client:
        x, y = (client.sample_sets.create(generator.normal(shift, 1, (400, 3))) for shift in (0, 1))
        result = client.estimates.create(x, y, steps=50).wait(timeout=120)
    assert 0 < result.lower_bound < result.value
