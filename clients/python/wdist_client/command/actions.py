"""The commands of `wdist remote`. Each calls the client and prints text or JSON."""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from wdist_client.batches import Matrix
from wdist_client.client import BatchJob, Client, Job
from wdist_client.command.inputs import data
from wdist_client.errors import OptionError
from wdist_client.models import Model, Result, SampleSet

OPTIONS = (
    "confidence", "critic", "seed", "steps", "max_seconds", "scale", "layout", "device", "baseline_rows", "method",
    "split", "diameter", "statements", "priority",
)  # fmt: skip


def say(text: object) -> None:
    sys.stdout.write(f"{text}\n")


def remark(text: object) -> None:
    sys.stderr.write(f"{text}\n")


def as_json(content: Any) -> str:
    return json.dumps(content.model_dump(mode="json") if isinstance(content, Model) else content, indent=2)


def table(rows: Iterable[Iterable[object]]) -> None:
    """Print rows in aligned columns."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def chosen(options: argparse.Namespace) -> dict[str, Any]:
    """The options of an estimate that were given."""
    found = {name: getattr(options, name) for name in OPTIONS}
    labels = dict(options.metadata) if options.metadata else None
    return {name: value for name, value in {**found, "metadata": labels}.items() if value is not None}


def status(client: Client, options: argparse.Namespace) -> int:
    version, ready = client.version(), client.is_ready()
    next(iter(client.estimates.list()), None)  # fails here if the server needs a key
    if options.json:
        say(as_json({"url": client.base_url, "ready": ready, **version}))
    else:
        say(f"{client.base_url}: wdist {version.get('version')}, {'ready' if ready else 'not ready'}")
    return 0 if ready else 1


def upload(client: Client, options: argparse.Namespace) -> int:
    part = {"member": options.member, "drop": options.drop, "labels": options.labels}
    for text in options.data:
        stored = send(client, text, options, **part)
        say(as_json(stored) if options.json else stored.id)
        remark(stored)
    return 0


def send(client: Client, text: str, options: argparse.Namespace, **part: Any) -> SampleSet:
    """Upload the data that `text` names, or look up the set with that id."""
    found = options.files.enter_context(data(text))  # kept open to the end: a local client reads it later
    if isinstance(found, str):
        return client.sample_sets.get(found)
    name = getattr(options, "name", None) or found.name
    return client.sample_sets.create(found, name=name, progress=getattr(options, "progress", None), **part)


def sets(client: Client, options: argparse.Namespace) -> int:
    found = client.sample_sets.list(sha256=options.sha256)
    if options.json:
        say(as_json([record.model_dump(mode="json") for record in found]))
    else:
        table((s.id, " x ".join(map(str, s.shape)), s.dtype_name, s.name or "") for s in found)
    return 0


def estimate(client: Client, options: argparse.Namespace) -> int:
    if options.source == options.target == "-":
        raise OptionError("only one of the two sets can come from standard input")
    source, target = (send(client, text, options, drop=options.drop) for text in (options.source, options.target))
    more = chosen(options)
    if options.groups:
        more["groups"] = [send(client, text, options) for text in options.groups]
    job = client.estimates.create(source, target, **more)
    remark(f"{job.id} is {job.status}")
    if not options.wait:
        say(as_json(job.estimate) if options.json else job.id)
        return 0
    return answer(job, options)


def answer(job: Job, options: argparse.Namespace) -> int:
    """Waits for the result, prints it, and compares it with --fail-above."""
    result = job.wait(timeout=options.timeout, progress=options.progress)
    return show_result(result, options.json, options.fail_above)


def show_result(result: Result, is_json: bool, fail_above: float | None = None) -> int:
    say(as_json(result) if is_json else result)
    if fail_above is not None and result.lower_bound > fail_above:
        remark(f"the lower bound {result.lower_bound:.6g} is above {fail_above:g}")
        return 1
    return 0


def list_(client: Client, options: argparse.Namespace) -> int:
    labels = dict(options.metadata) if options.metadata else None
    found = list(itertools.islice(client.estimates.list(status=options.status, metadata=labels), options.limit))
    if options.json:
        say(as_json([job.estimate.model_dump(mode="json") for job in found]))
        return 0
    table((j.id, j.status, j.estimate.source, j.estimate.target, summary(j)) for j in found)
    return 0


def summary(job: Job) -> str:
    """The summary of one estimate in a list."""
    if job.estimate.result:
        return f"W1 >= {job.estimate.result.lower_bound:.4g}"
    if job.estimate.error:
        return job.estimate.error.message
    return f"step {job.progress.step}" if job.progress else ""


def show(client: Client, options: argparse.Namespace) -> int:
    for name in options.ids:
        record: Model
        if name.startswith("ss_"):
            record = client.sample_sets.get(name)
        elif name.startswith("batch_"):
            record = client.batches.get(name).batch
        else:
            record = client.estimates.get(name).estimate
        say(as_json(record))
    return 0


def cancel(client: Client, options: argparse.Namespace) -> int:
    for name in options.ids:
        job = client.batches.get(name).cancel() if name.startswith("batch_") else client.estimates.cancel(name)
        record: Model = job.batch if isinstance(job, BatchJob) else job.estimate
        say(as_json(record) if options.json else f"{job.id} is {job.status}")
    return 0


def delete(client: Client, options: argparse.Namespace) -> int:
    for name in options.ids:
        if name.startswith("ss_"):
            client.sample_sets.delete(name)
        else:
            client.estimates.delete(name)
        remark(f"{name} is deleted")
    return 0


def watch(client: Client, options: argparse.Namespace) -> int:
    job = client.estimates.get(options.id)
    for event in job.events():
        if options.json:
            say(json.dumps(event.model_dump(mode="json")))
        elif event.type != "completed":
            remark(f"{event.type}: {', '.join(f'{name} {value}' for name, value in event.data.items())}")
    result = job.wait()
    return 0 if options.json else show_result(result, is_json=False)


def result(client: Client, options: argparse.Namespace) -> int:
    job = client.estimates.get(options.id)
    if not options.wait and not job.estimate.ended:
        remark(f"{job.id} is {job.status}")
        return 1
    return answer(job, options)


def curve(client: Client, options: argparse.Namespace) -> int:
    points = client.estimates.get(options.id).curve()
    if options.json:
        say(as_json([point.model_dump(mode="json") for point in points]))
    else:
        table([("step", "seconds", "value"), *((p.step, f"{p.seconds:.2f}", f"{p.value:.6g}") for p in points)])
    return 0


def certificate(client: Client, options: argparse.Namespace) -> int:
    content = client.estimates.get(options.id).certificate(options.file)
    digest = hashlib.sha256(content).hexdigest()
    say(as_json({"file": options.file, "sha256": digest}) if options.json else digest)
    return 0


def evaluate(client: Client, options: argparse.Namespace) -> int:
    import numpy as np

    with data(options.data) as found:
        rows: Any
        if isinstance(found, str) or found.suffix != ".npy":
            rows = send(client, options.data, options)  # the server converts other formats, and keeps the set
        else:
            try:
                rows = np.load(found, mmap_mode="r", allow_pickle=False)
            except ValueError as error:
                raise OptionError(f"{found} is not an .npy file of numbers") from error
        scores = client.estimates.get(options.id).evaluate(rows)
    if options.out:
        np.save(options.out, scores)
    elif options.json:
        say(json.dumps(scores.tolist()))
    else:
        say("\n".join(map(repr, scores.tolist())))
    return 0


def matrix(client: Client, options: argparse.Namespace) -> int:
    if options.data.count("-") > 1:
        raise OptionError("only one of the sets can come from standard input")
    if len(options.data) < 2:
        raise OptionError("give at least two sets")
    sets = [send(client, text, options) for text in options.data]
    more = {**chosen(options), "simultaneous": options.simultaneous}
    if options.reference:
        job = client.batches.reference(sets[0], sets[1:], **more)
    else:
        job = client.batches.matrix(sets, **more)
    remark(f"{job.id} is {job.status}: {job.batch.counts.total} estimates")
    if not options.wait:
        say(as_json(job.batch) if options.json else job.id)
        return 0
    found = job.wait(timeout=options.timeout, progress=options.progress)
    say(as_json(matrix_record(found)) if options.json else found)
    return 0 if job.batch.counts.failed == 0 else 1


FIGURES = ("value", "lower_bound", "simultaneous_lower_bound", "upper_bound", "p_value", "adjusted_p_value")


def matrix_record(found: Matrix) -> dict[str, Any]:
    """The matrix in JSON's types: null where there is no result."""
    figures = {name: getattr(found, name).tolist() for name in FIGURES}
    plain = {name: [[None if v != v else v for v in row] for row in rows] for name, rows in figures.items()}
    return {"rows": found.rows, "columns": found.columns, "confidence": found.confidence, **plain}


def batch(client: Client, options: argparse.Namespace) -> int:
    text = sys.stdin.read() if options.pairs == "-" else Path(options.pairs).read_text()
    try:
        lines = [json.loads(line) for line in text.splitlines() if line.strip()]
        pairs = [
            (line["source"], line["target"], *([line["custom_id"]] if "custom_id" in line else [])) for line in lines
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise OptionError(f'each line must be like {{"source": "ss_...", "target": "ss_..."}}: {error}') from error
    job = client.batches.pairs(pairs, **chosen(options), simultaneous=options.simultaneous)
    remark(f"{job.id} is {job.status}: {job.batch.counts.total} estimates")
    if not options.wait:
        say(as_json(job.batch) if options.json else job.id)
        return 0
    return lines_of(job, options)


def lines_of(job: BatchJob, options: argparse.Namespace) -> int:
    for record in job.results(wait=options.wait, timeout=options.timeout, progress=options.progress):
        say(json.dumps(record.model_dump(mode="json")))
    return 0 if job.batch.counts.failed == 0 else 1


def batches(client: Client, options: argparse.Namespace) -> int:
    found = [job.batch for job in client.batches.list()]
    if options.json:
        say(as_json([record.model_dump(mode="json") for record in found]))
    else:
        table((b.id, b.status, b.kind, f"{b.counts.ended} of {b.counts.total} ended") for b in found)
    return 0


def results(client: Client, options: argparse.Namespace) -> int:
    return lines_of(client.batches.get(options.id), options)


ACTIONS: dict[str, Callable[[Client, argparse.Namespace], int]] = {
    "status": status, "upload": upload, "sets": sets, "estimate": estimate, "list": list_, "show": show,
    "cancel": cancel, "delete": delete, "watch": watch, "result": result, "curve": curve, "certificate": certificate,
    "evaluate": evaluate, "matrix": matrix, "batch": batch, "batches": batches, "results": results,
}  # fmt: skip
