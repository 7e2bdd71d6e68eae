"""The names that people rely on, computed from the code: public_names.txt lists them, test_public_names.py compares.

What is imported from inside the packages is imported here, at the top: when a module moves, follow it here.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
import tomllib
from argparse import SUPPRESS, ArgumentParser, _SubParsersAction
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import public_names_source as source
import yaml
from public_names_python import documented_imports, library_names, members
from safetensors import safe_open

import wdist_client
from wdist.checkpoint import write_checkpoint
from wdist.critics import FAMILIES
from wdist.stored import _KINDS as LAYER_KINDS
from wdist.verify.command import parser as verify_parser
from wdist_client.command.parser import parser as remote_parser
from wdist_service import engine
from wdist_service.api.app import build_services, create_app
from wdist_service.api.estimates import _CRITIC_FILES as CRITIC_FILES
from wdist_service.cli import parser as whole_parser
from wdist_service.errors import RequestError
from wdist_service.logs import JsonFormatter
from wdist_service.models import Base
from wdist_service.settings import PREFIX, Settings, load
from wdist_service.supervisor import prepare_data
from wdist_service.worker import _take_name as take_worker_name

ROOT = Path(__file__).resolve().parent.parent
# Set by a process of the server for its own children, of the same version.
_BETWEEN_PROCESSES = {"WDIST_PULSE_DESCRIPTOR", "WDIST_SUPERVISOR_PID"}
_METHODS = {"get", "head", "post", "put", "patch", "delete", "options"}


def client() -> set[str]:
    """Classes and functions of the client, their public attributes, methods and arguments."""
    names: set[str] = set()
    for name in wdist_client.__all__:
        names |= members(f"wdist_client.{name}", getattr(wdist_client, name))
    with wdist_client.Client("http://127.0.0.1:1") as made:
        names |= _resources("wdist_client.Client", made)
    names |= _resources("wdist_client.AsyncClient", wdist_client.AsyncClient("http://127.0.0.1:1"))
    return names


def _resources(prefix: str, made: object) -> set[str]:
    """`sample_sets` and the others, which are attributes of a client."""
    names: set[str] = set()
    for name, value in vars(made).items():
        if not name.startswith("_"):
            names |= {f"{prefix}.{name}"} | members(f"{prefix}.{name}", type(value))
    return names


def commands() -> set[str]:
    """Commands, options, the words they take, the order of arguments; exit statuses; `python -m`."""
    parsers = {
        "wdist": whole_parser(), "wdist verify": verify_parser(), "wdist remote": remote_parser("wdist remote")
    }  # fmt: skip
    names = {name for path, parser in parsers.items() for name in _options(path, parser)}
    for prog, packages in (("wdist", ("wdist", "wdist_service")), ("wdist remote", ("wdist_client",))):
        said = {int(status) for status in re.findall(r"\b\d{1,3}\b", _statuses(parsers[prog]))}
        names |= {f"{prog}: exit {status}" for status in said | source.exit_statuses(packages)}
    return names | {f"python -m {module}" for module in source.entry_points()}


def _statuses(parser: ArgumentParser) -> str:
    """What the help says of exit statuses."""
    return (parser.epilog or "").partition("Exit status:")[2]


def _options(path: str, parser: ArgumentParser) -> Iterator[str]:
    yield path
    arguments = []
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for name, below in action.choices.items():
                yield from _options(f"{path} {name}", below)
            continue
        for option in action.option_strings:
            if action.default != SUPPRESS or option not in {"-h", "--help"}:
                yield f"{path} {option}"
                yield from (f"{path} {option} {word}" for word in action.choices or ())
        if not action.option_strings:
            shown = action.metavar or action.dest.upper()
            more = "..." if action.nargs in {"+", "*"} else ""
            arguments.append((shown if isinstance(shown, str) else " ".join(shown)) + more)
            yield from (f"{path} {word}" for word in action.choices or ())
    if arguments:
        yield f"{path} {' '.join(arguments)}"


def environment() -> set[str]:
    """Variables other than settings."""
    found = source.variables() - _BETWEEN_PROCESSES
    return {name for name in found if not name.startswith(PREFIX)}


def settings() -> set[str]:
    return {PREFIX + name.upper() for name in Settings.model_fields}


@cache
def _server() -> tuple[dict[str, Any], str, frozenset[str], frozenset[str]]:
    """The contract, the metrics, the types of problems met, and the files left behind by one short life of a server."""
    with TemporaryDirectory() as folder:
        services = build_services(load(data=folder))
        app = create_app(services)
        metrics, problems = asyncio.run(_asked(app))
        services.storage.checkpoints.prepare("ESTIMATE", 1).touch()
        take_worker_name(services.settings.data)[0].close()
        prepare_data(services.settings).close()
        services.queue.close()
        services.database.close()
        files = {str(path.relative_to(folder)) for path in Path(folder).rglob("*")}
        return app.openapi(), metrics, frozenset(problems), frozenset(files)


async def _asked(app: Any) -> tuple[str, set[str]]:
    """Store a set, ask for what does not exist, read the metrics. Also answers what is not in the contract."""
    problems: set[str] = set()
    carried = httpx.ASGITransport(app, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=carried, base_url="http://127.0.0.1:8000") as http:
        rows = ROOT / "examples/diamonds/premium.npy"
        stored = await http.post(
            "/v1/sample-sets", content=rows.read_bytes(), headers={"Content-Type": "application/octet-stream"}
        )
        assert stored.status_code == 201, stored.text
        for method, path in (("GET", "/nothing"), ("DELETE", "/version")):
            problems.add((await http.request(method, path)).json()["type"])
        for path in ("/", "/openapi.json"):
            assert (await http.get(path)).status_code == 200, path
        return (await http.get("/metrics")).text, problems


def http() -> set[str]:
    """Operations with their parameters, bodies and answers, fields of schemas, types of problems, prefixes of ids."""
    contract, _, problems, _ = _server()
    names = {"GET /", "GET /openapi.json"} | problems  # these two are not in the contract; _asked() reads them
    for path, operations in contract["paths"].items():
        for method, operation in operations.items():
            if method in _METHODS:
                names |= set(_operation(f"{method.upper()} {path}", operation))
    for name, schema in contract["components"]["schemas"].items():
        names |= set(_fields(name, schema))
    slugs = source.problem_slugs() | {kind.type for kind in _kinds_of(RequestError)}
    names |= {f"urn:wdist:problem:{slug}" for slug in slugs}
    return names | {f"id {prefix}_..." for prefix in source.id_prefixes()}


def _kinds_of(kind: type[Any]) -> Iterator[type[Any]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds_of(below)


def _operation(name: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield name
    yield f"operationId {operation['operationId']}"
    for parameter in operation.get("parameters", ()):
        yield f"{name} {parameter['in']} {parameter['name']}"
        yield from _words(f"{name} {parameter['in']} {parameter['name']}", parameter.get("schema", {}))
    for kind, media in operation.get("requestBody", {}).get("content", {}).items():
        yield f"{name} body {kind}"
        yield from _fields(f"{name} body", media.get("schema", {}))
    for answer in operation["responses"].values():
        yield from (f"answer header {header}" for header in answer.get("headers", ()))
        for kind, media in answer.get("content", {}).items():
            if kind != "application/problem+json":
                yield f"{name} answer {kind}"
                yield from _fields(f"{name} answer", media.get("schema", {}))


def _fields(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    """Fields of a schema and the words that they can hold, also those of schemas inside of it."""
    yield from _words(name, schema)
    for field, given in schema.get("properties", {}).items():
        yield f"{name}.{field}"
        yield from _fields(f"{name}.{field}", given)


def _words(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{name} = {word}" for word in schema.get("enum", ()))
    if "const" in schema:
        yield f"{name} = {schema['const']}"
    for inside in [*schema.get("anyOf", ()), *schema.get("oneOf", ()), schema.get("items", {})]:
        if isinstance(inside, dict) and inside:
            yield from _fields(name, inside)


def metrics() -> set[str]:
    """Figures with their labels."""
    names = set()
    for line in _server()[1].splitlines():
        if line and not line.startswith("#"):
            name, labels = re.fullmatch(r"(\w+)(?:\{(.*)\})? \S+", line).groups()  # type: ignore[union-attr]
            keys = ",".join(sorted(re.findall(r'(\w+)="', labels or "")))
            names.add(f"{name}{{{keys}}}" if keys else name)
    return names


def logs() -> set[str]:
    """Keys of a line of the log, and the names of loggers."""
    try:
        raise ValueError("for the traceback")
    except ValueError:
        record = logging.LogRecord("wdist", logging.ERROR, "", 1, "text", (), sys.exc_info())
    keys = set(json.loads(JsonFormatter().format(record))) | source.log_keys()
    return {f"log {key}" for key in keys} | {f"logger {name}" for name in source.loggers()}


def files() -> set[str]:
    """What is in a data directory and in a bucket; in capitals, what differs from file to file."""
    passing = re.compile(r"(incoming|scratch)/|-(wal|shm)$")  # gone when the server has stopped, or no loss
    names = set()
    for name in _server()[3]:
        if not passing.search(name):
            shown = re.sub(r"\b[0-9a-f]{64}$", "SHA256", name)
            shown = re.sub(r"(?<=blobs/)[0-9a-f]{2}\b", "SHA256[:2]", shown)
            shown = re.sub(r"(?<=workers/)\d+", "NUMBER", shown)
            names.add("data/" + re.sub(r"\d+(?=\.checkpoint)", "ATTEMPT", shown))
    return names | {f"bucket/{key}" for key in source.bucket_keys()}


def formats() -> set[str]:
    """Words in the files of critics and checkpoints, names of the files of an estimate, suffixes of experiments."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.checkpoint"
        write_checkpoint(path, {}, {})
        with safe_open(path, framework="np") as file:
            written = json.loads(file.metadata()["document"])
    names = {f"checkpoint {name} = {value}" for name, value in written.items()}
    names |= {f"layer kind {kind}" for kind in LAYER_KINDS.values()}
    for family, config in FAMILIES.items():
        names |= {f"critic family {family}"} | {f"critic config {family}.{field.name}" for field in fields(config)}
    names |= {f"artifact {name}" for name in {*CRITIC_FILES.values(), *source.artifacts()}}
    return names | {f"result file NAME{suffix}" for suffix in source.suffixes()}


def queue() -> set[str]:
    """What waiting jobs are found by."""
    return {
        f"queue {engine.QUEUE}",
        f"workflow {engine.WORKFLOW}",
        f"workflow id {engine.workflow_id('ESTIMATE', 7).replace('7', 'ATTEMPT')}",
        f"application {engine.APPLICATION}",
        f"application version {engine.APPLICATION_VERSION}",
        f"serializer {engine.JsonSerializer().name()}",
    }


def tables() -> set[str]:
    """Tables, columns, and the revisions that a database may be at."""
    columns = {
        f"column {table}.{column.name}" for table, made in Base.metadata.tables.items() for column in made.columns
    }
    return {f"table {name}" for name in Base.metadata.tables} | columns | {f"revision {n}" for n in source.revisions()}


def distributions() -> set[str]:
    """Distributions, extras, packages and console scripts."""
    names = set()
    for folder in (ROOT, ROOT / "clients/python"):
        written = tomllib.loads((folder / "pyproject.toml").read_text())
        project = written["project"]
        names.add(f"distribution {project['name']}")
        names |= {f"extra {project['name']}[{extra}]" for extra in project.get("optional-dependencies", ())}
        names |= {f"script {script}" for script in project.get("scripts", ())}
        packages = written["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
        names |= {f"package {Path(package).name}" for package in packages}
    return names


def containers() -> set[str]:
    """Targets, arguments, ports and volumes of the image; services, volumes and variables of the compose files."""
    image = (ROOT / "Dockerfile").read_text()
    names = {f"image target {name}" for name in re.findall(r"^FROM .* AS (\S+)", image, re.MULTILINE)}
    for word in ("ARG", "EXPOSE", "VOLUME"):
        names |= {f"image {word} {name}" for name in re.findall(rf"^{word} ([^\s=]+)", image, re.MULTILINE)}
    for file in ("compose.yaml", "deploy/compose.cluster.yaml"):
        text = (ROOT / file).read_text()
        for kind in ("services", "volumes", "secrets"):
            names |= {f"{file} {kind}.{name}" for name in yaml.safe_load(text).get(kind) or ()}
        names |= {f"{file} ${{{name}}}" for name in re.findall(r"\$\{(\w+)", text)}
    return names


def imports() -> set[str]:
    """What the documentation, the examples and the packages' own lists of public names say can be imported."""
    return documented_imports(ROOT)


def library() -> set[str]:
    """Attributes of a result and what comes with it, keyword arguments, names in certificates and stored critics."""
    generator = np.random.default_rng(0)
    return library_names(generator.normal(size=(200, 2)), generator.normal(1.0, size=(200, 2)))


SECTIONS: dict[str, Callable[[], set[str]]] = {
    "imports": imports, "library": library, "client": client, "commands": commands, "environment": environment,
    "settings": settings, "http": http, "metrics": metrics, "logs": logs, "files": files, "formats": formats,
    "queue": queue, "tables": tables, "distributions": distributions, "containers": containers,
}  # fmt: skip
