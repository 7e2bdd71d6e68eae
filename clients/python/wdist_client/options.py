"""Options of estimates and batches: the keyword arguments of both clients."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar

from wdist_client import contract
from wdist_client.models import SampleSet

F = TypeVar("F", bound=Callable[..., Any])


class EstimateOptions(contract.Options, total=False):
    """Options of one estimate."""

    groups: Sequence[SampleSet | str] | Mapping[str, str]
    idempotency_key: str


class BatchOptions(contract.BatchOptions, total=False):
    """Options of each estimate of a batch."""

    groups: Mapping[str, str]
    idempotency_key: str


class SetOptions(TypedDict, total=False):
    """Which part of a file becomes the sample set."""

    member: str | None
    labels: str | None
    drop: Sequence[str]


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without those that are None, which get the server's defaults."""
    return {name: value for name, value in options.items() if value is not None}


def describes_options(function: F) -> F:
    """Replaces the line `{options}` of the docstring by one entry for each option."""
    entries = (contract.Options.__doc__ or "").partition("Attributes:\n")[2].rstrip()
    function.__doc__ = (function.__doc__ or "").replace("{options}", textwrap.indent(entries, " " * 4).lstrip())
    return function
