"""Webhooks end to end: a real server tells a real receiver what has happened, once, signed, and without rows."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import monitoring
import pytest
from service_process import Server, normal, npy
from standardwebhooks import Webhook
from stores import Stores
from webhook_receiver import Receiver

MakeServer = Callable[..., Server]
LOOPBACK = '["127.0.0.0/8"]'
_paths = itertools.count()


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with Receiver(tmp_path_factory.mktemp("receiver")) as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, stores: Stores) -> Iterator[Server]:
    """A server with keys that may send to this machine; its client is an admin."""
    environment = {"WDIST_SERVER_WEBHOOK_PRIVATE": LOOPBACK, **stores.environment()}
    with Server(tmp_path_factory.mktemp("hooks") / "data", environment=environment) as running:
        key = running.client.post("/v1/api-keys", json={"role": "admin"}).json()["secret"]
        running.client.headers["Authorization"] = f"Bearer {key}"
        yield running


@pytest.fixture(scope="module")
def sets(server: Server) -> tuple[str, str]:
    return server.upload(normal(1)), server.upload(normal(2, shift=1.0))


@pytest.fixture(autouse=True)
def no_webhooks(server: Server) -> Iterator[None]:
    """Each test begins and ends without webhooks: what one does is not told to those of another."""
    yield
    for webhook in server.client.get("/v1/webhooks").json()["data"]:
        assert server.client.delete(f"/v1/webhooks/{webhook['id']}").status_code == 204


def register(server: Server, url: str, *events: str, **more: Any) -> dict[str, Any]:
    answer = server.client.post("/v1/webhooks", json={"url": url, "events": events or ["batch.finished"], **more})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def unused(path: str) -> str:
    """The path with a query by which the requests of one test are found."""
    return f"{path}?test={next(_paths)}"


def deliveries(server: Server, webhook: dict[str, Any], **query: str) -> list[dict[str, Any]]:
    answer = server.client.get(f"/v1/webhooks/{webhook['id']}/deliveries", params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


def until_delivery(server: Server, webhook: dict[str, Any], delivery: str, condition: Callable[[Any], Any]) -> Any:
    deadline = time.monotonic() + 40
    while True:
        found = server.client.get(f"/v1/webhooks/{webhook['id']}/deliveries/{delivery}").json()
        if condition(found):
            return found
        assert time.monotonic() < deadline, f"{found}; log: {server.log_end()}"
        time.sleep(0.05)


def ping(server: Server, webhook: dict[str, Any]) -> str:
    answer = server.client.post(f"/v1/webhooks/{webhook['id']}/test")
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def seconds_until(server: Server, delivery: dict[str, Any]) -> float:
    """From the last request of a delivery to its next one."""
    (due_at,) = server.rows("SELECT due_at FROM jobs WHERE id = :id", id=delivery["id"])[0]
    (log,) = server.rows("SELECT log FROM deliveries WHERE id = :id", id=delivery["id"])[0]
    entries = json.loads(log) if isinstance(log, str) else log
    return float(due_at) - float(entries[-1]["at"])


def test_a_finished_estimate_is_told_without_what_stands_in_the_data(
    server: Server, receiver: Receiver, sets: tuple[str, str]
) -> None:
    plain, full = unused("/ok"), unused("/ok")
    webhook = register(server, receiver.url(plain), "estimate.succeeded")
    register(server, receiver.url(full), "estimate.succeeded", "estimate.failed", include_rows=True)
    silent = register(server, receiver.url(unused("/ok")), "estimate.failed")
    estimate = server.submit(*sets, steps=5, critic="affine", metadata={"run": "7"})
    (request,) = receiver.until(plain)
    event = Webhook(webhook["secret"]).verify(request["body"], request["headers"])
    assert event["type"] == "estimate.succeeded"
    assert event["data"]["id"] == estimate
    assert event["data"]["metadata"] == {"run": "7"}
    result = server.get(estimate)["result"]
    assert event["data"]["result"] == {name: result[name] for name in event["data"]["result"]}
    assert set(event["data"]["result"]) == {
        "value", "lower_bound", "upper_bound", "confidence", "p_value", "units"
    }  # fmt: skip
    assert request["headers"]["content-type"] == "application/json"
    (more,) = receiver.until(full)
    assert more["headers"]["webhook-id"] == request["headers"]["webhook-id"]
    assert json.loads(more["body"])["data"]["result"]["warnings"] == result["warnings"]
    assert deliveries(server, silent) == []
    (delivery,) = deliveries(server, webhook)
    done = until_delivery(server, webhook, delivery["id"], lambda found: found["status"] == "succeeded")
    assert (done["attempts"], done["response_status"], done["reason"]) == (1, 204, None)
    assert done["payload"] == event
    assert len(receiver.requests(plain)) == 1


def test_canceled_estimates_are_told(server: Server, receiver: Receiver, sets: tuple[str, str]) -> None:
    path = unused("/ok")
    register(server, receiver.url(path), "estimate.canceled")
    running = server.submit(*sets, steps=1_000_000, critic="groupsort")
    waiting = server.submit(*sets, steps=10)
    server.until_training(running)
    server.client.post(f"/v1/estimates/{waiting}/cancel")
    server.client.post(f"/v1/estimates/{running}/cancel")
    told = [json.loads(request["body"])["data"] for request in receiver.until(path, 2)]
    assert sorted(data["id"] for data in told) == sorted([running, waiting])
    assert {data["status"] for data in told} == {"canceled"}


def test_a_batch_is_told_once(server: Server, receiver: Receiver, sets: tuple[str, str]) -> None:
    path = unused("/ok")
    register(server, receiver.url(path), "batch.finished")
    third = server.upload(normal(3))
    body = {"matrix": [*sets, third], "steps": 5, "critic": "affine"}
    finished = server.client.post("/v1/batches", json=body).json()["id"]
    assert json.loads(receiver.until(path)[0]["body"])["data"] | {"created_at": None, "metadata": None} == {
        "id": finished, "object": "batch", "status": "finished", "kind": "matrix", "created_at": None, "metadata": None,
        "counts": {"total": 3, "succeeded": 3, "failed": 0, "canceled": 0},
    }  # fmt: skip
    slow = server.client.post("/v1/batches", json={**body, "steps": 1_000_000, "critic": "groupsort"}).json()["id"]
    server.client.post(f"/v1/batches/{slow}/cancel")
    data = json.loads(receiver.until(path, 2)[1]["body"])["data"]
    assert (data["id"], data["status"], data["counts"]["canceled"]) == (slow, "canceled", 3)
    assert len(receiver.requests(path)) == 2


def test_what_happens_to_a_monitor_is_told(server: Server, receiver: Receiver) -> None:
    path, full = unused("/ok"), unused("/ok")
    register(server, receiver.url(path), "monitor.updated", "monitor.alarm_raised", "monitor.alarm_cleared")
    register(server, receiver.url(full), "monitor.updated", include_rows=True)
    reference = server.upload(normal(900, rows=600))
    made = monitoring.create(server, reference, name="orders", metadata={"team": "shop"}, tolerance=0.1)

    def updated(seed: int, shift: float) -> dict[str, Any]:
        sent = monitoring.accepted(monitoring.send(server, made, monitoring.batch(seed, shift)))
        return monitoring.ended(server, made, sent)

    found = [updated(910, 0.0), updated(911, 2.0)]
    told = [json.loads(request["body"]) for request in receiver.until(path, 3)]
    assert sorted(event["type"] for event in told) == ["monitor.alarm_raised", "monitor.updated", "monitor.updated"]
    (raised,) = [event["data"] for event in told if event["type"] == "monitor.alarm_raised"]
    assert (raised["update"]["id"], raised["alarms"]) == (found[1]["id"], found[1]["raised"])
    assert raised["monitor"] == {
        "id": made, "name": "orders", "metadata": {"team": "shop"}, "alarms": found[1]["figures"]["alarms"]
    }  # fmt: skip
    figures = raised["update"]["figures"]
    assert figures == {name: found[1]["figures"][name] for name in figures}
    assert figures.keys().isdisjoint({"columns", "unusual", "warnings", "meaning"})
    # Other thresholds end an alarm and begin it, without an update.
    for threshold in (100.0, 0.1):
        body = {"thresholds": {"distance": threshold}}
        assert server.client.patch(f"/v1/monitors/{made}", json=body).status_code == 200
    ended, begun = sorted((json.loads(each["body"]) for each in receiver.until(path, 5)[3:]), key=lambda e: e["type"])
    assert (ended["type"], begun["type"]) == ("monitor.alarm_cleared", "monitor.alarm_raised")
    assert ended["data"]["update"] is begun["data"]["update"] is None
    assert [alarm["kind"] for alarm in begun["data"]["alarms"]] == ["distance"]
    found.append(updated(912, 0.0))
    told = [json.loads(request["body"]) for request in receiver.until(path, 7)[5:]]
    (cleared,) = [event["data"] for event in told if event["type"] == "monitor.alarm_cleared"]
    assert (cleared["update"]["id"], cleared["alarms"]) == (found[2]["id"], found[2]["cleared"])
    complete = [json.loads(request["body"])["data"]["update"] for request in receiver.until(full, 3)]
    assert {each["id"]: each["figures"] for each in complete} == {each["id"]: each["figures"] for each in found}


@pytest.mark.slow
def test_a_failed_update_is_told_without_its_message(own_server: MakeServer, receiver: Receiver) -> None:
    server = own_server("--workers", "0", webhook_private=LOOPBACK)
    path, full = unused("/ok"), unused("/ok")
    register(server, receiver.url(path), "monitor.update_failed")
    register(server, receiver.url(full), "monitor.update_failed", include_rows=True)
    made = monitoring.create(server, server.upload(normal(900, rows=600)))
    rows = server.upload(monitoring.batch(910))
    sent = monitoring.accepted(monitoring.send(server, made, rows))
    server.write("UPDATE sample_sets SET shape = '[\"nonsense\"]', table_schema = '{}' WHERE id = :id", id=rows)
    server.extra_worker()
    failed = monitoring.ended(server, made, sent)
    ((short,), (long,)) = receiver.until(path), receiver.until(full)
    data = json.loads(short["body"])["data"]
    assert (data["update"]["id"], data["update"]["error"]) == (sent, {"type": failed["error"]["type"]})
    assert json.loads(long["body"])["data"]["update"]["error"] == failed["error"]


def test_a_rotated_secret_signs_beside_the_old_one(server: Server, receiver: Receiver) -> None:
    path = unused("/ok")
    webhook = register(server, receiver.url(path))
    rotated = server.client.post(f"/v1/webhooks/{webhook['id']}/rotate").json()
    assert rotated["secret"] != webhook["secret"]
    assert rotated["previous_secret_until"] is not None
    ping(server, webhook)
    (request,) = receiver.until(path)
    assert len(request["headers"]["webhook-signature"].split()) == 2
    for secret in (webhook["secret"], rotated["secret"]):
        assert Webhook(secret).verify(request["body"], request["headers"])["type"] == "webhook.ping"
    for secret in (webhook["secret"], rotated["secret"]):
        _verify_with_node(request, secret)
    server.write("UPDATE webhooks SET previous_until = 1 WHERE id = :id", id=webhook["id"])
    ping(server, webhook)
    request = receiver.until(path, 2)[1]
    assert len(request["headers"]["webhook-signature"].split()) == 1
    Webhook(rotated["secret"]).verify(request["body"], request["headers"])


_NODE = """
const crypto = require("node:crypto"), {headers, body, secret} = JSON.parse(require("node:fs").readFileSync(0));
const key = Buffer.from(secret.slice("whsec_".length), "base64");
const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
const expected = Buffer.from("v1," + crypto.createHmac("sha256", key).update(signed).digest("base64"));
const given = headers["webhook-signature"].split(" ").map(each => Buffer.from(each));
process.exit(given.some(each => each.length === expected.length && crypto.timingSafeEqual(each, expected)) ? 0 : 1);
"""


def _verify_with_node(request: dict[str, Any], secret: str) -> None:
    """A receiver in another language, which knows the specification alone."""
    if (node := shutil.which("node")) is None:
        return
    given = {"headers": request["headers"], "body": request["body"], "secret": secret}
    for body, status in ((request["body"], 0), (request["body"] + " ", 1)):
        text = json.dumps({**given, "body": body})
        done = subprocess.run([node, "-e", _NODE], input=text, text=True, capture_output=True, check=False)
        assert done.returncode == status, done.stderr


def test_a_failure_is_tried_again_with_the_same_id(server: Server, receiver: Receiver) -> None:
    path = unused("/fails/1")
    webhook = register(server, receiver.url(path))
    delivery = ping(server, webhook)
    failed = until_delivery(server, webhook, delivery, lambda found: found["attempts"] == 1)
    assert (failed["status"], failed["response_status"]) == ("queued", 503)
    assert failed["reason"] == "the receiver answered 503"
    assert 4.5 < seconds_until(server, failed) < 7
    assert server.client.get(f"/v1/webhooks/{webhook['id']}").json()["failures"] == 1
    server.write("UPDATE jobs SET due_at = due_at - 3.5 WHERE id = :id", id=delivery)
    first, second = receiver.until(path, 2)
    assert first["headers"]["webhook-id"] == second["headers"]["webhook-id"]
    assert float(second["headers"]["webhook-timestamp"]) - float(first["headers"]["webhook-timestamp"]) >= 1
    done = until_delivery(server, webhook, delivery, lambda found: found["status"] == "succeeded")
    assert [entry["response_status"] for entry in done["log"]] == [503, 200]
    assert len(done["response_body"]) == 500
    now = server.client.get(f"/v1/webhooks/{webhook['id']}").json()
    assert (now["failures"], now["failing_since"]) == (0, None)
    assert now["last_success_at"] is not None


def test_the_schedule_has_an_end_and_can_be_begun_again(server: Server, receiver: Receiver) -> None:
    path = unused("/status/500")
    webhook = register(server, receiver.url(path))
    delivery = ping(server, webhook)
    until_delivery(server, webhook, delivery, lambda found: found["attempts"] == 1)
    retry = f"/v1/webhooks/{webhook['id']}/deliveries/{delivery}/retry"
    pauses = []
    for count in range(2, 11):
        assert server.client.post(retry).status_code == 202
        found = until_delivery(server, webhook, delivery, lambda found, count=count: found["attempts"] == count)
        pauses.append(seconds_until(server, found) if found["status"] == "queued" else None)
    assert pauses.pop() is None
    expected = [300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]
    assert all(least < pause < 1.1 * least + 5 for pause, least in zip(pauses, expected, strict=True)), pauses
    assert (found["status"], found["reason"]) == ("failed", "the receiver answered 500")
    assert [entry["id"] for entry in deliveries(server, webhook, status="failed")] == [delivery]
    assert deliveries(server, webhook, status="succeeded") == []
    server.client.patch(f"/v1/webhooks/{webhook['id']}", json={"url": receiver.url(unused("/ok"))})
    assert server.client.post(retry).json()["status"] == "queued"
    done = until_delivery(server, webhook, delivery, lambda found: found["status"] == "succeeded")
    assert done["attempts"] == 11


def test_a_receiver_that_asks_for_a_pause_gets_it(server: Server, receiver: Receiver) -> None:
    path = unused("/busy/100")
    webhook = register(server, receiver.url(path))
    delivery = ping(server, webhook)
    found = until_delivery(server, webhook, delivery, lambda found: found["attempts"] == 1)
    assert 99 < seconds_until(server, found) < 115
    other = ping(server, webhook)  # is not even tried
    time.sleep(2)
    waiting = until_delivery(server, webhook, other, lambda found: found["status"] == "queued")
    assert waiting["attempts"] == 0
    assert len(receiver.requests(path)) == 1


def test_a_receiver_that_wants_no_more_is_disabled(server: Server, receiver: Receiver) -> None:
    path = unused("/status/500")
    webhook = register(server, receiver.url(path))
    waiting = ping(server, webhook)
    until_delivery(server, webhook, waiting, lambda found: found["attempts"] == 1)
    server.client.patch(f"/v1/webhooks/{webhook['id']}", json={"url": receiver.url(unused("/status/410"))})
    gone = ping(server, webhook)
    done = until_delivery(server, webhook, gone, lambda found: found["status"] == "failed")
    assert done["reason"] == "the receiver answered 410"
    found = server.client.get(f"/v1/webhooks/{webhook['id']}").json()
    assert (found["status"], found["disabled_reason"]) == (
        "disabled", "the receiver answered 410: it wants no more events"
    )  # fmt: skip
    canceled = until_delivery(server, webhook, waiting, lambda found: found["status"] == "canceled")
    assert canceled["next_attempt_at"] is None
    for operation in ("test", f"deliveries/{waiting}/retry"):
        assert server.client.post(f"/v1/webhooks/{webhook['id']}/{operation}").status_code == 409
    enabled = server.client.patch(f"/v1/webhooks/{webhook['id']}", json={"enabled": True}).json()
    assert (enabled["status"], enabled["failures"]) == ("enabled", 0)


def test_where_nothing_arrives_for_days_is_disabled(server: Server, receiver: Receiver) -> None:
    webhook = register(server, receiver.url(unused("/status/404")))
    delivery = ping(server, webhook)
    until_delivery(server, webhook, delivery, lambda found: found["attempts"] == 1)
    server.write(
        "UPDATE webhooks SET failing_since = failing_since - :s WHERE id = :id", s=5 * 86_400.0, id=webhook["id"]
    )
    server.client.post(f"/v1/webhooks/{webhook['id']}/deliveries/{delivery}/retry")
    until_delivery(server, webhook, delivery, lambda found: found["attempts"] == 2 and found["status"] != "running")
    found = server.client.get(f"/v1/webhooks/{webhook['id']}").json()
    assert found["disabled_reason"] == "nothing has arrived for 5 days: the receiver answered 404"


def test_changes_and_refusals(server: Server, receiver: Receiver) -> None:
    webhook = register(server, "https://example.org/a", "batch.finished", "batch.finished", description="mine")
    assert webhook["events"] == ["batch.finished"]
    path = f"/v1/webhooks/{webhook['id']}"
    changed = server.client.patch(path, json={"events": ["estimate.failed"], "description": None}).json()
    assert (changed["events"], changed["description"], changed["url"]) == (
        ["estimate.failed"], None, "https://example.org/a"
    )  # fmt: skip
    assert "secret" not in changed
    refused = server.client.patch(path, json={"url": "https://10.0.0.1/"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "url")
    for body in ({"events": []}, {"events": ["x"]}, {"secret": "whsec_mine"}, {"url": "https://u:p@example.org/"}):
        assert server.client.patch(path, json=body).status_code == 422
    assert server.client.post("/v1/webhooks", json={"url": "https://example.org/"}).status_code == 422
    assert server.client.get("/v1/webhooks/wh_none").status_code == 404
    assert server.client.get(f"{path}/deliveries/dlv_none").status_code == 404
    off = server.client.patch(path, json={"enabled": False}).json()
    assert (off["status"], off["disabled_reason"]) == ("disabled", "an admin disabled it")


@pytest.mark.slow
def test_where_nothing_may_be_sent(own_server: MakeServer, receiver: Receiver) -> None:
    server = own_server()
    wanted = {"url": receiver.url("/ok"), "events": ["batch.finished"]}
    assert server.client.post("/v1/webhooks", json=wanted).status_code == 422
    before = len(receiver.requests())
    webhook = register(server, f"https://localhost:{receiver.port}/ok")
    delivery = ping(server, webhook)
    failed = until_delivery(server, webhook, delivery, lambda found: found["attempts"] == 1)
    assert "is not a public address" in failed["reason"]
    assert len(receiver.requests()) == before
    # Without keys, another site in the operator's browser gains nothing: not even what has no body.
    other = {"Origin": "https://other.example", "Sec-Fetch-Site": "cross-site"}
    for path in ("", f"/{webhook['id']}/rotate", f"/{webhook['id']}/test"):
        body = {**wanted, "url": "https://example.org/"}
        assert server.client.post(f"/v1/webhooks{path}", json=body, headers=other).status_code == 403


def test_tenants_and_roles(server: Server, receiver: Receiver) -> None:
    def as_new(**fields: str) -> httpx.Client:
        made = server.client.post("/v1/api-keys", json=fields)
        return httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {made.json()['secret']}"})

    wanted = {"url": receiver.url("/ok"), "events": ["estimate.canceled"]}
    with (
        as_new(role="admin", tenant="mine") as mine,
        as_new(role="admin", tenant="other") as other,
        as_new(tenant="other") as user,
    ):
        ids = {"webhook_id": mine.post("/v1/webhooks", json=wanted).json()["id"]}
        ids["delivery_id"] = mine.post(f"/v1/webhooks/{ids['webhook_id']}/test").json()["id"]
        theirs = other.post("/v1/webhooks", json=wanted).json()["id"]
        operations = [
            (method.upper(), path.format(**ids))
            for path, methods in mine.get("/openapi.json").json()["paths"].items()
            for method in methods
            if path.startswith("/v1/webhooks")
        ]
        assert len(operations) == 10
        for method, path in operations:
            assert user.request(method, path, json=wanted).status_code == 403, (method, path)
            if path != "/v1/webhooks":
                body = {} if method == "PATCH" else None
                assert other.request(method, path, json=body).status_code == 404, (method, path)
        assert [entry["id"] for entry in other.get("/v1/webhooks").json()["data"]] == [theirs]
        # A delivery is found below its own webhook only.
        assert other.get(f"/v1/webhooks/{theirs}/deliveries/{ids['delivery_id']}").status_code == 404
        sets = [user.post("/v1/sample-sets", content=npy(normal(seed))).json()["id"] for seed in (1, 2)]
        asked = {"source": sets[0], "target": sets[1], "steps": 1_000_000, "critic": "groupsort"}
        estimate = user.post("/v1/estimates", json=asked).json()["id"]
        user.post(f"/v1/estimates/{estimate}/cancel")
        deadline = time.monotonic() + 30
        while not (told := other.get(f"/v1/webhooks/{theirs}/deliveries").json()["data"]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert [entry["event"] for entry in told] == ["estimate.canceled"]
        told = [entry["event"] for entry in mine.get(f"/v1/webhooks/{ids['webhook_id']}/deliveries").json()["data"]]
        assert told == ["webhook.ping"]
        for _ in range(19):
            assert mine.post("/v1/webhooks", json=wanted).status_code == 201
        assert mine.post("/v1/webhooks", json=wanted).status_code == 409


@pytest.mark.slow
def test_a_worker_that_is_killed_while_it_sends(own_server: MakeServer, receiver: Receiver) -> None:
    server = own_server(webhook_private=LOOPBACK, beat_seconds="0.3", lease_seconds="1.5")
    slow, quick = unused("/slow/4"), unused("/ok")
    webhook = register(server, receiver.url(slow))
    delivery = ping(server, webhook)
    receiver.until(slow)
    server.signal("worker")
    ping(server, register(server, receiver.url(quick)))
    first, second = receiver.until(slow, 2)
    assert first["headers"]["webhook-id"] == second["headers"]["webhook-id"]
    assert first["body"] == second["body"]
    done = until_delivery(server, webhook, delivery, lambda found: found["status"] == "succeeded")
    assert done["attempts"] == 1  # the worker that was killed could not tell of the other one
    assert len(receiver.until(quick)) == 1


@pytest.mark.slow
def test_a_worker_without_the_secret_sends_nothing(own_server: MakeServer, receiver: Receiver, tmp_path: Path) -> None:
    server = own_server(webhook_private=LOOPBACK)
    path = unused("/ok")
    webhook = register(server, receiver.url(path))
    secret = (server.data / "secret").read_bytes()
    (server.data / "secret").write_text("x" * 64)
    deadline = time.monotonic() + 30
    while "problems" not in (workers := server.client.get("/readyz").json()["workers"]):  # before anything is sent
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "WDIST_SERVER_SECRET_FILE" in workers["problems"][0]
    command = [sys.executable, "-m", "wdist.cli.main", "doctor", "--deep", "--json"]
    done = subprocess.run(command, env=server.environment, capture_output=True, text=True, check=False)
    assert {"secret", "workers"} <= {each["what"] for each in json.loads(done.stdout) if each["state"] == "warn"}
    delivery = ping(server, webhook)
    time.sleep(2)
    found = until_delivery(server, webhook, delivery, lambda found: found["status"] == "queued")
    assert found["attempts"] == 0, "it is left to workers that can sign"
    assert receiver.requests(path) == []
    (server.data / "secret").write_bytes(secret)
    until_delivery(server, webhook, delivery, lambda found: found["status"] == "succeeded")
    Webhook(webhook["secret"]).verify(receiver.requests(path)[0]["body"], receiver.requests(path)[0]["headers"])


@pytest.mark.slow
def test_a_log_is_kept_for_a_time(own_server: MakeServer, receiver: Receiver) -> None:
    server = own_server(webhook_private=LOOPBACK, maintenance_seconds="0.1", webhook_log_days="1")
    webhook = register(server, receiver.url("/ok"))
    old, young = ping(server, webhook), ping(server, webhook)
    for delivery in (old, young):
        until_delivery(server, webhook, delivery, lambda found: found["status"] == "succeeded")
    server.write("UPDATE jobs SET finished_at = finished_at - 90000 WHERE id = :id", id=old)
    deadline = time.monotonic() + 20
    while [entry["id"] for entry in deliveries(server, webhook)] != [young]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_secrets_stand_nowhere(server: Server, receiver: Receiver) -> None:
    path = unused("/ok")
    webhook = register(server, receiver.url(path))
    rotated = server.client.post(f"/v1/webhooks/{webhook['id']}/rotate").json()
    ping(server, webhook)
    receiver.until(path)
    secrets = [webhook["secret"].removeprefix("whsec_"), rotated["secret"].removeprefix("whsec_")]
    kept = [str(server.rows(f"SELECT * FROM {table}")) for table in ("webhooks", "deliveries", "jobs", "events")]
    said = [server.log.read_text(), server.client.get("/v1/webhooks").text]
    said.append(server.client.get(f"/v1/webhooks/{webhook['id']}/deliveries").text)
    assert not [text for text in kept + said if any(secret in text for secret in secrets)]
    assert "test=" not in server.log.read_text()  # URLs may have tokens in them
