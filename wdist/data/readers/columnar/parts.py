"""Folders of Parquet, as Spark writes them: part files, in folders that are named for the values of a column."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from wdist.data.tables.found import DecodeError, Found
from wdist.definitions.installing import pip_install
from wdist.definitions.reading import Selection

if TYPE_CHECKING:
    from wdist.data.tables.writer import ArrayWriter

_ENDING = ".parquet"
_HIDDEN = ("_", ".")  # _SUCCESS, _metadata, checksums
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
MAX_PARTS = 10_000


@dataclass(frozen=True)
class PartsOfFolder:
    """The part files of a folder in the order of their names, and how many other files are in it."""

    folder: Path
    files: list[Path]
    hidden: int
    others: list[str]

    def read(self, writer: ArrayWriter, take: Selection) -> Found:
        """Read all parts as one table. Raises DecodeError."""
        try:
            from wdist.data.readers.columnar.parquet import Part, read_parts
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("wdist"):
                raise
            raise DecodeError(f"reading Parquet needs pyarrow: {pip_install('pyarrow')}") from error

        with ExitStack() as stack:
            parts = [
                Part(stack.enter_context(path.open("rb")), path.relative_to(self.folder).as_posix(), self._values(path))
                for path in self.files
            ]
            found = read_parts(parts, writer, take)
        return replace(found, notes=[*self._notes(), *found.notes])

    def _values(self, path: Path) -> dict[str, str | None]:
        """What the folders between the table's and this file are named for."""
        values: dict[str, str | None] = {}
        for part in path.relative_to(self.folder).parts[:-1]:
            name, equals, value = part.partition("=")
            if not equals:
                raise DecodeError(
                    f"it has Parquet files in the folder {part!r}, whose name is not COLUMN=VALUE; give that folder "
                    "itself"
                )
            values[unquote(name)] = None if value == _NO_VALUE else unquote(value)
        return values

    def _notes(self) -> list[str]:
        notes = []
        if self.hidden:
            which = "1 file whose name begins with _ or . was"
            if self.hidden > 1:
                which = f"{self.hidden:,} files whose names begin with _ or . were"
            notes.append(f"{which} left out")
        if self.others:
            notes.append(
                f"{len(self.others):,} files that are not Parquet were left out: {', '.join(self.others)[:300]}"
            )
        return notes


def parts_of_folder(folder: Path) -> PartsOfFolder | None:
    """The Parquet files of a folder and of its subfolders, or None if it has none. Raises DecodeError for too many."""
    files, hidden, others = [], 0, []
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        inside = path.relative_to(folder)
        if any(part.startswith(_HIDDEN) for part in inside.parts):
            hidden += 1
        elif path.name.lower().endswith(_ENDING):
            files.append(path)
        else:
            others.append(inside.as_posix())
    if not files:
        return None
    if len(files) > MAX_PARTS:
        raise DecodeError(
            f"it has {len(files):,} Parquet files, the limit is {MAX_PARTS:,}; write fewer and larger ones"
        )
    return PartsOfFolder(folder, files, hidden, others)
