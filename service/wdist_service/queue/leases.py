"""Who holds jobs and uploads: every process that does has a row, renews its lease, and is found dead by one rule.

A worker holds the jobs that it runs, an API process the uploads that it receives. A process is dead if it said so, if
another one took its name, or if its lease has expired on the database's clock *and* the process that asks has seen no
beat of it for some time on a clock of its own. What a dead one held is free.
"""

from __future__ import annotations

import fcntl
import logging
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from sqlalchemy import ColumnElement, delete, exists, select, update
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import InstrumentedAttribute, Session

from wdist_service.database import Database, clock_of
from wdist_service.queue.liveness import Liveness
from wdist_service.storage.durable import close_folder, write_durably
from wdist_service.tables import Holder, Role

log = logging.getLogger("wdist.leases")
STILL_BEATS = 2.5  # a live process is seen to beat within so many intervals
_MOST_NAMES = 1024


class Leases:
    """A process among the holders: its own lease, and its judgement of the others."""

    def __init__(self, database: Database, holder_id: str, role: Role) -> None:
        self._database = database
        self.holder_id = holder_id
        self.role = role
        self.liveness = Liveness()

    def declare(self, name: str, slots: int = 0, devices: Sequence[str] = ()) -> None:
        """Register this process. It alone holds its name, so earlier ones of that name are dead, lease or not."""
        with self._database.write() as session:
            now = self._database.now(session)
            session.execute(update(Holder).where(Holder.name == name).values(beat_at=0.0))
            session.add(
                Holder(
                    id=self.holder_id, name=name, role=self.role, slots=slots, devices=list(devices), started_at=now,
                    beat_at=now,
                )
            )  # fmt: skip

    def beat(self) -> bool:
        """Renew the lease; False when others have declared this process dead, and it has to register again."""
        with self._database.write() as session:
            now = self._database.now(session)
            statement = update(Holder).where(Holder.id == self.holder_id).values(beat_at=now).returning(Holder.id)
            return session.execute(statement).first() is not None

    def leave(self) -> None:
        """Mark this process as gone, so that nobody waits for its lease to expire."""
        with self._database.write() as session:
            session.execute(update(Holder).where(Holder.id == self.holder_id).values(beat_at=0.0))

    def dead(self, lease_seconds: float, still_seconds: float, roles: Sequence[Role] = tuple(Role)) -> dict[str, float]:
        """The other holders that are dead, and the last beat of each: `bury` them."""
        with self._database.read() as session:
            now = self._database.now(session)
            query = select(Holder.id, Holder.beat_at).where(Holder.id != self.holder_id, Holder.role.in_(roles))
            beats = {row.id: row.beat_at for row in session.execute(query)}
        still = self.liveness.look(beats.items())
        return {
            holder: beat
            for holder, beat in beats.items()
            # `abs`: a beat far in the future was written before the clock was set back.
            if beat == 0.0 or (abs(now - beat) > lease_seconds and still[holder] >= still_seconds)
        }

    def bury(self, session: Session, dead: dict[str, float]) -> bool:
        """Remove the rows of dead holders, which frees their uploads. False, and nothing changes, if one came back."""
        query = select(Holder.id, Holder.beat_at).where(Holder.id.in_(dead)).order_by(Holder.id).with_for_update()
        if {row.id: row.beat_at for row in session.execute(query)} != dead:
            return False
        session.execute(delete(Holder).where(Holder.id.in_(dead)))
        return True


def problems_of_workers(session: Session, lease_seconds: float) -> list[str]:
    """What fresh workers leave to others, and why, in words: each once."""
    fresh = Holder.role == Role.WORKER, Holder.beat_at > clock_of(session) - lease_seconds
    query = select(Holder.problems).where(*fresh, Holder.problems.is_not(None))
    return sorted({problem for problems in session.execute(query).scalars() for problem in problems or []})


def is_living(holder_id: InstrumentedAttribute[str | None]) -> ColumnElement[bool]:
    """A condition: the holder that a column names has not been found dead."""
    return exists().where(Holder.id == holder_id, Holder.beat_at != 0.0)


class Keeper:
    """The thread of an API process that renews its lease, finds dead API processes, and looks after what it holds."""

    def __init__(self, leases: Leases, name: str, *, beat_seconds: float, lease_seconds: float) -> None:
        self._leases = leases
        self._name = name
        self._beat_seconds = beat_seconds
        self._lease_seconds = lease_seconds

    def start(self, database: Database, look_after: Callable[[], object], stopping: threading.Event) -> None:
        """Register the process and start the thread, which calls `look_after` at every beat."""
        self._leases.declare(self._name)

        def loop() -> None:
            while not stopping.wait(self._beat_seconds):
                try:
                    if not self._leases.beat():
                        self._leases.declare(self._name)
                    look_after()
                    # Workers find dead workers, whose jobs they take.
                    if dead := self._leases.dead(self._lease_seconds, STILL_BEATS * self._beat_seconds, [Role.API]):
                        with database.write() as session:
                            self._leases.bury(session, dead)
                except DatabaseError as error:
                    log.warning("the lease cannot be renewed, trying again: %s", error.orig)
                    # While we could not write, others could not beat either: declare nobody dead for one lease.
                    self._leases.liveness.pause(self._lease_seconds)

        threading.Thread(target=loop, name="lease", daemon=True).start()


def take_name(data: Path, role: Role) -> tuple[IO[str], str]:
    """A name that this process alone holds while it lives: `host-5f3a/0` for a worker, `host-5f3a/api0` for an API.

    Several hosts may have one host name (cloned machines do), so an id in the data directory is part of it. The name is
    held until the file that is returned is closed.
    """
    directory = close_folder(data / "workers")
    with (directory / "id.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        id_ = directory / "id"
        if not (host := id_.read_text().strip("\0 \n") if id_.exists() else ""):
            host = secrets.token_hex(4)
            write_durably(id_, host.encode())
    kind = "" if role == Role.WORKER else role
    for number in range(_MOST_NAMES):
        name = f"{kind}{number}"
        file = (directory / f"{name}.lock").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            continue
        return file, f"{socket.gethostname()}-{host}/{name}"
    raise RuntimeError("1,024 processes share this data directory; give this one another")
