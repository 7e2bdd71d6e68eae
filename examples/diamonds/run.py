"""The main job: starts a server, compares two cuts of diamonds through the Python client, prints what is known.

    .venv/bin/python examples/diamonds/run.py [--once] [--port 8000]

It then stays up until Ctrl-C (--once: stops after the result). Everything that it started ends with it.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import NoReturn

from wdist_client import APIStatusError, AuthenticationError, Client, Estimate, Result, SampleSet, WdistError

HERE = Path(__file__).resolve().parent
SETS = {"source": HERE / "very_good.npy", "target": HERE / "premium.npy"}
BASELINE_ROWS = 3000
TRAINING_SECONDS = 5  # longer training raises the lower bound a little
NEEDED_BYTES = 200 << 20
READY_SECONDS = 90
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Trouble(Exception):  # noqa: N818 - not a fault of the program
    """Something a person must mend; the message says what and how."""


class Stop(BaseException):
    """Ctrl-C, or an order to end."""


class Server:
    """`wdist serve` as a child that never outlives this process."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.log = Path(tempfile.mkstemp(prefix="wdist-server-", suffix=".log")[1])
        self.process: subprocess.Popen[bytes] | None = None
        self.stopping = False

    def start(self) -> None:
        command = Path(sys.executable).with_name("wdist")
        if not command.exists():
            raise Trouble(f"{command} is missing: run `make setup`, then try again.")
        # From here on the death of the server ends whatever this process waits for.
        signal.signal(signal.SIGCHLD, lambda *_: self.raise_if_dead())
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(command), "serve", "--host", "127.0.0.1", "--port", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us: we stop the server, in order
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )
        deadline = time.monotonic() + READY_SECONDS
        with Client(self.url, max_retries=0, timeout=5) as client:
            while not client.is_ready():
                self.raise_if_dead()
                if time.monotonic() > deadline:
                    raise Trouble(f"The server is not ready after {READY_SECONDS} s.{self.story()}")
                time.sleep(0.1)

    def raise_if_dead(self) -> None:
        if self.process is not None and not self.stopping and (code := self.process.poll()) is not None:
            self.stopping = True
            if refusal := self.refusal():
                raise Trouble(refusal)
            raise Trouble(f"The server ended by itself (exit code {code}).{self.story()}")

    def refusal(self) -> str | None:
        """What it said where it would not start at all: one line "wdist: ..." as its last."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        if not lines or not lines[-1].startswith("wdist: "):
            return None
        reason = lines[-1].removeprefix("wdist: ").replace("with --data", "with WDIST_SERVER_DATA=/a/folder make run")
        return f"The server cannot start: {reason}"

    def story(self) -> str:
        """The end of its log, which holds the reason."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()][-12:]
        if not lines:
            return " It said nothing; try `.venv/bin/wdist serve` by hand."
        return "\nThe last it said:\n" + "\n".join(f"  {line}" for line in lines) + f"\nAll of it: {self.log}"

    def data(self) -> str | None:
        """The data directory, as the server tells it when it is ready."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if found := re.search(r"\(data in (.+)\); Ctrl-C", self.log.read_text(errors="replace")):
                return found[1]
            time.sleep(0.1)
        return None

    def stop(self) -> None:
        self.stopping = True
        if self.process is None:
            return
        for order in STOPS:
            signal.signal(order, signal.SIG_IGN)  # a second Ctrl-C must not leave a server behind
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # whatever of its session is left
        self.process.wait()


def _end_with_parent() -> None:
    """In the child: the kernel ends it when this process dies, even by SIGKILL (Linux prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def check_port(port: int) -> None:
    """Raises Trouble where something listens on the port already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise Trouble(f"Port {port} is for the administrator only: make run PORT=8001") from None
        except OSError:
            pass
        else:
            return
    with contextlib.suppress(WdistError), Client(f"http://127.0.0.1:{port}", max_retries=0, timeout=2) as client:
        client.version()
        raise Trouble(
            f"A wdist server already runs on port {port}. Stop it (Ctrl-C in its window), or run a second one beside "
            f"it, on data of its own: WDIST_SERVER_DATA=/tmp/wdist make run PORT={port + 1}"
        )
    raise Trouble(f"Port {port} is taken by another program. Free it, or choose another: make run PORT={port + 1}")


def check_disk() -> None:
    """Raises Trouble where temporary files cannot be written."""
    place = Path(tempfile.gettempdir())
    if (free := shutil.disk_usage(place).free) < NEEDED_BYTES:
        raise Trouble(
            f"Only {free >> 20} MB are free in {place}; {NEEDED_BYTES >> 20} MB are needed. Free some, or set TMPDIR."
        )


def upload(client: Client) -> tuple[SampleSet, SampleSet]:
    source = client.sample_sets.create(SETS["source"], name="Very Good diamonds")
    target = client.sample_sets.create(SETS["target"], name="Premium diamonds")
    for sample_set in (source, target):
        print(f"  {sample_set.name}: {sample_set.rows:,} rows of {sample_set.shape[1]} columns ({sample_set.id})")
    return source, target


class Log:
    """Progress as lines, for where nobody watches a bar: one every tenth of the way."""

    def __init__(self) -> None:
        self.said = -1

    def __call__(self, estimate: Estimate) -> None:
        at = estimate.progress
        tenths = 10 * at.step // at.steps if at is not None and at.steps else -1
        if at is None or tenths <= self.said:
            return
        self.said = tenths
        value = "" if at.value is None else f", so far {at.value:.3f} (not certified)"
        print(f"  {estimate.status}: step {at.step:,} of {at.steps or 0:,}{value}", flush=True)


def report(result: Result, source: SampleSet, target: SampleSet) -> None:
    """The answer in words, then every figure with one sentence of what it means."""
    percent = f"{100 * result.confidence:g} %"
    lines = [
        (
            "lower bound",
            f"{result.lower_bound:.4f}",
            f"With {percent} confidence the two kinds differ by at least this.",
        ),
        (
            "value",
            f"{result.value:.4f}",
            "Measured on stones kept out of training: on average at or below the distance.",
        ),
        ("confidence", percent, f"Of 100 such bounds at most {100 - 100 * result.confidence:.2g} may be too high."),
    ]
    if result.p_value is not None:
        meaning = "The chance of a difference this large if both kinds were the same."
        lines.append(("p-value", f"{result.p_value:.2g}", meaning))
    meaning = "Proven from the critic's weights; the value is already divided by it."
    lines.append(("Lipschitz bound", f"{result.lipschitz_bound:.7f}", meaning))
    beside = []
    if result.trivial.mean_difference is not None:
        meaning = "The trivial estimate: the held-out stones, seen only along the line between two averages."
        beside.append(("mean difference", f"{result.trivial.mean_difference:.4f}", meaning))
    if (baseline := result.null_baseline) is not None:
        meaning = f"Exact optimal transport between {baseline.rows:,} stones of each kind; biased upwards."
        beside.append(("exact OT", f"{baseline.between:.4f}", meaning))
        meaning = f"Its null baseline: {baseline.rows:,} stones against as many of the same kind; the truth is 0."
        beside.append(("exact OT, null", f"{baseline.within:.4f}", meaning))
    print(f"\nHow far apart are {source.name} and {target.name}? (Wasserstein-1 distance, in standard deviations)\n")
    print(textwrap.fill(result.meaning, 100, initial_indent="  ", subsequent_indent="  ") + "\n")
    for name, figure, meaning in lines:
        print(f"  {name:<16} {figure:>10}   {meaning}")
    print("\nOther answers, to compare with:\n")
    for name, figure, meaning in beside:
        print(f"  {name:<16} {figure:>10}   {meaning}")
    for warning in result.warnings:
        print(f"\n  Warning: {warning}")


def compare(client: Client) -> None:
    print("Sending two sample sets ...", flush=True)
    source, target = upload(client)
    print("Estimating how far apart they are ...", flush=True)
    job = client.estimates.create(
        source, target, baseline_rows=BASELINE_ROWS, max_seconds=TRAINING_SECONDS, metadata={"example": "diamonds"}
    )
    try:
        result = job.wait(progress=True if sys.stderr.isatty() else Log())
    except Stop:
        with contextlib.suppress(WdistError):
            job.cancel()
        raise
    report(result, source, target)


def run(port: int, once: bool, started: float) -> None:
    check_port(port)
    check_disk()
    server = Server(port)
    keep_log = False
    try:
        print(f"Starting a server on {server.url} ...", flush=True)
        server.start()
        with Client(server.url) as client:
            compare(client)
        print(f"\nDone {time.monotonic() - started:.0f} s after the start.")
        if (data := server.data()) is not None:
            print(f"Sets and results are kept in {data}")
            print(f"  to delete them, when the server has stopped: rm -r {shlex.quote(data)}")
            print("  to keep them elsewhere: WDIST_SERVER_DATA=/a/folder make run")
        if not once:
            print(f"The server stays up: open {server.url} in a browser (its API: {server.url}/docs).")
            print("Ctrl-C stops it.", flush=True)
            while True:
                signal.pause()
    except Exception:
        keep_log = True
        raise
    finally:
        server.stop()
        if not keep_log:
            server.log.unlink(missing_ok=True)


def raise_stop(*_: object) -> NoReturn:
    raise Stop


def main() -> int:
    started = time.monotonic()
    parser = argparse.ArgumentParser(description="Compare two cuts of diamonds on a server of your own.")
    parser.add_argument("--once", action="store_true", help="stop after the result")
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT") or 8000), help="where to listen (8000)")
    arguments = parser.parse_args()
    for order in STOPS:
        signal.signal(order, raise_stop)
    try:
        run(arguments.port, arguments.once, started)
        return 0
    except Stop:
        print("\nStopped.", file=sys.stderr)
        return 0
    except AuthenticationError:
        message = (
            "The server's data directory has keys: set WDIST_API_KEY to one, or WDIST_SERVER_DATA to a new directory."
        )
    except APIStatusError as error:
        message = f"The server refused: {error}"
    except (Trouble, WdistError) as error:
        message = str(error)
    except OSError as error:
        message = (
            f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}. Mend that and try again."
        )
    print(f"\n{message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
