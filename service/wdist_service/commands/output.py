"""What all commands share: exit status, and what is written where."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # argparse has no public name for it
else:
    Commands = object

EX_NO, EX_USAGE, EX_SOFTWARE, EX_CONFIG = 1, 2, 70, 78


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
