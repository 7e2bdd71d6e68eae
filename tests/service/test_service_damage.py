"""Stored files are evidence: what is damaged is refused by name, never used, and repaired when it is sent again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from service_process import Server, normal, npy
from test_service_binding import doctor

from wdist_client import Client
from wdist_service.storage.damage import Checked

MakeServer = Callable[..., Server]
QUICK = {"critic": "affine", "steps": 5, "baseline_rows": 0}
pytestmark = pytest.mark.local_stores


def blob(server: Server, sha256: str) -> Path:
    return server.data / "blobs" / sha256[:2] / sha256


def flip(path: Path) -> None:
    """Change one bit of a file's last byte, as a disk or a person may."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_damaged_content_is_refused_by_name_and_repaired_by_the_same_file(own_server: MakeServer) -> None:
    server = own_server()
    arrays = normal(1), normal(2, shift=1.0)
    sets = [server.upload(array) for array in arrays]
    sha256 = server.client.get(f"/v1/sample-sets/{sets[0]}").json()["sha256"]
    content = f"/v1/sample-sets/{sets[0]}/content"
    assert server.client.get(content).content == npy(arrays[0])
    flip(blob(server, sha256))
    refused = server.client.get(content)
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:wdist:problem:damaged"
    assert f"sample set {sets[0]} is damaged on this server: upload the same file again" in refused.json()["detail"]
    failed = server.until_done(server.submit(*sets, **QUICK))
    assert failed["status"] == "failed"
    assert f"sample set {sets[0]}" in failed["error"]["message"]
    assert "upload the same file again" in failed["error"]["message"]
    # A client asks by digest whether it need send the file: it must.
    assert server.client.get("/v1/sample-sets", params={"sha256": sha256}).json()["data"] == []
    with Client(server.url) as client:
        assert client.sample_sets.create(arrays[0]).id == sets[0]
    assert server.client.get(content).content == npy(arrays[0])
    assert server.until_done(server.submit(*sets, **QUICK))["status"] == "succeeded"


@pytest.mark.slow
def test_damage_is_met_wherever_content_is_used(own_server: MakeServer) -> None:
    server = own_server()
    sets = server.upload(normal(1)), server.upload(normal(2, shift=1.0))
    estimate = server.submit(*sets, **QUICK)
    assert server.until_done(estimate)["status"] == "succeeded"
    rows = npy(np.zeros((3, 3), np.float32))
    assert server.client.post(f"/v1/estimates/{estimate}/evaluate", content=rows).status_code == 200
    for (sha256,) in server.rows("SELECT sha256 FROM artifacts"):
        flip(blob(server, sha256))
    found = doctor(server.data, "--deep")
    assert found["content"][0] == "fail", found
    for path in ("critic", "certificate"):
        refused = server.client.get(f"/v1/estimates/{estimate}/{path}")
        assert refused.status_code == 409, refused.text
        assert f"of {estimate} is damaged on this server: run the estimate again" in refused.json()["detail"]
    refused = server.client.post(f"/v1/estimates/{estimate}/evaluate", content=rows)
    assert refused.status_code == 409
    assert f"the critic of {estimate}" in refused.json()["detail"]
    # The same estimate makes the same files, which repairs those of the first one.
    assert server.until_done(server.submit(*sets, **QUICK))["status"] == "succeeded"
    assert server.client.post(f"/v1/estimates/{estimate}/evaluate", content=rows).status_code == 200


@pytest.mark.slow
def test_deep_names_what_is_damaged_and_missing(own_server: MakeServer) -> None:
    server = own_server("--workers", "0")
    whole, damaged, missing = (server.upload(normal(seed)) for seed in range(3))
    hashes = dict(server.rows("SELECT id, sha256 FROM sample_sets"))
    assert doctor(server.data, "--deep")["content"][0] == "ok"
    flip(blob(server, hashes[damaged]))
    blob(server, hashes[missing]).unlink()
    command = doctor_lines(server.data)
    assert any(f"sample set {damaged} is damaged" in line for line in command)
    assert any(f"sample set {missing} is missing" in line for line in command)
    assert not any(whole in line for line in command)
    assert server.client.get(f"/v1/sample-sets/{missing}/content").status_code == 409


def doctor_lines(data: Path) -> list[str]:
    command = [str(Path(sys.executable).with_name("wdist")), "doctor", "--deep", "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stdout.splitlines()


def test_a_version_of_a_file_is_read_through_once(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 1000)
    sha256 = "1c0a5e6b" + "0" * 56
    checked = Checked()
    assert not checked.holds(sha256, file)
    checked.trust(sha256, file)  # what was hashed while it was written is not read again: its digest is believed
    assert checked.holds(sha256, file)
    os.utime(file, ns=(1, 1))
    assert not checked.holds(sha256, file), "another version is read through"
    checked.trust(sha256, file)
    os.utime(file, ns=(1, 1))
    assert not checked.holds(sha256, file), "no program can set back the time at which anything was changed"
    with pytest.raises(FileNotFoundError):
        checked.holds(sha256, tmp_path / "none")
    linked = Checked(are_linked=True)
    linked.trust(sha256, file)
    (tmp_path / "link").hardlink_to(file)
    os.utime(file, ns=(2, 1))
    assert linked.holds(sha256, file), "links come and go, and use is no change"
    os.utime(file, ns=(2, 2))
    assert not linked.holds(sha256, file)
