"""What all commands share: exit status and output streams."""

from __future__ import annotations

import argparse
import math
import sys
from typing import TYPE_CHECKING, NoReturn, TypeAlias

if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # argparse has no public name for it
else:
    Commands = object

EX_NO, EX_USAGE, EX_SOFTWARE, EX_CONFIG = 1, 2, 70, 78


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong; its subcommands are of the same kind."""

    def error(self, message: str) -> NoReturn:
        self.exit(EX_USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


def finite(text: str) -> float:
    """Parse a finite number for an option used as a threshold: nothing is ever above nan or infinity."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return number


def fail(message: str, code: int = EX_USAGE) -> int:
    """One line on standard error, and the exit status."""
    sys.stderr.write(f"wdist: {message}\n")
    return code


def say(text: object) -> None:
    """To standard output, where data goes."""
    sys.stdout.write(f"{text}\n")


def remark(text: object) -> None:
    """To standard error, where everything else goes."""
    sys.stderr.write(f"{text}\n")
