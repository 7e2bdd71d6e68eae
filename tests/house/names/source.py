"""Public names that only the source tells: variables, log fields, paths, exit statuses, types of errors, modules."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
LIBRARY, SERVICE, CLIENT = PACKAGES = ("wdist", "service/wdist_service", "clients/python/wdist_client")
DOCUMENTS = ("README.md", "docs/**/*.md", "docs/**/*.ipynb", "examples/**/*", "clients/python/README.md")
# The server starts these with descriptors that they inherit; nobody else can.
CHILDREN = {"wdist_service.api", "wdist_service.decoding"}
# Variables that begin so are settings; the model of the settings tells them.
SETTINGS_PREFIX = "WDIST_SERVER_"
LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


@cache
def _nodes(package: str) -> tuple[ast.AST, ...]:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files, f"no source in {package}"
    return tuple(node for file in files for node in ast.walk(ast.parse(file.read_text())))


def _all_nodes() -> Iterator[ast.AST]:
    for package in PACKAGES:
        yield from _nodes(package)


def _text(node: ast.AST | None) -> str | None:
    """A string as written, with {} for each part that is computed; None for anything else."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def documented_imports() -> set[str]:
    """`module:name`, or `module`, for each import of wdist or its client in the documentation and the examples."""
    found = set()
    for pattern in DOCUMENTS:
        for file in sorted(ROOT.glob(pattern)):
            if file.suffix in {".md", ".ipynb", ".py"} and file.is_file():
                found |= _imports(_code(file))
    assert found, "the documentation imports nothing: it is not where it was"
    return found


def _code(file: Path) -> str:
    if file.suffix != ".ipynb":
        return file.read_text()
    cells = json.loads(file.read_text())["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def _imports(text: str) -> set[str]:
    """Line by line, as most of a page is prose."""
    found = set()
    for module, names, bracketed in re.findall(
        r"^\s*from (wdist(?:_client)?(?:\.\w+)*) import (?:([\w, ]+)|\(([^)]*)\))", text, re.M
    ):
        parts = (part.split(" as ")[0].strip() for part in (names or bracketed).split(","))
        found |= {f"{module}:{name}" for name in parts if name}
    return found | set(re.findall(r"^\s*import (wdist(?:_client)?(?:\.\w+)*)$", text, re.M))


def documented_reference() -> set[str]:
    """What docs/reference takes docstrings from: whole modules, functions, classes with the members named."""
    found = set()
    for page in sorted((ROOT / "docs/reference").glob("*.md")):
        text = page.read_text()
        for kind, path, members in re.findall(
            r"^\.\. auto(module|function|class):: ([\w.]+)\n(?:   :members:(.*)\n)?", text, re.M
        ):
            owner = path if kind == "module" else ":".join(path.rsplit(".", 1))
            separator = ":" if kind == "module" else "."
            found.add(owner)
            found |= {f"{owner}{separator}{member.strip()}" for member in members.split(",") if member.strip()}
    assert found, "the reference documents nothing: it is not where it was"
    return found


def variables() -> set[str]:
    """Environment variables besides the settings."""
    texts = (node.value for node in _all_nodes() if isinstance(node, ast.Constant) and isinstance(node.value, str))
    found = {name for text in texts for name in re.findall(r"\bWDIST_[A-Z0-9]+(?:_[A-Z0-9]+)*", text)}
    return {name for name in found if not f"{name}_".startswith(SETTINGS_PREFIX)}


def runnable_modules() -> set[str]:
    """What `python -m` takes."""
    found = set()
    for package in PACKAGES:
        top = ROOT / package
        for file in top.rglob("__main__.py"):
            found.add(".".join(file.parent.relative_to(top.parent).parts))
    return {f"python -m {name}" for name in found - CHILDREN}


def exit_statuses(*packages: str) -> set[int]:
    """Constants called EX_..., statuses that a table gives to errors, and what a `main` returns as a number."""
    found: set[int] = set()
    for node in (node for package in packages for node in _nodes(package)):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
            if node.value is not None and any(re.match(r"_?EX_[A-Z]+$|_STATUS$", name) for name in names):
                found |= {part.value for part in ast.walk(node.value) if _is_whole_number(part)}
        elif isinstance(node, ast.FunctionDef) and node.name == "main":
            returned = (part.value for part in ast.walk(node) if isinstance(part, ast.Return))
            found |= {value.value for value in returned if _is_whole_number(value)}
    return found


def _is_whole_number(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int


def log_fields() -> set[str]:
    """Keys of every `extra` of a log record."""
    found = set()
    for node in _nodes(SERVICE):
        if isinstance(node, ast.Call) and _called(node) in LOG_METHODS:
            for keyword in node.keywords:
                if keyword.arg == "extra":
                    assert isinstance(keyword.value, ast.Dict), "write `extra` as a literal: its keys are public"
                    found |= {text for key in keyword.value.keys if (text := _text(key)) is not None}
    return found


def loggers() -> set[str]:
    named = (_text(node.args[0]) for node in _calls(SERVICE, "getLogger") if node.args)
    return {name for name in named if name is not None and name.startswith("wdist")}


def _calls(package: str, name: str) -> Iterator[ast.Call]:
    for node in _nodes(package):
        if isinstance(node, ast.Call) and _called(node) == name:
            yield node


def problem_types() -> set[str]:
    """`type` of the classes of errors, and of the problems that are made on the spot."""
    found = {_text(call.args[2]) for call in _calls(SERVICE, "problem") if len(call.args) > 2}
    for node in _nodes(SERVICE):
        if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
            for line in node.body:
                if isinstance(line, ast.Assign):
                    found |= {_text(value) for name, value in _assigned(line) if name == "type"}
    return {name for name in found if name is not None}


def _assigned(line: ast.Assign) -> Iterator[tuple[str, ast.expr]]:
    """(name, value) of `a = 1` and of `a, b = 1, 2`."""
    for target in line.targets:
        if isinstance(target, ast.Tuple) and isinstance(line.value, ast.Tuple):
            for name, value in zip(target.elts, line.value.elts, strict=True):
                yield getattr(name, "id", ""), value
        elif isinstance(target, ast.Name):
            yield target.id, line.value


def job_error_types() -> set[str]:
    """`type` of the errors that estimates, uploads and evaluations end with, where the source says it."""
    found = {_text(call.args[2]) for call in _calls(SERVICE, "_fail") if len(call.args) > 3}
    for node in _nodes(SERVICE):
        if isinstance(node, ast.Dict):
            entries = {_text(key): value for key, value in zip(node.keys, node.values, strict=True)}
            if set(entries) == {"type", "message"}:
                found.add(_text(entries["type"]))
    return {name for name in found if name is not None}


def id_prefixes() -> set[str]:
    calls = [*_calls(SERVICE, "new_id"), *_calls(SERVICE, "new_ids")]
    return {f"{text}_" for call in calls if (text := _text(call.args[0])) is not None}


def paths(*packages: str) -> set[str]:
    """Names that code joins to a path by `/`, and endings that it gives to files."""
    found = set()
    for node in (node for package in packages for node in _nodes(package)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and (text := _text(node.right)):
            is_of_the_package = any(getattr(part, "id", "") == "__file__" for part in ast.walk(node.left))
            found |= set() if is_of_the_package else {text}
        elif isinstance(node, ast.Call) and _called(node) == "with_suffix" and (text := _text(node.args[0])):
            found.add(f"*{text}")
    return found


def created_tables() -> set[str]:
    """Tables that the migrations make."""
    return {text for call in _calls(SERVICE, "create_table") if (text := _text(call.args[0])) is not None}


def object_keys() -> set[str]:
    """Keys in a bucket: `blobs/{}/{}`."""
    texts = (_text(node) for node in _nodes(SERVICE) if isinstance(node, ast.JoinedStr))
    return {text for text in texts if text and re.match(r"[a-z]+/\{\}(/|$)", text)}


def distributions() -> set[str]:
    """Names, extras, console scripts and packages of what is published."""
    found = set()
    for place in ("pyproject.toml", "clients/python/pyproject.toml"):
        written = tomllib.loads((ROOT / place).read_text())
        project = written["project"]
        found.add(f"distribution {project['name']}")
        found |= {f"extra {project['name']}[{extra}]" for extra in project.get("optional-dependencies", {})}
        found |= {f"command {script}" for script in project.get("scripts", {})}
        packages = written["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
        found |= {f"package {Path(package).name}" for package in packages}
    return found
