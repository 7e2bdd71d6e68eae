"""When nothing is sent to a webhook, because its receiver does not answer or asked for a pause.

Ten thousand events that wait would else find out one by one, every few minutes. They are put off together in one
statement, so that nobody looks at them before the rest is over. Then a few are tried, and the others wait for these.
"""

from __future__ import annotations

from sqlalchemy import update
from sqlalchemy.orm import Session

from wdist_service.tables import Job, Status, Webhook

_CLOCK_SECONDS = 1.0  # what was decided so far in the future was decided before the clock was set back
_UNSEEN = {"synchronize_session": False}


def rest_of(webhook: Webhook, now: float) -> float:
    """Seconds for which a webhook rests still. What a clock decided that was set back since counts no more."""
    if webhook.resting_until is None or (webhook.resting_from or 0.0) > now + _CLOCK_SECONDS:
        return 0.0
    return max(0.0, webhook.resting_until - now)


def rest(session: Session, webhook: Webhook, now: float, seconds: float) -> None:
    """Send nothing to a webhook for some seconds. A longer rest that it has already stays."""
    until = now + max(seconds, rest_of(webhook, now))
    webhook.resting_from, webhook.resting_until = now, until
    put_off(session, webhook, now)


def put_off(session: Session, webhook: Webhook, now: float) -> None:
    """Let all that waits for a webhook wait until its rest is over, also what was written while the rest began."""
    if not rest_of(webhook, now):
        return
    waiting = Job.lane == webhook.id, Job.status == Status.QUEUED, Job.due_at < webhook.resting_until
    values = {"due_at": webhook.resting_until, "dated_at": now}
    session.execute(update(Job).where(*waiting).values(values), execution_options=_UNSEEN)


def wake(session: Session, webhook: Webhook, now: float) -> None:
    """End the rest of a webhook, if it has one. What was put off is due at once."""
    if webhook.resting_until is None:
        return
    put_off = Job.lane == webhook.id, Job.status == Status.QUEUED, Job.due_at <= webhook.resting_until
    session.execute(update(Job).where(*put_off).values(due_at=now, dated_at=now), execution_options=_UNSEEN)
    webhook.resting_from = webhook.resting_until = None
