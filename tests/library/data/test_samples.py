"""Sample sets: what is accepted and what is refused, in which words, and the rows that are read."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from wdist.data.samples import open_samples
from wdist.errors import OptionError, SampleError


def table(n: int = 200, d: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def test_every_container_gives_the_same_rows(tmp_path: Path) -> None:
    x = table()
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(x))
    forms = [
        x,
        torch.from_numpy(x),
        x.tolist(),
        tmp_path / "x.npy",
        str(tmp_path / "fortran.npy"),
        x.astype(">f4"),
        np.load(tmp_path / "x.npy", mmap_mode="r"),
    ]
    for form in forms:
        samples = open_samples(form, "source")
        assert samples.n == 200
        assert samples.row_shape == (3,)
        rows = samples.rows(np.array([5, 3, 199]))
        assert rows.dtype == np.float64
        np.testing.assert_array_equal(rows, x[[5, 3, 199]])
        np.testing.assert_array_equal(np.concatenate(list(samples.blocks())), x)


def test_paths_are_memory_mapped_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", table())
    assert isinstance(open_samples(tmp_path / "x.npy", "source").array, np.memmap)


def test_digest_is_of_the_content_not_of_the_container(tmp_path: Path) -> None:
    x = table()
    np.save(tmp_path / "x.npy", np.asfortranarray(x))
    digest = open_samples(x, "source").sha256
    assert open_samples(tmp_path / "x.npy", "target").sha256 == digest
    assert open_samples(x.astype(">f4"), "source").sha256 == digest
    changed = x.copy()
    changed[17, 1] = np.nextafter(changed[17, 1], np.float32(9))
    assert open_samples(changed, "source").sha256 != digest
    assert open_samples(x.reshape(-1, 1), "source").sha256 != digest


def test_one_column_may_come_flat() -> None:
    samples = open_samples(np.arange(100.0), "source")
    assert samples.row_shape == (1,)
    np.testing.assert_array_equal(samples.rows(slice(0, 2)), [[0.0], [1.0]])


def test_uint8_images_become_unit_range_and_channels_first() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (100, 5, 6, 3), dtype=np.uint8)
    samples = open_samples(pixels, "source")
    assert samples.is_image
    assert samples.row_shape == (3, 5, 6)
    expected = (pixels[:4] / 255).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(samples.rows(slice(0, 4)), expected)


def test_grey_images_get_one_channel_and_tables_of_uint8_stay_in_their_units() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (100, 5, 6), dtype=np.uint8)
    assert open_samples(pixels, "source").row_shape == (1, 5, 6)
    flat = open_samples(pixels.reshape(100, 30), "source")
    assert not flat.is_image
    np.testing.assert_array_equal(flat.rows(slice(0, 1)), pixels[:1].reshape(1, 30).astype(np.float32))


def test_ambiguous_layout_must_be_said() -> None:
    both = np.zeros((100, 3, 8, 3), dtype=np.float32)
    neither = np.zeros((100, 8, 8, 8), dtype=np.float32)
    for array in (both, neither):
        with pytest.raises(OptionError, match="layout='nhwc' or 'nchw'"):
            open_samples(array, "source")
    assert open_samples(both, "source", layout="nhwc").row_shape == (3, 3, 8)
    assert open_samples(both, "source", layout="nchw").row_shape == (3, 8, 3)


def test_layout_that_does_not_fit_is_refused() -> None:
    with pytest.raises(OptionError, match="for images"):
        open_samples(table(), "source", layout="nchw")
    with pytest.raises(OptionError, match="unknown"):
        open_samples(np.zeros((100, 3, 8, 8)), "source", layout="chwn")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.array([[1.0, "a"], [2.0, 3.0]], dtype=object), r"source: row 0, column 1 holds 'a', not a number"),
        (None, r"source is None: give its rows as an array"),
        (np.array(["a", "b"]), "row 0 holds 'a', not a number; give text as a column of a table"),
        (np.zeros((4, 2), dtype=complex), "not real numbers"),
        (np.zeros((4, 2), dtype="M8[s]"), "not real numbers"),
        ([[1.0, 2.0], [3.0]], "same number of columns"),
        (np.float32(3), "is one value, 3.0, and no set of rows"),
        (np.array(3.0), "is one value, 3.0, and no set of rows"),
        (np.array("march.csv"), "is one value, march.csv, and no set of rows"),
        (np.ma.masked_array(3.0, mask=True), "is one value, --, and no set of rows"),
        (np.zeros((2, 2, 2, 2, 2)), "neither a table"),
        (np.zeros((0, 3)), "holds no values"),
    ],
)
def test_what_is_not_an_array_of_numbers(data: object, message: str) -> None:
    with pytest.raises(SampleError, match=message):
        open_samples(data, "source")


def test_broken_files(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, table())
    good = path.read_bytes()
    cases = {
        b"carat,depth\n1.0,2.0\n": "not a .npy file",
        b"": "not a .npy file",
        good[:40]: "ends inside its .npy header",
        good[:-1]: "truncated",
        good + b"\0": "longer than declared",
        b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + b"(" * 100: "header claims",
        b"\x93NUMPY\x01\x00\x10\x27" + b"(" * 10_000: "malformed",
        b"\x93NUMPY\x09\x00" + good[8:]: "version",
        good.replace(b"'<f4'", b"'|O' "): "not real numbers",
        good.replace(b"(200, 3)", b"(-20, 3)"): "malformed",
        good.replace(b"(200, 3), }" + b" " * 30, b"(9" + b"9" * 29 + b"9, 3), }" + b" " * 2): "truncated",
    }
    for content, message in cases.items():
        path.write_bytes(content)
        with pytest.raises(SampleError, match=message):
            open_samples(path, "target")
    with pytest.raises(SampleError, match="No such file"):
        open_samples(tmp_path / "missing.npy", "target")
    with pytest.raises(SampleError, match=r"holds no \.png"):
        open_samples(tmp_path, "target")


def test_pickled_content_is_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "evil.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(SampleError, match="not real numbers"):
        open_samples(path, "source")


def test_long_double_is_read_as_float64() -> None:
    x = table().astype(np.longdouble)
    assert open_samples(x, "source").sha256 == open_samples(table().astype(np.float64), "source").sha256


def test_rounding_of_rows_is_bounded() -> None:
    exact = Fraction
    values = 2**62 + np.random.default_rng(0).integers(0, 2**50, (100, 3))
    for x, divisor in ((values, 1), (np.arange(256, dtype=np.uint8).reshape(16, 4, 4), 255)):
        samples = open_samples(x, "source")
        rows = samples.rows(slice(None)).reshape(len(x), -1)
        for row, given in zip(rows.tolist(), x.reshape(len(x), -1).tolist(), strict=True):
            for read, true in zip(row, given, strict=True):
                assert abs(exact(read) - exact(true, divisor)) <= exact(samples.rounding) * exact(true, divisor)
        assert samples.rounding > 0
    assert open_samples(table(), "source").rounding == 0


def test_a_frame_with_truth_values_beside_numbers() -> None:
    frame = pd.DataFrame({"a": np.arange(200.0), "b": np.arange(200) % 2 == 0})
    opened = open_samples(frame, "source")
    assert opened.columns == ["a", "b"]
    assert opened.rows(slice(0, 2)).tolist() == [[0.0, 1.0], [1.0, 0.0]]
    with pytest.raises(SampleError, match=r"column 'c' holds text: declare it with categories=\['c'\]"):
        open_samples(frame.assign(c="x"), "source")
    missing = pd.DataFrame({"a": pd.array([1, None] * 100, dtype="Int64"), "b": 1.0})
    with pytest.raises(SampleError, match=r"column 'a', row 1 \(the first is 0\) has a missing value"):
        open_samples(missing, "source")
    with pytest.raises(SampleError, match="more than one column is named 'a'"):
        open_samples(frame.rename(columns={"b": "a"}), "source")
