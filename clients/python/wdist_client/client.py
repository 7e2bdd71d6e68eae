"""The synchronous client."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from wdist_client import batches, flows, requests
from wdist_client.base import Model
from wdist_client.batches import BatchRecord, Matrix
from wdist_client.contract import Curve, CurvePoint
from wdist_client.errors import APIConnectionError, APIStatusError
from wdist_client.events import EventStream
from wdist_client.flows import Compute, Flow, JobRecord, Retries, ShowProgress, Sleep
from wdist_client.models import Batch, Comparison, Estimate, Event, Page, Result, SampleSet
from wdist_client.options import BatchOptions, EstimateOptions, SetOptions, describes_options
from wdist_client.requests import Request, Response
from wdist_client.transports.connect import connect
from wdist_client.uploads import create_sample_set

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wdist_client.flows import Scores

T = TypeVar("T")
M = TypeVar("M", bound=Model)


class Client:
    """A connection to a wdist server. Use it as a context manager, or call `close()`.

    Args:
        base_url: address of the server (default: WDIST_BASE_URL, then http://127.0.0.1:8000), or ":local:" to
            run the library wdist in this process, without a server. A local client keeps nothing when it closes.
        api_key: key of the tenant (default: WDIST_API_KEY); a server on your own machine needs none.
        timeout: seconds of silence after which a request is given up.
        max_retries: how often to retry a request after a connection error, 408, 429 or 5xx.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = 60.0,
        max_retries: int = 4,
    ) -> None:
        self._transport = connect(base_url, api_key, timeout)
        self._retries = Retries(max_retries)
        self.sample_sets = SampleSets(self)
        self.estimates = Estimates(self)
        self.batches = Batches(self)

    @property
    def base_url(self) -> str:
        return self._transport.base_url

    def version(self) -> dict[str, Any]:
        """The server's version, as it reports it."""
        answer = self._send(Request("GET", "/version"))
        found: dict[str, Any] = answer.json()
        return found

    def is_ready(self) -> bool:
        """Whether the server answers and can take jobs. Does not retry, and does not raise connection errors."""
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
        """Runs the steps of a flow in order."""
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

    def _pages(self, path: str, page: type[Page[M]], **filters: requests.Filter) -> Iterator[M]:
        after: str | None = None
        while True:
            found = self._send(requests.listing(path, after, filters)).read(page)
            yield from found.data
            if not found.has_more or found.next is None:
                return
            after = found.next


class SampleSets:
    """The arrays that the server holds for this tenant."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(
        self, data: Any, name: str | None = None, *, progress: bool | None = None, **part: Unpack[SetOptions]
    ) -> SampleSet:
        """Sends an array, unless the server already has the same bytes.

        Args:
            data: rows first: numpy, torch, pandas, polars, nested lists; or the path of an .npy, .npz, .parquet or
                .csv file, of a .zip of images, or of a folder of them, streamed from disk. Above 64 MiB a broken
                connection is resumed.
            name: a label for people; a set that is already there under a name keeps that one.
            part: `member`: which array of an .npz file that holds several; `drop`: names of columns of a table that are
                left out; `labels`: the one column of a table that is taken, as labels of groups, which may be text.
            progress: show a bar; None shows it for large data in a terminal or notebook.

        Raises SampleError if the data is not an array of numbers, InvalidRequest if the server rejects the rows.
        """
        return self._client._run(create_sample_set(data, name, part, progress, self._client._retries))

    def get(self, sample_set: SampleSet | str) -> SampleSet:
        """The record of one set; raises NotFound."""
        path = f"/v1/sample-sets/{requests.identifier(sample_set, 'ss_')}"
        return self._client._send(Request("GET", path)).read(SampleSet)

    def list(self, *, sha256: str | None = None) -> Iterator[SampleSet]:
        """All sets, newest first, fetched page by page as they are asked for."""
        return self._client._pages("/v1/sample-sets", requests.SampleSetPage, sha256=sha256)

    def delete(self, sample_set: SampleSet | str) -> None:
        """Deletes a set; raises Conflict while a queued or running estimate uses it."""
        self._client._send(Request("DELETE", f"/v1/sample-sets/{requests.identifier(sample_set, 'ss_')}"))


class Estimates:
    """The jobs of this tenant."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @describes_options
    def create(self, source: SampleSet | str, target: SampleSet | str, **options: Unpack[EstimateOptions]) -> Job:
        """Submits a job that bounds W1 between two sets; returns at once.

        Args:
            source, target: sample sets or their ids.
            {options}
            groups: sets of one column, the labels of the source's and of the target's rows: groups stay whole.
            idempotency_key: sending the same key twice makes one job; by default a new one for each call.
            Unknown options are passed on, for servers newer than this client.
            An option that is None gets its default.

        Raises InvalidRequest for an option the server refuses, NotFound for an unknown set.
        """
        answer = self._client._send(requests.create_estimate(source, target, options))
        return Job(self._client, answer.read(Estimate))

    def get(self, estimate: str | JobRecord | Estimate) -> Job:
        """The job with this id; raises NotFound."""
        path = f"/v1/estimates/{requests.identifier(estimate, 'est_')}"
        return Job(self._client, self._client._send(Request("GET", path)).read(Estimate))

    def list(self, *, status: str | None = None, metadata: Mapping[str, str] | None = None) -> Iterator[Job]:
        """All jobs, or those in one state or with these labels, newest first, fetched page by page."""
        labels = requests.labels(metadata)
        for record in self._client._pages("/v1/estimates", requests.EstimatePage, status=status, metadata=labels):
            yield Job(self._client, record)

    def cancel(self, estimate: str | JobRecord | Estimate) -> Job:
        """Cancels a queued or running job; one that has ended is unchanged."""
        path = f"/v1/estimates/{requests.identifier(estimate, 'est_')}/cancel"
        return Job(self._client, self._client._send(requests.post(path)).read(Estimate))

    def finish(self, estimate: str | JobRecord | Estimate) -> Job:
        """Has a job end training now and state what it has; one that has ended is unchanged.

        A queued job does so once its turn has come.
        """
        path = f"/v1/estimates/{requests.identifier(estimate, 'est_')}/finish"
        return Job(self._client, self._client._send(requests.post(path)).read(Estimate))

    def delete(self, estimate: str | JobRecord | Estimate) -> None:
        """Deletes the record of a job."""
        self._client._send(Request("DELETE", f"/v1/estimates/{requests.identifier(estimate, 'est_')}"))


class Batches:
    """Many estimates submitted together."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def matrix(self, sets: Sequence[SampleSet | str], **options: Unpack[BatchOptions]) -> BatchJob:
        """Submits every pair of the sets; options as for `estimates.create`, and `simultaneous`."""
        return self._create({"matrix": batches.identifiers(sets)}, options, sets)

    def reference(
        self, reference: SampleSet | str, targets: Sequence[SampleSet | str], **options: Unpack[BatchOptions]
    ) -> BatchJob:
        """Submits one reference against many targets: a matrix of one row."""
        sets = [reference, *targets]
        first, *rest = batches.identifiers(sets)
        return self._create({"reference": first, "targets": rest}, options, sets)

    def compare(
        self, reference: SampleSet | str, candidates: Sequence[SampleSet | str], **options: Unpack[BatchOptions]
    ) -> BatchJob:
        """Submits the question which candidate is closest to the reference: ask the job for its `comparison()`."""
        sets = [reference, *candidates]
        first, *rest = batches.identifiers(sets)
        return self._create({"reference": first, "targets": rest, "compare": True}, options, sets)

    def pairs(self, pairs: batches.Pairs, **options: Unpack[BatchOptions]) -> BatchJob:
        """Submits explicit pairs (source, target), or (source, target, custom_id). Such a batch has no matrix."""
        return self._create({"pairs": batches.explicit(pairs)}, options, ())

    def _create(self, kind: Mapping[str, Any], options: BatchOptions, sets: Sequence[SampleSet | str]) -> BatchJob:
        answer = self._client._send(batches.create(kind, options))
        return BatchJob(self._client, answer.read(Batch), batches.names_of(sets))

    def get(self, batch: str | BatchRecord | Batch) -> BatchJob:
        """The batch with this id; raises NotFound."""
        path = f"/v1/batches/{requests.identifier(batch, 'batch_')}"
        return BatchJob(self._client, (self._client._send(Request("GET", path))).read(Batch), {})

    def list(self) -> Iterator[BatchJob]:
        """All batches, newest first."""
        for record in self._client._pages("/v1/batches", requests.BatchPage):
            yield BatchJob(self._client, record, {})


class BatchJob(BatchRecord):
    """A submitted batch. It runs even if nobody waits for it."""

    def __init__(self, client: Client, batch: Batch, names: Mapping[str, str]) -> None:
        super().__init__(batch, names)
        self._client = client

    def wait(self, *, timeout: float | None = None, progress: bool | None = False) -> Matrix:
        """The matrix once all estimates have ended; those that failed are nan, and `results()` says why.

        Raises OptionError for a batch of explicit pairs, which has none: ask for `results(wait=True)`.
        """
        return self._client._run(batches.wait(self, time.monotonic, timeout, progress, self._client._retries))

    def matrix(self) -> Matrix:
        """The matrix so far, nan where there is no result yet."""
        return self._client._run(batches.matrix(self, self._client._retries))

    def comparison(
        self, *, delta: float | None = None, timeout: float | None = None, progress: bool | None = False
    ) -> Comparison:
        """Which candidate is closest to the reference, once all estimates have ended.

        delta: candidates whose distances differ by at most this count as equally near; any may be asked for.

        Raises Conflict for a batch that `compare` did not submit, WdistError if too many of its estimates failed.
        """
        flow = batches.comparison(self, delta, time.monotonic, timeout, progress, self._client._retries)
        return self._client._run(flow)

    def results(
        self, *, wait: bool = False, timeout: float | None = None, progress: bool | None = False
    ) -> list[Estimate]:
        """The records of all estimates, in the order of submission; with `wait`, once all have ended."""
        if wait:
            self._client._run(batches.ended(self, time.monotonic, timeout, progress, self._client._retries))
        return self._client._run(batches.results(self, self._client._retries))

    def cancel(self) -> Self:
        """Cancels every estimate of the batch that has not ended."""
        path = f"/v1/batches/{self.id}/cancel"
        self.batch = (self._client._send(requests.post(path))).read(Batch)
        return self


class Job(JobRecord):
    """A submitted estimate. It runs on the server even if nobody waits for it."""

    def __init__(self, client: Client, estimate: Estimate) -> None:
        super().__init__(estimate)
        self._client = client

    def wait(self, *, timeout: float | None = None, progress: ShowProgress = False) -> Result:
        """Waits for the result. Ctrl-C leaves the job running and prints how to resume waiting.

        Args:
            timeout: seconds after which WaitTimeout is raised (the job goes on).
            progress: True for a bar, None for a bar in a terminal or notebook, or a function of the `Estimate` record.

        Raises EstimateFailed, EstimateCanceled, WaitTimeout.
        """
        return self._tied(self._client._run(flows.wait(self, time.monotonic, timeout, progress, self._client._retries)))

    def _tied(self, result: Result) -> Result:
        return result.of(self.curve, self.evaluate)

    def curve(self) -> list[CurvePoint]:
        """The training curve so far: values on the select split, not certified."""
        return self._client._send(Request("GET", f"/v1/estimates/{self.id}/curve")).read(Curve).data

    def plot(self) -> Figure:
        """The result as an interval on a line, and the training curve; needs matplotlib (wdist-client[plot])."""
        return self.wait().plot()

    def certificate(self, path: str | PathLike[str] | None = None) -> bytes:
        """The certificate of the result, which `wdist verify` checks; also written to `path` where one is given.

        Warns (WithdrawnWarning) about one of an earlier version, which `wdist verify` refuses.
        """
        answer = self._client._send(Request("GET", f"/v1/estimates/{self.id}/certificate"))
        return requests.saved(answer, path)

    def events(self, after: str | None = None) -> Iterator[Event]:
        """The events of the job, from its beginning (or after the event with id `after`) until it has ended.

        A broken connection resumes where it stopped. The last event is `completed`; the job then has its final record.
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
        """The certified critic f of each row, float64 (n,): high where a row looks like the target.

        rows: an array, or a stored sample set of any size.
        """
        return self._client._run(flows.evaluate(self.id, rows, self._client._retries))

    def refresh(self) -> Self:
        """Fetches the current record of the job."""
        self.estimate = self._client.estimates.get(self.id).estimate
        return self

    def finish(self) -> Self:
        """Has the job end training now and state what it has: `wait()` then returns soon.

        A queued job does so once its turn has come; one that has ended is unchanged.
        """
        self.estimate = self._client.estimates.finish(self.id).estimate
        return self

    def cancel(self) -> Self:
        """Cancels the job; one that has ended is left as it is."""
        self.estimate = self._client.estimates.cancel(self.id).estimate
        return self


def w1(x: Any, y: Any, *, progress: bool | None = None, base_url: str | None = None, **options: Any) -> Result:
    """The distance between the populations of x and y, in one call: uploads both, waits, returns the result.

    `print(w1(x, y))` prints the result, `float(w1(x, y))` is the lower bound. Options are those of `estimates.create`;
    without `base_url` the server is WDIST_BASE_URL, or the one started by `wdist serve` on this machine.
    """
    with Client(base_url) as client:
        source = client.sample_sets.create(x, progress=progress)
        target = client.sample_sets.create(y, progress=progress)
        return client.estimates.create(source, target, **options).wait(progress=progress)
