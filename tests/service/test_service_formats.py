"""Uploads in other formats than .npy: what they become, and archives that were made to do harm."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import itertools
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import pytest
from openpyxl import Workbook
from PIL import Image
from server_process import files_below
from service_process import Server, normal, npy

ROWS = normal(31, rows=150, columns=3)
LIMITS: dict[str, str | None] = {
    "WDIST_SERVER_MAX_UPLOAD_BYTES": "20000000",
    "WDIST_SERVER_DECODER_MEMORY_BYTES": str(512 << 20),
    "WDIST_SERVER_DECODER_SECONDS": "10",
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose decoders may use little: 512 MiB of address space, 10 s, 20 MB of output."""
    with Server(tmp_path_factory.mktemp("formats") / "data", ["--workers", "0"], LIMITS) as running:
        yield running


def post(server: Server, body: bytes, media_type: str = "application/octet-stream", **query: str) -> tuple[int, dict]:
    answer = server.client.post(
        "/v1/sample-sets", content=body, params=query, headers={"Content-Type": media_type}, timeout=60
    )
    return answer.status_code, answer.json()


def stored(server: Server, sample_set: dict) -> np.ndarray:
    return np.load(io.BytesIO(server.client.get(f"/v1/sample-sets/{sample_set['id']}/content").content))


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def parquet(table: pa.Table, **options: object) -> bytes:
    buffer = io.BytesIO()
    pa_parquet.write_table(table, buffer, **options)
    return buffer.getvalue()


def csv(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pa_csv.write_csv(table, buffer)
    return buffer.getvalue()


def archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return buffer.getvalue()


def image(pixels: np.ndarray, kind: str = "png") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


TABLE = pa.table({name: ROWS[:, k] for k, name in enumerate(["carat", "depth", "price"])})
NAMES = ["carat", "depth", "price"]
GREY = np.random.default_rng(5).integers(0, 256, size=(12, 8, 6), dtype=np.uint8)
COLOUR = np.random.default_rng(6).integers(0, 256, size=(12, 8, 6, 3), dtype=np.uint8)


def test_npz_keeps_the_array_and_its_type(small: Server) -> None:
    status, made = post(small, npz(x=ROWS), "application/x-npz")
    assert status == 201
    assert made["dtype"] == "<f4"
    np.testing.assert_array_equal(stored(small, made), ROWS)
    # The stored form is .npy, so the same array sent as .npy is the same set.
    assert post(small, npy(ROWS))[1]["id"] == made["id"]


@pytest.mark.parametrize("shape", [(150, 3), (1500, 1), (11, 12)])
def test_one_array_is_one_set_in_whatever_format_it_came(server: Server, shape: tuple[int, int]) -> None:
    values = np.random.default_rng(7).normal(size=shape)
    table = pa.table({f"c{k}": values[:, k] for k in range(shape[1])})
    made = [
        post(server, npy(values)),
        post(server, npz(values=values), format="npz"),
        post(server, "\n".join(",".join(map(repr, row)) for row in values.tolist()).encode(), format="csv"),
        post(server, json.dumps({"samples": values.tolist()}).encode(), format="json"),
    ]
    named = [post(server, csv(table), format="csv"), post(server, parquet(table), format="parquet")]
    for answers, columns in ((made, None), (named, table.column_names)):
        assert [status for status, _ in answers] == [201, *[200] * (len(answers) - 1)]
        assert {answer["id"] for _, answer in answers} == {answers[0][1]["id"]}
        assert answers[0][1]["columns"] == columns
        assert answers[0][1]["sha256"] == hashlib.sha256(npy(values)).hexdigest()
    assert made[0][1]["id"] != named[0][1]["id"]


def test_a_value_that_is_missing_is_found_far_into_a_table(server: Server) -> None:
    lines = ["name,x,y", *(f"p{k},{k}.5,{k}.25" for k in range(60_000))]
    lines[1000:1000] = ["", ""]
    lines[50_000] = "p,1.5,NA"
    status, problem = post(server, "\r\n".join(lines).encode(), format="csv", drop="name")
    assert status == 422
    assert "column 'y', line 50001 has a missing value: ?missing=drop" in problem["detail"]


def test_npz_with_several_arrays_needs_a_choice(small: Server) -> None:
    body = npz(real=ROWS, fake=ROWS + 1)
    status, problem = post(small, body, format="npz")
    assert status == 422
    assert "fake, real" in problem["detail"]
    status, made = post(small, body, format="npz", member="fake")
    assert status == 201
    np.testing.assert_array_equal(stored(small, made), ROWS + 1)
    assert post(small, body, format="npz", member="other")[0] == 422


def test_parquet_keeps_names_and_the_common_type(small: Server) -> None:
    mixed = TABLE.append_column("count", pa.array(np.arange(150, dtype=np.int32)))
    status, made = post(small, parquet(mixed, row_group_size=40), "application/vnd.apache.parquet", name="mixed")
    assert status == 201
    assert made["columns"] == [*NAMES, "count"]
    assert made["dtype"] == "<f8"  # the type that holds float32 and int32 exactly
    np.testing.assert_array_equal(stored(small, made), np.column_stack([ROWS.astype("f8"), np.arange(150)]))


def test_parquet_of_one_column_of_vectors(small: Server) -> None:
    for kind in (pa.list_(pa.float32()), pa.list_(pa.float32(), 3)):
        table = pa.table({"embedding": pa.array(list(2 * ROWS), type=kind)})
        status, made = post(small, parquet(table, row_group_size=64), format="parquet")
        assert status in (200, 201)
        np.testing.assert_array_equal(stored(small, made), 2 * ROWS)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_with_names(small: Server, delimiter: str) -> None:
    text = delimiter.join(NAMES) + "\n" + "\n".join(delimiter.join(map(repr, map(float, row))) for row in ROWS)
    status, made = post(small, text.encode(), "text/csv; charset=utf-8")
    assert status in (200, 201)
    assert made["columns"] == NAMES
    np.testing.assert_array_equal(stored(small, made), ROWS.astype("f8"))


def test_csv_without_names_and_with_a_byte_order_mark(small: Server) -> None:
    status, made = post(small, b"\xef\xbb\xbf1,2\r\n3,4\r\n5,6e3\r\n", format="csv")
    assert status == 201
    assert made["columns"] is None
    np.testing.assert_array_equal(stored(small, made), [[1, 2], [3, 4], [5, 6000]])


def test_inline_json(small: Server) -> None:
    status, made = post(
        small, json.dumps({"samples": [[1, 2.5], [3, 4]], "columns": ["a", "b"], "name": "tiny"}).encode(),
        "application/json",
    )  # fmt: skip
    assert status == 201
    assert (made["name"], made["columns"], made["shape"]) == ("tiny", ["a", "b"], [2, 2])
    np.testing.assert_array_equal(stored(small, made), [[1, 2.5], [3, 4]])


@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_images_in_the_order_of_their_names(small: Server, pixels: np.ndarray) -> None:
    members = {f"digits/{k:03}.png": image(one) for k, one in reversed(list(enumerate(pixels)))}
    status, made = post(small, archive({"digits/": b"", "__MACOSX/._000.png": b"junk", **members}), "application/zip")
    assert status == 201, made
    np.testing.assert_array_equal(stored(small, made), pixels)


def test_jpeg(small: Server) -> None:
    flat = np.full((2, 16, 16, 3), [[[[200]]], [[[60]]]], dtype=np.uint8)
    status, made = post(small, archive({f"{k}.jpg": image(one, "jpeg") for k, one in enumerate(flat)}), format="images")
    assert status == 201
    # A flat block has one coefficient, quantised in steps of at most 16 / 8 grey levels at Pillow's quality of 75.
    assert np.abs(stored(small, made).astype(int) - flat).max() <= 2


def test_columns_with_other_names_are_not_compared(small: Server) -> None:
    swapped = TABLE.select(["depth", "carat", "price"])
    ids = [post(small, parquet(table), format="parquet")[1]["id"] for table in (TABLE.slice(0, 140), swapped)]
    answer = small.client.post("/v1/estimates", json={"source": ids[0], "target": ids[1]})
    assert answer.status_code == 422
    assert f"the columns of {ids[1]} are those of {ids[0]} in another order" in answer.json()["detail"]


def test_digest_is_of_the_body_as_sent(small: Server) -> None:
    body = csv(TABLE.slice(0, 120))
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    for value, status in ((digest, 201), (base64.b64encode(bytes(32)).decode(), 400)):
        answer = small.client.post(
            "/v1/sample-sets", content=body, params={"format": "csv"}, headers={"Repr-Digest": f"sha-256=:{value}:"}
        )
        assert answer.status_code == status, answer.text


def lying_header(shape: str, descr: str = "'<f4'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def npz_with(data: bytes, name: str = "x.npy") -> bytes:
    return archive({name: data})


def zip_bomb() -> bytes:
    """200 MB of zeros, well formed, in 200 kB."""
    zeros = np.zeros((50_000_000, 1), np.float32)
    return npz(x=zeros)


def lying_zip() -> bytes:
    """A member that unpacks to 80 MB and declares 1 kB."""
    body = bytearray(npz_with(lying_header("(20000000, 1)") + bytes(80_000_000)))
    start = body.rindex(b"PK\x01\x02")
    body[start + 24 : start + 28] = struct.pack("<I", 1000)
    body[22:26] = struct.pack("<I", 1000)
    return bytes(body)


def overlapping_zip() -> bytes:
    """Many members that share one compressed body (the non-recursive bomb)."""
    one = archive({"000.png": image(np.zeros((2000, 2000), np.uint8))})
    body_end = one.index(b"PK\x01\x02")
    entry, end = one[body_end : one.index(b"PK\x05\x06")], bytearray(one[one.index(b"PK\x05\x06") :])
    copies = b"".join(entry.replace(b"000.png", f"{k:03}.png".encode()) for k in range(900))
    end[8:12] = struct.pack("<HH", 900, 900)
    end[12:16] = struct.pack("<I", len(copies))
    return one[:body_end] + copies + bytes(end)


def pixel_bomb() -> bytes:
    """A PNG of 60,000 x 60,000 pixels in a few bytes."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(10_000))), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return archive({"a.png": b"\x89PNG\r\n\x1a\n" + body})


def parquet_bomb() -> bytes:
    """A billion equal values: run lengths make them a few bytes."""
    run = pa.DictionaryArray.from_arrays(pa.array(np.zeros(50_000_000, np.int8)), pa.array([1.5]))
    return parquet(pa.table({"x": run.cast(pa.float64())}))


def dictionary_bomb() -> bytes:
    """One page of text whose dictionary is 300 MB of spaces."""
    return parquet(pa.table({"x": pa.array([" " * 100_000_000] * 3)}), compression="zstd")


def link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        entry = zipfile.ZipInfo("a.png")
        entry.external_attr = 0o120777 << 16
        file.writestr(entry, "/etc/passwd")
    return buffer.getvalue()


class Payload:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return Path.touch, (Path("/tmp/wdist-was-executed"),)  # type: ignore[return-value]


def object_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([[Payload()]], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def workbook(sheet: bytes) -> bytes:
    """An Excel file whose sheet is this XML."""
    buffer = io.BytesIO()
    Workbook().save(buffer)
    with zipfile.ZipFile(buffer) as book:
        return archive({n: sheet if n.endswith("sheet1.xml") else book.read(n) for n in book.namelist()})


def entity_bomb() -> bytes:
    """Text of ten letters, each of which stands for twenty of the one before."""
    letters = "abcdefghij"
    entities = [f'<!ENTITY {a} "{f"&{b};" * 20}">' for b, a in itertools.pairwise(letters)]
    kind = f'<!DOCTYPE x [<!ENTITY a "{"a" * 50}">{"".join(entities)}]>'
    return workbook(f"{kind}<worksheet><sheetData><row><c><v>&j;</v></c></row></sheetData></worksheet>".encode())


def hdf5(change: Callable[[h5py.File], object]) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for group in ("obs", "var"):
            file.create_group(group).attrs["_index"] = "_index"
            file[group]["_index"] = np.array(["a"], dtype=object)
        change(file)
    return buffer.getvalue()


def hdf5_of_another_file() -> bytes:
    """An array whose values are the bytes of a file of the server's machine."""
    return hdf5(lambda file: file.create_dataset("X", (1, 1), dtype="u1", external=[("/etc/hostname", 0, 1)]))


def hdf5_bomb() -> bytes:
    """Ten thousand million values of which none is stored."""
    return hdf5(lambda file: file.create_dataset("X", (10**10, 1), dtype="f4", chunks=(1024, 1)))


HOSTILE: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "npz bomb": ("npz", zip_bomb, "bytes"),
    "npz that lies about its size": ("npz", lying_zip, "npz"),
    "npz of an object array": ("npz", lambda: npz_with(object_array()), "not real numbers"),
    "npz of a pickle": ("npz", lambda: npz_with(pickle.dumps(Payload())), "not a .npy"),
    "npz of text": ("npz", lambda: npz_with(b"hello", "notes.txt"), ".npy arrays only"),
    "npz whose header is a bomb": ("npz", lambda: npz_with(lying_header("(" + "1," * 4000 + ")")), "body"),
    "npz truncated": ("npz", lambda: npz(x=ROWS)[:-40], "zip"),
    "npz path trick": ("npz", lambda: npz_with(npy(ROWS), "../../x.npy"), "path"),
    "plain pickle": ("npy", lambda: pickle.dumps(Payload()), "not a .npy"),
    "images path trick": ("images", lambda: archive({"/etc/a.png": image(GREY[0])}), "path"),
    "images backslash": ("images", lambda: archive({"..\\a.png": image(GREY[0])}), "path"),
    "images link": ("images", link, "link"),
    "images of a script": ("images", lambda: archive({"a.png": b"#!/bin/sh"}), "a.png"),
    "images of other sizes": ("images", lambda: archive({"a.png": image(GREY[0]), "b.png": image(GREY[0].T)}), "b.png"),
    "images, none but notes": ("images", lambda: archive({"b.txt": b"hi"}), "b.txt"),
    "images, transparent": ("images", lambda: archive({"a.png": image(np.zeros((4, 4, 4), np.uint8))}), "RGBA"),
    "pixel bomb": ("images", pixel_bomb, "pixels"),
    "overlapping zip": ("images", overlapping_zip, "images"),
    "no images": ("images", lambda: archive({}), "no images"),
    "parquet bomb": ("parquet", parquet_bomb, "declares"),
    "parquet of text": ("parquet", dictionary_bomb, "column 'x'"),
    "parquet with gaps": ("parquet", lambda: parquet(pa.table({"x": [1.0, None, 2.0]})), "missing"),
    "parquet with nan": ("parquet", lambda: parquet(pa.table({"x": [1.0, 2.0, np.nan]})), "column 'x', row 2 (the"),
    "parquet of ragged lists": ("parquet", lambda: parquet(pa.table({"x": [[1.0], [1.0, 2.0], [3.0]]})), "lengths"),
    "parquet of dates": ("parquet", lambda: parquet(pa.table({"t": pa.array([1, 2], pa.timestamp("s"))})), "'t'"),
    "parquet truncated": ("parquet", lambda: parquet(TABLE)[:-30], "Parquet"),
    "parquet damaged": ("parquet", lambda: bytes(b ^ (60 < k < 900) for k, b in enumerate(parquet(TABLE))), ""),
    "gzip bomb": ("csv", lambda: gzip.compress(b"1,2\n" * 20_000_000), "unpacks to more"),
    "excel bomb": ("excel", lambda: workbook(b" " * 200_000_000), "declare far more bytes"),
    "excel of entities": ("excel", entity_bomb, "cannot be read as Excel"),
    "excel path trick": ("excel", lambda: archive({"xl/workbook.xml": b"", "../a.xml": b""}), "path"),
    "excel of nothing": ("excel", lambda: workbook(b"<worksheet"), "cannot be read as Excel"),
    "h5ad of another file": ("h5ad", hdf5_of_another_file, "outside the file"),
    "h5ad bomb": ("h5ad", hdf5_bomb, "are more than"),
    "h5ad half": ("h5ad", lambda: hdf5(lambda file: file.create_group("X"))[:-200], "AnnData"),
    "csv of text": ("csv", lambda: b"carat,cut\n0.2,Ideal\n", "column 'cut', line 2"),
    "csv with gaps": ("csv", lambda: b"a,b\n\n1,2\n3,\n", "column 'b', line 4 has a missing value"),
    "csv ragged": ("csv", lambda: b"a,b\n1,2\n1,2,3\n", "line 3"),
    "csv of infinity": ("csv", lambda: b"1,inf\n2,3\n", "column 1, line 1 holds inf"),
    "csv of one endless line": ("csv", lambda: b"1," * 9_000_000, "line"),
    "csv of many columns": ("csv", lambda: b"1," * 200_000, "columns"),
    "csv that is binary": ("csv", lambda: bytes(range(256)) * 100, "binary"),
    "csv of one line of names": ("csv", lambda: b"a,b\n", ""),
    "csv empty": ("csv", lambda: b"\n", "empty"),
    "json deep": ("json", lambda: b'{"samples": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "deep"),
    "json ragged": ("json", lambda: b'{"samples": [[1, 2], [3]]}', "lengths"),
    "json of text": ("json", lambda: b'{"samples": [["a"], ["b"]]}', "numbers"),
    "json nan": ("json", lambda: b'{"samples": [[1], [NaN]]}', "column 0, row 1 (the first is 0) has a missing"),
    "json of huge integers": ("json", lambda: b'{"samples": [[' + b"9" * 5000 + b"]]}", ""),
    "json unknown field": ("json", lambda: b'{"samples": [[1]], "url": "http://a"}', "url"),
    "json null": ("json", lambda: b"null", "samples"),
    "json half": ("json", lambda: b'{"samples": [[1', "JSON"),
    "json too long": ("json", lambda: b'{"samples": [' + b"[1]," * 1_500_000 + b"[1]]}", "longer"),
}  # fmt: skip


def kept_files(server: Server) -> set[Path]:
    return {path for path in files_below(server.data) if path.parent.name != "data"}


@pytest.fixture(scope="module")
def refusals(small: Server) -> dict[str, tuple[int, dict]]:
    """The answers to all hostile bodies, two at a time as the server decodes them; nothing of them stays."""
    before = kept_files(small)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda case: post(small, case[1](), format=case[0]), HOSTILE.values()))
    assert kept_files(small) == before
    return dict(zip(HOSTILE, answers, strict=True))


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_bodies_are_refused_and_nothing_is_stored(refusals: dict[str, tuple[int, dict]], case: str) -> None:
    status, problem = refusals[case]
    assert status in (413, 415, 422), problem
    assert problem["type"].startswith("urn:wdist:problem:")
    assert HOSTILE[case][2] in problem["detail"], problem["detail"]
    assert not Path("/tmp/wdist-was-executed").exists()


def test_types_of_body_that_are_not_read(small: Server) -> None:
    assert post(small, b"a", "text/html")[0] == 415
    status, problem = post(small, b"a", "multipart/form-data; boundary=x")
    assert status == 415
    assert "--data-binary" in problem["detail"]
    assert post(small, b"a", format="xml")[0] == 422


def test_the_same_values_under_other_names_of_columns_are_another_set(server: Server) -> None:
    values = normal(32, rows=150, columns=2)
    first, renamed = (pa.table({name: values[:, k] for k, name in enumerate(names)}) for names in ("ab", "xb"))
    status, kept = post(server, csv(first), "text/csv")
    assert (status, kept["columns"]) == (201, ["a", "b"])
    status, other = post(server, csv(renamed), "text/csv")
    assert (status, other["columns"]) == (201, ["x", "b"])
    assert kept["sha256"] == other["sha256"]
    assert kept["id"] != other["id"]
    assert post(server, csv(first), "text/csv") == (200, kept)
    server.client.delete(f"/v1/sample-sets/{kept['id']}")
    np.testing.assert_array_equal(stored(server, other).astype(np.float32), values)
