"""What a trainer process does for an evaluation (worker/trainer.py): all rows, part by part, into one .npy file."""

from __future__ import annotations

import hashlib
import io
import json
import resource
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wdist.data.readers.npy import open_npy
from wdist.data.tables.writer import npy_header
from wdist.errors import Stopped, WdistError
from wdist.verify import read_critic
from wdist_service.evaluations.coding import encoding_of, schema_of

_PART_SECONDS = 5.0  # target time of one part, after which the job may stop
_FIRST_ROWS, _MOST_ROWS = 1_000, 200_000
_MEMORY_BYTES = 4 << 30  # of one part
_GROWTH = 1.25  # of the result between two checkpoints: all of them together have five times its bytes
_DIGEST_BYTES = hashlib.sha256().digest_size
Array = NDArray[np.float64]


class Invalid(WdistError):  # noqa: N818 - the job's error has its name as its type
    """The critic cannot be evaluated on these rows."""


def run(
    job: dict[str, Any],
    directory: Path,
    on_progress: Callable[[dict[str, Any]], None],
    should_stop: Callable[[], bool],
    should_finish: Callable[[], bool],
) -> Generator[Any, None, dict[str, Any]]:
    """Write values.npy (rows,) or gradient.npy (rows, ...), float64; returns the file's `bytes`.

    It reads the critic with the reader of wdist.verify. Raises Stopped, and Invalid if the rows do not fit the critic.
    """
    yield from ()  # no trainings
    what = "gradient" if job["options"]["gradient"] else "values"
    try:
        rows, evaluate = _opened(job, directory.parent / "critic", what)
        result = GrowingResult(directory / f"{what}.npy", Path(job["checkpoint"]), len(rows))
        size = _FIRST_ROWS
        while result.done < len(rows):
            if should_stop():
                result.save()
                raise Stopped("the evaluation was stopped")
            started = time.monotonic()
            try:
                with limited_memory(_MEMORY_BYTES):
                    part = evaluate(rows[result.done : result.done + size])
            except MemoryError:
                if size == 1:
                    raise
                size = max(1, size // 4)
                continue
            result.add(part)
            on_progress({"done": result.done, "rows": len(rows)})
            if result.has_grown:
                result.save()
            seconds = max(0.1, time.monotonic() - started)
            size = min(_MOST_ROWS, max(1, int(size * min(8.0, _PART_SECONDS / seconds))))
    except ValueError as error:  # includes SampleError and CertificateError
        raise Invalid(str(error)[:1000]) from error
    return {"bytes": result.path.stat().st_size}


def _opened(job: dict[str, Any], folder: Path, what: str) -> tuple[NDArray[Any], Callable[[NDArray[Any]], Array]]:
    """The rows of the set, and f or its gradient as a function of a part of them."""
    folder.mkdir(exist_ok=True)
    files = {name: Path(path) for name, path in job["files"].items()}
    for name in files.keys() - {"rows"}:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(files[name])
    critic = read_critic(folder)
    known = job["described"]["rows"]
    encoding = encoding_of(json.loads(files["critic.json"].read_text()))
    schema = schema_of(encoding, known["shape"], known["columns"], known["table"], known["name"])
    function = critic.gradient if what == "gradient" else critic.evaluate
    rows = open_npy(files["rows"], "rows")
    if encoding is None or schema is None:
        return rows, function
    return rows, lambda part: function(encoding.rows(part, schema))


class GrowingResult:
    """An .npy file of float64 to which rows are added. It goes on from a checkpoint if there is an intact one."""

    def __init__(self, path: Path, checkpoint: Path, rows: int) -> None:
        self.path = path
        self.done = 0  # rows that are in the file
        self._checkpoint = checkpoint
        self._rows = rows
        self._digest = hashlib.sha256()
        self._saved = 0  # rows that are in the checkpoint
        with suppress(OSError, ValueError):
            self._go_on()

    @property
    def has_grown(self) -> bool:
        """Whether the file has grown enough for another checkpoint; the finished one needs none."""
        return self._saved * _GROWTH <= self.done < self._rows

    def add(self, part: Array) -> None:
        """Append values (n,) or gradients (n, ...)."""
        with self.path.open("ab" if self.done else "wb") as file:
            if self.done == 0:
                self._write(file, npy_header(part.dtype, (self._rows, *part.shape[1:])))
            self._write(file, np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
        self.done += len(part)

    def save(self) -> None:
        """Write the file so far and its sha256 as the checkpoint, in place of the one before."""
        if self.done == self._saved:
            return
        new = self._checkpoint.with_suffix(".copy")
        shutil.copyfile(self.path, new)
        with new.open("ab") as file:
            file.write(self._digest.digest())
        new.replace(self._checkpoint)
        self._saved = self.done

    def _write(self, file: io.BufferedWriter, data: bytes | memoryview) -> None:
        file.write(data)
        self._digest.update(data)

    def _go_on(self) -> None:
        """Begin with the checkpoint. Raises OSError or ValueError if there is none or it is damaged."""
        shutil.copyfile(self._checkpoint, self.path)
        with self.path.open("r+b") as file:
            end = file.seek(-_DIGEST_BYTES, io.SEEK_END)
            expected = file.read()
            file.truncate(end)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256")
            if digest.digest() != expected:
                raise ValueError("the checkpoint is damaged")
            file.seek(0)
            np.lib.format.read_magic(file)
            (rows, *shape), _, dtype = np.lib.format.read_array_header_1_0(file)
            if rows != self._rows:
                raise ValueError("the checkpoint is of another set")
            done, rest = divmod(end - file.tell(), dtype.itemsize * int(np.prod(shape, dtype=np.int64)))
            if rest:
                raise ValueError("the checkpoint ends within a row")
        self._digest, self.done, self._saved = digest, done, done


@contextmanager
def limited_memory(more: int) -> Iterator[None]:
    """Let this process have so many bytes of address space more than now; what wants more gets a MemoryError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more
    known = [each for each in (limit, soft, hard) if each != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(known), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
