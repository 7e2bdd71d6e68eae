"""Jobs and batches of the asynchronous client: what a submitted estimate can be asked."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

from wdist_client import batches, flows, requests
from wdist_client.batches import BatchRecord, Matrix
from wdist_client.contract import Curve, CurvePoint, Reading
from wdist_client.errors import NotFound
from wdist_client.flows import JobRecord, ShowProgress
from wdist_client.handles.evaluation import Scores, evaluate
from wdist_client.handles.events import EventStream, followed_async
from wdist_client.models import Batch, Comparison, Estimate, Evaluation, Event, Result
from wdist_client.requests import Request
from wdist_client.results.certificate import Certificate
from wdist_client.results.result import Parts
from wdist_client.results.witness import Witness

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wdist_client.async_client import AsyncClient


class AsyncBatchJob(BatchRecord):
    """Like `BatchJob`, but awaited."""

    def __init__(self, client: AsyncClient, batch: Batch, names: Mapping[str, str]) -> None:
        super().__init__(batch, names)
        self._client = client

    async def wait(self, *, timeout: float | None = None, progress: bool | None = False) -> Matrix:
        """The matrix once all estimates have ended; those that failed are nan."""
        return await self._client._run(batches.wait(self, time.monotonic, timeout, progress, self._client._retries))

    async def matrix(self) -> Matrix:
        """The matrix so far, nan where there is no result yet."""
        return await self._client._run(batches.matrix(self, self._client._retries))

    async def comparison(
        self, *, delta: float | None = None, timeout: float | None = None, progress: bool | None = False
    ) -> Comparison:
        """As `BatchJob.comparison`."""
        flow = batches.comparison(self, delta, time.monotonic, timeout, progress, self._client._retries)
        return await self._client._run(flow)

    async def results(
        self, *, wait: bool = False, timeout: float | None = None, progress: bool | None = False
    ) -> list[Estimate]:
        """As `BatchJob.results`."""
        if wait:
            await self._client._run(batches.ended(self, time.monotonic, timeout, progress, self._client._retries))
        return await self._client._run(batches.results(self, self._client._retries))

    async def cancel(self) -> Self:
        """Cancels every estimate of the batch that has not ended."""
        path = f"/v1/batches/{self.id}/cancel"
        self.batch = (await self._client._send(requests.post(path))).read(Batch)
        return self


class AsyncJob(JobRecord):
    """Like `Job`, but awaited."""

    def __init__(self, client: AsyncClient, estimate: Estimate, names: tuple[str, str] | None = None) -> None:
        super().__init__(estimate, names)
        self._client = client

    async def wait(self, *, timeout: float | None = None, progress: ShowProgress = False) -> Result:
        """As `Job.wait`; cancelling the task leaves the job running."""
        return self._tied(
            await self._client._run(flows.wait(self, time.monotonic, timeout, progress, self._client._retries))
        )

    def _tied(self, result: Result) -> Result:
        return result.of(Parts(self.id), self.evaluate, self.names)  # a property cannot be awaited

    async def curve(self) -> list[CurvePoint]:
        """As `Job.curve`."""
        return (await self._client._send(Request("GET", f"/v1/estimates/{self.id}/curve"))).read(Curve).data

    async def plot(self, ax: Axes | None = None, names: tuple[str, str] | None = None) -> Figure:
        """As `Job.plot`."""
        result = await self.wait()
        return result.plot(ax, names, curve=await self.curve())

    async def witness(self) -> Witness:
        """As `Job.witness`."""
        return await self._client._run(flows.witness(self.id, self._client._retries))

    @overload
    async def certificate(self) -> Certificate: ...
    @overload
    async def certificate(self, path: str | PathLike[str]) -> Path: ...
    async def certificate(self, path: str | PathLike[str] | None = None) -> Certificate | Path:
        """As `Job.certificate`."""
        found = await self._client._run(flows.certificate(self.id, self._client._retries))
        if path is None:
            return found
        found.save(path)
        return Path(path)

    async def save(self, path: str | PathLike[str]) -> None:
        """As `Job.save`."""
        result, retries = await self.wait(), self._client._retries
        curve, critic = await self.curve(), await self._client._run(flows.critic(self.id, retries))
        certificate, witness = await self.certificate(), None
        with suppress(NotFound):
            witness = await self.witness()
        result.with_parts(curve=curve, critic=critic, certificate=certificate, witness=witness).save(path)

    async def events(self, after: str | None = None) -> AsyncIterator[Event]:
        """As `Job.events`, for `async for`."""
        stream = EventStream(f"/v1/estimates/{self.id}", Estimate, self._client._retries, after)
        async for event in followed_async(self._client._transport, stream):
            self.estimate = stream.completed or self.estimate
            yield event

    async def evaluate(self, rows: Any, *, progress: bool | None = False, **reading: Unpack[Reading]) -> Scores:
        """As `Job.evaluate`; cancelling the task leaves the evaluation running."""
        return await self._client._run(evaluate(self.estimate, rows, reading, self._client._retries, progress))

    async def evaluations(self) -> list[Evaluation]:
        """As `Job.evaluations`."""
        found = self._client._pages(f"/v1/estimates/{self.id}/evaluations", requests.EvaluationPage)
        return [record async for record in found]

    async def delete_evaluation(self, evaluation: Evaluation | str) -> None:
        """As `Job.delete_evaluation`."""
        await self._client._send(requests.delete_evaluation(self.id, evaluation))

    async def refresh(self) -> Self:
        """As `Job.refresh`."""
        self.estimate = (await self._client.estimates.get(self.id)).estimate
        return self

    async def finish(self) -> Self:
        """As `Job.finish`."""
        self.estimate = (await self._client.estimates.finish(self.id)).estimate
        return self

    async def cancel(self) -> Self:
        """As `Job.cancel`."""
        self.estimate = (await self._client.estimates.cancel(self.id)).estimate
        return self
