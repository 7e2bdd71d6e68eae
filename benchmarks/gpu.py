"""One table for a CUDA device: step times, ratios to the unconstrained net, batches of critics, throughput, memory.

    python benchmarks/gpu.py

Without a CUDA device it says so and exits. Steps are replayed as CUDA graphs if they can be captured; otherwise the
small products of an optimiser step are launch-bound.
"""

from collections.abc import Callable

import torch
from layers import training_step
from nets import dcgan, large, machine, milliseconds, mlp
from torch import nn

from wdist.training.stacked import StackedModule


def captured(net: nn.Module, x: torch.Tensor, kind: str) -> Callable[[], None]:
    """The training step as a CUDA graph; eager where the graph cannot be captured."""
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
        print(f"  (no graph for {kind}: {str(problem).splitlines()[0]})")
        return eager
    return graph.replay


def row(name: str, kind: str, build: Callable[[str], nn.Module], shape: tuple[int, ...], base: float | None) -> float:
    torch.cuda.reset_peak_memory_stats()
    x = torch.rand(*shape, device="cuda")
    eager, _ = milliseconds(training_step(build(kind).cuda(), x, kind), 20, 5)
    graph, _ = milliseconds(captured(build(kind).cuda(), x, kind), 20, 5)
    best = min(eager, graph)
    memory = torch.cuda.max_memory_allocated() / 2**20
    ratio = "" if base is None else f"{best / base:.2f}"
    print(f"| {name} | {kind} | {eager:.2f} | {graph:.2f} | {ratio} | {1e3 * shape[0] / best:,.0f} | {memory:,.0f} |")
    return best


def critics() -> None:
    print("\n| critics 16 -> 128 x 3 -> 1, batch 512 | step, ms | against one |\n| --- | --- | --- |")
    one = None
    for count in (1, 4, 16, 64):
        x = torch.rand(count, 512, 16, device="cuda")
        net = StackedModule([mlp("manifold", 16) for _ in range(count)]).cuda()
        time = min(
            milliseconds(captured(net, x, "manifold"), 20, 5)[0],
            milliseconds(training_step(net, x, "manifold"), 20, 5)[0],
        )
        one = one or time
        print(f"| {count} | {time:.2f} | {time / one:.2f} |")


def main() -> None:
    if not torch.cuda.is_available():
        print("no CUDA device is visible to torch: nothing was measured")
        return
    # Certified figures are computed in float64 on the CPU; training may use TF32 only if this is lifted on purpose.
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(0)
    print(machine())
    print("| net | kind | step, ms | as a graph, ms | ratio | samples/s | peak MiB |\n" + "| --- " * 7 + "|")
    for name, build, shape in (
        ("Large, 32 x 32", large, (128, 3, 32, 32)),
        ("DCGAN size, 32 x 32", lambda kind: dcgan(kind, 32), (128, 3, 32, 32)),
        ("DCGAN size, 64 x 64", lambda kind: dcgan(kind, 64), (128, 3, 64, 64)),
        ("MLP 128 x 3", mlp, (512, 784)),
    ):
        base = row(name, "unconstrained", build, shape, None)
        row(name, "manifold", build, shape, base)
    critics()


if __name__ == "__main__":
    main()
