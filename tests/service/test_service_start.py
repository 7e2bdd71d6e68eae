"""Starts that cannot succeed end at once with an exit status and a sentence; others do not wait for what is stored."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from server_process import free_port, modes_below
from service_process import Server, normal

WDIST = str(Path(sys.executable).with_name("wdist"))
NOBODY = 65534
pytestmark = pytest.mark.local_stores
MakeServer = Callable[..., Server]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
# Root without its power over the files of others is a user like any other.
POWERLESS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"]


def serve(data: Path, *arguments: str, prefix: Sequence[str] = ()) -> tuple[int, str]:
    """Start a server that must not run for long; returns its exit status and what it said."""
    command = [*prefix, WDIST, "serve", "--port", str(free_port()), "--data", str(data), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60,
        env={**os.environ, "HOME": "/tmp", "WDIST_SERVER_SPARE_TRAINER": "false"}, cwd="/",
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def in_words(said: str) -> bool:
    return "Traceback" not in said and "starting it again" not in said


def a_file(data: Path) -> None:
    data.write_text("not a folder")


def below_a_file(data: Path) -> None:
    data.parent.joinpath("file").write_text("")
    data.symlink_to(data.parent / "file" / "data")


def a_loop(data: Path) -> None:
    data.symlink_to(data)


SLOW = pytest.mark.slow


@pytest.mark.parametrize("make", [a_file, *(pytest.param(make, marks=SLOW) for make in (below_a_file, a_loop))])
def test_a_data_path_that_is_no_folder(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "data")
    code, said = serve(tmp_path / "data")
    assert (code, in_words(said)) == (73, True), said
    assert f"cannot use the data directory {tmp_path / 'data'}" in said


_OTHERS = ["incoming", "quarantine", "scratch", "checkpoints", "identity", "secret", "workers"]


@pytest.mark.parametrize("name", ["blobs", "wdist.sqlite", *(pytest.param(name, marks=SLOW) for name in _OTHERS)])
def test_something_else_where_a_file_or_folder_should_be(tmp_path: Path, name: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    if name in ("wdist.sqlite", "identity", "secret"):
        (data / name).mkdir()
    else:
        (data / name).write_text("in the way")
    code, said = serve(data)
    assert (code, in_words(said)) == (78, True), said
    assert str(data / name) in said


@SLOW
def test_a_database_that_is_none(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "wdist.sqlite").write_bytes(b"a text of some length, which is no database at all" * 100)
    code, said = serve(data)
    assert (code, in_words(said)) == (78, True), said
    assert "not a database" in said


@pytest.mark.parametrize(
    "url",
    [
        "mysql://h/x",
        "sqlite:////nowhere/at/all.sqlite",
        *(pytest.param(url, marks=SLOW) for url in ("postgresql://h:port/x", "nonsense")),
    ],
)
def test_a_database_url_that_cannot_be_used(tmp_path: Path, url: str) -> None:
    code, said = serve(tmp_path / "data", "--database-url", url)
    assert (code, in_words(said)) == (78, True), said


@SLOW
@needs_root
@pytest.mark.parametrize("name", ["", "wdist.sqlite", "secret", "identity", "blobs"])
def test_what_belongs_to_another_user_is_named(tmp_path: Path, name: str) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv")
    data = tmp_path / "data"
    with Server(data, ["--workers", "0"]):
        pass
    odd = data / name if name else data
    os.chown(odd, NOBODY, NOBODY)
    code, said = serve(data, prefix=POWERLESS)
    assert (code, in_words(said)) == (78 if name else 73, True), said
    assert str(odd) in said


@needs_root
def test_what_root_makes_belongs_to_the_owner_of_the_data(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, NOBODY, NOBODY)
    subprocess.run([WDIST, "keys", "create", "--role", "admin", "--data", str(data)], check=True, capture_output=True)
    assert {path.name: path.stat().st_uid for path in data.iterdir() if path.stat().st_uid != NOBODY} == {}


def test_nobody_else_reads_what_a_server_keeps(own_server: MakeServer) -> None:
    mask = os.umask(0o022)
    try:
        server = own_server()
    finally:
        os.umask(mask)
    sets = server.upload(normal(1)), server.upload(normal(2))
    server.until_done(server.submit(*sets, critic="affine", steps=5, baseline_rows=0))
    modes = modes_below(server.data)
    assert len(modes) > 10
    assert [path for path, mode in modes.items() if mode & 0o077] == []


@SLOW
def test_a_start_does_not_take_longer_with_50_000_files(own_server: MakeServer) -> None:
    server = own_server("--workers", "0")
    server.upload(normal(1))
    server.stop()

    def seconds() -> float:
        begun = time.monotonic()
        server.start()
        taken = time.monotonic() - begun
        server.stop()
        return taken

    few = min(seconds() for _ in range(3))
    for number in range(50_000):
        folder = server.data / "blobs" / f"{number % 256:02x}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number % 256:02x}{number:062x}").touch()
    many = min(seconds() for _ in range(3))
    assert many < few + 2.0, (few, many)
