"""What one tenant costs: requests are stored once, everything counts, and nothing beyond the quota reaches the disk."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
from server_process import files_below
from service_process import Server, normal, npy
from stores import Stores

from wdist.definitions.reading import Selection
from wdist_service.decoding.runner import Decoders, LevelsOf, NoRoomError
from wdist_service.settings import Settings
from wdist_service.storage.files import Storage

TUS = {"Tus-Resumable": "1.0.0"}
MEGABYTE = 1 << 20


def bomb(rows: int = 4_000_000) -> bytes:
    """A small Parquet file of many equal values: 32 MB once it is decoded."""
    file = io.BytesIO()
    table = pa.table({"x": np.zeros(rows), "g": pa.array(["a"] * rows).dictionary_encode()})
    pa_parquet.write_table(table, file, compression="zstd")
    assert len(file.getvalue()) < MEGABYTE // 4
    return file.getvalue()


def disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in files_below(folder))


Make = Callable[..., httpx.Client]


@pytest.fixture(scope="module")
def open_to_tenants(tmp_path_factory: pytest.TempPathFactory, stores: Stores) -> Iterator[tuple[Server, Make]]:
    """A server with keys, and what makes clients of it, each with a key of a new tenant and the quota given."""
    with Server(tmp_path_factory.mktemp("costs") / "data", environment=stores.environment()) as server:
        admin = server.client.post("/v1/api-keys", json={"role": "admin"}).json()["secret"]
        clients: list[httpx.Client] = []

        def make(tenant: str | None = None, **quota: float) -> httpx.Client:
            body = {"tenant": tenant or f"tenant{len(clients)}", "quota": quota}
            made = server.client.post("/v1/api-keys", json=body, headers={"Authorization": f"Bearer {admin}"}).json()
            headers = {"Authorization": f"Bearer {made['secret']}"}
            clients.append(httpx.Client(base_url=server.url, headers=headers, timeout=60))
            return clients[-1]

        yield server, make
        for client in clients:
            client.close()


def upload(client: httpx.Client, seed: int) -> str:
    return str(client.post("/v1/sample-sets", content=npy(normal(seed))).json()["id"])


@pytest.mark.parametrize("left", [0, MEGABYTE])
def test_a_decoder_writes_no_more_than_is_left(tmp_path: Path, left: int) -> None:
    settings = Settings(data=tmp_path / "data")
    storage, source = Storage(settings), tmp_path / "bomb.parquet"
    source.write_bytes(bomb())
    decoders, take = Decoders(settings), Selection(categories=["g"])
    with storage.decoded() as target, storage.decoded() as whole:
        with pytest.raises(NoRoomError):
            decoders.decode(source, "parquet", take, target, left)
        assert target.path.stat().st_size <= left
        with pytest.raises(NoRoomError):
            decoders.split(source, "parquet", take, LevelsOf("g"), whole, target, left)
        assert max(whole.path.stat().st_size, target.path.stat().st_size) <= left


def test_a_body_that_unpacks_beyond_the_quota_is_refused_at_every_door(open_to_tenants: tuple[Server, Make]) -> None:
    (server, make), body = open_to_tenants, bomb()
    client = make(bytes=MEGABYTE)
    before = disk(server.data)
    for path in ("/v1/sample-sets?categories=g", "/v1/sample-sets/by?by=g"):
        answer = client.post(path, params={"format": "parquet"} | dict(httpx.URL(path).params), content=body)
        assert answer.status_code == 403, answer.text
        assert answer.json()["type"] == "urn:wdist:problem:quota_exceeded"
        assert "left of this key's quota of 1,048,576" in answer.json()["detail"]
    given = {**TUS, "Upload-Length": str(len(body)), "Upload-Metadata": "format cGFycXVldA=="}
    begun = client.post("/v1/uploads", headers=given)
    assert begun.status_code == 201, begun.text
    more = {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    answer = client.patch(begun.headers["location"], headers=more, content=body)
    assert answer.status_code == 403, answer.text
    # The key's admin may make room: the upload is not lost.
    assert client.head(begun.headers["location"], headers=TUS).status_code == 200
    assert client.get(begun.headers["location"]).json()["status"] == "incomplete"
    assert client.get("/v1/sample-sets").json()["data"] == []
    assert disk(server.data) - before < MEGABYTE


def test_an_upload_may_become_as_much_as_is_left(open_to_tenants: tuple[Server, Make]) -> None:
    """Its own promise is no reason to refuse what it becomes."""
    _server, make = open_to_tenants
    size = len(npy(normal(1)))
    client = make(bytes=size)
    begun = client.post("/v1/uploads", headers={**TUS, "Upload-Length": str(size)})
    more = {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    answer = client.patch(begun.headers["location"], headers=more, content=npy(normal(1)))
    assert answer.status_code == 204, answer.text
    assert client.post("/v1/uploads", headers={**TUS, "Upload-Length": "1"}).status_code == 403


def test_what_is_known_may_be_sent_again(open_to_tenants: tuple[Server, Make]) -> None:
    _server, make = open_to_tenants
    file = io.BytesIO()
    pa_parquet.write_table(pa.table({"x": np.zeros(50_000)}), file)
    client = make(bytes=600_000)
    first, again = (client.post("/v1/sample-sets?format=parquet", content=file.getvalue()) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200), (first.text, again.text)
    assert again.json()["id"] == first.json()["id"]


def test_a_body_without_a_length_ends_at_the_quota(open_to_tenants: tuple[Server, Make]) -> None:
    _server, make = open_to_tenants
    client = make(bytes=MEGABYTE)
    big = npy(np.zeros((1_000_000, 4), np.float32))
    assert client.post("/v1/sample-sets", content=iter([big[:2000]])).status_code == 403  # the header says it all
    lines = (b"1.5,2.5\n" * 10_000 for _ in range(100))
    assert client.post("/v1/sample-sets?format=csv", content=lines).status_code == 403


@pytest.mark.parametrize("kind", ["csv", "npy"])
def test_bodies_at_once_take_no_more_than_is_left(open_to_tenants: tuple[Server, Make], kind: str) -> None:
    server, make = open_to_tenants
    client = make(bytes=2 * MEGABYTE)
    array = npy(np.zeros((100_000, 2)))  # 1.6 MB
    body = array if kind == "npy" else b"1.500000000000,2.500000000000\n" * 55_000
    before = disk(server.data / "incoming")
    go_on = threading.Event()

    def paused() -> Iterator[bytes]:
        yield body[: MEGABYTE + 1000]
        assert go_on.wait(30)
        yield body[MEGABYTE + 1000 :]

    with ThreadPoolExecutor(4) as senders:
        sent = [
            senders.submit(client.post, "/v1/sample-sets", params={"format": kind}, content=paused()) for _ in range(4)
        ]
        deadline = time.monotonic() + 20
        while disk(server.data / "incoming") - before < MEGABYTE // 2:
            assert time.monotonic() < deadline
        time.sleep(0.5)  # for the others to arrive, too
        taken = disk(server.data / "incoming") - before
        go_on.set()
        answers = [each.result() for each in sent]
    assert taken <= 2 * MEGABYTE
    codes = [answer.status_code for answer in answers]
    assert set(codes) <= {201, 503}
    assert codes.count(201) <= 1, "two of them are more than the quota"
    for answer in answers:
        if answer.status_code == 503:
            assert int(answer.headers["Retry-After"]) > 0
            assert "left of this key's quota" in answer.json()["detail"]
    if 201 not in codes:  # two were in each other's way
        assert client.post("/v1/sample-sets", params={"format": kind}, content=iter([body])).status_code == 201


def done(client: httpx.Client, **body: Any) -> str:
    """The id of a finished estimate of two new sets."""
    sets = {"source": upload(client, 1), "target": upload(client, 2)}
    small = {"critic": "affine", "steps": 5, "baseline_rows": 0}
    answer = client.post("/v1/estimates", json={**sets, **small, **body}, headers={"Prefer": "wait=60"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["status"] == "succeeded", answer.text
    return str(answer.json()["id"])


def test_rows_to_evaluate_are_refused_by_their_header(open_to_tenants: tuple[Server, Make]) -> None:
    _, make = open_to_tenants
    client = make()
    body = npy(np.zeros((10_001, 3), np.float32))
    answer = client.post(f"/v1/estimates/{done(client)}/evaluate", content=iter([body[:200]]))
    assert answer.status_code == 413, answer.text
    assert "10,001 rows" in answer.json()["detail"]


def long_request(pair: dict[str, str], pairs: int) -> dict[str, Any]:
    labels = {f"label{k:02}": f"{k:02}" + "x" * 500 for k in range(50)}
    return {"pairs": [pair] * pairs, "metadata": labels, "scale": [1.0, 2.0, 3.0]}


def test_options_and_labels_of_a_batch_are_stored_once(open_to_tenants: tuple[Server, Make]) -> None:
    server, make = open_to_tenants
    client = make()
    ids = [upload(client, seed) for seed in (1, 2)]
    body = long_request({"source": ids[0], "target": ids[1]}, 1000)
    before = disk(server.data)
    answer = client.post("/v1/batches", json=body)
    assert answer.status_code == 202, answer.text
    assert disk(server.data) - before < 15 * MEGABYTE  # 25 MB of labels alone, if each estimate had them
    assert server.rows(
        "SELECT max(length(metadata) + length(options)) FROM estimates WHERE batch_id = :id", id=answer.json()["id"]
    ) == [(4,)]
    assert server.rows("SELECT count(*) FROM job_labels WHERE batch_id = :id", id=answer.json()["id"]) == [(50,)]
    one = client.get("/v1/estimates?limit=1").json()["data"][0]
    assert one["metadata"] == body["metadata"]
    assert one["options"]["scale"] == [1.0, 2.0, 3.0]
    line = json.loads(client.get(f"/v1/batches/{answer.json()['id']}/results").text.splitlines()[0])
    assert line["metadata"] == body["metadata"]
    client.post(f"/v1/batches/{answer.json()['id']}/cancel")
    found = client.get("/v1/estimates", params={"metadata": f"label07:07{'x' * 500}", "limit": 100}).json()
    assert len(found["data"]) == 100


def test_long_requests_count(open_to_tenants: tuple[Server, Make]) -> None:
    _server, make = open_to_tenants
    client = make(bytes=60_000)
    ids = [upload(client, seed) for seed in (1, 2)]
    body = long_request({"source": ids[0], "target": ids[1]}, 3)
    assert [client.post("/v1/batches", json=body).status_code for _ in range(3)] == [202, 202, 403]
    assert client.post("/v1/estimates", json={**body["pairs"][0], "metadata": body["metadata"]}).status_code == 403
    assert client.post("/v1/estimates", json=body["pairs"][0]).status_code == 202
    columns = {"samples": [[1.0] * 400] * 2, "columns": [f"{k:03}" + "x" * 150 for k in range(400)]}
    answer = client.post("/v1/sample-sets?format=json", json=columns)
    assert answer.status_code == 403, answer.text  # 6,400 bytes of numbers, and 60,000 of names


def test_files_of_results_count(open_to_tenants: tuple[Server, Make]) -> None:
    server, make = open_to_tenants
    owner = make("results")
    estimate = done(owner)
    query = "SELECT stored_bytes, (SELECT sum(bytes) FROM artifacts WHERE job_id = jobs.id) FROM jobs WHERE id = :id"
    counted, files = server.rows(query, id=estimate)[0]
    assert counted == files > 1000
    rows = owner.get(f"/v1/estimates/{estimate}").json()["source"]
    asked = {"Prefer": "respond-async, wait=60"}
    sent = owner.post(f"/v1/estimates/{estimate}/evaluate", params={"sample_set": rows}, headers=asked)
    assert sent.status_code == 201, sent.text
    assert tuple(server.rows(query, id=sent.json()["id"])[0]) == (sent.json()["bytes"],) * 2
    size = counted + sent.json()["bytes"] + 2 * len(npy(normal(1)))
    limited = make("results", bytes=size + 10)
    refused = limited.post("/v1/sample-sets", content=npy(normal(3)))
    assert refused.status_code == 403
    assert f"the {size:,} stored" in refused.json()["detail"]
    assert limited.delete(f"/v1/estimates/{estimate}").status_code == 204
    assert limited.post("/v1/sample-sets", content=npy(normal(3))).status_code == 201
