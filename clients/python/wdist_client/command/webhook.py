"""`wdist remote webhook ...`: the commands of webhooks, for admins. A docstring is the command's help."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from wdist_client.command import arguments as take
from wdist_client.command.inputs import Here, Session, table
from wdist_client.errors import OptionError

if TYPE_CHECKING:
    from wdist_client.contract import Delivery, DeliveryDetail, Webhook
    from wdist_client.models import NewWebhook

ALARMS = ("monitor.alarm_raised", "monitor.alarm_cleared")
TIMEOUT = 60.0  # seconds; a receiver has 15 to answer
EX_TEMPFAIL = 75
_POLL = 0.3  # seconds
_ENDED = ("succeeded", "failed", "canceled")

Which = Annotated[str, Parameter(name="WEBHOOK", help="id of the webhook (wh_...)")]
Events = Annotated[
    tuple[str, ...],
    Parameter(
        name="--event", negative=(), metavar="TYPE", show_default=False,
        help="what is sent, such as estimate.failed; repeatable",
    ),
]  # fmt: skip
Description = Annotated[str | None, Parameter(metavar="TEXT", help="for people")]
Rows = Annotated[take.Switch, Parameter(help="payloads may carry unusual rows, names of columns and levels")]
Limit = Annotated[int, Parameter(help="at most so many")]


def create(
    url: Annotated[str, Parameter(name="URL", help="where events are sent")],
    /,
    *,
    events: Events = (),
    description: Description = None,
    include_rows: Rows = False,
    session: Here,
) -> int:
    """Register an address; prints its id and its secret, which is shown this once.

    Without --event, it hears of alarms that are raised and cleared.
    """
    made = session.client.webhooks.create(
        url, events or ALARMS, description=description, include_rows=include_rows
    )  # fmt: skip
    return say_secret(session, made, "keep the secret: receivers verify with it, and it is not shown again")


def list_(*, limit: Limit = 20, session: Here) -> int:
    """List webhooks, newest first."""
    found = list(itertools.islice(session.client.webhooks.list(), limit))
    session.say(found, table((each.id, each.status, each.url, ", ".join(each.events)) for each in found))
    return 0


def show(name: Which, /, *, session: Here) -> int:
    """Print a webhook."""
    return say_webhook(session, session.client.webhooks.get(name))


def change(
    name: Which,
    /,
    *,
    url: Annotated[str | None, Parameter(name="--to", metavar="URL", help="where events are sent from now on")] = None,
    events: Events = (),
    description: Description = None,
    include_rows: Annotated[
        bool | None, Parameter(show_default=False, help="payloads may carry unusual rows and names, or may not")
    ] = None,
    session: Here,
) -> int:
    """Change a webhook; what is left out stays as it is."""
    changed = session.client.webhooks.change(
        name, url=url, events=events or None, description=description, include_rows=include_rows
    )
    return say_webhook(session, changed)


def enable(names: take.Ids, /, *, session: Here) -> int:
    """Send to these webhooks again."""
    return session.change(names, lambda name: session.client.webhooks.change(name, enabled=True))


def disable(names: take.Ids, /, *, session: Here) -> int:
    """Send nothing to these webhooks; what waits for them is canceled."""
    return session.change(names, lambda name: session.client.webhooks.change(name, enabled=False))


def ping(
    name: Which,
    /,
    *,
    no_wait: Annotated[take.Switch, Parameter(help="print the delivery's id and return at once")] = False,
    timeout: Annotated[float, Parameter(metavar="SECONDS", help="wait no longer; it is sent all the same")] = TIMEOUT,
    session: Here,
) -> int:
    """Send a ping and tell what was answered; exits with 1 unless the receiver accepts it."""
    sent = session.client.webhooks.test(name)
    if no_wait:
        session.say(sent, sent.id)
        return 0
    deadline = time.monotonic() + timeout
    while (found := session.client.webhooks.delivery(name, sent)).attempts == 0 and found.status not in _ENDED:
        if time.monotonic() > deadline:
            session.remark(f"{sent.id} has not been sent within {timeout:g} s: is a worker running?")
            return EX_TEMPFAIL
        time.sleep(_POLL)
    session.say(found, outcome(found))
    return 0 if found.status == "succeeded" else 1


def rotate(name: Which, /, *, session: Here) -> int:
    """Give a webhook a new secret and print it; the old one signs, too, for a while."""
    made = session.client.webhooks.rotate(name)
    until = made.previous_secret_until
    old = "" if until is None else f"; the old one signs, too, until {until:%Y-%m-%d %H:%M} UTC"
    return say_secret(session, made, f"keep the secret: it is not shown again{old}")


def deliveries(
    name: Which,
    /,
    *,
    status: Annotated[
        str | None, Parameter(metavar="STATUS", help="only those: queued, succeeded, failed, ...")
    ] = None,
    limit: Limit = 20,
    session: Here,
) -> int:
    """List what was sent, or waits to be, newest first."""
    found = list(itertools.islice(session.client.webhooks.deliveries(name, status=status), limit))
    session.say(found, table((each.id, each.event, outcome(each)) for each in found))
    return 0


def delivery(
    name: Which,
    sent: Annotated[str, Parameter(name="DELIVERY", help="id of the delivery (dlv_...)")],
    /,
    *,
    session: Here,
) -> int:
    """Print one delivery: its payload, all requests, and the last answer."""
    session.say_json(session.client.webhooks.delivery(name, sent))
    return 0


def retry(
    name: Which,
    sent: Annotated[tuple[str, ...], Parameter(name="DELIVERY", show_default=False, help="ids (dlv_...)")] = (),
    /,
    *,
    failed: Annotated[take.Switch, Parameter(help="all that failed")] = False,
    session: Here,
) -> int:
    """Send deliveries again, now."""
    if bool(sent) == failed:
        raise OptionError("name deliveries (dlv_...), or give --failed for all that failed")
    wanted = [each.id for each in session.client.webhooks.deliveries(name, status="failed")] if failed else sent
    for each in wanted:
        found = session.client.webhooks.retry(name, each)
        session.say(found, f"{found.id} is {found.status}")
    return 0


def delete(names: take.Ids, /, *, session: Here) -> int:
    """Delete webhooks with their deliveries."""
    for name in names:
        session.client.webhooks.delete(name)
        session.remark(f"{name} is deleted")
    return 0


def say_secret(session: Session, made: NewWebhook, remark: str) -> int:
    """The secret is data: on standard output, beside the id, and nowhere else."""
    session.say(made, f"{made.id} {made.secret}")
    session.remark(remark)
    return 0


def say_webhook(session: Session, webhook: Webhook) -> int:
    lines = [f"{webhook.id}: {webhook.url}", f"events: {', '.join(webhook.events)}"]
    if webhook.description:
        lines.append(webhook.description)
    lines.append(webhook.status + (f": {webhook.disabled_reason}" if webhook.disabled_reason else ""))
    if webhook.failures:
        since = "" if webhook.failing_since is None else f" since {webhook.failing_since:%Y-%m-%d %H:%M} UTC"
        lines.append(f"{webhook.failures:,} requests have failed{since}: see `deliveries {webhook.id}`")
    session.say(webhook, "\n".join(lines))
    return 0


def outcome(sent: Delivery | DeliveryDetail) -> str:
    """What became of a delivery, as a part of a line."""
    parts = [sent.status]
    if sent.response_status is not None:
        parts.append(f"answered {sent.response_status}")
    elif sent.reason:
        parts.append(sent.reason)
    if sent.status == "queued" and sent.attempts and sent.next_attempt_at is not None:
        parts.append(f"tried again at {sent.next_attempt_at:%Y-%m-%d %H:%M} UTC")
    return ", ".join(parts)


COMMANDS: dict[str, Callable[..., int]] = {
    "create": create, "list": list_, "show": show, "change": change, "enable": enable, "disable": disable,
    "test": ping, "rotate": rotate, "deliveries": deliveries, "delivery": delivery, "retry": retry, "delete": delete,
}  # fmt: skip
