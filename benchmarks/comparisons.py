"""How often is something that a comparison says wrong, and how wide are its intervals?

    .venv/bin/python benchmarks/comparisons.py [--runs 2000] [--case NAME] [--confidence 0.95] [--json]

Known populations, and critics that know them, so that no bias of training hides an error. Each run draws the sets,
makes the figures of each estimate as the library does (split, clip, target stakes, plan), and compares them.

wrong: runs in which any distance or difference lies outside its bounds; at most 1 - confidence of them may be. ends,
diff.: runs in which a bound of a distance, or of a difference, is wrong. width: mean length of the intervals of the
differences. ends only: the same if they followed from ends at alpha / 2k, which is the rule from three candidates on.
direct: if they were bounded directly, with half of the error, whatever the number of candidates.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from statistics import NormalDist, fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wdist.data.seeded import SeededScores
from wdist.data.splits import split_rows
from wdist.inference.comparison import compared_figures, statements_needed
from wdist.inference.comparison.bounds import direct_bound
from wdist.inference.mean_bounds import clip_interval
from wdist.inference.units import lower_bound_of, units_of_rows, value_of
from wdist.transport.upper import UpperEnd, upper_end_of_rows

Values = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Values]


@dataclass(frozen=True)
class Case:
    """Sets with known distances. sizes: rows of the reference and of each candidate.

    critics: for each candidate a function of rows (n, d) with slope 1, which may be the best there is.
    """

    name: str
    sizes: tuple[int, ...]
    reference: Draw
    candidates: tuple[Draw, ...]
    critics: tuple[Callable[[Values], Values], ...]
    distances: tuple[float, ...]
    is_sorted: bool = False


@dataclass
class Rates:
    """What came out of the runs of a case: counts of runs, and sums of widths."""

    case: str
    runs: int = 0
    wrong: int = 0
    ends: int = 0
    differences: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    width: list[float] = field(default_factory=list)
    ends_only: list[float] = field(default_factory=list)
    direct: list[float] = field(default_factory=list)


class Rows:
    """Rows as the plan reads them."""

    def __init__(self, rows: Values) -> None:
        self._rows, self.n = rows, len(rows)

    def rows(self, index: Any) -> Values:
        return self._rows[index]


def normals(d: int, shift: float) -> Draw:
    """Normal rows, moved along the first axis."""
    return lambda generator, n: generator.normal(size=(n, d)) + np.eye(1, d) * shift


def coins(share: float, high: float = 10.0) -> Draw:
    """Rows that are `high` with probability `share`, else 0."""
    return lambda generator, n: high * (generator.random((n, 1)) < share)


def along(sign: float) -> Callable[[Values], Values]:
    """The first coordinate, or its negative."""
    return lambda rows: sign * rows[:, 0]


def shifted(name: str, d: int, shifts: Sequence[float], sizes: Sequence[int], **more: Any) -> Case:
    """Normal rows; the best critic of each candidate."""
    return Case(
        name, tuple(sizes), normals(d, 0), tuple(normals(d, shift) for shift in shifts),
        tuple(along(1.0 if shift >= 0 else -1.0) for shift in shifts), tuple(map(abs, shifts)), **more,
    )  # fmt: skip


def flipped(name: str, reference: float, shares: Sequence[float], sizes: Sequence[int]) -> Case:
    """Coins: all of the distance is the difference of the means, so that the plan has next to no bias."""
    signs = [1.0 if share >= reference else -1.0 for share in shares]
    distances = tuple(10 * abs(share - reference) for share in shares)
    return Case(
        name, tuple(sizes), coins(reference), tuple(map(coins, shares)), tuple(map(along, signs)), distances
    )  # fmt: skip


CASES = (
    shifted("opposite sides, d = 1", 1, (1.0, -1.2), (1_000,) * 3),
    shifted("opposite sides, d = 1, n = 200", 1, (1.0, -1.2), (200,) * 3),
    shifted("one side, d = 1", 1, (1.0, 1.2), (1_000,) * 3),
    shifted("equal candidates, d = 1", 1, (1.0, 1.0), (1_000,) * 3),
    shifted("equal, opposite sides, d = 1", 1, (1.0, -1.0), (1_000,) * 3),
    shifted("all equal, d = 1", 1, (0.0, 0.0), (1_000,) * 3),
    shifted("sorted files, d = 1", 1, (1.0, -1.2), (1_000,) * 3, is_sorted=True),
    shifted("small reference, d = 1", 1, (1.0, -1.2), (200, 2_000, 2_000)),
    shifted("large reference, d = 1", 1, (1.0, -1.2), (4_000, 200, 400)),
    shifted("opposite sides, d = 3", 3, (2.0, -2.3), (500,) * 3),
    shifted("one side, d = 16", 16, (3.0, 3.5), (300,) * 3),
    flipped("coins", 0.5, (0.7, 0.25), (1_000,) * 3),
    flipped("coins, one side", 0.3, (0.5, 0.6), (400,) * 3),
    flipped("rare coins", 0.05, (0.1, 0.15), (400,) * 3),
    flipped("no coin in the reference", 0.0, (0.03, 0.06), (1_000,) * 3),
    shifted("three, d = 1", 1, (1.0, -1.2, 1.1), (1_000,) * 4),
    shifted("six, d = 1", 1, (0.5, -0.5, 0.8, -0.8, 1.0, 1.1), (1_000,) * 7),
    flipped("six coins", 0.5, (0.6, 0.4, 0.7, 0.3, 0.75, 0.2), (1_000,) * 7),
)


def figures_of(
    case: Case, rows: Sequence[Values], number: int, confidence: float, statements: int
) -> list[dict[str, Any]]:
    """The figures of each estimate that a comparison needs, computed as the library computes them."""
    splits = [split_rows(len(each), number, min(k, 1)) for k, each in enumerate(rows)]
    alpha, reference = 1 - confidence, rows[0]
    results = []
    for k, critic in enumerate(case.critics, start=1):
        scores = critic(reference), critic(rows[k])
        sides = splits[0], splits[k]
        seen = [s[np.concatenate([p.train, p.select])] for s, p in zip(scores, sides, strict=True)]
        low, high = clip_interval(seen[0], seen[1], *(len(p.test) for p in sides), alpha, "target_stakes")
        clipped = [np.clip(s, low, high) for s in scores]
        fx, fy = (SeededScores.of(s[p.test], p.test, p.test) for s, p in zip(clipped, sides, strict=True))
        prior = [(float(s[p.select].mean()), float(s[p.select].std())) for s, p in zip(clipped, sides, strict=True)]
        units = units_of_rows(fx, fy)
        used = np.arange(len(reference)), np.arange(len(rows[k]))
        upper = upper_end_of_rows(Rows(reference), Rows(rows[k]), used, "standard", number)
        assert isinstance(upper, UpperEnd)
        lower = lower_bound_of(units, low, high, alpha / statements, "target_stakes", (prior[0], prior[1]))
        named = dict(zip(("source", "target"), sides, strict=True))
        results.append({
            "value": value_of(units), "confidence": confidence, "units": "one", "scale": None, "split": "random",
            "groups": None, "upper_kind": "approximate", "n": {side: split.sizes() for side, split in named.items()},
            "score_deviation": {"source": float(fx.values.std(ddof=1)), "target": float(fy.values.std(ddof=1))},
            "upper": {
                "cost": upper.cost, "variance": dict(zip(named, upper.variance, strict=True)),
                "units": dict(zip(named, upper.units, strict=True)), "is_linked": upper.is_linked,
            },
            "simultaneous": {
                "statements": statements, "lower_bound": max(0.0, lower),
                "upper_bound": upper.bound(alpha / statements),
            },
        })  # fmt: skip
    return results


def simulate(case: Case, runs: int, confidence: float = 0.95, first: int = 0) -> Rates:
    """Compare so many draws of a case."""
    rates, k = Rates(case.name), len(case.candidates)
    statements = statements_needed(k, {})
    names = [f"candidate {j}" for j in range(k)]
    for number in range(first, first + runs):
        generator = np.random.default_rng([7, number])
        draws = case.reference, *case.candidates
        rows = [draw(generator, n) for draw, n in zip(draws, case.sizes, strict=True)]
        if case.is_sorted:
            rows = [each[np.argsort(each[:, 0])] for each in rows]
        results = figures_of(case, rows, number, confidence, statements)
        found = compared_figures("reference", names, results)
        _count(rates, case, found, results, confidence)
    return rates


def _count(rates: Rates, case: Case, found: Any, results: list[dict[str, Any]], confidence: float) -> None:
    room = 1e-12
    is_end = any(
        not each.lower_bound - room <= case.distances[each.position] <= each.upper_bound + room
        for each in found.ranking
    )
    is_difference = False
    for (i, j), each in zip(combinations(range(len(results)), 2), found.differences, strict=True):
        true = case.distances[j] - case.distances[i]
        is_difference |= not each.lower_bound - room <= true <= each.upper_bound + room
        rates.answers[each.answer] = rates.answers.get(each.answer, 0) + 1
        rates.width.append(each.upper_bound - each.lower_bound)
        for widths, bounds in zip(
            (rates.ends_only, rates.direct),
            _alternatives(results[i], results[j], len(results), confidence),
            strict=True,
        ):
            widths.append(bounds)
    rates.runs += 1
    rates.ends += is_end
    rates.differences += is_difference
    rates.wrong += is_end or is_difference


def _alternatives(one: dict[str, Any], other: dict[str, Any], k: int, confidence: float) -> tuple[float, float]:
    """Widths of the difference from ends at alpha / 2k, and directly at alpha / (2 k (k - 1)).

    The lower ends are taken to be as far from the value as this many standard errors, plus the 5 % of target stakes.
    """
    normal = NormalDist()
    z = normal.inv_cdf(1 - (1 - confidence) / (2 * k))
    width = 0.0
    for each in (one, other):
        tested = {side: parts["test"] for side, parts in each["n"].items()}
        scores, plan = each["score_deviation"], each["upper"]
        margin = 1.05 * z * math.hypot(*(scores[side] / math.sqrt(tested[side]) for side in tested))
        deviation = z * math.hypot(*(math.sqrt(plan["variance"][side] / plan["units"][side]) for side in tested))
        width += plan["cost"] + deviation - each["value"] + margin
    z = normal.inv_cdf(1 - (1 - confidence) / (2 * k * (k - 1)))
    return width, -direct_bound(one, other, z) - direct_bound(other, one, z)


def main() -> None:
    parser = argparse.ArgumentParser(description="How often a comparison is wrong.")
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--case", help="part of the names of the cases to run")
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    print(f"{'case':<32} {'wrong':>7} {'ends':>7} {'diff.':>7} {'width':>7} {'ends only':>9} {'direct':>7}  answers")
    for case in CASES:
        if given.case is not None and given.case not in case.name:
            continue
        rates = simulate(case, given.runs, given.confidence)
        shares = [getattr(rates, name) / rates.runs for name in ("wrong", "ends", "differences")]
        widths = [fmean(each) for each in (rates.width, rates.ends_only, rates.direct)]
        if given.json:
            widths_of = dict(zip(("width", "ends_only", "direct"), widths, strict=True))
            print(json.dumps(asdict(rates) | widths_of))
            continue
        columns = [f"{share:>7.4f}" for share in shares] + [
            f"{width:>{w}.4f}" for width, w in zip(widths, (7, 9, 7), strict=True)
        ]
        print(f"{case.name:<32} {' '.join(columns)}  {rates.answers}", flush=True)


if __name__ == "__main__":
    main()
