"""The images of a folder and of an archive: which files are read, and what is said of those that are not."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from wdist.data.readers.archives import members, open_archive
from wdist.data.tables.found import DecodeError, TooLargeError
from wdist.data.tables.naming import asked
from wdist.data.tables.writer import ArrayWriter

MAX_IMAGES = 250_000
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg")
_OTHER_ENDINGS = (  # pictures that people take for data, but that are not read
    ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".heic", ".heif", ".jfif", ".jpe", ".jp2", ".jxl", ".ppm",
    ".pgm", ".svg", ".tga", ".dng", ".dcm", ".exr",
)  # fmt: skip
_HIDDEN = (".", "__MACOSX")
_SHOWN = 5  # names in a message


@dataclass(frozen=True)
class ImageFile:
    """An image that is to be read: its path within the folder or archive, its size in bytes, and how it is opened."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]

    def read(self, most: int) -> bytes:
        """The first bytes of the file. Raises DecodeError."""
        try:
            with self.open() as stream:
                return stream.read(most)
        except OSError as error:
            raise DecodeError(f"{self.name!r} cannot be read: {error.strerror or error}") from error


@contextmanager
def images_of(
    source: IO[bytes] | Path, writer: ArrayWriter, *, subfolders: bool
) -> Iterator[tuple[list[ImageFile], list[str]]]:
    """The images of an archive or a folder, sorted by name, and notes of what is left out.

    An archive's folders are part of it; those of a folder are read with `subfolders`. Raises DecodeError if there is no
    image, or if something that is an image by its name cannot be read.
    """
    if isinstance(source, Path):
        yield _of_folder(source, subfolders=subfolders)
        return
    with open_archive(source) as archive:
        yield _of_archive(archive, writer)


def _of_archive(archive: zipfile.ZipFile, writer: ArrayWriter) -> tuple[list[ImageFile], list[str]]:
    images, left_out = [], []
    for entry in members(archive, MAX_IMAGES, writer):
        if _is_image(entry.filename):
            images.append(ImageFile(entry.filename, entry.file_size, partial(archive.open, entry)))
        else:
            left_out.append(entry.filename)
    notes = _notes(left_out)
    if not images:
        raise DecodeError("; ".join(["the archive holds no images; add PNG or JPEG files", *notes]))
    return sorted(images, key=lambda image: image.name), notes


def _of_folder(folder: Path, *, subfolders: bool) -> tuple[list[ImageFile], list[str]]:
    images, left_out = [], []
    below: list[tuple[str, list[str]]] = []  # subfolders that are not read, and their images
    for name, entry in _entries(folder, "", below, subfolders=subfolders):
        if not _is_image(name) or (entry.is_symlink() and Path(entry.path).is_dir()):
            left_out.append(name)
        else:
            images.append(_image_file(name, entry))
            if len(images) > MAX_IMAGES:
                raise TooLargeError(f"the folder holds more than {MAX_IMAGES:,} images, which is the limit")
    notes = _notes(left_out)
    if offered := _offer(below):
        notes.append(offered)
    if not images:
        raise DecodeError("; ".join([f"the folder holds no {', '.join(IMAGE_ENDINGS)} files", *notes]))
    return sorted(images, key=lambda image: image.name), notes


def _entries(
    folder: Path, prefix: str, below: list[tuple[str, list[str]]], *, subfolders: bool
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """What lies in a folder, with its path from the first folder; links to folders are not followed."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise DecodeError(f"the folder {str(folder)!r} cannot be read: {error.strerror or error}") from error
    for entry in entries:
        name = prefix + entry.name
        if not entry.is_dir(follow_symlinks=False):  # false for a link, wherever it leads
            yield name, entry
        elif entry.name.startswith(_HIDDEN):
            below.append((name, []))
        elif subfolders:
            yield from _entries(Path(entry.path), f"{name}/", below, subfolders=True)
        else:
            below.append((name, _images_below(entry.path)))


def _images_below(folder: str) -> list[str]:
    """Names of the images that a subfolder would give."""
    images: list[str] = []
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(_HIDDEN)]
        images += filter(_is_image, files)
    return images


def _image_file(name: str, entry: os.DirEntry[str]) -> ImageFile:
    """Raises DecodeError unless the entry is a file that can be opened: a set is never read in part."""
    try:
        found = entry.stat()
    except FileNotFoundError:
        raise DecodeError(f"{name!r} is a link to a file that is not there; remove it or mend it") from None
    except OSError as error:
        raise DecodeError(f"{name!r} cannot be read: {error.strerror or error}") from error
    if not stat.S_ISREG(found.st_mode):
        raise DecodeError(f"{name!r} is no file of bytes but a pipe or a device; remove it from the folder")

    return ImageFile(name, found.st_size, lambda: Path(entry.path).open("rb"))


def _is_image(name: str) -> bool:
    is_hidden = any(part.startswith(_HIDDEN) for part in name.split("/"))
    return name.lower().endswith(IMAGE_ENDINGS) and not is_hidden


def _notes(left_out: Sequence[str]) -> list[str]:
    """Notes of files that are not read, which tell pictures of other kinds from other files."""
    pictures = [name for name in left_out if name.lower().endswith(_OTHER_ENDINGS)]
    others = [name for name in left_out if not name.lower().endswith(_OTHER_ENDINGS)]
    notes = []
    if pictures:
        notes.append(
            f"{_counted(len(pictures), 'picture', ' of another kind than PNG and JPEG')} left out: {named(pictures)}; "
            "convert to PNG what belongs to the set"
        )
    if others:
        notes.append(f"{_counted(len(others), 'other file')} left out: {named(others)}")
    return notes


def _offer(below: Sequence[tuple[str, Sequence[str]]]) -> str | None:
    """What is said of subfolders that are not read."""
    holding = [(name, images) for name, images in below if images]
    if holding:
        count, folders = sum(len(images) for _, images in holding), len(holding)
        where = f"{folders:,} subfolder{'s' if folders > 1 else ''}"
        return (
            f"{_counted(count, 'image', f' in {where}')} left out ({named([name for name, _ in holding])}): take "
            f"{'them' if count > 1 else 'it'} with {asked('subfolders', 'true')}"
        )
    return f"{_counted(len(below), 'subfolder')} left out: {named([name for name, _ in below])}" if below else None


def _counted(count: int, noun: str, where: str = "") -> str:
    return f"{count:,} {noun}{where} was" if count == 1 else f"{count:,} {noun}s{where} were"


def named(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - _SHOWN
    return ", ".join(repr(name[:100]) for name in names[:_SHOWN]) + (f" and {rest:,} more" if rest > 0 else "")
