"""What a command was given by its name: the one record that is called so."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from wdist_client.command.listing import local
from wdist_client.errors import OptionError

if TYPE_CHECKING:
    from wdist_client.client import Client
    from wdist_client.handles.synchronous import BatchJob, Job
    from wdist_client.monitors.synchronous import Monitor

_TOLD = 5  # ids of one name, the newest first
_MOST = 100  # records of one name that are asked for, where several kinds are sought
_LOOKED_AT = 500  # records of a kind, the newest first, whose names may be meant


_KINDS: dict[str, tuple[str, Callable[[Client, str | None], Iterable[Any]]]] = {
    "sample set": ("ss_", lambda client, name: client.sample_sets.list(name=name)),
    "estimate": ("est_", lambda client, name: (each.estimate for each in client.estimates.list(search=name))),
    "batch": ("batch_", lambda client, name: (each.batch for each in client.batches.list(search=name))),
    "monitor": ("mon_", lambda client, name: (each.record for each in client.monitors.list(name=name))),
}
"""How ids of a kind begin, and its records of a name, among which others may be."""


def estimate(client: Client, text: str) -> Job:
    """The estimate with this id, or the only one with this name."""
    return client.estimates.get(_id_of(client, "estimate", text))


def batch(client: Client, text: str) -> BatchJob:
    """The batch with this id, or the only one with this name."""
    return client.batches.get(_id_of(client, "batch", text))


def monitor(client: Client, text: str) -> Monitor:
    """The monitor with this id, or the only one with this name."""
    return client.monitors.get(_id_of(client, "monitor", text))


def sample_set(client: Client, text: str) -> str | None:
    """The id of the only set with this name; None where no set has it."""
    found = list(islice(_called(client, "sample set", text), _MOST))
    return the_only("sample set", text, found).id if found else None


def _id_of(client: Client, kind: str, text: str) -> str:
    if text.startswith(_KINDS[kind][0]):
        return text
    if not (found := list(_called(client, kind, text))):
        raise OptionError(f"there is no {kind} called {text!r}{alike(client, [kind], text)}")
    identifier: str = the_only(kind, text, found).id
    return identifier


def alike(client: Client, kinds: Iterable[str], name: str, without: Iterable[str] = ()) -> str:
    """The name of one of these kinds that this may be meant for, as a question; "" where none is like it.

    without: names that are not meant, as they are given beside it.
    """
    known = {each.name for kind in kinds for each in islice(_KINDS[kind][1](client, None), _LOOKED_AT) if each.name}
    near = difflib.get_close_matches(name, known - {*without}, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _called(client: Client, kind: str, name: str) -> Iterator[Any]:
    return (each for each in _KINDS[kind][1](client, name) if each.name == name)


def any_of(client: Client, text: str, kinds: Iterable[str]) -> tuple[str, str]:
    """Kind and id of what has this id, or of the only one of these kinds with this name. Raises OptionError."""
    kinds = list(kinds)
    wanted = f"{', '.join(kinds[:-1])} or {kinds[-1]}"
    if (kind := next((each for each, (prefix, _) in _KINDS.items() if text.startswith(prefix)), None)) is not None:
        if kind in kinds:
            return kind, text
        raise OptionError(f"{text!r} is the id of a {kind}, and this takes the id or the name of a {wanted}")
    named = {kind: list(islice(_called(client, kind, text), _MOST)) for kind in kinds}
    found = {kind: records for kind, records in named.items() if records}
    if len(found) > 1:
        ids = ", ".join(f"{kind} {e.id} ({local(e.created_at)})" for kind, es in found.items() for e in es[:_TOLD])
        raise OptionError(f"{text!r} is the name of several things: give an id, of {ids}")
    for kind, records in found.items():
        return kind, the_only(kind, text, records).id
    raise OptionError(f"there is no {wanted} called {text!r}{alike(client, kinds, text)}")


def the_only(noun: str, name: str, found: Iterable[Any]) -> Any:
    """The one record that was found. Raises OptionError for none, and for several, with their ids and dates."""
    records = list(found)
    if not records:
        raise OptionError(f"there is no {noun} called {name!r}")
    if len(records) > 1:
        plural = f"{noun}es" if noun == "batch" else f"{noun}s"
        ids = ", ".join(f"{each.id} ({local(each.created_at)})" for each in records[:_TOLD])
        more = f" and {len(records) - _TOLD} more" if len(records) > _TOLD else ""
        raise OptionError(f"{len(records)} {plural} are called {name!r}: give an id, of {ids}{more}")
    return records[0]
