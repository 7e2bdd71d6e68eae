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
from contextlib import ExitStack

from wdist_client.command.parser import parser
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

__all__ = ["main", "parser"]

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
    options = parser(prog).parse_args(arguments)
    from wdist_client.client import Client
    from wdist_client.command.actions import ACTIONS

    try:
        with ExitStack() as options.files, Client(options.url, api_key=_key(options.key_file)) as client:
            status: int = ACTIONS[options.action](client, options)
        sys.stdout.flush()
        return status
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


def _key(path: str | None) -> str | None:
    """Read the key from a file: other users of the machine could see it on the command line."""
    if path is None:
        return None
    with open(path) as file:  # noqa: PTH123 - keeps pathlib out of the start
        return file.read().strip()
