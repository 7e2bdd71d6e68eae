"""Rows that belong together, over HTTP: labels from columns of a table, and estimates that keep groups whole."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
from service_process import Server, normal, npy

from wdist import estimate_w1
from wdist.data.pair import Shared
from wdist.estimate import Estimation
from wdist.options import Options
from wdist.verify import verify_certificate

GROUPS, SIZE = 120, 3
QUICK: dict[str, Any] = {"critic": "affine", "steps": 5, "baseline_rows": 0}


def patients(prefix: str, seed: int, shift: float) -> tuple[np.ndarray, list[str]]:
    """Three rows of each of 120 patients, who differ more from each other than their rows do."""
    generator = np.random.default_rng(seed)
    centre = np.repeat(generator.normal(size=(GROUPS, 2)), SIZE, axis=0)
    rows = (centre + 0.1 * generator.normal(size=centre.shape) + shift).astype(np.float32)
    return rows, [f"{prefix}{k}" for k in range(GROUPS) for _ in range(SIZE)]


def parquet(rows: np.ndarray, labels: list[Any]) -> bytes:
    file = io.BytesIO()
    pa_parquet.write_table(pa.table({"patient": labels, "a": rows[:, 0], "b": rows[:, 1]}), file)
    return file.getvalue()


def send(server: Server, body: bytes, **query: Any) -> dict[str, Any]:
    answer = server.client.post("/v1/sample-sets", params=query, content=body)
    assert answer.status_code in (200, 201), answer.text
    return dict(answer.json())


def read(server: Server, sample_set: str) -> np.ndarray:
    return np.load(io.BytesIO(server.client.get(f"/v1/sample-sets/{sample_set}/content").content))


@pytest.fixture(scope="module")
def study(server: Server) -> tuple[str, str, dict[str, str]]:
    """(source, target, groups) from two Parquet files with a column of text."""
    sets, groups = [], {}
    for seed, (prefix, shift) in enumerate((("a-", 0.0), ("b-", 2.0))):
        body = parquet(*patients(prefix, seed, shift))
        rows = send(server, body, format="parquet", drop="patient")
        assert (rows["columns"], rows["shape"]) == (["a", "b"], [GROUPS * SIZE, 2])
        labels = send(server, body, format="parquet", labels="patient")
        assert (labels["columns"], labels["shape"], labels["dtype"]) == (["patient"], [GROUPS * SIZE, 1], "<i8")
        sets.append(rows["id"])
        groups[rows["id"]] = labels["id"]
    return sets[0], sets[1], groups


def test_the_result_is_the_library_s(server: Server, study: tuple[str, str, dict[str, str]], tmp_path: Any) -> None:
    source, target, groups = study
    done = server.until_done(server.submit(source, target, groups=groups, **QUICK))
    assert done["status"] == "succeeded", done["error"]
    assert done["options"]["groups"] == groups
    (x, _), (y, _) = patients("a-", 0, 0.0), patients("b-", 1, 2.0)
    # The split depends on the order of the labels, so the codes of the server are the labels here too.
    codes = [read(server, groups[name]).ravel() for name in (source, target)]
    for side in codes:
        np.testing.assert_array_equal(side.reshape(GROUPS, SIZE), side[::SIZE, None] + np.zeros((1, SIZE), np.int64))
        assert len(set(side)) == GROUPS
    expected = estimate_w1(x, y, groups=(codes[0], codes[1]), **QUICK)
    assert done["result"]["value"] == expected.value
    assert done["result"]["lower_bound"] == expected.lower_bound
    files = [tmp_path / name for name in ("certificate", "source.npy", "target.npy")]
    files[0].write_bytes(server.client.get(f"/v1/estimates/{done['id']}/certificate").content)
    for file, rows in zip(files[1:], (x, y), strict=True):
        file.write_bytes(npy(rows))
    assert verify_certificate(*files).valid


def test_a_batch_gives_each_pair_its_labels(server: Server, study: tuple[str, str, dict[str, str]]) -> None:
    source, target, groups = study
    answer = server.client.post("/v1/batches", json={"matrix": [source, target], "groups": groups, **QUICK})
    assert answer.status_code == 202, answer.text
    (line,) = server.client.get(f"/v1/batches/{answer.json()['id']}/results").text.splitlines()
    assert f'"{groups[source]}"' in line
    assert f'"{groups[target]}"' in line
    wrong = server.client.post("/v1/batches", json={"matrix": [source, target], "groups": {source: groups[source]}})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "groups")
    unknown = {"matrix": [source, target], "groups": {**groups, target: "ss_none"}}
    assert server.client.post("/v1/batches", json=unknown).status_code == 404


def test_groups_of_a_matrix_are_in_one_part_in_all_pairs(server: Server) -> None:
    """Whole groups of three sets; a pair has the figures that the library finds with the labels of all three."""
    tables = [patients(prefix, seed, float(seed)) for seed, prefix in enumerate(("s-", "s-", "t-"), start=20)]
    sets, groups, codes = [], {}, []
    for rows, labels in tables:
        body = parquet(rows, labels)
        sets.append(send(server, body, format="parquet", drop="patient")["id"])
        groups[sets[-1]] = send(server, body, format="parquet", labels="patient")["id"]
        codes.append(read(server, groups[sets[-1]]).ravel())
    given = {**QUICK, "scale": "standardize"}
    answer = server.client.post("/v1/batches", json={"matrix": sets, "groups": groups, **given})
    assert answer.status_code == 202, answer.text
    ids = [
        json.loads(line)["id"]
        for line in server.client.get(f"/v1/batches/{answer.json()['id']}/results").text.splitlines()
    ]
    for k, (i, j) in enumerate(((0, 1), (0, 2), (1, 2))):
        found = server.until_done(ids[k])["result"]
        shared = Shared((i, j), tables[0][0], "set 1", codes)
        expected = Estimation(tables[i][0], tables[j][0], Options.checked(**given), shared=shared).run()
        for name in ("value", "lower_bound", "p_value", "scale", "units"):
            assert found[name] == getattr(expected, name), (k, name)


BAD: dict[str, tuple[int, Callable[[str, str, dict[str, str]], dict[str, Any]], str]] = {
    "one side only": (422, lambda a, b, g: {"groups": {a: g[a]}}, "no labels for"),
    "another set": (422, lambda a, b, g: {"groups": {**g, "ss_other": g[a]}}, "ss_other"),
    "unknown labels": (404, lambda a, b, g: {"groups": {a: g[a], b: "ss_none"}}, "ss_none"),
    "two columns": (422, lambda a, b, g: {"groups": {a: g[a], b: b}}, "one label for each row"),
    "in time": (422, lambda a, b, g: {"groups": g, "split": "blocks"}, "at random"),
    "a diameter": (422, lambda a, b, g: {"groups": g, "diameter": 9.0}, "leave out diameter"),
    "ranges": (422, lambda a, b, g: {"groups": g, "ranges": [-9.0, 9.0]}, "leave out ranges"),
    "a list": (422, lambda a, b, g: {"groups": [g[a], g[b]]}, "must be an object"),
}


@pytest.mark.parametrize("case", BAD)
def test_labels_that_do_not_fit(server: Server, study: tuple[str, str, dict[str, str]], case: str) -> None:
    status, options, words = BAD[case]
    body = {"source": study[0], "target": study[1], **options(*study)}
    answer = server.client.post("/v1/estimates", json=body)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"], answer.text
    assert answer.json()["errors"][0]["field"].startswith("groups")


@pytest.mark.parametrize("options", [{"groups": True}, {"split": "blocks"}, {"scale": "standardize"}], ids=str)
def test_no_upper_bound_without_independent_draws(
    server: Server, study: tuple[str, str, dict[str, str]], options: dict[str, Any]
) -> None:
    given = {"groups": study[2]} if "groups" in options else options
    body = {"source": study[0], "target": study[1], "diameter": 9.0, **given}
    answer = server.client.post("/v1/estimates", json=body)
    field = "groups" if "groups" in options else "diameter"
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), answer.text
    assert "diameter" in answer.json()["detail"]


def test_too_few_groups_fail_in_words(server: Server, pair: tuple[str, str]) -> None:
    labels = server.upload(np.arange(300)[:, None] // 10)
    done = server.until_done(server.submit(*pair, groups=dict.fromkeys(pair, labels), **QUICK))
    assert done["status"] == "failed"
    assert "30 groups are too few" in done["error"]["message"]


def test_a_method_that_does_not_allow_the_groups_fails_in_words(server: Server, pair: tuple[str, str]) -> None:
    """Only the labels themselves say whether some groups, but not all, are in both sets."""
    labels = [server.upload(np.arange(first, first + 300)[:, None]) for first in (0, 100, 300)]
    states = []
    for other in labels:
        given = dict(zip(pair, (labels[0], other), strict=True))
        done = server.until_done(server.submit(*pair, groups=given, method="paired_betting", **QUICK))
        states.append(done["status"])
        if done["status"] == "failed":
            assert "some groups are in both sets and some are not" in done["error"]["message"]
            assert "use betting" in done["error"]["message"]
    assert states == ["succeeded", "failed", "succeeded"]


@pytest.mark.both_stores
def test_labels_in_use_are_kept(server: Server, pair: tuple[str, str]) -> None:
    labels = server.upload(np.arange(300)[:, None])
    estimate = server.submit(*pair, groups=dict.fromkeys(pair, labels), critic="groupsort", steps=1_000_000)
    assert server.client.delete(f"/v1/sample-sets/{labels}").status_code == 409
    server.client.post(f"/v1/estimates/{estimate}/cancel")
    server.until_done(estimate)
    assert server.client.delete(f"/v1/sample-sets/{labels}").status_code == 204


def test_a_label_has_one_code_in_every_file(server: Server) -> None:
    given = ["7", "x", "-3", "007", "x", "12345678901234567890"]
    rows = np.zeros((6, 2))
    first = read(server, send(server, parquet(rows, given), format="parquet", labels="patient")["id"]).ravel()
    text = "patient;a\n" + "".join(f"{label};1.5\n" for label in reversed(given))
    second = read(server, send(server, text.encode(), format="csv", labels="patient")["id"]).ravel()
    np.testing.assert_array_equal(first, second[::-1])
    assert (first[0], first[2]) == (7, -3)
    assert first[1] == first[4]
    assert len(set(first)) == 5
    assert (first[[1, 3, 5]] >= 1 << 62).all()
    numbers = read(server, send(server, parquet(rows, [7, 8, -3, 0, 1, 2]), format="parquet", labels="patient")["id"])
    np.testing.assert_array_equal(numbers.ravel(), [7, 8, -3, 0, 1, 2])


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({"labels": "none"}, 422, "no column is named 'none'"),
        ({"drop": ["a", "b", "patient"]}, 422, "no column is left"),
        ({"drop": "none"}, 422, "no column is named 'none'"),
        ({"labels": "missing"}, 422, "has a missing value; give every row a label"),
    ],
)
def test_columns_that_cannot_be_chosen(server: Server, query: dict[str, Any], status: int, words: str) -> None:
    table = {"patient": ["x", "y"], "a": [1.0, 2.0], "b": [1.0, 2.0]}
    if query == {"labels": "missing"}:
        table["missing"] = ["x", None]
    file = io.BytesIO()
    pa_parquet.write_table(pa.table(table), file)
    answer = server.client.post("/v1/sample-sets", params={"format": "parquet", **query}, content=file.getvalue())
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    npy_body = server.client.post("/v1/sample-sets", params=query, content=npy(normal(1)))
    assert npy_body.status_code == 422


def test_resumable_uploads_choose_columns_too(server: Server) -> None:
    body = parquet(*patients("c-", 5, 0.0))
    for metadata, columns in (({"labels": "patient"}, ["patient"]), ({"drop": "patient\na"}, ["b"])):
        given = {"format": "parquet", **metadata}
        text = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in given.items())
        head = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(body)), "Upload-Metadata": text}
        url = server.client.post("/v1/uploads", headers=head).headers["location"]
        patch = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        done = server.client.patch(url, content=body, headers=patch)
        assert done.status_code == 204, done.text
        made = server.client.get(f"/v1/sample-sets/{done.headers['wdist-sample-set']}").json()
        assert made["columns"] == columns


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"method": "empirical_bernstein"}, {}),
        ({"method": "paired_betting"}, {}),
        ({"split": "blocks"}, {"p_value": None}),
        ({"diameter": 100.0}, {"upper_bound": float}),
        ({"empirical": True}, {"empirical": dict}),
        ({"device": "cpu"}, {"device": "cpu"}),
    ],
    ids=str,
)
def test_every_option_reaches_the_library(
    server: Server, pair: tuple[str, str], options: dict[str, Any], expected: dict[str, Any]
) -> None:
    done = server.until_done(server.submit(*pair, **QUICK, **options))
    assert done["status"] == "succeeded", done["error"]
    assert done["options"].items() >= options.items()
    library = estimate_w1(normal(1), normal(2, shift=1.0), **QUICK, **options)
    assert done["result"]["lower_bound"] == library.lower_bound
    assert done["result"]["upper_bound"] == library.upper_bound
    for name, value in expected.items():
        given = done["result"][name]
        assert isinstance(given, value) if isinstance(value, type) else given == value, (name, given)


def test_the_server_s_options_are_the_library_s(server: Server) -> None:
    theirs = server.client.get("/openapi.json").json()["components"]["schemas"]["EstimateRequest"]["properties"]
    for name, ours in Options.model_json_schema()["properties"].items():
        if name not in {"device", "max_seconds"}:  # narrower on a server: no cuda:1, and at most a day
            expected = ours if ours["default"] is not None else {k: v for k, v in ours.items() if k != "default"}
            assert theirs[name] == expected, name
