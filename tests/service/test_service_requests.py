"""Requests for estimates that must be refused, and what every answer has in common."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from service_process import Server, normal, npy

BAD_OPTIONS = {
    "unknown option": ({"stepz": 5}, "stepz"),
    "confidence 1": ({"confidence": 1}, "confidence"),
    "confidence text": ({"confidence": "high"}, "confidence"),
    "nan": ({"confidence": float("nan")}, None),
    "steps 0": ({"steps": 0}, "steps"),
    "steps fraction": ({"steps": 1.5}, "steps"),
    "too many steps": ({"steps": 10**9}, "steps"),
    "unknown critic": ({"critic": "oracle"}, "critic"),
    "negative seed": ({"seed": -1}, "seed"),
    "seconds": ({"max_seconds": -1}, "max_seconds"),
    "scale": ({"scale": 0}, "scale"),
    "scale word": ({"scale": "log"}, "scale"),
    "scale length": ({"scale": [1.0, 2.0]}, "scale"),
    "layout": ({"layout": "chwn"}, "layout"),
    "layout of a table": ({"layout": "nhwc"}, "layout"),
    "priority": ({"priority": "urgent"}, "priority"),
    "metadata": ({"metadata": {"a": 1}}, "metadata.a"),
    "metadata key": ({"metadata": {"k" * 65: "v"}}, None),
    "source missing": ({"source": None}, "source"),
}


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_bad_options_are_named(server: Server, pair: tuple[str, str], case: str) -> None:
    change, field = BAD_OPTIONS[case]
    body = {"source": pair[0], "target": pair[1], **change}
    answer = server.client.post("/v1/estimates", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422 or (case == "nan" and answer.status_code == 400), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    if field:
        assert any(error["field"].startswith(field) for error in answer.json()["errors"]), answer.json()
        assert field in answer.json()["detail"]


@pytest.mark.parametrize("field", ["source", "target"])
def test_unknown_set_is_named(server: Server, pair: tuple[str, str], field: str) -> None:
    body = {"source": pair[0], "target": pair[1], field: "ss_none"}
    answer = server.client.post("/v1/estimates", json=body)
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["field"] == field
    assert "ss_none" in answer.json()["detail"]


BAD_PAIRS = {
    "other columns": (normal(21), normal(22, columns=4), "target", "3 columns|4|(3,)"),
    "three rows": (normal(23, rows=3), normal(24), "source", "3 rows"),
    "constant": (np.ones((200, 2)), np.ones((150, 2)), "target", "the same"),
    "uint8 and float": (np.zeros((200, 4, 4), np.uint8), np.zeros((200, 4, 4), np.float32), "target", "uint8"),
    "ambiguous images": (np.zeros((200, 3, 4, 3), np.uint8), np.ones((200, 3, 4, 3), np.uint8), "layout", "nhwc"),
}


@pytest.mark.parametrize("case", BAD_PAIRS)
def test_pairs_that_cannot_be_compared(server: Server, case: str) -> None:
    source, target, field, words = BAD_PAIRS[case]
    answer = server.client.post(
        "/v1/estimates", json={"source": server.upload(source), "target": server.upload(target)}
    )
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field
    assert any(word in answer.json()["detail"] for word in words.split("|"))


def test_json_that_is_none(server: Server) -> None:
    post = server.client.post
    kind = {"Content-Type": "application/json"}
    assert post("/v1/estimates", content=b"{", headers=kind).status_code == 400
    assert post("/v1/estimates", content=b"[" * 100_000, headers=kind).status_code == 400
    assert post("/v1/estimates", content=b"\xff\xfe", headers=kind).status_code == 400
    assert post("/v1/estimates", content=b"[]", headers=kind).status_code == 422
    assert post("/v1/estimates", content=b"", headers=kind).status_code == 422
    assert post("/v1/estimates", content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415
    assert post("/v1/estimates", content=b" " * (5 << 20), headers=kind).status_code == 413


def test_wrong_method_and_path(server: Server) -> None:
    assert server.client.put("/v1/estimates").status_code == 405
    assert server.client.put("/v1/estimates").headers["content-type"] == "application/problem+json"
    assert server.client.get("/../../etc/passwd").status_code == 404


def test_bad_cursors(server: Server) -> None:
    assert server.client.get("/v1/estimates", params={"after": "ss_1"}).status_code == 422
    assert server.client.get("/v1/estimates", params={"limit": 0}).status_code == 422
    assert server.client.get("/v1/estimates", params={"limit": 101}).status_code == 422


def test_every_answer_has_a_request_id(server: Server) -> None:
    assert server.client.get("/livez").headers["x-request-id"].startswith("req_")
    own = server.client.get("/livez", headers={"X-Request-Id": "abc-1"})
    assert own.headers["x-request-id"] == "abc-1"
    forged = server.client.get("/livez", headers={"X-Request-Id": "a b<script>"})
    assert forged.headers["x-request-id"].startswith("req_")


def test_health_and_version(server: Server) -> None:
    assert server.client.get("/livez").json() == {"status": "ok"}
    ready = server.client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["workers"]["fresh"] == 1
    assert server.client.get("/version").json()["name"] == "wdist"


def figures(server: Server) -> dict[str, float]:
    answer = server.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_metrics_count_by_route_template(server: Server, pair: tuple[str, str]) -> None:
    before = figures(server)
    server.client.get("/v1/estimates/est_none")
    server.client.get("/v1/estimates/est_other")
    uploaded = npy(normal(77))
    server.client.post("/v1/sample-sets", content=uploaded)
    after = figures(server)
    labels = 'method="GET",route="/v1/estimates/{estimate_id}"'
    name = f'wdist_http_requests_total{{{labels},status="404"}}'
    assert after[name] - before.get(name, 0) == 2
    count, last = (f"wdist_http_request_duration_seconds_{kind}" for kind in ("count", "bucket"))
    assert after[f"{count}{{{labels}}}"] == after[f'{last}{{le="+Inf",{labels}}}']
    assert after["wdist_http_request_body_bytes_total"] - before["wdist_http_request_body_bytes_total"] == len(uploaded)
    assert after["wdist_sample_sets"] - before["wdist_sample_sets"] == 1
    assert after["wdist_stored_bytes"] - before["wdist_stored_bytes"] == len(uploaded)
    assert after["wdist_workers"] == 1
    assert "est_none" not in str(after)


def test_contract_declares_every_error_as_a_problem(server: Server) -> None:
    contract = server.client.get("/openapi.json").json()
    assert "Problem" in contract["components"]["schemas"]
    assert "HTTPValidationError" not in str(contract)
    for path, methods in contract["paths"].items():
        if path.startswith("/v1/"):
            for operation in methods.values():
                assert {"401", "403", "503"} <= set(operation["responses"])
                for status, answer in operation["responses"].items():
                    if int(status) >= 400:
                        assert "application/problem+json" in answer["content"], (path, status)


def test_open_server_refuses_other_sites(server: Server) -> None:
    get = server.client.get
    assert get("/v1/estimates", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert get("/v1/estimates", headers={"Origin": "https://example.org"}).status_code == 403
    assert get("/v1/estimates", headers={"Origin": server.url}).status_code == 200
    assert get("/v1/estimates", headers={"Host": "rebound.example.org"}).status_code == 403


def test_the_page_is_not_sent_again_while_it_is_the_same(server: Server) -> None:
    for path in ("/", "/page/main.js", "/page/base.css", "/page/icon.svg"):
        first = server.client.get(path)
        assert first.status_code == 200
        same = server.client.get(path, headers={"If-None-Match": f'"other", {first.headers["etag"]}'})
        assert (same.status_code, same.content) == (304, b"")
        policy = "content-security-policy"  # browsers put a 304's headers in place of those that they keep
        assert same.headers[policy] == first.headers[policy] != server.client.get("/livez").headers[policy]
        assert server.client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
        head = server.client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == first.headers["content-length"] == str(first.num_bytes_downloaded)
        assert first.headers["content-encoding"] == "gzip"
        plain = server.client.get(path, headers={"Accept-Encoding": "identity"})
        assert (plain.content, plain.headers["content-length"]) == (first.content, str(len(first.content)))


@pytest.mark.parametrize(
    "name", ["index.html", "none.js", "endpoints.py", "__pycache__", "..%2Fapp.py", "%00.js", "a" * 300 + ".js", ".js"]
)
def test_only_the_page_s_own_files_are_sent(server: Server, name: str) -> None:
    answer = server.client.get(f"/page/{name}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_link_on_another_site_opens_the_page_and_nothing_else(server: Server) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert server.client.get("/", headers=link).status_code == 200
    for headers in ({**link, "Sec-Fetch-Dest": "iframe"}, {**link, "Sec-Fetch-Mode": "no-cors"}):
        assert server.client.get("/", headers=headers).status_code == 403
    assert server.client.get("/v1/estimates", headers=link).status_code == 403
    assert server.client.post("/", headers=link).status_code == 403


def test_answers_cannot_be_read_by_other_origins(server: Server) -> None:
    answer = server.client.get("/livez", headers={"Origin": server.url})
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_slow_bodies_end_and_uploads_under_way_finish(
    own_server: Callable[..., Server],
) -> None:
    server = own_server("--workers", "0", body_timeout_seconds="2")

    def slowly(pause: float) -> Iterator[bytes]:
        body = npy(normal(6, rows=50_000))
        yield body[:300_000]
        time.sleep(pause)
        yield body[300_000:]

    assert httpx.post(f"{server.url}/v1/sample-sets", content=slowly(2.5), timeout=10).status_code == 408
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(httpx.post, f"{server.url}/v1/sample-sets", content=slowly(1.5), timeout=30)
        time.sleep(0.7)
        assert server.stop(seconds=25) == 0
        assert under_way.result().status_code == 201
    server.start()
    assert server.client.get("/v1/sample-sets").json()["data"][0]["id"] == under_way.result().json()["id"]
