"""The names that people may rely on, as the code has them now; tests/public_names.txt is the list to compare with.

Where code is imported, run or asked, it is so here; what only its text tells comes from names_in_source.py.
"""

from __future__ import annotations

import argparse
import inspect
import io
import json
import logging
import re
import sqlite3
import typing
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import names_in_source as source
import numpy as np
import pytest
import wdist_client
from fastapi.testclient import TestClient

import wdist
from wdist.testing import assert_same_distribution

# Internals; when a module moves, its new place is put here.
from wdist.verify.command import parser as verify_parser
from wdist_client.command import parser as remote_parser
from wdist_service.api.app import build_services, create_app
from wdist_service.cli import parser as command_parser
from wdist_service.logs import JsonFormatter
from wdist_service.models import Base
from wdist_service.settings import PREFIX, Settings, load

METHODS = ("get", "head", "post", "put", "patch", "delete", "options")


def imports(listed: Iterable[str] = ()) -> set[str]:
    """Those of the listed imports that work, with those that the documentation and the packages name."""
    named = source.documented_imports() | source.documented_reference()
    named |= {f"{package.__name__}:{name}" for package in (wdist, wdist_client) for name in package.__all__}
    return named | {name for name in listed if is_importable(name)}


def is_importable(name: str) -> bool:
    """Whether `module:name.member`, or `module`, is there."""
    module, _, path = name.partition(":")
    try:
        found = import_module(module)
        for part in filter(None, path.split(".")):
            found = getattr(found, part)
    except (ModuleNotFoundError, AttributeError):
        return False
    return True


# The library.


def _rows(seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(200, 2)) + shift


@cache
def _results() -> tuple[wdist.Result, ...]:
    """Results with every part that a result can have."""
    x, y = _rows(1), _rows(2, 1.0)
    labels = np.arange(len(x)) // 2
    common: dict[str, Any] = {"critic": "affine", "baseline_rows": 50}
    return (
        wdist.estimate_w1(x, y, empirical=True, diameter=100.0, statements=2, **common),
        wdist.estimate_w1(x, y, groups=(labels, labels + len(x)), **common),
        wdist.estimate_w1(x, y, method="paired_betting", **common),
    )


def _public(thing: object) -> list[str]:
    return [name for name in dir(thing) if not name.startswith("_")]


def _arguments(name: str, function: Callable[..., Any]) -> set[str]:
    """`f(argument)` for each argument, those of an unpacked TypedDict included."""
    found: set[str] = set()
    for argument in inspect.signature(function).parameters.values():
        if argument.kind is not argument.VAR_KEYWORD:
            found |= {argument.name} - {"self"}
        elif isinstance(argument.annotation, str) and argument.annotation.startswith("Unpack["):
            options = typing.get_type_hints(function, include_extras=True)[argument.name]
            found |= set(typing.get_args(options)[0].__annotations__)
    return {f"{name}({argument})" for argument in found}


def _paths_in(prefix: str, value: Any, depth: int) -> set[str]:
    """`prefix.key.key` for the keys of nested dictionaries, down to a depth."""
    if not isinstance(value, dict) or depth == 0:
        return {prefix}
    return {prefix} | {path for key, inner in value.items() for path in _paths_in(f"{prefix}.{key}", inner, depth - 1)}


def library() -> set[str]:
    """Attributes of a result and of what it carries, its JSON, and keyword arguments."""
    found: set[str] = set()
    for result in _results():
        found |= {f"Result.{name}" for name in _public(result)}
        for part in ("certificate", "witness"):
            found |= {f"Result.{part}.{name}" for name in _public(getattr(result, part))}
        described = result.to_dict()
        described["critic"] = dict.fromkeys(described["critic"])  # its configuration is the family's own
        found |= _paths_in("Result.to_dict()", described, 3) - {"Result.to_dict()"}
    curve = wdist.estimate_w1(_rows(1), _rows(2), critic="groupsort", steps=2, baseline_rows=0).curve
    found |= {f"Result.curve.{key}" for point in curve for key in point}
    for name in ("estimate_w1", "load_critic", "verify_certificate"):
        found |= _arguments(f"wdist.{name}", getattr(wdist, name))
    return found | _arguments("wdist.testing.assert_same_distribution", assert_same_distribution)


def client() -> set[str]:
    """Methods of both clients and of the jobs that they give, with their arguments."""
    found = _arguments("wdist_client.w1", wdist_client.w1)
    for kind in (wdist_client.Client, wdist_client.AsyncClient):
        name, made = f"wdist_client.{kind.__name__}", kind("http://127.0.0.1:9")
        found |= _arguments(name, kind) | _members(name, kind)
        for group in (part for part in vars(made) if not part.startswith("_")):
            found |= _members(f"{name}.{group}", type(getattr(made, group)))
    for name in ("Job", "BatchJob", "AsyncJob", "AsyncBatchJob"):
        found |= _members(f"wdist_client.{name}", getattr(wdist_client, name))
    for name in ("SampleSet", "Estimate", "Result", "Progress", "Event", "Batch"):
        model = getattr(wdist_client, name)
        found |= {f"wdist_client.{name}.{field}" for field in model.model_fields}
    return found | {f"wdist_client.Matrix.{name}" for name in _public(wdist_client.Matrix)}


def _members(name: str, kind: type) -> set[str]:
    found = set()
    for member in _public(kind):
        found.add(f"{name}.{member}")
        if inspect.isfunction(value := inspect.getattr_static(kind, member)):
            found |= _arguments(f"{name}.{member}", value)
    return found


# The command line.


def commands() -> set[str]:
    """`wdist estimate --seed`, `wdist estimate --split=blocks`, `wdist estimate X`, of all commands."""
    found = _below("wdist", command_parser())
    found |= _below("wdist verify", verify_parser())
    for prog in ("wdist remote", "wdist-remote"):
        found |= _below(prog, remote_parser(prog))
    return found


def _below(prog: str, parser: argparse.ArgumentParser) -> set[str]:
    found = {prog}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                found |= _below(f"{prog} {name}", below)
        elif not isinstance(action, argparse._HelpAction):
            metavar = action.metavar or action.dest
            places = metavar if isinstance(metavar, tuple) else (metavar,)
            names = action.option_strings or places
            found |= {f"{prog} {name}" for name in names}
            found |= {f"{prog} {name}={choice}" for name in names for choice in action.choices or ()}
    return found


def exit_statuses() -> set[str]:
    """Those that the code has, and those that `--help` tells."""
    found = set()
    for prog, parser, packages in (
        ("wdist", command_parser(), (source.LIBRARY, source.SERVICE)),
        ("wdist-remote", remote_parser("wdist-remote"), (source.CLIENT,)),
    ):
        told = str(parser.epilog).partition("Exit status:")[2]
        assert told, f"{prog} --help tells no exit statuses"
        numbers = {int(number) for number in re.findall(r"\d+", told)} | source.exit_statuses(*packages)
        found |= {f"exit status {number} of {prog}" for number in numbers}
    return found


# The server.


def settings() -> set[str]:
    return {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}


@contextmanager
def _server() -> Iterator[tuple[TestClient, Path]]:
    """The application on an empty data directory, without a worker."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        for name in settings():
            patch.delenv(name, raising=False)
        services = build_services(load(data=folder))
        try:
            yield TestClient(create_app(services), base_url="http://127.0.0.1:8000"), Path(folder)
        finally:
            services.queue.close()
            services.database.close()


@cache
def _observed() -> dict[str, Any]:
    """What a server says, and what it leaves in its data directory once a job waits."""
    with _server() as (http, folder):
        ids = [_answer(http.post("/v1/sample-sets", content=_npy(_rows(n)))).json()["id"] for n in (1, 2)]
        job = _answer(http.post("/v1/estimates", json={"source": ids[0], "target": ids[1]})).json()["id"]
        problems = [http.get("/nowhere"), http.put("/livez")]
        with closing(sqlite3.connect(folder / "wdist.sqlite")) as database:
            database.row_factory = sqlite3.Row
            return {
                "job": job,
                "contract": _answer(http.get("/openapi.json")).json(),
                "answers": {path: _answer(http.get(path)).json() for path in ("/livez", "/readyz", "/version")},
                "metrics": _answer(http.get("/metrics")).text,
                "problems": [answer.json()["type"] for answer in problems],
                "workflow": dict(database.execute("SELECT * FROM workflow_status").fetchone()),
                "revision": database.execute("SELECT version_num FROM alembic_version").fetchone()[0],
                "properties": [row["name"] for row in database.execute("SELECT name FROM properties")],
                "files": [path.name for path in folder.iterdir()],
            }


def _answer(answer: httpx.Response) -> httpx.Response:
    assert answer.is_success, answer.text
    return answer


def _npy(rows: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, rows)
    return file.getvalue()


def operations() -> set[str]:
    """`GET /v1/estimates`, its operation id, parameters, kinds of bodies and statuses of success."""
    found = set()
    for path, methods in _observed()["contract"]["paths"].items():
        for method, operation in methods.items():
            if method not in METHODS:
                continue
            name = f"{method.upper()} {path}"
            found |= {name, f"operation {operation['operationId']}"}
            found |= {f"{name} {one['in']} {one['name']}" for one in operation.get("parameters", ())}
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
                        found |= _fields(f"{method.upper()} {path} answer", media.get("schema", {}))
    for path, answer in _observed()["answers"].items():
        found |= _paths_in(path, answer, 2) - {path}
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
            names = ",".join(re.findall(r'(\w+)="', labels or ""))
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
    """What DBOS keeps of a job that waits: another name, and the job is stranded."""
    job, row = _observed()["job"], _observed()["workflow"]
    arguments = json.loads(row["inputs"])["args"]
    return {
        f"queue {row['queue_name']}",
        f"workflow {row['name']}",
        f"workflow id {row['workflow_uuid'].replace(job, '{estimate}').replace(':1', ':{attempt}')}",
        f"workflow arguments {json.dumps(arguments).replace(job, '{estimate}')}",
        f"workflow serialization {row['serialization']}",
        f"application version {row['application_version']}",
    }


def tables() -> set[str]:
    """Tables with their columns, the revision of the migrations, and the installation's properties."""
    found = {f"revision {_observed()['revision']}"} | {f"property {name}" for name in _observed()["properties"]}
    for table in Base.metadata.tables.values():
        found.add(f"table {table.name}")
        found |= {f"column {table.name}.{column.name}" for column in table.columns}
    return found | {f"id {prefix}" for prefix in source.id_prefixes()}


# Files.


def installation() -> set[str]:
    """What lies in a data directory and in a bucket."""
    names = set(_observed()["files"]) | source.paths(source.SERVICE)
    return {f"file {name}" for name in names} | {f"object {key}" for key in source.object_keys()}


def formats() -> set[str]:
    """Files of a critic, a certificate, a checkpoint: names, keys, versions."""
    found = {f"file {name}" for name in source.paths(source.LIBRARY)}
    with TemporaryDirectory() as name:
        folder = Path(name)
        for number, result in enumerate(_results()):
            result.critic.save(folder / str(number))
            critic = json.loads((folder / str(number) / "critic.json").read_text())
            found |= _described("critic.json", critic | {"config": None})
            result.certificate.save(folder / "certificate")
            certificate = json.loads(_metadata(folder / "certificate")["certificate"])
            certificate["critic"]["config"] = None
            found |= _described("certificate", certificate)
        steps = iter([False, False, True])
        with suppress(Exception):
            wdist.estimate_w1(
                _rows(1), _rows(2), critic="groupsort", steps=9, baseline_rows=0,
                checkpoint=folder / "checkpoint", should_stop=lambda: next(steps),
            )  # fmt: skip
        found |= _described("checkpoint", json.loads(_metadata(folder / "checkpoint")["document"]), 1)
    return found


def _described(name: str, document: dict[str, Any], depth: int = 2) -> set[str]:
    """Keys of a document, and what it says of its format."""
    versions = {f"{name}.{key}={document[key]}" for key in ("format", "version") if key in document}
    return (_paths_in(name, document, depth) | versions) - {name}


def _metadata(file: Path) -> dict[str, str]:
    """The metadata in the header of a file of safetensors."""
    content = file.read_bytes()
    header: dict[str, Any] = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return dict(header["__metadata__"])
