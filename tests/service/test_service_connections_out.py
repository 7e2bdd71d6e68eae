"""No process connects to anything that the operator did not name: seen by strace in every process, at the kernel."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from server_process import ServerProcess
from stores import Stores
from webhook_receiver import Receiver

_OPTIONS = "-f --seccomp-bpf -qq -s 400 -e signal=none -e trace=execve,connect,sendto,sendmsg"
_ADDRESS = re.compile(
    r'sa_family=AF_INET6?, sin6?_port=htons\((\d+)\)[^}]*?inet_(?:addr|pton)\((?:AF_INET6, )?"([^"]+)"'
)
_CLIENT = """
import sys
import numpy as np
from wdist_client import Client

with Client(sys.argv[1]) as client:
    source = client.sample_sets.create(np.random.default_rng(0).normal(size=(12_000, 3)))
    target = client.sample_sets.create("target.csv")
    job = client.estimates.create(source, target, critic="groupsort", steps=20, seed=0)
    result = job.wait(timeout=120)
    result.critic.evaluate(source)
    result.critic.evaluate(np.zeros((5, 3)))
    client.batches.matrix([source, target], critic="affine", steps=5).wait(timeout=120)
"""


class Trace:
    """Runs commands under strace, whose report says where each of their processes connected to."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("strace")
        if program is None:
            pytest.skip("no strace on this machine; apt-get install strace")
        self._report = folder / "report"
        self._before = [program, *_OPTIONS.split(), "-o", str(self._report), "-D"]
        self.folder = folder

    def command(self, *command: str) -> list[str]:
        return [*self._before, *command]

    def program(self, *command: str) -> Path:
        """A program that is `command` under strace."""
        path = self.folder / "traced"
        path.write_text(f'#!/bin/sh\nexec {" ".join(self.command(*command))} "$@"\n')
        path.chmod(0o755)
        return path

    def run(self, *command: str) -> None:
        done = subprocess.run(self.command(*command), capture_output=True, text=True, cwd=self.folder, check=False)
        assert done.returncode == 0, done.stderr

    @property
    def text(self) -> str:
        return self._report.read_text(errors="replace")

    def addresses(self) -> set[tuple[str, int]]:
        return {(address, int(port)) for port, address in _ADDRESS.findall(self.text)}


@pytest.fixture
def trace(tmp_path: Path) -> Callable[[str], Trace]:
    def make(name: str) -> Trace:
        (tmp_path / name).mkdir()
        return Trace(tmp_path / name)

    return make


def test_a_connection_would_be_seen(trace: Callable[[str], Trace]) -> None:
    # Connecting a UDP socket sends nothing.
    code = "import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('192.0.2.1', 9))"
    seen = trace("seen")
    seen.run("sh", "-c", f'{sys.executable} -c "{code}"')
    assert seen.addresses() == {("192.0.2.1", 9)}


@pytest.mark.slow
@pytest.mark.both_stores
def test_nothing_connects_elsewhere(trace: Callable[[str], Trace], stores: Stores) -> None:
    service, client = trace("service"), trace("client")
    environment = stores.environment()
    wdist = str(Path(sys.executable).with_name("wdist"))
    with ServerProcess(service.folder / "data", environment=environment, command=service.program(wdist)) as running:
        rows = np.random.default_rng(1).normal(1.0, size=(500, 3))
        np.savetxt(client.folder / "target.csv", rows, delimiter=",")
        (client.folder / "work.py").write_text(_CLIENT)
        client.run(sys.executable, "work.py", running.url)
        own = ("127.0.0.1", running.port)
        assert client.addresses() == {own}
    for process in ("processes.api", "worker", "wdist_service.worker.trainer", "wdist_service.decoding"):
        assert re.search(rf'execve\(.*{re.escape(process)}"', service.text), f"{process} was not followed"
    named = {
        environment[name] for name in ("WDIST_SERVER_DATABASE_URL", "WDIST_SERVER_STORAGE_ENDPOINT") if environment
    }
    stores_at = {("127.0.0.1", urlsplit(str(url)).port) for url in named}
    assert service.addresses() - {own} == stores_at


@pytest.mark.slow
@pytest.mark.local_stores
def test_a_webhook_is_the_one_address_that_is_added(
    trace: Callable[[str], Trace], stores: Stores, tmp_path: Path
) -> None:
    service = trace("service")
    environment = {**stores.environment(), "WDIST_SERVER_WEBHOOK_PRIVATE": '["127.0.0.0/8"]'}
    command = service.program(str(Path(sys.executable).with_name("wdist")))
    with (
        Receiver(tmp_path) as receiver,
        ServerProcess(service.folder / "data", environment=environment, command=command) as running,
        httpx.Client(base_url=running.url) as client,
    ):
        wanted = {"url": receiver.url("/redirect"), "events": ["batch.finished"]}
        webhook = client.post("/v1/webhooks", json=wanted).json()["id"]
        assert client.post(f"/v1/webhooks/{webhook}/test").status_code == 202
        receiver.until("/redirect")
        added = ("127.0.0.1", receiver.port)
    assert service.addresses() - {("127.0.0.1", running.port)} == {added}


def test_the_library_connects_to_nothing(trace: Callable[[str], Trace]) -> None:
    library = trace("library")
    for seed, name in enumerate(("a.npy", "b.npy")):
        np.save(library.folder / name, np.random.default_rng(seed).normal(size=(200, 2)))
    library.run(str(Path(sys.executable).with_name("wdist")), "estimate", "a.npy", "b.npy", "--steps", "1")
    assert library.addresses() == set()
