"""The certificate file: a safetensors container in canonical form, with the certificate's JSON in its metadata.

The content determines every byte, so any alteration is refused or changes what is read.
docs/certificate.md specifies the format.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEADER_LIMIT = 16 << 20  # bytes; a scale of 10,000 numbers takes half a megabyte
TENSOR_LIMIT = 1_024
AXES_LIMIT = 4
NAME_LIMIT = 64  # characters
NO_DIGEST = "0" * 64
DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "I64": np.dtype("<i8")}
NAMES = {dtype: name for name, dtype in DTYPES.items()}

Tensors = dict[str, NDArray[Any]]


class CertificateError(ValueError):
    """The file is not a certificate that can be read: damaged, altered, or of another version."""


class CannotCheckError(CertificateError):
    """Nothing could be checked: a file cannot be read, or rows do not fit. The certificate is not refuted."""


def canonical_json(value: Any) -> str:
    """The canonical form of a JSON value: sorted keys, no spaces, ASCII, shortest round-trip floats, no NaN.

    Raises ValueError for numbers that JSON cannot hold, and for nesting that is too deep to write.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def shown(value: Any) -> str:
    """A value of a hostile file as text that a terminal can be given: short, ASCII, no control characters."""
    try:
        text = ascii(value)
    except (ValueError, RecursionError):  # a whole number of thousands of digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= 120 else text[:117] + "..."


def write_container(certificate: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """The whole file: header length, header with the digest of the file, tensors."""
    ordered = _ordered({name: (NAMES[t.dtype], t.shape) for name, t in tensors.items()})
    data = b"".join(np.ascontiguousarray(tensors[name]).tobytes() for name in ordered)
    specs = {name: (NAMES[tensors[name].dtype], tensors[name].shape) for name in ordered}
    text = canonical_json(certificate)
    digest = hashlib.sha256(_header(text, NO_DIGEST, specs) + data).hexdigest()
    return _header(text, digest, specs) + data


def read_container(content: bytes) -> tuple[dict[str, Any], Tensors]:
    """The certificate's JSON and its tensors (read-only views of `content`).

    Raises CertificateError for anything but the canonical form that `write_container` writes, and for a wrong digest.
    """
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > len(content) - 8:
        raise CertificateError("not a certificate file: its header is missing or truncated")
    if size > HEADER_LIMIT:
        raise CertificateError(f"the header claims {size} bytes; at most {HEADER_LIMIT} are read")
    header = content[: 8 + size]
    text, digest, specs = _parse(header[8:])
    if _header(text, digest, specs) != header:
        raise CertificateError("the header is not in the canonical spelling: the file was altered")
    # the digest of the file is taken with the digest itself blanked out
    hashed = hashlib.sha256(_header(text, NO_DIGEST, specs))
    hashed.update(memoryview(content)[8 + size :])
    if hashed.hexdigest() != digest:
        raise CertificateError(
            f"the file's own digest does not match: it says {digest}, the content gives {hashed.hexdigest()}"
        )
    tensors = _tensors(content, 8 + size, specs)
    certificate = _load(text)
    if not isinstance(certificate, dict) or _canonical(certificate) != text:
        raise CertificateError("the certificate's JSON is not in the canonical spelling: the file was altered")
    return certificate, tensors


def _tensors(content: bytes, start: int, specs: Mapping[str, tuple[str, tuple[int, ...]]]) -> Tensors:
    tensors: Tensors = {}
    for name, (dtype, shape) in specs.items():
        count = _count(shape)
        stop = start + count * DTYPES[dtype].itemsize
        if stop > len(content):  # before anything of that size is made
            raise CertificateError(f"the file ends inside tensor {name!r}")
        tensors[name] = np.frombuffer(content, DTYPES[dtype], count, start).reshape(shape)
        if not np.all(np.isfinite(tensors[name])):
            raise CertificateError(f"tensor {name!r} holds values that are not finite")
        start = stop
    if start != len(content):
        raise CertificateError(f"{len(content) - start} bytes follow the last tensor")
    return tensors


def _canonical(value: Any) -> str:
    try:
        return canonical_json(value)
    except ValueError as error:
        raise CertificateError(f"a number or a nesting that a certificate may not hold: {error}") from error


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for extent in shape:  # Python integers do not overflow
        count *= extent
    return count


def _ordered(specs: Mapping[str, tuple[str, tuple[int, ...]]]) -> list[str]:
    """Names by falling element size, then alphabetically: every tensor stays aligned."""
    return sorted(specs, key=lambda name: (-DTYPES[specs[name][0]].itemsize, name))


def _header(certificate: str, digest: str, specs: Mapping[str, tuple[str, tuple[int, ...]]]) -> bytes:
    """Length and header, padded with spaces to a multiple of 8."""
    entries: dict[str, Any] = {"__metadata__": {"wdist_certificate": certificate, "wdist_digest": digest}}
    start = 0
    for name in _ordered(specs):
        dtype, shape = specs[name]
        stop = start + _count(shape) * DTYPES[dtype].itemsize
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, stop]}
        start = stop
    text = _canonical(entries).encode("ascii")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _parse(header: bytes) -> tuple[str, str, dict[str, tuple[str, tuple[int, ...]]]]:
    """Certificate text, digest, and the tensors' types and shapes in file order; offsets are checked by the caller."""
    entries = _load(header)
    metadata = entries.pop("__metadata__", None) if isinstance(entries, dict) else None
    if not isinstance(metadata, dict) or set(metadata) != {"wdist_certificate", "wdist_digest"}:
        raise CertificateError("the header lacks what a certificate has: it may be another safetensors file")
    text, digest = metadata["wdist_certificate"], metadata["wdist_digest"]
    if not (isinstance(text, str) and isinstance(digest, str)) or len(digest) != len(NO_DIGEST):
        raise CertificateError("the header's certificate and digest are not text")
    if len(entries) > TENSOR_LIMIT:
        raise CertificateError(f"{len(entries)} tensors; at most {TENSOR_LIMIT} are read")
    specs = {name: _spec(name, entry) for name, entry in entries.items()}
    return text, digest, {name: specs[name] for name in _ordered(specs)}


def _spec(name: str, entry: Any) -> tuple[str, tuple[int, ...]]:
    """Type and shape of a tensor from its entry in the header."""
    fits = isinstance(entry, dict) and set(entry) == {"dtype", "shape", "data_offsets"} and len(name) <= NAME_LIMIT
    if not fits or not (isinstance(entry["dtype"], str) and entry["dtype"] in DTYPES):
        raise CertificateError(f"tensor {shown(name)} is not described as tensors of a certificate are")
    shape = entry["shape"]
    if not isinstance(shape, list) or not 1 <= len(shape) <= AXES_LIMIT:
        raise CertificateError(f"tensor {shown(name)} must have 1 to {AXES_LIMIT} axes")
    if not all(type(extent) is int and 1 <= extent < 1 << 62 for extent in shape):
        raise CertificateError(f"tensor {shown(name)} has shape {shown(shape)}")
    return entry["dtype"], tuple(shape)


def _load(text: str | bytes) -> Any:
    def refuse(constant: str) -> Any:
        raise CertificateError(f"{constant} is not a number that a certificate may hold")

    try:
        return json.loads(text, parse_constant=refuse)
    except CertificateError:
        raise
    except (ValueError, RecursionError) as error:
        raise CertificateError(f"malformed JSON: {ascii(str(error))[:200]}") from error
