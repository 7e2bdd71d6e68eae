"""A worker's pool of trainer processes: one slot for each job at a time, each with a warm trainer."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any, Self, cast

from wdist_service.settings import Settings

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "CUDA_HOME")
_JOBS_PER_TRAINER = 1000  # then a new process, so that memory which a library leaks is returned
_SPARE_SECONDS = 10.0
_MEMORY_SHARE = 0.8  # of the machine's memory, for all trainers of a worker
log = logging.getLogger("wdist.worker")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class TrainerDied(Exception):  # noqa: N818 - an event, not a mistake
    """The child process ended without an answer; the message says how."""


class TrainerProcess:
    """The parent's end of a trainer (trainer.py).

    Start it from a thread that lives as long as the worker: the kernel kills the child when that *thread* ends.
    """

    def __init__(self, device: str | None, threads: int) -> None:
        read_end, write_end = os.pipe()
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment |= {"OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": device or ""}
        # OpenMP threads spin while they wait for each other. On a busy machine, 300 steps took 234 s with spinning and
        # 19 s without.
        environment.setdefault("OMP_WAIT_POLICY", "passive")
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-P", "-m", "wdist_service.worker.trainer", str(write_end), str(os.getpid())],
                stdin=subprocess.PIPE, pass_fds=[write_end], env=environment, process_group=0, text=True,
            )  # fmt: skip
        finally:
            os.close(write_end)
        self._commands = cast(IO[str], self._process.stdin)
        self._read_end = read_end
        self._buffer = b""
        self._write_lock = threading.Lock()
        self.jobs = 0
        self.is_ready = False
        self._reason: str | None = None

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def become_ready(self) -> bool:
        """Whether it has finished its imports and can take a job. Raises TrainerDied."""
        if not self.is_ready and (message := self.receive(0.0)) is not None:
            self.is_ready = message["type"] == "ready"
        return self.is_ready

    def send(self, jobs: list[dict[str, Any]], *, exactly: bool = True) -> None:
        """Send jobs to be run together, each with a name of its own. Raises TrainerDied."""
        self.jobs += len(jobs)
        try:
            self._write({"jobs": jobs, "exactly": exactly})
        except OSError:
            raise TrainerDied(self.how_it_ended()) from None

    def stop_job(self, name: str) -> None:
        """Ask it to stop one of its jobs; nothing happens if that job has ended."""
        with contextlib.suppress(OSError):  # it is dead, which `receive` reports
            self._write({"stop": name})

    def finish_job(self, name: str) -> None:
        """Ask it to end one of its jobs with what it has; nothing happens if that job has ended."""
        with contextlib.suppress(OSError):  # it is dead, which `receive` reports
            self._write({"finish": name})

    def _write(self, command: dict[str, Any]) -> None:
        with self._write_lock:
            self._commands.write(json.dumps(command) + "\n")
            self._commands.flush()

    def receive(self, seconds: float) -> dict[str, Any] | None:
        """The next message, or None if there is none within `seconds`. Raises TrainerDied."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            if not select.select([self._read_end], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return None
            if not (data := os.read(self._read_end, 1 << 16)):
                raise TrainerDied(self.how_it_ended())
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def how_it_ended(self) -> str:
        """Why the process ended, in words; waits for its end."""
        code = self._process.wait()
        if self._reason:
            return self._reason
        if code == -signal.SIGKILL:
            return "it was killed (SIGKILL), as the system does when memory runs out"
        if code < 0:
            return f"it crashed with {signal.Signals(-code).name}"
        return f"it ended by itself with exit code {code}"

    def resident_bytes(self) -> int:
        """Memory that it holds in RAM; 0 where the system does not say."""
        try:
            fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        except OSError:
            return 0
        resident, shared = int(fields[1]), int(fields[2])  # data files that it maps count as shared
        return (resident - shared) * _PAGE_BYTES

    def stop(self) -> None:
        """Ask it to stop all of its jobs and exit."""
        self._process.terminate()

    def kill(self, reason: str | None = None) -> None:
        """Kill it; `reason` is what `how_it_ended` will say."""
        self._reason = reason or self._reason
        self._process.kill()

    def close(self) -> None:
        """Kill it and close its descriptors."""
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            self._commands.close()
        os.close(self._read_end)


class Slot:
    """Room for one job: a device, a number of threads, and a warm trainer."""

    def __init__(self, device: str | None, threads: int) -> None:
        self.device = device
        self.threads = threads
        self.trainer: TrainerProcess | None = None
        self.is_taken = False
        self._pause = 0.0
        self._not_before = 0.0

    def is_ready(self) -> bool:
        """Whether its trainer can take a job now."""
        return self.trainer is not None and self.trainer.is_ready and self.trainer.is_alive()

    def fill(self) -> bool:
        """Start a trainer if there is none; returns whether it is ready.

        A trainer that cannot even start (a broken installation, no memory) is no estimate's fault. It is started again
        after a growing pause, and until then the slot claims no estimate.
        """
        if self.trainer is None and time.monotonic() >= self._not_before:
            self.trainer = TrainerProcess(self.device, self.threads)
        if self.trainer is None:
            return False
        try:
            if self.trainer.become_ready() and self.trainer.is_alive():
                self._pause = 0.0
                return True
            if self.trainer.is_alive():
                return False
            raise TrainerDied(self.trainer.how_it_ended())
        except TrainerDied as died:
            self.trainer.close()
            self.trainer = None
            self._pause = min(30.0, max(0.5, 2 * self._pause))
            self._not_before = time.monotonic() + self._pause
            log.error("a trainer does not start (%s); its own message is above", died)
            return False


class TakenSlot:
    """A slot in use, with its trainer. Leaving the block gives the slot back unless that was done already."""

    def __init__(self, pool: TrainerPool) -> None:
        self._pool = pool
        self._slot, self.trainer = pool.take()
        self._is_given_back = False

    def give_back(self, *, is_reusable: bool) -> None:
        """Free the slot for the next job, and keep its trainer if it `is_reusable`."""
        if not self._is_given_back:
            self._is_given_back = True
            self._pool.give_back(self._slot, is_reusable=is_reusable)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back(is_reusable=False)


class TrainerPool:
    """The trainers of a worker, one per slot. The worker's main thread calls `tend`, which keeps each alive."""

    def __init__(self, settings: Settings) -> None:
        devices = visible_gpus()
        cores = len(os.sched_getaffinity(0))
        count = settings.slots or len(devices) or max(1, cores // 4)
        threads = settings.threads or max(1, cores // count)
        self.slots = [Slot(devices[index % len(devices)] if devices else None, threads) for index in range(count)]
        self._memory_bytes = settings.trainer_memory_bytes or int(_MEMORY_SHARE * machine_memory() / count)
        self._changed = threading.Condition()
        # A trainer is bound to its GPU when it starts, so each GPU would need a spare of its own.
        self._spare = Slot(None, threads) if settings.spare_trainer and not devices else None
        self._spare_after = math.inf

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def devices(self) -> list[str]:
        return [f"cuda:{slot.device}" if slot.device else "cpu" for slot in self.slots]

    def take(self) -> tuple[Slot, TrainerProcess]:
        """Wait for a free slot whose trainer is ready, and take it."""
        with self._changed:
            while True:
                for slot in self.slots:
                    if not slot.is_taken and slot.trainer is not None and slot.trainer.is_ready:
                        slot.is_taken = True
                        return slot, slot.trainer
                self._changed.wait(timeout=1.0)

    def taken(self) -> TakenSlot:
        """`take` as a context manager."""
        return TakenSlot(self)

    def give_back(self, slot: Slot, *, is_reusable: bool) -> None:
        """Free a slot. A trainer that is not reusable, or has run enough jobs, is closed, and `tend` replaces it."""
        with self._changed:
            trainer = slot.trainer
            if trainer is not None and not (is_reusable and trainer.jobs < _JOBS_PER_TRAINER):
                trainer.close()
                slot.trainer = None
            slot.is_taken = False
            self._changed.notify_all()

    def tend(self) -> None:
        """Start missing trainers, and kill those that hold too much memory."""
        with self._changed:
            for slot in self.slots:
                if slot.trainer is None and self._spare is not None and self._spare.is_ready():
                    slot.trainer, self._spare.trainer = self._spare.trainer, None
                    self._spare_after = time.monotonic() + _SPARE_SECONDS
                if not slot.is_taken and slot.fill():
                    self._changed.notify_all()
                if slot.trainer is not None:
                    self._limit(slot.trainer)
            self._tend_spare()

    def _tend_spare(self) -> None:
        """Start the spare some time after all slots are ready: it must not compete with the first job for cores."""
        if self._spare is None:
            return
        if self._spare_after == math.inf and all(slot.is_ready() for slot in self.slots):
            self._spare_after = time.monotonic() + _SPARE_SECONDS
        if time.monotonic() >= self._spare_after:
            self._spare.fill()

    def _limit(self, trainer: TrainerProcess) -> None:
        if (held := trainer.resident_bytes()) > self._memory_bytes:
            trainer.kill(
                f"it held {held:,} bytes of memory, the limit is {self._memory_bytes:,} "
                "(WDIST_SERVER_TRAINER_MEMORY_BYTES); use fewer rows, a smaller critic or upper=none"
            )

    def close(self) -> None:
        for slot in [*self.slots, *([self._spare] if self._spare else [])]:
            if slot.trainer is not None:
                slot.trainer.close()
                slot.trainer = None


def machine_memory() -> int:
    """Bytes of memory available to this process: the machine's, or its control group's if that is less."""
    memory = os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES
    with contextlib.suppress(OSError, ValueError):
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return memory


def visible_gpus() -> list[str]:
    """Indices of the NVIDIA GPUs that this process may use, found without importing torch."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in visible.split(",") if name.strip()]
    directory = Path("/proc/driver/nvidia/gpus")
    return [str(index) for index, _ in enumerate(directory.iterdir())] if directory.is_dir() else []
