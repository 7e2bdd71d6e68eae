"""Tables with categories, booleans and missing values: how they are stored, and estimates of them."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
from service_process import Server
from test_service_batches import until_done

LEVELS = ["Fair", "Good", "Ideal"]
WAY: dict[str, Any] = {"categories": "cut", "missing": "level"}


def values(
    seed: int, rows: int = 300, shares: Sequence[float] = (0.2, 0.3, 0.5), shift: float = 0.0
) -> dict[str, list[Any]]:
    """A price, of which every tenth is missing, a cut, and whether there is a certificate."""
    random = np.random.default_rng(seed)
    cuts = random.choice(LEVELS, size=rows, p=shares)
    prices = random.normal(shift, 1.0, size=rows)
    return {
        "price": [None if k % 10 == 0 else float(price) for k, price in enumerate(prices)],
        "cut": cuts.tolist(),
        "certified": (prices > shift).tolist(),
    }


def table(seed: int, **more: Any) -> bytes:
    """These values as Parquet."""
    buffer = io.BytesIO()
    pa_parquet.write_table(pa.table(values(seed, **more)), buffer)
    return buffer.getvalue()


def csv(seed: int) -> bytes:
    """Price and cut as CSV."""
    given = values(seed)
    lines = (
        f"{'' if price is None else repr(price)},{cut}" for price, cut in zip(given["price"], given["cut"], strict=True)
    )
    return "\n".join(["price,cut", *lines]).encode()


def send(server: Server, body: bytes, **query: Any) -> httpx.Response:
    query = {"format": "parquet", **query}
    return server.client.post("/v1/sample-sets", params=query, content=body)


def stored(server: Server, body: bytes, **query: Any) -> dict[str, Any]:
    answer = send(server, body, **query)
    assert answer.status_code in (200, 201), answer.text
    return dict(answer.json())


@pytest.fixture(scope="module")
def mixed(server: Server) -> tuple[dict[str, Any], dict[str, Any]]:
    return (
        stored(server, table(1), name="January", **WAY),
        stored(server, table(2, shares=(0.6, 0.3, 0.1), shift=1.0), name="February", **WAY),
    )


def test_a_table_is_stored_as_codes_with_its_schema(server: Server, mixed: tuple[dict, dict]) -> None:
    made, body = mixed[0], table(1)
    given = values(1)
    columns = made["table"]["columns"]
    assert made["columns"] == ["price", "cut", "certified"]
    assert [(each["name"], each["kind"]) for each in columns] == [
        ("price", "number"), ("cut", "category"), ("certified", "boolean")
    ]  # fmt: skip
    assert sorted(columns[1]["levels"]) == LEVELS
    assert made["table"]["missing"] is True
    assert made["file_sha256"] == hashlib.sha256(body).hexdigest() != made["sha256"]
    assert made["reading"] == {"categories": ["cut"], "missing": "level"}
    content = server.client.get(f"/v1/sample-sets/{made['id']}/content").content
    codes = np.load(io.BytesIO(content))
    assert hashlib.sha256(content).hexdigest() == made["sha256"]
    assert [columns[1]["levels"][int(code)] for code in codes[:, 1]] == given["cut"]
    np.testing.assert_array_equal(codes[:, 0], np.array(given["price"], dtype=float))
    np.testing.assert_array_equal(codes[:, 2], given["certified"])
    assert server.client.get(f"/v1/sample-sets/{made['id']}").json() == made


def test_statistics_say_what_is_missing_and_how_often_each_level_is(mixed: tuple[dict, dict]) -> None:
    statistics = mixed[0]["statistics"]
    given = values(1)
    prices = np.array([price for price in given["price"] if price is not None])
    price, cut, certified = statistics["columns"]
    assert (price["missing"], price["min"], price["max"]) == (30, prices.min(), prices.max())
    assert price["mean"] == pytest.approx(prices.mean(), rel=1e-12, abs=1e-12)
    assert price["std"] == pytest.approx(prices.std(), rel=1e-12)
    counts = {level: given["cut"].count(level) for level in LEVELS}
    assert cut == {"levels": counts, "distinct": 3, "missing": 0}
    assert list(cut["levels"].values()) == sorted(counts.values(), reverse=True)
    assert certified["levels"] == {str(value).lower(): given["certified"].count(value) for value in (True, False)}
    assert (statistics["min"], statistics["constant"]) == (None, False)


def test_the_same_codes_with_other_levels_are_another_set(server: Server) -> None:
    body = csv(3)
    one = stored(server, body, format="csv", **WAY)
    other = stored(server, body.replace(b"Ideal", b"Premium"), format="csv", **WAY)
    assert one["sha256"] == other["sha256"]
    assert one["id"] != other["id"]
    assert "Premium" in str(other["table"])
    again = send(server, body, format="csv", **WAY)
    assert (again.status_code, again.json()["id"]) == (200, one["id"])


def test_rows_left_out_are_told(server: Server) -> None:
    dropped = stored(server, table(4), categories="cut", missing="drop", name="complete")
    assert (dropped["rows"], dropped["notes"][0].split(" were")[0]) == (270, "30 of 300 rows have missing values and")
    other = stored(server, table(5, shift=0.5), categories="cut", missing="drop", name="also complete")
    done = server.until_done(server.submit(dropped["id"], other["id"], critic="affine", baseline_rows=0))
    told = [warning for warning in done["result"]["warnings"] if "30 of 300" in warning]
    assert len(told) == 2, done["result"]["warnings"]


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ({"missing": "ignore"}, "missing", "'error', 'drop' or 'level'"),
        ({"categories": ["cut"], "drop": ["cut"]}, "categories", "'cut' is in drop, too"),
        ({"time_unit": "weeks"}, "time_unit", "'days'"),
        ({"header": "perhaps"}, "header", "true or false"),
        ({"separator": "::"}, "separator", "1 characters"),
        ({"columns": [""]}, "columns", "at least 1 characters"),
        ({}, "body", "declare it with ?categories=cut, or leave it out with ?drop=cut"),
        ({"categories": "cut"}, "body", "?missing=drop leaves such rows out, ?missing=level makes it a level"),
    ],
)
def test_a_reading_that_cannot_be_done_is_refused_by_its_field(
    server: Server, query: dict[str, Any], field: str, words: str
) -> None:
    answer = send(server, table(6), **query)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert answer.json()["errors"][0]["field"] == field


def test_a_resumable_upload_is_read_in_the_same_way(server: Server, mixed: tuple[dict, dict]) -> None:
    from test_service_uploads import TUS, encoded

    body = table(1)
    metadata = encoded(name="January", format="parquet", **WAY)
    begun = server.client.post(
        "/v1/uploads", headers={**TUS, "Upload-Length": str(len(body)), "Upload-Metadata": metadata}
    )
    headers = {**TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    answer = server.client.patch(begun.headers["location"], content=body, headers=headers)
    assert answer.headers["wdist-sample-set"] == mixed[0]["id"]
    refused = server.client.post(
        "/v1/uploads", headers={**TUS, "Upload-Length": "9", "Upload-Metadata": encoded(format="csv", missing="no")}
    )
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "missing")


def test_columns_of_a_coded_table_keep_their_names(server: Server, mixed: tuple[dict, dict]) -> None:
    answer = server.client.put(f"/v1/sample-sets/{mixed[0]['id']}/columns", json={"columns": ["a", "b", "c"]})
    assert answer.status_code == 409
    assert "from its file" in answer.json()["detail"]


def test_an_estimate_of_coded_tables_is_that_of_the_library(
    server: Server, mixed: tuple[dict, dict], tmp_path: Path
) -> None:
    import wdist

    options: dict[str, Any] = {"scale": "standardize", "category_cost": 2.0, "critic": "affine", "baseline_rows": 100}
    done = server.until_done(server.submit(*(each["id"] for each in mixed), **options))
    assert done["status"] == "succeeded", done["error"]
    for name, body in (("a.parquet", table(1)), ("b.parquet", table(2, shares=(0.6, 0.3, 0.1), shift=1.0))):
        (tmp_path / name).write_bytes(body)
    local = wdist.estimate_w1(
        tmp_path / "a.parquet", tmp_path / "b.parquet", categories=["cut"], missing="level", **options
    ).to_dict()
    for figure in ("value", "lower_bound", "upper_bound", "p_value"):
        assert done["result"][figure] == pytest.approx(local[figure], rel=1e-9)
    assert done["result"]["lower_bound"] > 0


def split(server: Server, body: bytes, **query: Any) -> httpx.Response:
    query = {"format": "parquet", **query}
    return server.client.post("/v1/sample-sets/by", params=query, content=body)


def test_each_level_of_a_column_becomes_a_set(server: Server) -> None:
    body = table(11, rows=900)
    answer = split(server, body, by="cut", name="diamonds", missing="level")
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["object"], made["by"]) == ("list", "cut")
    assert [each["name"] for each in made["data"]] == [f"diamonds: {level}" for level in LEVELS]
    given = values(11, rows=900)
    lines = list(zip(*given.values(), strict=True))
    for each, level in zip(made["data"], LEVELS, strict=True):
        own = [line for line in lines if line[1] == level]
        assert each["columns"] == ["price", "certified"]
        assert each["reading"] == {"categories": ["cut"], "missing": "level", "by": "cut", "level": level}
        content = server.client.get(f"/v1/sample-sets/{each['id']}/content").content
        assert hashlib.sha256(content).hexdigest() == each["sha256"]
        assert len(content) == each["bytes"]
        expected = [[np.nan if price is None else price, is_certified] for price, _, is_certified in own]
        np.testing.assert_array_equal(np.load(io.BytesIO(content)), expected)
        assert each["statistics"]["columns"][0]["missing"] == sum(line[0] is None for line in own)
    again = split(server, body, by="cut", name="diamonds", missing="level")
    assert (again.status_code, again.json()) == (200, made)
    two = split(server, body, by="cut", levels=["Ideal", "Fair"], missing="level")
    assert [(two.status_code, each["name"]) for each in two.json()["data"]] == [(201, "Ideal"), (201, "Fair")]
    assert two.json()["data"][1]["sha256"] == made["data"][0]["sha256"]


def test_numbers_split_by_a_level_are_plain_sets(server: Server) -> None:
    made = split(server, table(12), by="cut", drop="certified", missing="drop").json()["data"]
    assert [each["table"] for each in made] == [None] * 3
    assert sum(each["rows"] for each in made) == 270
    assert all("30 of 300" in each["notes"][0] for each in made)
    assert all(each["statistics"]["columns"][0]["min"] is not None for each in made)


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ({}, "by", "by is missing"),
        ({"by": "colour", "missing": "level"}, "body", "no column is named 'colour'"),
        ({"by": "cut", "levels": ["ideal"], "missing": "level"}, "levels", "did you mean 'Ideal'"),
        ({"by": "cut", "labels": "price"}, "labels", "leave one of them out"),
        ({"by": "cut", "format": "npy"}, "by", "has no columns with names"),
        ({"by": "cut"}, "body", "has a missing value"),
        ({"by": "price", "drop": "cut", "missing": "level"}, "body", "the limit is 200"),
        ({"by": "cut", "columns": ["cut"]}, "body", "no columns beside 'cut'"),
    ],
)
def test_a_table_that_cannot_be_split_leaves_nothing(
    server: Server, query: dict[str, Any], field: str, words: str
) -> None:
    def count() -> int:
        return int(server.rows("SELECT count(*) FROM sample_sets")[0][0])

    before = count()
    answer = split(server, table(13), **query)
    assert answer.status_code == 422, answer.text
    assert words in answer.json()["detail"]
    assert answer.json()["errors"][0]["field"] == field
    assert count() == before
    assert not list((server.data / "incoming").iterdir())


def test_a_matrix_over_levels_is_that_of_the_library(server: Server, tmp_path: Path) -> None:
    import wdist

    body = table(15, rows=1200, shares=(0.3, 0.3, 0.4))
    (tmp_path / "all.parquet").write_bytes(body)
    options: dict[str, Any] = {"scale": "standardize", "critic": "affine", "baseline_rows": 0, "upper": "none"}
    sets = [each["id"] for each in split(server, body, by="cut", missing="level").json()["data"]]
    batch = until_done(server, server.client.post("/v1/batches", json={"matrix": sets, **options}).json())
    found = server.client.get(f"/v1/batches/{batch['id']}/matrix").json()
    local = wdist.matrix_w1(tmp_path / "all.parquet", by="cut", missing="level", **options)
    np.testing.assert_allclose(found["lower_bound"], local.lower_bound, rtol=1e-9)


@pytest.fixture(scope="module")
def estimate(server: Server, mixed: tuple[dict, dict]) -> dict[str, Any]:
    done = server.until_done(
        server.submit(*(each["id"] for each in mixed), critic="groupsort", steps=20, baseline_rows=0)
    )
    assert done["status"] == "succeeded", done["error"]
    return done


@pytest.mark.parametrize("prefer", ["wait=30", "wait=30, respond-async"])
def test_a_critic_of_tables_is_evaluated_on_stored_codes(
    server: Server, estimate: dict[str, Any], tmp_path: Path, prefer: str
) -> None:
    import wdist

    for part, name in (("weights", "critic.safetensors"), ("config", "critic.json")):
        answer = server.client.get(f"/v1/estimates/{estimate['id']}/critic", params={"part": part})
        (tmp_path / name).write_bytes(answer.content)
    (tmp_path / "more.parquet").write_bytes(table(21, rows=150))
    expected = wdist.load_critic(tmp_path).evaluate(tmp_path / "more.parquet")
    other = stored(server, table(21, rows=150), **WAY)  # whose levels are met in another order
    url = f"/v1/estimates/{estimate['id']}/evaluate"
    answer = server.client.post(url, params={"sample_set": other["id"]}, headers={"Prefer": prefer})
    if "async" in prefer:
        found = np.load(io.BytesIO(server.client.get(f"{answer.headers['location']}/content").content))
    else:
        found = np.array(answer.json()["values"])
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_a_critic_of_tables_refuses_other_kinds(server: Server, estimate: dict[str, Any]) -> None:
    other = stored(server, table(22), categories=["cut", "price"], missing="level")
    answer = server.client.post(f"/v1/estimates/{estimate['id']}/evaluate", params={"sample_set": other["id"]})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "sample_set")
    assert "'price'" in answer.json()["detail"]


def test_the_certificate_of_tables_is_verified_with_the_files(
    server: Server, estimate: dict[str, Any], tmp_path: Path
) -> None:
    certificate = server.client.get(f"/v1/estimates/{estimate['id']}/certificate").content
    (tmp_path / "certificate").write_bytes(certificate)
    (tmp_path / "a.parquet").write_bytes(table(1))
    (tmp_path / "b.parquet").write_bytes(table(2, shares=(0.6, 0.3, 0.1), shift=1.0))
    command = [str(Path(sys.executable).parent / "wdist"), "verify", "certificate"]
    good = subprocess.run([*command, "a.parquet", "b.parquet"], cwd=tmp_path, capture_output=True, text=True)
    assert good.returncode == 0, good.stdout + good.stderr
    bad = subprocess.run([*command, "b.parquet", "a.parquet"], cwd=tmp_path, capture_output=True, text=True)
    assert bad.returncode != 0


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ({"categories": ["cut", "price"]}, "column 'price' holds numbers in January"),
        ({"drop": ["certified"]}, "certified only in January"),
        ({"columns": ["cut", "price", "certified"]}, "in another order"),
    ],
)
def test_tables_with_other_columns_are_refused_by_both_names(
    server: Server, mixed: tuple[dict, dict], second: dict[str, Any], words: str
) -> None:
    other = stored(server, table(23), name="March", **{**WAY, **second})
    answer = server.client.post("/v1/estimates", json={"source": mixed[0]["id"], "target": other["id"]})
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert all(name in answer.json()["detail"] for name in ("January", "March"))
    assert answer.json()["errors"][0]["field"] == "target"


@pytest.mark.parametrize(
    ("options", "field", "words"),
    [
        ({"scale": [1.0, 1.0]}, "scale", "1 columns of numbers or times"),
        ({"ranges": [0, 1, 0, 1]}, "ranges", "2 for each of the 1 columns"),
        ({"critic": "bcop"}, "critic", "needs images"),
        ({"layout": "nhwc"}, "layout", "for images"),
        ({"category_cost": 0}, "category_cost", "above 0"),
    ],
)
def test_options_that_do_not_fit_tables_are_refused_at_once(
    server: Server, mixed: tuple[dict, dict], options: dict[str, Any], field: str, words: str
) -> None:
    answer = server.client.post("/v1/estimates", json={"source": mixed[0]["id"], "target": mixed[1]["id"], **options})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert words in answer.json()["detail"]


def test_missing_values_of_an_npy_file_are_read_as_asked(server: Server) -> None:
    rows = np.random.default_rng(24).normal(size=(200, 2))
    rows[7, 1] = np.nan
    buffer = io.BytesIO()
    np.save(buffer, rows)
    refused = send(server, buffer.getvalue(), format="npy")
    assert (refused.status_code, "row 7, column 1" in refused.json()["detail"]) == (422, True)
    dropped = stored(server, buffer.getvalue(), format="npy", missing="drop")
    assert (dropped["rows"], dropped["table"]) == (199, None)
    level = stored(server, buffer.getvalue(), format="npy", missing="level")
    assert [column["missing"] for column in level["statistics"]["columns"]] == [0, 1]


@pytest.mark.parametrize("path", ["", "/by?by=cut"])
def test_a_misspelled_parameter_is_refused_as_it_would_be_data(server: Server, path: str) -> None:
    body = b"cut,id,x\n" + b"".join(b"%c,%d,%d\n" % (97 + k % 2, k, k * k % 11) for k in range(300))
    address = f"/v1/sample-sets{path}" + ("&" if "?" in path else "?")
    answer = server.client.post(f"{address}format=csv&droop=id", content=body)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "droop", "message": "there is no 'droop' here"}]
    assert server.client.post(f"{address}format=csv&drop=id&categories=cut", content=body).status_code == 201


EQUAL_AS_NAMES = ("a b", "a\u0085b", "c")


def test_levels_whose_names_become_equal_and_that_have_equal_rows_are_one_set(server: Server) -> None:
    """In a name, a space stands for a control character."""
    rows = "".join(f"{level},{k},{k * k}\n" for level in EQUAL_AS_NAMES for k in range(5))
    for status in (201, 200):
        answer = server.client.post(
            "/v1/sample-sets/by", params={"by": "g"}, content=f"g,x,y\n{rows}".encode(),
            headers={"Content-Type": "text/csv"},
        )  # fmt: skip
        assert answer.status_code == status, answer.text
        made = answer.json()["data"]
        assert [each["name"] for each in made] == ["a b", "a b", "c"]
        assert made[0]["id"] == made[1]["id"] != made[2]["id"]
