"""Readers of files: tables, archives and images become one array, written row by row as they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from wdist.data.readers.selection import Selection
    from wdist.data.readers.writer import ArrayWriter


def decode(kind: str, source: BinaryIO, writer: ArrayWriter, take: Selection) -> tuple[list[str] | None, str | None]:
    """Write the rows of a file of one kind ("csv", "parquet", "json", "npz", "images").

    Returns the names of the columns of a table that has some, and the name that a JSON body gives itself. Pillow or
    pyarrow is loaded with the first file that needs it. Raises DecodeError.
    """
    if kind in {"npz", "images"}:
        from wdist.data.readers import archives

        if kind == "npz":
            archives.decode_npz(source, writer, take.member)
        else:
            archives.decode_images(source, writer)
        return None, None
    from wdist.data.readers import tables

    if kind == "json":
        return tables.decode_json(source, writer)
    return (tables.decode_csv if kind == "csv" else tables.decode_parquet)(source, writer, take), None
