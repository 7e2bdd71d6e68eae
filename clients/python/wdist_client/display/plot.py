"""Results and monitors drawn with matplotlib."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wdist_client.display.monitor import alarm_line
from wdist_client.display.text import names_text, percent, range_of
from wdist_client.errors import WdistError, pip_install

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wdist_client.contract import CurvePoint
    from wdist_client.models import MonitorState, Result, Update


_UNITS_WIDTH = 60  # characters of a line below the axis


def picture(width: float, height: float) -> Figure:
    """A figure of its own, not pyplot's. Raises WdistError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise WdistError(f"plot() needs matplotlib: {pip_install('matplotlib')}") from error

    class Picture(Figure):
        """Programs need no display, and a notebook shows it by this method."""

        def _repr_png_(self) -> bytes:
            file = io.BytesIO()
            self.savefig(file, format="png", dpi=100)
            return file.getvalue()

    return Picture(figsize=(width, height), layout="constrained")


def plot_result(
    result: Result, curve: Sequence[CurvePoint], ax: Axes | None = None, names: tuple[str, str] | None = None
) -> Figure:
    """The certified interval from 0 on a line, what it is compared with below it, and the training curve beside it.

    ax: takes the interval alone, in a figure of somebody else's.
    """
    names = names or result.names
    if ax is not None:
        _draw_interval(ax, result, names)
        figure: Figure = ax.figure.figure  # that of a subfigure is the whole
        return figure
    figure = picture(10 if curve else 7, 2.8)
    if curve:
        interval, progress = figure.subplots(1, 2, width_ratios=(3, 2))
        _draw_curve(progress, result, curve)
    else:
        interval = figure.subplots()
    _draw_interval(interval, result, names)
    return figure


def plot_monitor(record: MonitorState, history: Sequence[Update]) -> Figure:
    """Both ends of each update, its value as a dot, and the alarm line; updates of earlier epochs are pale."""
    figure = picture(9, 3.2)
    from matplotlib.ticker import MaxNLocator

    axes = figure.subplots()
    line = alarm_line(record)
    ends = [each for u in history for each in (u.value, u.series_lower_bound, u.series_upper_bound) if each is not None]
    top = 1.1 * max([1e-12, line, *ends])
    for each in history:
        upper = top if each.series_upper_bound is None else each.series_upper_bound
        opacity = 1.0 if each.epoch == record.epoch else 0.3
        color = "tab:red" if each.alarms else "tab:blue"
        axes.plot([each.number] * 2, [each.series_lower_bound, upper], color=color, linewidth=4, alpha=0.5 * opacity)
        axes.plot(each.number, max(each.value, 0.0), "o", color="black", markersize=4, alpha=opacity)
    axes.axhline(line, color="tab:red", linestyle="--", label=f"alarm above {line:.4g}")
    axes.set_ylim(0, top)
    axes.set_xlabel("update")
    axes.set_ylabel(record.units or "distance")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(f"{record.name}: distance from {record.reference or 'the reference'}", loc="left")
    axes.legend(loc="upper left")
    return figure


def _draw_interval(axes: Any, result: Result, names: tuple[str, str]) -> None:
    lines = [("value, held out", result.value)]
    if result.trivial.mean_difference is not None:
        lines.append(("mean difference", result.trivial.mean_difference))
    if result.empirical is not None and result.empirical.exact is not None:
        lines.append(("exact OT, all rows", result.empirical.exact))
    if result.null_baseline is not None:
        lines.append((f"OT, {result.null_baseline.rows:,} rows of each set", result.null_baseline.between))
        lines.append((f"OT, {result.null_baseline.rows:,} rows of one set", result.null_baseline.within))
    furthest = 1.1 * max([result.lower_bound, result.upper_bound or 0.0, *(value for _, value in lines), 1e-9])
    end = furthest if result.upper_bound is None else result.upper_bound
    is_withdrawn = result.is_withdrawn("lower_bound")
    color = "gray" if is_withdrawn else "tab:blue"
    axes.barh(0, end - result.lower_bound, left=result.lower_bound, color=color, alpha=0.35)
    axes.plot([result.lower_bound] * 2, [-0.4, 0.4], color=color, linewidth=3)
    for row, (_, value) in enumerate(lines, start=1):
        axes.plot(max(value, 0.0), row, "o", color="black" if row == 1 else "gray")
    about = "about " if result.split == "blocks" else ""
    rows = [f"W1, {about}{percent(result.confidence)}", *(name for name, _ in lines)]
    axes.set_yticks(range(len(rows)), rows)
    axes.invert_yaxis()
    axes.set_xlim(0, furthest)
    axes.set_xlabel(textwrap.fill(result.units or "", _UNITS_WIDTH), fontsize="small")
    axes.set_title("\n".join(filter(None, [names_text(names), range_of(result)])), loc="left")


def _draw_curve(axes: Any, result: Result, curve: Sequence[CurvePoint]) -> None:
    axes.plot([point.step for point in curve], [point.value for point in curve], color="black")
    if not result.is_withdrawn("lower_bound"):
        axes.axhline(result.lower_bound, color="tab:blue", linewidth=3)
    if result.trivial.mean_difference is not None:
        axes.axhline(result.trivial.mean_difference, color="gray", linestyle="dotted")
    axes.set_xlabel("step")
    axes.set_title("while training, on select rows", loc="left", fontsize="medium")
