"""The child process that trains: jobs in as JSON lines on stdin, messages out as JSON lines on its own descriptor.

The jobs of a line {"jobs": [...]} are run together; {"stop": name} stops one of them at its next step, and {"finish":
name} has it end there with what it has. Every message but "ready" and "alive" names its job. A job names its runner, a
module whose function

    run(job, directory, on_progress, should_stop, should_finish) -> Generator[Training, None, dict]

yields trainings for the caller to run, reports progress as JSON objects, puts files into the directory, and returns
what its kind stores when the job has succeeded, as JSON. The process knows no database and no credentials. It ends
when its parent does: stdin closes, and PR_SET_PDEATHSIG kills it if it is too busy to notice. On SIGTERM it stops its
jobs at their next step and exits.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wdist_service.lifetime import die_with

if TYPE_CHECKING:
    from wdist.training.lockstep import Training

_PROGRESS_SECONDS = 0.1
_ALIVE_SECONDS = 1.0
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
log = logging.getLogger("wdist.trainer")


class Channel:
    """Sends messages to the parent."""

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(descriptor, "w", buffering=1)
        self._lock = threading.Lock()

    def send(self, type_: str, **data: Any) -> None:
        line = json.dumps({"type": type_, **data}, allow_nan=False) + "\n"
        with self._lock:
            self._file.write(line)


class Trainer:
    """Runs jobs until told to end."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._jobs: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._stop = False
        self._stopped: set[str] = set()
        self._finishing: set[str] = set()
        self._is_busy = threading.Event()

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self._on_stop)
        threading.Thread(target=self._read_jobs, daemon=True).start()
        threading.Thread(target=self._show_life, daemon=True).start()
        _warm_up()
        self._channel.send("ready")
        while not self._stop and (command := self._jobs.get()) is not None:
            self._is_busy.set()
            self._run(command["jobs"], exactly=command["exactly"])
            self._is_busy.clear()

    def _show_life(self) -> None:
        """While jobs run, send "alive" every second, whatever they do: silence means that the process is frozen."""
        while self._is_busy.wait():
            self._channel.send("alive")
            time.sleep(_ALIVE_SECONDS)

    def _on_stop(self, _signal: int, _frame: object) -> None:
        self._stop = True
        self._jobs.put(None)

    def _read_jobs(self) -> None:
        for line in sys.stdin:
            command = json.loads(line)
            if "stop" in command:
                self._stopped.add(command["stop"])
            elif "finish" in command:
                self._finishing.add(command["finish"])
            else:
                self._jobs.put(command)
        os._exit(0)  # the parent is gone: nobody wants the result

    def _run(self, jobs: list[dict[str, Any]], *, exactly: bool) -> None:
        from wdist.training.lockstep import is_cheaper, run_together

        pause = _PROGRESS_SECONDS * len(jobs)
        run_together([self._member(job, pause) for job in jobs], is_cheaper, exactly=exactly)
        self._stopped -= {job["name"] for job in jobs}
        self._finishing -= {job["name"] for job in jobs}

    def _member(self, job: dict[str, Any], pause: float) -> Generator[Training, None, None]:
        """One job: yields its trainings for the caller to run, then sends its last message, whatever happens."""
        from wdist.errors import Stopped, WdistError
        from wdist.training.lockstep import TogetherError

        send = partial(self._channel.send, job=job["name"])
        try:
            directory = Path(job["directory"])
            values = yield from import_module(job["runner"]).run(
                job, directory, _Reporter(send, pause), lambda: self._stop or job["name"] in self._stopped,
                lambda: job["name"] in self._finishing,
            )  # fmt: skip
            send("result", values=values, files=sorted(path.name for path in directory.iterdir()))
        except Stopped:
            send("stopped")
        except TogetherError as error:
            send("apart", message=str(error)[:1000])
        except WdistError as error:
            send("failed", error={"type": _snake_case(type(error).__name__), "message": str(error)})
        except MemoryError as error:
            send("failed", error={"type": "out_of_memory", "message": _no_memory(error)})
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _DISK_FULL:
                send("failed", error={"type": "storage_full", "message": "the server's disk is full: submit it again"})
                return
            traceback.print_exc()
            if type(error).__name__ == "OutOfMemoryError":  # torch's, for a GPU
                send("failed", error={"type": "out_of_memory", "message": _no_memory(error)})
                return
            message = f"the trainer met an unexpected {type(error).__name__}: {error}"
            send("failed", error={"type": "internal_error", "message": message[:1000]})


class _Reporter:
    """Reports a job's progress, a JSON object, at most once every `pause` seconds."""

    def __init__(self, send: Callable[..., None], pause: float) -> None:
        self._send = send
        self._pause = pause
        self._last = 0.0

    def __call__(self, progress: dict[str, Any]) -> None:
        now = time.monotonic()
        if now - self._last < self._pause:
            return
        self._last = now
        self._send("progress", **progress)


def _warm_up() -> None:
    """Run a tiny estimate before the first job, which otherwise waited 2.4 s for torch and other late imports."""
    import numpy as np

    from wdist.estimate import estimate_w1

    rows = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    try:
        estimate_w1(rows, rows + 1, critic="groupsort", steps=2, baseline_rows=20)
    except Exception:  # estimates will fail too, each with an error of its own
        log.exception("the warm-up failed")


def _no_memory(error: BaseException) -> str:
    return f"not enough memory for this job ({error}); use fewer rows or a smaller critic"[:500]


def _snake_case(name: str) -> str:
    return "".join("_" + char.lower() if char.isupper() else char for char in name).lstrip("_")


def main() -> None:
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with(parent)
    os.dup2(2, 1)  # what a library prints goes to the log, not into the protocol
    Trainer(Channel(descriptor)).run()


if __name__ == "__main__":
    main()
