"""The `wdist` command. It imports nothing heavy before it knows which subcommand runs.

Data goes to standard output, progress and remarks to standard error. Exit status: 0 done; 1 the answer is no (a
certificate that does not hold, a bound above --fail-above, a problem found by `doctor`); 2 wrong usage, or the data or
an option is refused; 69, 73, 78 a server that cannot start (its port, its disk, its settings); 70 a bug in wdist; 130
Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from wdist import __version__
from wdist.cli import completion, estimate, matrix, reproduce
from wdist.cli.output import EX_SOFTWARE, EX_USAGE, Parser, fail

# Loaded by name: the library imports nothing of the server or the client.
SERVER_COMMANDS = ("wdist_service.commands.serve", "wdist_service.commands.keys", "wdist_service.commands.doctor")
CLIENT_COMMAND = "wdist_client.command"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status. A user error prints one line on stderr, never a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # OpenMP's threads spin while they wait; beside other work on the machine that costs ten times the time.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if not given:
        parser().print_help(sys.stderr)
        return EX_USAGE
    try:
        if given[:1] in (["verify"], ["remote"]):  # they also run without the rest of wdist, and have their own options
            return (_verify if given[0] == "verify" else _remote)(given[1:])
        options = parser().parse_args(given)
        run: Callable[[argparse.Namespace], int] = options.run
        status = run(options)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered has no reader
        return 141
    except Exception as error:
        if os.environ.get("WDIST_TRACEBACK"):
            raise
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        return fail(f"a fault of wdist, please report it ({said}); WDIST_TRACEBACK=1 shows where", EX_SOFTWARE)


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    made: argparse.ArgumentParser = Parser(
        prog="wdist",
        description="Lower bounds on the Wasserstein-1 distance that can be trusted.",
        epilog="Exit status: 0 done; 1 the answer is no; 2 wrong usage or refused data; 69, 73, 78 a server that "
        "cannot start; 130 Ctrl-C.",
    )
    made.add_argument("--version", action="version", version=f"wdist {__version__}")
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    estimate.add(commands)
    matrix.add(commands)
    commands.add_parser("verify", help="check a certificate against the two sets of rows; see wdist verify --help")
    commands.add_parser("remote", help="work with a server; see wdist remote --help")
    for module in SERVER_COMMANDS:
        import_module(module).add(commands)
    reproduce.add(commands)
    completion.add(commands, parser)
    return made


def _verify(arguments: list[str]) -> int:
    """The verifier reads .npy alone; what `wdist estimate` reads besides is converted for it here."""
    from wdist.cli.inputs import HELP, convert_inputs
    from wdist.verify.command import parser as verify_parser
    from wdist.verify.command import run

    options = verify_parser(rows=HELP).parse_args(arguments)
    if {options.source[-4:], options.target[-4:]} == {".npy"}:
        return run(options)
    from wdist.errors import SampleError

    try:
        with tempfile.TemporaryDirectory(prefix="wdist-") as folder:
            paths = convert_inputs([options.source, options.target], Path(folder))
            options.source, options.target = map(str, paths)
            return run(options)
    except SampleError as error:
        return fail(str(error))


def _remote(arguments: list[str]) -> int:
    try:
        remote = import_module(CLIENT_COMMAND)
    except ModuleNotFoundError as error:
        if error.name != "wdist_client":
            raise
        return fail("remote needs the client: pip install wdist-client")
    return int(remote.main(arguments, prog="wdist remote"))


if __name__ == "__main__":
    raise SystemExit(main())
