"""What every reader of a file format shares: its entry in the registry, and what it is asked and answers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Self


class DecodeError(Exception):
    """The file cannot be read as a sample set. The message says what is wrong and what to do."""


class TooLargeError(DecodeError):
    """The file is larger, once unpacked, than a sample set may be."""


@dataclass(frozen=True)
class Selection:
    """One array of an .npz file (`member`), one label column of a table (`labels`), or a table less some (`drop`)."""

    member: str | None = None
    labels: str | None = None
    drop: tuple[str, ...] = ()

    @property
    def of_a_table(self) -> bool:
        """Whether the selection is among the columns of a table."""
        return self.labels is not None or bool(self.drop)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        given = json.loads(text)
        return cls(given["member"], given["labels"], tuple(given["drop"]))


@dataclass(frozen=True)
class Found:
    """What a reader found beside the values: the columns' names, if any, and the name that the file gives itself."""

    columns: list[str] | None = None
    name: str | None = None


@dataclass(frozen=True)
class FileFormat:
    """A format that sample sets come in.

    Attributes:
        name: how a request names it (`?format=`).
        title: how messages name it.
        suffixes: endings of file names, in lower case.
        media_types: what a Content-Type says.
        reader: module of `wdist.data.readers` with `read(source, writer, take) -> Found`, imported on first use; None
            for .npy, which is what the others are converted to.
        magic: the first bytes, by which a file without a known ending is recognised.
        members: ending that all files in an archive have, if `magic` alone says only that it is an archive.
        has_columns: whether columns can be chosen by name.
        needs: package that the reader imports, which `pip install wdist` alone does not bring.
        help: how help texts list it.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    media_types: tuple[str, ...]
    reader: str | None
    magic: bytes | None = None
    members: str | None = None
    has_columns: bool = False
    needs: str | None = None
    help: str | None = None
