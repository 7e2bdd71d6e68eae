"""Pictures of a witness with matplotlib: the scores, and the columns."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

from wdist.definitions.figures import short
from wdist.definitions.installing import pip_install
from wdist.definitions.results.numbers import rounded_down
from wdist.errors import WdistError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wdist.definitions.results.witness import ColumnHistogram
    from wdist.witness.columns import Column
    from wdist.witness.scores import Witness

_ALPHA = 0.4
_COLUMNS = 6  # histograms in one picture
_HEADROOM = 1.45  # the legend stands above the bars


def draw_witness(witness: Witness, names: tuple[str, str]) -> Figure:
    """Plot histograms of the columns that carry most, or of the scores. See `Witness.plot`."""
    columns = [(column, column.histogram) for column in witness.columns if column.histogram is not None][:_COLUMNS]
    if not columns:
        figure = picture((5, 3.2))
        draw_scores(figure.subplots(), witness, names)
        return figure
    wide = min(3, len(columns))
    high = math.ceil(len(columns) / wide)
    figure = picture((4 * wide, 2.4 * high + 0.3))
    grid = figure.subplots(high, wide, squeeze=False).flat
    for axes, (column, histogram) in zip(grid, columns, strict=False):
        _column(axes, column, histogram)
    for axes in list(grid)[len(columns) :]:
        axes.set_axis_off()
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, alpha=_ALPHA, label=shortened(name)) for name, colour in coloured(names)]
    figure.legend(handles=handles, loc="outside upper right", ncols=2, frameon=False)
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


def draw_scores(axes: Any, witness: Witness, names: tuple[str, str]) -> None:
    """Histograms of both sets' scores, not clipped, with their means: these are `unclipped` apart."""
    shares = witness.histogram()
    for side, (name, colour) in zip(("source", "target"), coloured(names), strict=True):
        mean = None if witness.means is None else witness.means[side]  # type: ignore[literal-required]
        label = shortened(name) if mean is None else f"{shortened(name)}, mean {short(mean)}"
        axes.stairs(shares[side], shares["edges"], fill=True, alpha=_ALPHA, color=colour, label=label)
        if mean is not None:
            axes.axvline(mean, ymax=1 / _HEADROOM, color=colour, linestyle="dashed", linewidth=1.5)
    axes.set_xlabel("score of the critic")
    axes.set_yticks([])
    axes.set_ylim(0, _HEADROOM * max(*shares["source"], *shares["target"]))
    axes.legend(frameon=False, loc="upper left")
    axes.set_title("scores of held-out rows", loc="left", fontsize="medium")


def _column(axes: Any, column: Column, histogram: ColumnHistogram) -> None:
    """Both sets' values in one column: bars for bins, or for levels beside each other."""
    missing = histogram.get("missing")
    if missing is not None and not any(missing.values()):
        missing = None
    if "levels" in histogram:
        labels = [*histogram["levels"], *(["missing"] if missing else [])]
        for side, (_, colour), shift in zip(("source", "target"), coloured(("", "")), (-0.2, 0.2), strict=True):
            shares = [*histogram[side], *([missing[side]] if missing else [])]  # type: ignore[literal-required]
            axes.barh([row + shift for row in range(len(labels))], shares, 0.4, color=colour, alpha=_ALPHA)
        axes.set_yticks(range(len(labels)), [shortened(label, 14) for label in labels], fontsize="small")
        axes.invert_yaxis()
    else:
        edges: Any = histogram["edges"]
        is_time = isinstance(edges[0], str)
        places = list(range(len(edges))) if is_time else edges
        for side, (_, colour) in zip(("source", "target"), coloured(("", "")), strict=True):
            axes.stairs(histogram[side], places, fill=True, alpha=_ALPHA, color=colour)  # type: ignore[literal-required]
        if is_time:
            axes.set_xticks([0, len(edges) - 1], [edges[0], edges[-1]], fontsize="small")
            for tick, side_of in zip(axes.get_xticklabels(), ("left", "right"), strict=True):
                tick.set_horizontalalignment(side_of)
        axes.set_yticks([])
        if missing:
            said = " and ".join(f"{share:.1%}" for share in missing.values())
            axes.set_xlabel(f"missing: {said}", fontsize="small")
    told = [f"carries {column.attribution:.0%}"] if column.attribution else []
    told += [f"at least {rounded_down(column.lower_bound)} apart"] if column.lower_bound else []
    title = shortened(column.name) + (f": {', '.join(told)}" if told else "")
    axes.set_title(title, loc="left", fontsize="medium")


def coloured(names: tuple[str, str]) -> tuple[tuple[str, str], tuple[str, str]]:
    """What the two sets are called, and their colours."""
    return (names[0], "tab:orange"), (names[1], "tab:blue")


def shortened(name: str, most: int = 24) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
