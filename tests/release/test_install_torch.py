"""Where `make run` and `make setup` take torch from."""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tools.install_torch import CONSTRAINTS, CPU, index_for

TOOL = Path(__file__).resolve().parents[2] / "tools/install_torch.py"
MIRROR = "https://mirror.example/simple"


@pytest.mark.parametrize(
    ("index", "environment", "settings", "system", "has_card"),
    [
        (CPU, {}, "", "Linux", False),
        (CPU, {}, "global.timeout='60'\n:env:.cert='/etc/index-url.pem'", "Linux", False),
        (None, {}, "", "Linux", True),
        (None, {}, "", "Darwin", False),
        (None, {}, f"global.index-url='{MIRROR}'", "Linux", False),
        (None, {}, f"install.extra-index-url='{MIRROR}'", "Linux", False),
        (None, {}, f":env:.index-url='{MIRROR}'", "Linux", False),
        (None, {}, ":env:.find-links='/wheels'", "Linux", False),
        (MIRROR, {"TORCH_INDEX_URL": MIRROR}, ":env:.find-links='/wheels'", "Linux", True),
        (None, {"TORCH_INDEX_URL": ""}, "", "Linux", False),
    ],
)
def test_a_choice_counts_first_then_pip_s_settings_then_the_machine(
    index: str | None, environment: dict[str, str], settings: str, system: str, has_card: bool
) -> None:
    assert index_for(environment, settings, system=system, has_card=has_card) == index


def test_torch_comes_from_the_index_that_was_named(tmp_path: Path) -> None:
    version = next(line for line in CONSTRAINTS.read_text().splitlines() if line.startswith("torch==")).split("==")[1]
    wheel = write_wheel(tmp_path / "index/torch", f"{version}+cpu")
    (wheel.parent / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    handler = functools.partial(SimpleHTTPRequestHandler, directory=tmp_path / "index")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        environment |= {"PIP_CONFIG_FILE": os.devnull, "TORCH_INDEX_URL": f"http://127.0.0.1:{server.server_port}"}
        pip = [sys.executable, "-m", "pip", "-q", "install", "--target", tmp_path / "site"]
        subprocess.run([sys.executable, TOOL, *pip], env=environment, check=True, timeout=100)
        server.shutdown()
    assert (tmp_path / f"site/torch-{version}+cpu.dist-info").is_dir()


def write_wheel(folder: Path, version: str) -> Path:
    """The smallest wheel of something called torch."""
    info = f"torch-{version}.dist-info"
    files = {
        "torch/__init__.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},\n"
        for name, text in files.items()
    )
    folder.mkdir(parents=True)
    wheel = folder / f"torch-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(name, text)
    return wheel
