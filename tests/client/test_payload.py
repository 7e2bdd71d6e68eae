"""What people have becomes the bytes of one .npy file."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from wdist_client.errors import SampleError
from wdist_client.rows.arrays import as_array
from wdist_client.rows.frames import frame_of
from wdist_client.rows.payload import CHUNK, payload


def sent(data: object) -> bytes:
    body = payload(data)
    content = b"".join(body.blocks())
    assert len(content) == body.length
    assert hashlib.sha256(content).digest() == body.sha256()
    return content


def received(data: object) -> np.ndarray:
    return np.load(io.BytesIO(sent(data)), allow_pickle=False)


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<f2", ">f4", "u1", "<i8"])
@pytest.mark.parametrize("shape", [(5, 3), (2, 4, 4, 3), (7,), (0, 3)])
def test_numpy_arrives_value_for_value_and_little_endian(dtype: str, shape: tuple[int, ...]) -> None:
    array = (np.random.default_rng(0).normal(size=shape) * 50).astype(dtype)
    arrived = received(array)
    np.testing.assert_array_equal(arrived, array)
    assert arrived.dtype == np.dtype(dtype).newbyteorder("<")


def test_same_bytes_as_numpy_save() -> None:
    array = np.random.default_rng(0).normal(size=(11, 3)).astype(np.float32)
    expected = io.BytesIO()
    np.save(expected, array)
    assert sent(array) == expected.getvalue()


def test_views_and_column_order_are_sent_in_row_order() -> None:
    array = np.arange(60.0).reshape(10, 6)
    for view in (np.asfortranarray(array), array[::2, ::-1], array.T):
        np.testing.assert_array_equal(received(view), view)


def test_large_arrays_come_in_blocks() -> None:
    array = np.random.default_rng(0).integers(0, 255, size=(3 * CHUNK + 17, 1), dtype=np.uint8)
    sizes = [len(block) for block in payload(array).blocks()]
    assert max(sizes) == CHUNK
    assert sum(sizes) == payload(array).length


def test_path_is_sent_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    np.save(path, np.arange(6.0).reshape(3, 2))
    assert sent(path) == path.read_bytes()
    assert sent(str(path)) == path.read_bytes()


def test_a_file_that_grows_meanwhile_keeps_its_announced_length(tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    np.save(path, np.arange(6.0))
    body = payload(path)
    with path.open("ab") as file:
        file.write(b"more")
    assert len(b"".join(body.blocks())) == body.length


def test_torch_without_gradient_or_bfloat16_fuss() -> None:
    tensor = torch.arange(6.0, requires_grad=True).reshape(3, 2)
    np.testing.assert_array_equal(as_array(tensor), tensor.detach().numpy())
    np.testing.assert_array_equal(as_array(tensor.bfloat16()), tensor.detach().numpy())


def test_frames_of_numbers_are_arrays_in_their_common_type() -> None:
    values = np.float32([[1, 3], [2, 4]])
    pandas = pd.DataFrame(values, columns=["a", "b"])
    arrow = pa.table({"a": values[:, 0], "b": values[:, 1]})
    for frame in (pandas, pl.from_pandas(pandas), pl.from_pandas(pandas).lazy(), arrow):
        body = payload(frame)
        assert (body.file_name, body.columns) == (None, ["a", "b"])
        arrived = received(frame)
        np.testing.assert_array_equal(arrived, values)
        assert arrived.dtype == np.float32
    assert payload(pd.DataFrame(values)).columns is None  # the numbers 0 and 1 are no names
    assert payload(pd.DataFrame(values, columns=[1, 0])).columns == ["1", "0"]
    for series in (pd.Series([1.0, 2.0], name="a"), pl.Series("a", [1.0, 2.0])):
        np.testing.assert_array_equal(received(series), [1.0, 2.0])
        assert payload(series).columns is None
    nullable = pd.DataFrame({"a": pd.array([1, 2], dtype="Int64"), "b": pd.arrays.SparseArray([0.0, 1.5])})
    np.testing.assert_array_equal(received(nullable), [[1, 0.0], [2, 1.5]])


def test_missing_values_of_numbers_are_nan_where_an_array_is_asked_for() -> None:
    pandas = pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": [0.5, 1.5]})
    for given in (pandas, pl.DataFrame({"a": [1, None], "b": [0.5, 1.5]})):
        frame = frame_of(given)
        assert frame is not None
        assert frame.numbers() is None
        np.testing.assert_array_equal(frame.numbers(missing=True), [[1, 0.5], [np.nan, 1.5]])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.array([["a", "b"]]), "row 0, column 0 holds 'a', not a number; give text as a column of a table"),
        (np.array([[object()]]), "not a number; remove such rows"),
        (np.array([[1j]]), "complex numbers are not real numbers: give their parts as columns"),
        ([[1.0, 2.0], [3.0]], "give every row the same number of columns"),
        (3.0, "one value, 3.0"),
        (np.array("march.csv"), "one value, march.csv, and no set of rows"),
        (np.ma.masked_array(3.0, mask=True), "one value, --, and no set of rows"),
        (np.ma.masked_equal(np.arange(6.0).reshape(3, 2), 3.0), "row 1, column 1 is masked"),
        (np.ma.masked_equal(np.arange(3.0), 2.0), "row 2 is masked"),
        (np.ma.masked_equal(np.arange(8).reshape(2, 2, 2), 5), r"row 1, at \(0, 1\) is masked"),
        (Path("no such file.npy"), "cannot read"),
    ],
)
def test_what_is_not_numbers_is_refused_by_name(data: object, words: str) -> None:
    with pytest.raises(SampleError, match=words):
        payload(data)


def test_a_mask_that_hides_nothing_is_no_obstacle() -> None:
    array = np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(received(np.ma.masked_array(array, mask=np.zeros((3, 2)))), array)


def test_other_files_are_sent_unread_under_their_names(tmp_path: Path) -> None:
    for name in ("a.csv", "a.PARQUET", "a.of_next_year", "a"):
        (tmp_path / name).write_text("1,2\n3,4\n")
        body = payload(tmp_path / name)
        assert (body.file_name, b"".join(body.blocks())) == (name, b"1,2\n3,4\n")
    np.save(tmp_path / "a.npy", np.ones(3))
    assert payload(tmp_path / "a.npy").file_name is None
    (tmp_path / "b.npy").write_text("1,2\n3,4\n")
    with pytest.raises(SampleError, match=r"not an \.npy file"):
        payload(tmp_path / "b.npy")


@pytest.mark.parametrize("start", [0, 50, 127, 128, 129, 128 + 3 * CHUNK])
def test_reading_goes_on_from_any_offset(tmp_path: Path, start: int) -> None:
    array = np.random.default_rng(0).integers(0, 255, size=(3 * CHUNK + 17, 1), dtype=np.uint8)
    np.save(tmp_path / "rows.npy", array)
    whole = (tmp_path / "rows.npy").read_bytes()
    for data in (array, tmp_path / "rows.npy"):
        assert b"".join(payload(data).blocks(start=start)) == whole[start:]
