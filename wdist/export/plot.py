"""Plots with matplotlib."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from wdist.definitions.installing import pip_install
from wdist.definitions.results.numbers import range_of
from wdist.errors import WdistError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wdist.result import Result


def draw_result(result: Result) -> Figure:
    """Plot the bound beside simpler estimates, the training curve, and both sets' scores. See `Result.plot`."""
    figure = picture((12, 3.2))
    interval, curve, histogram = figure.subplots(1, 3, width_ratios=(4, 3, 3))
    _interval(interval, result)
    _curve(curve, result)
    _histogram(histogram, result)
    return figure


def picture(size: tuple[float, float]) -> Figure:
    """An empty figure of this size in inches. Raises WdistError if matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise WdistError(f"plot() needs matplotlib: {pip_install('matplotlib')}") from error

    class Picture(Figure):
        """A figure without pyplot: scripts need no display, and notebooks show it through `_repr_png_`."""

        def _repr_png_(self) -> bytes:
            file = io.BytesIO()
            self.savefig(file, format="png", dpi=100)
            return file.getvalue()

    return Picture(figsize=size, layout="constrained")


def _interval(axes: Any, result: Result) -> None:
    points = [("value, held out", result.value)]
    if (mean_difference := result.trivial.get("mean_difference")) is not None:
        points.append(("mean difference", mean_difference))
    if result.null_baseline is not None:
        rows = int(result.null_baseline["rows"])
        points.append((f"exact OT, {rows:,} rows", result.null_baseline["between"]))
        points.append(("the same, no difference", result.null_baseline["within"]))
    furthest = 1.1 * max([result.lower_bound, result.upper_bound or 0.0, *(value for _, value in points), 1e-9])
    end = furthest if result.upper_bound is None else result.upper_bound
    axes.barh(0, end - result.lower_bound, left=result.lower_bound, color="tab:blue", alpha=0.35)
    axes.plot([result.lower_bound] * 2, [-0.4, 0.4], color="tab:blue", linewidth=3)
    for row, (_, value) in enumerate(points, start=1):
        axes.plot(max(value, 0.0), row, "o", color="black" if row == 1 else "gray")
    about = "about " if result.split == "blocks" else ""
    names = [f"W1, {about}{100 * result.confidence:g} %", *(name for name, _ in points)]
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, furthest)
    axes.set_xlabel(result.units)
    axes.set_title(range_of(result.lower_bound, result.upper_bound), loc="left")


def _curve(axes: Any, result: Result) -> None:
    axes.plot([point["step"] for point in result.curve], [point["value"] for point in result.curve], color="black")
    axes.axhline(result.lower_bound, color="tab:blue", linewidth=3)
    if (mean_difference := result.trivial.get("mean_difference")) is not None:
        axes.axhline(mean_difference, color="gray", linestyle="dotted")
    axes.set_xlabel("step")
    axes.set_title("while training (select rows, not certified)", loc="left", fontsize="medium")


def _histogram(axes: Any, result: Result) -> None:
    shares = result.witness.histogram()
    sides = ("source", "tab:orange"), ("target", "tab:blue")
    for name, (side, colour) in zip(result.names, sides, strict=True):
        axes.stairs(shares[side], shares["edges"], fill=True, alpha=0.4, color=colour, label=name)
    axes.set_xlabel("f / L")
    axes.set_yticks([])
    axes.legend(frameon=False)
    axes.set_title("scores of held-out rows", loc="left", fontsize="medium")
