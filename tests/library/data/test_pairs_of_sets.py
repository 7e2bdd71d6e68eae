"""Checks of a pair of sample sets: what cannot be compared, and what a user is warned of."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from wdist.data.checks import check_pair, check_scaled, scale_warnings
from wdist.data.samples import open_samples
from wdist.data.scaling import Scaling
from wdist.data.splits import split_rows
from wdist.errors import OptionError, SampleError


def table(n: int = 200, d: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


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


def far(kind: str) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    near = generator.normal(size=(2, 400, 2))
    near[1, :, 0] += 0.5
    match kind:
        case "nanoseconds since 1970":
            return tuple((1_700_000_000_000_000_000 + 100 * near).astype(np.int64))  # type: ignore[return-value]
        case "float32 at a million":
            return tuple((1e6 + near).astype(np.float32))  # type: ignore[return-value]
        case "float16":
            return tuple((2_000 + near).astype(np.float16))  # type: ignore[return-value]
        case "float64 at 1e15":
            return tuple(1e15 + near)  # type: ignore[return-value]
        case "a few zeros among times":
            near += 1.7e9
            near[:, ::100, 0] = 0
            return tuple(near)  # type: ignore[return-value]
    raise AssertionError(kind)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("nanoseconds since 1970", r"column 0 lies near 1\.7e\+18, where float64 has steps of 2.6e\+02"),
        ("float32 at a million", r"column 0 lies near 1e\+06, where float32 has steps of 0\.062"),
        ("float16", "column 0 lies near 200., where float16 has steps of 1"),
        ("float64 at 1e15", r"column 0 lies near 1e\+15, where float64 has steps of 0\.12"),
        ("a few zeros among times", "most values of column 0 lie within 3.* of each other, but 1.7e.07 from the mean"),
    ],
)
def test_differences_that_steps_swallow_are_told(kind: str, words: str) -> None:
    x, y = far(kind)
    warnings = pair(x, y)
    assert [warning.split(":")[0] for warning in warnings] == ["source", "target"]
    for warning in warnings:
        assert re.search(words, warning), warning
    centre = x[0]
    assert kind == "a few zeros among times" or pair(x.astype(np.longdouble) - centre, y - centre) == []


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_times_in_seconds_are_not_warned_of(dtype: type) -> None:
    stamps = (1.7e9 + 1e4 * np.random.default_rng(0).normal(size=(2, 300, 2))).astype(dtype)
    assert pair(*stamps) == []


def test_differences_too_small_to_compute_with() -> None:
    tiny = 1e-40 * np.random.default_rng(0).normal(size=(2, 200, 2))
    with pytest.raises(SampleError, match="too little to compute with: multiply both by one large number"):
        pair(*tiny)
    assert pair(*(1e30 * tiny)) == []
    with pytest.raises(SampleError, match="too little to compute with"):  # although their deviation is computed as 0
        pair(*(1e-270 * tiny))


@pytest.mark.parametrize(
    ("scale", "problem"),
    [
        (1e-100, "beyond the range of float32"),
        (5e-324, "beyond the range of float32"),
        (1e100, "too little to compute with"),
        ([1.0, 1e-300, 1.0], "beyond the range of float32"),
        (1e-30, None),
        (1e30, None),
        ([1.0, 1e300, 1.0], None),
    ],
)
def test_scales_that_leave_nothing_to_compute_with(scale: object, problem: str | None) -> None:
    sets = open_samples(table(), "source"), open_samples(table(seed=1), "target")
    splits = split_rows(200, 0), split_rows(200, 0, 1)
    scaling = Scaling.fit(scale, *sets, *splits)  # type: ignore[arg-type]
    if problem is None:
        check_scaled(*sets, scaling)
    else:
        with pytest.raises(OptionError, match=problem):
            check_scaled(*sets, scaling)


def test_each_pixel_has_its_own_divisor() -> None:
    images = np.random.default_rng(0).integers(0, 256, size=(2, 200, 4, 5, 3), dtype=np.uint8)
    images[:, :, 1, 2, 0] = 0
    sets = open_samples(images[0], "source", "nhwc"), open_samples(images[1], "target", "nhwc")
    divisors = np.ones((3, 4, 5))  # channels, height, width
    divisors[0, 1, 2] = 1e-200
    splits = split_rows(200, 0), split_rows(200, 0, 1)
    check_scaled(*sets, Scaling.fit(divisors, *sets, *splits))
    with pytest.raises(OptionError, match="beyond the range of float32"):
        check_scaled(*sets, Scaling.fit(np.roll(divisors, 1), *sets, *splits))


def test_shapes_must_agree() -> None:
    with pytest.raises(SampleError, match="source has 3 columns and target has 4"):
        pair(table(), table(d=4))
    with pytest.raises(SampleError, match="source holds a table of 16 columns and target images of 4 x 4, which"):
        pair(table(d=16), np.zeros((100, 4, 4), dtype=np.float32))
    with pytest.raises(SampleError, match="images of 4 x 5 and target of 4 x 4: bring both to one size"):
        pair(np.zeros((100, 4, 5), dtype=np.float32), np.zeros((100, 4, 4), dtype=np.float32))


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


def test_frames_with_other_columns_are_refused() -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.normal(size=(200, 3)), columns=["a", "b", "c"])
    with pytest.raises(SampleError, match=r"another order \(c, b, a\); read both with columns=\['a', 'b', 'c'\]"):
        check_pair(open_samples(frame, "source"), open_samples(frame[["c", "b", "a"]], "target"))
    with pytest.raises(SampleError, match=r"b only in source, z only in target; read both with columns=\['a', 'c'\]"):
        check_pair(open_samples(frame, "source"), open_samples(frame.rename(columns={"b": "z"}), "target"))
    with pytest.raises(SampleError, match=r"source names its columns \(a, b, c\) and target does not"):
        check_pair(open_samples(frame, "source"), open_samples(frame.to_numpy() + 1, "target"))
    bare = pd.DataFrame(frame.to_numpy() + 1)
    with pytest.raises(SampleError, match=r"target names its columns \(a, b, c\) and source does not"):
        check_pair(open_samples(bare, "source"), open_samples(frame, "target"))
    with pytest.raises(SampleError, match="source holds a table of 3 columns and target a table of 2 columns"):
        check_pair(open_samples(bare, "source"), open_samples(frame[["a", "b"]], "target"))
    check_pair(open_samples(bare, "source"), open_samples(frame.to_numpy(), "target"))
    with pytest.raises(SampleError, match=r"another order \(0, 1, 2\); put them into the order 0, 2, 1"):
        check_pair(open_samples(bare[[0, 2, 1]], "source"), open_samples(bare, "target"))
    check_pair(open_samples(frame[["a"]], "source"), open_samples(frame["b"], "target"))  # nothing to mix up
