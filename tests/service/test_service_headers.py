"""Every request header that the server reads, with odd values, on every operation: an answer, and never a 500."""

from __future__ import annotations

import base64
import itertools
import random
import socket

import pytest
from service_process import Server, normal, npy

READ = (
    "Accept", "Accept-Encoding", "Authorization", "Content-Digest", "Content-Encoding", "Content-Type", "Cookie",
    "Date", "Expect", "Forwarded", "From", "Host", "Idempotency-Key", "If-Match", "If-Modified-Since",
    "If-None-Match", "If-Range", "If-Unmodified-Since", "Last-Event-ID", "Origin", "Prefer", "Range", "Referer",
    "Repr-Digest", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "TE", "Traceparent", "Tus-Resumable",
    "Upgrade", "Upload-Checksum", "Upload-Concat", "Upload-Defer-Length", "Upload-Length", "Upload-Metadata",
    "Upload-Offset", "User-Agent", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Prefix", "X-Forwarded-Proto",
    "X-HTTP-Method-Override", "X-Request-Id",
)  # fmt: skip
LONG = b"9" * 5_000  # more digits than int() takes
VALUES = (
    b"", b" ", b"\xff\xfe", "\u00fc".encode(), b"0", b"-1", b"1.0.0", LONG, b"9" * 19, b"1e999", "\u0663".encode(),
    b"nan", b"[", b"http://[", b"http://[::1", b"//", b"http://\xb2/", b"http://a:99999999/", b"[::1]:x",
    b"a" * 8_000, b",", b"," * 3_000, b";", b"=", b'"', b"'", b"%00", b"%ff", b"a b", b"a =", b"a " + b"=" * 9,
    b"a " + base64.b64encode(b"\xff\0"), b"name AA==", b"format " + base64.b64encode(b"parquet"),
    b"filename " + base64.b64encode(b"../x.csv"), b"bytes=", b"bytes=0-", b"bytes=-0", b"bytes=9-1",
    b"bytes=-" + LONG, b"bytes=" + b"0-0," * 1_000 + b"1-", b"rows=1-2", b"wait=" + LONG, b"wait=", b"wait",
    b"wait=0, wait=x", b"sha1 =", b"md5 AA==", b"sha-256=:=:", b"sha-256=:" + b"A" * 62 + b"=:", b"Bearer",
    b"Bearer ", b"Bearer \xff", b"Basic Og==", b"text/csv; charset=\xff", b"multipart/form-data",
    b"application/json;", b"multipart/form-data; boundary=" + b"x" * 999, b"application/offset+octet-stream",
    b"final;/v1/uploads/a", b"DELETE", b"HEAD", b"Mon, 99 Foo 0000 99:99:99 GMT", b"W/", b'W/"a", *', b"gzip",
    b"identity, br", b"h2c", b"00-0-0-0",
)  # fmt: skip
ALWAYS = {"Tus-Resumable": b"1.0.0", "Upload-Length": b"10", "Upload-Offset": b"0"}


def operations(server: Server) -> list[tuple[str, str, bytes]]:
    """(method, path, body) of every operation, on things that exist where that is possible."""
    first, second = server.upload(normal(1)), server.upload(normal(2))
    estimate = server.submit(first, second, steps=5)
    upload = server.client.post("/v1/uploads", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "10"}).headers
    batch = server.client.post("/v1/batches", json={"pairs": [{"source": first, "target": second}]}).json()["id"]
    ids = {"sample_set_id": first, "estimate_id": estimate, "upload_id": upload["location"].rpartition("/")[2]}
    ids |= {"batch_id": batch, "name": "main.js"}
    found = []
    for path, methods in server.client.get("/openapi.json").json()["paths"].items():
        for name in ids:
            path = path.replace(f"{{{name}}}", ids[name])
        bodies = {"post": npy(normal(3)) if path == "/v1/sample-sets" else b"{}", "patch": b"", "put": b"{}"}
        found += [(method.upper(), path, bodies.get(method, b"")) for method in methods]
    return found


def exchange(port: int, request: bytes) -> bytes:
    """How the answer begins, on a connection of its own: some requests leave theirs unusable."""
    with socket.create_connection(("127.0.0.1", port), timeout=90) as connection:
        connection.sendall(request)
        answer = connection.recv(200)
        return answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n") or connection.recv(200)


@pytest.mark.parametrize("number", [8, pytest.param(400, marks=pytest.mark.slow)])
def test_no_header_is_too_odd(server: Server, number: int) -> None:
    pairs = list(itertools.product(READ, VALUES))
    rng = random.Random(3)
    for method, path, body in operations(server):
        for name, value in rng.sample(pairs, number):
            headers = {"Host": b"127.0.0.1", "Connection": b"close", **ALWAYS, name: value}
            lines = [b"%s: %s\r\n" % (key.encode(), text) for key, text in headers.items()]
            lines.append(b"Content-Length: %d\r\n" % len(body))
            request = b"%s %s HTTP/1.1\r\n%s\r\n%s" % (method.encode(), path.encode(), b"".join(lines), body)
            head = exchange(server.port, request)
            assert 200 <= int(head.split(b" ", 2)[1]) < 500, (method, path, name, value[:100], head)


UPLOADS = (
    ("POST", "/v1/sample-sets"), ("POST", "/v1/sample-sets/by?by=a"), ("POST", "/v1/uploads"),
    ("PATCH", "/v1/uploads/up_x"), ("POST", "/v1/uploads/up_x"), ("POST", "/v1/estimates/est_x/evaluate"),
    ("POST", "/v1/estimates"), ("POST", "/v1/batches"),
)  # fmt: skip


@pytest.mark.parametrize(("method", "path"), UPLOADS)
def test_compressed_bodies_are_refused_everywhere(server: Server, method: str, path: str) -> None:
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "10", "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    for coding in ("gzip", "identity, br", "x-unknown"):
        answer = server.client.request(method, path, headers={**tus, "Content-Encoding": coding}, content=b"\x1f\x8b")
        assert answer.status_code == 415, answer.text
        assert answer.headers["accept-encoding"] == "identity"
        assert "send the bytes as they are" in answer.json()["detail"]
    plain = server.client.request(method, path, headers={**tus, "Content-Encoding": "identity"}, content=b"x")
    assert "Content-Encoding" not in plain.text


@pytest.mark.parametrize("header", ["Upload-Concat", "Upload-Defer-Length"])
@pytest.mark.parametrize(("method", "path"), UPLOADS[2:5])
def test_extensions_of_tus_that_are_not_here_are_refused(server: Server, method: str, path: str, header: str) -> None:
    before = server.client.get("/v1/sample-sets").json()
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "10", "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    for value in ("partial", "final;/v1/uploads/a /v1/uploads/b", "1"):
        answer = server.client.request(method, path, headers={**headers, header: value})
        assert answer.status_code == 400, answer.text
        assert answer.json()["errors"][0]["field"] == header
        assert answer.headers["tus-resumable"] == "1.0.0"
    assert server.client.get("/v1/sample-sets").json() == before
