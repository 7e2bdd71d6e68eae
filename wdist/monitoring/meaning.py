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
    alone, series = percent(state.options.confidence), percent(1 - state.options.alpha / 2)
    if figures.series_lower_bound > 0:
        return (
            f"The batch has moved away from the reference: their distance is at least {figures.series_lower_bound:.4g}"
            f"{_at_most(figures.series_upper_bound, ' and')} ({series}, together with all other bounds of the series); "
            f"held-out rows show {figures.value:.4g}.{_within(figures, state)}"
        )
    if figures.lower_bound > 0:
        return (
            f"By itself, the batch is at least {figures.lower_bound:.4g} away from the reference ({alone}), but among "
            "all batches of the series this may be chance: the bound of the series is 0."
            f"{_at_most(figures.upper_bound)}"
        )
    return (
        f"No drift is shown: held-out rows show {figures.value:.4g}, which may be chance. This does not show that "
        f"there is none.{_at_most(figures.upper_bound)}"
    )


def _at_most(upper: float | None, joined: str = "") -> str:
    if upper is None:
        return ""
    return (
        f"{joined} at most {upper:.4g} (approximate)"
        if joined
        else f" The distance is at most {upper:.4g} (approximate)."
    )


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
