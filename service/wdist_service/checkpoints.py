"""Where attempts keep their training state, so that the next attempt goes on instead of starting again.

Each attempt writes a file of its own: one that was replaced and still writes (it was frozen, say) cannot harm its heir.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path


def prepare(directory: Path, estimate_id: str, attempt: int) -> Path:
    """The file of this attempt, begun as a copy of the newest earlier one; of those, two are kept."""
    folder = directory / estimate_id
    folder.mkdir(parents=True, exist_ok=True)
    mine = folder / f"{attempt}.checkpoint"
    earlier = sorted((path for path in folder.glob("*.checkpoint") if number(path) < attempt), key=number, reverse=True)
    if earlier and not mine.exists():
        part = mine.with_suffix(".copy")
        shutil.copyfile(earlier[0], part)
        part.replace(mine)
    for old in earlier[1:]:
        old.unlink(missing_ok=True)
    return mine


def number(path: Path) -> int:
    """The attempt that a checkpoint file belongs to."""
    return int(path.stem) if path.stem.isdigit() else 0


def forget(directory: Path, estimate_id: str) -> None:
    """The estimate has ended."""
    shutil.rmtree(directory / estimate_id, ignore_errors=True)


def sweep(directory: Path, is_active: Callable[[str], bool]) -> None:
    """Remove what ended estimates left behind."""
    for folder in directory.iterdir():
        if not is_active(folder.name):
            shutil.rmtree(folder, ignore_errors=True)
