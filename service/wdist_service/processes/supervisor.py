"""`wdist serve`: one API process and some workers on one machine, restarted when they die."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from typing import IO, Any

from wdist_service.lifetime import PARENT_VARIABLE, StopRequest
from wdist_service.processes.heartbeat import HEARTBEAT_VARIABLE, Heartbeat
from wdist_service.settings import Settings
from wdist_service.storage.durable import make_folder

EX_CONFIG = 78  # do not restart a child that exits with this
_EX_UNAVAILABLE = 69
_EX_CANTCREAT = 73
_STOP_SECONDS = 3.5  # from the end of stop_seconds to SIGKILL
_BIND_SECONDS = 2.0
_MIN_DISK_BYTES = 32 << 20


class StartError(Exception):
    """The server cannot start. The message says why and what to do; `code` is the exit status."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Child:
    """A child process: restarted when it ends, after a growing pause if it ends early, and killed when it is frozen."""

    def __init__(self, name: str, command: list[str], settings: Settings, descriptors: list[int]) -> None:
        self.name = name
        self._command = command
        self._descriptors = descriptors
        self._environment = os.environ | settings.environment() | {PARENT_VARIABLE: str(os.getpid())}
        self._frozen_seconds = settings.frozen_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._heartbeat: Heartbeat | None = None
        self._started = 0.0
        self._pause = 0.0
        self._not_before = 0.0

    def tend(self) -> int | None:
        """Start it if it is not running. Returns EX_CONFIG if it exited with that: starting it again is useless."""
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                self._end_if_frozen(self._process)
                return None
            if code == EX_CONFIG:
                return code
            lived = time.monotonic() - self._started
            self._pause = 0.0 if lived > 10 else min(5.0, max(0.25, self._pause * 2))
            sys.stderr.write(f"wdist: the {self.name} process ended ({code}); starting it again\n")
            self._process, self._not_before = None, time.monotonic() + self._pause
        if time.monotonic() >= self._not_before:
            self._start()
        return None

    def _start(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.close()
        self._heartbeat = Heartbeat()
        # A process group of its own: Ctrl-C reaches the supervisor alone, which stops its children in order.
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            self._command,
            env=self._environment | {HEARTBEAT_VARIABLE: str(self._heartbeat.descriptor)},
            pass_fds=[*self._descriptors, self._heartbeat.descriptor],
            process_group=0,
        )
        self._started = time.monotonic()

    def _end_if_frozen(self, process: subprocess.Popen[bytes]) -> None:
        if self._heartbeat is not None and 0 < self._frozen_seconds < self._heartbeat.silence():
            sys.stderr.write(
                f"wdist: the {self.name} process has not moved for {self._frozen_seconds:g} s; ending it\n"
            )
            process.kill()
            process.wait()

    def terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def wait(self, deadline: float) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(max(0.05, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def serve(settings: Settings) -> int:
    """Run until SIGTERM or Ctrl-C; returns the exit status. Raises StartError."""
    check_exposure(settings)
    lock = prepare_data(settings)
    listener = listen(settings)
    address = _address(settings, listener)
    module = [sys.executable, "-P", "-m"]  # -P: do not import a folder named wdist in the working directory
    api = Child("API", [*module, "wdist_service.processes.api", str(listener.fileno())], settings, [listener.fileno()])
    workers = [
        Child("worker", [*module, "wdist_service", "worker"], settings, []) for _ in range(settings.workers)
    ]  # fmt: skip
    stop, stopping = StopRequest(), threading.Event()
    threading.Thread(target=_announce, args=(address, settings, stopping), daemon=True).start()
    code = 0
    while not stop.has_come and code == 0:
        code = next((status for child in [*workers, api] if (status := child.tend()) is not None), 0)
        time.sleep(0.1)
    stopping.set()
    _stop([api, *workers], settings.stop_seconds + _STOP_SECONDS)
    lock.close()
    return code


def _stop(children: list[Child], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for child in children:
        child.terminate()
    for child in children:
        child.wait(deadline)


def prepare_data(settings: Settings) -> IO[str]:
    """Create the data directory and lock it for this server."""
    try:
        make_folder(settings.data)
        lock = (settings.data / "serve.lock").open("w")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise StartError(
            f"cannot use the data directory {settings.data}: {reason}; choose another with --data", _EX_CANTCREAT
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise StartError(
            f"another wdist server runs on {settings.data}; stop it, or choose another directory with --data",
            _EX_UNAVAILABLE,
        ) from None
    free = shutil.disk_usage(settings.data).free
    if free < max(_MIN_DISK_BYTES, settings.min_free_bytes):
        raise StartError(
            f"only {free:,} bytes are free in {settings.data}; free some space, or choose another disk with --data",
            _EX_CANTCREAT,
        )
    return lock


def check_exposure(settings: Settings) -> None:
    """Refuse to listen beyond this machine while there is no API key; creates no files."""
    if settings.is_loopback or settings.bootstrap_key_file is not None:
        return
    from wdist_service.installation import start_errors
    from wdist_service.keys.service import has_any

    with start_errors(settings):
        is_guarded = has_any(settings)
    if not is_guarded:
        raise StartError(
            f"refusing to listen on {settings.host} without an API key: anyone could use this server. Make one first "
            f"with `wdist keys create --role admin --data {settings.data}`, or set WDIST_SERVER_BOOTSTRAP_KEY_FILE",
            EX_CONFIG,
        )


def listen(settings: Settings) -> socket.socket:
    """A listening socket, opened here so that it outlives restarts of the API process."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind(listener, address)
        listener.listen(2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = "it is taken; stop what runs there, or choose another with --port (0: any free one)"
        else:
            reason = str(error.strerror)
        raise StartError(f"cannot listen on {settings.host} port {settings.port}: {reason}", _EX_UNAVAILABLE) from None
    listener.set_inheritable(True)
    return listener


def _bind(listener: socket.socket, address: Any) -> None:
    """Bind; retry a taken address for 2 s, as the API process of a server that was just killed may still hold it."""
    deadline = time.monotonic() + _BIND_SECONDS
    while True:
        try:
            return listener.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _address(settings: Settings, listener: socket.socket) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{listener.getsockname()[1]}"


def _announce(address: str, settings: Settings, stopping: threading.Event) -> None:
    """Print the server's address once it answers."""
    probe = address.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")  # noqa: S104
    while not stopping.wait(0.05):
        try:
            with urllib.request.urlopen(f"{probe}/livez", timeout=2):  # noqa: S310 - our own address
                break
        except (urllib.error.URLError, OSError):
            continue
    else:
        return
    sys.stdout.write(f"wdist is ready at {address} (data in {settings.data}); Ctrl-C stops it\n")
    sys.stdout.flush()
