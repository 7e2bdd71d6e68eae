"""The file that `Result.save` writes, the library's as well as the client's: safetensors with JSON in its header.

The client reads and writes it without torch: figures, words, curve and witness are JSON, and the weights of the critic
and the certificate are bytes that it copies.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from wdist_client.errors import WdistError

VERSION = 1
_KEY, _METADATA = "wdist_result", "__metadata__"
_OLD_FORMAT, _OLD_VERSION = "wdist client result", 1  # JSON, which clients before 0.2 wrote
_BYTES_OF = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2}


@dataclass(frozen=True)
class Tensor:
    """An array as safetensors has it."""

    dtype: str
    shape: list[int]
    content: bytes


@dataclass(frozen=True)
class StoredResult:
    """What the file holds.

    Attributes:
        result: the result as `to_dict` has it.
        curve: the training curve.
        names: names of the sets, if the file has them.
        critic: the critic's document and weights, which `critic_of` reads; None if they were not kept.
        certificate, witness: None if they were not kept.
    """

    result: Mapping[str, Any]
    curve: list[dict[str, Any]]
    names: tuple[str, str] | None
    critic: tuple[dict[str, Any], dict[str, Tensor]] | None = None
    certificate: bytes | None = None
    witness: Mapping[str, Any] | None = None
    tensors: dict[str, Tensor] = field(default_factory=dict)


def write_result(path: str | PathLike[str], stored: StoredResult, names: tuple[str, str]) -> None:
    """Writes the file, all of it or none. `wdist.Result.load` and `Result.load` of the client read it."""
    figures = {name: figure for name, figure in stored.result.items() if name not in ("critic", "verdict", "meaning")}
    document: dict[str, Any] = {
        "version": VERSION,
        "figures": figures,
        "said": {"verdict": stored.result["verdict"], "meaning": stored.result["meaning"]},
        "curve": stored.curve,
        "names": list(names),
        "critic": stored.result["critic"],
    }
    tensors = {name: tensor for name, tensor in stored.tensors.items() if name.startswith("witness.")}
    if stored.critic is not None:
        document["critic"] = stored.critic[0]
        tensors |= {f"critic.{name}": tensor for name, tensor in stored.critic[1].items()}
    if stored.certificate is not None:
        tensors["certificate"] = Tensor("U8", [len(stored.certificate)], stored.certificate)
    if stored.witness is not None:
        columns = stored.witness.get("columns", [])
        document["witness"] = {"columns": columns, "units": stored.witness.get("units"), "told": dict(stored.witness)}
    file = Path(path)
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.write_bytes(_packed({_KEY: json.dumps(document)}, tensors))
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        error.filename = str(path)
        raise


def read_result(path: str | PathLike[str]) -> StoredResult:
    """Reads what the library's or the client's `save` wrote. Raises WdistError for any other file."""
    content = Path(path).read_bytes()
    try:
        return _read_old(content, path) if content.startswith(b"{") else _read(content, path)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, WdistError):
            raise
        raise WdistError(f"{path} is damaged: {type(error).__name__}: {error}") from error


def critic_of(config: bytes, weights: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The critic of the file, from the two files that a server gives of it."""
    document: dict[str, Any] = json.loads(config)
    return document, _unpacked(weights)[1]


def _read(content: bytes, path: str | PathLike[str]) -> StoredResult:
    try:
        header, tensors = _unpacked(content)
        document = json.loads(header[_KEY])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise WdistError(f"{path} is not a result that wdist saved") from None
    if (version := document["version"]) != VERSION:
        raise WdistError(f"{path} holds result format {version}, this client reads {VERSION}; update wdist-client")
    entry, weights = document["critic"], _beginning(tensors, "critic.")
    certificate, witness = tensors.get("certificate"), document.get("witness") or {}
    said = document.get("said") or {}  # a library before 0.2 did not write it
    return StoredResult(
        result={
            **document["figures"], "critic": {"family": entry["family"], "config": entry["config"]},
            "verdict": said.get("verdict") or {}, "meaning": said.get("meaning") or "",
        },
        curve=document["curve"],
        names=(str(document["names"][0]), str(document["names"][1])),
        critic=(entry, weights) if weights else None,
        certificate=None if certificate is None else certificate.content,
        witness=witness.get("told"),
        tensors=tensors,
    )  # fmt: skip


def _read_old(content: bytes, path: str | PathLike[str]) -> StoredResult:
    try:
        document = json.loads(content)
    except ValueError:
        document = {}
    if document.get("format") != _OLD_FORMAT:
        raise WdistError(f"{path} is not a result that wdist saved")
    if (version := document.get("version")) != _OLD_VERSION:
        raise WdistError(f"{path} holds result format {version}, this client reads {_OLD_VERSION}; update wdist-client")
    names = document.get("names")
    return StoredResult(
        document["result"], document["curve"], None if names is None else (str(names[0]), str(names[1]))
    )


def _beginning(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _packed(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> bytes:
    """A safetensors file: the length of the header, the header, the tensors without gaps, wide types first."""
    header: dict[str, Any] = {_METADATA: dict(metadata)}
    start, parts = 0, []
    for name in sorted(tensors, key=lambda each: (-_BYTES_OF.get(tensors[each].dtype, 1), each)):
        tensor = tensors[name]
        end = start + len(tensor.content)
        header[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [start, end]}
        parts.append(tensor.content)
        start = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def _unpacked(content: bytes) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The metadata and the tensors of a safetensors file. Raises ValueError for anything else."""
    start = 8 + int.from_bytes(content[:8], "little")
    if not 8 < start <= len(content):
        raise ValueError("this is no safetensors file")
    header = json.loads(content[8:start])
    metadata: dict[str, str] = header.pop(_METADATA, {})
    tensors = {}
    for name, entry in header.items():
        low, high = entry["data_offsets"]
        if not 0 <= low <= high <= len(content) - start:
            raise ValueError(f"{name} is cut off")
        tensors[name] = Tensor(entry["dtype"], entry["shape"], content[start + low : start + high])
    return metadata, tensors
