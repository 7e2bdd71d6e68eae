"""Monitors and their updates for terminals and notebooks."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from wdist_client.advice import in_python
from wdist_client.display.text import percent

if TYPE_CHECKING:
    from wdist_client.contract import Alarm
    from wdist_client.models import MonitorState, Update

COLUMNS_SHOWN = 5


def interval(lower: float, upper: float | None) -> str:
    """Both ends of a distance, or the lower one."""
    return f"at least {lower:.4g}" if upper is None else f"{lower:.4g} .. {upper:.4g}"


def titled(update: Update) -> str:
    """Number, time and name of an update."""
    parts = [f"update {update.number}"]
    if update.at is not None:
        parts.append(f"at {update.at}")
    return " ".join(parts) + (f" ({update.name})" if update.name else "")


def alarm_text(alarm: Alarm) -> str:
    """An alarm in words: what is above what, and since when."""
    since = f"since update {alarm.since}" + ("" if alarm.since_at is None else f" ({alarm.since_at})")
    if alarm.kind == "evidence" or alarm.bound is None or alarm.threshold is None:
        return f"ALARM {since}: the evidence of the series has reached its limit; it stays on until a new epoch"
    what = f"column {alarm.column}" if alarm.column is not None else "the distance"
    return f"ALARM {since}: {what} is at least {alarm.bound:.4g}, above {alarm.threshold:.4g}"


def figures(update: Update) -> Iterator[tuple[str, str, str]]:
    """(name, figure, meaning) of each line of the summary."""
    series = interval(update.series_lower_bound, update.series_upper_bound)
    yield "series", series, "the distance, as all bounds of the series hold together"
    yield "batch", interval(update.lower_bound, update.upper_bound), "the distance, of this batch alone"
    yield "value", f"{update.value:.4g}", "what the critic shows on held-out rows"
    if update.p_value is not None:
        yield "p-value", f"{update.p_value:.3g}", "of reference and batch being equal"
    limit = f"{update.evidence:.3g} of {update.evidence_limit:.4g}"
    yield "evidence", limit, "of drift in the series so far, and where the alarm is raised"
    if update.change is not None:
        at_least = f"{update.change.value:.4g}, at least {update.change.lower_bound:.4g}"
        yield "change", at_least, "since the batch before"
    for column in update.columns[:COLUMNS_SHOWN]:
        yield (
            f"column {column.name}",
            f"at least {column.lower_bound:.4g}",
            f"by itself; its value is {column.value:.4g}",
        )


def update_text(update: Update) -> str:
    """An update for a terminal."""
    lines = list(figures(update))
    width, figure_width = (max(len(line[k]) for line in lines) for k in (0, 1))
    return "\n".join([
        update.meaning or titled(update),
        *map(alarm_text, update.alarms),
        *(f"  {name:<{width}}  {figure:>{figure_width}}  {meaning}" for name, figure, meaning in lines),
        *(f"  warning: {in_python(warning)}" for warning in update.warnings),
    ])  # fmt: skip


def update_html(update: Update) -> str:
    """An update for a notebook."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th><td style='text-align:right'>{html.escape(figure)}"
        f"</td><td style='text-align:left'>{html.escape(meaning)}</td></tr>"
        for name, figure, meaning in figures(update)
    )
    alarms = "".join(f"<p><b>{html.escape(alarm_text(alarm))}</b></p>" for alarm in update.alarms)
    warnings = "".join(f"<p>Warning: {html.escape(in_python(warning))}</p>" for warning in update.warnings)
    sentence = html.escape(update.meaning or titled(update))
    return f"<div><p><b>{sentence}</b></p>{alarms}<table>{rows}</table>{warnings}</div>"


def head(record: MonitorState) -> str:
    """What a monitor compares with, in a line."""
    rows = "" if record.reference_rows is None else f", {record.reference_rows:,} rows"
    state = "" if record.status == "active" else f" [{record.status}]"
    count = f"{record.updates} update{'' if record.updates == 1 else 's'}"
    return (
        f"{record.name}{state}: {count} compared with {record.reference or 'the reference'}{rows}; epoch "
        f"{record.epoch}, tolerance {record.tolerance:g}, {percent(record.confidence)} confidence"
    )


def state_of(record: MonitorState) -> list[str]:
    """The alarms that are on, or that there are none."""
    if record.alarms:
        return [alarm_text(alarm) for alarm in record.alarms]
    return ["No alarm is on." if record.updates else "No batch has been compared yet."]


def monitor_text(record: MonitorState) -> str:
    """A monitor for a terminal: what it compares with, its alarms, and the last update."""
    last = [] if record.last is None else ["", update_text(record.last)]
    return "\n".join([head(record), *state_of(record), *last])


def monitor_html(record: MonitorState, history: Sequence[Update]) -> str:
    """A monitor for a notebook: its alarms, the timeline, and the last update."""
    alarms = "".join(f"<p><b>{html.escape(line)}</b></p>" for line in state_of(record))
    last = "" if record.last is None else update_html(record.last)
    return f"<div><p>{html.escape(head(record))}</p>{alarms}{timeline_svg(record, history)}{last}</div>"


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
