"""Disks of a power cut: what was synced, and of the rest what a file system may keep or lose."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).with_name("synced_disk.c")


class Entry(NamedTuple):
    """A name on the disk, and the file or folder that it stands for."""

    id: str
    is_folder: bool
    name: str


class SyncedDisk:
    """The folder `path` counts as the disk of the processes that are started with `environment`.

    A file system may write names before or after the bytes, in an order of its own. The two extremes are made: "late",
    where the disk has no name, no removal and no byte that was not synced, and "early", where it has all names as they
    were, over files that have only the bytes that were synced.
    """

    def __init__(self, folder: Path) -> None:
        if (compiler := shutil.which("cc")) is None:
            pytest.skip("no C compiler on this machine")
        self.path, self._notes = folder / "disk", folder / "notes"
        self.path.mkdir()
        self._notes.mkdir()
        library = folder / "synced_disk.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], check=True)
        self.environment: dict[str, str | None] = {
            "LD_PRELOAD": str(library), "WDIST_TEST_DISK": str(self.path), "WDIST_TEST_NOTES": str(self._notes),
        }  # fmt: skip

    def events(self) -> list[Entry]:
        """What was synced so far, in this order."""
        file = self._notes / "events"
        lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
        return [Entry(id_, kind == "d", number) for number, kind, id_ in lines]

    def named(self, number: int) -> str:
        """The path below the disk of what event `number` synced; "" if it has none any more."""
        id_ = self.events()[number - 1].id
        return next((entry.name for entry in self._listing(number, "tree") if entry.id == id_), "")

    def after_cut(self, number: int, names: str, to: Path) -> Path:
        """Make the disk as a cut right after event `number` leaves it; returns `to`."""
        shutil.rmtree(to, ignore_errors=True)
        to.mkdir()
        last = {event.id: k for k, event in enumerate(self.events()[:number], 1)}
        if names == "late":
            root = self.path.stat().st_ino
            self._restore(next((id_ for id_ in last if id_.startswith(f"{root}.")), ""), last, to)
        else:
            for entry in self._listing(number, "tree"):
                self._make(entry, last, to)
        return to

    def _restore(self, folder: str, last: dict[str, int], to: Path) -> None:
        """Make what the last synced state of a folder names."""
        for entry in self._listing(last[folder], "names") if folder in last else ():
            self._make(entry, last, to)
            if entry.is_folder:
                self._restore(entry.id, last, to / entry.name)

    def _make(self, entry: Entry, last: dict[str, int], to: Path) -> None:
        path = to / entry.name
        if entry.is_folder:
            path.mkdir()
        elif entry.id in last:
            shutil.copyfile(self._notes / f"{last[entry.id]}.file", path)
        else:
            path.touch()

    def _listing(self, number: int, kind: str) -> Iterator[Entry]:
        for line in (self._notes / f"{number}.{kind}").read_text().splitlines():
            id_, type_, name = line.split(" ", 2)
            yield Entry(id_, type_ == "d", name)
