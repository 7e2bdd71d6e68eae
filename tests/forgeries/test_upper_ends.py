"""The derived upper end is never below what the rows support, whatever the plan and the rounding."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import ot
import pytest
from issuer import Issued, issue
from issuer_upper import PLAN

from wdist.verify import Report, verify_certificate

SOURCE, TARGET, MASS = PLAN


def verified(issued: Issued, path: Path) -> Report:
    path.write_bytes(issued.content)
    report = verify_certificate(path, *issued.arrays)
    assert report.valid, str(report)
    return report


def with_the_cheapest_plan(**base: Any) -> tuple[Issued, float]:
    """A certificate with an optimal plan, and its cost."""
    issued = issue(**base)
    rows, points = issued.rows_and_points()
    x, y = (each[index] for each, index in zip(points, rows, strict=True))
    gaps = np.linalg.norm(x[:, None] - y, axis=2)
    flow = ot.emd(*(np.full(len(each), 1 / len(each)) for each in (x, y)), gaps, numItermax=10**6)
    i, j = np.nonzero(flow)
    issued.tensors |= {SOURCE: rows[0][i], TARGET: rows[1][j], MASS: flow[i, j]}
    return issued.state_upper(), float((flow * gaps).sum())


@pytest.mark.parametrize("scale", ["none", "standardize"])
def test_an_optimal_plan_costs_the_exact_distance(scale: str, tmp_path: Path) -> None:
    issued, cost = with_the_cheapest_plan(scale=scale)
    report = verified(issued, tmp_path / "c.cert")
    assert report.statement["upper"]["cost"] == pytest.approx(cost, rel=1e-12)
    assert report.statement["upper_bound"] > report.statement["lower_bound"]


@pytest.mark.parametrize("place", [MASS, TARGET])
def test_mass_that_a_plan_lacks_has_the_price_of_its_distance(place: str, tmp_path: Path) -> None:
    issued, cost = with_the_cheapest_plan(shift=30.0)  # every pair costs about 30
    gaps = np.linalg.norm(issued.arrays[0][issued.tensors[SOURCE]] - issued.arrays[1][issued.tensors[TARGET]], axis=1)
    worst = int(gaps.argmax())
    issued.tensors[MASS][worst] -= 4e-10
    if place == TARGET:  # the mass goes to the nearest row instead, which then has too much
        nearest = int(
            np.linalg.norm(issued.arrays[1] - issued.arrays[0][issued.tensors[SOURCE][worst]], axis=1).argmin()
        )
        added = (issued.tensors[SOURCE][worst], nearest, 4e-10)
        issued.tensors |= {name: np.append(issued.tensors[name], each) for name, each in zip(PLAN, added, strict=True)}
    issued.state_upper()
    assert issued.document["upper"]["cost"] < cost - 1e-10
    report = verified(issued, tmp_path / "c.cert")
    assert report.statement["upper"]["cost"] >= cost
    assert report.statement["upper"]["cost"] == pytest.approx(cost, abs=1e-7)
    assert report.statement["upper_bound"] > issued.document["upper"]["bound"]


@pytest.mark.parametrize("base", [{"scale": "number", "offset": 1e9}, {"scale": "vector", "offset": -3e7}, {"d": 1}])
def test_the_derived_cost_is_not_below_the_exact_one(base: dict[str, Any], tmp_path: Path) -> None:
    """Compared with the cost of the same plan in exact arithmetic, up to one square root of 1 part in 10^40."""
    issued = issue(**base)
    report = verified(issued, tmp_path / "c.cert")
    scale = issued.document["input"]["scale"]["divisor"]
    x, y = issued.arrays
    divisors = np.broadcast_to(scale, x.shape[1])
    if x.shape[1] == 1:
        exact = float(
            line(sorted(map(Fraction, x[:, 0])), sorted(map(Fraction, y[:, 0]))) / Fraction(float(divisors[0]))
        )
    else:
        exact = 0.0
        for i, j, mass in zip(*(issued.tensors[name] for name in PLAN), strict=True):
            square = sum(
                ((Fraction(a) - Fraction(b)) / Fraction(s)) ** 2 for a, b, s in zip(x[i], y[j], divisors, strict=True)
            )
            exact += float(mass) * float(square) ** 0.5
    derived = report.statement["upper"]["cost"]
    assert exact * (1 - 1e-13) <= derived <= exact + report.statement["upper"]["rounding"] + 1e-12 * exact


def line(x: list[Fraction], y: list[Fraction]) -> Fraction:
    """The area between the two quantile functions."""
    n, m = len(x), len(y)
    cuts = sorted({Fraction(i, n) for i in range(n + 1)} | {Fraction(j, m) for j in range(m + 1)})
    return sum(((b - a) * abs(x[int(a * n)] - y[int(a * m)]) for a, b in pairwise(cuts)), Fraction(0))


def test_bounds_that_contradict_each_other_are_shown_as_such(tmp_path: Path) -> None:
    """Both ends at confidence 0.5: the upper one is then the cost alone, of a distance that the critic shows whole."""
    for seed in range(40):
        issued = issue(d=1, seed=seed, shift=3.0, n=300)
        issued.document["statement"]["confidence"] = 0.5
        report = verified(issued.state(), tmp_path / "c.cert")
        contradict = report.statement["upper_bound"] < report.statement["lower_bound"]
        assert contradict == ("contradict each other" in report.sentence)
        if contradict:
            return
    pytest.fail("no two bounds contradicted each other")
