"""Estimates over HTTP, on a real server."""

from __future__ import annotations

import hashlib
import io
import math
import time
from pathlib import Path

import numpy as np
import pytest
from service_process import Server, normal, npy

from wdist import estimate_w1
from wdist.critics.critic import load_critic
from wdist.definitions.results.witness import WitnessFigures
from wdist.verify import verify_certificate

RESULT_NAMES = {
    "value", "lower_bound", "upper_bound", "confidence", "p_value", "lipschitz_bound", "critic", "seed", "n", "scale",
    "units", "trivial", "empirical", "null_baseline", "steps", "seconds", "device", "warnings", "meaning",
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(server: Server, pair: tuple[str, str]) -> dict:
    estimate = server.submit(*pair, steps=20, critic="groupsort", confidence=0.9, metadata={"run": "7"})
    return server.until_done(estimate)


def test_result_has_the_shared_names(finished: dict) -> None:
    assert finished["status"] == "succeeded", finished["error"]
    result = finished["result"]
    assert set(result) >= RESULT_NAMES
    assert result["confidence"] == 0.9
    assert set(result["n"]) == {"source", "target"}
    assert sum(result["n"]["source"].values()) == 300


def test_result_is_below_the_truth(finished: dict) -> None:
    result = finished["result"]
    # W1 = sqrt(3). The held-out mean difference has a standard error of at most sqrt(2 / 90): six of them above.
    assert 0 <= result["lower_bound"] <= result["value"] <= math.sqrt(3) + 6 * math.sqrt(2 / 90)
    assert result["value"] > 0.5
    assert result["lipschitz_bound"] == pytest.approx(1, abs=1e-4)


def test_estimate_tells_its_story(finished: dict, pair: tuple[str, str]) -> None:
    assert (finished["source"], finished["target"]) == pair
    assert finished["object"] == "estimate"
    assert finished["metadata"] == {"run": "7"}
    assert finished["priority"] == "normal"
    assert finished["attempt"] == 1
    assert finished["error"] is None
    assert finished["created_at"] <= finished["started_at"] <= finished["finished_at"]
    assert finished["options"]["steps"] == 20


def test_same_seed_same_result(server: Server, pair: tuple[str, str], finished: dict) -> None:
    again = server.until_done(server.submit(*pair, steps=20, critic="groupsort", confidence=0.9))
    assert again["result"]["value"] == finished["result"]["value"]
    assert again["result"]["lower_bound"] == finished["result"]["lower_bound"]


def test_curve(server: Server, finished: dict) -> None:
    curve = server.client.get(f"/v1/estimates/{finished['id']}/curve").json()
    assert curve["complete"] is True
    assert curve["data"]
    assert all({"step", "seconds", "value"} <= set(point) for point in curve["data"])


def test_witness_is_the_librarys(server: Server, finished: dict, pair: tuple[str, str]) -> None:
    url = f"/v1/estimates/{finished['id']}/witness"
    answer = server.client.get(url)
    assert answer.headers["content-type"] == "application/json"
    assert server.client.get(url, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    sets = [np.load(io.BytesIO(server.client.get(f"/v1/sample-sets/{each}/content").content)) for each in pair]
    result = estimate_w1(*sets, steps=20, critic="groupsort", confidence=0.9)
    said, own = answer.json(), result.witness.to_dict()
    assert [column["histogram"] for column in said["columns"]] == [column["histogram"] for column in own["columns"]]
    assert said["means"]["target"] - said["means"]["source"] == pytest.approx(finished["result"]["unclipped"])
    assert WitnessFigures.model_validate(said).model_dump(exclude_unset=True) == said


def test_estimates_of_earlier_versions_have_no_witness(server: Server, pair: tuple[str, str]) -> None:
    estimate = server.until_done(server.submit(*pair, critic="affine"))["id"]
    server.write("DELETE FROM artifacts WHERE job_id = :name AND name = 'witness.json'", name=estimate)
    answer = server.client.get(f"/v1/estimates/{estimate}/witness")
    assert answer.status_code == 404
    assert "earlier version" in answer.json()["detail"]
    assert "again" in answer.json()["detail"]


def test_critic_download_has_etag_and_range(server: Server, finished: dict) -> None:
    url = f"/v1/estimates/{finished['id']}/critic"
    whole = server.client.get(url)
    assert whole.status_code == 200
    assert whole.headers["etag"] == f'"{hashlib.sha256(whole.content).hexdigest()}"'
    part = server.client.get(url, headers={"Range": "bytes=8-15"})
    assert part.status_code == 206
    assert part.content == whole.content[8:16]
    assert server.client.get(url, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    config = server.client.get(url, params={"part": "config"})
    assert config.status_code == 200
    assert config.json()


def test_certificate_download_verifies(server: Server, finished: dict, pair: tuple[str, str], tmp_path: Path) -> None:
    answer = server.client.get(f"/v1/estimates/{finished['id']}/certificate")
    assert answer.status_code == 200, answer.text
    files = [tmp_path / name for name in ("certificate", "source.npy", "target.npy")]
    files[0].write_bytes(answer.content)
    for file, sample_set in zip(files[1:], pair, strict=True):
        file.write_bytes(server.client.get(f"/v1/sample-sets/{sample_set}/content").content)
    report = verify_certificate(*files)
    assert report.valid, str(report)


def test_evaluate_agrees_with_the_library(
    server: Server, finished: dict, pair: tuple[str, str], tmp_path: Path
) -> None:
    for part, name in (("weights", "critic.safetensors"), ("config", "critic.json")):
        url = f"/v1/estimates/{finished['id']}/critic"
        (tmp_path / name).write_bytes(server.client.get(url, params={"part": part}).content)
    critic = load_critic(tmp_path)
    rows = normal(5, rows=40)
    url = f"/v1/estimates/{finished['id']}/evaluate"
    answer = server.client.post(url, content=npy(rows), params={"gradient": True})
    assert answer.status_code == 200, answer.text
    # Two float64 evaluations of one net of a few hundred terms a layer, in different order.
    np.testing.assert_allclose(answer.json()["values"], critic.evaluate(rows), rtol=1e-9, atol=1e-9)
    slopes = np.array(answer.json()["gradient"])
    assert slopes.shape == rows.shape
    assert np.linalg.norm(slopes, axis=1).max() <= finished["result"]["lipschitz_bound"] * (1 + 1e-9)
    for gradient, expected in ((False, answer.json()["values"]), (True, slopes)):
        raw = server.client.post(
            url, content=npy(rows), params={"gradient": gradient}, headers={"Accept": "application/x-npy"}
        )
        np.testing.assert_array_equal(np.load(io.BytesIO(raw.content)), expected)
    stored = server.client.post(url, params={"sample_set": pair[0]})
    assert len(stored.json()["values"]) == 300
    assert stored.json()["gradient"] is None


def test_evaluate_refuses_what_does_not_fit(server: Server, finished: dict, pair: tuple[str, str]) -> None:
    url = f"/v1/estimates/{finished['id']}/evaluate"
    post = server.client.post
    assert post(url, content=npy(normal(5, columns=4))).status_code == 422
    assert post(url, content=b"not an array").status_code == 422
    assert post(url, content=npy(normal(5)), headers={"Content-Type": "text/csv"}).status_code == 415
    assert post(url, content=npy(np.zeros((10_001, 3), np.float32))).status_code == 413
    assert post(url, params={"sample_set": "ss_none"}).status_code == 404
    assert post("/v1/estimates/est_none/evaluate", content=npy(normal(5))).status_code == 404
    waiting = server.submit(*pair, steps=1_000_000, critic="groupsort")
    assert post(f"/v1/estimates/{waiting}/evaluate", content=npy(normal(5))).status_code == 409
    assert server.client.get(f"/v1/estimates/{waiting}/certificate").status_code == 409
    post(f"/v1/estimates/{waiting}/cancel")
    server.until_done(waiting)
    assert not list((server.data / "scratch").glob("*/evaluate-*"))
    assert not list((server.data / "incoming").iterdir())


def test_wait_answers_with_the_result(server: Server, pair: tuple[str, str]) -> None:
    answer = server.client.post(
        "/v1/estimates",
        json={"source": pair[0], "target": pair[1], "steps": 5, "critic": "affine"},
        headers={"Prefer": "wait=30"},
    )
    assert answer.status_code == 201, answer.text
    assert answer.headers["preference-applied"] == "wait=30"
    assert answer.json()["status"] == "succeeded"


def test_accepted_answer_says_where_to_look(server: Server, pair: tuple[str, str]) -> None:
    answer = server.client.post("/v1/estimates", json={"source": pair[0], "target": pair[1], "steps": 5})
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/estimates/{answer.json()['id']}"
    assert int(answer.headers["retry-after"]) >= 1
    server.until_done(answer.json()["id"])


def test_idempotency_key(server: Server, pair: tuple[str, str]) -> None:
    body = {"source": pair[0], "target": pair[1], "steps": 5, "critic": "affine"}
    headers = {"Idempotency-Key": "night-run-1"}
    first = server.client.post("/v1/estimates", json=body, headers=headers)
    second = server.client.post("/v1/estimates", json=body, headers=headers)
    assert second.json()["id"] == first.json()["id"]
    other = server.client.post("/v1/estimates", json={**body, "seed": 1}, headers=headers)
    assert other.status_code == 422
    assert other.json()["errors"][0]["field"] == "Idempotency-Key"
    server.until_done(first.json()["id"])


def test_list_pages_newest_first(server: Server, pair: tuple[str, str]) -> None:
    ids = [server.submit(*pair, steps=5, critic="affine") for _ in range(3)]
    for estimate in ids:
        server.until_done(estimate)
    first = server.client.get("/v1/estimates", params={"limit": 2}).json()
    assert [entry["id"] for entry in first["data"]] == [ids[2], ids[1]]
    assert first["has_more"]
    second = server.client.get("/v1/estimates", params={"limit": 1, "after": first["next"]}).json()
    assert second["data"][0]["id"] == ids[0]
    canceled = server.client.get("/v1/estimates", params={"status": "canceled", "limit": 100}).json()["data"]
    assert all(entry["status"] == "canceled" for entry in canceled)


def test_list_filters_by_metadata(server: Server, pair: tuple[str, str]) -> None:
    labels = [{"run": "filter: 1", "who": "a"}, {"run": "filter: 1", "who": "b"}, {"run": "filter: 2"}]
    ids = [server.submit(*pair, steps=5, critic="affine", metadata=metadata) for metadata in labels]

    def found(*filters: str) -> list[str]:
        answer = server.client.get("/v1/estimates", params={"metadata": list(filters)})
        assert answer.status_code == 200, answer.text
        return [entry["id"] for entry in answer.json()["data"]]

    assert found("run:filter: 1") == [ids[1], ids[0]]
    assert found("run:filter: 1", "who:a") == [ids[0]]
    assert found("run:filter") == []
    assert found("x' OR 1=1 --:y") == []
    assert server.client.get("/v1/estimates", params={"metadata": "no-colon"}).status_code == 422
    for estimate in ids:
        server.until_done(estimate)


def test_cancel_running_and_queued(server: Server, pair: tuple[str, str]) -> None:
    running = server.submit(*pair, steps=1_000_000, critic="groupsort")
    server.until_training(running)
    queued = server.submit(*pair, steps=1_000_000, critic="groupsort")
    assert server.client.post(f"/v1/estimates/{queued}/cancel").json()["status"] == "canceled"
    asked = time.monotonic()
    assert server.client.post(f"/v1/estimates/{running}/cancel").json()["status"] == "canceling"
    done = server.until_done(running)
    assert time.monotonic() - asked <= 5  # the figure to reach is 2 s, on an idle machine
    assert done["status"] == "canceled"
    assert done["result"] is None
    assert server.get(queued)["started_at"] is None
    # A finished one is left alone, and a curve of what was trained remains.
    assert server.client.post(f"/v1/estimates/{running}/cancel").json()["status"] == "canceled"
    assert server.client.get(f"/v1/estimates/{running}/curve").json()["data"]
    after = server.until_done(server.submit(*pair, steps=5, critic="affine"))
    assert after["status"] == "succeeded"


def test_finish_running_and_queued(server: Server, pair: tuple[str, str]) -> None:
    running = server.submit(*pair, steps=200_000, critic="groupsort")
    server.until_training(running)
    queued = server.submit(*pair, steps=200_000, critic="groupsort")
    for estimate, status in ((queued, "queued"), (running, "running")):
        assert server.get(estimate)["finishing"] is False
        for _ in range(2):  # asking again changes nothing
            asked = server.client.post(f"/v1/estimates/{estimate}/finish").json()
            assert (asked["status"], asked["finishing"]) == (status, True)
    done = [server.until_done(estimate) for estimate in (running, queued)]
    assert [estimate["status"] for estimate in done] == ["succeeded"] * 2
    results = [estimate["result"] for estimate in done]
    assert 1 < results[0]["steps"] < 200_000
    assert (results[1]["steps"], results[1]["critic"]["family"]) == (1, "affine")
    for estimate in (running, queued):
        events = server.rows("SELECT data FROM events WHERE job_id = :id AND type = 'status'", id=estimate)
        assert sum("finishing" in str(data) for (data,) in events) == 1
        assert server.client.get(f"/v1/estimates/{estimate}/certificate").status_code == 200
    ended = server.client.post(f"/v1/estimates/{running}/finish").json()
    assert ended == server.get(running)
    plan = {name: results[0][name] for name in ("steps", "planned_steps")}
    again = server.until_done(server.submit(*pair, critic="groupsort", **plan))["result"]
    assert again | {"seconds": 0} == results[0] | {"seconds": 0}


def test_finish_leaves_a_canceled_one_alone_and_knows_no_others(server: Server, pair: tuple[str, str]) -> None:
    estimate = server.submit(*pair, steps=1_000_000, critic="groupsort")
    server.client.post(f"/v1/estimates/{estimate}/cancel")
    assert server.client.post(f"/v1/estimates/{estimate}/finish").json()["finishing"] is False
    assert server.until_done(estimate)["status"] == "canceled"
    assert server.client.post("/v1/estimates/est_none/finish").status_code == 404


def test_delete(server: Server, pair: tuple[str, str]) -> None:
    estimate = server.submit(*pair, steps=1_000_000, critic="groupsort")
    assert server.client.delete(f"/v1/estimates/{estimate}").status_code == 409
    assert server.client.delete(f"/v1/sample-sets/{pair[0]}").status_code == 409
    server.client.post(f"/v1/estimates/{estimate}/cancel")
    server.until_done(estimate)
    assert server.client.delete(f"/v1/estimates/{estimate}").status_code == 204
    assert server.client.get(f"/v1/estimates/{estimate}").status_code == 404
    assert server.client.delete(f"/v1/estimates/{estimate}").status_code == 404


def test_a_job_that_cannot_be_done_fails_in_words(server: Server) -> None:
    # Values differ too little to compute with. Only reading the rows shows it.
    rows = 1e-40 * np.random.default_rng(3).normal(size=(200, 2))
    done = server.until_done(server.submit(server.upload(rows), server.upload(rows[::-1] + 1e-41), steps=5))
    assert done["status"] == "failed"
    assert done["error"]["type"] == "sample_error"
    assert "multiply both by one large number" in done["error"]["message"]
