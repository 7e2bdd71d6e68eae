"""The baseline of Wong and Kolter (2018) on the paper's Small net: convex outer adversarial polytope, Euclidean balls.

Needs their package, version 0.4.4, which is imported from its unpacked source (its set-up does not build with today's
tools, the code runs unchanged on torch 2.13):

    pip download --no-deps --no-binary :all: convex_adversarial && tar xzf convex_adversarial-0.4.4.tar.gz
    PYTHONPATH=convex_adversarial-0.4.4 python benchmarks/outer_polytope.py --data data --out results

Training estimates norms by random projections (Wong et al., 2018); the certificate at the end is their exact bound. The
weights after the last step are taken, so that nothing is chosen. A stopped run goes on from its checkpoint.
"""

import argparse
import io
import json
import math
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from convex_adversarial import robust_loss
from torch import nn

from wdist.files.durable import replace_file
from wdist.paper.attack import attack
from wdist.paper.result_files import provenance, write_figures
from wdist.paper.robustness_table import SETTINGS, VALIDATION_IMAGES, images_of

SAVE_EVERY = 500  # steps
CERTIFIED_AT_ONCE = 1  # 0.08 s per image on one core; 0.18 s in blocks of 4, which outgrow the cache


def small_net() -> nn.Sequential:
    """Small of Li et al. with zero padding and ReLU, which is what the bound is for."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 4, stride=2, padding=1), nn.ReLU()),
        *(nn.Conv2d(16, 32, 4, stride=2, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(32 * 7 * 7, 100), nn.ReLU()),
        nn.Linear(100, 10),
    )


def radius_and_rate(done: float, radius: float) -> tuple[float, float]:
    """As in their training, the radius grows first (over half of it, `done` from 0 to 1); the rate falls afterwards."""
    if done < 0.5:
        return radius * max(0.01, done / 0.5), 1e-3
    return radius, 1e-3 * 0.5 * (1 + math.cos(math.pi * (done - 0.5) / 0.5))


def train(options: argparse.Namespace, radius: float) -> tuple[nn.Sequential, dict[str, float]]:
    images, labels = images_of("mnist", options.data, test=False)
    rest = np.random.default_rng([0, 11]).permutation(len(images))[VALIDATION_IMAGES:]
    torch.manual_seed(0)
    net = small_net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    saved = options.out / "convex-adversarial-mnist-small.checkpoint"
    first, seconds, cpu = 0, 0.0, 0.0
    identity = [options.epochs, options.batch, options.projections]
    if saved.exists():
        state = torch.load(saved)
        if state["identity"] != identity:
            raise SystemExit(f"{saved} is a checkpoint of other epochs, batch or projections: remove it")
        net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        first, seconds, cpu = state["step"], state["seconds"], state["cpu"]
    a_pass = len(rest) // options.batch
    steps = options.epochs * a_pass
    began, spent = time.perf_counter() - seconds, time.process_time() - cpu
    for step in range(first, steps):
        epoch, k = divmod(step, a_pass)
        rows = np.random.default_rng([0, epoch]).permutation(rest)[k * options.batch : (k + 1) * options.batch]
        now, optimizer.param_groups[0]["lr"] = radius_and_rate(step / steps, radius)
        x, y = torch.from_numpy(images[rows]), torch.from_numpy(labels[rows])
        torch.manual_seed(step)  # of the projections
        loss, error = robust_loss(net, now, x, y, proj=options.projections, norm_type="l2_normal")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            seconds, cpu = time.perf_counter() - began, time.process_time() - spent
            state = {"identity": identity, "net": net.state_dict(), "optimizer": optimizer.state_dict()}
            written = io.BytesIO()
            torch.save(state | {"step": step + 1, "seconds": seconds, "cpu": cpu}, written)
            replace_file(saved, written.getvalue())
            print(f"step {step + 1:,} of {steps:,}: radius {now:.2f} loss {loss:.3f} error {error:.2f}", flush=True)
    return net.eval(), {"training_seconds": seconds, "training_cpu_seconds": cpu}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--projections", type=int, default=10)
    parser.add_argument("--test-images", type=int, default=10_000, help="the first ones, certified exactly")
    parser.add_argument("--attack-images", type=int, default=1000, help="the first ones")
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of their package: deprecated arguments
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    radius = SETTINGS["mnist"].radius
    net, times = train(options, radius)
    images, labels = images_of("mnist", options.data, test=True)
    images, labels = images[: options.test_images], labels[: options.test_images]
    began = time.perf_counter()
    wrong = []
    with torch.no_grad():
        clean = (net(torch.from_numpy(images)).argmax(1) == torch.from_numpy(labels)).numpy()
        for i in range(0, len(images), CERTIFIED_AT_ONCE):
            x, y = (torch.from_numpy(a[i : i + CERTIFIED_AT_ONCE]) for a in (images, labels))
            wrong.append(robust_loss(net, radius, x, y, norm_type="l2", size_average=False)[1])
    certified = ~torch.cat(wrong).bool().numpy()
    seconds = time.perf_counter() - began
    n = min(options.attack_images, len(images))
    broken = attack(net, images[:n], labels[:n], radius)
    figures = {
        "experiment": "convex_adversarial",
        "options": {k: v for k, v in vars(options).items() if not isinstance(v, Path)},
        "radius": radius,
        "images": len(images),
        "clean": float(clean.mean()),
        "certified": float(certified.mean()),
        "attacked": n,
        "right_under_attack": float((clean[:n] & ~broken).mean()),
        "certified_and_broken": int((certified[:n] & broken).sum()),
        **times,
        "certificate_seconds": seconds,
        **provenance(),
    }
    write_figures(options.out / "convex-adversarial-mnist-small.json", figures)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
