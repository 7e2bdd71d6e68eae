"""A network of its own, in which names resolve to what a test needs. Run by test_webhook_names.py under `unshare`.

It has a public address, a name server, and a receiver on the public address and one on 127.0.0.1. Prints as JSON what
became of a request to each name.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from webhook_receiver import Receiver

from wdist_service.webhooks.sending import SendingError, post

PUBLIC, PORT = "93.184.215.14", 8443
_A, _AAAA = 1, 28
_ASKED: Counter[str] = Counter()  # queries for A, by name


def _addresses(name: str, kind: int) -> list[str] | None:
    """The answer of the name server; None: it says nothing."""
    if name.startswith("silent"):
        return None
    if kind == _AAAA:
        return ["::ffff:127.0.0.1"] if name.startswith("mapped") else []
    _ASKED[name] += 1
    return {
        "rebinding": [PUBLIC if _ASKED[name] == 1 else "127.0.0.1"],
        "both": ["127.0.0.1", PUBLIC],
        "loopback": ["127.0.0.1"],
        "private": ["10.0.0.1"],
        "metadata": ["169.254.169.254"],
        "other": [PUBLIC],
    }.get(name.partition(".")[0], [])


def serve_names() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 53))
        while True:
            query, sender = server.recvfrom(512)
            end = query.index(b"\0", 12)
            labels, place = [], 12
            while place < end:
                labels.append(query[place + 1 : place + 1 + query[place]].decode())
                place += 1 + query[place]
            (kind,) = struct.unpack("!H", query[end + 1 : end + 3])
            found = _addresses(".".join(labels).lower(), kind)
            if found is None:
                continue
            family = socket.AF_INET if kind == _A else socket.AF_INET6
            packed = [socket.inet_pton(family, address) for address in found]
            answers = [struct.pack("!HHHIH", 0xC00C, kind, 1, 0, len(each)) + each for each in packed]
            head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, len(answers), 0, 0)
            server.sendto(head + query[12 : end + 5] + b"".join(answers), sender)


def main(folder: Path, certificate: Path, key: Path) -> None:
    resolver = folder / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:30\n")
    for command in (
        ["mount", "--bind", str(resolver), "/etc/resolv.conf"],
        ["ip", "link", "set", "lo", "up"],
        ["ip", "address", "add", f"{PUBLIC}/32", "dev", "lo"],
    ):
        subprocess.run(command, check=True)
    threading.Thread(target=serve_names, daemon=True).start()
    outcomes = {}
    for place in ("public", "own"):
        (folder / place).mkdir()
    with (
        Receiver(folder / "public", (certificate, key), PUBLIC, PORT) as public,
        Receiver(folder / "own", (certificate, key), "127.0.0.1", PORT) as own,
    ):
        for name in ("rebinding", "both", "loopback", "private", "metadata", "mapped", "silent", "unknown"):
            started = time.monotonic()
            try:
                outcome = str(post(f"https://{name}.example.test:{PORT}/ok", [], {}, b"{}", 2.0).status)
            except SendingError as error:
                outcome = str(error)
            outcomes[name] = {"outcome": outcome, "seconds": time.monotonic() - started}
        counts = {"public": len(public.requests()), "own": len(own.requests())}
    sys.stdout.write(json.dumps({"outcomes": outcomes, "asked": _ASKED, "requests": counts}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
