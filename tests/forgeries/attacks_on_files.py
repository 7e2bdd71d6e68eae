"""Forged files: tensors and layers that nothing reads or that do not fit, JSON, the container."""

from __future__ import annotations

import json

import numpy as np
from attack_kit import attack, edited, fields, header, put, tensor
from issuer import Issued, pack_text

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


@attack("a small file that asks for hours", "Lipschitz bound", family="conv", upper=False)
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


@attack("a kernel whose singular values take minutes", "Lipschitz bound", family="conv", upper=False)
def _(issued: Issued) -> Issued:
    channels, (first, *_, last) = 1_400, issued.document["critic"]["layers"]
    kernels = [np.full(shape, 1e-2, dtype=np.float32) for shape in ((channels, 1, 1, 1), (channels, channels, 1, 1))]
    weight = np.zeros((1, 16 * channels))
    weight[0, 0] = 1e-2
    issued.document["critic"]["layers"] = [first, first, {"kind": "flatten"}, {"kind": "linear"}, last]
    issued.document["critic"]["lipschitz_bound"] = 1e3
    issued.tensors = {f"layers.{i}.weight": kernel for i, kernel in enumerate(kernels)} | {"layers.3.weight": weight}
    return issued


@attack("a matrix whose singular values take minutes", "Lipschitz bound", upper=False)
def _(issued: Issued) -> Issued:
    layers = issued.document["critic"]["layers"]
    layers[1:2] = [{"kind": "linear"}] * 3
    issued.document["critic"]["lipschitz_bound"] = 1e6
    weights = (np.full(shape, 1e-3, dtype=np.float32) for shape in ((4_000, 4), (4_000, 4_000), (1, 4_000)))
    issued.tensors = {"layers.0.shift": np.zeros(4)} | {f"layers.{i}.weight": w for i, w in enumerate(weights, 1)}
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
