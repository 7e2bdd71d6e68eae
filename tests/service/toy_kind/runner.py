"""What a trainer process does for a count."""

from __future__ import annotations

import time
from pathlib import Path

from wdist.errors import SampleError, Stopped


def run(job, directory, on_progress, should_stop, should_finish):
    yield from ()
    checkpoint, options = Path(job["checkpoint"]), job["options"]
    began = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for number in range(began, options["to"]):
        if should_stop():
            raise Stopped("the count was stopped")
        if number == options.get("bad"):
            raise SampleError(f"{number} is a bad number")
        time.sleep(0.1)
        checkpoint.write_text(str(number + 1))
        on_progress({"number": number + 1})
    (directory / "count.txt").write_text(" ".join(str(number) for number in range(options["to"])))
    return {"began": began}
