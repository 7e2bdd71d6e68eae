"""Everything that a case returns, in a form that JSON keeps to the last bit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

_TYPES = {"F32": "<f4", "F64": "<f8", "I64": "<i8"}  # of safetensors


def exact(value: Any) -> Any:
    """Floats as hexadecimal; arrays and tensors as type, shape and SHA-256 of their bytes; the rest as it is."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value).hex()
    if isinstance(value, np.generic):
        return exact(value.item())
    if isinstance(value, np.ndarray):
        return _fingerprint(value.dtype.str, value.shape, np.ascontiguousarray(value).tobytes())
    if isinstance(value, torch.Tensor):
        plain = value.detach().cpu().contiguous()
        return _fingerprint(str(plain.dtype), tuple(plain.shape), plain.flatten().view(torch.uint8).numpy().tobytes())
    if isinstance(value, Mapping):
        return {str(name): exact(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [exact(item) for item in value]
    raise TypeError(f"no exact form of {type(value).__name__} is known")


def _fingerprint(kind: str, shape: tuple[int, ...], content: bytes) -> str:
    return f"{kind} {list(shape)} {hashlib.sha256(content).hexdigest()}"


def safetensors(content: bytes) -> tuple[dict[str, str], dict[str, Any]]:
    """Metadata and tensors of a safetensors file, in the order of the file, read without the code under test."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        start, stop = (8 + size + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(content[start:stop], _TYPES[entry["dtype"]]).reshape(entry["shape"])
    return metadata, tensors


def of_certificate(content: bytes) -> dict[str, Any]:
    """The document and the tensors of a certificate file, and the digest that it gives of itself."""
    metadata, tensors = safetensors(content)
    document = json.loads(metadata["wdist_certificate"])
    names = {"bytes": len(content), "order": list(tensors), "metadata": sorted(metadata)}
    return {"document": document, "digest": metadata["wdist_digest"], "tensors": tensors, **names}


def of_critic(config: bytes, weights: bytes) -> dict[str, Any]:
    """The two files of a saved critic."""
    metadata, tensors = safetensors(weights)
    return {"config": json.loads(config), "metadata": metadata, "tensors": tensors}


def of_saved_critic(folder: Path) -> dict[str, Any]:
    return of_critic((folder / "critic.json").read_bytes(), (folder / "critic.safetensors").read_bytes())
