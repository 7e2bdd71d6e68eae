"""Resumable uploads: with an independent tus client, across crashes and replicas, and against misuse."""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from server_process import files_below, free_port
from service_process import Server, normal, npy
from stores import Stores
from tusclient.client import TusClient

TUS = {"Tus-Resumable": "1.0.0"}
PATCH = {**TUS, "Content-Type": "application/offset+octet-stream"}
BODY = npy(normal(41, rows=3000, columns=8))
PART = 16 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, stores: Stores) -> Iterator[Server]:
    """A server of their own: these tests look at every file in its store, and estimates store files too."""
    data = tmp_path_factory.mktemp("uploads") / "data"
    with Server(data, environment={"WDIST_SERVER_MAX_UPLOAD_BYTES": "2000000", **stores.environment()}) as running:
        yield running


def encoded(**values: str) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())


def begin(server: Server, length: int, **metadata: str) -> str:
    answer = server.client.post(
        "/v1/uploads", headers={**TUS, "Upload-Length": str(length), "Upload-Metadata": encoded(**metadata)}
    )
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


def patch(server: Server, url: str, offset: int, body: bytes, **headers: str) -> httpx.Response:
    return server.client.patch(url, content=body, headers={**PATCH, "Upload-Offset": str(offset), **headers})


def offset(server: Server, url: str) -> int:
    return int(server.client.head(url, headers=TUS).headers["upload-offset"])


def content(server: Server, url: str) -> np.ndarray:
    state = server.client.get(url).json()
    assert state["status"] == "complete", state
    return np.load(io.BytesIO(server.client.get(f"/v1/sample-sets/{state['sample_set']}/content").content))


def leftovers(server: Server) -> list[Path]:
    """Files that no sample set names."""
    named, after = set(), None
    while True:
        page = server.client.get("/v1/sample-sets", params={"limit": 100, **({"after": after} if after else {})}).json()
        named |= {entry["sha256"] for entry in page["data"]}
        if (after := page["next"]) is None:
            break
    files = [path for folder in ("blobs", "incoming") for path in files_below(server.data / folder)]
    return [path for path in files if path.name not in named]


@pytest.mark.both_stores
@pytest.mark.parametrize("checksum", [False, True], ids=["plain", "checksum"])
def test_the_independent_client(server: Server, checksum: bool) -> None:
    rows = normal(42 + checksum, rows=4000, columns=8)
    uploader = TusClient(f"{server.url}/v1/uploads").uploader(
        file_stream=io.BytesIO(npy(rows)),
        chunk_size=30_000,
        metadata={"filename": "rows.npy"},
        upload_checksum=checksum,
    )
    uploader.upload()
    np.testing.assert_array_equal(content(server, uploader.url), rows)
    assert server.client.get(uploader.url).json()["name"] == "rows.npy"
    assert not leftovers(server)


@pytest.mark.both_stores
def test_the_independent_client_resumes(server: Server) -> None:
    rows = normal(44, rows=4000, columns=8)
    client = TusClient(f"{server.url}/v1/uploads")
    first = client.uploader(file_stream=io.BytesIO(npy(rows)), chunk_size=30_000)
    first.upload(stop_at=60_000)
    second = client.uploader(file_stream=io.BytesIO(npy(rows)), chunk_size=30_000, url=first.url)
    assert second.offset == 60_000
    second.upload()
    np.testing.assert_array_equal(content(server, first.url), rows)


def test_other_formats(server: Server) -> None:
    text = b"a,b\n" + b"".join(b"%d,%d\n" % (k, k * k) for k in range(200))
    url = begin(server, len(text), filename="table.csv")
    assert patch(server, url, 0, text[:500]).status_code == 204
    done = patch(server, url, 500, text[500:])
    assert done.status_code == 204
    made = server.client.get(f"/v1/sample-sets/{done.headers['wdist-sample-set']}").json()
    assert (made["columns"], made["shape"]) == (["a", "b"], [200, 2])


def test_protocol_of_a_whole_life(server: Server) -> None:
    abilities = server.client.options("/v1/uploads")
    assert abilities.status_code == 204
    assert abilities.headers["tus-version"] == "1.0.0"
    assert abilities.headers["tus-extension"] == "creation,checksum,expiration,termination"
    assert int(abilities.headers["tus-max-size"]) == 2_000_000
    assert "sha1" in abilities.headers["tus-checksum-algorithm"].split(",")
    url = begin(server, len(BODY), name="life")
    head = server.client.head(url, headers=TUS)
    assert (head.headers["upload-offset"], head.headers["upload-length"]) == ("0", str(len(BODY)))
    assert head.headers["upload-metadata"] == encoded(name="life")
    assert head.headers["cache-control"] == "no-store"
    assert "upload-expires" in head.headers
    part = patch(server, url, 0, BODY[:50_000])
    assert (part.status_code, part.headers["upload-offset"]) == (204, "50000")
    assert part.headers["tus-resumable"] == "1.0.0"
    assert server.client.get(url).json()["status"] == "incomplete"
    last = patch(server, url, 50_000, BODY[50_000:])
    assert last.headers["upload-offset"] == str(len(BODY))
    np.testing.assert_array_equal(content(server, url), np.load(io.BytesIO(BODY)))
    assert server.client.delete(url, headers=TUS).status_code == 204
    assert server.client.head(url, headers=TUS).status_code == 404
    assert server.client.get(f"/v1/sample-sets/{last.headers['wdist-sample-set']}").status_code == 200
    assert not leftovers(server)


def test_requests_that_break_the_protocol(server: Server) -> None:
    post = server.client.post
    length = {"Upload-Length": "100"}
    assert post("/v1/uploads", headers=length).status_code == 412
    old = post("/v1/uploads", headers={**length, "Tus-Resumable": "0.2.2"})
    assert (old.status_code, old.headers["tus-version"]) == (412, "1.0.0")
    assert post("/v1/uploads", headers=TUS).status_code == 422
    assert post("/v1/uploads", headers={**TUS, "Upload-Length": "-1"}).status_code == 422
    assert post("/v1/uploads", headers={**TUS, "Upload-Length": "3000000"}).status_code == 413
    assert post("/v1/uploads", headers={**TUS, **length, "Upload-Metadata": "name ???"}).status_code == 422
    assert post("/v1/uploads", headers={**TUS, **length, "Upload-Metadata": encoded(format="xml")}).status_code == 415
    url = begin(server, len(BODY))
    assert patch(server, url, 5, BODY).status_code == 409
    assert patch(server, url, 0, BODY, **{"Content-Type": "text/plain"}).status_code == 415
    assert patch(server, url, 0, BODY + b"more").status_code == 413
    assert patch(server, url, 0, BODY, **{"Upload-Checksum": "crc32 AAAA"}).status_code == 400
    assert offset(server, url) == 0
    assert server.client.delete(url, headers=TUS).status_code == 204
    assert not leftovers(server)


@pytest.mark.both_stores
def test_a_wrong_checksum_counts_for_nothing(server: Server) -> None:
    url = begin(server, len(BODY))
    good = base64.b64encode(hashlib.sha256(BODY[:1000]).digest()).decode()
    assert patch(server, url, 0, BODY[:999] + b"!", **{"Upload-Checksum": f"sha256 {good}"}).status_code == 460
    assert offset(server, url) == 0
    assert patch(server, url, 0, BODY[:1000], **{"Upload-Checksum": f"sha256 {good}"}).status_code == 204
    assert offset(server, url) == 1000
    server.client.delete(url, headers=TUS)
    assert not leftovers(server)


def test_method_override(server: Server) -> None:
    url = begin(server, len(BODY))
    override = {**PATCH, "X-HTTP-Method-Override": "PATCH", "Upload-Offset": "0"}
    assert server.client.post(url, content=BODY[:1000], headers=override).headers["upload-offset"] == "1000"
    assert server.client.post(url, headers={**TUS, "X-HTTP-Method-Override": "DELETE"}).status_code == 204
    assert server.client.head(url, headers=TUS).status_code == 404


def test_what_can_never_be_a_sample_set_is_refused_at_its_first_bytes(server: Server) -> None:
    url = begin(server, 1_000_000)
    refused = patch(server, url, 0, b"<html>" + bytes(60_000))
    assert refused.status_code == 422
    state = server.client.get(url).json()
    assert state["status"] == "failed"
    assert "not a .npy" in state["error"]["message"]
    assert patch(server, url, 0, BODY).status_code == 410
    wrong = begin(server, len(BODY) + 1)
    assert "Upload-Length" in patch(server, wrong, 0, BODY).json()["detail"]
    assert not leftovers(server)


def test_values_that_cannot_be_used_are_refused_at_the_end(server: Server) -> None:
    rows = normal(45)
    rows[17, 1] = np.nan
    body = npy(rows)
    url = begin(server, len(body))
    assert patch(server, url, 0, body[:1000]).status_code == 204
    refused = patch(server, url, 1000, body[1000:])
    assert refused.status_code == 422
    assert "row 17, column 1" in refused.json()["detail"]
    assert not leftovers(server)


def open_patch(server: Server, url: str, at: int, length: int) -> http.client.HTTPConnection:
    """A PATCH whose headers are sent and whose body is not."""
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(server.url).port, timeout=30)
    connection.putrequest("PATCH", url)
    for name, value in {**PATCH, "Upload-Offset": str(at), "Content-Length": str(length)}.items():
        connection.putheader(name, value)
    connection.endheaders()
    return connection


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_broken_line_keeps_what_came(server: Server) -> None:
    url = begin(server, len(BODY))
    connection = open_patch(server, url, 0, len(BODY))
    connection.send(BODY[:40_000])
    time.sleep(0.3)
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()
    until(lambda: offset(server, url) == 40_000)
    assert patch(server, url, 40_000, BODY[40_000:]).status_code == 204
    np.testing.assert_array_equal(content(server, url), np.load(io.BytesIO(BODY)))


@pytest.mark.both_stores
def test_only_one_request_may_add_at_a_time(server: Server) -> None:
    url = begin(server, len(BODY))
    first = open_patch(server, url, 0, len(BODY))
    first.send(BODY[:10])
    time.sleep(0.5)
    second = patch(server, url, 0, BODY)
    assert second.status_code == 423
    assert int(second.headers["retry-after"]) >= 1
    first.send(BODY[10:])
    assert first.getresponse().status == 204
    first.close()
    np.testing.assert_array_equal(content(server, url), np.load(io.BytesIO(BODY)))


@pytest.fixture
def replica(own_server: Callable[..., Server], stores: Stores) -> Iterator[tuple[Server, Server]]:
    """Two API processes on one database and one storage, each of which may die; with S3 on two hosts."""
    server = own_server("--workers", "0", lease_seconds="2")
    port = free_port()
    listener = socket.create_server(("127.0.0.1", port))
    listener.set_inheritable(True)
    data = server.data.with_name("other host") if stores.are_shared else server.data
    environment = server.replica(data, lease_seconds="2").environment
    process = subprocess.Popen(
        [sys.executable, "-m", "wdist_service.processes.api", str(listener.fileno())],
        env=environment, pass_fds=[listener.fileno()],
    )  # fmt: skip
    other = Server(data)
    other.client, other.url, other.process = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30), "", process
    until(lambda: httpx.get(f"http://127.0.0.1:{port}/livez", timeout=30).status_code == 200)
    yield server, other
    other.client.close()
    process.terminate()
    process.wait(30)
    listener.close()


@pytest.mark.both_stores
def test_another_replica_continues_after_a_crash(replica: tuple[Server, Server]) -> None:
    one, other = replica
    rows = np.random.default_rng(9).normal(size=(1_200_000, 5)).astype(np.float32)  # 24 MB: one whole part and more
    body = npy(rows)
    url = begin(one, len(body))
    connection = open_patch(one, url, 0, len(body))
    connection.send(body[: PART + 2_000_000])
    until(lambda: offset(other, url) >= PART)
    one.signal("api", signal.SIGKILL)
    connection.close()
    safe = offset(other, url)
    assert safe >= PART
    # The dead request's lock lapses by itself, on the database's clock.
    answer = patch(other, url, safe, body[safe:])
    while answer.status_code == 423:
        time.sleep(0.5)
        answer = patch(other, url, safe, body[safe:])
    assert answer.status_code == 204
    np.testing.assert_array_equal(content(other, url), rows)


def test_a_frozen_request_that_lost_its_lock_changes_nothing(replica: tuple[Server, Server]) -> None:
    one, other = replica
    url = begin(one, len(BODY))
    connection = open_patch(one, url, 0, 30_000)
    connection.send(BODY[:20_000])
    time.sleep(0.5)
    (pid,) = one.pids("api")
    os.kill(pid, signal.SIGSTOP)
    until(lambda: patch(other, url, 0, BODY[:5_000]).status_code == 204, seconds=30)
    os.kill(pid, signal.SIGCONT)
    connection.send(BODY[20_000:30_000])
    assert connection.getresponse().status == 423
    connection.close()
    assert offset(other, url) == 5_000
    assert patch(other, url, 5_000, BODY[5_000:]).status_code == 204
    np.testing.assert_array_equal(content(other, url), np.load(io.BytesIO(BODY)))


def held(one: Server, other: Server, opened: ExitStack) -> tuple[str, http.client.HTTPConnection]:
    """An upload, and the silent request at `one` that was seen to hold its lock."""
    for _ in range(10):  # on a machine that stood still for a lease, `other` takes the lock at its first look
        url = begin(one, len(BODY))
        connection = opened.enter_context(closing(open_patch(one, url, 0, 30_000)))
        connection.send(BODY[:20_000])
        for _ in range(20):
            if patch(other, url, 0, b"").status_code == 423:
                return url, connection
            time.sleep(0.05)
    raise AssertionError("no request held its lock")


def test_a_silent_request_goes_on_unless_another_one_came(replica: tuple[Server, Server]) -> None:
    one, other = replica
    with ExitStack() as opened:
        (lost, first), (kept, second) = held(one, other, opened), held(one, other, opened)
        until(lambda: patch(other, lost, 0, b"").status_code == 204)  # an empty one changes nothing
        time.sleep(5)  # more than a lease, for the second one too
        for connection in (first, second):
            connection.send(BODY[20_000:30_000])
        assert [connection.getresponse().status for connection in (first, second)] == [423, 204]
        assert [offset(other, url) for url in (lost, kept)] == [0, 30_000]


@pytest.mark.local_stores
def test_expired_uploads_are_forgotten(own_server: Callable[..., Server]) -> None:
    server = own_server("--workers", "0", upload_expiry_seconds="1")
    url = begin(server, len(BODY))
    assert patch(server, url, 0, BODY[:50_000]).status_code == 204
    assert leftovers(server)
    time.sleep(1.2)
    assert server.client.head(url, headers=TUS).status_code == 410
    begin(server, 100)
    assert not leftovers(server)
    assert server.client.head(url, headers=TUS).status_code == 404
