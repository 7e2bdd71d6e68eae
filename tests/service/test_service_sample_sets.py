"""Uploads: what is kept, what is refused, and that nothing is kept by halves."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import resource
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from server_process import files_below
from service_process import Server, normal, npy


def stored_files(server: Server) -> set[str]:
    return {
        str(path.relative_to(server.data)) for name in ("blobs", "incoming") for path in files_below(server.data / name)
    }


def test_upload_and_metadata(server: Server) -> None:
    rows = normal(11, rows=120, columns=4)
    body = npy(rows)
    answer = server.client.post("/v1/sample-sets", params={"name": "eleven"}, content=body)
    assert answer.status_code == 201
    stored = answer.json()
    assert answer.headers["location"] == f"/v1/sample-sets/{stored['id']}"
    assert stored["object"] == "sample_set"
    assert stored["name"] == "eleven"
    assert stored["sha256"] == hashlib.sha256(body).hexdigest()
    assert (stored["bytes"], stored["rows"], stored["shape"], stored["dtype"]) == (len(body), 120, [120, 4], "<f4")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", stored["created_at"])
    column = stored["statistics"]["columns"][2]
    exact = rows[:, 2].astype(np.float64)
    # 120 float64 additions: relative rounding below 120 * 2^-53, far inside 1e-12.
    assert column["mean"] == pytest.approx(exact.mean(), rel=1e-12, abs=1e-12)
    assert column["std"] == pytest.approx(exact.std(), rel=1e-12)
    assert (column["min"], column["max"]) == (exact.min(), exact.max())
    assert server.client.get(f"/v1/sample-sets/{stored['id']}").json() == stored
    url = f"/v1/sample-sets/{stored['id']}/content"
    whole = server.client.get(url)
    assert whole.content == body
    assert whole.headers["etag"] == f'"{stored["sha256"]}"'
    part = server.client.get(url, headers={"Range": "bytes=6-7"})
    assert (part.status_code, part.content) == (206, body[6:8])
    assert server.client.get(url, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304


def test_same_content_is_kept_once(server: Server) -> None:
    body = npy(normal(12))
    first = server.client.post("/v1/sample-sets", content=body)
    before = stored_files(server)
    second = server.client.post("/v1/sample-sets", content=body)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert stored_files(server) == before
    sha256 = first.json()["sha256"]
    found = server.client.get("/v1/sample-sets", params={"sha256": sha256}).json()["data"]
    assert [entry["id"] for entry in found] == [first.json()["id"]]


@pytest.mark.local_stores
def test_the_same_content_keeps_both_names(server: Server) -> None:
    body, before = npy(normal(19)), stored_files(server)

    def sent(**query: str) -> tuple[int, str, str]:
        answer = server.client.post("/v1/sample-sets", params=query, content=body)
        return answer.status_code, answer.json()["name"], answer.json()["id"]

    january, february = sent(name="January"), sent(name="February")
    assert (january[:2], february[:2]) == ((201, "January"), (201, "February"))
    assert sent(name="January") == (200, *january[1:])
    assert sent() == (200, *february[1:])  # the newest
    assert len(stored_files(server) - before) == 1
    digest = {"sha256": hashlib.sha256(body).hexdigest()}
    found = server.client.get("/v1/sample-sets", params=digest).json()["data"]
    assert [entry["name"] for entry in found] == ["February", "January"]
    assert server.client.delete(f"/v1/sample-sets/{february[2]}").status_code == 204
    assert server.client.get(f"/v1/sample-sets/{january[2]}/content").content == body
    assert sent() == (200, *january[1:])
    assert server.client.delete(f"/v1/sample-sets/{january[2]}").status_code == 204
    assert stored_files(server) == before


def test_one_set_sent_many_times_at_once_is_one_set(server: Server) -> None:
    body = npy(normal(20))
    with ThreadPoolExecutor(8) as pool:
        sent = list(pool.map(
            lambda _: server.client.post("/v1/sample-sets", params={"name": "race"}, content=body), range(16)
        ))  # fmt: skip
    assert sorted(answer.status_code for answer in sent) == [200] * 15 + [201]
    assert len({answer.json()["id"] for answer in sent}) == 1


@pytest.mark.local_stores
def test_delete_removes_row_and_file(server: Server) -> None:
    before = stored_files(server)
    identifier = server.upload(normal(13))
    assert stored_files(server) != before
    assert server.client.delete(f"/v1/sample-sets/{identifier}").status_code == 204
    assert stored_files(server) == before
    assert server.client.get(f"/v1/sample-sets/{identifier}").status_code == 404


def test_repr_digest_is_checked(server: Server) -> None:
    body = npy(normal(14))
    right = base64.b64encode(hashlib.sha256(body).digest()).decode()
    wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    before = stored_files(server)
    damaged = server.client.post("/v1/sample-sets", content=body, headers={"Repr-Digest": f"sha-256=:{wrong}:"})
    assert damaged.status_code == 400
    assert stored_files(server) == before
    good = server.client.post("/v1/sample-sets", content=body, headers={"Repr-Digest": f"sha-256=:{right}:"})
    assert good.status_code == 201


@pytest.mark.parametrize("array", [
    normal(15).astype(np.float16), normal(15).astype(np.float64), normal(15).astype(">f8"),
    np.asfortranarray(normal(15)), np.arange(600, dtype=np.int16).reshape(300, 2),
    np.random.default_rng(0).integers(0, 255, size=(110, 4, 4), dtype=np.uint8),
    np.random.default_rng(0).integers(0, 255, size=(110, 4, 4, 3), dtype=np.uint8),
], ids=lambda array: f"{array.dtype.str}{array.shape}{'F' if array.flags.f_contiguous else ''}")  # fmt: skip
def test_numeric_arrays_are_taken(server: Server, array: np.ndarray) -> None:
    answer = server.client.post("/v1/sample-sets", content=npy(array))
    assert answer.status_code in (200, 201), answer.text
    statistics = answer.json()["statistics"]
    exact = array.astype(np.float64)
    assert (statistics["min"], statistics["max"]) == (exact.min(), exact.max())
    assert statistics["mean"] == pytest.approx(exact.mean(), rel=1e-10, abs=1e-10)
    assert statistics["std"] == pytest.approx(exact.std(), rel=1e-10)


def nan_at(row: int, column: int, value: float) -> bytes:
    rows = normal(16)
    rows[row, column] = value
    return npy(rows)


def header(text: str, data: bytes = b"") -> bytes:
    padded = text.encode().ljust(118 - 10, b" ") + b"\n" if len(text) < 108 else text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + data


def declaring(shape: str, descr: str = "'<f8'") -> bytes:
    return header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}")


GOOD = npy(normal(17))
BAD = {
    "empty": (b"", "body", "empty"),
    "text": (b"carat,depth\n0.23,61.5\n", "body", "not a .npy file"),
    "pickle": (b"\x80\x04\x95" + b"x" * 100, "body", "not a .npy file"),
    "object dtype": (npy(np.array([[1, "a"]] * 200, dtype=object)), "body", "not real numbers"),
    "strings": (npy(np.array([["a", "b"]] * 200)), "body", "not real numbers"),
    "complex": (npy(normal(1).astype(np.complex64)), "body", "not real numbers"),
    "records": (npy(np.zeros(200, dtype=[("a", "f4"), ("b", "i4")])), "body", "record"),
    "truncated": (GOOD[:-5], "body", "truncated"),
    "half a header": (GOOD[:40], "body", "ends inside"),
    "too long": (GOOD + b"\0", "body", "longer"),
    "header bomb": (b"\x93NUMPY\x02\x00" + (1 << 31).to_bytes(4, "little") + b" " * 1000, "body", "header"),
    "nested header": (header("{'descr': " + "(" * 5000), "body", "header"),
    "code in header": (declaring("(2, 2)", descr="__import__('os').getcwd()"), "body", "header"),
    "huge shape": (declaring("(9999999999999999999, 9999999999)"), "body", "shape"),
    "negative shape": (declaring("(-1, 2)"), "body", "header"),
    "no axis": (npy(np.zeros((), dtype=np.float32)), "body", "reshape"),
    "nan in one axis": (npy(np.array([0.0, 1.0, np.nan])), "body", "row 2, column 0"),
    "five axes": (npy(np.zeros((100, 1, 1, 1, 1), dtype=np.float32)), "body", "reshape"),
    "no rows": (npy(np.zeros((0, 3), dtype=np.float32)), "body", "no values"),
    "nan": (nan_at(250, 2, np.nan), "body", "row 250, column 2"),
    "inf": (nan_at(7, 0, -np.inf), "body", "row 7, column 0"),
    "beyond float32": (npy(np.full((100, 2), 1e300)), "body", "row 0, column 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_bodies_are_refused_and_leave_nothing(server: Server, case: str) -> None:
    body, field, words = BAD[case]
    before = stored_files(server)
    answer = server.client.post("/v1/sample-sets", content=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 422
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["errors"][0]["field"] == field
    assert words in problem["detail"]
    assert stored_files(server) == before


def test_numbers_in_one_axis_are_a_column(server: Server) -> None:
    """Stored as they came: a certificate is about the array of the file, whose shape is part of its digest."""
    x, y = (np.random.default_rng(seed).normal(seed, 1, 400).astype(np.float32) for seed in range(2))
    flat, archived = io.BytesIO(), io.BytesIO()
    np.save(flat, x)
    np.savez(archived, x=x)
    post = lambda body, **query: server.client.post("/v1/sample-sets", content=body, params=query).json()  # noqa: E731
    one = post(flat.getvalue())
    assert (one["shape"], one["rows"], len(one["statistics"]["columns"])) == ([400, 1], 400, 1)
    assert post(archived.getvalue(), format="npz")["id"] == one["id"]
    content = server.client.get(f"/v1/sample-sets/{one['id']}/content").content
    assert content == flat.getvalue()
    listed = post(json.dumps({"samples": y.tolist(), "columns": ["y"]}).encode(), format="json")
    assert (listed["shape"], listed["columns"]) == ([400, 1], ["y"])
    assert post(npy(y[:, None].astype(np.float64)))["sha256"] == listed["sha256"]
    two = post(npy(y[:, None]))
    labels = post(npy(np.arange(400) // 4))
    options = {"critic": "affine", "steps": 1, "baseline_rows": 0}
    groups = {"groups": {one["id"]: labels["id"], two["id"]: labels["id"]}}
    for more in ({}, groups):
        body = {"source": one["id"], "target": two["id"], **options, **more}
        estimate = server.client.post("/v1/estimates", json=body, headers={"Prefer": "wait=60"}).json()
        assert 0 < estimate["result"]["lower_bound"] <= 1, estimate
    rows = {"content-type": "application/x-npy"}
    scores = [
        server.client.post(f"/v1/estimates/{estimate['id']}/evaluate", content=npy(given), headers=rows).json()[
            "values"
        ]
        for given in (x, x[:, None])
    ]
    assert scores[0] == scores[1]
    assert len(scores[0]) == 400


def test_nan_in_fortran_order_is_named_by_row_and_column(server: Server) -> None:
    rows = np.asfortranarray(normal(18))
    rows[250, 1] = np.nan
    answer = server.client.post("/v1/sample-sets", content=npy(rows))
    assert "row 250, column 1" in answer.json()["detail"]


def test_nan_in_an_image_is_named_by_pixel(server: Server) -> None:
    images = np.zeros((100, 4, 5, 3), dtype=np.float32)
    images[9, 1, 2, 0] = np.nan
    answer = server.client.post("/v1/sample-sets", content=npy(images))
    assert "row 9, pixel (1, 2, 0)" in answer.json()["detail"]


def test_body_over_the_limit(server: Server) -> None:
    body = npy(np.zeros((1000, 300), dtype=np.float64))  # 2.4 MB; this server takes 2 MB
    before = stored_files(server)
    declared = server.client.post("/v1/sample-sets", content=body)
    chunked = server.client.post(
        "/v1/sample-sets", content=iter([body[i : i + 50_000] for i in range(0, len(body), 50_000)])
    )
    assert (declared.status_code, chunked.status_code) == (413, 413)
    assert "2,000,000" in declared.json()["detail"]
    assert stored_files(server) == before


def test_wrong_content_type(server: Server) -> None:
    for kind in ("text/html", "application/xml", "image/png"):
        answer = server.client.post("/v1/sample-sets", content=GOOD, headers={"Content-Type": kind})
        assert answer.status_code == 415, kind
    unknown = server.client.post("/v1/sample-sets", params={"format": "pickle"}, content=GOOD)
    assert unknown.status_code == 422  # a parameter outside the contract's list, not a type of content
    assert unknown.json()["errors"][0]["field"] == "format"


def test_names_are_bounded(server: Server) -> None:
    assert server.client.post("/v1/sample-sets", params={"name": "x" * 201}, content=GOOD).status_code == 422
    assert server.client.post("/v1/sample-sets", params={"name": "a\nb"}, content=GOOD).status_code == 422


def test_unknown_ids_are_404(server: Server) -> None:
    for method, path in [
        ("GET", "sample-sets/ss_none"),
        ("GET", "sample-sets/ss_none/content"),
        ("DELETE", "sample-sets/ss_none"),
        ("GET", "sample-sets/..%2f..%2fsecret/content"),
        ("GET", "estimates/est_none"),
        ("POST", "estimates/est_none/cancel"),
        ("DELETE", "estimates/est_none"),
        ("GET", "estimates/est_none/curve"),
        ("GET", "estimates/est_none/critic"),
        ("DELETE", "api-keys/key_none"),
        ("GET", "nothing"),
    ]:
        answer = server.client.request(method, f"/v1/{path}")
        assert answer.status_code == 404, (method, path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"].startswith("urn:wdist:problem:")


def test_body_that_ends_early_leaves_nothing(server: Server) -> None:
    before = stored_files(server)
    where = urlsplit(server.url)
    with socket.create_connection((where.hostname, where.port)) as connection:
        connection.sendall(
            f"POST /v1/sample-sets HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: {len(GOOD)}\r\n\r\n".encode()
            + GOOD[:500]
        )
    assert server.client.get("/livez").status_code == 200
    assert _settles(server, before)


def _settles(server: Server, expected: set[str]) -> bool:
    deadline = time.monotonic() + 5
    while stored_files(server) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    return stored_files(server) == expected


@pytest.mark.local_stores
def test_data_directory_is_the_whole_state(server: Server) -> None:
    assert (server.data / "wdist.sqlite").exists()
    assert Path(server.data / "secret").stat().st_mode & 0o077 == 0


def test_full_disk_is_507_and_leaves_nothing(own_server: Callable[..., Server]) -> None:
    server = own_server("--workers", "0")
    (api,) = server.pids("api")
    no_limit = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    body = npy(np.zeros((4000, 300)))  # 9.6 MB
    before = stored_files(server)
    # A limit on the size of a file fails the same write as a full disk, and can be set on a process that runs.
    resource.prlimit(api, resource.RLIMIT_FSIZE, (4 << 20, resource.RLIM_INFINITY))
    full = server.client.post("/v1/sample-sets", content=body)
    assert full.status_code == 507, full.text
    assert full.headers["content-type"] == "application/problem+json"
    assert int(full.headers["retry-after"]) > 0
    assert stored_files(server) == before
    resource.prlimit(api, resource.RLIMIT_FSIZE, no_limit)
    assert server.client.post("/v1/sample-sets", content=body).status_code == 201
