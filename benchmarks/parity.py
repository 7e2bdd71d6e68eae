"""Does a change leave every figure as it was? Two checkouts on one machine, compared to the last bit.

    python benchmarks/parity.py --before PATH_OF_WORKTREE [--only NAME ...] [--out DIR]

Runs the cases of benchmarks/parity_cases once with the code at PATH and once with the checkout of this script: the
library, the client, the robust classifiers, the command line and a real server. Both sides have the same interpreter,
packages, thread count and data. Prints a table; the exit status is 1 where anything differs or fails.

A name is that of a case, library/affine, or of a surface, library. With --out the JSON documents of both sides are kept
in DIR/before and DIR/after. For a release to compare with: git worktree add ../before TAG.

This is no test for CI: another processor rounds differently, and training amplifies that to the third digit.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PACKAGES_AT = (".", "service", "clients/python")

# What is not compared, by name and where needed by what it belongs to, and why: single values, and with .* all that is
# in it. Nothing else is left out; random ids are replaced by names in the cases (benchmarks/parity_cases/server.py).
IGNORED = {
    "seconds": "measured time",
    "created_at": "timestamp",
    "started_at": "timestamp",
    "finished_at": "timestamp",
    "request_id": "random",
    "device": "text about the device",
    "record.progress.*": "the last report of a running job, if there was one: the clock decides",
    "document.library": "version that wrote the certificate",
    "certificate.digest": "covers the certificate's seconds, device and library",
    "certificate.bytes": "the seconds in it have more digits or fewer",
    "checks.file.detail": "digest of the certificate's file, as certificate.digest",
    "checks.container.detail": "version that wrote the certificate",
    "stdout.ok file": "`wdist verify`: digest of the certificate's file",
    "stdout.ok container": "`wdist verify`: version that wrote the certificate",
}
_RULES = {tuple(name.split(".")): name for name in sorted(IGNORED, key=lambda name: not name.endswith(".*"))}
_FIXED = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "passive",
    "CUDA_VISIBLE_DEVICES": "",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "MPLBACKEND": "Agg",
}


@dataclass
class Compared:
    """What came of one case."""

    name: str
    figures: int = 0
    differences: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)

    @property
    def is_equal(self) -> bool:
        return not self.differences and not self.failures

    @property
    def outcome(self) -> str:
        if self.failures:
            return "FAILED " + " and ".join(self.failures)
        if self.differences:
            return f"{len(self.differences):,} DIFFER, first {self.differences[0]}"
        return "equal"


def interpreter(tree: Path, folder: Path) -> Path:
    """A Python that finds the packages of this environment, and wdist in `tree`.

    PYTHONPATH would not do: the server starts some of its processes isolated from the environment (python -I).
    """
    venv.EnvBuilder(symlinks=True).create(folder)
    python = folder / "bin" / "python"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout.strip()
    # Of a folder that is named in a .pth file no .pth files are read: an editable installation stays out.
    shared = {sysconfig.get_path(kind): None for kind in ("purelib", "platlib")}
    paths = [*(str((tree / part).resolve()) for part in PACKAGES_AT), *shared]
    (Path(site) / "parity.pth").write_text("\n".join(paths) + "\n")
    return python


def run_side(side: str, tree: Path, out: Path, names: list[str]) -> dict[str, Any]:
    """Run the cases with the code of `tree`; what they were run with. Raises SystemExit where they could not be run."""
    print(f"{side}: {tree}", file=sys.stderr, flush=True)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("WDIST_", "PYTHON"))}
    out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        python = interpreter(tree, Path(folder) / "python")
        command = [str(python), str(HERE / "parity_cases"), str(tree), str(out), *names]
        code = subprocess.run(command, env={**own, **_FIXED}, cwd=folder).returncode
    if code:
        raise SystemExit(f"{side} ended with exit status {code}")
    made_by: dict[str, Any] = json.loads((out / "made_by.json").read_text())
    return made_by | {"took": time.perf_counter() - started}


def leaves(value: Any, trail: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every single value with the way to it; an empty list or object is one too."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not items:
        yield trail, value
    for key, item in items:
        yield from leaves(item, (*trail, f"[{key}]" if isinstance(value, list) else str(key)))


def rule_for(trail: tuple[str, ...]) -> str | None:
    """The name in IGNORED that fits this value."""
    names = tuple(part for part in trail if not part.startswith("["))
    for rule, name in _RULES.items():
        if names[-len(rule) :] == rule:
            return name
        if rule[-1] == "*" and any(names[k : k + len(rule) - 1] == rule[:-1] for k in range(len(names))):
            return name
    return None


def compare(name: str, documents: dict[str, dict[str, Any]]) -> Compared:
    """Compare the documents of a case, "before" and "after"."""
    found = Compared(name, failures={side: given["failed"] for side, given in documents.items() if "failed" in given})
    if found.failures:
        return found
    before, after = (dict(leaves(documents[side]["figures"])) for side in ("before", "after"))
    for trail in before | after:
        both = trail in before and trail in after
        if (rule := rule_for(trail)) is not None and (both or rule.endswith("*")):
            found.ignored[rule] += 1
            continue
        found.figures += 1
        if not both or type(before[trail]) is not type(after[trail]) or before[trail] != after[trail]:
            old, new = (shown(side[trail]) if trail in side else "missing" for side in (before, after))
            found.differences.append(f"{'.'.join(trail).replace('.[', '[')}: {old} -> {new}")
    if not found.figures:
        found.failures["both"] = "the case returned nothing to compare\n"
    return found


def shown(value: Any) -> str:
    """A value as a person reads it: of a hexadecimal float the decimals too."""
    if isinstance(value, str) and value.startswith(("0x", "-0x")):
        return f"{value} ({float.fromhex(value):.17g})"
    text = json.dumps(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def report(compared: list[Compared], *, most: int = 20) -> None:
    """The table, then failures and further differences of the cases that have them, then what was ignored."""
    print(f"\n{'case':<26} {'surface':<8} {'figures':>8}  outcome")
    for case in compared:
        surface, _, name = case.name.partition("/")
        print(f"{name:<26} {surface:<8} {case.figures:>8,}  {case.outcome}")
    for case in compared:
        for side, text in case.failures.items():
            print(f"\n{case.name}, {side}:\n{text}", end="")
        if len(case.differences) > 1:
            print(f"\n{case.name}:", *(f"  {difference}" for difference in case.differences[:most]), sep="\n")
            if len(case.differences) > most:
                print(f"  and {len(case.differences) - most:,} more")
    ignored: Counter[str] = Counter()
    for case in compared:
        ignored += case.ignored
    print("\nnot compared:")
    for name, reason in IGNORED.items():
        print(f"  {ignored[name]:>5,} x {name:<24} {reason}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, metavar="PATH", help="a worktree of the earlier release")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="cases or surfaces; default: all")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the documents of both sides here")
    options = parser.parse_args()
    if not (options.before / "pyproject.toml").is_file():
        parser.error(f"{options.before} is no checkout of wdist")
    with tempfile.TemporaryDirectory() as folder:
        out = (options.out or Path(folder)).resolve()
        trees = {"before": options.before.resolve(), "after": HERE.parent}
        made_by = {side: run_side(side, tree, out / side, options.only) for side, tree in trees.items()}
        compared = []
        for name in made_by["after"]["cases"]:
            file = f"{name.replace('/', '-')}.json"
            compared.append(compare(name, {side: json.loads((out / side / file).read_text()) for side in trees}))
    report(compared)
    took = {side: made.pop("took") for side, made in made_by.items()}
    if made_by["before"] != made_by["after"]:
        raise SystemExit(f"the sides were not run alike: {made_by}")
    equal = sum(case.is_equal for case in compared)
    print(
        f"\n{equal} of {len(compared)} cases equal, {sum(case.figures for case in compared):,} figures; "
        f"before {took['before']:.0f} s, after {took['after']:.0f} s; "
        + ", ".join(f"{key} {made_by['after'][key]}" for key in ("python", "torch", "numpy", "threads"))
    )
    return 0 if equal == len(compared) else 1


if __name__ == "__main__":
    sys.exit(main())
