"""The committed diamonds files are what examples/diamonds/make.py makes of the table."""

import hashlib
import importlib.util
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "diamonds"


def test_files_are_made_from_the_table_and_documented() -> None:
    spec = importlib.util.spec_from_file_location("make", FOLDER / "make.py")
    assert spec is not None
    assert spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    readme = (FOLDER / "README.md").read_text()
    made = make.tables()
    assert {name: rows.shape for name, rows in made.items()} == {"very_good.npy": (12082, 7), "premium.npy": (13791, 7)}
    for name, rows in made.items():
        stored = np.load(FOLDER / name, allow_pickle=False)
        assert stored.dtype == np.float32
        np.testing.assert_array_equal(stored, rows)
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() in readme


def test_columns_are_standardised_over_all_stones() -> None:
    # The two cuts are not all stones, so only the whole table has mean 0 and deviation 1; price differs most.
    x, y = (np.load(FOLDER / name) for name in ("very_good.npy", "premium.npy"))
    assert np.abs(x.mean(axis=0)).max() < 1
    assert y[:, 3].mean() > x[:, 3].mean()
