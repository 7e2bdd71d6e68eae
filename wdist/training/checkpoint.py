"""The checkpoint of a search for a critic: one safetensors file with a JSON document in its header, no pickle."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from wdist.files.durable import replace_file

VERSION = 1


def write_checkpoint(path: Path, tensors: dict[str, Tensor], document: dict[str, Any]) -> None:
    """Write the tensors and the document to `path`, atomically, with a digest of both."""
    text = json.dumps({"version": VERSION} | document)
    kept = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    replace_file(path, save(kept, metadata={"document": text, "sha256": _digest(text, kept)}))


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read what `write_checkpoint` wrote; None when there is no readable and undamaged checkpoint of this version."""
    try:
        with safe_open(path, framework="pt") as file:
            known = file.metadata() or {}
            document: dict[str, Any] = json.loads(known["document"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    # Training would go on from whatever a disk made of the weights. wdist 0.1 wrote no digest.
    if "sha256" in known and known["sha256"] != _digest(known["document"], tensors):
        return None
    return (tensors, document) if document.get("version") == VERSION else None


def _digest(document: str, tensors: dict[str, Tensor]) -> str:
    """The sha256 of a document, and of the names, types, shapes and bytes of contiguous tensors."""
    hasher = hashlib.sha256(document.encode())
    for name, tensor in sorted(tensors.items()):
        hasher.update(f"\0{name}\0{tensor.dtype}{tuple(tensor.shape)}\0".encode())
        hasher.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return hasher.hexdigest()
