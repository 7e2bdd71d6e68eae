"""`wdist remote ...`, which is also `wdist-remote` and `python -m wdist_client` where only the client is installed.

Data goes to standard output, progress and remarks to standard error. Exit status:
  0   done
  1   the answer is no: the estimate failed or was canceled, or its bound is above --fail-above
  2   wrong usage, or the data or an option is refused
  69  no server answers
  75  try again later: the server is busy, or --timeout ran out (the job goes on)
  77  the key is missing, wrong, or may not do this
  130 stopped with Ctrl-C (the job goes on)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from wdist_client.errors import (
    APIConnectionError,
    AuthenticationError,
    EstimateFailed,
    PermissionDenied,
    RateLimited,
    ServerError,
    WaitTimeout,
    WdistError,
)

__all__ = ["main"]

# The numbers are those of sysexits.h.
_STATUS: tuple[tuple[type[WdistError], int], ...] = (
    (EstimateFailed, 1),
    (APIConnectionError, 69),
    (WaitTimeout, 75),
    (RateLimited, 75),
    (ServerError, 75),
    (AuthenticationError, 77),
    (PermissionDenied, 77),
)


def main(arguments: Sequence[str] | None = None, prog: str = "wdist-remote") -> int:
    """Run one command. A user's mistake gives one line on standard error, never a traceback."""
    from cyclopts import CycloptsError

    from wdist_client.command.app import commands
    from wdist_client.command.arguments import explained

    app, given = commands(prog), list(sys.argv[1:] if arguments is None else arguments)
    if not given:
        app.help_print([], console=app.error_console)
        return 2
    try:
        status: int = app.meta(given, print_error=False, exit_on_error=False, result_action="return_value") or 0
        sys.stdout.flush()
        return status
    except CycloptsError as error:
        prog = " ".join((prog, *(error.command_chain or ())))
        sys.stderr.write(f"{prog}: {explained(error)}; see {prog} --help\n")
        return 2
    except WdistError as error:
        sys.stderr.write(f"{prog}: {error}\n")
        return next((status for kind, status in _STATUS if isinstance(error, kind)), 2)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads what is still buffered
            return 141
        sys.stderr.write(f"{prog}: {error.filename or 'cannot read or write'}: {error.strerror or error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
