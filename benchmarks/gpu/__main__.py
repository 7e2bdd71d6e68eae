"""What a GPU brings, in one command: python -m benchmarks.gpu --out results

    steps       a training step of each net: on the manifold, unconstrained and classic; eager, and as a CUDA graph
    critics     1 to 64 critics in one step
    estimates   whole estimates of pairs whose distance is known, against the same machine's processor
    repeats     the same estimate twice: bit for bit?
    passes      seconds for a pass over the images of MNIST and CIFAR-10, Large nets
    service     jobs a second of a server, and the time of one job

Sections run in this order, each within its share of --minutes; what does not fit, or fails, is told and passed over.
After each, --out has results.json and page.md, so that nothing is lost where the machine goes away. Sets are drawn, not
read: images have the shapes of MNIST and CIFAR-10, and other pairs a known distance. With --quick all is so small that
a processor does it in a minute or two: to see that the command works, before a device is at hand.
"""

import argparse
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.page import page
from benchmarks.gpu.sections import SECTIONS, Scale
from benchmarks.nets import machine
from wdist import device


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu-results"), help="folder of results.json and page.md")
    parser.add_argument("--minutes", type=float, default=11.5, help="in all")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that everything runs")
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    given = parser.parse_args()
    chosen = device.chosen_device(given.device)
    if not device.is_accelerator(chosen) and not given.quick:
        print("no CUDA device is visible to torch: nothing was measured (--quick runs everything on the processor)")
        return 1
    # Certified figures are computed in float64 on the processor; training uses TF32 only if this is lifted on purpose.
    torch.set_float32_matmul_precision("highest")
    torch.manual_seed(0)
    given.out.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + 60 * given.minutes
    found: dict[str, Any] = {"machine": machine(), "device": str(chosen), "quick": given.quick, "sections": {}}
    for name in given.only:
        section, share = SECTIONS[name]
        left = ends - time.monotonic()
        began = time.monotonic()
        told: dict[str, Any] = {}
        try:
            if left < 15:
                raise TimeoutError(f"only {max(0, left):.0f} s were left")
            scale = Scale(chosen, given.quick, ends=min(ends, began + 60 * given.minutes * share))
            for row in section(scale):
                told.setdefault("rows", []).append(row)
                print(name, row, flush=True)
        except Exception as error:  # a section that fails takes none of the others along
            told["failed"] = f"{type(error).__name__}: {error}"
            print(traceback.format_exc(), file=sys.stderr, flush=True)
        found["sections"][name] = told | {"seconds": round(time.monotonic() - began, 1)}
        (given.out / "results.json").write_text(json.dumps(found, indent=1) + "\n")
        (given.out / "page.md").write_text(page(found))
    failed = [name for name, told in found["sections"].items() if "failed" in told]
    print(f"{given.out / 'page.md'}" + (f"; not measured: {', '.join(failed)}" if failed else ""))
    return 0 if not failed else 2


if __name__ == "__main__":
    sys.exit(main())
