"""The published files of MNIST and CIFAR-10 are read as they are; damaged and missing ones are named."""

import gzip
import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from idx_files import idx

from wdist.errors import SampleError
from wdist.paper import datasets
from wdist.paper.datasets import PublishedFile, fetch, load_images, read_idx


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three training and two test images of either set, in the published formats."""
    generator = np.random.default_rng(0)
    (tmp_path / "mnist").mkdir()
    for part, n in (("train", 3), ("t10k", 2)):
        images, labels = generator.integers(0, 256, (n, 28, 28), np.uint8), np.arange(n, dtype=np.uint8)
        (tmp_path / "mnist" / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(images))
        (tmp_path / "mnist" / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(labels))
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for k, name in enumerate([*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]):
            image = np.zeros((3, 32, 32), np.uint8)
            image[1, 2, 5] = 200 + k  # green, row 2, column 5
            raw = bytes([k]) + image.tobytes()
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    return tmp_path


def test_mnist(folder: Path) -> None:
    images, labels = load_images("mnist", folder, test=False)
    assert images.shape == (3, 28, 28)
    assert labels.tolist() == [0, 1, 2]
    assert len(load_images("mnist", folder / "mnist", test=True)[0]) == 2


def test_cifar10(folder: Path) -> None:
    images, labels = load_images("cifar10", folder, test=False)
    assert images.shape == (5, 32, 32, 3)
    assert images[3, 2, 5].tolist() == [0, 203, 0]
    assert labels.tolist() == [0, 1, 2, 3, 4]
    assert load_images("cifar10", folder, test=True)[1].tolist() == [5]


def test_missing_and_damaged_files_are_named(folder: Path) -> None:
    with pytest.raises(SampleError, match=r"train-images-idx3-ubyte\.gz is neither in"):
        load_images("mnist", folder / "elsewhere", test=False)
    path = folder / "mnist" / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(SampleError, match="cannot be read"):
        read_idx(path)
    path.write_bytes(gzip.compress(gzip.decompress(whole)[:-1]))
    with pytest.raises(SampleError, match=r"2,351 values, its header says \[3, 28, 28\]"):
        read_idx(path)
    (folder / "cifar-10-binary.tar.gz").write_bytes(b"no archive")
    with pytest.raises(SampleError, match="not the binary archive"):
        load_images("cifar10", folder, test=True)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """A web server of this machine in the place of the publisher's."""
    content = {"/good": b"as published", "/altered": b"as altered"}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in content else 404)
            self.end_headers()
            self.wfile.write(content.get(self.path, b""))

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}"
    sum_of_good = hashlib.md5(content["/good"], usedforsecurity=False).hexdigest()
    files = {name: [PublishedFile("file", f"{home}/{name}", sum_of_good)] for name in ("good", "altered", "gone")}
    monkeypatch.setattr(datasets, "FILES", files)
    yield content
    server.shutdown()
    server.server_close()


def test_downloads_are_kept_only_with_their_checksum(site: dict[str, bytes], tmp_path: Path) -> None:
    (path,) = fetch("good", tmp_path)
    assert path.read_bytes() == b"as published"
    site["/good"] = b"gone since"
    assert fetch("good", tmp_path) == [path], "what is there is not asked for again"
    for name, message in (("altered", "checksum"), ("gone", "cannot be downloaded.*put file into")):
        with pytest.raises(SampleError, match=message):
            fetch(name, tmp_path)
        assert list((tmp_path / name).iterdir()) == []
