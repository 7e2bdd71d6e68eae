"""`Client(":local:")`: the client's interface to the library."""

from __future__ import annotations

from typing import Any

import numpy as np
import samples
from bench import Bench, Case
from exact import of_certificate


def estimate(_: Bench) -> dict[str, Any]:
    from wdist_client import Client

    x, y = samples.mixtures(90)
    with Client(":local:") as client:
        source, target = client.sample_sets.create(x, "x"), client.sample_sets.create(y, "y")
        job = client.estimates.create(
            source, target, critic="groupsort", steps=30, baseline_rows=150, statements=4, device="cpu"
        )
        result = job.wait(timeout=300)
        return {
            "sets": [{"rows": s.rows, "shape": s.shape, "dtype": s.dtype, "sha256": s.sha256, "statistics": s.statistics}
                     for s in (source, target)],
            "result": result.model_dump(),
            "html": result._repr_html_(),
            "curve": [point.model_dump() for point in job.curve()],
            "certificate": of_certificate(job.certificate()),
            "values": np.asarray(job.evaluate(x)),
        }  # fmt: skip


def matrix(_: Bench) -> dict[str, Any]:
    from wdist_client import Client

    x, y = samples.normals(91)
    with Client(":local:") as client:
        sets = [
            client.sample_sets.create(rows, name) for name, rows in zip("abc", (x, y, y + np.float32(1)), strict=True)
        ]
        options: dict[str, Any] = {"critic": "affine", "steps": 5, "baseline_rows": 0, "device": "cpu"}
        job = client.batches.matrix(sets, simultaneous=True, diameter=40.0, **options)
        found = job.wait(timeout=300)
        results = [estimate.result.model_dump() for estimate in job.results(wait=True)]
        return {"matrix": vars(found), "text": str(found), "results": results}


CASES: dict[str, Case] = {"estimate": estimate, "matrix": matrix}
