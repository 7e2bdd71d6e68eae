"""Names of the server: settings, HTTP, metrics, logs, the queue, tables, files of an installation."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import pytest

import wdist
from names import source
from names.internals import PREFIX, JsonFormatter, Settings, build_services, create_app, load

METHODS = ("get", "head", "post", "put", "patch", "delete", "options")


def settings() -> set[str]:
    return {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}


@cache
def _observed() -> dict[str, Any]:
    """What a server says, and what it leaves in its data directory while a job waits."""
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        for setting in settings():
            patch.delenv(setting, raising=False)
        folder = Path(name)
        said = asyncio.run(_ask(create_app(build_services(load(data=folder)))))
        return said | _left_in(folder)


async def _ask(app: Any) -> dict[str, Any]:
    """Submit a job, which no worker takes, and read all that a server tells of itself."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),  # closes the database and the queue
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client,
    ):

        async def ask(method: str, path: str, **body: Any) -> httpx.Response:
            answer = await client.request(method, path, **body)
            assert answer.is_success, answer.text
            return answer

        sets = [(await ask("POST", "/v1/sample-sets", content=_npy(seed))).json()["id"] for seed in (1, 2)]
        job = await ask("POST", "/v1/estimates", json={"source": sets[0], "target": sets[1]})
        problems = [await client.get("/nowhere"), await client.put("/livez")]
        return {
            "job": job.json()["id"],
            "problems": [answer.json()["type"] for answer in problems],
            "answers": {path: (await ask("GET", path)).json() for path in ("/livez", "/readyz", "/version")},
            "contract": (await ask("GET", "/openapi.json")).json(),
            "metrics": (await ask("GET", "/metrics")).text,
        }


def _npy(seed: int) -> bytes:
    file = io.BytesIO()
    np.save(file, np.random.default_rng(seed).normal(size=(200, 2)))
    return file.getvalue()


def _left_in(folder: Path) -> dict[str, Any]:
    with closing(sqlite3.connect(folder / "wdist.sqlite")) as database:
        database.row_factory = sqlite3.Row

        def rows(query: str) -> list[dict[str, Any]]:
            return [dict(row) for row in database.execute(query)]

        tables = [row["name"] for row in rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            "files": [path.name for path in folder.iterdir() if not path.name.endswith(("-wal", "-shm"))],  # SQLite's
            "workflows": rows(
                "SELECT s.*, i.inputs AS given FROM workflow_status s JOIN workflow_input i USING (workflow_uuid)"
            ),
            "revisions": [row["version_num"] for row in rows("SELECT version_num FROM alembic_version")],
            "properties": [row["name"] for row in rows("SELECT name FROM properties")],
            "columns": {table: [row["name"] for row in rows(f"PRAGMA table_info({table})")] for table in tables},
        }


def operations() -> set[str]:
    """`GET /v1/estimates`, its operation id, parameters, kinds of bodies and statuses of success."""
    found = set()
    for path, methods in _observed()["contract"]["paths"].items():
        for method, operation in methods.items():
            if method not in METHODS:
                continue
            name = f"{method.upper()} {path}"
            found |= {name, f"operation {operation['operationId']}"}
            given = [one for one in operation.get("parameters", ()) if one["in"] != "path"]  # those are in the path
            found |= {f"{name} {one['in']} {one['name']}" for one in given}
            found |= {f"{name} takes {kind}" for kind in operation.get("requestBody", {}).get("content", ())}
            found |= {f"{name} answers {status}" for status in operation["responses"] if status.startswith("2")}
    return found


def headers() -> set[str]:
    """Headers of answers."""
    return {
        f"header {name}"
        for methods in _observed()["contract"]["paths"].values()
        for operation in methods.values()
        for answer in operation["responses"].values()
        for name in answer.get("headers", ())
    }


def fields() -> set[str]:
    """`Schema.field` of requests and answers, `Schema.field=value` where few values are possible."""
    contract = _observed()["contract"]
    found = set()
    for name, schema in contract["components"]["schemas"].items():
        found |= _fields(name, schema)
    for path, methods in contract["paths"].items():
        for method, operation in methods.items():
            for status, answer in operation["responses"].items():
                for media in answer.get("content", {}).values():
                    if status.startswith("2"):
                        schema = media.get("itemSchema", media.get("schema", {}))  # of each event, or of the whole
                        found |= _fields(f"{method.upper()} {path} answer", schema)
    for path, answer in _observed()["answers"].items():
        found |= {f"GET {path} answer.{key}" for key in answer}
    return found


def _fields(name: str, schema: dict[str, Any]) -> set[str]:
    found = set()
    for field, given in schema.get("properties", {}).items():
        found.add(f"{name}.{field}")
        found |= {f"{name}.{field}={value}" for value in _values(given)}
    return found


def _values(schema: Any) -> Iterator[Any]:
    """All values of `enum` and `const`, wherever they stand in a schema."""
    if isinstance(schema, dict):
        yield from schema.get("enum", ())
        yield from [schema["const"]] if "const" in schema else []
        for inner in schema.values():
            yield from _values(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _values(inner)


def problem_types() -> set[str]:
    """Of problems, and of the errors that jobs end with: among these are the library's, in snake case."""
    found = {f"urn:wdist:problem:{name}" for name in source.problem_types()} | set(_observed()["problems"])
    kinds = [kind for kind in wdist.WdistError.__subclasses__() if kind.__module__ == wdist.WdistError.__module__]
    library = {re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower() for kind in kinds} - {"stopped"}
    return found | {f"error type {name}" for name in library | source.job_error_types()}


def metrics() -> set[str]:
    """`name{label}` as /metrics shows them after a few requests."""
    found = set()
    for line in _observed()["metrics"].splitlines():
        if line and not line.startswith("#"):
            name, labels = re.match(r"(\w+)(?:\{(.*)\})?", line).groups()  # type: ignore[union-attr]
            names = ",".join(sorted(re.findall(r'(\w+)="', labels or "")))  # their order has no meaning
            found.add(f"{name}{{{names}}}" if names else name)
    return found


def logs() -> set[str]:
    """Fields of a line of the log, and the names of loggers."""
    try:
        raise ValueError
    except ValueError as error:
        record = logging.makeLogRecord({"exc_info": (type(error), error, error.__traceback__)})
    names = set(json.loads(JsonFormatter().format(record))) | source.log_fields()
    return {f"log field {name}" for name in names} | {f"logger {name}" for name in source.loggers()}


def queue() -> set[str]:
    """What DBOS keeps of a job that waits: where one of these changes, waiting jobs are stranded."""
    (row,), job = _observed()["workflows"], _observed()["job"]
    arguments = json.dumps(json.loads(row["given"])["args"])
    return {
        f"queue {row['queue_name']}",
        f"workflow {row['name']}",
        f"workflow id {row['workflow_uuid'].replace(job, '{estimate}').replace(':1', ':{attempt}')}",
        f"workflow arguments {arguments.replace(json.dumps(job), 'estimate').replace('1', 'attempt')}",
        f"workflow serialization {row['serialization']}",
        f"application {row['application_name']}",
        f"application version {row['application_version']}",
    }


def tables() -> set[str]:
    """Tables with their columns (DBOS's own apart), the revision, properties of an installation, prefixes of ids."""
    found = {f"revision {name}" for name in _observed()["revisions"]}
    found |= {f"property {name}" for name in _observed()["properties"]}
    for table, columns in _observed()["columns"].items():
        if table in source.created_tables():
            found |= {f"table {table}", *(f"column {table}.{column}" for column in columns)}
    return found | {f"id {prefix}" for prefix in source.id_prefixes()}


def installation() -> set[str]:
    """What lies in a data directory and in a bucket."""
    names = set(_observed()["files"]) | source.paths(source.SERVICE)
    return {f"file {name}" for name in names} | {f"object {key}" for key in source.object_keys()}
