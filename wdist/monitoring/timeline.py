"""The timeline of a monitor with matplotlib."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wdist.definitions.monitoring import MonitorFigures, UpdateFigures
from wdist.monitoring.words import when
from wdist.witness.plot import picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LINE = 32  # characters, in the height of the upper panel
_SHOWN_EVIDENCE = 1e-3, 10.0


def draw_timeline(figures: MonitorFigures, history: Sequence[UpdateFigures]) -> Figure:
    """Plot the distance and the evidence of each update. See `Monitor.plot`."""
    figure = picture((10, 4.6))
    distance, evidence = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    places = _places(history)
    for update, place in zip(history, places, strict=True):
        _interval(distance, update, place, is_past=update.epoch != figures.epoch)
    threshold = figures.tolerance if figures.thresholds.distance is None else figures.thresholds.distance
    distance.axhline(threshold, color="tab:red", linestyle="dashed", linewidth=1, label=f"alarm above {threshold:g}")
    distance.margins(y=0.05)
    distance.set_ylabel("\n".join(textwrap.wrap(figures.units, _LINE)))
    distance.set_title(f"{figures.name}: distance from {figures.reference}", loc="left")
    distance.legend(frameon=False)
    _evidence(evidence, history, places)
    evidence.set_xlabel("update" if _are_numbers(history) else "")
    return figure


def _interval(axes: Any, update: UpdateFigures, place: Any, *, is_past: bool) -> None:
    """Both ends as a bar, and the value as a dot; a bar without an upper end has no cap."""
    colour = "gray" if is_past else "tab:red" if update.alarms else "tab:blue"
    top = update.value if update.series_upper_bound is None else update.series_upper_bound
    axes.vlines(
        place, update.series_lower_bound, max(top, update.series_lower_bound), color=colour, linewidth=4, alpha=0.4
    )
    for end in (update.series_lower_bound, update.series_upper_bound):
        if end is not None:
            axes.plot(place, end, "_", color=colour, markersize=8)
    axes.plot(place, update.value, ".", color=colour)


def _evidence(axes: Any, history: Sequence[UpdateFigures], places: Sequence[Any]) -> None:
    """Its share of the limit; how far it is beyond the limit says nothing more."""
    low, high = _SHOWN_EVIDENCE
    heights = [min(max(update.evidence / update.evidence_limit, low), high) for update in history]
    for epoch in dict.fromkeys(update.epoch for update in history):
        own = [k for k, update in enumerate(history) if update.epoch == epoch]
        axes.plot([places[k] for k in own], [heights[k] for k in own], ".-", color="black", linewidth=1)
    axes.axhline(1, color="tab:red", linestyle="dashed", linewidth=1)
    axes.set_yscale("log")
    axes.set_ylim(low / 2, high * 2)
    axes.set_ylabel("evidence\n/ its limit")


def _are_numbers(history: Sequence[UpdateFigures]) -> bool:
    return not history or history[0].at is None


def _in_utc(moment: datetime) -> datetime:
    """Without its zone, of which two may have several, as before and after the end of summer time."""
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _places(history: Sequence[UpdateFigures]) -> list[Any]:
    """Where updates stand: at the times of their batches if all have some of one kind, else at their numbers."""
    if history and all(isinstance(update.at, str) for update in history):
        try:
            return [_in_utc(datetime.fromisoformat(when(update.at))) for update in history]
        except (ValueError, OverflowError):
            return [update.number for update in history]
    if history and all(isinstance(update.at, float | int) for update in history):
        return [update.at for update in history]
    return [update.number for update in history]
