"""How a webhook is disabled, by an admin or because nothing arrives there."""

from __future__ import annotations

import logging

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from wdist_service.queue.records import record_status
from wdist_service.tables import Delivery, Job, Status, Webhook

log = logging.getLogger("wdist.webhooks")
_MOST_REASON = 200


def disable(session: Session, webhook: Webhook, reason: str, now: float) -> None:
    """Send nothing more to a webhook: what waits is canceled. One that is being sent ends by itself."""
    webhook.disabled_at, webhook.disabled_reason = now, reason[:_MOST_REASON]
    log.warning("a webhook is disabled", extra={"webhook": webhook.id, "reason": webhook.disabled_reason})
    error = {"type": "webhook_disabled", "message": f"the webhook was disabled: {webhook.disabled_reason}"}
    waiting = Job.id.in_(select(Delivery.job_id).where(Delivery.webhook_id == webhook.id))
    canceled = (
        update(Job)
        .where(waiting, Job.status == Status.QUEUED)
        .values(status=Status.CANCELED, finished_at=now, error=error)
        .returning(Job.id, Job.attempt)
    )
    for job_id, attempt in session.execute(canceled, execution_options={"synchronize_session": False}).all():
        record_status(session, job_id, Status.CANCELED, attempt)
