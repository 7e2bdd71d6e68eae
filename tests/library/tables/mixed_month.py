"""A month of sales in every form that a table comes in: text, dates and missing values, of which nothing is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

ROWS, LOST = 200, 8


def month() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    born = pd.Timestamp("1950-01-01") + pd.to_timedelta(generator.integers(0, 9_000, ROWS), unit="D")
    table = pd.DataFrame(
        {
            "price": generator.normal(size=ROWS),
            "quantity": generator.normal(size=ROWS),
            "city": generator.choice(["Bonn", "Kiel"], ROWS),
            "born": born.astype(str),
            "shop": generator.choice(["a b", "c's"], ROWS),
        }
    )
    table.loc[::25, "quantity"] = np.nan
    return table


def as_csv(folder: Path) -> Path:
    month().to_csv(folder / "month.csv", index=False)
    return folder / "month.csv"


def as_parquet(folder: Path) -> Path:
    month().to_parquet(folder / "month.parquet", index=False)
    return folder / "month.parquet"


def as_excel(folder: Path) -> Path:
    month().to_excel(folder / "month.xlsx", index=False)
    return folder / "month.xlsx"


FILES: dict[str, Callable[[Path], Path]] = {"csv": as_csv, "parquet": as_parquet, "excel": as_excel}
FORMS: dict[str, Callable[[Path], Any]] = {
    **FILES,
    "frame": lambda _: month(),
    "arrow": lambda _: pa.Table.from_pandas(month()),
}
