"""Archives: .npz files and zip files of images. Every member's name and size is checked before any is unpacked."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from wdist.data.readers.writer import ArrayWriter, DecodeError, TooLargeError

MAX_ARRAYS = 64
MAX_IMAGES = 250_000
MAX_IMAGE_BYTES = 64 << 20
MAX_IMAGE_PIXELS = 1 << 24
_BLOCK_BYTES = 1 << 20
_ENCRYPTED = 0x1
_IMAGE_ENDINGS = (".png", ".jpg", ".jpeg")
_IGNORED = ("__MACOSX/", ".DS_Store", "Thumbs.db")


def decode_npz(source: BinaryIO, writer: ArrayWriter, member: str | None) -> None:
    """Copy one array from an .npz file: the array named `member`, or the only one if `member` is None."""
    with _open(source) as archive:
        entries = {entry.filename.removesuffix(".npy"): entry for entry in _members(archive, MAX_ARRAYS, writer)}
        if any(not entry.filename.endswith(".npy") for entry in entries.values()):
            raise DecodeError("an .npz file holds .npy arrays only; write it with numpy.savez")
        if member is None and len(entries) != 1:
            names = ", ".join(sorted(entries))[:300] or "none"
            raise DecodeError(f"it holds {len(entries)} arrays ({names}); choose one with ?member=NAME")
        if (entry := entries.get(next(iter(entries)) if member is None else member)) is None:
            raise DecodeError(f"it holds no array {member!r}; there are {', '.join(sorted(entries))[:300]}")
        _copy(archive, entry, writer)


def _copy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, writer: ArrayWriter) -> None:
    if entry.file_size > writer.max_bytes:
        raise TooLargeError(f"{entry.filename!r} declares {entry.file_size:,} bytes, the limit is {writer.max_bytes:,}")
    with archive.open(entry) as stream:
        while block := stream.read(_BLOCK_BYTES):
            writer.raw(block)


def decode_images(source: BinaryIO, writer: ArrayWriter) -> None:
    """Read PNG and JPEG files of equal size, sorted by name, as uint8: (n, h, w) grey or (n, h, w, 3) colour."""
    with _open(source) as archive:
        entries = [
            entry for entry in _members(archive, MAX_IMAGES, writer) if not entry.filename.endswith(_IGNORED[1:])
        ]
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


def _image(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[np.uint8]:
    from PIL import Image, UnidentifiedImageError

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


def _open(source: BinaryIO) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(source)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, zlib.error) as error:
        raise DecodeError("it is not a complete zip archive; write it again") from error


def _members(archive: zipfile.ZipFile, limit: int, writer: ArrayWriter) -> list[zipfile.ZipInfo]:
    """The files in the archive, checked against malicious members. No file is ever created under a member's name."""
    entries = [
        entry for entry in archive.infolist() if not entry.is_dir() and not entry.filename.startswith(_IGNORED[0])
    ]
    if len(entries) > limit:
        raise TooLargeError(f"the archive has {len(entries):,} members, the limit is {limit:,}")
    if len({entry.filename for entry in entries}) != len(entries):
        raise DecodeError("the archive has two members with the same name; write it again")
    for entry in entries:
        name = entry.filename
        parts = name.split("/")
        if name.startswith("/") or "\\" in name or ".." in parts or ":" in parts[0] or "\0" in entry.orig_filename:
            raise DecodeError(f"the member {name[:100]!r} has a path that leads out of the archive; write it again")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise DecodeError(f"the member {name[:100]!r} is a link; put the file itself into the archive")
        if entry.flag_bits & _ENCRYPTED:
            raise DecodeError(f"the member {name[:100]!r} is encrypted; write the archive without a password")
        if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise DecodeError(f"the member {name[:100]!r} is neither stored nor deflated; write the archive again")
    if sum(entry.file_size for entry in entries) > 4 * writer.max_bytes:
        raise TooLargeError("the archive's members declare far more bytes than a sample set may have")
    return entries
