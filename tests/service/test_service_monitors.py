"""Monitors over HTTP: batch after batch against one reference, in order, each once."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from monitoring import QUICK, accepted, batch, create, ended, monitor, send, state_of, succeeded, update
from service_process import Server, normal
from stores import Stores

from wdist.definitions.monitoring import MonitorFigures, UpdateFigures


@pytest.fixture(scope="module")
def reference(server: Server) -> str:
    return server.upload(normal(900, rows=600), name="the first year")


@pytest.fixture(scope="module")
def drifted(server: Server, reference: str) -> tuple[str, list[str]]:
    """A monitor and its four updates, submitted at once: two without drift, two with a shift of 2 in each column."""
    made = create(server, reference, name="orders", metadata={"team": "shop", "stage": "test"}, tolerance=0.1)
    weeks = (("2026-01-05", 0.0), ("2026-01-12", 0.0), ("2026-01-19", 2.0), ("2026-01-26", 2.0))
    sent = [accepted(send(server, made, batch(910 + t, shift), at)) for t, (at, shift) in enumerate(weeks)]
    for each in sent:
        succeeded(server, made, each)
    return made, sent


@pytest.mark.both_stores
def test_updates_run_in_the_order_of_submission_and_drift_raises_an_alarm(
    server: Server, drifted: tuple[str, list[str]], reference: str
) -> None:
    made, sent = drifted
    found = [update(server, made, each) for each in sent]
    assert [each["number"] for each in found] == [1, 2, 3, 4]
    assert all(one["finished_at"] <= other["started_at"] for one, other in itertools.pairwise(found))
    figures = [UpdateFigures.model_validate(each["figures"]) for each in found]
    assert [each.at for each in figures] == ["2026-01-05", "2026-01-12", "2026-01-19", "2026-01-26"]
    exact = 2 * 3**0.5
    assert all(each.series_lower_bound <= 0.1 for each in figures[:2])
    assert all(1.0 < each.series_lower_bound <= exact for each in figures[2:])
    assert [alarm["kind"] for alarm in found[2]["raised"]] == [alarm.kind for alarm in figures[2].alarms]
    assert found[2]["raised"][0] | {"bound": 0} == {
        "kind": "distance", "column": None, "bound": 0, "threshold": 0.1, "since": 3, "since_at": "2026-01-19",
    }  # fmt: skip
    assert found[0]["raised"] == found[1]["raised"] == []
    shown = monitor(server, made)
    MonitorFigures.model_validate(shown)
    assert (shown["status"], shown["updates"], shown["waiting"], shown["epoch"]) == ("active", 4, 0, 1)
    assert (shown["name"], shown["reference"], shown["reference_set"]) == ("orders", "the first year", reference)
    assert shown["last"] == found[3]["figures"]
    assert shown["alarms"] == found[3]["figures"]["alarms"]
    assert {alarm["since"] for alarm in shown["alarms"] if alarm["kind"] == "distance"} == {3}
    assert shown["units"] == "Euclidean distance in the data's own units"
    assert shown["options"]["critic"] == "groupsort"


def test_updates_are_listed_newest_first_page_by_page(server: Server, drifted: tuple[str, list[str]]) -> None:
    made, sent = drifted
    url = f"/v1/monitors/{made}/updates"
    first = server.client.get(url, params={"limit": 3}).json()
    rest = server.client.get(url, params={"limit": 3, "after": first["next"]}).json()
    assert [each["id"] for each in first["data"] + rest["data"]] == sent[::-1]
    assert (first["has_more"], rest["has_more"]) == (True, False)


def test_monitors_are_listed_by_labels_and_by_alarm(
    server: Server, drifted: tuple[str, list[str]], reference: str
) -> None:
    quiet = create(server, reference, metadata={"team": "shop"})

    def listed(**query: Any) -> set[str]:
        answer = server.client.get("/v1/monitors", params=query)
        assert answer.status_code == 200, answer.text
        return {each["id"] for each in answer.json()["data"]}

    both = {drifted[0], quiet}
    assert listed(metadata="team:shop") == both
    assert listed(metadata=["team:shop", "stage:test"]) == {drifted[0]}
    assert listed(metadata="team:none") == set()
    assert listed(alarm="true") & both == {drifted[0]}
    assert listed(alarm="false") & both == {quiet}
    page = server.client.get("/v1/monitors", params={"limit": 1}).json()
    assert page["has_more"]
    assert page["data"][0]["id"] == quiet


def test_the_history_is_exported_as_json_lines_and_csv(server: Server, drifted: tuple[str, list[str]]) -> None:
    made, sent = drifted
    lines = server.client.get(f"/v1/monitors/{made}/export", params={"format": "jsonl"})
    assert lines.headers["content-type"] == "application/jsonl"
    assert [json.loads(line) for line in lines.text.splitlines()] == [
        update(server, made, each)["figures"] for each in sent
    ]
    table = server.client.get(f"/v1/monitors/{made}/export")
    assert table.headers["content-disposition"] == f'attachment; filename="{made}.csv"'
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["number"] for row in rows] == ["1", "2", "3", "4"]
    assert "distance" in rows[2]["alarms"]
    assert rows[0]["alarms"] == ""


def test_new_thresholds_hold_at_once_as_if_they_had_always_been_these(
    server: Server, drifted: tuple[str, list[str]]
) -> None:
    url = f"/v1/monitors/{drifted[0]}"
    before = monitor(server, drifted[0])

    def kinds(thresholds: dict[str, Any]) -> list[tuple[str, str | None, int]]:
        answer = server.client.patch(url, json={"thresholds": thresholds})
        assert answer.status_code == 200, answer.text
        return [(each["kind"], each["column"], each["since"]) for each in answer.json()["alarms"]]

    try:
        evidence = [each for each in kinds({"distance": 50}) if each[0] == "evidence"]
        assert kinds({"distance": 50}) == evidence
        assert kinds({"distance": 50, "columns": {"1": 0.2}}) == [("column", "1", 3), *evidence]
        assert kinds({"distance": 0.2}) == [("distance", None, 3), *evidence]
        wrong = server.client.patch(url, json={"thresholds": {"columns": {"price": 0.2}}})
        assert wrong.status_code == 422
        assert "'price'" in wrong.json()["detail"]
    finally:
        restored = server.client.patch(url, json={"thresholds": before["thresholds"]}).json()
    assert restored["alarms"] == before["alarms"]


@pytest.mark.both_stores
def test_a_batch_is_refused_whose_rows_or_time_the_series_cannot_take(
    server: Server, drifted: tuple[str, list[str]], reference: str
) -> None:
    made, sent = drifted
    again = send(server, made, batch(911), "2026-03-02")
    assert again.status_code == 409
    assert sent[1] in again.json()["detail"]
    assert again.json()["errors"][0]["field"] == "batch"
    fresh = server.upload(batch(950))
    for at, words in (("2026-01-26", "not later"), ("2025-01-01T00:00:00", "not later"), (7, "all times as numbers")):
        late = send(server, made, fresh, at)
        assert late.status_code == 409, late.text
        assert words in late.json()["detail"]
    assert send(server, made, reference, "2026-03-02").status_code == 409
    for rows, words in (
        (normal(951, rows=99), "99 rows"),
        (normal(952, rows=200, columns=4), "columns"),
    ):
        refused = send(server, made, server.upload(rows), "2026-03-02")
        assert refused.status_code == 422, refused.text
        assert words in refused.json()["detail"]
        assert refused.json()["errors"][0]["field"] == "batch"
    for body in (
        {"batch": fresh, "when": 1},
        {"at": 1},
        {"batch": fresh, "at": "soon"},
        [],
        {"batch": fresh, "at": True},
    ):
        answer = server.client.post(f"/v1/monitors/{made}/updates", json=body)
        assert answer.status_code == 422, answer.text
    assert server.client.post(f"/v1/monitors/{made}/updates?at=5", json={"batch": fresh}).status_code == 422
    missing = send(server, made, "ss_0", "2026-03-02")
    assert missing.status_code == 404
    assert missing.json()["errors"][0]["field"] == "batch"
    assert monitor(server, made)["updates"] == 4


@pytest.mark.both_stores
def test_rows_that_came_before_in_another_order_or_type_are_refused_at_once(server: Server, reference: str) -> None:
    made, rows = create(server, reference), batch(955).astype(np.float32)
    again = rows[::-1].astype(np.float64)
    first = accepted(send(server, made, rows, 1))
    while_it_runs = send(server, made, again, 2)
    succeeded(server, made, first)
    for refused in (while_it_runs, send(server, made, again, 2)):
        assert refused.status_code == 409, refused.text
        assert f"the rows of {first}" in refused.json()["detail"]
    of_reference = send(server, made, normal(900, rows=600)[::-1], 2)
    assert of_reference.status_code == 409
    assert "the rows of the reference" in of_reference.json()["detail"]
    alike = rows.copy()
    inner = np.argsort(rows[:, 0])[1:-1]
    alike[inner, 0] = alike[inner[::-1], 0]  # the extremes of every column stay
    succeeded(server, made, accepted(send(server, made, alike, 2)))
    assert monitor(server, made)["updates"] == 2


def test_rows_that_only_the_trainer_can_know_again_fail_in_words(server: Server, reference: str) -> None:
    made, rows = create(server, reference), batch(956)
    succeeded(server, made, accepted(send(server, made, rows, 1)))
    server.write("UPDATE monitor_updates SET outline = 'another' WHERE monitor_id = :id", id=made)
    failed = ended(server, made, accepted(send(server, made, rows[::-1], 2)))
    assert (failed["status"], failed["error"]["type"]) == ("failed", "repeated_batch_error")
    assert "update 1" in failed["error"]["message"]
    assert monitor(server, made)["updates"] == 1


def test_one_idempotency_key_is_one_update(server: Server, reference: str) -> None:
    made, fresh = create(server, reference), server.upload(batch(960))
    first, second = (send(server, made, fresh, 1, **{"Idempotency-Key": "week 1"}) for _ in range(2))
    assert accepted(first) == accepted(second)
    other = send(server, made, server.upload(batch(961)), 2, **{"Idempotency-Key": "week 1"})
    assert other.status_code == 422
    assert "Idempotency-Key" in other.json()["detail"]
    key = {"Idempotency-Key": "the monitor"}
    body = {"reference": reference, **QUICK}
    made_once = [server.client.post("/v1/monitors", json=body, headers=key).json()["id"] for _ in range(2)]
    assert made_once[0] == made_once[1]


def test_an_update_that_is_waited_for_comes_with_its_figures_and_events(server: Server, reference: str) -> None:
    made = create(server, reference)
    answer = send(server, made, batch(970), "7", Prefer="wait=60")
    assert answer.status_code == 201, answer.text
    assert answer.json()["figures"]["at"] == 7.0
    stream = server.client.get(f"{answer.headers['location']}/events").text
    names = re.findall(r"^event: (\w+)", stream, re.MULTILINE)
    assert names[0] == "status"
    assert names[-1] == "completed"
    completed = json.loads(re.findall(r"^data: (.*)$", stream, re.MULTILINE)[-1])
    assert completed == answer.json()
    other = create(server, reference)
    assert server.client.get(f"/v1/monitors/{other}/updates/{answer.json()['id']}").status_code == 404


@pytest.mark.slow
def test_a_file_is_read_as_the_reference_was(server: Server) -> None:
    def table(seed: int, price: str = "price") -> bytes:
        rows = normal(seed, rows=200, columns=2)
        return "\n".join([f"{price},carat,id", *(f"{a},{b},x{k}" for k, (a, b) in enumerate(rows))]).encode()

    csv_type = {"Content-Type": "text/csv"}
    sent = server.client.post(
        "/v1/sample-sets", params={"drop": "id", "name": "first"}, content=table(980), headers=csv_type
    )
    made = create(server, sent.json()["id"], thresholds={"columns": {"price": 0.5}})
    url = f"/v1/monitors/{made}/updates"
    answer = server.client.post(url, params={"at": "3", "name": "week 1"}, content=table(981), headers=csv_type)
    found = ended(server, made, accepted(answer))
    assert found["status"] == "succeeded", found
    assert (found["name"], found["at"]) == ("week 1", 3.0)
    assert {column["name"] for column in found["figures"]["columns"]} == {"price", "carat"}
    wrong = server.client.post(url, params={"at": "4"}, content=table(982, price="cost"), headers=csv_type)
    assert wrong.status_code == 422, wrong.text


def test_a_failed_or_canceled_update_leaves_the_series_as_it_was(own_server: Callable[..., Server]) -> None:
    server = own_server("--workers", "0")
    reference = server.upload(normal(900, rows=600))
    plain, disturbed = create(server, reference), create(server, reference)
    sets = [server.upload(batch(990 + k)) for k in range(4)]
    sent = [accepted(send(server, disturbed, each, t)) for t, each in enumerate(sets)]
    expected = [accepted(send(server, plain, sets[k], k)) for k in (0, 3)]
    canceled = server.client.post(f"/v1/monitors/{disturbed}/updates/{sent[1]}/cancel")
    assert canceled.json()["status"] == "canceled"
    server.write("UPDATE sample_sets SET shape = '[\"nonsense\"]', table_schema = '{}' WHERE id = :id", id=sets[2])
    assert monitor(server, disturbed)["waiting"] == 3
    again = server.client.delete(f"/v1/sample-sets/{sets[0]}")
    assert again.status_code == 409
    assert "has not ended" in again.json()["detail"]
    server.extra_worker()
    last = succeeded(server, disturbed, sent[3])
    assert ended(server, disturbed, sent[2])["status"] == "failed"
    assert (last["number"], monitor(server, disturbed)["updates"]) == (2, 2)
    succeeded(server, plain, expected[1])
    assert state_of(server, disturbed) == state_of(server, plain)
    # What failed or was canceled may be sent again; what is over frees its batch, and a monitor keeps its reference.
    assert accepted(send(server, disturbed, sets[1], 9))
    assert server.client.delete(f"/v1/sample-sets/{sets[0]}").status_code == 204
    kept = server.client.delete(f"/v1/sample-sets/{reference}")
    assert kept.status_code == 409
    assert "is the reference of mon_" in kept.json()["detail"]


def test_a_paused_monitor_takes_no_batch_and_says_later_that_it_was_paused(server: Server, reference: str) -> None:
    made = create(server, reference)
    url = f"/v1/monitors/{made}"
    assert server.client.patch(url, json={"paused": True}).json()["status"] == "paused"
    refused = send(server, made, batch(1000), 1)
    assert refused.status_code == 409
    assert "resume" in refused.json()["detail"]
    assert server.client.patch(url, json={"paused": False, "name": "again"}).json()["status"] == "active"
    figures = succeeded(server, made, accepted(send(server, made, batch(1000), 1)))
    assert any("paused" in warning for warning in figures["warnings"])
    assert monitor(server, made)["name"] == "again"


def test_an_epoch_has_a_new_reference_and_begins_without_alarms(server: Server, reference: str) -> None:
    made = create(server, reference)
    url = f"/v1/monitors/{made}/epochs"
    moved = server.upload(batch(1010, 2.0))
    succeeded(server, made, accepted(send(server, made, moved, 1)))
    assert next(alarm["kind"] for alarm in monitor(server, made)["alarms"]) == "distance"
    for stale in (reference, moved):
        answer = server.client.post(url, json={"reference": stale})
        assert answer.status_code == 409, answer.text
    assert server.client.post(url, json={"reference": moved, "confidence": 0.99}).status_code == 422
    new = [server.upload(normal(1011 + k, rows=600, shift=2.0)) for k in range(2)]
    begun = server.client.post(url, json={"reference": new[0], "tolerance": 0.5}).json()
    assert (begun["epoch"], begun["alarms"], begun["tolerance"], begun["confidence"]) == (2, [], 0.5, 0.9)
    assert begun["options"]["critic"] == "groupsort"
    replaced = server.client.post(url, json={"reference": new[1]}).json()
    assert (replaced["epoch"], replaced["reference_set"], replaced["tolerance"]) == (2, new[1], 0.5)
    figures = succeeded(server, made, accepted(send(server, made, batch(1013, 2.0), 2)))
    assert (figures["number"], figures["epoch"], figures["alarms"], figures["change"]) == (2, 2, [], None)
    assert server.client.delete(f"/v1/sample-sets/{new[0]}").status_code == 204
    lines = server.client.get(f"/v1/monitors/{made}/export", params={"format": "jsonl"}).text.splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]


@pytest.mark.both_stores
def test_one_state_is_stored_and_counted_and_goes_with_the_monitor(
    server: Server, reference: str, stores: Stores
) -> None:
    made = create(server, reference, metadata={"team": "forgotten"})
    of_monitor = "FROM {} WHERE job_id IN (SELECT id FROM monitor_updates WHERE monitor_id = :id)"
    states, sizes = [], []
    for t in range(3):
        succeeded(server, made, accepted(send(server, made, batch(1030 + t), t)))
        ((count, size),) = server.rows(f"SELECT count(*), sum(bytes) {of_monitor.format('artifacts')}", id=made)
        counted = (
            "SELECT sum(stored_bytes) FROM jobs WHERE id IN (SELECT id FROM monitor_updates WHERE monitor_id = :id)"
        )
        assert (count, server.rows(counted, id=made)[0][0]) == (1, size)
        states.append(state_of(server, made))
        sizes.append(size)
    assert max(sizes[1:]) - min(sizes[1:]) < 1000
    if not stores.are_shared:
        assert {path.name for path in server.data.rglob("*") if path.name in states} == {states[-1]}
    waiting = [accepted(send(server, made, batch(1021 + k), 3 + k)) for k in range(3)]
    assert server.client.delete(f"/v1/monitors/{made}").status_code == 204
    assert server.client.get(f"/v1/monitors/{made}").status_code == 404
    assert server.client.get(f"/v1/monitors/{made}/updates/{waiting[0]}").status_code == 404
    for table in ("monitor_epochs", "monitor_labels", "monitor_updates"):
        assert server.rows(f"SELECT count(*) FROM {table} WHERE monitor_id = :id", id=made)[0][0] == 0
    assert server.rows("SELECT count(*) FROM jobs WHERE kind = 'monitor_update' AND finished_at IS NULL")[0][0] == 0
    assert server.rows("SELECT count(*) FROM artifacts WHERE sha256 = :sha256", sha256=states[-1])[0][0] == 0
    if not stores.are_shared:
        assert not list(server.data.rglob(states[-1]))


def test_a_page_shows_monitors_as_one_by_one(server: Server, drifted: tuple[str, list[str]]) -> None:
    made = drifted[0]

    def listed() -> dict[str, Any]:
        rows = server.client.get("/v1/monitors", params={"limit": 100}).json()["data"]
        return next(each for each in rows if each["id"] == made)

    shown = monitor(server, made)
    assert shown["last"]["number"] == 4
    assert listed() == shown
    ((stored,),) = server.rows("SELECT figures FROM monitors WHERE id = :id", id=made)
    text = stored if isinstance(stored, str) else json.dumps(stored)
    older = {name: value for name, value in json.loads(text).items() if name != "warnings"}
    try:
        server.write("UPDATE monitors SET figures = :figures WHERE id = :id", figures=json.dumps(older), id=made)
        assert listed() == monitor(server, made) == {**shown, "last": {**shown["last"], "warnings": []}}
        if "sqlite" in server.database_url:
            server.write("UPDATE monitors SET figures = '{half' WHERE id = :id", id=made)
            assert listed()["last"] is None
    finally:
        server.write("UPDATE monitors SET figures = :figures WHERE id = :id", figures=text, id=made)
