"""A monitor and its updates as text and as HTML."""

from __future__ import annotations

import html
import re
import shlex
from collections.abc import Sequence

from wdist.data.sources.advice import in_flags
from wdist.definitions.figures import percent
from wdist.definitions.monitoring import Alarm, Change, MonitorFigures, UpdateFigures, When
from wdist.definitions.results.numbers import rounded_down, rounded_up
from wdist.definitions.updates import alarm_name, evidence_share

SHOWN = 10  # updates in the table of a monitor
COLUMNS = 5  # columns named with an update

NEW_EPOCH = "begin a new epoch"
NEW_MONITOR = "make the monitor again"
STAYS_ON = (
    "some batch of this epoch differs, and the alarm stays on until rows of today that were in no batch are the "
    "reference"
)
_HOW = "monitor.new_epoch(reference)"

_HEAD = ("update", "at", "value", "at least", "at most", "evidence", "alarms")
_TEXTS = ("at", "alarms")  # the others are numbers


def in_python(message: str) -> str:
    """A message with the call of Python that begins an epoch."""
    return re.sub(rf"{NEW_EPOCH}(?! with)", f"{NEW_EPOCH} with {_HOW}", message)


def in_commands(message: str, folder: str) -> str:
    """The same with the commands of a monitor in a folder."""
    at = shlex.quote(folder)
    said = in_flags(in_python(message)).replace(_HOW, f"`wdist monitor epoch {at} REFERENCE`")
    return said.replace(NEW_MONITOR, f"remove {at} and create the monitor again")


def update_text(update: UpdateFigures) -> str:
    """An update for a terminal."""
    lines = [update.meaning, ""]
    width = max(len(name) for name, _, _ in _figures(update))
    lines += [f"  {name:<{width}}  {figure:>10}   {about}" for name, figure, about in _figures(update)]
    lines += _columns(update)
    trained = f"{update.steps} steps" if update.steps else "closed form"
    lines.append(f"  critic {update.critic}, {trained}, {update.seconds:.1f} s")
    lines += [f"  warning: {in_python(warning)}" for warning in update.warnings]
    lines += [f"  ALARM: {alarm_text(alarm)}" for alarm in update.alarms] or ["  no alarm is on"]
    return "\n".join(lines)


def monitor_text(figures: MonitorFigures, history: Sequence[UpdateFigures]) -> str:
    """A monitor and its last updates for a terminal."""
    lines = [*_about(figures), ""]
    if not history:
        return "\n".join([*lines, "no update yet"])
    rows = _table(figures, history)
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    for row in rows:
        cells = [
            f"{text:<{width}}" if name in _TEXTS else f"{text:>{width}}"
            for name, text, width in zip(rows[0], row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    if len(history) > SHOWN:
        lines.append(f"({_counted(len(history) - SHOWN, 'earlier update')} not shown)")
    return "\n".join([*lines, "", *_standing(figures)])


def update_html(update: UpdateFigures) -> str:
    """An update for a notebook."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th><td>{html.escape(figure)}</td>"
        f"<td style='text-align:left'>{html.escape(about)}</td></tr>"
        for name, figure, about in _figures(update)
    )
    notes = [f"Alarm: {alarm_text(alarm)}" for alarm in update.alarms]
    notes += [f"Warning: {in_python(warning)}" for warning in update.warnings]
    said = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    return f"<p>{html.escape(update.meaning)}</p><table>{rows}</table>{said}"


def monitor_html(figures: MonitorFigures, history: Sequence[UpdateFigures]) -> str:
    """A monitor and its last updates for a notebook."""
    about = "".join(f"<p>{html.escape(line)}</p>" for line in [*_about(figures), *_standing(figures)])
    names, *updates = _table(figures, history)
    head = "".join(f"<th>{name}</th>" for name in names)
    rows = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in updates)
    return f"{about}<table><tr>{head}</tr>{rows}</table>" if history else f"{about}<p>no update yet</p>"


def alarm_text(alarm: Alarm) -> str:
    """An alarm that is on, in words."""
    since = f"since update {alarm.since}" + ("" if alarm.since_at is None else f" (at {when(alarm.since_at)})")
    if alarm.bound is None or alarm.threshold is None:
        return f"the evidence of the series has reached its limit, {since}: {STAYS_ON}; then {in_python(NEW_EPOCH)}"
    what = "the distance" if alarm.column is None else f"the distance of column {alarm.column}"
    return f"{what} is at least {rounded_down(alarm.bound)}, above {alarm.threshold:g}, {since}"


def when(at: When | None) -> str:
    """The time of a batch as it was given."""
    if at is None:
        return ""
    return at if isinstance(at, str) else f"{at:.15g}"


def _about(figures: MonitorFigures) -> list[str]:
    first = f"{figures.name}: {_counted(figures.updates, 'update')}, epoch {figures.epoch}"
    distance = figures.tolerance if figures.thresholds.distance is None else figures.thresholds.distance
    limits = [
        f"distance above {distance:g}",
        *(f"column {name} above {at:g}" for name, at in figures.thresholds.columns.items()),
    ]
    return [
        first,
        f"reference {figures.reference}, {_counted(figures.reference_rows, 'row')}; unit: {figures.units}",
        f"with {percent(figures.confidence)} confidence, no alarm is ever false; tolerance {figures.tolerance:g}; "
        f"alarms: {', '.join(limits)}, evidence",
    ]


def _standing(figures: MonitorFigures) -> list[str]:
    return [f"ALARM: {alarm_text(alarm)}" for alarm in figures.alarms] or ["no alarm is on"]


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _table(figures: MonitorFigures, history: Sequence[UpdateFigures]) -> list[tuple[str, ...]]:
    """The last updates below the names of their figures; with the epoch of each once there is a second one."""
    rows = [_HEAD, *(_row(update) for update in history[-SHOWN:])]
    if figures.epoch == 1:
        return rows
    epochs = ["epoch", *(f"{update.epoch}" for update in history[-SHOWN:])]
    return [(number, epoch, *rest) for epoch, (number, *rest) in zip(epochs, rows, strict=True)]


def _row(update: UpdateFigures) -> tuple[str, ...]:
    alarms = ", ".join(alarm_name(alarm) for alarm in update.alarms)
    named = when(update.at) or update.name or ""
    return (
        f"{update.number}",
        named,
        f"{update.value:.4g}",
        rounded_down(update.series_lower_bound),
        "-" if update.series_upper_bound is None else rounded_up(update.series_upper_bound),
        evidence_share(update),
        alarms,
    )


def _figures(update: UpdateFigures) -> list[tuple[str, str, str]]:
    """(name, figure, what it says) of each line of an update."""
    lines = [
        ("at least", update.series_lower_bound, rounded_down, "the distance, together with all bounds of the series"),
        ("at most", update.series_upper_bound, rounded_up, "the same"),
        ("alone, at least", update.lower_bound, rounded_down, "this batch by itself"),
        ("alone, at most", update.upper_bound, rounded_up, "the same"),
        ("value", update.value, "{:.4g}".format, "what the critic shows on held-out rows: low on average"),
    ]
    shown = [(name, written(figure), about) for name, figure, written, about in lines if figure is not None]
    if update.p_value is not None:
        shown.append(("p-value", f"{update.p_value:.2g}", "how often equal populations would show this much"))
    shown.append(("evidence", evidence_share(update), _of_its_limit(update)))
    if update.change is not None:
        about = f"of this critic's mean score since the batch before; {_apart(update.change)}"
        shown.append(("change", f"{update.change.value:+.4g}", about))
    return shown


def _apart(change: Change) -> str:
    return f"the two batches are at least {rounded_down(change.lower_bound)} apart"


def _of_its_limit(update: UpdateFigures) -> str:
    is_reached = update.evidence >= update.evidence_limit
    gathered = "what an alarm takes, gathered over all updates of this epoch"
    return gathered if is_reached else f"of {gathered}; a sudden change shows in the bounds first"


def _columns(update: UpdateFigures) -> list[str]:
    named = update.columns[:COLUMNS]
    if not named:
        return []
    width = max(len(column.name) for column in named)
    return [
        "  columns that differ most, each by itself:",
        *(
            f"    {each.name:<{width}}  {max(0.0, each.value):.4g}, at least {rounded_down(each.lower_bound)}"
            for each in named
        ),
    ]
