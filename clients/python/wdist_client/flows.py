"""The client's logic as flows, shared by the sync and the async client.

A flow is a generator: it yields a step (send this request, sleep, compute) and receives the outcome, or has the error
thrown into it. `Client` and `AsyncClient` differ only in how they run a step.
"""

from __future__ import annotations

import html
import random
import warnings
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from wdist_client.base import Model
from wdist_client.contract import Progress
from wdist_client.display.text import JobBar
from wdist_client.errors import (
    APIConnectionError,
    APIStatusError,
    EstimateCanceled,
    EstimateFailed,
    ServerError,
    UnexpectedAnswerError,
    WaitTimeout,
    WithdrawnWarning,
    whereabouts,
)
from wdist_client.models import Batch, Estimate, MonitorUpdate, Result, in_short
from wdist_client.requests import Request, Response
from wdist_client.results.certificate import Certificate
from wdist_client.results.file import critic_of
from wdist_client.results.result import StoredCritic
from wdist_client.results.witness import Witness

T = TypeVar("T")
M = TypeVar("M", bound=Model)
J = TypeVar("J", Estimate, Batch, MonitorUpdate)
PATIENCE_SECONDS = 60.0  # how long a server may be silent before waiting is given up


@dataclass(frozen=True)
class Sleep:
    """A step: sleep this long."""

    seconds: float


@dataclass(frozen=True)
class Compute:
    """A step: slow work (reading, hashing) that must not block an event loop."""

    work: Callable[[], Any]


Step = Request | Sleep | Compute
Flow = Generator[Step, Any, T]
ShowProgress = bool | Callable[[Estimate], object] | None


@dataclass(frozen=True)
class Retries:
    """When a request is sent again: connection errors, 408, 429 and 5xx, at most `most` times.

    The pause doubles from `first_seconds`, with jitter so that clients do not retry in step. Retry-After is obeyed up
    to `longest_seconds`; if the server asks for more, the error is raised.
    """

    most: int = 4
    first_seconds: float = 0.2
    longest_seconds: float = 60.0
    statuses: frozenset[int] = frozenset({408, 429, 500, 502, 503, 504})

    def pause(self, attempt: int, asked: float | None) -> float | None:
        """Seconds to wait before attempt + 1; None means to give up."""
        if attempt >= self.most or (asked is not None and asked > self.longest_seconds):
            return None
        backoff: float = min(self.first_seconds * 2**attempt, 8.0) * random.uniform(0.75, 1.25)
        return max(backoff, asked or 0.0)


class JobRecord:
    """The last known state of a job; the handles `Job` and `AsyncJob` add what can be done with it."""

    def __init__(self, estimate: Estimate, names: tuple[str, str] | None = None) -> None:
        """names: of the two sets, if they are known here."""
        self.estimate = estimate
        self.names = names

    @property
    def id(self) -> str:
        return self.estimate.id

    @property
    def name(self) -> str | None:
        """The name that its owner gave it, as last heard."""
        return self.estimate.name

    @property
    def status(self) -> str:
        """queued, running, canceling, succeeded, failed or canceled, as last heard."""
        return self.estimate.status

    @property
    def progress(self) -> Progress | None:
        return self.estimate.progress

    @property
    def result(self) -> Result | None:
        """The result, or None where there is none yet; `wait()` waits for it."""
        return self._tied(self.estimate.result) if self.estimate.result else None

    def _tied(self, result: Result) -> Result:
        """Ties the result to this job. The handles override this."""
        return result

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {in_short(self.estimate)}>"

    def _repr_html_(self) -> str:
        return self.result._repr_html_() if self.result else html.escape(repr(self))


def send(request: Request, retries: Retries) -> Flow[Response]:
    """Sends a request, with retries. Raises the error of the last attempt."""
    attempt = 0
    while True:
        error: APIConnectionError | APIStatusError
        try:
            response: Response = yield request
        except APIConnectionError as failure:
            error, asked = failure, None
        else:
            if response.status < 400:
                return response
            if request.method == "DELETE" and response.status == 404 and attempt:
                return response  # the first attempt worked, but its response was lost
            error = response.error()
            asked = error.retry_after
            if error.status not in retries.statuses:
                raise error
        pause = retries.pause(attempt, asked) if request.repeatable else None
        if pause is None:
            raise error
        yield Sleep(pause)
        attempt += 1


def fetched(path: str, model: type[M], retries: Retries) -> Flow[M]:
    """The record at this path."""
    answer = yield from send(Request("GET", path), retries)
    return answer.read(model)


def until_ended(
    path: str,
    record: J,
    clock: Callable[[], float],
    timeout: float | None,
    retries: Retries,
    seen: Callable[[J], object],
    silent: Callable[[], object] = lambda: None,
    pauses: tuple[float, float] = (0.05, 1.0),
) -> Flow[J]:
    """Polls the record of a job until it has ended, more often at first. Survives a restart of the server.

    Args:
        seen, silent: called with each record, and whenever the server does not answer.
        pauses: the first and the longest, in seconds.

    Raises WaitTimeout.
    """
    started = heard = clock()
    pause = pauses[0]
    seen(record)
    while not record.ended:
        left = float("inf") if timeout is None else started + timeout - clock()
        if timeout is not None and left <= 0:
            raise WaitTimeout(record, timeout)
        yield Sleep(min(pause, left))
        pause = min(pause * 1.3, pauses[1])
        try:
            record = yield from fetched(path, type(record), retries)
        except (APIConnectionError, ServerError) as error:
            if clock() - heard >= PATIENCE_SECONDS:
                if isinstance(error, APIConnectionError):
                    raise _left_alone(record, error) from error
                raise
            silent()
            continue
        heard = clock()
        seen(record)
    return record


def witness(identifier: str, retries: Retries) -> Flow[Witness]:
    """Where the sets of an estimate differ."""
    answer = yield from send(Request("GET", f"/v1/estimates/{identifier}/witness"), retries)
    try:
        return Witness(answer.json())
    except ValidationError as error:
        raise UnexpectedAnswerError(
            "the answer is no witness of this client's version; update wdist-client or the server"
        ) from error


def certificate(identifier: str, retries: Retries) -> Flow[Certificate]:
    """The certificate. Warns where the server has a note about it."""
    answer = yield from send(Request("GET", f"/v1/estimates/{identifier}/certificate"), retries)
    if (note := answer.headers.get("wdist-note")) is not None:
        warnings.warn(note, WithdrawnWarning, stacklevel=5)
    return Certificate(answer.body)


def critic(identifier: str, retries: Retries) -> Flow[StoredCritic]:
    """The critic as a result's file has it."""
    path = f"/v1/estimates/{identifier}/critic"
    config = yield from send(Request("GET", path, {"part": "config"}), retries)
    weights = yield from send(Request("GET", path, {"part": "weights"}), retries)
    return critic_of(config.body, weights.body)


def _left_alone(record: J, error: APIConnectionError) -> APIConnectionError:
    """The server is gone: a job that it keeps goes on when it is back."""
    kind, place = whereabouts(record)
    return type(error)(f"{error}; {kind} {record.id} goes on when the server is back: come back with {place}")


def wait(
    job: JobRecord, clock: Callable[[], float], timeout: float | None, progress: ShowProgress, retries: Retries
) -> Flow[Result]:
    """The result, once the job has ended.

    Raises EstimateFailed, EstimateCanceled, WaitTimeout; KeyboardInterrupt leaves the job running and says so.
    """
    bar = JobBar(job.estimate, progress)

    def seen(record: Estimate) -> None:
        job.estimate = record
        bar.show(record)

    try:
        yield from until_ended(f"/v1/estimates/{job.id}", job.estimate, clock, timeout, retries, seen, bar.no_answer)
    except KeyboardInterrupt:
        bar.leave(job.estimate)
        raise
    finally:
        bar.close()
    return outcome(job.estimate)


def outcome(estimate: Estimate) -> Result:
    """The result of a job that has ended; raises EstimateFailed or EstimateCanceled where there is none."""
    if estimate.status == "canceled":
        raise EstimateCanceled(estimate)
    if estimate.result is None:
        raise EstimateFailed(estimate)
    return estimate.result
