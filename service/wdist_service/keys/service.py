"""API keys: bearer tokens, of which only a keyed hash is stored."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from sqlalchemy import inspect, select, text
from sqlalchemy.orm import Session

from wdist_service.database import Database, file_of, retried_after_races
from wdist_service.errors import InvalidError, NotFoundError
from wdist_service.ids import new_id
from wdist_service.installation import load_secret
from wdist_service.settings import Settings, SettingsError
from wdist_service.tables import LOCAL_TENANT, ApiKey
from wdist_service.text import fault_in_line

PREFIX = "wd_"
_MAX_TENANT = 64
_MIN_TOKEN = 24


class Keys:
    """All keys of a server. A server that never had a key is open, and then serves loopback only."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._secret = load_secret(database, settings)
        self._seen_any = False

    def is_open(self) -> bool:
        """Whether no key was ever created. Revoked keys count: revoking the last one must not open the server."""
        if not self._seen_any:
            with self._database.read() as session:
                self._seen_any = session.execute(select(ApiKey.id).limit(1)).first() is not None
        return not self._seen_any

    @property
    def may_be_open(self) -> bool:
        """False once a key has been seen; `is_open` is then false without a query."""
        return not self._seen_any

    @retried_after_races
    def create(
        self,
        *,
        tenant_id: str = LOCAL_TENANT,
        name: str | None = None,
        role: str = "user",
        quota: dict[str, Any] | None = None,
    ) -> tuple[ApiKey, str]:
        """Create a key, and its tenant if it is new. Returns the key and its secret, which is never shown again."""
        token = PREFIX + secrets.token_urlsafe(32)
        with self._database.write() as session:
            key = self._add(session, token, tenant_id, name, role, quota)
        self._seen_any = True
        return key, token

    @retried_after_races
    def bootstrap(self, file: Path) -> None:
        """Add the key in a file as an admin key of the local tenant, unless it exists. Raises SettingsError."""
        try:
            token = file.read_text().strip()
        except OSError as error:
            raise SettingsError(f"WDIST_SERVER_BOOTSTRAP_KEY_FILE: cannot read {file}: {error.strerror}") from None
        if not token.startswith(PREFIX) or len(token) < _MIN_TOKEN:
            raise SettingsError(
                f"WDIST_SERVER_BOOTSTRAP_KEY_FILE: the key must start with {PREFIX!r} and be at least {_MIN_TOKEN} "
                f"characters long; make one with: echo {PREFIX}$(openssl rand -hex 24)"
            )
        with self._database.write() as session:
            self._database.hold(session, self.digest(token))  # so that replicas starting together add it only once
            known = session.execute(select(ApiKey.id).where(ApiKey.digest == self.digest(token))).first()
            if known is None:
                self._add(session, token, LOCAL_TENANT, "bootstrap", "admin")

    def find(self, digest: str) -> ApiKey | None:
        """The valid key whose secret has this digest."""
        return self.find_all({digest}).get(digest)

    def find_all(self, digests: Collection[str]) -> dict[str, ApiKey]:
        """The valid keys among these digests. Takes note if the server has a key by now."""
        self.is_open()
        if not digests:
            return {}
        with self._database.read() as session:
            query = select(ApiKey).where(ApiKey.digest.in_(digests), ApiKey.revoked_at.is_(None))
            return {key.digest: key for key in session.execute(query).scalars()}

    def list(self) -> list[ApiKey]:
        """All keys of all tenants, newest first."""
        with self._database.read() as session:
            return list(session.execute(select(ApiKey).order_by(ApiKey.id.desc())).scalars())

    @retried_after_races
    def revoke(self, key_id: str) -> ApiKey:
        """Revoke a key. Other processes refuse it within known.OLDEST_SECONDS. Raises NotFoundError."""
        with self._database.write() as session:
            key = session.get(ApiKey, key_id)
            if key is None:
                raise NotFoundError(f"there is no API key {key_id!r}")
            key.revoked_at = key.revoked_at or time.time()
            return key

    def _add(
        self,
        session: Session,
        token: str,
        tenant_id: str,
        name: str | None,
        role: str,
        quota: dict[str, Any] | None = None,
    ) -> ApiKey:
        if (fault := fault_in_line(name or "")) is not None:
            raise InvalidError(f"the name of the key {fault}", field="name")
        if (fault := fault_in_line(tenant_id)) is not None or len(tenant_id) > _MAX_TENANT:
            raise InvalidError(f"the tenant {fault or f'has more than {_MAX_TENANT} characters'}", field="tenant")
        ensure_tenant(session, tenant_id)
        key = ApiKey(
            id=new_id("key"), tenant_id=tenant_id, name=name, role=role, digest=self.digest(token),
            created_at=time.time(), quota=quota,
        )  # fmt: skip
        session.add(key)
        return key

    def digest(self, token: str) -> str:
        """A keyed hash of a secret: what is stored of it."""
        return hmac.new(self._secret, token.encode(), hashlib.sha256).hexdigest()


def has_any(settings: Settings) -> bool:
    """Whether the database of these settings ever had a key. Creates neither the database nor its tables."""
    file = file_of(settings)
    if file is not None and not file.exists():
        return False
    database = Database(settings)
    try:
        if not inspect(database.engine).has_table(ApiKey.__tablename__):
            return False
        with database.read() as session:
            return session.execute(select(ApiKey.id).limit(1)).first() is not None
    finally:
        database.close()


def ensure_tenant(session: Session, tenant_id: str) -> None:
    """Add the tenant if it is new. Safe when replicas do so at the same time."""
    statement = text("INSERT INTO tenants (id, created_at) VALUES (:id, :now) ON CONFLICT DO NOTHING")
    session.execute(statement, {"id": tenant_id, "now": time.time()})
