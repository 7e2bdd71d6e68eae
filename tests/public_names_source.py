"""Names that can only be read from the source: words in calls, environment variables, exit statuses."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("wdist", "wdist_service", "wdist_client")


@cache
def modules(package: str) -> dict[str, ast.Module]:
    """Syntax trees of a package, by the dotted name of the module."""
    spec = find_spec(package)
    assert spec is not None and spec.submodule_search_locations, package  # noqa: PT018 - narrows the type
    top = Path(spec.submodule_search_locations[0])
    paths = sorted(top.rglob("*.py"))
    return {".".join((package, *p.relative_to(top).with_suffix("").parts)): ast.parse(p.read_text()) for p in paths}


@cache
def _all_nodes(package: str) -> list[ast.AST]:
    return [node for tree in modules(package).values() for node in ast.walk(tree)]


def _nodes(packages: Sequence[str] = PACKAGES) -> Iterator[ast.AST]:
    for package in packages:
        yield from _all_nodes(package)


def _calls(name: str, packages: Sequence[str] = PACKAGES) -> Iterator[ast.Call]:
    """Calls of a function or a method of this name."""
    for node in _nodes(packages):
        if isinstance(node, ast.Call) and name == getattr(node.func, "attr", getattr(node.func, "id", "")):
            yield node


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _argument(call: ast.Call, place: int) -> str | None:
    return _text(call.args[place]) if len(call.args) > place else None


def variables() -> set[str]:
    """Environment variables: whole strings that look like one of ours."""
    strings = (_text(node) for node in _nodes() if isinstance(node, ast.Constant))
    return {text for text in strings if text and re.fullmatch(r"WDIST_[A-Z][A-Z_]*[A-Z]", text)}


def entry_points() -> set[str]:
    """Packages that run with `python -m`; those inside wdist_service are processes that the server starts itself."""
    found = {name.removesuffix(".__main__") for p in PACKAGES for name in modules(p) if name.endswith(".__main__")}
    return {name for name in found if not name.startswith("wdist_service.")}


def exit_statuses(packages: Sequence[str]) -> set[int]:
    """0; numbers that are called EX_...; numbers of sysexits.h and of signals that a function returns or maps to."""
    found = {0}
    for node in _nodes(packages):
        if isinstance(node, ast.Assign):
            found |= {number for name, number in _assigned(node) if re.match(r"_?EX_[A-Z]", name)}
        elif isinstance(node, ast.Return) and node.value is not None:
            found |= {number for number in _numbers(node.value) if 64 <= number <= 78 or 129 <= number <= 159}
        elif isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "_STATUS" and node.value:
            found |= _numbers(node.value)
    return found


def _assigned(node: ast.Assign) -> Iterator[tuple[str, int]]:
    target, value = node.targets[0], node.value
    names = target.elts if isinstance(target, ast.Tuple) else [target]
    values = value.elts if isinstance(value, ast.Tuple) else [value]
    for name, given in zip(names, values, strict=False):
        if isinstance(name, ast.Name) and isinstance(given, ast.Constant) and isinstance(given.value, int):
            yield name.id, given.value


def _numbers(node: ast.AST) -> set[int]:
    """Whole numbers that stand alone, or in tuples."""
    if isinstance(node, ast.Tuple):
        return {number for inside in node.elts for number in _numbers(inside)}
    return {node.value} if isinstance(node, ast.Constant) and type(node.value) is int else set()


def problem_slugs() -> set[str]:
    """Types that are given to `problem(id, status, type, ...)` as words."""
    return {slug for call in _calls("problem", ["wdist_service"]) if (slug := _argument(call, 2))}


def id_prefixes() -> set[str]:
    """Prefixes of identifiers."""
    return {prefix for call in _calls("new_id", ["wdist_service"]) if (prefix := _argument(call, 0))}


def log_keys() -> set[str]:
    """What calls of loggers add through `extra`."""
    found: set[str] = set()
    for level in ("debug", "info", "warning", "error", "exception", "critical"):
        for call in _calls(level, ["wdist", "wdist_service"]):
            for keyword in call.keywords:
                if keyword.arg == "extra":
                    assert isinstance(keyword.value, ast.Dict), (
                        "write extra={...} in the call, so that its keys are seen"
                    )
                    found |= {key for node in keyword.value.keys if node and (key := _text(node))}
    return found


def loggers() -> set[str]:
    """Loggers of our own."""
    names = {_argument(call, 0) for call in _calls("getLogger")}
    return {name for name in names if name and name.startswith("wdist")}


def bucket_keys() -> set[str]:
    """Where things are in a bucket: the first argument of what is done with one, and what `_key` returns."""
    found = set()
    for node in _nodes(["wdist_service"]):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if getattr(node.func.value, "attr", "") == "_bucket" and node.args:
                found.add(_pattern(node.args[0]))
        elif isinstance(node, ast.FunctionDef) and node.name == "_key":
            found |= {
                _pattern(inside.value) for inside in ast.walk(node) if isinstance(inside, ast.Return) and inside.value
            }
    return {key for key in found if key}


def _pattern(node: ast.expr) -> str:
    """A string with the expressions in it as capitals: blobs/SHA256."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(p) or re.sub(r"_ID\b", "", ast.unparse(p.value).upper()) for p in node.values)  # type: ignore[attr-defined]
    return _text(node) or ""


def artifacts() -> set[str]:
    """Names under which the files of an estimate are stored, where a download names them in the call."""
    return {name for call in _calls("_download", ["wdist_service"]) if (name := _argument(call, 4))}


def suffixes() -> set[str]:
    """Suffixes of the files that experiments write beside each other; .part is one that is not complete."""
    found = {_argument(call, 0) for call in _calls("with_suffix", ["wdist"])}
    return {suffix for suffix in found if suffix and suffix != ".part"}


def revisions() -> set[str]:
    """Revisions of the tables."""
    found = set()
    for name, tree in modules("wdist_service").items():
        if ".versions." in name:
            for node in tree.body:
                target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
                if getattr(target, "id", "") == "revision":
                    found.add(_text(node.value) or "")  # type: ignore[union-attr, attr-defined]
    return found
