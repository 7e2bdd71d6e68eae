"""API keys and tenants: who may do what, and that other tenants' ids do not exist."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from server_process import paths_below
from service_process import Server, normal, npy
from stores import Stores

MakeServer = Callable[..., Server]
MakeKey = Callable[..., str]
REVOKED_WITHIN = 5.0  # seconds: 2 by the server's own promise, and a busy machine


def wdist(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wdist_service", *arguments], capture_output=True, text=True, timeout=60
    )


def new_key(data: Path, *arguments: str) -> str:
    done = wdist("keys", "create", "--data", str(data), *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def as_bearer(server: Server, key: str) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {key}"})


@pytest.fixture
def server(own_server: MakeServer) -> Server:
    """An open server, which a first key closes."""
    return own_server("--workers", "0")


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, stores: Stores) -> Iterator[tuple[Server, MakeKey]]:
    """A server with an admin's key, and what makes more keys."""
    data = tmp_path_factory.mktemp("keys") / "data"
    with Server(data, ["--workers", "0"], stores.environment()) as running:
        admin = running.client.post("/v1/api-keys", json={"role": "admin"}).json()["secret"]

        def make(**fields: str) -> str:
            headers = {"Authorization": f"Bearer {admin}"}
            return str(running.client.post("/v1/api-keys", json=fields, headers=headers).json()["secret"])

        yield running, make


def test_first_key_closes_the_server_and_inherits_the_data(server: Server) -> None:
    uploaded = server.upload(normal(1))
    made = server.client.post("/v1/api-keys", json={"name": "me", "role": "admin"})
    assert made.status_code == 201
    secret = made.json()["secret"]
    assert secret.startswith("wd_")
    refused = server.client.get("/v1/sample-sets")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    with as_bearer(server, secret) as admin:
        assert [entry["id"] for entry in admin.get("/v1/sample-sets").json()["data"]] == [uploaded]
        listed = admin.get("/v1/api-keys").json()["data"]
        assert [entry["name"] for entry in listed] == ["me"]
        assert "secret" not in listed[0]
        assert admin.delete(f"/v1/api-keys/{listed[0]['id']}").json()["revoked_at"]
        assert admin.get("/v1/sample-sets").status_code == 401  # at once, and the server does not open again


def test_first_key_must_be_an_admins(server: Server) -> None:
    assert server.client.post("/v1/api-keys", json={"role": "user"}).status_code == 422
    refused = wdist("keys", "create", "--data", str(server.data))
    assert refused.returncode == 2
    assert "admin" in refused.stderr


@pytest.mark.both_stores
def test_tenants_do_not_see_each_other(closed: tuple[Server, MakeKey]) -> None:
    server, make = closed
    one, two = as_bearer(server, make(tenant="one")), as_bearer(server, make(tenant="two"))
    with one, two, as_bearer(server, make(role="admin")) as other_tenant:
        mine = [one.post("/v1/sample-sets", content=npy(normal(seed))).json()["id"] for seed in (1, 2)]
        estimate = one.post("/v1/estimates", json={"source": mine[0], "target": mine[1]}).json()["id"]
        pair = {"source": mine[0], "target": mine[1]}
        tus = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
        begun = one.post("/v1/uploads", headers={**tus, "Upload-Length": "100"}).headers["location"]
        monitor = one.post("/v1/monitors", json={"reference": mine[0]}).json()["id"]
        ids = {
            "monitor_id": monitor,
            "update_id": one.post(f"/v1/monitors/{monitor}/updates", json={"batch": mine[1]}).json()["id"],
            "sample_set_id": mine[0],
            "estimate_id": estimate,
            "batch_id": one.post("/v1/batches", json={"pairs": [pair]}).json()["id"],
            "upload_id": begun.rpartition("/")[2],
            "evaluation_id": "ev_1",
        }
        operations = [
            (method.upper(), path.format(**ids))
            for path, methods in one.get("/openapi.json").json()["paths"].items()
            for method in methods
            # Keys are the admin's, of all tenants; webhooks have a test of their own, for admins.
            if "{" in path and "key_id" not in path and "webhook_id" not in path
        ]
        assert len(operations) >= 23
        for stranger in (two, other_tenant):
            for method, path in operations:
                headers = {**tus, "X-HTTP-Method-Override": "PATCH"} if "/uploads/" in path else {}
                body: dict[str, object] | None = {"columns": ["x"]} if method == "PUT" else None
                if path.startswith(("/v1/estimates/", "/v1/batches/")) and method == "PATCH":
                    body = {"name": "mine"}
                if path.startswith("/v1/monitors/") and method in {"PATCH", "POST"}:
                    body = {"epochs": {"reference": mine[0]}, "updates": {"batch": mine[1]}}.get(
                        path.split("/")[-1], {}
                    )
                answer = stranger.request(method, path, headers=headers, json=body)
                assert answer.status_code == 404, (method, path)
            assert stranger.post("/v1/estimates", json={"source": mine[0], "target": mine[1]}).status_code == 404
            assert stranger.get("/v1/sample-sets").json()["data"] == []
            assert stranger.get("/v1/estimates").json()["data"] == []
        assert one.get(f"/v1/estimates/{estimate}").status_code == 200
        # The same content is a set of its own for another tenant.
        theirs = two.post("/v1/sample-sets", content=npy(normal(1)))
        assert theirs.status_code == 201
        assert theirs.json()["id"] != mine[0]
        assert two.delete(f"/v1/sample-sets/{theirs.json()['id']}").status_code == 204
        assert one.get(f"/v1/sample-sets/{mine[0]}/content").status_code == 200


def test_users_cannot_manage_keys(closed: tuple[Server, MakeKey]) -> None:
    server, make = closed
    with as_bearer(server, make()) as user:
        assert user.get("/v1/api-keys").status_code == 403
        assert user.post("/v1/api-keys", json={"role": "admin"}).status_code == 403
        assert user.get("/v1/estimates").status_code == 200


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wd_wrong", "Basic d2Q6d2Q=", "Bearer " + "x" * 5000])
def test_bad_credentials(closed: tuple[Server, MakeKey], header: str) -> None:
    answer = closed[0].client.get("/v1/estimates", headers={"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.local_stores
def test_secrets_are_stored_nowhere(server: Server) -> None:
    secret = new_key(server.data, "--role", "admin")
    with as_bearer(server, secret) as admin:
        assert admin.get("/v1/estimates").status_code == 200
        assert admin.get("/v1/estimates", params={"limit": "x"}).status_code == 422
    with sqlite3.connect(server.data / "wdist.sqlite") as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()
    assert "key_" in dump
    assert secret not in dump
    assert secret not in server.log_end(1_000_000)


def test_keys_on_the_command_line(tmp_path: Path) -> None:
    data = tmp_path / "data"
    new_key(data, "--role", "admin", "--name", "laptop")
    listed = wdist("keys", "list", "--data", str(data)).stdout
    assert "laptop" in listed
    identifier = listed.split()[0]
    assert wdist("keys", "revoke", identifier, "--data", str(data)).returncode == 0
    assert "revoked" in wdist("keys", "list", "--data", str(data)).stdout
    missing = wdist("keys", "revoke", "key_none", "--data", str(data))
    assert missing.returncode == 2
    assert "key_none" in missing.stderr


def test_a_key_is_revoked_by_its_name(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in ("laptop", "ci", "ci"):
        new_key(data, "--role", "admin", "--name", name)
    revoked = wdist("keys", "revoke", "laptop", "--data", str(data))
    assert revoked.returncode == 0
    states = {
        line.split()[0]: line.split()[3:] for line in wdist("keys", "list", "--data", str(data)).stdout.splitlines()
    }
    assert states[revoked.stdout.split()[0]] == ["revoked", "laptop"]
    twins = [key for key, (_, name) in states.items() if name == "ci"]
    refused = wdist("keys", "revoke", "ci", "--data", str(data))
    assert refused.returncode == 2
    assert all(key in refused.stderr for key in twins)
    assert wdist("keys", "revoke", twins[0], "--data", str(data)).returncode == 0
    assert wdist("keys", "revoke", "ci", "--data", str(data)).stdout.split()[0] == twins[1]


def test_keys_are_looked_for_only_where_a_server_keeps_them(tmp_path: Path) -> None:
    nowhere = tmp_path / "tpyo"
    empty = tmp_path / "empty"
    empty.mkdir()
    for data in (nowhere, empty):
        for action in (["list"], ["revoke", "key_none"]):
            refused = wdist("keys", *action, "--data", str(data))
            assert (refused.returncode, refused.stdout) == (2, "")
            assert f"no server keeps its keys in {data}" in refused.stderr
            assert len(refused.stderr.splitlines()) == 1
    assert not nowhere.exists()
    assert not list(empty.iterdir())


@pytest.mark.local_stores
def test_a_server_without_keys_says_so(server: Server) -> None:
    listed = wdist("keys", "list", "--data", str(server.data))
    assert (listed.returncode, listed.stdout) == (0, "")
    assert "has no keys" in listed.stderr


def test_bootstrap_key_of_a_container(own_server: MakeServer, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("wd_" + "0123456789abcdef" * 3 + "\n")
    server = own_server("--workers", "0", "--host", "0.0.0.0", bootstrap_key_file=str(file))
    assert server.client.get("/v1/estimates").status_code == 401
    with as_bearer(server, file.read_text().strip()) as admin:
        assert admin.get("/v1/api-keys").status_code == 200
        assert admin.get("/v1/estimates", headers={"Host": "wdist.example.org"}).status_code == 200


def test_refuses_the_network_without_a_key(tmp_path: Path) -> None:
    data = tmp_path / "data"
    refused = wdist("serve", "--host", "0.0.0.0", "--port", "0", "--data", str(data))
    assert not data.exists()
    assert refused.returncode == 78
    assert "without an API key" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.local_stores
def test_refuses_the_network_with_a_database_that_has_no_key(server: Server) -> None:
    server.stop()
    before = {path for path in paths_below(server.data) if path.suffix not in {".sqlite-wal", ".sqlite-shm"}}
    refused = wdist("serve", "--host", "0.0.0.0", "--port", "0", "--data", str(server.data))
    assert refused.returncode == 78
    assert "without an API key" in refused.stderr
    after = {path for path in paths_below(server.data) if path.suffix not in {".sqlite-wal", ".sqlite-shm"}}
    assert after == before


def test_a_revoked_key_ends_what_is_under_way(closed: tuple[Server, MakeKey]) -> None:
    """Revoked by another process: new requests, event streams and waits end within seconds."""
    server, make = closed
    user, admin = as_bearer(server, make(name="to revoke", tenant="revoked")), as_bearer(server, make(role="admin"))
    with user, admin, ThreadPoolExecutor(2) as pool:
        user.timeout = httpx.Timeout(60)
        sets = [user.post("/v1/sample-sets", content=npy(normal(seed))).json()["id"] for seed in (1, 2)]
        pair = {"source": sets[0], "target": sets[1]}
        estimate = user.post("/v1/estimates", json=pair).json()["id"]  # there is no worker: it stays queued

        def follow() -> float:
            with user.stream("GET", f"/v1/estimates/{estimate}/events") as answer:
                assert answer.status_code == 200
                for line in answer.iter_lines():
                    if line.startswith("data:"):
                        streaming.set()
            return time.monotonic()

        def wait() -> tuple[int, float]:
            answer = user.post("/v1/estimates", json={**pair, "seed": 1}, headers={"Prefer": "wait=60"})
            return answer.status_code, time.monotonic()

        streaming = threading.Event()
        stream, waiting = pool.submit(follow), pool.submit(wait)
        assert streaming.wait(30)
        deadline = time.monotonic() + 30
        while len(user.get("/v1/estimates").json()["data"]) < 2:
            assert time.monotonic() < deadline
        (key,) = [entry["id"] for entry in admin.get("/v1/api-keys").json()["data"] if entry["name"] == "to revoke"]
        server.write("UPDATE api_keys SET revoked_at = 1 WHERE id = :id", id=key)  # as another replica does
        revoked = time.monotonic()
        while user.get("/v1/estimates").status_code != 401:
            assert time.monotonic() < revoked + REVOKED_WITHIN
        assert stream.result() < revoked + REVOKED_WITHIN
        status, ended = waiting.result()
        assert status == 401
        assert ended < revoked + REVOKED_WITHIN
        assert admin.get("/v1/api-keys").status_code == 200


def test_a_key_in_a_folder_that_no_server_used_is_remarked(tmp_path: Path) -> None:
    said = [wdist("keys", "create", "--role", "admin", "--data", str(tmp_path / "typo")).stderr for _ in range(2)]
    assert [f"no server has used {tmp_path / 'typo'} yet: it is new" in each for each in said] == [True, False]
