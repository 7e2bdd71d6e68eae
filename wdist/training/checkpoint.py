"""The checkpoint of a search for a critic: one safetensors file with a JSON document in its header, no pickle."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

VERSION = 1


def write_checkpoint(path: Path, tensors: dict[str, Tensor], document: dict[str, Any]) -> None:
    """Write the tensors and the document to `path`, atomically."""
    text = json.dumps({"version": VERSION} | document)
    replace_file(
        path, save({k: v.detach().contiguous().cpu() for k, v in tensors.items()}, metadata={"document": text})
    )


def replace_file(path: Path, data: bytes) -> None:
    """Replace `path` atomically and durably: after a crash, the disk holds either the old file or the new one."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    if hasattr(os, "O_DIRECTORY"):  # Windows cannot open a folder, so there is nothing to sync there
        _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    """Put a folder's entries on the disk: after a power cut, a renamed file is found under its new name."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read what `write_checkpoint` wrote; None when there is no readable checkpoint of this version."""
    try:
        with safe_open(path, framework="pt") as file:
            document: dict[str, Any] = json.loads((file.metadata() or {})["document"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    return (tensors, document) if document.get("version") == VERSION else None
