"""Peers that do not read, do not end, or are too many: others are served, and nobody holds a place for ever."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from s3_process import S3Server
from service_process import Server, is_alive, normal, npy

GET = b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
LARGE_ROWS = 400_000  # 4.8 MB


@contextlib.contextmanager
def connections(server: Server, number: int, data: bytes = b"") -> Iterator[list[socket.socket]]:
    """Connections that send this and read nothing."""
    made = []
    try:
        for _ in range(number):
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
            made.append(connection)
            with contextlib.suppress(OSError):
                connection.sendall(data)
        yield made
    finally:
        for connection in made:
            connection.close()


@pytest.fixture(scope="module")
def brisk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that soon loses patience."""
    settings = {"WRITE_TIMEOUT": "3", "HEADER_TIMEOUT": "1"}
    environment = {f"WDIST_SERVER_{name}_SECONDS": value for name, value in settings.items()}
    with Server(tmp_path_factory.mktemp("brisk") / "data", ("--workers", "0"), environment) as running:
        yield running


def is_cut(connection: socket.socket) -> bool:
    """Whether the server has ended the connection; reads away what was on its way."""
    connection.setblocking(False)
    try:
        while connection.recv(1 << 20):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def until(condition: Callable[[], bool], seconds: float) -> float:
    """Seconds until the condition holds."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds
        time.sleep(0.1)
    return time.monotonic() - started


def held(server: Server) -> int:
    """Sockets and stored files that the API process has open."""
    (api,) = server.pids("api")
    found = []
    for descriptor in Path(f"/proc/{api}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(descriptor.readlink()))
    return sum(name.startswith("socket:") or "/blobs/" in name for name in found)


def cuts(server: Server, reason: str) -> float:
    line = f'wdist_http_connections_cut_total{{reason="{reason}"}} '
    (found,) = [text for text in server.client.get("/metrics").text.splitlines() if text.startswith(line)]
    return float(found.removeprefix(line))


def test_who_does_not_read_is_cut_and_who_reads_slowly_is_not(brisk: Server) -> None:
    large = brisk.upload(normal(1, rows=LARGE_ROWS))
    download = GET % f"/v1/sample-sets/{large}/content".encode()
    before, cut = held(brisk), cuts(brisk, "unread")
    with (
        connections(brisk, 5, download) as unread,
        connections(brisk, 5, (GET % b"/openapi.json") * 50) as pipelined,
        connections(brisk, 1, download) as slow,
    ):
        got, started = 0, time.monotonic()
        while time.monotonic() - started < 9:  # three times as long as a client may take nothing
            got += len(slow[0].recv(8192))
            time.sleep(0.05)
        assert got > 3 * 1024 * 9
        while block := slow[0].recv(1 << 20):
            got += len(block)
            if got > LARGE_ROWS * 12:
                break
        assert got > LARGE_ROWS * 12, "a client that reads slowly gets all of it"
        assert cuts(brisk, "unread") - cut == len(unread) + len(pipelined)
        until(lambda: held(brisk) <= before + 1, 5)  # the slow one


def test_a_listener_to_nothing_is_not_cut(brisk: Server) -> None:
    job = brisk.submit(brisk.upload(normal(1)), brisk.upload(normal(2)))
    with connections(brisk, 1, GET % f"/v1/estimates/{job}/events".encode()) as (listener,):
        time.sleep(4)
        assert not is_cut(listener)
        brisk.client.post(f"/v1/estimates/{job}/cancel")
        listener.setblocking(True)
        listener.settimeout(10)
        answer = b""
        while b"event: completed" not in answer:
            answer += listener.recv(65536)


def test_a_body_that_nobody_reads_does_not_hold_its_connection(brisk: Server) -> None:
    endless = b"POST /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connections(brisk, 1, endless) as (sender,):
        assert b" 405 " in sender.recv(65536)
        with contextlib.suppress(OSError):  # broken pipe or reset, as it happens
            for _ in range(75):
                sender.sendall(b"1\r\nx\r\n")
                time.sleep(0.2)
            pytest.fail("the connection still holds after 15 s")


def test_a_full_server_makes_room_or_says_so_and_lives(own_server: Callable[..., Server]) -> None:
    server = own_server("--workers", "0", max_connections="20", header_timeout_seconds="60")
    server.client.close()  # its connection would be one of them
    with connections(server, 30, GET[:-2] % b"/livez") as unfinished:
        time.sleep(1.5)
        assert httpx.get(f"{server.url}/v1/estimates").status_code == 200  # who has been idle longest makes room
        assert sum(is_cut(connection) for connection in unfinished) > 0
    with connections(server, 20, GET % b"/livez") as kept:
        time.sleep(1.5)
        assert [httpx.get(f"{server.url}/v1/estimates").status_code for _ in range(3)] == [200] * 3
        assert sum(is_cut(connection) for connection in kept) >= 1


def test_a_server_full_of_busy_clients_answers_503_and_lives(own_server: Callable[..., Server]) -> None:
    server = own_server("--workers", "0", max_connections="10")
    job = server.submit(server.upload(normal(1)), server.upload(normal(2)))
    server.client.close()
    with connections(server, 10, GET % f"/v1/estimates/{job}/events".encode()) as listeners:
        for listener in listeners:
            assert listener.recv(100)
        refused = httpx.get(f"{server.url}/v1/estimates")
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert refused.headers["content-type"] == "application/problem+json"
        with connections(server, 200):  # more than the reserve
            for _ in range(5):
                assert httpx.get(f"{server.url}/livez").status_code == 200
        assert not any(is_cut(listener) for listener in listeners)
    until(lambda: httpx.get(f"{server.url}/v1/estimates").status_code == 200, 10)


def test_one_caller_with_many_listeners_does_not_shut_others_out(own_server: Callable[..., Server]) -> None:
    server = own_server("--workers", "0", max_connections="10")
    made = server.client.post("/v1/api-keys", json={"role": "admin"}).json()["secret"]
    server.client.headers["Authorization"] = f"Bearer {made}"
    other = server.client.post("/v1/api-keys", json={"tenant": "other"}).json()["secret"]
    job = server.submit(server.upload(normal(1)), server.upload(normal(2)))
    server.client.close()
    listen = f"GET /v1/estimates/{job}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {made}\r\n\r\n"
    with connections(server, 10, listen.encode()) as listeners:
        for listener in listeners:
            assert listener.recv(100)

        def ask(key: str) -> int:
            return httpx.get(f"{server.url}/v1/estimates", headers={"Authorization": f"Bearer {key}"}).status_code

        assert ask(made) == 503
        assert [ask(other) for _ in range(5)] == [200] * 5
        assert sum(is_cut(listener) for listener in listeners) <= 5, "they get places, and no more"
        with connections(server, 10, GET % b"/livez"):
            assert [ask(other) for _ in range(3)] == [200] * 3


def test_bodies_that_do_not_go_on_take_little_memory(own_server: Callable[..., Server]) -> None:
    server = own_server("--workers", "0")
    (api,) = server.pids("api")

    def megabytes() -> float:
        return int(Path(f"/proc/{api}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    head = b"POST /v1/sample-sets?format=csv HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n"
    before = most = megabytes()
    with connections(server, 300, head + b"1,2\n" * 240_000):
        until = time.monotonic() + 5
        while time.monotonic() < until:
            most = max(most, megabytes())
            time.sleep(0.05)
        assert server.client.get("/livez").status_code == 200
    assert most - before < 100, "of the 288 MB that have come"


def test_a_flood_of_pipelined_requests_does_not_delay_others(brisk: Server) -> None:
    with connections(brisk, 150, (GET % b"/v1/estimates") * 200):
        waited = []
        for _ in range(20):
            started = time.monotonic()
            assert brisk.client.get("/v1/estimates").status_code == 200
            waited.append(time.monotonic() - started)
        assert sorted(waited)[10] < 0.5, waited  # all 30,000 take a minute


@pytest.mark.slow
def test_the_server_ends_in_time_whatever_its_clients_do(own_server: Callable[..., Server]) -> None:
    server = own_server("--workers", "1")
    large = server.upload(normal(1, rows=LARGE_ROWS))
    pair = server.upload(normal(2)), server.upload(normal(3))
    job = server.submit(*pair, steps=1_000_000)
    server.until_training(job)
    head = b"POST /v1/sample-sets HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n\x93NUMPY"
    body = b'{"source":"%s","target":"%s"}' % tuple(name.encode() for name in pair)
    waiting = (
        b"POST /v1/estimates HTTP/1.1\r\nHost: 127.0.0.1\r\nPrefer: wait=60\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    (trainer,) = server.pids("trainer")
    with (
        connections(server, 20, GET % f"/v1/sample-sets/{large}/content".encode()),
        connections(server, 20, (GET % b"/openapi.json") * 20),
        connections(server, 20, GET % f"/v1/estimates/{job}/events".encode()),
        connections(server, 20, head),
        connections(server, 5, waiting),
        connections(server, 20),
    ):
        time.sleep(1)
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 8
    assert not is_alive(trainer)
    assert "Traceback" not in server.log.read_text()
    server.start()
    server.until_training(job, attempt=2)


@pytest.mark.shared_stores
def test_the_server_ends_in_time_and_without_a_word_while_its_bucket_is_silent(
    own_server: Callable[..., Server], s3_server: S3Server
) -> None:
    server = own_server("--workers", "0")
    body = npy(normal(1))
    head = b"POST /v1/sample-sets HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % len(body)
    s3_server.freeze()
    try:
        with connections(server, 10, head + body):
            time.sleep(1)
            started = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - started < 8
    finally:
        s3_server.wake()
    assert "Traceback" not in server.log.read_text()


ODD_REQUESTS = {
    "1.0": b"GET /livez HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n",
    "1.0 kept": b"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\nHost: 127.0.0.1\r\n\r\n",
    "2.0": b"GET /livez HTTP/2.0\r\nHost: 127.0.0.1\r\n\r\n",
    "absolute": b"GET http://127.0.0.1/livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "authority": b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "method": b"BREW /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "long method": b"A" * 20_000 + b" /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "lower case": b"get /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "no slash": b"GET livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "two slashes": b"GET //livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: b\r\n\r\n",
    "not ASCII": "GET /ü HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode(),
    "many headers": b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"a: b\r\n" * 4_000 + b"\r\n",
    "expect": b"POST /v1/estimates HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    "expect what": b"POST /v1/estimates HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: tea\r\nContent-Length: 2\r\n\r\n{}",
    "trailers": b"POST /v1/estimates HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n"
    b"2;name=value\r\n{}\r\n0\r\nx: 1\r\nContent-Length: 5\r\n\r\n",
    "many trailers": b"POST /v1/estimates HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\n{}\r\n0\r\n" + b"x: 1\r\n" * 20_000 + b"\r\n",
    "both lengths": b"POST /v1/estimates HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "gzip chunks": b"POST /v1/estimates HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    b"0\r\n\r\n",
    "upgrade": b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
    "websocket": b"GET /v1/estimates HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
}  # fmt: skip
ALIVE = {"1.0", "1.0 kept", "2.0", "upgrade", "absolute", "many headers"}


@pytest.mark.parametrize("case", ODD_REQUESTS)
def test_odd_requests_are_answered(server: Server, case: str) -> None:
    answer = b""
    with connections(server, 1, ODD_REQUESTS[case]) as (connection,), contextlib.suppress(OSError):
        connection.settimeout(10)
        while b"\r\n\r\n" not in (final := answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")):
            block = connection.recv(65536)
            answer += block or b"HTTP/1.1 400 closed\r\n\r\n"
    status = int(final.split(b" ", 2)[1]) if final else 400  # reset before the answer was read
    if case in ALIVE:
        assert status == 200, answer
    else:
        assert 400 <= status < 500 or case == "websocket", answer
    assert server.client.get("/livez").status_code == 200


def test_labels_of_metrics_are_not_the_caller_s(brisk: Server) -> None:
    brisk.client.request("GET", "/metrics")
    before = len(brisk.client.get("/metrics").text.splitlines())
    for number in range(300):
        brisk.client.request(f"M{number}", f"/v1/estimates/{number}")
        brisk.client.request("GET", f"/{number}")
    text = brisk.client.get("/metrics").text
    assert len(text.splitlines()) - before < 60, "each new set of labels is a series for ever"
    other = [line for line in text.splitlines() if line.startswith('wdist_http_requests_total{method="other"')]
    assert sum(float(line.rpartition(" ")[2]) for line in other) == 300
    assert "M299" not in text


def test_what_a_peer_can_cause_does_not_fill_the_log(brisk: Server) -> None:
    for _ in range(300):
        with connections(brisk, 1, b"\x16\x03\x01\r\n\r\n") as (connection,):
            connection.recv(10)
    lines = [line for line in brisk.log.read_text().splitlines() if "Invalid HTTP request" in line]
    assert 20 <= len(lines) < 60
    time.sleep(1.2)
    with connections(brisk, 1, b"\x16\x03\x01\r\n\r\n") as (connection,):
        connection.recv(10)
    assert brisk.log.read_text().count('"left_out"') >= 1
