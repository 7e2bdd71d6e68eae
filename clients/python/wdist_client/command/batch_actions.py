"""The commands of `wdist remote` for many estimates at once. A docstring is the command's help."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from wdist_client.command import arguments as take
from wdist_client.command.inputs import Here, Session, table
from wdist_client.command.listing import local
from wdist_client.errors import OptionError

if TYPE_CHECKING:
    from wdist_client.handles.synchronous import BatchJob
    from wdist_client.models import SampleSet


def matrix(
    names: take.AllData,
    /,
    *,
    by: take.By = None,
    levels: take.Levels = (),
    reference: take.Reference = False,
    reading: take.Reading = take.READING,
    options: take.EstimateOptions = take.OPTIONS,
    simultaneous: take.Simultaneous = False,
    waiting: take.Waiting = take.WAITING,
    session: Here,
) -> int:
    """Compare all pairs of sample sets; prints both ends of each distance, and p-values."""
    more = {**options.given(), "simultaneous": simultaneous}
    if reference == "true":
        reference = True
    if by is not None:
        with session.one_table(names) as data:
            job = session.client.matrix(
                data, by=by, levels=levels or None, reference=reference, progress=waiting.progress,
                **reading.given(), **more,
            )  # fmt: skip
    else:
        refuse_levels(levels, reference)
        stored = sent(
            session,
            names,
            (2, "give at least two sets, or one table and --by COLUMN to compare its levels"),
            reading,
            waiting,
        )
        batches = session.client.batches
        job = batches.reference(stored[0], stored[1:], **more) if reference else batches.matrix(stored, **more)
    if is_left(session, job, waiting):
        return 0
    found = job.wait(timeout=waiting.timeout, progress=waiting.progress)
    session.say(found.to_dict(), found)
    return 0 if job.batch.counts.failed == 0 else 1


def compare(
    names: take.AllData,
    /,
    *,
    delta: take.Delta = None,
    by: take.By = None,
    levels: take.Levels = (),
    reference: Annotated[str | None, Parameter(metavar="LEVEL", help="with --by: the level that is it")] = None,
    reading: take.Reading = take.READING,
    options: take.EstimateOptions = take.OPTIONS,
    waiting: take.Waiting = take.WAITING,
    session: Here,
) -> int:
    """Tell which of several sample sets is closest to the first, the reference."""
    if by is not None:
        if reference is None:
            raise OptionError(f"say which level of {by!r} is the reference: --reference LEVEL")
        with session.one_table(names) as data:
            job = session.client.compare(
                data, by=by, levels=levels or None, reference=reference, progress=waiting.progress,
                **reading.given(), **options.given(),
            )  # fmt: skip
    else:
        refuse_levels(levels, reference or False)
        least = (
            "give a reference and at least two candidates, or one table, --by COLUMN and --reference LEVEL; two sets "
            "alone are compared by an estimate"
        )
        stored = sent(session, names, (3, least), reading, waiting)
        job = session.client.batches.compare(stored[0], stored[1:], **options.given())
    if is_left(session, job, waiting):
        return 0
    return told(session, job, delta, waiting)


def comparison(
    name: take.Batch, /, *, delta: take.Delta = None, waiting: take.Waiting = take.WAITING, session: Here
) -> int:
    """Print the comparison of a batch that `compare` submitted."""
    return told(session, session.batch(name), delta, waiting)


def told(session: Session, job: BatchJob, delta: float | None, waiting: take.Waiting) -> int:
    timeout = 0.0 if waiting.no_wait else waiting.timeout
    found = job.comparison(delta=delta, timeout=timeout, progress=waiting.progress)
    session.say(found, found)
    return 0 if job.batch.counts.failed == 0 else 1


def sent(
    session: Session, names: Sequence[str], least: tuple[int, str], reading: take.Reading, waiting: take.Waiting
) -> list[SampleSet]:
    """Upload or look up all sets. least: how many there must be, and what to say of fewer."""
    if names.count("-") > 1:
        raise OptionError("only one of the sets can come from standard input")
    if len(names) < least[0]:
        raise OptionError(least[1])
    found = session.located(names, reading.given())
    return labelled(found, session.send_all(found, reading.given(), waiting.progress))


def refuse_levels(levels: Sequence[str], reference: str | bool) -> None:
    """Raise OptionError for what means nothing without --by."""
    if levels or isinstance(reference, str):
        raise OptionError("levels are those of a column of one table: name it with --by")


def is_left(session: Session, job: BatchJob, waiting: take.Waiting) -> bool:
    """Tell which batch was submitted; with --no-wait print its id and leave it."""
    total = job.batch.counts.total
    session.remark(f"{job.id} is {job.status}: {total} {'estimate' if total == 1 else 'estimates'}")
    if waiting.no_wait:
        session.say(job.batch, job.id)
    return waiting.no_wait


def labelled(given: Sequence[str], stored: Sequence[SampleSet]) -> list[SampleSet]:
    """The sets by what this call was given for them; one that was given by its id by its name, if no other has it."""
    names = [record.name or text if text == record.id else text for text, record in zip(given, stored, strict=True)]
    names = [text if names.count(name) > 1 else name for text, name in zip(given, names, strict=True)]
    return [record.model_copy(update={"name": name}) for record, name in zip(stored, names, strict=True)]


def batch(
    pairs: Annotated[
        take.Data,
        Parameter(name="FILE", help='JSON lines {"source": id, "target": id, "custom_id": text}, or - for stdin'),
    ],
    /,
    *,
    options: take.EstimateOptions = take.OPTIONS,
    simultaneous: take.Simultaneous = False,
    waiting: take.Waiting = take.WAITING,
    session: Here,
) -> int:
    """Compare explicit pairs; prints one JSON object a line."""
    text = sys.stdin.read() if pairs == "-" else Path(pairs).read_text()
    try:
        lines = [json.loads(line) for line in text.splitlines() if line.strip()]
        given = [
            (line["source"], line["target"], *([line["custom_id"]] if "custom_id" in line else [])) for line in lines
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise OptionError(f'each line must be like {{"source": "ss_...", "target": "ss_..."}}: {error}') from error
    job = session.client.batches.pairs(given, **options.given(), simultaneous=simultaneous)
    if is_left(session, job, waiting):
        return 0
    return lines_of(session, job, waiting)


def lines_of(session: Session, job: BatchJob, waiting: take.Waiting) -> int:
    for record in job.results(wait=not waiting.no_wait, timeout=waiting.timeout, progress=waiting.progress):
        session.say_json(record, indent=None)
    return 0 if job.batch.counts.failed == 0 else 1


def batches(*, search: take.Search = None, session: Here) -> int:
    """List batches, newest first."""
    found = [job.batch for job in session.client.batches.list(search=search)]
    rows = (
        (
            b.id, b.status, local(b.created_at), b.kind, f"{b.counts.ended} of {b.counts.total} ended",
            b.name or "",
        )
        for b in found
    )  # fmt: skip
    session.say(found, table(rows) if found else "")
    return 0


def results(name: take.Batch, /, *, waiting: take.Waiting = take.WAITING, session: Here) -> int:
    """Print all estimates of a batch, one JSON object a line."""
    return lines_of(session, session.batch(name), waiting)
