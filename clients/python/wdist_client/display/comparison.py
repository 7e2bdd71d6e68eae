"""A comparison for terminals and notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import TYPE_CHECKING

from wdist_client.display.matrix import warning_lines
from wdist_client.display.numbers import rounded_down, rounded_up, short
from wdist_client.display.text import percent

if TYPE_CHECKING:
    from wdist_client.models import Comparison

_HEAD = ("place", "", "at least", "at most", "shown")


def comparison_text(found: Comparison) -> str:
    """The comparison for a terminal, as the library prints its own."""
    width = max(10, *(len(each.name) for each in found.ranking))
    lines = [found.sentence, "", _title(found)]
    lines += [
        f"  {place:<5}  {name:<{width}}" + "".join(f"  {figure:>10}" for figure in figures)
        for place, name, *figures in (_HEAD, *_rows(found))
    ]
    lines += _left_out(found)
    if len(found.differences) > 1:
        lines += ["", *(each.sentence for each in found.differences)]
    return "\n".join([*lines, *_warnings(found)])


def comparison_html(found: Comparison) -> str:
    """The comparison for a notebook."""
    head = "".join(f"<th>{text}</th>" for text in _HEAD)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in _rows(found))
    pairs = "".join(f"<li>{html.escape(each.sentence)}</li>" for each in found.differences)
    table = f"<table><caption>{html.escape(_title(found))}</caption><tr>{head}</tr>{body}</table>"
    left_out = "".join(f"<p>{html.escape(line)}</p>" for line in _left_out(found))
    return (
        f"<p><b>{html.escape(found.sentence)}</b></p>{table}{left_out}"
        + (f"<ul>{pairs}</ul>" if len(found.differences) > 1 else "")
        + "".join(f"<p>{html.escape(line)}</p>" for line in _warnings(found))
    )


def _title(found: Comparison) -> str:
    about = "approximately " if found.kind == "approximate" else ""
    sure = f"all together with {about}{percent(found.confidence)} confidence"
    return f"Distance from {found.reference}, {sure} ({found.units})"


def _warnings(found: Comparison) -> Iterator[str]:
    return warning_lines([(found.reference, name, text) for name, text in found.warnings])


def _left_out(found: Comparison) -> list[str]:
    """The candidates that the sentences are not about, as their estimates failed or were canceled."""
    return [f"Without a result, and left out: {', '.join(found.missing)}."] if found.missing else []


def _rows(found: Comparison) -> Iterator[tuple[str, ...]]:
    for each in found.ranking:
        place = f"{each.best}" if each.best == each.worst else f"{each.best}-{each.worst}"
        ends = rounded_down(each.lower_bound), rounded_up(each.upper_bound)
        yield place, each.name, *ends, short(max(0.0, each.value))
