"""Forged figures: arithmetic, scale, rounding and tolerances, splits and groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from attack_kit import attack, fields, put, tensor
from issuer import Array, Issued, rows_digest, split

# --- arithmetic ----------------------------------------------------------------------------------------------------

fields(
    {
        "value a little larger": ("statement.value", lambda v: v + 1e-6, "value"),
        "value twice": ("statement.value", lambda v: 2 * v, "value"),
        "value huge": ("statement.value", 1e300, "value"),
        "value negative": ("statement.value", -1.0, "value"),
        "bound a little larger": ("statement.lower_bound", lambda v: v + 1e-6, "lower bound"),
        "bound at the value": ("statement.lower_bound", lambda v: v + 0.4, "lower bound"),
        "bound huge": ("statement.lower_bound", 1e300, "lower bound"),
        "bound negative": ("statement.lower_bound", -0.5, "container"),
        "p-value far too small": ("statement.p_value", 1e-12, "p-value"),
        "p-value 0": ("statement.p_value", 0, "container"),
        "p-value above 1": ("statement.p_value", 1.5, "container"),
        "p-value left out": ("statement.p_value", None, "container"),
        "rounding negative": ("statement.rounding", -1e-9, "container"),
        "confidence higher": ("statement.confidence", 0.99, "lower bound"),
        "confidence of nearly 1": ("statement.confidence", 1 - 2**-53, "lower bound"),
        "confidence 1": ("statement.confidence", 1, "container"),
        "confidence below a half": ("statement.confidence", 0.4, "container"),
        "L halved": ("critic.lipschitz_bound", lambda bound: bound / 2, "Lipschitz bound"),
        "L a millionth smaller": ("critic.lipschitz_bound", lambda bound: bound * (1 - 1e-6), "Lipschitz bound"),
        "L nearly 0": ("critic.lipschitz_bound", 1e-300, "Lipschitz bound"),
        "L 0": ("critic.lipschitz_bound", 0, "container"),
        "L negative": ("critic.lipschitz_bound", -1.0, "container"),
        "method unknown": ("statement.method", "bootstrap", "container"),
        "method a list": ("statement.method", ["betting"], "container"),
        "prior of one side": ("statement.prior", [[0.0, 1.0]], "container"),
        "prior of negative deviation": ("statement.prior", [[0.0, -1.0], [0.7, 1.0]], "container"),
        "prior of booleans": ("statement.prior", [[False, True], [0.7, 1.0]], "container"),
        "clip swapped": ("statement.clip", lambda clip: clip[::-1], "container"),
        "clip wider than the critic's": ("statement.clip", [-30.0, 40.0], "Lipschitz bound"),
        "clip beyond doubles": ("statement.clip", [-1.7e308, 1.7e308], "container"),
    }
)
# Not "paired_betting": bets on pairs support more, and a stated bound that is too small is no forgery.
attack("method that supports less", "lower bound")(put("statement.method", "empirical_bernstein"))
attack("p-value of two permutations fewer", "p-value", shift=0.05)(put("statement.p_value", lambda p: p - 4e-4))
attack("pairs of groups in both sets", "lower bound", mode="groups", layout="mixed", shift=1.5)(
    put("statement.method", "paired_betting")
)
attack("p-value of groups halved", "p-value", mode="groups", layout="own", shift=1.5)(
    put("statement.p_value", lambda p: p / 2)
)
attack("p-value for blocks of time", "container", mode="blocks")(put("statement.p_value", 0.01))

# --- scale, rounding, tolerance ------------------------------------------------------------------------------------


@attack("shift of 1e18", named="critic")
def _(issued: Issued) -> Issued:
    issued.tensors["layers.0.shift"] = np.full(4, 1e18)
    issued.tensors["layers.1.bias"] = np.array([1e18])
    return issued.state()


@attack("last bias of 1e12, and a claim 900 too large", "value", "lower bound")
def _(issued: Issued) -> Issued:
    issued.tensors["layers.1.bias"] = np.array([1e12])
    issued.document["critic"]["layers"][-1] |= {"low": 1e12 - 3, "high": 1e12 + 4}
    issued.document["statement"] |= {"clip": [1e12 - 3, 1e12 + 4], "prior": None}
    issued.state()
    issued.document["statement"]["value"] += 900
    issued.document["statement"]["lower_bound"] += 900
    return issued


@attack("clip of 2e12, and a claim 900 too large", "value", "lower bound")
def _(issued: Issued) -> Issued:
    widen(issued, 1e12)
    issued.document["statement"]["value"] += 900
    issued.document["statement"]["lower_bound"] += 900
    return issued


@attack("clip of 2e12, and a bound 900 too large", "lower bound")
def _(issued: Issued) -> Issued:
    widen(issued, 1e12)
    issued.document["statement"]["lower_bound"] += 900
    return issued


@attack("clip of 2e12, and rounding stated as 0", "value")
def _(issued: Issued) -> Issued:
    issued.tensors["layers.0.shift"] = np.full(4, 1e14)
    issued.tensors["layers.1.bias"] = np.array([1e14])
    widen(issued, 1e12)
    issued.document["statement"]["rounding"] = 0.0
    return issued


def widen(issued: Issued, end: float) -> None:
    issued.document["critic"]["layers"][-1] |= {"low": -end, "high": end}
    issued.document["statement"] |= {"clip": [-end, end], "prior": None}
    issued.state()


def rounded(place: str, change: Callable[[dict[str, Any]], float]) -> Callable[[Issued], Issued]:
    """A figure changed by less than what rounding may cost, which the forger made large."""

    def forge(issued: Issued) -> Issued:
        issued.tensors["layers.0.shift"] = np.full(4, 1e14)
        issued.tensors["layers.1.bias"] = np.array([1e14])
        stated = issued.state().document["statement"]
        stated[place] = change(stated)
        return issued

    return forge


attack("a bound within rounding of .4", "lower bound", shift=0.0)(
    rounded("lower_bound", lambda stated: 0.9 * stated["rounding"])
)
attack("a value within rounding of .4", "value")(
    rounded("value", lambda stated: stated["value"] + 0.9 * stated["rounding"])
)
attack("a p-value within rounding of .4", "p-value", shift=0.0)(rounded("p_value", lambda stated: 1e-4))
attack("a p-value of groups within rounding of .4", "p-value", mode="groups", layout="own", shift=1.0)(
    rounded("p_value", lambda stated: stated["p_value"] / 2)
)


@attack("staircase of biases of 2^53", named="critic")
def _(issued: Issued) -> Issued:
    up = np.eye(4)[:1]
    layers: list[dict[str, Any]] = [{"kind": "linear"}] * 3 + [{"kind": "clip", "low": -3.0, "high": 4.0}]
    issued.document["critic"]["layers"] = layers
    issued.tensors = {
        "layers.0.weight": up,
        "layers.0.bias": np.array([2.0**53]),
        "layers.1.weight": np.ones((1, 1)),
        "layers.1.bias": np.array([-(2.0**53)]),
        "layers.2.weight": np.full((1, 1), 1.0),
    }
    return issued.state()


@attack("cone with anchors 1e17 away", named="critic", family="cone")
def _(issued: Issued) -> Issued:
    issued.tensors["layers.0.anchors"] = issued.tensors["layers.0.anchors"] - 1e17
    issued.tensors["layers.0.offsets"] = issued.tensors["layers.0.offsets"] - 2e17
    return issued.state()


@attack("subnormal weights", named="critic")
def _(issued: Issued) -> Issued:
    tiny = 1e-310
    issued.tensors["layers.1.weight"] = issued.tensors["layers.1.weight"] * tiny
    issued.tensors["layers.1.bias"] = np.array([0.0])
    issued.document["critic"]["layers"][-1] |= {"low": -3 * tiny, "high": 4 * tiny}
    issued.document["statement"] |= {"clip": [-3 * tiny, 4 * tiny], "prior": None}
    issued.state()
    value = issued.document["statement"]["value"] * issued.document["critic"]["lipschitz_bound"] / 1e-150
    issued.document["critic"]["lipschitz_bound"] = 1e-150
    issued.document["statement"] |= {"value": value, "lower_bound": 0.0, "p_value": 1.0, "rounding": 1.0}
    return issued


@attack("bounds that overflow", "scores", "Lipschitz bound")
def _(issued: Issued) -> Issued:
    issued.tensors["layers.1.weight"] = issued.tensors["layers.1.weight"] * 1e308
    issued.tensors["layers.0.shift"] = np.full(4, 1e308)
    return issued


@attack("rounding of 1e6 stated as 0", "value")
def _(issued: Issued) -> Issued:
    issued.tensors["layers.0.shift"] = np.full(4, 1e18)
    issued.tensors["layers.1.bias"] = np.array([1e18])
    issued.state()
    issued.document["statement"]["rounding"] = 0.0
    return issued


def divisors(factor: float, center: float = 0.0) -> Callable[[Issued], Issued]:
    def forge(issued: Issued) -> Issued:
        scale = issued.document["input"]["scale"]
        scale["divisor"] = [divisor * factor for divisor in scale["divisor"]]
        scale["center"] = [each + center for each in scale["center"]]
        return issued.state()

    return forge


for name, numbers in {"source": (0, 5), "target": (2, 0)}.items():
    attack(f"divisors of the first set, the {name}, wrong", "scale", scale="reference", numbers=numbers)(
        divisors(1 - 1e-6)
    )
attack(
    "divisors of a third set 1000 times smaller", named="which is none of these two", scale="reference", numbers=(1, 2)
)(divisors(1e-3))
attack("divisors of both sets as those of the first", "scale", scale="standardize")(
    put("input.scale.kind", "reference")
)
attack("divisors of the first set as those of both", "scale", scale="reference")(put("input.scale.kind", "standardize"))
attack("the first set said to be a third one", "value", "lower bound", "p-value", scale="reference")(
    put("split.numbers", [2, 1])
)
attack("divisors of standardize wrong by a millionth", "scale", scale="standardize")(divisors(1 - 1e-6))
attack("divisors of standardize 1000 times smaller", "scale", scale="standardize")(divisors(1e-3))
attack("divisors of standardize 1000 times smaller, at an offset of 1e15", "scale", scale="standardize", offset=1e15)(
    divisors(1e-3)
)
attack("centre of standardize at 1e18", "scale", scale="standardize")(divisors(1.0, 1e18))
attack("centre of standardize moved a little", "scale", scale="standardize")(divisors(1.0, 1e-6))


@attack("given divisors 1000 times smaller", named="division by the given scale: 0.001,", scale="vector")
def _(issued: Issued) -> Issued:
    issued.document["input"]["scale"]["divisor"] = [1e-3] * 4
    return issued.state()


fields(
    {
        "centre without a scale": ("input.scale.center", 1e18, "scale"),
        "divisor without a scale": ("input.scale.divisor", 1e-3, "scale"),
        "list of divisors without a scale": ("input.scale.divisor", [1.0] * 4, "scale"),
        "scale unknown": ("input.scale.kind", "robust", "scale"),
        "scale renamed": ("input.scale.kind", "vector", "scale"),
        "grey levels of a table": ("input.uint8", True, "scale"),
        "data divisor": ("input.scale.data_divisor", 255.0, "scale"),
        "layout of a table": ("input.layout", "nhwc", "scale"),
        "row shape": ("input.row_shape", [2, 2], "scale"),
    }
)
fields(
    {
        "centre of a number": ("input.scale.center", 1.0, "scale"),
        "divisor 0": ("input.scale.divisor", 0, "scale"),
        "divisor negative": ("input.scale.divisor", -2.0, "scale"),
        "divisor halved": ("input.scale.divisor", 1.0, "value"),
        "divisor a boolean": ("input.scale.divisor", True, "scale"),
        "divisor as text": ("input.scale.divisor", "2.0", "scale"),
    },
    scale="number",
)
fields({"ragged divisors": ("input.scale.divisor", [1.0, [2.0], 3.0, 4.0], "scale")}, scale="vector")
fields({"images that are not divided by 255": ("input.scale.data_divisor", 1.0, "scale")}, family="conv")
attack("row shape of another length", "Lipschitz bound", "scale")(put("input.row_shape", [5]))

# --- splits --------------------------------------------------------------------------------------------------------


@attack("the best of 40 seeds", named="seed", shift=0.0)
def _(issued: Issued) -> Issued:
    def value(seed: int) -> float:
        issued.document["split"]["seed"] = seed
        x, y = (
            a[part["test"], 0].mean()
            for a, part in zip(issued.arrays, split(issued.document, issued.tensors), strict=True)
        )
        return float(y - x)

    issued.document["split"]["seed"] = max(range(40), key=value)
    return issued.state()


@attack("another size of the test part", named="size of the test part")
def _(issued: Issued) -> Issued:
    issued.document["split"]["source"] = {"train": 100, "select": 30, "test": 170}
    return issued.state()


@attack("prior taken from the test rows", named="prior")
def _(issued: Issued) -> Issued:
    x, y = (a[part["test"], 0] for a, part in zip(issued.arrays, split(issued.document, issued.tensors), strict=True))
    issued.document["statement"]["prior"] = [[float(each.mean()), float(each.std())] for each in (x, y)]
    return issued.state()


@attack("critic turned towards the test rows", named="critic", shift=0.0)
def _(issued: Issued) -> Issued:
    x, y = (a[part["test"]] for a, part in zip(issued.arrays, split(issued.document, issued.tensors), strict=True))
    towards = y.mean(axis=0) - x.mean(axis=0)
    issued.tensors["layers.1.weight"] = (towards / np.linalg.norm(towards))[None]
    return issued.state()


@attack("file sorted so that the largest rows are tested", named="order of the rows", shift=0.0)
def _(issued: Issued) -> Issued:
    parts = split(issued.document, issued.tensors)[1]
    order = np.argsort(issued.arrays[1][:, 0])
    moved = np.empty_like(issued.arrays[1])
    moved[np.concatenate([parts["train"], parts["select"], parts["test"]])] = issued.arrays[1][order]
    issued.arrays[1] = moved
    issued.document["data"]["target"]["sha256"] = rows_digest(moved)
    return issued.state()


@attack("groups invented: every row its own", named="groups", mode="groups", layout="apart")
def _(issued: Issued) -> Issued:
    sizes = [len(array) for array in issued.arrays]
    for start, side, size in zip((0, sizes[0]), ("source", "target"), sizes, strict=True):
        issued.tensors[f"groups.{side}"] = start + np.arange(size)
    issued.document["split"]["groups"] = {"all": sum(sizes), "fewest": min(sizes)}
    return issued.state()


@attack("rows copied before they were certified", named="independence")
def _(issued: Issued) -> Issued:
    for k, side in enumerate(("source", "target")):
        issued.arrays[k] = np.repeat(issued.arrays[k][: len(issued.arrays[k]) // 2], 2, axis=0)
        issued.document["data"][side] |= {"sha256": rows_digest(issued.arrays[k])}
    return issued.state()


@attack("groups of time taken as blocks", named="confidence itself", mode="blocks")
def _(issued: Issued) -> Issued:
    return issued.state()


attack("reported mean difference", named="reported figures")(put("reported.trivial.mean_difference", 77.0))
fields(
    {
        "seed changed": ("split.seed", 12, "value"),
        "seed a boolean": ("split.seed", True, "container"),
        "seed with a point": ("split.seed", 11.0, "container"),
        "seed negative": ("split.seed", -1, "container"),
        "seed huge": ("split.seed", 10**4000, "container"),
        "seed of 2^128": ("split.seed", 2**128, "container"),
        "mode unknown": ("split.mode", "best", "container"),
        "mode without its groups": ("split.mode", "groups", "container"),
        "part of no rows": ("split.source", {"train": 300, "select": 0, "test": 0}, "container"),
        "part of negative size": ("split.source", {"train": 301, "select": 30, "test": -31}, "container"),
        "parts that do not add up": ("split.source.test", 121, "container"),
        "part with a point": ("split.source.test", 120.0, "container"),
        "one row moved from train to test": ("split.source", {"train": 149, "select": 30, "test": 121}, "value"),
        "test part of one row": ("split.source", {"train": 269, "select": 30, "test": 1}, "scores"),
        "data digest": ("data.source.sha256", "0" * 64, "data"),
        "data digest of another length": ("data.source.sha256", "0", "container"),
        "data shape": ("data.target.shape", [340, 5], "data"),
        "data type": ("data.target.dtype", "<f4", "data"),
        "data type complex": ("data.target.dtype", "<c16", "container"),
        "data type an object": ("data.target.dtype", "|O", "container"),
        "data type structured": ("data.target.dtype", "f8,f8", "container"),
        "data swapped": ("data", lambda data: {"source": data["target"], "target": data["source"]}, "container"),
    }
)


fields(
    {
        "numbers of the sets changed": ("split.numbers", [0, 2], "value"),
        "numbers of the sets swapped": ("split.numbers", [1, 0], "value"),
        "one number for both sets": ("split.numbers", [1, 1], "container"),
        "one number alone": ("split.numbers", [0], "container"),
        "numbers left out": ("split.numbers", None, "container"),
        "a number below 0": ("split.numbers", [0, -1], "container"),
        "a number of 32 bits": ("split.numbers", [0, 1 << 32], "container"),
        "a number that is true": ("split.numbers", [0, True], "container"),
        "counts of groups without groups": ("split.groups", {"all": 240, "fewest": 120}, "container"),
    }
)


@attack("mode changed to blocks", "value", upper=False)
def _(issued: Issued) -> Issued:
    issued.document["split"]["mode"], issued.document["statement"]["p_value"] = "blocks", None
    return issued


@attack("groups left out", "value", mode="groups", shift=1.5)
def _(issued: Issued) -> Issued:
    issued.document["split"] |= {"mode": "random", "groups": None}
    del issued.tensors["groups.source"], issued.tensors["groups.target"]
    return issued


def regroup(change: Callable[[Array], Array]) -> Callable[[Issued], Issued]:
    return tensor("groups.source", change)


attack("groups relabelled", "split", "value", mode="groups")(regroup(lambda codes: codes[::-1].copy()))
attack("one row moved to another group", "split", "value", mode="groups")(
    regroup(lambda codes: np.concatenate([[codes[1]], codes[1:]]))
)
attack("rows taken as groups", "container", mode="groups")(regroup(lambda codes: np.arange(len(codes))))
attack("all rows in one group", "split", mode="groups")(regroup(np.zeros_like))
attack("groups that are not whole", "container", mode="groups")(regroup(lambda codes: codes.astype(np.float64)))
attack("groups of fewer rows", "container", mode="groups")(regroup(lambda codes: codes[:-1]))
attack("groups of a number that none has", "container", mode="groups")(regroup(lambda codes: codes + 170))
attack("groups of a negative number", "container", mode="groups")(regroup(lambda codes: codes - 1))


@attack("more groups than there are", named="the groups of other sets: that there are 7,", mode="groups")
def _(issued: Issued) -> Issued:
    issued.document["split"]["groups"]["all"] += 7
    return issued.state()


fields(
    {
        "as many groups as one side has": ("split.groups.all", 120, "container"),
        "no groups at all": ("split.groups.all", 0, "container"),
        "a number of groups that fills the memory": ("split.groups.all", 1 << 60, "container"),
        "counts left out": ("split.groups", None, "container"),
        "a set of fewer groups, though there are two": ("split.groups.fewest", 60, "split"),
        "more groups in each set than there are": ("split.groups.fewest", 121, "split"),
        "a set without groups": ("split.groups.fewest", 0, "container"),
    },
    mode="groups",
)
attack("groups in a table", "container", mode="groups")(regroup(lambda codes: codes[:, None]))
attack("sizes other than those of the groups", "split", mode="groups")(
    put("split.source", lambda sizes: {**sizes, "train": sizes["train"] - 1, "test": sizes["test"] + 1})
)
