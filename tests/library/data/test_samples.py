"""Sample sets: what is accepted, what is refused and in which words, how rows are split and scaled."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from wdist.data.checks import check_pair, scale_warnings
from wdist.data.samples import open_samples
from wdist.data.scaling import Scaling
from wdist.data.splits import split_groups, split_rows
from wdist.errors import OptionError, SampleError


def table(n: int = 200, d: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


# --- opening -------------------------------------------------------------------------------------------------------


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
        assert rows.dtype == np.float32
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
    expected = (pixels[:4] / np.float32(255)).astype(np.float32).transpose(0, 3, 1, 2)
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
        (np.array(["a", "b"]), "not real numbers"),
        (np.zeros((4, 2), dtype=complex), "not real numbers"),
        (np.zeros((4, 2), dtype="M8[s]"), "not real numbers"),
        ([[1.0, 2.0], [3.0]], "same number of columns"),
        (np.float32(3), "neither a table"),
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


# --- checking a pair -----------------------------------------------------------------------------------------------


def pair(x: object, y: object) -> list[str]:
    return check_pair(open_samples(x, "source"), open_samples(y, "target"))


def test_good_pair_has_no_warnings() -> None:
    assert pair(table(), table(seed=1)) == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_first_value_that_is_not_finite_is_named(value: float) -> None:
    x = table(400_000, 4)  # more than one streamed block
    x[300_123, 2] = value
    with pytest.raises(SampleError, match=r"target: the value -?(nan|inf) in row 300123, column 2 is not finite"):
        pair(table(d=4), x)


def test_pixels_are_named_in_the_layout_given() -> None:
    images = np.zeros((100, 6, 5, 3), dtype=np.float32)
    images[7, 1, 4, 2] = np.nan
    with pytest.raises(SampleError, match=r"row 7, pixel \(1, 4, 2\) is not finite"):
        pair(images, images)


def test_values_beyond_float32() -> None:
    x = table().astype(np.float64)
    x[3, 1] = 1e39
    with pytest.raises(
        SampleError, match=r"source: the value 1e\+39 in row 3, column 1 is beyond the range of float32"
    ):
        pair(x, table())


def test_integers_that_float32_cannot_resolve() -> None:
    stamps = 1_700_000_000_000_000_000 + np.arange(400, dtype=np.int64).reshape(200, 2)
    with pytest.raises(SampleError, match=r"column 0 reaches 1.7e.18 but varies by only .*subtract a constant"):
        pair(stamps, stamps + 1)
    assert pair(stamps - stamps.min(), stamps + 1 - stamps.min()) == []


def test_shapes_must_agree() -> None:
    with pytest.raises(SampleError, match="source has 3 columns and target has 4"):
        pair(table(), table(d=4))
    with pytest.raises(SampleError, match="rows of shape"):
        pair(table(d=16), np.zeros((100, 4, 4), dtype=np.float32))


def test_uint8_against_float_images() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (100, 4, 4), dtype=np.uint8)
    with pytest.raises(SampleError, match="divided by 255"):
        pair(pixels, pixels.astype(np.float32))


def test_mixed_types_of_tables_are_compared_in_their_units() -> None:
    x = np.random.default_rng(0).integers(0, 5, (200, 3))
    assert pair(x, x.astype(np.float64) + 1) == []


def test_too_few_rows() -> None:
    with pytest.raises(SampleError, match="target: 3 rows are too few; at least 100"):
        pair(table(), table(3))


def test_constant_sets() -> None:
    with pytest.raises(SampleError, match="every row of both sets is the same"):
        pair(np.ones((200, 2)), np.ones((150, 2)))
    assert pair(np.ones((200, 2)), np.zeros((150, 2))) == [
        "source: every row is the same (a point mass)",
        "target: every row is the same (a point mass)",
    ]


def test_masked_values_are_refused() -> None:
    x = np.ma.array(table(), mask=False)
    np.testing.assert_array_equal(open_samples(x, "source").rows(slice(0, 5)), table()[:5].astype(np.float32))
    x[3, 1] = np.ma.masked
    with pytest.raises(SampleError, match="source: the value in row 3, column 1 is masked"):
        open_samples(x, "source")


def test_wide_columns_are_named() -> None:
    x, y = table(), table(seed=1)
    x[:, 1] *= 5_000
    y[:, 1] *= 5_000
    (warning,) = warned_of_scale(x, y, None)
    assert "decided by column 1" in warning
    assert "consider scale='standardize'" in warning
    assert warned_of_scale(x, y, "standardize") == []
    factors = np.ones(x.shape[1])
    assert "check the factors" in warned_of_scale(x, y, factors)[0]
    factors[1] = 5_000
    assert warned_of_scale(x, y, factors) == []
    assert "decided by column 1" in warned_of_scale(x, y, 2.0)[0]


def warned_of_scale(x: np.ndarray, y: np.ndarray, scale: object) -> list[str]:
    sets = open_samples(x, "source"), open_samples(y, "target")
    splits = split_rows(len(x), 0), split_rows(len(y), 0, 1)
    return scale_warnings(*sets, Scaling.fit(scale, *sets, *splits))  # type: ignore[arg-type]


def test_statistics_are_those_of_numpy_under_a_large_offset() -> None:
    x = 1e6 + np.random.default_rng(0).standard_normal((500_000, 3))
    statistics = open_samples(x, "source").statistics
    np.testing.assert_allclose(statistics.mean, x.mean(axis=0), rtol=1e-12)
    # float64 keeps 1e6 to 1e-10; squared deviations of order 1 inherit that relative error
    np.testing.assert_allclose(statistics.deviation, x.std(axis=0), rtol=1e-9)
    np.testing.assert_array_equal(statistics.minimum, x.min(axis=0))
    np.testing.assert_array_equal(statistics.maximum, x.max(axis=0))


MEMORY_PROBE = """
import sys, threading, time
import numpy as np
from wdist.data.checks import duplicate_warnings
from wdist.data.checks import check_pair
from wdist.data.samples import open_samples
from wdist.data.scaling import Scaling
from wdist.data.splits import split_rows

def anonymous():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
start, peak, done = anonymous(), 0.0, False
def watch():
    global peak
    while not done:
        peak = max(peak, anonymous())
        time.sleep(0.005)
thread = threading.Thread(target=watch); thread.start()
x, y = (open_samples(sys.argv[1], name) for name in ("source", "target"))
check_pair(x, y)
splits = [split_rows(s.n, 0, side) for side, s in enumerate((x, y))]
Scaling.fit("standardize", x, y, *splits)
duplicate_warnings(x, y, *splits)
x.sha256
done = True; thread.join()
print(peak - start)
"""


def peak_anonymous_mb(path: Path) -> float:
    run = subprocess.run([sys.executable, "-c", MEMORY_PROBE, str(path)], capture_output=True, text=True, check=True)
    return float(run.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads RssAnon from /proc")
def test_checks_and_scaling_stream(tmp_path: Path) -> None:
    path = tmp_path / "large.npy"
    np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(1_000_000, 64))[:] = np.arange(64)
    np.load(path, mmap_mode="r+")[::2] *= -1
    # the file is 256 MB; index arrays of two splits take 16, hashes with their sorting 30, and the blocks some 60
    assert peak_anonymous_mb(path) < 180


@pytest.mark.slow
def test_ten_million_rows_of_64_stay_under_a_gigabyte(tmp_path: Path) -> None:
    path = tmp_path / "huge.npy"
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(10_000_000, 64))
    rows[:5_000_000] = np.arange(64)  # the rest stays a hole in the file
    rows.flush()
    del rows
    assert peak_anonymous_mb(path) < 1_000


# --- splitting -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "sizes"), [(100, (40, 10, 50)), (150, (85, 15, 50)), (1_000, (600, 100, 300))])
def test_split_sizes(n: int, sizes: tuple[int, int, int]) -> None:
    split = split_rows(n, seed=3)
    assert (len(split.train), len(split.select), len(split.test)) == sizes
    assert split.sizes() == dict(zip(("train", "select", "test"), sizes, strict=True))
    np.testing.assert_array_equal(np.sort(np.concatenate([split.train, split.select, split.test])), np.arange(n))


def test_split_is_a_function_of_seed_and_side() -> None:
    def order(seed: int, side: int) -> list[int]:
        split = split_rows(500, seed, side)
        return [*split.train, *split.select, *split.test]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


def test_split_follows_the_documented_stream() -> None:
    stream = np.random.Generator(np.random.PCG64(np.random.SeedSequence([7, 1])))
    expected = stream.permutation(200)
    split = split_rows(200, seed=7, side=1)
    np.testing.assert_array_equal(np.concatenate([split.train, split.select, split.test]), expected)


def test_blocks_of_time_stay_whole() -> None:
    split = split_rows(1_000, seed=0, mode="blocks")
    assert split.train.max() < split.select.min() <= split.select.max() < split.test.min()
    assert not np.array_equal(split.test, np.sort(split.test))


def test_split_refuses() -> None:
    with pytest.raises(SampleError, match="99 rows are too few"):
        split_rows(99, seed=0)
    with pytest.raises(OptionError, match="unknown"):
        split_rows(200, seed=0, mode="stratified")
    with pytest.raises(OptionError, match="negative"):
        split_rows(200, seed=-1)


def test_groups_are_never_divided() -> None:
    generator = np.random.default_rng(0)
    source = generator.integers(0, 200, 3_000)
    target = generator.integers(100, 300, 2_000)  # 100 groups are in both sets
    x, y, (codes_x, codes_y) = split_groups(source, target, seed=1)
    assert len({(int(a), int(b)) for a, b in zip(codes_x, source, strict=True)}) == len(np.unique(source))
    parts = {
        name: set(codes_x[getattr(x, name)]) | set(codes_y[getattr(y, name)]) for name in ("train", "select", "test")
    }
    assert not parts["train"] & parts["test"]
    assert not parts["train"] & parts["select"]
    assert not parts["select"] & parts["test"]
    for split, codes, n in ((x, codes_x, 3_000), (y, codes_y, 2_000)):
        assert len(set(codes[split.test])) >= 50
        assert sum(split.sizes().values()) == n


def test_too_few_groups() -> None:
    with pytest.raises(SampleError, match="source: 5 groups are too few"):
        split_groups(np.arange(1_000) % 5, np.arange(1_000), seed=0)


# --- scaling -------------------------------------------------------------------------------------------------------


def fitted(option: object, x: np.ndarray, y: np.ndarray) -> Scaling:
    source, target = open_samples(x, "source"), open_samples(y, "target")
    return Scaling.fit(option, source, target, split_rows(len(x), 0, 0), split_rows(len(y), 0, 1))  # type: ignore[arg-type]


def test_standardize_looks_at_train_rows_only() -> None:
    x, y = table(300) * 5 + 2, table(200, seed=1)
    scale = fitted("standardize", x, y)
    train = np.concatenate([x[split_rows(300, 0, 0).train], y[split_rows(200, 0, 1).train]]).astype(np.float64)
    np.testing.assert_allclose(scale.divisor, train.std(axis=0), rtol=1e-12)
    np.testing.assert_allclose(scale.center, train.mean(axis=0), atol=1e-12)
    for side, rows in enumerate((x, y)):
        rows[split_rows(len(rows), 0, side).test] *= 1_000
    np.testing.assert_array_equal(fitted("standardize", x, y).divisor, scale.divisor)


def test_constant_columns_survive_standardizing() -> None:
    x = table()
    x[:, 1] = 4
    scaled = fitted("standardize", x, x).apply(x)
    np.testing.assert_array_equal(scaled[:, 1], 0)


def test_numbers_and_vectors_divide() -> None:
    x = table()
    np.testing.assert_array_equal(fitted(None, x, x).apply(x), x)
    np.testing.assert_array_equal(fitted(2, x, x).apply(x), x / 2)
    np.testing.assert_array_equal(fitted([1, 2, 4], x, x).apply(x), x / np.array([1, 2, 4], dtype=np.float32))
    assert fitted(2, x, x).to_json() == {"kind": "number", "divisor": 2.0, "center": 0.0, "data_divisor": 1.0}


def test_scale_survives_json_exactly() -> None:
    x = table()
    scale = fitted("standardize", x, x)
    again = Scaling.from_json(scale.to_json())
    np.testing.assert_array_equal(again.apply(x), scale.apply(x))


@pytest.mark.parametrize("option", [0, -1, np.nan, [1, 2], [1, 2, 0], "robust"])
def test_scale_refuses(option: object) -> None:
    with pytest.raises(OptionError, match="scale"):
        fitted(option, table(), table())


def test_frames_with_other_columns_are_refused() -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.normal(size=(200, 3)), columns=["a", "b", "c"])
    with pytest.raises(SampleError, match="another order"):
        check_pair(open_samples(frame, "source"), open_samples(frame[["c", "b", "a"]], "target"))
    with pytest.raises(SampleError, match="b only in source, z only in target; give both a, b"):
        check_pair(open_samples(frame, "source"), open_samples(frame.rename(columns={"b": "z"}), "target"))
    check_pair(open_samples(frame, "source"), open_samples(frame.to_numpy() + 1, "target"))


def test_a_frame_with_truth_values_beside_numbers() -> None:
    frame = pd.DataFrame({"a": np.arange(200.0), "b": np.arange(200) % 2 == 0})
    opened = open_samples(frame, "source")
    assert opened.columns == ["a", "b"]
    assert opened.rows(slice(0, 2)).tolist() == [[0.0, 1.0], [1.0, 0.0]]
    with pytest.raises(SampleError, match="column c holds 'x'"):
        open_samples(frame.assign(c="x"), "source")
    missing = pd.DataFrame({"a": pd.array([1, None] * 100, dtype="Int64"), "b": 1.0})
    with pytest.raises(SampleError, match="row 1, column a holds <NA>, not a number"):
        open_samples(missing, "source")
    with pytest.raises(SampleError, match="more than one column is named 'a'"):
        open_samples(frame.rename(columns={"b": "a"}), "source")
