"""`estimate_w1`: the whole result, and all that hangs on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import samples
from bench import Bench, Case
from exact import of_certificate, of_saved_critic
from tree import internal

NO_BASELINE = {"baseline_rows": 0, "device": "cpu"}
GROUPSORT = {"critic": "groupsort", "steps": 40, **NO_BASELINE}


def of_result(result: Any, x: Any, y: Any, folder: Path) -> dict[str, Any]:
    """Everything that a result offers."""
    from wdist import load_critic, verify_certificate

    file = folder / "result.cert"
    result.certificate.save(file)
    result.critic.save(folder / "critic")
    again = load_critic(folder / "critic")
    witness = result.witness
    return {
        "result": result.to_dict(),
        "curve": result.curve,
        "html": result._repr_html_(),
        "witness": {**vars(witness), "columns": [vars(column) for column in witness.columns]},
        "witness_as_json": witness.to_dict(),
        "certificate": of_certificate(file.read_bytes()),
        "verification": of_report(verify_certificate(file, x, y)),
        "critic": of_saved_critic(folder / "critic"),
        "critic_read_again": {
            "lipschitz_bound": again.lipschitz_bound,
            "values": again.evaluate(x),
            "gradient": again.gradient(y[:50]),
        },
    }


def of_report(report: Any) -> dict[str, Any]:
    """Of a verification; the digest of the file depends on the seconds in it."""
    found: dict[str, Any] = report.to_dict()
    return found | {"checks": {check["name"].replace(" ", "_"): check for check in found["checks"]}}


def estimated(make: Callable[[], samples.Pair], **options: Any) -> Case:
    """A case that estimates the distance of a pair with these options."""

    def case(bench: Bench) -> dict[str, Any]:
        from wdist import estimate_w1

        x, y = make()
        return of_result(estimate_w1(x, y, **options), x, y, bench.folder)

    return case


def grouped(bench: Bench, *, shared: bool) -> dict[str, Any]:
    """Numbers that name the same patients in both sets, or names of different ones."""
    from wdist import estimate_w1

    x, y = samples.patients(20)
    numbers = np.repeat(np.random.default_rng(21).permutation(len(x) // 3), 3)
    labels: tuple[Any, Any] = (numbers, numbers[::-1].copy())
    if not shared:
        labels = tuple([f"{side}{number}" for number in numbers] for side in "ab")
    return of_result(estimate_w1(x, y, groups=labels, seed=2, **GROUPSORT), x, y, bench.folder)


def resumed(bench: Bench) -> dict[str, Any]:
    """Stopped twice, and gone on from the checkpoint."""
    from wdist import estimate_w1

    x, y = samples.mixtures(30)
    options = {"critic": "auto", "steps": 140, "seed": 1, **NO_BASELINE}
    file, stops = bench.folder / "checkpoint", []
    for polls in (20, 60):
        left = iter(range(polls))
        try:
            estimate_w1(x, y, checkpoint=file, should_stop=lambda left=left: next(left, None) is None, **options)
            stops.append("not stopped")
        except internal("Stopped") as stopped:
            stops.append(str(stopped))
    return {"stops": stops, **of_result(estimate_w1(x, y, checkpoint=file, **options), x, y, bench.folder)}


def in_lockstep(bench: Bench) -> dict[str, Any]:
    """Five estimates that are trained together."""
    options = internal("Options")(critic="groupsort", steps=40, baseline_rows=0, device="cpu")
    pairs = [samples.normals(40 + k, shift=0.2 * k) for k in range(5)]
    ends: dict[int, Any] = {}

    def member(k: int) -> Iterator[Any]:
        estimation = internal("Estimation")(*pairs[k], options)
        yield from estimation.trainings()
        ends[k] = estimation.result()

    sizes: list[int] = []

    def is_worth_it(trainings: Any) -> bool:
        sizes.append(len(trainings))
        return True

    internal("run_together")([member(k) for k in range(5)], is_worth_it)
    found = {str(k): of_result(ends[k], *pairs[k], bench.new_folder(f"{k}")) for k in sorted(ends)}
    return {"sizes": sizes, **found}


def with_progress(bench: Bench) -> dict[str, Any]:
    """A file and a memory map as rows; what is told of the progress."""
    from wdist import estimate_w1

    x, y = samples.mixtures(50)
    for name, rows in (("x", x), ("y", y)):
        np.save(bench.folder / f"{name}.npy", rows)
    told: list[tuple[int, int, float | None, str | None]] = []
    result = estimate_w1(
        bench.folder / "x.npy",
        np.load(bench.folder / "y.npy", mmap_mode="r"),
        progress=lambda now: told.append((now.step, now.steps, now.value, now.trying)),
        **{**GROUPSORT, "critic": "auto", "steps": 120},
    )
    return {"progress": told, **of_result(result, x, y, bench.folder)}


def frame(bench: Bench) -> dict[str, Any]:
    """Columns with names, and rows that are in both sets."""
    import pandas as pd

    from wdist import estimate_w1

    x, y = samples.mixtures(60)
    y[:40] = x[:40]
    frames = [pd.DataFrame(side, columns=["a", "b", "c", "d"]) for side in (x, y)]
    return of_result(estimate_w1(*frames, **GROUPSORT), x, y, bench.folder)


def refusals(_: Bench) -> dict[str, Any]:
    """What is said of data and options that cannot be used."""
    from wdist import WdistError, estimate_w1

    x, y = samples.normals(70)
    broken = x.copy()
    broken[7, 1] = np.nan
    calls: dict[str, tuple[Any, Any, dict[str, Any]]] = {
        "nan": (broken, y, {}),
        "columns": (x, y[:, :2], {}),
        "few rows": (x[:50], y, {}),
        "text": (x.astype(str), y, {}),
        "critic": (x, y, {"critic": "wgan"}),
        "images": (x, y, {"critic": "bcop"}),
        "confidence": (x, y, {"confidence": 1.0}),
        "method": (x, y, {"method": "hoeffding"}),
        "scale": (x, y, {"scale": [1.0, 0.0, 1.0]}),
        "diameter": (x, y, {"diameter": 0.1}),
        "diameter of blocks": (x, y, {"diameter": 100.0, "split": "blocks"}),
        "groups": (x, y, {"groups": ([1, 2], [3])}),
        "layout": (x, y, {"layout": "nhwc"}),
        "both budgets": (x, y, {"steps": 5, "max_seconds": 1.0}),
    }
    said = {}
    for name, (source, target, options) in calls.items():
        try:
            estimate_w1(source, target, **options)
            said[name] = "accepted"
        except WdistError as error:
            said[name] = f"{type(error).__name__}: {error}"
    return said


CASES: dict[str, Case] = {
    "affine": estimated(lambda: samples.normals(1), critic="affine", steps=5, baseline_rows=200, device="cpu"),
    "sliced-standardize": estimated(samples.diamonds, critic="sliced", scale="standardize", **NO_BASELINE),
    "groupsort": estimated(lambda: samples.mixtures(2), **GROUPSORT | {"baseline_rows": 200}),
    "groupsort-wide": estimated(lambda: samples.normals(3, columns=100), **GROUPSORT | {"steps": 10}),
    "cone": estimated(lambda: samples.mixtures(4), critic="cone", steps=120, seed=3, **NO_BASELINE),
    "auto": estimated(lambda: samples.mixtures(5), steps=160, seed=4, confidence=0.99, device="cpu"),
    "auto-defaults": estimated(lambda: samples.normals(6, shift=0.3), device="cpu"),
    # Pilots so close that semifinals follow; pilots of cones with more anchors.
    "auto-close-race": estimated(lambda: samples.shells(1, 500, 2), steps=400, **NO_BASELINE),
    "auto-cones": estimated(lambda: samples.shells(1, 1000, 30), steps=300, **NO_BASELINE),
    "bcop-uint8-nhwc": estimated(
        lambda: samples.coloured(7), critic="bcop", steps=8, layout="nhwc", confidence=0.9, **NO_BASELINE
    ),
    "bcop-float-nchw": estimated(
        lambda: samples.coloured_floats(8), critic="bcop", steps=8, layout="nchw", confidence=0.9, **NO_BASELINE
    ),
    "grey-images": estimated(lambda: samples.grey(9), **GROUPSORT | {"steps": 15, "confidence": 0.9}),
    "groups-shared": lambda bench: grouped(bench, shared=True),
    "groups-apart": lambda bench: grouped(bench, shared=False),
    "blocks": estimated(lambda: samples.drifting(10), split="blocks", **GROUPSORT),
    "scale-vector-diameter": estimated(
        lambda: samples.normals(11), scale=[2.0, 0.5, 1.5], diameter=40.0, **GROUPSORT | {"critic": "affine"}
    ),
    "scale-number": estimated(lambda: samples.normals(12, columns=1), scale=3.0, **GROUPSORT),
    "empirical-bernstein": estimated(lambda: samples.normals(13), method="empirical_bernstein", **GROUPSORT),
    "paired-betting": estimated(lambda: samples.normals(14), method="paired_betting", **GROUPSORT),
    "statements": estimated(lambda: samples.normals(15), statements=10, **GROUPSORT),
    "empirical": estimated(lambda: samples.normals(16), empirical=True, **GROUPSORT),
    "not-empirical": estimated(lambda: samples.normals(16), empirical=False, **GROUPSORT),
    "no-difference": estimated(lambda: samples.normals(17, shift=0.0), **GROUPSORT),
    "checkpoint": resumed,
    "lockstep": in_lockstep,
    "files-progress": with_progress,
    "frame-duplicates": frame,
    "refusals": refusals,
}
