"""Fixtures for the tests that need servers: one that all share, and ones that a test may kill."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from postgres_process import PostgresServer, postgres
from s3_process import S3Server, s3
from service_process import Server, normal
from stores import LOCAL, SHARED, Stores


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of servers run with the stores that --stores names; marks on a test say which of them it is for."""
    if "stores" not in metafunc.fixturenames:
        return
    asked = metafunc.config.getoption("stores")
    kinds = {"local": [LOCAL], "shared": [SHARED], "both": [LOCAL, SHARED]}[asked]
    if metafunc.definition.get_closest_marker("local_stores"):
        kinds = [LOCAL]
    elif metafunc.definition.get_closest_marker("shared_stores"):
        kinds = [SHARED]
    elif metafunc.definition.get_closest_marker("both_stores"):
        kinds = [LOCAL, SHARED]
    metafunc.parametrize("stores", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with postgres() as running:
        yield running


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with s3() as running:
        yield running


@pytest.fixture(scope="session")
def stores(request: pytest.FixtureRequest) -> Stores:
    """Database and storage of the servers in a test."""
    if request.param == LOCAL:
        return Stores(LOCAL, dict)
    database: PostgresServer = request.getfixturevalue("postgres_server")
    objects: S3Server = request.getfixturevalue("s3_server")
    return Stores(SHARED, lambda: {"database_url": database.new_database(), **objects.settings()})


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, stores: Stores) -> Iterator[Server]:
    """One server for all tests that do no harm to it."""
    data = tmp_path_factory.mktemp("server") / "data"
    with Server(data, environment={"WDIST_SERVER_MAX_UPLOAD_BYTES": "2000000", **stores.environment()}) as running:
        yield running
    assert running.process is not None
    assert running.process.returncode == 0


@pytest.fixture(scope="module")  # of the session, it once outlived its server: "there is no sample set"
def pair(server: Server) -> tuple[str, str]:
    """Two sets that differ by a shift of 1 in each of 3 columns: W1 = sqrt(3)."""
    return server.upload(normal(1), name="source"), server.upload(normal(2, shift=1.0), name="target")


@pytest.fixture
def own_server(tmp_path: Path, stores: Stores) -> Iterator[Callable[..., Server]]:
    """Starts servers that a test may kill: own_server("--workers", "0", beat_seconds="0.5")."""
    servers: list[Server] = []

    def make(*arguments: str, **settings: str) -> Server:
        environment = stores.environment()
        environment |= {f"WDIST_SERVER_{name.upper()}": value for name, value in settings.items()}
        servers.append(Server(tmp_path / f"data{len(servers)}", arguments, environment))
        return servers[-1].start()

    yield make
    for running in servers:
        running.kill()
