"""Training steps on one thread and on two, the number that the rule chooses, and an estimate of 1,000 x 8.

OMP_WAIT_POLICY=passive python benchmarks/threads.py

Smallest wall time of 8 alternating rounds. "first" is the first estimate of the process.
"""

import math
import time
from collections.abc import Callable

import numpy as np
import torch

from wdist import estimate_w1
from wdist.critics.base import TrainedConfig
from wdist.critics.cone import ConeConfig
from wdist.critics.cost import BATCH_ROWS, step_threads, training_operations
from wdist.critics.groupsort import GroupSortConfig
from wdist.training.lockstep import mean_difference
from wdist.training.trainer import Schedule, Trainer

CASES: list[tuple[str, TrainedConfig, int, int]] = [
    ("GroupSort 64 x 6, 8 columns", GroupSortConfig(64, 6), 8, BATCH_ROWS),
    ("GroupSort 64 x 6, 64 columns", GroupSortConfig(64, 6), 64, BATCH_ROWS),
    ("GroupSort 256 x 5, 784 columns", GroupSortConfig(256, 5), 784, BATCH_ROWS),
    ("cone 64, 8 columns", ConeConfig(64), 8, ConeConfig.batch_rows),
    ("cone 256, 784 columns", ConeConfig(256), 784, ConeConfig.batch_rows),
]


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def steps(config: TrainedConfig, columns: int, rows: int) -> str:
    """A row of the table: milliseconds a step, and what the rule says."""
    x, y = torch.randn(2, rows, columns)
    net = config.build((columns,), 0, x[:: rows // getattr(config, "anchors", rows)])
    trainer = Trainer(net, lambda net, _: mean_difference(net, x, y), lambda _: 0.0, Schedule(10**6, 0.01, 1e-3))
    best = {1: math.inf, 2: math.inf}
    for _ in range(8):
        for threads in best:
            torch.set_num_threads(threads)
            best[threads] = min(best[threads], *(seconds(trainer._step) for _ in range(8)))
    operations = training_operations(2 * rows, sum(p.numel() for p in net.parameters()))
    chosen = "/".join(str(step_threads(operations, available)) for available in (2, 16))
    return f"{1e3 * best[1]:.2f} | {1e3 * best[2]:.2f} | {best[1] / best[2]:.2f} | {operations:.1e} | {chosen}"


def main() -> None:
    generator = np.random.default_rng(0)
    x, y = (generator.normal(shift, size=(1000, 8)).astype(np.float32) for shift in (0, 0.5))
    first, *later = (seconds(lambda: estimate_w1(x, y, steps=200)) for _ in range(6))
    print(
        f"1,000 x 8, 200 steps, {torch.get_num_threads()} threads set: first {first:.2f} s, then {min(later):.2f} s\n"
    )
    print("| critic | ms, 1 thread | 2 threads | ratio | operations | of 2/16 |\n| --- | --- | --- | --- | --- | --- |")
    for name, *case in CASES:
        print(f"| {name} | {steps(*case)} |", flush=True)


if __name__ == "__main__":
    main()
