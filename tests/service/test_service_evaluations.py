"""Evaluations of a critic on stored sets too large for one request: jobs that survive their worker."""

from __future__ import annotations

import io
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from service_process import Server, normal, npy

from wdist.verify import read_critic

ROWS = 12_000


@pytest.fixture(scope="module")
def finished(server: Server, pair: tuple[str, str]) -> str:
    """An estimate whose critic is a small net."""
    return str(server.until_done(server.submit(*pair, steps=20, critic="groupsort", confidence=0.9))["id"])


def test_a_server_with_a_relative_folder_scores_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Children that score and decode work in another folder."""
    monkeypatch.chdir(tmp_path)
    with Server(Path("data")) as server:
        sets = server.upload(normal(1)), server.upload(normal(2))
        made = server.until_done(server.submit(*sets, critic="affine", steps=5, baseline_rows=0))
        answer = server.client.post(f"/v1/estimates/{made['id']}/evaluate", content=npy(normal(3)))
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["values"]) == len(normal(3))
        csv = server.client.post("/v1/sample-sets", content=b"a,b\n1,2\n3,4\n", headers={"Content-Type": "text/csv"})
        assert csv.status_code == 201, csv.text
        assert (tmp_path / "data" / "wdist.sqlite").exists()


@pytest.fixture(scope="module")
def large(server: Server) -> str:
    return server.upload(normal(71, rows=ROWS))


def begin(server: Server, estimate: str, sample_set: str, prefer: str = "", **query: Any) -> httpx.Response:
    return server.client.post(
        f"/v1/estimates/{estimate}/evaluate",
        params={"sample_set": sample_set, **query},
        headers={"Prefer": prefer} if prefer else {},
        timeout=90,
    )


def until_done(server: Server, url: str, seconds: float = 60) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while (job := server.client.get(url).json())["status"] not in ("succeeded", "failed"):
        assert time.monotonic() < deadline, f"{job}; log: {server.log_end()}"
        time.sleep(0.1)
    return dict(job)


def load(server: Server, url: str) -> np.ndarray:
    answer = server.client.get(f"{url}/content")
    assert answer.status_code == 200, answer.text
    return np.load(io.BytesIO(answer.content))


def critic(server: Server, estimate: str, folder: Path) -> Any:
    for part, name in (("weights", "critic.safetensors"), ("config", "critic.json")):
        answer = server.client.get(f"/v1/estimates/{estimate}/critic", params={"part": part})
        (folder / name).write_bytes(answer.content)
    return read_critic(folder)


@pytest.mark.both_stores
def test_a_large_set_is_evaluated_as_a_job(server: Server, finished: str, large: str, tmp_path: Path) -> None:
    answer = begin(server, finished, large)
    assert answer.status_code == 202, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    url = answer.headers["location"]
    assert url == f"/v1/estimates/{finished}/evaluations/{answer.json()['id']}"
    job = until_done(server, url)
    assert (job["status"], job["rows"], job["done"], job["error"]) == ("succeeded", ROWS, ROWS, None)
    found = load(server, url)
    assert job["bytes"] == int(server.client.get(f"{url}/content").headers["content-length"])
    # The same reader in one piece and in several: BLAS may order the sums of a layer otherwise.
    expected = critic(server, finished, tmp_path).evaluate(normal(71, rows=ROWS))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    again = begin(server, finished, large, prefer="wait=5")
    assert (again.status_code, again.json()["id"]) == (201, job["id"])
    listed = server.client.get(f"/v1/estimates/{finished}/evaluations").json()
    assert job["id"] in [entry["id"] for entry in listed["data"]]


def test_gradients_and_small_sets_when_asked_for(server: Server, finished: str, pair: tuple[str, str]) -> None:
    answer = begin(server, finished, pair[0], prefer="respond-async, wait=60", gradient=True)
    assert answer.status_code == 201, answer.text
    slopes = load(server, answer.headers["location"])
    at_once = begin(server, finished, pair[0], gradient=True)
    assert at_once.status_code == 200
    np.testing.assert_array_equal(slopes, at_once.json()["gradient"])


@pytest.mark.local_stores
def test_forgetting_an_evaluation_removes_its_file(server: Server, finished: str) -> None:
    done = begin(server, finished, server.upload(normal(72, rows=ROWS)), prefer="wait=60")
    assert done.status_code == 201, done.text
    url = done.headers["location"]
    name = server.client.get(f"{url}/content").headers["etag"].strip('"')
    assert list((server.data / "blobs").rglob(name))
    assert server.client.delete(url).status_code == 204
    assert server.client.get(url).status_code == 404
    assert server.client.get(f"{url}/content").status_code == 404
    assert not list((server.data / "blobs").rglob(name))
    assert not list((server.data / "scratch").glob("*/evaluate-*"))


def test_what_cannot_be_evaluated(server: Server, finished: str) -> None:
    other = begin(server, finished, server.upload(normal(73, rows=ROWS, columns=4)), prefer="wait=60")
    assert other.status_code == 201
    assert other.json()["status"] == "failed"
    assert "do not fit" in other.json()["error"]["message"]
    assert server.client.get(f"{other.headers['location']}/content").status_code == 409
    again = begin(server, finished, other.json()["sample_set"])
    assert (again.status_code, again.json()["id"] == other.json()["id"]) == (202, False), "a failed one is tried again"
    wide = server.upload(normal(74, rows=90_000))  # 90,000 gradients of 3 numbers of 8 bytes: over the limit of 2 MB
    refused = begin(server, finished, wide, gradient=True)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (413, "sample_set")
    unknown = f"/v1/estimates/{finished}/evaluations/ev_none"
    assert [server.client.get(unknown).status_code, server.client.delete(unknown).status_code] == [404, 404]
    assert server.client.get("/v1/estimates/est_none/evaluations").status_code == 404


@pytest.mark.shared_stores
def test_equal_evaluations_on_two_replicas_are_one(own_server: Callable[..., Server], tmp_path: Path) -> None:
    server = own_server()
    sets = server.upload(normal(1)), server.upload(normal(2, shift=1.0))
    estimate = server.until_done(server.submit(*sets, critic="affine", baseline_rows=0))["id"]
    rows = server.upload(normal(76, rows=ROWS))
    with server.replica(tmp_path / "other", "--workers", "0") as other, ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda k: begin((server, other)[k % 2], estimate, rows), range(20)))
        assert {answer.status_code for answer in answers} <= {201, 202}, [answer.text for answer in answers]
        (name,) = {answer.json()["id"] for answer in answers}
        url = f"/v1/estimates/{estimate}/evaluations/{name}"
        assert until_done(other, url)["status"] == "succeeded"
        assert load(other, url).shape == (ROWS,)
    assert server.rows("SELECT id, attempt FROM jobs WHERE kind = 'evaluation'") == [(name, 1)]


@pytest.mark.slow
def test_an_evaluation_survives_its_worker(own_server: Callable[..., Server], tmp_path: Path) -> None:
    server = own_server(lease_seconds="1", beat_seconds="0.3")
    sets = server.upload(normal(1)), server.upload(normal(2, shift=1.0))
    estimate = server.until_done(server.submit(*sets, steps=5, critic="groupsort"))["id"]
    rows = server.upload(normal(75, rows=150_000))
    url = begin(server, estimate, rows).headers["location"]
    deadline = time.monotonic() + 60
    while not 0 < (job := server.client.get(url).json())["done"] < 150_000:
        assert job["status"] in ("queued", "running"), job
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert server.client.delete(f"/v1/sample-sets/{rows}").status_code == 409
    server.signal("worker", signal.SIGKILL)
    assert until_done(server, url)["status"] == "succeeded"
    assert server.rows("SELECT attempt FROM jobs WHERE kind = 'evaluation'") == [(2,)]
    expected = critic(server, estimate, tmp_path).evaluate(normal(75, rows=150_000))
    np.testing.assert_allclose(load(server, url), expected, rtol=1e-12, atol=1e-12)
    stopped = begin(server, estimate, rows, gradient=True).headers["location"]
    while server.client.get(stopped).json()["status"] == "queued":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert server.client.delete(stopped).status_code == 204
    assert server.client.get(stopped).status_code == 404
    while list((server.data / "scratch").glob(f"*/{stopped.rpartition('/')[2]}.*")):
        assert time.monotonic() < deadline + 30
        time.sleep(0.1)
    sets = server.upload(normal(3)), server.upload(normal(4))
    next_one = server.until_done(server.submit(*sets, critic="affine", baseline_rows=0))
    assert next_one["status"] == "succeeded", "the slot of the deleted evaluation is free"
    assert server.client.delete(f"/v1/sample-sets/{rows}").status_code == 204
    assert server.client.delete(f"/v1/estimates/{estimate}").status_code == 204
    assert server.client.get(url).status_code == 404
