"""Blobs in a bucket, seen from two hosts: caches, damage, orphans, checkpoints; an S3-compatible server answers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from s3_process import S3Server
from stores import add

from wdist_service.settings import Settings, SettingsError, load
from wdist_service.storage import objects
from wdist_service.storage.bucket import Bucket
from wdist_service.storage.damage import DamagedError
from wdist_service.storage.objects import ObjectStorage

MakeHost = Callable[..., ObjectStorage]


@pytest.fixture
def settings(s3_server: S3Server) -> dict[str, str]:
    return s3_server.settings()


@pytest.fixture
def host(settings: dict[str, str], tmp_path: Path) -> MakeHost:
    """host("one", cache_bytes=...): the storage as a host with that name sees it."""

    def make(name: str, **more: int) -> ObjectStorage:
        return ObjectStorage(Settings(data=tmp_path / name, min_free_bytes=0, **settings, **more))

    return make


def test_what_one_host_stores_another_reads(host: MakeHost) -> None:
    one, other = host("one"), host("other")
    content = os.urandom(40_000_000)  # three ranges of the download, parts of a multipart upload
    sha256 = add(one, content)
    assert other.path(sha256).read_bytes() == content
    assert other.path(sha256) == other.path(sha256)
    one.discard(sha256)
    with pytest.raises(DamagedError, match="missing"):
        one.path(sha256)


def test_the_cache_stays_within_its_limit_and_jobs_keep_their_files(
    host: MakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = host("one"), host("other", cache_bytes=250_000)
    contents = [os.urandom(100_000) for _ in range(5)]
    hashes = [add(one, content) for content in contents]
    job = tmp_path / "other" / "scratch" / "job"
    job.mkdir()
    kept = other.keep(hashes[0], job)
    for sha256 in hashes[1:]:
        other.path(sha256)
    cached = lambda: sum(path.stat().st_size for path in (tmp_path / "other/cache").rglob("*") if path.is_file())  # noqa: E731
    assert cached() == 500_000, "files that were just given away stay"
    monkeypatch.setattr(objects, "_IN_USE_SECONDS", 0.0)
    last = add(one, b"one more")
    other.path(last)
    assert cached() <= 250_000
    assert other.path(last).read_bytes() == b"one more"
    assert kept.read_bytes() == contents[0]
    assert other.path(hashes[0]).read_bytes() == contents[0], "fetched again"


def test_a_damaged_object_is_never_given_out(host: MakeHost, settings: dict[str, str]) -> None:
    one, other = host("one"), host("other")
    sha256 = add(one, b"x" * 1000)
    Bucket(Settings(**settings)).put(f"blobs/{sha256[:2]}/{sha256}", b"y" * 1000)
    with pytest.raises(DamagedError, match="is damaged on this server"):
        other.path(sha256)
    assert not [path for path in (other.scratch.parent / "cache").rglob("*") if path.is_file()]


def test_a_damaged_object_is_set_aside_and_repaired_by_an_upload(host: MakeHost, settings: dict[str, str]) -> None:
    one, other, third = host("one"), host("other"), host("third")
    content = b"x" * 1000
    sha256 = add(one, content)
    Bucket(Settings(**settings)).put(f"blobs/{sha256[:2]}/{sha256}", b"y" * 1000)
    with pytest.raises(DamagedError, match="is damaged"):
        one.check(sha256)
    assert one.path(sha256).read_bytes() == content, "its own copy is sound"
    add(one, content)  # the object has the same size, and is not the one that this host wrote
    assert other.path(sha256).read_bytes() == content
    Bucket(Settings(**settings)).put(f"blobs/{sha256[:2]}/{sha256}", b"z" * 1000)
    with pytest.raises(DamagedError):
        third.path(sha256)
    assert [place.is_damaged for place in one.quarantined()] == [True]
    assert not other.has(sha256), "every host sees that it must be sent again"
    add(other, content)
    assert third.path(sha256).read_bytes() == content


def test_a_damaged_copy_in_the_cache_is_fetched_again(host: MakeHost, tmp_path: Path) -> None:
    one = host("one")
    sha256 = add(one, b"x" * 1000)
    cached = one.path(sha256)
    cached.write_bytes(b"y" * 1000)
    job = tmp_path / "job"
    job.mkdir()
    assert one.keep(sha256, job).read_bytes() == b"x" * 1000


def test_an_object_is_sent_once(host: MakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    one, sent = host("one"), []
    put = Bucket.put
    monkeypatch.setattr(Bucket, "put", lambda self, key, file: (sent.append(key), put(self, key, file)))
    for _ in range(3):
        add(one, b"content")
    assert len(sent) == 1


def test_content_discarded_between_send_and_place_is_sent_again(host: MakeHost) -> None:
    one, other = host("one"), host("other")
    with one.incoming() as file:
        file.write(b"content")
        file.seal()
        one.send(file)
        other.discard(file.sha256)
        one.place(file)
    assert other.path(file.sha256).read_bytes() == b"content"


def test_orphans_are_listed_once_they_are_old(host: MakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = host("one"), host("other")
    sha256 = add(one, b"content")
    assert list(other.stored()) == [], "its transaction may still come"
    monkeypatch.setattr(objects, "_ORPHAN_SECONDS", -1e9)
    assert list(other.stored()) == list(one.stored()) == [sha256]


def test_checkpoints_reach_other_hosts(host: MakeHost) -> None:
    one, other = host("one").checkpoints, host("other").checkpoints
    first = one.prepare("est_1", 1)
    one.publish("est_1", 1)  # nothing is written yet
    first.write_bytes(b"step 10")
    one.publish("est_1", 1)
    second = other.prepare("est_1", 2)
    assert second.read_bytes() == b"step 10"
    second.write_bytes(b"step 20")
    other.publish("est_1", 2)
    first.write_bytes(b"late")  # a trainer that was replaced harms nobody
    one.publish("est_1", 1)
    assert one.prepare("est_1", 3).read_bytes() == b"step 20"
    one.forget("est_1")
    other.forget("est_1")
    assert not other.prepare("est_1", 4).exists()
    other.prepare("est_2", 1).write_bytes(b"ended elsewhere")
    other.publish("est_2", 1)
    assert one.sweep_shared(set) == 0, "it is active"
    assert one.sweep_shared(lambda jobs: set()) == 1
    assert not one.prepare("est_2", 2).exists()


def test_secrets_are_not_shown_but_reach_the_children(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Settings(database_url="postgresql://u:password@db/x", **settings | {"storage_secret_key": "topsecret"})
    assert "topsecret" not in repr(given) + str(given.model_dump())
    assert "password" not in repr(given)
    assert given.environment()["WDIST_SERVER_STORAGE_SECRET_KEY"] == "topsecret"
    monkeypatch.setenv("WDIST_SERVER_STORAGE_ACCESS_KEY", "alone")
    with pytest.raises(SettingsError, match="belong together"):
        load()
    monkeypatch.setenv("WDIST_SERVER_STORAGE_URL", "https://bucket")
    with pytest.raises(SettingsError, match="WDIST_SERVER_STORAGE_URL"):
        load()
