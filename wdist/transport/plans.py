"""Transport plans between two sets of weighted rows that cost little more than the cheapest one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wdist.streams import Purpose, stream
from wdist.transport.exact import distances
from wdist.transport.pot import load_emd2

Values = NDArray[np.float64]
Effort = Literal["standard", "tight"]


@dataclass(frozen=True)
class Plan:
    """Mass that moves from rows of one set to rows of another: source, target (k,) row numbers, mass (k,) above 0."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    mass: Values

    def cost(self, x: Values, y: Values) -> float:
        """Sum of mass times distance; x (n, d), y (m, d)."""
        step = max(1, (1 << 20) // x.shape[1])
        total = 0.0
        for start in range(0, len(self.mass), step):
            part = slice(start, start + step)
            gaps = x[self.source[part]] - y[self.target[part]]
            total += float(self.mass[part] @ np.linalg.norm(gaps, axis=1))
        return total


def too_large(n: int, m: int, dimension: int) -> str | None:
    """Why sets of so many rows get no plan, or None."""
    return None


def feasible_plan(x: Values, y: Values, weights_x: Values, weights_y: Values, effort: Effort, seed: int) -> Plan:
    order = [stream(seed, Purpose.PLANS, side).permutation(len(rows)) for side, rows in enumerate((x, y))]
    size = 1000 if effort == "standard" else 3000
    blocks = max(1, math.ceil(max(len(x), len(y)) / size))
    ends = [np.concatenate([[0.0], np.cumsum(w[o])]) for w, o in zip((weights_x, weights_y), order, strict=True)]
    s, t, mass = [], [], []
    for b in range(blocks):
        low, high = b / blocks, (b + 1) / blocks
        parts = []
        for e, o in zip(ends, order, strict=True):
            piece = np.minimum(e[1:], high) - np.maximum(e[:-1], low)
            rows = np.flatnonzero(piece > 1e-15)
            parts.append((o[rows], piece[rows]))
        (rx, wx), (ry, wy) = parts
        total = wx.sum()
        wy = wy * (total / wy.sum())
        _, log = load_emd2()(wx / total, wy / total, distances(x[rx], y[ry]), return_matrix=True, log=True)
        flow = np.asarray(log["G"]) * total
        i, j = np.nonzero(flow > 1e-15)
        s.append(rx[i])
        t.append(ry[j])
        mass.append(flow[i, j])
    return Plan(np.concatenate(s), np.concatenate(t), np.concatenate(mass))
