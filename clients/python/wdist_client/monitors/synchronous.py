"""Monitors of the synchronous client."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack, overload

from wdist_client import requests
from wdist_client.errors import WdistError
from wdist_client.handles.events import EventStream, followed
from wdist_client.models import Event, MonitorState, MonitorUpdate, Update
from wdist_client.monitors import flows
from wdist_client.monitors.flows import AnyThresholds, ExportFormat, MonitorRecord, ShowUpdate, UpdateRecord, When
from wdist_client.options import MonitorOptions, UpdateOptions, describes_options
from wdist_client.requests import Request

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wdist_client.client import Client

SHOWN_UPDATES = 100  # in the timeline of a notebook: one page


class Monitors:
    """The monitors of this tenant."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @describes_options
    def create(
        self,
        reference: Any,
        *,
        name: str | None = None,
        thresholds: AnyThresholds = None,
        metadata: Mapping[str, str] | None = None,
        progress: bool | None = None,
        **options: Unpack[MonitorOptions],
    ) -> Monitor:
        """Creates a monitor: from now on, batches are compared with this reference.

        Args:
            reference: a sample set, its id, or data as `sample_sets.create` takes it.
            name: what people call the monitor.
            thresholds: when an alarm is raised: a distance, or {"distance": 0.2, "columns": {"price": 0.1}} with those
                of columns, too. By default, when a distance above the tolerance is shown.
            metadata: labels of your own.
            progress: show a bar while a large reference is sent.
            {monitor}
            {reading}
            idempotency_key: sending the same key twice makes one monitor; by default a new one for each call.

        Raises InvalidRequest for an option that the server refuses, NotFound for an unknown set.
        """
        own = {"name": name, "thresholds": flows.thresholds_from(thresholds), "metadata": metadata}
        flow = flows.create(reference, own, options, progress, self._client._retries)
        return Monitor(self._client, self._client._run(flow))

    def get(self, monitor: str | MonitorRecord | MonitorState) -> Monitor:
        """The monitor with this id; raises NotFound."""
        return Monitor(self._client, self._client._run(flows.get(monitor, self._client._retries)))

    def list(
        self, *, alarm: bool | None = None, metadata: Mapping[str, str] | None = None, name: str | None = None
    ) -> Iterator[Monitor]:
        """All monitors, or those with an alarm on (or off), with these labels or of this name; newest first."""
        filters = flows.filters(alarm, metadata, name)
        for record in self._client._pages(flows.ROOT, flows.MonitorPage, **filters):
            yield Monitor(self._client, record)

    def delete(self, monitor: str | MonitorRecord | MonitorState) -> None:
        """Deletes a monitor, its updates and their figures; the sample sets stay."""
        self._client._send(Request("DELETE", flows.path_of(monitor)))


class Monitor(MonitorRecord):
    """A monitor of the server: it compares batch after batch with one reference, with one error budget."""

    def __init__(self, client: Client, record: MonitorState) -> None:
        super().__init__(record)
        self._client = client

    @overload
    def update(
        self, batch: Any, *, at: When | date | None = None, name: str | None = None, wait: Literal[True] = True,
        timeout: float | None = None, progress: ShowUpdate = False, **reading: Unpack[UpdateOptions],
    ) -> Update: ...  # fmt: skip

    @overload
    def update(
        self, batch: Any, *, at: When | date | None = None, name: str | None = None, wait: Literal[False],
        timeout: float | None = None, progress: ShowUpdate = False, **reading: Unpack[UpdateOptions],
    ) -> UpdateJob: ...  # fmt: skip

    @describes_options
    def update(
        self,
        batch: Any,
        *,
        at: When | date | None = None,
        name: str | None = None,
        wait: bool = True,
        timeout: float | None = None,
        progress: ShowUpdate = False,
        **reading: Unpack[UpdateOptions],
    ) -> Update | UpdateJob:
        """Compares a batch with the reference, and waits for what it says.

        Updates of one monitor run in the order of submission.

        Args:
            batch: a sample set, its id, or data as `sample_sets.create` takes it.
            at: time of the batch, later than that of the one before: a number, a date, or ISO 8601.
            name: what the batch is called; a stored set keeps its name.
            wait: False submits the update and returns its job at once.
            timeout: seconds after which WaitTimeout is raised (the update goes on).
            progress: True for a bar, None for a bar in a terminal or notebook, or a function of the record.
            {reading}
            idempotency_key: sending the same key twice makes one update; by default a new one for each call.

        Raises Conflict for a batch that was compared before, or is not later; UpdateFailed, UpdateCanceled and
        WaitTimeout while waiting.
        """
        sending = progress if isinstance(progress, bool) else None
        flow = flows.submit(self.record, batch, at, name, reading, sending, self._client._retries)
        job = UpdateJob(self._client, self._client._run(flow), self.id)
        if not wait:
            return job
        found = job.wait(timeout=timeout, progress=progress)
        self.refresh()
        return found

    def updates(self) -> Iterator[UpdateJob]:
        """The updates in every state, newest first, fetched page by page as they are asked for."""
        for record in self._client._pages(f"{self._path}/updates", flows.UpdatePage):
            yield UpdateJob(self._client, record, self.id)

    def get_update(self, update: str | UpdateRecord | MonitorUpdate) -> UpdateJob:
        """The update with this id; raises NotFound."""
        answer = self._client._send(Request("GET", flows.update_path(self.id, update)))
        return UpdateJob(self._client, answer.read(MonitorUpdate), self.id)

    def history(self) -> list[Update]:
        """What all updates said, of every epoch, the oldest first."""
        self._history = flows.figures_in_order([job.record for job in self.updates()])
        return self._history

    def refresh(self) -> Self:
        """Fetches the current record of the monitor."""
        self.record = self._client.monitors.get(self.id).record
        return self

    def set_thresholds(self, *, distance: float | None = None, columns: Mapping[str, float] | None = None) -> Self:
        """Replaces the thresholds; the bounds stay as they are, and alarms follow from them anew.

        Args:
            distance: alarm when the distance of a batch is shown to be above this; None: the monitor's tolerance.
            columns: alarm when that of a column by itself is shown to be above this, by the column's name.
        """
        return self._change(flows.thresholds_of(distance, columns))

    def edit(self, *, name: str | None = None, metadata: Mapping[str, str] | None = None) -> Self:
        """Changes the name, or replaces the labels."""
        return self._change({k: v for k, v in {"name": name, "metadata": metadata}.items() if v is not None})

    def pause(self) -> Self:
        """Takes no updates until `resume`; those that were submitted still run.

        A pause must not be decided by results: the bounds of the series would no longer hold.
        """
        return self._change({"paused": True})

    def resume(self) -> Self:
        """Takes updates again."""
        return self._change({"paused": False})

    @describes_options
    def new_epoch(
        self,
        reference: Any,
        *,
        tolerance: float | None = None,
        thresholds: AnyThresholds = None,
        progress: bool | None = None,
        **reading: Unpack[UpdateOptions],
    ) -> Self:
        """Begins a new epoch, with a reference that was never used before; what is not given stays as it was.

        The bounds of all epochs share one error budget. Alarms of the epoch before end. It is possible once no update
        is queued or running.

        Args:
            reference: a sample set, its id, or data as `sample_sets.create` takes it; other rows than any before.
            tolerance: a distance up to this is no drift.
            thresholds: when an alarm is raised.
            progress: show a bar while a large reference is sent.
            {reading}
        """
        own = {"tolerance": tolerance, "thresholds": flows.thresholds_from(thresholds)}
        flow = flows.begin_epoch(self.record, reference, own, reading, progress, self._client._retries)
        self.record = self._client._run(flow)
        return self

    def export(self, path: str | PathLike[str] | None = None, *, format: ExportFormat | None = None) -> str:  # noqa: A002 - as in the library
        """All updates as text, also written to `path`: "csv" has one line an update, "jsonl" all of its figures.

        Without `format` the ending of `path` says which it is; CSV otherwise.
        """
        return self._client._run(flows.export(self.id, path, format, self._client._retries))

    def plot(self) -> Figure:
        """The timeline: both ends of each update, its value, and the alarm line; needs matplotlib."""
        from wdist_client.display.plot import plot_monitor

        return plot_monitor(self.record, self.history())

    def delete(self) -> None:
        """Deletes the monitor, its updates and their figures; the sample sets stay."""
        self._client.monitors.delete(self)

    def _change(self, fields: Mapping[str, Any]) -> Self:
        self.record = self._client._run(flows.change(self.id, fields, self._client._retries))
        return self

    def recent(self) -> list[Update]:
        """What the last updates said, at most 100 of them, the oldest first."""
        request = requests.listing(f"{self._path}/updates", None, {}, SHOWN_UPDATES)
        found = self._client._send(request).read(flows.UpdatePage).data
        self._history = flows.figures_in_order(found)
        return self._history

    def __str__(self) -> str:
        with suppress(WdistError):  # the server is gone: show what is known
            self.recent()
        return super().__str__()

    def _repr_html_(self) -> str:
        with suppress(WdistError):
            self.recent()
        return super()._repr_html_()


class UpdateJob(UpdateRecord):
    """A submitted update of a monitor. It runs on the server even if nobody waits for it."""

    def __init__(self, client: Client, record: MonitorUpdate, monitor: str) -> None:
        super().__init__(record, monitor)
        self._client = client

    def wait(self, *, timeout: float | None = None, progress: ShowUpdate = False) -> Update:
        """Waits for what the update says; arguments and errors are those of `Monitor.update`."""
        return self._client._run(flows.wait(self, time.monotonic, timeout, progress, self._client._retries))

    def events(self, after: str | None = None) -> Iterator[Event]:
        """The events of the update, as `Job.events` has those of an estimate."""
        stream = EventStream(self._path, MonitorUpdate, self._client._retries, after)
        for event in followed(self._client._transport, stream):
            self.record = stream.completed or self.record
            yield event

    def refresh(self) -> Self:
        """Fetches the current record of the update."""
        self.record = self._client._send(Request("GET", self._path)).read(MonitorUpdate)
        return self

    def cancel(self) -> Self:
        """Cancels the update; one that has ended is left as it is."""
        self.record = self._client._send(requests.post(f"{self._path}/cancel")).read(MonitorUpdate)
        return self
