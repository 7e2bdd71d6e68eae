"""Quotas: compare the limits of a key with what its tenant uses."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wdist_service.errors import InvalidError, RequestError
from wdist_service.settings import Settings
from wdist_service.tables import (
    ACTIVE,
    DEVICE_SECONDS,
    ApiKey,
    Batch,
    DeviceUse,
    Evaluation,
    Job,
    Monitor,
    SampleSet,
    Status,
    Tenant,
    Upload,
)

DEVICE_DAYS = 30  # the period over which device seconds are counted
FREE_BYTES = 4096  # of a row beside its files: names of columns, statistics, options and labels, if they are not long
_RETRY_SECONDS = 30


class QuotaError(RequestError):
    status, type, title = 403, "quota_exceeded", "The quota of this key is used up"


class TooManyJobsError(RequestError):
    status, type, title = 429, "too_many_jobs", "Too many jobs are waiting"


class TooCostlyError(InvalidError):
    type, title = "too_costly", "This job would take too long"


@dataclass(frozen=True)
class Quota:
    """Limits; None means unlimited. All but the last two count the whole tenant; device seconds cover 30 days."""

    bytes: int | None = None
    queued_jobs: int | None = None
    device_seconds: float | None = None
    requests_per_minute: int | None = None
    job_seconds: float | None = None


def quota_of(settings: Settings, key: ApiKey | None) -> Quota:
    """A key's own limits, or the server's where it has none. Without a key, only the limit of a single job."""
    if key is None:
        return Quota(job_seconds=settings.max_job_seconds)
    given = key.quota or {}

    def choose(name: str, default: float | None) -> float | None:
        return given[name] if given.get(name) is not None else default

    whole = {
        name: None if (number := choose(name, default)) is None else int(number)
        for name, default in (
            ("bytes", settings.quota_bytes),
            ("queued_jobs", settings.quota_queued_jobs),
            ("requests_per_minute", settings.requests_per_minute),
        )
    }
    return Quota(
        **whole,
        device_seconds=choose("device_seconds", settings.quota_device_seconds),
        job_seconds=settings.max_job_seconds,
    )


def bytes_beside_files(*described: Any) -> int:
    """What counts of a row's JSON values: their length beyond the 4 KiB that every row has free."""
    return max(0, sum(len(json.dumps(each)) for each in described if each is not None) - FREE_BYTES)


def admit_bytes(session: Session, tenant_id: str, quota: Quota, more: int, now: float) -> None:
    """Raise QuotaError if the tenant would store more than the key allows."""
    if quota.bytes is None:
        return
    _wait_in_turn(session, tenant_id)
    used = _bytes(session, tenant_id, now)
    if used + more > quota.bytes:
        raise QuotaError(
            f"{more:,} bytes more than the {used:,} stored exceed this key's quota of {quota.bytes:,}; delete sample "
            "sets or estimates, or ask the server's admin",
            field="quota.bytes",
        )


@dataclass(frozen=True)
class Room:
    """What a caller may still store."""

    tenant_id: str
    quota: Quota
    promised: int = 0  # bytes that are counted already and will be replaced by what is stored

    def left(self, session: Session) -> int | None:
        """Bytes that the quota leaves at this moment; None: any number."""
        if self.quota.bytes is None:
            return None
        return max(0, self.quota.bytes + self.promised - _bytes(session, self.tenant_id, time.time()))

    def admit(self, session: Session, more: int) -> None:
        """Raise QuotaError if `more` bytes are too many."""
        admit_bytes(session, self.tenant_id, self.quota, more - self.promised, time.time())

    def refusal(self, left: int) -> QuotaError:
        """The error for a body of which more than the `left` bytes would be stored."""
        return QuotaError(
            f"it would take more than the {left:,} bytes that are left of this key's quota of {self.quota.bytes:,}; "
            "delete sample sets or estimates, or ask the server's admin",
            field="quota.bytes",
        )


def admit_jobs(session: Session, tenant_id: str, quota: Quota, costs: Sequence[float], now: float) -> None:
    """Raise TooCostlyError, TooManyJobsError or QuotaError if jobs of these estimated seconds exceed a limit."""
    worst, total = max(costs), sum(costs)
    if quota.job_seconds is not None and worst > quota.job_seconds:
        raise TooCostlyError(
            f"this job would take about {worst:,.0f} s of a device, the limit of this server is "
            f"{quota.job_seconds:,.0f} s; give max_seconds, or fewer steps or baseline_rows",
            field="steps",
        )
    if quota.queued_jobs is None and quota.device_seconds is None:
        return
    _wait_in_turn(session, tenant_id)
    waiting, promised = _queued(session, tenant_id)
    if quota.queued_jobs is not None and waiting + len(costs) > quota.queued_jobs:
        raise TooManyJobsError(
            f"{len(costs):,} more than the {waiting:,} waiting jobs exceed this key's quota of {quota.queued_jobs:,}; "
            "try again when some have finished",
            field="quota.queued_jobs",
            retry_after=_RETRY_SECONDS,
        )
    if quota.device_seconds is not None:
        used = device_seconds(session, tenant_id, now)
        if used + promised + total > quota.device_seconds:
            raise QuotaError(
                f"about {total:,.0f} s of a device more than the {used:,.1f} s used in {DEVICE_DAYS} days and "
                f"{promised:,.0f} s waiting exceed this key's quota of {quota.device_seconds:,.0f} s; give "
                "max_seconds or fewer steps, or ask the server's admin",
                field="quota.device_seconds",
            )


def admit_evaluation(session: Session, tenant_id: str, quota: Quota) -> None:
    """Raise TooManyJobsError if one more waiting evaluation would exceed the quota."""
    if quota.queued_jobs is None:
        return
    _wait_in_turn(session, tenant_id)
    if _queued(session, tenant_id)[0] + 1 > quota.queued_jobs:
        raise TooManyJobsError(
            f"{quota.queued_jobs:,} jobs of this key wait already; try again when some have finished",
            field="quota.queued_jobs",
            retry_after=_RETRY_SECONDS,
        )


def _wait_in_turn(session: Session, tenant_id: str) -> None:
    """Serialize a tenant's admissions across replicas until the commit, so that none counts stale usage.

    The lock is FOR NO KEY UPDATE, which still lets others add rows that refer to the tenant. On SQLite the write lock
    is already held.
    """
    session.execute(select(Tenant.id).where(Tenant.id == tenant_id).with_for_update(key_share=True))


def _bytes(session: Session, tenant_id: str, now: float) -> int:
    promised = select(func.coalesce(func.sum(Upload.length + func.length(Upload.given)), 0)).where(
        Upload.tenant_id == tenant_id, Upload.sample_set_id.is_(None), Upload.error.is_(None), Upload.expires_at > now
    )
    # Of an evaluation that is under way, the expected size; then the file's, which its job counts.
    values = select(func.coalesce(func.sum(Evaluation.bytes), 0)).where(
        Evaluation.tenant_id == tenant_id, Evaluation.status.in_(ACTIVE)
    )
    stored = [
        select(func.coalesce(func.sum(table.stored_bytes), 0)).where(table.tenant_id == tenant_id)
        for table in (SampleSet, Job, Batch, Monitor)
    ]
    return sum(int(session.execute(query).scalar_one()) for query in (*stored, promised, values))


def _queued(session: Session, tenant_id: str) -> tuple[int, float]:
    """Jobs that wait, and what those that wait or run were estimated to take; errands are not the tenant's doing."""
    waiting = select(func.count()).where(Job.tenant_id == tenant_id, Job.status == Status.QUEUED, Job.due_at.is_(None))
    cost = select(func.sum(Job.cost_seconds)).where(Job.tenant_id == tenant_id, Job.status.in_(ACTIVE))
    return session.execute(waiting).scalar_one(), float(session.execute(cost).scalar_one() or 0)


def device_seconds(session: Session, tenant_id: str, now: float) -> float:
    since = now - DEVICE_DAYS * 86_400
    taken = select(func.sum(DEVICE_SECONDS)).where(
        Job.tenant_id == tenant_id, Job.started_at.is_not(None), Job.finished_at > since
    )
    deleted = select(func.sum(DeviceUse.seconds)).where(DeviceUse.tenant_id == tenant_id, DeviceUse.finished_at > since)
    return float(session.execute(taken).scalar_one() or 0) + float(session.execute(deleted).scalar_one() or 0)
