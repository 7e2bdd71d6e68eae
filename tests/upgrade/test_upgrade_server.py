"""An installation of 0.1 that was killed in the middle of its work, started again with the present code."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psycopg
import pytest
from archives import objects_of, unpack
from present import METHOD_VERSION, WDIST, Server, Stores, rows
from sqlalchemy import create_engine, inspect

import wdist
from wdist.definitions.results.verdict import Verdict

pytestmark = pytest.mark.both_stores  # the dump of PostgreSQL and the file of SQLite are two stories
TUS = {"Tus-Resumable": "1.0.0"}
TERMINAL = ("succeeded", "failed", "canceled")


@dataclass(frozen=True)
class Upgraded:
    """The server that goes on, and what 0.1 said about the installation."""

    server: Server
    said: dict[str, Any]

    def get(self, path: str) -> Any:
        answer = self.server.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def sha256(self, path: str) -> str:
        answer = self.server.client.get(path)
        assert answer.status_code == 200, answer.text
        return hashlib.sha256(answer.content).hexdigest()


@pytest.fixture(scope="module")
def upgraded(
    stores: Stores, fixtures: Path, manifest: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Upgraded]:
    folder = tmp_path_factory.mktemp("upgrade")
    environment: dict[str, str | None] = {"WDIST_SERVER_BEAT_SECONDS": "0.5"}  # a dead worker is noticed sooner
    if stores.are_shared:
        left = unpack(fixtures / "shared.tar.xz", folder / "left")
        environment |= restored(stores, left) | {"WDIST_SERVER_SECRET_FILE": str(left / "secret")}
    else:
        unpack(fixtures / "local.tar.xz", folder / "data")
    said = manifest["shared" if stores.are_shared else "local"]
    with Server(folder / "data", ["--slots", "1"], environment) as server:
        server.client.headers["Authorization"] = f"Bearer {said['key']}"
        yield Upgraded(server, said)
    assert server.process is not None
    assert server.process.returncode == 0


def restored(stores: Stores, left: Path) -> dict[str, str | None]:
    """Stores with the database of a dump and the objects of a bucket, as a server's variables."""
    settings = stores.settings()
    with psycopg.connect(settings["database_url"], autocommit=True) as connection:
        connection.execute((left / "dump.sql").read_bytes())
    bucket = objects_of(settings)
    for path in (left / "bucket").rglob("*"):
        if path.is_file():
            bucket.put(path.relative_to(left / "bucket").as_posix(), path.read_bytes())
    return {f"WDIST_SERVER_{name.upper()}": value for name, value in settings.items()}


def assert_kept(found: Any, stored: Any, where: str = "") -> None:
    """Everything that 0.1 said is still said; a later release may say more."""
    if isinstance(stored, dict):
        assert isinstance(found, dict), where
        for name, value in stored.items():
            assert name in found, f"{where}.{name} is gone"
            if name == "meaning":  # told anew from the figures
                assert found[name] == Verdict.model_validate(found["verdict"]).text
                continue
            assert_kept(found[name], value, f"{where}.{name}")
    else:
        assert found == stored, where


def test_everything_acknowledged_is_there(upgraded: Upgraded) -> None:
    for kind in ("sample-sets", "estimates", "batches"):
        for stored in upgraded.said[kind]:
            if kind == "estimates" and stored["status"] not in TERMINAL:
                stored = {name: stored[name] for name in ("id", "source", "target", "options", "created_at")}
            if stored["id"] == upgraded.said["queued_batch"]:
                stored = {name: value for name, value in stored.items() if name not in ("status", "counts")}
            assert_kept(upgraded.get(f"/v1/{kind}/{stored['id']}"), stored, stored["id"])
        listed = [row["id"] for row in upgraded.get(f"/v1/{kind}?limit=100")["data"]]
        assert [name for name in listed if name in {row["id"] for row in upgraded.said[kind]}] == [
            row["id"] for row in upgraded.said[kind]
        ]
    states = {row["status"] for row in upgraded.said["estimates"]}
    assert states == {"succeeded", "failed", "canceled", "running", "queued"}
    assert upgraded.server.client.get(f"/v1/estimates/{upgraded.said['forgotten']}").status_code == 404


def test_sets_of_0_1_sent_again_are_these_sets(upgraded: Upgraded) -> None:
    client = upgraded.server.client
    for stored in upgraded.said["sample-sets"]:
        content = client.get(f"/v1/sample-sets/{stored['id']}/content").content
        names = {} if stored["name"] is None else {"name": stored["name"]}
        if stored["columns"] is not None:
            continue  # .npy has no names of columns
        again = client.post("/v1/sample-sets", params=names, content=content)
        assert (again.status_code, again.json()["id"]) == (200, stored["id"])
        assert again.json()["file_sha256"] == stored["sha256"]  # as it is known now
    other = client.post("/v1/sample-sets", params={"name": "a new name"}, content=content)
    assert (other.status_code, other.json()["sha256"]) == (201, stored["sha256"])
    assert client.delete(f"/v1/sample-sets/{other.json()['id']}").status_code == 204
    assert upgraded.sha256(f"/v1/sample-sets/{stored['id']}/content") == stored["sha256"]
    identities = [each for (each,) in rows(upgraded.server.database_url, "SELECT identity FROM sample_sets")]
    assert None not in identities
    assert len(set(identities)) == len(identities)


def test_downloads_are_the_bytes_of_0_1(upgraded: Upgraded) -> None:
    for estimate, parts in upgraded.said["files"].items():
        for part, sha256 in parts.items():
            assert upgraded.sha256(f"/v1/estimates/{estimate}/{part}") == sha256, (estimate, part)
    for row in upgraded.said["sample-sets"]:
        assert upgraded.sha256(f"/v1/sample-sets/{row['id']}/content") == row["sha256"]
    evaluation = upgraded.said["evaluation"]
    url = f"/v1/estimates/{evaluation['estimate']}/evaluations/{evaluation['id']}"
    assert upgraded.sha256(f"{url}/content") == evaluation["sha256"]
    stored = {name: value for name, value in evaluation.items() if name != "sha256"}
    assert_kept(upgraded.get(url), stored, url)


def test_figures_are_those_of_0_1(upgraded: Upgraded) -> None:
    for estimate, curve in upgraded.said["curves"].items():
        assert_kept(upgraded.get(f"/v1/estimates/{estimate}/curve"), curve, estimate)
    matrix = upgraded.said["matrix"]
    assert matrix["complete"]
    assert_kept(upgraded.get(f"/v1/batches/{matrix['batch']}/matrix"), matrix)


def test_what_cannot_be_trusted_is_withdrawn(upgraded: Upgraded) -> None:
    results = {row["id"]: row["result"] for row in upgraded.said["estimates"] if row["status"] == "succeeded"}
    assert all("method_version" not in stored for stored in results.values())
    listed = {row["id"]: row["result"] for row in upgraded.get("/v1/estimates?limit=100")["data"]}
    kinds = set()
    for name, stored in results.items():
        found = upgraded.get(f"/v1/estimates/{name}")["result"]
        assert found == listed[name]
        assert found["method_version"] == 1
        figures = found["withdrawn"] and found["withdrawn"]["figures"]
        assert figures == (["lower_bound", "p_value"] if stored["groups"] else None)
        kinds.add((stored["split"], stored["upper_bound"] is not None, stored["scale"] is not None))
    # Plain ones, one by groups, one with an upper bound and one whose ruler is fitted on the rows: only groups are out.
    assert kinds == {
        ("random", False, False), ("groups", False, False), ("random", True, False), ("random", False, True)
    }  # fmt: skip
    assert upgraded.get(f"/v1/batches/{upgraded.said['matrix']['batch']}/matrix")["withdrawn"] is None
    # Bounds on single columns, which 0.1 got wrong too, are in no result that a server stores.
    assert not any("column" in name for stored in results.values() for name in stored)


def test_old_certificates_come_with_a_note(upgraded: Upgraded) -> None:
    grouped = {row["id"] for row in upgraded.said["estimates"] if row["result"] and row["result"]["groups"]}
    assert len(grouped & set(upgraded.said["files"])) == 1
    for estimate in upgraded.said["files"]:
        note = upgraded.server.client.get(f"/v1/estimates/{estimate}/certificate").headers["wdist-note"]
        assert "format 1" in note
        assert ("Withdrawn are lower_bound, p_value" in note) == (estimate in grouped)


def test_what_runs_again_stands(upgraded: Upgraded) -> None:
    (old,) = (row for row in upgraded.said["estimates"] if row["result"] and row["result"]["groups"])
    options = {name: value for name, value in old["options"].items() if value is not None}
    done = upgraded.server.until_done(upgraded.server.submit(old["source"], old["target"], **options))
    assert_kept(done["options"], old["options"])
    assert (done["result"]["method_version"], done["result"]["withdrawn"]) == (METHOD_VERSION, None)


def test_keys_open_what_they_opened(upgraded: Upgraded) -> None:
    def status(**headers: str) -> int:
        return httpx.get(f"{upgraded.server.url}/v1/estimates", headers=headers).status_code

    assert status() == 401
    assert status(Authorization=f"Bearer {upgraded.said['revoked_key']}") == 401
    assert status(Authorization=f"Bearer {upgraded.said['key']}") == 200


def test_a_request_sent_again_finds_its_estimate(upgraded: Upgraded) -> None:
    sent = upgraded.said["idempotent"]
    answer = upgraded.server.client.post("/v1/estimates", json=sent["body"], headers={"Idempotency-Key": sent["key"]})
    assert answer.json()["id"] == sent["id"]
    assert answer.json()["status"] == "succeeded"


def test_waiting_estimates_are_done(upgraded: Upgraded) -> None:
    for name, drained in upgraded.said["drained"].items():
        done = upgraded.server.until_done(name)
        assert done["status"] == "succeeded", done["error"]
        assert_kept(done["options"], drained["options"])
        for same in ("source", "target", "priority", "metadata", "created_at", "attempt"):
            assert done[same] == drained[same], (name, same)
        found, stored = done["result"], drained["result"]
        asked = ("confidence", "seed", "split", "groups", "simultaneous", "scale", "units")
        assert_kept(found, {name: stored[name] for name in asked})
        for side, parts in stored["n"].items():  # of which more are held out than in 0.1
            assert sum(found["n"][side].values()) == sum(parts.values())
        assert [each for each in found["warnings"] if "mean difference" not in each] == stored["warnings"]
        assert found["method_version"] == METHOD_VERSION  # other rows are held out than in 0.1, with other figures
        assert 0 <= found["lower_bound"] <= found["value"]
    batch = upgraded.get(f"/v1/batches/{upgraded.said['queued_batch']}")
    assert (batch["status"], batch["counts"]["succeeded"]) == ("finished", 3)
    lines = upgraded.server.client.get(f"/v1/batches/{batch['id']}/results").text.splitlines()
    assert [json.loads(line)["custom_id"] for line in lines] == ["pair a", "pair b", "pair Größe µ"]


def test_the_running_estimate_begins_anew(upgraded: Upgraded) -> None:
    running, checkpoint = upgraded.said["running"]["id"], upgraded.said["checkpoint"]
    done = upgraded.server.until_done(running)
    assert (done["status"], done["attempt"]) == ("succeeded", 2)
    # 0.1 split the rows in another way: some that its critic learned from are test rows now.
    assert done["result"]["method_version"] == METHOD_VERSION
    curve = upgraded.get(f"/v1/estimates/{running}/curve")["data"]
    assert not any(point in checkpoint["curve"] for point in curve if point["step"])
    ours = events(upgraded, running)[len(upgraded.said["events"][running]) :]
    assert [data["step"] < checkpoint["step"] for _, kind, data in ours if kind == "progress"][:1] == [True]


def events(upgraded: Upgraded, estimate: str) -> list[list[Any]]:
    """[id, type, data] of everything that happened to an estimate, apart from the summary at the end."""
    blocks = upgraded.server.client.get(f"/v1/estimates/{estimate}/events").text.split("\n\n")
    fields = [dict(line.partition(": ")[::2] for line in block.splitlines()) for block in blocks]
    told = [each for each in fields if each.get("event") in ("status", "progress", "log")]
    return [[int(each["id"]), each["event"], json.loads(each["data"])] for each in told]


def test_events_are_kept_and_their_numbers_go_on(upgraded: Upgraded) -> None:
    last = max(number for told in upgraded.said["events"].values() for number, _, _ in told)
    for estimate, told in upgraded.said["events"].items():
        upgraded.server.until_done(estimate)
        found = events(upgraded, estimate)
        assert_kept(found[: len(told)], told, estimate)
        assert all(number > last for number, _, _ in found[len(told) :])
        assert (len(found) > len(told)) == (estimate in upgraded.said["pending"])


def test_a_half_received_upload_is_completed(upgraded: Upgraded) -> None:
    upload, client = upgraded.said["upload"], upgraded.server.client
    assert client.head(upload["url"], headers=TUS).headers["upload-offset"] == str(upload["offset"])
    headers = {**TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": str(upload["offset"])}
    answer = client.patch(upload["url"], content=base64.b64decode(upload["rest"]), headers=headers)
    assert answer.status_code == 204, answer.text
    sample_set = answer.headers["wdist-sample-set"]
    assert upgraded.get(f"/v1/sample-sets/{sample_set}")["name"] == "halved"
    assert upgraded.sha256(f"/v1/sample-sets/{sample_set}/content") == upload["sha256"]


def test_evaluations_on_their_way_are_done(upgraded: Upgraded, tmp_path: Path) -> None:
    client = upgraded.server.client
    for part, name in (("weights", "critic.safetensors"), ("config", "critic.json")):
        answer = client.get(f"/v1/estimates/{upgraded.said['critic']}/critic", params={"part": part})
        (tmp_path / name).write_bytes(answer.content)
    critic = wdist.load_critic(tmp_path)
    for stored in upgraded.said["pending_evaluations"]:
        url = f"/v1/estimates/{stored['estimate']}/evaluations/{stored['id']}"
        deadline = time.monotonic() + 60
        while (job := upgraded.get(url))["status"] in ("queued", "running"):
            assert time.monotonic() < deadline, upgraded.server.log_end()
            time.sleep(0.1)
        assert (job["status"], job["done"], job["created_at"]) == ("succeeded", job["rows"], stored["created_at"])
        rows = np.load(io.BytesIO(client.get(f"/v1/sample-sets/{stored['sample_set']}/content").content))
        values = np.load(io.BytesIO(client.get(f"{url}/content").content))
        np.testing.assert_allclose(values, critic.evaluate(rows), rtol=1e-9, atol=1e-9)


def test_new_work_is_taken(upgraded: Upgraded) -> None:
    pair = [row["id"] for row in upgraded.said["sample-sets"] if row["name"] in ("source", "target")]
    done = upgraded.server.until_done(upgraded.server.submit(pair[0], pair[1], critic="affine", baseline_rows=50))
    assert done["status"] == "succeeded"


def test_tables_are_those_of_a_new_installation(upgraded: Upgraded, stores: Stores, tmp_path: Path) -> None:
    environment = os.environ | stores.environment()
    command = [str(WDIST), "keys", "create", "--role", "admin", "--data", str(tmp_path / "data")]
    subprocess.run(command, env=environment, check=True, capture_output=True, cwd=tmp_path)  # makes the tables
    new = environment.get("WDIST_SERVER_DATABASE_URL") or f"sqlite:///{tmp_path}/data/wdist.sqlite"
    fresh, old = tables(new), tables(upgraded.server.database_url)
    assert "estimates" in fresh
    assert {name: old.get(name) for name in fresh} == fresh
    revision = "SELECT version_num FROM alembic_version"
    assert rows(upgraded.server.database_url, revision) == rows(new, revision)


def tables(url: str) -> dict[str, Any]:
    """Columns and indexes of the tables in the schema of the service."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    found = inspect(engine)
    described = {
        name: (
            {column["name"]: (str(column["type"]), column["nullable"]) for column in found.get_columns(name)},
            {index["name"]: index["column_names"] for index in found.get_indexes(name)},
        )
        for name in found.get_table_names()
    }
    engine.dispose()
    return described
