"""One real server for all tests of the client that do it no harm."""

from collections.abc import Iterator

import pytest
from server_process import ServerProcess


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("client_server") / "data") as running:
        yield running
