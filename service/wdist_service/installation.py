"""What every process checks when it starts: its storage and its secret belong to the database, and can be used."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import select, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from wdist_service.database import Database, clock_of, file_of
from wdist_service.errors import StorageUnavailableError
from wdist_service.settings import Settings, SettingsError
from wdist_service.storage.durable import write_durably
from wdist_service.storage.files import Storage, is_disk_full
from wdist_service.storage.references import named, names_any
from wdist_service.tables import ApiKey, Holder, Property

log = logging.getLogger("wdist.storage")
EX_CONFIG = 78  # sysexits.h: do not start the process again
EX_UNAVAILABLE = 69
_LOCK = "f" * 64  # no content has this sha256: held while a property is created, so that two first starts agree
_SAMPLE = 500
_MIN_SECRET = 32
_RUNNING_SECONDS = 60  # since the last beat of a process; beat_seconds is at most that
_SHARED = (
    "Hosts that share a database share a bucket (WDIST_SERVER_STORAGE_URL) or a data directory (WDIST_SERVER_DATA)"
)
_ADOPT = "`wdist doctor --adopt-storage` binds this storage to this database and removes nothing"


def check_storage(database: Database, storage: Storage) -> None:
    """Bind the storage to the database at their first start.

    They belong together if both are new, or if the database names content that the storage has. Otherwise jobs would
    not find their data here, and what this database does not know would be taken for leftovers. A database that names
    nothing yet may change to a new storage, unless servers run on it with another one. Raises SettingsError.
    """
    with database.write() as session:
        database.hold(session, _LOCK)
        known, written = _value(session, "storage"), storage.read_identity()
        if known is None or written is None:
            _check_content(session, storage)
            if known is not None and not storage.sample(1):
                _check_nobody_runs(session, storage)
                known = None  # the storage that it had must not pass for this one later
            _bind(session, storage, known, written)
        elif known != written:
            raise SettingsError(f"{_not_its_own(storage)}. {_SHARED}. If the right one is lost: {_ADOPT}")


def _check_content(session: Session, storage: Storage) -> None:
    """Raise SettingsError unless the database may name all that is stored, and the storage have all that is named."""
    stored = storage.sample(_SAMPLE)
    if stored and not named(session, stored):
        raise SettingsError(
            f"the storage in {storage.where} has files that this database does not know. Start with the database that "
            f"they belong to (WDIST_SERVER_DATABASE_URL, --database-url). If it is lost: {_ADOPT}"
        )
    if not stored and names_any(session):
        raise SettingsError(
            f"the storage in {storage.where} is empty, and this database names files. Start with the storage that they "
            f"are in (WDIST_SERVER_STORAGE_URL, WDIST_SERVER_DATA). If it is lost: {_ADOPT}"
        )


def _check_nobody_runs(session: Session, storage: Storage) -> None:
    """Raise SettingsError while servers or workers run on the database: this new storage is not theirs."""
    living = select(Holder.id).where(Holder.beat_at > clock_of(session) - _RUNNING_SECONDS).limit(1)
    if session.execute(living).first() is not None:
        raise SettingsError(
            f"{_not_its_own(storage)}: servers that run on it have another one. {_SHARED}. To change it for all of "
            f"them, end them first; one that was killed counts as running for {_RUNNING_SECONDS} seconds"
        )


def _not_its_own(storage: Storage) -> str:
    return f"the storage in {storage.where} is not the one that belongs to the database"


def _bind(session: Session, storage: Storage, known: str | None, written: str | None) -> None:
    """Have one identity in both: first in the storage, so that a start that is cut off leaves nothing to repair."""
    # What another database may have written into an empty storage is replaced: only one of the two may go on.
    identity = known or (written if storage.sample(1) else None) or secrets.token_hex(16)
    if written != identity:
        storage.write_identity(identity)
    _set(session, "storage", identity)


def is_bound(database: Database, storage: Storage) -> bool:
    """Whether the storage still belongs to this database: nothing is removed from it otherwise."""
    with database.read() as session:
        known = _value(session, "storage")
    return known is not None and known == storage.read_identity()


def watch_storage(database: Database, storage: Storage) -> None:
    """Have a storage take nothing more once it is another database's, and take again when it is this one's.

    Two servers whose first starts come at the same moment bind one storage both, and one that is empty goes to whoever
    comes last. Its sweep would then take what the other stores for leftovers.
    """
    with database.read() as session:
        known = _value(session, "storage")
    written = storage.read_identity()
    is_foreign = written is not None and written != known
    if is_foreign and storage.refusal is None:
        log.error("the storage in %s now belongs to another database; nothing more is stored in it", storage.where)
    storage.refusal = "the server's storage now belongs to another database" if is_foreign else None


def adopt_storage(database: Database, storage: Storage) -> None:
    """Bind a storage to a database, whatever they held before. Another database that used it is then refused."""
    with database.write() as session:
        database.hold(session, _LOCK)
        identity = secrets.token_hex(16)
        storage.write_identity(identity)
        _set(session, "storage", identity)


def load_secret(database: Database, settings: Settings) -> bytes:
    """The secret of the key hashes, made at the first start.

    Raises SettingsError if it cannot be read, or if the database's API keys were made with another: none would be
    recognised.
    """
    path = settings.secret_file or settings.data / "secret"
    with database.write() as session:
        database.hold(session, _LOCK)
        known = _value(session, "secret")
        if settings.secret_file is None and not (path.exists() and path.read_bytes().strip(b"\0 \n")):
            _check_replaceable(session, settings, path)
            write_durably(path, secrets.token_hex(_MIN_SECRET).encode())
            known = None
        secret = _read_secret(path)
        print_ = _print_of(secret)
        if known is None:
            _set(session, "secret", print_)
        elif known != print_:
            raise SettingsError(
                "the secret of the key hashes is not the one that belongs to the database; give every host the same "
                "file (WDIST_SERVER_SECRET_FILE)"
            )
        return secret


def secret_print(session: Session) -> str | None:
    """What tells the secret that belongs to the database from others."""
    return _value(session, "secret")


def read_secret(settings: Settings, print_: str | None) -> bytes:
    """The secret that belongs to the database, by its print. Raises SettingsError if this host does not have it."""
    secret = _read_secret(settings.secret_file or settings.data / "secret")
    if _print_of(secret) != print_:
        raise SettingsError("the secret of the key hashes on this host is not the one that belongs to the database")
    return secret


def secret_problem(session: Session, settings: Settings) -> str | None:
    """Why this host does not have the secret that belongs to the database; None if it has, or if there is none yet."""
    if (print_ := secret_print(session)) is None:
        return None
    try:
        read_secret(settings, print_)
    except SettingsError as error:
        return str(error)
    return None


def _print_of(secret: bytes) -> str:
    return hmac.new(secret, b"wdist", hashlib.sha256).hexdigest()


def _check_replaceable(session: Session, settings: Settings, path: Path) -> None:
    """Raise SettingsError if a lost secret may not be made anew: there are keys or webhooks, or other hosts have it."""
    if _value(session, "secret") is None:
        return
    # Signatures of webhooks are made with the secret, too; the table is a resource's, and only named here.
    webhooks = text("SELECT id FROM webhooks LIMIT 1")
    is_used = any(session.execute(each).first() is not None for each in (select(ApiKey.id).limit(1), webhooks))
    if is_used or file_of(settings) is None:
        raise SettingsError(
            f"{path} does not have the secret of the key hashes that belongs to the database: put the file back from "
            "the backup, or give this host the file of the others (WDIST_SERVER_SECRET_FILE)"
        )


def _read_secret(path: Path) -> bytes:
    try:
        secret = path.read_text().strip().encode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingsError(f"cannot read the secret of the key hashes in {path}: {reason}") from None
    if len(secret) < _MIN_SECRET:
        raise SettingsError(f"the secret in {path} is too short: {_MIN_SECRET} characters at least")
    return secret


def _value(session: Session, name: str) -> str | None:
    row = session.get(Property, name)
    return None if row is None else row.value


def _set(session: Session, name: str, value: str) -> None:
    session.merge(Property(name=name, value=value))
    session.flush()


@contextmanager
def start_errors(settings: Settings) -> Iterator[None]:
    """Turn what goes wrong with paths and the database at a start into SettingsError, in one sentence.

    A start that would fail in the same way again must not be repeated. A full disk and a server that does not answer
    may be different the next time: these pass through.
    """
    try:
        yield
    except StorageUnavailableError:
        raise
    except OSError as error:
        if is_disk_full(error):
            raise
        where = error.filename or settings.data
        raise SettingsError(
            f"cannot use {_shown(where)}: {error.strerror or error}; give its files to the user who runs the server, "
            "or choose another directory with --data"
        ) from None
    except ValueError as error:
        if not isinstance(error, UnicodeError) and "null byte" not in str(error):
            raise
        raise SettingsError(f"a path in the settings cannot be used: {error}") from None
    except DatabaseError as error:
        file = file_of(settings)
        if file is None or "locked" in str(error.orig) or "full" in str(error.orig):
            raise
        raise SettingsError(
            f"cannot use the database {_shown(file)}: {error.orig}; give it to the user who runs the server, put it "
            "back from the backup, or choose another directory with --data"
        ) from None


@contextmanager
def exit_statuses() -> Iterator[None]:
    """End the process with one sentence where it cannot start: with EX_CONFIG if another start would be useless."""
    try:
        yield
    except SettingsError as error:
        status, reason = EX_CONFIG, str(error)
    except StorageUnavailableError as error:
        status, reason = EX_UNAVAILABLE, error.detail
    except DatabaseError as error:
        status, reason = EX_UNAVAILABLE, f"the database does not answer: {error.orig}"
    else:
        return
    sys.stderr.write(f"wdist: {reason}\n")
    raise SystemExit(status)


def _shown(path: object) -> str:
    """A path as every terminal can print it."""
    text = path.decode(errors="replace") if isinstance(path, bytes) else str(path)
    return text.encode(errors="replace").decode()
