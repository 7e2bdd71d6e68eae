"""Compaction of events. What happened to a job stays; how it went on, row by row, becomes coarse and is then forgotten.

Streams go on working: an event is after another one by its id, whichever are left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from wdist_service.database import Database
from wdist_service.retention.entries import AT_ONCE
from wdist_service.retention.rules import DAY
from wdist_service.tables import TERMINAL, Event, Job, Property

THIN_AFTER_SECONDS = DAY
PROGRESS_KEPT = 20  # events of an ended job; its curve has every evaluation
_DETAILS = ("progress", "log")
_EVER = float("inf")
Choice = Callable[[Session, Sequence[str]], list[int]]


class Compaction:
    """Removes events, or with `is_dry` only finds which; `gone` has their ids."""

    def __init__(self, database: Database, *, is_dry: bool) -> None:
        self._database = database
        self._is_dry = is_dry
        self.gone: set[int] = set()

    def thin(self, now: float) -> None:
        """Keep some of the progress events of each job that ended a day ago."""
        self._once("events thinned", None, now - THIN_AFTER_SECONDS, _beyond_kept)

    def forget(self, tenant_id: str, before: float) -> None:
        """Remove progress and log events of a tenant's jobs that ended before a time."""
        name = hashlib.sha256(tenant_id.encode()).hexdigest()[:24]
        self._once(f"events gone {name}", tenant_id, before, _details)

    def keep_newest(self, tenant_id: str | None, count: int) -> None:
        """Remove progress and log events, of the jobs that ended first, until a tenant, or all, have `count` events.

        Events of state stay, so that more than `count` may be left.
        """
        rows = select(func.count()).select_from(Event)
        if tenant_id is not None:
            rows = rows.join(Job, Job.id == Event.job_id).where(Job.tenant_id == tenant_id)
        with self._database.read() as session:
            surplus = session.execute(rows).scalar_one() - count
        for jobs in self._ended(tenant_id, 0.0, _EVER) if surplus > 0 else ():
            if (surplus := surplus - self._remove(jobs, _details)) <= 0:
                return

    def _once(self, mark: str, tenant_id: str | None, end: float, choice: Choice) -> None:
        """Treat each job that ended before `end` once: the property `mark` says up to when that was done."""
        with self._database.read() as session:
            row = session.get(Property, mark)
            start = 0.0 if row is None else float(row.value)
        for jobs in self._ended(tenant_id, start, end):
            self._remove(jobs, choice)
        if not self._is_dry and end > start:
            with self._database.write() as session:
                session.merge(Property(name=mark, value=repr(end)))

    def _ended(self, tenant_id: str | None, start: float, end: float) -> Iterator[list[str]]:
        """Jobs that ended in [start, end), earliest first, some at a time."""
        at, key = start, ""
        while True:
            query = select(Job.finished_at, Job.id).where(Job.finished_at < end, Job.status.in_(TERMINAL))
            query = query.where((Job.finished_at > at) | ((Job.finished_at == at) & (Job.id > key)))
            if tenant_id is not None:
                query = query.where(Job.tenant_id == tenant_id)
            with self._database.read() as session:
                found = list(session.execute(query.order_by(Job.finished_at, Job.id).limit(AT_ONCE)))
            if not found:
                return
            yield [each for _, each in found]
            at, key = found[-1][0] or 0.0, found[-1][1]

    def _remove(self, jobs: Sequence[str], choice: Choice) -> int:
        with self._database.read() as session:
            ids = [key for key in choice(session, jobs) if key not in self.gone]
        for start in range(0, 0 if self._is_dry else len(ids), 500):
            with self._database.write() as session:
                session.execute(delete(Event).where(Event.id.in_(ids[start : start + 500])))
        self.gone.update(ids)
        return len(ids)


def _beyond_kept(session: Session, jobs: Sequence[str]) -> list[int]:
    """Progress events beyond PROGRESS_KEPT of each job: the first and the last stay, and some between, evenly."""
    query = select(Event.job_id, Event.id).where(Event.job_id.in_(jobs), Event.type == "progress")
    gone: list[int] = []
    for _, rows in groupby(session.execute(query.order_by(Event.job_id, Event.id)), key=lambda row: row[0]):
        ids = [key for _, key in rows]
        if len(ids) > PROGRESS_KEPT:
            kept = {ids[k * (len(ids) - 1) // (PROGRESS_KEPT - 1)] for k in range(PROGRESS_KEPT)}
            gone += [key for key in ids if key not in kept]
    return gone


def _details(session: Session, jobs: Sequence[str]) -> list[int]:
    """All progress and log events of these jobs."""
    return list(session.scalars(select(Event.id).where(Event.job_id.in_(jobs), Event.type.in_(_DETAILS))))
