"""Webhooks of a tenant, and the log of what was sent to them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

from sqlalchemy import func, inspect, select
from sqlalchemy.orm import Session, defer

from wdist_service import tenancy
from wdist_service.database import Database, retried_after_races
from wdist_service.errors import ConflictError, InvalidError
from wdist_service.ids import new_id
from wdist_service.installation import load_secret
from wdist_service.queue import owners
from wdist_service.queue.dispatch import Queue
from wdist_service.queue.records import record_status, submit_errands
from wdist_service.settings import Settings
from wdist_service.tables import ACTIVE, TERMINAL, Delivery, Job, Status, Tenant, Webhook
from wdist_service.webhooks.addresses import RefusedAddressError, target_of
from wdist_service.webhooks.disabling import disable
from wdist_service.webhooks.events import body_of, new_delivery
from wdist_service.webhooks.resting import wake
from wdist_service.webhooks.schemas import PING, WebhookChange, WebhookRequest
from wdist_service.webhooks.secrets import new_salt, secret_of

MOST = 20  # webhooks of a tenant
_AT_ONCE = 500
_KIND = inspect(Delivery).polymorphic_identity


class Webhooks:
    """The webhooks of all tenants."""

    def __init__(self, database: Database, queue: Queue, settings: Settings) -> None:
        self._database = database
        self._queue = queue
        self._private = settings.webhook_private
        self._overlap_seconds = settings.webhook_overlap_seconds
        self._log_seconds = settings.webhook_log_days * 86_400
        self._server_secret = load_secret(database, settings)

    def secret(self, webhook: Webhook) -> str:
        return secret_of(self._server_secret, webhook.id, webhook.salt)

    def create(self, tenant_id: str, given: WebhookRequest) -> Webhook:
        """Register an address. Raises InvalidError for one that is not allowed, and ConflictError at the limit."""
        self._check(given.url)
        with self._database.write() as session:
            session.execute(select(Tenant.id).where(Tenant.id == tenant_id).with_for_update(key_share=True))
            count = select(func.count()).select_from(Webhook).where(Webhook.tenant_id == tenant_id)
            if session.execute(count).scalar_one() >= MOST:
                raise ConflictError(f"there are {MOST} webhooks, which is the limit; delete one first")
            webhook = Webhook(
                id=new_id("wh"), tenant_id=tenant_id, url=given.url, events=_unique(given.events),
                description=given.description, include_rows=given.include_rows, salt=new_salt(),
                created_at=time.time(), failures=0,
            )  # fmt: skip
            session.add(webhook)
            return webhook

    def find(self, tenant_id: str, webhook_id: str) -> Webhook:
        with self._database.read() as session:
            return tenancy.find(session, Webhook, tenant_id, webhook_id)

    @retried_after_races
    def change(self, tenant_id: str, webhook_id: str, given: WebhookChange) -> Webhook:
        """Change what is given. One that is enabled again, or gets another address, starts without failures."""
        if given.url is not None:
            self._check(given.url)
        with self._database.write() as session:
            webhook = tenancy.find(session, Webhook, tenant_id, webhook_id, lock="update")
            if given.events is not None:
                webhook.events = _unique(given.events)
            if "description" in given.model_fields_set:
                webhook.description = given.description
            if given.include_rows is not None:
                webhook.include_rows = given.include_rows
            if given.url not in {None, webhook.url} or (given.enabled and webhook.disabled_at is not None):
                webhook.url = given.url or webhook.url
                webhook.failing_since, webhook.failures = None, 0
                wake(session, webhook, self._database.now(session))
            if given.enabled:
                webhook.disabled_at, webhook.disabled_reason = None, None
            elif given.enabled is False and webhook.disabled_at is None:
                disable(session, webhook, "an admin disabled it", self._database.now(session))
            return webhook

    @retried_after_races
    def delete(self, tenant_id: str, webhook_id: str) -> None:
        """Forget a webhook and its deliveries; those that are under way end without a trace."""
        with self._database.write() as session:
            webhook = tenancy.find(session, Webhook, tenant_id, webhook_id, lock="update")
            ids = session.execute(select(Delivery.job_id).where(Delivery.webhook_id == webhook_id)).scalars().all()
            owners.delete_jobs(session, self._queue, ids)
            session.delete(webhook)

    def rotate(self, tenant_id: str, webhook_id: str) -> Webhook:
        """Give a webhook a new secret; the old one signs beside it for a while."""
        with self._database.write() as session:
            webhook = tenancy.find(session, Webhook, tenant_id, webhook_id, lock="update")
            webhook.previous_salt = webhook.salt
            webhook.previous_until = self._database.now(session) + self._overlap_seconds
            webhook.salt = new_salt()
            return webhook

    def ping(self, tenant_id: str, webhook_id: str) -> Delivery:
        """Send an event that says nothing else. Raises ConflictError for a webhook that is disabled."""
        with self._database.write() as session:
            webhook = tenancy.find(session, Webhook, tenant_id, webhook_id, lock="share")
            _check_enabled(webhook)
            now = self._database.now(session)
            body = body_of(PING, now, {"webhook": webhook.id})
            delivery = new_delivery(webhook, new_id("evt"), PING, body, now)
            submit_errands(session, [delivery])
            return delivery

    def deliveries(
        self, tenant_id: str, webhook_id: str, status: str | None, limit: int, after: str | None
    ) -> tuple[list[Delivery], str | None]:
        """A page of what was sent and waits to be sent, newest first."""
        with self._database.read() as session:
            tenancy.find(session, Webhook, tenant_id, webhook_id)
            query = tenancy.owned(Delivery, tenant_id).where(Delivery.webhook_id == webhook_id)
            if status is not None:
                query = query.where(Delivery.status == status)
            query = query.options(defer(Delivery.body), defer(Delivery.response_body))  # up to 256 KiB each, not shown
            return tenancy.page(session, query, Delivery, limit, after)

    def delivery(self, tenant_id: str, webhook_id: str, delivery_id: str) -> Delivery:
        with self._database.read() as session:
            return _find_delivery(session, tenant_id, webhook_id, delivery_id)

    @retried_after_races
    def retry(self, tenant_id: str, webhook_id: str, delivery_id: str) -> Delivery:
        """Send it now: at once if it waits, again if it has ended. The event keeps its id."""
        with self._database.write() as session:
            webhook = tenancy.find(session, Webhook, tenant_id, webhook_id, lock="update")
            _check_enabled(webhook)
            wake(session, webhook, self._database.now(session))
            row = _find_delivery(session, tenant_id, webhook_id, delivery_id, lock="update")
            if row.status in ACTIVE and row.status != Status.QUEUED:
                raise ConflictError(f"{row.id} is being sent at this moment")
            if row.status != Status.QUEUED:
                row.status, row.finished_at, row.error = Status.QUEUED, None, None
                row.attempt, row.place, row.failures = row.attempt + 1, 0, 0
                record_status(session, row.id, row.status, row.attempt)
            owners.hurry(session, row)
            return row

    def forget_ended(self) -> None:
        """Remove the deliveries from the log that ended too long ago."""
        with self._database.read() as session:
            before = self._database.now(session) - self._log_seconds
        query = select(Job.id).where(Job.kind == _KIND, Job.status.in_(TERMINAL), Job.finished_at < before)
        while True:
            with self._database.write() as session:
                ids = session.execute(query.order_by(Job.id).limit(_AT_ONCE)).scalars().all()
                owners.delete_ended(session, ids)
            if len(ids) < _AT_ONCE:
                return

    def _check(self, url: str) -> None:
        try:
            target_of(url, self._private)
        except RefusedAddressError as error:
            raise InvalidError(f"url cannot be used: {error}", field="url") from None


def _find_delivery(
    session: Session, tenant_id: str, webhook_id: str, delivery_id: str, lock: Literal["update"] | None = None
) -> Delivery:
    row = tenancy.find(session, Delivery, tenant_id, delivery_id, lock=lock)
    if row.webhook_id != webhook_id:
        raise tenancy.missing(Delivery, delivery_id)
    return row


def _check_enabled(webhook: Webhook) -> None:
    if webhook.disabled_at is not None:
        raise ConflictError(f"{webhook.id} is disabled: {webhook.disabled_reason}; enable it first")


def _unique(events: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(events))
