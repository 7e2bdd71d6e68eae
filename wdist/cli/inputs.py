"""Sample sets named on the command line: files as the library opens them, and standard input."""

from __future__ import annotations

import math
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from wdist.cli.output import remark
from wdist.data.columns import check_kinds, check_names
from wdist.data.readers.registry import HELP as FILES
from wdist.definitions.reading import Reading, Selection
from wdist.errors import SampleError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wdist.data.sources.files import FileRows
    from wdist.data.tables.encoding import Encoding

BLOCK_NUMBERS = 1 << 22  # of rows that are written at once: 32 MiB
HELP = f"{FILES}, or - for standard input"


@dataclass(frozen=True, eq=False)  # two sets are the same only if they are the same argument
class Input:
    """A sample set: what the user wrote, its rows, and labels of groups if asked for."""

    given: str
    rows: FileRows
    labels: NDArray[Any] | None = None


def open_inputs(texts: Sequence[str], reading: Reading, groups: str | None = None) -> list[Input]:
    """Open the sets; the column `groups` is given as `labels`.

    Raises SampleError, in words that name the file.
    """
    if texts.count("-") > 1:
        raise SampleError("only one of the sets can come from standard input")
    inputs = _open_all(texts, reading, groups)
    _check_columns(inputs)
    return inputs


@dataclass(frozen=True)
class Written:
    """Sets as .npy files, and digests of the files that they were; `encoding` is that of mixed tables."""

    paths: list[Path]
    digests: list[str | None]
    encoding: Encoding | None


def write_inputs(
    texts: Sequence[str],
    paths: Sequence[Path],
    reading: Reading,
    encoding: Encoding | None = None,
    *,
    same_columns: bool = True,
) -> Written:
    """What a reading takes of each set as a new .npy file: the verifier reads no other. Mixed tables are encoded.

    encoding: how; by default that of these sets together. same_columns: whether tables must have the same columns; the
    new files have no names by which to tell. What is left out of a set is said on standard error.

    Raises SampleError, in words that name the file.
    """
    from wdist.data.samples import encode_together, open_samples
    from wdist.data.sources.advice import in_flags

    inputs = _open_all(texts, reading, None)
    for each in inputs:
        for note in each.rows.notes:
            remark(f"wdist: {each.given}: {in_flags(note)}")
    if same_columns:
        _check_columns(inputs)
    if encoding is None and not any(each.rows.table for each in inputs):
        arrays = [each.rows.array for each in inputs]
    else:
        sets = [open_samples(each.rows, each.given) for each in inputs]
        sets = encode_together(*sets) if encoding is None else [each.encoded(encoding) for each in sets]
        arrays, encoding = [each.array for each in sets], sets[0].encoding
    _require_space(sum(math.prod(array.shape) * array.dtype.itemsize for array in arrays), paths[0].parent)
    for array, path in zip(arrays, paths, strict=True):
        _write(array, path)
    return Written(list(paths), [each.rows.file_sha256 for each in inputs], encoding)


def _write(array: Any, path: Path) -> None:
    """Write rows block by block."""
    from numpy.lib.format import open_memmap

    output = open_memmap(path, mode="w+", dtype=array.dtype, shape=array.shape)
    step = max(1, BLOCK_NUMBERS // math.prod(array.shape[1:]))
    for start in range(0, len(array), step):
        output[start : start + step] = array[start : start + step]
    output.flush()


def _require_space(needed: int, folder: Path) -> None:
    """Raise SampleError if the rows do not fit on the disk: a certificate may name any number of levels."""
    if needed > (free := shutil.disk_usage(folder).free):
        raise SampleError(f"the rows take {needed:,} bytes as .npy files, and {folder} has {free:,} left")


def _check_columns(sets: Sequence[Input]) -> None:
    """Raise SampleError if sets are of different kinds, or have columns of other names or order."""
    for each in sets:
        names = sets[0].rows.columns, each.rows.columns
        check_kinds(sets[0].rows.array.shape, each.rows.array.shape, sets[0].given, each.given, names)
    if (first := next((each for each in sets if each.rows.columns is not None), None)) is None:
        return
    for each in sets:
        check_names(first.rows.columns, each.rows.columns, first.given, each.given)


def _open_all(texts: Sequence[str], reading: Reading, groups: str | None) -> list[Input]:
    """Open the sets, once all files are there: a missing one is told before what is wrong with the rows of another."""
    from wdist.data.sources.rows import refuse_absent

    refuse_absent(texts, texts)
    return [_open(text, reading, groups) for text in texts]


def _open(text: str, reading: Reading, groups: str | None) -> Input:
    from wdist.data.sources.files import open_file

    with _standard_input(text) as copied:
        rows = open_file(text, text, Selection.of(reading, groups=groups), copied)
        if groups is None:
            return Input(text, rows)
        labels = open_file(text, text, Selection.of(reading, labels=groups), copied).array[:, 0]
        return Input(text, rows, labels)


@contextmanager
def _standard_input(text: str) -> Iterator[IO[bytes] | None]:
    """A seekable copy of standard input if the argument is -, or of a pipe, as <(command) stands for; else None."""
    from wdist.data.sources.files import copied_pipe

    if text != "-":
        with copied_pipe(Path(text)) as copy:
            yield copy
        return
    if sys.stdin.isatty():
        raise SampleError("- reads standard input, which is your terminal: redirect a file or a pipe to it")
    with tempfile.TemporaryFile() as copied:
        shutil.copyfileobj(sys.stdin.buffer, copied)
        yield copied
