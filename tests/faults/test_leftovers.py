"""What dead processes leave behind is removed: the disk comes back to what the database names.

WDIST_KILL_SEED=7 WDIST_KILL_ROUNDS=50 pytest tests/faults/test_leftovers.py -m slow
"""

from __future__ import annotations

import base64
import contextlib
import io
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from disk_accounts import accounts, until_clean
from service_process import TERMINAL, Server, is_alive, normal, npy
from stores import Stores

from wdist_service.settings import Settings
from wdist_service.storage.objects import open_storage

MakeServer = Callable[..., Server]
SOON = {
    "maintenance_seconds": "0.5",
    "beat_seconds": "0.5",
    "lease_seconds": "2",
    "max_attempts": "100",
    "quarantine_seconds": "0",
}
QUICK = {"critic": "groupsort", "steps": 60, "baseline_rows": 0}
TUS = {"Tus-Resumable": "1.0.0"}
PATCH = {**TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}


def csv(array: np.ndarray) -> bytes:
    text = io.StringIO()
    np.savetxt(text, array, delimiter=",", header="a,b,c", comments="")
    return text.getvalue().encode()


def parquet(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({name: array[:, k] for k, name in enumerate("abc")}), file)
    return file.getvalue()


def caught(server: Server, process: str, seconds: float = 30) -> int:
    """Stop a process of this kind as soon as there is one, so that it cannot end by itself."""
    deadline = time.monotonic() + seconds
    while True:
        for pid in server.pids(process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                return pid
        assert time.monotonic() < deadline, server.log_end()


def until_dead(pid: int) -> None:
    deadline = time.monotonic() + 5
    while is_alive(pid):
        assert time.monotonic() < deadline, f"{pid} outlives its parent"
        time.sleep(0.02)


@contextlib.contextmanager
def requested(method: str, url: str, **how: object) -> Iterator[None]:
    """A request under way that nobody may answer."""

    def send() -> None:
        with contextlib.suppress(httpx.HTTPError):
            httpx.request(method, url, timeout=60, **how)  # type: ignore[arg-type]

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, stores: Stores) -> Iterator[Server]:
    """One server that these tests hurt in turn; each leaves nothing on its disk."""
    settings = {f"WDIST_SERVER_{name.upper()}": value for name, value in SOON.items()}
    running = Server(tmp_path_factory.mktemp("leftovers") / "data", (), {**stores.environment(), **settings}).start()
    yield running
    running.kill()


def test_a_decoder_dies_with_the_api_and_its_files_are_removed(server: Server) -> None:
    body = csv(normal(1, rows=20_000))
    with requested("POST", f"{server.url}/v1/sample-sets", content=body, headers={"Content-Type": "text/csv"}):
        decoder = caught(server, "decoder")
        assert len(list((server.data / "incoming").iterdir())) == 2, "the body, and what the decoder writes"
        server.signal("api")
    until_dead(decoder)
    until_clean(server)


def test_an_evaluator_dies_with_the_api_and_its_files_are_removed(server: Server) -> None:
    sets = server.upload(normal(1)), server.upload(normal(2, shift=1.0))
    estimate = server.submit(*sets, **QUICK)
    assert server.until_done(estimate)["status"] == "succeeded"
    url = f"{server.url}/v1/estimates/{estimate}/evaluate"
    with requested("POST", url, content=npy(normal(3)), headers={"Content-Type": "application/x-npy"}):
        evaluator = caught(server, "evaluator")
        server.signal("api")
    until_dead(evaluator)
    until_clean(server)


def test_a_killed_worker_leaves_what_the_next_attempt_needs_and_nothing_else(server: Server) -> None:
    sets = server.upload(normal(1)), server.upload(normal(2, shift=1.0))
    estimate = server.submit(*sets, **QUICK | {"steps": 1_000_000})
    server.until_training(estimate)
    (old,) = [folder for folder in (server.data / "scratch").iterdir() if list(folder.glob("est_*"))]
    trainer = server.pids("trainer")[0]
    server.signal("worker")
    until_dead(trainer)
    server.until_training(estimate, attempt=2)
    deadline = time.monotonic() + 20
    while old.exists():
        assert time.monotonic() < deadline, server.log_end()
        time.sleep(0.1)
    assert (server.data / "checkpoints" / estimate).is_dir()
    server.client.post(f"/v1/estimates/{estimate}/cancel")
    server.until_done(estimate)
    until_clean(server)


def test_what_a_living_process_holds_is_not_swept(server: Server) -> None:

    def slowly() -> Iterator[bytes]:
        body = npy(normal(4, rows=10_000))
        yield body[:60_000]
        time.sleep(3)  # six sweeps
        yield body[60_000:]

    assert httpx.post(f"{server.url}/v1/sample-sets", content=slowly(), timeout=60).status_code == 201
    until_clean(server)


def test_half_written_files_of_an_installation_are_removed_once_they_are_old(tmp_path: Path) -> None:
    storage = open_storage(Settings(data=tmp_path))
    (tmp_path / "workers").mkdir()
    old, young = tmp_path / "workers" / ".id-x.part", tmp_path / ".identity-x.part"
    for path in (old, young):
        path.touch()
    os.utime(old, (time.time() - 4000,) * 2)
    assert storage.sweep_unfinished() == 1
    assert (old.exists(), young.exists()) == (False, True)


def test_the_account_sees_what_is_left_and_what_is_missing(own_server: MakeServer) -> None:
    server = own_server("--workers", "0")
    server.upload(normal(5))
    assert accounts(server) == ([], [])
    (blob,) = (server.data / "blobs").glob("*/*")
    for name in ("blobs/00/unnamed", "incoming/incoming-x", "checkpoints/est_x/1.checkpoint", "scratch/x/y", "z.part"):
        path = server.data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        left, missing = accounts(server)
        assert any(each.startswith(f"{server.data}/{name.rpartition('/')[0]}") for each in left), (name, left)
        assert missing == []
        path.unlink()
    blob.rename(server.data / "z")
    assert accounts(server)[1] == [blob.name]


class Traffic:
    """Clients that do everything that writes files, and care for no answer: the server is being killed."""

    def __init__(self, server: Server, seed: int) -> None:
        self._server = server
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(seed + k,)) for k in range(4)]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, seed: int) -> None:
        dice = random.Random(seed)
        actions = [self._upload, self._upload, self._tus, self._estimate, self._evaluate, self._batch, self._delete]
        with httpx.Client(base_url=self._server.url, timeout=20) as client:
            while not self._over.is_set():
                with contextlib.suppress(httpx.HTTPError, KeyError, IndexError, ValueError):
                    dice.choice(actions)(client, dice)
                self._over.wait(dice.uniform(0.0, 0.2))

    def _upload(self, client: httpx.Client, dice: random.Random) -> None:
        make, kind = dice.choice(
            [(npy, "application/x-npy"), (csv, "text/csv"), (parquet, "application/vnd.apache.parquet")]
        )
        body = make(normal(dice.randrange(1000), rows=dice.choice([200, 5_000, 50_000])))
        client.post("/v1/sample-sets", content=body, headers={"Content-Type": kind})

    def _tus(self, client: httpx.Client, dice: random.Random) -> None:
        make, name = dice.choice([(npy, "x.npy"), (csv, "x.csv")])
        body = make(normal(dice.randrange(1000), rows=5_000))
        named = f"filename {base64.b64encode(name.encode()).decode()}"
        begun = client.post("/v1/uploads", headers={**TUS, "Upload-Length": str(len(body)), "Upload-Metadata": named})
        url = begun.headers["location"]
        half = len(body) // 2
        client.patch(url, content=body[:half], headers=PATCH)
        if dice.random() < 0.7:
            client.patch(url, content=body[half:], headers={**PATCH, "Upload-Offset": str(half)})

    def _sets(self, client: httpx.Client, dice: random.Random, count: int) -> list[str]:
        return dice.sample([each["id"] for each in client.get("/v1/sample-sets").json()["data"]], count)

    def _estimate(self, client: httpx.Client, dice: random.Random) -> None:
        source, target = self._sets(client, dice, 2)
        body = {"source": source, "target": target, "seed": dice.randrange(1000), **QUICK}
        answer = client.post("/v1/estimates", json=body).json()
        if dice.random() < 0.2:
            client.post(f"/v1/estimates/{answer['id']}/cancel")

    def _evaluate(self, client: httpx.Client, dice: random.Random) -> None:
        done = client.get("/v1/estimates", params={"status": "succeeded"}).json()["data"]
        url = f"/v1/estimates/{dice.choice(done)['id']}/evaluate"
        if dice.random() < 0.5:
            client.post(url, content=npy(normal(6)), headers={"Content-Type": "application/x-npy"})
        else:
            client.post(url, params={"sample_set": self._sets(client, dice, 1)[0]})

    def _batch(self, client: httpx.Client, dice: random.Random) -> None:
        reference, *targets = self._sets(client, dice, 3)
        client.post("/v1/batches", json={"reference": reference, "targets": targets, **QUICK})

    def _delete(self, client: httpx.Client, dice: random.Random) -> None:
        if dice.random() < 0.5:
            client.delete(f"/v1/sample-sets/{self._sets(client, dice, 1)[0]}")
        else:
            done = client.get("/v1/estimates", params={"status": "succeeded"}).json()["data"]
            client.delete(f"/v1/estimates/{dice.choice(done)['id']}")


def strike(server: Server, kind: str, dice: random.Random) -> None:
    """Kill a process of this kind, or all of them."""
    if kind == "all":
        server.kill()
        server.start()
    elif pids := server.pids(kind):
        with contextlib.suppress(ProcessLookupError):
            os.kill(dice.choice(pids), signal.SIGKILL)


KINDS = ["api", "worker", "trainer", "decoder", "evaluator", "all"]


@pytest.mark.slow
def test_after_a_kill_of_each_the_disk_holds_what_the_database_names(own_server: MakeServer) -> None:
    hurt(own_server, KINDS)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_after_many_kills_the_disk_holds_what_the_database_names(own_server: MakeServer) -> None:
    rounds = int(os.environ.get("WDIST_KILL_ROUNDS", "50"))
    hurt(own_server, random.Random(rounds).choices(KINDS, k=rounds))


def hurt(own_server: MakeServer, kinds: list[str]) -> None:
    """Kill one process after the other while clients do everything, and look at what is left in the end."""
    seed = int(os.environ.get("WDIST_KILL_SEED", random.SystemRandom().randrange(1 << 32)))
    sys.stdout.write(f"\nWDIST_KILL_SEED={seed}\n")
    dice = random.Random(seed)
    server = own_server(**SOON)
    for k in range(4):
        server.upload(normal(k))
    with Traffic(server, seed):
        for kind in kinds:
            time.sleep(dice.uniform(0.2, 1.5))
            strike(server, kind, dice)
    deadline = time.monotonic() + 600
    while not server.ready() or unfinished(server):
        assert time.monotonic() < deadline, f"{unfinished(server)} are stuck; {kinds}; {server.log_end()}"
        time.sleep(0.2)
    until_clean(server)


def unfinished(server: Server) -> list[str]:
    jobs = server.rows("SELECT id, status FROM jobs")
    return [identifier for identifier, status in jobs if status not in TERMINAL]
