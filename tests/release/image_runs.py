"""Built images as running processes, where buildah is the only engine: its root file system, entered by chroot."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import stat
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENVIRONMENT = os.environ | {"BUILDAH_ISOLATION": "chroot"}


def buildah(*words: str, seconds: float = 1_800) -> str:
    done = subprocess.run(
        ["buildah", *words], env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=seconds
    )
    assert done.returncode == 0, f"{shlex.join(['buildah', *words])}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout.strip()


@dataclass(frozen=True)
class Image:
    """A built image: its root file system, which nobody may change, its configuration, and its layers' digests."""

    root: Path
    config: dict[str, Any]
    layers: list[str]

    def size(self) -> int:
        """Bytes of its files, as `docker image ls` counts them."""
        files = (Path(folder, name).lstat() for folder, _, names in os.walk(self.root) for name in names)
        return sum(file.st_size for file in files if stat.S_ISREG(file.st_mode))

    @contextmanager
    def running(
        self,
        arguments: Sequence[str] | None = None,
        *,
        data: Path,
        environment: Mapping[str, str] | None = None,
        files: Mapping[str, Path] | None = None,
        user: str | None = None,
        log: Path,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """ENTRYPOINT and CMD, or other arguments, on a read-only root, with /data and an empty /tmp, as its user."""
        words = [*self.config["Entrypoint"], *(self.config["Cmd"] if arguments is None else arguments)]
        with log.open("ab") as output:
            process = self._start(words, data, environment or {}, files or {}, user, output)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def run(self, words: Sequence[str], *, data: Path, user: str | None = None) -> subprocess.CompletedProcess[bytes]:
        """Another program in the image, to its end."""
        process = self._start(words, data, {}, {}, user, subprocess.PIPE)
        output, _ = process.communicate(timeout=120)
        return subprocess.CompletedProcess(list(words), process.returncode, output)

    def _start(
        self,
        words: Sequence[str],
        data: Path,
        environment: Mapping[str, str],
        files: Mapping[str, Path],
        user: str | None,
        output: Any,
    ) -> subprocess.Popen[bytes]:
        own = dict(line.split("=", 1) for line in self.config["Env"]) | dict(environment)
        root = shlex.quote(str(self.root))
        steps = [f"mount --bind {root} {root}", f"mount --bind {shlex.quote(str(data))} {root}/data"]
        steps += [f"mount -t tmpfs none {root}/tmp", f"mount -t tmpfs none {root}/run", f"mount --bind /dev {root}/dev"]
        steps += [f"mount -t proc proc {root}/proc", f"chmod 1777 {root}/tmp"]
        for inside, outside in files.items():
            steps += [f"touch {root}{inside}", f"mount --bind {shlex.quote(str(outside))} {root}{inside}"]
        steps += [f"mount -o remount,ro,bind {root} {root}"]
        variables = shlex.join(["env", "-i", *(f"{name}={value}" for name, value in own.items())])
        enter = f"exec chroot --userspec={user or self.config['User']} --groups= {root} {variables} {shlex.join(words)}"
        script = " && ".join([*steps, enter])
        return subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script], stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )


@contextmanager
def opened(name: str) -> Iterator[Image]:
    """A built image by its name."""
    container = buildah("from", "--pull-never", name)
    try:
        root = Path(buildah("mount", container))
        described = json.loads(buildah("inspect", "--type", "image", name))["Docker"]
        yield Image(root, described["config"], described["rootfs"]["diff_ids"])
    finally:
        buildah("rm", container)


def wait_until_ready(port: int, process: subprocess.Popen[bytes], log: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=4).close()
            return
        is_waiting = process.poll() is None and time.monotonic() < deadline
        assert is_waiting, log.read_text()[-3000:]
        time.sleep(0.2)


def terminate(process: subprocess.Popen[bytes], seconds: float = 30) -> int:
    """What the engine does on `stop`: SIGTERM to the first process. Its exit status."""
    process.send_signal(signal.SIGTERM)
    return process.wait(seconds)
