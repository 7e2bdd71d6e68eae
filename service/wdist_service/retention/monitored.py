"""Batches of monitors: the sets of old updates go, what they said stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from wdist_service.retention.rules import DAY, GRACE_SECONDS, Entry, Removal
from wdist_service.settings import RetentionLimits
from wdist_service.tables import Estimate, Evaluation, MonitorEpoch, MonitorUpdate, SampleSet

LimitsOf = Callable[[str], Sequence[RetentionLimits]]


def surplus_of_monitors(session: Session, limits_of: LimitsOf, now: float) -> list[Removal]:
    """The sets of updates beyond the limits, which count for each monitor by itself; oldest first.

    limits_of: all the limits that hold for a tenant, by its id. A set stays while another monitor keeps it, and if an
    estimate or an evaluation used it: it has limits of its own then.
    """
    going: dict[str, Removal] = {}
    kept: set[str] = set()
    for monitor_id, entries in _by_monitor(session):
        for place, entry in enumerate(entries):
            reason = _reason(monitor_id, entry, place, len(entries), limits_of(entry.tenant_id), now)
            if reason is None:
                kept.add(entry.id)
            else:
                going[entry.id] = Removal(entry, reason)
    left = [removal for key, removal in going.items() if key not in kept]
    return sorted(left, key=lambda removal: (removal.entry.at, removal.entry.id))


def _reason(
    monitor_id: str, entry: Entry, place: int, count: int, limits: Sequence[RetentionLimits], now: float
) -> str | None:
    """Why a batch goes, None if it stays; place: 0 for the newest of the monitor."""
    age = now - entry.at
    for each in limits:
        if each.monitor_batches_days is not None and age > each.monitor_batches_days * DAY:
            return f"a batch of {monitor_id} for {age / DAY:.1f} days, limit {each.monitor_batches_days:g}"
        most = each.monitor_batches_count
        if most is not None and place >= most and age >= GRACE_SECONDS:
            return f"one of {count:,} batches of {monitor_id}, limit {most:,}"
    return None


def _by_monitor(session: Session) -> Iterator[tuple[str, list[Entry]]]:
    """The stored batches of the ended updates of each monitor, newest first."""
    used_otherwise = (
        exists().where(Estimate.source_id == SampleSet.id)
        | exists().where(Estimate.target_id == SampleSet.id)
        | exists().where(Evaluation.sample_set_id == SampleSet.id)
        | exists().where(MonitorEpoch.reference_id == SampleSet.id)
    )
    query = (
        select(
            MonitorUpdate.monitor_id, MonitorUpdate.finished_at, SampleSet.id, SampleSet.tenant_id, SampleSet.bytes
        )
        .join(SampleSet, SampleSet.id == MonitorUpdate.sample_set_id)
        .where(MonitorUpdate.finished_at.is_not(None), ~used_otherwise)
        .order_by(MonitorUpdate.monitor_id, MonitorUpdate.job_id.desc())
    )  # fmt: skip
    found: dict[str, dict[str, Entry]] = {}
    for monitor_id, finished_at, key, tenant_id, size in session.execute(query):
        of_monitor = found.setdefault(monitor_id, {})  # a set may have been sent again after its update had failed
        of_monitor.setdefault(key, Entry("sample set", key, tenant_id, finished_at or 0.0, size))
    for monitor_id, entries in found.items():
        yield monitor_id, list(entries.values())
