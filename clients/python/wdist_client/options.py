"""Options of estimates and batches: the keyword arguments of both clients."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from wdist_client import contract
from wdist_client.errors import OptionError
from wdist_client.models import SampleSet
from wdist_client.rows.reading import fields

_OF_TABLES = ("by", "levels", "reference")  # of a matrix; others are told so by the server
F = TypeVar("F", bound=Callable[..., Any])


class EstimateOptions(contract.Options, total=False):
    """Options of one estimate."""

    groups: Sequence[SampleSet | str] | Mapping[str, str]
    idempotency_key: str


class BatchOptions(contract.BatchOptions, total=False):
    """Options of each estimate of a batch."""

    groups: Mapping[str, str]
    idempotency_key: str


class SetOptions(contract.Reading, total=False):
    """How data is read, and which part of it becomes the sample set."""

    labels: str | None


class UpdateOptions(SetOptions, total=False):
    """How a batch is read, and how its update is told from another."""

    idempotency_key: str


class MonitorOptions(contract.MonitorOptions, UpdateOptions, total=False):
    """Options of a monitor, and how its reference is read."""


class Asked(EstimateOptions, SetOptions, total=False):
    """The keyword arguments of what sends two sets and compares them."""


class AskedOfMany(BatchOptions, SetOptions, total=False):
    """The keyword arguments of what sends several sets and compares them."""


def told_apart(arguments: Mapping[str, Any]) -> tuple[SetOptions, dict[str, Any]]:
    """How data is read, and the options of the estimates. Raises OptionError for one that is written a little wrong."""
    refuse_misspelt(arguments)
    reading: Any = {name: value for name, value in arguments.items() if name in fields()}
    return reading, {name: value for name, value in arguments.items() if name not in reading}


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without those that are None, which get the server's defaults."""
    return {name: value for name, value in options.items() if value is not None}


def refuse_misspelt(arguments: Mapping[str, Any], *, of_reading: bool = False) -> None:
    """Raise OptionError for an option that is none but nearly one, before anything is sent.

    One that is near to none is for the server to refuse, which may be newer than this client. of_reading: only what is
    nearly an option of reading, of which the server says nothing where sets are stored.
    """
    known = {**Asked.__annotations__, **AskedOfMany.__annotations__, **MonitorOptions.__annotations__}
    for name in arguments:
        if name in known or name in _OF_TABLES:
            continue
        near = difflib.get_close_matches(name, known, 1)
        if near and (not of_reading or near[0] in fields()):
            raise OptionError(f"there is no {name!r} here; did you mean {near[0]!r}?")


def refuse_reading(options: Mapping[str, Any]) -> None:
    """Raise OptionError for how data is read, where the sets are stored and have been read."""
    refuse_misspelt(options, of_reading=True)
    if asked := [name for name in given(options) if name in fields()]:
        says, it = ("says", "it") if len(asked) == 1 else ("say", "them")
        raise OptionError(
            f"{', '.join(asked)} {says} how data is read, and a stored set has been read: give {it} to "
            "client.sample_sets.create(...), or with the data to client.estimate(...) or client.matrix(...)"
        )


_DESCRIBED = {"{options}": contract.Options, "{reading}": contract.Reading, "{monitor}": contract.MonitorOptions}


def describes_options(function: F) -> F:
    """Replaces lines of the docstring, such as `{options}`, by one entry for each option."""
    for place, arguments in _DESCRIBED.items():
        entries = (arguments.__doc__ or "").partition("Attributes:\n")[2].rstrip()
        function.__doc__ = (function.__doc__ or "").replace(place, textwrap.indent(entries, " " * 4).lstrip())
    return function
