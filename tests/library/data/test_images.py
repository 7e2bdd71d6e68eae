"""Images of folders and archives: their right pixels, what is refused, and what is left out and said."""

import io
import os
import re
import socket
import zipfile
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import numpy as np
import pytest
from PIL import Image

from wdist import SampleError, open_samples
from wdist.data.readers.registry import FORMATS, read
from wdist.data.tables.found import DecodeError
from wdist.data.tables.writer import ArrayWriter
from wdist.definitions.reading import Selection

GREY = np.random.default_rng(0).integers(0, 256, (2, 4, 6), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (4, 6, 3), dtype=np.uint8)


def decoded(source: Path, **reading: bool) -> tuple[np.ndarray, list[str]]:
    """The array that a folder or a zip file becomes, and the notes."""
    with TemporaryFile() as output:
        writer = ArrayWriter(output.fileno(), 1 << 30)
        if source.is_dir():
            found = read(FORMATS["images"], source, writer, Selection(**reading))
        else:
            with source.open("rb") as file:
                found = read(FORMATS["images"], file, writer, Selection(**reading))
        output.seek(0)
        return np.load(output), found.notes


def png(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png", **options)
    return buffer.getvalue()


def zipped(folder: Path) -> Path:
    """All files of a folder as an archive beside it, as a zip program writes it: in any order, deflated, with dates."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.write(file, file.relative_to(folder))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two grey images."""
    made = tmp_path / "pictures"
    made.mkdir()
    for name, pixels in zip("ab", GREY, strict=True):
        (made / f"{name}.png").write_bytes(png(pixels))
    return made


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_an_image_is_turned_as_its_orientation_says(tmp_path: Path, kind: str, orientation: int) -> None:
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :16] = 255  # what a viewer shows: the top left quarter is white
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.T, 6: np.rot90(upright), 7: upright[::-1, ::-1].T, 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / f"a.{kind}", kind, exif=exif)
    array, notes = decoded(tmp_path)
    assert np.abs(array[0].astype(int) - upright).max() <= (0 if kind == "png" else 4)
    assert notes == []


def of_mode(mode: str, **options: object) -> Callable[[], tuple[bytes, np.ndarray]]:
    """An image of a mode as PNG, and its pixels as Pillow shows them."""

    def make() -> tuple[bytes, np.ndarray]:
        buffer = io.BytesIO()
        image = Image.fromarray(COLOUR).convert(mode)
        image.save(buffer, "png", **options)
        return buffer.getvalue(), np.asarray(image.convert("L" if mode in ("1", "L", "LA") else "RGB"))

    return make


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_modes_that_8_bits_of_grey_or_colour_hold(tmp_path: Path, mode: str) -> None:
    data, pixels = of_mode(mode)()
    (tmp_path / "a.png").write_bytes(data)
    assert np.array_equal(decoded(tmp_path)[0][0], pixels)


def test_a_palette_of_two_bits_gives_its_colours(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette([1, 2, 3, 40, 50, 60, 255, 0, 7])
    image.save(tmp_path / "a.png", bits=2)
    assert decoded(tmp_path)[0].tolist() == [[[[1, 2, 3], [40, 50, 60], [255, 0, 7]]]]


def sixteen_bits_of_colour() -> bytes:
    """A 16-bit RGB PNG, which Pillow does not write: 2 x 1 pixels."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" + np.arange(6, dtype=">u2").tobytes())
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def saved(image: Image.Image, kind: str = "png", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def a_hole() -> np.ndarray:
    return np.dstack([COLOUR, np.full((4, 6), 255, np.uint8)]) * np.uint8([1, 1, 1, 0])


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "16-bit grey": (lambda: saved(Image.fromarray(np.full((4, 6), 40_000, np.uint16))), "has 16 bits a channel"),
    "16-bit colour": (sixteen_bits_of_colour, "has 16 bits a channel"),
    "transparent": (lambda: png(a_hole()), "transparent in places (RGBA)"),
    "transparent colour": (lambda: png(COLOUR, transparency=tuple(map(int, COLOUR[0, 0]))), "transparent in places"),
    "transparent grey": (lambda: png(GREY[0], transparency=int(GREY[0, 0, 0])), "transparent in places (L)"),
    "transparent palette": (
        lambda: saved(Image.fromarray(COLOUR).quantize(8), transparency=0),
        "transparent in places (P)",
    ),
    "transparent black and white": (
        lambda: saved(Image.fromarray(GREY[0]).convert("1"), transparency=0),
        "transparent in places (1)",
    ),
    "CMYK": (lambda: saved(Image.fromarray(COLOUR).convert("CMYK"), "jpeg"), "has the mode CMYK"),
    "animated": (
        lambda: saved(Image.fromarray(GREY[0]), save_all=True, append_images=[Image.fromarray(GREY[1])]),
        "is animated, with 2 frames",
    ),
    "WebP under another name": (lambda: saved(Image.fromarray(COLOUR), "webp"), "is WebP by its content"),
    "TIFF under another name": (lambda: saved(Image.fromarray(COLOUR), "tiff"), "is TIFF by its content"),
    "BMP under another name": (lambda: saved(Image.fromarray(COLOUR), "bmp"), "is BMP by its content"),
    "GIF under another name": (lambda: saved(Image.fromarray(COLOUR), "gif"), "is GIF by its content"),
    "empty": (lambda: b"", "cannot be read as an image"),
    "cut off": (lambda: png(np.random.default_rng(2).integers(0, 256, (64, 64), np.uint8))[:-900], "cannot be read"),
    "grey beside colour": (lambda: png(COLOUR), "'c.png' is 6 x 4 colour and 'a.png' is 6 x 4 grey"),
    "of another size": (lambda: png(GREY[0].T), "'c.png' is 4 x 6 grey and 'a.png' is 6 x 4 grey"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_refused_is_named(folder: Path, kind: str, packed: bool) -> None:
    make, words = REFUSED[kind]
    (folder / "c.png").write_bytes(make())
    with pytest.raises(DecodeError, match=re.escape(words)) as refused:
        decoded(zipped(folder) if packed else folder)
    assert "'c.png'" in str(refused.value)


def test_a_preview_within_a_jpeg_file_is_left_out_and_said(tmp_path: Path) -> None:
    pictures = [Image.fromarray(np.full((16, 16), level, np.uint8)) for level in (200, 90)]
    pictures[0].save(tmp_path / "a.jpg", "mpo", save_all=True, append_images=pictures[1:])
    array, notes = decoded(tmp_path)
    assert np.abs(array.astype(int) - 200).max() <= 4
    assert notes == ["previews or depth maps within 1 JPEG files were left out: 'a.jpg'"]


LEFT_OUT = [
    "notes.txt",
    ".DS_Store",
    "Thumbs.db",
    ".hidden.png",
    "labels.csv",
    "a.png.bak",
    "b.webp",
    "c.TIFF",
    "d.bmp",
]


def test_files_that_are_left_out_are_counted_and_named(folder: Path) -> None:
    (folder / "c.JPG").write_bytes(saved(Image.fromarray(GREY[0]), "jpeg"))
    alone, none = decoded(folder)
    assert (len(alone), none) == (3, [])
    for name in LEFT_OUT:
        (folder / name).write_bytes(b"anything")
    array, notes = decoded(folder)
    assert np.array_equal(array, alone)
    assert [note.partition(":")[0] for note in notes] == [
        "3 pictures of another kind than PNG and JPEG were left out",
        "6 other files were left out",
    ]
    assert all(repr(name) in notes[0] for name in ("b.webp", "c.TIFF", "d.bmp"))
    assert notes[1].endswith(" and 1 more")
    assert len(re.findall(r"'[^']+'", notes[1])) == 5
    from_archive = decoded(zipped(folder))
    assert np.array_equal(from_archive[0], array)
    assert [note.partition(":")[0] for note in from_archive[1]] == [note.partition(":")[0] for note in notes]


def test_subfolders_are_offered_and_taken(folder: Path) -> None:
    for name, count in (("cats", 2), ("dogs/small", 1), (".cache", 1), ("empty", 0)):
        (folder / name).mkdir(parents=True)
        for k in range(count):
            (folder / name / f"{k}.png").write_bytes(png(GREY[k]))
    array, notes = decoded(folder)
    assert len(array) == 2
    assert notes == ["3 images in 2 subfolders were left out ('cats', 'dogs'): take them with ?subfolders=true"]
    array, notes = decoded(folder, subfolders=True)
    assert np.array_equal(array, np.stack([*GREY, *GREY, GREY[0]]))
    assert notes == ["1 subfolder was left out: '.cache'"]
    array, notes = decoded(zipped(folder))  # an archive holds what somebody put into it
    assert np.array_equal(array, np.stack([*GREY, *GREY, GREY[0]]))
    assert notes == ["1 other file was left out: '.cache/0.png'"]


def test_a_folder_without_images_says_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.png").write_bytes(png(GREY[0]))
    (tmp_path / "b.webp").write_bytes(b"")
    with pytest.raises(SampleError) as refused:
        open_samples(tmp_path)
    for words in ("holds no .png, .jpg, .jpeg files", "'b.webp'", "1 image in 1 subfolder", "take it with"):
        assert words in str(refused.value)


def test_names_that_differ_in_case_are_two_files(folder: Path) -> None:
    (folder / "A.PNG").write_bytes(png(GREY[1]))
    if len(list(folder.iterdir())) == 3:  # not where file names have no case
        assert np.array_equal(decoded(folder)[0], [GREY[1], *GREY])
        assert np.array_equal(decoded(zipped(folder))[0], [GREY[1], *GREY])


def test_dates_modes_and_names_that_archives_cannot_hold(folder: Path) -> None:
    os.utime(folder / "a.png", (0, 0))
    os.utime(folder / "b.png", (5e9, 5e9))  # in 2128
    (folder / "b.png").chmod(0o4400)
    assert np.array_equal(decoded(folder)[0], GREY)
    odd = os.fsencode(folder) + b"/c\xff.png"
    with open(odd, "wb") as file:  # noqa: PTH123 - its name is bytes
        file.write(png(GREY[0]))
    assert np.array_equal(decoded(folder)[0], [*GREY, GREY[0]])
    with open(odd, "wb") as file:  # noqa: PTH123
        file.write(b"no image")
    with pytest.raises(SampleError, match=re.escape(r"'c\udcff.png' cannot be read as an image")):
        open_samples(folder)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def broken_link(path: Path) -> None:
    path.symlink_to("nowhere.png")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def bound_socket(path: Path) -> None:
    with chdir(path.parent), socket.socket(socket.AF_UNIX) as made:  # a socket's path may have 107 bytes
        made.bind(path.name)


def unreadable(path: Path) -> None:
    path.symlink_to("/proc/self/mem")  # opens, and has no bytes at its start


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (fifo, "'c.png' is no file of bytes but a pipe or a device"),
        (device, "'c.png' is no file of bytes but a pipe or a device"),
        (bound_socket, "'c.png' is no file of bytes but a pipe or a device"),
        (broken_link, "'c.png' is a link to a file that is not there"),
        (loop, "'c.png' cannot be read: Too many levels of symbolic links"),
        (unreadable, "'c.png' cannot be read: Input/output error"),
    ],
)
def test_a_folder_with_an_image_that_cannot_be_opened_is_refused(
    folder: Path, make: Callable[[Path], None], words: str
) -> None:
    make(folder / "c.png")
    with pytest.raises(SampleError, match=re.escape(words)):
        open_samples(folder)


def test_an_image_or_a_folder_without_permission_is_refused() -> None:
    with TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        for name, mode in (("a.png", 0o644), ("b.png", 0)):
            (folder / name).write_bytes(png(GREY[0]))
            (folder / name).chmod(mode)
        (folder / "locked").mkdir(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # root may read everything
        try:
            for given, reading, words in (
                (folder, {}, "'b.png' cannot be read: Permission denied"),
                (folder, {"subfolders": True}, f"the folder '{folder}/locked' cannot be read: Permission denied"),
                (folder / "locked", {}, "locked' cannot be read: Permission denied"),
            ):
                with pytest.raises(DecodeError, match=re.escape(words)):
                    decoded(given, **reading)
        finally:
            os.seteuid(user)


def test_links_to_images_are_read_and_links_to_folders_are_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "c.png").write_bytes(png(GREY[0]))
    (folder / "c.png").symlink_to(tmp_path / "elsewhere" / "c.png")
    (folder / "again.png").symlink_to(folder)
    array, notes = decoded(folder, subfolders=True)
    assert np.array_equal(array, [*GREY, GREY[0]])
    assert notes == ["1 other file was left out: 'again.png'"]


def test_reading_leaves_pillows_own_limit_alone(folder: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    decoded(folder)
    assert before == Image.MAX_IMAGE_PIXELS
