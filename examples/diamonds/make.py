"""Writes very_good.npy and premium.npy: two cuts of the diamonds table, as two sample sets to compare.

Each is float32 of shape (n, 7), columns carat, depth, table, price, x, y, z in the order of the table. Each column is
standardised over all 53,940 stones (mean 0, population standard deviation 1), so that a distance between two stones
counts every column alike and does not depend on which two cuts are compared.

Run it with `.venv/bin/python examples/diamonds/make.py`; it needs plotnine, which `make setup` installs.
"""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from plotnine.data import diamonds

HERE = Path(__file__).resolve().parent
COLUMNS = ["carat", "depth", "table", "price", "x", "y", "z"]
FILES = {"very_good.npy": "Very Good", "premium.npy": "Premium"}


def tables() -> dict[str, NDArray[np.float32]]:
    """The two sample sets by file name, float32 (n, 7) in units of each column's standard deviation."""
    stones = diamonds[COLUMNS].to_numpy(dtype=np.float64)
    standardised = ((stones - stones.mean(axis=0)) / stones.std(axis=0)).astype("<f4")
    return {
        name: np.ascontiguousarray(standardised[(diamonds["cut"] == cut).to_numpy()]) for name, cut in FILES.items()
    }


def main() -> None:
    for name, rows in tables().items():
        path = HERE / name
        np.save(path, rows, allow_pickle=False)
        print(f"{name}  {rows.shape[0]:,} x {rows.shape[1]}  sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
