"""The event loop answers whatever storage and database do: nothing in it waits for them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from loop_watch import LoopWatch
from service_process import Server, normal, npy
from stores import Stores

TUS = {"Tus-Resumable": "1.0.0"}
PATCH = {**TUS, "Content-Type": "application/offset+octet-stream"}
NPY = {"Content-Type": "application/x-npy"}
QUICK = {"critic": "groupsort", "steps": 60, "baseline_rows": 0}
CSV = b"cut,price\n" + b"".join(b"%s,%d\n" % (b"good" if k % 2 else b"fair", k) for k in range(400))
BLOCKING = {
    "io.open": "path.read_bytes()",
    "posix.stat": "path.stat()",
    "posix.unlink": "path.unlink()",
    "posix.listdir": "list(Path('.').iterdir())",
    "time.sleep": "time.sleep(0.01)",
    "Connection.execute": "sqlite3.connect(':memory:').execute('SELECT 1')",
    "a statement of the database": "engine.connect().execute(text('SELECT 1'))",
    "threading.Condition.wait": "threading.Event().wait(0.01)",
    "obstore.put": "obstore.store.MemoryStore().put('a', b'x')",
}
SCRIPT = """
import asyncio, obstore.store, sqlite3, threading, time
from pathlib import Path
from sqlalchemy import create_engine, text

def all_of_it():
    path.write_bytes(b"x")
    {statements}

async def main():
    await asyncio.to_thread(all_of_it)
    await asyncio.sleep(0.01)
    {is_blocking} and all_of_it()

path = Path("file")
engine = create_engine("sqlite://")
asyncio.run(main())
"""


@pytest.mark.parametrize("is_blocking", [True, False])
def test_the_watch_sees_what_blocks_a_loop(tmp_path: Path, is_blocking: bool) -> None:
    watch = LoopWatch(tmp_path)
    script = SCRIPT.format(statements="\n    ".join(BLOCKING.values()), is_blocking=is_blocking)
    command = [sys.executable, "-c", script, "wdist_service.processes.api"]
    subprocess.run(command, cwd=tmp_path, env=watch.environment, check=True, timeout=60)
    for name in BLOCKING if is_blocking else ():
        assert f"{name} in the event loop" in watch.found()
    assert is_blocking or not watch.found(), watch.found()


@pytest.fixture
def watched(tmp_path: Path, stores: Stores) -> Iterator[tuple[Server, LoopWatch]]:
    watch = LoopWatch(tmp_path)
    server = Server(tmp_path / "data", (), {**stores.environment(), **watch.environment}).start()
    yield server, watch
    server.kill()


@pytest.mark.both_stores
def test_no_endpoint_blocks_the_event_loop(watched: tuple[Server, LoopWatch]) -> None:
    server, watch = watched
    ids, done = story(server.client)
    contract = server.client.get("/openapi.json").json()
    operations = {(method.upper(), path) for path, methods in contract["paths"].items() for method in methods}
    # What the story did not do: everything that is read, and then everything that is deleted.
    for method, path in sorted(operations - done, key=lambda each: (each[0] == "DELETE", each)):
        url = path.format_map(ids)
        query = {"until": "ended"} if path.endswith("/events") else {}
        answer = server.client.request(method, url, params=query, headers=TUS if "uploads" in path else {})
        assert answer.status_code < 300, f"{method} {url}: {answer.status_code} {answer.text}"
    for path in ("/", "/page/main.js", "/docs", "/openapi.json"):
        server.client.get(path)
    assert server.stop() == 0
    assert not watch.found(), watch.found()


def story(client: httpx.Client) -> tuple[dict[str, str], set[tuple[str, str]]]:
    """Everything that needs a body. Returns ids for the paths of the rest, and the operations that were done."""
    done: set[tuple[str, str]] = set()

    def post(path: str, *, method: str = "POST", **how: Any) -> httpx.Response:
        done.add((method, path))
        answer = client.request(method, path.format_map(ids), **how)
        assert answer.is_success, f"{method} {path}: {answer.text}"
        return answer

    ids: dict[str, str] = {}
    sets = [post("/v1/sample-sets", content=npy(normal(k, shift=k)), headers=NPY).json()["id"] for k in range(4)]
    ids["sample_set_id"] = sets[0]
    post("/v1/sample-sets/{sample_set_id}/columns", method="PUT", json={"columns": ["a", "b", "c"]})
    post("/v1/sample-sets", content=b"a,b,c\n1,2,3\n4,5,6\n", headers={"Content-Type": "text/csv"})
    post("/v1/sample-sets/by", params={"by": "cut"}, content=CSV, headers={"Content-Type": "text/csv"})
    body = npy(normal(9))
    begun = post("/v1/uploads", headers={**TUS, "Upload-Length": str(len(body))})
    ids["upload_id"] = begun.headers["location"].rpartition("/")[2]
    post("/v1/uploads/{upload_id}", method="PATCH", content=body[:100], headers={**PATCH, "Upload-Offset": "0"})
    override = {**PATCH, "Upload-Offset": "100", "X-HTTP-Method-Override": "PATCH"}
    post("/v1/uploads/{upload_id}", content=body[100:], headers=override)
    pair = {"source": sets[1], "target": sets[2], **QUICK}
    estimate = post("/v1/estimates", json=pair, headers={"Prefer": "wait=60"})
    assert estimate.json()["status"] == "succeeded", estimate.text
    ids["estimate_id"] = estimate.json()["id"]
    post("/v1/estimates/{estimate_id}/evaluate", content=npy(normal(3)), headers=NPY)
    post("/v1/estimates/{estimate_id}/evaluate", params={"sample_set": sets[1]})
    job = {"params": {"sample_set": sets[1]}, "headers": {"Prefer": "respond-async, wait=60"}}
    ids["evaluation_id"] = post("/v1/estimates/{estimate_id}/evaluate", **job).json()["id"]
    compared = {"reference": sets[1], "targets": sets[2:], "compare": True, **QUICK}
    ids["batch_id"] = post("/v1/batches", json=compared).json()["id"]
    deadline = time.monotonic() + 90
    while client.get(f"/v1/batches/{ids['batch_id']}").json()["status"] != "finished":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return ids, done
