"""Forged upper ends: plans, costs, deviations, diameters and ranges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attack_kit import attack, fields, put, tensor
from issuer import Issued, issue, split
from issuer_upper import PLAN

UPPER = "upper bound"
SOURCE, TARGET, MASS = PLAN

# --- figures -------------------------------------------------------------------------------------------------------

fields(
    {
        "upper bound a millionth smaller": ("upper.bound", lambda bound: bound * (1 - 1e-6), UPPER),
        "upper bound at the cost": ("upper", lambda upper: upper | {"bound": upper["cost"]}, UPPER),
        "upper bound at the value": ("upper.bound", 0.8, UPPER),
        "upper bound below the lower bound": ("upper.bound", 0.1, UPPER),
        "upper bound 0": ("upper.bound", 0, UPPER),
        "upper bound negative": ("upper.bound", -1.0, "container"),
        "upper bound null": ("upper.bound", None, "container"),
        "upper bound a boolean": ("upper.bound", True, "container"),
        "upper bound of 400 digits": ("upper.bound", 10**400, "container"),
        "upper end a number": ("upper", 1.5, "container"),
        "upper end with one more field": ("upper.kind", "finite-sample", "container"),
        "upper end without its cost": ("upper", lambda upper: {"bound": upper["bound"]}, "container"),
        "cost a millionth smaller": ("upper.cost", lambda cost: cost * (1 - 1e-6), UPPER),
        "cost 0": ("upper.cost", 0.0, UPPER),
        "cost negative": ("upper.cost", -0.5, "container"),
        "diameter smaller than the data": ("upper.diameter", 3.0, UPPER),
        "diameter nearly 0": ("upper.diameter", 1e-300, UPPER),
        "diameter 0": ("upper.diameter", 0.0, "container"),
        "diameter a list": ("upper.diameter", [9.0, 9.0], "container"),
        "diameter under which the bound is larger": ("upper.diameter", 1e3, UPPER),
        "diameter beyond doubles": ("upper.diameter", 1.7e308, UPPER),
        "ranges smaller than the data": ("upper.ranges", [-1.0, 1.0], UPPER),
        "ranges under which the bound is larger": ("upper.ranges", [-9.0, 9.0], UPPER),
        "ranges of two columns": ("upper.ranges", [-9.0, 9.0, -9.0, 9.0], UPPER),
        "ranges beyond doubles": ("upper.ranges", [-1.7e308, 1.7e308], UPPER),
        "ranges of three numbers": ("upper.ranges", [-9.0, 9.0, -9.0], "container"),
        "ranges swapped": ("upper.ranges", [9.0, -9.0], "container"),
        "ranges of text": ("upper.ranges", ["-9", "9"], "container"),
        "no ranges in a list": ("upper.ranges", [], "container"),
        "upper bound of a higher confidence": (
            "statement",
            lambda s: s | {"confidence": 0.96, "lower_bound": 0},
            UPPER,
        ),
        "another upper bound among the reported figures": ("reported.upper_bound", 0.01, "container"),
        "plan where no upper bound is certified": ("upper", None, "container"),
    }
)
fields({"ranges of each grey level": ("upper.ranges", [0.0, 255.0] * 16, UPPER)}, family="conv")
fields({"grey levels up to 200": ("upper.ranges", [0, 200], UPPER)}, family="conv")
fields(
    {
        "both a diameter and ranges": ("upper.ranges", [-9.0, 9.0], "container"),
    },
    diameter=20.0,
)
attack("diameter left out", named="normal approximation", diameter=20.0)(put("upper.diameter", None))
attack("diameter halved", named="the diameter", diameter=20.0)(put("upper.diameter", 10.0))
fields({"upper bound on the line": ("upper.bound", lambda bound: bound * (1 - 1e-6), UPPER)}, d=1)
fields({"upper bound of rows in blocks": ("upper", issue().document["upper"], "container")}, mode="blocks")
fields({"upper bound of groups": ("upper", issue().document["upper"], "container")}, mode="groups")
attack("upper bound of groups, reported", named="the upper bound, comparisons", mode="groups")(
    put("reported.upper_bound", 0.01)
)
attack("upper bound of rows, reported", named="which was not checked", upper=False)(put("reported.upper_bound", 0.01))


@attack("diameter as large as the data, and no larger", named="the diameter", diameter=20.0)
def _(issued: Issued) -> Issued:
    rows = np.concatenate(issued.arrays)
    gaps = np.linalg.norm(rows[:, None] - rows, axis=2)
    issued.document["upper"]["diameter"] = float(gaps.max())
    return issued.state()


@attack("ranges as large as the data, and no larger", named="the ranges", ranges=(-9.0, 9.0))
def _(issued: Issued) -> Issued:
    rows = np.concatenate(issued.arrays)
    issued.document["upper"]["ranges"] = np.stack([rows.min(axis=0), rows.max(axis=0)], axis=1).ravel().tolist()
    return issued.state()


@attack("ranges that a select row is outside of", UPPER, ranges=(-9.0, 9.0), scale="standardize")
def _(issued: Issued) -> Issued:
    part = split(issued.document, issued.tensors)[1]["select"]
    rest = np.delete(issued.arrays[1], part, axis=0)
    rows = np.concatenate([rest, issued.arrays[0]])
    ends = np.stack([rows.min(axis=0), rows.max(axis=0)], axis=1)
    ends[0, 1] = issued.arrays[1][part, 0].max() - 1e-9
    issued.document["upper"]["ranges"] = ends.ravel().tolist()
    return issued.state()


@attack("given divisors computed from these rows", named="divisors were not computed", scale="vector")
def _(issued: Issued) -> Issued:
    issued.document["input"]["scale"]["divisor"] = np.concatenate(issued.arrays).std(axis=0).tolist()
    return issued.state()


# --- plans ---------------------------------------------------------------------------------------------------------


def replan(change: Callable[[Issued, dict[str, np.ndarray]], dict[str, np.ndarray]]) -> Callable[[Issued], Issued]:
    """Tensors of the plan exchanged, and cost and bound stated as they follow from it."""

    def forge(issued: Issued) -> Issued:
        issued.tensors |= change(issued, {name: issued.tensors[name].copy() for name in PLAN})
        return issued.state_upper()

    return forge


Plan = dict[str, np.ndarray]


def cheapest_first(issued: Issued, plan: Plan) -> np.ndarray:
    """The pairs by their distance."""
    return np.argsort(np.linalg.norm(issued.arrays[0][plan[SOURCE]] - issued.arrays[1][plan[TARGET]], axis=1))


@replan
def without_the_dearest(issued: Issued, plan: Plan) -> Plan:
    kept = cheapest_first(issued, plan)[:-100]
    return {name: each[kept] for name, each in plan.items()}


@replan
def the_cheapest_pairs_alone(issued: Issued, plan: Plan) -> Plan:
    kept = cheapest_first(issued, plan)[:30]
    return {SOURCE: plan[SOURCE][kept], TARGET: plan[TARGET][kept], MASS: np.full(30, 1 / 30)}


@replan
def every_row_to_its_nearest(issued: Issued, plan: Plan) -> Plan:
    gaps = np.linalg.norm(issued.arrays[0][:, None] - issued.arrays[1], axis=2)
    n = len(gaps)
    return {SOURCE: np.arange(n), TARGET: gaps.argmin(axis=1), MASS: np.full(n, 1 / n)}


@replan
def lighter_by_a_thousandth(issued: Issued, plan: Plan) -> Plan:
    return {MASS: plan[MASS] * (1 - 1e-3)}


@replan
def one_row_twice(issued: Issued, plan: Plan) -> Plan:
    return {SOURCE: np.where(plan[SOURCE] == plan[SOURCE][0], plan[SOURCE][-1], plan[SOURCE])}


def masses(value: float) -> Callable[[Issued], Issued]:
    def change(issued: Issued, plan: Plan) -> Plan:
        plan[MASS][7] = value
        return {MASS: plan[MASS]}

    return replan(change)


for name, forge in {
    "plan without its dearest pairs": without_the_dearest,
    "plan of the cheapest pairs alone": the_cheapest_pairs_alone,
    "plan to the nearest rows": every_row_to_its_nearest,
    "plan lighter by a thousandth": lighter_by_a_thousandth,
    "plan with a row twice and one not at all": one_row_twice,
    "plan with a mass of 0": masses(0.0),
    "plan with a negative mass": masses(-0.003),
    "plan with a huge mass": masses(1e300),
    "plan with a large mass": masses(1.0),
}.items():
    attack(name, UPPER)(forge)


@attack("plan whose negative masses add up", UPPER)
def _(issued: Issued) -> Issued:
    """A detour that costs less than nothing: 5 to and 5 back between two rows on either side."""
    order = cheapest_first(issued, issued.tensors)
    first, last = order[0], order[-1]
    source, target, mass = (issued.tensors[name] for name in PLAN)
    rows = source[[first, last, first, last]]
    columns = target[[first, last, last, first]]
    gaps = np.linalg.norm(issued.arrays[0][rows] - issued.arrays[1][columns], axis=1)
    sign = 1 if gaps[:2].sum() < gaps[2:].sum() else -1
    issued.tensors[SOURCE], issued.tensors[TARGET] = np.append(source, rows), np.append(target, columns)
    issued.tensors[MASS] = np.append(mass, 0.05 * sign * np.array([1.0, 1.0, -1.0, -1.0]))
    return issued.state_upper()


@attack("plan that lacks a millionth of the mass of a row", UPPER)
def _(issued: Issued) -> Issued:
    issued.tensors[MASS][0] -= 1e-8
    return issued.state_upper()


@attack("plan between select rows, which decided the unit", UPPER, scale="standardize")
def _(issued: Issued) -> Issued:
    issued.document["input"]["scale"]["kind"] = "vector"
    centers = issued.document["input"]["scale"]["center"]
    issued.document["input"]["scale"]["center"] = 0.0
    issued.state()
    issued.document["input"]["scale"] |= {"kind": "standardize", "center": centers}
    plan = {name: issued.tensors[name] for name in PLAN}
    issued.state()
    issued.tensors |= plan
    return issued.state_upper()


@attack("k so large that no honest plan has it", "container")
def _(issued: Issued) -> Issued:
    rows = sum(len(array) for array in issued.arrays)
    times = 1 + 8 * rows // len(issued.tensors[MASS])
    for name in PLAN:
        issued.tensors[name] = np.tile(issued.tensors[name], times) / (times if name == MASS else 1)
    for name in (SOURCE, TARGET):
        issued.tensors[name] = issued.tensors[name].astype(np.int64)
    return issued.state_upper()


for name, place, change, check in (
    ("plan with a row that is not there", SOURCE, lambda rows: np.append(rows[:-1], 300), UPPER),
    ("plan with a row of negative number", TARGET, lambda rows: np.append(rows[:-1], -1), UPPER),
    ("plan with a row numbered 2^62", TARGET, lambda rows: np.append(rows[:-1], 1 << 62), UPPER),
    ("plan with other target rows", TARGET, lambda rows: rows[::-1].copy(), UPPER),
    ("plan with a mass that is not a number", MASS, lambda mass: np.append(mass[:-1], np.nan), "container"),
    ("plan with an infinite mass", MASS, lambda mass: np.append(mass[:-1], np.inf), "container"),
    ("plan of too few masses", MASS, lambda mass: mass[:-1], "container"),
    ("plan in a table", MASS, lambda mass: mass[:, None], "container"),
    ("plan of single precision", MASS, lambda mass: mass.astype(np.float32), "container"),
    ("plan whose rows are no whole numbers", SOURCE, lambda rows: rows.astype(np.float64), "container"),
    ("plan with a tensor more", "plan.cost", np.zeros(3), "container"),
):
    attack(name, check)(tensor(place, change))


@attack("plan without masses", "container")
def _(issued: Issued) -> Issued:
    del issued.tensors[MASS]
    return issued


@attack("plan of numbers on the line", "container", d=1)
def _(issued: Issued) -> Issued:
    n = min(len(array) for array in issued.arrays)
    issued.tensors |= {SOURCE: np.arange(n), TARGET: np.arange(n), MASS: np.full(n, 1 / n)}
    return issued


@attack("plan of rows in blocks", "container", mode="blocks")
def _(issued: Issued) -> Issued:
    issued.tensors |= {name: each for name, each in issue().tensors.items() if name in PLAN}
    return issued
