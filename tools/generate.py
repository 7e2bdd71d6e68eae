"""Writes the code that is made from definitions elsewhere; a test fails when a file is stale.

    make generate

wdist/definitions/arguments.py: the keyword arguments of estimate_w1 and of Monitor, from wdist/options.py,
    wdist/monitoring/options.py and definitions/reading.py.
clients/python/wdist_client/contract.py: records, options and printed figures of the client, from the server's OpenAPI,
    and how files are read, from wdist/definitions/reading.py.
clients/python/wdist_client/command/options.py: the flags of `wdist remote`, from what a server takes.
clients/python/wdist_client/command/usage.py, display/outputs.py: copies of wdist/cli/usage.py, wdist/files/outputs.py,
    as the client needs nothing of the library.
docs/http.md: the tables of options and of what says how a file is read.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import client_contract
from pydantic import BaseModel

from wdist.definitions.reading import Reading, Selection
from wdist.monitoring.options import MonitorOptions, refused_flags
from wdist.options import Options
from wdist_service.app import contract

ROOT = Path(__file__).resolve().parent.parent
HTTP_PAGE = ROOT / "docs" / "http.md"
TABLE_START, TABLE_END = "<!-- options, made by `make generate` -->", "<!-- end of options -->"
READING_START, READING_END = "<!-- readings, made by `make generate` -->", "<!-- end of readings -->"


GIVEN = {"thresholds": "Thresholds | Mapping[str, Any] | float | None"}
"""Arguments that may be given in simpler forms than their fields have."""


def arguments() -> str:
    """Options and reading as TypedDicts, so that type checkers and editors know the keyword arguments."""
    lines = [
        '"""Keyword arguments; made from the options and from definitions/reading.py by `make generate`."""',
        "",
        "from collections.abc import Collection, Mapping",
        "from typing import Any, Literal, TypedDict",
        "",
        "from wdist.definitions.monitoring import Thresholds",
        "",
        "",
        "class OptionArguments(TypedDict, total=False):",
        '    """The keyword arguments that are options of an estimate: see `wdist.options.Options`."""',
        "",
        *_fields(Options, array="Any"),
        "",
        "",
        "class ReadingArguments(TypedDict, total=False):",
        '    """The keyword arguments that say how data is read: see `wdist.definitions.reading.Reading`."""',
        "",
        *_fields(Reading, array="Collection"),
        "",
        "",
        "class Arguments(OptionArguments, ReadingArguments, total=False):",
        '    """The keyword arguments of `estimate_w1` that are defined by options and reading."""',
        "",
        "",
        "class MonitorArguments(ReadingArguments, total=False):",
        '    """The keyword arguments of `Monitor` that are options: see `wdist.monitoring.options.MonitorOptions`."""',
        "",
        *_fields(MonitorOptions, array="Any"),
    ]
    return "\n".join(lines) + "\n"


def _fields(model: type[BaseModel], array: str) -> Iterator[str]:
    """The fields of a TypedDict."""
    for name, prop in model.model_json_schema()["properties"].items():
        yield f"    {name}: {GIVEN.get(name) or client_contract.annotation(prop, array=array)}"


def flags() -> str:
    """The options that a server takes, as flags of the client's command: it imports neither library nor server."""
    schemas = openapi()["components"]["schemas"]
    status = client_contract.annotation(schemas["EstimateView"]["properties"]["status"], array="Any")
    lines = [
        '"""Options and reading as flags; made from the server\'s OpenAPI and the library by `make generate`."""',
        "",
        "from dataclasses import dataclass",
        "from typing import Annotated, Any, Literal",
        "",
        "from cyclopts import Group, Parameter",
        "",
        "from wdist_client.command.inputs import numbers",
        "",
        'READING = Group("Reading files", sort_key=1)',
        f"Status = {status}",
        "",
        "",
    ]
    estimate, monitor = (schemas[name]["properties"] for name in ("EstimateRequest", "MonitorRequest"))
    # Labels have a form of their own in a command line.
    lines += _option_flags("OptionFlags", "How to estimate.", estimate, client_contract.OWN_ARGUMENTS | {"metadata"})
    lines += _option_flags("MonitorFlags", "How a monitor compares.", monitor, client_contract.OF_MONITORS)
    lines += [
        f"\n\nNOT_OF_MONITORS = {refused_flags()!r}",
        '"""Flags that only estimates have, and what to do instead."""',
    ]
    return "\n".join([*lines, *_reading_flags()]) + "\n"


def _option_flags(name: str, about: str, options: dict[str, Any], left_out: set[str]) -> Iterator[str]:
    """A class of flags, one for each option."""
    yield f'\n\n@dataclass(frozen=True)\nclass {name}:\n    """{about} Omitted options get the server\'s defaults."""\n'
    for option, prop in options.items():
        if option in left_out:
            continue
        kind = client_contract.annotation(prop, array="Any").removesuffix(" | None")
        said = f"help={prop['description']!r}"
        said += "" if kind.startswith("Literal") else f", metavar={option.rpartition('_')[2].upper()!r}"
        if kind in {"Any", "int", "float"}:  # the server says what is wrong with a number
            # a list that begins with a negative number is no flag: --ranges -1,1
            said += ", allow_leading_hyphen=True" if kind == "Any" else ""
            kind, said = "Any", said + ", converter=numbers, n_tokens=1"
        yield f"    {option}: Annotated[{kind} | None, Parameter({said})] = None"


def _reading_flags() -> Iterator[str]:
    """How files are read, as flags; a list is a flag that is repeated."""
    yield "\n\n@dataclass(frozen=True)\nclass ReadingFlags:"
    yield '    """How files are read. Omitted options get the server\'s defaults."""\n'
    for name, prop in Reading.model_json_schema()["properties"].items():
        kind = client_contract.annotation(prop, array="list").removesuffix(" | None")
        said = prop["description"] + (" Repeatable." if kind.startswith("list") else "")
        about = f"help={said!r}, group=READING"
        if kind.startswith("list"):
            about += ", negative=(), metavar='COLUMN'"
        elif kind == "str":
            about += f", metavar={name.rpartition('_')[2].upper()!r}"
        elif kind == "bool" and prop.get("default") is False:
            about += ", negative=()"
        yield f"    {name}: Annotated[{kind} | None, Parameter({about})] = None"


def page_with_options() -> str:
    """docs/http.md with its tables of options, each between two comments."""
    estimate = openapi()["components"]["schemas"]["EstimateRequest"]["properties"]
    told_above = (client_contract.OWN_ARGUMENTS | {"metadata", "priority"}) - {"groups"}
    options = {name: prop for name, prop in estimate.items() if name not in told_above}
    text = _with_table(HTTP_PAGE.read_text(), (TABLE_START, TABLE_END), "option", options)
    return _with_table(text, (READING_START, READING_END), "parameter", Selection.model_json_schema()["properties"])


def _with_table(text: str, ends: tuple[str, str], title: str, options: dict[str, Any]) -> str:
    """The text with a table of these options between two comments."""
    before, _, rest = text.partition(ends[0])
    rows = [f"| {title} | default | what it is |", "| --- | --- | --- |"]
    for name, prop in options.items():
        default = "" if prop.get("default") in (None, []) else f"`{json.dumps(prop['default']).strip(chr(34))}`"
        kinds = [prop, *prop.get("anyOf", ())] if title == "parameter" else [prop]
        values = next((kind["enum"] for kind in kinds if "enum" in kind), ())
        choices = "" if not values else " One of " + ", ".join(f"`{value}`" for value in values) + "."
        more = " Repeatable." if any(kind.get("type") == "array" for kind in kinds) else ""
        rows.append(f"| `{name}` | {default} | {prop['description']}{choices}{more} |")
    return "\n".join([f"{before}{ends[0]}", "", *rows, "", f"{ends[1]}{rest.partition(ends[1])[2]}"])


@cache
def openapi() -> dict[str, Any]:
    """What the server serves at /openapi.json."""
    return contract()


def copied(path: str) -> str:
    """A module of the library for the client."""
    text = (ROOT / path).read_text()
    return text.replace("The client has a copy, made by", "A copy of the library's, made by").replace(
        "as it needs nothing of the library", "as the client needs nothing of it"
    )


FILES = {
    "wdist/definitions/arguments.py": arguments,
    "clients/python/wdist_client/contract.py": lambda: client_contract.module(openapi()),
    "clients/python/wdist_client/command/options.py": flags,
    "clients/python/wdist_client/command/usage.py": lambda: copied("wdist/cli/usage.py"),
    "clients/python/wdist_client/display/outputs.py": lambda: copied("wdist/files/outputs.py"),
}


def formatted(text: str) -> str:
    """The text as `ruff format` leaves it."""
    command = [sys.executable, "-m", "ruff", "format", "-", "--config", str(ROOT / "pyproject.toml")]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own text


def main() -> None:
    """Write the files; with --check only say which are stale."""
    made = {ROOT / name: formatted(make()) for name, make in FILES.items()} | {HTTP_PAGE: page_with_options()}
    if sys.argv[1:] == ["--check"]:
        stale = [str(path.relative_to(ROOT)) for path, text in made.items() if path.read_text() != text]
        raise SystemExit(f"stale: {', '.join(stale)}; run make generate" if stale else 0)
    for path, text in made.items():
        path.write_text(text)


if __name__ == "__main__":
    main()
