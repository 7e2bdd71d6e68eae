"""An S3-compatible server for a test session: moto's, in a process of its own, with one bucket for each who asks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from server_process import free_port


@dataclass(frozen=True)
class S3Server:
    """A running server; anyone may do anything there."""

    endpoint: str
    pid: int

    def freeze(self) -> None:
        """Answer nobody, as a host behind a broken line."""
        os.kill(self.pid, signal.SIGSTOP)

    def wake(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def settings(self, bucket: str | None = None) -> dict[str, str]:
        """Settings of a server whose blobs lie in a bucket of this one, by default a new one."""
        if bucket is None:
            bucket = f"test-{uuid.uuid4().hex}"
            request = urllib.request.Request(f"{self.endpoint}/{bucket}", method="PUT")
            with urllib.request.urlopen(request, timeout=10):
                pass
        return {
            "storage_url": f"s3://{bucket}/wdist",
            "storage_endpoint": self.endpoint,
            "storage_access_key": "test",
            "storage_secret_key": "test",
        }


@contextmanager
def s3() -> Iterator[S3Server]:
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
                    break
            except (urllib.error.URLError, OSError):
                assert server.poll() is None, "moto does not start"
                assert time.monotonic() < deadline, "moto does not answer"
                time.sleep(0.1)
        yield S3Server(f"http://127.0.0.1:{port}", server.pid)
    finally:
        server.kill()
        server.wait()
