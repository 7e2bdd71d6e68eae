"""Data arguments of the command line: a path, - for standard input, or the id of a stored set."""

from __future__ import annotations

import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wdist_client.errors import OptionError

MAGIC = {b"\x93NUMPY": ".npy", b"PAR1": ".parquet"}


@contextmanager
def data(text: str) -> Iterator[str | Path]:
    """An id, a path, or a temporary file with the contents of standard input."""
    if text != "-":
        yield text if text.startswith("ss_") and not Path(text).exists() else Path(text)
        return
    if sys.stdin.isatty():
        raise OptionError("- reads standard input, which is your terminal: redirect a file or a pipe to it")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stdin"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield path.rename(path.with_suffix(ending(path)))


def ending(path: Path) -> str:
    """The extension for a file without a name, from its first bytes. The default is CSV."""
    with path.open("rb") as file:
        start = file.read(6)
    for magic, found in MAGIC.items():
        if start.startswith(magic):
            return found
    if start.startswith(b"PK"):
        with zipfile.ZipFile(path) as archive:
            return ".npz" if all(name.endswith(".npy") for name in archive.namelist()) else ".zip"
    return ".csv"
