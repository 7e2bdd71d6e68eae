"""`wdist monitor create|update|show|export|thresholds|epoch`. Showing and exporting do not wait for torch."""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import App, Parameter

from wdist.cli.arguments import AsJson, Progress, SetName, Switch, finite
from wdist.cli.inputs import HELP, open_inputs
from wdist.cli.options import options_as_flags, readings_as_flags
from wdist.cli.output import EX_ALARM, fail, refuse, remark, say
from wdist.definitions.updates import ExportFormat
from wdist.errors import OptionError, RepeatedBatchError, WdistError
from wdist.monitoring.options import MonitorOptions

if TYPE_CHECKING:
    from wdist.definitions.monitoring import Thresholds
    from wdist.monitoring.monitor import Monitor

OWN = ("name", "thresholds")  # options that have flags of their own

Folder = Annotated[Path, Parameter(name="FOLDER", help="folder of the monitor")]
Reference = Annotated[SetName, Parameter(name="REFERENCE", help=f"rows to compare with: {HELP}")]
Name = Annotated[str | None, Parameter(metavar="NAME", help="of the monitor (default: that of the folder)")]
AlarmAbove = Annotated[
    float | None,
    Parameter(
        validator=finite,
        metavar="W",
        help="alarm when the distance is shown to be above W (default: above the tolerance)",
    ),
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

Command = TypeVar("Command", bound=Callable[..., int])


def _refusing(command: Command) -> Command:
    """A decorator: what is refused is one line and an exit status."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> int:
        try:
            return command(*args, **kwargs)
        except WdistError as error:
            from wdist.monitoring.words import in_commands

            return refuse(WdistError(in_commands(str(error), str(args[0]))))
        except OSError as error:
            return fail(f"{error.filename or 'cannot read or write'}: {error.strerror or error}")

    return run  # type: ignore[return-value]


monitor = App(name="monitor")


@monitor.command
@readings_as_flags()
@options_as_flags(MonitorOptions, without=OWN)
@_refusing
def create(
    folder: Folder,
    reference: Reference,
    /,
    *,
    name: Name = None,
    alarm_above: AlarmAbove = None,
    column_above: ColumnAbove = (),
    as_json: AsJson = False,
    **arguments: Any,
) -> int:
    """Make a folder with a monitor and a copy of its reference."""
    from wdist.monitoring.folder import refuse_full
    from wdist.monitoring.monitor import Monitor

    refuse_full(folder)
    given: dict[str, Any] = {} if name is None else {"name": name}
    given["thresholds"] = _thresholds(alarm_above, column_above)
    with _remarks_of_warnings(folder):
        made = Monitor(_rows(reference, arguments), folder=folder, **given, **arguments)
    _say_monitor(made, as_json=as_json)
    return 0


@monitor.command
@_refusing
def update(
    folder: Folder,
    batch: Annotated[SetName, Parameter(name="BATCH", help=f"rows to compare with the reference: {HELP}")],
    /,
    *,
    at: Annotated[str | None, Parameter(metavar="TIME", help="of the batch: a number, or a date (ISO 8601)")] = None,
    name: Annotated[str | None, Parameter(metavar="NAME", help="of the batch (default: its file)")] = None,
    if_new: Annotated[Switch, Parameter(help="a batch that was seen before is no error")] = False,
    quiet: Annotated[Switch, Parameter(help="say nothing unless an alarm is on")] = False,
    as_json: AsJson = False,
    progress: Progress = None,
) -> int:
    """Compare one more batch; exit with 3 while an alarm is on.

    After a crash the monitor is as it was before the update or as it is after it: give the command again with --if-new.
    """
    from wdist.monitoring.monitor import Monitor
    from wdist.monitoring.reference import read_as_reference
    from wdist.monitoring.words import in_commands

    opened = Monitor.open(folder)
    shown = sys.stderr.isatty() if progress is None else progress
    with read_as_reference():
        (rows,) = open_inputs([batch], opened.reading_of_batches)
    try:
        found = opened.update(
            rows.rows, at=None if at is None else _number_or_text(at), name=name or batch, progress=shown
        )
    except RepeatedBatchError as error:
        if not if_new:
            raise
        if not quiet:
            remark(in_commands(f"wdist: {error}", str(folder)))
    else:
        if as_json:
            say(json.dumps(found.to_dict(), indent=2))
        elif not quiet:
            say(in_commands(str(found), str(folder)))
    return _status(opened, told=not (as_json or quiet))


@monitor.command
@_refusing
def show(folder: Folder, /, *, as_json: AsJson = False) -> int:
    """Print a monitor and its updates; exit with 3 while an alarm is on."""
    from wdist.monitoring.monitor import Monitor

    opened = Monitor.open(folder)
    _say_monitor(opened, as_json=as_json)
    return _status(opened, told=not as_json)


@monitor.command
@_refusing
def export(
    folder: Folder,
    /,
    *,
    format: Annotated[  # noqa: A002 - as users call it
        ExportFormat | None, Parameter(help="a table, or all figures as JSON lines (default: by --output, else csv)")
    ] = None,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"), metavar="FILE", help="write it here")] = None,
) -> int:
    """Print all updates, or write them into a file."""
    from wdist.monitoring.monitor import Monitor

    text = Monitor.open(folder).export(output, format=format)
    if output is None:
        sys.stdout.write(text)
    return 0


@monitor.command
@_refusing
def thresholds(
    folder: Folder,
    /,
    *,
    alarm_above: AlarmAbove = None,
    column_above: ColumnAbove = (),
    reset: Annotated[Switch, Parameter(help="alarm when a distance above the tolerance is shown")] = False,
) -> int:
    """Say when an alarm is raised from now on, instead of what was said before; without flags, print it.

    The tolerance belongs to an epoch: `wdist monitor epoch FOLDER REFERENCE --tolerance W` begins one with another.
    Exits with 3 while an alarm is on.
    """
    from wdist.monitoring.monitor import Monitor

    opened = Monitor.open(folder)
    wanted = _thresholds(alarm_above, column_above)
    is_given = alarm_above is not None or bool(column_above)
    if is_given and reset:
        raise OptionError("give thresholds or --reset, not both")
    if is_given or reset:
        opened.set_thresholds(distance=wanted.distance, columns=wanted.columns)
    say(json.dumps(opened.thresholds.model_dump(), indent=2))
    return _status(opened, told=False)


@monitor.command
@readings_as_flags()
@options_as_flags(MonitorOptions, without=(*OWN, "confidence"), show_default=False)
@_refusing
def epoch(
    folder: Folder,
    reference: Reference,
    /,
    *,
    alarm_above: AlarmAbove = None,
    column_above: ColumnAbove = (),
    as_json: AsJson = False,
    **arguments: Any,
) -> int:
    """Begin a new epoch with a new reference: after a drift that is there to stay, or to change options.

    What is left out stays as it is.
    """
    from wdist.monitoring.monitor import Monitor

    opened = Monitor.open(folder)
    if alarm_above is not None or column_above:
        arguments["thresholds"] = _thresholds(alarm_above, column_above)
    reading = opened.reading.model_dump(exclude_defaults=True)
    with _remarks_of_warnings(folder):
        opened.new_epoch(_rows(reference, {**reading, **arguments}), **arguments)
    _say_monitor(opened, as_json=as_json)
    return 0


@contextmanager
def _remarks_of_warnings(folder: Path) -> Iterator[None]:
    """What Python would warn of, on standard error."""
    from wdist.monitoring.words import in_commands

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield
    for each in told:
        remark(in_commands(f"wdist: warning: {each.message}", str(folder)))


def _say_monitor(shown: Monitor, *, as_json: bool) -> None:
    from wdist.monitoring.words import in_commands

    say(json.dumps(shown.to_dict(), indent=2) if as_json else in_commands(str(shown), str(shown.folder)))


def _status(opened: Monitor, *, told: bool) -> int:
    """The exit status; alarms that standard output does not tell go to standard error."""
    from wdist.monitoring.words import alarm_text, in_commands

    alarms = opened.alarms
    for alarm in () if told else alarms:
        remark(in_commands(f"wdist: ALARM: {alarm_text(alarm)}", str(opened.folder)))
    return EX_ALARM if alarms else 0


def _thresholds(distance: float | None, columns: tuple[str, ...]) -> Thresholds:
    from wdist.definitions.monitoring import Thresholds
    from wdist.definitions.refusals import checked

    found: dict[str, Any] = {}
    for text in columns:
        name, _, limit = text.rpartition("=")
        if not name:
            raise OptionError(f"--column-above takes NAME=W, such as price=0.5, not {text!r}")
        found[name] = _number_or_text(limit)
        _limit(f"--column-above {name}", found[name])
    if distance is not None:
        _limit("--alarm-above", distance)
    return checked(Thresholds, {"distance": distance, "columns": found})


def _limit(flag: str, limit: float | str) -> None:
    """Raise OptionError, by the name of the flag, for what cannot be a distance."""
    if isinstance(limit, str):
        raise OptionError(f"{flag} is {limit!r}; it must be a number")
    if not 0 <= limit < math.inf:
        raise OptionError(f"{flag} is {limit:g}; it must be a distance, of at least 0")


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _rows(text: str, arguments: dict[str, Any]) -> Any:
    """The rows of a file or of standard input, read as the arguments say."""
    from wdist.monitoring.options import monitor_options

    _, reading = monitor_options(arguments)
    (opened,) = open_inputs([text], reading)
    return opened.rows
