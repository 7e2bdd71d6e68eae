"""A receiver of webhooks as a process of its own, which behaves as the path of the URL says, well or badly."""

from __future__ import annotations

import itertools
import json
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

_GIGABYTE = 1 << 30


class Receiver:
    """Listens on `host` and notes every request; used in `with`, it leaves nothing running.

    Paths: /ok · /status/N · /fails/N (503 to the first N requests) · /busy/S (503 and Retry-After) · /redirect ·
    /slow/S · /never · /drip (one byte of a head at a time) · /informational (1xx without end) · /head (a head without
    end) · /gigabyte · /garbage · /close · /reset · /early (answers 413 and reads no body) · /upgrade (101) · /frames
    (of HTTP/2) · /patience (100 without end) · /chunks (bad ones) · /short (a body that ends early).

    certificate: files of a certificate and its key, for TLS.
    """

    def __init__(
        self, folder: Path, certificate: tuple[Path, Path] | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._notes = folder / "requests.jsonl"
        self._arguments = [str(self._notes), host, str(port), *(str(file) for file in certificate or ())]
        self._scheme = "http" if certificate is None else "https"
        self.port = port
        self._process: subprocess.Popen[str] | None = None

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"{self._scheme}://{host}:{self.port}{path}"

    def requests(self, path: str | None = None) -> list[dict[str, Any]]:
        """The requests so far, with path, headers (lower case) and body; those to one path if it is given."""
        if not self._notes.exists():
            return []
        lines = self._notes.read_text().splitlines()
        return [each for each in map(json.loads, lines) if path is None or each["path"] == path]

    def until(self, path: str, count: int = 1, seconds: float = 30) -> list[dict[str, Any]]:
        """Wait for that many requests to a path."""
        deadline = time.monotonic() + seconds
        while len(found := self.requests(path)) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} requests to {path} came: {self.requests()}"
            time.sleep(0.05)
        return found

    def start(self) -> Self:
        command = [sys.executable, __file__, *self._arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self._arguments[2] = str(self.port)
        return self

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def self_signed(folder: Path, name: str, *, is_expired: bool = False) -> tuple[Path, Path]:
    """A certificate that signs itself, for one name, and its key."""
    if (program := shutil.which("openssl")) is None:
        pytest.skip("no openssl on this machine; apt-get install openssl")
    files = folder / "certificate.pem", folder / "key.pem"
    command = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=receiver", "-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run([*command, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
    if is_expired:  # `req` makes none that has
        again = [program, "x509", "-in", files[0], "-signkey", files[1], "-days", "-1", "-out", files[0]]
        subprocess.run(again, check=True, capture_output=True)
    return files


class _Handler(BaseHTTPRequestHandler):
    notes: Path
    counts: dict[str, Any] = {}  # noqa: RUF012 - of the process

    def do_POST(self) -> None:
        if self.path == "/early":
            self._answer(413)
            time.sleep(600)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.notes.open("a") as notes:
            notes.write(json.dumps({"path": self.path, "headers": headers, "body": body}) + "\n")
        what, _, number = self.path.partition("?")[0].strip("/").partition("/")
        try:
            getattr(self, f"_{what}")(number)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(f"{status} <script>".encode() + b"\x1b[31m" + b"x" * 2000)

    def _ok(self, _: str) -> None:
        self._answer(204)

    def _status(self, status: str) -> None:
        self._answer(int(status))

    def _fails(self, times: str) -> None:
        count = self.counts.setdefault(self.path, itertools.count())
        self._answer(503 if next(count) < int(times) else 200)

    def _busy(self, seconds: str) -> None:
        self._answer(503, Retry_After=seconds)

    def _redirect(self, _: str) -> None:
        self._answer(307, Location="/ok")

    def _slow(self, seconds: str) -> None:
        time.sleep(float(seconds))
        self._answer(200)

    def _never(self, _: str) -> None:
        time.sleep(600)

    def _drip(self, _: str) -> None:
        self._forever(b"H", b"T", b"T", b"P", pause=0.2)

    def _informational(self, _: str) -> None:
        self._forever(b"HTTP/1.1 103 Early Hints\r\n\r\n")

    def _head(self, _: str) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        self._forever(b"X-More: " + b"x" * 1000 + b"\r\n")

    def _forever(self, *parts: bytes, pause: float = 0.0) -> None:
        for part in itertools.cycle(parts):
            self.wfile.write(part)
            time.sleep(pause)

    def _gigabyte(self, _: str) -> None:
        self.send_response(200)
        self.end_headers()
        for _block in range(_GIGABYTE >> 20):
            self.wfile.write(b"x" * (1 << 20))

    def _garbage(self, _: str) -> None:
        self.wfile.write(b"220 mail.example.org ESMTP\r\n")

    def _close(self, _: str) -> None:
        self.close_connection = True

    def _reset(self, _: str) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        raise ConnectionResetError

    def _upgrade(self, _: str) -> None:
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")

    def _frames(self, _: str) -> None:
        self.wfile.write(bytes.fromhex("000000040000000000"))

    def _patience(self, _: str) -> None:
        self._forever(b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.2)

    def _chunks(self, _: str) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!!\r\n")

    def _short(self, _: str) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")

    def log_message(self, *_: Any) -> None:
        """Nothing: tests read the notes."""


def main(notes: str, host: str, port: str, *certificate: str) -> None:
    _Handler.notes = Path(notes)
    server = ThreadingHTTPServer((host, int(port)), _Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
