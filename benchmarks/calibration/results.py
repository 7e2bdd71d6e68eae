"""Finished runs, in a file that every chunk is appended to: a study can be stopped and continued at any time."""

from __future__ import annotations

import ast
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

ROOT = Path(__file__).resolve().parents[2]
DECIDES = (
    *("wdist/inference", "wdist/data", "wdist/transport", "wdist/rounding.py", "wdist/streams.py", "wdist/certify.py"),
    "wdist/definitions/results/verdict.py",
    *(
        f"benchmarks/calibration/{name}.py"
        for name in ("cell", "statements", "rows", "groups", "answers", "together", "upper", "whole")
    ),
)


def code_digest() -> str:
    """Eight digits that change with the code of statements and cells: runs of other code say nothing about this one.

    Comments, docstrings and the layout of the text do not count.
    """
    digest = hashlib.sha256()
    for part in DECIDES:
        path = ROOT / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(ast.dump(_without_docstrings(ast.parse(file.read_text()))).encode())
    return digest.hexdigest()[:8]


def _without_docstrings(module: ast.Module) -> ast.Module:
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            del node.body[0]
    return module


@dataclass
class Tally:
    """The finished runs of a cell, and how often each statement was wrong in them."""

    numbers: set[int] = field(default_factory=set)
    wrong: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def runs(self) -> int:
        return len(self.numbers)

    def add(self, line: dict[str, Any]) -> None:
        """A chunk. One whose runs are known already is left out."""
        numbers = set(range(line["first"], line["first"] + line["runs"]))
        if numbers & self.numbers:
            return
        self.numbers |= numbers
        self.seconds += line["seconds"]
        for statement, count in line["wrong"].items():
            self.wrong[statement] = self.wrong.get(statement, 0) + count

    def missing(self, runs: int, chunk: int) -> Iterator[tuple[int, int]]:
        """(first, count) of chunks of runs that have not been made."""
        first, count = 0, 0
        for number in range(runs + 1):
            is_missing = number < runs and number not in self.numbers
            if count and (not is_missing or count == chunk):
                yield first, count
                count = 0
            if is_missing:
                first, count = (first, count + 1) if count else (number, 1)


class Results:
    """The tallies of a file, and the way to add to it. `with` closes the file.

    Raises BlockingIOError if it is opened for writing, and another process has it open for that.
    """

    def __init__(self, path: Path, *, is_written: bool = False, any_code: bool = False) -> None:
        self.code = code_digest()
        self.tallies: dict[str, Tally] = {}
        self.ignored = 0  # lines of other code
        self._file = _locked(path) if is_written else None
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                found = json.loads(line)
            except json.JSONDecodeError:  # the last line of a process that was killed
                continue
            if any_code or found["code"] == self.code:
                self.of(found["cell"]).add(found)
            else:
                self.ignored += 1

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._file is not None:
            self._file.close()

    def of(self, cell: str) -> Tally:
        return self.tallies.setdefault(cell, Tally())

    def append(self, cell: str, first: int, runs: int, wrong: dict[str, int], seconds: float) -> None:
        """Add a chunk to the file and the tally."""
        assert self._file is not None
        line = {"cell": cell, "first": first, "runs": runs, "wrong": wrong, "seconds": round(seconds, 3)}
        self._file.write(json.dumps(line | {"code": self.code}) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.of(cell).add(line)


def _locked(path: Path) -> TextIO:
    """The file, to append whole lines to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if file.tell() and not path.read_bytes().endswith(b"\n"):
        file.write("\n")
    return file
