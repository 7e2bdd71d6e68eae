"""`wdist` without a server: what it reads, what it prints where, its exit status, doctor."""

import io
import json
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from wdist import Result, SampleError, estimate_w1
from wdist.cli.main import main
from wdist.definitions.reading import Reading
from wdist.definitions.results.numbers import rounded_down, rounded_up
from wdist.options import Options
from wdist.verify import main as verifier

QUICK = ("--critic", "affine", "--steps", "1", "--baseline-rows", "0")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """x and y, 1 apart, in every format; two folders of images; a table with a column of labels."""
    folder = tmp_path_factory.mktemp("files")
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 400, 3)).astype(np.float32)
    y[:, 0] += 1
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    np.savez(folder / "both.npz", x=x, y=y)
    for name, rows in (("x", x), ("y", y)):
        frame = pd.DataFrame(rows, columns=["a", "b", "c"])
        frame.to_csv(folder / f"{name}.csv", index=False, float_format="%.9g")
        frame.to_parquet(folder / f"{name}.parquet")
    frame.rename(columns={"c": "d"}).to_csv(folder / "other.csv", index=False)
    frame.assign(b=frame.b.where(frame.index != 5)).to_csv(folder / "holes.csv", index=False)
    (folder / "bin.csv").write_bytes(bytes(range(10)) * 30 + b"\n")
    for name, rows in (("gx", x), ("gy", y)):
        table = pd.DataFrame(rows, columns=["a", "b", "c"]).assign(who=[f"p{i // 4}" for i in range(400)])
        table.to_csv(folder / f"{name}.csv", index=False)
    (folder / "empty").mkdir()
    for name, least in (("dark", 0), ("light", 60)):
        (folder / name).mkdir()
        for i in range(120):
            picture = random.integers(least, least + 150, size=(6, 6), dtype=np.uint8)
            Image.fromarray(picture).save(folder / name / f"{i:03}.png")
    return folder


@pytest.fixture(autouse=True)
def in_the_folder(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)


def estimate(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, float]:
    assert main(["estimate", *arguments, *QUICK, "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    result: dict[str, float] = json.loads(said.out)
    return result


@pytest.mark.parametrize(
    ("source", "target"),
    [
        *((source, target) for source in ("x.npy", "both.npz:x") for target in ("y.npy", "both.npz:y")),
        *((source, target) for source in ("x.csv", "x.parquet") for target in ("y.csv", "y.parquet")),
    ],
)
def test_every_format_gives_the_same_result(capsys: pytest.CaptureFixture[str], source: str, target: str) -> None:
    # Nine digits of a CSV give the same float64 but for the last bits of a float32.
    expected = estimate(capsys, "x.npy", "y.npy")
    assert 0 < expected["lower_bound"] <= 1
    assert estimate(capsys, source, target)["value"] == pytest.approx(expected["value"], rel=1e-6)


@pytest.mark.parametrize("name", ["y.npy", "both.npz", "y.csv", "y.parquet"])
def test_standard_input_is_known_by_its_first_bytes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    content = Path(name).read_bytes()
    if name == "both.npz":
        one = io.BytesIO()
        np.savez(one, y=np.load("y.npy"))
        content = one.getvalue()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content), isatty=lambda: False))
    first = "x.npy" if name in ("y.npy", "both.npz") else "x.csv"
    assert estimate(capsys, first, "-")["value"] == pytest.approx(estimate(capsys, "x.npy", "y.npy")["value"], rel=1e-6)


def test_a_folder_of_images(capsys: pytest.CaptureFixture[str]) -> None:
    # All grey levels differ by 60 on average: W1 >= sqrt(36) 60 / 255 = 1.41, up to what 36 rows leave open.
    result = estimate(capsys, "dark", "light")
    assert result["value"] == pytest.approx(6 * 60 / 255, abs=0.15)


def test_a_column_of_groups_is_left_out_and_kept_whole(capsys: pytest.CaptureFixture[str]) -> None:
    result = estimate(capsys, "gx.csv", "gy.csv", "--groups", "who")
    assert result["n"]["source"]["test"] % 4 == 0  # type: ignore[index]
    dropped = estimate(capsys, "gx.csv", "gy.csv", "--drop", "who")
    assert dropped["value"] == pytest.approx(estimate(capsys, "x.npy", "y.npy")["value"], rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.npy", "x.npy"], "nowhere.npy"),
        (["both.npz", "x.npy"], "FILE.npz:NAME"),
        (["gx.csv", "x.npy"], "column 'who'"),
        (["y.csv", "other.csv"], "different columns"),
        (["-", "-"], "only one"),
        (
            ["holes.csv", "x.npy"],
            "holes.csv: column 'b', line 7 has a missing value: --missing drop leaves such rows out",
        ),
        (["bin.csv", "x.npy"], "bin.csv: it is binary, not CSV; let its name end in what it is"),
        (["x.npy", "y.csv", "--groups", "a"], "no names of columns"),
        (["x.npy", "y.npy", "--confidence", "2"], "confidence"),
        (["x.npy", "y.npy", "--certificate", "no/where"], "the folder no is not there"),
        (["empty", "x.npy"], "no .png"),
    ],
)
def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert main(["estimate", *arguments, *QUICK]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err
    assert len(said.err.splitlines()) == 1


NUMBERS = [
    (name, branch)
    for name, schema in Options.model_json_schema()["properties"].items()
    for branch in schema.get("anyOf", [schema])
    if branch.get("type") in {"number", "integer"}
]


@pytest.mark.parametrize(("name", "schema"), NUMBERS)
@pytest.mark.parametrize("text", ["one", "nan", "-1e400", "1.5", "-1"])
def test_a_number_that_an_option_cannot_be_is_refused_in_the_library_s_words(
    capsys: pytest.CaptureFixture[str], name: str, schema: dict[str, Any], text: str
) -> None:
    if text == "1.5" and schema["type"] == "number" and name != "confidence":
        text = "0"
    assert main(["estimate", "x.npy", "y.npy", f"--{name.replace('_', '-')}={text}"]) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"wdist: {name} is ")
    assert "it must be" in said.err
    assert len(said.err.splitlines()) == 1


def test_a_bound_above_what_is_tolerated_is_exit_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", "x.npy", "y.npy", *QUICK, "--fail-above", "1"]) == 0
    assert main(["estimate", "x.npy", "y.npy", *QUICK, "--fail-above", "0.1"]) == 1
    said = capsys.readouterr()
    passed, failed = [line for line in said.err.splitlines() if "--fail-above" in line]
    assert re.fullmatch(r"wdist: passed: the lower bound, 0\.\d+, is not above 1 \(--fail-above\)", passed)
    assert re.fullmatch(r"wdist: failed: the lower bound, 0\.\d+, is above 0\.1 \(--fail-above\)", failed)
    assert said.out.count("lower_bound") == 2


def test_progress_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["estimate", "x.npy", "y.npy", "--critic", "groupsort", "--steps", "30", "--baseline-rows", "0"]
    assert main([*arguments, "--json", "--progress"]) == 0
    said = capsys.readouterr()
    assert "step " in said.err
    assert "not certified" in said.err
    assert json.loads(said.out)["steps"] == 30


def test_a_matrix_of_files(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy("y.npy", "again.npy")
    assert main(["matrix", "x.npy", "y.npy", "again.npy", *QUICK, "--json"]) == 0
    matrix = json.loads(capsys.readouterr().out)
    bounds = np.array(matrix["lower_bound"])
    assert matrix["rows"] == matrix["columns"] == ["x.npy", "y.npy", "again.npy"]
    np.testing.assert_array_equal(bounds, bounds.T)
    assert bounds[0, 1] > 0 == bounds[1, 2]  # the same rows twice
    together = np.array(matrix["simultaneous_lower_bound"])
    assert 0 < together[0, 1] < bounds[0, 1]
    assert (matrix["confidence"], matrix["pairs"], matrix["split"]) == (0.95, 3, "random")
    assert matrix["units"] == "Euclidean distance in the data's own units"
    (warning,) = [each for each in matrix["warnings"] if "mean difference" not in each["warning"]]
    assert (warning["row"], warning["column"]) == ("y.npy", "again.npy")
    assert "not independent draws" in warning["warning"]
    between = f"{(together[0, 1] + bounds[0, 1]) / 2}"
    three = ["matrix", "x.npy", "y.npy", "again.npy", *QUICK, "--fail-above", between]
    assert main(three) == 1
    assert "wdist: failed: the highest lower bound, " in capsys.readouterr().err
    assert main([*three, "--simultaneous"]) == 0
    said = capsys.readouterr()
    assert "wdist: passed: the highest simultaneous lower bound, " in said.err
    shown = said.out.splitlines()
    ends = "each end with 95 % confidence, upper ends approximate"
    assert shown[0].startswith("2 of 3 pairs differ, all judged together with 95 % confidence; 1 ")
    assert shown[2].startswith(f"W1 lies between, each pair by itself, {ends} (Euclidean distance")
    assert shown[8] == f"W1 lies between, all 3 pairs together, {ends}"
    assert shown[4].split() == ["x.npy", "-", *interval(matrix, 0, 1), *interval(matrix, 0, 2)]
    assert shown[10].split() == [
        "x.npy",
        "-",
        *interval(matrix, 0, 1, "simultaneous_"),
        *interval(matrix, 0, 2, "simultaneous_"),
    ]
    assert shown[14].startswith("p-value: how often equal populations would show this much, adjusted so that all 3")
    assert [shown[k].split()[k - 15] for k in (16, 17, 18)] == ["-"] * 3
    assert float(shown[16].split()[2]) == pytest.approx(matrix["adjusted_p_value"][0][1], rel=1e-3)
    assert 0 < matrix["p_value"][0][1] < matrix["adjusted_p_value"][0][1] < 0.05 < matrix["adjusted_p_value"][1][2]
    told = [line for line in shown[19:] if "mean difference" not in line]
    assert told[0].startswith("warning: y.npy (source) and again.npy (target): ")
    assert main(["matrix", "x.npy", "y.npy", *QUICK, "--upper", "none"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("They differ (p")
    assert shown[2].startswith("W1 is at least, each pair by itself with 95 % confidence (Euclidean distance")
    assert not any("upper" in line or "between" in line for line in shown)
    assert main(["matrix", "x.npy", "y.npy", *QUICK, "--reference"]) == 0
    alone = capsys.readouterr().out.splitlines()
    assert sum(not line.startswith("warning") for line in alone) == 9
    assert alone[6] == "p-value: how often equal populations would show this much"
    assert main(["matrix", "x.npy"]) == 2


def interval(matrix: dict[str, Any], i: int, j: int, which: str = "") -> list[str]:
    """Both ends of a cell, as they are printed."""
    lower, upper = (matrix[f"{which}{end}_bound"][i][j] for end in ("lower", "upper"))
    return [rounded_down(lower), "..", rounded_up(upper)]


def test_which_file_is_closest(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy("x.npy", "near.npy")
    compared = ["compare", "x.npy", "y.npy", "near.npy", *QUICK]
    assert main([*compared, "--json", "--delta", "1000"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in found["ranking"]] == ["near.npy", "y.npy"]
    assert (found["reference"], found["differences"][0]["answer"]) == ("x.npy", "no")
    assert found["differences"][0]["within_delta"] is True
    assert any("not independent draws" in each["warning"] for each in found["warnings"])
    assert main(compared) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("`near.npy` is closer to `x.npy` than `y.npy`, by ")
    assert shown[4].split()[:2] == ["1", "near.npy"]
    for wrong, words in (
        (["x.npy"], "at least two candidates"),
        (["x.npy", "y.npy"], "at least two candidates"),
        (["x.npy", "y.npy", "near.npy", "--delta", "0"], "delta: 0 is not above 0"),
        (["x.npy", "y.npy", "y.npy"], "two sets are called 'y.npy': leave one out\n"),
        (["x.npy", "y.npy", "near.npy", "--upper", "none"], "upper: a comparison needs"),
        ([], "a reference and at least two"),
    ):
        assert main(["compare", *wrong]) == 2, wrong
        assert words in capsys.readouterr().err


def test_a_matrix_with_a_diameter_has_upper_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy("y.npy", "again.npy")
    sets = ["x.npy", "y.npy", "again.npy", *QUICK, "--diameter", "20"]
    assert main(["matrix", *sets, "--json"]) == 0
    matrix = json.loads(capsys.readouterr().out)
    assert main(["estimate", "x.npy", "y.npy", *QUICK, "--diameter", "20", "--statements", "3", "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert matrix["upper_bound"][0][1] == matrix["upper_bound"][1][0] == alone["upper_bound"] >= 1
    assert matrix["lower_bound"][0][1] == alone["lower_bound"]
    assert main(["matrix", *sets]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[2].startswith(
        "W1 lies between, each pair by itself, each end with 95 % confidence (Euclidean distance"
    )
    assert shown[4].split()[:5] == ["x.npy", "-", *interval(matrix, 0, 1)]


def test_a_matrix_says_which_files_are_at_fault(capsys: pytest.CaptureFixture[str], files: Path) -> None:
    broken, same = np.load("x.npy"), np.ones((200, 3), np.float32)
    broken[5, 1] = np.nan
    for name, rows in (("nan.npy", broken), ("same.npy", same), ("same2.npy", same), ("wide.npy", np.ones((200, 4)))):
        np.save(name, rows)
    for sets, words in (
        (["x.npy", "y.npy", "nan.npy"], "wdist: nan.npy: the value nan in row 5, column 1"),
        (["nan.npy", "y.npy"], "wdist: nan.npy: the value nan in row 5, column 1"),
        (["x.csv", "holes.csv", "y.csv"], "wdist: holes.csv: column 'b', line 7 has a missing value"),
        (["same.npy", "same2.npy"], "wdist: same.npy and same2.npy: every row of both sets is the same"),
        (["x.npy", "wide.npy"], "wdist: x.npy has 3 columns and wide.npy has 4"),
        (["x.npy", "y.csv"], "wdist: y.csv names its columns (a, b, c) and x.npy does not"),
    ):
        assert main(["matrix", *sets, *QUICK]) == 2
        said = capsys.readouterr().err
        assert said.startswith(words)
        assert len(said.splitlines()) == 1


def test_the_doctor_finds_this_machine_in_order(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WDIST_SERVER_DATA", str(tmp_path / "data"))
    assert main(["doctor", "--json"]) == 0
    found = {finding["what"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert {"python", "machine", "versions", "device", "disk", "server", "speed"} <= found.keys()
    assert "torch" in found["versions"]["found"]
    assert "steps a second" in found["speed"]["found"]
    monkeypatch.setenv("WDIST_SERVER_MIN_FREE_BYTES", str(1 << 60))
    assert main(["doctor"]) == 1
    assert "fail  disk" in capsys.readouterr().out
    monkeypatch.setenv("WDIST_SERVER_PORT", "high")
    assert main(["doctor"]) == 1
    assert "fail  settings" in capsys.readouterr().out


def test_help_for_who_says_nothing_and_names_of_what_is_read(capsys: pytest.CaptureFixture[str], files: Path) -> None:
    assert main([]) == 2
    assert "estimate" in capsys.readouterr().err
    assert main(["verify", "--help"]) == 0
    assert ".parquet" in capsys.readouterr().out
    (files / "notes.md").write_text("not rows")
    assert main(["estimate", "notes.md", "x.npy"]) == 2
    assert "notes.md is not .npy, .npz" in capsys.readouterr().err
    (files / "x.csv.xz").write_bytes(b"\xfd7zXZ")
    assert main(["estimate", "x.csv.xz", "x.npy"]) == 2
    assert "x.csv.xz is compressed: unpack it first" in capsys.readouterr().err


def test_a_result_is_kept_and_reported(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["x.csv", "y.csv"]
    assert main(["estimate", *names, *QUICK, "--json", "--witness", "--save", "r.wdist", "--report", "r.html"]) == 0
    kept = Result.load("r.wdist")
    said = json.loads(capsys.readouterr().out)
    assert kept.witness.to_dict() == said.pop("witness")
    assert kept.to_dict() == said
    assert kept.names == tuple(names)
    assert kept.certificate.content
    assert len(kept.witness.source_scores) == kept.n["source"]["test"]
    page = Path("r.html").read_text()
    assert all(name in page for name in names)
    assert main(["estimate", *names, *QUICK, "--report", "no/where.html"]) == 2
    assert "the folder no is not there" in capsys.readouterr().err


def test_ranges_may_begin_with_a_negative_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(tmp_path / name) for name in ("a.npy", "b.npy")]
    for name, shift in zip(names, (0.0, 1.0), strict=True):
        np.save(name, np.random.default_rng(7).normal(size=(200, 2)) + shift)
    assert main(["estimate", *names, *QUICK, "--ranges", "-9,9", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["upper_kind"] == "finite-sample"


def test_a_certificate_of_tables_is_verified_with_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, shift in (("a.csv", 0.0), ("b.csv", 1.0)):
        values = np.random.default_rng(len(name)).normal(size=(200, 2)) + shift
        np.savetxt(name, values, delimiter=",", header="first,second", comments="")
    assert main(["estimate", "a.csv", "b.csv", *QUICK, "--certificate", "c.cert", "--scale", "1,2"]) == 0
    capsys.readouterr()
    assert main(["verify", "c.cert", "a.csv", "b.csv"]) == 0
    assert "VERIFIED" in capsys.readouterr().out
    assert main(["verify", "c.cert", "b.csv", "a.csv"]) == 1
    assert "the two sets are exchanged: the first set is the second set of this certificate" in capsys.readouterr().out
    Path("text.npy").write_text("no array")
    for given, words in (
        (["c.cert", "a.csv", "missing.csv"], "missing.csv"),
        (["c.cert", "text.npy", "text.npy"], "'text.npy' is not a .npy file"),
        (["c.cert", "missing.npy", "missing.npy"], "'missing.npy': No such file"),
        (["missing.cert", "a.csv", "b.csv"], "'missing.cert': No such file"),
        ([".", "a.csv", "b.csv"], "'.': Is a directory"),
    ):
        assert main(["verify", *given]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert words in said.err
        assert len(said.err.splitlines()) == 1


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """a and b as CSV and Parquet in the working folder, with an id, a column of text that groups the rows; b's rows."""
    monkeypatch.chdir(tmp_path)
    for k, name in enumerate("ab"):
        values = np.random.default_rng(k).normal(size=(400, 2)) + k
        frame = pd.DataFrame(values, columns=["first", "second"])
        frame.insert(0, "id", np.arange(400))
        frame["who"] = [f"person {row // 4}" for row in range(400)]
        frame.to_csv(f"{name}.csv", index=False)
        frame.to_parquet(f"{name}.parquet")
    return frame


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("grouped", [False, True])
def test_a_certificate_of_some_columns_is_verified_with_the_same_tables(
    ending: str, grouped: bool, tables: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [f"a.{ending}", f"b.{ending}"]
    left_out = ["--drop", "id", *(["--groups", "who"] if grouped else ["--drop", "who"])]
    assert main(["estimate", *files, *left_out, *QUICK, "--certificate", "c.cert"]) == 0
    capsys.readouterr()
    assert main(["verify", "c.cert", *files, "--drop", "id", "--drop", "who"]) == 0
    assert "VERIFIED" in capsys.readouterr().out
    for options, words in ((["--drop", "id"], "--drop who"), (["--drop", "nobody"], "nobody")):
        assert main(["verify", "c.cert", *files, *options]) == 2
        said = capsys.readouterr()
        assert (said.out, len(said.err.splitlines())) == ("", 1)
        assert words in said.err
    assert main(["estimate", *files, *QUICK]) == 2
    assert "--drop who" in capsys.readouterr().err
    with pytest.raises(SampleError, match=re.escape("drop=['who']")):
        estimate_w1(*files)


def test_columns_of_npy_files_have_no_names_to_drop(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", "x.npy", "y.npy", *QUICK, "--certificate", "c.cert"]) == 0
    assert main(["verify", "c.cert", "x.npy", "y.npy", "--drop", "id"]) == 2
    assert "has no names of columns to choose by" in capsys.readouterr().err


def test_fresh_tables_must_have_the_same_columns(tables: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    left_out = ["--drop", "id", "--drop", "who"]
    assert main(["estimate", "a.csv", "b.csv", *left_out, *QUICK, "--certificate", "c.cert"]) == 0
    fresh = tables.assign(first=tables["first"] + 0.5)
    fresh.to_csv("same.csv", index=False)
    fresh[fresh.columns[::-1]].to_csv("reversed.csv", index=False)
    fresh.rename(columns={"second": "third"}).to_csv("renamed.csv", index=False)
    tables.assign(first=tables["first"] - 1).to_csv("fresh.csv", index=False)
    capsys.readouterr()
    assert main(["verify", "--fresh", "c.cert", "fresh.csv", "same.csv", *left_out]) == 0
    assert "VERIFIED" in capsys.readouterr().out
    for other, words in (("reversed.csv", "in another order"), ("renamed.csv", "different columns")):
        assert main(["verify", "--fresh", "c.cert", "fresh.csv", other, *left_out]) == 2
        said = capsys.readouterr()
        assert (said.out, words in said.err) == ("", True)


def test_the_verifier_alone_takes_the_options_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--help"]) == 0
    full = capsys.readouterr().out
    with pytest.raises(SystemExit, match="0"):
        verifier(["--help"])
    alone = capsys.readouterr().out
    assert "usage: python -m wdist.verify" in alone
    options = [set(re.findall(r"--[a-z0-9-]+", text)) - {"--help"} for text in (full, alone)]
    reading = {f"--{name.replace('_', '-')}" for name in Reading.model_fields} | {"--no-header"}
    assert options[0] == options[1] | reading, "an .npy file is read in one way"
