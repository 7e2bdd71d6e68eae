"""Encoded tables of the issuer: rows, recipe and scale, from docs/certificate.md.

The table has a number, a category and a boolean; with missing values these are 2 + 4 + 3 columns, else 1 + 3 + 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray
LEVELS = ["a", "b", "c"]
MISSING = 0.1


def rows(generator: np.random.Generator, n: int, shift: float, *, missing: bool, unknown: bool = False) -> Array:
    """Encoded rows (n, 9) or (n, 5), whose numbers are moved by `shift`; `unknown`: of some, no level is known."""
    number, lost = generator.standard_normal(n) + shift, generator.random(n) < MISSING
    level, flag = generator.integers(0, 4 if missing else 3, n), generator.integers(0, 3 if missing else 2, n)
    if not missing:
        return np.column_stack([number, np.eye(3)[level], flag]).astype(np.float64)
    number[lost] = np.nan
    one_hot = np.eye(4)[level]
    if unknown:
        one_hot[: n // 3] = 0
    return np.column_stack([number, lost, one_hot, np.eye(3)[flag]]).astype(np.float64)


def describe(document: dict[str, Any], *, missing: bool, cost: float) -> None:
    """Set the recipe and the input of a document, all but what rows decide."""
    columns = [
        {"name": "carat", "kind": "number"},
        {"name": "cut", "kind": "category", "levels": LEVELS},
        {"name": "sold", "kind": "boolean"},
    ]
    document["recipe"] = {
        "reading": {"categories": ["cut"], "missing": "level"} if missing else {"categories": ["cut"]},
        "encoding": {"columns": columns, "missing": missing},
        "category_cost": cost,
    }
    kinds = (
        [["optional", 2], ["levels", 4], ["levels", 3]] if missing else [["number", 1], ["levels", 3], ["indicator", 1]]
    )
    scale = document["input"]["scale"]
    scale |= {"category_cost": cost, "missing": None, "center": 0.0}
    number = {"none": 1.0, "number": 2.0}.get(scale["kind"], 3.0)
    scale["divisor"] = divisors(missing, number, cost)
    document["input"] |= {"kinds": kinds}


def divisors(missing: bool, number: float, cost: float) -> list[float]:
    flag, level = 1 / cost, math.sqrt(2) / cost
    return [number, flag, *[level] * 7] if missing else [number, *[level] * 3, flag]


def fit(document: dict[str, Any], select: Array, *, is_of_first: bool) -> None:
    """Set what the select rows, pooled, decide of the scale."""
    scale, width = document["input"]["scale"], select.shape[1]
    number = select[~np.isnan(select[:, 0]), 0]
    middle = float(number[0] + (number - number[0]).mean())
    if scale["kind"] in ("standardize", "reference"):
        divisor = float(np.sqrt(((number - middle) ** 2).mean()))
        scale["divisor"] = divisors(width == 9, divisor, scale["category_cost"])
    if scale["kind"].startswith("robust"):
        low, middle, high = (float(np.quantile(number, share)) for share in (0.25, 0.5, 0.75))
        scale["divisor"] = divisors(width == 9, (high - low) / 1.349, scale["category_cost"])
    if scale["kind"] not in ("none", "number", "vector"):
        scale["center"] = [middle, *[0.0] * (width - 1)]
    if width == 9:
        scale["missing"] = {"center": [middle, *[0.0] * 8], "is_of_first": is_of_first}


def diameter(document: dict[str, Any]) -> float:
    """Of the declared range of the number."""
    scale, (low, high) = document["input"]["scale"], document["upper"]["ranges"]
    if scale["missing"] is not None:
        middle = scale["missing"]["center"][0]
        low, high = min(low, middle), max(high, middle)
    costly = 3 if scale["missing"] is not None else 2
    return math.hypot((high - low) / scale["divisor"][0], *[scale["category_cost"]] * costly)
