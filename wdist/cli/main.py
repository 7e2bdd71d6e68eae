"""The `wdist` command. It imports nothing heavy before it knows which subcommand runs.

Data goes to standard output, progress and remarks to standard error. Exit status: 0 done; 1 the answer is no (a
certificate that does not hold, a bound above --fail-above, a problem found by `doctor`); 2 wrong usage, or the data or
an option is refused; 3 an alarm of a monitor is on; 69, 73, 78 a server that cannot start (its port, its disk, its
settings), 73 also output that cannot be written; 70 a bug in wdist; 130 Ctrl-C.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from cyclopts import App

from wdist import __version__
from wdist.cli.arguments import PLAIN, SHARED, run
from wdist.cli.output import EX_CANTCREAT, EX_SOFTWARE, EX_USAGE, fail, remark, write_to_any_terminal

app = App(
    name="wdist",
    version=f"wdist {__version__}",
    help="Bounds on the Wasserstein-1 distance that can be trusted.",
    help_epilogue="Exit status: 0 done; 1 the answer is no; 2 wrong usage or refused data; 3 an alarm of a monitor is "
    "on; 69, 73, 78 a server that cannot start; 130 Ctrl-C.",
    help_format="plaintext",
    help_formatter=PLAIN,
    default_parameter=SHARED,
    suppress_keyboard_interrupt=False,
)
OF_THE_SERVER = ("serve", "worker", "keys", "tidy", "doctor")
# Loaded by name when they are asked for: the library imports nothing of the server or the client.
SERVE = "wdist_service.commands"
app.command(
    "wdist.cli.estimate:estimate",
    help="Compare two sample sets here, without a server.",
    help_epilogue="Ctrl-C at a terminal ends training and states what there is; a second one ends the command. Exit "
    "status: 0 done; 1 the lower bound is above --fail-above; 2 the data or an option is refused; 130 Ctrl-C.",
)
app.command(
    "wdist.cli.matrix:matrix",
    help="Compare all pairs of several sample sets here, without a server.\n\nPrints lower bounds that hold each by "
    "itself, and weaker ones that hold all together.",
    usage="Usage: wdist matrix [OPTIONS] SET SET...",
    help_epilogue="Exit status: 0 done; 1 a bound is above --fail-above; 2 the data or an option is refused.",
)
app.command(
    "wdist.cli.plan:plan",
    help="Tell from two pilot sets how many rows an estimate needs.\n\nGive --margin or --detect.",
    usage="Usage: wdist plan A B --margin M | --detect [D]",
    help_epilogue="Exit status: 0 done, also where the number is unknown; 2 the data or an option is refused.",
)
app.command(
    "wdist.cli.matrix:compare",
    help="Tell which of several sample sets is closest to a reference here, without a server.\n\nPrints bounds of each "
    "difference and distance, a ranking, and how many rows would decide what these do not show.",
    usage="Usage: wdist compare [OPTIONS] REFERENCE SET SET...",
    help_epilogue="Exit status: 0 done; 2 the data or an option is refused.",
)
app.command(
    "wdist.cli.monitor.commands:monitor", help="Compare batch after batch with one reference, in a local folder."
)
app.command("wdist.cli.verify:verify", help="Check a certificate against the two sets of rows.")
app.command(
    "wdist.cli.verify:encode",
    help="Write sets as .npy files of the rows that are compared, for `python -m wdist.verify`.",
    usage="Usage: wdist encode [OPTIONS] SET SET... -o DIR",
)
app.command("wdist_client.command:remote", help="Work with a server.")
app.command(f"{SERVE}.serve:serve", help="Run the server: HTTP API and workers.")
app.command(f"{SERVE}.serve:worker", help="Run one more worker on the database of a server.")
app.command(
    f"{SERVE}.keys:keys", help="Make, list and revoke API keys of the server whose data directory is on this machine."
)
app.command(
    f"{SERVE}.tidy:tidy",
    help="Remove what a server keeps beyond its limits of age, number and size.\n\nThe limits are "
    "WDIST_SERVER_RETENTION, or the table [retention] of the settings file. A running server does the same regularly. "
    "Nothing goes that is in use.",
    help_epilogue="Exit status: 0 done; 1 the data cannot be used; 2 wrong usage; 78 a setting is wrong.",
)
app.command(
    f"{SERVE}.doctor:doctor",
    help="Tell device, disk, versions and speed, and what is wrong with them.\n\nWith --deep or --adopt-storage it "
    "looks at what a server stores, and at nothing else.",
    help_epilogue="Exit status: 0 all is well; 1 something is wrong; 2 wrong usage.",
)
app.command("wdist.cli.reproduce:reproduce", help="Run the paper's experiments on the published data.")
app.command(
    "wdist.cli.completion:completion",
    help="Print a script that completes commands and options.",
    help_epilogue="wdist completion bash > ~/.local/share/bash-completion/completions/wdist\n"
    'wdist completion zsh > "${fpath[1]}/_wdist"\n'
    "wdist completion fish > ~/.config/fish/completions/wdist.fish",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status. A user error prints one line on stderr, never a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    write_to_any_terminal()
    # OpenMP's threads spin while they wait; beside other work on the machine that costs ten times the time.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        if not given:
            app.help_print([], console=app.error_console)
            return EX_USAGE
        status = _remote(given[1:]) if given[0] == "remote" else run(app, given)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered has no reader
        return 141
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor could the rest be written at the exit
            return fail(f"cannot write the output: {error.strerror}", EX_CANTCREAT)
        if (missing := _missing_module(error)) is not None:
            remark(f"wdist {given[0]} needs {_how_to_install(given[0], missing)}")
            return EX_USAGE
        if isinstance(error, UnicodeEncodeError) and (name := _not_text(given)) is not None:
            return fail(f"{name!r} is no text in this locale: give another name, or set PYTHONUTF8=1")
        if os.environ.get("WDIST_TRACEBACK"):
            raise
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        return fail(f"a fault of wdist, please report it ({said}); WDIST_TRACEBACK=1 shows where", EX_SOFTWARE)


def _not_text(arguments: Sequence[str]) -> str | None:
    """The first argument with bytes that are no characters: no database, address or document can hold it."""
    return next((text for text in arguments if text != text.encode(errors="ignore").decode()), None)


def _remote(arguments: list[str]) -> int:
    """The client has its own options before the command, and its own exit status."""
    return int(import_module("wdist_client.command").main(arguments, prog="wdist remote"))


def _how_to_install(command: str, missing: str) -> str:
    """What a command needs where a package is missing, and the command that installs it."""
    from wdist.definitions.installing import install_client, install_extra, install_module

    if missing == "wdist_client":
        return f"the client: {install_client()}"
    if command in OF_THE_SERVER:
        return f"the server: {install_extra('server')}"
    return f"{missing}: {install_module(missing)}"


def _missing_module(error: BaseException) -> str | None:
    """The name of a package that is not installed, where that is the fault."""
    while error.__cause__ is not None:  # of a command that cannot be loaded
        error = error.__cause__
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    return None if name is None or name.startswith(("wdist.", "wdist_service.", "wdist_client.")) else name


if __name__ == "__main__":
    raise SystemExit(main())
