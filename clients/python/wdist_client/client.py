"""The synchronous client."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from wdist_client import batches, flows, protocol
from wdist_client.batches import BatchRecord, Matrix
from wdist_client.errors import APIConnectionError, APIStatusError
from wdist_client.events import EventStream
from wdist_client.flows import Compute, Flow, JobRecord, Retries, ShowProgress, Sleep
from wdist_client.local import LOCAL, LocalTransport
from wdist_client.models import Batch, Curve, CurvePoint, Estimate, Event, Model, Page, Result, SampleSet
from wdist_client.protocol import Request, Response, check_address
from wdist_client.uploads import create_sample_set

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wdist_client.flows import Scores
    from wdist_client.transport import Transport

T = TypeVar("T")
M = TypeVar("M", bound=Model)

DEFAULT_URL = "http://127.0.0.1:8000"


def settings(base_url: str | None, api_key: str | None) -> tuple[str, str | None]:
    """Address and key as given, or of the environment: WDIST_BASE_URL, WDIST_API_KEY."""
    address = base_url or os.environ.get("WDIST_BASE_URL") or DEFAULT_URL
    return (address if address == LOCAL else check_address(address)), api_key or os.environ.get("WDIST_API_KEY") or None


class Client:
    """A wdist server, seen from Python; use it as a context manager, or call `close()`.

    Args:
        base_url: address of the server (default: WDIST_BASE_URL, then http://127.0.0.1:8000), or ":local:" for no
            server at all: the library wdist works in this process, and nothing is kept when the client closes.
        api_key: key of the tenant (default: WDIST_API_KEY); a server on your own machine needs none.
        timeout: seconds of silence after which a request is given up.
        max_retries: how often a request is sent again after a connection error, 408, 429 or 5xx.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = 60.0,
        max_retries: int = 4,
    ) -> None:
        self._transport: Transport | LocalTransport
        address, key = settings(base_url, api_key)
        if address == LOCAL:
            self._transport = LocalTransport()
        else:
            from wdist_client.transport import Transport  # httpx is loaded with the first client: 0.1 s

            self._transport = Transport(address, key, timeout)
        self._retries = Retries(max_retries)
        self.sample_sets = SampleSets(self)
        self.estimates = Estimates(self)
        self.batches = Batches(self)

    @property
    def base_url(self) -> str:
        return self._transport.base_url

    def version(self) -> dict[str, Any]:
        """What the server says of its version."""
        answer = self._send(Request("GET", "/version"))
        found: dict[str, Any] = answer.json()
        return found

    def is_ready(self) -> bool:
        """Whether the server answers and can take jobs; asked once, nothing is raised."""
        try:
            return self._transport.perform(Request("GET", "/readyz")).status == 200
        except APIConnectionError:
            return False

    def close(self) -> None:
        """Closes the connections; jobs go on."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, flow: Flow[T]) -> T:
        """Carries out the steps of a flow, one after the other."""
        try:
            step = next(flow)
            while True:
                try:
                    outcome = self._perform(step)
                except BaseException as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(outcome)
        except StopIteration as end:
            result: T = end.value
            return result

    def _perform(self, step: flows.Step) -> Any:
        match step:
            case Request():
                return self._transport.perform(step)
            case Sleep(seconds):
                return time.sleep(seconds)
            case Compute(work):
                return work()

    def _send(self, request: Request) -> Response:
        return self._run(flows.send(request, self._retries))

    def _pages(self, path: str, page: type[Page[M]], **filters: str | None) -> Iterator[M]:
        after: str | None = None
        while True:
            found = self._send(protocol.listing(path, after, filters)).read(page)
            yield from found.data
            if not found.has_more or found.next is None:
                return
            after = found.next


class SampleSets:
    """The arrays that the server holds for this tenant."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(
        self, data: Any, name: str | None = None, *, member: str | None = None, progress: bool | None = None
    ) -> SampleSet:
        """Sends an array, unless the server already has the same bytes.

        Args:
            data: rows first: numpy, torch, pandas, polars, nested lists; or the path of an .npy, .npz, .parquet or
                .csv file or of a .zip of images, streamed from disk. Above 64 MiB a broken connection is resumed.
            name: a label for people; a set that is already there keeps the name it has.
            member: which array of an .npz file that holds several.
            progress: show a bar; None: for large data where a person watches.

        Raises SampleError for what is not an array of numbers, InvalidRequest for rows that the server refuses.
        """
        return self._client._run(create_sample_set(data, name, member, progress, self._client._retries))

    def get(self, sample_set: SampleSet | str) -> SampleSet:
        """The record of one set; raises NotFound."""
        path = f"/v1/sample-sets/{protocol.identifier(sample_set, 'ss_')}"
        return self._client._send(Request("GET", path)).read(SampleSet)

    def list(self, *, sha256: str | None = None) -> Iterator[SampleSet]:
        """All sets, newest first, fetched page by page as they are asked for."""
        return self._client._pages("/v1/sample-sets", protocol.SampleSetPage, sha256=sha256)

    def delete(self, sample_set: SampleSet | str) -> None:
        """Deletes a set; raises Conflict while a queued or running estimate uses it."""
        self._client._send(Request("DELETE", f"/v1/sample-sets/{protocol.identifier(sample_set, 'ss_')}"))


class Estimates:
    """The jobs of this tenant."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(
        self,
        source: SampleSet | str,
        target: SampleSet | str,
        *,
        confidence: float | None = None,
        critic: str | None = None,
        seed: int | None = None,
        steps: int | None = None,
        max_seconds: float | None = None,
        scale: float | str | list[float] | None = None,
        layout: str | None = None,
        baseline_rows: int | None = None,
        priority: str | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        **newer_options: Any,
    ) -> Job:
        """Submits a job that bounds W1 between two sets; returns at once.

        Args:
            source, target: sample sets or their ids.
            confidence: of the lower bound (0.95).
            critic: "auto", or one family: "affine", "groupsort", "bcop", ...
            seed: of the split and of training (0); the same seed and steps give the same result.
            steps, max_seconds: limits of training.
            scale: a number, "standardize" or one number per column; by default the data's own units.
            layout: "nhwc" or "nchw" where images leave it open.
            baseline_rows: rows a side for the exact OT that is shown beside (1,000).
            priority: "high", "normal" or "low".
            metadata: your own labels, names and values strings; returned as given.
            idempotency_key: sending the same key twice makes one job; by default a new one for each call.
            newer_options: options of a server newer than this client, sent as they are.

        Raises InvalidRequest for an option the server refuses, NotFound for an unknown set.
        """
        options = {
            "confidence": confidence, "critic": critic, "seed": seed, "steps": steps, "max_seconds": max_seconds,
            "scale": scale, "layout": layout, "baseline_rows": baseline_rows, "priority": priority,
            "metadata": metadata, **newer_options,
        }  # fmt: skip
        answer = self._client._send(protocol.create_estimate(source, target, options, idempotency_key))
        return Job(self._client, answer.read(Estimate))

    def get(self, estimate: str | JobRecord | Estimate) -> Job:
        """The job with this id; raises NotFound."""
        path = f"/v1/estimates/{protocol.identifier(estimate, 'est_')}"
        return Job(self._client, self._client._send(Request("GET", path)).read(Estimate))

    def list(self, *, status: str | None = None) -> Iterator[Job]:
        """All jobs, newest first, fetched page by page as they are asked for."""
        for record in self._client._pages("/v1/estimates", protocol.EstimatePage, status=status):
            yield Job(self._client, record)

    def cancel(self, estimate: str | JobRecord | Estimate) -> Job:
        """Cancels a queued or running job; one that has ended is left as it is."""
        path = f"/v1/estimates/{protocol.identifier(estimate, 'est_')}/cancel"
        return Job(self._client, self._client._send(protocol.post(path)).read(Estimate))

    def delete(self, estimate: str | JobRecord | Estimate) -> None:
        """Deletes the record of a job."""
        self._client._send(Request("DELETE", f"/v1/estimates/{protocol.identifier(estimate, 'est_')}"))


class Batches:
    """Many estimates submitted together."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def matrix(self, sets: Sequence[SampleSet | str], **options: Any) -> BatchJob:
        """Submits every pair of the sets; options as for `estimates.create`, and `simultaneous`."""
        return self._create({"matrix": batches.identifiers(sets)}, options, sets)

    def reference(self, reference: SampleSet | str, targets: Sequence[SampleSet | str], **options: Any) -> BatchJob:
        """Submits one reference against many targets: a matrix of one row."""
        sets = [reference, *targets]
        first, *rest = batches.identifiers(sets)
        return self._create({"reference": first, "targets": rest}, options, sets)

    def _create(self, kind: Mapping[str, Any], options: Mapping[str, Any], sets: Sequence[SampleSet | str]) -> BatchJob:
        answer = self._client._send(batches.create(kind, options))
        return BatchJob(self._client, answer.read(Batch), batches.names_of(sets))

    def get(self, batch: str | BatchRecord | Batch) -> BatchJob:
        """The batch with this id; raises NotFound."""
        path = f"/v1/batches/{protocol.identifier(batch, 'bat_')}"
        return BatchJob(self._client, (self._client._send(Request("GET", path))).read(Batch), {})

    def list(self) -> Iterator[BatchJob]:
        """All batches, newest first."""
        for record in self._client._pages("/v1/batches", protocol.BatchPage):
            yield BatchJob(self._client, record, {})


class BatchJob(BatchRecord):
    """A submitted batch; it runs whether or not anybody waits."""

    def __init__(self, client: Client, batch: Batch, names: Mapping[str, str]) -> None:
        super().__init__(batch, names)
        self._client = client

    def wait(self, *, timeout: float | None = None, progress: bool | None = False) -> Matrix:
        """The matrix once all estimates have ended; those that failed are nan, and `results()` says why."""
        return self._client._run(batches.wait(self, time.monotonic, timeout, progress, self._client._retries))

    def matrix(self) -> Matrix:
        """The matrix as far as it is."""
        return self._client._run(batches.matrix(self, self._client._retries))

    def results(self) -> list[Estimate]:
        """The records of all estimates, in the order of submission."""
        return self._client._run(batches.results(self, self._client._retries))

    def cancel(self) -> Self:
        """Cancels every estimate of the batch that has not ended."""
        path = f"/v1/batches/{self.id}/cancel"
        self.batch = (self._client._send(protocol.post(path))).read(Batch)
        return self


class Job(JobRecord):
    """A submitted estimate; it runs on the server whether or not anybody waits."""

    def __init__(self, client: Client, estimate: Estimate) -> None:
        super().__init__(estimate)
        self._client = client

    def wait(self, *, timeout: float | None = None, progress: ShowProgress = False) -> Result:
        """The result, as soon as there is one. Ctrl-C leaves the job running and says how to come back to it.

        Args:
            timeout: seconds after which WaitTimeout is raised (the job goes on).
            progress: True for a bar, None for a bar where a person watches, or a function of the `Estimate` record.

        Raises EstimateFailed, EstimateCanceled, WaitTimeout.
        """
        return self._client._run(flows.wait(self, time.monotonic, timeout, progress, self._client._retries))

    def curve(self) -> list[CurvePoint]:
        """The training curve, as far as it is: values on the select split, not certified."""
        return self._client._send(Request("GET", f"/v1/estimates/{self.id}/curve")).read(Curve).data

    def plot(self) -> Figure:
        """The result as an interval on a line, and the training curve; needs matplotlib (wdist-client[plot])."""
        return self.wait().plot(self.curve())

    def events(self, after: str | None = None) -> Iterator[Event]:
        """What happens to the job, from its beginning (or after an event's id) until it has ended.

        A broken connection goes on where it broke. The last event is `completed`; the job then has its final record.
        """
        stream = EventStream(self.id, self._client._retries, after)
        while stream.completed is None:
            try:
                for line in self._client._transport.lines(stream.request()):
                    if event := stream.feed(line):
                        self.estimate = stream.completed or self.estimate
                        yield event
                if stream.completed is None:
                    raise APIConnectionError("the server ended the stream of events early")
            except (APIConnectionError, APIStatusError) as error:
                time.sleep(stream.pause(error))

    def evaluate(self, rows: Any) -> Scores:
        """The certified critic f of each row, float64 (n,): high where a row looks like the target."""
        return self._client._run(flows.evaluate(self.id, rows, self._client._retries))

    def refresh(self) -> Self:
        """Asks the server how the job is."""
        self.estimate = self._client.estimates.get(self.id).estimate
        return self

    def cancel(self) -> Self:
        """Cancels the job; one that has ended is left as it is."""
        self.estimate = self._client.estimates.cancel(self.id).estimate
        return self


def w1(x: Any, y: Any, *, progress: bool | None = None, base_url: str | None = None, **options: Any) -> Result:
    """The distance between the populations of x and y, in one call: uploads both, waits, returns the result.

    `print(w1(x, y))` says what is known, `float(w1(x, y))` is the lower bound. Options are those of `estimates.create`;
    without `base_url` the server is the one of WDIST_BASE_URL, or the one that `wdist serve` starts on this machine.
    """
    with Client(base_url) as client:
        source = client.sample_sets.create(x, progress=progress)
        target = client.sample_sets.create(y, progress=progress)
        return client.estimates.create(source, target, **options).wait(progress=progress)
