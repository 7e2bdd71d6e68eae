"""The arguments of `wdist remote`: their types, their help, and what is said when they are wrong.

It imports nothing heavy, so that help and completion are fast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import ArgumentCollection, Parameter, Token, exceptions

from wdist_client.command.options import OptionFlags, ReadingFlags
from wdist_client.command.usage import texts_of
from wdist_client.errors import OptionError


def data_name(_: type, tokens: Sequence[Token]) -> str:
    """Data may be "-", standard input; what else begins with a dash is an unknown option."""
    if tokens[0].value.startswith("-") and tokens[0].value != "-":
        raise exceptions.UnknownOptionError(token=tokens[0], argument_collection=ArgumentCollection())  # type: ignore[no-untyped-call]
    return tokens[0].value


def finite(_: type, value: float | None) -> None:
    """Comparisons with nan or infinity would never be true."""
    if value is not None and not math.isfinite(value):
        raise ValueError("give a finite number")


def labels(_: type, tokens: Sequence[Token]) -> dict[str, str]:
    """Parse NAME=TEXT, each time it is given."""
    parts = [token.value.partition("=") for token in tokens]
    if wrong := next((part for part in parts if not part[0] or not part[1]), None):
        raise ValueError(f"{''.join(wrong)!r} is not like NAME=TEXT")
    return {name: text for name, _equals, text in parts}


DATA = (
    "a file (.npy, .npz or FILE.npz:NAME, .parquet, .csv, .zip of images), a folder of images, - for standard input, "
    "or a set of the server by its id (ss_...) or its name; a file that is here goes before a name"
)
Data = Annotated[str, Parameter(converter=data_name, allow_leading_hyphen=True, help=DATA)]
AllData = Annotated[list[Data], Parameter(name="DATA", allow_leading_hyphen=True, help=f"sample sets: {DATA}")]
Id = Annotated[str, Parameter(name="ID", help="id or name of the estimate or the batch")]
Ids = Annotated[list[str], Parameter(name="ID", help="ids or names")]
Batch = Annotated[str, Parameter(name="ID", help="id or name of the batch")]
Estimate = Annotated[str, Parameter(name="ID", help="id or name of the estimate")]
Switch = Annotated[bool, Parameter(negative=(), show_default=False)]
Finite = Annotated[float | None, Parameter(validator=finite)]
FailAbove = Annotated[Finite, Parameter(metavar="W", help="exit with 1 when the lower bound exceeds W")]
Delta = Annotated[Finite, Parameter(metavar="D", help="distances that differ by at most D count as equally near")]
Progress = Annotated[bool | None, Parameter(help="a bar on stderr (default: on a terminal)")]
Groups = Annotated[
    tuple[str, str] | None, Parameter(negative=(), metavar="LABELS_A LABELS_B", help="labels: groups stay whole")
]
Labels = Annotated[str | None, Parameter(metavar="COLUMN", help="take this column alone, as labels of groups")]
Search = Annotated[
    str | None, Parameter(metavar="TEXT", help="only those with this in their name, in a set's name or in the id")
]
By = Annotated[
    str | None, Parameter(metavar="COLUMN", help="compare the levels of this column of one table, each a set")
]
Levels = Annotated[
    tuple[str, ...],
    Parameter(
        negative=(),
        metavar="LEVEL",
        show_default=False,
        help="with --by: compare these levels, in this order; repeatable",
    ),
]
Reference = Annotated[
    str | bool,
    Parameter(
        negative=(),
        metavar="[LEVEL]",
        show_default=False,
        help="only the first, or with --by a level, against each of the others",
    ),
]
Simultaneous = Annotated[Switch, Parameter(help="adds bounds that hold for all pairs together")]
Metadata = Annotated[
    dict[str, str] | None,
    Parameter(
        converter=labels, n_tokens=1, accepts_keys=False, metavar="NAME=TEXT", help="a label of your own; repeatable"
    ),
]


@Parameter(name="*")
@dataclass(frozen=True)
class Waiting:
    """Whether a command waits for the result."""

    no_wait: Annotated[Switch, Parameter(help="print the id and return at once")] = False
    timeout: Annotated[Finite, Parameter(metavar="SECONDS", help="wait no longer; the job goes on")] = None
    progress: Progress = None


@Parameter(name="*")
@dataclass(frozen=True)
class Files:
    """What is told of a result, and where it is written to beside standard output."""

    save: Annotated[str | None, Parameter(metavar="FILE", help="keep the whole result for Result.load")] = None
    report: Annotated[str | None, Parameter(metavar="FILE", help="write the result as one HTML file")] = None
    witness: Annotated[Switch, Parameter(help="print where the sets differ, too: unusual rows and columns")] = False

    def refuse_unwritable(self) -> None:
        """Raise OSError or OptionError for a file that could not be written once there is a result."""
        from wdist_client.display.outputs import other_than_html, refuse_unwritable

        if (wrong := other_than_html(self.report)) is not None:
            raise OptionError(wrong)
        for path in (self.save, self.report):
            refuse_unwritable(path)


@Parameter(name="*")
@dataclass(frozen=True)
class EstimateOptions(OptionFlags):
    """How to estimate, and how the job is found again."""

    metadata: Metadata = None

    def given(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}


@Parameter(name="*")
@dataclass(frozen=True)
class Reading(ReadingFlags):
    """How data is read."""

    def given(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}


WAITING, FILES, OPTIONS, READING = Waiting(), Files(), EstimateOptions(), Reading()


def choices() -> dict[str, list[str]]:
    """The flags whose values are written out, and these."""
    from typing import get_type_hints

    from wdist_client import contract  # pydantic, for which --help does not wait

    found: dict[str, list[str]] = {}
    for model in (contract.Options, contract.MonitorOptions, contract.Reading):
        for name, kind in get_type_hints(model, include_extras=True).items():
            found[f"--{name.replace('_', '-')}"] = texts_of(kind)
    return found
