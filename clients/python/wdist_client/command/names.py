"""What a command was given by its name: the one record that is called so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from wdist_client.command.listing import local
from wdist_client.errors import OptionError

if TYPE_CHECKING:
    from wdist_client.client import Client
    from wdist_client.handles.synchronous import BatchJob, Job
    from wdist_client.monitors.synchronous import Monitor

_TOLD = 5  # ids of one name, the newest first


def estimate(client: Client, text: str) -> Job:
    """The estimate with this id, or the only one with this name."""
    if text.startswith("est_"):
        return client.estimates.get(text)
    found = [each for each in client.estimates.list(search=text) if each.name == text]
    return client.estimates.get(the_only("estimate", text, [each.estimate for each in found]).id)


def batch(client: Client, text: str) -> BatchJob:
    """The batch with this id, or the only one with this name."""
    if text.startswith("batch_"):
        return client.batches.get(text)
    found = [each.batch for each in client.batches.list(search=text) if each.batch.name == text]
    return client.batches.get(the_only("batch", text, found).id)


def monitor(client: Client, text: str) -> Monitor:
    """The monitor with this id, or the only one with this name."""
    if text.startswith("mon_"):
        return client.monitors.get(text)
    found = [each for each in client.monitors.list(name=text) if each.name == text]
    return client.monitors.get(the_only("monitor", text, [each.record for each in found]).id)


def sample_set(client: Client, text: str) -> str | None:
    """The id of the only set with this name; None where no set has it."""
    named = (each for each in client.sample_sets.list(name=text) if each.name == text)
    found = list(islice(named, 100))
    return the_only("sample set", text, found).id if found else None


_PREFIXES = {"sample set": "ss_", "estimate": "est_", "batch": "batch_", "monitor": "mon_"}


def any_of(client: Client, text: str, kinds: Iterable[str]) -> tuple[str, str]:
    """Kind and id of what has this id, or of the only one of these kinds with this name. Raises OptionError."""
    kinds = list(kinds)
    wanted = f"{', '.join(kinds[:-1])} or {kinds[-1]}"
    if (kind := next((each for each, prefix in _PREFIXES.items() if text.startswith(prefix)), None)) is not None:
        if kind in kinds:
            return kind, text
        raise OptionError(f"{text!r} is the id of a {kind}, and this takes the id or the name of a {wanted}")
    lists: dict[str, Callable[[], Iterable[Any]]] = {
        "sample set": lambda: client.sample_sets.list(name=text),
        "estimate": lambda: (each.estimate for each in client.estimates.list(search=text)),
        "batch": lambda: (each.batch for each in client.batches.list(search=text)),
        "monitor": lambda: (each.record for each in client.monitors.list(name=text)),
    }
    named = {kind: list(islice((e for e in lists[kind]() if e.name == text), 100)) for kind in kinds}
    found = {kind: records for kind, records in named.items() if records}
    if len(found) > 1:
        ids = ", ".join(f"{kind} {e.id} ({local(e.created_at)})" for kind, es in found.items() for e in es[:_TOLD])
        raise OptionError(f"{text!r} is the name of several things: give an id, of {ids}")
    for kind, records in found.items():
        return kind, the_only(kind, text, records).id
    raise OptionError(f"there is no {wanted} called {text!r}")


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
