"""Installations of `wdist serve` 0.1, killed in the middle of their work; make_fixtures.py runs this with that code."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from archives import objects_of, pack
from postgres_process import postgres, programs
from s3_process import s3
from service_process import Server, npy
from wdist.checkpoint import read_checkpoint

RUNNING_STEPS = 2_200  # a checkpoint comes after 5 s, in the middle of these
EVALUATED_ROWS = 12_000  # more than one request may evaluate
SETTINGS = {"WDIST_SERVER_UPLOAD_EXPIRY_SECONDS": "6e9", "WDIST_SERVER_THREADS": "1"}
TUS = {"Tus-Resumable": "1.0.0"}
QUICK = {"critic": "affine", "baseline_rows": 50}


def make_local(folder: Path, fixtures: Path) -> dict[str, Any]:
    """SQLite and files: local.tar.xz is the data directory."""
    server = Server(folder / "local", ["--slots", "1"], dict(SETTINGS))
    checkpoint = "checkpoints/{}/1.checkpoint"

    def until_checkpoint(estimate: str) -> bytes:
        path = server.data / checkpoint.format(estimate)
        while not path.exists():
            time.sleep(0.05)
        return path.read_bytes()

    def archive() -> None:
        pack(fixtures / "local.tar.xz", server.data)

    return _make(server, until_checkpoint, archive)


def make_shared(folder: Path, fixtures: Path) -> dict[str, Any]:
    """PostgreSQL and S3: shared.tar.xz holds a dump of the database, the objects of the bucket, and the secret."""
    with postgres() as database, s3() as objects:
        url, storage = database.new_database(), objects.settings()
        bucket = objects_of(storage)
        stores = {f"WDIST_SERVER_{name.upper()}": value for name, value in {"database_url": url, **storage}.items()}
        server = Server(folder / "shared", ["--slots", "1"], {**SETTINGS, **stores})
        packed = folder / "shared-packed"

        def until_checkpoint(estimate: str) -> bytes:
            server.until_checkpoint(estimate)
            return bytes(bucket.get(f"checkpoints/{estimate}/1.checkpoint").bytes())

        def archive() -> None:
            packed.mkdir()
            shutil.copy(server.data / "secret", packed)
            command = [programs() / "pg_dump", "--inserts", "--no-owner", "--no-privileges", url]
            dumped = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            # Orders to psql, which is not needed to restore the rest, and a setting that PostgreSQL 16 does not know.
            left_out = ("\\", "SET transaction_timeout")
            lines = [line for line in dumped.splitlines() if not line.startswith(left_out)]
            (packed / "dump.sql").write_text("\n".join(lines) + "\n")
            for entry in [entry for page in bucket.list() for entry in page]:
                path = packed / "bucket" / entry["path"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(bytes(bucket.get(entry["path"]).bytes()))
            pack(fixtures / "shared.tar.xz", packed)

        return _make(server, until_checkpoint, archive)


def _make(server: Server, until_checkpoint: Callable[[str], bytes], archive: Callable[[], None]) -> dict[str, Any]:
    """Fill a server, kill it, archive what it left, and have it finish, for the figures of 0.1."""
    key = _make_key(server, "admin", "first")
    revoked = _make_key(server, "user", "lost")
    server.start()
    server.client.headers["Authorization"] = f"Bearer {key}"
    assert server.client.delete(f"/v1/api-keys/{_key_id(server, 'lost')}").status_code < 300
    manifest: dict[str, Any] = {"key": key, "revoked_key": revoked, "events": {}}
    sets = _upload_all(server)
    manifest |= _finished(server, sets)
    manifest |= _half_received(server)
    manifest |= _in_progress(server, sets)
    checkpoint = until_checkpoint(manifest["running"]["id"])
    manifest["checkpoint"] = _what_it_holds(checkpoint, server.data.parent / "checkpoint")
    begun = [_evaluate(server, manifest["critic"], name) for name in (sets["large"], sets["large too"])]
    manifest |= {"pending_evaluations": begun} | _lists(server)
    server.kill()
    archive()
    for row in server.rows("SELECT id, job_id, type, data FROM events ORDER BY id"):
        data = json.loads(row.data) if isinstance(row.data, str) else row.data
        manifest["events"].setdefault(row.job_id, []).append([row.id, row.type, data])
    _check_moment(server, manifest)
    server.start()
    server.client.headers["Authorization"] = f"Bearer {key}"
    manifest["drained"] = {name: server.until_done(name, 180) for name in manifest["pending"]}
    server.stop()
    return manifest


def _make_key(server: Server, role: str, name: str) -> str:
    command = [sys.executable, "-m", "wdist_service", "keys", "create", "--role", role, "--name", name]
    return subprocess.run(
        [*command, "--data", str(server.data)],
        env=server.environment, check=True, stdout=subprocess.PIPE, text=True, cwd=server.data.parent,
    ).stdout.strip()  # fmt: skip


def _key_id(server: Server, name: str) -> str:
    return next(str(key["id"]) for key in server.client.get("/v1/api-keys").json()["data"] if key["name"] == name)


def _upload_all(server: Server) -> dict[str, str]:
    generator = np.random.default_rng(7)

    def rows(spread: float, shift: float = 0.0, n: int = 300) -> np.ndarray:
        return (spread * generator.normal(size=(n, 3)) + shift).astype(np.float32)

    arrays = {"source": rows(1.0), "target": rows(1.5, 0.5), "a": rows(1, 0, 200), "b": rows(1, 1, 200)}
    arrays |= {"c": rows(2, 0, 200), "Größe µ": rows(1.0, 0.2), "few": rows(1, 0, 100), "few too": rows(1, 9, 100)}
    arrays |= {
        "labels a": np.repeat(np.arange(100), 2)[:, None],
        "labels b": np.repeat(np.arange(500, 600), 2)[:, None],
    }
    for side, name in enumerate(("even", "odd")):  # cells of a chessboard: a critic learns them slowly
        cells = generator.integers(0, 4, (1000, 3))
        cells[:, 2] ^= (cells.sum(axis=1) + side) & 1
        arrays[name] = (cells + generator.integers(0, 64, cells.shape) / 64).astype(np.float32)
    for name in ("large", "large too"):  # few distinct values: a small archive
        arrays[name] = generator.integers(0, 2, (EVALUATED_ROWS, 3)).astype(np.float32)
    return {name: server.upload(array, name=name) for name, array in arrays.items()}


def _finished(server: Server, sets: dict[str, str]) -> dict[str, Any]:
    """Estimates of several kinds, a matrix and an evaluation that are done; one estimate that was forgotten."""
    pair, grouped = (sets["source"], sets["target"]), (sets["a"], sets["b"])
    labels = {sets["a"]: sets["labels a"], sets["b"]: sets["labels b"]}
    critic = server.submit(*pair, critic="groupsort", steps=40, metadata={"week": "47"})
    once = {"source": sets["source"], "target": sets["Größe µ"], "critic": "sliced", "diameter": 40.0}
    answer = server.client.post("/v1/estimates", json=once, headers={"Idempotency-Key": "once"})
    assert answer.status_code == 202, answer.text
    ids = [
        server.submit(*pair, **QUICK, scale="standardize"), critic, answer.json()["id"],
        server.submit(*grouped, critic="cone", steps=60, groups=labels),
        server.submit(*pair, **QUICK, statements=3, method="paired_betting"),
        server.submit(sets["few"], sets["few too"], **QUICK, confidence=1 - 1e-14),
    ]  # fmt: skip
    done = [server.until_done(name) for name in ids]
    assert [estimate["status"] for estimate in done] == ["succeeded"] * 5 + ["failed"], done
    forgotten = server.submit(*pair, **QUICK)
    server.until_done(forgotten)
    assert server.client.delete(f"/v1/estimates/{forgotten}").status_code == 204
    matrix = {"matrix": [sets["a"], sets["b"], sets["c"]], "simultaneous": True, **QUICK}
    batch = _batch(server, matrix)
    while server.client.get(f"/v1/batches/{batch}").json()["status"] != "finished":
        time.sleep(0.1)
    evaluation = _evaluate(server, critic, sets["source"], wait=True)
    return {
        "critic": critic, "forgotten": forgotten, "idempotent": {"key": "once", "body": once, "id": ids[2]},
        "files": {name: _files(server, name) for name in ids[:5]},
        "curves": {name: server.client.get(f"/v1/estimates/{name}/curve").json() for name in ids[:5]},
        "matrix": server.client.get(f"/v1/batches/{batch}/matrix").json(),
        "evaluation": evaluation | {"sha256": _sha256(server, f"{_evaluation_url(evaluation)}/content")},
    }  # fmt: skip


def _batch(server: Server, body: dict[str, Any]) -> str:
    answer = server.client.post("/v1/batches", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def _evaluate(server: Server, estimate: str, sample_set: str, wait: bool = False) -> dict[str, Any]:
    prefer = {"Prefer": "respond-async, wait=60" if wait else "respond-async"}
    url = f"/v1/estimates/{estimate}/evaluate"
    answer = server.client.post(url, params={"sample_set": sample_set}, headers=prefer, timeout=90)
    assert answer.status_code == (201 if wait else 202), answer.text
    return dict(answer.json())


def _evaluation_url(evaluation: dict[str, Any]) -> str:
    return f"/v1/estimates/{evaluation['estimate']}/evaluations/{evaluation['id']}"


def _sha256(server: Server, url: str) -> str:
    answer = server.client.get(url)
    assert answer.status_code == 200, answer.text
    return hashlib.sha256(answer.content).hexdigest()


def _files(server: Server, estimate: str) -> dict[str, str]:
    """SHA-256 of what can be downloaded."""
    parts = ("critic?part=weights", "critic?part=config", "certificate")
    return {part: _sha256(server, f"/v1/estimates/{estimate}/{part}") for part in parts}


def _half_received(server: Server) -> dict[str, Any]:
    """A resumable upload of which half has arrived."""
    rows = np.random.default_rng(8).integers(0, 100, (300, 3)).astype(np.float32)
    body, half = npy(rows), 1_500
    name = base64.b64encode(b"halved").decode()
    begun = server.client.post(
        "/v1/uploads", headers={**TUS, "Upload-Length": str(len(body)), "Upload-Metadata": f"name {name}"}
    )
    url = begun.headers["location"]
    headers = {**TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    assert server.client.patch(url, content=body[:half], headers=headers).status_code == 204
    rest = base64.b64encode(body[half:]).decode()
    return {"upload": {"url": url, "offset": half, "rest": rest, "sha256": hashlib.sha256(body).hexdigest()}}


def _in_progress(server: Server, sets: dict[str, str]) -> dict[str, Any]:
    """One estimate that runs, some that wait behind it, a batch that waits, and one that was canceled."""
    running = server.submit(sets["even"], sets["odd"], critic="groupsort", steps=RUNNING_STEPS, priority="high")
    server.until_training(running)
    queued = [
        server.submit(sets["a"], sets["c"], critic="groupsort", steps=30),
        server.submit(sets["b"], sets["c"], **QUICK, priority="low", metadata={"note": "last"}),
    ]
    pairs = [{"custom_id": f"pair {k}", "source": sets["c"], "target": sets[k]} for k in ("a", "b", "Größe µ")]
    batch = _batch(server, {"pairs": pairs, "critic": "groupsort", "steps": 10, "baseline_rows": 50})
    small = [json.loads(line)["id"] for line in server.client.get(f"/v1/batches/{batch}/results").text.splitlines()]
    canceled = server.submit(sets["a"], sets["b"], **QUICK)
    assert server.client.post(f"/v1/estimates/{canceled}/cancel").json()["status"] == "canceled"
    return {
        "running": server.get(running), "queued_batch": batch, "pending": [running, *queued, *small],
        "canceled": canceled,
    }  # fmt: skip


def _what_it_holds(checkpoint: bytes, path: Path) -> dict[str, Any]:
    """The training that a checkpoint is of, as far as it was when it was written."""
    path.write_bytes(checkpoint)
    found = read_checkpoint(path)
    assert found is not None
    record = found[1]["current"]["record"]
    return {"step": record["step"], "curve": record["curve"]}


def _lists(server: Server) -> dict[str, Any]:
    """Everything that the server knew just before the end."""
    found = {}
    for name in ("sample-sets", "estimates", "batches"):
        answer: httpx.Response = server.client.get(f"/v1/{name}", params={"limit": 100})
        page = answer.json()
        assert not page["has_more"]
        found[name] = page["data"]
    return found


def _check_moment(server: Server, manifest: dict[str, Any]) -> None:
    """The server died when it should: one estimate ran, the others waited, evaluations were on their way."""
    states = {
        row.id: (row.status, row.attempt)
        for row in server.rows("SELECT id, status, attempt FROM jobs WHERE kind = 'estimate'")
    }
    running, *queued = manifest["pending"]
    assert states[running] == ("running", 1), states
    assert {states[name] for name in queued} == {("queued", 1)}, states
    assert 0.2 * RUNNING_STEPS < manifest["checkpoint"]["step"] < 0.8 * RUNNING_STEPS, manifest["checkpoint"]
    ids = [evaluation["id"] for evaluation in manifest["pending_evaluations"]]
    evaluations = {row.id: row.status for row in server.rows("SELECT id, status FROM jobs WHERE kind = 'evaluation'")}
    assert [evaluations[name] for name in ids] == ["running", "queued"], evaluations
