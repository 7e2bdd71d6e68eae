"""Follow a job by server-sent events. A broken connection resumes after the last event seen."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from wdist_client.errors import APIConnectionError, APIStatusError, WdistError
from wdist_client.flows import PATIENCE_SECONDS, Retries
from wdist_client.models import Estimate, Event, MonitorUpdate
from wdist_client.requests import Request

if TYPE_CHECKING:
    from wdist_client.transports.http import AsyncTransport, Transport
    from wdist_client.transports.local.asynchronous import AsyncLocalTransport
    from wdist_client.transports.local.transport import LocalTransport

J = TypeVar("J", Estimate, MonitorUpdate)
RECONNECT_SECONDS = 1.0  # between attempts, after the first ones


class EventStream(Generic[J]):
    """Parses the event stream of one job. The sync and the async client share it, and only feed it lines.

    The format is that of WHATWG server-sent events: fields until an empty line; comments begin with a colon.
    """

    def __init__(self, path: str, model: type[J], retries: Retries, after: str | None) -> None:
        """path, model: of the job's record."""
        self._path = f"{path}/events"
        self._model: type[J] = model
        self._retries = retries
        self._last = after
        self._failures = 0
        self._heard: float | None = None
        self._fields: dict[str, str] = {}
        self.completed: J | None = None

    def request(self) -> Request:
        """The request for all events after the last one received."""
        self._fields = {}
        headers = {"Accept": "text/event-stream"} | ({} if self._last is None else {"Last-Event-ID": self._last})
        return Request("GET", self._path, {}, headers)

    def feed(self, line: str) -> Event | None:
        """Processes one line. Returns the event that it completes, if any."""
        self._heard = time.monotonic()
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data" and "data" in self._fields:
                value = f"{self._fields['data']}\n{value}"
            self._fields[name] = value
            return None
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return None
        self._failures = 0
        self._last = fields.get("id", self._last)
        event = Event(id=self._last, type=fields.get("event", "message"), data=json.loads(fields["data"]))
        if event.type == "completed":
            self.completed = self._model.model_validate(event.data)
        return event

    def pause(self, error: WdistError) -> float:
        """Seconds until the next attempt. Raises the error if it should not be retried.

        A server that has sent an event may be silent for a minute: it may be restarted.
        """
        passing = isinstance(error, APIConnectionError)
        if isinstance(error, APIStatusError):
            passing = error.status in self._retries.statuses
        asked = error.retry_after if isinstance(error, APIStatusError) else None
        seconds = self._retries.pause(self._failures, asked) if passing else None
        if passing and seconds is None and self._heard is not None:
            if time.monotonic() - self._heard >= PATIENCE_SECONDS:
                raise error
            seconds = max(RECONNECT_SECONDS, asked or 0.0)
        if seconds is None:
            raise error
        self._failures += 1
        return seconds


def followed(transport: Transport | LocalTransport, stream: EventStream[J]) -> Iterator[Event]:
    """The events of a job until it has ended. A broken connection resumes where it stopped."""
    while stream.completed is None:
        try:
            for line in transport.lines(stream.request()):
                if event := stream.feed(line):
                    yield event
            if stream.completed is None:
                raise APIConnectionError(_EARLY_END)
        except (APIConnectionError, APIStatusError) as error:
            time.sleep(stream.pause(error))


async def followed_async(
    transport: AsyncTransport | AsyncLocalTransport, stream: EventStream[J]
) -> AsyncIterator[Event]:
    """As `followed`, for `async for`."""
    while stream.completed is None:
        try:
            async for line in transport.lines(stream.request()):
                if event := stream.feed(line):
                    yield event
            if stream.completed is None:
                raise APIConnectionError(_EARLY_END)
        except (APIConnectionError, APIStatusError) as error:
            await asyncio.sleep(stream.pause(error))


_EARLY_END = "the server ended the stream of events early"
