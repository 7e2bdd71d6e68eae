"""python -m benchmarks.monitors null | drift | upper | speed [options]; each says more with --help."""

from __future__ import annotations

import os
import sys
from importlib import import_module

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process a core: before torch is imported
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

MEASUREMENTS = ("null", "drift", "upper", "speed")


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in MEASUREMENTS:
        print(__doc__, file=sys.stderr)
        return 2
    return int(import_module(f"benchmarks.monitors.{arguments[0]}").main(arguments[1:]) or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
