"""Computes and draws the pictures of the documentation: `python docs/pictures/draw.py [NAME ...]`.

Every point is a real run on the diamonds of examples/ or on a pair whose distance is known.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wdist import estimate_w1
from wdist.data.known_truth import Funnels
from wdist.definitions.results.verdict import rounded_down, rounded_up
from wdist.transport.exact import exact_w1

HERE = Path(__file__).parent
DIAMONDS = HERE.parents[1] / "examples/diamonds"
# Roles, each with its colour on a light and on a dark page; the file switches by itself.
COLOURS = {
    "#1b2333": ("ink", "#e8ecf4"),
    "#5b6780": ("faint", "#a3afc5"),
    "#1f5fbf": ("bound", "#7db0ff"),
    "#2f7d53": ("value", "#6cc394"),
    "#b3541e": ("empirical", "#f0a36b"),
    "#fefefe": ("ground", "#12161d"),
}
INK, FAINT, BOUND, VALUE, EMPIRICAL, GROUND = COLOURS
SIZES = (150, 300, 600, 1200, 2400, 4800)


def diamonds(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Shuffled rows of both cuts: the files are in the table's order."""
    generator = np.random.default_rng(seed)
    return tuple(generator.permutation(np.load(DIAMONDS / f"{cut}.npy")) for cut in ("very_good", "premium"))


def interval() -> dict[str, Any]:
    """The answer of the README's example on a line from 0, with the simpler figures below it."""
    x, y = (np.load(DIAMONDS / f"{cut}.npy") for cut in ("very_good", "premium"))
    result = estimate_w1(x, y, steps=300)
    lower, upper = result.lower_bound, result.upper_bound or 0.0
    figure, axes = plt.subplots(figsize=(7.4, 1.9))
    axes.plot((lower, upper), (0, 0), color=BOUND, lw=9, alpha=0.35, solid_capstyle="butt")
    axes.plot((lower, upper), (0, 0), "|", color=BOUND, ms=20, mew=2.5)
    axes.plot(result.value, 0, "s", color=VALUE, ms=8)
    for at, text, place in (
        (lower, f"at least {rounded_down(lower)}\n95 % confidence", "right"),
        (upper, f"at most {rounded_up(upper)}\n95 %, approximate", "left"),
    ):
        gap = -0.015 if place == "right" else 0.015
        axes.text(at + gap, 0, text, color=BOUND, ha=place, va="center", fontsize=10)
    axes.text(result.value, 0.45, f"the critic shows {result.value:.3f}", color=VALUE, ha="center", fontsize=10)
    axes.text(0.012, -0.55, "0: no difference", color=FAINT, fontsize=9)
    axes.axvline(0, color=FAINT, lw=1)
    axes.set_ylim(-0.8, 1)
    axes.set_xlim(-0.01, 1.12)
    axes.set_yticks([])
    axes.set_xlabel("distance between the two populations, in standard deviations of a column")
    axes.spines[["top", "right", "left"]].set_visible(False)
    save(figure, "interval")
    return {"lower_bound": lower, "value": result.value, "upper_bound": upper}


def bias(repetitions: int = 6) -> dict[str, Any]:
    """Distances against the number of rows a side: one population with itself, and two populations."""
    x, y = diamonds()
    found: dict[str, Any] = {"rows": list(SIZES), "within": [], "between": [], "value": [], "lower_bound": []}
    for n in SIZES:
        found["within"].append(exact_w1(y[:n], y[n : 2 * n]))
        found["between"].append(exact_w1(x[:n], y[:n]))
        pairs = [diamonds(seed) for seed in range(repetitions)]
        results = [estimate_w1(x[:n], y[:n], baseline_rows=0, seed=seed) for seed, (x, y) in enumerate(pairs)]
        found["value"].append(float(np.mean([r.value for r in results])))
        found["lower_bound"].append(float(np.mean([r.lower_bound for r in results])))
    figure, axes = plt.subplots(figsize=(7.4, 4.2))
    n = found["rows"]
    axes.plot(n, found["between"], "o-", color=EMPIRICAL, label="exact optimal transport, very good / premium")
    axes.plot(
        n, found["within"], "o--", color=EMPIRICAL, label="exact optimal transport, premium / premium: the truth is 0"
    )
    axes.plot(n, found["value"], "s-", color=VALUE, label="wdist value, very good / premium (mean of 6)")
    axes.plot(
        n, found["lower_bound"], "^-", color=BOUND, label="wdist lower_bound (95 %), very good / premium (mean of 6)"
    )
    axes.set_xscale("log")
    axes.set_xticks(n, [f"{size:,}" for size in n])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    label(axes, "rows of each set", "distance (standard deviations of a column)")
    save(figure, "bias")
    return found


def coverage(repetitions: int = 40) -> dict[str, Any]:
    """Value and bound of many independent draws from a pair whose distance is known."""
    pair = Funnels(dim=8, funnels=4, seed=0).truth()
    found: dict[str, Any] = {"truth": pair.w1, "value": [], "lower_bound": []}
    for seed in range(repetitions):
        x, y, truth = pair.pair(2000, seed)
        result = estimate_w1(x, y, baseline_rows=0, seed=seed)
        found["value"].append(result.value)
        found["lower_bound"].append(result.lower_bound)
    figure, axes = plt.subplots(figsize=(7.4, 3.6))
    order = np.arange(1, repetitions + 1)
    axes.axhline(truth, color=INK, lw=1.5, label=f"true distance, {truth:.3f}")
    axes.plot(order, found["value"], "s", ms=4.5, color=VALUE, label="value")
    axes.plot(order, found["lower_bound"], "^", ms=5, color=BOUND, label="lower_bound (95 %)")
    axes.vlines(order, found["lower_bound"], found["value"], color=FAINT, lw=0.8)
    axes.set_ylim(0, 1.15 * truth)
    label(axes, "independent repetition, 2,000 rows of each set", "distance")
    save(figure, "coverage")
    return found


def witness() -> dict[str, Any]:
    """Scores of both sets under the critic: the two histograms whose means the value compares."""
    x, y = diamonds()
    result = estimate_w1(x, y, baseline_rows=0)
    fx, fy = (result.critic.evaluate(rows) / result.lipschitz_bound for rows in (x, y))
    fx, fy = fx - fx.mean(), fy - fx.mean()
    figure, axes = plt.subplots(figsize=(7.4, 3.4))
    edges = np.linspace(*np.quantile(np.concatenate([fx, fy]), [0.001, 0.999]), 90)
    for scores, colour, name in ((fx, EMPIRICAL, "very good (source)"), (fy, BOUND, "premium (target)")):
        axes.hist(scores, edges, density=True, histtype="stepfilled", alpha=0.35, color=colour, label=name)
        axes.axvline(scores.mean(), color=colour, lw=2)
    axes.set_yticks([])
    label(axes, "critic's score f(x), in the units of the distance", "")
    save(figure, "witness")
    return {"value": result.value, "mean_source": float(fx.mean()), "mean_target": float(fy.mean())}


def calibration() -> dict[str, Any]:
    """How often p-values were small where the populations are equal, and how often lower bounds were wrong.

    Draws what `python -m benchmarks.calibration --out docs/benchmarks/calibration.json` found.
    """
    found = json.loads((HERE.parent / "benchmarks" / "calibration.json").read_text())
    honest = [cell for cell in found if cell["topic"] != "Mistakes made on purpose"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), gridspec_kw={"wspace": 0.85, "width_ratios": (3, 4)})
    levels = (1, 5, 10)
    left.plot((0, 10), (0, 10), color=FAINT, lw=1)
    for k, cell in enumerate(cell for cell in honest if "p <= 0.05" in cell["wrong"]):
        shares = [100 * cell["wrong"][f"p <= {level / 100:g}"] / cell["runs"] for level in levels]
        colour = VALUE if cell["topic"] == "p-values of rows" else BOUND
        left.plot(np.array(levels) + 0.08 * (k % 7 - 3), shares, "o", ms=3.5, color=colour, alpha=0.8)
    for colour, name in ((VALUE, "rows"), (BOUND, "groups, and whole estimates")):
        left.plot([], [], "o", color=colour, label=name)
    left.set_xticks(levels, [f"{level} %" for level in levels])
    label(left, "level", "share of p-values up to it, %")
    pairs = [cell for cell in honest if cell["topic"].startswith("Heavy tails")][::-1]
    place = np.arange(len(pairs))
    for i, (method, colour, name) in enumerate(
        (("Welch", EMPIRICAL, "Welch"), ("target_stakes", VALUE, "target stakes"), ("betting", BOUND, "betting"))
    ):
        rates = [100 * cell["wrong"][method] / cell["runs"] for cell in pairs]
        right.barh(place + 0.28 * (i - 1), rates, 0.26, color=colour, label=name)
    right.axvline(5, color=INK, lw=1)
    right.set_xlim(0, 12)
    right.set_yticks(place, [cell["data"] for cell in pairs], fontsize=7)
    label(right, "lower bound above W1, % of runs", "")
    save(figure, "calibration")
    return {cell["data"]: cell["wrong"] for cell in pairs}


def certified_accuracy() -> dict[str, Any]:
    """Certified accuracy on validation images as the CIFAR-10 classifier is trained.

    Draws what `wdist reproduce robustness cifar10` wrote into docs/paper/results.
    """
    found = json.loads((HERE.parent / "paper/results/cifar10-small-bcop-maxmin-0.json").read_text())
    curve = found["validation"]["curve"]
    epochs = [found["epochs"] * point["step"] / found["training"]["steps"] for point in curve]
    figure, axes = plt.subplots(figsize=(7.4, 3.4))
    axes.plot(epochs, [100 * point["value"] for point in curve], "s-", ms=4, color=VALUE, label="BCOP, Small net")
    axes.axhline(50.01, color=INK, lw=1, ls=":", label="published, 200 passes, test images: 50.01")
    label(axes, "passes over the training images", "certified, % of 5,000 validation images")
    save(figure, "certified-accuracy")
    return {"last": curve[-1]}


def label(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.legend(frameon=False, labelcolor=INK, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
    axes.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, name: str) -> None:
    """Write an SVG whose colours follow the reader's light or dark page."""
    path = HERE / f"{name}.svg"
    figure.savefig(path, bbox_inches="tight", facecolor=GROUND, metadata={"Date": None})
    plt.close(figure)
    text = path.read_text()
    light = " ".join(f"--{role}: {colour};" for colour, (role, _) in COLOURS.items())
    dark = " ".join(f"--{role}: {colour};" for role, colour in COLOURS.values())
    for colour, (role, _) in COLOURS.items():
        text = text.replace(colour, f"var(--{role})")
    style = f"<style>:root {{ {light} }} @media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}</style>"
    start = text.index(">", text.index("<svg")) + 1
    path.write_text("\n".join(line.rstrip() for line in (text[:start] + style + text[start:]).splitlines()) + "\n")


def main() -> None:
    mpl.rcParams.update(
        dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK)
        | {"axes.facecolor": GROUND, "svg.fonttype": "none", "svg.hashsalt": "wdist", "font.family": "sans-serif"}
    )
    pictures = {
        "interval": interval,
        "bias": bias,
        "coverage": coverage,
        "witness": witness,
        "calibration": calibration,
        "certified-accuracy": certified_accuracy,
    }
    chosen = sys.argv[1:] or list(pictures)
    for picture in chosen:
        figures = pictures[picture]()
        print(json.dumps({picture: figures}))  # noqa: T201


if __name__ == "__main__":
    main()
