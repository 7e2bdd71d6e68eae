"""Behind nginx and Caddy, under a path: what is created can be found, redirects arrive, nothing is held back."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from urllib.parse import urljoin

import httpx
import numpy as np
import pytest
from proxy_process import PREFIX
from server_process import ServerProcess
from service_process import normal, npy
from tusclient.client import TusClient

import wdist_client.uploads
from wdist_client import Client


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server as the guide has it: with a key, for the proxy's name, under a path."""
    folder = tmp_path_factory.mktemp("behind")
    (folder / "key").write_text("wd_" + "5" * 64)
    environment = {
        "WDIST_SERVER_BOOTSTRAP_KEY_FILE": str(folder / "key"),
        "WDIST_SERVER_PATH_PREFIX": PREFIX,
        "WDIST_SERVER_ALLOWED_HOSTS": '["wdist.example.org", "127.0.0.1"]',
    }
    with ServerProcess(folder / "data", environment=environment) as running:
        yield running


@pytest.fixture(scope="module")
def headers() -> dict[str, str]:
    return {"Authorization": "Bearer wd_" + "5" * 64}


@pytest.fixture
def client(behind_proxy: str, headers: dict[str, str]) -> Iterator[Client]:
    with Client(behind_proxy, api_key=headers["Authorization"].removeprefix("Bearer ")) as connected:
        yield connected


def test_the_client_does_all_it_does(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wdist_client.uploads, "RESUMABLE_BYTES", 1)
    large = normal(1, rows=20_000)
    source, target = client.sample_sets.create(large), client.sample_sets.create(normal(2, shift=2.0))
    result = (job := client.estimates.create(source, target, critic="affine", steps=20, seed=0)).wait(timeout=60)
    assert 1 < result.lower_bound < 2 * 3**0.5
    assert {event.type for event in job.events()} >= {"status", "completed"}
    # More than 10,000 rows: a job of its own, whose address is in Location.
    assert np.allclose(result.critic.evaluate(source)[:50], result.critic.evaluate(large[:50]), atol=1e-4)
    batch = client.batches.matrix([source, target], critic="affine", steps=5).wait(timeout=60)
    assert np.asarray(batch.value).shape == (2, 2)


def test_every_location_leads_to_what_was_created(behind_proxy: str, headers: dict[str, str]) -> None:
    with httpx.Client(headers=headers, timeout=30) as http:
        made = [http.post(f"{behind_proxy}/v1/sample-sets", content=npy(normal(seed))) for seed in (11, 12)]
        pair = dict(zip(("source", "target"), (answer.json()["id"] for answer in made), strict=True))
        made.append(http.post(f"{behind_proxy}/v1/estimates", json={**pair, "critic": "affine", "steps": 5}))
        made.append(
            http.post(
                f"{behind_proxy}/v1/batches", json={"matrix": list(pair.values()), "critic": "affine", "steps": 5}
            )
        )
        for answer in made:
            assert answer.headers["Location"].startswith(f"{PREFIX}/v1/"), answer.text
            found = http.get(urljoin(str(answer.url), answer.headers["Location"]))
            assert (found.status_code, found.json()["id"]) == (200, answer.json()["id"])


def test_an_independent_client_resumes_an_upload(behind_proxy: str, headers: dict[str, str]) -> None:
    content = npy(normal(21, rows=5000))
    tus = TusClient(f"{behind_proxy}/v1/uploads", headers=headers)
    first = tus.uploader(file_stream=io.BytesIO(content), chunk_size=10_000)
    first.upload_chunk()
    assert first.url is not None
    assert first.url.startswith(f"{behind_proxy}/v1/uploads/")
    tus.uploader(file_stream=io.BytesIO(content), chunk_size=50_000, url=first.url).upload()
    answer = httpx.head(first.url, headers={**headers, "Tus-Resumable": "1.0.0"})
    stored = httpx.get(f"{behind_proxy}/v1/sample-sets/{answer.headers['Wdist-Sample-Set']}", headers=headers)
    assert stored.json()["bytes"] == len(content)


@pytest.mark.parametrize(
    ("path", "to"),
    [
        ("", "/"),
        ("/docs/", "/docs"),
        ("/v1/estimates/?limit=3", "/v1/estimates?limit=3"),  # FastAPI's own redirect
    ],
)
def test_redirects_stay_under_the_path(behind_proxy: str, headers: dict[str, str], path: str, to: str) -> None:
    answer = httpx.get(behind_proxy + path, headers=headers)
    assert answer.is_redirect
    assert urljoin(behind_proxy + path, answer.headers["Location"]) == behind_proxy + to
    assert httpx.get(behind_proxy + path, headers=headers, follow_redirects=True).status_code == 200


def test_the_contract_names_the_path_and_the_server_also_answers_without_it(
    behind_proxy: str, headers: dict[str, str], behind: ServerProcess
) -> None:
    contract = httpx.get(f"{behind_proxy}/openapi.json").json()
    assert contract["servers"] == [{"url": PREFIX}]
    assert "/v1/estimates" in contract["paths"]
    assert httpx.get(f"{behind.url}/livez").status_code == 200
    assert httpx.get(f"{behind_proxy}/v1/nothing", headers=headers).json()["status"] == 404


def test_events_come_as_they_happen(client: Client, behind_proxy: str, headers: dict[str, str]) -> None:
    source, target = (client.sample_sets.create(normal(seed)) for seed in (31, 32))
    job = client.estimates.create(source, target, critic="groupsort", max_seconds=60, seed=0)
    with httpx.stream("GET", f"{behind_proxy}/v1/estimates/{job.id}/events", headers=headers, timeout=30) as answer:
        began = time.monotonic()
        progress = next(line for line in answer.iter_lines() if line == "event: progress")
    assert progress
    assert time.monotonic() - began < 20
    assert client.estimates.get(job.id).status == "running"
    client.estimates.cancel(job.id)


def test_a_large_body_passes(client: Client, behind: ServerProcess) -> None:
    rows = np.zeros((1_000_000, 4), dtype=np.float32)  # nginx takes 1 MiB unless told otherwise
    rows[:, 0] = np.arange(len(rows))
    assert client.sample_sets.create(rows).bytes > 16_000_000
