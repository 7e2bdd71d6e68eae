"""An errand that the tests add: it rings, which is a line in a file, as often and as badly as its payload says."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from wdist_service.queue.kinds import Errand, ErrandKind, Outcome, Work
from wdist_service.tables import Job


class Ring(Job):
    """Rings once for each attempt. `fails`: so many attempts fail; `seconds`: how long each takes."""

    prefix, noun = "ring", "ring"
    __mapper_args__ = {"polymorphic_identity": "ring"}  # noqa: RUF012


class RingKind(ErrandKind[Ring]):
    table = Ring

    def work(self, session: Session, job: Ring) -> Work:
        return Work(dict(job.payload or {}), {})

    def run_here(self, errand: Errand) -> Outcome:
        given = errand.options
        with Path(given["file"]).open("a") as file:
            file.write(f"{errand.job_id} {errand.attempt} {time.monotonic()}\n")
        deadline = time.monotonic() + given.get("seconds", 0.0)
        while time.monotonic() < deadline and not errand.should_stop():
            time.sleep(0.02)
        if given.get("crashes"):
            raise RuntimeError("the bell broke")
        tries = len(given.get("tried", []))
        if tries < given.get("fails", 0):
            return Outcome({}, {"type": "not_heard", "message": "nobody heard it"}, given.get("again_after"))
        return Outcome({"heard": tries + 1})

    def tried(self, session: Session, job: Ring, outcome: Outcome) -> None:
        payload = dict(job.payload or {})
        job.payload = payload | {"tried": [*payload.get("tried", []), outcome.error is None]}

    def succeed(self, session: Session, job: Ring, values: dict[str, Any]) -> None:
        job.payload = {**(job.payload or {}), **values}


RING = RingKind()
