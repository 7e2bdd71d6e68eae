"""The archives of the fixtures: made without owners and absolute paths; and the bucket that one is made of."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

from obstore.store import S3Store


def pack(archive: Path, folder: Path) -> None:
    """Everything in a folder, under relative names and with relative links."""

    def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        if member.issym() and Path(member.linkname).is_absolute():
            member.linkname = os.path.relpath(member.linkname, (folder / member.name).parent)
        return member

    with tarfile.open(archive, "w:xz", preset=9) as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name, filter=anonymous)


def unpack(archive: Path, folder: Path) -> Path:
    """The folder, with what `pack` was given."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder


def objects_of(storage: dict[str, str]) -> S3Store:
    """The objects under the address that a server's settings name."""
    return S3Store.from_url(
        storage["storage_url"],
        config={
            "endpoint": storage["storage_endpoint"], "region": "us-east-1",
            "access_key_id": storage["storage_access_key"], "secret_access_key": storage["storage_secret_key"],
        },
        client_options={"allow_http": True},
    )  # fmt: skip
