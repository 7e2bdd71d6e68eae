"""The images, really built and run: `make test-images`. Without a registry, on a base made from Debian's packages."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
from debian_base import make_base
from image_runs import ENVIRONMENT, Image, opened, terminate, wait_until_ready
from postgres_process import postgres
from s3_process import s3
from server_process import free_port
from table_files import Build, array, excel, h5ad, json_rows, text

from wdist.data.readers.registry import FORMATS
from wdist_client import Client

ROOT = Path(__file__).resolve().parents[2]
KEY = "wd_" + "0123456789abcdef" * 3
BASE = "localhost/wdist-test-base:bookworm"
TAG = os.environ.get("WDIST_IMAGES_TAG", "test")
"""Of images that are built already, if the variable is set."""
MIRROR = os.environ.get("WDIST_DEBIAN_MIRROR", "http://deb.debian.org/debian")


def images(suffix: str) -> Build:
    def build(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "images.zip", "w") as archive:
            for number in range(3):
                buffer = io.BytesIO()
                PIL.Image.fromarray(np.full((5, 4), 40 * number, np.uint8)).save(buffer, suffix)
                archive.writestr(f"{number}.{suffix}", buffer.getvalue())
        return folder / "images.zip"

    return build


def parquet(compression: str) -> Build:
    def build(folder: Path) -> Path:
        table = pa.table({"a": [1.5, 2.5, 3.5], "b": [4, 5, 6]})
        pa_parquet.write_table(table, folder / "table.parquet", compression=compression)
        return folder / "table.parquet"

    return build


def npz(folder: Path) -> Path:
    np.savez_compressed(folder / "table.npz", rows=np.ones((3, 2)))
    return folder / "table.npz"


# Each format that is read, with the shape that it becomes.
FILES: dict[str, tuple[str, list[int], Build]] = {
    "npy": ("npy", [3, 2], array(np.ones((3, 2)))),
    "npz": ("npz", [3, 2], npz),
    **{f"parquet-{each}": ("parquet", [3, 2], parquet(each)) for each in ("snappy", "zstd", "gzip", "brotli", "lz4")},
    "csv": ("csv", [3, 2], text("a,b\n1,2\n3,4.5\n5,6\n")),
    "csv.gz": ("csv", [3, 2], text(gzip.compress(b"a,b\n1,2\n3,4.5\n5,6\n"), "table.csv.gz")),
    "excel": ("excel", [3, 2], excel([["a", "b"], [1, 2.5], [3, 4], [5, 6]])),
    "h5ad": ("h5ad", [3, 3], h5ad("csr_matrix")),
    "png": ("images", [3, 5, 4], images("png")),
    "jpeg": ("images", [3, 5, 4], images("jpeg")),
    "json": ("json", [3, 2], json_rows({"samples": [[1, 2], [3, 4.5], [5, 6]]})),
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_600)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> None:
    """All three images, built by `make images` from wheels that this machine's pip found."""
    if "WDIST_IMAGES_TAG" in os.environ:
        return
    for tool in ("buildah", "debootstrap"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} on this machine")
    if os.geteuid() != 0:
        pytest.skip("needs root, to make a base image from Debian's packages")
    if sys.version_info[:2] != (3, 11):
        pytest.skip("no Python 3.11 on this machine, which the image has")
    folder = tmp_path_factory.mktemp("images")
    if failed := make_base(folder / "base", BASE, MIRROR):
        pytest.skip(f"no Debian packages from {MIRROR}: {failed}")
    wheels = folder / "wheels"
    pip = [sys.executable, "-m", "pip", "download", "-q", "-d", str(wheels)]
    for wanted in (f"{ROOT}[server]", "hatchling"):
        subprocess.run([*pip, "-c", "constraints.txt", wanted], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    options = f"--engine buildah --tag {TAG} --wheels {wheels} --build-arg BASE={BASE}"
    log = folder / "build.log"
    with log.open("w") as output:
        done = subprocess.run(
            ["make", "-C", str(ROOT), "images", f"IMAGES={options}"], env=ENVIRONMENT, stdout=output, stderr=output,
            check=False,
        )  # fmt: skip
    assert done.returncode == 0, log.read_text()[-5000:]
    shutil.rmtree(folder)  # some 700 MB


@pytest.fixture(scope="module")
def server(built: None) -> Iterator[Image]:
    with opened(f"localhost/wdist:{TAG}") as image:
        yield image


@pytest.fixture(scope="module")
def api(built: None) -> Iterator[Image]:
    with opened(f"localhost/wdist-api:{TAG}") as image:
        yield image


@pytest.fixture(scope="module")
def worker(built: None) -> Iterator[Image]:
    with opened(f"localhost/wdist-worker:{TAG}") as image:
        yield image


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_text(KEY + "\n")
    file.chmod(0o644)
    return file


def volume(folder: Path, user: int, group: int) -> Path:
    """An empty volume as an engine makes it: with the owner that the image's /data has."""
    folder.mkdir()
    os.chown(folder, user, group)
    folder.chmod(0o770)
    return folder


def test_sizes_are_below_their_limits(
    server: Image, api: Image, worker: Image, record_property: Callable[[str, object], None]
) -> None:
    sizes = {"default": server.size(), "api": api.size(), "worker": worker.size()}
    record_property("sizes", sizes)
    sys.stdout.write(f"bytes of files in each image: {sizes}\n")
    assert sizes["default"] <= 1.3e9
    assert sizes["worker"] <= 1.3e9
    assert sizes["api"] <= 350e6


def test_images_share_all_layers_but_those_of_training_and_wdist(server: Image, api: Image, worker: Image) -> None:
    assert worker.layers == server.layers
    assert api.layers[:-1] == server.layers[:3]
    assert len(server.layers) == 5


def test_it_holds_what_it_runs_and_nothing_to_build_with(server: Image, api: Image) -> None:
    for image in (server, api):
        programs = {path.name for folder in ("usr/bin", "opt/wdist/bin") for path in (image.root / folder).iterdir()}
        assert not programs & {"gcc", "cc", "make", "pip", "pip3", "git"}
        for cache in ("root/.cache", "data/.cache", "src", "wheels"):
            assert not (image.root / cache).exists()


def test_versions_are_those_of_the_constraints(server: Image, api: Image) -> None:
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pinned = {name.lower().replace("_", "-"): number for name, number in pinned.items()}
    for image, has_torch in ((server, True), (api, False)):
        folders = (image.root / "opt/wdist/lib/python3.11/site-packages").glob("*.dist-info")
        found = dict(folder.name.removesuffix(".dist-info").split("-", 1) for folder in folders)
        found = {name.lower().replace("_", "-").replace(".", "-"): number for name, number in found.items()}
        assert ("torch" in found) == has_torch
        found.pop("wdist")
        pins = {name.replace(".", "-"): number for name, number in pinned.items()}
        assert {name: number.split("+")[0] for name, number in found.items()} == {name: pins[name] for name in found}


def test_labels_user_and_health_check_are_set(server: Image, api: Image, worker: Image) -> None:
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    for image in (server, api, worker):
        assert image.config["User"] == "10001:10001"
        assert image.config["Labels"]["org.opencontainers.image.title"] == "wdist"
        assert version
        assert image.config["Labels"]["org.opencontainers.image.version"] == version[1]
    assert server.config["Healthcheck"]["Test"][:2] == ["CMD", "python"]
    assert api.config["Healthcheck"] == server.config["Healthcheck"]


def test_a_server_is_used_stopped_and_started_again(server: Image, key: Path, tmp_path: Path) -> None:
    """First key by file, an estimate, SIGTERM, and the same volume: everything is there. The root is read-only."""
    data, log, port = volume(tmp_path / "data", 10001, 10001), tmp_path / "log", free_port()
    check = [word.replace(":8000", f":{port}") for word in server.config["Healthcheck"]["Test"][1:]]
    assert server.run(check, data=data).returncode != 0
    arguments = ["serve", "--host", "0.0.0.0", "--port", str(port)]
    given = {"WDIST_SERVER_BOOTSTRAP_KEY_FILE": "/run/key"}
    results = []
    for round_number in (1, 2):
        with (
            server.running(arguments, data=data, environment=given, files={"/run/key": key}, log=log) as process,
            Client(f"http://127.0.0.1:{port}", api_key=KEY) as client,
        ):
            wait_until_ready(port, process, log)
            assert server.run(check, data=data).returncode == 0
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/estimates")
            if round_number == 1:
                generator = np.random.default_rng(0)
                x, y = (client.sample_sets.create(generator.normal(shift, 1, (400, 3))) for shift in (0, 1))
                client.estimates.create(x, y, steps=50)
            (job,) = client.estimates.list()
            results.append(job.wait(timeout=120))
            assert terminate(process) == 0
    assert results[0] == results[1]
    assert 0 < results[0].lower_bound < results[0].value


def test_any_user_id_may_run_it(server: Image, key: Path, tmp_path: Path) -> None:
    """As OpenShift does it: a number without a name, in the group root."""
    data, log, port = volume(tmp_path / "data", 10001, 0), tmp_path / "log", free_port()
    arguments = ["serve", "--host", "0.0.0.0", "--port", str(port)]
    given = {"WDIST_SERVER_BOOTSTRAP_KEY_FILE": "/run/key"}
    with server.running(
        arguments, data=data, environment=given, files={"/run/key": key}, user="123456:0", log=log
    ) as process:
        wait_until_ready(port, process, log)
        with Client(f"http://127.0.0.1:{port}", api_key=KEY) as client:
            generator = np.random.default_rng(0)
            x, y = (client.sample_sets.create(generator.normal(shift, 1, (300, 2))) for shift in (0, 1))
            result = client.estimates.create(x, y, steps=20).wait(timeout=120)
        assert result.lower_bound > 0
        assert {path.stat().st_uid for path in data.iterdir()} == {123456}
        assert terminate(process) == 0


def test_api_and_worker_share_postgresql_and_a_bucket(api: Image, worker: Image, key: Path, tmp_path: Path) -> None:
    log, port = tmp_path / "log", free_port()
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef" * 4)
    secret.chmod(0o644)
    with postgres() as databases, s3() as store:
        settings = {"database_url": databases.new_database(), **store.settings(), "secret_file": "/run/secret"}
        given = {f"WDIST_SERVER_{name.upper()}": value for name, value in settings.items()}
        key_file = {"WDIST_SERVER_BOOTSTRAP_KEY_FILE": "/run/key"}
        shared = {"/run/secret": secret}
        arguments = [word if word != "8000" else str(port) for word in api.config["Cmd"]]
        with (
            api.running(
                arguments, data=volume(tmp_path / "api", 10001, 10001), environment=given | key_file,
                files=shared | {"/run/key": key}, log=log,
            ) as serving,
            worker.running(
                data=volume(tmp_path / "worker", 10001, 10001), environment=given, files=shared, log=log
            ) as working,
        ):  # fmt: skip
            wait_until_ready(port, serving, log)
            with Client(f"http://127.0.0.1:{port}", api_key=KEY) as client:
                generator = np.random.default_rng(0)
                sets = []
                for name, shift in (("source", 0), ("target", 1)):
                    table = tmp_path / f"{name}.csv"
                    rows = generator.normal(shift, 1, size=(300, 2))
                    table.write_text("a,b\n" + "".join(f"{a},{b}\n" for a, b in rows))
                    sets.append(client.sample_sets.create(table))
                assert client.estimates.create(*sets, steps=20).wait(timeout=120).lower_bound > 0
            assert terminate(serving) == 0
            assert terminate(working) == 0


def test_each_kind_of_file_is_read_in_the_api_image(api: Image, key: Path, tmp_path: Path) -> None:
    """The parts of Arrow, Pillow and others that the image leaves out are not missed by any reader."""
    log, port = tmp_path / "log", free_port()
    given = {"WDIST_SERVER_BOOTSTRAP_KEY_FILE": "/run/key"}
    arguments = [word if word != "8000" else str(port) for word in api.config["Cmd"]]
    data = volume(tmp_path / "data", 10001, 10001)
    with api.running(arguments, data=data, environment=given, files={"/run/key": key}, log=log) as process:
        wait_until_ready(port, process, log)
        for name, (kind, shape, build) in FILES.items():
            folder = tmp_path / name
            folder.mkdir()
            body = build(folder).read_bytes()
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/v1/sample-sets?format={kind}", body, {"Authorization": f"Bearer {KEY}"}
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                assert json.load(answer)["shape"] == shape, name
        assert {kind for kind, _, _ in FILES.values()} == set(FORMATS)
        assert terminate(process) == 0


def test_no_library_misses_another(server: Image, api: Image, tmp_path: Path) -> None:
    """What was left out was needed by nothing that is there: the loader finds all that each shared object names."""
    find = "find /opt/wdist -name '*.so*' -type f -exec ldd {} + 2>&1"
    for number, image in enumerate((server, api)):
        done = image.run(["sh", "-c", find], data=volume(tmp_path / str(number), 10001, 10001))
        lines = done.stdout.decode().splitlines()
        assert sum("libc.so" in line for line in lines) > 50
        missed = {line.split()[0] for line in lines if "not found" in line}
        # A library alone does not say where its neighbours are, but what loads it does.
        assert [name for name in missed if not list((image.root / "opt/wdist").rglob(name))] == []


@pytest.mark.parametrize(
    ("cuda", "asked", "wanted", "is_refused"),
    [("13.0", "cpu", "False", True), (None, "cpu", "False", False), (None, "cu130", "True", True)],
)
def test_a_build_that_brings_another_torch_than_asked_for_is_refused(
    cuda: str | None, asked: str, wanted: str, is_refused: bool
) -> None:
    """The Dockerfile looks at what the index gave; here its program runs on a torch that says it is another one."""
    found = re.search(r'python -c "(import sys, torch;.*?)"(?: \\)?\n', (ROOT / "Dockerfile").read_text(), re.DOTALL)
    assert found
    program = found[1].replace("\\\n", "").replace("$wanted", wanted).replace("$TORCH", asked)
    program = program.replace("import sys, torch;", f"import sys, torch; torch.version.cuda = {cuda!r};")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == is_refused, done.stderr
    assert ("give TORCH_INDEX_URL" in done.stderr) == is_refused
