"""Names of the Python interface: imports, arguments, attributes of results; files that results are written to."""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

import wdist
import wdist_client
from names import source
from wdist.monitoring.folder import COMMIT
from wdist.testing import assert_same_distribution


def offered_imports() -> set[str]:
    """What the documentation, the examples, the reference and the packages' __all__ name."""
    named = source.documented_imports() | source.documented_reference()
    return named | {f"{package.__name__}:{name}" for package in (wdist, wdist_client) for name in package.__all__}


def imports(listed: Iterable[str] = ()) -> set[str]:
    """Of the listed imports, and of those that are offered, the ones that work."""
    return {name for name in offered_imports() | set(listed) if is_importable(name)}


def is_importable(name: str) -> bool:
    """Whether `module:name.member`, or `module`, is there."""
    module, _, path = name.partition(":")
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if f"{module}.".startswith(f"{error.name}."):
            return False
        raise  # it is there, and what it needs is not
    for part in filter(None, path.split(".")):
        if not hasattr(found, part):
            return False
        found = getattr(found, part)
    return True


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


def _monitor(folder: Path | None = None) -> wdist.Monitor:
    """A monitor with an update."""
    monitor = wdist.Monitor(_rows(1), folder=folder, critic="affine", upper="none")
    monitor.update(_rows(2, 1.0))
    return monitor


def _public(thing: object) -> list[str]:
    """Without what every pydantic model has."""
    models = dir(BaseModel) if isinstance(thing, BaseModel) else ()
    return [name for name in dir(thing) if not name.startswith("_") and name not in models]


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
    found |= _members("wdist.Monitor", wdist.Monitor) | _arguments("wdist.Monitor", wdist.Monitor.__init__)
    found |= {f"wdist.Update.{name}" for name in _public(_monitor().history[0])}
    return found | _arguments("wdist.testing.assert_same_distribution", assert_same_distribution)


def client() -> set[str]:
    """Methods of the clients and of what they give; arguments of the synchronous ones, which the others share."""
    found = _arguments("wdist_client.w1", wdist_client.w1) | _arguments("wdist_client.Client", wdist_client.Client)
    for kind in (wdist_client.Client, wdist_client.AsyncClient):
        name, made = f"wdist_client.{kind.__name__}", kind("http://127.0.0.1:9")
        found |= _members(name, kind)
        for group in (part for part in vars(made) if not part.startswith("_")):
            found |= _members(f"{name}.{group}", type(getattr(made, group)))
    handles = ("Job", "BatchJob", "Monitor", "UpdateJob")
    for name in (*handles, *(f"Async{handle}" for handle in handles), "Matrix"):
        found |= _members(f"wdist_client.{name}", getattr(wdist_client, name))
    for name in (
        "SampleSet", "Estimate", "Result", "Progress", "Event", "Batch", "MonitorState", "MonitorUpdate", "Update",
        "NewWebhook", "Delivery", "DeliveryDetail",
    ):  # fmt: skip
        found |= {f"wdist_client.{name}.{field}" for field in getattr(wdist_client, name).model_fields}
    return found


def _members(name: str, kind: type) -> set[str]:
    found = set()
    for member in _public(kind):
        found.add(f"{name}.{member}")
        if ".Async" not in name and inspect.isfunction(value := inspect.getattr_static(kind, member)):
            found |= _arguments(f"{name}.{member}", value)
    return found


def formats() -> set[str]:
    """Names of the files of the library; keys, versions and tensors in a critic, a certificate, a checkpoint."""
    found = {f"file {name}" for name in source.paths(source.LIBRARY)}
    with TemporaryDirectory() as name:
        folder = Path(name)
        for result in _results():
            result.critic.save(folder)
            found |= _described("critic.json", json.loads((folder / "critic.json").read_text()) | {"config": None})
            result.certificate.save(folder / "certificate")
            header = _header(folder / "certificate")
            certificate = json.loads(header["__metadata__"]["wdist_certificate"])
            found |= _described("certificate", certificate) | _stored("certificate", header)
        stop = iter([False, False, True])
        options: dict[str, Any] = {"critic": "groupsort", "steps": 9, "checkpoint": folder / "checkpoint"}
        with pytest.raises(wdist.WdistError, match="stopped"):
            wdist.estimate_w1(_rows(1), _rows(2), should_stop=lambda: next(stop), **options)
        header = _header(folder / "checkpoint")
        found |= _described("checkpoint", json.loads(header["__metadata__"]["document"]), 1)
        found |= {f"checkpoint metadata {name}" for name in header["__metadata__"]}
        _monitor(folder / "monitor")
        commit = json.loads((folder / "monitor" / COMMIT).read_text())
        return found | _described(COMMIT, commit, 1) | {f"{COMMIT}.wdist_monitor={commit['wdist_monitor']}"}


def _described(name: str, document: dict[str, Any], depth: int = 2) -> set[str]:
    """Keys of a document, and what it says of its format."""
    versions = {f"{name}.{key}={document[key]}" for key in ("format", "version") if key in document}
    return (_paths_in(name, document, depth) | versions) - {name}


def _stored(name: str, header: dict[str, Any]) -> set[str]:
    """Metadata and tensors of a file of safetensors, those of the critic's layers apart."""
    tensors = {f"{name} tensor {tensor}" for tensor in header if not tensor.startswith(("__", "layers."))}
    return tensors | {f"{name} metadata {key}" for key in header["__metadata__"]}


def _header(file: Path) -> dict[str, Any]:
    content = file.read_bytes()
    return dict(json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]))
