"""Rows of docs/paper/robustness.md that take hours: python -m benchmarks.paper_rows --data data --out out

Each is one `wdist reproduce robustness`, which keeps a checkpoint in --out after every pass. A row that has its result
is passed over, so the same command goes on after a stop; a row whose checkpoint is lost starts again. `--list` says
how far each is, and trains nothing.

Results name the digest of the code that made them: run it from a checkout that stays at one commit, at low priority
(`nice -n 19 taskset -c 1`), and with OMP_NUM_THREADS=1.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    """One classifier, and how it is trained: in fewer passes than the paper's 200, where Large in larger batches."""

    dataset: str
    net: str
    layers: str
    passes: int
    batch: int
    rate: float

    @property
    def name(self) -> str:
        return f"{self.dataset}-{self.net}-{self.layers}-maxmin-0"

    def command(self, data: Path, out: Path) -> list[str]:
        options = {
            "data": data, "out": out, "net": self.net, "layers": self.layers, "epochs": self.passes,
            "batch": self.batch, "learning-rate": self.rate, "attack-images": 100, "attack-certified": 150,
        }  # fmt: skip
        told = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        return [sys.executable, "-m", "wdist.cli.main", "reproduce", "robustness", self.dataset, *told]


ROWS = [
    Row("cifar10", "large", "bcop", passes=12, batch=256, rate=0.04),
    Row("cifar10", "fc3", "bcop", passes=15, batch=512, rate=0.04),
    *(Row("cifar10", "large", layers, passes=12, batch=256, rate=0.04) for layers in ("rko", "ossn", "svcm")),
    *(Row("mnist", "large", layers, passes=10, batch=256, rate=0.04) for layers in ("rko", "ossn", "svcm")),
    *(Row("mnist", "small", layers, passes=30, batch=128, rate=0.02) for layers in ("bcop", "rko", "ossn", "svcm")),
]


def state(row: Row, out: Path) -> str:
    """Whether a row is "done", "begun" (a checkpoint is there) or "waits"."""
    result = out / f"{row.name}.json"
    if result.exists() and json.loads(result.read_text()).get("attack"):
        return "done"
    return "begun" if (out / f"{row.name}.checkpoint").exists() else "waits"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the published files")
    parser.add_argument("--out", type=Path, required=True, help="folder of results and checkpoints")
    parser.add_argument("--list", action="store_true", help="say how far each row is")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for row in ROWS:
        found = state(row, given.out)
        print(f"{row.name}: {found}", flush=True)
        if given.list or found == "done":
            continue
        ended = subprocess.run(row.command(given.data, given.out), stdout=subprocess.DEVNULL)
        if ended.returncode != 0:
            return ended.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
