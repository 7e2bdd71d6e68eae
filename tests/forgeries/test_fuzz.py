"""Certificates with random changes, the digest put right: no hang, no crash, no figure that does not follow.

What is still accepted is compared with the figures that the issuer, which shares no code with the verifier, finds for
the changed file.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from issuer import Array, Issued, canonical, issue, pack_text, state

from wdist.verify import CertificateError, verify_certificate, verify_fresh
from wdist.verify.contents import open_certificate

SECONDS = 10
BASES: list[dict[str, Any]] = [
    {},
    {"family": "groupsort"},
    {"family": "cone", "method": "paired_betting"},
    {"family": "conv"},
    {"mode": "groups", "layout": "mixed"},
    {"mode": "groups", "layout": "own", "method": "empirical_bernstein"},
    {"mode": "blocks"},
    {"scale": "standardize"},
    {"ranges": [-9.0, 9.0]},
    {"d": 1, "diameter": 30.0},
    {"scale": "number", "method": "empirical_bernstein"},
    {"table": "missing", "scale": "robust", "cost": 2.0},
    {"table": "mixed", "ranges": [-9.0, 9.0]},
]
VALUES: list[Any] = [
    *(None, True, False, "", "layers", "\x1b[2J", [], {}, [[]], {"kind": "relu"}, [1.0, 2.0], -1, 0, 1, 2, 255),
    *(0.0, -0.0, 1.0, 0.5, 1e-300, 5e-324, 1.7e308, -1e18, 2**53, 2**63, 2**128, 10**400, 0.999999),
]
Generator = np.random.Generator


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a document."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, each in below for place in places(each, (*path, key))]


def change_document(issued: Issued, generator: Generator) -> bytes:
    for _ in range(generator.integers(1, 3)):
        paths = places(issued.document)
        *path, last = paths[generator.integers(len(paths))]
        parent: Any = issued.document
        for step in path:
            parent = parent[step]
        match generator.integers(5):
            case 0:
                parent[last] = VALUES[generator.integers(len(VALUES))]
            case 1:
                del parent[last]
            case 2 if isinstance(parent, dict):
                parent["more"] = parent[last]
            case 3:
                other: Any = issued.document
                for step in paths[generator.integers(len(paths))]:
                    if isinstance(other, dict | list) and (isinstance(other, list) or step in other):
                        other = other[step] if isinstance(other, dict) or step < len(other) else other
                parent[last] = canonical(other) if generator.integers(4) == 0 else copy.deepcopy(other)
            case _:
                parent[last] = nearby(parent[last], generator)
    return pack_text(canonical(issued.document), issued.tensors)


def nearby(value: Any, generator: Generator) -> Any:
    """A number close to the one given, or another digest."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value[::-1] if isinstance(value, str | list) else value
    if isinstance(value, int):
        return value + int(generator.integers(-2, 3))
    size = 10.0 ** generator.integers(-17, 2) * (1 if generator.integers(2) else -1)
    return value * (1 + size) if generator.integers(2) else value + size


def change_tensor(issued: Issued, generator: Generator) -> bytes:
    name = list(issued.tensors)[generator.integers(len(issued.tensors))]
    array = issued.tensors[name].copy()
    match generator.integers(6):
        case 0:
            content = bytearray(array.tobytes())
            for _ in range(generator.integers(1, 4)):
                content[generator.integers(len(content))] ^= 1 << int(generator.integers(8))
            issued.tensors[name] = np.frombuffer(bytes(content), array.dtype).reshape(array.shape)
        case 1:
            issued.tensors[name] = array.reshape(-1)[: generator.integers(1, array.size + 1)]
        case 2:
            issued.tensors[name] = array.astype([np.float32, np.float64, np.int64][generator.integers(3)])
        case 3:
            place = generator.integers(len(name))
            issued.tensors[name[:place] + chr(generator.integers(32, 1_000)) + name[place + 1 :]] = issued.tensors.pop(
                name
            )
        case 4:
            issued.tensors[f"{name}{generator.integers(10)}"] = array
        case _:
            scale = 10.0 ** generator.integers(-17, 20)
            with np.errstate(invalid="ignore"):  # of whole numbers beyond 2^63
                issued.tensors[name] = (array + scale * generator.standard_normal(array.shape)).astype(array.dtype)
    return pack_text(canonical(issued.document), issued.tensors)


def change_text(issued: Issued, generator: Generator) -> bytes:
    """Characters of the certificate's text, or of the header around it."""

    def edit(text: str) -> str:
        for _ in range(generator.integers(1, 4)):
            start = int(generator.integers(len(text)))
            stop = start + int(generator.integers(4))
            new = "".join(generator.choice(list('0123456789"{}[],:.-eE x\\ntruefals'), int(generator.integers(4))))
            text = text[:start] + new + text[stop:]
        return text

    if generator.integers(2):
        return pack_text(edit(canonical(issued.document)), issued.tensors)
    state = generator.bit_generator.state

    def same(text: str) -> str:  # the header is written twice, and both must be changed alike
        generator.bit_generator.state = state
        return edit(text)

    return pack_text(canonical(issued.document), issued.tensors, edit=same)


def change_bytes(issued: Issued, generator: Generator) -> bytes:
    content = bytearray(issued.content)
    place = int(generator.integers(len(content)))
    match generator.integers(3):
        case 0:
            content[place] ^= 1 << int(generator.integers(8))
        case 1:
            del content[place : place + int(generator.integers(1, 100))]
        case _:
            content[place:place] = generator.bytes(int(generator.integers(1, 100)))
    return bytes(content)


CHANGES: list[Callable[[Issued, Generator], bytes]] = [
    change_document,
    change_document,
    change_tensor,
    change_text,
    change_bytes,
]


class Fuzzer:
    """Tries changed certificates; `accepted` counts those that verify."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "c.cert"
        self.honest = [issue(**base) for base in BASES]
        generator = np.random.default_rng(1)
        self.fresh = [generator.standard_normal((100, 4)) for _ in range(2)]
        self.accepted = 0

    def try_one(self, number: int) -> None:
        generator = np.random.default_rng([number, 77])
        honest = self.honest[generator.integers(len(self.honest))]
        content = CHANGES[generator.integers(len(CHANGES))](honest.copy(), generator)
        self.path.write_bytes(content)
        start = time.perf_counter()
        report = verify_certificate(self.path, *honest.arrays)
        assert time.perf_counter() - start < SECONDS, number
        assert str(report).isprintable() or str(report).replace("\n", "").isprintable(), number
        if report.valid:
            self.accepted += 1
            self.compare(content, honest.arrays, report.statement, number)
        try:
            fresh = verify_fresh(self.path, *self.fresh)
        except CertificateError:
            return
        assert time.perf_counter() - start < 2 * SECONDS, number
        assert not fresh.valid or fresh.statement["lower_bound"] <= max(0.0, fresh.statement["value"]), number

    def compare(self, content: bytes, arrays: list[Array], statement: dict[str, Any], number: int) -> None:
        """The figures that were printed are those of the issuer, for the file as it was changed."""
        document, tensors = open_certificate(content)
        issued = Issued(document, dict(tensors), arrays).copy()
        proven = document["critic"]["lipschitz_bound"]
        state(issued.document, issued.tensors, arrays)
        issued.state_upper()
        stated = issued.document["statement"]
        larger = max(1.0, proven / issued.document["critic"]["lipschitz_bound"])  # a larger L weakens the figures
        low, high = stated["clip"]
        tolerance = (
            1e-8 * (high - low) / issued.document["critic"]["lipschitz_bound"] + 4 * stated["rounding"]
        ) / larger
        for name in ("value", "lower_bound"):
            assert abs(statement[name] - stated[name] / larger) <= tolerance, (number, name)
        if stated["p_value"] is not None:
            assert math.isclose(statement["p_value"], stated["p_value"], rel_tol=1e-3), number
        assert statement["confidence"] == stated["confidence"], number
        if document["upper"] is None:
            assert statement["upper_bound"] is None, number
        else:
            assert math.isclose(statement["upper_bound"], issued.document["upper"]["bound"], rel_tol=1e-6), number


def test_changed_certificates(tmp_path: Path) -> None:
    fuzzer = Fuzzer(tmp_path)
    for number in range(600):
        fuzzer.try_one(number)
    assert fuzzer.accepted > 0  # changes of reported figures, of the prior, or far below the tolerances


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_changed_certificates_for_ten_minutes(tmp_path: Path) -> None:
    fuzzer, number, stop = Fuzzer(tmp_path), 1_000_000, time.monotonic() + 600
    while time.monotonic() < stop:
        fuzzer.try_one(number)
        number += 1
    assert fuzzer.accepted > 0
