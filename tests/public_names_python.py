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
import wdist_client
from wdist.testing import assert_same_distribution
from wdist.verify import verify_certificate, verify_fresh

_FROM = re.compile(r"^[ >]*from (wdist[\w.]*) import (\([^)]*\)|[^\n#;`]+)", re.MULTILINE)
_MODULE = re.compile(r"^[ >]*import (wdist[\w.]*)", re.MULTILINE)
_REFERENCE = re.compile(r"^\.\. auto(\w+):: ([\w.]+)\n(?:   (:members:)([\w, ]*)\n)?", re.MULTILINE)
_READ = ("README.md", "clients/python/README.md", "docs/**/*.md", "docs/**/*.ipynb", "examples/**/*.py")
_LISTS = ("wdist", "wdist_client", "wdist.verify")  # modules whose __all__ is for everybody


def documented_imports(root: Path) -> set[str]:
    """`module:name` for what the documentation imports, what the reference describes, and the public lists.

    `import wdist.verify` is the name `wdist.verify`.
    """
    names = {f"{module}:{name}" for module in _LISTS for name in import_module(module).__all__}
    names |= {"wdist:__version__", "wdist_client:__version__"}
    for path in (path for pattern in _READ for path in root.glob(pattern)):
        text = _code(path)
        for module, given in _FROM.findall(text):
            parts = (part.split(" as ")[0].strip() for part in given.strip().strip("()").split(","))
            names |= {f"{module}:{name}" for name in parts if name}
        names |= set(_MODULE.findall(text))
        for kind, target, option, some in _REFERENCE.findall(text):
            names |= set(_described(kind, target, some.strip(), bool(option)))
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
    """The class and those bases of ours whose members are not listed under a public name of their own."""
    bases = [base for base in kind.__mro__[1:] if getattr(wdist_client, base.__name__, None) is not base]
    return [base for base in (kind, *bases) if base.__module__.startswith("wdist")]


def _of_class(name: str, kind: type) -> Iterator[str]:
    attributes = {**kind.__dict__, **dict.fromkeys(inspect.get_annotations(kind)), **dict.fromkeys(_set_by(kind))}
    for attribute, value in attributes.items():
        if attribute.startswith(("_", "model_")):  # model_...: pydantic's own
            continue
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
        elif argument.name != "self" and argument.kind != argument.VAR_KEYWORD:
            yield f"{name}({argument.name})"


_FUNCTIONS = {
    "wdist.estimate_w1": wdist.estimate_w1,
    "wdist.load_critic": wdist.load_critic,
    "wdist.verify_certificate": verify_certificate,
    "wdist.verify.verify_fresh": verify_fresh,
    "wdist.testing.assert_same_distribution": assert_same_distribution,
}


def library_names(x: NDArray[np.float64], y: NDArray[np.float64]) -> set[str]:
    """What the public functions take, and what a real result, its witness, certificate and critic are made of."""
    names: set[str] = set()
    for name, function in _FUNCTIONS.items():
        names |= members(name, function)
    seen: list[Any] = []
    result = wdist.estimate_w1(
        x, y, critic="groupsort", steps=5, baseline_rows=50, diameter=30.0, empirical=True, statements=2,
        progress=seen.append,
    )  # fmt: skip
    labels = np.arange(len(x)) // 2
    grouped = wdist.estimate_w1(x, y, critic="affine", baseline_rows=50, groups=(labels, labels))
    for one in (result, grouped):
        names |= {f"wdist.Result.to_dict: {path}" for path in paths(one.to_dict())}
        names |= {f"certificate {path}" for path in paths(one.certificate.document)}
        names |= {f"certificate tensor {re.sub(r'[0-9]+', 'N', name)}" for name in one.certificate.tensors}
    names |= {f"certificate {name} = {result.certificate.document[name]}" for name in ("format", "version")}
    names |= {f"wdist.Result.curve: {path}" for path in paths(result.curve)}
    names |= {f"wdist.Result.witness.to_dict: {path}" for path in paths(result.witness.to_dict())}
    parts = {
        "wdist.Result": result,
        "wdist.Result.witness": result.witness,
        "wdist.Result.certificate": result.certificate,
        "wdist.Result.critic": result.critic,
        "progress": seen[0],
    }
    for name, part in parts.items():
        names |= members(name, type(part))
    others = [wdist.estimate_w1(x, y, critic=critic, steps=5, baseline_rows=0) for critic in ("cone", "sliced")]
    return names.union(*(_stored(one.critic) for one in (result, *others)), _certified(result))


def _stored(critic: Any) -> set[str]:
    """The files of a critic, and the names in them."""
    with TemporaryDirectory() as folder:
        critic.save(folder)
        names = {path.name for path in Path(folder).iterdir()}
        document = json.loads((Path(folder) / "critic.json").read_text())
        names |= {f"critic.json: {path}" for path in paths(document)} | {f"critic.json: format = {document['format']}"}
        with safe_open(Path(folder) / "critic.safetensors", framework="np") as file:
            return names | {f"critic.safetensors: {re.sub(r'[0-9]+', 'N', name)}" for name in file.keys()}  # noqa: SIM118


def _certified(result: wdist.Result) -> set[str]:
    """The report of a verification."""
    with TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.npy"
        np.save(rows, np.zeros((2, 2)))
        result.certificate.save(Path(folder) / "c.cert")
        report = verify_fresh(Path(folder) / "c.cert", rows, rows)
    names = {f"wdist.verify.Report.to_dict: {path}" for path in paths(report.to_dict())}
    return names | members("wdist.verify.Report", type(report))


def paths(document: Any, prefix: str = "") -> Iterator[str]:
    """n, n.source, n.source.train, ...; what is inside a list is named as the list."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield f"{prefix}{name}"
            yield from paths(value, f"{prefix}{name}.")
    elif isinstance(document, list):
        for value in document:
            yield from paths(value, prefix)
