"""`wdist remote monitor ...`: the commands of monitors. A docstring is the command's help."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from wdist_client.command import arguments as take
from wdist_client.command.inputs import Here, Session, table
from wdist_client.command.options import MonitorFlags
from wdist_client.display.numbers import rounded_down
from wdist_client.errors import Conflict, OptionError, UpdateFailed

if TYPE_CHECKING:
    from wdist_client.monitors.synchronous import Monitor

EX_ALARM = 3  # while an alarm is on
REPEATED = "repeated_batch_error"  # the type of the error of an update whose rows an earlier one had

Name = Annotated[str | None, Parameter(metavar="NAME", help="what it is called (default: its file)")]
AlarmAbove = Annotated[
    take.Finite,
    Parameter(metavar="W", help="alarm when the distance is shown to be above W (default: above the tolerance)"),
]
ColumnAbove = Annotated[
    tuple[str, ...],
    Parameter(
        negative=(),
        metavar="NAME=W",
        show_default=False,
        help="alarm when the distance of this column by itself is shown to be above W; repeatable",
    ),
]
Reference = Annotated[take.Data, Parameter(name="REFERENCE", help=f"rows to compare with: {take.DATA}")]
Which = Annotated[str, Parameter(name="MONITOR", help="id or name of the monitor")]
Monitors = Annotated[list[str], Parameter(name="MONITOR", help="ids or names of monitors")]


@Parameter(name="*")
@dataclass(frozen=True)
class MonitorOptions(MonitorFlags):
    """How a monitor compares, and how it is found again."""

    metadata: take.Metadata = None

    def given(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}


OPTIONS = MonitorOptions()


def create(
    reference: Reference,
    /,
    *,
    name: Name = None,
    alarm_above: AlarmAbove = None,
    column_above: ColumnAbove = (),
    options: MonitorOptions = OPTIONS,
    reading: take.Reading = take.READING,
    progress: take.Progress = None,
    session: Here,
) -> int:
    """Begin to compare batches with a reference; prints the monitor's id."""
    (reference,) = session.located([reference], reading.given())
    stored = session.send(reference, progress=progress, **reading.given())
    wanted = thresholds_of(alarm_above, column_above)
    made = session.client.monitors.create(stored, name=name, thresholds=wanted, **options.given())
    session.say(made.record, made.id)
    session.remark(f"{made.name} compares with {session.name_of(stored.id)}")
    return 0


def update(
    name: Which,
    batch: Annotated[take.Data, Parameter(name="BATCH", help=f"rows to compare with the reference: {take.DATA}")],
    /,
    *,
    at: Annotated[str | None, Parameter(metavar="TIME", help="of the batch: a number, or a date (ISO 8601)")] = None,
    batch_name: Annotated[
        str | None, Parameter(name="--name", metavar="NAME", help="of the batch (default: its file)")
    ] = None,
    if_new: Annotated[take.Switch, Parameter(help="a batch that was seen before is no error")] = False,
    quiet: Annotated[take.Switch, Parameter(help="say nothing unless an alarm is on")] = False,
    reading: take.Reading = take.READING,
    waiting: take.Waiting = take.WAITING,
    session: Here,
) -> int:
    """Compare one more batch; exits with 3 while an alarm is on. Files are read as the reference was."""
    monitor = session.monitor(name)
    (batch,) = session.located([batch], reading.given())
    how = session.read_alike([monitor.record.reference_set], reading.given(), batch)
    stored = session.send(batch, name=batch_name, progress=waiting.progress, **how)
    try:
        job = monitor.update(stored, at=None if at is None else number_or_text(at), wait=False)
        if waiting.no_wait:
            session.say(job.record, job.id)
            return 0
        found = job.wait(timeout=waiting.timeout, progress=waiting.progress)
    except (Conflict, UpdateFailed) as error:
        if not (if_new and is_repeated(error)):
            raise
        if not quiet:
            session.remark(error)
        return alarm_status(session, monitor.refresh(), is_told=False)
    if session.as_json or not quiet:
        session.say(found, found)
    return alarm_status(session, monitor.refresh(), is_told=not (session.as_json or quiet))


def is_repeated(error: Conflict | UpdateFailed) -> bool:
    """Whether a batch was refused because an earlier update had its rows: at once, or in another order when it ran."""
    if isinstance(error, UpdateFailed):
        return error.update.error is not None and error.update.error.type == REPEATED
    return "batch" in (each.get("field") for each in error.errors) and re.search(r"\bmu_\w+", error.detail) is not None


def show(name: Which, /, *, session: Here) -> int:
    """Print a monitor and its last updates; exits with 3 while an alarm is on."""
    monitor = session.monitor(name)
    if not session.as_json:
        monitor.recent()
    session.say(monitor.record, monitor)
    return alarm_status(session, monitor, is_told=not session.as_json)


def list_(
    *,
    alarm: Annotated[
        bool | None, Parameter(negative="--no-alarm", show_default=False, help="only those with an alarm on, or off")
    ] = None,
    metadata: take.Metadata = None,
    limit: Annotated[int, Parameter(help="at most so many")] = 20,
    session: Here,
) -> int:
    """List monitors, newest first."""
    found = list(itertools.islice(session.client.monitors.list(alarm=alarm, metadata=metadata), limit))
    rows = (
        (each.id, each.name, "ALARM" if each.alarms else each.status, counted(each.record.updates), bound(each))
        for each in found
    )
    session.say([each.record for each in found], table(rows))
    return 0


def bound(monitor: Monitor) -> str:
    """What the last update shows, in a line of a list; nothing of an epoch that has ended."""
    last, epoch = monitor.last, monitor.record.epoch
    if last is None or last.epoch != epoch:
        return "" if epoch == 1 else f"no update in epoch {epoch}"
    return f"W1 >= {rounded_down(last.series_lower_bound)}"


def counted(updates: int) -> str:
    return f"{updates:,} update" + ("" if updates == 1 else "s")


def updates(name: Which, /, *, limit: Annotated[int, Parameter(help="at most so many")] = 20, session: Here) -> int:
    """List the updates of a monitor, newest first, also those that wait or failed."""
    found = [each.record for each in itertools.islice(session.monitor(name).updates(), limit)]
    rows = []
    for each in found:
        said = "" if each.error is None else each.error.message
        if each.figures is not None:
            said = f"W1 >= {rounded_down(each.figures.series_lower_bound)}" + (", ALARM" if each.figures.alarms else "")
        rows.append((each.id, each.status, each.at if each.at is not None else "", each.name or each.batch, said))
    session.say(found, table(rows))
    return 0


def cancel(
    name: Which,
    ids: Annotated[list[str], Parameter(name="UPDATE", help="ids of updates (mu_...)")],
    /,
    *,
    session: Here,
) -> int:
    """Stop updates of a monitor; its series is as if they had never been."""
    monitor = session.monitor(name)
    for each in ids:
        job = monitor.get_update(each).cancel()
        session.say(job.record, f"{job.id} is {job.status}")
    return 0


def export(
    name: Which,
    /,
    *,
    format: Annotated[  # noqa: A002 - as users call it
        Literal["csv", "jsonl"] | None,
        Parameter(help="a table, or all figures as JSON lines (default: by --output, else csv)"),
    ] = None,
    output: Annotated[str | None, Parameter(name=("--output", "-o"), metavar="FILE", help="write it here")] = None,
    session: Here,
) -> int:
    """Print all updates that succeeded, or write them into a file."""
    text = session.monitor(name).export(output, format=format)
    if output is None:
        sys.stdout.write(text)
    return 0


def thresholds(
    name: Which,
    /,
    *,
    alarm_above: AlarmAbove = None,
    column_above: ColumnAbove = (),
    reset: Annotated[take.Switch, Parameter(help="alarm when a distance above the tolerance is shown")] = False,
    session: Here,
) -> int:
    """Say when an alarm is raised from now on, instead of what was said before; without flags, print it.

    Exits with 3 while an alarm is on.
    """
    monitor = session.monitor(name)
    wanted = thresholds_of(alarm_above, column_above)
    if wanted is not None and reset:
        raise OptionError("give thresholds or --reset, not both")
    if wanted is not None or reset:
        monitor.set_thresholds(**(wanted or {}))
    session.say_json(monitor.thresholds)
    return alarm_status(session, monitor, is_told=False)


def pause(names: Monitors, /, *, session: Here) -> int:
    """Take no updates of these monitors until `resume`. Do not let results decide it: the bounds would not hold."""
    return session.change(names, lambda name: session.monitor(name).pause().record)


def resume(names: Monitors, /, *, session: Here) -> int:
    """Take updates of these monitors again."""
    return session.change(names, lambda name: session.monitor(name).resume().record)


def epoch(
    name: Which,
    reference: Reference,
    /,
    *,
    tolerance: Annotated[take.Finite, Parameter(metavar="W", help="a distance up to this is no drift")] = None,
    alarm_above: AlarmAbove = None,
    column_above: ColumnAbove = (),
    reading: take.Reading = take.READING,
    progress: take.Progress = None,
    session: Here,
) -> int:
    """Begin a new epoch with a new reference, after a drift that is there to stay; the rest stays as it was."""
    monitor = session.monitor(name)
    (reference,) = session.located([reference], reading.given())
    how = session.read_alike([monitor.record.reference_set], reading.given(), reference)
    stored = session.send(reference, progress=progress, **how)
    wanted = thresholds_of(alarm_above, column_above)
    monitor.new_epoch(stored, tolerance=tolerance, thresholds=wanted)
    session.say(monitor.record, monitor)
    return 0


def delete(names: Monitors, /, *, session: Here) -> int:
    """Forget monitors and their updates; sample sets stay."""
    for name in names:
        session.monitor(name).delete()
        session.remark(f"{name} is deleted")
    return 0


def alarm_status(session: Session, monitor: Monitor, *, is_told: bool) -> int:
    """The exit status. Alarms that standard output does not tell go to standard error."""
    from wdist_client.display.monitor import alarm_text

    for alarm in () if is_told else monitor.alarms:
        session.remark(f"ALARM: {alarm_text(alarm)}")
    return EX_ALARM if monitor.alarms else 0


def thresholds_of(distance: float | None, columns: Sequence[str]) -> dict[str, Any] | None:
    """What the flags say; None without any."""
    found: dict[str, Any] = {}
    for text in columns:
        name, _, limit = text.rpartition("=")
        if not name:
            raise OptionError(f"--column-above takes NAME=W, such as price=0.5, not {text!r}")
        found[name] = number_or_text(limit)  # the server says what is wrong with a number
    return {"distance": distance, "columns": found} if found or distance is not None else None


def number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


COMMANDS: dict[str, Callable[..., int]] = {
    "create": create, "update": update, "show": show, "list": list_, "updates": updates, "cancel": cancel,
    "export": export, "thresholds": thresholds, "pause": pause, "resume": resume, "epoch": epoch, "delete": delete,
}  # fmt: skip
