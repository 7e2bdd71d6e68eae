"""The paper's image sets, read from the files that their authors publish: MNIST (idx) and CIFAR-10 (binary version)."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wdist.errors import SampleError

Images = NDArray[np.uint8]
Labels = NDArray[np.uint8]

_IDX_BYTES = 8  # the only element type of the files read here: unsigned byte
_CIFAR_RECORD = 1 + 3 * 32 * 32


@dataclass(frozen=True)
class PublishedFile:
    """A file as its authors publish it; md5 as printed beside the download."""

    name: str
    url: str
    md5: str


_MNIST_HOME = "https://ossci-datasets.s3.amazonaws.com/mnist"
FILES: dict[str, list[PublishedFile]] = {
    "mnist": [
        PublishedFile(name, f"{_MNIST_HOME}/{name}", md5)
        for name, md5 in (
            ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
            ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
            ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
        )
    ],
    "cifar10": [
        PublishedFile(
            "cifar-10-binary.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "c32a1d4ab5d03f1284b67883e8d87530",
        )
    ],
}


def read_idx(path: Path) -> NDArray[np.uint8]:
    """An idx file of unsigned bytes, compressed or not (format: LeCun, Cortes, Burges). Raises SampleError."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SampleError(f"{path} cannot be read: {error}; download it again") from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != _IDX_BYTES:
        raise SampleError(f"{path} is not an idx file of unsigned bytes")
    start = 4 + 4 * raw[3]
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(raw[3])]
    if len(raw) != start + int(np.prod(shape)):
        raise SampleError(f"{path} holds {len(raw) - start:,} values, its header says {shape}: download it again")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def read_cifar10(path: Path, *, test: bool) -> tuple[Images, Labels]:
    """Images (n, 32, 32, 3) and labels (n,) of the binary archive, never unpacked to disk. Raises SampleError."""
    wanted = ["test_batch.bin"] if test else [f"data_batch_{i}.bin" for i in range(1, 6)]
    records = []
    try:
        with tarfile.open(path, "r:gz") as archive:
            for name in wanted:
                member = archive.extractfile(f"cifar-10-batches-bin/{name}")
                raw = b"" if member is None else member.read()
                if not raw or len(raw) % _CIFAR_RECORD:
                    raise SampleError(f"{path}: {name} is not a batch of CIFAR-10; download it again")
                records.append(np.frombuffer(raw, np.uint8).reshape(-1, _CIFAR_RECORD))
    except (OSError, EOFError, KeyError, tarfile.TarError, zlib.error) as error:
        raise SampleError(f"{path} is not the binary archive of CIFAR-10: {error}; download it again") from error
    rows = np.concatenate(records)
    return np.ascontiguousarray(rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), rows[:, 0].copy()


def load_images(name: str, folder: Path, *, test: bool) -> tuple[Images, Labels]:
    """Images (n, h, w) or (n, h, w, 3) uint8 and labels (n,) uint8 of 'mnist' or 'cifar10', from their published files.

    folder: holds the files, or folders named mnist and cifar10 that hold them. Raises SampleError where they are not.
    """
    paths = [_find(folder, name, file.name) for file in FILES[name]]
    if name == "cifar10":
        return read_cifar10(paths[0], test=test)
    images, labels = (read_idx(path) for path in (paths[2:] if test else paths[:2]))
    if len(images) != len(labels):
        raise SampleError(f"{folder}: {len(images):,} images have {len(labels):,} labels; download the files again")
    return images, labels


def unpublished_files(name: str, folder: Path) -> list[str]:
    """Names of the files of a data set whose checksum differs from the published one."""
    return [file.name for file in FILES[name] if _md5(_find(folder, name, file.name)) != file.md5]


def _find(folder: Path, name: str, file: str) -> Path:
    for path in (folder / file, folder / name / file):
        if path.exists():
            return path
    raise SampleError(f"{file} is neither in {folder} nor in {folder / name}; `wdist reproduce fetch` downloads it")


def fetch(name: str, folder: Path) -> list[Path]:
    """Download the published files of 'mnist' or 'cifar10' into folder/name, except those with the right checksum.

    Raises SampleError when a download fails or has another checksum; no partial file is left behind.
    """
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    found = []
    for file in FILES[name]:
        path = target / file.name
        if not path.exists() or _md5(path) != file.md5:
            _download(file, path)
        found.append(path)
    return found


def _download(file: PublishedFile, path: Path) -> None:
    partial = path.with_suffix(".part")
    try:
        with urllib.request.urlopen(file.url, timeout=60) as answer, partial.open("wb") as out:  # noqa: S310 - https
            while block := answer.read(1 << 20):
                out.write(block)
        if (found := _md5(partial)) != file.md5:
            raise SampleError(f"{file.url} has the checksum {found}, not {file.md5}: nothing was kept")
        partial.replace(path)
    except (OSError, urllib.error.URLError) as error:
        raise SampleError(f"{file.url} cannot be downloaded: {error}; put {file.name} into {path.parent}") from error
    finally:
        partial.unlink(missing_ok=True)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
