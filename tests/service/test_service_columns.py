"""Names of columns over HTTP: how a set gets them, and that a critic in another process is not asked about others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from service_process import Server, normal, npy

from wdist.verify import read_critic

NAMES = ["a", "b", "c"]


def csv(rows: np.ndarray, names: list[str]) -> bytes:
    return "\n".join([",".join(names), *(",".join(map(repr, row)) for row in rows.astype(float).tolist())]).encode()


def upload(server: Server, rows: np.ndarray, names: list[str], **query: str) -> str:
    answer = server.client.post(
        "/v1/sample-sets", params=query, content=csv(rows, names), headers={"Content-Type": "text/csv"}
    )
    return str(answer.json()["id"])


def name(server: Server, sample_set: str, body: Any) -> httpx.Response:
    return server.client.put(f"/v1/sample-sets/{sample_set}/columns", json=body)


@pytest.fixture(scope="module")
def estimate(server: Server) -> str:
    """An estimate of two sets that have names."""
    pair = upload(server, normal(801), NAMES), upload(server, normal(802, shift=1.0), NAMES)
    return str(server.until_done(server.submit(*pair, steps=5, critic="groupsort"))["id"])


def test_the_critics_files_hold_the_names(server: Server, estimate: str, tmp_path: Path) -> None:
    for part, file in (("weights", "critic.safetensors"), ("config", "critic.json")):
        answer = server.client.get(f"/v1/estimates/{estimate}/critic", params={"part": part})
        (tmp_path / file).write_bytes(answer.content)
    assert json.loads((tmp_path / "critic.json").read_text())["columns"] == NAMES
    rows = normal(803)
    stored = upload(server, rows, NAMES)
    answer = server.client.post(f"/v1/estimates/{estimate}/evaluate", params={"sample_set": stored})
    np.testing.assert_allclose(answer.json()["values"], read_critic(tmp_path).evaluate(rows), rtol=1e-9)


@pytest.mark.parametrize("rows", [300, 10_001])  # at once, and as a job
@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["c", "a", "b"], "are those of the critic in another order (c, a, b); put them into the order a, b, c"),
        (["a", "b", "z"], "c only in the critic, z only in week 47"),
    ],
)
def test_a_stored_set_with_other_columns_is_not_evaluated(
    server: Server, estimate: str, rows: int, names: list[str], words: str
) -> None:
    stored = upload(server, normal(804 + len(words) + rows, rows=rows), names, name="week 47")
    answer = server.client.post(f"/v1/estimates/{estimate}/evaluate", params={"sample_set": stored})
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert f"week 47 ({stored})" in answer.json()["detail"]
    assert answer.json()["errors"][0]["field"] == "sample_set"


def test_names_are_given_to_a_set_that_has_none(server: Server) -> None:
    stored = server.upload(normal(805))
    assert name(server, stored, {"columns": NAMES}).json()["columns"] == NAMES
    assert name(server, stored, {"columns": NAMES}).status_code == 200
    other = name(server, stored, {"columns": ["a", "b", "z"]})
    assert (other.status_code, "other names of columns (a, b, c)" in other.json()["detail"]) == (409, True)
    third = server.upload(normal(806))
    assert name(server, third, {"columns": ["c", "b", "a"]}).status_code == 200
    refused = server.client.post("/v1/estimates", json={"source": stored, "target": third})
    assert (refused.status_code, "another order (c, b, a)" in refused.json()["detail"]) == (422, True)


def test_sets_of_which_one_has_names_are_not_compared(server: Server) -> None:
    bare, named = server.upload(normal(809)), upload(server, normal(810), NAMES)
    refused = server.client.post("/v1/estimates", json={"source": bare, "target": named})
    assert (refused.status_code, f"PUT /v1/sample-sets/{bare}/columns" in refused.json()["detail"]) == (422, True)
    assert name(server, bare, {"columns": NAMES}).status_code == 200
    assert server.client.post("/v1/estimates", json={"source": bare, "target": named, "steps": 1}).status_code == 202


def test_a_set_sent_again_without_names_does_not_take_those_of_another(server: Server) -> None:
    rows = normal(808)
    named = server.upload(rows, name="frame")
    assert name(server, named, {"columns": NAMES}).status_code == 200
    again = server.upload(rows, name="frame")
    assert again != named
    refused = name(server, again, {"columns": NAMES})
    assert (refused.status_code, f"frame ({named}) has the same values" in refused.json()["detail"]) == (409, True)
    assert name(server, again, {"columns": ["a", "b", "z"]}).json()["columns"] == ["a", "b", "z"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"columns": ["a", "b"]}, "2 names do not fit"),
        ({"columns": ["a", "b", "a"]}, "more than one column is named 'a'"),
        ({"columns": []}, "at least 1"),
        ({"columns": ["a", "b", 3]}, "columns.2 is 3; it must be text"),
        ({"names": NAMES}, "there is no 'names' here"),
        (NAMES, "it must be an object"),
    ],
)
def test_names_that_do_not_fit_are_refused(server: Server, body: Any, words: str) -> None:
    answer = name(server, server.upload(normal(807)), body)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_images_have_no_names(server: Server) -> None:
    images = server.client.post("/v1/sample-sets", content=npy(np.arange(5 * 4 * 3.0).reshape(5, 4, 3))).json()["id"]
    assert name(server, images, {"columns": ["a", "b", "c"]}).status_code == 422


@pytest.mark.parametrize(
    ("query", "field"),
    [({"limit": 0}, "limit"), ({"status": "done"}, "status"), ({"metadata": "no colon"}, "metadata")],
)
def test_a_parameter_that_is_refused_is_named(server: Server, query: dict[str, Any], field: str) -> None:
    answer = server.client.get("/v1/estimates", params=query)
    assert answer.json()["errors"][0]["field"] == field
    assert answer.json()["detail"].startswith(f"{field} is ")
