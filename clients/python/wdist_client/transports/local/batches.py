"""Batches of a local client: estimates submitted together, and their matrix."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from wdist_client.models import ENDED
from wdist_client.requests import Request, Response
from wdist_client.transports.local.checks import check_batch
from wdist_client.transports.local.jobs import LocalJobs
from wdist_client.transports.local.records import (
    RefusalError,
    SharedSets,
    StoredBatch,
    StoredJob,
    batch_record,
    find,
    is_found,
    json_answer,
    matrix_answer,
    new_id,
    new_name,
    now,
    page_answer,
)
from wdist_client.transports.local.sets import LocalSets

Pairs = list[tuple[str, str, str | None]]


class LocalBatches:
    """Batches by id."""

    def __init__(self, sets: LocalSets, jobs: LocalJobs) -> None:
        self._sets, self._jobs = sets, jobs
        self._stored: dict[str, StoredBatch] = {}

    def answer(self, request: Request) -> Response:
        """Raises RefusalError."""
        match request.method, request.path.strip("/").split("/")[2:]:
            case "POST", []:
                return json_answer(202, self._create(request))
            case "GET", []:
                found = [batch for batch in self._stored.values() if self._is_found(batch, request.params)]
                return json_answer(200, page_answer([batch_record(batch) for batch in found], request.params))
            case "GET", [name]:
                return json_answer(200, batch_record(find(self._stored, name)))
            case "PATCH", [name]:
                find(self._stored, name).record["name"] = new_name(request)
                return json_answer(200, batch_record(self._stored[name]))
            case "GET", [name, "matrix"]:
                return json_answer(200, matrix_answer(find(self._stored, name)))
            case "GET", [name, "comparison"]:
                return json_answer(200, self._comparison(find(self._stored, name), request.params))
            case "GET", [name, "results"]:
                lines = [json.dumps(job.record) for job in find(self._stored, name).jobs]
                return Response(200, {"content-type": "application/jsonl"}, "\n".join(lines).encode())
            case "POST", [name, "cancel"]:
                for job in find(self._stored, name).jobs:
                    self._jobs.cancel(job)
                self._stored[name].record["status"] = "canceled"
                return json_answer(200, batch_record(self._stored[name]))
        raise RefusalError(404, "Not found", f"a local client has no {request.method} {request.path}")

    def _is_found(self, batch: StoredBatch, params: Mapping[str, Any]) -> bool:
        names = [job.record[side] for job in batch.jobs for side in ("source_name", "target_name")]
        return is_found(batch.record, params.get("search"), names)

    def _create(self, request: Request) -> dict[str, Any]:
        assert isinstance(request.content, bytes)  # noqa: S101 - for the type checker
        body = json.loads(request.content)
        check_batch(body)
        priority, metadata = body.pop("priority", "normal"), body.pop("metadata", {})
        name = body.pop("name", None)
        kind, sets, pairs = _pairs(body)
        for each in {each for pair in pairs for each in pair[:2]}:
            self._sets.find(each)
        if body.pop("simultaneous", False):
            body["statements"] = max(body.get("statements", 1), len(pairs))
        of_the_batch: dict[str, Any] = {}  # options that its estimates do not have
        if body.pop("compare", False):
            from wdist.inference.comparison import statements_needed

            body["statements"] = max(body.get("statements", 1), statements_needed(len(pairs), body))
            of_the_batch["compare"] = True
        for source, target, _ in pairs:  # all pairs are queued, or none
            self._check(source, target, body)
        shared = _shared(sets, pairs, body.get("groups") or {})
        jobs = [self._submit(pair, body, priority, metadata, each) for pair, each in zip(pairs, shared, strict=True)]
        record = {
            "id": new_id("batch_"), "object": "batch", "name": name, "status": "queued", "kind": kind,
            "sets": sets,
            "options": body | of_the_batch, "priority": priority, "metadata": metadata, "created_at": now(),
        }  # fmt: skip
        self._stored[record["id"]] = StoredBatch(record, jobs)
        return batch_record(self._stored[record["id"]])

    def _comparison(self, batch: StoredBatch, params: Mapping[str, Any]) -> dict[str, Any]:
        from wdist.errors import OptionError
        from wdist.inference.comparison import check_delta, compared_figures, set_names, warnings_of

        found, sets = batch.record, batch.record["sets"] or []
        if not found["options"].get("compare"):
            text = f"{found['id']} is no comparison: submit reference and targets with compare"
            raise RefusalError(409, "Conflict", text)
        delta, names = params.get("delta"), params.get("names") or set_names(sets, self._sets.names())
        try:
            check_delta(delta)
        except OptionError as error:
            raise RefusalError.of([("delta", str(error))]) from error
        answer = {"batch": found["id"], "complete": True, "comparison": None, "reason": None}
        if any(job.record["status"] not in ENDED for job in batch.jobs):
            return answer | {"complete": False, "reason": "estimates are queued or running"}
        results = [job.record["result"] for job in batch.jobs]
        try:
            figures = compared_figures(names[0], names[1:], results, delta)
        except OptionError as error:
            return answer | {"reason": str(error)}
        warnings = [{"candidate": name, "warning": text} for name, text in warnings_of(names[1:], results)]
        return answer | {"comparison": figures.model_dump(mode="json"), "warnings": warnings}

    def _check(self, source: str, target: str, options: dict[str, Any]) -> None:
        try:
            self._jobs.check_pair(source, target, options)
        except RefusalError as refusal:
            one, other = (self._sets.find(each).record["name"] or each for each in (source, target))
            problem: dict[str, Any] = refusal.problem
            detail, field = problem["detail"], problem["errors"][0]["field"]
            if field in {"source", "target"}:  # an option is at fault in every pair
                detail = f"{one} against {other}: {detail}"
            raise RefusalError(refusal.status, problem["title"], detail, field) from refusal

    def _submit(
        self,
        pair: tuple[str, str, str | None],
        options: dict[str, Any],
        priority: Any,
        metadata: Any,
        shared: SharedSets | None,
    ) -> StoredJob:
        source, target, custom_id = pair
        job = self._jobs.submit(source, target, dict(options), priority, metadata, shared)
        job.record["custom_id"] = custom_id
        return job


def _shared(sets: list[str] | None, pairs: Pairs, groups: dict[str, str]) -> list[SharedSets | None]:
    """What each pair shares with the others of its matrix; explicit pairs share nothing."""
    if sets is None:
        return [None] * len(pairs)
    number = {name: k for k, name in enumerate(sets)}
    labels = tuple(groups[name] for name in sets) if groups else ()
    return [SharedSets((number[source], number[target]), sets[0], labels) for source, target, _ in pairs]


def _pairs(body: dict[str, Any]) -> tuple[str, list[str] | None, Pairs]:
    """Pop the pairs from the body. Returns the kind, the sets of the matrix (None for explicit pairs) and the pairs."""
    from wdist.inference.pair_matrix import places

    if "pairs" in body:
        return "pairs", None, [(p["source"], p["target"], p.get("custom_id")) for p in body.pop("pairs")]
    if "matrix" in body:
        sets = body.pop("matrix")
        return "matrix", sets, [(sets[i], sets[j], None) for i, j in places(len(sets), reference=False)]
    reference, targets = body.pop("reference"), body.pop("targets")
    return "reference", [reference, *targets], [(reference, target, None) for target in targets]
