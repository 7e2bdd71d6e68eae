"""Does the server answer everybody else while one client attacks it?

    .venv/bin/python benchmarks/attacks.py [--only NAME ...] [--seconds 20]

Each attack runs against a `wdist serve` of its own on this machine; that of the frozen bucket needs moto. While it
lasts, two probes ask 20 times a second: `/livez` on new connections, and `GET /v1/sample-sets` with a key on one that
stays open. Printed are the 99th percentiles of both, the most memory of the API process, and what the attacker and the
probes were answered.

Goals: /livez 200 ms, GET 300 ms, 250 MB.

- idle: no attack.
- unread: 1,500 connections that pipeline GETs and never read.
- methods: requests with ever new HTTP methods, without a key.
- parquet: 8 uploads of a Parquet file of about 100 kB with 30 million equal labels.
- levels: the same file, to be split by its levels.
- evaluations: 20 evaluations of 10,000 rows at once, again and again.
- waits: 1,000 estimates submitted with `Prefer: wait=60`.
- streams: 500 listeners to the events of one running estimate.
- strangers: requests with ever new keys that do not exist.
- bodies: JSON bodies of 4 MB.
- frozen: the bucket's server is stopped (SIGSTOP) while 40 clients upload and download.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import multiprocessing
import os
import secrets
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

import httpx
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "service")]
from s3_process import S3Server, s3  # noqa: E402
from service_process import Server, npy  # noqa: E402

GOALS = {"livez": 200.0, "get": 300.0, "memory": 250.0}
_LIMITS = httpx.Limits(max_connections=2000, max_keepalive_connections=2000)


@dataclass
class Target:
    """A running server, and what an attacker with a key knows of it."""

    server: Server
    key: str
    sets: list[str] = field(default_factory=list)
    estimate: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.server.url, headers=self.headers, timeout=120, limits=_LIMITS)


Attack = Callable[[Target, float], Awaitable[str]]


def probe(url: str, headers: dict[str, str], path: str, stays_open: bool, stopping: Event, found: Connection) -> None:
    """Ask the server 20 times a second until told to stop; sends milliseconds, and what came instead of a 200."""
    milliseconds: list[float] = []
    others: list[str] = []
    client = httpx.Client(base_url=url, headers=headers, timeout=30)
    while not stopping.wait(0.05):
        if not stays_open:
            client.close()
            client = httpx.Client(base_url=url, headers=headers, timeout=30)
        started = time.perf_counter()
        try:
            if (answer := client.get(path)).status_code != 200:
                others.append(str(answer.status_code))
        except httpx.HTTPError as error:
            others.append(type(error).__name__)
        milliseconds.append(1000 * (time.perf_counter() - started))
    client.close()
    found.send((milliseconds, others))


class Probe:
    """`probe` in a process of its own: the attacker's work must not slow it down."""

    def __init__(self, target: Target, path: str, *, stays_open: bool) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._found, theirs = spawn.Pipe(duplex=False)
        self._stopping = spawn.Event()
        arguments = (target.server.url, target.headers, path, stays_open, self._stopping, theirs)
        self._process = spawn.Process(target=probe, args=arguments, daemon=True)
        self._process.start()

    def stop(self) -> tuple[float, list[str], int]:
        """The 99th percentile in milliseconds, what came instead of a 200, and the number of requests."""
        self._stopping.set()
        milliseconds, others = self._found.recv()
        self._process.join()
        return float(np.percentile(milliseconds, 99)), others, len(milliseconds)


def memory(pid: int) -> float:
    """Resident megabytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


# --- attacks: each lasts about so many seconds, and says what it did


async def idle(_target: Target, seconds: float) -> str:
    await asyncio.sleep(seconds)
    return ""


async def unread(target: Target, seconds: float) -> str:
    request = f"GET /v1/estimates?limit=100 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {target.key}\r\n\r\n"
    connections: list[socket.socket] = []

    def connect() -> None:
        until = time.monotonic() + seconds
        for _ in range(1500):
            with contextlib.suppress(OSError):
                peer = socket.create_connection(("127.0.0.1", target.server.port), timeout=5)
                connections.append(peer)
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                peer.settimeout(0.2)
                peer.sendall(request.encode() * 100)
            if time.monotonic() > until:
                return
        time.sleep(max(0.0, until - time.monotonic()))

    try:
        await asyncio.to_thread(connect)
    finally:
        for peer in connections:
            peer.close()
    return f"{len(connections)} connections"


async def methods(target: Target, seconds: float) -> str:
    async def send(_number: int, client: httpx.AsyncClient) -> None:
        await client.request(f"X{secrets.token_hex(200)}", "/v1/estimates", headers={"Authorization": ""})

    return await _repeat(target, seconds, 16, send)


async def parquet(target: Target, seconds: float) -> str:
    return await _parquet(target, seconds, "/v1/sample-sets")


async def levels(target: Target, seconds: float) -> str:
    return await _parquet(target, seconds, "/v1/sample-sets/by?by=group")


async def _parquet(target: Target, seconds: float, path: str) -> str:
    body = equal_labels()

    async def send(_number: int, client: httpx.AsyncClient) -> int:
        kind = {"Content-Type": "application/vnd.apache.parquet"}
        return (await client.post(path, content=body, headers=kind)).status_code

    return await _repeat(target, seconds, 8, send)


def equal_labels(rows: int = 30_000_000) -> bytes:
    """A Parquet file of two columns, a label and a number, that are the same in every row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("group", pa.dictionary(pa.int32(), pa.string())), ("x", pa.float64())])
    part = pa.table(
        [
            pa.DictionaryArray.from_arrays(pa.array(np.zeros(1_000_000, np.int32)), pa.array(["a"])),
            pa.array(np.ones(1_000_000)),
        ],
        schema=schema,
    )
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, schema, compression="zstd") as writer:
        for _ in range(rows // 1_000_000):
            writer.write_table(part)
    return buffer.getvalue()


async def evaluations(target: Target, seconds: float) -> str:
    body = npy(np.random.default_rng(0).normal(size=(10_000, 3)).astype(np.float32))

    async def send(_number: int, client: httpx.AsyncClient) -> int:
        return (await client.post(f"/v1/estimates/{target.estimate}/evaluate?gradient=true", content=body)).status_code

    return await _repeat(target, seconds, 20, send)


async def waits(target: Target, seconds: float) -> str:
    source, of = target.sets
    asked = {"Prefer": f"wait={round(seconds)}"}

    async def send(number: int, client: httpx.AsyncClient) -> int:
        options = {"source": source, "target": of, "seed": number, "priority": "low"}
        return (await client.post("/v1/estimates", json=options, headers=asked)).status_code

    return await _repeat(target, seconds, 1000, send)


async def streams(target: Target, seconds: float) -> str:
    estimate = target.server.client.post(
        "/v1/estimates",
        json={"source": target.sets[0], "target": target.sets[1], "steps": 1_000_000, "critic": "groupsort"},
        headers=target.headers,
    ).json()["id"]

    async def listen(_number: int, client: httpx.AsyncClient) -> str:
        with contextlib.suppress(httpx.ReadTimeout, TimeoutError):
            path = f"/v1/estimates/{estimate}/events"
            async with (
                asyncio.timeout(seconds),
                client.stream("GET", path) as answer,
            ):
                async for _ in answer.aiter_lines():
                    pass
        return "stream"

    return await _repeat(target, seconds, 500, listen)


async def strangers(target: Target, seconds: float) -> str:
    async def send(_number: int, client: httpx.AsyncClient) -> int:
        headers = {"Authorization": f"Bearer wd_{secrets.token_urlsafe(32)}"}
        return (await client.get("/v1/estimates", headers=headers)).status_code

    return await _repeat(target, seconds, 64, send)


async def bodies(target: Target, seconds: float) -> str:
    pairs = [{"source": "ss_1", "target": "ss_2", "metadata": {"a": "b" * 100}} for _ in range(25_000)]
    body = json.dumps({"pairs": pairs}).encode()[: (4 << 20) - 1]

    async def send(_number: int, client: httpx.AsyncClient) -> int:
        kind = {"Content-Type": "application/json"}
        return (await client.post("/v1/batches", content=body, headers=kind)).status_code

    return await _repeat(target, seconds, 4, send)


async def transfers(target: Target, seconds: float) -> str:
    """What 40 clients want of the storage: new sets of their own, and stored ones."""

    async def send(number: int, client: httpx.AsyncClient) -> int:
        if number % 2:
            return (await client.get(f"/v1/sample-sets/{target.sets[number % 4 // 2]}/content")).status_code
        body = npy(np.random.default_rng(number).normal(size=(1000, 3)))
        return (await client.post("/v1/sample-sets", content=body)).status_code

    return await _repeat(target, seconds, 40, send)


async def _repeat(
    target: Target, seconds: float, clients: int, send: Callable[[int, httpx.AsyncClient], Awaitable[object]]
) -> str:
    """Have many clients call `send` again and again; returns how often which answer came."""
    until, number = time.monotonic() + seconds, 0
    answers: dict[str, int] = {}

    async def one(client: httpx.AsyncClient) -> None:
        nonlocal number
        while time.monotonic() < until:
            number += 1
            try:
                async with asyncio.timeout(max(1.0, until - time.monotonic() + 5)):
                    answer = str(await send(number, client))
            except (httpx.HTTPError, TimeoutError) as error:
                answer = type(error).__name__
            answers[answer] = answers.get(answer, 0) + 1
            if answer in {"503", "429"}:
                await asyncio.sleep(1)

    async with target.client() as client:
        await asyncio.gather(*(one(client) for _ in range(clients)))
    return ", ".join(f"{count} x {answer}" for answer, count in sorted(answers.items()))


ATTACKS: dict[str, Attack] = {
    each.__name__: each
    for each in (idle, unread, methods, parquet, levels, evaluations, waits, streams, strangers, bodies)
} | {"frozen": transfers}


# --- one attack at a time


@contextlib.contextmanager
def target_of(attack: str, folder: Path) -> Iterator[tuple[Target, S3Server | None]]:
    """A server with a key, two sets and a finished estimate, and the bucket's server, if the attack is about it."""
    with contextlib.ExitStack() as stack:
        environment: dict[str, str | None] = {"WDIST_SERVER_LOG_LEVEL": "warning"}
        frozen = None
        if attack == "frozen":
            frozen = stack.enter_context(s3())
            environment |= {f"WDIST_SERVER_{name.upper()}": value for name, value in frozen.settings().items()}
        server = stack.enter_context(Server(folder / "data", ["--workers", "1"], environment))
        server.client.timeout = httpx.Timeout(120)
        generator = np.random.default_rng(1)
        sets = [server.upload(generator.normal(size=(500, 3)) + shift) for shift in (0.0, 1.0)]
        estimate = server.submit(*sets, steps=50, critic="groupsort")
        server.until_done(estimate)
        made = server.client.post("/v1/api-keys", json={"role": "admin"}).json()
        yield Target(server, made["secret"], sets, estimate), frozen


def under(attack: str, seconds: float) -> dict[str, object]:
    """Run one attack; returns the figures."""
    with tempfile.TemporaryDirectory() as name, target_of(attack, Path(name)) as (target, frozen):
        probes = [
            Probe(target, "/livez", stays_open=False), Probe(target, "/v1/sample-sets", stays_open=True)
        ]  # fmt: skip
        (api,) = target.server.pids("api")
        time.sleep(2)  # until the probes ask
        if frozen is not None:
            frozen.freeze()
        told: list[str] = []
        running = threading.Thread(target=lambda: told.append(asyncio.run(ATTACKS[attack](target, seconds))))
        running.start()
        most = memory(api)
        while running.is_alive():
            most = max(most, memory(api))
            running.join(0.1)
        if frozen is not None:
            frozen.wake()
        livez, get = (each.stop() for each in probes)
        refused = [f"{len(others)} of {count} probes: {', '.join(sorted(set(others)))}" for _, others, count in
                   (livez, get) if others]  # fmt: skip
        return {
            "livez": livez[0], "get": get[0], "memory": most, "told": told[0] if told else "failed",
            "others": "; ".join(refused) or "every probe answered",
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    print(f"{'attack':<12} {'/livez p99':>10} {'GET p99':>8} {'memory':>7}")
    for attack in arguments.only:
        found = under(attack, arguments.seconds)
        missed = [name for name, goal in GOALS.items() if float(str(found[name])) > goal]
        verdict = "reached" if not missed else "NOT reached: " + ", ".join(missed)
        print(
            f"{attack:<12} {found['livez']:7.0f} ms {found['get']:5.0f} ms {found['memory']:4.0f} MB  {verdict}"
            f"  ({found['told']}; {found['others']})",
            flush=True,
        )


if __name__ == "__main__":
    main()
