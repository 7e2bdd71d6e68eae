"""Names of the command line: commands, flags and the values they take, exit statuses."""

from __future__ import annotations

import argparse
import re

from names import source
from names.internals import command_parser, remote_parser, verify_parser


def commands() -> set[str]:
    """`wdist estimate --seed`, `wdist estimate --split=blocks`, `wdist estimate (argument 1)`, of all commands."""
    found = _below("wdist", command_parser()) | _below("wdist verify", verify_parser())
    return found | _below("wdist remote", remote_parser("wdist remote"))  # alone it is wdist-remote, the same parser


def _below(prog: str, parser: argparse.ArgumentParser) -> set[str]:
    found, arguments = {prog}, 0
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                found |= _below(f"{prog} {name}", below)
        elif not isinstance(action, argparse._HelpAction):
            arguments += not action.option_strings
            names = action.option_strings or [f"(argument {arguments})"]
            found |= {f"{prog} {name}" for name in names}
            found |= {f"{prog} {name}={choice}" for name in names for choice in action.choices or ()}
    return found


def exit_statuses() -> set[str]:
    """Those that the code has, and those that `--help` tells."""
    found = set()
    for prog, parser, packages in (
        ("wdist", command_parser(), (source.LIBRARY, source.SERVICE)),
        ("wdist-remote", remote_parser("wdist-remote"), (source.CLIENT,)),
    ):
        told = str(parser.epilog).partition("Exit status:")[2]
        assert told, f"{prog} --help tells no exit statuses"
        numbers = {int(number) for number in re.findall(r"\d+", told)} | source.exit_statuses(*packages)
        found |= {f"exit status {number} of {prog}" for number in numbers}
    return found
