"""Rows with text that would be refused today, as earlier versions stored them: shown mended, and in nobody's way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from service_process import Server, normal

BAD, MENDED = "a\ud800\u0007b", "a\ufffd\ufffdb"


def poisoned(value: Any) -> str:
    """JSON as earlier versions stored it, with escapes for what UTF-8 cannot write."""
    return json.dumps(value)


def without_row(server: Server, path: str) -> list[dict[str, Any]]:
    answer = server.client.get(path)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


@pytest.mark.both_stores
def test_a_sample_set_with_bad_names(server: Server) -> None:
    before, bad, after = (server.upload(normal(seed, columns=2)) for seed in (81, 82, 83))
    table = {"columns": [{"name": BAD, "kind": "category", "levels": [BAD]}, {"name": "y", "kind": "number"}]}
    server.write(
        "UPDATE sample_sets SET column_names = :names, table_schema = :schema, notes = :notes, statistics = :counts "
        "WHERE id = :id", id=bad, names=poisoned([BAD, "y"]), schema=poisoned({**table, "missing": False}),
        notes=poisoned([BAD]), counts=poisoned({"columns": [{"levels": {BAD: 3}}]}),
    )  # fmt: skip
    listed = {row["id"]: row for row in without_row(server, "/v1/sample-sets?limit=3")}
    assert list(listed) == [after, bad, before]
    assert listed[bad]["columns"] == [MENDED, "y"]
    assert listed[bad]["table"]["columns"][0]["levels"] == [MENDED]
    assert listed[bad]["notes"] == [MENDED]
    assert server.client.get(f"/v1/sample-sets/{bad}").json() == listed[bad]
    compared = server.client.post("/v1/estimates", json={"source": bad, "target": after})
    assert compared.status_code == 422, compared.text
    assert MENDED in compared.json()["detail"] or "columns" in compared.json()["detail"]
    assert server.client.delete(f"/v1/sample-sets/{bad}").status_code == 204


@pytest.mark.both_stores
def test_an_estimate_with_bad_labels_and_a_bad_error(server: Server, pair: tuple[str, str]) -> None:
    ids = [server.submit(*pair, critic="affine", steps=5, baseline_rows=0, metadata={"k": "v"}) for _ in range(3)]
    for estimate in ids:
        server.until_done(estimate)
    labels, error = poisoned({BAD: BAD, "n": "\0"}), poisoned({"type": "invalid", "message": BAD})
    server.write("UPDATE estimates SET metadata = :labels WHERE id = :id", id=ids[1], labels=labels)
    server.write("UPDATE jobs SET error = :error, status = 'failed' WHERE id = :id", id=ids[1], error=error)
    listed = {row["id"]: row for row in without_row(server, "/v1/estimates?limit=3")}
    assert list(listed) == ids[::-1]
    assert listed[ids[1]]["metadata"] == {MENDED: MENDED, "n": "\ufffd"}
    assert listed[ids[1]]["error"]["message"] == MENDED
    assert server.get(ids[1])["error"]["message"] == MENDED
    # Filters of labels read an index, and no JSON that a database may refuse to look into.
    assert [row["id"] for row in without_row(server, "/v1/estimates?limit=3&metadata=k:v")] == ids[::-1]
    events = server.client.get(f"/v1/estimates/{ids[1]}/events").text
    assert "event: completed" in events
    assert server.client.delete(f"/v1/estimates/{ids[1]}").status_code == 204


@pytest.mark.both_stores
def test_a_batch_with_bad_labels(server: Server, pair: tuple[str, str]) -> None:
    body = {"pairs": [{"source": pair[0], "target": pair[1], "custom_id": "one"}], "metadata": {"k": "v"}}
    batch = server.client.post("/v1/batches", json=body).json()["id"]
    server.client.post(f"/v1/batches/{batch}/cancel")
    server.write("UPDATE batches SET metadata = :labels WHERE id = :id", id=batch, labels=poisoned({"k": BAD}))
    assert without_row(server, "/v1/batches?limit=1")[0]["metadata"] == {"k": MENDED}
    assert server.client.get(f"/v1/batches/{batch}").json()["metadata"] == {"k": MENDED}
    results = server.client.get(f"/v1/batches/{batch}/results").text.splitlines()
    assert [json.loads(line)["metadata"] for line in results] == [{"k": MENDED}]


@pytest.mark.both_stores
def test_a_row_that_cannot_be_shown_at_all_is_left_out(server: Server) -> None:
    before, bad, after = (server.upload(normal(seed)) for seed in (91, 92, 93))
    server.write("UPDATE sample_sets SET shape = '7' WHERE id = :id", id=bad)
    first = server.client.get("/v1/sample-sets?limit=2").json()
    assert [row["id"] for row in first["data"]] == [after]
    assert first["next"] == bad
    assert without_row(server, f"/v1/sample-sets?limit=1&after={bad}")[0]["id"] == before
    assert f'"id": "{bad}"' in server.log_end(20_000)
    assert server.client.delete(f"/v1/sample-sets/{bad}").status_code == 204


@pytest.mark.local_stores
def test_a_name_that_is_no_utf_8(server: Server) -> None:
    bad = server.upload(normal(97), name="good")
    server.write("UPDATE sample_sets SET name = CAST(X'61FF62' AS TEXT) WHERE id = :id", id=bad)
    assert without_row(server, "/v1/sample-sets?limit=1")[0]["name"] == "a\ufffdb"
    server.client.delete(f"/v1/sample-sets/{bad}")


@pytest.mark.local_stores
def test_a_value_that_is_no_json(server: Server) -> None:
    before, bad, after = (server.upload(normal(seed)) for seed in (94, 95, 96))
    server.write("UPDATE sample_sets SET notes = '{half' WHERE id = :id", id=bad)
    assert [row["id"] for row in without_row(server, "/v1/sample-sets?limit=3")] == [after, bad, before]
    server.client.delete(f"/v1/sample-sets/{bad}")
