"""Structured logs: one JSON object per line on stderr, with the fields that callers pass in `extra`."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from typing import Any

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


class Throttle(logging.Filter):
    """Lets each place in the code warn 20 times at once and then once a second; says how many lines it left out.

    What a peer can cause, it can cause thousands of times a second, and a full disk ends the server for everyone.
    Lines below a warning pass: the access log has one a request.
    """

    _MOST = 20.0

    def __init__(self) -> None:
        super().__init__()
        self._places: dict[tuple[str, int], tuple[float, float, int]] = {}  # allowance, when it was, lines left out
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        place, now = (record.pathname, record.lineno), time.monotonic()
        with self._lock:
            left, since, left_out = self._places.get(place, (self._MOST, now, 0))
            left = min(self._MOST, left + now - since)
            if left < 1:
                self._places[place] = left, now, left_out + 1
                return False
            self._places[place] = left - 1, now, 0
        if left_out:
            record.left_out = left_out
        return True


def configure(level: str) -> None:
    """Send every log record of this process to stderr as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(Throttle())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in ("alembic", "dbos", "uvicorn"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
