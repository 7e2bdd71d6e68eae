"""Monitors of a local client: the library's, kept in memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from wdist_client.models import ENDED
from wdist_client.requests import Request, Response
from wdist_client.transports.local.checks import check_monitor
from wdist_client.transports.local.records import (
    KeysSeen,
    RefusalError,
    find,
    has_labels,
    json_answer,
    new_id,
    now,
    page_answer,
    progress_record,
)
from wdist_client.transports.local.sets import LocalSets
from wdist_client.transports.local.worker import LocalWorker

if TYPE_CHECKING:
    from wdist.definitions.monitoring import UpdateFigures
    from wdist.monitoring.reference import Reference
    from wdist.monitoring.state import MonitorState

_CHANGES = {"name", "thresholds", "paused", "metadata"}


@dataclass
class StoredUpdate:
    """An update: its record, the digest of its rows, and the signal to stop."""

    record: dict[str, Any]
    content: str
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def is_active(self) -> bool:
        return self.record["status"] not in ENDED

    @property
    def counts(self) -> bool:
        """Whether it is, or may become, a part of the series."""
        return self.is_active or self.record["status"] == "succeeded"


@dataclass
class StoredMonitor:
    """A monitor: its record beside what the library says of it, the library's state, and its updates in order."""

    record: dict[str, Any]
    state: MonitorState
    reference: Reference
    updates: dict[str, StoredUpdate] = field(default_factory=dict)
    history: list[UpdateFigures] = field(default_factory=list)

    def view(self) -> dict[str, Any]:
        """The record in the form of the API."""
        figures = self.state.figures(self.history[-1] if self.history else None).model_dump(mode="json")
        waiting = sum(each.is_active for each in self.updates.values())
        return {**figures, **self.record, "waiting": waiting}


class LocalMonitors:
    """Monitors by id. Their records are changed under `lock`, and their updates run in the order of submission."""

    def __init__(self, sets: LocalSets, worker: LocalWorker, lock: threading.RLock) -> None:
        self._sets, self._worker, self._lock = sets, worker, lock
        self._stored: dict[str, StoredMonitor] = {}
        self._keys = KeysSeen()

    def answer(self, request: Request) -> Response:
        """Raises RefusalError."""
        match request.method, request.path.strip("/").split("/")[2:]:
            case "POST", []:
                return json_answer(201, self._create(request).view())
            case "GET", []:
                return json_answer(200, page_answer(self._listed(request.params), request.params))
            case "GET", [name]:
                return json_answer(200, self._find(name).view())
            case "PATCH", [name]:
                return json_answer(200, self._change(self._find(name), _body(request)).view())
            case "DELETE", [name]:
                return self._delete(name)
            case "POST", [name, "epochs"]:
                return json_answer(200, self._begin_epoch(self._find(name), _body(request)).view())
            case "GET", [name, "export"]:
                return self._export(self._find(name), request.params)
            case "POST", [name, "updates"]:
                return json_answer(202, self._submit(self._find(name), request))
            case "GET", [name, "updates"]:
                records = [each.record for each in self._find(name).updates.values()]
                return json_answer(200, page_answer(records, request.params))
            case "GET", [name, "updates", update]:
                return json_answer(200, find(self._find(name).updates, update).record)
            case "POST", [name, "updates", update, "cancel"]:
                return json_answer(200, _cancel(find(self._find(name).updates, update)))
        raise RefusalError(404, "Not found", f"a local client has no {request.method} {request.path}")

    def cancel_all(self) -> None:
        """Cancels the running and waiting updates, which cannot outlive the client."""
        for monitor in self._stored.values():
            for update in monitor.updates.values():
                _cancel(update)

    def using(self, sample_set: str) -> str | None:
        """A monitor that needs this set: the reference always, a batch until its update has ended."""
        for name, monitor in self._stored.items():
            batches = {each.record["batch"] for each in monitor.updates.values() if each.is_active}
            if sample_set in batches | {monitor.record["reference_set"]}:
                return name
        return None

    def _find(self, name: str) -> StoredMonitor:
        found: StoredMonitor = find(self._stored, name)
        return found

    def _listed(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        views = [each.view() for each in self._stored.values() if has_labels(each.record, params)]
        wanted = params.get("alarm")
        views = [each for each in views if params.get("name") in (None, each["name"])]
        return [each for each in views if wanted is None or bool(each["alarms"]) == (wanted == "true")]

    def _create(self, request: Request) -> StoredMonitor:
        from wdist.monitoring.update import begin

        if (earlier := self._keys.find(request)) is not None:
            return self._find(earlier)
        body = _body(request)
        options, metadata = check_monitor(body)
        reference = self._opened(body["reference"], options)
        with _refused("reference"):
            state = begin(reference, options)
        record = {
            "id": new_id("mon_"), "object": "monitor", "status": "active", "name": body.get("name") or reference.name,
            "reference_set": body["reference"], "metadata": metadata, "created_at": now(), "updated_at": None,
        }  # fmt: skip
        self._keys.add(request, record["id"])
        self._stored[record["id"]] = made = StoredMonitor(record, state, reference)
        return made

    def _opened(self, name: str, options: Any) -> Reference:
        from wdist.monitoring.reference import open_reference

        stored = self._sets.find(name)
        with _refused("reference"):
            return open_reference(stored.rows, stored.record["name"] or name, options)

    def _change(self, monitor: StoredMonitor, body: dict[str, Any]) -> StoredMonitor:
        """Changes what is given. New thresholds hold at once."""
        from wdist.definitions.alarms import alarms_after

        if unknown := sorted(body.keys() - _CHANGES):
            raise RefusalError.of([(name, f"{name} cannot be changed") for name in unknown])
        if body.get("thresholds") is not None:
            thresholds = check_monitor({"thresholds": body["thresholds"]})[0].thresholds
            state = monitor.state
            alarms = alarms_after(monitor.history, thresholds, state.options.tolerance, epoch=state.epoch)
            with _refused("thresholds"):
                monitor.state = monitor.state.with_thresholds(thresholds, alarms)
        if body.get("paused") is not None:
            monitor.record["status"] = "paused" if body["paused"] else "active"
            monitor.state = monitor.state.paused() if body["paused"] else monitor.state
        monitor.record |= {name: body[name] for name in ("name", "metadata") if body.get(name) is not None}
        return monitor

    def _delete(self, name: str) -> Response:
        for update in self._find(name).updates.values():
            _cancel(update)
        del self._stored[name]
        return Response(204, {}, b"")

    def _begin_epoch(self, monitor: StoredMonitor, body: dict[str, Any]) -> StoredMonitor:
        from wdist.monitoring.update import begin

        waiting = next((name for name, each in monitor.updates.items() if each.is_active), None)
        if waiting is not None:
            detail = f"{waiting} has not ended; wait for it or cancel it, then begin a new epoch"
            raise RefusalError(409, "Conflict", detail)
        if unknown := sorted(body.keys() - {"reference", "tolerance", "thresholds"}):
            raise RefusalError.of([(name, f"{name} is fixed for the whole monitor") for name in unknown])
        changed = {name: body[name] for name in ("tolerance", "thresholds") if body.get(name) is not None}
        options, _ = check_monitor({**dict(monitor.state.options), **changed})
        reference = self._opened(body["reference"], options)
        if reference.content in monitor.state.references:
            raise RefusalError(409, "Conflict", f"{reference.name} was a reference of {monitor.record['id']} before")
        with _refused("reference"):
            monitor.state = begin(reference, options, after=monitor.state)
        monitor.reference = reference
        monitor.record["reference_set"] = body["reference"]
        return monitor

    def _export(self, monitor: StoredMonitor, params: Mapping[str, Any]) -> Response:
        from wdist.definitions.updates import exported

        kind = params.get("format", "csv")
        if kind not in ("csv", "jsonl"):
            raise RefusalError.of([("format", f"format is {kind!r}; it must be csv or jsonl")])
        text = "".join(exported(monitor.history, kind))
        return Response(200, {"content-type": "text/csv" if kind == "csv" else "application/jsonl"}, text.encode())

    def _submit(self, monitor: StoredMonitor, request: Request) -> dict[str, Any]:
        from wdist.data.checks import check_pair
        from wdist.data.content import content_sha256
        from wdist.definitions.times import checked_time
        from wdist.monitoring.reference import open_rows

        if (earlier := self._keys.find(request)) is not None:
            return monitor.updates[earlier].record
        name, body = monitor.record["id"], _body(request)
        if monitor.record["status"] == "paused":
            raise RefusalError(409, "Conflict", f"{name} is paused: resume it, then send the batch")
        stored = self._sets.find(body["batch"])
        called = stored.record["name"] or stored.record["id"]
        with _refused("at"):
            at = checked_time(body.get("at"))
        with _refused("batch"):
            opened = open_rows(stored.rows, called, monitor.state.options, monitor.state.reading)
            check_pair(monitor.reference.samples, opened)
        update = StoredUpdate({
            "id": new_id("mu_"), "object": "monitor_update", "status": "queued", "monitor": name,
            "epoch": monitor.state.epoch, "number": None, "batch": body["batch"], "name": stored.record["name"],
            "at": at, "created_at": now(), "started_at": None, "finished_at": None, "attempt": 1, "progress": None,
            "figures": None, "raised": [], "cleared": [], "error": None,
        }, content_sha256(opened))  # fmt: skip
        _check_order(monitor, update, called)
        self._keys.add(request, update.record["id"])
        monitor.updates[update.record["id"]] = update
        self._worker.put(partial(self._run, monitor, update))
        return update.record

    def _run(self, monitor: StoredMonitor, update: StoredUpdate) -> None:
        """Does one update, unless it was canceled."""
        with self._lock:
            if update.record["status"] != "queued":
                return
            update.record |= {"status": "running", "started_at": now()}
            rows, state = self._sets.find(update.record["batch"]).rows, monitor.state
        found = self._compared(state, monitor.reference, rows, update)
        with self._lock:
            if isinstance(found, tuple):
                found = _kept(monitor, *found)
            update.record |= {**found, "finished_at": now()}

    def _compared(
        self, state: MonitorState, reference: Reference, rows: Any, update: StoredUpdate
    ) -> tuple[MonitorState, UpdateFigures] | dict[str, Any]:
        """The library's answer, or the final fields of the record where there is none."""
        from wdist.errors import Stopped
        from wdist.monitoring.update import update as compare

        def tell(progress: Any) -> None:
            with self._lock:
                update.record["progress"] = progress_record(progress)

        named = update.record["name"] or update.record["batch"]
        try:
            return compare(
                state, reference, rows, at=update.record["at"], name=named, progress=tell,
                should_stop=update.stop.is_set,
            )  # fmt: skip
        except Stopped:
            return {"status": "canceled"}
        except Exception as error:  # any failure ends this update only, and is recorded in it
            return {"status": "failed", "error": {"type": type(error).__name__, "message": str(error)}}


def _kept(monitor: StoredMonitor, state: MonitorState, figures: UpdateFigures) -> dict[str, Any]:
    """Makes an update part of the series. Returns the final fields of its record.

    The thresholds, and whether the monitor was paused, are those of now: they may have changed while it ran.
    """
    from wdist.definitions.alarms import next_alarms

    before, now_set = list(monitor.state.alarms), monitor.state
    alarms = next_alarms(before, figures, now_set.options.thresholds, state.options.tolerance)
    figures = figures.model_copy(update={"alarms": alarms})
    state = replace(state, options=now_set.options, was_paused=now_set.was_paused, alarms=tuple(alarms))
    monitor.state, monitor.history = state, [*monitor.history, figures]
    monitor.record["updated_at"] = now()
    known = [{(each.kind, each.column) for each in listed} for listed in (before, alarms)]
    return {
        "status": "succeeded", "number": figures.number, "figures": figures.model_dump(mode="json"),
        "raised": [each.model_dump(mode="json") for each in alarms if (each.kind, each.column) not in known[0]],
        "cleared": [each.model_dump(mode="json") for each in before if (each.kind, each.column) not in known[1]],
    }  # fmt: skip


def _check_order(monitor: StoredMonitor, update: StoredUpdate, called: str) -> None:
    """Raises RefusalError for content that the monitor knows, and for a time that is not the latest."""
    from wdist.definitions.times import checked_time
    from wdist.errors import OptionError

    name = monitor.record["id"]
    accepted = [each for each in monitor.updates.values() if each.counts]
    if (same := next((each for each in accepted if each.content == update.content), None)) is not None:
        detail = f"{called} has the rows of {same.record['id']}, an earlier update of {name}: each batch counts once"
        raise RefusalError(409, "Conflict", detail, "batch")
    if update.content in monitor.state.references:
        raise RefusalError(409, "Conflict", f"{called} has the rows of a reference of {name}; give new rows", "batch")
    last = next((each.record for each in reversed(accepted) if each.record["at"] is not None), None)
    if last is not None and update.record["at"] is not None:
        try:
            checked_time(update.record["at"], last["at"])
        except OptionError as error:
            raise RefusalError(409, "Conflict", f"{error} ({last['id']})", "at") from error


def _cancel(update: StoredUpdate) -> dict[str, Any]:
    if update.record["status"] == "queued":
        update.record |= {"status": "canceled", "finished_at": now()}
    elif update.record["status"] == "running":
        update.record["status"] = "canceling"
        update.stop.set()
    return update.record


def _body(request: Request) -> dict[str, Any]:
    assert isinstance(request.content, bytes)  # noqa: S101 - for the type checker
    found: dict[str, Any] = json.loads(request.content)
    return found


@contextmanager
def _refused(name: str) -> Iterator[None]:
    """What the library refuses, as the refusal of a request with this field."""
    from wdist.errors import WdistError as LibraryError

    try:
        yield
    except LibraryError as error:
        raise RefusalError(422, "Invalid request", str(error), name) from error
