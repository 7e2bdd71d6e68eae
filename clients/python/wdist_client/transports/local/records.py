"""The records of a local client, and the responses made from them."""

from __future__ import annotations

import json
import math
import secrets
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from wdist_client.models import ENDED
from wdist_client.requests import Request, Response

if TYPE_CHECKING:
    from wdist.data.samples import SampleSet as LibrarySet
    from wdist.data.sources.files import FileRows

MAX_DESCRIBED_COLUMNS = 256
MAX_NAME = 200  # characters


class RefusalError(Exception):
    """The request is answered with an error status."""

    def __init__(
        self, status: int, title: str, detail: str, field: str | None = None, named: Iterable[tuple[str, str]] = ()
    ) -> None:
        super().__init__(detail)
        errors = [{"field": name, "message": text} for name, text in (named if field is None else [(field, detail)])]
        self.status = status
        self.problem = {"type": "about:blank", "title": title, "status": status, "detail": detail, "errors": errors}

    @classmethod
    def of(cls, named: Sequence[tuple[str, str]]) -> Self:
        """A request whose fields are refused: each field, and what is said of it."""
        return cls(422, "Invalid request", "; ".join(text for _, text in named), named=named)


@dataclass
class StoredSet:
    """A sample set: its record, and the rows (an array of our own, or a mapped file that must not change)."""

    record: dict[str, Any]
    rows: FileRows


@dataclass
class StoredJob:
    """An estimate: its record, the training curve, the signals to stop and to finish, and the library's result."""

    record: dict[str, Any]
    options: dict[str, Any]
    curve: list[dict[str, float]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    finish: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    shared: SharedSets | None = None


@dataclass(frozen=True)
class SharedSets:
    """What the estimates of a matrix share: the numbers of an estimate's sets, the first set, and all group labels."""

    numbers: tuple[int, int]
    first: str
    labels: tuple[str, ...]


@dataclass
class StoredBatch:
    """Estimates submitted together, in the order of the pairs of its matrix, if it has one."""

    record: dict[str, Any]
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
    if batch.record["sets"] is None:
        raise RefusalError(409, "Conflict", f"{batch.record['id']} is a batch of explicit pairs; it has results")
    from wdist.inference.pair_matrix import as_lists, common_kind, common_units, pair_matrix, words_of

    sets, is_reference = batch.record["sets"], batch.record["kind"] == "reference"
    results = [job.record["result"] for job in batch.jobs]
    figures = pair_matrix(len(sets), enumerate(results), reference=is_reference)
    known = [result for result in results if result is not None]
    rows, columns = (sets[:1], sets[1:]) if is_reference else (sets, sets)
    complete = all(job.record["status"] in ENDED for job in batch.jobs)
    confidence = batch.record["options"].get("confidence", 0.95)
    named = {"batch": batch.record["id"], "complete": complete, "rows": rows, "columns": columns}
    named |= {"units": common_units(known), "upper_kind": common_kind(known)}
    named |= words_of(rows, columns, list(enumerate(results)), figures)
    return {**named, "confidence": confidence, **{name: as_lists(values) for name, values in figures.items()}}


def page_answer(records: list[dict[str, Any]], params: Mapping[str, str]) -> dict[str, Any]:
    """One page, newest first, starting after the cursor."""
    newest_first = records[::-1]
    ids = [record["id"] for record in newest_first]
    start = ids.index(params["after"]) + 1 if params.get("after") in ids else 0
    limit = int(params.get("limit", "20"))
    data = newest_first[start : start + limit]
    has_more = start + limit < len(newest_first)
    return {"data": data, "has_more": has_more, "next": data[-1]["id"] if has_more else None}


def statistics(opened: LibrarySet) -> dict[str, Any]:
    """The statistics of a set in the form of the API. Raises the library's SampleError for values that are not finite.

    `columns` is None for images and for tables of more than 256 columns.
    """
    found = opened.statistics
    mean = float(found.mean.mean())
    columns = zip(*(column.tolist() for column in vars(found).values()), strict=True)
    by_column = [dict(zip(("min", "max", "mean", "std"), figures, strict=True)) for figures in columns]
    return {
        "min": float(found.minimum.min()), "max": float(found.maximum.max()), "mean": mean,
        "std": math.sqrt(float((found.deviation**2 + (found.mean - mean) ** 2).mean())),
        "constant": bool((found.minimum == found.maximum).all()),
        "columns": by_column if not opened.is_image and opened.dimension <= MAX_DESCRIBED_COLUMNS else None,
    }  # fmt: skip


class KeysSeen:
    """The idempotency keys of requests that created something, each with the body and what it made."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[Any, str]] = {}

    def find(self, request: Request) -> str | None:
        """The id of what an earlier request with this key made. Raises RefusalError if it had another body."""
        if (found := self._made.get(request.headers.get("Idempotency-Key", ""))) is None:
            return None
        if found[0] != (request.path, request.content):
            detail = "this Idempotency-Key came with another body"
            raise RefusalError(422, "Key used before", detail, "Idempotency-Key")
        return found[1]

    def add(self, request: Request, identifier: str) -> None:
        self._made[request.headers.get("Idempotency-Key", "")] = ((request.path, request.content), identifier)


def has_labels(record: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    """Whether a record has the labels that a list asks for."""
    labels = (label.partition(":")[::2] for label in params.get("metadata", ()))
    return all(record["metadata"].get(key) == value for key, value in labels)


def is_found(record: Mapping[str, Any], text: str | None, names: Iterable[str | None] = ()) -> bool:
    """Whether a search finds a record: by its name, by names of its sets, or by the beginning of its id."""
    if text is None:
        return True
    wanted = text.casefold()
    return record["id"].startswith(wanted) or any(
        wanted in each.casefold() for each in (record.get("name"), *names) if each
    )


def new_name(request: Request) -> str | None:
    """The name that a record is to have. Raises RefusalError."""
    assert isinstance(request.content, bytes)  # noqa: S101 - for the type checker
    name = json.loads(request.content).get("name")
    if name is not None and not (isinstance(name, str) and 1 <= len(name) <= MAX_NAME):
        raise RefusalError.of([("name", f"name must be text of 1 to {MAX_NAME} characters, or null")])
    return name


def progress_record(progress: Any) -> dict[str, Any]:
    """How far the library is, in the form of the API."""
    return {name: getattr(progress, name) for name in ("step", "steps", "seconds", "value", "eta_seconds", "trying")}


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
