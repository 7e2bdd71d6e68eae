"""Monitors of the asynchronous client: what `wdist_client.monitors.synchronous` has, awaited."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from datetime import date
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack, overload

from wdist_client import requests
from wdist_client.handles.events import EventStream, followed_async
from wdist_client.models import Event, MonitorState, MonitorUpdate, Update
from wdist_client.monitors import flows
from wdist_client.monitors.flows import AnyThresholds, ExportFormat, MonitorRecord, ShowUpdate, UpdateRecord, When
from wdist_client.options import MonitorOptions, UpdateOptions
from wdist_client.requests import Request

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wdist_client.async_client import AsyncClient


class AsyncMonitors:
    """Like `Monitors`, but awaited."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def create(
        self,
        reference: Any,
        *,
        name: str | None = None,
        thresholds: AnyThresholds = None,
        metadata: Mapping[str, str] | None = None,
        progress: bool | None = None,
        **options: Unpack[MonitorOptions],
    ) -> AsyncMonitor:
        """As `Monitors.create`."""
        own = {"name": name, "thresholds": flows.thresholds_from(thresholds), "metadata": metadata}
        flow = flows.create(reference, own, options, progress, self._client._retries)
        return AsyncMonitor(self._client, await self._client._run(flow))

    async def get(self, monitor: str | MonitorRecord | MonitorState) -> AsyncMonitor:
        """As `Monitors.get`."""
        return AsyncMonitor(self._client, await self._client._run(flows.get(monitor, self._client._retries)))

    async def list(
        self, *, alarm: bool | None = None, metadata: Mapping[str, str] | None = None, name: str | None = None
    ) -> AsyncIterator[AsyncMonitor]:
        """As `Monitors.list`, for `async for`."""
        filters = flows.filters(alarm, metadata, name)
        async for record in self._client._pages(flows.ROOT, flows.MonitorPage, **filters):
            yield AsyncMonitor(self._client, record)

    async def delete(self, monitor: str | MonitorRecord | MonitorState) -> None:
        """As `Monitors.delete`."""
        await self._client._send(Request("DELETE", flows.path_of(monitor)))


class AsyncMonitor(MonitorRecord):
    """Like `Monitor`, but awaited."""

    def __init__(self, client: AsyncClient, record: MonitorState) -> None:
        super().__init__(record)
        self._client = client

    @overload
    async def update(
        self, batch: Any, *, at: When | date | None = None, name: str | None = None, wait: Literal[True] = True,
        timeout: float | None = None, progress: ShowUpdate = False, **reading: Unpack[UpdateOptions],
    ) -> Update: ...  # fmt: skip

    @overload
    async def update(
        self, batch: Any, *, at: When | date | None = None, name: str | None = None, wait: Literal[False],
        timeout: float | None = None, progress: ShowUpdate = False, **reading: Unpack[UpdateOptions],
    ) -> AsyncUpdateJob: ...  # fmt: skip

    async def update(
        self,
        batch: Any,
        *,
        at: When | date | None = None,
        name: str | None = None,
        wait: bool = True,
        timeout: float | None = None,
        progress: ShowUpdate = False,
        **reading: Unpack[UpdateOptions],
    ) -> Update | AsyncUpdateJob:
        """As `Monitor.update`; cancelling the task leaves the update running."""
        sending = progress if isinstance(progress, bool) else None
        flow = flows.submit(self.record, batch, at, name, reading, sending, self._client._retries)
        job = AsyncUpdateJob(self._client, await self._client._run(flow), self.id)
        if not wait:
            return job
        found = await job.wait(timeout=timeout, progress=progress)
        await self.refresh()
        return found

    async def updates(self) -> AsyncIterator[AsyncUpdateJob]:
        """As `Monitor.updates`, for `async for`."""
        async for record in self._client._pages(f"{self._path}/updates", flows.UpdatePage):
            yield AsyncUpdateJob(self._client, record, self.id)

    async def get_update(self, update: str | UpdateRecord | MonitorUpdate) -> AsyncUpdateJob:
        """As `Monitor.get_update`."""
        answer = await self._client._send(Request("GET", flows.update_path(self.id, update)))
        return AsyncUpdateJob(self._client, answer.read(MonitorUpdate), self.id)

    async def history(self) -> list[Update]:
        """As `Monitor.history`; a notebook shows the timeline once it was fetched."""
        self._history = flows.figures_in_order([job.record async for job in self.updates()])
        return self._history

    async def refresh(self) -> Self:
        """As `Monitor.refresh`."""
        self.record = (await self._client.monitors.get(self.id)).record
        return self

    async def set_thresholds(
        self, *, distance: float | None = None, columns: Mapping[str, float] | None = None
    ) -> Self:
        """As `Monitor.set_thresholds`."""
        return await self._change(flows.thresholds_of(distance, columns))

    async def edit(self, *, name: str | None = None, metadata: Mapping[str, str] | None = None) -> Self:
        """As `Monitor.edit`."""
        return await self._change({k: v for k, v in {"name": name, "metadata": metadata}.items() if v is not None})

    async def pause(self) -> Self:
        """As `Monitor.pause`."""
        return await self._change({"paused": True})

    async def resume(self) -> Self:
        """As `Monitor.resume`."""
        return await self._change({"paused": False})

    async def new_epoch(
        self,
        reference: Any,
        *,
        tolerance: float | None = None,
        thresholds: AnyThresholds = None,
        progress: bool | None = None,
        **reading: Unpack[UpdateOptions],
    ) -> Self:
        """As `Monitor.new_epoch`."""
        own = {"tolerance": tolerance, "thresholds": flows.thresholds_from(thresholds)}
        flow = flows.begin_epoch(self.record, reference, own, reading, progress, self._client._retries)
        self.record = await self._client._run(flow)
        return self

    async def export(self, path: str | PathLike[str] | None = None, *, format: ExportFormat | None = None) -> str:  # noqa: A002 - as in the library
        """As `Monitor.export`."""
        return await self._client._run(flows.export(self.id, path, format, self._client._retries))

    async def plot(self) -> Figure:
        """As `Monitor.plot`."""
        from wdist_client.display.plot import plot_monitor

        return plot_monitor(self.record, await self.history())

    async def delete(self) -> None:
        """As `Monitor.delete`."""
        await self._client.monitors.delete(self)

    async def _change(self, fields: Mapping[str, Any]) -> Self:
        self.record = await self._client._run(flows.change(self.id, fields, self._client._retries))
        return self


class AsyncUpdateJob(UpdateRecord):
    """Like `UpdateJob`, but awaited."""

    def __init__(self, client: AsyncClient, record: MonitorUpdate, monitor: str) -> None:
        super().__init__(record, monitor)
        self._client = client

    async def wait(self, *, timeout: float | None = None, progress: ShowUpdate = False) -> Update:
        """As `UpdateJob.wait`; cancelling the task leaves the update running."""
        return await self._client._run(flows.wait(self, time.monotonic, timeout, progress, self._client._retries))

    async def events(self, after: str | None = None) -> AsyncIterator[Event]:
        """As `UpdateJob.events`, for `async for`."""
        stream = EventStream(self._path, MonitorUpdate, self._client._retries, after)
        async for event in followed_async(self._client._transport, stream):
            self.record = stream.completed or self.record
            yield event

    async def refresh(self) -> Self:
        """As `UpdateJob.refresh`."""
        self.record = (await self._client._send(Request("GET", self._path))).read(MonitorUpdate)
        return self

    async def cancel(self) -> Self:
        """As `UpdateJob.cancel`."""
        self.record = (await self._client._send(requests.post(f"{self._path}/cancel"))).read(MonitorUpdate)
        return self
