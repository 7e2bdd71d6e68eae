"""Jobs and batches of the synchronous client: what a submitted estimate can be asked."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
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
from wdist_client.handles.events import EventStream, followed
from wdist_client.models import Batch, Comparison, Estimate, Evaluation, Event, Result
from wdist_client.requests import Request
from wdist_client.results.certificate import Certificate
from wdist_client.results.result import Parts, StoredCritic
from wdist_client.results.witness import Witness

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wdist_client.client import Client


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

    def __init__(self, client: Client, estimate: Estimate, names: tuple[str, str] | None = None) -> None:
        super().__init__(estimate, names)
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
        parts = Parts(self.id, self.curve, self.witness, self.certificate, self._critic)
        return result.of(parts, self.evaluate, self.names)

    def curve(self) -> list[CurvePoint]:
        """The training curve so far: values on the select split, not certified."""
        return self._client._send(Request("GET", f"/v1/estimates/{self.id}/curve")).read(Curve).data

    def plot(self, ax: Axes | None = None, names: tuple[str, str] | None = None) -> Figure:
        """As `Result.plot`, of the result that it waits for."""
        return self.wait().plot(ax, names)

    def witness(self) -> Witness:
        """Where the sets differ: the most unusual rows, the histogram of scores and, for tables, the columns.

        Raises Conflict before the estimate has succeeded, NotFound for one that ran before servers kept it.
        """
        return self._client._run(flows.witness(self.id, self._client._retries))

    @overload
    def certificate(self) -> Certificate: ...
    @overload
    def certificate(self, path: str | PathLike[str]) -> Path: ...
    def certificate(self, path: str | PathLike[str] | None = None) -> Certificate | Path:
        """The bytes of the result's certificate, which `wdist verify` checks; with a path, writes it and returns that.

        Warns (WithdrawnWarning) about one of an earlier version, which `wdist verify` refuses.
        """
        found = self._client._run(flows.certificate(self.id, self._client._retries))
        if path is None:
            return found
        found.save(path)
        return Path(path)

    def save(self, path: str | PathLike[str]) -> None:
        """Waits for the result and writes it into a file with curve, critic, certificate and witness.

        `Result.load` reads it, here and in the library. The witness of an estimate that ran before servers kept it is
        left out.
        """
        result = self.wait()
        _ = result.certificate
        with suppress(NotFound):
            _ = result.witness
        result.save(path)

    def _critic(self) -> StoredCritic:
        return self._client._run(flows.critic(self.id, self._client._retries))

    def events(self, after: str | None = None) -> Iterator[Event]:
        """The events of the job, from its beginning (or after the event with id `after`) until it has ended.

        A broken connection resumes where it stopped. The last event is `completed`; the job then has its final record.
        """
        stream = EventStream(f"/v1/estimates/{self.id}", Estimate, self._client._retries, after)
        for event in followed(self._client._transport, stream):
            self.estimate = stream.completed or self.estimate
            yield event

    def evaluate(self, rows: Any, *, progress: bool | None = False, **reading: Unpack[Reading]) -> Scores:
        """The certified critic f of each row, float64 (n,): high where a row looks like the target.

        A stored set of more than 10,000 rows is a job of the server; KeyboardInterrupt leaves it running. Ask again to
        get its scores.

        Args:
            rows: an array, a frame, the path of a file, or a stored sample set or its id. A file or a frame is read
                as the sets of the estimate were; the server keeps it as a set, unless it is of plain numbers. Rows
                that are left out, as for a missing value, have no score: a warning tells of them, and `notes` of a
                set. Their scores are those of the rows that were kept, in their order.
            progress: shows a bar while the server works on a stored set; None: if standard error is a terminal.
            reading: options of `sample_sets.create`, where a file is read in another way than the sets were.
        """
        return self._client._run(evaluate(self.estimate, rows, reading, self._client._retries, progress))

    def evaluations(self) -> list[Evaluation]:
        """The jobs that evaluate stored sets with this critic, newest first."""
        return list(self._client._pages(f"/v1/estimates/{self.id}/evaluations", requests.EvaluationPage))

    def delete_evaluation(self, evaluation: Evaluation | str) -> None:
        """Stops an evaluation and forgets its scores."""
        self._client._send(requests.delete_evaluation(self.id, evaluation))

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
