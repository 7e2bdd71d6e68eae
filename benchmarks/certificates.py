"""Are honest certificates verified, what does that cost, and what does carrying the rounding cost?

    OMP_WAIT_POLICY=passive python benchmarks/certificates.py [--honest 1000] [--rows 250000]

Honest certificates: estimates of small random samples over all families, methods, splits, scales and kinds of upper
bounds, of sizes from 1e-30 to 1e30, with offsets of up to 1e9 times the spread. Time: 100,000 test rows a side of 64
columns without an upper bound, and 10,000 and 100,000 rows a side with the transport plan of one. Rounding: what is
subtracted from the value on the data of the README, and added to the upper bound.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from wdist import estimate_w1
from wdist.verify import verify_certificate

ROOT = Path(__file__).resolve().parents[1]
FAMILIES = ("affine", "sliced", "groupsort", "cone", "bcop")
QUICK: dict[str, Any] = {"baseline_rows": 0, "empirical": False, "steps": 10}


def honest(number: int) -> tuple[str, np.ndarray, np.ndarray, dict[str, Any]]:
    """Family, both sets and the options of one estimate."""
    generator = np.random.default_rng([number, 17])
    family = FAMILIES[number % len(FAMILIES)]
    n, m = generator.integers(150, 400, 2)
    options: dict[str, Any] = {"critic": family, "seed": number, "method": "betting"}
    if family == "bcop":
        x, y = (generator.integers(0, high, (size, 8, 8), dtype=np.uint8) for high, size in ((256, n), (200, m)))
        options |= [{}, {"ranges": [0.0, 255.0]}, {"diameter": 8.0}][generator.integers(3)]
        return family, x, y, options
    size = 10.0 ** generator.uniform(-30, 30)
    offset = generator.choice([0.0, 1.0, 1e4, 1e9])
    shape = generator.choice(["normal", "heavy", "atoms"])
    columns = 1 if generator.random() < 0.2 else 3
    x, y = (draw(shape, generator, rows, columns) for rows in (n, m))
    y[:, 0] += generator.choice([0.0, 0.5, 3.0])
    x, y = (size * (offset + rows) for rows in (x, y))
    if offset < 1e5 and generator.random() < 0.5:
        x, y = x.astype(np.float32), y.astype(np.float32)
    scales = [None, float(size), [size, 2 * size, 0.5 * size][:columns], "standardize"]
    options["scale"] = scales[generator.integers(4)]
    options["method"] = str(generator.choice(["betting", "empirical_bernstein", "paired_betting"]))
    if generator.random() < 0.2:
        options["split"] = "blocks"
    elif generator.random() < 0.3:
        shared = generator.choice([0, 60, 120])
        groups = [np.concatenate([np.arange(120) % 120, generator.integers(0, 120, rows - 120)]) for rows in (n, m)]
        options["groups"] = groups[0], np.where(groups[1] < shared, groups[1], groups[1] + 1_000)
        options["method"] = "betting"
    else:
        options |= assumption(generator, np.concatenate([x, y]).astype(np.float64), options["scale"])
    return family, x, y, options


def assumption(generator: np.random.Generator, rows: np.ndarray, scale: Any) -> dict[str, Any]:
    """Nothing, a diameter or ranges, of the rows or much larger."""
    wider = float(generator.choice([1.0, 3.0, 100.0]))
    low, high = rows.min(axis=0), rows.max(axis=0)
    match generator.choice(["nothing", "diameter", "ranges", "one range"]):
        case "diameter" if scale != "standardize":
            widths = (high - low) / (1.0 if scale is None else scale)
            return {"diameter": wider * float(np.linalg.norm(widths)) * (1 + 1e-9)}
        case "ranges":
            return {"ranges": np.stack([low, high], axis=1).ravel().tolist()}
        case "one range":
            more = (wider - 1) * (high - low).max()
            return {"ranges": [float(low.min() - more), float(high.max() + more)]}
    return {}


def draw(shape: str, generator: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    match shape:
        case "normal":
            return generator.normal(size=(rows, columns))
        case "heavy":
            return generator.standard_t(1.5, size=(rows, columns))
    return generator.integers(0, 3, size=(rows, columns)).astype(np.float64)


def verify_honest(count: int) -> None:
    verified: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    most = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "c.cert")
        for number in range(count):
            family, x, y, options = honest(number)
            result = estimate_w1(x, y, **options, **QUICK)
            result.certificate.save(path)
            report = verify_certificate(path, x, y)
            for each in (family, f"upper bound: {result.upper_kind or 'none'}"):
                tried[each] += 1
                verified[each] += report.valid
            if report.statement.get("upper_bound") is not None:
                most = max(most, report.statement["upper"]["rounding"] / report.statement["upper_bound"])
            if not report.valid:
                print(f"number {number} was refused: {options}\n{report}", flush=True)
    print("| family | honest certificates | verified |\n| --- | --- | --- |")
    for family, total in tried.items():
        print(f"| {family} | {total} | {verified[family]} |")
    print(f"| all | {count} | {sum(verified[family] for family in FAMILIES)} |")
    print(f"\nRounding adds at most {most:.1e} of it to an upper bound.", flush=True)


def time_verifier(rows: int) -> None:
    print(f"\n| critic | rows a side | columns | seconds to verify |\n{'| --- ' * 4}|")
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, rows, 64)).astype(np.float32)
    y[:, 0] += 0.5
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "c.cert")
        for family in ("groupsort", "cone"):
            result = estimate_w1(x, y, critic=family, upper="none", **QUICK)
            result.certificate.save(path)
            started = time.perf_counter()
            report = verify_certificate(path, x, y)
            seconds = time.perf_counter() - started
            assert report.valid, str(report)
            config = ", ".join(f"{name} {value}" for name, value in result.critic.config.items())
            print(f"| {family} ({config}) | {rows:,} | 64 | {seconds:.1f} |")


def time_plans() -> None:
    print(
        f"\n| rows a side | columns | pairs of the plan | file (MB) | seconds to verify |\n{'| --- ' * 5}|", flush=True
    )
    generator = np.random.default_rng(0)
    for rows, columns in ((10_000, 6), (10_000, 64), (100_000, 6), (100_000, 64)):
        x, y = generator.normal(size=(2, rows, columns)).astype(np.float32)
        y[:, 0] += 0.5
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "c.cert")
            certificate = estimate_w1(x, y, critic="affine", **QUICK).certificate
            certificate.save(path)
            started = time.perf_counter()
            report = verify_certificate(path, x, y)
            seconds = time.perf_counter() - started
            assert report.valid, str(report)
            pairs, size = len(certificate.tensors["plan.mass"]), path.stat().st_size / 1e6
            print(f"| {rows:,} | {columns} | {pairs:,} | {size:.1f} | {seconds:.1f} |", flush=True)


def show_rounding() -> None:
    print("\n| data | value | rounding subtracted | share of the value |\n| --- | --- | --- | --- |")
    diamonds = [ROOT / f"examples/diamonds/{name}.npy" for name in ("very_good", "premium")]
    for critic in ("groupsort", "cone", "sliced", "affine"):
        result = estimate_w1(*diamonds, critic=critic, steps=300, baseline_rows=0)
        rounding = result.certificate.document["statement"]["rounding"]
        print(f"| diamonds, {critic} | {result.value:.4f} | {rounding:.2e} | {rounding / result.value:.2e} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--honest", type=int, default=1_000, help="certificates to issue and verify")
    parser.add_argument("--rows", type=int, default=250_000, help="rows a side of the timed certificates")
    given = parser.parse_args()
    show_rounding()
    verify_honest(given.honest)
    time_verifier(given.rows)
    time_plans()


if __name__ == "__main__":
    main()
