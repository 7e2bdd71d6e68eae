"""All file formats, for the library, the command line and the server. A new one is an entry here and its reader.

Importing this module imports neither a reader nor numpy: the command line lists the formats in its help.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from wdist.data.readers.base import FileFormat
from wdist.data.tables.found import DecodeError, Found
from wdist.definitions.installing import pip_install
from wdist.definitions.reading import Selection

if TYPE_CHECKING:
    from wdist.data.tables.writer import ArrayWriter

NPY: Final = FileFormat(
    "npy", ".npy", (".npy",),
    ("application/octet-stream", "application/x-npy", "application/npy", "application/vnd.numpy.npy"),
    "arrays", magic=b"\x93NUMPY", help=".npy",
)  # fmt: skip
FORMATS: Final = {
    each.name: each
    for each in (
        NPY,
        FileFormat(
            "npz", ".npz", (".npz",), ("application/x-npz", "application/vnd.numpy.npz"), "npz",
            magic=b"PK", members=".npy", help=".npz (or FILE.npz:NAME)",
        ),
        FileFormat(
            "parquet", "Parquet", (".parquet",), ("application/vnd.apache.parquet", "application/x-parquet"),
            "columnar.parquet",
            magic=b"PAR1", has_columns=True, needs="pyarrow", help=".parquet",
        ),
        FileFormat(
            "csv", "CSV", (".csv", ".tsv", ".txt", ".dat", ".tab", ".csv.gz", ".tsv.gz"),
            ("text/csv", "text/tab-separated-values"), "csv",
            has_columns=True, needs="pyarrow", help=".csv or .csv.gz",
        ),
        FileFormat(
            "excel", "Excel", (".xlsx", ".xlsm"),
            ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",), "extras.excel",
            magic=b"PK", members="xl/workbook.xml", has_columns=True, needs="openpyxl", help=".xlsx",
        ),
        FileFormat(
            "h5ad", "AnnData", (".h5ad",), ("application/x-hdf5",), "extras.h5ad", magic=b"\x89HDF\r\n\x1a\n",
            has_columns=True, needs="h5py", help=".h5ad",
        ),
        FileFormat(
            "images", "a folder or a zip of images", (".zip",), ("application/zip", "application/x-zip-compressed"),
            "images", magic=b"PK", needs="pillow", help="folder or .zip of images",
        ),
        FileFormat("json", "JSON", (".json",), ("application/json",), "json_rows", has_columns=True),
    )
}  # fmt: skip
BY_MEDIA_TYPE: Final = {media_type: each for each in FORMATS.values() for media_type in each.media_types}
HELP = f"{', '.join(each.help for each in FORMATS.values() if each.help)}, a folder of images or of Parquet"
_INSTEAD: Final = {  # of files that are not read
    ".xls": "save it as .xlsx or .csv",
    ".xlsb": "save it as .xlsx or .csv",
    ".ods": "save it as .xlsx or .csv",
    ".feather": "write it as .parquet",
    ".arrow": "write it as .parquet",
    ".pkl": "a pickle may run code; write it as .parquet or .npy",
    ".pickle": "a pickle may run code; write it as .parquet or .npy",
    ".jsonl": "write it as .csv or .parquet",
}
_MAGIC_BYTES = max(len(each.magic or b"") for each in FORMATS.values())


class SelectionError(DecodeError):
    """The selection does not apply to the format; `field` is the part of it that does not."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


def of_file_name(name: str) -> FileFormat | None:
    """The format that the ending of a file's name stands for."""
    endings = ((suffix, each) for each in FORMATS.values() for suffix in each.suffixes)
    return next((each for suffix, each in endings if name.lower().endswith(suffix)), None)


def instead_of(name: str) -> str | None:
    """What to do with a file that is not read, by the ending of its name; None for one that nothing is known of."""
    return next((said for ending, said in _INSTEAD.items() if name.lower().endswith(ending)), None)


def of_first_bytes(source: IO[bytes]) -> FileFormat | None:
    """The format of a file by its first bytes, and for an archive by its members. The position is left at the start."""
    source.seek(0)
    start = source.read(_MAGIC_BYTES)
    try:
        return next(
            (each for each in _with_magic(start) if each.members is None or _is_archive_of(source, each.members)), None
        )
    finally:
        source.seek(0)


def _with_magic(start: bytes) -> Iterator[FileFormat]:
    return (each for each in FORMATS.values() if each.magic is not None and start.startswith(each.magic))


def _is_archive_of(source: IO[bytes], members: str) -> bool:
    try:
        with zipfile.ZipFile(source) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False  # the reader that is tried next says what is wrong
    return all(name.endswith(members) for name in names) or members in names


def check_selection(take: Selection, kind: FileFormat) -> None:
    """Raise SelectionError if the selection does not apply to this format."""
    if take.of_a_table and not kind.has_columns:
        *tables, last = sorted(each.title for each in FORMATS.values() if each.has_columns)
        field = next((name for name in ("labels", "columns", "categories", "dates") if getattr(take, name)), "drop")
        raise SelectionError(
            f"{kind.title} has no names of columns to choose by; only {', '.join(tables)} and {last} have", field
        )


def read(kind: FileFormat, source: IO[bytes] | Path, writer: ArrayWriter, take: Selection) -> Found:
    """Write the selected rows of a file, or of a folder of images, as an .npy file, row by row as they are read.

    Raises DecodeError for a malformed file, and if the package that its reader needs is not installed.
    """
    try:
        reader = import_module(f"wdist.data.readers.{kind.reader}")
    except ModuleNotFoundError as error:
        if kind.needs is None or (error.name or "").startswith("wdist"):
            raise
        raise DecodeError(f"reading {kind.title} needs {kind.needs}: {pip_install(kind.needs)}") from error
    found: Found = reader.read(source, writer, take)
    return found
