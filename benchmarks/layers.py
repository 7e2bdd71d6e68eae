"""The time of one training step: on the manifold, unconstrained and classic, for single and batched critics.

OMP_NUM_THREADS=2 python benchmarks/layers.py [large] [mlp] [batched]
"""

import sys

import torch
from nets import large, machine, milliseconds, mlp, training_step

from wdist.training.stacked import StackedModule


def report(title: str, rows: dict[str, tuple[float, float]], base: str) -> None:
    print(f"\n{title}\n| | smallest, ms | median, ms | ratio of smallest |\n| --- | --- | --- | --- |")
    for name, (low, mid) in rows.items():
        print(f"| {name} | {low:.1f} | {mid:.1f} | {low / rows[base][0]:.2f} |")


def bench_large() -> None:
    x = torch.rand(128, 3, 32, 32)
    kinds = {"unconstrained": 15, "manifold": 15, "classic": 3}
    rows = {k: milliseconds(training_step(large(k), x, k), n, 2) for k, n in kinds.items()}
    report("Large net, CIFAR shape, batch 64 + 64", rows, "unconstrained")


def bench_mlp() -> None:
    for features in (16, 784):
        x = torch.rand(512, features)
        kinds = ("unconstrained", "manifold", "classic")
        rows = {k: milliseconds(training_step(mlp(k, features), x, k), 60, 5) for k in kinds}
        report(f"MLP {features} -> 128 x 3 -> 1, batch 512", rows, "unconstrained")


def bench_batched(critics: int = 45) -> None:
    for features, width, batch in ((8, 64, 256), (16, 128, 512)):
        x = torch.rand(critics, batch, features)
        steps = [training_step(mlp("manifold", features, width), each, "manifold") for each in x]
        together = training_step(StackedModule([mlp("manifold", features, width) for _ in x]), x, "manifold")
        rows = {
            "one by one": milliseconds(lambda steps=steps: [step() for step in steps], 5, 1),
            "batched": milliseconds(together, 8, 2),
        }
        report(f"{critics} critics {features} -> {width} x 3 -> 1, batch {batch}", rows, "batched")


def main() -> None:
    torch.manual_seed(0)
    chosen = sys.argv[1:] or ["large", "mlp", "batched"]
    print(machine())
    for name in chosen:
        {"large": bench_large, "mlp": bench_mlp, "batched": bench_batched}[name]()


if __name__ == "__main__":
    main()
