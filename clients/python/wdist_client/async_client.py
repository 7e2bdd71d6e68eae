"""The asynchronous client: the same flows, run on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from wdist_client import batches, flows, requests
from wdist_client.base import Model
from wdist_client.batches import BatchRecord
from wdist_client.errors import APIConnectionError
from wdist_client.flows import Compute, Flow, JobRecord, Retries, Sleep
from wdist_client.handles.asynchronous import AsyncBatchJob, AsyncJob
from wdist_client.models import Batch, Estimate, Page, SampleSet
from wdist_client.monitors.asynchronous import AsyncMonitors
from wdist_client.options import Asked, AskedOfMany, BatchOptions, EstimateOptions, SetOptions, told_apart
from wdist_client.requests import Request, Response
from wdist_client.transports.connect import connect_async
from wdist_client.uploads import Levels, create_all, create_by, create_compared, create_sample_set
from wdist_client.webhooks.asynchronous import AsyncWebhooks

T = TypeVar("T")
M = TypeVar("M", bound=Model)


class AsyncClient:
    """A connection to a wdist server for asyncio. It has the arguments of `Client`, and its methods are awaited."""

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = 60.0,
        max_retries: int = 4,
    ) -> None:
        self._transport = connect_async(base_url, api_key, timeout)
        self._retries = Retries(max_retries)
        self.sample_sets = AsyncSampleSets(self)
        self.estimates = AsyncEstimates(self)
        self.batches = AsyncBatches(self)
        self.monitors = AsyncMonitors(self)
        self.webhooks = AsyncWebhooks(self)

    @property
    def base_url(self) -> str:
        return self._transport.base_url

    async def estimate(
        self, source: Any, target: Any, *, progress: bool | None = None, **arguments: Unpack[Asked]
    ) -> AsyncJob:
        """As `Client.estimate`."""
        part, options = told_apart(arguments)
        sets = await self._run(create_all([source, target], None, part, progress, self._retries))
        return await self.estimates.create(*sets, **options)

    async def matrix(
        self,
        data: Any,
        *,
        by: str | None = None,
        levels: Sequence[Any] | None = None,
        reference: Any = False,
        progress: bool | None = None,
        **arguments: Unpack[AskedOfMany],
    ) -> AsyncBatchJob:
        """As `Client.matrix`."""
        part, options = told_apart(arguments)
        chosen = Levels.of(by, levels, reference)
        sets = await self._run(create_all(data, chosen, part, progress, self._retries))
        if reference is False:
            return await self.batches.matrix(sets, **options)
        return await self.batches.reference(sets[0], sets[1:], **options)

    async def compare(
        self,
        data: Any,
        candidates: Any = None,
        *,
        by: str | None = None,
        levels: Sequence[Any] | None = None,
        reference: Any = None,
        progress: bool | None = None,
        **arguments: Unpack[AskedOfMany],
    ) -> AsyncBatchJob:
        """As `Client.compare`."""
        part, options = told_apart(arguments)
        flow = create_compared(data, candidates, by, levels, reference, part, progress, self._retries)
        sets = await self._run(flow)
        return await self.batches.compare(sets[0], sets[1:], **options)

    async def version(self) -> dict[str, Any]:
        """The server's version, as it reports it."""
        found: dict[str, Any] = (await self._send(Request("GET", "/version"))).json()
        return found

    async def is_ready(self) -> bool:
        """Whether the server answers and can take jobs. Does not retry, and does not raise connection errors."""
        try:
            return (await self._transport.perform(Request("GET", "/readyz"))).status == 200
        except APIConnectionError:
            return False

    async def close(self) -> None:
        """Closes the connections; jobs go on."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, flow: Flow[T]) -> T:
        """Runs the steps of a flow in order."""
        try:
            step = next(flow)
            while True:
                try:
                    outcome = await self._perform(step)
                except BaseException as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(outcome)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _perform(self, step: flows.Step) -> Any:
        match step:
            case Request():
                return await self._transport.perform(step)
            case Sleep(seconds):
                return await asyncio.sleep(seconds)
            case Compute(work):
                return await asyncio.to_thread(work)

    async def _send(self, request: Request) -> Response:
        return await self._run(flows.send(request, self._retries))

    async def _pages(self, path: str, page: type[Page[M]], **filters: requests.Filter) -> AsyncIterator[M]:
        after: str | None = None
        while True:
            found = (await self._send(requests.listing(path, after, filters))).read(page)
            for record in found.data:
                yield record
            if not found.has_more or found.next is None:
                return
            after = found.next


class AsyncSampleSets:
    """Like `SampleSets`, but awaited."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def create(
        self, data: Any, name: str | None = None, *, progress: bool | None = None, **part: Unpack[SetOptions]
    ) -> SampleSet:
        """As `SampleSets.create`; data is read and hashed in a thread."""
        return await self._client._run(create_sample_set(data, name, part, progress, self._client._retries))

    async def create_by(
        self,
        data: Any,
        by: str,
        *,
        levels: Sequence[Any] | None = None,
        progress: bool | None = None,
        **part: Unpack[SetOptions],
    ) -> list[SampleSet]:
        """As `SampleSets.create_by`."""
        chosen = Levels(by, levels, reference=True)
        return await self._client._run(create_by(data, chosen, part, progress, self._client._retries))

    async def get(self, sample_set: SampleSet | str) -> SampleSet:
        """As `SampleSets.get`."""
        path = f"/v1/sample-sets/{requests.identifier(sample_set, 'ss_')}"
        return (await self._client._send(Request("GET", path))).read(SampleSet)

    def list(self, *, sha256: str | None = None, name: str | None = None) -> AsyncIterator[SampleSet]:
        """As `SampleSets.list`, for `async for`."""
        return self._client._pages("/v1/sample-sets", requests.SampleSetPage, sha256=sha256, name=name)

    async def delete(self, sample_set: SampleSet | str) -> None:
        """As `SampleSets.delete`."""
        await self._client._send(Request("DELETE", f"/v1/sample-sets/{requests.identifier(sample_set, 'ss_')}"))


class AsyncEstimates:
    """Like `Estimates`, but awaited."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def create(
        self, source: SampleSet | str, target: SampleSet | str, **options: Unpack[EstimateOptions]
    ) -> AsyncJob:
        """As `Estimates.create`."""
        answer = await self._client._send(requests.create_estimate(source, target, options))
        return AsyncJob(self._client, answer.read(Estimate), requests.names_of_pair(source, target))

    async def get(self, estimate: str | JobRecord | Estimate) -> AsyncJob:
        """As `Estimates.get`."""
        path = f"/v1/estimates/{requests.identifier(estimate, 'est_')}"
        return AsyncJob(self._client, (await self._client._send(Request("GET", path))).read(Estimate))

    async def list(
        self, *, status: str | None = None, metadata: Mapping[str, str] | None = None, search: str | None = None
    ) -> AsyncIterator[AsyncJob]:
        """As `Estimates.list`, for `async for`."""
        filters = requests.filters_of_estimates(status, metadata, search)
        async for record in self._client._pages("/v1/estimates", requests.EstimatePage, **filters):
            yield AsyncJob(self._client, record)

    async def rename(self, estimate: str | JobRecord | Estimate, name: str | None) -> AsyncJob:
        """As `Estimates.rename`."""
        path = f"/v1/estimates/{requests.identifier(estimate, 'est_')}"
        return AsyncJob(self._client, (await self._client._send(requests.patch(path, {"name": name}))).read(Estimate))

    async def cancel(self, estimate: str | JobRecord | Estimate) -> AsyncJob:
        """As `Estimates.cancel`."""
        path = f"/v1/estimates/{requests.identifier(estimate, 'est_')}/cancel"
        return AsyncJob(self._client, (await self._client._send(requests.post(path))).read(Estimate))

    async def finish(self, estimate: str | JobRecord | Estimate) -> AsyncJob:
        """As `Estimates.finish`."""
        path = f"/v1/estimates/{requests.identifier(estimate, 'est_')}/finish"
        return AsyncJob(self._client, (await self._client._send(requests.post(path))).read(Estimate))

    async def delete(self, estimate: str | JobRecord | Estimate) -> None:
        """As `Estimates.delete`."""
        await self._client._send(Request("DELETE", f"/v1/estimates/{requests.identifier(estimate, 'est_')}"))


class AsyncBatches:
    """Like `Batches`, but awaited."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def matrix(self, sets: Sequence[SampleSet | str], **options: Unpack[BatchOptions]) -> AsyncBatchJob:
        """As `Batches.matrix`."""
        return await self._create({"matrix": batches.identifiers(sets)}, options, sets)

    async def reference(
        self, reference: SampleSet | str, targets: Sequence[SampleSet | str], **options: Unpack[BatchOptions]
    ) -> AsyncBatchJob:
        """As `Batches.reference`."""
        sets = [reference, *targets]
        first, *rest = batches.identifiers(sets)
        return await self._create({"reference": first, "targets": rest}, options, sets)

    async def compare(
        self, reference: SampleSet | str, candidates: Sequence[SampleSet | str], **options: Unpack[BatchOptions]
    ) -> AsyncBatchJob:
        """As `Batches.compare`."""
        sets = [reference, *candidates]
        first, *rest = batches.identifiers(sets)
        return await self._create({"reference": first, "targets": rest, "compare": True}, options, sets)

    async def pairs(self, pairs: batches.Pairs, **options: Unpack[BatchOptions]) -> AsyncBatchJob:
        """As `Batches.pairs`."""
        return await self._create({"pairs": batches.explicit(pairs)}, options, ())

    async def _create(
        self, kind: Mapping[str, Any], options: BatchOptions, sets: Sequence[SampleSet | str]
    ) -> AsyncBatchJob:
        answer = await self._client._send(batches.create(kind, options))
        return AsyncBatchJob(self._client, answer.read(Batch), batches.names_of(sets))

    async def get(self, batch: str | BatchRecord | Batch) -> AsyncBatchJob:
        """The batch with this id."""
        path = f"/v1/batches/{requests.identifier(batch, 'batch_')}"
        return AsyncBatchJob(self._client, (await self._client._send(Request("GET", path))).read(Batch), {})

    async def rename(self, batch: str | BatchRecord | Batch, name: str | None) -> AsyncBatchJob:
        """As `Batches.rename`."""
        path = f"/v1/batches/{requests.identifier(batch, 'batch_')}"
        return AsyncBatchJob(
            self._client, (await self._client._send(requests.patch(path, {"name": name}))).read(Batch), {}
        )

    async def list(self, *, search: str | None = None) -> AsyncIterator[AsyncBatchJob]:
        """As `Batches.list`, for `async for`."""
        async for record in self._client._pages("/v1/batches", requests.BatchPage, search=search):
            yield AsyncBatchJob(self._client, record, {})
