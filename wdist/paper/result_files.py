"""What every experiment records beside its figures (code, machine, date), and files that are replaced atomically."""

from __future__ import annotations

import hashlib
import json
import platform
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from wdist import __version__
from wdist.device import is_accelerator, name_of
from wdist.errors import OptionError
from wdist.files.durable import replace_file
from wdist.training.checkpoint import read_checkpoint


def provenance(device: str = "cpu") -> dict[str, str]:
    """Code, machine and date (UTC, YYYY-MM-DD) of a run on a device.

    `source` distinguishes versions of the code between releases: two runs with the same digest ran the same code.
    """
    return {
        "version": __version__,
        "source": SOURCE,
        "machine": machine(device),
        "date": datetime.now(UTC).date().isoformat(),
    }


def _source_digest() -> str:
    """First 12 hexadecimal digits of the SHA-256 of the package's modules, in the order of their paths."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


SOURCE = _source_digest()  # when the code is loaded: the files may change while it runs


def machine(device: str = "cpu") -> str:
    """What a run was measured on: processor or GPU, threads, versions."""
    where = name_of(found) if is_accelerator(found := torch.device(device)) else _processor()
    return f"{where}, {torch.get_num_threads()} threads, Python {platform.python_version()}, torch {torch.__version__}"


def _processor() -> str:
    """The processor's name where Linux tells it, else its kind."""
    try:
        names = re.findall(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    except OSError:  # not Linux, or no /proc
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def write_figures(path: Path, figures: dict[str, Any]) -> None:
    """One result file, replaced as a whole."""
    replace_file(path, (json.dumps(figures, indent=1, allow_nan=False) + "\n").encode())


def make_folder(path: Path) -> None:
    """Create the folder of results if needed. Raises OptionError if that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"{path} cannot be a folder of results: {error.strerror}; name another one") from error


def checkpoint_to_go_on_from(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """Read a checkpoint; None if there is none. Raises OptionError if it is damaged: it may hold hours of work."""
    found = read_checkpoint(path)
    if found is None and path.exists():
        raise OptionError(f"{path} is damaged or of another version: remove it to begin again, or restore it")
    return found
