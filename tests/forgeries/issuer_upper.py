"""The upper end of the issuer: a plan along the first column, and what follows from any plan."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import issuer_tables
import numpy as np

Array = np.ndarray
PLAN = ("plan.source", "plan.target", "plan.mass")


def used(document: dict[str, Any], parts: list[dict[str, Array]]) -> list[Array]:
    """The rows of each side that did not decide the unit."""
    scale = document["input"]["scale"]
    is_fitted = scale["kind"] not in ("none", "number", "vector") or scale.get("missing") is not None
    kept = ("train", "test") if is_fitted else ("train", "select", "test")
    return [np.concatenate([part[name] for name in kept]) for part in parts]


def coupled(x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Places in x and y, each in its sorted order, and the mass that both have in common there."""
    ends = [np.arange(1, len(each) + 1) / len(each) for each in (x, y)]
    cuts = np.union1d(*ends)
    places = [
        np.argsort(each)[np.minimum(np.searchsorted(end, cuts), len(end) - 1)]
        for each, end in zip((x, y), ends, strict=True)
    ]
    return places[0], places[1], np.diff(cuts, prepend=0)


def make_plan(tensors: dict[str, Array], rows: list[Array], points: list[Array]) -> None:
    """Set the plan's tensors. rows: the used ones; points: all rows of each side as distances are measured, (n, d)."""
    for name in PLAN:
        tensors.pop(name, None)
    if points[0].shape[1] > 1:
        i, j, mass = coupled(*(each[index, 0] for each, index in zip(points, rows, strict=True)))
        tensors |= {"plan.source": rows[0][i], "plan.target": rows[1][j], "plan.mass": mass}


def state_upper(document: dict[str, Any], tensors: dict[str, Array], rows: list[Array], points: list[Array]) -> None:
    """Set cost and bound to what follows from the plan, whatever it is."""
    stated, alpha = document["upper"], 1 - document["statement"]["confidence"]
    x, y = (each[index] for each, index in zip(points, rows, strict=True))
    if x.shape[1] == 1:
        i, j, mass = coupled(x[:, 0], y[:, 0])
        gaps = x[i] - y[j]
    else:
        source, target, mass = (tensors[name] for name in PLAN)
        gaps = points[0][source] - points[1][target]
    stated["cost"] = float(mass @ np.linalg.norm(gaps, axis=1))
    squares = [((each - each.mean(axis=0)) ** 2).sum() / (len(each) - 1) for each in (x, y)]
    wide = diameter(document, x.shape[1])
    if wide is None:
        deviation = NormalDist().inv_cdf(1 - alpha) * math.sqrt(squares[0] / len(x) + squares[1] / len(y))
        stated["bound"] = stated["cost"] + deviation
    else:
        stated["bound"] = min(wide, stated["cost"] + finite(squares, [len(x), len(y)], wide, alpha))


def finite(squares: list[float], counts: list[int], wide: float, alpha: float) -> float:
    t, log, total = math.log(1 / (0.9 * alpha)), math.log(1 / (0.05 * alpha)), 0.0
    for square, n in zip(squares, counts, strict=True):
        more = wide * math.sqrt(log / 4 / (n // 2))
        total += min(math.sqrt(square + more * more) + more, wide / 2) ** 2 / n
    mcdiarmid = math.sqrt(t / 2 * sum(wide * wide / n for n in counts))
    return min(math.sqrt(2 * t * total) + t / 3 * max(wide / n for n in counts), mcdiarmid)


def diameter(document: dict[str, Any], d: int) -> float | None:
    stated, takes = document["upper"], document["input"]
    if stated["ranges"] is None:
        return stated["diameter"]
    if "kinds" in takes:
        return issuer_tables.diameter(document)
    widths = np.diff(np.reshape(stated["ranges"], (-1, 2)).astype(float), axis=1)[:, 0]
    widths = widths / (255 if takes["uint8"] else 1) / np.reshape(takes["scale"]["divisor"], -1)
    return float(np.linalg.norm(np.broadcast_to(widths, d)))
