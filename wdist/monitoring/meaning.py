"""An update in plain words."""

from __future__ import annotations

from wdist.definitions.figures import percent
from wdist.definitions.monitoring import UpdateFigures
from wdist.definitions.results.numbers import rounded_down, rounded_up, three_digits
from wdist.definitions.results.verdict import p_in_words
from wdist.monitoring.state import MonitorState


def meaning_of(figures: UpdateFigures, state: MonitorState) -> str:
    """What a batch says, in a sentence or two."""
    said = _of_the_distance(figures, state)
    if figures.evidence >= figures.evidence_limit:
        said += f" The evidence of the series has reached its limit: some batch of this epoch {_differs(state)}."
    return f"{said} Unit: {state.reference.units}."


def _of_the_distance(figures: UpdateFigures, state: MonitorState) -> str:
    if figures.series_lower_bound > 0:
        upper = figures.series_upper_bound
        least = rounded_down(figures.series_lower_bound)
        ends = f"at least {least}" if upper is None else f"between {least} and {rounded_up(upper)}, approximate"
        return (
            f"The batch has moved away from the reference. The distance is {ends} ({_together(state)}); "
            f"{_shown(figures)}.{_within(figures, state)}"
        )
    if (apart := _alone(figures, state)) is not None:
        return (
            "Undecided: among all batches of the series, this may be chance, and the bound of the series "
            f"is 0. By itself, the batch {apart}.{_at_most(figures, state)}"
        )
    shown = _shown(figures)
    return f"No evidence of drift in this batch alone. {shown[0].upper()}{shown[1:]}.{_at_most(figures, state)}"


def _alone(figures: UpdateFigures, state: MonitorState) -> str | None:
    """What the batch shows where no other is looked at, as an estimate would say it; None where that is nothing."""
    confidence = state.options.confidence
    if figures.lower_bound > 0:
        return f"is at least {rounded_down(figures.lower_bound)} away from the reference ({percent(confidence)})"
    if figures.p_value is not None and figures.p_value <= 1 - confidence:
        return f"differs from the reference ({p_in_words(figures.p_value, 1 - confidence)})"
    return None


def _at_most(figures: UpdateFigures, state: MonitorState) -> str:
    upper = figures.series_upper_bound
    return "" if upper is None else f" The distance is at most {rounded_up(upper)} (approximate; {_together(state)})."


def _shown(figures: UpdateFigures) -> str:
    return f"the critic shows {three_digits(figures.value)}" if figures.value > 0 else "the critic shows none"


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
