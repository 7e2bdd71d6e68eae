"""The baseline of Wong and Kolter (2018) on the paper's Small net: convex outer adversarial polytope, Euclidean balls.

Needs their package, version 0.4.4, which is imported from its unpacked source (its set-up does not build with today's
tools, the code runs unchanged on torch 2.13):

    pip download --no-deps --no-binary :all: convex_adversarial && tar xzf convex_adversarial-0.4.4.tar.gz
    PYTHONPATH=convex_adversarial-0.4.4 python benchmarks/outer_polytope.py --data data

Training estimates norms by random projections; the certificate at the end is their exact bound.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from convex_adversarial import robust_loss
from torch import nn

from wdist.reproduce import SETTINGS, VALIDATION_IMAGES, images_of, machine, today


def small_net() -> nn.Sequential:
    """Small of Li et al. with zero padding and ReLU, which is what the bound is for."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 4, stride=2, padding=1), nn.ReLU()),
        *(nn.Conv2d(16, 32, 4, stride=2, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(32 * 7 * 7, 100), nn.ReLU()),
        nn.Linear(100, 10),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--projections", type=int, default=20)
    parser.add_argument("--test-images", type=int, default=500, help="the first ones, certified exactly")
    parser.add_argument("--out", type=Path, default=Path("convex_adversarial.json"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of their package: deprecated arguments
    radius = SETTINGS["mnist"].radius
    images, labels = images_of("mnist", options.data, test=False)
    rest = np.random.default_rng([0, 11]).permutation(len(images))[VALIDATION_IMAGES:]
    torch.manual_seed(0)
    net = small_net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    began, spent = time.perf_counter(), time.process_time()
    for step in range(options.steps):
        rows = np.random.default_rng([0, step]).choice(rest, options.batch, replace=False)
        x, y = torch.from_numpy(images[rows]), torch.from_numpy(labels[rows])
        now = radius * min(1.0, 0.01 + step / (0.6 * options.steps))  # their schedule: the radius grows, then stays
        loss, error = robust_loss(net, now, x, y, proj=options.projections, norm_type="l2_normal")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step} radius {now:.2f} loss {loss.item():.3f} robust error {error:.2f}", flush=True)
    seconds, cpu = time.perf_counter() - began, time.process_time() - spent
    test, test_labels = images_of("mnist", options.data, test=True)
    with torch.no_grad():
        clean = float((net(torch.from_numpy(test)).argmax(1) == torch.from_numpy(test_labels)).double().mean())
        wrong = [
            robust_loss(net, radius, *(torch.from_numpy(a[i : i + 1]) for a in (test, test_labels)), norm_type="l2")[1]
            for i in range(options.test_images)
        ]
    figures = {
        "experiment": "convex_adversarial",
        "options": {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()},
        "radius": radius,
        "clean": clean,
        "certified": 1 - float(np.mean(wrong)),
        "certified_images": options.test_images,
        "training_seconds": seconds,
        "training_cpu_seconds": cpu,
        "machine": machine(),
        "date": today(),
    }
    options.out.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
