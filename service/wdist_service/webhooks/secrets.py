"""The secrets that sign deliveries. They are derived from the server's own secret and never stored.

Whoever reads the database, or a backup of it, can sign nothing without the file of the server's secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from datetime import UTC, datetime

from standardwebhooks import Webhook as Signer

from wdist_service.tables import Webhook

PREFIX = "whsec_"


def new_salt() -> str:
    """What makes a secret differ from all others."""
    return secrets.token_hex(32)


def secret_of(server_secret: bytes, webhook: Webhook) -> str:
    """The secret of a webhook, as its receiver needs it."""
    return _derived(server_secret, webhook.id, webhook.salt)


def signature(server_secret: bytes, webhook: Webhook, event_id: str, seconds: float, body: str) -> str:
    """The header webhook-signature at a time: by the current secret and, for a while after a rotation, the old one."""
    salts = [webhook.salt]
    if webhook.previous_salt is not None and seconds < (webhook.previous_until or 0.0):
        salts.append(webhook.previous_salt)
    at = datetime.fromtimestamp(int(seconds), UTC)
    signers = (Signer(_derived(server_secret, webhook.id, salt)) for salt in salts)
    return " ".join(signer.sign(event_id, at, body) for signer in signers)


def _derived(server_secret: bytes, webhook_id: str, salt: str) -> str:
    key = hmac.new(server_secret, f"webhook:{webhook_id}:{salt}".encode(), hashlib.sha256).digest()
    return PREFIX + base64.b64encode(key).decode()
