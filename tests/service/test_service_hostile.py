"""What a network sends that no client would: floods, drops, half requests; and what never appears in logs."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import socket
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
from server_process import paths_below
from service_process import Server, normal, npy


def raw(server: Server, data: bytes, seconds: float = 5) -> bytes:
    """Everything that the server answers to these bytes until it closes or says nothing more."""
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port), timeout=seconds) as connection:
        connection.sendall(data)
        answer = b""
        try:
            while block := connection.recv(65536):
                answer += block
        except (TimeoutError, ConnectionResetError):  # answered and closed before all was read, or still waiting
            pass
        return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


HALF = {
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "endless header": b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 200_000,
    "header flood": b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
    "endless path": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    "two lengths": b"POST /v1/estimates HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "length and chunks": b"POST /v1/estimates HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    "bad chunk": b"POST /v1/estimates HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nhello",
    "folded": b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n X-Folded: 1\r\n\r\n",
}


@pytest.mark.parametrize("case", HALF)
def test_broken_requests_get_an_answer_or_a_closed_line(server: Server, case: str) -> None:
    answer = raw(server, HALF[case], seconds=1.5)
    if answer:
        assert 400 <= status(answer) < 500, answer[:300]
    assert server.client.get("/livez").status_code == 200


def test_a_broken_request_is_answered_as_a_problem(server: Server) -> None:
    answer = raw(server, HALF["two lengths"])
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == 400


def test_a_large_body_ends_where_its_length_says(server: Server) -> None:
    body = npy(normal(8, rows=40_000))
    head = f"POST /v1/sample-sets HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    last = b"GET /version HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    answer = b""
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port), timeout=20) as connection:
        sent = head + body + head + body + last  # three requests, cut where it happens
        for start in range(0, len(sent), 70_001):
            connection.sendall(sent[start : start + 70_001])
        while block := connection.recv(65536):
            answer += block
    assert answer.count(b"HTTP/1.1 20") == 3, answer[:2000]
    assert answer.count(f'"sha256":"{hashlib.sha256(body).hexdigest()}"'.encode()) == 2
    assert b'"api":"v1"' in answer


@pytest.mark.both_stores
def test_text_that_a_database_may_refuse(server: Server, pair: tuple[str, str]) -> None:
    both = {"source": pair[0], "target": pair[1]}
    post = server.client.post
    assert post("/v1/estimates", json={**both, "source": "ss_\0"}).status_code == 422
    assert post("/v1/batches", json={"pairs": [{**both, "target": "ss_\0"}]}).status_code == 422
    assert post("/v1/estimates", json={**both, "groups": dict.fromkeys(pair, "ss_\0")}).status_code == 422
    assert post("/v1/estimates", json={**both, "metadata": {"a": "\0"}}).status_code == 422
    assert post("/v1/estimates", json={**both, "metadata": {"\0": "a"}}).status_code == 422
    assert post("/v1/batches", json={"pairs": [{**both, "custom_id": "\0"}]}).status_code == 422
    assert post("/v1/sample-sets?name=%00", content=npy(normal(1))).status_code == 422
    assert server.client.get("/v1/estimates?metadata=a%3A%00").status_code in (200, 422)
    surrogate = b'{"source": "\\ud800", "target": "x"}'
    answer = post("/v1/estimates", content=surrogate, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text


@pytest.mark.both_stores
def test_paths_and_queries_that_are_not_text(server: Server) -> None:
    for path in (
        b"/v1/estimates/%00",
        b"/v1/estimates/%ff%fe",
        b"/v1/sample-sets?name=%00",
        b"/v1/estimates?after=%ff",
    ):
        answer = raw(server, b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert 400 <= status(answer) < 500 or path.startswith(b"/v1/sample-sets"), (path, answer[:200])


def test_slow_headers_and_bodies_are_given_up(own_server: Callable[..., Server]) -> None:
    server = own_server("--workers", "0", body_timeout_seconds="1", header_timeout_seconds="1")
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port), timeout=20) as slow:
        slow.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        started = time.monotonic()
        assert slow.recv(100) == b""
        assert 0.8 < time.monotonic() - started < 10

    def drops():
        yield b"\x93NUMPY"
        for _ in range(7):  # never a pause of a second, and never a kilobyte
            time.sleep(0.3)
            yield b"\x01"

    started = time.monotonic()
    answer = httpx.post(f"{server.url}/v1/sample-sets", content=drops(), timeout=20)
    assert answer.status_code == 408
    assert time.monotonic() - started < 10


def test_answers_carry_security_headers(server: Server) -> None:
    for path in ("/v1/estimates", "/livez", "/nothing"):
        headers = server.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers
    preflight = server.client.options(
        "/v1/estimates", headers={"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    )
    assert preflight.status_code in (403, 405)


def test_secrets_stay_out_of_logs_and_errors(own_server: Callable[..., Server], tmp_path: Path) -> None:
    bootstrap = tmp_path / "key"
    bootstrap.write_text("wd_" + "bootstrapsecret" * 3)
    server = own_server("--workers", "0", bootstrap_key_file=str(bootstrap), log_level="debug")
    key = bootstrap.read_text()
    wrong = "wd_wrongwrongwrongwrongwrongwrong"
    ask = server.client.request
    answers = [
        ask("GET", "/v1/sample-sets", headers={"Authorization": f"Bearer {wrong}"}),
        ask("GET", f"/v1/{wrong}/x", headers={"Authorization": f"Bearer {key}"}),
        ask("POST", "/v1/sample-sets", headers={"Authorization": f"Bearer {key}"}, content=npy(normal(1))),
        ask("POST", "/v1/estimates", headers={"Authorization": f"Bearer {key}"}, json={"source": 5}),
        ask("POST", "/v1/api-keys", headers={"Authorization": f"Bearer {key}"}, json={"name": "second"}),
        ask("GET", "/v1/sample-sets", headers={"Authorization": f"Basic {key}"}),
        ask("GET", "/v1/sample-sets", headers={"Authorization": key}),
    ]
    made = answers[4].json()["secret"]
    hashed_with = (server.data / "secret").read_text().strip()
    assert [answer.status_code for answer in answers] == [401, 404, 201, 422, 201, 401, 401]
    log = server.log.read_text()
    for secret in (key, made, hashed_with):
        assert secret not in log
        assert all(secret not in answer.text for answer in answers if answer is not answers[4])
    assert oct((server.data / "secret").stat().st_mode & 0o777) == "0o600"


def hostile_request(rng: random.Random) -> tuple[str, str, dict[str, object]]:
    """One request that nobody should send."""
    deep = "[" * rng.choice([10, 1000, 50_000])
    word = rng.choice(
        ["a" * 10_000, "\U0001f4a5" * 300, "../../etc/passwd", "' OR 1=1 --", "\\u0000", "-1", "NaN", "1e999"]
    )
    paths = [
        "/v1/estimates", "/v1/sample-sets", "/v1/batches", "/v1/api-keys", "/v1/uploads", "/v1/estimates/0.1",
        "/v1/batches/batch_x/matrix", "/v1/estimates/est_x/evaluate", "/v1/estimates/est_x/events", "/v1/none", "/",
        "/v1/estimates/est_x/certificate", "/v1/uploads/up_x",
    ]  # fmt: skip
    method = rng.choice(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
    bodies: list[bytes] = [
        deep.encode(), b"{", b"null", b"[]", json.dumps({"source": word, "target": [word]}).encode(), os.urandom(50),
        json.dumps({word[:40]: {word[:40]: 1}}).encode(), b'{"source":"a","source":1e400}', b"\x93NUMPY" + bytes(30),
        json.dumps({"matrix": [word[:60], word[:60] + "b"], "confidence": 10**400}).encode(), b"",
    ]  # fmt: skip
    headers = {
        "Content-Type": rng.choice(["application/json", "text/csv", "x", "application/octet-stream", "a/b;" * 50]),
        "Tus-Resumable": rng.choice(["1.0.0", "x"]),
        "Upload-Length": rng.choice(["1", "-1", "99999999999999999999", "x"]),
        "Upload-Offset": rng.choice(["0", "x"]),
        "Range": rng.choice(["bytes=0-", "bytes=9-1", "x"]),
        "Prefer": "wait=" + rng.choice(["0", "-5", "x"]),
        "Last-Event-ID": rng.choice(["x", "-1", "9" * 30]),
        "If-None-Match": '"' * rng.randint(1, 30),
    }
    query = {rng.choice(["limit", "after", "status", "name", "format", "sha256", "q"]): word[:2000]}
    arguments = {"content": rng.choice(bodies), "headers": headers, "params": query}
    return method, rng.choice(paths), arguments


def stored(server: Server) -> set[Path]:
    return {path for folder in ("blobs", "incoming", "scratch") for path in paths_below(server.data / folder)}


@pytest.mark.parametrize("requests", [400, pytest.param(10_000, marks=pytest.mark.slow)])
def test_hostile_requests_never_break_the_server(own_server: Callable[..., Server], requests: int) -> None:
    server = own_server("--workers", "0", max_json_bytes="65536")
    before = stored(server)
    rng = random.Random(7)
    for _ in range(requests):
        method, path, arguments = hostile_request(rng)
        answer = server.client.request(method, path, **arguments)
        assert answer.status_code < 500, (method, path, arguments, answer.text)
        if answer.status_code >= 400 and method != "HEAD":
            assert answer.headers["content-type"] == "application/problem+json", (method, path, answer.text)
        if path == "/v1/api-keys" and answer.status_code == 201:
            pytest.fail("a hostile body made a key")
    assert stored(server) == before
    assert server.client.get("/v1/estimates").json()["data"] == []


def header(text: str, version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + len(text.encode()).to_bytes(2, "little") + text.encode()


def described(descr: str = "'<f4'", order: str = "False", shape: str = "(300, 3)") -> bytes:
    return header(f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n")


DESCRIPTIONS = (
    "'|O'", "'<U5'", "'|V8'", "'<c8'", "'<M8[s]'", "'<f3'", "''", "'x'", "[('a', '<f4')]", "4", "'<f4' * 9",
    "('<f4', 3)",
)  # fmt: skip
ORDERS = ("0", "'no'", "None", "not 1")
SHAPES = (
    "(300, 4)", "(301, 3)", "(299, 3)", "(-300, -3)", "(0, 3)", "(300, 0)", "(300.0, 3)", "()", "300",
    "[300, 3]", "(300, 3, 1, 1, 1)", "(1 << 62, 3)", "(99999999999999999999, 3)", "(300, True)", "'300, 3'",
    "(300, 3" + ", 1" * 3000 + ")",
)  # fmt: skip
TEXTS = (
    "", "{}", "[]", "{'descr': '<f4'}", "__import__('os').getpid()", "(" * 3000, "\0" * 64, "{'descr': '<f4', 'shape'",
    "{'a': 1, 'descr': '<f4', 'shape': (300, 3)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (300, 3), 'more': 1}",
)  # fmt: skip
RIGHT = "{'descr': '<f4', 'fortran_order': False, 'shape': (300, 3), }\n"
BROKEN_HEADERS = [
    *(described(descr=text) for text in DESCRIPTIONS),
    *(described(order=text) for text in ORDERS),
    *(described(shape=text) for text in SHAPES),
    *(header(text + "\n") for text in TEXTS),
    *(header(RIGHT, bytes(version)) for version in ((0, 0), (1, 1), (9, 0))),
]


def malformed(rng: random.Random) -> tuple[str, bytes]:
    """(format, a body) that can never be a sample set, by construction."""
    rows = normal(rng.randrange(1000))
    body = npy(rows)
    values = body[-rows.nbytes :]
    kind = rng.choice(["header", "cut", "longer", "magic", "length", "value", "noise", "archive", "table", "text"])
    if kind == "header":
        return "npy", rng.choice(BROKEN_HEADERS) + values
    if kind == "cut":
        return "npy", body[: rng.randrange(len(body))]
    if kind == "longer":
        return "npy", body + rng.randbytes(rng.randint(1, 5000))
    if kind == "magic":
        at = rng.randrange(6)
        return "npy", body[:at] + bytes([body[at] ^ rng.randint(1, 255)]) + body[at + 1 :]
    if kind == "length":
        return "npy", body[:8] + rng.choice([0, 1, 20, 60, 10_001, 65_535]).to_bytes(2, "little") + body[10:]
    if kind == "value":
        rows[rng.randrange(300), rng.randrange(3)] = rng.choice([np.nan, np.inf, -np.inf])
        return "npy", npy(rows)
    if kind == "noise":
        return rng.choice(["npy", "npz", "images", "parquet"]), rng.randbytes(rng.randint(0, 3000))
    file = io.BytesIO()
    if kind == "archive":
        np.savez(file, a=rows)  # the list of members is at the end
        return "npz", file.getvalue()[: rng.randrange(file.tell() - 22)]
    if kind == "table":
        pa_parquet.write_table(pa.table({"a": rows[:, 0]}), file)  # so is the schema
        return "parquet", file.getvalue()[: rng.randrange(file.tell())]
    lines = [b"a,b", b"1,2", *rng.choice([[b"1"], [b"1,2,3"], [b"x,1"], [b"1,\xff"], [b'"'], [b"nan,1"]])]
    return rng.choice(
        [("csv", b"\n".join(lines)), ("json", b'{"samples": [[1, 2], [3' + rng.choice([b"", b"]}", b"]]"]))]
    )


@pytest.mark.parametrize("files", [25, pytest.param(500, marks=pytest.mark.slow)])
def test_malformed_files_are_refused_and_leave_nothing(own_server: Callable[..., Server], files: int) -> None:
    server = own_server("--workers", "0")
    before, rng = stored(server), random.Random(5)
    for _ in range(files):
        kind, body = malformed(rng)
        answer = server.client.post("/v1/sample-sets", params={"format": kind}, content=body)
        assert 400 <= answer.status_code < 500, (kind, body[:300], answer.text)
    assert stored(server) == before
    assert server.client.get("/v1/sample-sets").json()["data"] == []
