"""Files as the library opens them: equal rows whatever the format, columns left out, groups by name, and a matrix."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image

from wdist import OptionError, Result, SampleError, estimate_w1, matrix_w1, open_samples
from wdist.data.readers import csv
from wdist.data.readers.registry import FORMATS
from wdist.data.tables.writer import ArrayWriter
from wdist.definitions.reading import Selection

SLOW_DISK = """
import io, sys, tempfile, time
from wdist.data.tables.found import DecodeError
from wdist.definitions.reading import Selection
from wdist.data.readers.registry import FORMATS, read
from wdist.data.tables.writer import ArrayWriter

class Slow(io.FileIO):
    def read(self, size=-1):
        data = super().read(size)
        time.sleep(0.2)
        return data

class End:
    def __del__(self, sleep=time.sleep):
        sleep(1)

end = End()  # it goes while the interpreter shuts down
kind, path = sys.argv[1:]
with tempfile.TemporaryFile() as output:
    try:
        read(FORMATS[kind], Slow(path), ArrayWriter(output.fileno(), 1 << 30), Selection())
    except DecodeError:
        sys.exit(2)
"""
QUICK = {"critic": "affine", "steps": 1, "baseline_rows": 0}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """x and y, 1 apart in column a, with a column `who` that names pairs of rows; the same without it."""
    folder = tmp_path_factory.mktemp("files")
    values = np.random.default_rng(0).normal(size=(2, 400, 3))
    values[1, :, 0] += 1
    for name, rows in zip("xy", values, strict=True):
        frame = pd.DataFrame(rows, columns=["a", "b", "c"])
        np.save(folder / f"{name}.npy", rows)
        frame.to_csv(folder / f"{name}.plain.csv", index=False, float_format="%.17g")
        frame = frame.assign(who=[f"p{i // 2}" for i in range(400)])
        frame.to_csv(folder / f"{name}.csv", index=False, float_format="%.17g")
        frame.to_csv(folder / f"{name}.tsv", index=False, float_format="%.17g", sep="\t")
        frame.to_parquet(folder / f"{name}.parquet")
    np.savez(folder / "both.npz", x=values[0], y=values[1])
    return folder


def figures(result: Result) -> tuple[float | None, ...]:
    return result.value, result.lower_bound, result.p_value, result.lipschitz_bound


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_every_format_gives_the_same_result_to_the_bit(files: Path, ending: str) -> None:
    expected = estimate_w1(files / "x.npy", files / "y.npy", **QUICK)
    assert 0 < expected.lower_bound <= 1
    found = estimate_w1(files / f"x.{ending}", str(files / f"y.{ending}"), drop=["who"], **QUICK)
    assert figures(found) == figures(expected)
    assert figures(estimate_w1(f"{files}/both.npz:x", f"{files}/both.npz:y", **QUICK)) == figures(expected)


def test_opened_files_keep_names_members_and_labels(files: Path) -> None:
    table = open_samples(files / "x.csv", drop=["who", "b"])
    assert (table.names, table.n, table.row_shape) == (["a", "c"], 400, (2,))
    np.testing.assert_array_equal(table.array, np.load(files / "x.npy")[:, [0, 2]])
    np.testing.assert_array_equal(open_samples(files / "both.npz", member="y").array, np.load(files / "y.npy"))
    codes = [open_samples(files / f"x.{ending}", labels="who").array for ending in ("csv", "parquet")]
    np.testing.assert_array_equal(*codes)
    assert len(np.unique(codes[0])) == 200


def test_a_file_without_a_known_name_is_recognised_by_its_first_bytes(files: Path, tmp_path: Path) -> None:
    for k, name in enumerate(("x.npy", "x.parquet")):
        (tmp_path / f"blob{k}").write_bytes((files / name).read_bytes())
    np.testing.assert_array_equal(open_samples(tmp_path / "blob0").array, np.load(files / "x.npy"))
    assert open_samples(tmp_path / "blob1", drop=["who"]).names == ["a", "b", "c"]
    (tmp_path / "blob2").write_bytes(b"1,2\n")
    with pytest.raises(SampleError, match=r"blob2 is not \.npy, \.npz"):
        open_samples(tmp_path / "blob2")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_nothing_reads_on_when_a_refused_file_ends_the_process(tmp_path: Path, kind: str) -> None:
    rows = 400_000  # in several blocks, so that one is read ahead while the first is refused
    frame = pd.DataFrame({"a": np.full(rows, 1.25), "b": np.full(rows, -1.25), "who": "somebody"})
    frame.to_csv(tmp_path / "x", index=False) if kind == "csv" else frame.to_parquet(tmp_path / "x")
    command = [sys.executable, "-c", SLOW_DISK, kind, str(tmp_path / "x")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "")


@pytest.mark.parametrize("descriptors", [csv._DESCRIPTORS, "/nowhere"])  # Windows has no folder of open files
@pytest.mark.parametrize("kind", ["path", "no name", "another file's name"])
def test_csv_is_read_from_the_open_file(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, descriptors: str, kind: str
) -> None:
    monkeypatch.setattr(csv, "_DESCRIPTORS", descriptors)
    given = tmp_path / "x.csv"
    given.write_bytes((files / "x.plain.csv").read_bytes())
    with given.open("rb") as named, TemporaryFile() as nameless, TemporaryFile() as output:
        nameless.write(given.read_bytes())
        if kind == "another file's name":
            given.unlink()
            given.write_bytes((files / "y.plain.csv").read_bytes())
        source = nameless if kind == "no name" else named
        source.seek(0)
        assert csv.read(source, ArrayWriter(output.fileno(), 1 << 20), Selection()).columns == ["a", "b", "c"]
        output.seek(0)
        np.testing.assert_array_equal(np.load(output), np.load(files / "x.npy"))


def test_a_folder_of_images(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, size=(5, 4, 6), dtype=np.uint8)
    for k, picture in enumerate(pixels):
        Image.fromarray(picture).save(tmp_path / f"{k}.png")
    np.testing.assert_array_equal(open_samples(tmp_path).array, pixels)


@pytest.mark.parametrize("read", [pd.read_csv, pl.read_csv, lambda path: path], ids=["pandas", "polars", "path"])
def test_groups_by_the_name_of_a_column(files: Path, read) -> None:  # type: ignore[no-untyped-def]
    x, y = (read(files / f"{name}.csv") for name in "xy")
    result = estimate_w1(x, y, groups="who", **QUICK)
    labels = [np.repeat(np.arange(200), 2)] * 2
    assert result.split == "groups"
    assert result.n == estimate_w1(files / "x.npy", files / "y.npy", groups=tuple(labels), **QUICK).n
    with pytest.raises(SampleError, match="'nobody'"):
        estimate_w1(x, y, groups="nobody", **QUICK)


@pytest.mark.parametrize(
    ("name", "part", "error", "words"),
    [
        ("x.csv", {}, SampleError, r"x\.csv: column 'who'"),
        ("x.npy", {"drop": ["a"]}, SampleError, "no names of columns"),
        ("both.npz", {}, SampleError, "FILE.npz:NAME"),
        ("both.npz", {"member": "z"}, SampleError, "no array 'z'"),
        ("x.csv", {"drop": ["q"]}, SampleError, "'q'"),
        ("nowhere.csv", {}, SampleError, r"nowhere\.csv: No such file"),
    ],
)
def test_what_is_refused_names_the_file(
    files: Path, name: str, part: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        open_samples(files / name, **part)  # type: ignore[arg-type]


def test_arrays_have_no_columns_to_choose() -> None:
    with pytest.raises(OptionError, match="drop is for tables"):
        open_samples(np.ones((200, 2)), drop=["a"])


def test_a_reader_without_its_package_says_what_to_install(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert FORMATS["csv"].needs == "pyarrow"
    monkeypatch.delitem(sys.modules, "wdist.data.readers.csv", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as where it is not installed
    with pytest.raises(SampleError, match="pip install pyarrow"):
        open_samples(files / "x.plain.csv")


def test_a_matrix_takes_each_set_in_a_file_of_its_own_kind(files: Path) -> None:
    x, y = np.load(files / "x.npy"), np.load(files / "y.npy")
    sets = [files / "x.plain.csv", files / "y.plain.csv", pl.DataFrame(x[::-1], schema=["a", "b", "c"])]
    matrix = matrix_w1(sets, scale="standardize", **QUICK)
    assert matrix.rows == [str(sets[0]), str(sets[1]), "set 3"]
    assert matrix.units.endswith("of each column of x.plain.csv")  # certificates name no folder
    np.testing.assert_array_equal(matrix.value, matrix_w1([x, y, x[::-1]], scale="standardize", **QUICK).value)
    grouped = matrix_w1([files / "x.csv", files / "y.csv", files / "y.tsv"], reference=True, groups="who", **QUICK)
    assert (grouped.split, grouped.value.shape) == ("groups", (1, 2))
    assert grouped.value[0, 0] == grouped.value[0, 1]  # the same groups, in the same parts


def test_progress_is_shown_on_standard_error_only_if_asked(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training = {"critic": "groupsort", "steps": 20, "baseline_rows": 0}
    estimate_w1(files / "x.npy", files / "y.npy", **training)
    assert capsys.readouterr() == ("", "")
    estimate_w1(files / "x.npy", files / "y.npy", progress=True, **training)
    assert "step " in capsys.readouterr().err
    seen: list[int] = []
    estimate_w1(files / "x.npy", files / "y.npy", progress=lambda now: seen.append(now.step), **training)
    assert seen[-1] == 20
    assert capsys.readouterr() == ("", "")


def test_a_path_that_leads_nowhere_is_named_before_another_file_is_read(tmp_path: Path) -> None:
    """What is wrong with the first file can be told once the second one is there."""
    (tmp_path / "text.csv").write_text("city\nBern\n")
    there, nowhere = tmp_path / "text.csv", tmp_path / "nowhere.csv"
    for compare in (lambda: estimate_w1(there, nowhere), lambda: matrix_w1([there, there, nowhere])):
        with pytest.raises(SampleError, match=r"nowhere\.csv: No such file"):
            compare()
