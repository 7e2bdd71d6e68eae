"""The application: services, middleware, routes, and the OpenAPI document."""

from __future__ import annotations

import asyncio
import functools
import re
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import IO, Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import DatabaseError

from wdist import __version__
from wdist_service.api_browser import endpoints as api_browser
from wdist_service.batches import endpoints as batches
from wdist_service.batches.service import Batches
from wdist_service.database import Database
from wdist_service.decoding.runner import Decoders
from wdist_service.estimates import endpoints as estimates
from wdist_service.estimates import event_stream as events
from wdist_service.estimates.events import EventFeed
from wdist_service.estimates.service import Estimates
from wdist_service.evaluations import endpoints as evaluate
from wdist_service.evaluations.evaluator import Evaluator
from wdist_service.evaluations.service import Evaluations
from wdist_service.http import problems
from wdist_service.http.bodies import JsonMemory
from wdist_service.http.connections.peers import Peers
from wdist_service.http.dependencies import Services
from wdist_service.http.examples import EXAMPLES
from wdist_service.http.executors import Executors
from wdist_service.http.metrics import HttpMetrics, JobMetrics
from wdist_service.http.middleware import BodyLimit, PathPrefix, PlainBodies, RequestContext, Turns
from wdist_service.http.rate_limits import RateLimiter
from wdist_service.http.text import TextGuard
from wdist_service.ids import new_id
from wdist_service.installation import check_storage
from wdist_service.jobs import KINDS
from wdist_service.keys import endpoints as keys
from wdist_service.keys.guard import OpenServerGuard
from wdist_service.keys.known import KnownKeys
from wdist_service.keys.service import Keys, ensure_tenant
from wdist_service.maintenance.content import content_task
from wdist_service.maintenance.host import host_tasks
from wdist_service.maintenance.schedule import Schedule, Task
from wdist_service.monitors import endpoints as monitors
from wdist_service.monitors import update_endpoints as monitor_updates
from wdist_service.monitors.metrics import MonitorMetrics
from wdist_service.monitors.service import Monitors
from wdist_service.monitors.updates import Updates
from wdist_service.operations import endpoints as operations
from wdist_service.page import endpoints as page
from wdist_service.queue import dispatch
from wdist_service.queue.leases import Keeper, Leases, take_name
from wdist_service.retention.service import Retention
from wdist_service.sample_sets import endpoints as sample_sets
from wdist_service.sample_sets.receiving import Receiving
from wdist_service.sample_sets.service import SampleSets
from wdist_service.settings import Settings, load
from wdist_service.storage.objects import open_storage
from wdist_service.tables import LOCAL_TENANT, Role
from wdist_service.uploads import endpoints as uploads
from wdist_service.uploads.service import Uploads
from wdist_service.webhooks import endpoints as webhooks
from wdist_service.webhooks.service import Webhooks

_UPLOADS = re.compile(r"/v1/sample-sets|/v1/uploads/[^/]+|/v1/estimates/[^/]+/evaluate|/v1/monitors/[^/]+/updates")
_RETENTION_INTERVALS = 10  # limits are in days, and looking at all that is stored takes a second or two
_DESCRIPTION = """Bounds on the Wasserstein-1 distance that can be trusted.

Upload two sample sets, start an estimate, follow it, read `lower_bound` and `upper_bound`: the distance between the two
populations is at least the one and at most the other, each with the stated confidence. Errors are
`application/problem+json`; every answer has `X-Request-Id`."""


def build_services(settings: Settings) -> Services:
    """Open database, storage and queue, and migrate the tables. The time it takes does not grow with what is stored."""
    database = Database(settings)
    storage = open_storage(settings)
    database.migrate()
    dispatch.migrate(database)
    with database.write() as session:
        ensure_tenant(session, LOCAL_TENANT)
    queue = dispatch.Queue(database, KINDS)
    check_storage(database, storage)
    api_keys = Keys(database, settings)
    if settings.bootstrap_key_file is not None:
        api_keys.bootstrap(settings.bootstrap_key_file)
    sets = SampleSets(database, storage, Decoders(settings))
    jobs = Estimates(database, queue, storage)
    leases = Leases(database, new_id("api"), Role.API)
    evaluator = Evaluator(storage.scratch)
    metrics = CollectorRegistry()  # a plain one: a replica has one API process
    http_metrics = HttpMetrics(metrics)
    metrics.register(JobMetrics(database, settings.lease_seconds))
    metrics.register(MonitorMetrics(database, settings.monitor_gauges))
    executors = Executors(settings.decoders)
    api_keys.is_open()  # from here on, requests ask KnownKeys, which may be a second behind
    return Services(
        settings,
        database,
        storage,
        queue,
        jobs,
        sets,
        api_keys,
        leases,
        Uploads(database, storage, sets, settings, leases),
        Batches(database, queue, jobs),
        EventFeed(database, executors["events"]),
        executors,
        JsonMemory(),
        Receiving(),
        KnownKeys(api_keys, executors["keys"]),
        metrics,
        http_metrics,
        Peers(settings, http_metrics),
        evaluator,
        Evaluations(database, queue, storage, settings),
        Monitors(database, queue, storage),
        Updates(database, queue, storage),
        Retention(database, storage, sets, settings.retention),
        RateLimiter(),
        Webhooks(database, queue, settings),
    )


def maintenance(services: Services) -> list[Task]:
    """What an API process does regularly."""
    seconds = services.settings.maintenance_seconds
    return [
        *host_tasks(services.database, services.storage, seconds),
        content_task(services.database, services.storage, services.settings),
        Task("expired uploads", seconds, services[Uploads].expire, is_shared=True),
        Task("log of webhooks", _RETENTION_INTERVALS * seconds, services[Webhooks].forget_ended, is_shared=True),
        Task("retention", _RETENTION_INTERVALS * seconds, services[Retention].apply, is_shared=True),
    ]


def keep_lease(services: Services, closing: threading.Event) -> IO[str]:
    """Hold uploads as one of the processes that share the database; returns the file that holds this one's name."""
    settings = services.settings
    file, name = take_name(settings.data, Role.API)
    keeper = Keeper(services[Leases], name, beat_seconds=settings.beat_seconds, lease_seconds=settings.lease_seconds)
    keeper.start(services.database, services[Uploads].locks.release_silent, closing)
    return file


def create_app(services: Services) -> FastAPI:
    """The ASGI application."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        closing = threading.Event()
        held_name = await asyncio.to_thread(keep_lease, services, closing)
        Schedule(services.database, maintenance(services), closing).start()
        yield
        closing.set()
        with suppress(DatabaseError):  # then the lease runs out
            await asyncio.to_thread(services[Leases].leave)
        held_name.close()
        services.executors.close()
        await asyncio.to_thread(_close, services)

    prefix = services.settings.path_prefix
    app = FastAPI(
        title="wdist", version=__version__, description=_DESCRIPTION, lifespan=lifespan, docs_url=None, redoc_url=None,
        generate_unique_id_function=_operation_id, separate_input_output_schemas=False,
        servers=[{"url": prefix}] if prefix else None,
    )  # fmt: skip
    app.state.services = services
    for router in (
        sample_sets.router,
        uploads.router,
        estimates.router,
        events.router,
        evaluate.router,
        batches.router,
        monitors.router,
        monitor_updates.router,
        keys.router,
        webhooks.router,
        operations.router,
        page.router,
        api_browser.router,
    ):
        app.include_router(router)
    problems.install(app)
    _declare_problems(app)
    # The last one added runs first.
    app.add_middleware(PlainBodies)
    app.add_middleware(BodyLimit, settings=services.settings, large=_UPLOADS)
    app.add_middleware(OpenServerGuard, settings=services.settings, keys=services[KnownKeys])
    app.add_middleware(TextGuard)
    app.add_middleware(uploads.ProtocolVersion)
    app.add_middleware(Turns)
    app.add_middleware(RequestContext, metrics=services[HttpMetrics])
    if prefix:
        app.add_middleware(PathPrefix, prefix=prefix)
    return app


def _close(services: Services) -> None:
    services[dispatch.Queue].close()
    services.database.close()
    services.storage.close()


def contract() -> dict[str, Any]:
    """The OpenAPI document of a server with nothing in it: documentation and the client are made from it."""
    with tempfile.TemporaryDirectory() as folder:
        services = build_services(load(data=folder))
        document = create_app(services).openapi()
        _close(services)
        return document


def _operation_id(route: APIRoute) -> str:
    return route.name


def _declare_problems(app: FastAPI) -> None:
    """Declare Problem in the OpenAPI document, in place of FastAPI's own validation error."""
    original = app.openapi

    def openapi() -> dict[str, Any]:
        contract = original()
        schemas = contract.setdefault("components", {}).setdefault("schemas", {})
        definition = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(definition.pop("$defs"))
        schemas["Problem"] = definition
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        for name, example in EXAMPLES.items():
            schemas[name]["examples"] = [example]
        for path, methods in contract["paths"].items():
            for operation in methods.values():
                _declare_everywhere(operation, is_versioned=path.startswith("/v1/"))
        return contract

    openapi = functools.cache(openapi)
    app.openapi = openapi  # type: ignore[method-assign]


def _links(*operations: str, parameter: str) -> dict[str, Any]:
    return {name: {"operationId": name, "parameters": {parameter: "$response.body#/id"}} for name in operations}


# OpenAPI links from what an operation creates to what can be done with it; tools follow them.
_NEXT = {
    ("create_sample_set", "201"): _links("get_sample_set", "delete_sample_set", parameter="sample_set_id"),
    ("create_estimate", "202"): _links(
        "get_estimate",
        "cancel_estimate",
        "delete_estimate",
        "get_curve",
        "get_witness",
        "get_critic",
        parameter="estimate_id",
    ),
    ("create_batch", "202"): _links(
        "get_batch", "cancel_batch", "get_batch_results", "get_batch_matrix", parameter="batch_id"
    ),
    ("create_monitor", "201"): _links(
        "get_monitor",
        "change_monitor",
        "delete_monitor",
        "update_monitor",
        "list_updates",
        "export_monitor",
        parameter="monitor_id",
    ),
    ("create_key", "201"): _links("revoke_key", parameter="key_id"),
    ("create_webhook", "201"): _links(
        "get_webhook", "change_webhook", "rotate_webhook_secret", "delete_webhook", parameter="webhook_id"
    ),
}


def _declare_everywhere(operation: dict[str, Any], *, is_versioned: bool) -> None:
    """Declare the responses that every operation can give, and the headers of all responses."""
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == "tus-resumable":  # without it 412, as the protocol says, and not FastAPI's 422
            parameter |= {"required": True, "schema": {"type": "string", "const": "1.0.0"}}
    answers = operation["responses"]
    always = (400, 403, 415, 429, 503) if is_versioned else (400, 403, 415, 503)
    for status, answer in problems.responses(*always).items():
        answers.setdefault(str(status), answer)
    for status, answer in answers.items():
        for content in answer.get("content", {}).values():
            if "itemSchema" in content:  # what a stream is made of; FastAPI adds that the whole of it is a string
                content.pop("schema", None)
        if links := _NEXT.get((operation["operationId"], status)):
            answer["links"] = links
        headers = answer.setdefault("headers", {})
        headers["X-Request-Id"] = {"schema": {"type": "string"}, "description": "Also in the server's log."}
        if status in {"429", "503"}:
            headers["Retry-After"] = {"schema": {"type": "integer"}, "description": "Seconds."}
