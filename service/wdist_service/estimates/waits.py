"""`Prefer: wait=N` (RFC 7240): hold the answer back until the job has ended. A wait costs no thread and no query."""

from __future__ import annotations

import re
import time

from wdist_service.estimates.events import EventFeed
from wdist_service.http.dependencies import Services
from wdist_service.keys.caller import Caller, check_still_allowed

_MAX_WAIT_SECONDS = 60
_SECONDS_BETWEEN_CHECKS = 1.0  # of the caller's key
_WAIT = re.compile(r"(?:^|[,;\s])wait=(\d{1,4})")


def wanted_wait(prefer: str | None) -> int:
    """The seconds of a Prefer header; 0 if it asks for none."""
    match = _WAIT.search(prefer or "")
    return min(int(match[1]), _MAX_WAIT_SECONDS) if match else 0


async def until_ended(services: Services, caller: Caller, job_id: str, seconds: float) -> None:
    """Wait until a job or all of a batch has ended, the time is over, or the server closes.

    Raises UnauthorizedError when the caller's key is revoked meanwhile.
    """
    events, deadline = services[EventFeed], time.monotonic() + seconds
    with events.listening(job_id):
        while (left := deadline - time.monotonic()) > 0 and not events.is_closing():
            if await events.ended(job_id, min(left, _SECONDS_BETWEEN_CHECKS)):
                return
            await check_still_allowed(services, caller)
