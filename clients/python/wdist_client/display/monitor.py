"""Monitors and their updates for terminals and notebooks."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from wdist_client.advice import in_python
from wdist_client.display.numbers import rounded_down, rounded_up
from wdist_client.display.text import percent
from wdist_client.errors import in_words

if TYPE_CHECKING:
    from wdist_client.contract import Alarm
    from wdist_client.models import MonitorState, Update

COLUMNS_SHOWN = 5
UPDATES_SHOWN = 10  # in the table of a monitor
_HEAD = ("update", "at", "value", "at least", "at most", "evidence", "alarms")
_TEXTS = ("at", "alarms")  # the others are numbers


def when(at: float | str | None) -> str:
    """The time of a batch as it was given."""
    if at is None:
        return ""
    return at if isinstance(at, str) else f"{at:.15g}"


def interval(lower: float, upper: float | None) -> str:
    """Both ends of a distance, or the lower one."""
    least = rounded_down(lower)
    return f"at least {least}" if upper is None else f"{least} to {rounded_up(upper)}"


def titled(update: Update) -> str:
    """Number, time and name of an update."""
    parts = [f"update {update.number}"]
    if update.at is not None:
        parts.append(f"at {when(update.at)}")
    return " ".join(parts) + (f" ({update.name})" if update.name else "")


def alarm_text(alarm: Alarm) -> str:
    """An alarm that is on, in the library's words."""
    since = f"since update {alarm.since}" + ("" if alarm.since_at is None else f" (at {when(alarm.since_at)})")
    if alarm.bound is None or alarm.threshold is None:
        stays = "the alarm stays on until rows of today that were in no batch are the reference; then begin a new epoch"
        limit = f"the evidence of the series has reached its limit, {since}"
        return in_words.get()(in_python(f"{limit}: some batch of this epoch differs, and {stays}"))
    what = "the distance" if alarm.column is None else f"the distance of column {alarm.column}"
    return f"{what} is at least {rounded_down(alarm.bound)}, above {alarm.threshold:g}, {since}"


def figures(update: Update) -> Iterator[tuple[str, str, str]]:
    """(name, figure, meaning) of each line of the summary: those of the library's own summary."""
    lines = (
        ("at least", update.series_lower_bound, rounded_down, "the distance, together with all bounds of the series"),
        ("at most", update.series_upper_bound, rounded_up, "the same"),
        ("alone, at least", update.lower_bound, rounded_down, "this batch by itself"),
        ("alone, at most", update.upper_bound, rounded_up, "the same"),
        ("value", update.value, "{:.4g}".format, "what the critic shows on held-out rows: low on average"),
    )
    for name, figure, written, meaning in lines:
        if figure is not None:
            yield name, written(figure), meaning
    if update.p_value is not None:
        yield "p-value", f"{update.p_value:.2g}", "how often equal populations would show this much"
    gathered = "what an alarm takes, gathered over all updates of this epoch"
    is_reached = update.evidence >= update.evidence_limit
    about = gathered if is_reached else f"of {gathered}; a sudden change shows in the bounds first"
    yield "evidence", evidence_share(update), about
    if update.change is not None:
        apart = f"the two batches are at least {rounded_down(update.change.lower_bound)} apart"
        yield "change", f"{update.change.value:+.4g}", f"of this critic's mean score since the batch before; {apart}"


def evidence_share(update: Update) -> str:
    """The evidence as a share of its limit, in the library's words."""
    share = update.evidence / update.evidence_limit
    return "reached" if share >= 1 else f"{share:.1%}".replace("%", " %")


def columns(update: Update) -> list[str]:
    """The columns that differ most."""
    named = update.columns[:COLUMNS_SHOWN]
    if not named:
        return []
    width = max(len(each.name) for each in named)
    lines = (
        f"    {each.name:<{width}}  {max(0.0, each.value):.4g}, at least {rounded_down(each.lower_bound)}"
        for each in named
    )
    return ["  columns that differ most, each by itself:", *lines]


def update_text(update: Update) -> str:
    """An update for a terminal."""
    lines = list(figures(update))
    width = max(len(name) for name, _, _ in lines)
    trained = f"{update.steps} steps" if update.steps else "closed form"
    return "\n".join([
        update.meaning or titled(update),
        "",
        *(f"  {name:<{width}}  {figure:>10}   {meaning}" for name, figure, meaning in lines),
        *columns(update),
        f"  critic {update.critic}, {trained}, {update.seconds or 0:.1f} s",
        *(f"  warning: {in_words.get()(in_python(warning))}" for warning in update.warnings),
        *([f"  ALARM: {alarm_text(alarm)}" for alarm in update.alarms] or ["  no alarm is on"]),
    ])  # fmt: skip


def update_html(update: Update) -> str:
    """An update for a notebook."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th><td style='text-align:right'>{html.escape(figure)}"
        f"</td><td style='text-align:left'>{html.escape(meaning)}</td></tr>"
        for name, figure, meaning in figures(update)
    )
    alarms = "".join(f"<p><b>Alarm: {html.escape(alarm_text(alarm))}</b></p>" for alarm in update.alarms)
    notes = [*columns(update), *(f"Warning: {in_python(warning)}" for warning in update.warnings)]
    said = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    sentence = html.escape(update.meaning or titled(update))
    return f"<div><p><b>{sentence}</b></p>{alarms}<table>{rows}</table>{said}</div>"


def about(record: MonitorState) -> list[str]:
    """What a monitor compares with, and when an alarm is raised."""
    state = "" if record.status == "active" else f", {record.status}"
    rows = "" if record.reference_rows is None else f", {record.reference_rows:,} rows"
    units = "" if record.units is None else f"; unit: {record.units}"
    limits = [
        f"distance above {alarm_line(record):g}",
        *(f"column {name} above {limit:g}" for name, limit in record.thresholds.columns.items()),
    ]
    count = f"{record.updates:,} update" + ("" if record.updates == 1 else "s")
    return [
        f"{record.name}: {count}, epoch {record.epoch}{state}",
        f"reference {record.reference or record.reference_set}{rows}{units}",
        f"with {percent(record.confidence)} confidence, no alarm is ever false; tolerance {record.tolerance:g}; "
        f"alarms: {', '.join(limits)}, evidence",
    ]


def standing(record: MonitorState) -> list[str]:
    """The alarms that are on."""
    return [f"ALARM: {alarm_text(alarm)}" for alarm in record.alarms] or ["no alarm is on"]


def cells(update: Update) -> tuple[str, ...]:
    """The cells of an update in the table of a monitor."""
    upper = "-" if update.series_upper_bound is None else rounded_up(update.series_upper_bound)
    alarms = ", ".join(alarm.kind if alarm.column is None else f"column {alarm.column}" for alarm in update.alarms)
    bounds = f"{update.value:.4g}", rounded_down(update.series_lower_bound), upper
    return f"{update.number}", when(update.at) or update.name or "", *bounds, evidence_share(update), alarms


def monitor_text(record: MonitorState, history: Sequence[Update] = ()) -> str:
    """A monitor for a terminal: what it compares with, its last updates, and its alarms."""
    shown = [*history[-UPDATES_SHOWN:]] or ([] if record.last is None else [record.last])
    table = []
    if shown:
        rows = [_HEAD, *map(cells, shown)]
        if record.epoch > 1:
            epochs = ["epoch", *(f"{each.epoch}" for each in shown)]
            rows = [(number, epoch, *rest) for epoch, (number, *rest) in zip(epochs, rows, strict=True)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        aligned = [str.ljust if name in _TEXTS else str.rjust for name in rows[0]]
        table = [
            "  ".join(align(cell, width) for align, cell, width in zip(aligned, row, widths, strict=True)).rstrip()
            for row in rows
        ]
        if len(shown) < record.updates:
            left = record.updates - len(shown)
            table.append(f"({left:,} earlier update{'' if left == 1 else 's'} not shown; `history()` has all)")
    return "\n".join([*about(record), "", *(table or ["no update yet"]), "", *standing(record)])


def monitor_html(record: MonitorState, history: Sequence[Update]) -> str:
    """A monitor for a notebook: its alarms, the timeline, and the last update."""
    head = "".join(f"<p>{html.escape(line)}</p>" for line in about(record))
    alarms = "".join(f"<p><b>{html.escape(line)}</b></p>" for line in standing(record))
    last = "" if record.last is None else update_html(record.last)
    return f"<div>{head}{alarms}{timeline_svg(record, history)}{last}</div>"


def alarm_line(record: MonitorState) -> float:
    """The distance above which an alarm is raised."""
    return record.tolerance if record.thresholds.distance is None else record.thresholds.distance


def timeline_svg(record: MonitorState, history: Sequence[Update], width: int = 640, height: int = 180) -> str:
    """Both ends of each update, its value as a dot, and the alarm line; earlier epochs are pale. Empty without any."""
    if not history:
        return ""
    line = alarm_line(record)
    ends = (each for u in history for each in (u.value, u.series_lower_bound, u.series_upper_bound))
    top = 1.1 * max(1e-12, line, *(each for each in ends if each is not None and math.isfinite(each)))
    left, right, bottom = 10.0, width - 10.0, height - 24.0

    def y(value: float) -> float:
        return bottom - (bottom - 12.0) * min(max(0.0, value), top) / top

    alarmed = sum(bool(each.alarms) for each in history)
    label = (
        f"Distance from the reference over {len(history)} updates, {alarmed} of them with an alarm on. "
        f"The last lies within {interval(history[-1].series_lower_bound, history[-1].series_upper_bound)}; "
        f"the alarm line is at {line:.4g}."
    )
    parts = [
        f"<svg role='img' aria-label='{html.escape(label)}' width='{width}' height='{height}' "
        "font-family='sans-serif' font-size='11'>",
        f"<line x1='{left}' x2='{right}' y1='{bottom}' y2='{bottom}' stroke='currentColor' stroke-opacity='0.3'/>",
        f"<line x1='{left}' x2='{right}' y1='{y(line):.1f}' y2='{y(line):.1f}' stroke='#c53030' "
        "stroke-dasharray='5 3'/>",
        f"<text x='{left}' y='{y(line) - 3:.1f}' fill='#c53030'>alarm above {line:.4g}</text>",
    ]
    for k, each in enumerate(history):
        x = left + (right - left) * (k + 0.5) / len(history)
        color = "#c53030" if each.alarms else "#2b6cb0"
        pale = " opacity='0.35'" if each.epoch != record.epoch else ""
        upper = top if each.series_upper_bound is None else each.series_upper_bound
        said = html.escape(f"{titled(each)}: {interval(each.series_lower_bound, each.series_upper_bound)}")
        parts.append(
            f"<g{pale}><title>{said}</title><line x1='{x:.1f}' x2='{x:.1f}' y1='{y(each.series_lower_bound):.1f}' "
            f"y2='{y(upper):.1f}' stroke='{color}' stroke-width='4' stroke-opacity='0.6'/>"
            f"<circle cx='{x:.1f}' cy='{y(each.value):.1f}' r='3' fill='currentColor'/></g>"
        )
    caption = f"{titled(history[0])} to {titled(history[-1])}, {record.units or ''}".rstrip(", ")
    return "".join(
        [*parts, f"<text x='{left}' y='{height - 6}' fill='currentColor'>{html.escape(caption)}</text></svg>"]
    )
