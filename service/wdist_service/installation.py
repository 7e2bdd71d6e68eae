"""What every process checks when it starts: its storage and its secret belong to the database."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from sqlalchemy.orm import Session

from wdist_service.database import Database
from wdist_service.settings import SettingsError
from wdist_service.storage.files import Storage
from wdist_service.tables import Property

_LOCK = "f" * 64  # no content has this sha256: held while a property is created, so that two first starts agree


def check_storage(database: Database, storage: Storage) -> None:
    """Bind the storage to the database at their first start.

    Raises SettingsError if another storage belongs to the database: jobs would not find their data here.
    """
    with database.write() as session:
        database.hold(session, _LOCK)
        if session.get(Property, "storage") is None and storage.read_identity() is None:
            storage.write_identity(secrets.token_hex(16))
        identity = str(storage.read_identity())
        if _entry(session, "storage", identity) != identity:
            raise SettingsError(
                "this storage is not the one that belongs to the database; hosts that share a database share a bucket "
                "(WDIST_SERVER_STORAGE_URL) or a data directory (WDIST_SERVER_DATA)"
            )


def check_secret(database: Database, secret: bytes) -> None:
    """Raise SettingsError if the database's API keys were made with another secret: none would be recognised."""
    with database.write() as session:
        database.hold(session, _LOCK)
        print_ = hmac.new(secret, b"wdist", hashlib.sha256).hexdigest()
        if _entry(session, "secret", print_) != print_:
            raise SettingsError(
                "the secret of the key hashes is not the one that belongs to the database; give every host the same "
                "file (WDIST_SERVER_SECRET_FILE)"
            )


def _entry(session: Session, name: str, value: str) -> str:
    """The value of a property, which is created if there is none."""
    row = session.get(Property, name)
    if row is None:
        row = Property(name=name, value=value)
        session.add(row)
    return row.value
