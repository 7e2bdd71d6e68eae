"""The secrets that sign deliveries. They are derived from the server's own secret and never stored.

Whoever reads the database, or a backup of it, can sign nothing without the file of the server's secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook as Signer

from wdist_service.tables import Webhook

PREFIX = "whsec_"


def new_salt() -> str:
    """What makes a secret differ from all others."""
    return secrets.token_hex(32)


def secret_of(server_secret: bytes, webhook_id: str, salt: str) -> str:
    """A secret of a webhook, as its receiver needs it."""
    key = hmac.new(server_secret, f"webhook:{webhook_id}:{salt}".encode(), hashlib.sha256).digest()
    return PREFIX + base64.b64encode(key).decode()


def valid_salts(webhook: Webhook, now: float) -> list[str]:
    """Of the secrets that sign: the current one and, for a while after a rotation, the one before."""
    if webhook.previous_salt is None or now >= (webhook.previous_until or 0.0):
        return [webhook.salt]
    return [webhook.salt, webhook.previous_salt]


def signature(secrets_: Sequence[str], event_id: str, seconds: int, body: str) -> str:
    """The header webhook-signature of a request that is made at a time, seconds since the epoch."""
    at = datetime.fromtimestamp(seconds, UTC)
    return " ".join(Signer(secret).sign(event_id, at, body) for secret in secrets_)
