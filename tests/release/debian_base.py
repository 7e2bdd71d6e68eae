"""A base image for tests without a registry: what the Dockerfile's FROM names, made from Debian's packages."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from image_runs import buildah

PACKAGES = "python3,python3-venv,ca-certificates"
# What the official slim images leave out, too, so that sizes can be compared.
LEFT_OUT = (
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/groff",
    "usr/share/lintian",
    "usr/share/doc/*/[!c]*",
    "usr/share/doc/*/ch*",
    "usr/lib/python3*/**/__pycache__",
    "var/cache/*",
    "var/lib/apt/lists/*",
    "var/log/*",
)


def make_base(folder: Path, name: str, mirror: str) -> str | None:
    """Python 3.11 and certificates on Debian 12, as an image of that name; says what failed, if anything did."""
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(folder), mirror]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return done.stdout[-300:]
    (folder / "usr/bin/python").symlink_to("python3")
    for pattern in LEFT_OUT:
        for path in sorted(folder.glob(pattern)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    container = buildah("from", "scratch")
    buildah("add", "-q", container, str(folder), "/")
    buildah("commit", "-q", "--timestamp", "0", container, name)
    buildah("rm", container)
    return None
