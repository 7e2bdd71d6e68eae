"""One side of benchmarks/parity.py, which starts it: run the cases with the checkout TREE, write one document a case.

python benchmarks/parity_cases TREE OUT [NAME ...]
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy
import torch
from bench import Bench, Case
from exact import exact
from tree import check_packages

SURFACES = ("library", "client", "robust", "command", "server")


def chosen(names: list[str]) -> dict[str, Case]:
    """The cases of these names, or all; raises SystemExit for a name that is none."""
    cases: dict[str, Case] = {}
    for surface in SURFACES:
        cases |= {f"{surface}/{name}": case for name, case in importlib.import_module(surface).CASES.items()}
    if unknown := [name for name in names if name not in cases and name not in SURFACES]:
        raise SystemExit(f"no case is called {', '.join(unknown)}; there are {', '.join([*SURFACES, *cases])}")
    return {name: case for name, case in cases.items() if not names or {name, name.split("/")[0]} & set(names)}


def run(bench: Bench, name: str, case: Case) -> dict[str, object]:
    bench.begin(name)
    try:
        return {"figures": exact(case(bench))}
    except Exception:
        return {"failed": traceback.format_exc()}


def main(tree: Path, out: Path, names: list[str]) -> None:
    cases = chosen(names)
    check_packages(tree)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    made_by = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "threads": torch.get_num_threads(),
        "cases": list(cases),
    }
    (out / "made_by.json").write_text(json.dumps(made_by))
    with tempfile.TemporaryDirectory() as folder, Bench(tree, Path(folder)) as bench:
        for name, case in cases.items():
            started = time.perf_counter()
            document = run(bench, name, case)
            (out / f"{name.replace('/', '-')}.json").write_text(json.dumps(document, indent=1))
            ending = "FAILED" if "failed" in document else ""
            print(f"  {name:<32} {time.perf_counter() - started:6.1f} s {ending}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
