"""A clock of the machine that steps, for processes of a test."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("stepping_clock.c")


class Clock:
    """The clock of the processes that are started with `environment`."""

    def __init__(self, folder: Path) -> None:
        if (compiler := shutil.which("cc")) is None:
            pytest.skip("no C compiler on this machine")
        library = folder / "stepping_clock.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], check=True)
        self._file = folder / "clock"
        self._file.write_bytes(struct.pack("l", 0))
        self.environment: dict[str, str | None] = {
            "LD_PRELOAD": str(library), "WDIST_TEST_CLOCK": str(self._file),
        }  # fmt: skip

    def step(self, seconds: int) -> None:
        with self._file.open("r+b") as file, mmap.mmap(file.fileno(), 0) as page:
            page[:8] = struct.pack("l", struct.unpack("l", page[:8])[0] + seconds)
