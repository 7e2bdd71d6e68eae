"""An interpreter of Linux that lacks what Windows lacks: `install` it first, then import what is to be tried.

Modules and functions of POSIX are missing, folders cannot be opened, and nothing under /proc can be read. What other
systems do differently is not imitated: separators of paths, locks on open files, how processes are started.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

MODULES = {"fcntl", "resource", "pwd", "grp", "termios"}
OF_OS = {"O_DIRECTORY", "O_TMPFILE", "fork", "geteuid", "getuid", "killpg", "pread", "pwrite", "sysconf"}


class _Blocked:
    """A finder of modules, by its method; importlib.abc has the protocol, but imports tempfile."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name in MODULES:
            raise ModuleNotFoundError(f"no {name} here", name=name)
        return None


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: it sees every file that Python opens, whichever function is called."""
    if event != "open" or not isinstance(arguments[0], str | bytes):
        return
    path, mode = os.fsdecode(arguments[0]), arguments[1]
    if Path(path).parts[:2] == ("/", "proc"):
        raise FileNotFoundError(f"no {path} here")
    # `os.open` has no mode; `open` refuses folders itself.
    if mode is None and os.path.isdir(path):  # noqa: PTH112
        raise PermissionError(f"{path} is a folder")


def install() -> None:
    """From here on, in this whole process."""
    assert not {"shutil", "tempfile"} & set(sys.modules), "they look at os when they are imported"
    os.supports_dir_fd.clear()
    for name in MODULES:
        sys.modules.pop(name, None)
    for name in OF_OS:
        delattr(os, name)
    sys.meta_path.insert(0, _Blocked())
    sys.addaudithook(_refuse)
