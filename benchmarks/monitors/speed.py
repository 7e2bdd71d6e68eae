"""What an update of a monitor costs, and that it costs the same after 200 of them: seconds, memory, size of the state.

    python -m benchmarks.monitors speed --updates 200

Rows are normal, of one population. Every update goes through the bytes of the state, as a server's does. Seconds are
those of the clock and those of the processor: the former depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from wdist.monitoring.options import MonitorOptions
from wdist.monitoring.reference import open_reference
from wdist.monitoring.state import MonitorState
from wdist.monitoring.update import begin, update

ENDS = 20  # updates at each end that are compared


def resident_mib() -> float:
    """Memory of this process, in MiB (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monitors speed", description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--reference-rows", type=int, default=50_000)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--columns", type=int, default=20)
    asked = parser.parse_args(arguments)
    generator = np.random.default_rng(0)
    options = MonitorOptions()
    reference = open_reference(generator.normal(size=(asked.reference_rows, asked.columns)), options=options)
    data = begin(reference, options).to_bytes()
    clock, processor, memory = [], [], []
    for number in range(1, asked.updates + 1):
        batch = generator.normal(size=(asked.rows, asked.columns))
        started, used = time.perf_counter(), time.process_time()
        state, _ = update(MonitorState.from_bytes(data), reference, batch, at=number)
        data = state.to_bytes()
        clock.append(time.perf_counter() - started)
        processor.append(time.process_time() - used)
        memory.append(resident_mib())
        if number in (1, 2) or number % 10 == 0:
            print(
                f"update {number}: {clock[-1]:.2f} s ({processor[-1]:.2f} s of the processor), {memory[-1]:.0f} MiB, "
                f"state {len(data):,} bytes",
                flush=True,
            )
    for name, seconds in (("clock", clock[1:]), ("processor", processor[1:])):
        first, last = (statistics.median(part) for part in (seconds[:ENDS], seconds[-ENDS:]))
        print(
            f"{name}: first update {clock[0] if name == 'clock' else processor[0]:.2f} s, later ones median "
            f"{statistics.median(seconds):.2f} s; medians of the first and the last {ENDS}: {first:.2f} s and "
            f"{last:.2f} s, ratio {last / first:.2f}"
        )
    print(f"memory after update 10 and at the end: {memory[min(9, len(memory) - 1)]:.0f} MiB and {memory[-1]:.0f} MiB")
