"""Forged recipes of encoded tables: kinds of columns, costs of levels, places of missing values, levels left out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from attack_kit import attack, fields, put
from issuer import Array, Issued, rows_digest

MISSING = {"table": "missing"}
STANDARDIZED = {"table": "missing", "scale": "standardize"}
ROBUST = {"table": "missing", "scale": "robust"}
COLUMN = "recipe.encoding.columns"


def without(place: str) -> Callable[[Issued], Issued]:
    """Leave a field out."""

    def forge(issued: Issued) -> Issued:
        *path, last = place.split(".")
        target: Any = issued.document
        for step in path:
            target = target[step]
        del target[last]
        return issued

    return forge


def moved(change: Callable[[Array], None], side: int = 0, *, stated: bool = True) -> Callable[[Issued], Issued]:
    """Change rows, and put the digest right, and all figures if there are some."""

    def forge(issued: Issued) -> Issued:
        array = issued.arrays[side].copy()
        change(array)
        issued.arrays[side] = array
        issued.document["data"][("source", "target")[side]]["sha256"] = rows_digest(array)
        return issued.state() if stated else issued

    return forge


# --- the recipe ----------------------------------------------------------------------------------------------------

fields(
    {
        "recipe left null": ("recipe", None, "container"),
        "recipe a list": ("recipe", [], "container"),
        "recipe with a field more": ("recipe.note", "trust me", "container"),
        "reading a list": ("recipe.reading", [], "container"),
        "reading of an unknown option": ("recipe.reading.sorted", True, "container"),
        "reading of a column that is a number": ("recipe.reading.categories", [1], "container"),
        "reading of a header that is text": ("recipe.reading.header", "yes", "container"),
        "encoding null": ("recipe.encoding", None, "container"),
        "encoding of no columns": (COLUMN, [], "container"),
        "column of an unknown kind": (f"{COLUMN}.0.kind", "text", "container"),
        "column of a kind that is a list": (f"{COLUMN}.0.kind", ["number"], "container"),
        "column with a field more": (f"{COLUMN}.0.levels", ["a"], "container"),
        "column without its levels": (f"{COLUMN}.0.kind", "category", "container"),
        "name of a column a number": (f"{COLUMN}.0.name", 3, "container"),
        "a level more than there are columns": (f"{COLUMN}.1.levels", ["a", "b", "c", "d"], "container"),
        "a level less": (f"{COLUMN}.1.levels", ["a", "b"], "container"),
        "levels not sorted": (f"{COLUMN}.1.levels", ["b", "a", "c"], "container"),
        "a level twice": (f"{COLUMN}.1.levels", ["a", "a", "c"], "container"),
        "missing values denied": ("recipe.encoding.missing", False, "container"),
        "missing values a number": ("recipe.encoding.missing", 1, "container"),
        "a boolean said to be a category": (f"{COLUMN}.2", {"name": "sold", "kind": "number"}, "container"),
        "cost of the recipe alone": ("recipe.category_cost", 5.0, "container"),
        "cost of levels null": ("recipe.category_cost", None, "container"),
        "cost of levels 0": ("recipe.category_cost", 0.0, "container"),
        "cost of levels negative": ("recipe.category_cost", -1.0, "container"),
        "cost of the scale alone": ("input.scale.category_cost", 5.0, "container"),
        "file digest of another length": ("data.source.file_sha256", "5", "container"),
        "file digest a number": ("data.source.file_sha256", 5, "container"),
    },
    **MISSING,
)
attack("file digest left out", "container", **MISSING)(without("data.target.file_sha256"))
attack("recipe without its reading", "container", **MISSING)(without("recipe.reading"))
attack("kinds left out", "container", **MISSING)(without("input.kinds"))
attack("kinds of plain rows", "container")(put("input.kinds", [["number", 1]] * 4))
attack("cost of plain rows", "container")(put("recipe", {"reading": {}, "encoding": None, "category_cost": 1.0}))
attack("unknown field in the recipe's encoding", "container", **MISSING)(put("recipe.encoding.note", "trust me"))
attack("names of levels changed", named="recipe", **MISSING)(put(f"{COLUMN}.1.levels", ["x", "y", "z"]))
attack("another reading", named="recipe", **MISSING)(put("recipe.reading", {"drop": ["price"]}))
attack("another file", named="recipe", **MISSING)(put("data.source.file_sha256", "6" * 64))

# --- kinds and costs -----------------------------------------------------------------------------------------------


def both(kinds: list[list[Any]], columns: list[dict[str, Any]]) -> Callable[[Issued], Issued]:
    """Kinds with an encoding that has the same."""

    def forge(issued: Issued) -> Issued:
        issued.document["input"]["kinds"] = kinds
        issued.document["recipe"]["encoding"]["columns"] = columns
        return issued

    return forge


def named(*kinds: str) -> list[dict[str, Any]]:
    more: dict[str, dict[str, Any]] = {"category": {"levels": ["a", "b", "c"]}}
    return [{"name": f"column {k}", "kind": kind} | more.get(kind, {}) for k, kind in enumerate(kinds)]


attack("levels said to be numbers", "scale", table="mixed")(
    both([["number", 1]] * 5, named("number", "number", "number", "number", "number"))
)
attack("levels said to be indicators", "scale", table="mixed")(
    both([["number", 1], *[["indicator", 1]] * 4], named("number", *["boolean"] * 4))
)
attack("a number said to be an indicator", "scale", table="mixed")(
    both([["indicator", 1], ["levels", 3], ["indicator", 1]], named("boolean", "category", "boolean"))
)
attack("levels that no row has, so many that rows of them fill a disk", "container", table="mixed")(
    both(
        [["number", 1], ["levels", 100_000], ["indicator", 1]],
        [
            {"name": "column 0", "kind": "number"},
            {"name": "column 1", "kind": "category", "levels": sorted(map(str, range(100_000)))},
            {"name": "column 2", "kind": "boolean"},
        ],
    )
)
fields(
    {
        "kinds of another width": ("input.kinds.1", ["levels", 5], "container"),
        "kinds of no width": ("input.kinds.1", ["levels", 0], "container"),
        "kinds of a width that fills the memory": ("input.kinds.1", ["levels", 1 << 60], "container"),
        "kinds of a width that is true": ("input.kinds.1", ["levels", True], "container"),
        "kinds of an unknown name": ("input.kinds.1", ["numbers", 4], "container"),
        "kinds null": ("input.kinds", None, "container"),
    },
    **MISSING,
)


def costs(factor: float, *places: int) -> Callable[[Issued], Issued]:
    """Divisors of levels, changed at some places, and all figures put right."""

    def forge(issued: Issued) -> Issued:
        for place in places:
            issued.document["input"]["scale"]["divisor"][place] *= factor
        return issued.state()

    return forge


attack("levels farther apart than their cost", "scale", **MISSING)(costs(0.5, *range(1, 9)))
attack("levels of one category farther apart", "scale", **MISSING)(costs(0.5, 2, 3, 4, 5))
attack("one level farther apart by a millionth", "scale", **MISSING)(costs(1 - 1e-6, 2))
attack("indicators of missing values farther apart", "scale", **MISSING)(costs(0.5, 1))
attack("levels at the cost of indicators", "scale", **MISSING)(costs(1 / math.sqrt(2), 2, 3, 4, 5))
attack("numbers rescaled without a scale", "scale", **MISSING)(costs(0.5, 0))
attack("numbers rescaled by other than their deviation", "scale", **STANDARDIZED)(costs(0.5, 0))
attack("numbers rescaled by other than their quartiles", "scale", **ROBUST)(costs(1 - 1e-6, 0))


@attack("another cost everywhere", named="category_cost", **MISSING)
def _(issued: Issued) -> Issued:
    scale = issued.document["input"]["scale"]
    issued.document["recipe"]["category_cost"] = scale["category_cost"] = 5.0
    scale["divisor"] = [scale["divisor"][0], 1 / 5, *[math.sqrt(2) / 5] * 7]
    return issued.state()


# --- centres and missing values ------------------------------------------------------------------------------------


def centre(value: float, place: int = 0, *, also: bool = False) -> Callable[[Issued], Issued]:
    def forge(issued: Issued) -> Issued:
        scale = issued.document["input"]["scale"]
        scale["missing"]["center"][place] = value
        if also:
            scale["center"][place] = value
        return issued.state()

    return forge


attack("missing values far away", "scale", **MISSING)(centre(1e6))
attack("missing values a little farther", "scale", **MISSING)(centre(0.25))
attack("missing values not at the centre", "scale", **STANDARDIZED)(centre(0.25))
attack("missing values and the centre moved", "scale", **STANDARDIZED)(centre(0.25, also=True))
attack("missing values and the median moved", "scale", **ROBUST)(centre(0.25, also=True))
attack("missing values of a level", "scale", **MISSING)(centre(1.0, 3))
attack("a centre of levels", "scale", **STANDARDIZED)(put("input.scale.center.4", 1.0))
attack("a standardized scale said to be robust", "scale", **STANDARDIZED)(put("input.scale.kind", "robust"))
attack("a robust scale said to be standardized", "scale", **ROBUST)(put("input.scale.kind", "standardize"))
attack("a scale of both sets said to be of the first", "scale", **MISSING)(put("input.scale.missing.is_of_first", True))
fields(
    {
        "place of missing values null": ("input.scale.missing", None, "scale"),
        "place of missing values a number": ("input.scale.missing", 0.0, "scale"),
        "place of missing values of another shape": ("input.scale.missing.center", [0.0], "scale"),
        "place of missing values with a field more": ("input.scale.missing.note", 1, "scale"),
        "is_of_first a number": ("input.scale.missing.is_of_first", 0, "scale"),
    },
    **MISSING,
)
attack("place of missing values where none can be", "scale", table="mixed")(
    put("input.scale.missing", {"center": [0.0] * 5, "is_of_first": False})
)


@attack("rows of the other set decide where missing values are", "scale", **STANDARDIZED)
def _(issued: Issued) -> Issued:
    """By a kind that is fitted on the first set alone, although the figures are of both."""
    issued.document["input"]["scale"]["kind"] = "reference"
    issued.document["input"]["scale"]["missing"]["is_of_first"] = True
    return issued


# --- rows ----------------------------------------------------------------------------------------------------------


def put_rows(place: Any, value: float) -> Callable[[Array], None]:
    def change(array: Array) -> None:
        array[place] = value

    return change


attack("a missing level", "scale", "scores", **MISSING)(moved(put_rows(np.s_[:1, 3], np.nan)))
attack("half a level", "scale", **MISSING)(moved(put_rows(np.s_[:, 2:6], 0.5)))
attack("two levels at once", "scale", **MISSING)(moved(put_rows(np.s_[5, 2:4], 1.0)))
attack("no level", "scale", **MISSING)(moved(put_rows(np.s_[5, 2:6], 0.0)))
attack("a level of size 100", "scale", **MISSING)(moved(put_rows(np.s_[:, 2], 100.0)))
attack("a number that is missing without being said to be", "scale", **MISSING)(moved(put_rows(np.s_[:40, 1], 0.0)))
attack("a number that is said to be missing and is there", "scale", **MISSING)(
    moved(lambda array: array.__setitem__((slice(None), 0), np.nan_to_num(array[:, 0])))
)
attack("a missing number where none can be", "scale", "scores", table="mixed")(
    moved(put_rows(np.s_[:40, 0], np.nan), stated=False)
)
attack("an infinite number", "scale", "scores", **MISSING)(moved(put_rows(np.s_[0, 0], np.inf), stated=False))
attack("missing values in plain rows", "scores", upper=False)(moved(put_rows(np.s_[:, 1], np.nan), stated=False))

# --- the layer of columns ------------------------------------------------------------------------------------------

fields(
    {
        "columns that are not there": ("critic.layers.0.columns", [0, 1, 2, 3, 4, 5, 6, 9], "Lipschitz bound"),
        "columns of negative place": ("critic.layers.0.columns", [-1, 0, 1, 2, 3, 4, 5, 6], "Lipschitz bound"),
        "a column twice": ("critic.layers.0.columns", [0, 0, 1, 2, 3, 4, 5, 6], "Lipschitz bound"),
        "columns that descend": ("critic.layers.0.columns", [1, 0, 2, 3, 4, 5, 6, 7], "Lipschitz bound"),
        "no columns": ("critic.layers.0.columns", [], "Lipschitz bound"),
        "columns that are no whole numbers": ("critic.layers.0.columns", [0.0] * 8, "Lipschitz bound"),
        "columns of a place that is true": ("critic.layers.0.columns", [0, True, *range(2, 8)], "Lipschitz bound"),
        "fewer columns than the next layer takes": ("critic.layers.0.columns", [0, 1], "Lipschitz bound"),
        "columns text": ("critic.layers.0.columns", "all", "Lipschitz bound"),
        "columns of 2^70": ("critic.layers.0.columns", [*range(7), 1 << 70], "Lipschitz bound"),
    },
    **MISSING,
)
attack("a column of large numbers a hundred times", "Lipschitz bound", **MISSING)(
    put("critic.layers.0.columns", [0] * 100)
)


@attack("columns chosen otherwise", named="critic", **MISSING)
def _(issued: Issued) -> Issued:
    issued.document["critic"]["layers"][0]["columns"] = [0, *range(2, 9)]
    return issued.state()
