"""Installs the torch of constraints.txt for the Makefile: the CPU build on Linux where nothing speaks for another one.

    .venv/bin/python tools/install_torch.py .venv/bin/python -m pip install --no-input ...

PyPI's torch for Linux brings CUDA: 2.7 GB to download instead of 0.2 GB. TORCH_INDEX_URL names another index, as for
the Dockerfile; empty, it leaves the choice to pip.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
CPU = "https://download.pytorch.org/whl/cpu"
# What tells pip where packages are, in a file or the environment: a mirror, whose torch its owner has chosen.
PLACES = re.compile(r"\.(index-url|extra-index-url|find-links|no-index)=", re.MULTILINE)


def index_for(environment: Mapping[str, str], pip_settings: str, *, system: str, has_card: bool) -> str | None:
    """The index to take torch from; None leaves it to pip, which knows its settings or else asks PyPI.

    Args:
        environment: of the process, where TORCH_INDEX_URL is the user's choice.
        pip_settings: what `pip config list` prints.
        system: as `platform.system` names it. Only for Linux does PyPI's torch bring CUDA.
        has_card: whether there is an NVIDIA driver.
    """
    if (chosen := environment.get("TORCH_INDEX_URL")) is not None:
        return chosen or None
    return CPU if system == "Linux" and not has_card and not PLACES.search(pip_settings) else None


def main(install: list[str]) -> int:
    """Run the given `pip install` for torch; returns its exit status."""
    settings = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    has_card = shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists()
    index = index_for(os.environ, settings, system=platform.system(), has_card=has_card)
    if index is not None:
        is_choice = "TORCH_INDEX_URL" in os.environ
        pin = next(line for line in CONSTRAINTS.read_text().splitlines() if line.startswith("torch=="))
        # What torch needs comes with the rest, from the usual index: this one has few versions of it.
        quick = [] if is_choice else ["--retries", "1", "--timeout", "15"]
        command = [*install, "--no-deps", "--index-url", index, *quick, pin]
        status = subprocess.run(command, check=False).returncode  # noqa: S603 - the Makefile's pip
        if status == 0 or is_choice:
            return status
        sys.stderr.write(
            f"{index} did not give torch: taking the one of your package index. For Linux, PyPI's brings CUDA: 2.7 GB\n"
            "to download, 4.8 GB on the disk. Ctrl-C stops this; TORCH_INDEX_URL=https://... names another index.\n"
        )
    command = [*install, "--constraint", str(CONSTRAINTS), "torch"]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - the Makefile's pip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
