"""A folder is an idea that a newcomer can survey, and a file is short enough to read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("wdist", "service/wdist_service", "clients/python/wdist_client")
MODULES = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts]


def test_no_folder_has_more_than_twelve_modules_side_by_side() -> None:
    sizes = Counter(path.parent for path in MODULES if not path.name.startswith("__"))
    assert sizes
    assert {str(folder.relative_to(ROOT)): size for folder, size in sizes.items() if size > 12} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_is_much_over_four_hundred_lines(package: str) -> None:
    texts = {path: path.read_text().splitlines() for path in MODULES if (ROOT / package) in path.parents}
    # What `make generate` writes is not read from top to bottom, and grows with each figure.
    lengths = {path: len(lines) for path, lines in texts.items() if not lines or "`make generate`" not in lines[0]}
    assert lengths
    assert {str(path.relative_to(ROOT)): length for path, length in lengths.items() if length > 420} == {}
