"""deploy/compose.cluster.yaml by hand, as no container engine is at hand: its commands in its environment alone."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from postgres_process import PostgresServer
from s3_process import S3Server
from server_process import free_port
from service_process import npy

pytestmark = [pytest.mark.slow, pytest.mark.shared_stores]
ROOT = Path(__file__).resolve().parents[2]
KEY = "wd_" + "0123456789abcdef" * 3


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services as compose sees them, with the values of the example file."""
    command = [Path(sys.executable).with_name("docker-compose"), "-f", "deploy/compose.cluster.yaml"]
    command += ["--env-file", "deploy/cluster.env.example", "config", "--format", "json"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    found: dict[str, Any] = json.loads(told.stdout)["services"]
    return found


def command_of(target: str) -> list[str]:
    """ENTRYPOINT and CMD of an image."""
    stage = re.search(rf"^FROM runtime AS {target}$(.*?)(?=^FROM |\Z)", (ROOT / "Dockerfile").read_text(), re.M | re.S)
    assert stage
    words: list[str] = json.loads(re.search(r"^CMD (\[.*\])$", stage[1], re.M)[1])  # type: ignore[index]
    return [str(Path(sys.executable).with_name("wdist")), *words]


def test_the_processes_of_the_file_serve_as_one(
    services: dict[str, Any], postgres_server: PostgresServer, s3_server: S3Server, tmp_path: Path
) -> None:
    given = services["worker"]["environment"]
    bucket = given["WDIST_SERVER_STORAGE_URL"].removeprefix("s3://")
    assert f"s3.bucket.create -name {bucket}" in services["bucket"]["command"][0]
    request = urllib.request.Request(f"{s3_server.endpoint}/{bucket}", method="PUT")
    urllib.request.urlopen(request, timeout=10).close()
    (tmp_path / "bootstrap_key").write_text(KEY + "\n")
    (tmp_path / "hash_secret").write_text("5" * 64 + "\n")
    addresses = {
        given["WDIST_SERVER_DATABASE_URL"]: postgres_server.new_database(),
        given["WDIST_SERVER_STORAGE_ENDPOINT"]: s3_server.endpoint,
        **{f"/run/secrets/{name}": str(tmp_path / name) for name in ("bootstrap_key", "hash_secret")},
    }
    ports = [free_port(), free_port()]
    with ExitStack() as running:
        for name in ("api", "worker"):
            assert services[name]["deploy"]["replicas"] == 2
            for number in range(2):
                data = tmp_path / f"{name}{number}"
                data.mkdir()
                environment = {k: addresses.get(v, v) for k, v in services[name]["environment"].items()}
                environment |= {
                    "PATH": os.environ["PATH"],
                    "WDIST_SERVER_DATA": str(data),
                    "OMP_WAIT_POLICY": "passive",
                }
                command = [str(ports[number]) if word == "8000" else word for word in command_of(name)]
                running.enter_context(Process(command, environment, data))
        _answer(ports)
        headers = {"Authorization": f"Bearer {KEY}"}
        one, other = (
            running.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60))
            for port in ports
        )
        rows = np.random.default_rng(0).normal(size=(2, 300, 3)).astype(np.float32)
        x, y = (
            host.post("/v1/sample-sets", content=npy(s)).json()["id"]
            for host, s in ((one, rows[0]), (other, rows[1] + 1))
        )
        estimate = one.post("/v1/estimates", json={"source": x, "target": y, "steps": 50}).json()["id"]
        deadline = time.monotonic() + 120
        while (found := other.get(f"/v1/estimates/{estimate}").json())["status"] not in ("succeeded", "failed"):
            assert time.monotonic() < deadline, found
            time.sleep(0.2)
        assert found["status"] == "succeeded", found["error"]
        assert other.get("/readyz").json()["workers"]["fresh"] == 2
        assert httpx.get(f"http://127.0.0.1:{ports[0]}/v1/estimates").status_code == 401


class Process:
    """A process that ends by itself, with exit code 0, within the grace period once it is asked to."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self._log = (folder.parent / f"{folder.name}.log").open("wb")
        self._process = subprocess.Popen(command, env=environment, cwd=folder, stdout=self._log, stderr=self._log)

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            assert self._process.wait(30) == 0 or kind is not None
        finally:
            self._process.kill()
            self._log.close()


def _answer(ports: list[int]) -> None:
    """Wait until all APIs are ready, as the image's health check asks."""
    deadline = time.monotonic() + 90
    for port in ports:
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=4).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline
            time.sleep(0.2)
