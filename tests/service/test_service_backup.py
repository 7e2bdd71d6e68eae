"""A backup made as docs/operations.md says, of a server at work, restored elsewhere: everything is there, and true."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from postgres_process import programs
from service_process import Server, normal
from stores import Stores

from wdist_service.settings import Settings
from wdist_service.storage.bucket import Bucket

_KEPT = ("storage_url", "storage_endpoint", "storage_access_key", "storage_secret_key")


def bucket(environment: dict[str, str]) -> Bucket:
    return Bucket(Settings(**{name: environment[f"WDIST_SERVER_{name.upper()}"] for name in _KEPT}))


def back_up(server: Server, to: Path, stores: Stores) -> dict[str, str]:
    """First the rows, then the files, and the secret. Returns the settings of a server on the copy."""
    to.mkdir()
    environment = dict(server.environment)
    if stores.are_shared:
        fresh = {name: str(value) for name, value in stores.environment().items()}
        dump = [str(programs() / "pg_dump"), environment["WDIST_SERVER_DATABASE_URL"]]
        rows = subprocess.run(dump, check=True, capture_output=True).stdout
        restore = [str(programs() / "psql"), "-q", "-v", "ON_ERROR_STOP=1", fresh["WDIST_SERVER_DATABASE_URL"]]
        subprocess.run(restore, input=rows, check=True, stdout=subprocess.DEVNULL)
        source, target = bucket(environment), bucket(fresh)
        for key, _ in list(source.list("")):
            target.put(key, source.read(key))
        environment |= fresh
    else:
        with contextlib.closing(sqlite3.connect(server.data / "wdist.sqlite")) as database:
            database.execute("VACUUM INTO ?", (str(to / "wdist.sqlite"),))
        shutil.copytree(server.data / "blobs", to / "blobs")
        shutil.copy2(server.data / "identity", to)
    shutil.copy2(server.data / "secret", to)
    return environment


def content(server: Server, sample_set: str) -> str:
    return hashlib.sha256(server.client.get(f"/v1/sample-sets/{sample_set}/content").content).hexdigest()


@pytest.mark.slow
def test_a_restored_backup_has_everything(own_server: Callable[..., Server], stores: Stores, tmp_path: Path) -> None:
    server = own_server()
    key = server.client.post("/v1/api-keys", json={"role": "admin"}).json()["secret"]
    server.client.headers["Authorization"] = f"Bearer {key}"
    sets = [server.upload(normal(seed, shift=float(seed))) for seed in range(3)]
    done = server.submit(sets[0], sets[1], critic="groupsort", steps=30, seed=0)
    before = server.until_done(done)
    running = server.submit(sets[0], sets[2], critic="groupsort", max_seconds=600, seed=0)
    server.until_training(running)
    waiting = server.submit(sets[1], sets[2], critic="affine", steps=5, seed=0)
    certificate = server.client.get(f"/v1/estimates/{done}/certificate").content

    copy = back_up(server, tmp_path / "copy", stores)
    server.client.delete(f"/v1/estimates/{done}")  # what happens afterwards is not in the backup
    server.kill()
    with Server(tmp_path / "copy", (), dict[str, str | None](copy)) as restored:
        restored.client.headers["Authorization"] = f"Bearer {key}"
        assert restored.client.get("/v1/sample-sets", headers={"Authorization": "Bearer wd_x"}).status_code == 401
        listed: list[dict[str, Any]] = restored.client.get("/v1/sample-sets").json()["data"]
        assert {each["id"]: each["sha256"] for each in listed} == {name: content(restored, name) for name in sets}
        assert restored.get(done)["result"] == before["result"]
        assert restored.client.get(f"/v1/estimates/{done}/certificate").content == certificate
        verify(restored, done, sets, tmp_path)
        # What was queued and what was running go on.
        restored.until_training(running, attempt=2)
        assert restored.client.post(f"/v1/estimates/{running}/finish").status_code in (200, 202)
        assert restored.until_done(running)["status"] == "succeeded"
        assert restored.until_done(waiting)["status"] == "succeeded"


def verify(server: Server, estimate: str, sets: list[str], folder: Path) -> None:
    """The independent verifier's word on the restored certificate and the restored rows."""
    names = []
    for name in sets[:2]:
        (folder / f"{name}.npy").write_bytes(server.client.get(f"/v1/sample-sets/{name}/content").content)
        names.append(str(folder / f"{name}.npy"))
    (folder / "it.cert").write_bytes(server.client.get(f"/v1/estimates/{estimate}/certificate").content)
    command = [sys.executable, "-m", "wdist.verify", str(folder / "it.cert"), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
