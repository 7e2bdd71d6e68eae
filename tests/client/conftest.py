"""One real server for all tests of the client that do it no harm."""

from collections.abc import Iterator

import pytest
from server_process import ServerProcess

from wdist_client import Client


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("client_server") / "data") as running:
        yield running


@pytest.fixture(params=["server", "local"])
def address(request: pytest.FixtureRequest) -> str:
    """Where estimates are made: the same tests hold for both."""
    return ":local:" if request.param == "local" else request.getfixturevalue("server").url


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(address) as connected:
        yield connected
