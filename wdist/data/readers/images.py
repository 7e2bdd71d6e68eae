"""Zip archives of PNG and JPEG images."""

from __future__ import annotations

import io
import zipfile
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from wdist.data.readers.archives import members, open_archive
from wdist.data.tables.found import DecodeError, Found, TooLargeError
from wdist.data.tables.writer import ArrayWriter
from wdist.definitions.reading import Selection

MAX_IMAGES = 250_000
MAX_IMAGE_BYTES = 64 << 20
MAX_IMAGE_PIXELS = 1 << 24
_IMAGE_ENDINGS = (".png", ".jpg", ".jpeg")
_IGNORED = (".DS_Store", "Thumbs.db")


def read(source: IO[bytes], writer: ArrayWriter, take: Selection) -> Found:
    """Read PNG and JPEG files of equal size, sorted by name, as uint8: (n, h, w) grey or (n, h, w, 3) colour."""
    with open_archive(source) as archive:
        entries = [entry for entry in members(archive, MAX_IMAGES, writer) if not entry.filename.endswith(_IGNORED)]
        entries.sort(key=lambda entry: entry.filename)
        if not entries:
            raise DecodeError("the archive holds no images; add PNG or JPEG files")
        first: tuple[str, tuple[int, ...]] | None = None
        for entry in entries:
            image = _image(archive, entry)
            if first is None:
                first = entry.filename, image.shape
                if image.size * len(entries) > writer.max_bytes:
                    raise TooLargeError(
                        f"{len(entries):,} images of {image.shape} are more than {writer.max_bytes:,} bytes"
                    )
                writer.begin(image.shape, image.dtype)
            if image.shape != first[1]:
                raise DecodeError(
                    f"{entry.filename!r} is {_size(image.shape)} and {first[0]!r} is {_size(first[1])}; give all "
                    "images one size and one colour mode"
                )
            writer.append(image[None])
        writer.end()
    return Found()


def _image(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[np.uint8]:
    Image.MAX_IMAGE_PIXELS = None  # our own limit below is lower, and its message names the file
    name = entry.filename
    if not name.lower().endswith(_IMAGE_ENDINGS):
        raise DecodeError(f"{name!r} is not a PNG or JPEG file; keep only images in the archive")
    if entry.file_size > MAX_IMAGE_BYTES:
        raise TooLargeError(f"{name!r} declares {entry.file_size:,} bytes; one image may have {MAX_IMAGE_BYTES:,}")
    with archive.open(entry) as stream:
        data = stream.read(MAX_IMAGE_BYTES + 1)
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            if image.width * image.height > MAX_IMAGE_PIXELS:
                raise TooLargeError(
                    f"{name!r} has {image.width} x {image.height} pixels; the limit is {MAX_IMAGE_PIXELS:,}"
                )
            if image.mode not in {"L", "1", "RGB", "P"}:
                raise DecodeError(f"{name!r} has the mode {image.mode}; convert it to 8-bit grey or RGB")
            return np.asarray(image.convert("L" if image.mode in {"L", "1"} else "RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise DecodeError(f"{name!r} cannot be read as an image; write it again as PNG or JPEG") from error


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} {'colour' if len(shape) == 3 else 'grey'}"
