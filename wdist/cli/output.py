"""What all commands share: exit status and output streams."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

EX_NO, EX_USAGE, EX_ALARM, EX_SOFTWARE, EX_CANTCREAT, EX_CONFIG = 1, 2, 3, 70, 73, 78


def write_to_any_terminal() -> None:
    r"""Let output show \xe9 where a terminal's encoding has no é: names of files and columns are in any alphabet."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def fail(message: str, code: int = EX_USAGE) -> int:
    """One line on standard error, and the exit status."""
    sys.stderr.write(f"wdist: {message}\n")
    return code


def refuse(error: Exception) -> int:
    """One line for data or an option that the library refuses, with its advice as flags."""
    from wdist.data.sources.advice import in_flags

    return fail(in_flags(str(error)))


def gate(bound: float, fail_above: float | None, kind: str = "the lower bound") -> int:
    """The exit status of --fail-above, and on standard error why: a gate in CI whose log is silent proves nothing."""
    if fail_above is None:
        return 0
    is_above = bound > fail_above
    outcome, how = ("failed", "is above") if is_above else ("passed", "is not above")
    remark(f"wdist: {outcome}: {kind}, {bound:.6g}, {how} {fail_above:g} (--fail-above)")
    return EX_NO if is_above else 0


def say_result(result: Any, *, as_json: bool, witness: Any = None) -> None:
    """What the library found, and its witness if there is one: as JSON, or in words with its advice as flags."""
    from wdist.data.sources.advice import in_flags

    if as_json:
        found = result.to_dict() | ({} if witness is None else {"witness": witness.to_dict()})
        say(json.dumps(found, indent=2))
    else:
        say(in_flags(str(result)) + ("" if witness is None else f"\n\n{witness}"))


def say(text: object) -> None:
    """To standard output, where data goes."""
    sys.stdout.write(f"{text}\n")


def remark(text: object) -> None:
    """To standard error, where everything else goes."""
    sys.stderr.write(f"{text}\n")
