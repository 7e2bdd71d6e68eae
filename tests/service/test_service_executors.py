"""Work of one kind never makes other requests wait: bounded executors, turns, and waits that cost nothing."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from service_process import Server, normal, npy
from sqlalchemy import event
from starlette.types import Receive, Scope, Send

from wdist_service.app import build_services, create_app
from wdist_service.database import Database
from wdist_service.estimates.events import EventFeed
from wdist_service.http.dependencies import Services
from wdist_service.http.executors import BusyError, Executor
from wdist_service.http.middleware import Turns
from wdist_service.settings import load
from wdist_service.tables import LOCAL_TENANT, Estimate, SampleSet

CSV = {"Content-Type": "text/csv"}
QUICK_SECONDS = 2.0  # for an answer that waits for nothing, on a busy machine
OwnServer = Callable[..., Server]


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    built = build_services(load(data=str(tmp_path_factory.mktemp("services") / "data")))
    yield built
    built.executors.close()
    built.database.close()


def test_a_full_executor_refuses_at_once_and_lets_those_inside_go_on() -> None:
    executor = Executor("test", 1, 2, "too many of them are waiting", 7)
    gate = threading.Event()

    async def fill() -> None:
        inside = [asyncio.create_task(executor.run(gate.wait, 30)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="too many of them are waiting; try again in 7 s") as refused:
            await executor.run(int)
        assert (refused.value.status, refused.value.retry_after) == (503, 7)
        with pytest.raises(BusyError):
            executor.check()
        let_in = asyncio.create_task(executor.go_on(int, "5"))
        await asyncio.sleep(0)
        gate.set()
        assert await asyncio.gather(*inside) == [True] * 3
        assert await let_in == 5
        assert await executor.run(int, "6") == 6  # there is room again

    asyncio.run(fill())
    executor.close()


def test_a_request_that_is_given_up_leaves_its_place() -> None:
    executor = Executor("test", 1, 1, "busy", 1)
    gate = threading.Event()

    async def give_up() -> None:
        running = asyncio.create_task(executor.run(gate.wait, 30))
        waiting = asyncio.create_task(executor.run(int))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        follower = asyncio.create_task(executor.run(int, "4"))
        await asyncio.sleep(0)
        gate.set()
        assert await follower == 4
        assert await running

    asyncio.run(give_up())
    executor.close()


def test_no_endpoint_and_no_dependency_runs_in_the_threads_that_all_share(services: Services) -> None:
    def calls(dependant: Dependant) -> Iterator[Any]:
        yield dependant.call
        for needed in dependant.dependencies:
            yield from calls(needed)

    def blocks(call: Any) -> bool:
        call = call if inspect.isroutine(call) else type(call).__call__  # such as HTTPBearer
        return not (inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call))

    routes = list(_routes(create_app(services).routes))
    assert len(routes) > 30
    blocking = {f"{route.path}: {call}" for route in routes for call in calls(route.dependant) if blocks(call)}
    assert blocking == set()


def _routes(routes: Sequence[Any]) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "original_router"):  # included in the application
            yield from _routes(route.original_router.routes)


def test_callers_take_turns_and_livez_waits_for_nobody() -> None:
    begun: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        begun.append(scope["name"])

    turns = Turns(app)

    async def ask(name: str, path: str = "/v1/estimates", method: str = "POST", key: str = "Bearer a") -> None:
        headers = [(b"authorization", key.encode())]
        scope = {"type": "http", "path": path, "method": method, "headers": headers, "name": name}
        await turns(scope, None, None)  # type: ignore[arg-type]

    async def burst() -> None:
        flood = [asyncio.create_task(ask(str(number))) for number in range(500)]
        others = [
            asyncio.create_task(ask("livez", "/livez")),
            asyncio.create_task(ask("get", method="GET")),
            asyncio.create_task(ask("other", key="Bearer b")),
        ]
        await asyncio.gather(*flood, *others)

    asyncio.run(burst())
    assert len(begun) == 503
    assert begun.index("livez") < 10
    assert begun.index("get") < 10
    assert begun.index("other") < 10


@pytest.mark.parametrize("callers", [1, 2, 3])
def test_the_newest_and_the_oldest_of_each_caller_come_by_turns(callers: int) -> None:
    begun: list[tuple[int, int]] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        begun.append(scope["name"])

    turns = Turns(app)

    async def ask(caller: int, number: int) -> None:
        headers = [(b"authorization", b"Bearer %d" % caller)]
        scope = {
            "type": "http",
            "path": "/v1/estimates",
            "method": "POST",
            "headers": headers,
            "name": (caller, number),
        }
        await turns(scope, None, None)  # type: ignore[arg-type]

    async def flood() -> None:
        await asyncio.gather(*(ask(caller, number) for number in range(100) for caller in range(callers)))

    asyncio.run(flood())
    for caller in range(callers):
        order = [number for each, number in begun if each == caller]
        at_once = next(place for place, number in enumerate(order) if number != place)  # nobody waited yet
        by_turns = order[at_once:]
        assert by_turns[::2] == list(range(99, 99 - len(by_turns[::2]), -1))
        assert by_turns[1::2] == list(range(at_once, at_once + len(by_turns[1::2])))


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The statements that the database gets during the block."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield statements
    event.remove(database.engine, "before_cursor_execute", note)


def new_estimate(database: Database, name: str) -> None:
    with database.write() as session:
        if session.get(SampleSet, "ss_1") is None:
            session.add(
                SampleSet(
                    id="ss_1", tenant_id=LOCAL_TENANT, sha256="0" * 64, bytes=1, rows=1, shape=[1, 1], dtype="<f4",
                    statistics={}, created_at=0.0,
                )
            )  # fmt: skip
            session.flush()
        options = {"source_id": "ss_1", "target_id": "ss_1", "own_options": {}, "own_labels": {}}
        session.add(Estimate(id=name, tenant_id=LOCAL_TENANT, **options))


def test_a_thousand_waits_cost_one_poll_and_all_hear_of_the_end(services: Services) -> None:
    new_estimate(services.database, "est_waited")
    new_estimate(services.database, "est_deleted")
    feed = services[EventFeed]

    async def wait(name: str) -> bool:
        with feed.listening(name):
            return await feed.ended(name, 30)

    async def scene() -> int:
        waits = [asyncio.create_task(wait("est_waited")) for _ in range(1000)]
        waits.append(asyncio.create_task(wait("est_deleted")))
        await asyncio.sleep(0.5)
        with counted(services.database) as statements:
            await asyncio.sleep(1.5)
        assert not any(task.done() for task in waits)
        with services.database.write() as session:
            session.get_one(Estimate, "est_waited").finished_at = time.time()
            session.delete(session.get_one(Estimate, "est_deleted"))
        assert await asyncio.gather(*waits) == [True] * 1001
        return sum(statement.startswith("SELECT") for statement in statements)

    assert asyncio.run(scene()) <= 3 * 8  # three questions, five times a second


def quick(server: Server) -> None:
    """Fail unless /livez and a list are answered soon."""
    for path in ("/livez", "/v1/sample-sets"):
        started = time.monotonic()
        assert httpx.get(server.url + path, timeout=20).status_code == 200
        assert time.monotonic() - started < QUICK_SECONDS, path


def until(condition: Callable[[], Any], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.local_stores
def test_uploads_that_wait_for_a_decoder_hold_up_nobody(own_server: OwnServer) -> None:
    server = own_server("--workers", "0", decoders="1")

    def send(number: int) -> httpx.Response:
        body = f"x,y\n1,2\n3,{number}\n"
        return httpx.post(f"{server.url}/v1/sample-sets", content=body, headers=CSV, timeout=120)

    with ThreadPoolExecutor(40) as pool:
        first = pool.submit(send, 0)
        until(lambda: server.pids("decoder"))
        (decoder,) = server.pids("decoder")
        os.kill(decoder, signal.SIGSTOP)
        others = [pool.submit(send, number) for number in range(1, 30)]
        until(lambda: sum(each.done() for each in others) >= 29 - 16)  # one is decoded and 16 wait
        quick(server)
        refused = [each.result() for each in others if each.done()]
        assert {answer.status_code for answer in refused} == {503}
        assert {answer.headers["retry-after"] for answer in refused} == {"5"}
        assert refused[0].json()["type"] == "urn:wdist:problem:busy"
        assert refused[0].json()["detail"] == "too many uploads wait to be decoded; try again in 5 s"
        if not first.done():  # it may have ended before it was stopped
            os.kill(decoder, signal.SIGCONT)
        assert first.result().status_code == 201
        accepted = [answer.status_code for each in others if (answer := each.result()).status_code != 503]
        assert accepted == [201] * len(accepted)
        assert len(accepted) >= 16


@pytest.mark.slow
def test_evaluations_that_wait_hold_up_nobody(own_server: OwnServer) -> None:
    server = own_server()
    estimate = server.submit(server.upload(normal(1)), server.upload(normal(2)), steps=20, critic="groupsort")
    server.until_done(estimate)

    def evaluate(_number: int) -> httpx.Response:
        return httpx.post(f"{server.url}/v1/estimates/{estimate}/evaluate", content=npy(normal(3)), timeout=120)

    frozen: set[int] = set()

    def freeze() -> bool:
        for pid in set(server.pids("evaluator")) - frozen:
            os.kill(pid, signal.SIGSTOP)
            frozen.add(pid)
        return len(frozen) >= 2

    with ThreadPoolExecutor(50) as pool:
        asked: list[Future[httpx.Response]] = [pool.submit(evaluate, number) for number in range(50)]
        until(freeze)
        until(lambda: any(each.done() and each.result().status_code == 503 for each in asked))
        quick(server)
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
        answers = [each.result().status_code for each in asked]
        assert set(answers) == {200, 503}


def test_waits_end_with_the_job_and_hold_up_nobody(server: Server, pair: tuple[str, str]) -> None:
    options = {"source": pair[0], "target": pair[1], "steps": 1_000_000, "critic": "groupsort"}

    def submit(seed: int) -> httpx.Response:
        body, prefer = {**options, "seed": seed}, {"Prefer": "wait=60"}
        return httpx.post(f"{server.url}/v1/estimates", json=body, headers=prefer, timeout=120)

    def jobs() -> list[str]:
        found = server.client.get("/v1/estimates", params={"limit": 100, "status": ["queued", "running"]}).json()
        return [entry["id"] for entry in found["data"]]

    with ThreadPoolExecutor(40) as pool:
        asked = [pool.submit(submit, seed) for seed in range(40)]
        until(lambda: len(jobs()) == 40)
        quick(server)
        for name in jobs():
            server.client.post(f"/v1/estimates/{name}/cancel")
        answers = [each.result() for each in asked]
    assert {answer.status_code for answer in answers} == {201}
    assert {answer.json()["status"] for answer in answers} == {"canceled"}


def test_a_batch_can_be_waited_for(server: Server, pair: tuple[str, str]) -> None:
    def submit(**options: Any) -> httpx.Response:
        body = {"pairs": [{"source": pair[0], "target": pair[1]}], "steps": 20, "critic": "groupsort", **options}
        return server.client.post("/v1/batches", json=body, headers={"Prefer": f"wait={options.get('seed', 30)}"})

    done = submit()
    assert (done.status_code, done.json()["status"]) == (201, "finished")
    assert done.json()["counts"]["succeeded"] == 1
    assert done.headers["preference-applied"] == "wait=30"
    not_done = submit(steps=1_000_000, seed=1)
    assert not_done.status_code == 202
    assert not_done.headers["retry-after"] == "1"
    server.client.post(f"/v1/batches/{not_done.json()['id']}/cancel")
