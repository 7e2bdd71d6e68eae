"""`Client(":local:")`: the requests of the API, answered in this process by the library wdist instead of a server.

Nothing is stored: sets and jobs live as long as the client. Jobs run one after the other in a thread. wdist (and torch)
are imported with the first local client, by the user's choice; without them the error says what to install.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import queue
import secrets
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from wdist_client.errors import WdistError
from wdist_client.local_records import (
    StoredBatch,
    StoredJob,
    StoredSet,
    batch_record,
    matrix_answer,
    page_answer,
    per_column,
)
from wdist_client.models import ENDED
from wdist_client.protocol import Request, Response, Upload

LOCAL = ":local:"
POLL_SECONDS = 0.05
NOT_SENT = frozenset({"progress", "should_stop", "checkpoint", "groups"})


class RefusalError(Exception):
    """A request that is answered with an error status."""

    def __init__(self, status: int, title: str, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        errors = [] if field is None else [{"field": field, "message": detail}]
        self.status = status
        self.problem = {"type": "about:blank", "title": title, "status": status, "detail": detail, "errors": errors}


class LocalTransport:
    """Takes the place of the HTTP transport; safe to use from several threads."""

    base_url = LOCAL

    def __init__(self) -> None:
        try:
            import wdist  # noqa: F401
        except ImportError as error:
            raise WdistError(
                'Client(":local:") needs the library: pip install wdist (or give a server\'s address)'
            ) from error
        self._sets: dict[str, StoredSet] = {}
        self._jobs: dict[str, StoredJob] = {}
        self._batches: dict[str, StoredBatch] = {}
        self._keys: dict[str, tuple[Any, str]] = {}
        self._lock = threading.RLock()
        self._waiting: queue.SimpleQueue[StoredJob | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def perform(self, request: Request) -> Response:
        """Answers as the server would, problem details included."""
        try:
            with self._lock:
                if request.path.endswith("/evaluate"):
                    return self._evaluate(request)
                if request.path.startswith("/v1/batches"):
                    return self._answer_batch(request)
                status, content = self._answer(request)
        except RefusalError as refusal:
            status, content = refusal.status, refusal.problem
        return _json(status, content)

    def lines(self, request: Request) -> Iterator[str]:
        """The events of a job as a server streams them: its changes of state and its progress."""
        name = request.path.split("/")[3]
        number, told = 0, {"status": "", "progress": ""}
        while True:
            answer = self.perform(Request("GET", f"/v1/estimates/{name}"))
            if answer.status >= 400:
                raise answer.error()
            record = answer.json()
            for kind, data in (("status", {"status": record["status"]}), ("progress", record["progress"])):
                line = json.dumps(data)
                if data is not None and line != told[kind]:
                    number, told[kind] = number + 1, line
                    yield from (f"id: {number}", f"event: {kind}", f"data: {line}", "")
            if record["status"] in ENDED:
                yield from (f"id: {number + 1}", "event: completed", f"data: {json.dumps(record)}", "")
                return
            time.sleep(POLL_SECONDS)

    def close(self) -> None:
        """Ends the running job and forgets the waiting ones: they have nowhere to go on."""
        with self._lock:
            for job in self._jobs.values():
                self._cancel(job)
            self._waiting.put(None)
        if self._thread is not None:
            self._thread.join()

    def _answer(self, request: Request) -> tuple[int, Any]:
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["version"]:
                import wdist

                return 200, {"name": "wdist", "version": wdist.__version__, "api": "v1", "local": True}
            case "GET", ["readyz"]:
                return 200, {"status": "ok"}
            case "GET", ["v1", "sample-sets"]:
                wanted = request.params.get("sha256")
                records = [s.record for s in self._sets.values() if wanted in (None, s.record["sha256"])]
                return 200, page_answer(records, request.params)
            case "POST", ["v1", "sample-sets"]:
                return self._create_set(request)
            case "GET", ["v1", "sample-sets", name]:
                return 200, _find(self._sets, name).record
            case "DELETE", ["v1", "sample-sets", name]:
                return self._delete_set(name)
            case "GET", ["v1", "estimates"]:
                states = request.params.get("status")
                records = [j.record for j in self._jobs.values() if states in (None, j.record["status"])]
                return 200, page_answer(records, request.params)
            case "POST", ["v1", "estimates"]:
                return self._create_job(request)
            case "GET", ["v1", "estimates", name]:
                return 200, _find(self._jobs, name).record
            case "GET", ["v1", "estimates", name, "curve"]:
                job = _find(self._jobs, name)
                return 200, {"data": job.curve, "complete": job.record["status"] in ENDED}
            case "POST", ["v1", "estimates", name, "cancel"]:
                self._cancel(_find(self._jobs, name))
                return 200, self._jobs[name].record
            case "DELETE", ["v1", "estimates", name]:
                if _find(self._jobs, name).record["status"] not in ENDED:
                    raise RefusalError(409, "Conflict", f"{name} has not ended; cancel it first")
                del self._jobs[name]
                return 204, None
        raise RefusalError(404, "Not found", f"a local client has no {request.method} {request.path}")

    def _create_set(self, request: Request) -> tuple[int, Any]:
        import numpy as np

        from wdist.errors import WdistError as LibraryError
        from wdist.samples import open_samples

        assert isinstance(request.content, Upload)  # noqa: S101 - for the type checker
        payload = request.content.payload
        if payload.format != "npy":
            detail = f"a local client reads arrays and .npy files: load {payload.label} and pass the array"
            raise RefusalError(415, "Unsupported format", detail)
        rows = payload.data if not isinstance(payload.data, np.ndarray) else payload.data.copy()
        try:
            opened = open_samples(rows, "the array")
            statistics = opened.statistics if opened.array.size else None
        except LibraryError as error:
            raise RefusalError(422, "Invalid samples", str(error), "body") from error
        if statistics is None:
            raise RefusalError(
                422, "Invalid samples", f"an array of shape {opened.array.shape} holds no values", "body"
            )
        name = _new_id("ss_")
        record = {
            "id": name, "object": "sample_set", "name": request.params.get("name"), "sha256": payload.sha256().hex(),
            "bytes": payload.length, "rows": opened.n, "shape": list(opened.array.shape), "dtype": str(opened.dtype),
            "created_at": _now(), "statistics": per_column(statistics),
        }  # fmt: skip
        self._sets[name] = StoredSet(record, rows)
        return 201, record

    def _delete_set(self, name: str) -> tuple[int, Any]:
        _find(self._sets, name)
        for job in self._jobs.values():
            if name in (job.record["source"], job.record["target"]) and job.record["status"] not in ENDED:
                raise RefusalError(409, "Conflict", f"{name} is used by {job.record['id']}, which has not ended")
        del self._sets[name]
        return 204, None

    def _create_job(self, request: Request) -> tuple[int, Any]:
        assert isinstance(request.content, bytes)  # noqa: S101 - for the type checker
        body = json.loads(request.content)
        key = request.headers.get("Idempotency-Key", "")
        if key in self._keys:
            before, name = self._keys[key]
            if before != body:
                raise RefusalError(
                    422, "Key used before", "this Idempotency-Key came with another body", "Idempotency-Key"
                )
            return 202, _find(self._jobs, name).record
        priority, metadata = body.pop("priority", "normal"), body.pop("metadata", {})
        source, target = body.pop("source"), body.pop("target")
        _check_options(body)
        record = self._submit(source, target, body, priority, metadata).record
        self._keys[key] = (json.loads(request.content), record["id"])
        return 202, record

    def _submit(self, source: str, target: str, options: dict[str, Any], priority: Any, metadata: Any) -> StoredJob:
        """Queues one estimate; starts the thread that works on them with the first."""
        _find(self._sets, source), _find(self._sets, target)
        name = _new_id("est_")
        record = {
            "id": name, "object": "estimate", "status": "queued", "source": source, "target": target,
            "options": options, "priority": priority, "metadata": metadata, "created_at": _now(), "started_at": None,
            "finished_at": None, "attempt": 0, "progress": None, "result": None, "error": None,
        }  # fmt: skip
        job = self._jobs[name] = StoredJob(record, options)
        self._waiting.put(job)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="wdist-local", daemon=True)
            self._thread.start()
        return job

    def _evaluate(self, request: Request) -> Response:
        import io

        import numpy as np

        from wdist.errors import WdistError as LibraryError

        assert isinstance(request.content, Upload)  # noqa: S101 - for the type checker
        job = _find(self._jobs, request.path.split("/")[3])
        if job.critic is None:
            detail = f"{job.record['id']} is {job.record['status']}: there is a critic once it has succeeded"
            raise RefusalError(409, "Conflict", detail)
        scores = io.BytesIO()
        try:
            np.save(scores, job.critic.evaluate(request.content.payload.data))
        except LibraryError as error:
            raise RefusalError(422, "Invalid samples", str(error), "body") from error
        return Response(200, {"content-type": "application/x-npy"}, scores.getvalue())

    def _answer_batch(self, request: Request) -> Response:
        match request.method, request.path.strip("/").split("/")[2:]:
            case "POST", []:
                return _json(202, self._create_batch(request))
            case "GET", []:
                return _json(200, page_answer([batch_record(b) for b in self._batches.values()], request.params))
            case "GET", [name]:
                return _json(200, batch_record(_find(self._batches, name)))
            case "GET", [name, "matrix"]:
                return _json(200, matrix_answer(_find(self._batches, name)))
            case "GET", [name, "results"]:
                lines = [json.dumps(job.record) for job in _find(self._batches, name).jobs]
                return Response(200, {"content-type": "application/jsonl"}, "\n".join(lines).encode())
            case "POST", [name, "cancel"]:
                for job in _find(self._batches, name).jobs:
                    self._cancel(job)
                self._batches[name].record["status"] = "canceled"
                return _json(200, batch_record(self._batches[name]))
        raise RefusalError(404, "Not found", f"a local client has no {request.method} {request.path}")

    def _create_batch(self, request: Request) -> dict[str, Any]:
        assert isinstance(request.content, bytes)  # noqa: S101 - for the type checker
        body = json.loads(request.content)
        priority, metadata = body.pop("priority", "normal"), body.pop("metadata", {})
        if "matrix" in body:
            kind, rows = "matrix", body.pop("matrix")
            columns = rows
            pairs = [(rows[i], rows[j]) for i in range(len(rows)) for j in range(i + 1, len(rows))]
        else:
            kind, rows, columns = "reference", [body.pop("reference")], body.pop("targets")
            pairs = [(rows[0], target) for target in columns]
        for name in {*rows, *columns}:
            _find(self._sets, name)
        if len(set(columns)) != len(columns) or not pairs:
            raise RefusalError(422, "Invalid batch", "name at least two sets, and none twice", kind)
        if body.pop("simultaneous", False):
            from wdist.multiplicity import simultaneous_confidence

            body["confidence"] = simultaneous_confidence(body.get("confidence", 0.95), len(pairs))
        _check_options(body)
        name = _new_id("bat_")
        record = {
            "id": name, "object": "batch", "status": "queued", "kind": kind, "sets": rows if kind == "matrix" else
            [*rows, *columns], "options": body, "priority": priority, "metadata": metadata, "created_at": _now(),
        }  # fmt: skip
        jobs = [self._submit(source, target, dict(body), priority, metadata) for source, target in pairs]
        self._batches[name] = StoredBatch(record, (rows, columns), jobs)
        return batch_record(self._batches[name])

    def _cancel(self, job: StoredJob) -> None:
        if job.record["status"] == "queued":
            job.record |= {"status": "canceled", "finished_at": _now()}
        elif job.record["status"] == "running":
            job.record["status"] = "canceling"
            job.stop.set()

    def _work(self) -> None:
        """The thread: one job after the other."""
        while (job := self._waiting.get()) is not None:
            with self._lock:
                if job.record["status"] != "queued":
                    continue
                job.record |= {"status": "running", "started_at": _now(), "attempt": 1}
            ended = self._estimate(job)
            with self._lock:
                job.record |= {**ended, "finished_at": _now()}

    def _estimate(self, job: StoredJob) -> dict[str, Any]:
        """Runs the estimate; what its record says in the end."""
        from wdist.errors import Stopped
        from wdist.estimator import estimate_w1

        def tell(progress: Any) -> None:
            with self._lock:
                job.record["progress"] = {
                    name: getattr(progress, name)
                    for name in ("step", "steps", "seconds", "value", "eta_seconds", "trying")
                }

        source, target = (self._sets[job.record[side]].rows for side in ("source", "target"))
        try:
            result = estimate_w1(source, target, progress=tell, should_stop=job.stop.is_set, **job.options)
        except Stopped:
            return {"status": "canceled"}
        except Exception as error:  # whatever it is: this job ends, and says why
            return {"status": "failed", "error": {"type": type(error).__name__, "message": str(error)}}
        job.curve, job.critic = list(result.curve), result.critic
        return {"status": "succeeded", "result": result.to_dict()}


class AsyncLocalTransport:
    """The same for the async client: requests are answered in a thread, as opening a set reads all of it."""

    base_url = LOCAL

    def __init__(self) -> None:
        self._local = LocalTransport()

    async def perform(self, request: Request) -> Response:
        return await asyncio.to_thread(self._local.perform, request)

    async def lines(self, request: Request) -> AsyncIterator[str]:
        lines = self._local.lines(request)
        while (line := await asyncio.to_thread(next, lines, None)) is not None:
            yield line

    async def close(self) -> None:
        await asyncio.to_thread(self._local.close)


def _json(status: int, content: Any) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps(content).encode())


def _find(stored: Mapping[str, Any], name: str) -> Any:
    if name not in stored:
        raise RefusalError(404, "Not found", f"there is no {name}")
    return stored[name]


def _check_options(options: Mapping[str, Any]) -> None:
    """Refuses unknown options and impossible values before the job is accepted."""
    from wdist.errors import OptionError
    from wdist.estimator import Options, estimate_w1
    from wdist.portfolio import FAMILIES

    if (critic := options.get("critic", "auto")) not in FAMILIES:
        raise RefusalError(422, "Invalid option", f"critic {critic!r} is none of {', '.join(FAMILIES)}", "critic")
    known = inspect.signature(estimate_w1).parameters
    for name in options:
        if name not in known or known[name].kind is not inspect.Parameter.KEYWORD_ONLY or name in NOT_SENT:
            raise RefusalError(422, "Unknown option", f"there is no option {name}", name)
    checked = inspect.signature(Options).parameters
    given = {name: options.get(name, known[name].default) for name in checked if name in known}
    try:
        Options(**given)
    except OptionError as error:
        raise RefusalError(422, "Invalid option", str(error), "options") from error


def _new_id(prefix: str) -> str:
    return prefix + secrets.token_hex(12)


def _now() -> str:
    return datetime.now(UTC).isoformat()
