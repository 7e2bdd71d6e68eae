"""The requests and flows of monitors, shared by the sync and the async client."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from wdist_client import requests
from wdist_client.base import in_a_line
from wdist_client.contract import Thresholds
from wdist_client.display.text import JobBar
from wdist_client.errors import OptionError, UpdateCanceled, UpdateFailed
from wdist_client.flows import Flow, Retries, fetched, send, until_ended
from wdist_client.models import MonitorState, MonitorUpdate, Page, SampleSet, Update
from wdist_client.options import given, told_apart
from wdist_client.requests import Request
from wdist_client.rows.columns import names_of
from wdist_client.rows.reading import of_more, read_alike
from wdist_client.uploads import create_sample_set, file_name, is_id

if TYPE_CHECKING:
    from wdist_client.contract import Alarm
    from wdist_client.options import SetOptions

When = float | str
AnyThresholds = Thresholds | Mapping[str, Any] | float | None
ExportFormat = Literal["csv", "jsonl"]
ShowUpdate = bool | Callable[[MonitorUpdate], object] | None
MonitorPage = Page[MonitorState]
UpdatePage = Page[MonitorUpdate]
ROOT = "/v1/monitors"


class MonitorRecord:
    """The last known state of a monitor; the handles add what can be done with it."""

    def __init__(self, record: MonitorState) -> None:
        self.record = record
        self._history: list[Update] = []  # as last fetched

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def status(self) -> str:
        """active or paused, as last heard."""
        return self.record.status

    @property
    def alarms(self) -> list[Alarm]:
        """The alarms that are on, as last heard; empty without any."""
        return self.record.alarms

    @property
    def last(self) -> Update | None:
        """The last update, as last heard."""
        return self.record.last

    @property
    def thresholds(self) -> Thresholds:
        return self.record.thresholds

    @property
    def _path(self) -> str:
        return f"{ROOT}/{self.id}"

    def __repr__(self) -> str:
        state = "ALARM" if self.alarms else self.status
        count = f"{self.record.updates:,} update" + ("" if self.record.updates == 1 else "s")
        return in_a_line(f"<{type(self).__name__} {self.id} {self.name!r} {state}: {count}>")

    def __str__(self) -> str:
        from wdist_client.display.monitor import monitor_text

        return monitor_text(self.record, self._history)

    def _repr_html_(self) -> str:
        from wdist_client.display.monitor import monitor_html

        return monitor_html(self.record, self._history)


class UpdateRecord:
    """The last known state of an update; the handles add what can be done with it."""

    def __init__(self, record: MonitorUpdate, monitor: str) -> None:
        self.record = record if record.monitor else record.model_copy(update={"monitor": monitor})
        self.monitor = monitor

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def status(self) -> str:
        """queued, running, canceling, succeeded, failed or canceled, as last heard."""
        return self.record.status

    @property
    def figures(self) -> Update | None:
        """What the update says, or None where it has not succeeded; `wait()` waits for it."""
        return self.record.figures

    @property
    def _path(self) -> str:
        return f"{ROOT}/{self.monitor}/updates/{self.id}"

    def __repr__(self) -> str:
        said = "" if self.figures is None else f": {self.figures.meaning}"
        return in_a_line(f"<{type(self).__name__} {self.id} {self.status}{said}>")


def path_of(monitor: Any) -> str:
    return f"{ROOT}/{requests.identifier(monitor, 'mon_')}"


def update_path(monitor: str, update: Any) -> str:
    return f"{ROOT}/{monitor}/updates/{requests.identifier(update, 'mu_')}"


def is_file(data: Any) -> bool:
    return isinstance(data, str | os.PathLike) and not is_id(data)


def set_id(data: Any, name: str | None, part: Any, progress: bool | None, retries: Retries) -> Flow[str]:
    """The id of a set: of a stored one, or of the data, which is sent. A file is called by its name."""
    if is_id(data) and not part:  # with options it is looked up, and refused
        found: str = data
        return found
    stored: SampleSet = yield from create_sample_set(data, name or file_name(data), part, progress, retries)
    return stored.id


def create(
    reference: Any, own: Mapping[str, Any], arguments: Mapping[str, Any], progress: bool | None, retries: Retries
) -> Flow[MonitorState]:
    """Sends the reference and creates the monitor. own: the arguments that are no options of estimates."""
    part, options = told_apart(arguments)
    key = options.pop("idempotency_key", None)
    identifier = yield from set_id(reference, None, part, progress, retries)
    body = given({"reference": identifier, **own, **options})
    return (yield from send(requests.post(ROOT, body, key), retries)).read(MonitorState)


def begin_epoch(
    monitor: MonitorState,
    reference: Any,
    own: Mapping[str, Any],
    arguments: Mapping[str, Any],
    progress: bool | None,
    retries: Retries,
) -> Flow[MonitorState]:
    part, key = yield from as_the_reference(monitor, reference, arguments, retries)
    identifier = yield from set_id(reference, None, part, progress, retries)
    request = requests.post(f"{ROOT}/{monitor.id}/epochs", given({"reference": identifier, **own}), key)
    return (yield from send(request, retries)).read(MonitorState)


def submit(
    monitor: MonitorState,
    batch: Any,
    at: Any,
    name: str | None,
    arguments: Mapping[str, Any],
    progress: bool | None,
    retries: Retries,
) -> Flow[MonitorUpdate]:
    """Sends a batch and submits its update."""
    part, key = yield from as_the_reference(monitor, batch, arguments, retries)
    identifier = yield from set_id(batch, name, part, progress, retries)
    request = requests.post(f"{ROOT}/{monitor.id}/updates", given({"batch": identifier, "at": when(at)}), key)
    return (yield from send(request, retries)).read(MonitorUpdate)


def as_the_reference(
    monitor: MonitorState, data: Any, arguments: Mapping[str, Any], retries: Retries
) -> Flow[tuple[SetOptions, str | None]]:
    """How data is read, which is as the reference was but for what the arguments say; and the idempotency key."""
    part, rest = told_apart(arguments)
    key = rest.pop("idempotency_key", None)
    if rest:
        raise OptionError(f"{', '.join(rest)}: options are those of the monitor; make another, or give data")
    is_read = is_file(data) or (not isinstance(data, SampleSet) and names_of(data) is not None)
    if is_read and monitor.reference_set is not None:
        stored = yield from fetched(f"/v1/sample-sets/{monitor.reference_set}", SampleSet, retries)
        return read_alike(of_more(stored), part, data), key  # type: ignore[return-value]  # the options of a reading
    return part, key


def filters(alarm: bool | None, metadata: Mapping[str, str] | None, name: str | None) -> dict[str, requests.Filter]:
    """Parameters of the list of monitors."""
    on = None if alarm is None else str(alarm).lower()
    return {"alarm": on, "metadata": requests.labels(metadata), "name": name}


def when(at: Any) -> When | None:
    """The time of a batch as JSON has it: a number, or ISO 8601 of a date or time."""
    if at is None or (isinstance(at, str | int | float) and not isinstance(at, bool)):
        return at
    if hasattr(at, "isoformat"):  # of datetime and pandas
        return str(at.isoformat())
    if (
        getattr(getattr(at, "dtype", None), "kind", "") == "M" and at.ndim == 0
    ):  # NumPy's; item() of one may be a number
        return str(at)
    if hasattr(at, "item") and getattr(at, "ndim", None) == 0:
        return float(at.item())
    raise OptionError(f"at is {at!r:.40}; give a number, or a date or time (ISO 8601)")


def wait(
    job: UpdateRecord, clock: Callable[[], float], timeout: float | None, progress: ShowUpdate, retries: Retries
) -> Flow[Update]:
    """What the update says, once it has ended; it waits for the updates that were submitted before it.

    Raises UpdateFailed, UpdateCanceled, WaitTimeout; KeyboardInterrupt leaves the update running and says so.
    """
    bar: JobBar[MonitorUpdate] = JobBar(job.record, progress)

    def seen(record: MonitorUpdate) -> None:
        job.record = record
        bar.show(record)

    try:
        yield from until_ended(job._path, job.record, clock, timeout, retries, seen, bar.no_answer)
    except KeyboardInterrupt:
        bar.leave(job.record)
        raise
    finally:
        bar.close()
    if job.record.status == "canceled":
        raise UpdateCanceled(job.record)
    if job.record.figures is None:
        raise UpdateFailed(job.record)
    return job.record.figures


def get(monitor: Any, retries: Retries) -> Flow[MonitorState]:
    return (yield from fetched(path_of(monitor), MonitorState, retries))


def change(monitor: str, fields: Mapping[str, Any], retries: Retries) -> Flow[MonitorState]:
    """Changes some fields of a monitor; the same change twice is one."""
    request = requests.patch(f"{ROOT}/{monitor}", fields)
    return (yield from send(request, retries)).read(MonitorState)


def thresholds_of(distance: float | None, columns: Mapping[str, float] | None) -> dict[str, Any]:
    return {"thresholds": {"distance": distance, "columns": dict(columns or {})}}


def thresholds_from(given_as: AnyThresholds) -> Any:
    """Thresholds in the form of the API: of a number, which is that of the distance, a mapping, or a record."""
    if given_as is None or isinstance(given_as, Mapping):
        return given_as
    return given_as.model_dump() if isinstance(given_as, Thresholds) else {"distance": given_as}


def export(monitor: str, path: str | os.PathLike[str] | None, kind: ExportFormat | None, retries: Retries) -> Flow[str]:
    """The export as text, also written to `path` if given; without `kind` the ending of `path` says which it is."""
    if kind is None:
        kind = "jsonl" if path is not None and Path(path).suffix.lower() in (".jsonl", ".ndjson") else "csv"
    answer = yield from send(Request("GET", f"{ROOT}/{monitor}/export", {"format": kind}), retries)
    if path is not None:
        Path(path).write_bytes(answer.body)
    return answer.body.decode()


def figures_in_order(records: list[MonitorUpdate]) -> list[Update]:
    """The figures of the updates that have succeeded, the oldest first."""
    found = [record.figures for record in records if record.figures is not None]
    return sorted(found, key=lambda figures: figures.number)
