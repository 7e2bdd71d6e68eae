"""Lines of a CSV file, from its beginning and from places spread over it, within bounded memory."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from wdist.data.readers.dialects.text import not_utf8
from wdist.data.readers.tables import BLOCK_BYTES
from wdist.data.tables.found import DecodeError, TooLargeError
from wdist.data.tables.naming import asked

MAX_LINE_BYTES = 16 << 20
_MARKS = (b"#", b" ", b"\t")  # with which a line begins that may be a comment, or blank
_LINES, _BYTES = 1_000, 1 << 20  # of the beginning
_LONG_LINES = 20  # of the beginning, where lines are long
_WINDOWS, _WINDOW_BYTES = 16, 32 << 10  # of the rest
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # which Excel reads and writes


@dataclass(frozen=True)
class Sample:
    """What was seen of a file.

    lines: the first lines that are neither blank nor comments, with their ends. numbers: their line numbers, from 1.
    offsets, ends: where each begins and ends, in bytes. later: lines from the rest of the file. comments:
    the comment lines before the first line. separator: the one that a line `sep=;` names. is_whole: whether the file
    ends with `lines`. has_odd_lines: whether some may be comments, or hold only spaces.
    """

    lines: list[str]
    numbers: list[int]
    offsets: list[int]
    ends: list[int]
    later: list[str]
    comments: list[str]
    separator: str | None
    has_quotes: bool
    has_odd_lines: bool
    is_whole: bool
    _parsed: dict[str, list[list[str]]] = field(default_factory=dict)

    def records(self, separator: str) -> list[list[str]]:
        """The cells of the first lines. A cell in quotes may span lines."""
        if separator not in self._parsed:
            records = _parsed(self.lines, separator)
            self._parsed[separator] = records if self.is_whole or len(records) < 2 else records[:-1]  # cut in a cell
        return self._parsed[separator]

    def later_records(self, separator: str, width: int) -> list[list[str]]:
        """The cells of later lines; one that is not of this width may have been cut."""
        return [record for record in _parsed(self.later, separator) if len(record) == width]

    def lines_of_first(self, separator: str) -> int:
        """How many lines the first record takes."""
        reader = csv.reader(iter(self.lines), delimiter=separator)
        next(reader, None)
        return reader.line_num


def _parsed(lines: list[str], separator: str) -> list[list[str]]:
    try:
        return list(csv.reader(iter(lines), delimiter=separator))
    except csv.Error as error:
        raise DecodeError(f"it cannot be read as CSV: {error}"[:200]) from error


def sample(file: IO[bytes]) -> Sample:
    """Look into a file of UTF-8 text. Raises DecodeError if it is none, or holds nothing."""
    size = os.fstat(file.fileno()).st_size
    if not size:
        raise DecodeError("it is empty")
    head = _head(file, size)
    if b"\0" in head:
        _refuse_binary(head)
    start = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    lines, numbers, offsets, ends, comments, separator = _first_lines(head, start)
    if not lines:
        raise DecodeError("it is empty, apart from blank lines and comments")
    later = [line for block in _windows(file, len(head), size) for line in block]
    has_quotes, has_odd_lines = _marks(file, offsets[0])
    return Sample(
        lines,
        numbers,
        offsets,
        ends,
        later,
        comments,
        separator,
        has_quotes,
        has_odd_lines,
        len(head) == size and len(lines) <= _LINES,
    )


def _marks(file: IO[bytes], start: int) -> tuple[bool, bool]:
    """Whether there are quotes, and lines that begin with # or a space, anywhere from this byte on."""
    has_quotes = has_odd_lines = False
    file.seek(start)
    last = b""
    while block := file.read(BLOCK_BYTES):
        has_quotes = has_quotes or b'"' in block
        if not has_odd_lines and any(mark in block for mark in _MARKS):
            joined = last + block
            has_odd_lines = any(end + mark in joined for end in (b"\n", b"\r") for mark in _MARKS)
        last = block[-1:]
    return has_quotes, has_odd_lines


def has_odd_quotes(file: IO[bytes], start: int, separator: str) -> bool:
    """Whether quotes from this byte on are not in pairs, or some stand neither at a cell's end nor beside another.

    Only a file that has such quotes may hold a cell that is not closed, or closed before its end.
    """
    inside = re.compile(rb'[^%s\r\n"]"[^%s\r\n"]' % ((re.escape(separator.encode()),) * 2))
    file.seek(start)
    count, last = 0, b"\n"
    while block := file.read(BLOCK_BYTES):
        joined = last + block
        if inside.search(joined):
            return True
        count += block.count(b'"')
        last = joined[-2:]
    return count % 2 == 1


def _head(file: IO[bytes], size: int) -> bytes:
    """The first lines, whole: up to 1 MB, or a few if these are longer."""
    for limit, most in ((_BYTES, None), (4 * MAX_LINE_BYTES, _LONG_LINES)):
        file.seek(0)
        block = file.read(limit)
        if len(block) == size and most is None:
            return block
        lines = block.splitlines(keepends=True)
        if len(block) < size:
            lines = lines[:-1]
        if len(lines) >= _LONG_LINES or most is not None:
            break
    if not lines or max(map(len, lines)) > MAX_LINE_BYTES:
        raise TooLargeError(f"a line is longer than {MAX_LINE_BYTES:,} bytes")
    return b"".join(lines[:most])


def _first_lines(head: bytes, start: int) -> tuple[list[str], list[int], list[int], list[int], list[str], str | None]:
    lines: list[str] = []
    numbers: list[int] = []
    offsets: list[int] = []
    ends: list[int] = []
    comments: list[str] = []
    separator, at = None, start
    for number, raw in enumerate(head[start:].splitlines(keepends=True), start=1):
        try:
            line = raw.decode()
        except UnicodeDecodeError:
            raise not_utf8(number) from None
        begins, at = at, at + len(raw)
        if not line.strip() and (" " in line or not line.strip("\r\n")):  # tabs alone may be empty cells
            continue
        if line.startswith("#"):
            if not lines:
                comments.append(line.strip())
            continue
        if not lines and separator is None and (found := _SEPARATOR_LINE.fullmatch(line)):
            separator = found[1]
            continue
        lines.append(line)
        numbers.append(number)
        offsets.append(begins)
        ends.append(at)
        if len(lines) > _LINES:
            break
    return lines, numbers, offsets, ends, comments, separator


def _windows(file: IO[bytes], start: int, size: int) -> Iterator[list[str]]:
    """Whole lines of places spread over the rest of the file."""
    step = max(_WINDOW_BYTES, (size - start) // _WINDOWS)
    for at in range(start, size, step):
        file.seek(at)
        block = file.read(_WINDOW_BYTES).splitlines(keepends=True)
        whole = block[0 if at == start else 1 : None if at + _WINDOW_BYTES >= size else -1]
        yield [line.decode(errors="replace") for line in whole if line.strip() and not line.startswith(b"#")]


def _refuse_binary(head: bytes) -> None:
    first = head[:200]
    for offset, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if not any(first[offset::2]) and first[1 - offset :: 2].count(0) == 0:
            raise DecodeError(f"it is UTF-16 text without a byte order mark: say so with {asked('encoding', name)}")
    raise DecodeError("it is binary, not CSV; say with ?format= what it is")
