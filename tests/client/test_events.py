"""Following a job by its events: on a real server, through a connection that breaks, and without a server."""

import asyncio

import numpy as np
import pytest
from server_process import ServerProcess, free_port

from wdist_client import APIConnectionError, AsyncClient, Client, Estimate, Event, Job, NotFound
from wdist_client.flows import Retries
from wdist_client.handles.events import EventStream

pytestmark = pytest.mark.timeout(120)


def submit(client: Client) -> Job:
    generator = np.random.default_rng(0)
    source, target = (client.sample_sets.create(generator.normal(size=(500, 2)) + shift) for shift in (0, 1))
    return client.estimates.create(source, target, critic="groupsort", steps=800, baseline_rows=0)


def assert_story(events: list[Event]) -> None:
    assert events[-1].type == "completed"
    assert events[-1].data["status"] == "succeeded"
    assert [e.type for e in events].count("completed") == 1
    numbers = [int(e.id) for e in events if e.id is not None]
    assert numbers == sorted(numbers)
    assert [e.data["step"] for e in events if e.type == "progress"][-1] > 0


def test_events_tell_the_whole_story(address: str) -> None:
    with Client(address) as client:
        job = submit(client)
        events = list(job.events())
        assert_story(events)
        assert job.result is not None
        with pytest.raises(NotFound):
            list(Job(client, job.estimate.model_copy(update={"id": "est_unknown"})).events())


def test_a_listener_that_comes_back_misses_nothing(server: ServerProcess) -> None:
    with Client(server.url) as client:
        job = submit(client)
        events = list(job.events())
        rest = list(client.estimates.get(job.id).events(after=events[0].id))
    assert rest == events[1:]
    assert_story(rest)


def test_async_listens_alike(address: str) -> None:
    async def listen(identifier: str, client: AsyncClient) -> list[Event]:
        job = await client.estimates.get(identifier)
        return [event async for event in job.events()]

    async def story() -> list[Event]:
        async with AsyncClient(address) as client:
            generator = np.random.default_rng(1)
            source, target = [await client.sample_sets.create(generator.normal(size=(500, 2)) + s) for s in (0, 1)]
            job = await client.estimates.create(source, target, critic="groupsort", steps=800, baseline_rows=0)
            return await listen(job.id, client)

    assert_story(asyncio.run(story()))


def test_no_server_ends_in_an_error() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Client(":local:") as local:
        record = submit(local).cancel().estimate
    with Client(url, max_retries=1) as client, pytest.raises(APIConnectionError):
        list(Job(client, record).events())


def test_lines_become_events() -> None:
    stream = EventStream("/v1/estimates/est_1", Estimate, Retries(), after=None)
    lines = ["retry: 1000", "", ": ping", "", "id: 7", "event: log", 'data: {"message":', 'data: "a"}', ""]
    events = [event for line in lines if (event := stream.feed(line))]
    assert events == [Event(id="7", type="log", data={"message": "a"})]
    assert stream.request().headers["Last-Event-ID"] == "7"
