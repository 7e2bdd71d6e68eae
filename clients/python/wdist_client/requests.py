"""The requests of the HTTP API and how to read their responses.

Nothing here depends on an HTTP library, so the sync and the async client share it.
"""

from __future__ import annotations

import json
import os
import uuid
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from wdist_client.base import Model
from wdist_client.errors import (
    BY_STATUS,
    APIStatusError,
    OptionError,
    ServerError,
    UnexpectedAnswerError,
)
from wdist_client.models import Batch, Estimate, Evaluation, Page, SampleSet
from wdist_client.options import given, refuse_reading
from wdist_client.rows.columns import check_kinds, check_names
from wdist_client.rows.reading import as_lines, as_params

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wdist_client.options import EstimateOptions
    from wdist_client.rows.payload import Payload

M = TypeVar("M", bound=BaseModel)
TUS = {"Tus-Resumable": "1.0.0"}
NPY = "application/octet-stream"  # also for other files, whose format the server knows by their name
Filter = str | list[str] | None
BY = "/v1/sample-sets/by"
REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})


@dataclass(frozen=True)
class Upload:
    """A body streamed from `start`. `again` is called when sending starts, `seen` with the size of each block sent."""

    payload: Payload
    start: int = 0
    again: Callable[[], object] = lambda: None
    seen: Callable[[int], object] | None = None

    def blocks(self) -> Iterator[bytes]:
        self.again()
        return self.payload.blocks(self.seen, self.start)


@dataclass(frozen=True)
class Request:
    """One HTTP request, `path` below the server's address."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | Upload | None = None

    @property
    def repeatable(self) -> bool:
        """Whether it is safe to send the request twice."""
        return self.method in REPEATABLE or "Idempotency-Key" in self.headers


@dataclass(frozen=True)
class Response:
    """Status, headers (names in lower case) and the whole body of an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; raises UnexpectedAnswerError where it is none."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            start = self.body[:80].decode("utf-8", "replace")
            raise UnexpectedAnswerError(
                f"the answer is not JSON but {start!r}: is this address that of a wdist server?"
            ) from error

    def read(self, model: type[M]) -> M:
        """The body as `model`; raises UnexpectedAnswerError where a needed field is missing or of another type."""
        try:
            return model.model_validate(self.json())
        except ValidationError as error:
            raise UnexpectedAnswerError(
                f"the answer is not a {model.__name__} of this client's version: {error.errors()[0]['msg']} "
                f"at {'.'.join(map(str, error.errors()[0]['loc']))}; update wdist-client or the server"
            ) from error

    def error(self) -> APIStatusError:
        """The error that this answer stands for."""
        problem: dict[str, Any] = {}
        if "json" in self.headers.get("content-type", ""):
            content = self.json()
            problem = content if isinstance(content, dict) else {}
        kind = BY_STATUS.get(self.status, ServerError if self.status >= 500 else APIStatusError)
        problem.setdefault("request_id", self.headers.get("x-request-id"))
        return kind(self.status, problem, retry_after(self.headers.get("retry-after")))


def retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header, which is a number of seconds or a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def place_of(location: str) -> str:
    """The path of what a `Location` names, as requests give it: what a proxy puts before it is in the base address."""
    _, found, rest = location.rpartition("/v1/")
    return found + rest if found else location


def check_address(base_url: str) -> str:
    """The address without a trailing slash, and without the /v1 of the paths. Raises OptionError if it is not valid."""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise OptionError(f'"{base_url}" is not an address of a server: give it like http://127.0.0.1:8000')
    return base_url.rstrip("/").removesuffix("/v1").rstrip("/")


def find_sample_set(digest: bytes) -> Request:
    """The sample sets with these bytes that this tenant has: they may differ by name and columns."""
    return Request("GET", "/v1/sample-sets", {"sha256": digest.hex(), "limit": "100"})


def create_sample_set(
    payload: Payload,
    digest: bytes,
    name: str | None,
    path: str = "/v1/sample-sets",
    more: Mapping[str, Any] | None = None,
) -> Request:
    """Sends the bytes; the server checks them against the digest (RFC 9530)."""
    headers = {
        "Content-Type": NPY,
        "Content-Length": str(payload.length),
        "Repr-Digest": f"sha-256=:{b64encode(digest).decode()}:",
        "Idempotency-Key": str(uuid.uuid4()),
    }
    params = given({"name": name, "filename": payload.file_name, **as_params(payload.reading), **(more or {})})
    return Request("POST", path, params, headers, Upload(payload))


def name_columns(stored: SampleSet, names: Sequence[str]) -> Request:
    """Names the columns of a stored table that was sent as an array."""
    content = json.dumps({"columns": names}).encode()
    return Request("PUT", f"/v1/sample-sets/{stored.id}/columns", {}, {"Content-Type": "application/json"}, content)


def begin_upload(payload: Payload, name: str | None) -> Request:
    """Begins a resumable upload (tus 1.0, creation). Names of columns are sent one a line."""
    # Without a name the file's would be taken.
    metadata = given({"name": name or "", "filename": payload.file_name, **as_lines(payload.reading)})
    headers = {
        **TUS,
        "Upload-Length": str(payload.length),
        "Upload-Metadata": ",".join(
            f"{key} {b64encode(value.encode()).decode()}".strip() for key, value in metadata.items()
        ),
        "Idempotency-Key": str(uuid.uuid4()),
    }
    return Request("POST", "/v1/uploads", {}, headers)


def continue_upload(path: str, payload: Payload, start: int) -> Request:
    """Sends the bytes from `start` on (tus 1.0, core); what arrives before the connection breaks is kept."""
    headers = {
        **TUS,
        "Content-Type": "application/offset+octet-stream",
        "Content-Length": str(payload.length - start),
        "Upload-Offset": str(start),
    }
    return Request("PATCH", path, {}, headers, Upload(payload, start))


def watched(request: Request, again: Callable[[], object], seen: Callable[[int], object]) -> Request:
    """The same request, with callbacks for a progress bar."""
    assert isinstance(request.content, Upload)  # noqa: S101 - for the type checker
    return replace(request, content=replace(request.content, again=again, seen=seen))


def _called(source: SampleSet, target: SampleSet) -> tuple[str, str]:
    """What messages call two sets: their names where these tell them apart."""
    if source.name and target.name and source.name != target.name:
        return source.name, target.name
    return "source", "target"


def create_estimate(source: SampleSet | str, target: SampleSet | str, options: EstimateOptions) -> Request:
    """Submits a job; options that are None get the server's defaults. Raises SampleError if columns differ."""
    refuse_reading(options)
    pair = {"source": identifier(source, "ss_"), "target": identifier(target, "ss_")}
    if isinstance(source, SampleSet) and isinstance(target, SampleSet):  # of an id only the server knows the columns
        check_kinds(source.shape, target.shape, *_called(source, target))
        check_names(source.columns, target.columns, *_called(source, target))
    body = given(options)
    if "groups" in body and not isinstance(body["groups"], Mapping):
        if not isinstance(body["groups"], list | tuple) or len(body["groups"]) != 2:
            raise OptionError("groups takes two sets, the labels of the source's rows and of the target's")
        labels = [identifier(labels, "ss_") for labels in body["groups"]]
        body["groups"] = dict(zip(pair.values(), labels, strict=True))
    key = body.pop("idempotency_key", None)
    return post("/v1/estimates", {**pair, **body}, key)


def names_of_pair(source: SampleSet | str, target: SampleSet | str) -> tuple[str, str] | None:
    """What results call the two sets, if their records are given and have names that differ."""
    names = [each.name for each in (source, target) if isinstance(each, SampleSet) and each.name]
    return (names[0], names[1]) if len(set(names)) == 2 else None


def patch(path: str, body: Mapping[str, Any]) -> Request:
    """A JSON request that sets fields. It is safe to repeat because it has an idempotency key."""
    return replace(post(path, body), method="PATCH")


def post(path: str, body: Mapping[str, Any] | None = None, key: str | None = None) -> Request:
    """A JSON request that is safe to repeat because it has an idempotency key."""
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}
    if body is None:
        return Request("POST", path, {}, headers)
    written = ", ".join(f"{json.dumps(name)}: {_written(name, value)}" for name, value in body.items())
    return Request("POST", path, {}, {**headers, "Content-Type": "application/json"}, f"{{{written}}}".encode())


def once(path: str, body: Mapping[str, Any] | None = None) -> Request:
    """A JSON request that is sent only once, as each time it does something more."""
    request = post(path, body)
    return replace(request, headers={n: v for n, v in request.headers.items() if n != "Idempotency-Key"})


def _written(name: str, value: Any) -> str:
    """An option as JSON. Raises OptionError, which names it."""
    try:
        return json.dumps(value, allow_nan=False, default=_plain)
    except TypeError as error:
        raise OptionError(f"{name} cannot be written as JSON: {error}") from error
    except ValueError as error:
        said = str(value) if isinstance(value, float) else "too large, or holds such a number"
        raise OptionError(f"{name} is {said}; it must be a finite number") from error


def _plain(value: Any) -> Any:
    """A Python number for a scalar of NumPy or torch, a flat list for an array."""
    if hasattr(value, "tolist") and hasattr(value, "ndim"):
        return value.reshape(-1).tolist() if value.ndim else value.item()
    raise TypeError(f"it is of type {type(value).__name__}")


def evaluate(path: str, payload: Payload) -> Request:
    """The critic's scores of rows; both body and response are .npy."""
    headers = {
        "Content-Type": NPY,
        "Content-Length": str(payload.length),
        "Accept": "application/x-npy",
        "Idempotency-Key": str(uuid.uuid4()),
    }
    return Request("POST", path, {}, headers, Upload(payload))


def evaluate_stored(path: str, rows: SampleSet) -> Request:
    """The critic's scores of a stored set, as .npy."""
    headers = {"Accept": "application/x-npy", "Idempotency-Key": str(uuid.uuid4())}
    return Request("POST", path, {"sample_set": rows.id}, headers)


def delete_evaluation(estimate: str, evaluation: Any) -> Request:
    return Request("DELETE", f"/v1/estimates/{estimate}/evaluations/{identifier(evaluation, 'ev_')}")


def listing(path: str, after: str | None, filters: Mapping[str, Filter], limit: int = 100) -> Request:
    """One page of a list."""
    params = {"limit": str(limit), **{k: v for k, v in {**filters, "after": after}.items() if v is not None}}
    return Request("GET", path, params)


def labels(metadata: Mapping[str, str] | None) -> list[str] | None:
    """Labels in the form of the list filter, name:value."""
    return None if metadata is None else [f"{name}:{value}" for name, value in metadata.items()]


def filters_of_estimates(
    status: str | None, metadata: Mapping[str, str] | None, search: str | None
) -> dict[str, Filter]:
    """What a list of estimates is asked for."""
    return {"status": status, "metadata": labels(metadata), "search": search}


_FOUND_BY = {  # what an id is of, and the call that finds the one with a name
    "ss_": ("an uploaded set", "client.sample_sets.list(name={0})"),
    "est_": ("an estimate", "client.estimates.list(search={0})"),
    "batch_": ("a batch", "client.batches.list(search={0})"),
    "mon_": ("a monitor", "client.monitors.list(name={0})"),
    "mu_": ("an update", "updates() of its monitor"),
    "ev_": ("an evaluation", "evaluations() of its estimate"),
    "wh_": ("a webhook", "client.webhooks.list()"),
}


def identifier(thing: Any, prefix: str) -> str:
    """The id of a record or a string that already is one. Raises OptionError, which says where ids are found."""
    found = getattr(thing, "id", thing)
    if isinstance(thing, os.PathLike):
        found = os.fsdecode(thing)
    if not isinstance(found, str):
        hint = ": send the data first, with sample_sets.create(...)" if prefix == "ss_" else ""
        raise OptionError(f"expected a record or an id ({prefix}...), got {type(thing).__name__}{hint}")
    if not found.startswith(prefix) or not all(c.isalnum() or c in "_-" for c in found):
        kind, way = _FOUND_BY[prefix]
        files = "client.estimate(...) takes files, sample_sets.create(...) sends one, and " if prefix == "ss_" else ""
        raise OptionError(
            f"{found!r:.100} is not an id ({prefix}...), and this takes {kind} or its id; {files}"
            f"{way.format(repr(found[:100]))} finds ids"
        )
    return found


class SetsByLevel(Model):
    """The sets of one table, in the order of the levels."""

    data: list[SampleSet]


SampleSetPage = Page[SampleSet]
EstimatePage = Page[Estimate]
EvaluationPage = Page[Evaluation]
BatchPage = Page[Batch]
