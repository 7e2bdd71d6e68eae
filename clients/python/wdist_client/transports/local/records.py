"""The records of a local client, and the responses made from them."""

from __future__ import annotations

import json
import math
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wdist_client.models import ENDED
from wdist_client.requests import Response

if TYPE_CHECKING:
    import numpy as np


class RefusalError(Exception):
    """The request is answered with an error status."""

    def __init__(self, status: int, title: str, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        errors = [] if field is None else [{"field": field, "message": detail}]
        self.status = status
        self.problem = {"type": "about:blank", "title": title, "status": status, "detail": detail, "errors": errors}


@dataclass
class StoredSet:
    """A sample set: its record, and the rows (an array of our own, or the path of a file that must not change)."""

    record: dict[str, Any]
    rows: Any


@dataclass
class StoredJob:
    """An estimate: its record, the training curve, the stop signal, and the library's result."""

    record: dict[str, Any]
    options: dict[str, Any]
    curve: list[dict[str, float]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    result: Any = None


@dataclass
class StoredBatch:
    """Estimates submitted together; `axes` are the rows and columns of its matrix, if it has one."""

    record: dict[str, Any]
    axes: tuple[list[str], list[str]] | None
    jobs: list[StoredJob]


def batch_record(batch: StoredBatch) -> dict[str, Any]:
    """The record with its counts; the status follows from them unless it was canceled."""
    states = [job.record["status"] for job in batch.jobs]
    counts = {state: states.count(state) for state in ("queued", "running", "canceling", *sorted(ENDED))}
    status = batch.record["status"]
    if status == "canceled":
        status = "canceling" if counts["canceling"] or counts["running"] else "canceled"
    elif all(state in ENDED for state in states):
        status = "finished"
    elif any(state != "queued" for state in states):
        status = "running"
    return {**batch.record, "status": status, "counts": {"total": len(states), **counts}}


def matrix_answer(batch: StoredBatch) -> dict[str, Any]:
    """Figures by row and column: mirrored, a set against itself 0 with p-value 1, null where there is no result."""
    if batch.axes is None:
        raise RefusalError(409, "Conflict", f"{batch.record['id']} is a batch of explicit pairs; it has results")
    rows, columns = batch.axes
    found = {frozenset((job.record["source"], job.record["target"])): job.record["result"] for job in batch.jobs}

    def figure(row: str, column: str, name: str) -> float | None:
        if row == column:
            return 1.0 if name == "p_value" else 0.0
        result = found.get(frozenset((row, column)))
        if name == "simultaneous_lower_bound":
            return ((result or {}).get("simultaneous") or {}).get("lower_bound")
        return None if result is None else result[name]

    figures = {
        name: [[figure(row, column, name) for column in columns] for row in rows]
        for name in ("value", "lower_bound", "simultaneous_lower_bound", "upper_bound", "p_value")
    }
    from wdist.inference.simultaneous import adjusted_matrix

    adjusted = adjusted_matrix([[math.nan if p is None else p for p in row] for row in figures["p_value"]]).tolist()
    figures["adjusted_p_value"] = [[None if p != p else p for p in row] for row in adjusted]
    complete = all(job.record["status"] in ENDED for job in batch.jobs)
    confidence = batch.record["options"].get("confidence", 0.95)
    named = {"batch": batch.record["id"], "complete": complete, "rows": rows, "columns": columns}
    return {**named, "confidence": confidence, **figures}


def page_answer(records: list[dict[str, Any]], params: Mapping[str, str]) -> dict[str, Any]:
    """One page, newest first, starting after the cursor."""
    newest_first = records[::-1]
    ids = [record["id"] for record in newest_first]
    start = ids.index(params["after"]) + 1 if params.get("after") in ids else 0
    limit = int(params.get("limit", "20"))
    data = newest_first[start : start + limit]
    has_more = start + limit < len(newest_first)
    return {"data": data, "has_more": has_more, "next": data[-1]["id"] if has_more else None}


def per_column(statistics: Any) -> dict[str, list[float]]:
    columns: dict[str, np.ndarray[Any, Any]] = vars(statistics)
    return {name: values[:1000].tolist() for name, values in columns.items()}


def json_answer(status: int, content: Any) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps(content).encode())


def find(stored: Mapping[str, Any], name: str) -> Any:
    """Raises RefusalError 404."""
    if name not in stored:
        raise RefusalError(404, "Not found", f"there is no {name}")
    return stored[name]


def new_id(prefix: str) -> str:
    return prefix + secrets.token_hex(12)


def now() -> str:
    return datetime.now(UTC).isoformat()
