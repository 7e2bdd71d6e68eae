"""The commands of `wdist remote` and the options that all of them take."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.help import DefaultFormatter, PanelSpec
from rich.box import Box

from wdist_client.command.actions import COMMANDS
from wdist_client.command.inputs import Session

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
        "wrong usage or refused; 69 no server; 75 busy or timed out; 77 not allowed; 130 Ctrl-C.",
        help_format="plaintext",
        help_formatter=PLAIN,
        default_parameter=Parameter(allow_repeating=True),  # a value that is given twice replaces the first one
        suppress_keyboard_interrupt=False,
    )
    for name, command in COMMANDS.items():
        app.command(command, name=name)

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
        from wdist_client.client import Client

        with ExitStack() as files, Client(url, api_key=_key(key_file)) as client:
            return run_command(*bound.args, **bound.kwargs, session=Session(client, files, as_json)) or 0

    return app


def _key(path: str | None) -> str | None:
    """Read the key from a file: other users of the machine could see it on the command line."""
    if path is None:
        return None
    with open(path) as file:  # noqa: PTH123 - keeps pathlib out of the start
        return file.read().strip()


remote = commands("remote")  # where `wdist` completes its commands
