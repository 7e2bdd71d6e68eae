"""A storage and a database that do not belong together destroy nothing: starts are refused, sweeps stop."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from s3_process import S3Server
from service_process import Server, normal, npy

from wdist_service.database import Database
from wdist_service.errors import StorageUnavailableError
from wdist_service.installation import adopt_storage, check_storage, is_bound, watch_storage
from wdist_service.maintenance import content
from wdist_service.maintenance.content import sweep, sweep_problem
from wdist_service.queue.leases import Leases
from wdist_service.settings import Settings, SettingsError, load
from wdist_service.storage.damage import DamagedError
from wdist_service.storage.files import Storage
from wdist_service.storage.objects import open_storage
from wdist_service.storage.references import discard_unused
from wdist_service.tables import LOCAL_TENANT, Role, SampleSet, Tenant

MakeServer = Callable[..., Server]


@pytest.fixture(params=["files", "objects"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of a new server with either kind of storage, and SQLite."""
    given: dict[str, str] = {}
    if request.param == "objects":
        server: S3Server = request.getfixturevalue("s3_server")
        given = server.settings()
    return load(data=tmp_path / "data", min_free_bytes=0, **given)


@contextmanager
def opened(settings: Settings, **changed: object) -> Iterator[tuple[Database, Storage]]:
    """Database and storage, with the tables up to date."""
    settings = settings.model_copy(update=changed)
    settings.__dict__.pop("url", None)
    storage = open_storage(settings)
    database = Database(settings)
    database.migrate()
    try:
        yield database, storage
    finally:
        database.close()


def store(database: Database, storage: Storage, *contents: bytes) -> list[str]:
    """Store contents, each named by a set."""
    hashes = []
    with database.write() as session:
        session.merge(Tenant(id=LOCAL_TENANT, created_at=0.0))
    for data in contents:
        with storage.incoming() as file, database.write() as session:
            file.write(data)
            file.seal()
            storage.send(file)
            storage.place(file)
            hashes.append(file.sha256)
            session.add(
                SampleSet(
                    id=f"ss_{file.sha256[:12]}", tenant_id=LOCAL_TENANT, sha256=file.sha256, bytes=len(data), rows=1,
                    shape=[1, 1], dtype="<f4", statistics={}, created_at=0.0,
                )
            )  # fmt: skip
    return hashes


def elsewhere(settings: Settings, name: str = "other") -> dict[str, object]:
    """Another, empty database: as a typing error in --database-url names one."""
    return {"database_url": f"sqlite:///{settings.data / name}.sqlite"}


def forget_rows(database: Database) -> None:
    """Delete every row that names content, as a database that was restored to an earlier state has none."""
    with database.write() as session:
        session.query(SampleSet).delete()


def test_an_empty_database_on_a_storage_with_files_is_refused(settings: Settings) -> None:
    with opened(settings) as (database, storage):
        check_storage(database, storage)
        hashes = store(database, storage, b"one", b"two")
    with opened(settings, **elsewhere(settings)) as (database, storage):
        with pytest.raises(SettingsError, match=r"does not know.*--database-url.*adopt-storage"):
            check_storage(database, storage)
        assert not is_bound(database, storage)
        assert sweep(database, storage, settings).stopped is not None
        assert sorted(storage.sample(9)) == sorted(hashes)
    with opened(settings) as (database, storage):
        check_storage(database, storage)
        assert is_bound(database, storage)


def test_an_empty_storage_under_a_database_with_rows_is_refused(
    settings: Settings, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with opened(settings) as (database, storage):
        check_storage(database, storage)
        store(database, storage, b"one")
    other: dict[str, object] = {"data": tmp_path / "empty", "database_url": settings.url}
    if settings.storage_url is not None:
        server: S3Server = request.getfixturevalue("s3_server")
        other |= {"storage_url": server.settings()["storage_url"]}
    with opened(settings, **other) as (database, storage):
        with pytest.raises(SettingsError, match=r"is empty.*adopt-storage"):
            check_storage(database, storage)
        adopt_storage(database, storage)
        check_storage(database, storage)
    with opened(settings) as (database, storage), pytest.raises(SettingsError, match="belongs to the database"):
        check_storage(database, storage)


def test_a_database_that_names_nothing_may_change_to_a_new_storage_while_nobody_runs(
    settings: Settings, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    new: dict[str, object] = {"data": tmp_path / "new", "database_url": settings.url}
    if settings.storage_url is not None:
        server: S3Server = request.getfixturevalue("s3_server")
        new |= {"storage_url": server.settings()["storage_url"]}
    with opened(settings) as (database, storage), opened(settings, **new) as (_, other):
        check_storage(database, storage)
        leases = Leases(database, "api_1", Role.API)
        leases.declare("host/api0")
        with pytest.raises(SettingsError, match=r"not the one that belongs.*servers that run on it.*end them first"):
            check_storage(database, other)
        assert other.read_identity() is None
        assert is_bound(database, storage)
        leases.leave()
        check_storage(database, other)
        assert is_bound(database, other)
        with pytest.raises(SettingsError, match="not the one that belongs"):
            check_storage(database, storage)


def test_of_two_empty_databases_on_one_storage_one_may_go_on(settings: Settings) -> None:
    with opened(settings) as (database, storage):
        check_storage(database, storage)
    with opened(settings, **elsewhere(settings)) as (database, storage):
        check_storage(database, storage)  # a first start that was cut off leaves the same: it must not be refused
        store(database, storage, b"one")
    with opened(settings) as (database, storage):
        with pytest.raises(SettingsError, match="belongs to the database"):
            check_storage(database, storage)
        assert sweep(database, storage, settings).stopped is not None


def test_a_storage_that_another_database_took_takes_nothing_more(settings: Settings) -> None:
    with opened(settings) as (database, storage), opened(settings, **elsewhere(settings)) as (other, same):
        check_storage(database, storage)
        check_storage(other, same)  # which is possible while nothing is stored
        for each in ((database, storage), (other, same)):
            watch_storage(*each)
        with pytest.raises(StorageUnavailableError, match="belongs to another database"):
            store(database, storage, b"one")
        assert storage.problem() == "the server's storage now belongs to another database"
        store(other, same, b"two")
        adopt_storage(database, storage)
        for each in ((database, storage), (other, same)):
            watch_storage(*each)
        store(database, storage, b"one")
        assert same.problem() is not None


@pytest.mark.slow
def test_two_servers_that_start_at_once_on_one_bucket(tmp_path: Path, s3_server: S3Server) -> None:
    shared = {f"WDIST_SERVER_{name.upper()}": value for name, value in s3_server.settings().items()}
    environment: dict[str, str | None] = {**shared, "WDIST_SERVER_MAINTENANCE_SECONDS": "0.2"}
    servers = [Server(tmp_path / name, ["--workers", "0"], environment) for name in ("one", "two")]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(Server.start, servers))  # they end with the threads that start them
        deadline = time.monotonic() + 60
        while sum(server.ready() for server in servers) != 1:
            assert time.monotonic() < deadline, servers[0].log_end()
            time.sleep(0.2)
        (refusing,) = (server for server in servers if not server.ready())
        (keeping,) = (server for server in servers if server is not refusing)
        answer = refusing.client.post("/v1/sample-sets", content=npy(normal(1)))
        assert answer.status_code == 503
        assert "belongs to another database" in answer.json()["detail"]
        keeping.upload(normal(1))
        refusing.stop()
        with pytest.raises(AssertionError, match="exit code 78"):
            refusing.start()
        for server in servers:
            server.kill()


@pytest.mark.parametrize("left", [b"", b"\0" * 33, None], ids=["empty", "zeros", "missing"])
def test_an_identity_that_a_power_cut_emptied_is_made_again(tmp_path: Path, left: bytes | None) -> None:
    settings = load(data=tmp_path / "data", min_free_bytes=0)
    with opened(settings) as (database, storage):
        check_storage(database, storage)
        store(database, storage, b"one")
        identity = storage.read_identity()
        (settings.data / "identity").unlink()
        if left is not None:
            (settings.data / "identity").write_bytes(left)
        check_storage(database, storage)
        assert storage.read_identity() == identity


def test_what_no_row_names_is_set_aside_and_comes_back_when_one_does(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wdist_service.storage.objects._ORPHAN_SECONDS", -1e9)
    with opened(settings) as (database, storage):
        check_storage(database, storage)
        kept, lost = store(database, storage, b"kept", b"lost")
        with database.write() as session:
            session.delete(session.get_one(SampleSet, f"ss_{lost[:12]}"))
        swept = sweep(database, storage, settings)
        assert (swept.stored, swept.unnamed, swept.set_aside, swept.stopped) == (2, 1, 1, None)
        assert storage.sample(9) == [kept]
        assert [place.sha256 for place in storage.quarantined()] == [lost]
        assert sweep(database, storage, settings).deleted == 0, "it is kept for days"
        assert storage.path(lost).read_bytes() == b"lost", "as for a row of a restored database"
        assert sorted(storage.sample(9)) == sorted([kept, lost])
        swept = sweep(database, storage, settings)
        assert swept.set_aside == 1
        store(database, storage, b"lost")  # by an upload
        assert storage.path(lost).read_bytes() == b"lost"
        swept = sweep(database, storage, settings.model_copy(update={"quarantine_seconds": 0.0}))
        assert (swept.set_aside, swept.deleted, list(storage.quarantined())) == (0, 1, [])
        assert storage.path(lost).read_bytes() == b"lost"


def test_the_sweep_brings_back_what_a_restored_database_names(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wdist_service.storage.objects._ORPHAN_SECONDS", -1e9)
    with opened(settings) as (database, storage):
        check_storage(database, storage)
        (sha256,) = store(database, storage, b"one")
        with database.write() as session:
            row = session.get_one(SampleSet, f"ss_{sha256[:12]}")
            session.delete(row)
        assert sweep(database, storage, settings).set_aside == 1
        with database.write() as session:
            session.add(
                SampleSet(
                    id="ss_again", tenant_id=LOCAL_TENANT, sha256=sha256, bytes=3, rows=1, shape=[1, 1], dtype="<f4",
                    statistics={}, created_at=0.0,
                )
            )  # fmt: skip
        eager = settings.model_copy(update={"quarantine_seconds": 0.0})
        swept = sweep(database, storage, eager)
        assert (swept.brought_back, swept.deleted) == (1, 0)
        assert storage.sample(9) == [sha256]


def test_a_sweep_that_would_take_more_than_its_share_stops_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(data=tmp_path / "data", min_free_bytes=0)
    monkeypatch.setattr(content, "HANDFUL", 2)
    with opened(settings) as (database, storage):
        check_storage(database, storage)
        hashes = store(database, storage, *(str(k).encode() for k in range(12)))
        with database.write() as session:  # as when the database was put back to an earlier state
            for sha256 in hashes[:4]:
                session.delete(session.get_one(SampleSet, f"ss_{sha256[:12]}"))
        swept = sweep(database, storage, settings)
        assert swept.set_aside == 0
        assert sorted(storage.sample(99)) == sorted(hashes)
        with database.read() as session:
            assert "4 of 12 stored files" in str(sweep_problem(session))
        allowed = settings.model_copy(update={"sweep_share": 1.0})
        assert sweep(database, storage, allowed).set_aside == 4
        with database.read() as session:
            assert sweep_problem(session) is None


def test_what_its_owner_deletes_is_not_kept(settings: Settings) -> None:
    with opened(settings) as (database, storage):
        check_storage(database, storage)
        (sha256,) = store(database, storage, b"private")
        forget_rows(database)
        discard_unused(database, storage, [sha256])
        assert list(storage.quarantined()) == []
        with pytest.raises(DamagedError, match="missing"):
            storage.path(sha256)


@pytest.mark.local_stores
def test_a_lost_database_destroys_nothing_and_the_storage_can_be_adopted(own_server: MakeServer) -> None:
    server = own_server("--workers", "0", maintenance_seconds="0.2")
    for seed in range(25):
        server.upload(normal(seed, rows=110, columns=1))
    server.stop()
    blobs = sorted(path.name for path in (server.data / "blobs").glob("??/*"))
    for file in server.data.glob("wdist.sqlite*"):
        file.unlink()
    with pytest.raises(AssertionError, match="exit code 78"):
        server.start()
    assert "does not know" in server.log_end()
    assert "Traceback" not in server.log_end(100_000)
    told = doctor(server.data, "--adopt-storage")
    assert told["storage"][0] == "ok", told
    server.start()
    deadline = time.monotonic() + 30
    while "sweep" not in (ready := server.client.get("/readyz").json()):
        assert time.monotonic() < deadline, server.log_end()
        time.sleep(0.2)
    assert ready["status"] == "ok"
    assert "25 of 25 stored files" in doctor(server.data, "--deep")["sweep"][1]
    assert sorted(path.name for path in (server.data / "blobs").glob("??/*")) == blobs


def doctor(data: Path, *arguments: str) -> dict[str, tuple[str, str]]:
    """What `wdist doctor` finds: the state and the words of each line, by its name."""
    command = [str(Path(sys.executable).with_name("wdist")), "doctor", "--json", "--data", str(data), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return {each["what"]: (each["state"], each["found"]) for each in json.loads(done.stdout)}
