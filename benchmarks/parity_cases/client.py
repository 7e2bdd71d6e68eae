"""The client: of a server, and `Client(":local:")`, which runs the library."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import samples
from bench import Bench, Case
from exact import of_certificate

QUICK: dict[str, Any] = {"critic": "affine", "steps": 5, "baseline_rows": 0, "device": "cpu"}


def estimate(_: Bench) -> dict[str, Any]:
    from wdist_client import Client

    x, y = samples.mixtures(90)
    with Client(":local:") as client:
        source, target = client.sample_sets.create(x, "x"), client.sample_sets.create(y, "y")
        job = client.estimates.create(
            source, target, critic="groupsort", steps=30, baseline_rows=150, statements=4, device="cpu"
        )
        result = job.wait(timeout=300)
        return of_job(job, result, x) | {"sets": [of_set(source), of_set(target)]}


def of_set(record: Any) -> dict[str, Any]:
    return {
        name: getattr(record, name) for name in ("name", "rows", "shape", "dtype", "sha256", "statistics", "columns")
    }


def of_job(job: Any, result: Any, rows: Any) -> dict[str, Any]:
    return {
        "result": result.model_dump(),
        "html": result._repr_html_(),
        "curve": [point.model_dump() for point in job.curve()],
        "certificate": of_certificate(job.certificate()),
        "values": np.asarray(job.evaluate(rows)),
    }


def asynchronous(_: Bench) -> dict[str, Any]:
    from wdist_client import AsyncClient

    async def estimate() -> dict[str, Any]:
        x, y = samples.mixtures(92)
        async with AsyncClient(":local:") as client:
            source, target = await client.sample_sets.create(x), await client.sample_sets.create(y)
            job = await client.estimates.create(source, target, **QUICK)
            return {"result": (await job.wait(timeout=300)).model_dump(), "values": np.asarray(await job.evaluate(x))}

    return asyncio.run(estimate())


def of_a_server(bench: Bench) -> dict[str, Any]:
    """The same client, with the server that the server's cases use."""
    from wdist_client import Client

    x, y = samples.mixtures(93)
    with Client(bench.server.url) as client:
        source, target = client.sample_sets.create(x, "client x"), client.sample_sets.create(y, "client y")
        job = client.estimates.create(source, target, **QUICK)
        result = job.wait(timeout=300)
        kinds = [event.type for event in job.events() if event.type != "progress"]
        return of_job(job, result, x) | {"sets": [of_set(source), of_set(target)], "events": kinds}


def matrix(_: Bench) -> dict[str, Any]:
    from wdist_client import Client

    x, y = samples.normals(91)
    with Client(":local:") as client:
        sets = [
            client.sample_sets.create(rows, name) for name, rows in zip("abc", (x, y, y + np.float32(1)), strict=True)
        ]
        job = client.batches.matrix(sets, simultaneous=True, diameter=40.0, **QUICK)
        found = job.wait(timeout=300)
        results = [estimate.result.model_dump() for estimate in job.results(wait=True)]
        return {"matrix": vars(found), "text": str(found), "results": results}


CASES: dict[str, Case] = {
    "estimate": estimate, "matrix": matrix, "asynchronous": asynchronous, "of-a-server": of_a_server,
}  # fmt: skip
