"""The files that the README's reader has: months of sales, shops, weeks, models and folders of images, all small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

ROWS = 200
random = np.random.default_rng(0)


def sales(shift: float = 0.0) -> pd.DataFrame:
    """A month: prices, quantities of which some are missing, a city, and when the buyer was born."""
    table = pd.DataFrame(
        {
            "price": random.lognormal(3 + shift, 0.5, ROWS),
            "quantity": random.normal(4, 1, ROWS),
            "city": random.choice(["Bonn", "Kiel", "Ulm"], ROWS, p=[0.5 - shift, 0.3, 0.2 + shift]),
            "born": (pd.Timestamp("1950-01-01") + pd.to_timedelta(random.integers(0, 20_000, ROWS), unit="D")).astype(
                str
            ),
        }
    )
    table.loc[::25, "quantity"] = np.nan
    return table


def numbers(shift: float = 0.0) -> pd.DataFrame:
    return sales(shift).dropna()[["price", "quantity"]]


def write() -> None:
    """Write all of them into the working directory."""
    for month, shift in (("january", 0.0), ("february", 0.3), ("march", 0.1)):
        sales(shift).to_csv(f"{month}.csv", index=False)
    shops = [numbers(shift).assign(shop=shop) for shop, shift in (("north", 0.0), ("south", 0.0), ("west", 0.4))]
    pd.concat(shops).to_csv("shops.csv", index=False)
    for name in ("reference", *(f"week-{week}" for week in range(1, 7))):
        numbers().to_csv(f"{name}.csv", index=False)
    for name, shift in (("real", 0.0), ("a", 1.0), ("b", 0.1), ("pilot-a", 0.0), ("pilot-b", 1.0)):
        np.save(f"{name}.npy", random.normal(shift, 1, (ROWS, 2)))
    for name, brightest in (("photos", 256), ("renders", 128)):
        Path(name).mkdir()
        for number in range(100):
            Image.fromarray(random.integers(0, brightest, (4, 4), dtype=np.uint8)).save(f"{name}/{number}.png")
