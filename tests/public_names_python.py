"""Names that Python programs use: imports of the documentation, members of classes, what a real result holds."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

import wdist
from wdist.testing import assert_same_distribution
from wdist.verify import verify_certificate, verify_fresh

_FROM = re.compile(r"^[ >]*from (wdist[\w.]*) import (\([^)]*\)|[^\n#;`]+)", re.MULTILINE)
_REFERENCE = re.compile(r"^\.\. auto(\w+):: ([\w.]+)\n(?:   :members:([\w, ]*)\n)?", re.MULTILINE)
_READ = ("README.md", "clients/python/README.md", "docs/**/*.md", "docs/**/*.ipynb", "examples/**/*.py")
_LISTS = ("wdist", "wdist_client", "wdist.verify")  # modules whose __all__ is for everybody


def documented_imports(root: Path) -> set[str]:
    """`module:name` for what the documentation imports, what the reference describes, and the public lists."""
    names = {f"{module}:{name}" for module in _LISTS for name in import_module(module).__all__}
    names |= {"wdist:__version__", "wdist_client:__version__"}
    for path in (path for pattern in _READ for path in root.glob(pattern)):
        text = _code(path)
        for module, given in _FROM.findall(text):
            parts = (part.split(" as ")[0].strip() for part in given.strip().strip("()").split(","))
            names |= {f"{module}:{name}" for name in parts if name}
        for kind, target, some in _REFERENCE.findall(text):
            names |= set(_described(kind, target, some.strip(), "   :members:" in text))
    return names


def _code(path: Path) -> str:
    text = path.read_text()
    if path.suffix != ".ipynb":
        return text
    return "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])


def _described(kind: str, target: str, some: str, has_members: bool) -> Iterator[str]:
    """Names of one directive of the reference; of a module without a list, all that it defines."""
    if kind != "module":
        module, _, name = target.rpartition(".")
        yield f"{module}:{name}"
    elif some:
        yield from (f"{target}:{name.strip()}" for name in some.split(","))
    elif has_members:
        found = vars(import_module(target)).items()
        yield from (
            f"{target}:{name}"
            for name, value in found
            if not name.startswith("_") and getattr(value, "__module__", "") == target and callable(value)
        )


def members(name: str, thing: Any) -> set[str]:
    """A function with its arguments, or a class with its public attributes and methods."""
    if inspect.isclass(thing):
        return {name} | {found for kind in _own_classes(thing) for found in _of_class(name, kind)}
    return {name} | (set(arguments(name, thing)) if inspect.isroutine(thing) else set())


def _own_classes(kind: type) -> list[type]:
    return [base for base in kind.__mro__ if base.__module__.startswith("wdist")]


def _of_class(name: str, kind: type) -> Iterator[str]:
    attributes = {**kind.__dict__, **dict.fromkeys(inspect.get_annotations(kind)), **dict.fromkeys(_set_by(kind))}
    for attribute, value in attributes.items():
        if attribute.startswith("_") or attribute == "model_config":
            continue
        if "model_fields" in attribute or attribute.startswith("model_"):
            continue  # pydantic's
        yield f"{name}.{attribute}"
        if inspect.isfunction(value):
            yield from arguments(f"{name}.{attribute}", value)
    if name.endswith("Client"):  # other objects are made by the package
        yield from arguments(name, kind)


def _set_by(kind: type) -> list[str]:
    """Attributes that the constructor sets."""
    if "__init__" not in kind.__dict__ or not inspect.isfunction(kind.__dict__["__init__"]):
        return []
    try:
        text = inspect.getsource(kind.__dict__["__init__"])
    except (OSError, TypeError):  # a dataclass's
        return []
    return re.findall(r"self\.([a-z]\w*)(?:: [^=\n]+)? = ", text)


def arguments(name: str, function: Any) -> Iterator[str]:
    """name(argument) for each; options that are given as Unpack[...] one by one."""
    for argument in inspect.signature(function).parameters.values():
        if options := re.fullmatch(r"Unpack\[(\w+)\]", str(argument.annotation)):
            yield from (f"{name}({option})" for option in function.__globals__[options[1]].__annotations__)
        elif argument.name != "self":
            yield f"{name}({argument.name})"


def library_names(x: NDArray[np.float64], y: NDArray[np.float64]) -> set[str]:
    """What the public functions take, and what a real result, its witness, certificate and critic are made of."""
    names: set[str] = set()
    for function in (wdist.estimate_w1, wdist.load_critic, assert_same_distribution, verify_certificate, verify_fresh):
        names |= {found for found in arguments(function.__name__, function)}
    options = {"critic": "affine", "steps": 5, "baseline_rows": 50, "seed": 0}
    seen: list[Any] = []
    result = wdist.estimate_w1(x, y, diameter=30.0, empirical=True, statements=2, progress=seen.append, **options)
    labels = np.arange(len(x)) // 2
    grouped = wdist.estimate_w1(x, y, groups=(labels, labels), **options)
    for one in (result, grouped):
        names |= {f"Result.to_dict: {path}" for path in paths(one.to_dict())}
        names |= {f"certificate {path}" for path in paths(one.certificate.document)}
        names |= {f"certificate tensor {re.sub(r'[0-9]+', 'N', name)}" for name in one.certificate.tensors}
    names |= {f"certificate {name} = {result.certificate.document[name]}" for name in ("format", "version")}
    names |= {f"Result.curve: {path}" for path in paths(grouped.curve)}
    names |= {f"Result.witness.to_dict: {path}" for path in paths(result.witness.to_dict())}
    for name, part in (("Result", result), ("Result.witness", result.witness), ("Result.certificate", result.certificate),
                       ("Result.critic", result.critic), ("progress", seen[0])):  # fmt: skip
        names |= members(name, type(part))
    return names | _files_of(result)


def _files_of(result: wdist.Result) -> set[str]:
    """A stored critic; the report of a verification."""
    with TemporaryDirectory() as folder:
        result.critic.save(folder)
        names = {path.name for path in Path(folder).iterdir()}
        document = json.loads((Path(folder) / "critic.json").read_text())
        names |= {f"critic.json: {path}" for path in paths(document)} | {f"critic.json: format = {document['format']}"}
        with safe_open(Path(folder) / "critic.safetensors", framework="np") as file:
            names |= {f"critic.safetensors: {re.sub(r'[0-9]+', 'N', name)}" for name in file.keys()}  # noqa: SIM118
        result.certificate.save(Path(folder) / "c.cert")
        rows = Path(folder) / "rows.npy"
        np.save(rows, np.zeros((2, 2)))
        report = verify_fresh(Path(folder) / "c.cert", rows, rows)
    names |= members("Report", type(report)) | members("Report.checks", type(report.checks[0]))
    return names | {f"Report.to_dict: {path}" for path in paths(report.to_dict())}


def paths(document: Any, prefix: str = "") -> Iterator[str]:
    """n, n.source, n.source.train, ...; what is inside a list is named as the list."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield f"{prefix}{name}"
            yield from paths(value, f"{prefix}{name}.")
    elif isinstance(document, list):
        for value in document:
            yield from paths(value, prefix)
