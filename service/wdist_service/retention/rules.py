"""Which of some entries go beyond their limits. Knows nothing of tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["batch", "estimate", "sample set"]
DAY = 86_400.0
# Limits of count and bytes leave alone what ended or came so lately: somebody may be about to use it.
GRACE_SECONDS = 3600.0


@dataclass(frozen=True)
class Limits:
    """The limits on entries of one kind; None: none."""

    days: float | None = None
    count: int | None = None
    bytes: int | None = None

    @property
    def is_off(self) -> bool:
        return self.days is None and self.count is None and self.bytes is None


@dataclass(frozen=True)
class Entry:
    """Something stored. `at`: when it ended or was last used. One that `is_held` is in use, and stays."""

    kind: Kind
    id: str
    tenant_id: str
    at: float
    bytes: int
    is_held: bool = False


@dataclass(frozen=True)
class Removal:
    """An entry that goes, and why."""

    entry: Entry
    reason: str


def surplus(
    entries: Sequence[Entry], limits: Limits, now: float, is_held: Callable[[Entry], bool]
) -> Iterator[Removal]:
    """The entries that go, oldest first, so that the limits hold for the others, or hold as far as they can.

    Entries in use count, and stay. `is_held` is asked only of those that would go.
    """
    if limits.is_off:
        return
    count, size = len(entries), sum(entry.bytes for entry in entries)
    for entry in sorted(entries, key=lambda entry: (entry.at, entry.id)):
        if (reason := _reason(entry, limits, now, count, size)) is None or is_held(entry):
            continue
        count, size = count - 1, size - entry.bytes
        yield Removal(entry, reason)


def _reason(entry: Entry, limits: Limits, now: float, count: int, size: int) -> str | None:
    age = now - entry.at
    if limits.days is not None and age > limits.days * DAY:
        return f"{'unused' if entry.kind == 'sample set' else 'ended'} for {age / DAY:.1f} days, limit {limits.days:g}"
    if age < GRACE_SECONDS:
        return None
    if limits.count is not None and count > limits.count:
        return f"one of {count:,}, limit {limits.count:,}"
    if limits.bytes is not None and size > limits.bytes:
        return f"{size:,} bytes in all, limit {limits.bytes:,}"
    return None


def by_tenant(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.tenant_id, []).append(entry)
    return found
