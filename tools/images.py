"""Build the container images with the engine that is there: docker, podman or buildah.

    make images                                     wdist:local, wdist-api:local and wdist-worker:local
    make images IMAGES="--torch cu130 --tag cuda"   with PyTorch's build for CUDA 13.0
    make images IMAGES="--wheels DIRECTORY"         without a package index, from the wheels in a directory

Needs the standard library only. Other options are handed to the engine: --build-arg, --pull, --no-cache.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGETS = {"wdist": "server", "wdist-api": "api", "wdist-worker": "worker"}
"""Name of each image, and the Dockerfile's target that it is."""


def find_engine() -> list[str] | None:
    """The first engine that works; None if there is none. docker needs its daemon, which is not always there."""
    for name in ("docker", "podman", "buildah"):
        if shutil.which(name) and subprocess.run([name, "info"], capture_output=True, check=False).returncode == 0:
            return [name]
    return None


def build_command(engine: list[str], image: str, tag: str, torch: str, wheels: Path | None) -> list[str]:
    """The command that builds one image from the directory it runs in."""
    command = [*engine, "build", "--file", "Dockerfile", "--target", TARGETS[image], "--tag", f"{image}:{tag}"]
    if Path(engine[0]).name != "docker":
        command += ["--format", "docker"]  # the OCI format has no health check
        command += ["--layers"]  # the stages that the images share are built once
        command += ["--timestamp", epoch()]
    arguments = {"TORCH": torch, "VERSION": version(), "REVISION": revision()}
    if wheels is not None:
        command += ["--build-context", f"wheels={wheels.resolve()}"]
        arguments["PIP_NO_INDEX"] = "1"
    return command + [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]


def version() -> str:
    found: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return found


def revision() -> str:
    """The commit, or nothing without git."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def epoch() -> str:
    """The time that images and their files get: when constraints.txt was changed last, or 1970 without git.

    A layer whose packages are the same is then the same, byte for byte, and is not pulled again with the next version.
    """
    asked = ["git", "log", "-1", "--format=%ct", "--", "constraints.txt"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    return os.environ.get("SOURCE_DATE_EPOCH") or done.stdout.strip() or "0"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make images", description=(__doc__ or "").splitlines()[0], allow_abbrev=False
    )
    parser.add_argument("--engine", help="command of the engine, perhaps with options; by default the first that works")
    parser.add_argument("--only", choices=TARGETS, help="build this image alone")
    parser.add_argument("--tag", default="local")
    parser.add_argument("--torch", default="cpu", help="cpu, or PyTorch's name for a version of CUDA, such as cu130")
    parser.add_argument("--wheels", type=Path, help="directory with the wheels of everything; no index is asked")
    given, more = parser.parse_known_args()
    engine = shlex.split(given.engine) if given.engine else find_engine()
    if engine is None:
        print("No docker, podman or buildah works here. On Debian and Ubuntu: apt install buildah", file=sys.stderr)
        return 1
    for image in [given.only] if given.only else TARGETS:
        command = [*build_command(engine, image, given.tag, given.torch, given.wheels), *more, "."]
        print("$", shlex.join(command), flush=True)
        if code := subprocess.run(
            command, cwd=ROOT, env={**os.environ, "DOCKER_BUILDKIT": "1", "SOURCE_DATE_EPOCH": epoch()}, check=False
        ).returncode:
            return code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
