"""The synchronous client."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from wdist_client import batches, flows, requests
from wdist_client.base import Model
from wdist_client.batches import BatchRecord
from wdist_client.errors import APIConnectionError
from wdist_client.flows import Compute, Flow, JobRecord, Retries, Sleep
from wdist_client.handles.synchronous import BatchJob, Job
from wdist_client.models import Batch, Estimate, Page, Result, SampleSet
from wdist_client.monitors.synchronous import Monitors
from wdist_client.options import (
    Asked,
    AskedOfMany,
    BatchOptions,
    EstimateOptions,
    SetOptions,
    describes_options,
    told_apart,
)
from wdist_client.requests import Request, Response
from wdist_client.transports.connect import connect
from wdist_client.uploads import Levels, create_all, create_by, create_compared, create_sample_set
from wdist_client.webhooks.synchronous import Webhooks

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
        self.monitors = Monitors(self)
        self.webhooks = Webhooks(self)

    @property
    def base_url(self) -> str:
        return self._transport.base_url

    def estimate(self, source: Any, target: Any, *, progress: bool | None = None, **arguments: Unpack[Asked]) -> Job:
        """Sends two sets and submits the job that bounds their W1.

        source, target: data as `sample_sets.create` takes it, or sets. arguments: how both are read, as there, and the
        options of `estimates.create`.
        """
        part, options = told_apart(arguments)
        sets = self._run(create_all([source, target], None, part, progress, self._retries))
        return self.estimates.create(*sets, **options)

    def matrix(
        self,
        data: Any,
        *,
        by: str | None = None,
        levels: Sequence[Any] | None = None,
        reference: Any = False,
        progress: bool | None = None,
        **arguments: Unpack[AskedOfMany],
    ) -> BatchJob:
        """Sends several sets and submits every pair of them.

        Args:
            data: a list of sets or of data, or a mapping of names to them; with `by`, one table.
            by: column of the table whose levels are the sets. It is no column of these sets.
            levels: with `by`, the levels that are compared, in this order; by default all, sorted.
            reference: True compares only the first set with each of the others; with `by`, a level does so with it.
            arguments: how data is read, as in `sample_sets.create`, and the options of `batches.matrix`.
        """
        part, options = told_apart(arguments)
        chosen = Levels.of(by, levels, reference)
        sets = self._run(create_all(data, chosen, part, progress, self._retries))
        if reference is False:
            return self.batches.matrix(sets, **options)
        return self.batches.reference(sets[0], sets[1:], **options)

    def compare(
        self,
        data: Any,
        candidates: Any = None,
        *,
        by: str | None = None,
        levels: Sequence[Any] | None = None,
        reference: Any = None,
        progress: bool | None = None,
        **arguments: Unpack[AskedOfMany],
    ) -> BatchJob:
        """Sends several sets and submits the question which is closest to the reference: see its `comparison()`.

        Args:
            data: the reference; with `by`, one table.
            candidates: a list of sets or of data, or a mapping of names to them.
            by, levels: as in `matrix`.
            reference: with `by`, the level that is the reference.
            arguments: how data is read, as in `sample_sets.create`, and the options of `batches.compare`.
        """
        part, options = told_apart(arguments)
        flow = create_compared(data, candidates, by, levels, reference, part, progress, self._retries)
        sets = self._run(flow)
        return self.batches.compare(sets[0], sets[1:], **options)

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

    @describes_options
    def create(
        self, data: Any, name: str | None = None, *, progress: bool | None = None, **part: Unpack[SetOptions]
    ) -> SampleSet:
        """Sends data as a sample set, unless the server already has the same set.

        Args:
            data: rows first: numpy, torch, scipy.sparse, pandas, polars, pyarrow, anndata, nested lists; or the path of
                a file that the server reads, or of a folder of images. Files are streamed from disk unread; above 64
                MiB a broken connection is resumed. Columns that a frame drops are not sent.
            name: a label for people. The same values under another name are another set.
            progress: show a bar; None shows it for large data in a terminal or notebook.
            {reading}
            labels: the one column of a table that is taken, as labels of groups, which may be text.

        Raises SampleError if the data cannot become a sample set, OptionError for an option that is none, and
        InvalidRequest if the server rejects the rows.
        """
        return self._client._run(create_sample_set(data, name, part, progress, self._client._retries))

    def create_by(
        self,
        data: Any,
        by: str,
        *,
        levels: Sequence[Any] | None = None,
        progress: bool | None = None,
        **part: Unpack[SetOptions],
    ) -> list[SampleSet]:
        """Sends one table, of which the rows of each level of the column `by` become a set, called by the level.

        Data and options are those of `create`. `levels`: only these, in this order; by default all, sorted as numbers
        if all of them are numbers, else as text.
        """
        chosen = Levels(by, levels, reference=True)
        return self._client._run(create_by(data, chosen, part, progress, self._client._retries))

    def get(self, sample_set: SampleSet | str) -> SampleSet:
        """The record of one set; raises NotFound."""
        path = f"/v1/sample-sets/{requests.identifier(sample_set, 'ss_')}"
        return self._client._send(Request("GET", path)).read(SampleSet)

    def list(self, *, sha256: str | None = None, name: str | None = None) -> Iterator[SampleSet]:
        """All sets, or those with this content or of this name; newest first, fetched page by page."""
        return self._client._pages("/v1/sample-sets", requests.SampleSetPage, sha256=sha256, name=name)

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
        return Job(self._client, answer.read(Estimate), requests.names_of_pair(source, target))

    def get(self, estimate: str | JobRecord | Estimate) -> Job:
        """The job with this id; raises NotFound."""
        path = f"/v1/estimates/{requests.identifier(estimate, 'est_')}"
        return Job(self._client, self._client._send(Request("GET", path)).read(Estimate))

    def list(
        self, *, status: str | None = None, metadata: Mapping[str, str] | None = None, search: str | None = None
    ) -> Iterator[Job]:
        """All jobs, newest first, fetched page by page.

        status, metadata: only those in this state, and with these labels. search: only those with this text in their
        name, in the name of a set or at the beginning of their id.
        """
        filters = requests.filters_of_estimates(status, metadata, search)
        for record in self._client._pages("/v1/estimates", requests.EstimatePage, **filters):
            yield Job(self._client, record)

    def rename(self, estimate: str | JobRecord | Estimate, name: str | None) -> Job:
        """Gives a job a name of 1 to 200 characters; None takes it away."""
        path = f"/v1/estimates/{requests.identifier(estimate, 'est_')}"
        return Job(self._client, self._client._send(requests.patch(path, {"name": name})).read(Estimate))

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

    def rename(self, batch: str | BatchRecord | Batch, name: str | None) -> BatchJob:
        """Gives a batch a name of 1 to 200 characters; None takes it away. Its estimates keep theirs."""
        path = f"/v1/batches/{requests.identifier(batch, 'batch_')}"
        return BatchJob(self._client, self._client._send(requests.patch(path, {"name": name})).read(Batch), {})

    def list(self, *, search: str | None = None) -> Iterator[BatchJob]:
        """All batches, or those with this text in a name or at the beginning of the id, newest first."""
        for record in self._client._pages("/v1/batches", requests.BatchPage, search=search):
            yield BatchJob(self._client, record, {})


def w1(x: Any, y: Any, *, progress: bool | None = None, base_url: str | None = None, **arguments: Any) -> Result:
    """The distance between the populations of x and y, in one call: uploads both, waits, returns the result.

    `print(w1(x, y))` prints the result, `float(w1(x, y))` is the lower bound. Arguments are those of `Client.estimate`;
    without `base_url` the server is WDIST_BASE_URL, or the one started by `wdist serve` on this machine.
    """
    with Client(base_url) as client:
        return client.estimate(x, y, progress=progress, **arguments).wait(progress=progress)
