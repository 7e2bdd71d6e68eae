"""Names of the command line: commands, flags and the values they take, exit statuses."""

from __future__ import annotations

import re

from cyclopts import App

from names import source
from names.internals import commands_of_remote, commands_of_wdist


def commands() -> set[str]:
    """`wdist estimate --seed`, `wdist estimate --split=blocks`, `wdist estimate (argument 1)`, of all commands."""
    return _below("wdist", commands_of_wdist)  # what is remote in it is wdist-remote where it is alone


def _below(prog: str, app: App) -> set[str]:
    found, arguments = {prog}, 0
    if prog == "wdist":
        found |= {f"{prog} {flag}" for flag in app.version_flags}
    for argument in app.assemble_argument_collection() if app.default_command else ():
        is_flag = argument.names[0].startswith("-")
        arguments += not is_flag
        names = argument.names if is_flag else [f"(argument {arguments})"]
        found |= {f"{prog} {name}" for name in names if argument.show}
        choices = [choice if choice.strip() else repr(choice) for choice in argument.get_choices() or ()]  # "' '"
        found |= {f"{prog} {name}={choice}" for name in names for choice in choices}
    for name, below in app.resolved_commands().items():
        if not name.startswith("-"):
            found |= _below(f"{prog} {name}", below) | _of_all(f"{prog} {name}", app)
    return found | _of_all(prog, app)


def _of_all(prog: str, app: App) -> set[str]:
    """The flags that each command of an app takes, before or after its name."""
    arguments = app.meta.assemble_argument_collection() if app.meta.default_command else ()
    return {f"{prog} {name}" for argument in arguments if argument.show for name in argument.names}


def exit_statuses() -> set[str]:
    """Those that the code has, and those that `--help` tells."""
    found = set()
    for prog, app, packages in (
        ("wdist", commands_of_wdist, (source.LIBRARY, source.SERVICE)),
        ("wdist-remote", commands_of_remote, (source.CLIENT,)),
    ):
        told = str(app.help_epilogue).partition("Exit status:")[2]
        assert told, f"{prog} --help tells no exit statuses"
        numbers = {int(number) for number in re.findall(r"\d+", told)} | source.exit_statuses(*packages)
        found |= {f"exit status {number} of {prog}" for number in numbers}
    return found
