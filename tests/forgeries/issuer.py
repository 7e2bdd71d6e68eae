"""An issuer of certificates in numpy, written from docs/certificate.md and independent of the library and verifier.

It signs whatever it is told to: `state` computes the figures of a document, and `pack` writes any document and tensors
with a correct digest of the file.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import issuer_tables
import numpy as np
from issuer_upper import make_plan, state_upper, used

Array = np.ndarray
U = 2.0**-53
CODES = {"<f4": "F32", "<f8": "F64", "<i8": "I64", "<c16": "C128", "<u8": "U64", "|b1": "BOOL"}
SIDES = ("source", "target")


# --- the file ------------------------------------------------------------------------------------------------------


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def pack_text(text: str, tensors: dict[str, Array], *, edit: Callable[[str], str] = lambda header: header) -> bytes:
    """A file around the certificate's text; `edit` changes the header's text before the digest is taken."""
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    data, entries, start = b"".join(np.ascontiguousarray(tensors[name]).tobytes() for name in order), {}, 0
    for name in order:
        array = tensors[name]
        stop = start + array.nbytes
        entries[name] = {
            "dtype": CODES.get(array.dtype.str, array.dtype.str),
            "shape": list(array.shape),
            "data_offsets": [start, stop],
        }
        start = stop

    def header(digest: str) -> bytes:
        meta = {"__metadata__": {"wdist_certificate": text, "wdist_digest": digest}}
        encoded = edit(canonical(meta | entries)).encode()
        encoded += b" " * (-len(encoded) % 8)
        return len(encoded).to_bytes(8, "little") + encoded

    return header(hashlib.sha256(header("0" * 64) + data).hexdigest()) + data


def pack(document: dict[str, Any], tensors: dict[str, Array]) -> bytes:
    return pack_text(canonical(document), tensors)


def rows_digest(array: Array) -> str:
    line = f"wdist rows 1 {array.dtype.str} {'x'.join(map(str, array.shape))}\n".encode()
    return hashlib.sha256(line + np.ascontiguousarray(array).tobytes()).hexdigest()


# --- order ---------------------------------------------------------------------------------------------------------


def stream(seed: int, *key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(0x77646973, *key))))


def split(document: dict[str, Any], tensors: dict[str, Array]) -> list[dict[str, Array]]:
    """Rows of each part of both sides; with groups, the sizes in the document are set to those that follow."""
    made, seed = document["split"], document["split"]["seed"]
    sides = []
    for number, side in enumerate(SIDES):
        n = document["data"][side]["shape"][0]
        if made["mode"] == "groups":
            every = made["groups"]["all"]
            share = max(0.3, 50 / made["groups"]["fewest"])
            test, select = math.ceil(share * every), math.ceil(0.1 * every)
            place = {code: i for i, code in enumerate(stream(seed, 2).permutation(every).tolist())}
            rank = np.array([place[code] for code in tensors[f"groups.{side}"].tolist()])
            order = np.argsort(rank, kind="stable")
            kind = np.digitize(rank[order], [test, test + select])
            parts = dict(zip(("test", "select", "train"), (order[kind == k] for k in range(3)), strict=True))
            made[side] = {part: len(rows) for part, rows in parts.items()}
            sides.append(parts | {"rank": rank[parts["test"]]})
            continue
        cuts = np.cumsum([made[side]["train"], made[side]["select"]])
        generator = stream(seed, 1, made["numbers"][number])
        rows = np.arange(n)
        if made["mode"] == "random":
            pieces = np.split(generator.permutation(n), cuts)
        else:
            pieces = [generator.permutation(piece) for piece in np.split(rows, cuts)]
        sides.append(dict(zip(("train", "select", "test"), pieces, strict=True)))
    return sides


# --- the critic ----------------------------------------------------------------------------------------------------


def convert(document: dict[str, Any], array: Array) -> Array:
    takes = document["input"]
    x = array.astype(np.float64) / (255.0 if takes["uint8"] else 1.0)
    if takes["layout"] == "nhwc":
        x = np.moveaxis(x, 3, 1)
    x = x.reshape(len(x), *takes["row_shape"])
    if takes["scale"].get("missing") is not None:
        x = np.where(np.isnan(x), np.array(takes["scale"]["missing"]["center"]), x)
    if takes["scale"]["kind"] == "none" and "kinds" not in takes:
        return x
    return (x - np.array(takes["scale"]["center"])) / np.array(takes["scale"]["divisor"])


def layer(entry: dict[str, Any], own: dict[str, Array], x: Array) -> tuple[Array, float, Array | float]:
    """Output, norm and added error."""
    norms = np.linalg.norm(x.reshape(len(x), -1), axis=1)
    match entry["kind"]:
        case "flatten":
            return x.reshape(len(x), -1), 1.0, 0.0
        case "shift":
            y = x - own["shift"]
            return y, 1.0, U * np.linalg.norm(y.reshape(len(y), -1), axis=1)
        case "linear":
            w, b = own["weight"], own.get("bias", np.zeros(len(own["weight"])))
            size = (w.shape[1] + 2) * U * (np.linalg.norm(w) * norms + np.linalg.norm(b))
            return x @ w.T + b, float(np.linalg.norm(w, 2)), size
        case "circular_conv":
            k = own["weight"]
            out, _, kh, kw = k.shape
            y = np.zeros((len(x), out, *x.shape[2:]))
            for a in range(kh):
                for b in range(kw):
                    moved = np.roll(x, ((kh - 1) // 2 - a, (kw - 1) // 2 - b), axis=(2, 3))
                    y += np.einsum("oc,ncij->noij", k[:, :, a, b], moved)
            padded = np.zeros((*k.shape[:2], *x.shape[2:]))
            padded[:, :, :kh, :kw] = k
            transfer = np.fft.fft2(padded).transpose(2, 3, 0, 1)
            size = (k[0].size + 2) * U * math.sqrt(kh * kw) * np.linalg.norm(k) * norms
            return y, float(np.linalg.norm(transfer, 2, axis=(2, 3)).max()), size
        case "groupsort":
            g = entry["group_size"]
            return np.sort(x.reshape(len(x), -1, g), axis=2).reshape(x.shape), 1.0, 0.0
        case "maxmin":
            half = x.shape[1] // 2
            return (
                np.concatenate([np.maximum(x[:, :half], x[:, half:]), np.minimum(x[:, :half], x[:, half:])], 1),
                1.0,
                0.0,
            )
        case "relu":
            return np.maximum(x, 0), 1.0, 0.0
        case "columns":
            return x[:, entry["columns"]], 1.0, 0.0
        case "cone":
            distance = np.linalg.norm(x[:, None] - own["anchors"], axis=2) + own["offsets"]
            far = np.linalg.norm(own["anchors"], axis=1).max() + np.abs(own["offsets"]).max()
            return entry["sign"] * distance.min(axis=1, keepdims=True), 1.0, (x.shape[1] + 6) * U * (norms + far)
        case "clip":
            return np.clip(x, entry["low"], entry["high"]), 1.0, 0.0
    raise ValueError(entry)


def forward(document: dict[str, Any], tensors: dict[str, Array], array: Array) -> tuple[Array, Array, float]:
    """f of all rows, the bound of the rounding of each, and L."""
    x, scaled = convert(document, array), document["input"]["scale"]["kind"] != "none" or "kinds" in document["input"]
    norms = np.linalg.norm(x.reshape(len(x), -1), axis=1)
    e = 1.01 * U * norms * (2 * scaled + document["input"]["uint8"])
    bound = 1.0
    for i, entry in enumerate(document["critic"]["layers"]):
        prefix = f"layers.{i}."
        own = {k.removeprefix(prefix): t.astype(np.float64) for k, t in tensors.items() if k.startswith(prefix)}
        x, norm, added = layer(entry, own, x)
        e, bound = e * norm + 1.01 * np.asarray(added), bound * norm
    low, high = document["statement"]["clip"]
    return x.reshape(len(x)), np.minimum(np.broadcast_to(e, (len(x),)), high - low), bound * (1 + 1e-12)


# --- the statement -------------------------------------------------------------------------------------------------


def betting(unit: Array, alpha: float, prior: tuple[float, float], m: float) -> float:
    """The largest log-capital against a mean m."""
    n, (mean, variance) = len(unit), prior
    total, squares, log, best, sigma = mean, variance, 0.0, -math.inf, math.sqrt(variance)
    for t, x in enumerate(unit.tolist(), 1):
        stake = math.sqrt(2 * math.log(1 / alpha) / n) / max(sigma, 1e-12)
        log += math.log1p(min(stake, 0.75 / m) * (x - m))
        best = max(best, log)
        total += x
        squares += (x - total / (t + 1)) ** 2
        sigma = math.sqrt(squares / (t + 1))
    return best - 1e-12 - 128 * U * n


def unit_prior(prior: Any, low: float, high: float) -> tuple[float, float]:
    if prior is None:
        return 0.5, 0.25
    mean = min(1.0, max(0.0, (prior[0] - low) / (high - low)))
    deviation = min(1.0, prior[1] / (high - low))  # its square would overflow
    return mean, min(0.25, max(1e-8, deviation**2))


def lcb(values: Array, e: Array, low: float, high: float, alpha: float, prior: Any, method: str) -> float:
    unit = np.clip((values - e - low) / (high - low) - 4 * U, 0, 1)
    if method == "empirical_bernstein":
        n, log = len(unit), math.log(2 / alpha)
        bound = unit.mean() - math.sqrt(2 * unit.var(ddof=1) * log / n) - 7 * log / (3 * (n - 1))
        return low + (high - low) * max(0.0, float(bound))
    a, b = 1e-12, 1.0
    start = unit_prior(prior, low, high)
    if method == "target_stakes":
        return low + (high - low) * target_lcb(unit, np.full(len(unit), start[1]), start[0], alpha)
    if betting(unit, alpha, start, a) < math.log(1 / alpha):
        return low
    while b - a > 1e-10:
        m = (a + b) / 2
        a, b = (m, b) if betting(unit, alpha, start, m) >= math.log(1 / alpha) else (a, m)
    return low + (high - low) * a


def target_lcb(unit: Array, variances: Array, mean: float, alpha: float) -> float:
    """Of method target_stakes, on [0, 1]: one score after the other, against all means of the grid."""
    n, goal = len(unit), math.log(1 / alpha)
    deviation, distances = 1 / math.sqrt(sum(1 / variances)), [0.0]
    while distances[-1] < 2:
        distances.append(distances[-1] + deviation / 32 * 1.02 ** max(0, len(distances) - 128))
    center = mean - math.sqrt(goal) * deviation
    grid = np.array(sorted({min(1.0, max(1e-12, center + sign * d)) for d in distances for sign in (-1, 1)}))
    log, rejected, total, squares, renewal = np.zeros(len(grid)), np.zeros(len(grid), bool), 10 * mean, 10.0, 0
    for t, (x, v) in enumerate(zip(unit.tolist(), variances.tolist(), strict=True)):
        if t == renewal:
            rejected |= log >= goal + 1e-12 + 256 * U * n
            missing = np.maximum(goal + 0.1 - log, 0.0)
            ratio = math.sqrt(squares / (10 + t))
            aimed = 2 * missing / (np.sqrt(2 * missing) + 0.5) / (ratio * math.sqrt(sum(1 / variances[t:])))
            renewal += max(1, (n - t) // 64)
        log += np.where(rejected, 0.0, np.log1p(np.minimum(aimed / v, 0.99 / grid) * (x - grid)))
        total += x
        squares += (x - total / (11 + t)) ** 2 / v
    rejected |= log >= goal + 1e-12 + 256 * U * n
    refused = np.flatnonzero(~rejected)
    count = int(refused[0]) if len(refused) else len(grid)
    return float(grid[count - 1]) if count else 0.0


def part_sizes(n: int, count: int) -> Array:
    return np.array([(s + 1) * n // count - s * n // count for s in range(count)])


def part_means(values: Array, e: Array, count: int, width: float) -> tuple[Array, Array]:
    sizes = part_sizes(len(values), count)
    ends = np.cumsum(sizes)[:-1]
    means = [np.array([part.mean() for part in np.split(each, ends)]) for each in (values, e)]
    return means[0], means[1] + (sizes > 1) * (sizes + 2) * U * width


def state(document: dict[str, Any], tensors: dict[str, Array], arrays: list[Array]) -> None:
    """Set split sizes (of groups), L, value, lower_bound, p_value and rounding to what follows from the rest."""
    stated, seed = document["statement"], document["split"]["seed"]
    low, high = stated["clip"]
    width, alpha, method = high - low, 1 - stated["confidence"], stated["method"]
    sides, prior = split(document, tensors), stated["prior"] or (None, None)
    units, errors, names = [], [], []
    for array, part in zip(arrays, sides, strict=True):
        f, e, bound = forward(document, tensors, array[part["test"]])
        if document["split"]["mode"] == "groups":
            ranks = sorted(set(part["rank"].tolist()))
            members = [part["rank"] == rank for rank in ranks]
            e = np.array([e[m].mean() + (m.sum() + 2) * U * width for m in members])
            f = np.array([low + (f[m] - low).mean() for m in members])
        units.append(f - low)
        errors.append(e)
    layout = "rows"
    if document["split"]["mode"] == "groups":
        names = [set(tensors[f"groups.{side}"].tolist()) for side in SIDES]
        layout = "own" if names[0] == names[1] else "mixed" if names[0] & names[1] else "apart"
    (x, y), (ex, ey) = units, errors
    document["critic"]["lipschitz_bound"] = bound
    stated["value"] = float(y.mean() - x.mean()) / bound
    stated["rounding"] = float(ex.mean() + ey.mean()) / bound
    moved = [p and (p[0] - low, p[1]) for p in prior]
    mirrored = moved[0] and (-moved[0][0], moved[0][1])
    count = min(len(x), len(y))
    pairs = [part_means(each, e, count, width) for each, e in ((x, ex), (y, ey))]
    d, ed = pairs[1][0] - pairs[0][0], pairs[0][1] + pairs[1][1] + U * width
    spread = moved[0] and math.sqrt(count * (moved[0][1] ** 2 / len(x) + moved[1][1] ** 2 / len(y)))
    of_pairs = moved[0] and (moved[1][0] - moved[0][0], spread)
    paired = layout == "own" or method == "paired_betting" or (layout == "apart" and method == "betting")
    if method == "target_stakes" and layout in ("rows", "apart"):
        deviations = [p[1] for p in moved] if moved[0] else [width / math.sqrt(2)] * 2
        terms = [s**2 / part_sizes(len(each), count) for s, each in zip(deviations, (x, y), strict=True)]
        variances = np.clip(sum(terms) / (2 * width) ** 2, 1e-8, 0.25)
        unit, mean = np.clip((d - ed + width) / (2 * width) - 4 * U, 0, 1), unit_prior(of_pairs, -width, width)[0]
        difference = -width + 2 * width * target_lcb(unit, variances, mean, alpha)
    elif paired:
        difference = lcb(d, ed, -width, width, alpha, of_pairs, method)
    else:
        difference = lcb(y, ey, 0, width, alpha / 2, moved[1], method)
        difference += lcb(-x, ex, -width, 0, alpha / 2, mirrored, method)
    stated["lower_bound"] = max(0.0, min(difference / bound, stated["value"]))
    stated["p_value"] = None
    if document["split"]["mode"] == "random":
        stated["p_value"] = permutations(x, y, seed)
    elif layout in ("apart", "own"):
        unit = np.clip((d - ed + width) / (2 * width) - 4 * U, 0, 1)
        stated["p_value"] = math.exp(-max(0.0, betting(unit, alpha, unit_prior(of_pairs, -width, width), 0.5)))
    elif layout == "mixed":
        stated["p_value"] = crossing(x, ex, y, ey, width, alpha / 2, moved, mirrored)


def crossing(x: Array, ex: Array, y: Array, ey: Array, width: float, alpha: float, moved: Any, mirrored: Any) -> float:
    on_y, on_x = np.clip((y - ey) / width - 4 * U, 0, 1), np.clip((width - x - ex) / width - 4 * U, 0, 1)
    priors = unit_prior(moved[1], 0, width), unit_prior(mirrored, -width, 0)
    a, b = 1e-12, 1 - 1e-12
    for _ in range(40):
        mu = (a + b) / 2
        leads = betting(on_y, alpha, priors[0], mu) >= betting(on_x, alpha, priors[1], 1 - mu)
        a, b = (mu, b) if leads else (a, mu)
    best = max(0.0, betting(on_y, alpha, priors[0], b), betting(on_x, alpha, priors[1], 1 - a))
    return min(1.0, 2 * math.exp(-best))


def permutations(x: Array, y: Array, seed: int) -> float:
    pooled = np.concatenate([x, y])
    pooled -= pooled.mean()
    generator, batch, reached = stream(seed, 4), max(1, (1 << 21) // len(pooled)), 0
    observed = pooled[len(x) :].sum() - 1e-12 * np.abs(pooled).sum()
    for done in range(0, 9_999, batch):
        block = np.broadcast_to(pooled, (min(batch, 9_999 - done), len(pooled)))
        reached += int((generator.permuted(block, axis=1)[:, len(x) :].sum(axis=1) >= observed).sum())
    return (reached + 1) / 10_000


# --- honest certificates -------------------------------------------------------------------------------------------


@dataclass
class Issued:
    """A certificate in parts, and the two sets it is about."""

    document: dict[str, Any]
    tensors: dict[str, Array]
    arrays: list[Array]

    def copy(self) -> Issued:
        return copy.deepcopy(self)

    def state(self) -> Issued:
        """All figures, and a plan of its own for the upper end."""
        state(self.document, self.tensors, self.arrays)
        if self.document["upper"] is not None:
            make_plan(self.tensors, *self.rows_and_points())
        return self.state_upper()

    def state_upper(self) -> Issued:
        """The upper end, by the plan there is."""
        if self.document["upper"] is not None:
            state_upper(self.document, self.tensors, *self.rows_and_points())
        return self

    def rows_and_points(self) -> tuple[list[Array], list[Array]]:
        """The rows that the upper end uses, and all rows as distances are measured."""
        rows = used(self.document, split(self.document, self.tensors))
        return rows, [convert(self.document, array).reshape(len(array), -1) for array in self.arrays]

    @property
    def content(self) -> bytes:
        return pack(self.document, self.tensors)


def orthogonal(generator: np.random.Generator, rows: int, columns: int) -> Array:
    return np.linalg.qr(generator.standard_normal((max(rows, columns),) * 2))[0][:rows, :columns]


def net(family: str, d: int, generator: np.random.Generator) -> tuple[list[dict[str, Any]], dict[str, Array]]:
    """Layers and tensors of a critic that rises in the first coordinate or so."""
    up = np.zeros((1, d))
    up[0, 0] = 1.0
    if family == "affine":
        return [{"kind": "shift"}, {"kind": "linear"}], {
            "layers.0.shift": np.full(d, 0.5),
            "layers.1.weight": up,
            "layers.1.bias": np.array([0.25]),
        }
    if family == "groupsort":
        w = orthogonal(generator, 8, d)
        weights = [w, orthogonal(generator, 8, 8), (w @ up.T).T]
        return [{"kind": "linear"}, {"kind": "groupsort", "group_size": 2}, {"kind": "linear"}, {"kind": "linear"}], {
            f"layers.{i}.weight": weights[k].astype(np.float32) for k, i in enumerate((0, 2, 3))
        } | {"layers.0.bias": generator.standard_normal(8).astype(np.float32)}
    if family == "cone":
        return [{"kind": "cone", "sign": 1}], {
            "layers.0.anchors": -4 * up + 0.1 * generator.standard_normal((6, d)),
            "layers.0.offsets": 0.1 * generator.standard_normal(6),
        }
    kernel = np.zeros((4, 1, 2, 2))
    kernel[:, 0] = orthogonal(generator, 4, 4).reshape(4, 2, 2)
    layers = [{"kind": "circular_conv"}, {"kind": "maxmin"}, {"kind": "flatten"}, {"kind": "linear"}]
    return layers, {"layers.0.weight": kernel, "layers.3.weight": orthogonal(generator, 1, 4 * 4 * 4)}


def issue(
    family: str = "affine",
    n: int = 300,
    *,
    mode: str = "random",
    method: str = "betting",
    scale: str = "none",
    shift: float = 0.8,
    layout: str = "mixed",
    seed: int = 11,
    unit: float = 1.0,
    offset: float = 0.0,
    d: int = 4,
    upper: bool = True,
    diameter: float | None = None,
    ranges: Sequence[float] | None = None,
    numbers: tuple[int, int] = (0, 1),
    others: int = 0,
    table: str = "",
    cost: float = 1.0,
) -> Issued:
    """An honest certificate of a difference of `shift` in the first column, of rows times `unit` plus `offset`.

    numbers: of the two sets in a matrix. others: how many groups only other sets of the matrix have. table: "mixed" or
    "missing" for encoded tables without and with missing values, whose last column the critic does not take.
    """
    generator = np.random.default_rng(3)
    images = family == "conv"
    shape = (4, 4) if images else (d,)
    arrays = [generator.standard_normal((k, *shape)) for k in (n, n + 40)]
    arrays[1][(slice(None), *(0,) * len(shape))] += shift
    if table:
        arrays = [
            issuer_tables.rows(generator, k, s, missing=table == "missing") for k, s in ((n, 0.0), (n + 40, shift))
        ]
        d = arrays[0].shape[1]
    elif images:
        arrays = [np.clip(128 + 40 * each, 0, 255).astype(np.uint8) for each in arrays]
    else:
        arrays = [each * unit + offset for each in arrays]
    layers, tensors = net(family, d - bool(table), generator)
    if table:
        layers = [{"kind": "columns", "columns": list(range(d - 1))}, *layers]
        tensors = {renumbered(name): tensor for name, tensor in tensors.items()}
    row_shape = [1, 4, 4] if images else [d]
    divisor: Any = {"none": 1.0, "number": 2.0}.get(scale, [1.0, 2.0, 3.0, 4.0][:d])
    sizes = [{"train": len(a) - 150, "select": 30, "test": 120} for a in arrays]
    document: dict[str, Any] = {
        "format": "wdist certificate",
        "version": 2,
        "library": "0.2.0",
        "data": {
            side: {"sha256": rows_digest(a), "shape": list(a.shape), "dtype": a.dtype.str, "file_sha256": None}
            for side, a in zip(SIDES, arrays, strict=True)
        },
        "recipe": None,
        "input": {
            "row_shape": row_shape,
            "layout": None,
            "uint8": images,
            "scale": {"kind": scale, "divisor": divisor, "center": 0.0, "data_divisor": 255.0 if images else 1.0},
        },
        "split": {
            "mode": mode,
            "seed": seed,
            "numbers": list(numbers),
            "groups": None,
            "source": sizes[0],
            "target": sizes[1],
        },
        "critic": {"layers": [*layers, {"kind": "clip", "low": -3.0, "high": 4.0}], "lipschitz_bound": 1.0},
        "statement": {
            "value": 0.0,
            "lower_bound": 0.0,
            "confidence": 0.95,
            "p_value": 1.0,
            "method": method,
            "prior": [[0.0, 1.0], [0.7, 1.0]],
            "clip": [-3.0, 4.0],
            "rounding": 0.0,
        },
        "upper": {"bound": 0.0, "cost": 0.0, "diameter": diameter, "ranges": ranges and list(ranges)}
        if upper and mode == "random"
        else None,
        "reported": {
            "family": family,
            "upper_bound": None,
            "units": "Euclidean distance",
            "trivial": {"mean_difference": 0.7, "max_sliced": None},
            "empirical": None,
            "null_baseline": None,
            "steps": 10,
            "seconds": 1.5,
            "device": "cpu",
            "warnings": [],
        },
    }
    if mode == "groups":
        first = {"own": 0, "mixed": 60, "apart": 120}[layout]
        for side, a, start in zip(SIDES, arrays, (0, first), strict=True):
            tensors[f"groups.{side}"] = start + np.arange(len(a)) % 120
        document["split"]["groups"] = {"all": 120 + first + others, "fewest": 120}
    issued = Issued(document, tensors, arrays)
    if table:
        issuer_tables.describe(document, missing=table == "missing", cost=cost)
        document["data"]["source"]["file_sha256"] = "5" * 64
        parts = split(document, tensors)
        fitted = [a[part["select"]] for a, part in zip(arrays, parts, strict=True)]
        if is_of_first := scale in ("reference", "robust_reference"):
            fitted = [fitted[numbers.index(0)]] if 0 in numbers else fitted
        issuer_tables.fit(document, np.concatenate(fitted), is_of_first=is_of_first)
    elif scale in ("standardize", "reference"):
        tensors |= {"layers.0.shift": np.zeros(d)} if family == "affine" else {}
        parts = split(document, tensors)
        fitted = [a[part["select"]] for a, part in zip(arrays, parts, strict=True)]
        if scale == "reference" and 0 in numbers:
            fitted = [fitted[numbers.index(0)]]
        pooled = np.concatenate(fitted).astype(np.float64)
        center = pooled[0] + (pooled - pooled[0]).mean(axis=0)
        document["input"]["scale"]["center"] = center.tolist()
        document["input"]["scale"]["divisor"] = np.sqrt(((pooled - center) ** 2).mean(axis=0)).tolist()
    elif unit != 1.0 or offset:
        fit(issued, unit, offset)
    return issued.state()


def renumbered(name: str) -> str:
    """The name of a tensor once another layer is in front."""
    _, number, field = name.split(".")
    return f"layers.{int(number) + 1}.{field}"


def fit(issued: Issued, unit: float, offset: float) -> None:
    """Move an affine critic and its clip to rows times `unit` plus `offset`."""
    issued.tensors["layers.0.shift"] = np.full_like(issued.tensors["layers.0.shift"], offset)
    issued.tensors["layers.1.bias"] = np.zeros(1)
    clip = [-3.0 * unit, 4.0 * unit]
    issued.document["critic"]["layers"][-1] |= {"low": clip[0], "high": clip[1]}
    issued.document["statement"] |= {"clip": clip, "prior": [[0.0, unit], [0.7 * unit, unit]]}
