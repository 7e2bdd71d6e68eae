"""A real nginx or Caddy with the configuration that docs/guides/proxy.md shows, in front of a server of the tests."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from server_process import ServerProcess, free_port

GUIDE = Path(__file__).resolve().parents[1] / "docs/guides/proxy.md"
PREFIX = "/wdist"
# Who may read a file of root's: nginx's worker is somebody else unless told.
_NGINX = """daemon off;
{user}
error_log stderr;
pid {folder}/pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {site}
}}
"""
_CADDY = "{{\n    admin off\n}}\n{site}\n"


class ProxyProcess:
    """A proxy of this kind that serves the port `behind` under /wdist; used in `with`, it leaves nothing running."""

    def __init__(self, kind: str, behind: int, folder: Path) -> None:
        program = shutil.which(kind, path=os.environ["PATH"] + ":/usr/sbin")
        if program is None:
            pytest.skip(f"no {kind} on this machine; apt-get install {kind}")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}{PREFIX}"
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / f"{kind}.log"
        file = folder / f"{kind}.conf"
        if kind == "nginx":
            user = "user root;" if os.geteuid() == 0 else ""
            file.write_text(_NGINX.format(user=user, folder=folder, site=self._nginx(behind)))
            self._command = [program, "-c", str(file), "-p", str(folder)]
        else:
            file.write_text(_CADDY.format(site=self._caddy(behind)))
            self._command = [program, "run", "--config", str(file), "--adapter", "caddyfile"]

    def _nginx(self, behind: int) -> str:
        """The guide's, at another port and without its certificate."""
        (site,) = re.findall(r"^```nginx\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
        site = re.sub(r"^ *ssl_.*\n", "", site, flags=re.MULTILINE)
        return _replaced(site, ("listen 443 ssl", f"listen 127.0.0.1:{self.port}"), ("127.0.0.1:8000", _at(behind)))

    def _caddy(self, behind: int) -> str:
        (site,) = re.findall(r"^```text\n(wdist.example.org \{.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
        return _replaced(
            site, ("wdist.example.org {", f"http://127.0.0.1:{self.port} {{"), ("127.0.0.1:8000", _at(behind))
        )

    def __enter__(self) -> Self:
        environment = {
            **os.environ,
            "HOME": str(self._folder),
            "XDG_DATA_HOME": str(self._folder),
            "XDG_CONFIG_HOME": str(self._folder),
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self._end()
                    raise AssertionError(f"the proxy does not answer:\n{self._log.read_text()[-2000:]}") from None
                time.sleep(0.05)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _at(port: int) -> str:
    return f"127.0.0.1:{port}"


def _replaced(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert text.count(old) == 1, f"{old!r} is not in the guide's configuration as the tests know it"
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module", params=["nginx", pytest.param("caddy", marks=pytest.mark.slow)])
def behind_proxy(
    request: pytest.FixtureRequest, behind: ServerProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of each proxy in front of the server that the module has `behind` it: what clients are given."""
    with ProxyProcess(request.param, behind.port, tmp_path_factory.mktemp(request.param)) as proxy:
        yield proxy.url
