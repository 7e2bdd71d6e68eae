"""A witness for terminals and notebooks, as the library prints its own."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wdist_client.display.numbers import rounded_down, short

if TYPE_CHECKING:
    from wdist_client.contract import WitnessColumn
    from wdist_client.results.witness import Witness

SHOWN_COLUMNS = 20
SHOWN_ROWS = 5  # of each set
LONGEST_NAME = 28
_HEAD = ["column", "carries", "apart", "at least"]
_UNUSUAL = "Held-out rows least like the other set"


def witness_text(witness: Witness) -> str:
    """The witness for a terminal."""
    lines = []
    if witness.columns:
        lines = [f"Columns: what each carries of the difference, and how far apart it is alone; {_note(witness)}", ""]
        lines += [f"  {line}" for line in _aligned([_HEAD, *_lines(witness.columns[:SHOWN_COLUMNS])])]
        more = len(witness.columns) - SHOWN_COLUMNS
        lines += [*([f"  and {more} more"] if more > 0 else []), ""]
    lines += [f"{_UNUSUAL}, and the critic's scores", ""]
    lines += [f"  {line}" for line in _aligned(_unusual_lines(witness))]
    return "\n".join([*lines, "", witness.numbering])


def witness_html(witness: Witness) -> str:
    """The witness for a notebook."""
    told = f"<p>{_UNUSUAL}, and the critic's scores.</p>"
    numbering = f"<p>{html.escape(witness.numbering)}</p>"
    return columns_html(witness) + told + _as_table(_unusual_lines(witness)) + numbering


def _unusual_lines(witness: Witness) -> list[list[str]]:
    return [
        line
        for side, rows in witness.unusual(SHOWN_ROWS).items()
        for line in (
            [f"{side} row", *(str(entry.row) for entry in rows)],
            ["score", *(f"{entry.score:.3g}" for entry in rows)],
        )
    ]


def columns_html(witness: Witness) -> str:
    """What is said of the columns: nothing of a single row. Empty without columns."""
    if not witness.columns:
        return ""
    more = len(witness.columns) - SHOWN_COLUMNS
    body = [_HEAD, *_lines(witness.columns[:SHOWN_COLUMNS]), *([[f"and {more} more"]] if more > 0 else [])]
    told = "What each column carries of the difference, and how far apart it is alone"
    return f"<p>{told}; {_note(witness)}.</p>{_as_table(body)}"


def _note(witness: Witness) -> str:
    if any(column.lower_bound is None for column in witness.columns):
        return "there are no bounds, because rows are not independent"
    return "all bounds (at least) hold at once"


def _lines(columns: Sequence[WitnessColumn]) -> list[list[str]]:
    is_shared = any(column.attribution for column in columns)
    return [
        [
            column.name if len(column.name) <= LONGEST_NAME else f"{column.name[: LONGEST_NAME - 1]}…",
            f"{100 * column.attribution:.0f} %" if is_shared else "-",  # a critic that shows nothing has none to share
            short(max(0.0, column.value)),  # below 0: the column alone shows nothing
            "no bound" if column.lower_bound is None else rounded_down(column.lower_bound),
        ]
        for column in columns
    ]


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Cells in columns as wide as their widest cell, the first to the left, the others to the right."""
    widths = [max(len(line[k]) for line in lines if k < len(line)) for k in range(max(map(len, lines)))]
    return [
        "  ".join(
            cell.rjust(width) if k else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=False))
        ).rstrip()
        for line in lines
    ]


def _as_table(lines: Sequence[Sequence[str]]) -> str:
    rows = (
        f"<tr><th style='text-align:left'>{html.escape(first)}</th>"
        + "".join(f"<td style='text-align:right'>{html.escape(cell)}</td>" for cell in others)
        + "</tr>"
        for first, *others in lines
    )
    return f"<table>{''.join(rows)}</table>"
