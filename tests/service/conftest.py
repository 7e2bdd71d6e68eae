"""Servers that the tests of the service share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from service_process import Server, normal


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that do no harm to it."""
    data = tmp_path_factory.mktemp("server") / "data"
    with Server(data, environment={"WDIST_SERVER_MAX_UPLOAD_BYTES": "2000000"}) as running:
        yield running
    assert running.process is not None
    assert running.process.returncode == 0


@pytest.fixture(scope="session")
def pair(server: Server) -> tuple[str, str]:
    """Two sets that differ by a shift of 1 in each of 3 columns: W1 = sqrt(3)."""
    return server.upload(normal(1), name="source"), server.upload(normal(2, shift=1.0), name="target")


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers that a test may kill: own_server("--workers", "0", beat_seconds="0.5")."""
    servers: list[Server] = []

    def make(*arguments: str, **settings: str) -> Server:
        environment: dict[str, str | None] = {f"WDIST_SERVER_{name.upper()}": value for name, value in settings.items()}
        servers.append(Server(tmp_path / f"data{len(servers)}", arguments, environment))
        return servers[-1].start()

    yield make
    for running in servers:
        running.kill()
