"""A real worker that also knows the kinds of jobs of the tests: `python -m toy_kind.worker DATA`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running_worker(data: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The worker as a process, which writes worker.log in `data`; it is killed at the end."""
    with (data / "worker.log").open("ab") as log:
        command = [sys.executable, "-m", "toy_kind.worker", str(data)]
        process = subprocess.Popen(command, env=dict(environment), stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    from toy_kind.errand import RING
    from toy_kind.job import COUNT

    import wdist_service.jobs as jobs
    from wdist_service.queue.kinds import Kinds

    jobs.KINDS = Kinds(*jobs.KINDS, COUNT, RING, followers=jobs.KINDS.followers)
    from wdist.cli.main import main

    raise SystemExit(main(["worker", "--data", sys.argv[1]]))
