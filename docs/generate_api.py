"""Writes docs/api.md from the server's own contract: `make docs` calls it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from wdist_service.app import contract

PAGE = Path(__file__).with_name("api.md")
_METHODS = ("get", "head", "post", "put", "patch", "delete", "options")
_START = """# The HTTP API, in full

<!-- written by docs/generate_api.py from the contract that the server serves at /openapi.json; do not edit -->

[HTTP](http.md) tells how the parts work together; this page lists every operation, field, bound and answer. Every
answer has `X-Request-Id`; errors are [`Problem`](#problem). `400`, `401`, `403`, `429` and `503` can come from every
operation under `/v1`.
"""
_COMMON = {"400", "401", "403", "429", "503"}


def page(made: dict[str, Any]) -> str:
    """The page as Markdown."""
    lines = [_START]
    tags: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, methods in made["paths"].items():
        for method in _METHODS:
            if method in methods:
                tags.setdefault(methods[method].get("tags", ["other"])[0], []).append((method, path, methods[method]))
    for tag, operations in tags.items():
        lines.append(f"## {tag[0].upper()}{tag[1:]}\n")
        for method, path, operation in operations:
            lines += _operation(method, path, operation)
    lines.append("## Schemas\n")
    for name, schema in sorted(made["components"]["schemas"].items()):
        lines += _schema(name, schema)
    return "\n".join(lines).rstrip() + "\n"


def _operation(method: str, path: str, operation: dict[str, Any]) -> list[str]:
    lines = [f"### `{method.upper()} {path}`\n", _text(operation["description"]) + "\n"]
    if parameters := operation.get("parameters"):
        lines += ["| parameter | in | type | |", "| --- | --- | --- | --- |"]
        for one in parameters:
            required = " (required)" if one.get("required") else ""
            note = _text(one.get("description", ""))
            lines.append(f"| `{one['name']}`{required} | {one['in']} | {_type(one['schema'])} | {note} |")
        lines.append("")
    if body := operation.get("requestBody"):
        kinds = ", ".join(f"`{kind}`" + _named(media) for kind, media in body["content"].items())
        lines.append(f"Body: {kinds}\n")
    lines += ["| status | answer |", "| --- | --- |"]
    for status, answer in sorted(operation["responses"].items()):
        if status in _COMMON and path.startswith("/v1/"):
            continue
        media = answer.get("content", {}).items()
        kinds = ", ".join(f"`{kind}`" + _named(one) for kind, one in media if kind != "application/problem+json")
        headers = ", ".join(f"`{name}`" for name in answer.get("headers", {}) if name != "X-Request-Id")
        parts = [_text(answer["description"]), kinds, f"headers {headers}" if headers else ""]
        lines.append(f"| {status} | {'; '.join(part for part in parts if part)} |")
    lines.append("")
    return lines


def _schema(name: str, schema: dict[str, Any]) -> list[str]:
    lines = [f"### {name}\n", _text(schema.get("description", "")) + "\n"]
    if properties := schema.get("properties"):
        lines += ["| field | type | |", "| --- | --- | --- |"]
        for field, given in properties.items():
            required = " (required)" if field in schema.get("required", ()) else ""
            default = f" Default: `{json.dumps(given['default'])}`." if given.get("default") is not None else ""
            lines.append(f"| `{field}`{required} | {_type(given)} | {_text(given.get('description', ''))}{default} |")
        lines.append("")
    for example in schema.get("examples", ())[:3]:
        lines += ["```json", json.dumps(example, indent=2), "```\n"]
    return lines


def _named(media: dict[str, Any]) -> str:
    reference = media.get("schema", {}).get("$ref")
    return f" {_link(reference)}" if reference else ""


def _link(reference: str) -> str:
    name = reference.rpartition("/")[2]
    return f"[{name}](#{name.lower()})"


def _type(schema: dict[str, Any]) -> str:
    """A type with its bounds, in a few characters."""
    if "$ref" in schema:
        return _link(schema["$ref"])
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " ".join(f"`{value}`" for value in schema["enum"])
    kind = str(schema.get("type", "any"))
    if kind == "array":
        kind = f"list of {_type(schema.get('items', {}))}"
    bounds = [
        f"{sign} {schema[key]:g}" if abs(schema[key]) < 1e15 else f"{sign} {schema[key]}"
        for key, sign in (("minimum", ">="), ("exclusiveMinimum", ">"), ("maximum", "<="), ("exclusiveMaximum", "<"))
        if key in schema
    ]
    bounds += [f"{words} {schema[key]}" for key, words in _LENGTHS.items() if key in schema]
    return kind + (f" ({', '.join(bounds)})" if bounds else "")


_LENGTHS = {"minLength": "at least", "maxLength": "at most", "minItems": "at least", "maxItems": "at most"}


def _text(words: str) -> str:
    """One line, safe in a table."""
    return " ".join(words.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(contract()))
    sys.stdout.write(f"{PAGE}\n")
