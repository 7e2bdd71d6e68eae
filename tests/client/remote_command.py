"""`wdist remote` in a folder with three small files, on the server of the tests."""

from pathlib import Path

import numpy as np
import pytest
from server_process import ServerProcess

from wdist_client.command import main

QUICK = ("--critic", "affine", "--steps", "1", "--baseline-rows", "0")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    for k, name in enumerate("xyz"):
        np.save(folder / f"{name}.npy", np.random.default_rng(k).normal(size=(400, 2)) + k)
    return folder


@pytest.fixture(autouse=True)
def at_the_server(server: ServerProcess, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WDIST_BASE_URL", server.url)
    monkeypatch.chdir(files)


class Ran:
    """One command: what it printed, and its exit status."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        self.status = main(arguments)
        self.out, self.err = capsys.readouterr()

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()
