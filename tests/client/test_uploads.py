"""Files of other formats, and uploads that a broken connection interrupts, against a real server."""

import contextlib
import io
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from server_process import ServerProcess

import wdist_client.uploads
from wdist_client import APIConnectionError, Client

ROWS = np.random.default_rng(0).normal(size=(300, 3))


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(server.url) as connected:
        yield connected


class Cutter:
    """A TCP relay to the server that breaks the first `cuts` connections after they have carried `after` bytes up.

    The server notices `lingers` seconds later than the client.
    """

    def __init__(self, port: int, after: int, cuts: int, lingers: float = 0.0) -> None:
        self._port, self._after, self._left, self._lingers = port, after, cuts, lingers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cut = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return  # closed
            far = socket.create_connection(("127.0.0.1", self._port))
            threading.Thread(target=self._pump, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, False), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        carried = 0
        try:
            while block := source.recv(1 << 16):
                carried += len(block)
                if up and self._left and carried > self._after:
                    self._left -= 1
                    self.cut += 1
                    _end(source)
                    time.sleep(self._lingers)
                    break
                target.sendall(block)
        except OSError:
            pass  # the other direction has closed both
        _end(source)
        _end(target)

    def close(self) -> None:
        self._listener.close()


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)  # close alone waits for the other thread's recv
    connection.close()


def test_images_become_a_set(client: Client, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "digits.zip", "w") as archive:
        for i in range(3):
            picture = io.BytesIO()
            Image.fromarray(np.full((4, 4), i, np.uint8)).save(picture, "png")
            archive.writestr(f"{i}.png", picture.getvalue())
    stored = client.sample_sets.create(tmp_path / "digits.zip")
    assert (stored.shape[:3], np.dtype(stored.dtype)) == ([3, 4, 4], np.uint8)


@pytest.mark.parametrize("cuts", [0, 2])
def test_a_large_file_is_resumed_where_the_connection_broke(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cuts: int
) -> None:
    monkeypatch.setattr(wdist_client.uploads, "RESUMABLE_BYTES", 1 << 20)
    path = tmp_path / "large.npy"
    # Above 2 x 16 MiB: the server keeps an interrupted upload in parts of that size.
    np.save(path, np.random.default_rng(cuts).integers(0, 255, size=(48 << 20, 1), dtype=np.uint8))
    relay = Cutter(server.port, after=20 << 20, cuts=cuts)
    try:
        with Client(relay.url, max_retries=3) as client:
            stored = client.sample_sets.create(path, name="large")
            assert (stored.bytes, stored.name) == (path.stat().st_size, "large")
            assert client.sample_sets.create(path).id == stored.id
    finally:
        relay.close()
    assert relay.cut == cuts


def test_an_upload_goes_on_where_the_server_was_still_storing_when_asked(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wdist_client.uploads, "RESUMABLE_BYTES", 1 << 20)
    path = tmp_path / "large.npy"
    np.save(path, np.random.default_rng(7).integers(0, 255, size=(48 << 20, 1), dtype=np.uint8))
    relay = Cutter(server.port, after=20 << 20, cuts=1, lingers=3.0)  # the offset moves after the client has read it
    try:
        with Client(relay.url, max_retries=3) as client:
            assert client.sample_sets.create(path).bytes == path.stat().st_size
    finally:
        relay.close()
    assert relay.cut == 1


def test_a_connection_that_always_breaks_is_given_up(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wdist_client.uploads, "RESUMABLE_BYTES", 1 << 20)
    relay = Cutter(server.port, after=1500, cuts=100)
    try:
        with Client(relay.url, max_retries=2) as client, pytest.raises(APIConnectionError, match="broke"):
            client.sample_sets.create(np.zeros((2 << 20, 1), np.uint8))
    finally:
        relay.close()
    # Three attempts in vain; a fourth where the array's header, 128 bytes sent before the rest, came through.
    assert relay.cut in (3, 4)
