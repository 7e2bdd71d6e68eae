"""What a certificate file holds: its container, the rows it is about, and their split, each checked."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .container import CannotCheckError, Tensors, read_container
from .groups import split_groups
from .rows import column_names, open_rows, rows_digest

FORMAT = "wdist certificate"
VERSION = 1
SIDES = ("source", "target")
PARTS = ("train", "select", "test")
KEYS = {"format", "version", "library", "data", "input", "split", "critic", "statement", "reported"}
STATEMENT = {"value", "lower_bound", "confidence", "p_value", "permutations", "method", "prior", "clip"}


class CheckFailed(Exception):  # noqa: N818 - control flow of a verification
    """A check did not hold."""


def require(condition: bool, message: str) -> None:
    if not condition:
        raise CheckFailed(message)


def read_file(path: str | Path, sha256: str | None) -> tuple[str, bytes]:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise CannotCheckError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    digest = hashlib.sha256(content).hexdigest()
    require(sha256 is None or digest == sha256.strip().strip('"').lower(), f"its SHA-256 is {digest}, not {sha256}")
    return f"SHA-256 {digest}" + (" as given" if sha256 else ""), content


def open_container(content: bytes) -> tuple[str, tuple[dict[str, Any], Tensors]]:
    certificate, tensors = read_container(content)
    require(certificate.get("format") == FORMAT, "this is no wdist certificate")
    version = certificate.get("version")
    require(
        version == VERSION, f"format version {version!r}; this verifier reads version {VERSION}: use a matching one"
    )
    require(set(certificate) == KEYS, f"unexpected fields {sorted(set(certificate) ^ KEYS)}")
    require_known_fields(certificate)
    needed = tensor_names(certificate)
    require(needed <= set(tensors), f"tensors {sorted(needed - set(tensors))} are missing")
    return f"format version {version}, written by wdist {certificate['library']}", (certificate, tensors)


def require_known_fields(certificate: dict[str, Any]) -> None:
    """Refuse fields that this version does not know: nothing is ignored."""
    paired = certificate["statement"]["method"] == "paired_betting"
    bounds = {"difference_lower"} if paired else {"source_mean_upper", "target_mean_lower"}
    expected: dict[tuple[str, ...], set[str]] = {
        ("statement",): STATEMENT | bounds,
        ("critic",): {"family", "config", "layers", "layer_bounds", "lipschitz_bound"},
        ("split",): {"mode", "seed", *SIDES},
        ("input",): {"row_shape", "layout", "uint8", "scale"},
        ("data",): set(SIDES),
    }
    expected |= {("data", side): {"sha256", "shape", "dtype"} for side in SIDES}
    expected |= {("split", side): {"sizes", "order_sha256"} for side in SIDES}
    for path, fields in expected.items():
        place: Any = certificate
        for step in path:
            place = place[step]
        require(set(place) == fields, f"{'.'.join(path)} has unexpected fields {sorted(set(place) ^ fields)}")


def tensor_names(certificate: dict[str, Any]) -> set[str]:
    """Tensors beside the critic's weights."""
    kinds = ["scores", "test_rows"] + (["groups"] if certificate["split"]["mode"] == "groups" else [])
    return {f"{kind}.{side}" for kind in kinds for side in SIDES}


def check_data(certificate: dict[str, Any], arrays: list[NDArray[Any]]) -> tuple[str, list[NDArray[Any]]]:
    digests = [rows_digest(array) for array in arrays]
    certified = [certificate["data"][side]["sha256"] for side in SIDES]
    require(
        digests == certified or digests != certified[::-1],
        "the two files are swapped: the first is the certified target and the second the source; give them in the "
        "other order",
    )
    for side, array, digest in zip(SIDES, arrays, digests, strict=True):
        stored = certificate["data"][side]
        require(
            list(array.shape) == stored["shape"], f"{side} has shape {array.shape}, certified was {stored['shape']}"
        )
        dtype = np.dtype(stored["dtype"])
        require(array.dtype.newbyteorder("=") == dtype.newbyteorder("="), f"{side} has type {array.dtype}, not {dtype}")
        require(digest == stored["sha256"], f"{side} has digest {digest}, certified was {stored['sha256']}")
    return "both sets are the certified ones, by their digests", arrays


def open_fresh(given: tuple[Any, Any]) -> list[NDArray[Any]]:
    """Both sets as arrays. Raises CannotCheckError if they cannot be compared, or hold too few rows."""
    names = [column_names(data) for data in given]
    if None not in names and names[0] != names[1]:
        raise CannotCheckError(f"the two sets have other columns: {names[0]} and {names[1]}")
    arrays = [open_rows(data) for data in given]
    for side, array in zip(SIDES, arrays, strict=True):
        if len(array) < 2:
            raise CannotCheckError(f"{side} has {len(array)} rows; at least 2 are needed")
    return arrays


def check_fresh_data(certificate: dict[str, Any], arrays: list[NDArray[Any]]) -> tuple[str, list[NDArray[Any]]]:
    known = {certificate["data"][side]["sha256"] for side in SIDES}
    for side, array in zip(SIDES, arrays, strict=True):
        require(rows_digest(array) not in known, f"{side} is one of the certified sets: fresh rows are needed")
    return f"{len(arrays[0]):,} and {len(arrays[1]):,} rows, other than the certified ones", arrays


def _order_digest(order: NDArray[np.int64]) -> str:
    return hashlib.sha256(np.ascontiguousarray(order, dtype="<i8").tobytes()).hexdigest()


def _permutation(n: int, seed: int, side: int, mode: str, sizes: dict[str, int]) -> NDArray[np.int64]:
    """The order of all rows of one side: train, then select, then test."""
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, side])))
    if mode == "random":
        return generator.permutation(n)
    parts = np.split(np.arange(n), [sizes["train"], sizes["train"] + sizes["select"]])
    return np.concatenate([generator.permutation(part) for part in parts])


def check_split(certificate: dict[str, Any], tensors: Tensors) -> tuple[str, None]:
    split = certificate["split"]
    mode, seed = split["mode"], split["seed"]
    require(mode in ("random", "blocks", "groups"), f"unknown split {mode!r}")
    grouped = split_groups(tensors["groups.source"], tensors["groups.target"], seed) if mode == "groups" else None
    for number, side in enumerate(SIDES):
        sizes, n = split[side]["sizes"], certificate["data"][side]["shape"][0]
        counts = [sizes[part] for part in PARTS]
        require(all(type(c) is int and c > 0 for c in counts) and sum(counts) == n, f"{side}: the parts do not add up")
        if grouped is None:
            order = _permutation(n, seed, number, mode, sizes)
        else:
            order, parts = grouped[number]
            require(len(order) == n and parts == counts, f"{side}: the parts are not those of whole groups")
        require(
            _order_digest(order) == split[side]["order_sha256"], f"{side}: the order of rows is not that of the seed"
        )
        test = tensors[f"test_rows.{side}"]
        require(np.array_equal(test, order[-sizes["test"] :]), f"{side}: the test rows are not those of the split")
    tests = [split[side]["sizes"]["test"] for side in SIDES]
    return f"seed {seed} gives the stored order; {tests[0]:,} and {tests[1]:,} test rows", None
