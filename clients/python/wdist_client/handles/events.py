"""Follow a job by server-sent events. A broken connection resumes after the last event seen."""

from __future__ import annotations

import json

from wdist_client.errors import APIConnectionError, APIStatusError, WdistError
from wdist_client.flows import Retries
from wdist_client.models import Estimate, Event
from wdist_client.requests import Request


class EventStream:
    """Parses the event stream of one job. The sync and the async client share it, and only feed it lines.

    The format is that of WHATWG server-sent events: fields until an empty line; comments begin with a colon.
    """

    def __init__(self, identifier: str, retries: Retries, after: str | None) -> None:
        self._path = f"/v1/estimates/{identifier}/events"
        self._retries = retries
        self._last = after
        self._failures = 0
        self._fields: dict[str, str] = {}
        self.completed: Estimate | None = None

    def request(self) -> Request:
        """The request for all events after the last one received."""
        self._fields = {}
        headers = {"Accept": "text/event-stream"} | ({} if self._last is None else {"Last-Event-ID": self._last})
        return Request("GET", self._path, {}, headers)

    def feed(self, line: str) -> Event | None:
        """Processes one line. Returns the event that it completes, if any."""
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
            self.completed = Estimate.model_validate(event.data)
        return event

    def pause(self, error: WdistError) -> float:
        """Seconds until the next attempt. Raises the error if it should not be retried."""
        passing = isinstance(error, APIConnectionError)
        if isinstance(error, APIStatusError):
            passing = error.status in self._retries.statuses
        asked = error.retry_after if isinstance(error, APIStatusError) else None
        seconds = self._retries.pause(self._failures, asked) if passing else None
        if seconds is None:
            raise error
        self._failures += 1
        return seconds
