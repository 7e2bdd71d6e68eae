"""PNG and JPEG images, of a folder or a zip archive."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from wdist.data.readers.folders import ImageFile, images_of, named
from wdist.data.tables.found import DecodeError, Found, TooLargeError
from wdist.data.tables.writer import ArrayWriter
from wdist.definitions.reading import Selection

MAX_IMAGE_BYTES = 64 << 20
MAX_IMAGE_PIXELS = 1 << 24
_GREY = {"1", "L", "LA"}
_COLOUR = {"P", "PA", "RGB", "RGBA"}
_OTHER_KINDS = (  # where in the file, what is there, and what it says the file is
    (8, b"WEBP", "WebP"), (0, b"II*\0", "TIFF"), (0, b"MM\0*", "TIFF"), (0, b"BM", "BMP"), (0, b"GIF8", "GIF"),
    (4, b"ftypavif", "AVIF"), (4, b"ftyphei", "HEIC"), (4, b"ftypmif1", "HEIC"),
)  # fmt: skip
_PNG_DEPTH = 24  # where a PNG file says how many bits a channel has


def read(source: IO[bytes] | Path, writer: ArrayWriter, take: Selection) -> Found:
    """Read PNG and JPEG files of equal size, sorted by name, as uint8: (n, h, w) grey or (n, h, w, 3) colour.

    `source` is a zip archive or a folder. Images are turned as their EXIF orientation says.
    """
    with images_of(source, writer, subfolders=take.subfolders) as (files, notes):
        first: tuple[str, tuple[int, ...]] | None = None
        further: list[str] = []
        for file in files:
            image = _image(file, further)
            if first is None:
                first = file.name, image.shape
                if image.size * len(files) > writer.max_bytes:
                    raise TooLargeError(
                        f"{len(files):,} images of {image.shape} are more than {writer.max_bytes:,} bytes"
                    )
                writer.begin(image.shape, image.dtype)
            if image.shape != first[1]:
                raise DecodeError(
                    f"{file.name!r} is {_size(image.shape)} and {first[0]!r} is {_size(first[1])}; give all "
                    "images one size and one colour mode"
                )
            writer.append(image[None])
        writer.end()
    if further:
        notes = [*notes, f"previews or depth maps within {len(further):,} JPEG files were left out: {named(further)}"]
    return Found(notes=notes)


def _image(file: ImageFile, further: list[str]) -> NDArray[np.uint8]:
    """The pixels; the names of files whose further pictures are left out are added to `further`."""
    name = file.name
    if file.size > MAX_IMAGE_BYTES:
        raise TooLargeError(f"{name!r} declares {file.size:,} bytes; one image may have {MAX_IMAGE_BYTES:,}")
    data = file.read(MAX_IMAGE_BYTES)
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            if image.width * image.height > MAX_IMAGE_PIXELS:
                raise TooLargeError(
                    f"{name!r} has {image.width} x {image.height} pixels; the limit is {MAX_IMAGE_PIXELS:,}"
                )
            _check_kind(image, data, name)
            if getattr(image, "n_frames", 1) > 1:  # of a JPEG file: its first picture is the one that viewers show
                further.append(name)
            return np.asarray(ImageOps.exif_transpose(_without_transparency(image, name)))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLargeError(f"{name!r} has more pixels than the limit, {MAX_IMAGE_PIXELS:,}") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, struct.error, OverflowError) as error:
        kind = next((kind for at, magic, kind in _OTHER_KINDS if data[at:].startswith(magic)), None)
        said = "cannot be read as an image" if kind is None else f"is {kind} by its content"
        raise DecodeError(f"{name!r} {said}; write it again as PNG or JPEG") from error


def _check_kind(image: Image.Image, data: bytes, name: str) -> None:
    """Raise DecodeError for what 8 bits of grey or RGB cannot hold."""
    if image.format == "PNG":
        if data[_PNG_DEPTH] == 16:  # Pillow makes 8 bits of 16-bit colour without a word
            raise DecodeError(
                f"{name!r} has 16 bits a channel; convert it to 8, or give the values as .npy, which keeps all 16"
            )
        if (frames := getattr(image, "n_frames", 1)) > 1:
            raise DecodeError(f"{name!r} is animated, with {frames:,} frames; write each frame as a file of its own")
    if image.mode not in _GREY | _COLOUR:
        raise DecodeError(f"{name!r} has the mode {image.mode}; convert it to 8-bit grey or RGB")


def _without_transparency(image: Image.Image, name: str) -> Image.Image:
    """The image as grey or RGB. Raises DecodeError where it is transparent: its colour there is that of no pixel."""
    is_grey = image.mode in _GREY
    if image.has_transparency_data:
        layers = image.convert("LA" if is_grey else "RGBA")
        if layers.getchannel("A").getextrema() != (255, 255):
            raise DecodeError(
                f"{name!r} is transparent in places ({image.mode}); lay it on a background, as 8-bit grey or RGB"
            )
        image = layers
    return image.convert("L" if is_grey else "RGB")


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} {'colour' if len(shape) == 3 else 'grey'}"
