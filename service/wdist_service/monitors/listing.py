"""Monitors on a page: the figures of the last update are copied as they are stored."""

from __future__ import annotations

from pydantic_core import from_json
from sqlalchemy.orm.attributes import set_committed_value

from wdist.definitions.monitoring import UpdateFigures
from wdist_service.database import read_json
from wdist_service.monitors.schemas import monitor_view
from wdist_service.monitors.service import Found

_NONE = '"last":null'  # no text in JSON has this: its quotes are escaped
_FIELDS = UpdateFigures.model_fields.keys()


def monitor_json(found: Found) -> str:
    """The JSON of a monitor of a page, as `monitor_view.json` gives it.

    The figures were made by the model that the contract shows, and are most of a page. Where they may be of another
    version, or damaged, they go through the model again.
    """
    row, stored = found.row, found.last
    is_current = stored is not None and _is_current(stored)
    set_committed_value(row, "figures", None if stored is None or is_current else read_json(stored))
    shown = monitor_view.json(row, found.epoch, found.waiting)
    return shown.replace(_NONE, f'"last":{stored}', 1) if is_current else shown


def _is_current(stored: str) -> bool:
    """Whether it is JSON that every client can read, with the fields that this version shows."""
    try:
        figures = from_json(stored, allow_inf_nan=False)
    except ValueError:
        return False
    return isinstance(figures, dict) and figures.keys() == _FIELDS
