"""Estimates of a local client."""

from __future__ import annotations

import io
import json
import tempfile
import threading
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from wdist_client.models import ENDED
from wdist_client.requests import Request, Response, Upload
from wdist_client.transports.local.checks import check_estimate, check_status
from wdist_client.transports.local.records import (
    KeysSeen,
    RefusalError,
    SharedSets,
    StoredJob,
    find,
    has_labels,
    is_found,
    json_answer,
    new_id,
    new_name,
    now,
    progress_record,
)
from wdist_client.transports.local.sets import LocalSets
from wdist_client.transports.local.worker import LocalWorker


class LocalJobs:
    """Jobs by id, run one after the other. Their records are changed under `lock`."""

    def __init__(self, sets: LocalSets, worker: LocalWorker, lock: threading.RLock) -> None:
        self._sets, self._worker, self._lock = sets, worker, lock
        self._stored: dict[str, StoredJob] = {}
        self._keys = KeysSeen()

    def cancel_all(self) -> None:
        """Cancels the running and waiting jobs, which cannot outlive the client."""
        for job in self._stored.values():
            self.cancel(job)

    def find(self, name: str) -> StoredJob:
        """Raises RefusalError 404."""
        found: StoredJob = find(self._stored, name)
        return found

    def records(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The records with the requested status and labels. Raises RefusalError for an unknown status."""
        if (status := params.get("status")) is not None:
            check_status(status)
        return [
            job.record
            for job in self._stored.values()
            if status in (None, job.record["status"])
            and has_labels(job.record, params)
            and is_found(job.record, params.get("search"), [job.record["source_name"], job.record["target_name"]])
        ]

    def using(self, sample_set: str) -> str | None:
        """An estimate that has not ended and needs this set."""
        for name, job in self._stored.items():
            groups = job.options.get("groups") or {}
            needs = {job.record["source"], job.record["target"], *groups.values()}
            if job.shared is not None:
                needs |= {job.shared.first, *job.shared.labels}
            if sample_set in needs and job.record["status"] not in ENDED:
                return name
        return None

    def create(self, request: Request) -> dict[str, Any]:
        """The record of a new job, or of the earlier one with the same idempotency key."""
        assert isinstance(request.content, bytes)  # noqa: S101 - for the type checker
        body = json.loads(request.content)
        if (earlier := self._keys.find(request)) is not None:
            return self.find(earlier).record
        check_estimate(body)
        priority, metadata = body.pop("priority", "normal"), body.pop("metadata", {})
        source, target = body.pop("source"), body.pop("target")
        self.check_pair(source, target, body)
        record = self.submit(source, target, body, priority, metadata, name=body.pop("name", None)).record
        self._keys.add(request, record["id"])
        return record

    def submit(
        self,
        source: str,
        target: str,
        options: dict[str, Any],
        priority: Any,
        metadata: Any,
        shared: SharedSets | None = None,
        name: str | None = None,
    ) -> StoredJob:
        """Queues one estimate that was checked."""
        identifier = new_id("est_")
        names = {f"{side}_name": self._sets.names()[each] for side, each in (("source", source), ("target", target))}
        record = {
            "id": identifier, "object": "estimate", "name": name, "status": "queued", "source": source,
            "target": target, **names,
            "options": options, "priority": priority, "metadata": metadata, "created_at": now(), "started_at": None,
            "finished_at": None, "attempt": 0, "finishing": False, "progress": None, "result": None, "error": None,
        }  # fmt: skip
        job = self._stored[identifier] = StoredJob(record, options, shared=shared)
        self._worker.put(partial(self._run, job))
        return job

    def check_pair(self, source: str, target: str, options: dict[str, Any]) -> None:
        """Refuse now what the estimate would refuse later, as a server does."""
        from wdist.critics.registry import FAMILIES
        from wdist.data.checks import check_pair
        from wdist.data.samples import open_samples
        from wdist.errors import OptionError, SampleError

        sides = {"source": self._sets.find(source), "target": self._sets.find(target)}
        groups = options.get("groups") or {}
        labels = {key: self._sets.find(name).record for key, name in groups.items()}
        try:
            one, other = (open_samples(each.rows, side, options.get("layout")) for side, each in sides.items())
            check_pair(one, other)
            if (family := FAMILIES.get(options.get("critic", "auto"))) is not None and not family.fits(one.row_shape):
                detail = f"critic {family.name} needs images, the rows have shape {one.row_shape}; use auto"
                raise RefusalError.of([("critic", detail)])
            scale = options.get("scale")
            if isinstance(scale, list) and len(scale) != one.dimension:
                detail = f"scale has {len(scale)} factors, a row has {one.dimension} numbers"
                raise RefusalError.of([("scale", detail)])
        except OptionError as error:
            raise RefusalError(422, "Invalid option", str(error), "layout") from error
        except SampleError as error:
            field = "source" if str(error).startswith("source:") else "target"
            raise RefusalError(422, "Invalid samples", str(error), field) from error
        for each in sides.values() if groups else ():
            name, rows = each.record["id"], each.record["rows"]
            if name not in labels or labels[name]["shape"] != [rows, 1]:
                detail = f"groups needs one label for each of the {rows} rows of {name}"
                raise RefusalError(422, "Invalid option", detail, "groups")

    def rename(self, name: str, request: Request) -> dict[str, Any]:
        """The record of a job under another name."""
        job = self.find(name)
        job.record["name"] = new_name(request)
        return job.record

    def cancel(self, job: StoredJob) -> None:
        if job.record["status"] == "queued":
            job.record |= {"status": "canceled", "finished_at": now()}
        elif job.record["status"] == "running":
            job.record["status"] = "canceling"
            job.stop.set()

    def finish(self, job: StoredJob) -> None:
        if job.record["status"] in ("queued", "running"):
            job.record["finishing"] = True
            job.finish.set()

    def delete(self, name: str) -> None:
        if self.find(name).record["status"] not in ENDED:
            raise RefusalError(409, "Conflict", f"{name} has not ended; cancel it first")
        del self._stored[name]

    def evaluate(self, name: str, request: Request, rows: Any = None) -> Response:
        """f of the rows of a stored set, or of the request's, as .npy."""
        import numpy as np

        from wdist.data.sources.files import FileRows
        from wdist.errors import WdistError as LibraryError

        critic = self._result(name, "critic").critic
        if rows is None:
            assert isinstance(request.content, Upload)  # noqa: S101 - for the type checker
            rows = request.content.payload.data
            if critic.takes.columns is not None and rows.ndim == 2 and rows.shape[1] == len(critic.takes.columns):
                rows = FileRows("rows", rows, list(critic.takes.columns))  # the client has compared their names
        scores = io.BytesIO()
        try:
            np.save(scores, critic.evaluate(rows))
        except LibraryError as error:
            field = "body" if "sample_set" not in request.params else "sample_set"
            raise RefusalError(422, "Invalid samples", str(error), field) from error
        return Response(200, {"content-type": "application/x-npy"}, scores.getvalue())

    def critic(self, name: str, part: str) -> Response:
        """The bytes of the critic's weights or config."""
        file, kind = {
            "weights": ("critic.safetensors", "application/octet-stream"), "config": ("critic.json", "application/json")
        }[part]  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            self._result(name, file).critic.save(folder)
            return Response(200, {"content-type": kind}, (Path(folder) / file).read_bytes())

    def certificate(self, name: str) -> Response:
        """The certificate's bytes."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "certificate"
            self._result(name, "certificate").certificate.save(path)
            return Response(200, {"content-type": "application/octet-stream"}, path.read_bytes())

    def witness(self, name: str) -> Response:
        """Where the sets differ."""
        return json_answer(200, self._result(name, "witness").witness.to_dict())

    def _result(self, name: str, what: str) -> Any:
        job = self.find(name)
        if job.result is None:
            detail = f"{name} is {job.record['status']}: there is a {what} once it has succeeded"
            raise RefusalError(409, "Conflict", detail)
        return job.result

    def _run(self, job: StoredJob) -> None:
        """Does one job, unless it was canceled."""
        with self._lock:
            if job.record["status"] != "queued":
                return
            job.record |= {"status": "running", "started_at": now(), "attempt": 1}
            source, target = (self._sets.find(job.record[side]).rows for side in ("source", "target"))
            options = {**job.options, **self._labels(job)}
        ended = self._estimate(job, source, target, options)
        with self._lock:
            job.record |= {**ended, "finished_at": now()}

    def _labels(self, job: StoredJob) -> dict[str, Any]:
        """The arguments `groups` and `shared` of the library's `Estimation`."""
        import numpy as np

        from wdist.data.pair import Shared
        from wdist.inference.pair_matrix import NAME_OF_FIRST

        def labels(names: Iterable[str]) -> tuple[Any, ...]:
            return tuple(np.ravel(self._sets.find(name).rows.array) for name in names)

        if (shared := job.shared) is not None:
            first = self._sets.find(shared.first)
            name = first.record["name"] or NAME_OF_FIRST
            own = Shared(shared.numbers, first.rows, name, labels(shared.labels) or None)
            return {"groups": None, "shared": own}
        groups = job.options.get("groups")
        return {"groups": labels(groups[job.record[side]] for side in ("source", "target")) if groups else None}

    def _estimate(self, job: StoredJob, source: Any, target: Any, options: dict[str, Any]) -> dict[str, Any]:
        """Runs the estimate. Returns the final fields of its record."""
        from wdist.errors import Stopped
        from wdist.estimate import Estimation
        from wdist.options import Options

        groups, shared = options.pop("groups"), options.pop("shared", None)

        def tell(progress: Any) -> None:
            with self._lock:
                job.record["progress"] = progress_record(progress)

        try:
            estimation = Estimation(
                source, target, Options.checked(**options), groups=groups, shared=shared, progress=tell,
                should_stop=job.stop.is_set, should_finish=job.finish.is_set,
            )  # fmt: skip
            job.result = estimation.run()
        except Stopped:
            return {"status": "canceled"}
        except Exception as error:  # any failure ends this job only, and is recorded in it
            return {"status": "failed", "error": {"type": type(error).__name__, "message": str(error)}}
        job.curve = list(job.result.curve)
        return {"status": "succeeded", "result": job.result.to_dict(), "progress": self._completed(job)}

    @staticmethod
    def _completed(job: StoredJob) -> dict[str, Any]:
        """All steps are done; a critic in closed form took one."""
        steps, last = max(job.result.steps, 1), job.record["progress"] or {}
        done = {"step": steps, "steps": steps, "seconds": job.result.seconds, "value": last.get("value")}
        return done | {"eta_seconds": 0.0, "trying": None}
