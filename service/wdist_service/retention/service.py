"""Applies the limits of the settings: says what would go, and removes it."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from wdist_service import tenancy
from wdist_service.database import Database, retried_after_races
from wdist_service.errors import ConflictError, NotFoundError
from wdist_service.queue import owners
from wdist_service.retention import entries
from wdist_service.retention.entries import AT_ONCE
from wdist_service.retention.events import Compaction
from wdist_service.retention.monitored import surplus_of_monitors
from wdist_service.retention.rules import DAY, Entry, Limits, Removal, by_tenant, surplus
from wdist_service.sample_sets.service import SampleSets
from wdist_service.settings import RetentionLimits, RetentionSettings
from wdist_service.storage.files import Storage
from wdist_service.storage.references import delete_with_files
from wdist_service.tables import ACTIVE, Batch, Estimate, Evaluation, Tenant

log = logging.getLogger("wdist.retention")


@dataclass(frozen=True)
class Forgotten:
    """What went, or would go: entries, each with its reason, and a number of events of jobs that stay or go."""

    removals: list[Removal]
    events: int


class Retention:
    """Forgets what the settings say. Nothing that a queued or running job needs is removed."""

    def __init__(self, database: Database, storage: Storage, sets: SampleSets, settings: RetentionSettings) -> None:
        self._database = database
        self._storage = storage
        self._sets = sets
        self._settings = settings

    def plan(self) -> Forgotten:
        """What `apply` would remove now; changes nothing."""
        now = time.time()
        found = {each.entry.id: each for each in self._surplus_of_monitors(now)}
        for kind in _KINDS:
            for each in self._surplus(kind, now):
                found.setdefault(each.entry.id, each)
        return Forgotten(list(found.values()), len(self._compact(now, is_dry=True).gone))

    def apply(self) -> Forgotten:
        """Remove what goes beyond the limits. Returns what went; what came into use meanwhile stays."""
        now = time.time()
        # Kind by kind, so that sets are judged by the estimates that are left and by what was noted of the others.
        went = [each for each in self._surplus_of_monitors(now) if self._remove(each)]
        went += [each for kind in _KINDS for each in self._surplus(kind, now) if self._remove(each)]
        for kind, count in sorted(Counter(each.entry.kind for each in went).items()):
            log.info("removed %s %s beyond the limits", count, f"{kind}s" if kind != "batch" else "batches")
        return Forgotten(went, len(self._compact(now, is_dry=False).gone))

    def _surplus_of_monitors(self, now: float) -> list[Removal]:
        """The sets of old updates of monitors, which go before other sets are counted."""
        given = self._settings

        def limits_of(tenant_id: str) -> list[RetentionLimits]:
            return [given.tenants.get(tenant_id, given), given.server]

        every = (given, given.server, *given.tenants.values())
        if all(each.monitor_batches_days is None and each.monitor_batches_count is None for each in every):
            return []
        with self._database.read() as session:
            return surplus_of_monitors(session, limits_of, now)

    def _surplus(self, kind: _Kind, now: float) -> list[Removal]:
        own = {tenant: kind.limits(limits) for tenant, limits in self._settings.tenants.items()}
        each, server = kind.limits(self._settings), kind.limits(self._settings.server)
        if all(limits.is_off for limits in (each, server, *own.values())):
            return []
        with self._database.read() as session:
            found = list(kind.entries(session))
            removals = [
                removal
                for tenant, of_tenant in sorted(by_tenant(found).items())
                for removal in _possible(session, of_tenant, own.get(tenant, each), now)
            ]
            going = {removal.entry.id for removal in removals}
            left = [entry for entry in found if entry.id not in going]
            return removals + _possible(session, left, server, now)

    def _remove(self, removal: Removal) -> bool:
        entry = removal.entry
        try:
            if entry.kind == "sample set":
                self._sets.delete(entry.tenant_id, entry.id, unless_used_after=entry.at)
            elif entry.kind == "batch":
                self._remove_batch(entry)
            else:
                self._remove_estimates(entry.tenant_id, [entry.id])
        except (ConflictError, NotFoundError):  # it came into use, or somebody else removed it
            return False
        return True

    def _remove_batch(self, entry: Entry) -> None:
        """Some estimates in each transaction: SQLite's other writers wait for its end."""
        members = select(Estimate.id).where(Estimate.batch_id == entry.id)
        with self._database.read() as session:
            if session.execute(members.where(Estimate.status.in_(ACTIVE)).limit(1)).first() is not None:
                raise ConflictError(f"{entry.id} is not finished")
            ids = list(session.scalars(members))
        for start in range(0, len(ids), AT_ONCE):
            self._remove_estimates(entry.tenant_id, ids[start : start + AT_ONCE])
        self._remove_row(entry)

    @retried_after_races
    def _remove_row(self, batch: Entry) -> None:
        with self._database.write() as session:
            session.delete(tenancy.find(session, Batch, batch.tenant_id, batch.id, lock="update"))

    def _remove_estimates(self, tenant_id: str, ids: Sequence[str]) -> None:
        """Remove ended estimates and their evaluations. Raises ConflictError if one of them is not ended."""

        def delete(session: Session) -> list[str]:
            owned = tenancy.owned(Estimate, tenant_id).where(Estimate.job_id.in_(ids)).order_by(Estimate.id)
            rows = list(session.execute(owned.with_for_update()).scalars())
            evaluations = list(session.scalars(select(Evaluation).where(Evaluation.estimate_id.in_(ids))))
            for row in (*rows, *evaluations):
                if row.status in ACTIVE:
                    raise ConflictError(f"{row.id} is {row.status}")
            entries.remember_uses(session, ids)
            hashes: list[str] = []
            for start in range(0, len(evaluations), AT_ONCE):
                hashes += owners.delete_ended(session, [row.id for row in evaluations[start : start + AT_ONCE]])
            return hashes + owners.delete_ended(session, [row.id for row in rows])

        delete_with_files(self._database, self._storage, delete)

    def _compact(self, now: float, *, is_dry: bool) -> Compaction:
        compaction = Compaction(self._database, is_dry=is_dry)
        with self._database.read() as session:
            tenants = sorted(session.scalars(select(Tenant.id)))
        limits = [(tenant, self._settings.tenants.get(tenant, self._settings)) for tenant in tenants]
        for tenant, of_tenant in limits:
            days = [each.events_days for each in (of_tenant, self._settings.server) if each.events_days is not None]
            if days:
                compaction.forget(tenant, now - min(days) * DAY)
        compaction.thin(now)
        for tenant, of_tenant in limits:
            if of_tenant.events_count is not None:
                compaction.keep_newest(tenant, of_tenant.events_count)
        if self._settings.server.events_count is not None:
            compaction.keep_newest(None, self._settings.server.events_count)
        return compaction


@dataclass(frozen=True)
class _Kind:
    entries: Callable[[Session], Iterator[Entry]]
    limits: Callable[[RetentionLimits], Limits]


_KINDS = (
    _Kind(entries.batches, lambda given: Limits(given.batches_days, given.batches_count, given.batches_bytes)),
    _Kind(entries.estimates, lambda given: Limits(given.estimates_days, given.estimates_count, given.estimates_bytes)),
    _Kind(entries.sample_sets, lambda given: Limits(given.sets_days, given.sets_count, given.sets_bytes)),
)


def _possible(session: Session, found: Sequence[Entry], limits: Limits, now: float) -> list[Removal]:
    """The surplus of these entries, without what is in use."""
    return list(surplus(found, limits, now, lambda entry: entries.is_held(session, entry)))
