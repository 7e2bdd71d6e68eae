"""Files that are to be written, looked at before the work whose outcome they take.

The client has a copy, made by `make generate`, as it needs nothing of the library.
"""

from __future__ import annotations

import errno
import os
from os import PathLike
from pathlib import Path

_NO_REPORTS = {"pdf", "png", "jpg", "jpeg", "svg", "docx", "md", "txt", "json", "csv", "ipynb", "npy", "wdist"}


def refuse_unwritable(path: str | PathLike[str] | None, *, is_folder: bool = False) -> None:
    """Raise OSError if the file could not be written. is_folder: a folder is made, or filled, instead."""
    if path is None:
        return
    path = Path(path)
    if not is_folder and not path.parent.is_dir():
        raise no_folder(path)
    if path.exists() and path.is_dir() is not is_folder:
        wrong = "is a file, and a folder is to be written" if is_folder else "is a folder, and a file is to be written"
        raise OSError(errno.EISDIR, f"it {wrong}", str(path))
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not os.access(there, os.W_OK):
        raise PermissionError(errno.EACCES, "it must not be written", str(path))


def no_folder(path: Path) -> OSError:
    """That a file cannot be written, as its folder is not there."""
    return OSError(errno.ENOENT, f"the folder {path.parent} is not there", str(path))


def other_than_html(path: str | PathLike[str] | None) -> str | None:
    """What is wrong with the name of a report that tells of another format; None where nothing is."""
    if path is None or (suffix := Path(path).suffix.lower().lstrip(".")) not in _NO_REPORTS:
        return None
    pdf = "; a browser prints it as PDF" if suffix == "pdf" else ""
    picture = "; for a picture alone: result.plot().savefig" if suffix in {"png", "svg", "jpg", "jpeg"} else ""
    return f"{os.fspath(path)}: a report is an HTML file: end its name with .html{pdf}{picture}"
