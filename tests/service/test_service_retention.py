"""A server forgets what its operator says, shows it first, and removes nothing that is in use."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from service_process import Server, normal
from stores import Stores

from wdist_service.database import Database
from wdist_service.decoding.runner import Decoders
from wdist_service.retention.service import Forgotten, Retention
from wdist_service.sample_sets.service import SampleSets
from wdist_service.settings import Settings
from wdist_service.storage.objects import open_storage

DAY = 86_400.0
QUICK = {"critic": "affine", "steps": 5, "baseline_rows": 0}


def tidy(server: Server, limits: dict[str, Any], *, dry: bool = False) -> Forgotten:
    """What goes, or would go, under these limits; another process than the server's, as `wdist tidy` is."""
    given = {name.removeprefix("WDIST_SERVER_").lower(): value for name, value in server.environment.items()}
    names = {"data", "database_url", "storage_url", "storage_endpoint", "storage_access_key", "storage_secret_key"}
    settings = Settings(**{name: given[name] for name in names & set(given)}, retention=limits)
    with contextlib.closing(Database(settings)) as database:
        storage = open_storage(settings)
        sets = SampleSets(database, storage, Decoders(settings))
        retention = Retention(database, storage, sets, settings.retention)
        return retention.plan() if dry else retention.apply()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, stores: Stores) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("retention") / "data", environment=stores.environment()) as server:
        yield server


@pytest.fixture
def emptied(running: Server) -> Server:
    """A server that holds nothing, whatever the tests before left in it."""
    for kind in ("estimates", "batches"):
        age(running, 1000, *(each["id"] for each in running.client.get(f"/v1/{kind}").json()["data"]))
    tidy(running, {"estimates_days": 1, "batches_days": 1})
    for each in running.client.get("/v1/sample-sets").json()["data"]:
        assert running.client.delete(path(each["id"])).status_code == 204
    return running


def ids(forgotten: Forgotten) -> list[str]:
    return sorted(removal.entry.id for removal in forgotten.removals)


def age(server: Server, days: float, *names: str) -> None:
    """Make jobs and sets older than they are."""
    for name in names:
        table = {"ss": "sample_sets", "batch": "batches"}.get(name.split("_")[0], "jobs")
        columns = ("created_at", "finished_at") if table == "jobs" else ("created_at",)
        changes = ", ".join(f"{column} = {column} - {days * DAY}" for column in columns)
        server.write(f"UPDATE {table} SET {changes} WHERE id = :name", name=name)


def run(server: Server, source: str, target: str, **options: Any) -> str:
    estimate = server.submit(source, target, **QUICK, **options)
    assert server.until_done(estimate)["status"] == "succeeded"
    return estimate


def batch(server: Server, *sets: str) -> tuple[str, list[str]]:
    """A finished matrix, and its estimates."""
    made = server.client.post("/v1/batches", json={"matrix": list(sets), **QUICK}, headers={"Prefer": "wait=60"}).json()
    lines = server.client.get(f"/v1/batches/{made['id']}/results").text.splitlines()
    members = [json.loads(line)["id"] for line in lines]
    for member in members:
        server.until_done(member)
    return str(made["id"]), members


def path(name: str) -> str:
    kind = {"ss": "sample-sets", "est": "estimates", "batch": "batches"}[name.split("_")[0]]
    return f"/v1/{kind}/{name}"


def status(server: Server, name: str) -> int:
    return server.client.get(path(name)).status_code


@pytest.mark.both_stores
def test_what_is_old_goes_as_it_was_shown(emptied: Server) -> None:
    server = emptied
    used_before = len(server.rows("SELECT id FROM device_use"))
    old, new, idle, fresh = (server.upload(normal(seed)) for seed in range(4))
    first, second = run(server, old, idle), run(server, old, new)
    of_batch, members = batch(server, old, idle)
    files = {row.sha256 for row in server.rows("SELECT sha256 FROM artifacts WHERE job_id = :id", id=first)}
    age(server, 40, old, new, idle, first, of_batch, *members)
    limits = {"estimates_days": 30, "batches_days": 30, "sets_days": 35}
    shown = tidy(server, limits, dry=True)
    # `old` and `new` are old, but were used today.
    assert ids(shown) == sorted([first, of_batch, idle])
    assert all(status(server, name) == 200 for name in (old, new, idle, fresh, first, second, of_batch, *members))
    assert ids(tidy(server, limits)) == ids(shown)
    assert [status(server, name) for name in (first, of_batch, idle, *members)] == [404] * (3 + len(members))
    assert [status(server, name) for name in (old, new, fresh, second)] == [200] * 4
    assert files.isdisjoint(row.sha256 for row in server.rows("SELECT sha256 FROM artifacts"))
    assert ids(tidy(server, limits)) == []
    # Its device seconds still count.
    assert len(server.rows("SELECT id FROM device_use")) == used_before + 1 + len(members)


def test_nothing_in_use_goes(own_server: Callable[..., Server]) -> None:
    server = own_server()
    used, other, idle = (server.upload(normal(seed)) for seed in range(3))
    scored = server.upload(normal(3, rows=10_001))
    done, unscored = run(server, used, other), run(server, used, other, seed=7)
    server.stop()
    with Server(server.data, ["--workers", "0"], {**server.environment}) as waiting:
        queued = waiting.submit(used, other, **QUICK)
        made = waiting.client.post("/v1/batches", json={"matrix": [used, other], **QUICK}).json()["id"]
        begun = waiting.client.post(f"/v1/estimates/{done}/evaluate", params={"sample_set": scored})
        assert begun.status_code == 202, begun.text
        age(waiting, 90, used, other, scored, idle, done, unscored, made)
        kinds = ("batches", "estimates", "sets", "events")
        limits = {f"{kind}_days": 1 for kind in kinds} | {f"{kind}_count": 0 for kind in kinds}
        assert ids(tidy(waiting, limits, dry=True)) == sorted([idle, unscored])
        assert ids(tidy(waiting, limits)) == sorted([idle, unscored])
        assert [status(waiting, name) for name in (used, other, scored, done, queued, made)] == [200] * 6


def test_a_set_is_as_old_as_its_last_use_even_when_the_estimate_is_gone(emptied: Server) -> None:
    server = emptied
    source, target, by_hand = (server.upload(normal(seed)) for seed in range(3))
    estimate, deleted = run(server, source, target), run(server, by_hand, target)
    age(server, 60, source, target, by_hand)
    age(server, 20, estimate, deleted)
    assert server.client.delete(path(deleted)).status_code == 204
    assert ids(tidy(server, {"estimates_days": 7, "sets_days": 30})) == [estimate]
    assert ids(tidy(server, {"estimates_days": 7, "sets_days": 30})) == []
    assert ids(tidy(server, {"sets_days": 15})) == sorted([source, target, by_hand])


def test_limits_of_size_take_the_oldest_first(emptied: Server) -> None:
    server = emptied
    sets = [server.upload(normal(seed)) for seed in range(5)]
    estimates = [run(server, sets[0], sets[1], seed=seed) for seed in range(3)]
    age(server, 1, *sets, *estimates)
    for days, (set_, estimate) in enumerate(zip(reversed(sets), reversed(estimates), strict=False)):
        age(server, days, set_, estimate)
    age(server, 5, sets[0], sets[1])  # but they were used yesterday
    assert ids(tidy(server, {"estimates_count": 2}, dry=True)) == [estimates[0]]
    (size,) = {row.bytes for row in server.rows("SELECT bytes FROM sample_sets")}
    assert ids(tidy(server, {"sets_bytes": 3 * size + 1})) == sorted(sets[2:4])
    assert ids(tidy(server, {"estimates_bytes": 0})) == sorted(estimates)
    young = server.upload(normal(9))
    assert young not in ids(tidy(server, {"sets_count": 0}))  # somebody may be about to use it


def test_tenants_have_limits_of_their_own_and_the_server_has_one_for_all(own_server: Callable[..., Server]) -> None:
    server = own_server("--workers", "0")
    secrets = {"local": server.client.post("/v1/api-keys", json={"role": "admin"}).json()["secret"]}
    server.client.headers["Authorization"] = f"Bearer {secrets['local']}"
    secrets["archive"] = server.client.post("/v1/api-keys", json={"tenant": "archive"}).json()["secret"]
    made: dict[str, list[str]] = {}
    for tenant, secret in secrets.items():
        server.client.headers["Authorization"] = f"Bearer {secret}"
        made[tenant] = [server.upload(normal(seed)) for seed in range(2)]
    age(server, 50, made["local"][0], made["archive"][0])
    age(server, 10, made["local"][1], made["archive"][1])
    own: dict[str, Any] = {"sets_days": 30, "tenants": {"archive": {}}}
    assert ids(tidy(server, own, dry=True)) == [made["local"][0]]
    own["tenants"]["archive"] = {"sets_days": 5}
    assert ids(tidy(server, own, dry=True)) == sorted([made["local"][0], *made["archive"]])
    assert len(ids(tidy(server, {"server": {"sets_count": 1}}, dry=True))) == 3
    # The limit for all counts what the limits of tenants leave.
    both = {"sets_days": 30, "tenants": {"archive": {}}, "server": {"sets_count": 2}}
    assert ids(tidy(server, both)) == sorted([made["local"][0], made["archive"][0]])


def events(server: Server, estimate: str, after: int = 0) -> list[tuple[int, str]]:
    """The stream of an ended estimate, as (id, event)."""
    found, key = [], 0
    headers = {"Last-Event-ID": str(after)}
    with server.client.stream("GET", f"/v1/estimates/{estimate}/events", headers=headers, timeout=30) as answer:
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            key = int(value) if name == "id" else key
            if name == "event":
                kind = value
            if not line and key:
                found.append((key, kind))
                key = 0
    return found


def test_events_of_ended_jobs_are_compacted_and_streams_go_on(emptied: Server) -> None:
    server = emptied
    source, target = server.upload(normal(1)), server.upload(normal(2))
    old, recent = run(server, source, target, seed=1), run(server, source, target, seed=2)
    for estimate in (old, recent):
        steps = ", ".join(f"(:job, 'progress', '{step}', 0)" for step in range(500))
        server.write(f"INSERT INTO events (job_id, type, data, created_at) VALUES {steps}", job=estimate)
    age(server, 2, old)
    # The server may have looked before: jobs do not grow older than what it has seen, except in this test.
    unseen = "INSERT INTO properties (name, value) VALUES ('events thinned', '0')"
    server.write(f"{unseen} ON CONFLICT (name) DO UPDATE SET value = '0'")
    before = {estimate: events(server, estimate) for estimate in (old, recent)}
    tidy(server, {})
    after = events(server, old)
    progress = [key for key, kind in before[old] if kind == "progress"]
    kept = [key for key, kind in after if kind == "progress"]
    assert len(kept) == 20
    assert (kept[0], kept[-1]) == (progress[0], progress[-1])
    assert [each for each in after if each[1] == "status"] == [each for each in before[old] if each[1] == "status"]
    assert after[-1][1] == "completed"
    assert events(server, recent) == before[recent]
    middle = progress[250]  # a listener that was cut off there
    assert events(server, old, middle) == [each for each in after if each[0] > middle]
    tidy(server, {"events_days": 1})
    assert {kind for _, kind in events(server, old)} == {"status", "completed"}
    assert events(server, recent) == before[recent]
    shown = tidy(server, {"events_count": 10}, dry=True).events
    assert tidy(server, {"events_count": 10}).events == shown > 400
    assert {kind for _, kind in events(server, recent)} == {"status", "completed"}


def test_a_server_applies_its_limits_by_itself(own_server: Callable[..., Server]) -> None:
    server = own_server("--workers", "0", retention='{"sets_days": 30}', maintenance_seconds="1")
    old, new = server.upload(normal(1)), server.upload(normal(2))
    age(server, 31, old)
    deadline = time.monotonic() + 40
    while status(server, old) != 404:
        assert time.monotonic() < deadline, server.log_end()
        time.sleep(0.2)
    assert status(server, new) == 200
    assert "removed 1 sample sets beyond the limits" in server.log.read_text()


@pytest.mark.local_stores
def test_the_command_shows_what_goes_then_removes_it(emptied: Server, tmp_path: Path) -> None:
    server = emptied
    old, new = server.upload(normal(1)), server.upload(normal(2))
    age(server, 31, old)

    def command(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        wdist = str(Path(sys.executable).with_name("wdist"))
        environment = server.environment | {f"WDIST_SERVER_{name.upper()}": value for name, value in settings.items()}
        return subprocess.run([wdist, "tidy", *arguments], env=environment, capture_output=True, text=True, check=False)

    limits = {"retention": '{"sets_days": 30}'}
    shown = command("--dry-run", **limits)
    assert shown.stdout.startswith(f"would remove sample set {old} of local: unused for 31.0 days, limit 30\n")
    assert status(server, old) == 200
    said = json.loads(command("--json", **limits).stdout)
    assert [removal["id"] for removal in said["removals"]] == [old]
    assert (status(server, old), status(server, new)) == (404, 200)
    done = command()
    assert (done.returncode, "no limits are set" in done.stderr) == (0, True)
    done = command(retention='{"set_days": 30}')
    assert (done.returncode, "did you mean sets_days?" in done.stderr) == (78, True)
    done = command("--data", str(tmp_path / "nothing"))
    assert (done.returncode, "name its --data" in done.stderr) == (78, True)
    assert not (tmp_path / "nothing").exists()


def test_a_set_that_is_sent_again_is_new_again(own_server: Callable[..., Server]) -> None:
    server = own_server("--workers", "0")
    again, idle = server.upload(normal(0)), server.upload(normal(1))
    age(server, 40, again, idle)
    assert ids(tidy(server, {"sets_days": 30}, dry=True)) == sorted([again, idle])
    assert server.upload(normal(0)) == again
    assert ids(tidy(server, {"sets_days": 30})) == [idle]
    assert [status(server, name) for name in (again, idle)] == [200, 404]


def test_batches_of_monitors_go_and_what_they_said_stays(own_server: Callable[..., Server]) -> None:
    server = own_server()
    reference, kept = server.upload(normal(0, rows=600)), server.upload(normal(1, rows=600))
    options = {"critic": "affine", "confidence": 0.9}
    made = server.client.post("/v1/monitors", json={"reference": reference, **options}).json()["id"]
    other = server.client.post("/v1/monitors", json={"reference": kept, **options}).json()["id"]
    sets = [server.upload(normal(20 + t, rows=200)) for t in range(5)]
    for at, batch_id in enumerate(sets):
        update(server, made, batch_id, at)
    update(server, other, sets[1], 0)
    run(server, sets[2], kept)
    for table in ("jobs", "sample_sets"):
        server.write(f"UPDATE {table} SET created_at = created_at - {2 * DAY}")
    server.write(f"UPDATE jobs SET finished_at = finished_at - {2 * DAY}")
    # Another monitor keeps the second, an estimate used the third, and two are the newest.
    assert ids(tidy(server, {"monitor_batches_count": 2}, dry=True)) == [sets[0]]
    assert ids(tidy(server, {"monitor_batches_days": 3}, dry=True)) == []
    assert ids(tidy(server, {"monitor_batches_count": 3, "tenants": {"local": {}}}, dry=True)) == []
    assert ids(tidy(server, {"server": {"monitor_batches_count": 3}}, dry=True)) == [sets[0]]
    assert ids(tidy(server, {"monitor_batches_days": 1})) == sorted([sets[0], sets[1], sets[3], sets[4]])
    assert [status(server, name) for name in (*sets, reference, kept)] == [404, 404, 200, 404, 404, 200, 200]
    found = server.client.get(f"/v1/monitors/{made}/updates").json()["data"]
    assert [each["figures"]["number"] for each in found] == [5, 4, 3, 2, 1]
    again = server.client.post(
        f"/v1/monitors/{made}/updates", json={"batch": server.upload(normal(20, rows=200)), "at": 9}
    )
    assert again.status_code == 409, again.text
    # The reference is needed, however long it has not been used.
    assert ids(tidy(server, {"sets_days": 1})) == sorted([sets[2]])


def update(server: Server, monitor_id: str, batch_id: str, at: float) -> None:
    answer = server.client.post(
        f"/v1/monitors/{monitor_id}/updates",
        json={"batch": batch_id, "at": at},
        headers={"Prefer": "wait=60"},
        timeout=90,
    )
    assert answer.json()["status"] == "succeeded", answer.text
