"""Results of earlier versions of the statistics: which figures are withdrawn, and everywhere that a server says so."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from service_process import Server, normal

from wdist.definitions.figures import METHOD_VERSION
from wdist.definitions.results.withdrawn import withdrawn

pytestmark = pytest.mark.local_stores  # tests/upgrade has what 0.1 left in both stores
QUICK: dict[str, Any] = {"critic": "affine", "steps": 5, "baseline_rows": 0}
PLAIN: dict[str, Any] = {
    "lower_bound": 0.4, "p_value": 0.01, "upper_bound": None, "groups": None, "scale": None, "simultaneous": None
}  # fmt: skip
GROUPED = {"groups": {"source": 50, "target": 50}}


@pytest.mark.parametrize(
    ("changes", "figures"),
    [
        ({}, None),
        ({"upper_bound": 5.0}, None),
        ({"upper_bound": 5.0, "scale": {"kind": "columns", "divisor": [2.0]}}, None),
        ({"scale": {"kind": "standardize", "divisor": [2.0]}}, None),
        ({"upper_bound": 5.0, "scale": {"kind": "standardize", "divisor": [2.0]}}, ["upper_bound"]),
        (GROUPED, ["lower_bound", "p_value"]),
        (GROUPED | {"p_value": None}, ["lower_bound"]),
        (
            GROUPED | {"simultaneous": {"statements": 3, "lower_bound": 0.2}},
            ["lower_bound", "simultaneous_lower_bound", "p_value"],
        ),
    ],
)
def test_what_is_withdrawn_of_a_result(changes: dict[str, Any], figures: list[str] | None) -> None:
    for version in ({}, {"method_version": 1}):
        found = withdrawn(PLAIN | changes | version)
        assert (found and found.figures) == figures
        assert found is None or ("Version 1" in found.reason and "Withdrawn: run again" in found.action)
    assert withdrawn(PLAIN | changes | {"method_version": METHOD_VERSION}) is None


@dataclass(frozen=True)
class Study:
    """Ids of two sets, the labels of their groups by set, and the estimates of them."""

    sets: list[str]
    groups: dict[str, str]
    plain: str
    grouped: str
    batch: str


@pytest.fixture(scope="module")
def study(server: Server) -> Study:
    """A plain estimate, one with groups and a matrix with groups, as 0.1 would have stored them."""
    sets = [server.upload(normal(80 + k, rows=300, shift=2.0 * k)) for k in range(3)]
    labels = [server.upload(np.repeat(np.arange(150), 2)[:, None] + 1000 * k) for k in range(3)]
    groups = dict(zip(sets, labels, strict=True))
    pair = {key: groups[key] for key in sets[:2]}
    plain, grouped = server.submit(*sets[:2], **QUICK), server.submit(*sets[:2], groups=pair, **QUICK)
    body = {"matrix": sets, "groups": groups, "simultaneous": True, **QUICK}
    batch = server.client.post("/v1/batches", json=body).json()["id"]
    cells = [json.loads(line)["id"] for line in server.client.get(f"/v1/batches/{batch}/results").text.splitlines()]
    done = [server.until_done(name) for name in (plain, grouped, *cells)]
    assert [(each["status"], each["result"]["method_version"]) for each in done] == [("succeeded", METHOD_VERSION)] * 5
    assert [each["result"]["withdrawn"] for each in done] == [None] * 5
    server.age_results(plain, grouped, *cells[:2])
    return Study(sets, groups, plain, grouped, batch)


def test_an_estimate_says_what_is_withdrawn_wherever_it_leaves_the_server(server: Server, study: Study) -> None:
    found = server.get(study.grouped)["result"]
    assert found["method_version"] == 1
    assert found["withdrawn"]["figures"] == ["lower_bound", "p_value"]
    assert found["lower_bound"] > 0  # still told, beside the mark
    listed = {row["id"]: row for row in server.client.get("/v1/estimates?limit=100").json()["data"]}
    events = server.client.get(f"/v1/estimates/{study.grouped}/events").text
    (completed,) = [block for block in events.split("\n\n") if "event: completed" in block]
    told = json.loads(completed.partition("data: ")[2].splitlines()[0])
    assert listed[study.grouped]["result"] == told["result"] == found
    lines = [json.loads(line) for line in server.client.get(f"/v1/batches/{study.batch}/results").text.splitlines()]
    marks = [line["result"]["withdrawn"] and line["result"]["withdrawn"]["figures"] for line in lines]
    assert marks == [["lower_bound", "simultaneous_lower_bound", "p_value"]] * 2 + [None]


def test_a_plain_estimate_stands(server: Server, study: Study) -> None:
    found = server.get(study.plain)["result"]
    assert (found["method_version"], found["withdrawn"]) == (1, None)


def test_a_matrix_marks_its_cells(server: Server, study: Study) -> None:
    matrix = server.client.get(f"/v1/batches/{study.batch}/matrix").json()
    own = ["lower_bound", "simultaneous_lower_bound", "p_value", "adjusted_p_value"]
    # The p-value of the last pair stands, but its adjustment uses those of the others.
    last = ["adjusted_p_value"]
    assert matrix["withdrawn"]["cells"] == [[[], own, own], [own, [], last], [own, last, []]]
    assert "Version 1" in matrix["withdrawn"]["reason"]
    assert matrix["lower_bound"][0][1] > 0
    for figure, known in (
        ("lower_bound", [False, False, True]),
        ("value", [True] * 3),
        ("p_value", [False] * 2 + [True]),
    ):
        query = {"format": "npy", "figure": figure}
        array = np.load(io.BytesIO(server.client.get(f"/v1/batches/{study.batch}/matrix", params=query).content))
        pairs = array[np.triu_indices(3, 1)]
        np.testing.assert_array_equal(np.isfinite(pairs), known)
        np.testing.assert_array_equal(array, array.T)
        stored = np.array(matrix[figure], dtype=float)[np.triu_indices(3, 1)]
        np.testing.assert_array_equal(pairs[known], stored[known])


def test_a_matrix_without_withdrawn_cells_says_so(server: Server, study: Study) -> None:
    body = {"reference": study.sets[0], "targets": study.sets[1:2], **QUICK}
    batch = server.client.post("/v1/batches", json=body).json()["id"]
    (line,) = server.client.get(f"/v1/batches/{batch}/results").text.splitlines()
    server.until_done(json.loads(line)["id"])
    assert server.client.get(f"/v1/batches/{batch}/matrix").json()["withdrawn"] is None


def test_a_pair_that_is_its_own_reference_batch(server: Server, study: Study) -> None:
    pair = {key: study.groups[key] for key in study.sets[:2]}
    body = {"reference": study.sets[0], "targets": study.sets[1:2], "groups": pair, **QUICK}
    batch = server.client.post("/v1/batches", json=body).json()["id"]
    (line,) = server.client.get(f"/v1/batches/{batch}/results").text.splitlines()
    name = json.loads(line)["id"]
    server.until_done(name)
    server.age_results(name)
    (cell,) = server.client.get(f"/v1/batches/{batch}/matrix").json()["withdrawn"]["cells"][0]
    # The simultaneous bound of a single pair is its lower bound.
    assert sorted(cell) == ["adjusted_p_value", "lower_bound", "p_value", "simultaneous_lower_bound"]


def test_a_certificate_comes_with_a_note(server: Server, study: Study) -> None:
    path = f"/v1/estimates/{study.grouped}/certificate"
    old = server.client.get(path)
    assert old.status_code == 200
    assert "wdist verify refuses" in old.headers["wdist-note"]
    assert "Withdrawn are lower_bound, p_value." in old.headers["wdist-note"]
    plain = server.client.get(f"/v1/estimates/{study.plain}/certificate").headers["wdist-note"]
    assert "run the estimate again" in plain
    assert "Withdrawn" not in plain
    again = server.until_done(server.submit(*study.sets[:2], **QUICK))
    assert "wdist-note" not in server.client.get(f"/v1/estimates/{again['id']}/certificate").headers


@pytest.mark.parametrize("options", [{"critic": "affine"}, {"critic": "groupsort", "steps": 60}])
def test_a_finished_estimate_reports_all_of_its_steps(
    server: Server, pair: tuple[str, str], options: dict[str, Any]
) -> None:
    done = server.until_done(server.submit(*pair, baseline_rows=0, **options))
    progress = done["progress"]
    assert progress["step"] == progress["steps"] == max(done["result"]["steps"], 1)
    assert progress["eta_seconds"] == 0
