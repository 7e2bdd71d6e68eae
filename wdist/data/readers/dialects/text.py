"""Files of text as UTF-8: unpacked, and taken from the encoding that is given or that a byte order mark tells."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO

from wdist.data.tables.found import DecodeError, TooLargeError
from wdist.data.tables.naming import asked

_BLOCK = 1 << 20
_GZIP = b"\x1f\x8b"
_CONTROLS = re.compile("[\x80-\x84\x86-\x9f]")  # letters and signs of cp1252 where Latin-1 has codes of terminals
_MARKS = {  # the longer ones first: that of UTF-32 begins as that of UTF-16 does
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip


@contextmanager
def as_utf8(source: IO[bytes], encoding: str | None, limit: int) -> Iterator[tuple[IO[bytes], list[str]]]:
    """The file as UTF-8 text, a temporary copy where it is packed or in another encoding, and notes of how it was read.

    An encoding is asked of all files of a comparison: one that is UTF-8 nevertheless is read as such.

    Raises DecodeError if it cannot be read so, TooLargeError if the copy would have more than `limit` bytes.
    """
    with ExitStack() as copies:
        if _is_packed(source):
            source = copies.enter_context(_unpacked(source, limit))
            if _is_packed(source):
                raise DecodeError("it is compressed twice: unpack it once")
        source.seek(0)
        start = source.read(4)
        known = next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)
        notes = []
        if known is not None:
            source = copies.enter_context(_decoded(source, known, limit))
        elif encoding is not None and not _is_utf8(encoding) and not start.startswith(codecs.BOM_UTF8):
            if _is_one_byte(encoding) and _has_letters_of_utf8(source):
                notes = [f"it is UTF-8 and was read so, not as {encoding}"]
            else:
                source = copies.enter_context(_decoded(source, encoding, limit))
        yield source, notes


def _is_packed(source: IO[bytes]) -> bool:
    source.seek(0)
    return source.read(2) == _GZIP


def not_utf8(line: int) -> DecodeError:
    """The refusal of text whose encoding nothing tells."""
    return DecodeError(
        f"line {line} is not UTF-8 text: say what its encoding is, such as {asked('encoding', 'cp1252')} for files of "
        "Excel on Windows"
    )


def _is_utf8(encoding: str) -> bool:
    try:
        return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii")
    except (LookupError, ValueError):  # a name with a null character is a ValueError
        raise DecodeError(f"encoding {encoding!r} is unknown; use a name such as cp1252, latin-1 or utf-16") from None


def _is_one_byte(encoding: str) -> bool:
    """Whether each byte is a character, so that letters of UTF-8 become two or more that nobody wrote."""
    return codecs.lookup(encoding).name.startswith(("iso8859", "cp125", "cp4", "cp8", "koi8", "mac"))


def _has_letters_of_utf8(source: IO[bytes]) -> bool:
    """Whether all text is UTF-8, and some of it not ASCII: by chance, text of another encoding hardly ever is."""
    source.seek(0)
    decoder, is_ascii = codecs.getincrementaldecoder("utf-8")(), True
    try:
        while block := source.read(_BLOCK):
            decoder.decode(block)
            is_ascii &= block.isascii()
        decoder.decode(b"", final=True)
    except UnicodeError:
        return False
    return not is_ascii


@contextmanager
def _unpacked(source: IO[bytes], limit: int) -> Iterator[IO[bytes]]:
    source.seek(0)
    with tempfile.TemporaryFile() as copy:
        try:
            with gzip.GzipFile(fileobj=source) as packed:
                while block := packed.read(_BLOCK):
                    _write(copy, block, limit)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DecodeError("its compressed data is incomplete or damaged; write it again") from error
        copy.flush()
        yield copy


@contextmanager
def _decoded(source: IO[bytes], encoding: str, limit: int) -> Iterator[IO[bytes]]:
    source.seek(0)
    decoder, lines = _decoder(encoding), 0
    is_latin = codecs.lookup(encoding).name.startswith("iso8859")
    with tempfile.TemporaryFile() as copy:
        while True:
            block = source.read(_BLOCK)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeError as error:
                reason = getattr(error, "reason", error)  # the codec `undefined` gives none
                raise DecodeError(
                    f"it is not text in {encoding}: {reason} near line {lines + 1:,}; say which encoding it has with "
                    f"{asked('encoding', 'cp1252')} or another"
                ) from error
            if is_latin and (found := _CONTROLS.search(text)) is not None:
                raise DecodeError(
                    f"line {lines + text.count(chr(10), 0, found.start()) + 1:,} has characters that no text has in "
                    f"{encoding}: it is likely to be in {asked('encoding', 'cp1252')}"
                )
            lines += text.count("\n")
            _write(copy, text.encode(errors="surrogatepass"), limit)
            if not block:
                break
        copy.flush()
        yield copy


def _decoder(encoding: str) -> codecs.IncrementalDecoder:
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)  # refuses what decodes to bytes, such as zip
        return codecs.getincrementaldecoder(encoding)(errors="strict")
    except (LookupError, TypeError, ValueError):
        raise DecodeError(f"encoding {encoding!r} is unknown; use a name such as cp1252, latin-1 or utf-16") from None


def _write(copy: IO[bytes], block: bytes, limit: int) -> None:
    if copy.tell() + len(block) > limit:
        raise TooLargeError(f"it unpacks to more than the {limit:,} bytes that a sample set may have")
    copy.write(block)
