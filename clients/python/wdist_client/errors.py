"""The exceptions of the client. Their messages say what to do next."""
# ruff: noqa: N818 - the status errors are named after HTTP statuses

from __future__ import annotations

import json
import re
import shutil
import sys
import sysconfig
from collections.abc import Callable
from contextvars import ContextVar
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

if TYPE_CHECKING:
    from wdist_client.models import Batch, Estimate, MonitorUpdate

from wdist_client.advice import in_python


class WdistError(Exception):
    """Base class of all errors that the client raises."""

    def __str__(self) -> str:
        """The message, which names options as keyword arguments."""
        return in_python(super().__str__())


class SampleError(WdistError, ValueError):
    """The data given cannot become a sample set (not numeric, not an array, no .npy file)."""


class OptionError(WdistError, ValueError):
    """An argument is invalid: not an id, not valid JSON, or an address without a scheme."""


class APIConnectionError(WdistError):
    """The server did not answer: it is not running or not reachable, or the connection broke."""


class APITimeoutError(APIConnectionError, TimeoutError):
    """The server did not answer within the client's timeout."""


class UnexpectedAnswerError(WdistError):
    """The response is not one of a wdist server."""


class APIStatusError(WdistError):
    """The server refused a request.

    Attributes:
        status: the HTTP status.
        title, detail: what the server says; the exception's text names the client's arguments in place of parameters.
        errors: the fields at fault, a list of {"field", "message"}.
        request_id: quote it to whoever runs the server.
        retry_after: seconds that the server asks to wait before a retry, or None.
    """

    def __init__(self, status: int, problem: dict[str, Any], retry_after: float | None = None) -> None:
        self.status = status
        self.title = str(problem.get("title") or f"HTTP {status}")
        self.detail = str(problem.get("detail") or "")
        self.errors: list[dict[str, Any]] = list(problem.get("errors") or [])
        self.request_id: str | None = problem.get("request_id")
        self.retry_after = retry_after
        super().__init__(self._message())

    def _message(self) -> str:
        message = self.detail or self.title
        unsaid = [e for e in self.errors if e.get("message") and e["message"] not in message]
        fields = [field for e in unsaid if (field := f"{e.get('field')}: {e['message']}") not in message]
        if fields:
            message = f"{message.rstrip('.')}: {'; '.join(fields)}"
        reference = f", request {self.request_id}" if self.request_id else ""
        return f"{message} (HTTP {self.status}{reference})"

    def call_the_body(self, name: str) -> None:
        """Have the text of a refused body begin with the name of the data, which the server does not know."""
        text = re.sub(r"^the body(?: \(\w+\))?(?=[: ])", lambda _: name, str(self.args[0]))
        self.args = (text, *self.args[1:])


class BadRequest(APIStatusError):
    """400: the request is malformed (for example, its digest does not match the body)."""


class AuthenticationError(APIStatusError):
    """401: the key is missing or wrong; give `api_key=` or set WDIST_API_KEY."""

    def _message(self) -> str:
        return f"{super()._message()}; set WDIST_API_KEY, or give the client an api_key"


class PermissionDenied(APIStatusError):
    """403: the key may not do this."""


class NotFound(APIStatusError):
    """404: you have no such sample set, estimate or batch."""


class Conflict(APIStatusError):
    """409: not possible in the current state (for example, deleting a sample set in use)."""


class TooLarge(APIStatusError):
    """413: the body is over the server's limit."""


class UnsupportedFormat(APIStatusError):
    """415: the server does not read this kind of file."""


class InvalidRequest(APIStatusError):
    """422: an option or the data is invalid; `errors` names the fields."""


class RateLimited(APIStatusError):
    """429: too many requests or over a quota; `retry_after` says when to try again."""


class ServerError(APIStatusError):
    """5xx: the server failed or is overloaded; `retry_after` says when to try again."""

    def _message(self) -> str:
        message = super()._message()
        if self.retry_after is None or "try again" in message:
            return message
        return f"{message}; the server is still busy: try again in {self.retry_after:g} s"


class StorageFull(ServerError):
    """507: the server's disk is full."""


BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequest,
    401: AuthenticationError,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    415: UnsupportedFormat,
    422: InvalidRequest,
    429: RateLimited,
    507: StorageFull,
}


class WithdrawnError(WdistError, ValueError):
    """The lower bound of an earlier version must not be used any more: the message says why, and what to do."""


class LeftOutWarning(UserWarning):
    """Something of the data was left out when it was sent, such as the images of subfolders."""


class WithdrawnWarning(UserWarning):
    """A file of an earlier version says what must not be relied on any more."""


class EstimateFailed(WdistError):
    """The job failed. `estimate` is its record, and the message says why."""

    def __init__(self, estimate: Estimate) -> None:
        self.estimate = estimate
        super().__init__(f"estimate {estimate.id} {_reason(estimate)}")


class EstimateCanceled(EstimateFailed):
    """The job was canceled before it had a result."""


class UpdateFailed(WdistError):
    """The update of a monitor failed, and its series is as it was. `update` is its record; the message says why."""

    def __init__(self, update: MonitorUpdate) -> None:
        self.update = update
        reason = _reason(update).rstrip(".")
        super().__init__(f"update {update.id} {reason}; the monitor's series is as it was before")


class UpdateCanceled(UpdateFailed):
    """The update of a monitor was canceled before it had figures."""


def _reason(record: Estimate | MonitorUpdate) -> str:
    """Why the record of a job that has ended has no answer."""
    if record.status == "canceled":
        return "was canceled"
    return f"failed: {record.error.message if record.error else 'the server gives no reason'}"


class WaitTimeout(WdistError, TimeoutError):
    """Waiting took longer than `timeout`. The job goes on.

    Attributes:
        estimate: the last known record of the estimate, the batch or the update.
    """

    def __init__(self, job: Estimate | Batch | MonitorUpdate, seconds: float) -> None:
        self.estimate = job
        kind, place = whereabouts(job)
        super().__init__(
            f"{kind} {job.id} is still {job.status} after {seconds:g} s; it goes on: "
            f"wait again, or come back with {place}"
        )


in_words: ContextVar[Callable[[str], str]] = ContextVar("in_words", default=str)
"""Puts text that names calls of Python into other words: those of the command line."""


def whereabouts(job: Any) -> tuple[str, str]:
    """What the record of an estimate, a batch or an update is called, and the call that finds it again."""
    if hasattr(job, "counts"):
        return "batch", f'client.batches.get("{job.id}")'
    if hasattr(job, "figures"):
        return "update", f'client.monitors.get("{job.monitor}").get_update("{job.id}")'
    return "estimate", f'client.estimates.get("{job.id}")'


def pip_install(*packages: str) -> str:
    """`pip install` of these, with the pip of the environment that runs, which is not always the first on the path."""
    found = shutil.which("pip")
    is_here = found is not None and Path(found).parent == Path(sysconfig.get_path("scripts"))
    words = [*(["pip"] if is_here else [sys.executable, "-m", "pip"]), "install", *packages]
    return " ".join(f'"{word}"' if " " in word else word for word in words)


def install_library() -> str:
    """The command for the library: its folder or wheel beside those of this client, for it is on no package index."""
    try:
        origin = json.loads(distribution("wdist-client").read_text("direct_url.json") or "{}")  # PEP 610
    except PackageNotFoundError:
        origin = {}
    at = urlsplit(origin.get("url", ""))
    source = Path(url2pathname(at.path)) if at.scheme == "file" else None
    if source is not None and source.parts[-2:] == ("clients", "python") and source.parents[1].is_dir():
        return pip_install(str(source.parents[1]))
    if source is not None and (wheels := sorted(source.parent.glob("wdist-*.whl"))):
        return pip_install(str(wheels[-1]))
    return f"{pip_install('.')} in a clone of its repository"
