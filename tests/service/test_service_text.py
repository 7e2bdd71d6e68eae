"""Text that may not be stored: refused at every door, in words that name the field, and never a 500."""

from __future__ import annotations

import io
import json
import zipfile
from base64 import b64encode
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
from fastapi.routing import APIRoute
from service_process import Server, normal, npy
from test_service_hostile import raw, status

from wdist_service.http.dependencies import require_json

BAD = {
    "NUL": "\0",
    "bell": "\x07",
    "escape": "\x1b",
    "delete": "\x7f",
    "C1": "\x9b",
    "half of a pair": "\ud800",
    "the other half": "\udfff",
}


def post(
    server: Server, path: str, body: dict[str, Any], *, method: str = "POST", raw_utf8: bool = False
) -> httpx.Response:
    """Send JSON as hostile clients may write it: with escapes, or with the bytes that no encoder of UTF-8 makes."""
    content = json.dumps(body, ensure_ascii=not raw_utf8).encode("utf-8", "surrogatepass")
    return server.client.request(method, path, content=content, headers={"Content-Type": "application/json"})


def is_refused(answer: httpx.Response, field: str) -> bool:
    """Whether the answer is a problem that names the field."""
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == [field], answer.text
    return True


@pytest.mark.parametrize("character", BAD.values(), ids=BAD)
def test_json_bodies_refuse_it_in_every_field(server: Server, pair: tuple[str, str], character: str) -> None:
    bad, (source, target) = f"a{character}b", pair
    shown = "a\ufffdb"
    both = {"source": source, "target": target}
    assert is_refused(post(server, "/v1/estimates", both | {"metadata": {"run": bad}}), "metadata.run")
    assert is_refused(post(server, "/v1/estimates", both | {"metadata": {bad: "1"}}), f"metadata.{shown}")
    assert is_refused(post(server, "/v1/estimates", {"source": bad, "target": target}), "source")
    assert is_refused(
        post(server, "/v1/estimates", both | {"groups": {source: bad, target: target}}), f"groups.{source}"
    )
    assert is_refused(post(server, "/v1/estimates", both | {bad: 1}), shown)
    assert is_refused(post(server, "/v1/batches", {"pairs": [both | {"custom_id": bad}]}), "pairs.0.custom_id")
    assert is_refused(post(server, "/v1/batches", {"matrix": [source, bad]}), "matrix.1")
    assert is_refused(post(server, "/v1/api-keys", {"name": bad, "role": "admin"}), "name")
    columns = {"columns": ["x", bad, "z"]}
    assert is_refused(post(server, f"/v1/sample-sets/{source}/columns", columns, method="PUT"), "columns.1")


def test_halves_of_pairs_that_come_as_bytes_are_refused_too(server: Server, pair: tuple[str, str]) -> None:
    body = {"source": pair[0], "target": pair[1], "metadata": {"run": "\ud83d"}}
    assert is_refused(post(server, "/v1/estimates", body, raw_utf8=True), "metadata.run")


def test_tabs_ends_of_lines_and_all_scripts_are_text(server: Server, pair: tuple[str, str]) -> None:
    labels = {"notes": "one\ttwo\nthree\r\n", "Größe": "寸法 😀 \u200f"}
    answer = post(server, "/v1/estimates", {"source": pair[0], "target": pair[1], "metadata": labels})
    assert answer.status_code == 202, answer.text
    assert server.client.get(f"/v1/estimates/{answer.json()['id']}").json()["metadata"] == labels
    server.client.post(f"/v1/estimates/{answer.json()['id']}/cancel")


def test_every_operation_with_a_json_body_checks_its_text() -> None:
    from wdist_service.app import create_app  # noqa: F401 - the application imports every router
    from wdist_service.batches import endpoints as batches
    from wdist_service.estimates import endpoints as estimates
    from wdist_service.evaluations import endpoints as evaluations
    from wdist_service.keys import endpoints as keys
    from wdist_service.sample_sets import endpoints as sample_sets
    from wdist_service.uploads import endpoints as uploads

    routers = [module.router for module in (batches, estimates, evaluations, keys, sample_sets, uploads)]
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    with_body = [route for route in routes if route.body_field is not None]
    assert {route.name for route in with_body} >= {"create_estimate", "create_batch", "create_key", "put_columns"}
    unchecked = [
        route.name for route in with_body if require_json not in [each.call for each in route.dependant.dependencies]
    ]
    assert unchecked == []


@pytest.mark.parametrize("character", [each for each in BAD.values() if each.isascii() or each == "\x9b"], ids=repr)
def test_parameters_refuse_it(server: Server, character: str) -> None:
    bad = quote(f"a{character}b")
    for parameter in ("name", "filename", "member", "columns", "sheet", "unknown"):
        answer = server.client.post(f"/v1/sample-sets?{parameter}={bad}", content=npy(normal(1)))
        assert is_refused(answer, parameter)
    assert is_refused(server.client.get(f"/v1/estimates?metadata=run:{bad}"), "metadata")
    assert is_refused(server.client.get(f"/v1/estimates?after=est_{bad}"), "after")
    assert is_refused(server.client.get(f"/v1/estimates?{bad}=1"), "a\ufffdb")


def test_a_query_that_is_not_utf_8_is_refused(server: Server) -> None:
    answer = server.client.post("/v1/sample-sets?name=%ff%fe", content=npy(normal(1)))
    assert answer.status_code == 422
    assert "not UTF-8" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/estimates/a%00b", "/v1/batches/%1b%5b2J", "/%7f", "/v1/sample-sets/a%C2%9b"])
def test_a_path_with_it_leads_nowhere(server: Server, path: str) -> None:
    answer = server.client.get(path)
    assert answer.status_code == 404
    assert answer.json()["title"] == "Not found"


@pytest.mark.parametrize(
    "header", ["Idempotency-Key", "Prefer", "X-Anything", "Last-Event-ID", "If-None-Match", "Range"]
)
def test_headers_refuse_it(server: Server, header: str) -> None:
    for character in (b"\x01", b"\x1b", b"\x7f"):
        request = b"GET /v1/estimates HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n%b: a%bb\r\n\r\n"
        answer = raw(server, request % (header.encode(), character))
        assert status(answer) == 422, answer
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["errors"][0]["field"] == header.lower()


def test_an_idempotency_key_may_be_any_text_that_a_header_can_hold(server: Server, pair: tuple[str, str]) -> None:
    body = {"source": pair[0], "target": pair[1]}
    headers = {"Idempotency-Key": "Schlüssel 鍵 ě".encode()}
    first, again = (server.client.post("/v1/estimates", json=body, headers=headers) for _ in range(2))
    assert first.status_code == 202, first.text
    assert again.json()["id"] == first.json()["id"]
    server.client.post(f"/v1/estimates/{first.json()['id']}/cancel")


@pytest.mark.parametrize("key", ["name", "filename", "member", "columns", "somebody's own"])
def test_the_pairs_of_upload_metadata_refuse_it(server: Server, key: str) -> None:
    for character in ("\0", "\x1b", "\x9b"):
        given = f"{key.replace(' ', '_')} {b64encode(f'a{character}b'.encode()).decode()}"
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "100", "Upload-Metadata": given}
        assert is_refused(server.client.post("/v1/uploads", headers=headers), "Upload-Metadata")


def csv(name: str, level: str) -> tuple[str, bytes]:
    return "csv", f'x,"{name}"\n1,"{level}"\n2,other\n'.encode()


def parquet(name: str, level: str) -> tuple[str, bytes]:
    file = io.BytesIO()
    pa_parquet.write_table(pa.table({"x": [1.0, 2.0], name: [level, "other"]}), file)
    return "parquet", file.getvalue()


def inline(name: str, level: str) -> tuple[str, bytes]:
    return "json", json.dumps({"columns": ["x", name], "samples": [[1, level], [2, "other"]]}).encode()


def anndata(name: str, level: str) -> tuple[str, bytes]:
    import h5py

    file = io.BytesIO()
    with h5py.File(file, "w") as root:
        root.attrs["encoding-type"] = "anndata"
        root["X"] = np.ones((2, 2))
        for group, names in (("obs", ["r", "s"]), ("var", ["x", name])):
            frame = root.create_group(group)
            frame.attrs.update({"encoding-type": "dataframe", "_index": "_index", "column-order": []})
            frame.create_dataset("_index", data=[each.encode() for each in names], dtype=h5py.string_dtype())
    return "h5ad", file.getvalue()


TABLES = {"csv": csv, "parquet": parquet, "inline JSON": inline}


REAL_LEVELS = (
    "a\tb", "a\r\nb", "a\x0bb", "page\x0c", "unit\x1fseparator", "\x1a", "dele\x7fte", "next\x85line", "it\x92s",
    "a\u2028b", "\ufeffmark", "\uffff", "\U0010ffff", "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\u05e9\u05dc\u05d5\u05dd \u200f!", "e" + "\u0301" * 300, "x" * 20_000, " ",
)  # fmt: skip


@pytest.mark.parametrize(
    ("make", "character"),
    [*((make, "\0") for make in TABLES.values()), (inline, "\ud800")],  # a text file or Parquet cannot hold the latter
    ids=[*(f"{name}-NUL" for name in TABLES), "inline JSON-half of a pair"],
)
def test_decoders_refuse_what_cannot_be_stored(server: Server, make: Any, character: str) -> None:
    kept = server.client.get("/v1/sample-sets?limit=1").json()["data"]
    kind, body = make("color", f"a{character}b")
    answer = server.client.post(f"/v1/sample-sets?format={kind}&categories=color", content=body)
    assert answer.status_code == 422, answer.text
    answer = server.client.post(f"/v1/sample-sets/by?format={kind}&by=color", content=body)
    assert answer.status_code == 422, answer.text
    assert server.client.get("/v1/sample-sets?limit=1").json()["data"] == kept


@pytest.mark.parametrize("character", ["\x07", "\x9b"], ids=repr)
def test_decoders_refuse_names_of_columns_with_control_characters(server: Server, character: str) -> None:
    name = f"a{character}b"
    file = io.BytesIO()
    pa_parquet.write_table(pa.table({"x": [1.0, 2.0], name: [3.0, 4.0]}), file)
    bodies = {
        "csv": f"x,{name}\n1,3\n2,4\n".encode(),
        "parquet": file.getvalue(),
        "json": json.dumps({"columns": ["x", name], "samples": [[1, 3], [2, 4]]}).encode(),
    }
    for kind, body in bodies.items():
        answer = server.client.post(f"/v1/sample-sets?format={kind}", content=body)
        assert answer.status_code == 422, (kind, answer.text)
        assert f"the control character U+{ord(character):04X}" in answer.json()["detail"]


def test_levels_are_what_cells_hold(server: Server) -> None:
    file = io.BytesIO()
    pa_parquet.write_table(pa.table({"x": range(len(REAL_LEVELS)), "color": REAL_LEVELS}), file)
    answer = server.client.post("/v1/sample-sets?format=parquet&categories=color", content=file.getvalue())
    assert answer.status_code == 201, answer.text
    (levels,) = [column["levels"] for column in answer.json()["table"]["columns"] if column["kind"] == "category"]
    assert sorted(levels) == sorted(REAL_LEVELS)
    listed = server.client.get("/v1/sample-sets?limit=1").json()["data"]
    assert listed == [server.client.get(f"/v1/sample-sets/{answer.json()['id']}").json()] == [answer.json()]


def test_sets_of_levels_have_names_of_one_line(server: Server) -> None:
    chosen = [level for level in REAL_LEVELS if len(level) <= 200]
    file = io.BytesIO()
    pa_parquet.write_table(pa.table({"x": range(len(chosen)), "color": chosen}), file)
    asked = {"format": "parquet", "by": "color", "levels": chosen}
    answer = server.client.post("/v1/sample-sets/by", params=asked, content=file.getvalue())
    assert answer.status_code == 201, answer.text
    names = [each["name"] for each in answer.json()["data"]]
    assert names[chosen.index("a\r\nb")] == "a  b"
    assert names[chosen.index("it\x92s")] == "it s"
    family = next(level for level in chosen if "\u200d" in level)
    assert names[chosen.index(family)] == family
    assert [each["reading"]["level"] for each in answer.json()["data"]] == chosen


def test_names_in_an_anndata_file_are_checked(server: Server) -> None:
    kind, body = anndata("gene\x1b", "")
    answer = server.client.post(f"/v1/sample-sets?format={kind}", content=body)
    assert answer.status_code == 422
    assert "U+001B" in answer.json()["detail"], answer.text


def test_names_of_columns_may_have_ends_of_lines(server: Server) -> None:
    kind, body = csv("size\nin cm", "good")
    answer = server.client.post(f"/v1/sample-sets?format={kind}&categories=size%0Ain%20cm", content=body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["columns"] == ["x", "size\nin cm"]


@pytest.mark.parametrize("name", ["x" * 201, "a\x1bb", "a\nb", "\ud800"])
def test_the_name_that_a_body_gives_itself_is_a_name(server: Server, name: str) -> None:
    body = json.dumps({"samples": [[1.0], [2.0]], "name": name}).encode()
    answer = server.client.post("/v1/sample-sets?format=json", content=body)
    assert answer.status_code == 422, answer.text


def test_names_of_members_are_shown_without_control_characters(server: Server) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("one\x1b[2J.npy", "two.npy"):
            archive.writestr(name, npy(normal(1)))
    answer = server.client.post("/v1/sample-sets?format=npz", content=file.getvalue())
    assert answer.status_code == 422
    assert "two" in answer.json()["detail"]
    assert "\x1b" not in answer.json()["detail"]


def test_an_upload_that_fails_on_bad_text_says_so_later(server: Server) -> None:
    kind, body = inline("\ud800", "good")
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(body)), "Upload-Metadata": "format anNvbg=="}
    begun = server.client.post("/v1/uploads", headers=headers)
    assert begun.status_code == 201, begun.text
    more = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    answer = server.client.patch(begun.headers["location"], headers=more, content=body)
    assert answer.status_code == 422, (kind, answer.text)
    assert server.client.get(begun.headers["location"]).json()["status"] == "failed"
