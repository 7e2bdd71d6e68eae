"""`wdist remote ...`, which is also `wdist-remote` and `python -m wdist_client` where only the client is installed.

Data goes to standard output, progress and remarks to standard error. Exit status:
  0   done
  1   the answer is no: the estimate failed or was canceled, or its bound is above --fail-above
  2   wrong usage, or the data or an option is refused
  3   an alarm of the monitor is on
  69  no server answers
  75  try again later: the server is busy, or --timeout ran out (the job goes on)
  77  the key is missing, wrong, or may not do this
  130 stopped with Ctrl-C (the job goes on)
"""

from __future__ import annotations

import io
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from contextvars import copy_context
from functools import partial
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter
from cyclopts.help import DefaultFormatter, PanelSpec
from rich.box import Box

from wdist_client.advice import in_flags
from wdist_client.command.actions import COMMANDS
from wdist_client.command.arguments import choices
from wdist_client.command.inputs import Session
from wdist_client.command.monitor import COMMANDS as MONITOR_COMMANDS
from wdist_client.command.options import NOT_OF_MONITORS
from wdist_client.command.usage import explained, no_flag_of_monitors
from wdist_client.command.webhook import COMMANDS as WEBHOOK_COMMANDS
from wdist_client.errors import (
    APIConnectionError,
    AuthenticationError,
    EstimateFailed,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
    UpdateFailed,
    WaitTimeout,
    WdistError,
    in_words,
)

__all__ = ["main"]

WITHOUT_A_SERVER = ("plan", "verify", "encode", "reproduce")  # commands of the library alone

# The numbers are those of sysexits.h.
_STATUS: tuple[tuple[type[WdistError], int], ...] = (
    (EstimateFailed, 1),
    (UpdateFailed, 1),
    (APIConnectionError, 69),
    (WaitTimeout, 75),
    (RateLimited, 75),
    (ServerError, 75),
    (AuthenticationError, 77),
    (PermissionDenied, 77),
)


def main(arguments: Sequence[str] | None = None, prog: str = "wdist-remote") -> int:
    """Run one command. A user's mistake gives one line on standard error, never a traceback."""
    app, given = commands(prog), list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names are in any alphabet
    if not given:
        app.help_print([], console=app.error_console)
        return 2
    if given == ["--version"]:
        from wdist_client import __version__

        sys.stdout.write(f"{prog} {__version__}\n")
        return 0
    asked = prog  # with the server, once it is known
    try:
        given = _without_a_level(_shared_first(app, given))
        asked = _same_server(prog, given)
        status = copy_context().run(_obey, app, asked, given)
        sys.stdout.flush()
        return status
    except CycloptsError as error:
        matrix = f"{prog} matrix"
        chain = error.command_chain or ()
        prog = " ".join((prog, *chain))
        said = no_flag_of_monitors(given, NOT_OF_MONITORS) if chain[:1] == ("monitor",) else None
        if not chain and (own := next((each for each in given if each in WITHOUT_A_SERVER), None)) is not None:
            said = f"{own} needs no server: `wdist {own}`, a command of the library"
        sys.stderr.write(f"{prog}: {said or explained(error, prog, matrix, choices)}; see {prog} --help\n")
        return 2
    except WdistError as error:
        sys.stderr.write(f"{prog}: {in_commands(error, asked)}\n")
        return next((status for kind, status in _STATUS if isinstance(error, kind)), 2)
    except UnicodeEncodeError:
        name = next((text for text in given if text != text.encode(errors="ignore").decode()), None)
        if name is None:
            raise
        sys.stderr.write(f"{prog}: {name!r} is no text in this locale: give another name, or set PYTHONUTF8=1\n")
        return 2
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads what is still buffered
            return 141
        sys.stderr.write(f"{prog}: {error.filename or 'cannot read or write'}: {error.strerror or error}\n")
        return 2
    except KeyboardInterrupt:
        return 130


def _obey(app: App, prog: str, given: Sequence[str]) -> int:
    """Run the command; in a context of its own, as whoever called `main` may go on with calls of Python."""
    in_words.set(partial(in_commands, prog=prog))
    status: int = app.meta(given, print_error=False, exit_on_error=False, result_action="return_value") or 0
    return status


_CALLS = (  # of the client, and the command that does the same
    (re.compile(r"( is not an id \(\w+\.\.\.\)), and this takes .* finds ids$"), r"\1"),
    (
        re.compile(r'client\.estimates\.get\("(\w+)"\)\.wait\(\)\nor stop it with \.cancel\(\)'),
        r"{prog} watch \1\nor stop it with `{prog} cancel \1`",
    ),
    (
        re.compile(r'client\.monitors\.get\("(\w+)"\)\.get_update\("(\w+)"\)\.wait\(\)\nor stop it with \.cancel\(\)'),
        r"{prog} monitor updates \1\nor stop it with `{prog} monitor cancel \1 \2`",
    ),
    (
        re.compile(r'call client\.estimates\.get\("(\w+)"\)\.delete_evaluation\("(\w+)"\)'),
        r"use `{prog} evaluations \1 --delete \2`",
    ),
    (re.compile(r'client\.estimates\.get\("(\w+)"\)'), r"`{prog} result \1`"),
    (re.compile(r'client\.batches\.get\("(\w+)"\)'), r"`{prog} results \1`"),
    (re.compile(r'client\.monitors\.get\("(\w+)"\)\.get_update\("\w+"\)'), r"`{prog} monitor updates \1`"),
    (re.compile(r"monitor\.new_epoch\(reference\)"), "`{prog} monitor epoch MONITOR REFERENCE`"),
    (re.compile(r"monitor\.resume\(\)"), "`{prog} monitor resume MONITOR`"),
    (re.compile(r"wait for it or cancel it, then begin"), "wait for it or `{prog} monitor cancel` it, then begin"),
    (
        re.compile(r"read both with (--columns .*?)((?: to compare .*?)?; what is stored must .* again with it)"),
        r"read both with \1\2: `{prog} upload FILE \1`",
    ),
    (re.compile(r"give the client an api_key"), "give --key-file FILE"),
    (re.compile(r", or give Client\(timeout=\.\.\.\)"), ""),
)
_LISTS = {"ss_": "sets", "est_": "list", "batch_": "batches", "mon_": "monitor list", "wh_": "webhook list"}
"""The command that shows the ids that begin so."""
_LISTS_OF = dict(zip(("sample set", "estimate", "batch", "monitor", "webhook"), _LISTS.values(), strict=True))


def in_commands(error: WdistError | str, prog: str) -> str:
    """A message in the words of the command, with the command that helps."""
    message = in_flags(str(error))
    for call, command in _CALLS:
        message = call.sub(command.replace("{prog}", prog), message)
    kinds = "|".join(_LISTS_OF)
    noun = re.search(rf"there is no ((?:{kinds}|, | or )+) (?:called )?['\"]", message)  # a name tells no kind
    if isinstance(error, NotFound) or noun or "is not an id (" in message:
        shown = next((command for prefix, command in _LISTS.items() if prefix in message and not noun), None)
        named = [_LISTS_OF[kind] for kind in re.findall(kinds, noun[1])] if noun else []
        lists = [shown] if shown else named
        message += f"; {' or '.join(f'`{prog} {each}`' for each in lists)} shows what there is" if lists else ""
    return message


# Sections of --help without frames: the same on a terminal, in a pipe and in a screen reader.
PLAIN = DefaultFormatter(panel_spec=PanelSpec(box=Box("    \n" * 8), padding=(0, 0, 0, 4)))


def commands(prog: str) -> App:
    """All commands, under the name that the user calls them by; its `meta` takes --url, --key-file and --json."""
    app = App(
        name=prog,
        version="",
        version_flags=(),
        help="Work with a wdist server.",
        help_epilogue="The server is --url, else WDIST_BASE_URL, else http://127.0.0.1:8000; the key is --key-file, "
        "else WDIST_API_KEY. Exit status: 0 done; 1 the estimate failed, was canceled, or is above --fail-above; 2 "
        "wrong usage or refused; 3 an alarm is on; 69 no server; 75 busy or timed out; 77 not allowed; 130 Ctrl-C.",
        help_format="plaintext",
        help_formatter=PLAIN,
        default_parameter=Parameter(allow_repeating=True),  # a value that is given twice replaces the first one
        suppress_keyboard_interrupt=False,
    )
    for name, command in COMMANDS.items():
        app.command(command, name=name)
    app.command(_group("monitor", "Compare batch after batch with one reference.", MONITOR_COMMANDS))
    app.command(_group("webhook", "Say where events are sent, and see what was sent.", WEBHOOK_COMMANDS))

    @app.meta.default
    def run(
        *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
        url: Annotated[str | None, Parameter(metavar="URL", help="address of the server, or :local: for none")] = None,
        key_file: Annotated[str | None, Parameter(metavar="FILE", help="file with the API key")] = None,
        as_json: Annotated[bool, Parameter(name="--json", negative=(), show_default=False, help="print JSON")] = False,
    ) -> int:
        command, bound, not_parsed = app.parse_args(tokens, print_error=False, exit_on_error=False)
        run_command: Callable[..., int | None] = command
        if "session" not in not_parsed:  # --help
            return run_command(*bound.args, **bound.kwargs) or 0
        from wdist_client.client import Client  # with httpx, a tenth of a second

        with ExitStack() as files, Client(url, api_key=_key(key_file)) as client:
            return run_command(*bound.args, **bound.kwargs, session=Session(client, files, as_json)) or 0

    return app


def _group(name: str, about: str, listed: dict[str, Callable[..., int]]) -> App:
    """Commands of one kind of thing."""
    group = App(
        name=name, help=about, help_format="plaintext", help_formatter=PLAIN,
        default_parameter=Parameter(allow_repeating=True),
    )  # fmt: skip
    for each, command in listed.items():
        group.command(command, name=each)
    return group


def _shared_first(app: App, tokens: Sequence[str]) -> list[str]:
    """Move --url, --key-file and --json before the command, whose arguments that may begin with "-" would take them."""
    first: list[str] = []
    rest, left = first[:], list(tokens)
    arguments = app.meta.assemble_argument_collection()
    values = {name: arg.token_count()[0] for arg in arguments for name in arg.names if name.startswith("--")}
    while left and left[0] != "--":
        name, equals, _ = left[0].partition("=")
        if name not in values:
            rest.append(left.pop(0))
            continue
        size = 1 if equals else 1 + values[name]
        if len(left) < size:
            return [*first, name]  # refused for its missing value
        first += left[:size]
        del left[:size]
    return [*first, *rest, *left]


def _same_server(prog: str, given: Sequence[str]) -> str:
    """The command with --url and --key-file as they were given, so that what a message advises asks the same server."""
    words, left = [prog], list(given)
    while left and (name := left[0].partition("=")[0]) in ("--url", "--key-file", "--json"):
        size = 1 if name == "--json" or "=" in left[0] else 2
        words += [] if name == "--json" else map(shlex.quote, left[:size])
        del left[:size]
    return " ".join(words)


def _without_a_level(tokens: Sequence[str]) -> list[str]:
    """Without --by, --reference takes no level: what follows it is a set."""
    if any(each == "--by" or each.startswith("--by=") for each in tokens):
        return list(tokens)
    return ["--reference=true" if each == "--reference" else each for each in tokens]


def _key(path: str | None) -> str | None:
    """Read the key from a file: other users of the machine could see it on the command line."""
    if path is None:
        return None
    with open(path) as file:  # noqa: PTH123 - keeps pathlib out of the start
        return file.read().strip()


remote = commands("remote")  # where `wdist` completes its commands
