"""The child process that evaluates a critic.

`python -I -m wdist_service.evaluations.child DIRECTORY ROWS OUT WHAT TABLE ...`

It evaluates the critic with the numpy reader of wdist.verify on the rows of an .npy file: f itself if WHAT is `values`,
its gradient if WHAT is `gradient`. TABLE is a file that says how codes become rows, or empty. The result
goes to OUT as .npy, and one JSON object, {} or {error, kind}, to standard output. Two more arguments limit the bytes of
memory and the seconds; the limits are set before anything is read.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def limit(memory_bytes: int, seconds: int) -> None:
    """Limit address space, CPU time and wall-clock time, and disable core files."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(seconds)


def evaluate(directory: Path, rows: Path, out: Path, what: str, table: Path | None) -> None:
    """Write f of the rows, shape (n,), or its gradient, shape (n, *row_shape), as float64."""
    import numpy as np

    from wdist.data.readers.npy import open_npy
    from wdist.verify import read_critic

    critic = read_critic(directory)
    array: NDArray[Any] = open_npy(rows, "rows")
    if table is not None:
        array = encoded(array, table)
    with out.open("wb") as file:
        np.save(file, critic.gradient(array) if what == "gradient" else critic.evaluate(array))


def encoded(codes: NDArray[Any], table: Path) -> NDArray[np.float64]:
    """Codes of a table as the rows that the critic takes."""
    from wdist.data.tables.encoding import Encoding
    from wdist.data.tables.schema import TableSchema

    known = json.loads(table.read_text())
    return Encoding.from_json(known["encoding"]).rows(codes, TableSchema.from_json(known["schema"]))


def main() -> None:
    directory, rows, out, what, table, memory_bytes, seconds = sys.argv[1:]
    limit(int(memory_bytes), int(seconds))
    report = {}
    try:
        evaluate(Path(directory), Path(rows), Path(out), what, Path(table) if table else None)
    except MemoryError:
        report = {"kind": "memory", "error": ""}
    except ValueError as error:  # includes SampleError and CertificateError
        report = {"kind": "invalid", "error": str(error)[:1000]}
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main()
