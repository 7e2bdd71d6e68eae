"""Requests about monitors that need no worker: refusals, the same at the same moment, gauges."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from monitoring import QUICK, accepted, batch, create, send
from service_process import Server, normal, npy
from stores import Stores


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory, stores: Stores) -> Iterator[Server]:
    """A server without workers, that shows two monitors in gauges."""
    settings = {"WDIST_SERVER_MONITOR_GAUGES": "2", **stores.environment()}
    with Server(tmp_path_factory.mktemp("idle") / "data", ["--workers", "0"], settings) as running:
        yield running


@pytest.mark.both_stores
def test_gauges_show_alarms_first_and_no_more_monitors_than_the_setting(idle: Server) -> None:
    server, reference = idle, idle.upload(normal(900, rows=600))
    made = [create(server, reference) for _ in range(4)]
    server.write(
        "UPDATE monitors SET alarms_on = 2, series_lower_bound = 0.25, updated_at = :at WHERE id = :id",
        id=made[1], at=time.time() - 1000,
    )  # fmt: skip
    server.client.patch(f"/v1/monitors/{made[3]}", json={"paused": True})
    text = server.client.get("/metrics").text

    def gauge(name: str) -> list[tuple[str, float]]:
        found = re.findall(rf"^{name}(?:\{{monitor=\"(\w+)\"\}})? (\S+)$", text, re.MULTILINE)
        return [(key, float(value)) for key, value in found]

    assert gauge("wdist_monitors") == [("", 4.0)]
    assert gauge("wdist_monitors_with_alarm") == [("", 1.0)]
    assert gauge("wdist_monitor_alarms") == [(made[1], 2.0), (made[0], 0.0)]
    assert gauge("wdist_monitor_series_lower_bound") == [(made[1], 0.25)]
    ((key, age),) = gauge("wdist_monitor_update_age_seconds")
    assert key == made[1]
    assert 1000 <= age < 1100


def at_once(count: int, send_one: Callable[[int], httpx.Response]) -> list[httpx.Response]:
    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(send_one, range(count)))


@pytest.mark.both_stores
def test_equal_requests_at_the_same_moment_are_one_update(idle: Server) -> None:
    reference = idle.upload(normal(900, rows=600))
    stored, rows = idle.upload(batch(1060)), batch(1061)
    for key in ({}, {"Idempotency-Key": "this week"}):
        made = create(idle, reference)
        answers = at_once(16, lambda k, made=made, key=key: send(idle, made, stored, 1, **key))
        expected = [202] * 16 if key else [202] + [409] * 15
        assert sorted(answer.status_code for answer in answers) == expected
        assert len({answer.json()["id"] for answer in answers if answer.is_success}) == 1
    made = create(idle, reference)
    answers = at_once(8, lambda k: send(idle, made, rows, 1, **{"Idempotency-Key": "this week's file"}))
    assert len({accepted(answer) for answer in answers}) == 1


@pytest.mark.both_stores
def test_batches_at_the_same_moment_are_one_chain(idle: Server) -> None:
    made = create(idle, idle.upload(normal(900, rows=600)))
    sets = [idle.upload(batch(1070 + k)) for k in range(12)]
    for answer in at_once(12, lambda k: send(idle, made, sets[k])):
        accepted(answer)
    query = "SELECT j.waits_for FROM jobs j JOIN monitor_updates u ON u.id = j.id WHERE u.monitor_id = :id"
    before = [row[0] for row in idle.rows(query, id=made)]
    assert before.count(None) == 1
    assert len(set(before)) == 12


def test_a_request_that_was_accepted_is_answered_although_the_monitor_is_paused_since(idle: Server) -> None:
    made, key = create(idle, idle.upload(normal(900, rows=600))), {"Idempotency-Key": "before the pause"}
    first = accepted(send(idle, made, batch(1090), 1, **key))
    idle.client.patch(f"/v1/monitors/{made}", json={"paused": True})
    assert accepted(send(idle, made, batch(1090), 1, **key)) == first
    assert send(idle, made, batch(1091), 2, **{"Idempotency-Key": "after it"}).status_code == 409


def test_thresholds_of_columns_are_for_tables_that_have_figures_of_columns(idle: Server) -> None:
    images = normal(1, rows=120, columns=48).reshape(120, 4, 4, 3)
    for rows, layout in ((normal(1, rows=120, columns=201), None), (images, "nhwc")):
        url, body = "/v1/monitors", {"reference": idle.upload(rows), "layout": layout, **QUICK}
        refused = idle.client.post(url, json={**body, "thresholds": {"columns": {"0": 0.1}}})
        assert refused.status_code == 422, refused.text
        assert "at most 200" in refused.json()["detail"]
        made = idle.client.post(url, json=body).json()["id"]
        assert idle.client.patch(f"{url}/{made}", json={"thresholds": {"columns": {"0": 0.1}}}).status_code == 422


def test_refusals_speak_of_the_batch_and_of_the_reference(idle: Server) -> None:
    made = create(idle, idle.upload(normal(900, rows=600)))
    refused = send(idle, made, normal(1, rows=200)[:, :, None], 1).json()
    assert refused["detail"].startswith("the reference holds a table of 3 columns and ss_")
    assert refused["errors"][0]["field"] == "batch"


def test_a_plus_sign_in_the_time_of_a_file_need_not_be_encoded(idle: Server) -> None:
    made = create(idle, idle.upload(normal(900, rows=600)))
    url = f"/v1/monitors/{made}/updates?at=2026-11-30T08:00:00+01:00"
    answer = idle.client.post(url, content=npy(batch(1095)))
    assert answer.json()["at"] == "2026-11-30T08:00:00+01:00"


def test_an_update_that_trains_on_costs_less_than_the_first(idle: Server) -> None:
    made = create(idle, idle.upload(normal(900, rows=600)), steps=20_000, update_steps=100)
    for k in range(2):
        accepted(send(idle, made, batch(1096 + k)))
    query = "SELECT j.cost_seconds FROM jobs j JOIN monitor_updates u ON u.id = j.id WHERE u.monitor_id = :id"
    later, first = sorted(row[0] for row in idle.rows(query, id=made))
    assert later < first / 10
