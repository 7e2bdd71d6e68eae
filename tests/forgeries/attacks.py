"""Forged certificates: what a forger does to an honest one, and what must come of it.

A forger recomputes the file's own digest each time, and where `state` is called also every figure, as plain float64
arithmetic gives them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from issuer import Array, Issued, canonical, pack_text, rows_digest, split

Forged = Issued | bytes


@dataclass(frozen=True)
class Attack:
    """forge: from an honest certificate. refused: names of checks of which one must fail; else named: a word of the
    point under "not checked" (or of the sentence) that says what the verifier cannot know."""

    forge: Callable[[Issued], Forged]
    refused: tuple[str, ...] = ()
    named: str = ""
    base: tuple[tuple[str, Any], ...] = ()


ATTACKS: dict[str, Attack] = {}


def attack(name: str, *refused: str, named: str = "", **base: Any) -> Callable[[Callable[[Issued], Forged]], None]:
    def add(forge: Callable[[Issued], Forged]) -> None:
        assert name not in ATTACKS
        ATTACKS[name] = Attack(forge, refused, named, tuple(base.items()))

    return add


def put(place: str, value: Any) -> Callable[[Issued], Issued]:
    """Set a field of the document; `value` may be a function of the honest one."""

    def change(issued: Issued) -> Issued:
        *path, last = (int(step) if step.lstrip("-").isdecimal() else step for step in place.split("."))
        target: Any = issued.document
        for step in path:
            target = target[step]
        present = isinstance(last, int) or last in target
        target[last] = value(target[last]) if callable(value) and present else value
        return issued

    return change


def edited(old: str, new: str) -> Callable[[Issued], bytes]:
    """The certificate's text with a replacement that no JSON writer would make."""

    def change(issued: Issued) -> bytes:
        text = canonical(issued.document)
        assert old in text
        return pack_text(text.replace(old, new, 1), issued.tensors)

    return change


def header(old: str, new: str) -> Callable[[Issued], bytes]:
    """The file's header with a replacement."""

    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return lambda issued: pack_text(canonical(issued.document), issued.tensors, edit=edit)


def tensor(name: str, change: Callable[[Array], Array] | Array) -> Callable[[Issued], Issued]:
    def forge(issued: Issued) -> Issued:
        issued.tensors[name] = change(issued.tensors[name]) if callable(change) else change
        return issued

    return forge


def fields(table: dict[str, tuple[str, Any, str]], **base: Any) -> None:
    for name, (place, value, check) in table.items():
        attack(name, check, **base)(put(place, value))


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
        "method changed": ("statement.method", "paired_betting", ""),
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
del ATTACKS["method changed"]  # bets on pairs support more: a stated bound that is too small is no forgery
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
        "row shape of another length": (
            "input.row_shape",
            [5],
            "scale",
        ),
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
ATTACKS["row shape of another length"] = Attack(put("input.row_shape", [5]), ("Lipschitz bound", "scale"))

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
    for start, (side, array) in zip((0, 10_000), zip(("source", "target"), issued.arrays, strict=True), strict=True):
        issued.tensors[f"groups.{side}"] = start + np.arange(len(array))
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


attack("reported upper bound", named="reported figures")(put("reported.upper_bound", 0.01))
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


@attack("mode changed to blocks", "value")
def _(issued: Issued) -> Issued:
    issued.document["split"]["mode"], issued.document["statement"]["p_value"] = "blocks", None
    return issued


@attack("groups left out", "value", mode="groups", shift=1.5)
def _(issued: Issued) -> Issued:
    issued.document["split"]["mode"] = "random"
    del issued.tensors["groups.source"], issued.tensors["groups.target"]
    return issued


def regroup(change: Callable[[Array], Array]) -> Callable[[Issued], Issued]:
    return tensor("groups.source", change)


attack("groups relabelled", "split", "value", mode="groups")(regroup(lambda codes: codes[::-1].copy()))
attack("one row moved to another group", "split", "value", mode="groups")(
    regroup(lambda codes: np.concatenate([[codes[1]], codes[1:]]))
)
attack("rows taken as groups", "split", mode="groups")(regroup(lambda codes: np.arange(len(codes))))
attack("all rows in one group", "split", mode="groups")(regroup(np.zeros_like))
attack("groups that are not whole", "container", mode="groups")(regroup(lambda codes: codes.astype(np.float64)))
attack("groups of fewer rows", "container", mode="groups")(regroup(lambda codes: codes[:-1]))
attack("groups in a table", "container", mode="groups")(regroup(lambda codes: codes[:, None]))
attack("sizes other than those of the groups", "split", mode="groups")(
    put("split.source", lambda sizes: {**sizes, "train": sizes["train"] - 1, "test": sizes["test"] + 1})
)

# --- tensors and layers --------------------------------------------------------------------------------------------

W, B = "layers.1.weight", "layers.1.bias"
for name, place, array, check in (
    ("payload that nothing reads", "payload", np.zeros(3), "container"),
    ("scores of format 1", "scores.source", np.zeros(120), "container"),
    ("test rows of format 1", "test_rows.source", np.arange(120), "container"),
    ("groups of rows", "groups.source", np.arange(300), "container"),
    ("tensor of no layer", "layers.99.weight", np.zeros((1, 1)), "Lipschitz bound"),
    ("tensor of the clip", "layers.2.weight", np.zeros((1, 1)), "Lipschitz bound"),
    ("leading zero", "layers.01.weight", np.eye(4)[:1], "Lipschitz bound"),
    ("superscript number", "layers.\N{SUPERSCRIPT ONE}.weight", np.eye(4)[:1], "Lipschitz bound"),
    ("number in another script", "layers.\N{ARABIC-INDIC DIGIT ONE}.weight", np.eye(4)[:1], "Lipschitz bound"),
    ("signed number", "layers.+1.weight", np.eye(4)[:1], "Lipschitz bound"),
    ("unknown tensor of a layer", "layers.1.scale", np.ones(1), "Lipschitz bound"),
    ("name without a field", "layers.1.", np.ones(1), "Lipschitz bound"),
    ("name with more", "layers.1.bias.more", np.ones(1), "Lipschitz bound"),
    ("endless name", "layers.1." + "b" * 100, np.ones(1), "container"),
    ("whole-number weights", B, np.ones(1, dtype=np.int64), "Lipschitz bound"),
    ("complex weights", B, np.ones(1, dtype=np.complex128), "container"),
    ("boolean weights", B, np.ones(1, dtype=bool), "container"),
    ("weight that is not a number", B, np.array([np.nan]), "container"),
    ("infinite weight", B, np.array([np.inf]), "container"),
    ("empty tensor", B, np.zeros(0), "container"),
    ("weight of no rows", W, np.zeros((0, 4)), "container"),
    ("tensor without axes", B, np.array(0.25), "container"),
    ("tensor of 5 axes", B, np.zeros((1, 1, 1, 1, 1)), "container"),
    ("weight of another shape", W, np.eye(5)[:1], "Lipschitz bound"),
    ("two outputs", W, np.eye(4)[:2], "Lipschitz bound"),
    ("weight larger by a millionth", W, (1 + 1e-6) * np.eye(4)[:1], "Lipschitz bound"),
    ("weight 0", W, np.zeros((1, 4)), "value"),
    ("bias moved", B, np.array([2.75]), "value"),
    ("shift that broadcasts upwards", "layers.0.shift", np.zeros((2, 4)), "Lipschitz bound"),
):
    attack(name, check)(tensor(place, array))


@attack("bias missing", "value")
def _(issued: Issued) -> Issued:
    issued.tensors["layers.1.bias"] = issued.tensors["layers.1.bias"] + 2
    issued.state()
    del issued.tensors["layers.1.bias"]
    return issued


@attack("weight missing", "Lipschitz bound")
def _(issued: Issued) -> Issued:
    del issued.tensors[W]
    return issued


@attack("1,025 tensors", "container")
def _(issued: Issued) -> Issued:
    issued.tensors |= {f"layers.{k}.weight": np.zeros(1) for k in range(2, 1_025)}
    return issued


@attack("a convolution whose output fills the memory", "Lipschitz bound", family="conv")
def _(issued: Issued) -> Issued:
    issued.tensors["layers.0.weight"] = np.zeros((1 << 24, 1, 1, 1), dtype=np.float32)
    return issued


@attack("a small file that asks for hours", "Lipschitz bound", family="conv")
def _(issued: Issued) -> Issued:
    last = issued.document["critic"]["layers"][-1]
    layers = [{"kind": "circular_conv"}, *[{"kind": "maxmin"}] * 240, {"kind": "flatten"}, {"kind": "linear"}, last]
    issued.document["critic"]["layers"] = layers
    channels = 1 << 17
    issued.tensors = {
        "layers.0.weight": np.full((channels, 1, 1, 1), channels**-0.5),
        "layers.242.weight": np.full((1, 16 * channels), 0.2 * channels**-0.5),
    }
    return issued


@attack("potential whose first cell is wider than doubles reach", "Lipschitz bound")
def _(issued: Issued) -> Issued:
    issued.document["critic"]["layers"].insert(2, {"kind": "piecewise_linear"})
    issued.tensors |= {
        "layers.2.knots": np.array([-1.7e308, 1.7e308, 1.75e308]),
        "layers.2.values": np.array([0.0, 1.6e308, 1.602e308]),
    }
    return issued


@attack("257 layers", "Lipschitz bound")
def _(issued: Issued) -> Issued:
    layers = issued.document["critic"]["layers"]
    layers[2:2] = [{"kind": "relu"}] * 255
    return issued


LAYERS = "critic.layers"
fields(
    {
        "no layers": (LAYERS, [], "Lipschitz bound"),
        "layers in an object": (LAYERS, {"kind": "clip"}, "container"),
        "layer that is text": (f"{LAYERS}.0", "shift", "Lipschitz bound"),
        "layer unknown": (f"{LAYERS}.0.kind", "tanh", "Lipschitz bound"),
        "layer of another kind": (f"{LAYERS}.0.kind", "relu", "Lipschitz bound"),
        "layer with one more field": (f"{LAYERS}.0.note", 1, "Lipschitz bound"),
        "layer whose kind is a list": (f"{LAYERS}.0.kind", ["shift"], "Lipschitz bound"),
        "clip not last": (LAYERS, lambda layers: [layers[0], layers[2], layers[1]], "Lipschitz bound"),
        "clip left out": (LAYERS, lambda layers: layers[:-1], "Lipschitz bound"),
        "clip of a boolean": (f"{LAYERS}.2.low", False, "Lipschitz bound"),
        "clip of text": (f"{LAYERS}.2.low", "-3.0", "Lipschitz bound"),
        "clip in the critic alone": (f"{LAYERS}.2.high", 40.0, "Lipschitz bound"),
        "shape that a layer does not take": (
            LAYERS,
            lambda layers: [{"kind": "unshuffle", "factor": 2}, *layers],
            "Lipschitz bound",
        ),
    }
)
fields(
    {
        "groups of True channels": (f"{LAYERS}.1.group_size", True, "Lipschitz bound"),
        "groups of 2.0 channels": (f"{LAYERS}.1.group_size", 2.0, "Lipschitz bound"),
        "groups of no channels": (f"{LAYERS}.1.group_size", 0, "Lipschitz bound"),
        "groups of -2 channels": (f"{LAYERS}.1.group_size", -2, "Lipschitz bound"),
        "groups of other sizes": (f"{LAYERS}.1.group_size", 8, "value"),
    },
    family="groupsort",
)
fields(
    {
        "cone of sign 2": (f"{LAYERS}.0.sign", 2, "Lipschitz bound"),
        "cone of sign True": (f"{LAYERS}.0.sign", True, "Lipschitz bound"),
        "cone of sign 1.0": (f"{LAYERS}.0.sign", 1.0, "Lipschitz bound"),
        "cone upside down": (f"{LAYERS}.0.sign", -1, "value"),
    },
    family="cone",
)


@attack("potential whose knots do not ascend", "Lipschitz bound")
def _(issued: Issued) -> Issued:
    issued.document["critic"]["layers"].insert(2, {"kind": "piecewise_linear"})
    issued.tensors |= {"layers.2.knots": np.array([0.0, 0.0]), "layers.2.values": np.array([0.0, 1.0])}
    return issued


@attack("potential of slope 2 beyond its knots", "Lipschitz bound")
def _(issued: Issued) -> Issued:
    issued.document["critic"]["layers"].insert(2, {"kind": "piecewise_linear"})
    issued.tensors |= {"layers.2.knots": np.array([0.0, 1.0]), "layers.2.values": np.array([0.0, 2.0])}
    return issued


# --- JSON and the container ----------------------------------------------------------------------------------------

for name, forge in {
    "NaN": edited('"value":', '"value":NaN,"v":'),
    "infinity": edited('"rounding":', '"rounding":Infinity,"r":'),
    "prior that is not a number": edited('"prior":[[0.0', '"prior":[[NaN'),
    "1e400": edited('"confidence":0.95', '"confidence":1e400'),
    "whole number of 5,000 digits": edited('"seed":11', '"seed":' + "1" * 5_000),
    "seed of a million digits": edited('"seed":11', '"seed":' + "1" * 1_000_000),
    "same key twice": edited('"seed":11', '"seed":10,"seed":11'),
    "number spelled otherwise": edited('"confidence":0.95', '"confidence":9.5e-1'),
    "spaces": edited('"seed":11', '"seed": 11'),
    "text after the JSON": edited('"version":2}', '"version":2} '),
    "deep nesting": edited('"prior":', '"prior":' + "[" * 100_000 + "]" * 100_000 + ',"p":'),
    "no JSON": lambda issued: pack_text("certificate", issued.tensors),
    "a list": lambda issued: pack_text("[]", issued.tensors),
    "bytes after the last tensor": lambda issued: issued.content + b"\0",
    "last byte missing": lambda issued: issued.content[:-1],
    "header alone": lambda issued: issued.content[:200],
    "header that claims 2^62 bytes": lambda issued: (1 << 62).to_bytes(8, "little") + issued.content[8:],
    "nothing": lambda issued: b"",
    "digest of another file": lambda issued: issued.content.replace(b'"seed\\":11', b'"seed\\":12'),
    "tensor of 2^60 numbers": header('"shape":[1,4]', f'"shape":[1,{1 << 60}]'),
    "tensor of 2^61 by 2^61 numbers": header('"shape":[1,4]', f'"shape":[{1 << 61},{1 << 61}]'),
    "tensor of negative shape": header('"shape":[1,4]', '"shape":[-1,-4]'),
    "tensor of True rows": header('"shape":[1,4]', '"shape":[true,4]'),
    "tensor shape 1e400": header('"shape":[1,4]', '"shape":[1e400,4]'),
    "overlapping tensors": header('"data_offsets":[0,', '"data_offsets":[8,'),
    "tensor entry with a field more": header('"dtype":"F64"', '"dtype":"F64","note":1'),
    "tensor type unknown": header('"dtype":"F64"', '"dtype":"F8"'),
    "tensor type a list": header('"dtype":"F64"', '"dtype":["F64"]'),
    "more metadata": header('"__metadata__":{', '"__metadata__":{"a":"b",'),
    "metadata a number": lambda issued: pack_text(
        "", {}, edit=lambda text: json.dumps({"__metadata__": 1}, separators=(",", ":"))
    ),
}.items():
    attack(name, "container")(forge)

for place in ("", "data", "data.source", "input", "input.scale", "split", "split.target", "critic", "statement"):
    check = "scale" if place.startswith("input") else "container"
    attack(f"unknown field in {place or 'the certificate'}", check)(put(f"{place}.note".lstrip("."), "trust me"))
for place in ("reported", "reported.trivial"):
    attack(f"unknown field in {place}", "container")(put(f"{place}.note", "trust me"))
fields(
    {
        "version True": ("version", True, "container"),
        "version 2.0": ("version", 2.0, "container"),
        "version 3": ("version", 3, "container"),
        "version 1": ("version", 1, "container"),
        "format": ("format", "certificate", "container"),
        "library that writes to the terminal": ("library", "0.2\x1b[2K VERIFIED", "container"),
        "library a number": ("library", 2, "container"),
        "statement a list": ("statement", [], "container"),
        "statement null": ("statement", None, "container"),
        "data null": ("data.source", None, "container"),
        "input null": ("input", None, "scale"),
        "value False": ("statement.value", False, "container"),
        "value text": ("statement.value", "0.8", "container"),
        "value of 400 digits": ("statement.value", 10**400, "container"),
        "confidence True": ("statement.confidence", True, "container"),
        "reported null": ("reported", None, "container"),
        "reported steps with a point": ("reported.steps", 1.5, "container"),
        "reported warnings of numbers": ("reported.warnings", [1], "container"),
        "reported family missing": (
            "reported",
            lambda kept: {k: v for k, v in kept.items() if k != "family"},
            "container",
        ),
    }
)
