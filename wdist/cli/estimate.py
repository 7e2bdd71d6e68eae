"""`wdist estimate`: compares two local files, without a server."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from wdist.cli.arguments import AsJson, Drop, FailAbove, Progress, SetName
from wdist.cli.inputs import HELP, Input, Inputs
from wdist.cli.options import options_as_flags
from wdist.cli.output import EX_NO, fail, remark, say

if TYPE_CHECKING:
    from wdist.result import Result
    from wdist.training import progress as training


@options_as_flags()
def estimate(
    source: Annotated[SetName, Parameter(name="A", help=f"the first set (P): {HELP}")],
    target: Annotated[SetName, Parameter(name="B", help="the second set (Q)")],
    /,
    *,
    drop: Drop = (),
    groups: Annotated[str | None, Parameter(metavar="COLUMN", help="labels in tables: groups stay whole")] = None,
    as_json: AsJson = False,
    progress: Progress = None,
    fail_above: FailAbove = None,
    save_critic: Annotated[Path | None, Parameter(metavar="DIR", help="keep the trained critic here")] = None,
    certificate: Annotated[Path | None, Parameter(metavar="FILE", help="write what `wdist verify` checks")] = None,
    **options: Any,
) -> int:
    """Compare two files and print the result; returns the exit status."""
    from wdist.errors import WdistError

    try:
        with Inputs(drop, groups) as inputs:
            first, second = inputs.open([source, target])
            with ProgressLine(progress) as tell:
                result = compared(first, second, options, tell)
            if save_critic is not None:
                result.critic.save(save_critic)
            if certificate is not None:
                result.certificate.save(certificate)
    except WdistError as error:
        return fail(str(error))
    except OSError as error:
        return fail(f"{error.filename or 'cannot read or write'}: {error.strerror or error}")
    say(json.dumps(result.to_dict(), indent=2) if as_json else result)
    if fail_above is not None and result.lower_bound > fail_above:
        remark(f"wdist: the lower bound {result.lower_bound:.6g} is above {fail_above:g}")
        return EX_NO
    return 0


def compared(
    source: Input, target: Input, options: dict[str, Any], tell: Callable[[training.Progress], None] | None
) -> Result:
    """Raises WdistError, in words that name the files."""
    import numpy as np

    from wdist.errors import OptionError, SampleError
    from wdist.estimate import estimate_w1

    if source.labels is not None and target.labels is not None:
        options["groups"] = tuple(np.load(labels).reshape(-1) for labels in (source.labels, target.labels))
    try:
        return estimate_w1(source.path, target.path, progress=tell, **options)
    except SampleError as error:
        raise SampleError(
            _named(str(error), source, target) or f"{source.given} and {target.given}: {error}"
        ) from error
    except OptionError as error:
        raise OptionError(_named(str(error), source, target) or str(error)) from error


def _named(message: str, source: Input, target: Input) -> str | None:
    """Put the file's name into a message that begins with a side; the library knows only the sides."""
    for side, name in (
        ("source and target", f"{source.given} and {target.given}"),
        ("source", f"{source.given} (source)"),
        ("target", f"{target.given} (target)"),
    ):
        if message.startswith(f"{side}:"):
            return name + message[len(side) :]
    return None


class ProgressLine:
    """A progress line on standard error that overwrites itself; entering gives None when progress is not shown."""

    def __init__(self, wanted: bool | None, prefix: str = "") -> None:
        self._shown = sys.stderr.isatty() if wanted is None else wanted
        self._prefix, self._next = prefix, 0.0

    def __enter__(self) -> Callable[[training.Progress], None] | None:
        return self._tell if self._shown else None

    def __exit__(self, *_: object) -> None:
        if self._next:
            sys.stderr.write("\r\x1b[K" if sys.stderr.isatty() else "\n")

    def _tell(self, now: training.Progress) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 0.2
        so_far = "" if now.value is None else f", so far {now.value:.4g} (not certified)"
        sys.stderr.write(f"\r\x1b[K{self._prefix}{now.trying or 'training'}: step {now.step} of {now.steps}{so_far}")
        sys.stderr.flush()
