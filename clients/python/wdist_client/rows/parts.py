"""A folder of Parquet, as Spark writes it, as the one file that a server reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote

from wdist_client.errors import SampleError
from wdist_client.rows.frames import pyarrow_for

_ENDING = ".parquet"
_HIDDEN = ("_", ".")  # _SUCCESS, _metadata, checksums
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Parts:
    """The part files of a table in the order of their names, and notes of the other files."""

    folder: Path
    files: Sequence[Path]
    notes: Sequence[str]

    @classmethod
    def of(cls, folder: Path) -> Parts | None:
        """None for a folder without Parquet files."""
        files, hidden, others = [], 0, []
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if not path.is_file():
                continue
            if any(part.startswith(_HIDDEN) for part in inside.parts):
                hidden += 1
            elif path.name.lower().endswith(_ENDING):
                files.append(path)
            else:
                others.append(inside.as_posix())
        which = "1 file whose name begins with _ or . was"
        if hidden > 1:
            which = f"{hidden:,} files whose names begin with _ or . were"
        notes = [f"{which} left out"] if hidden else []
        if others:
            notes.append(f"{len(others):,} files that are not Parquet were left out: {', '.join(others)[:300]}")
        return cls(folder, files, notes) if files else None

    def write(self, file: IO[bytes]) -> None:
        """Write the table, with the columns that folders are named for. Raises SampleError."""
        pa, parquet = pyarrow_for(None)
        values = [self._values(path) for path in self.files]
        if any(each.keys() != values[0].keys() for each in values):
            raise SampleError(f"{self.folder}: its folders are named for other columns in one place than in another")
        more = {name: _type(pa, [each[name] for each in values]) for name in values[0]}
        try:
            schema = parquet.ParquetFile(self.files[0]).schema_arrow
            whole = pa.schema([*schema, *(pa.field(name, kind) for name, kind in more.items())], schema.metadata)
            with parquet.ParquetWriter(file, whole) as writer:
                for path, named in zip(self.files, values, strict=True):
                    part = parquet.ParquetFile(path)
                    self._check_same(path, schema, part.schema_arrow)
                    for batch in part.iter_batches():
                        fixed = [pa.repeat(_scalar(pa, named[name], kind), len(batch)) for name, kind in more.items()]
                        writer.write_table(pa.Table.from_arrays([*batch.columns, *fixed], schema=whole))
        except (pa.ArrowException, OSError) as error:
            raise SampleError(f"{self.folder} cannot be read as Parquet: {str(error).splitlines()[0][:200]}") from error

    def _check_same(self, path: Path, schema: Any, other: Any) -> None:
        if not schema.equals(other):
            name, first = (each.relative_to(self.folder).as_posix() for each in (path, self.files[0]))
            raise SampleError(
                f"{self.folder}: {name}: its columns are not those of {first}: write {name} with the same columns"
            )

    def _values(self, path: Path) -> Mapping[str, str | None]:
        """What the folders between the table's and this file are named for."""
        values: dict[str, str | None] = {}
        for part in path.relative_to(self.folder).parts[:-1]:
            name, equals, value = part.partition("=")
            if not equals:
                raise SampleError(
                    f"{self.folder}: it has Parquet files in the folder {part!r}, whose name is not COLUMN=VALUE; give "
                    "that folder itself"
                )
            values[unquote(name)] = None if value == _NO_VALUE else unquote(value)
        return values


def _type(pa: Any, values: Sequence[str | None]) -> Any:
    """Numbers if all values are, otherwise text."""
    return pa.float64() if all(_is_number(each) for each in values) else pa.string()


def _is_number(text: str | None) -> bool:
    try:
        return text is None or math.isfinite(float(text))
    except ValueError:
        return False


def _scalar(pa: Any, value: str | None, kind: Any) -> Any:
    return pa.scalar(float(value) if value is not None and kind == pa.float64() else value, kind)
