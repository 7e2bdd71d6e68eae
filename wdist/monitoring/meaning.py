"""An update in plain words."""

from __future__ import annotations

from wdist.definitions.figures import percent
from wdist.definitions.monitoring import UpdateFigures
from wdist.monitoring.state import MonitorState


def meaning_of(figures: UpdateFigures, state: MonitorState) -> str:
    """What a batch says, in a sentence or two."""
    said = _of_the_distance(figures, state)
    if figures.evidence >= figures.evidence_limit:
        said += f" The evidence of the series has reached its limit: some batch of this epoch {_differs(state)}."
    return f"{said} Unit: {state.reference.units}."


def _of_the_distance(figures: UpdateFigures, state: MonitorState) -> str:
    alone = percent(state.options.confidence)
    if figures.series_lower_bound > 0:
        upper = figures.series_upper_bound
        at_most = "" if upper is None else f" and at most {upper:.4g} (approximate)"
        return (
            f"The batch has moved away from the reference: their distance is at least {figures.series_lower_bound:.4g}"
            f"{at_most} ({_together(state)}); "
            f"held-out rows show {figures.value:.4g}.{_within(figures, state)}"
        )
    if figures.lower_bound > 0:
        return (
            f"By itself, the batch is at least {figures.lower_bound:.4g} away from the reference ({alone}), but among "
            "all batches of the series this may be chance: the bound of the series is 0."
            f"{_at_most(figures, state)}"
        )
    return (
        f"This batch alone shows no drift: its held-out rows show {figures.value:.4g}, which may be chance. This does "
        f"not show that there is none.{_at_most(figures, state)}"
    )


def _at_most(figures: UpdateFigures, state: MonitorState) -> str:
    upper = figures.series_upper_bound
    return "" if upper is None else f" The distance is at most {upper:.4g} (approximate; {_together(state)})."


def _together(state: MonitorState) -> str:
    return f"{percent(1 - state.options.alpha / 2)}, together with all other bounds of the series"


def _within(figures: UpdateFigures, state: MonitorState) -> str:
    tolerance = state.options.tolerance
    if figures.series_lower_bound > tolerance:
        return ""
    return f" That it is more than the tolerance, {tolerance:.4g}, is not shown."


def _differs(state: MonitorState) -> str:
    tolerance = state.options.tolerance
    if not tolerance:
        return "differs from the reference"
    return f"is further from the reference than the tolerance, {tolerance:.4g}"
