"""The `wdist` command on files."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import samples
from bench import Bench, Case
from exact import of_certificate, of_saved_critic

QUICK = ("--steps", "20", "--device", "cpu", "--baseline-rows", "0")


def in_json(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with its standard output read as JSON."""
    if answer["exit"] not in (0, 1):
        raise AssertionError(f"wdist exited with {answer['exit']}: {answer['stderr']}")
    return answer | {"stdout": json.loads(answer["stdout"])}


def save(bench: Bench, *rows: Any) -> None:
    for name, array in zip("abc", rows, strict=False):
        np.save(bench.folder / f"{name}.npy", array)


def estimate(bench: Bench) -> dict[str, Any]:
    """With its critic and its certificate, which is then verified."""
    save(bench, *samples.mixtures(80))
    given = ("a.npy", "b.npy", "--json", "--critic", "groupsort", "--statements", "3", *QUICK)
    kept = ("--save-critic", "critic", "--certificate", "result.cert", "--fail-above", "0.001")
    found = in_json(bench.run("estimate", *given, *kept))
    verified = bench.run("verify", "result.cert", "a.npy", "b.npy")
    lines = [line.partition(": ") for line in verified["stdout"].splitlines()]
    verified["stdout"] = {" ".join(head.split()): rest for head, _, rest in lines}
    return {
        "estimate": found,
        "certificate": of_certificate((bench.folder / "result.cert").read_bytes()),
        "critic": of_saved_critic(bench.folder / "critic"),
        "verify": verified,
    }


def tables(bench: Bench) -> dict[str, Any]:
    """CSV files with a column of groups and one that is dropped."""
    for name, rows in zip("ab", samples.patients(81), strict=True):
        lines = [f"{name}{k // 3},{k},{u!r},{v!r}" for k, (u, v) in enumerate(rows.astype(float).tolist())]
        (bench.folder / f"{name}.csv").write_text("\n".join(["patient,number,u,v", *lines]) + "\n")
    given = ("a.csv", "b.csv", "--json", "--groups", "patient", "--drop", "number", "--critic", "affine")
    return in_json(bench.run("estimate", *given, *QUICK))


def images(bench: Bench) -> dict[str, Any]:
    save(bench, *samples.coloured(82))
    given = ("a.npy", "b.npy", "--json", "--critic", "bcop", "--layout", "nhwc", "--confidence", "0.9")
    return in_json(bench.run("estimate", *given, *QUICK, "--steps", "4"))


def formats(bench: Bench) -> dict[str, Any]:
    """A matrix of files of different kinds, and one of images."""
    made = samples.files(85)
    for name, file in (("parquet", "a.parquet"), ("csv", "b.csv"), ("zip", "c.zip")):
        (bench.folder / file).write_bytes(made[name][0])
    np.savez(bench.folder / "d.npz", samples.coloured(86)[1])
    return {
        "tables": in_json(bench.run("matrix", "a.parquet", "b.csv", "--json", "--drop", "patient", *QUICK)),
        "images": in_json(bench.run("matrix", "c.zip", "d.npz", "--json", "--layout", "nhwc", *QUICK)),
    }


def matrix(bench: Bench) -> dict[str, Any]:
    """Of three sets, with upper bounds."""
    x, y = samples.normals(83)
    save(bench, x, y, y + np.float32(1.0))
    given = ("a.npy", "b.npy", "c.npy", "--critic", "affine", "--diameter", "40", *QUICK)
    return {
        "json": in_json(bench.run("matrix", *given, "--json", "--simultaneous", "--fail-above", "0.1")),
        "text": bench.run("matrix", *given),
        "reference": in_json(bench.run("matrix", *given, "--json", "--reference")),
    }


def refusals(bench: Bench) -> dict[str, Any]:
    """Wrong data, wrong options, a missing file."""
    x, y = samples.normals(84)
    x[3, 1] = np.inf
    save(bench, x, y)
    return {
        "data": bench.run("estimate", "a.npy", "b.npy"),
        "option": bench.run("estimate", "b.npy", "b.npy", "--confidence", "2"),
        "file": bench.run("estimate", "missing.npy", "b.npy"),
        "usage": bench.run("estimate", "b.npy"),
    }


CASES: dict[str, Case] = {
    "estimate": estimate,
    "tables": tables,
    "images": images,
    "formats": formats,
    "matrix": matrix,
    "refusals": refusals,
}
