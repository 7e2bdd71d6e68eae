"""The compose files, really run: `make test-images`, where docker or podman answers on its socket.

All is as the files have it, but for the ports. Images of PostgreSQL and of the store come from their registry, those of
wdist from `make images`, or under WDIST_IMAGES_TAG if that is set. DOCKER_HOST names another socket than docker's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from server_process import free_port

from wdist_client import Client

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = Path(sys.executable).with_name("docker-compose")
KEY = "wd_" + "0123456789abcdef" * 3
TAG = os.environ.get("WDIST_IMAGES_TAG", "local")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_600)]


@pytest.fixture(scope="module")
def engine() -> None:
    asked = subprocess.run([COMPOSE, "ls"], capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        pytest.skip("no container engine on this machine")
    if "WDIST_IMAGES_TAG" not in os.environ:
        subprocess.run([sys.executable, ROOT / "tools/images.py"], check=True)


@dataclass(frozen=True)
class Project:
    """One compose file with an override, in a folder of its own."""

    words: Sequence[str | Path]

    def run(self, *words: str) -> str:
        done = subprocess.run([*self.words, *words], capture_output=True, text=True, check=False, timeout=900)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout


@contextmanager
def project(file: str, folder: Path, override: str, environment: str = "") -> Iterator[Project]:
    (folder / "bootstrap.key").write_text(KEY + "\n")
    (folder / "hash_secret.key").write_text("0123456789abcdef" * 4)
    for secret in folder.glob("*.key"):
        secret.chmod(0o644)
    (folder / "override.yaml").write_text(f"services:\n{override}")
    (folder / "env").write_text(environment)
    words = [COMPOSE, "--project-directory", folder, "-p", "wdist-test", "--env-file", folder / "env"]
    this = Project([*words, "-f", ROOT / file, "-f", folder / "override.yaml"])
    pull = [*this.words, "pull", "--policy", "missing", "--ignore-buildable"]  # the cluster's database and store
    if subprocess.run(pull, check=False).returncode:
        pytest.skip(f"images that {file} takes from a registry cannot be had on this machine")
    try:
        this.run("up", "--no-build", "--wait", "--wait-timeout", "300")
        yield this
    finally:
        subprocess.run([*this.words, "logs", "--tail", "20"], check=False)  # shown where a test fails
        this.run("down", "--volumes", "--timeout", "30")


def estimate(port: int) -> float:
    generator = np.random.default_rng(0)
    with Client(f"http://127.0.0.1:{port}", api_key=KEY) as client:
        x, y = (client.sample_sets.create(generator.normal(shift, 1, (400, 3))) for shift in (0, 1))
        return client.estimates.create(x, y, steps=50).wait(timeout=200).lower_bound


def finished(port: int) -> list[str]:
    with Client(f"http://127.0.0.1:{port}", api_key=KEY) as client:
        return [job.id for job in client.estimates.list()]


def test_one_machine(engine: None, tmp_path: Path) -> None:
    port = free_port()
    override = f'  server: {{image: "wdist:{TAG}", ports: !override ["127.0.0.1:{port}:8000"]}}'
    with project("compose.yaml", tmp_path, override) as running:
        assert estimate(port) > 0
        before = finished(port)
        running.run("restart")
        running.run("up", "--no-build", "--wait", "--wait-timeout", "120")
        assert finished(port) == before


def test_several_hosts(engine: None, tmp_path: Path) -> None:
    ports = '!override ["127.0.0.1::8000"]'  # podman refuses a range for the replicas
    override = f'  api: {{image: "wdist-api:{TAG}", ports: {ports}}}\n  worker: {{image: "wdist-worker:{TAG}"}}\n'
    environment = "POSTGRES_PASSWORD=password1\nSTORE_ACCESS_KEY=wdist\nSTORE_SECRET_KEY=secret12345\n"
    with project("deploy/compose.cluster.yaml", tmp_path, override, environment) as running:
        rows = [json.loads(line) for line in running.run("ps", "--format", "json").splitlines()]
        ports = sorted({each["PublishedPort"] for row in rows for each in row["Publishers"] if each["PublishedPort"]})
        assert len(ports) == 2
        assert estimate(ports[0]) > 0
        assert finished(ports[0]) == finished(ports[1])
