"""`wdist doctor`: what this machine has, whether anything is wrong, and how quick it is."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from wdist.cli.arguments import AsJson, Switch
from wdist.cli.output import EX_NO, say
from wdist_service.commands.serve import DatabaseUrl, DataFolder

if TYPE_CHECKING:
    from wdist_service.commands.stored import State
    from wdist_service.settings import Settings

PACKAGES = ("wdist", "torch", "numpy", "scipy", "POT", "safetensors", "pydantic")
OF_THE_SERVER = ("fastapi", "uvicorn", "sqlalchemy", "dbos")
LITTLE_SPACE = 2 << 30  # room for a few uploads and the database's log
ROWS, COLUMNS, STEPS = 2000, 16, 200


@dataclass(frozen=True)
class Finding:
    """One line of the report: `warn` is worth knowing, `fail` means that something does not work."""

    state: State
    what: str
    found: str


def doctor(
    *,
    data: DataFolder = None,
    database_url: DatabaseUrl = None,
    deep: Annotated[
        Switch, Parameter(help="read all stored files through and name those that are damaged or missing")
    ] = False,
    adopt_storage: Annotated[
        Switch,
        Parameter(help="bind database and storage to each other as they are, where what belonged to one is lost"),
    ] = False,
    as_json: Annotated[AsJson, Parameter(help="print the findings as JSON")] = False,
) -> int:
    """Report what is found, line by line; returns 1 when something failed.

    With --deep or --adopt-storage, the report is of the server's data alone.
    """
    findings = []
    disk = partial(_disk, data, database_url, deep=deep, adopt=adopt_storage)
    checks = (disk,) if deep or adopt_storage else (_python, _versions, _device, disk, _server, _speed)
    for check in checks:
        for finding in _carefully(check):
            findings.append(finding)
            if not as_json:
                say(f"{finding.state:<5} {finding.what:<10} {finding.found}")
                sys.stdout.flush()
    if as_json:
        say(json.dumps([asdict(finding) for finding in findings], indent=2))
    return EX_NO if any(finding.state == "fail" for finding in findings) else 0


def _carefully(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Run a check; one that raises is a finding too."""
    try:
        yield from check()
    except Exception as error:
        name = getattr(check, "func", check).__name__.strip("_")
        yield Finding("fail", name, f"{type(error).__name__}: {error}")


def _python() -> Iterator[Finding]:
    yield Finding("ok", "python", f"{platform.python_version()} in {sys.prefix}")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield Finding(
        "ok", "machine", f"{platform.system()} {platform.machine()}, {_cores()} cores, {memory:.0f} GiB memory"
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _versions() -> Iterator[Finding]:
    from importlib.metadata import PackageNotFoundError, version

    from wdist.definitions.installing import install_client, pip_install

    found, missing = [], set()
    for package in (*PACKAGES, *OF_THE_SERVER, "wdist-client", *(optional := _optional())):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.add(package)
    yield Finding("ok", "versions", ", ".join(found))
    if lost := [package for package in PACKAGES if package in missing]:
        yield Finding("warn", "missing", f"{', '.join(lost)}: {pip_install(*lost)}")
    if "wdist-client" in missing:
        yield Finding("warn", "missing", f"wdist remote needs the client: {install_client()}")
    for package in optional:
        if package in missing:
            yield Finding("warn", "missing", f"{optional[package]} need {package}: {pip_install(package)}")


def _optional() -> dict[str, str]:
    """Packages that only some uses need, and those uses."""
    from wdist.data.readers.registry import FORMATS

    uses: dict[str, list[str]] = {}
    for kind in FORMATS.values():
        if kind.needs is not None:
            uses.setdefault(kind.needs, []).append(kind.help or kind.title)
    return {"matplotlib": "plots", **{package: f"files as {' and '.join(kinds)}" for package, kinds in uses.items()}}


def _device() -> Iterator[Finding]:
    import torch

    from wdist import device

    if not device.is_there():
        yield Finding("ok", "device", f"CPU, {torch.get_num_threads()} threads; no CUDA device")
        if torch.version.cuda is None and shutil.which("nvidia-smi"):
            text = "this machine has an NVIDIA driver, but this torch is built without CUDA: see docs/guides/gpu.md"
            yield Finding("warn", "device", text)
    for line in device.described():
        yield Finding("ok", "device", line)


def _disk(data: Path | None, database_url: str | None, *, deep: bool, adopt: bool) -> Iterator[Finding]:
    try:
        from wdist_service.settings import SettingsError, load
    except ModuleNotFoundError:
        from wdist.definitions.installing import install_extra

        yield Finding("warn", "server", f"wdist serve needs the server: {install_extra('server')}")
        return
    try:
        settings = load(data=data, database_url=database_url)
    except SettingsError as error:
        yield Finding("fail", "settings", str(error))
        return
    yield from _space(settings)
    from wdist_service.commands.stored import examine

    for state, what, found in examine(settings, deep=deep, adopt=adopt):
        yield Finding(state, what, found)


def _space(settings: Settings) -> Iterator[Finding]:
    folder: Path = settings.data
    while not folder.exists():  # the server creates it when it starts
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**30:.1f} GiB free for the server's data in {settings.data}"
    if not os.access(folder, os.W_OK):
        yield Finding("fail", "disk", f"{folder} cannot be written; choose another with WDIST_SERVER_DATA")
    elif free < settings.min_free_bytes:
        yield Finding("fail", "disk", f"{text}; uploads are refused below {settings.min_free_bytes >> 20} MiB")
    else:
        yield Finding("warn" if free < LITTLE_SPACE else "ok", "disk", text)


def _server() -> Iterator[Finding]:
    """Whether a server answers; it is fine if none runs."""
    import urllib.error
    import urllib.request

    address = os.environ.get("WDIST_BASE_URL") or "http://127.0.0.1:8000"
    try:
        with urllib.request.urlopen(f"{address}/version", timeout=3) as answer:  # noqa: S310 - the user's own address
            version = json.load(answer)
        yield Finding("ok", "server", f"wdist {version.get('version')} at {address}")
    except urllib.error.HTTPError as error:
        yield Finding("warn", "server", f"{address} answers with status {error.code}")
    except (OSError, ValueError):
        yield Finding("ok", "server", f"none at {address}; `wdist serve` starts one")


def _speed() -> Iterator[Finding]:
    """Train a critic on two sets whose distance is 1, and check that the bound is not above it."""
    import numpy as np

    from wdist.estimate import estimate_w1

    rows = np.random.default_rng(0).normal(size=(2, ROWS, COLUMNS)).astype(np.float32)
    rows[1, :, 0] += 1
    started = time.perf_counter()
    # At this confidence the bound exceeds 1 once in a million runs; if it does, something is wrong with the machine.
    result = estimate_w1(*rows, critic="groupsort", steps=STEPS, baseline_rows=0, confidence=1 - 1e-6)
    seconds = time.perf_counter() - started
    text = (
        f"{STEPS / seconds:.0f} steps a second on {result.device} (GroupSort, {COLUMNS} columns); "
        f"of a distance of 1 it shows {result.lower_bound:.2f}"
    )
    yield Finding("ok" if 0 < result.lower_bound <= 1 else "fail", "speed", text)
