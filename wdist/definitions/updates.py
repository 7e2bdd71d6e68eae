"""The updates of a monitor as files that other programs read: CSV and JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from wdist.definitions.monitoring import Alarm, UpdateFigures

ExportFormat = Literal["csv", "jsonl"]

_PLAIN = ("number", "epoch", "at", "name", "sha256")
_FIGURES = (
    "value", "lower_bound", "upper_bound", "p_value", "series_lower_bound", "series_upper_bound", "evidence",
    "evidence_limit",
)  # fmt: skip
_LAST = ("critic", "steps", "seconds", "meaning")
_COLUMN = "column_lower_bound:"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def exported(updates: Sequence[UpdateFigures], format: ExportFormat) -> Iterator[str]:  # noqa: A002 - as users call it
    """The updates as text, line by line, each with its end: CSV has one row for each update, JSON lines an object."""
    return csv_lines(updates, columns_of(updates)) if format == "csv" else json_lines(updates)


def json_lines(updates: Iterable[UpdateFigures]) -> Iterator[str]:
    """All figures of each update as one JSON object a line."""
    for update in updates:
        yield json.dumps(update.model_dump(mode="json"), ensure_ascii=False, allow_nan=False) + "\n"


def columns_of(updates: Iterable[UpdateFigures]) -> list[str]:
    """The columns that any of the updates lists."""
    return list(dict.fromkeys(column.name for update in updates for column in update.columns))


def csv_lines(updates: Iterable[UpdateFigures], columns: Sequence[str]) -> Iterator[str]:
    """A header, and one row for each update (RFC 4180, but for LF at the ends of lines). columns: of `columns_of`.

    Each column of the monitored table has a column here, with the lower bound of its own distance; where an update
    does not list it, the cell is empty. Text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    yield _line([
        *_PLAIN, "train_rows", "select_rows", "test_rows", *_FIGURES, "change", "change_lower_bound", "alarms", *_LAST,
        "warnings", *(_COLUMN + name for name in columns),
    ])  # fmt: skip
    for update in updates:
        own = {column.name: column.lower_bound for column in update.columns}
        change = update.change
        yield _line([
            *(getattr(update, name) for name in _PLAIN),
            *(update.rows[part] for part in ("train", "select", "test")),
            *(getattr(update, name) for name in _FIGURES),
            *((None, None) if change is None else (change.value, change.lower_bound)),
            "; ".join(alarm_name(alarm) for alarm in update.alarms),
            *(getattr(update, name) for name in _LAST),
            " | ".join(update.warnings),
            *(own.get(name) for name in columns),
        ])  # fmt: skip


def alarm_name(alarm: Alarm) -> str:
    """An alarm in a word or two: distance, column price, evidence."""
    return alarm.kind if alarm.column is None else f"{alarm.kind} {alarm.column}"


def evidence_share(update: UpdateFigures) -> str:
    """The evidence as a share of its limit. How far it is beyond the limit says nothing more."""
    share = update.evidence / update.evidence_limit
    return "reached" if share >= 1 else f"{share:.1%}".replace("%", " %")


def _line(cells: Sequence[Any]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerow([_cell(cell) for cell in cells])
    return written.getvalue()


def _cell(cell: Any) -> Any:
    """Numbers in full, nothing for None, and text that no spreadsheet computes."""
    if isinstance(cell, str):
        return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell
    return "" if cell is None else repr(cell)
