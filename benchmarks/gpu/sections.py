"""What is measured: each section yields its rows as they are found."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.nets import dcgan, large, milliseconds, mlp, training_step
from wdist import device as devices
from wdist import estimate_w1
from wdist.data.known_truth import funnel_pair, translation_truth
from wdist.paper.robustness import ClassifierConfig, RobustTraining, build_classifier, margin_loss
from wdist.stiefel.optimizer import StiefelOptimizer, parameter_groups
from wdist.training.stacked import StackedModule

Row = dict[str, Any]


@dataclass(frozen=True)
class Scale:
    """Where it runs, whether only to see that it runs, and until when (monotonic clock)."""

    device: torch.device
    is_quick: bool
    ends: float

    def pick(self, whole: Any, quick: Any) -> Any:
        return quick if self.is_quick else whole

    @property
    def left(self) -> float:
        return self.ends - time.monotonic()

    def memory(self) -> float | None:
        """Peak of the card's memory since `forget`, MiB."""
        if not devices.is_accelerator(self.device):
            return None
        return torch.cuda.max_memory_allocated(self.device) / 2**20

    def forget(self) -> None:
        if devices.is_accelerator(self.device):
            torch.cuda.reset_peak_memory_stats(self.device)


def graphed(net: nn.Module, x: Tensor, kind: str) -> Callable[[], None] | None:
    """The training step as a CUDA graph; None where there are none, or the step cannot be captured."""
    if x.device.type != "cuda":
        return None
    eager = training_step(net, x, kind)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            eager()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            eager()
    except RuntimeError as problem:
        torch.cuda.synchronize()
        print(f"  no graph for {kind}: {str(problem).splitlines()[0]}", file=sys.stderr)
        return None
    return graph.replay


def best_of(net: Callable[[], nn.Module], x: Tensor, kind: str, scale: Scale) -> tuple[float, float | None]:
    """Milliseconds of an eager step, and of one as a graph."""
    repeats, warm = scale.pick((20, 5), (2, 1))
    eager = milliseconds(training_step(net().to(scale.device), x, kind), repeats, warm)[0]
    replay = graphed(net().to(scale.device), x, kind)
    return eager, None if replay is None else milliseconds(replay, repeats, warm)[0]


def steps(scale: Scale) -> Iterator[Row]:
    batch = scale.pick(128, 8)
    cases: list[tuple[str, Callable[[str], nn.Module], tuple[int, ...]]] = [
        ("Large, 32 x 32", large, (batch, 3, 32, 32)),
        ("DCGAN size, 32 x 32", lambda kind: dcgan(kind, 32), (batch, 3, 32, 32)),
        ("DCGAN size, 64 x 64", lambda kind: dcgan(kind, 64), (batch, 3, 64, 64)),
        ("MLP 128 x 3, 784 features", mlp, (4 * batch, 784)),
        ("MLP 128 x 3, 16 features", lambda kind: mlp(kind, 16), (4 * batch, 16)),
    ]
    for name, build, shape in cases[:: scale.pick(1, 3)]:
        x = torch.rand(*shape).to(scale.device)
        base = None
        for kind in ("unconstrained", "manifold", "classic"):
            scale.forget()
            eager, graph = best_of(lambda build=build, kind=kind: build(kind), x, kind, scale)
            best = eager if graph is None else min(eager, graph)
            base = base or best
            yield {
                "net": name, "kind": kind, "step, ms": eager, "as a graph, ms": graph, "ratio": best / base,
                "rows/s": round(1e3 * shape[0] / best), "peak MiB": scale.memory(),
            }  # fmt: skip


def critics(scale: Scale) -> Iterator[Row]:
    one = None
    for count in scale.pick((1, 4, 16, 64), (1, 4)):
        x = torch.rand(count, 512, 16).to(scale.device)
        eager, graph = best_of(
            lambda count=count: StackedModule([mlp("manifold", 16) for _ in range(count)]), x, "manifold", scale
        )
        best = eager if graph is None else min(eager, graph)
        one = one or best
        yield {"critics": count, "step, ms": eager, "as a graph, ms": graph, "against one": best / one}


def pairs(scale: Scale) -> Iterator[tuple[str, Any, Any, float | None, dict[str, Any]]]:
    """Name, rows, rows, their distance where it is known, and options."""
    n = scale.pick(50_000, 600)
    x, y, truth = funnel_pair(128, 256, n, 0)
    yield f"funnels 128 x 256, {n:,} rows", x, y, truth, {"max_seconds": scale.pick(20.0, 1.0)}
    n = scale.pick(10_000, 200)
    yield f"images 1 x 28 x 28, {n:,}, bcop", *drawn_images(n), None, {"critic": "bcop", "steps": scale.pick(600, 3)}
    n = scale.pick(10_000_000, 5_000)
    x, y, truth = translation_truth(64, 0.5).pair(n, 0)
    yield f"normal, 64 columns, {n:,} rows", x, y, truth, {"max_seconds": scale.pick(20.0, 1.0), "critic": "groupsort"}


def drawn_images(n: int) -> tuple[Any, Any]:
    """Strokes of two slants on noise, in the shape of MNIST: (n, 1, 28, 28) in [0, 1]."""
    generator = np.random.default_rng(0)
    sets = []
    for slant in (0.5, 0.8):
        images = 0.2 * generator.random((n, 28, 28), dtype=np.float32)
        row = np.arange(4, 24)
        start = generator.integers(2, 6, n)
        for k in row:
            column = (start + slant * (k - 4)).astype(int)
            images[np.arange(n), k, column] = images[np.arange(n), k, column + 1] = 0.9
        sets.append(images[:, None])
    return sets[0], sets[1]


def estimates(scale: Scale) -> Iterator[Row]:
    where = [scale.device] + ([torch.device("cpu")] if devices.is_accelerator(scale.device) else [])
    for name, x, y, truth, options in pairs(scale):
        for each in where:
            if scale.left < 10:
                raise TimeoutError(f"no time was left for {name} on {each}")
            scale.forget()
            began = time.perf_counter()
            result = estimate_w1(x, y, device=str(each), baseline_rows=0, empirical=False, **options)
            took = time.perf_counter() - began
            of = truth or 1.0
            yield {
                "pair": name, "device": result.device, "seconds": took, "training": result.seconds,
                "steps": result.steps,
                "steps/s": result.steps / max(1e-9, result.seconds), "critic": result.critic.family,
                "value": result.value / of, "at least": result.lower_bound / of,
                "at most": None if result.upper_bound is None else result.upper_bound / of,
                "truth known": "yes" if truth else "no", "peak MiB": scale.memory(),
            }  # fmt: skip


def repeats(scale: Scale) -> Iterator[Row]:
    x, y, _ = funnel_pair(16, 16, scale.pick(20_000, 400), 0)
    images = drawn_images(scale.pick(2_000, 200))
    for name, sets, options in (("groupsort", (x, y), {}), ("bcop", images, {})):
        found = [
            estimate_w1(
                *sets, critic=name, steps=scale.pick(300, 3), device=str(scale.device), baseline_rows=0, **options
            )
            for _ in range(2)
        ]
        weights = [each.critic.module.state_dict() for each in found]
        same = found[0].value == found[1].value and all(
            torch.equal(weights[0][key], weights[1][key]) for key in weights[0]
        )
        yield {"critic": name, "values": f"{found[0].value!r}, {found[1].value!r}", "same": same}


def passes(scale: Scale) -> Iterator[Row]:
    """Seconds a pass of the paper's Large classifiers, by the time of a step: no pass of a table is trained here."""
    shapes: list[tuple[str, tuple[int, int, int], int]] = [
        ("mnist", (1, 28, 28), 55_000),
        ("cifar10", (3, 32, 32), 45_000),
    ]
    for dataset, shape, images in shapes:
        for layers in scale.pick(("bcop", "rko", "ossn", "svcm"), ("bcop",)):
            training = RobustTraining(steps=1, margin=1.0, batch=scale.pick(128, 4))
            config = ClassifierConfig(net="large", layers=layers)
            net = build_classifier(config, shape, 0).to(scale.device)
            optimizer = StiefelOptimizer(
                parameter_groups(net, lr=training.learning_rate, euclidean_lr=training.euclidean_learning_rate)
            )
            x = torch.rand(training.batch, *shape).to(scale.device)
            labels = (torch.arange(training.batch) % 10).to(scale.device)

            def step(net: nn.Module = net, x: Tensor = x, labels: Tensor = labels, o: Any = optimizer) -> None:
                o.zero_grad()
                margin_loss(net(x), labels, 1.0).backward()
                o.step()

            smallest, median = milliseconds(step, *scale.pick((20, 5), (1, 1)))
            yield {
                "data": dataset, "layers": layers, "step, ms": median, "smallest": smallest,
                "seconds a pass": median / 1e3 * images / training.batch,
            }  # fmt: skip


def service(scale: Scale) -> Iterator[Row]:
    """Small estimates one after the other, and as one batch, over HTTP."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "wdist_service",
            "serve",
            "--port",
            str(port),
            "--data",
            str(Path(folder) / "data"),
        ]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))
        try:
            yield from _jobs(f"http://127.0.0.1:{port}", scale)
        finally:
            server.terminate()
            server.wait(30)


def _jobs(url: str, scale: Scale) -> Iterator[Row]:
    def ask(method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Any:
        request = urllib.request.Request(url + path, body, {"Content-Type": kind}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    began = time.monotonic()
    while True:
        try:
            ask("GET", "/readyz")
            break
        except OSError:
            if time.monotonic() - began > 60:
                raise
            time.sleep(0.2)
    generator, sets = np.random.default_rng(0), []
    for shift in (0.0, 0.5):
        with tempfile.TemporaryFile() as file:
            np.save(file, generator.normal(shift, size=(1_000, 8)).astype(np.float32))
            file.seek(0)
            sets.append(ask("POST", "/v1/sample-sets", file.read(), "application/x-npy")["id"])
    options = {"source": sets[0], "target": sets[1], "critic": "groupsort", "steps": scale.pick(200, 5)}
    for seed in range(scale.pick(4, 2)):
        began = time.perf_counter()
        job = ask("POST", "/v1/estimates", json.dumps(options | {"seed": seed}).encode())
        while (job := ask("GET", f"/v1/estimates/{job['id']}?wait=5"))["status"] not in ("succeeded", "failed"):
            pass
        yield {
            "what": "one estimate" if seed else "the first estimate",
            "seconds": time.perf_counter() - began,
            "ended": job["status"],
        }
    count = scale.pick(64, 4)
    asked = [{"custom_id": str(k), "source": sets[0], "target": sets[1]} for k in range(count)]
    alike = {name: value for name, value in options.items() if name not in ("source", "target")}
    began = time.perf_counter()
    batch = ask("POST", "/v1/batches", json.dumps({"pairs": asked, **alike}).encode())
    while (batch := ask("GET", f"/v1/batches/{batch['id']}?wait=5"))["status"] in ("queued", "running"):
        time.sleep(0.1)
    took = time.perf_counter() - began
    yield {"what": f"a batch of {count}", "seconds": took, "ended": batch["status"], "jobs/s": count / took}


SECTIONS: dict[str, tuple[Callable[[Scale], Iterator[Row]], float]] = {
    "steps": (steps, 0.15), "critics": (critics, 0.08), "estimates": (estimates, 0.45), "repeats": (repeats, 0.1),
    "passes": (passes, 0.1), "service": (service, 0.2),
}  # fmt: skip
"""Each section, and the share of the time that it may take."""
