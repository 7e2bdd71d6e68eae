"""An entry of the registry of file formats."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FileFormat:
    """A format that sample sets come in.

    Attributes:
        name: how a request names it (`?format=`).
        title: how messages name it.
        suffixes: endings of file names, in lower case.
        media_types: what a Content-Type says.
        reader: module of `wdist.data.readers` with `read(source, writer, take) -> Found`, imported on first use.
        magic: the first bytes, by which a file without a known ending is recognised.
        members: what names of files in an archive say, if `magic` alone says only that it is one: the ending of all, or
            the name of a file that is always there.
        has_columns: whether columns can be chosen by name.
        needs: package that the reader imports, which wdist without extras does not bring.
        help: how help texts list it.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    media_types: tuple[str, ...]
    reader: str
    magic: bytes | None = None
    members: str | None = None
    has_columns: bool = False
    needs: str | None = None
    help: str | None = None
