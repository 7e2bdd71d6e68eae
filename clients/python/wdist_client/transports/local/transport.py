"""The local counterpart of the HTTP transport. It routes each request to its handler."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

from wdist_client.errors import WdistError, install_library
from wdist_client.models import ENDED
from wdist_client.requests import Request, Response
from wdist_client.transports.address import LOCAL
from wdist_client.transports.local.batches import LocalBatches
from wdist_client.transports.local.jobs import LocalJobs
from wdist_client.transports.local.monitors import LocalMonitors
from wdist_client.transports.local.records import RefusalError, json_answer, page_answer
from wdist_client.transports.local.sets import LocalSets
from wdist_client.transports.local.worker import LocalWorker

POLL_SECONDS = 0.05


class LocalTransport:
    """Like `Transport`, but without a server. Thread-safe."""

    base_url = LOCAL

    def __init__(self) -> None:
        try:
            import wdist  # noqa: F401
        except ImportError as error:
            raise WdistError(
                f'Client(":local:") needs the library wdist: {install_library()} (or give a server\'s address)'
            ) from error
        self._lock = threading.RLock()
        self._sets = LocalSets()
        self._worker = LocalWorker()
        self._jobs = LocalJobs(self._sets, self._worker, self._lock)
        self._batches = LocalBatches(self._sets, self._jobs)
        self._monitors = LocalMonitors(self._sets, self._worker, self._lock)

    def perform(self, request: Request) -> Response:
        """Answers as the server would, problem details included."""
        try:
            with self._lock:
                return self._answer(request)
        except RefusalError as refusal:
            return json_answer(refusal.status, refusal.problem)

    def lines(self, request: Request) -> Iterator[str]:
        """The events of a job as a server streams them: its changes of state and its progress."""
        path = request.path.removesuffix("/events")
        number, told = 0, {"status": "", "progress": ""}
        while True:
            answer = self.perform(Request("GET", path))
            if answer.status >= 400:
                raise answer.error()
            record = answer.json()
            status = {"status": record["status"]} | ({"finishing": True} if record.get("finishing") else {})
            for kind, data in (("status", status), ("progress", record["progress"])):
                line = json.dumps(data)
                if data is not None and line != told[kind]:
                    number, told[kind] = number + 1, line
                    yield from (f"id: {number}", f"event: {kind}", f"data: {line}", "")
            if record["status"] in ENDED:
                yield from (f"id: {number + 1}", "event: completed", f"data: {json.dumps(record)}", "")
                return
            time.sleep(POLL_SECONDS)

    def close(self) -> None:
        """Stops the running job, which cannot outlive the client."""
        with self._lock:
            self._jobs.cancel_all()
            self._monitors.cancel_all()
        self._worker.close()

    def _answer(self, request: Request) -> Response:
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["version"]:
                import wdist

                return json_answer(200, {"name": "wdist", "version": wdist.__version__, "api": "v1", "local": True})
            case "GET", ["readyz"]:
                return json_answer(200, {"status": "ok"})
            case _, ["v1", "sample-sets", *rest]:
                return json_answer(*self._of_sets(request, rest))
            case "POST", ["v1", "estimates", name, "evaluate"]:
                stored = request.params.get("sample_set")
                return self._jobs.evaluate(name, request, None if stored is None else self._sets.find(stored).rows)
            case "GET", ["v1", "estimates", name, "critic"]:
                return self._jobs.critic(name, request.params.get("part", "weights"))
            case "GET", ["v1", "estimates", name, "certificate"]:
                return self._jobs.certificate(name)
            case "GET", ["v1", "estimates", name, "witness"]:
                return self._jobs.witness(name)
            case _, ["v1", "estimates", *rest]:
                return json_answer(*self._of_jobs(request, rest))
            case _, ["v1", "batches", *_]:
                return self._batches.answer(request)
            case _, ["v1", "monitors", *_]:
                return self._monitors.answer(request)
        raise _unknown(request)

    def _of_sets(self, request: Request, rest: list[str]) -> tuple[int, Any]:
        match request.method, rest:
            case "GET", []:
                return 200, page_answer(
                    self._sets.records(request.params.get("sha256"), request.params.get("name")), request.params
                )
            case "POST", []:
                return self._sets.create(request)
            case "POST", ["by"]:
                return self._sets.create_by(request)
            case "GET", [name]:
                return 200, self._sets.find(name).record
            case "PUT", [name, "columns"]:
                return 200, self._sets.name_columns(name, request)
            case "DELETE", [name]:
                if job := self._jobs.using(name):
                    raise RefusalError(409, "Conflict", f"{name} is used by {job}, which has not ended")
                if monitor := self._monitors.using(name):
                    raise RefusalError(409, "Conflict", f"{name} is used by {monitor}, which needs its rows")
                self._sets.delete(name)
                return 204, None
        raise _unknown(request)

    def _of_jobs(self, request: Request, rest: list[str]) -> tuple[int, Any]:
        match request.method, rest:
            case "GET", []:
                return 200, page_answer(self._jobs.records(request.params), request.params)
            case "POST", []:
                return 202, self._jobs.create(request)
            case "GET", [name]:
                return 200, self._jobs.find(name).record
            case "PATCH", [name]:
                return 200, self._jobs.rename(name, request)
            case "GET", [name, "curve"]:
                job = self._jobs.find(name)
                return 200, {"data": job.curve, "complete": job.record["status"] in ENDED}
            case "GET", [name, "evaluations"]:
                self._jobs.find(name)
                return 200, page_answer([], request.params)  # sets of any size are scored at once
            case "POST", [name, "cancel"]:
                self._jobs.cancel(self._jobs.find(name))
                return 200, self._jobs.find(name).record
            case "POST", [name, "finish"]:
                self._jobs.finish(self._jobs.find(name))
                return 200, self._jobs.find(name).record
            case "DELETE", [name]:
                self._jobs.delete(name)
                return 204, None
        raise _unknown(request)


def _unknown(request: Request) -> RefusalError:
    return RefusalError(404, "Not found", f"a local client has no {request.method} {request.path}")
