"""Whatever takes the place of a stored file is refused by name, moved out of the way, and replaced by an upload."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from s3_process import S3Server
from service_process import Server, normal, npy
from stores import add
from test_service_binding import doctor, opened, store

from wdist_client import Client
from wdist_service.installation import check_storage
from wdist_service.maintenance.content import sweep
from wdist_service.settings import load
from wdist_service.storage.damage import DamagedError
from wdist_service.storage.files import Storage
from wdist_service.storage.objects import ObjectStorage

CONTENT = b"0123456789" * 100
Damage = Callable[[Path], object]
NOBODY = 65534


def flip(path: Path) -> None:
    """Change a byte in place."""
    with path.open("r+b") as file:
        file.write(b"#")


def flip_and_look_old(path: Path) -> None:
    found = path.stat()
    flip(path)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def replaced(make: Damage) -> Damage:
    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


def full_folder(path: Path) -> None:
    path.mkdir()
    (path / "file").write_bytes(CONTENT)


def link_to_other_content(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"other" * 200)
    path.symlink_to(other)


DAMAGES: dict[str, Damage] = {
    "flipped": flip,
    "flipped_as_old": flip_and_look_old,
    "truncated": lambda path: os.truncate(path, 10),
    "empty": lambda path: os.truncate(path, 0),
    "folder": replaced(Path.mkdir),
    "full_folder": replaced(full_folder),
    "pipe": replaced(os.mkfifo),
    "loop": replaced(lambda path: path.symlink_to(path)),
    "link_to_other": replaced(link_to_other_content),
    "link_to_none": replaced(lambda path: path.symlink_to(path.with_name("none"))),
}
every_damage = pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)


@every_damage
def test_damaged_files_are_refused_and_replaced(tmp_path: Path, damage: Damage) -> None:
    storage = Storage(load(data=tmp_path / "data", min_free_bytes=0))
    sha256 = add(storage, CONTENT)
    path = storage.path(sha256)
    damage(path)
    assert not storage.has(sha256)
    for use in (storage.check, storage.path, storage.path):
        with pytest.raises(DamagedError):
            use(sha256)
    assert add(storage, CONTENT) == sha256
    assert storage.path(sha256).read_bytes() == CONTENT
    damage(storage.path(sha256))
    assert add(storage, CONTENT) == sha256, "an upload may be the first to meet the damage"
    assert storage.path(sha256).read_bytes() == CONTENT
    damage(storage.path(sha256))
    storage.discard(sha256)
    assert not os.path.lexists(path)


@every_damage
def test_what_is_set_aside_is_deleted_in_the_end(tmp_path: Path, damage: Damage) -> None:
    settings = load(data=tmp_path / "data", min_free_bytes=0)
    with opened(settings) as (database, storage):
        check_storage(database, storage)
        (sha256,) = store(database, storage, CONTENT)
        damage(storage.path(sha256))
        with pytest.raises(DamagedError):
            storage.path(sha256)
        add(storage, CONTENT)
        unnamed = add(storage, b"no row names it")
        damage(storage.path(unnamed))
        assert sweep(database, storage, settings).set_aside == 1
        sweep(database, storage, settings.model_copy(update={"quarantine_seconds": 0.0}))
        assert list(storage.quarantined()) == []
        assert storage.path(sha256).read_bytes() == CONTENT


@pytest.mark.parametrize("name", sorted(DAMAGES.keys() - {"flipped_as_old"}))  # of a copy, which links change as well
def test_damaged_copies_in_the_cache_are_fetched_again(tmp_path: Path, s3_server: S3Server, name: str) -> None:
    damage = DAMAGES[name]
    storage = ObjectStorage(load(data=tmp_path / "data", min_free_bytes=0, **s3_server.settings()))
    sha256 = add(storage, CONTENT)
    damage(storage.path(sha256))
    assert storage.path(sha256).read_bytes() == CONTENT
    damage(storage.path(sha256))
    add(storage, CONTENT)
    assert storage.path(sha256).read_bytes() == CONTENT
    damage(storage.path(sha256))
    storage.evict(sha256)
    assert storage.path(sha256).read_bytes() == CONTENT


def test_what_was_repaired_while_it_was_found_damaged_comes_back(tmp_path: Path) -> None:
    storage = Storage(load(data=tmp_path / "data", min_free_bytes=0))
    sha256 = add(storage, CONTENT)
    # The process that moved it died before it could look again.
    aside = tmp_path / "data/quarantine/2026-11-29T101500Z"
    aside.mkdir()
    storage.path(sha256).rename(aside / f"{sha256}.damaged")
    assert storage.path(sha256).read_bytes() == CONTENT


@pytest.mark.local_stores
def test_a_server_goes_on_with_any_damage(own_server: Callable[..., Server]) -> None:
    server = own_server(maintenance_seconds="0.2")
    arrays = {name: normal(seed) for seed, name in enumerate(DAMAGES)}
    sets = {name: server.upload(array) for name, array in arrays.items()}
    sound = server.upload(normal(100))
    hashes = dict(server.rows("SELECT id, sha256 FROM sample_sets"))
    for name, identifier in sets.items():
        assert server.client.get(f"/v1/sample-sets/{identifier}/content").status_code == 200
        DAMAGES[name](server.data / "blobs" / hashes[identifier][:2] / hashes[identifier])
    found = doctor(server.data, "--deep")
    assert f"{len(sets)} damaged or missing" in found["content"][1], found
    jobs = {
        name: server.submit(identifier, sound, critic="affine", steps=5, baseline_rows=0)
        for name, identifier in sets.items()
    }
    for name, job in jobs.items():
        failed = server.until_done(job)
        assert (failed["status"], failed["error"]["type"]) == ("failed", "storage_incomplete"), (name, failed)
        assert f"sample set {sets[name]}" in failed["error"]["message"]
        refused = server.client.get(f"/v1/sample-sets/{sets[name]}/content")
        assert refused.status_code == 409, (name, refused.text)
        with Client(server.url) as client:
            assert client.sample_sets.create(arrays[name]).id == sets[name]
        assert server.client.get(f"/v1/sample-sets/{sets[name]}/content").content == npy(arrays[name])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_a_file_that_may_not_be_read_is_refused_and_stays_until_an_upload_replaces_it() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
        try:
            storage = Storage(load(data=Path(folder) / "data", min_free_bytes=0))
            sha256 = add(storage, CONTENT)
            path = storage.path(sha256)
            path.chmod(0)
            for use in (storage.path, storage.check):
                with pytest.raises(DamagedError, match="cannot be read on this server"):
                    use(sha256)
            assert not storage.has(sha256)
            assert path.exists(), "it may be whole"
            add(storage, CONTENT)
            assert storage.path(sha256).read_bytes() == CONTENT
        finally:
            os.seteuid(0)
