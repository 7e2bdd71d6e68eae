"""The commands of `wdist remote`. Each calls the client and prints text or JSON; its docstring is its help."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from wdist_client.command import arguments as take
from wdist_client.command.batch_actions import batch, batches, compare, comparison, matrix, results
from wdist_client.command.inputs import Here, Session, data, table
from wdist_client.command.listing import listed
from wdist_client.command.options import Status
from wdist_client.command.watching import Watcher
from wdist_client.errors import NotFound, OptionError, WithdrawnWarning

if TYPE_CHECKING:
    from wdist_client.base import Model
    from wdist_client.handles.synchronous import Job
    from wdist_client.models import Batch, Estimate, Result, SampleSet


def status(*, session: Here) -> int:
    """Say whether the server is ready, and its version."""
    client = session.client
    version, ready = client.version(), client.is_ready()
    next(iter(client.estimates.list()), None)  # fails here if the server needs a key
    text = f"{client.base_url}: wdist {version.get('version')}, {'ready' if ready else 'not ready'}"
    session.say({"url": client.base_url, "ready": ready, **version}, text)
    return 0 if ready else 1


def upload(
    names: take.AllData,
    /,
    *,
    name: Annotated[str | None, Parameter(help="a label for people (default: the file's name)")] = None,
    reading: take.Reading = take.READING,
    labels: take.Labels = None,
    progress: take.Progress = None,
    session: Here,
) -> int:
    """Send sample sets; prints their ids."""
    if name is not None and len(names) > 1:
        raise OptionError("--name is for one set; leave it out and each set is called by its file's name")
    how = {**reading.given(), **({} if labels is None else {"labels": labels})}
    for text in session.located(names, how):
        stored = session.send(text, name=name, progress=progress, **how)
        session.say(stored, stored.id)
        session.remark(stored)
        session.remark_notes(stored)
    return 0


def sets(
    *,
    sha256: Annotated[str | None, Parameter(metavar="DIGEST", help="only the one with this content")] = None,
    session: Here,
) -> int:
    """List sample sets, newest first."""
    found = list(session.client.sample_sets.list(sha256=sha256))
    rows = ((s.id, " x ".join(map(str, s.shape)), s.dtype_name, s.name or "", columns_of(s)) for s in found)
    session.say(found, table(rows))
    return 0


def columns_of(stored: SampleSet) -> str:
    """The names of a set's columns, cut to the width of a line, with the kinds of those that are no numbers."""
    kinds = {} if stored.table is None else {each.name: f" ({each.kind})" for each in stored.table.columns}
    names = [name + kinds.get(name, "").replace(" (number)", "") for name in stored.columns or ()]
    text = ", ".join(names)
    return text if len(text) <= 60 else f"{text[:60]}..."


def estimate(
    source: Annotated[take.Data, Parameter(name="A", help=f"the first set: {take.DATA}")],
    target: Annotated[take.Data, Parameter(name="B", help="the second set: as the first")],
    /,
    *,
    options: take.EstimateOptions = take.OPTIONS,
    reading: take.Reading = take.READING,
    groups: take.Groups = None,
    fail_above: take.FailAbove = None,
    waiting: take.Waiting = take.WAITING,
    files: take.Files = take.FILES,
    session: Here,
) -> int:
    """Compare two sample sets; prints the result."""
    files.refuse_unwritable()
    if source == target == "-":
        raise OptionError("only one of the two sets can come from standard input")
    pair = session.located((source, target), reading.given())
    labels = session.located(groups or ())
    first, second = session.send_all(pair, reading.given(), waiting.progress)
    more = options.given()
    if labels:
        more["groups"] = [session.send(text, progress=waiting.progress) for text in labels]
    job = session.client.estimates.create(first, second, **more)
    session.remark(f"{job.id} is {job.status}")
    if waiting.no_wait:
        session.say(job.estimate, job.id)
        return 0
    return answer(session, job, waiting, files, fail_above)


def answer(session: Session, job: Job, waiting: take.Waiting, files: take.Files, fail_above: float | None) -> int:
    """Waits for the result, prints it, writes the files, and compares it with --fail-above.

    Raises WithdrawnError for --fail-above on a withdrawn bound: neither "above" nor "not above" would be true.
    """
    result = named(session, job, job.wait(timeout=waiting.timeout, progress=waiting.progress))
    record = result.to_dict()
    if files.witness:
        record["witness"] = result.witness.to_dict()
    session.say(record, f"{result}\n\n{result.witness}" if files.witness else result)
    if files.save is not None or files.report is not None:
        with suppress(NotFound):  # of an estimate that ran before servers kept it
            _ = result.witness
    if files.save is not None:
        _ = result.certificate
        result.save(files.save)
    if files.report is not None:
        result.report(files.report)
    if fail_above is None:
        return 0
    is_above = float(result) > fail_above
    outcome, how = ("failed", "is above") if is_above else ("passed", "is not above")
    session.remark(f"{outcome}: the lower bound, {result.lower_bound:.6g}, {how} {fail_above:g} (--fail-above)")
    return int(is_above)


def named(session: Session, job: Job, result: Result) -> Result:
    """The result with the names of its sets."""
    return result.named((session.name_of(job.estimate.source), session.name_of(job.estimate.target)))


def list_(
    *,
    status: Status | None = None,
    metadata: take.Metadata = None,
    search: take.Search = None,
    limit: Annotated[int, Parameter(help="at most so many")] = 20,
    session: Here,
) -> int:
    """List estimates, newest first: id, status, date, name, sets and answer."""
    asked = session.client.estimates.list(status=status, metadata=metadata, search=search)
    found = [job.estimate for job in itertools.islice(asked, limit)]
    if session.as_json:
        session.say_json(found)
    elif found:
        session.say(None, listed(found, session.name_of))
    else:
        session.remark("there are no such estimates")
    return 0


def rename(
    identifier: take.Id,
    name: Annotated[str | None, Parameter(name="NAME")] = None,
    /,
    *,
    session: Here,
) -> int:
    """Give an estimate or a batch a name, or without NAME take it away."""
    client = session.client
    record: Estimate | Batch
    kind, found = session.any_of(identifier, ("estimate", "batch"))
    if kind == "batch":
        record = client.batches.rename(found, name).batch
    else:
        record = client.estimates.rename(found, name).estimate
    session.say(record, f"{record.id} is called {name}" if name else f"{record.id} has no name")
    return 0


def show(ids: take.Ids, /, *, session: Here) -> int:
    """Print the record of a set, an estimate, a batch or a monitor."""
    client = session.client
    for name in ids:
        kind, found = session.any_of(name, ("sample set", "estimate", "batch", "monitor"))
        record: Model
        if kind == "sample set":
            record = client.sample_sets.get(found)
        elif kind == "batch":
            record = client.batches.get(found).batch
        elif kind == "monitor":
            record = client.monitors.get(found).record
        else:
            record = client.estimates.get(found).estimate
        session.say_json(record)
    return 0


def cancel(ids: take.Ids, /, *, session: Here) -> int:
    """Stop estimates or batches."""
    client = session.client

    def canceled(name: str) -> Model:
        kind, found = session.any_of(name, ("estimate", "batch"))
        if kind == "batch":
            return client.batches.get(found).cancel().batch
        return client.estimates.cancel(found).estimate

    return session.change(ids, canceled)


def finish(ids: take.Ids, /, *, session: Here) -> int:
    """Have estimates end training now, and state what they have."""
    return session.change(ids, lambda name: session.estimate(name).finish().estimate)


def delete(ids: take.Ids, /, *, session: Here) -> int:
    """Forget sample sets, or estimates that have ended."""
    for name in ids:
        kind, found = session.any_of(name, ("sample set", "estimate"))
        if kind == "sample set":
            session.client.sample_sets.delete(found)
        else:
            session.client.estimates.delete(found)
        session.remark(f"{name} is deleted")
    return 0


def watch(name: take.Estimate, /, *, session: Here) -> int:
    """Follow an estimate until it has ended: what it does on standard error, then the result.

    It goes on where it was if the server is restarted meanwhile. With --json, prints one event a line.
    """
    job = session.estimate(name)
    if session.as_json:
        for event in job.events():
            session.say_json(event, indent=None)
        job.wait()
        return 0
    with Watcher() as watcher:
        found = job.wait(progress=watcher)
    session.say(None, named(session, job, found))
    return 0


def result(
    name: take.Estimate,
    /,
    *,
    fail_above: take.FailAbove = None,
    waiting: take.Waiting = take.WAITING,
    files: take.Files = take.FILES,
    session: Here,
) -> int:
    """Print the result of an estimate, waiting for it where it has not ended."""
    files.refuse_unwritable()
    job = session.estimate(name)
    if waiting.no_wait and not job.estimate.ended:
        session.remark(f"{job.id} is {job.status}")
        return 1
    return answer(session, job, waiting, files, fail_above)


def curve(name: take.Estimate, /, *, session: Here) -> int:
    """Print the training curve: step, seconds, value (not certified)."""
    points = session.estimate(name).curve()
    rows = ((p.step, f"{p.seconds:.2f}", f"{p.value:.6g}") for p in points)
    session.say(list(points), table([("step", "seconds", "value"), *rows]))
    return 0


def certificate(
    name: take.Estimate,
    file: Annotated[str, Parameter(name="FILE", help="where it is written to")],
    /,
    *,
    session: Here,
) -> int:
    """Write the certificate of an estimate; prints its digest."""
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always", WithdrawnWarning)
        found = session.estimate(name).certificate()
    for note in notes:
        session.remark(note.message)
    digest = found.save(file)
    session.say({"file": file, "sha256": digest}, digest)
    return 0


def evaluate(
    name: take.Estimate,
    given: Annotated[take.Data, Parameter(name="ROWS", help=f"rows to score: {take.DATA}")],
    /,
    *,
    reading: take.Reading = take.READING,
    out: Annotated[
        str | None,
        Parameter(
            name=("--output", "--out", "-o"), metavar="FILE", help="write an .npy file instead of one score a line"
        ),
    ] = None,
    progress: take.Progress = None,
    session: Here,
) -> int:
    """Score rows with the critic: high where they look like the target. Files are read as the estimate's sets were.

    Options that say how to read change only what they name. A stored set of more than 10,000 rows is a job of the
    server, which goes on after Ctrl-C; see `evaluations`.
    """
    import numpy as np

    from wdist_client.display.outputs import refuse_unwritable

    refuse_unwritable(out)
    job = session.estimate(name)
    (given,) = session.located([given], reading.given())
    with data(given) as found:
        rows: Any
        if isinstance(found, str) or found.suffix != ".npy" or reading.given():
            # The server converts other formats, and keeps the set.
            how = session.read_alike((job.estimate.source, job.estimate.target), reading.given(), given)
            rows = session.send_rows(job.estimate, str(found) if given == "-" else given, how)
        else:
            try:
                rows = np.load(found, mmap_mode="r", allow_pickle=False)
            except ValueError as error:
                raise OptionError(f"{found} is not an .npy file of numbers") from error
        scores = job.evaluate(rows, progress=progress)
        if any("were left out" in note for note in getattr(rows, "notes", ())):
            session.remark_notes(rows)
            session.remark(f"There are {len(scores):,} scores: one for each row that was kept, in their order.")
    if out:
        np.save(out, scores)
    else:
        session.say(scores.tolist(), "\n".join(map(repr, scores.tolist())), indent=None)
    return 0


def evaluations(
    name: take.Estimate,
    /,
    *,
    delete: Annotated[
        tuple[str, ...],
        Parameter(
            negative=(), metavar="ID", show_default=False, help="stop this one and forget its scores; repeatable"
        ),
    ] = (),
    session: Here,
) -> int:
    """List the evaluations of stored sets by an estimate's critic, newest first, or delete some."""
    job = session.estimate(name)
    for each in delete:
        job.delete_evaluation(each)
        session.remark(f"{each} is deleted")
    if delete:
        return 0
    found = job.evaluations()
    rows = ((e.id, e.status, f"{e.done:,} of {e.rows:,} rows", session.name_of(e.sample_set)) for e in found)
    session.say(found, table(rows))
    return 0


COMMANDS: dict[str, Callable[..., int]] = {
    "status": status, "upload": upload, "sets": sets, "estimate": estimate, "list": list_, "rename": rename,
    "show": show, "finish": finish, "cancel": cancel, "delete": delete, "watch": watch, "result": result,
    "curve": curve, "certificate": certificate, "evaluate": evaluate, "evaluations": evaluations, "matrix": matrix,
    "compare": compare, "batch": batch, "batches": batches, "results": results, "comparison": comparison,
}  # fmt: skip
