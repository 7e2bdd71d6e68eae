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

HEADER_LIMIT = 64 << 20  # bytes; a scale of 10,000 numbers takes half a megabyte
NO_DIGEST = "0" * 64
DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "I64": np.dtype("<i8")}
NAMES = {dtype: name for name, dtype in DTYPES.items()}

Tensors = dict[str, NDArray[Any]]


class CertificateError(ValueError):
    """The file is not a certificate that can be read: damaged, altered, or of another version."""


class CannotCheckError(CertificateError):
    """Nothing could be checked: a file cannot be read, or rows do not fit. The certificate is not refuted."""


def canonical_json(value: Any) -> str:
    """The canonical form of a JSON value: sorted keys, no spaces, ASCII, shortest round-trip floats, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


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
    if len(content) < 8 or size > min(HEADER_LIMIT, len(content) - 8):
        raise CertificateError("not a certificate file: its header is missing or truncated")
    header = content[: 8 + size]
    text, digest, specs = _parse(header[8:])
    if _header(text, digest, specs) != header:
        raise CertificateError("the header is not in the canonical spelling: the file was altered")
    # the digest of the file is taken with the digest itself blanked out
    computed = hashlib.sha256(_header(text, NO_DIGEST, specs) + content[8 + size :]).hexdigest()
    if computed != digest:
        raise CertificateError(f"the file's own digest does not match: it says {digest}, the content gives {computed}")
    tensors, start = {}, 8 + size
    for name, (dtype, shape) in specs.items():
        count = _count(shape)
        stop = start + count * DTYPES[dtype].itemsize
        if stop > len(content):
            raise CertificateError(f"the file ends inside tensor {name!r}")
        tensors[name] = np.frombuffer(content, DTYPES[dtype], count, start).reshape(shape)
        start = stop
    if start != len(content):
        raise CertificateError(f"{len(content) - start} bytes follow the last tensor")
    certificate = _load(text)
    if not isinstance(certificate, dict) or canonical_json(certificate) != text:
        raise CertificateError("the certificate's JSON is not in the canonical spelling: the file was altered")
    return certificate, tensors


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
    text = canonical_json(entries).encode("ascii")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _parse(header: bytes) -> tuple[str, str, dict[str, tuple[str, tuple[int, ...]]]]:
    """Certificate text, digest, and the tensors' types and shapes in file order; offsets are checked by the caller."""
    entries = _load(header)
    try:
        metadata = entries.pop("__metadata__")
        text, digest = metadata["wdist_certificate"], metadata["wdist_digest"]
        specs = {name: (entry["dtype"], tuple(entry["shape"])) for name, entry in entries.items()}
        plain = all(
            dtype in DTYPES and all(type(k) is int and k >= 0 for k in shape) for dtype, shape in specs.values()
        )
        if not (plain and isinstance(text, str) and isinstance(digest, str)):
            raise CertificateError("the header's entries are not those of a certificate")
        return text, digest, {name: specs[name] for name in _ordered(specs)}
    except (KeyError, TypeError, AttributeError) as error:
        raise CertificateError(f"the header lacks what a certificate has: {error!r}") from error


def _load(text: str | bytes) -> Any:
    def refuse(constant: str) -> Any:
        raise CertificateError(f"{constant} is not a number that a certificate may hold")

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise CertificateError(f"malformed JSON: {error}") from error
