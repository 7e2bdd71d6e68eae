"""What `wdist doctor` says of a server's storage: whose it is, what is set aside, and whether it is whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

from wdist_service.database import HEAD, Database, file_of
from wdist_service.installation import adopt_storage, check_storage, secret_problem, start_errors
from wdist_service.maintenance.content import sweep_problem
from wdist_service.queue.leases import problems_of_workers
from wdist_service.settings import Settings, SettingsError
from wdist_service.storage.damage import DamagedError
from wdist_service.storage.files import Storage
from wdist_service.storage.objects import open_storage
from wdist_service.storage.references import all_named, names_of

State = Literal["ok", "warn", "fail"]
Found = tuple[State, str, str]
_SHOWN = 20  # damaged files that are named one by one


def examine(settings: Settings, *, deep: bool, adopt: bool) -> Iterator[Found]:
    """The findings, one after the other; `adopt` binds the storage to the database first. Raises nothing of a start."""
    file = file_of(settings)
    try:
        with start_errors(settings):
            if file is not None and not file.exists():
                if deep or adopt:
                    yield "fail", "storage", f"no server has worked in {settings.data}: name its --data"
                return
            with contextlib.closing(Database(settings)) as database:
                yield from _examine(database, settings, deep=deep, adopt=adopt)
    except SettingsError as error:
        yield "fail", "storage", str(error)


def _examine(database: Database, settings: Settings, *, deep: bool, adopt: bool) -> Iterator[Found]:
    if adopt:
        database.migrate()
    elif database.revision() != HEAD:
        yield (
            "warn",
            "storage",
            "the tables are those of another version: start the server, which brings them up to date",
        )
        return
    storage = open_storage(settings)
    if adopt:
        adopt_storage(database, storage)
    check_storage(database, storage)
    yield "ok", "storage", f"{storage.where} belongs to the database"
    with database.read() as session:
        if (stopped := sweep_problem(session)) is not None:
            yield "fail", "sweep", stopped
        if (lacking := secret_problem(session, settings)) is not None:
            told = "a worker on this host sends no webhooks (WDIST_SERVER_SECRET_FILE)"
            yield "warn", "secret", f"{lacking}; {told}"
        for problem in problems_of_workers(session, settings.lease_seconds):
            yield "warn", "workers", problem
    set_aside = list(storage.quarantined())
    damaged = sum(place.is_damaged for place in set_aside)
    if set_aside:
        text = f"{len(set_aside):,} files were set aside, {damaged:,} of them damaged"
        yield "warn", "quarantine", f"{text}; kept for {settings.quarantine_seconds / 86_400:g} days"
    if deep:
        yield from _read_through(database, storage)


def _read_through(database: Database, storage: Storage) -> Iterator[Found]:
    """Compare all content that rows name with its digest; what is damaged is named by its rows."""
    with database.read() as session:
        hashes = all_named(session)
        faults = 0
        for sha256 in hashes:
            try:
                storage.check(sha256)
            except DamagedError as error:
                faults += 1
                if faults <= _SHOWN:
                    whose = ", ".join(names_of(session, sha256))
                    yield "fail", "content", f"{whose} {error.in_words}: {error.sha256}"
        unnamed = sum(1 for sha256 in storage.stored() if sha256 not in hashes)
    if faults > _SHOWN:
        yield "fail", "content", f"and {faults - _SHOWN:,} more"
    text = f"{len(hashes):,} files read through, {faults:,} damaged or missing"
    yield "fail" if faults else "ok", "content", f"{text}; {unnamed:,} files that no row names"
