"""Plots with matplotlib."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, cast

from wdist.definitions.results.numbers import range_of
from wdist.errors import WdistError
from wdist.export.pictures import compared_points
from wdist.witness.plot import draw_scores, picture, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wdist.result import Result
    from wdist.witness import Witness

_UNITS_WIDTH = 60  # characters of a line below the axes


def draw_result(result: Result, ax: Axes | None, names: tuple[str, str]) -> Figure:
    """Plot the bound beside simpler estimates, the training curve, and both sets' scores. See `Result.plot`."""
    if ax is not None:
        _interval(ax, result, names)
        return cast("Figure", ax.get_figure(root=True))
    witness = kept_witness(result)
    has_curve = len(result.curve) > 1  # critics in closed form have none
    count = 1 + has_curve + (witness is not None)
    figure = picture((4 * count, 3.2))
    interval, *others = figure.subplots(1, count, width_ratios=(4, 3, 3)[:count], squeeze=False).flat
    _interval(interval, result, names)
    if has_curve:
        _curve(others[0], result)
    if witness is not None:
        draw_scores(others[-1], witness, names)
    return figure


def _interval(axes: Any, result: Result, names: tuple[str, str]) -> None:
    points = compared_points(result)
    furthest = 1.1 * max([result.lower_bound, result.upper_bound or 0.0, *(value for _, value in points), 1e-9])
    end = furthest if result.upper_bound is None else result.upper_bound
    axes.barh(0, end - result.lower_bound, left=result.lower_bound, color="tab:blue", alpha=0.35)
    axes.plot([result.lower_bound] * 2, [-0.4, 0.4], color="tab:blue", linewidth=3)
    for row, (_, value) in enumerate(points, start=1):
        axes.plot(max(value, 0.0), row, "o", color="black" if row == 1 else "gray")
    about = "about " if result.split == "blocks" else ""
    labels = [f"W1, {about}{100 * result.confidence:g} %", *(name for name, _ in points)]
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xlim(0, furthest)
    axes.set_xlabel(textwrap.fill(result.units, _UNITS_WIDTH), fontsize="small")
    title = range_of(result.lower_bound, result.upper_bound)
    if names != ("source", "target"):
        title = f"{shortened(names[0])} and {shortened(names[1])}\n{title}"
    axes.set_title(title, loc="left")


def _curve(axes: Any, result: Result) -> None:
    axes.plot([point["step"] for point in result.curve], [point["value"] for point in result.curve], color="black")
    axes.axhline(result.lower_bound, color="tab:blue", linewidth=3)
    if (mean_difference := result.trivial.get("mean_difference")) is not None:
        axes.axhline(mean_difference, color="gray", linestyle="dotted")
    axes.set_xlabel("step")
    axes.set_title("while training, on select rows", loc="left", fontsize="medium")


def kept_witness(result: Result) -> Witness | None:
    """The witness, unless a saved result did not keep it."""
    try:
        return result.witness
    except WdistError:
        return None
