"""The power fails: every later start works, and nothing that was acknowledged is lost.

Files as a disk without power has them come from `synced_disk.py`, for a cut at any moment of a first start or of an
upload and its estimate. With root's rights, a real file system is cut off under load as well.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import random
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_process import paths_below
from service_process import Server, normal, npy
from sqlalchemy import select
from synced_disk import SyncedDisk

from wdist_service.app import build_services
from wdist_service.http.dependencies import Services
from wdist_service.keys.service import Keys
from wdist_service.queue.dispatch import Queue
from wdist_service.settings import load
from wdist_service.tables import Artifact, Estimate, SampleSet, Status

pytestmark = pytest.mark.local_stores
QUICK = {"critic": "affine", "steps": 5, "baseline_rows": 0}


@contextlib.contextmanager
def started(data: Path) -> Iterator[Services]:
    """What an API process does with a data directory before it serves."""
    services = build_services(load(data=data))
    try:
        yield services
    finally:
        services[Queue].close()
        services.database.close()


@pytest.fixture(scope="module")
def first_start(tmp_path_factory: pytest.TempPathFactory) -> SyncedDisk:
    """The disk of a server that was started for the first time, and then lost its power."""
    disk = SyncedDisk(tmp_path_factory.mktemp("first"))
    server = Server(disk.path / "data", environment=disk.environment)
    server.start()
    server.kill()
    return disk


def cut(disk: SyncedDisk, number: int, names: str, to: Path) -> None:
    """Start on the disk of one cut: twice, as the first of these starts may have repaired something."""
    data = disk.after_cut(number, names, to) / "data"
    for _ in range(2):
        with started(data) as services:
            assert services[Keys].is_open()
            assert services.storage.read_identity() is not None


def moments(disk: SyncedDisk) -> list[int]:
    """Moments of a first start: around each file of the installation, and a few of the many of the database."""
    numbers = range(1, len(disk.events()) + 1)
    own = [number for number in numbers if "sqlite" in disk.named(number)]
    return sorted({*(set(numbers) - set(own)), *own[:: max(1, len(own) // 3)]})


def test_a_first_start_makes_the_files_of_the_installation_durable(first_start: SyncedDisk, tmp_path: Path) -> None:
    """With all events behind it, the disk has all that a first start makes, whole and for the server's user alone."""
    for names in ("late", "early"):
        data = first_start.after_cut(len(first_start.events()), names, tmp_path / names) / "data"
        identity, secret = ((data / name).read_text().strip() for name in ("identity", "secret"))
        assert (len(identity), len(secret)) == (32, 64)
        assert len((data / "workers" / "id").read_text()) == 8
        with started(data) as services:
            assert services.storage.read_identity() == identity
    made = [path for path in paths_below(first_start.path / "data") if not path.is_symlink()]
    modes = {str(path): oct(path.stat().st_mode & 0o777) for path in [first_start.path / "data", *made]}
    assert set(modes.values()) == {"0o700", "0o600"}, modes


def test_cuts_of_a_first_start(first_start: SyncedDisk, tmp_path: Path) -> None:
    chosen = moments(first_start)
    for number in random.Random(1).sample(chosen, min(6, len(chosen))):
        for names in ("late", "early"):
            cut(first_start, number, names, tmp_path / "cut")


@pytest.mark.slow
def test_a_cut_at_every_moment_of_a_first_start(first_start: SyncedDisk, tmp_path: Path) -> None:
    for number in range(1, len(first_start.events()) + 1):
        for names in ("late", "early"):
            cut(first_start, number, names, tmp_path / "cut")


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> tuple[SyncedDisk, dict[str, int]]:
    """A disk on which two sets were stored and compared, and how many syncs each acknowledgement had behind it."""
    disk = SyncedDisk(tmp_path_factory.mktemp("worked"))
    server = Server(disk.path / "data", environment=disk.environment).start()
    acknowledged = {}

    def noted(identifier: str, what: str = "") -> str:
        acknowledged[identifier + what] = len(disk.events())
        return identifier

    sets = noted(server.upload(normal(1))), noted(server.upload(normal(2, shift=1.0)))
    estimate = noted(server.submit(*sets, **QUICK))
    assert server.until_done(estimate)["status"] == "succeeded"
    noted(estimate, " succeeded")
    server.kill()
    return disk, acknowledged


def check(services: Services, acknowledged: dict[str, int], number: int) -> None:
    """All that was acknowledged before event `number` is there and whole."""
    with services.database.read() as session:
        for what, ack in acknowledged.items():
            if ack > number:
                continue
            identifier, _, has_ended = what.partition(" ")
            if identifier.startswith("ss_"):
                services.storage.path(session.get_one(SampleSet, identifier).sha256)
                continue
            estimate = session.get_one(Estimate, identifier)
            if has_ended:
                assert estimate.status == Status.SUCCEEDED
                files = session.scalars(select(Artifact).where(Artifact.job_id == identifier)).all()
                assert files
                for file in files:
                    services.storage.path(file.sha256)


@pytest.mark.slow
def test_what_was_acknowledged_survives_every_cut(worked: tuple[SyncedDisk, dict[str, int]], tmp_path: Path) -> None:
    disk, acknowledged = worked
    for number in range(min(acknowledged.values()), len(disk.events()) + 1):
        for names in ("late", "early"):
            with started(disk.after_cut(number, names, tmp_path / "cut") / "data") as services:
                check(services, acknowledged, number)


class CutDisk:
    """An ext4 file system in a file, whose power can be cut: what it has not written is lost, journal included."""

    def __init__(self, folder: Path) -> None:
        self._image, self.path = folder / "image", folder / "mounted"
        self.path.mkdir()
        with self._image.open("wb") as file:
            file.truncate(400 << 20)
        if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
            pytest.skip("a real power cut needs root and mkfs.ext4")
        subprocess.run(["mkfs.ext4", "-q", str(self._image)], check=True)
        if self._mount() != 0:
            pytest.skip("this machine mounts no loop device")

    def _mount(self) -> int:
        # The harshest options: names may be written long before the bytes of their files.
        options = "loop,noauto_da_alloc,data=writeback,commit=30"
        return subprocess.run(
            ["mount", "-o", options, str(self._image), str(self.path)], capture_output=True
        ).returncode

    def cut(self) -> None:
        """From now on nothing reaches the disk (EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH)."""
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, 0x8004587D, struct.pack("I", 2))
        finally:
            os.close(handle)

    def unmount(self) -> None:
        deadline = time.monotonic() + 20
        while subprocess.run(["umount", str(self.path)], capture_output=True).returncode != 0:
            assert time.monotonic() < deadline, "a process still uses the disk"
            time.sleep(0.1)

    def power_on(self) -> None:
        self.unmount()
        assert self._mount() == 0


@pytest.fixture
def cut_disk(tmp_path: Path) -> Iterator[CutDisk]:
    disk = CutDisk(tmp_path)
    yield disk
    disk.unmount()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_power_cuts_under_load(cut_disk: CutDisk, tmp_path: Path) -> None:
    """WDIST_POWER_CUTS=20 cuts, the first ones while the server starts for the first time."""
    seed = int(os.environ.get("WDIST_KILL_SEED", random.SystemRandom().randrange(1 << 32)))
    sys.stdout.write(f"\nWDIST_KILL_SEED={seed}\n")
    dice = random.Random(seed)
    sets: dict[str, str] = {}
    estimates: list[str] = []
    server = Server(cut_disk.path / "data", environment={"WDIST_SERVER_MIN_FREE_BYTES": "0"})
    server.log = tmp_path / "server.log"
    try:
        for number in range(int(os.environ.get("WDIST_POWER_CUTS", "20"))):
            server.start()
            if number > 1:  # the first cuts come right after the first start
                work(server, dice, sets, estimates)
            cut_disk.cut()
            server.kill()
            cut_disk.power_on()
        server.start()
        ended = {each: server.until_done(each, seconds=180)["status"] for each in estimates}
        assert ended == dict.fromkeys(estimates, "succeeded"), seed
        for identifier, sha256 in sets.items():
            content = server.client.get(f"/v1/sample-sets/{identifier}/content")
            assert hashlib.sha256(content.content).hexdigest() == sha256, seed
        assert "damaged" not in server.log_end(10_000_000)
    finally:
        server.kill()


def work(server: Server, dice: random.Random, sets: dict[str, str], estimates: list[str]) -> None:
    """Store and submit for a random while; what is noted was acknowledged."""
    end = time.monotonic() + dice.uniform(0.3, 4.0)
    while time.monotonic() < end:
        array = normal(len(sets) + 100, rows=150)
        sets[server.upload(array)] = hashlib.sha256(npy(array)).hexdigest()
        if len(sets) > 1 and len(estimates) < 60:
            source, target = dice.sample(sorted(sets), 2)
            estimates.append(server.submit(source, target, **QUICK, seed=len(estimates)))
