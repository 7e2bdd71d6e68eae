"""Which request may add to an upload: one at a time, for as long as it moves and its process lives."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import not_, or_, select, update
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from wdist_service.database import Database
from wdist_service.queue.leases import is_living
from wdist_service.tables import Upload


class Locks:
    """The locks of one process, `holder_id`. A lock is a token; every write of its request checks it."""

    def __init__(self, database: Database, holder_id: str, lease_seconds: float) -> None:
        self._database = database
        self._holder_id = holder_id
        self._lease_seconds = lease_seconds
        self._last_heard: dict[str, float] = {}  # token of each request: when its last bytes came, monotonic clock

    def acquire(self, upload_id: str, offset: int) -> str | None:
        """Lock an upload that is at this offset; None if it is not, or if another request has it."""
        token = secrets.token_hex(16)
        self.heard(token)  # first: `release_silent` must not take the lock away
        taken = False
        try:
            with self._database.write() as session:
                is_free = or_(Upload.lock.is_(None), not_(is_living(Upload.holder_id)))
                lock = update(Upload).where(Upload.id == upload_id, Upload.offset == offset, is_free)
                values = {"lock": token, "holder_id": self._holder_id}
                taken = session.execute(lock.values(**values).returning(Upload.id)).first() is not None
        finally:
            if not taken:
                self._last_heard.pop(token, None)
        return token if taken else None

    def change(self, session: Session, upload_id: str, token: str, values: dict[str, Any]) -> bool:
        """Change an upload if this request still has the lock; returns whether it has."""
        held = Upload.id == upload_id, Upload.lock == token
        changed = update(Upload).where(*held).values(holder_id=self._holder_id, **values).returning(Upload.id)
        return session.execute(changed).first() is not None

    def heard(self, token: str) -> None:
        """Note that a request moves."""
        self._last_heard[token] = time.monotonic()

    @contextmanager
    def busy(self, token: str) -> Iterator[None]:
        """Keep the lock during work that may take longer than a lease."""
        self._last_heard[token] = math.inf
        try:
            yield
        finally:
            self.heard(token)

    def release(self, token: str) -> None:
        """Give a lock back: now or, if the database does not answer, as soon as it does (`release_silent`)."""
        self._last_heard.pop(token, None)
        with suppress(DatabaseError), self._database.write() as session:
            session.execute(update(Upload).where(Upload.lock == token).values(lock=None, holder_id=None))

    def release_silent(self) -> None:
        """Let others have the locks of this process whose request has been silent for a lease, or has ended.

        A connection that broke unnoticed must not keep its owner from going on with another one. If nobody takes the
        lock, the silent request may go on.
        """
        silent_since = time.monotonic() - self._lease_seconds
        for token, heard in list(self._last_heard.items()):
            if heard < silent_since:
                self._last_heard.pop(token, None)
        with self._database.read() as session:
            query = select(Upload.lock).where(Upload.holder_id == self._holder_id, Upload.lock.is_not(None))
            locks = {str(token) for token in session.execute(query).scalars()}
        for lost in locks - self._last_heard.keys():
            with self._database.write() as session:
                session.execute(update(Upload).where(Upload.lock == lost).values(holder_id=None))
