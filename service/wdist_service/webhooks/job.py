"""The kind of job that a delivery is: an errand that is tried by a schedule until the receiver takes the event."""

from __future__ import annotations

import logging
import random
import time
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from wdist import __version__
from wdist_service.database import clock_of
from wdist_service.installation import read_secret, secret_print, secret_problem
from wdist_service.queue.kinds import Errand, ErrandKind, Outcome, UnworkableError, Work
from wdist_service.settings import Settings, SettingsError
from wdist_service.tables import Delivery, Webhook
from wdist_service.webhooks.disabling import disable
from wdist_service.webhooks.resting import put_off, rest, rest_of, wake
from wdist_service.webhooks.secrets import secret_of, signature, valid_salts
from wdist_service.webhooks.sending import SECONDS, SendingError, post

log = logging.getLogger("wdist.webhooks")
# Seconds from one request to the next, as Standard Webhooks proposes: ten requests in three days.
SCHEDULE = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
_JITTER = 0.1  # of a pause: what failed at one moment is not sent again at one moment
DISABLED_AFTER = 5 * 86_400.0  # seconds in which nothing has arrived
_GONE = 410
_LONGEST_REST = 300.0  # of a receiver that does not answer; Retry-After may ask for more
_OVERLOADED = frozenset({429, 502, 503, 504})
_MOST_FAILURES = 5  # in a row, before a receiver rests whatever it answers
_LOG_ENTRIES = 30


class DeliveryKind(ErrandKind[Delivery]):
    """Deliveries of events to webhooks."""

    table = Delivery

    def obstacle(self, session: Session, settings: Settings) -> str | None:
        """Whoever sends must sign, so it needs the secret. A worker needs it for nothing else."""
        if (problem := secret_problem(session, settings)) is None:
            return None
        log.warning("this worker cannot sign: %s", problem)
        return "a worker sends no webhooks, as its host lacks the server's secret (WDIST_SERVER_SECRET_FILE)"

    def work(self, session: Session, job: Delivery) -> Work:
        webhook = session.get(Webhook, job.webhook_id)
        if webhook is None or webhook.disabled_at is not None:
            reason = "there is no such webhook any more" if webhook is None else webhook.disabled_reason
            raise UnworkableError(f"nothing is sent to this webhook: {reason}")
        now = clock_of(session)
        options = {
            "url": webhook.url, "webhook": webhook.id, "salts": valid_salts(webhook, now),
            "secret_print": secret_print(session), "event": job.event_id, "body": job.body, "place": job.place,
            "rest": rest_of(webhook, now), "claimed_at": now,
        }  # fmt: skip
        return Work(options, {})

    def run_here(self, errand: Errand) -> Outcome:
        """Send the event once, unless its receiver rests."""
        given = errand.options
        if errand.should_stop():
            return Outcome({}, _error("the worker is shutting down"), 0.0)
        if given["rest"] > 0:
            reason = "the receiver does not answer, or asked for a pause"
            return Outcome({"is_resting": True}, _error(reason), given["rest"])
        try:
            server_secret = read_secret(errand.settings, given["secret_print"])
        except SettingsError as error:
            reason = f"this worker cannot sign: {error} (WDIST_SERVER_SECRET_FILE)"
            return _failed(given["place"], _entry(time.time(), 0.0, None, reason), is_receivers=False)
        outcome = _sent(errand, server_secret)
        outcome.values["claimed_at"] = given["claimed_at"]
        return outcome

    def tried(self, session: Session, job: Delivery, outcome: Outcome) -> None:
        """Note a request in the log of the delivery, and what it says of the receiver."""
        values = outcome.values
        # Events written at the moment at which a rest began did not know of it: they learn of it together.
        if values.get("is_resting") and (webhook := _locked(session, job.webhook_id)) is not None:
            put_off(session, webhook, clock_of(session))
        if "entry" not in values:
            return
        job.log = [*job.log, values["entry"]][-_LOG_ENTRIES:]
        job.requests += 1
        job.place += outcome.error is not None
        job.response_body = values["body"]
        if values["is_receivers"] and (webhook := _locked(session, job.webhook_id)) is not None:
            _note(session, webhook, values, clock_of(session))

    def succeed(self, session: Session, job: Delivery, values: dict[str, Any]) -> list[str]:
        """`tried` has noted all of it."""
        return []


def _locked(session: Session, webhook_id: str) -> Webhook | None:
    lock = select(Webhook).where(Webhook.id == webhook_id).with_for_update(key_share=True)
    return session.execute(lock).scalar_one_or_none()


def _sent(errand: Errand, server_secret: bytes) -> Outcome:
    given, at = errand.options, time.time()
    secrets = [secret_of(server_secret, given["webhook"], salt) for salt in given["salts"]]
    headers = {
        "User-Agent": "wdist/" + __version__, "Content-Type": "application/json", "webhook-id": given["event"],
        "webhook-timestamp": str(int(at)),
        "webhook-signature": signature(secrets, given["event"], int(at), given["body"]),
    }  # fmt: skip
    started = time.monotonic()
    try:
        answer = post(given["url"], errand.settings.webhook_private, headers, given["body"].encode(), SECONDS)
    except SendingError as error:
        return _failed(given["place"], _entry(at, time.monotonic() - started, None, str(error)))
    seconds = time.monotonic() - started
    if answer.is_success:
        return Outcome(_noted(_entry(at, seconds, answer.status, None), body=answer.body))
    entry = _entry(at, seconds, answer.status, answer.reason)
    return _failed(given["place"], entry, body=answer.body, retry_after=answer.retry_after)


def _failed(
    place: int, entry: dict[str, Any], *, body: str | None = None, retry_after: float | None = None,
    is_receivers: bool = True,
) -> Outcome:  # fmt: skip
    """A request that failed, and when the next one is made; none once the schedule is at its end."""
    is_last = place >= len(SCHEDULE) or entry["status"] == _GONE
    pause = None if is_last else max(_jittered(SCHEDULE[place]), retry_after or 0.0)
    values = _noted(entry, body=body, retry_after=retry_after, is_receivers=is_receivers)
    return Outcome(values, _error(entry["reason"]), pause)


def _entry(at: float, seconds: float, status: int | None, reason: str | None) -> dict[str, Any]:
    """A request in the log."""
    return {"at": at, "seconds": round(seconds, 3), "status": status, "reason": reason}


def _noted(
    entry: dict[str, Any], *, body: str | None, retry_after: float | None = None, is_receivers: bool = True
) -> dict[str, Any]:
    """What `tried` is told. is_receivers: whether the outcome says something of the receiver."""
    return {"entry": entry, "body": body, "retry_after": retry_after, "is_receivers": is_receivers}


def _note(session: Session, webhook: Webhook, values: dict[str, Any], now: float) -> None:
    """Note on a webhook what a request to it says of its receiver, and disable it where nothing arrives any more."""
    claimed_at = values["claimed_at"]
    status, reason = values["entry"]["status"], values["entry"]["reason"]
    if reason is None:
        webhook.failing_since, webhook.failures, webhook.succeeded_at = None, 0, now
        if claimed_at >= (webhook.resting_from or 0.0):  # else the receiver asked for the rest since
            wake(session, webhook, now)
        return
    webhook.failures += 1
    webhook.failing_since = webhook.failing_since or now
    # One event that a receiver cannot take holds up no other. Where many fail, the receiver does.
    if status is None or status in _OVERLOADED or webhook.failures > _MOST_FAILURES:
        pause = min(SCHEDULE[0] * 2.0 ** min(webhook.failures - 1, 10), _LONGEST_REST)
        rest(session, webhook, now, max(pause, values["retry_after"] or 0.0))
    if webhook.disabled_at is not None:
        return
    if status == _GONE:
        disable(session, webhook, "the receiver answered 410: it wants no more events", now)
    elif now - webhook.failing_since > DISABLED_AFTER:
        disable(session, webhook, f"nothing has arrived for {DISABLED_AFTER / 86_400:.0f} days: {reason}", now)


def _jittered(seconds: float) -> float:
    return seconds * (1 + _JITTER * random.random())


def _error(reason: str) -> dict[str, str]:
    return {"type": "not_delivered", "message": reason}


DELIVERY = DeliveryKind()
