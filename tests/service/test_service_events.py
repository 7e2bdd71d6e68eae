"""Server-sent events of an estimate, read from a real server as they come."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from service_process import Server, normal


def listen(server: Server, estimate: str, last: str | None = None) -> Iterator[dict[str, Any]]:
    """Events {id, event, data} as they arrive."""
    headers = {} if last is None else {"Last-Event-ID": last}
    url = f"{server.url}/v1/estimates/{estimate}/events"
    with httpx.stream("GET", url, headers=headers, timeout=60) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        event: dict[str, Any] = {}
        for line in answer.iter_lines():
            if not line:
                if "data" in event:
                    yield event
                event = {}
            elif not line.startswith(":"):
                field, _, value = line.partition(": ")
                event[field] = json.loads(value) if field == "data" else value


@pytest.fixture(scope="module")
def story(server: Server, pair: tuple[str, str]) -> tuple[str, list[dict[str, Any]]]:
    estimate = server.submit(*pair, steps=150, critic="groupsort")
    return estimate, list(listen(server, estimate))


def test_events_tell_the_whole_story_while_it_happens(story: tuple[str, list[dict[str, Any]]]) -> None:
    estimate, events = story
    states = [event["data"]["status"] for event in events if event["event"] == "status"]
    assert states == ["queued", "running", "succeeded"]
    steps = [event["data"]["step"] for event in events if event["event"] == "progress"]
    assert steps
    assert steps == sorted(steps)
    assert events[-1]["event"] == "completed"
    assert events[-1]["data"]["id"] == estimate
    assert events[-1]["data"]["result"]["lower_bound"] >= 0
    numbers = [int(event["id"]) for event in events]
    assert numbers == sorted(numbers)


def test_last_event_id_resumes_without_gap_or_repeat(server: Server, story: tuple[str, list[dict[str, Any]]]) -> None:
    estimate, events = story
    for position in (0, 1, len(events) - 2):
        again = list(listen(server, estimate, events[position]["id"]))
        assert again == events[position + 1 :]
    assert list(listen(server, estimate, "nonsense")) == events


def test_unknown_estimate_is_404_and_not_a_stream(server: Server) -> None:
    assert server.client.get("/v1/estimates/est_none/events").status_code == 404


def test_many_listeners_see_the_same(server: Server, pair: tuple[str, str]) -> None:
    estimate = server.submit(*pair, steps=1_000_000, critic="groupsort")
    heard: list[list[str]] = [[] for _ in range(20)]

    def follow(number: int) -> None:
        heard[number] = [event["id"] for event in listen(server, estimate)]

    threads = [threading.Thread(target=follow, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    server.until_training(estimate)
    server.client.post(f"/v1/estimates/{estimate}/cancel")
    for thread in threads:
        thread.join(60)
    assert len(heard[0]) >= 4
    assert all(events == heard[0] for events in heard)


def test_a_listener_that_leaves_is_forgotten(server: Server, pair: tuple[str, str]) -> None:
    estimate = server.submit(*pair, steps=1_000_000, critic="groupsort")

    def ended() -> float:
        """Streams that the server has ended, by its own count."""
        lines = server.client.get("/metrics").text.splitlines()
        where = 'wdist_http_requests_total{method="GET",route="/v1/estimates/{estimate_id}/events",status="200"}'
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(where))

    before = ended()
    streams = [listen(server, estimate) for _ in range(5)]
    for stream in streams:
        assert next(stream)["event"] == "status"
    assert ended() == before
    for stream in streams:
        stream.close()
    deadline = time.monotonic() + 10
    while ended() < before + 5:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    server.client.post(f"/v1/estimates/{estimate}/cancel")


@pytest.mark.slow
def test_streams_end_when_the_server_stops_and_resume_on_the_next(own_server: Callable[..., Server]) -> None:
    server = own_server()
    estimate = server.submit(server.upload(normal(1)), server.upload(normal(2)), steps=1_000_000, critic="groupsort")
    stream = listen(server, estimate)
    first = next(stream)
    server.until_training(estimate)
    assert server.stop(seconds=25) == 0  # a listener does not hold it up
    rest = list(stream)
    assert all(event["event"] != "completed" for event in rest)
    server.start()
    server.client.post(f"/v1/estimates/{estimate}/cancel")
    resumed = list(listen(server, estimate, (rest or [first])[-1]["id"]))
    assert resumed[-1]["event"] == "completed"
    assert resumed[-1]["data"]["status"] == "canceled"
