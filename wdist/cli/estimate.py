"""`wdist estimate`: compares two local files, without a server."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from wdist.cli.arguments import AsJson, FailAbove, Groups, Progress, SetName, Witness
from wdist.cli.inputs import HELP, open_inputs
from wdist.cli.options import options_as_flags, readings_as_flags
from wdist.cli.output import fail, gate, refuse, say_result
from wdist.files.outputs import other_than_html, refuse_unwritable

if TYPE_CHECKING:
    from wdist.result import Result

_SAID = b"\r\x1b[Kwdist: finishing with the steps taken so far; Ctrl-C again ends without a result\n"


@readings_as_flags()
@options_as_flags()
def estimate(
    source: Annotated[SetName, Parameter(name="A", help=f"the first set (P): {HELP}")],
    target: Annotated[SetName, Parameter(name="B", help="the second set (Q)")],
    /,
    *,
    groups: Groups = None,
    as_json: AsJson = False,
    witness: Witness = False,
    progress: Progress = None,
    fail_above: FailAbove = None,
    save_critic: Annotated[Path | None, Parameter(metavar="DIR", help="keep the trained critic here")] = None,
    certificate: Annotated[Path | None, Parameter(metavar="FILE", help="write what `wdist verify` checks")] = None,
    save: Annotated[Path | None, Parameter(metavar="FILE", help="keep the whole result for Result.load")] = None,
    report: Annotated[Path | None, Parameter(metavar="FILE", help="write the result as one HTML file")] = None,
    **arguments: Any,
) -> int:
    """Compare two files and print the result; returns the exit status."""
    from wdist.errors import OptionError, WdistError
    from wdist.estimate import compared
    from wdist.options import options_and_reading
    from wdist.training.progress_line import ProgressLine

    try:
        for path in (certificate, save, report):
            refuse_unwritable(path)
        refuse_unwritable(save_critic, is_folder=True)
        if (wrong := other_than_html(report)) is not None:
            raise OptionError(wrong)
        options, reading = options_and_reading(arguments)
        first, second = open_inputs([source, target], reading, groups)
        labels = None if groups is None else (first.labels, second.labels)
        names = first.given, second.given
        with finishing_on_ctrl_c() as should_finish, ProgressLine(progress) as tell:
            result = compared(
                names, first.rows, second.rows, options, groups=labels, progress=tell, should_finish=should_finish
            )
        say_result(result, as_json=as_json, witness=result.witness if witness else None)
        _write(result, save_critic, certificate, save, report)
    except WdistError as error:
        return refuse(error)
    except OSError as error:
        return fail(f"{error.filename or 'cannot read or write'}: {error.strerror or error}")
    return gate(result.lower_bound, fail_above)


def _write(
    result: Result, critic: Path | None, certificate: Path | None, whole: Path | None, report: Path | None
) -> None:
    """Write the files that were asked for."""
    if critic is not None:
        result.critic.save(critic)
    if certificate is not None:
        result.certificate.save(certificate)
    if whole is not None:
        _ = result.certificate, result.witness  # kept too: there are no rows to make them from later
        result.save(whole)
    if report is not None:
        result.report(report)


@contextmanager
def finishing_on_ctrl_c() -> Iterator[Callable[[], bool] | None]:
    """Ctrl-C at a terminal: the first ends training and states what there is, the second ends the command.

    Gives the function that says whether to finish; None if nobody at a terminal would see what happens.
    """
    if not sys.stderr.isatty() or threading.current_thread() is not threading.main_thread():
        yield None
        return
    is_asked = threading.Event()

    def ask(_signal: int, _frame: object) -> None:
        if is_asked.is_set():
            raise KeyboardInterrupt
        is_asked.set()
        os.write(sys.stderr.fileno(), _SAID)  # sys.stderr may be in the middle of a line: not reentrant

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield is_asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
