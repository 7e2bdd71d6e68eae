"""Writes the code that is made from definitions elsewhere; a test fails when a file is stale.

    make generate

wdist/definitions/arguments.py: the keyword arguments of estimate_w1, from wdist/options.py.
clients/python/wdist_client/contract.py: records, options and printed figures of the client, from the server's OpenAPI.
clients/python/wdist_client/command/options.py: the flags of `wdist remote`, from what a server takes.
docs/http.md: the table of options, from what a server takes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import client_contract

from wdist.options import Options
from wdist_service.app import contract

ROOT = Path(__file__).resolve().parent.parent
HTTP_PAGE = ROOT / "docs" / "http.md"
TABLE_START, TABLE_END = "<!-- options, made by `make generate` -->", "<!-- end of options -->"


def arguments() -> str:
    """The options as a TypedDict, so that type checkers and editors know the keyword arguments."""
    lines = [
        '"""The options of an estimate as keyword arguments; made from wdist/options.py by `make generate`."""',
        "",
        "from typing import Any, Literal, TypedDict",
        "",
        "",
        "class OptionArguments(TypedDict, total=False):",
        '    """The keyword arguments of `estimate_w1` that are options: see `wdist.options.Options`."""',
        "",
    ]
    for name, prop in Options.model_json_schema()["properties"].items():
        lines.append(f"    {name}: {client_contract.annotation(prop, array='Any')}")
    return "\n".join(lines) + "\n"


def flags() -> str:
    """The options that a server takes, as flags of the client's command: it imports neither library nor server."""
    schemas = openapi()["components"]["schemas"]
    status = client_contract.annotation(schemas["EstimateView"]["properties"]["status"], array="Any")
    lines = [
        '"""The options of an estimate as flags; made from the server\'s OpenAPI by `make generate`."""',
        "",
        "from dataclasses import dataclass",
        "from typing import Annotated, Any, Literal",
        "",
        "from cyclopts import Parameter",
        "",
        "from wdist_client.command.inputs import numbers",
        "",
        f"Status = {status}",
        "",
        "",
        "@dataclass(frozen=True)",
        "class OptionFlags:",
        '    """How to estimate. Omitted options get the server\'s defaults."""',
        "",
    ]
    for name, prop in schemas["EstimateRequest"]["properties"].items():
        if name not in client_contract.OWN_ARGUMENTS | {"metadata"}:  # which has a form of its own in a command line
            kind = client_contract.annotation(prop, array="Any").removesuffix(" | None")
            about = f"help={prop['description']!r}"
            about += "" if kind.startswith("Literal") else f", metavar={name.rpartition('_')[2].upper()!r}"
            if kind in {"Any", "int", "float"}:  # the server says what is wrong with a number
                # a list that begins with a negative number is no flag: --ranges -1,1
                about += ", allow_leading_hyphen=True" if kind == "Any" else ""
                kind, about = "Any", about + ", converter=numbers, n_tokens=1"
            lines.append(f"    {name}: Annotated[{kind} | None, Parameter({about})] = None")
    return "\n".join(lines) + "\n"


def page_with_options() -> str:
    """docs/http.md with its table of options, between two comments."""
    before, _, rest = HTTP_PAGE.read_text().partition(TABLE_START)
    after = rest.partition(TABLE_END)[2]
    rows = ["| option | default | what it is |", "| --- | --- | --- |"]
    for name, prop in openapi()["components"]["schemas"]["EstimateRequest"]["properties"].items():
        if name not in client_contract.OWN_ARGUMENTS | {"metadata", "priority"} or name == "groups":  # told above it
            default = "" if prop.get("default") is None else f"`{json.dumps(prop['default']).strip(chr(34))}`"
            choices = "" if "enum" not in prop else " One of " + ", ".join(f"`{value}`" for value in prop["enum"]) + "."
            rows.append(f"| `{name}` | {default} | {prop['description']}{choices} |")
    return "\n".join([f"{before}{TABLE_START}", "", *rows, "", f"{TABLE_END}{after}"])


@cache
def openapi() -> dict[str, Any]:
    """What the server serves at /openapi.json."""
    return contract()


FILES = {
    "wdist/definitions/arguments.py": arguments,
    "clients/python/wdist_client/contract.py": lambda: client_contract.module(openapi()),
    "clients/python/wdist_client/command/options.py": flags,
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
