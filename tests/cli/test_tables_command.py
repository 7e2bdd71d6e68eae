"""`wdist` reads tables as the library does: how is said by flags, and one table may hold the sets of a matrix."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from wdist import compare_w1, estimate_w1, matrix_w1
from wdist.cli.main import main
from wdist.data.sources.rows import refuse_absent
from wdist.definitions.reading import Reading
from wdist.errors import SampleError

QUICK = ["--critic", "affine", "--steps", "5", "--baseline-rows", "0"]
GIVEN: dict[str, Any] = {"critic": "affine", "steps": 5, "baseline_rows": 0}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """t.csv and t.parquet: 900 rows of three cuts; june.csv and july.csv: text, holes and decimal commas."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    place = generator.integers(0, 3, 900)
    table = pd.DataFrame(generator.normal(size=(900, 2)) + place[:, None], columns=["x", "y"])
    table["cut"] = np.asarray(["Fair", "Good", "Ideal"])[place]
    table["who"] = [f"person {k // 3}" for k in range(900)]
    table.to_csv("t.csv", index=False)
    table.to_parquet("t.parquet", index=False)
    dated = table.assign(day="2026-01-31", note=[f"note {k}" for k in range(900)])
    dated[["day", "cut", "who", "note", "x"]].to_csv("dated.csv", index=False)
    pd.DataFrame({"note": [f"note {k}" for k in range(1200)], "x": np.arange(1200.0)}).to_csv("long.csv", index=False)
    for month, shift in (("june", 0.0), ("july", 1.0)):
        rows = pd.DataFrame({"net price": generator.normal(shift, 1, 300), "id": np.arange(300)})
        rows["colour"] = generator.choice(["red", "blue"], 300)
        rows.loc[7, "net price"] = np.nan
        rows.to_csv(f"{month}.csv", index=False, sep=";", decimal=",")
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main([*arguments, *QUICK, "--json"]) == 0, capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main([*arguments, *QUICK]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    return said.err


def test_flags_say_how_files_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    flags = shlex.split("--drop id --categories colour --missing drop --decimal , --separator ';' --scale standardize")
    found = printed(capsys, "estimate", "june.csv", "july.csv", *flags)
    expected = estimate_w1(
        "june.csv", "july.csv", drop="id", categories=["colour"], missing="drop", decimal=",", separator=";",
        scale="standardize", **GIVEN,
    )  # fmt: skip
    assert found["value"] == expected.value
    assert any("1 of 300 rows have missing values" in warning for warning in found["warnings"])
    matrix = printed(capsys, "matrix", "june.csv", "july.csv", *flags)
    assert matrix["rows"] == ["june.csv", "july.csv"]
    assert main(["plan", "june.csv", "july.csv", "--margin", "0.05", *flags, *QUICK[:4], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pilot"]["value"] == expected.value


def test_what_a_refusal_advises_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    """Each refusal names flags; with them the next step is reached, until the files are compared."""
    flags: list[str] = []
    for _ in range(6):
        if main(["estimate", "june.csv", "july.csv", *flags, *QUICK]) == 0:
            break
        said = capsys.readouterr().err
        advised = re.search(r"--(categories|missing|decimal|separator) (?:'[^']*'|\S+)", said)
        assert advised, said
        flags += shlex.split(advised[0].rstrip(":,"))
    assert "colour" in flags
    assert "missing" in " ".join(flags)


def test_one_refusal_tells_all_and_one_command_settles_it(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "estimate", "june.csv", "july.csv", "--separator", ";")
    assert "1 of 300 rows has missing values, in 'net price'" in said
    flags = shlex.split(said.split("All at once: ")[1])
    assert flags == ["--categories", "colour", "--missing", "level"]
    printed(capsys, "estimate", "june.csv", "july.csv", "--separator", ";", *flags)


def test_a_column_that_only_one_file_has_is_left_out_as_advised(capsys: pytest.CaptureFixture[str]) -> None:
    generator = np.random.default_rng(1)
    for name, day in (("old", None), ("new", "2026-01-31")):
        rows = pd.DataFrame(generator.normal(size=(200, 2)), columns=["a b", "c"])
        (rows if day is None else rows.assign(day=day)).to_csv(f"{name}.csv", index=False)
    assert "--drop day" in refused(capsys, "estimate", "old.csv", "new.csv")
    said = refused(capsys, "estimate", "old.csv", "new.csv", "--drop", "day")
    found = re.search(r"with (--columns .*) instead$", said.strip())
    assert found is not None, said
    printed(capsys, "estimate", "old.csv", "new.csv", *shlex.split(found[1]))


@pytest.mark.parametrize("command", ["estimate", "matrix", "compare", "plan", "verify"])
def test_the_flags_of_reading_stand_in_a_section_of_their_own(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    before, _, section = capsys.readouterr().out.partition("Reading files")
    for name in Reading.model_fields:
        flag = re.compile(rf"--{name.replace('_', '-')}\b")
        assert flag.search(section)
        assert not flag.search(before)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_the_levels_of_a_column_are_a_matrix(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, "matrix", name, "--by", "cut", "--drop", "who")
    expected = matrix_w1(name, by="cut", drop=["who"], **GIVEN)
    assert found["rows"] == ["Fair", "Good", "Ideal"]
    assert found["value"] == expected.to_dict()["value"]
    one = printed(capsys, "matrix", name, "--by", "cut", "--drop", "who", "--reference", "Ideal")
    assert (one["rows"], one["columns"]) == (["Ideal"], ["Fair", "Good"])
    first = printed(capsys, "matrix", "--reference", "--by=cut", name, "--drop", "who")
    assert (first["rows"], first["columns"]) == (["Fair"], ["Good", "Ideal"])
    two = printed(capsys, "matrix", name, "--by", "cut", "--groups", "who", "--levels", "Ideal", "--levels", "Fair")
    assert two["rows"] == ["Ideal", "Fair"]


def test_levels_are_compared_with_one_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, "compare", "t.csv", "--by", "cut", "--reference", "Ideal", "--drop", "who")
    expected = compare_w1("t.csv", by="cut", reference="Ideal", drop=["who"], **GIVEN)
    assert found == expected.to_dict()
    assert main(["compare", "t.csv", "--by", "cut", "--reference", "Ideal", "--drop", "who", *QUICK]) == 0
    assert capsys.readouterr().out.startswith("`Good` is closer to `Ideal` than `Fair`")


@pytest.mark.parametrize("before", [True, False])
def test_a_reference_before_the_files_is_the_first_of_them(before: bool, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "abc":
        np.save(f"{name}.npy", np.random.default_rng(ord(name)).normal(size=(200, 2)))
    files = ["a.npy", "b.npy", "c.npy"]
    found = printed(capsys, "matrix", *(["--reference", *files] if before else [*files, "--reference"]))
    assert (found["rows"], found["columns"]) == (["a.npy"], ["b.npy", "c.npy"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["matrix", "t.csv", "t.parquet", "--by", "cut"], "--by takes one table, not 2 files"),
        (["matrix", "t.csv", "--by", "cut", "--drop", "who", "--levels", "Iedal"], "did you mean 'Ideal'?"),
        (["matrix", "t.csv", "t.csv", "--levels", "Fair"], "name it as by"),
        (["matrix", "t.csv", "t.csv", "--reference=Fair"], "with by a level"),
        (["matrix", "t.csv", "--by", "size"], "no column is named 'size'; there are x, y, cut, who\n"),
        (["compare", "t.csv", "--by", "cut"], "--reference LEVEL"),
        (["matrix", "dated.csv"], "; or compare the levels of one of these columns, such as 'cut', with --by cut\n"),
        (["compare", "dated.csv"], "; or compare the levels of one of these columns, such as 'cut', with --by cut\n"),
        (["matrix", "long.csv", "--by", "note"], "as identifiers and free text have: it is no category. Compare the"),
        (["matrix", "t.csv"], "--categories cut --categories who; or compare the levels of 'cut' with --by cut\n"),
        (["compare", "t.csv", "--drop", "who"], "; or compare the levels of 'cut' with --by cut\n"),
        (["matrix", "t.parquet"], "; or compare the levels of 'cut' with --by cut\n"),
        (["estimate", "t.csv", "t.csv", "--missing", "droop"], "--missing"),
        (["estimate", "t.csv", "t.csv", "--decimals", ","], "did you mean --decimal?"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in refused(capsys, *arguments)


@pytest.mark.parametrize(
    "command",
    [
        ["estimate", "june.csv"], ["matrix", "june.csv", "july.csv"], ["compare", "june.csv", "june.csv"],
        ["plan", "--margin", "0.1", "june.csv"], ["encode", "june.csv", "-o", "out"], ["monitor", "create", "watched"],
    ],
    ids=lambda command: command[0],
)  # fmt: skip
def test_a_missing_file_is_told_before_the_columns_of_another(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "jully.csv"]) == 2
    said = capsys.readouterr().err
    assert said == "wdist: jully.csv: No such file or directory; did you mean july.csv?\n"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["estimate", "--drop", "cutt"], "; did you mean 'cut'?"),
        (["estimate", "--drop", "Who"], "; did you mean 'who'?"),
        (["estimate", "--categories", "cuts"], "; did you mean 'cut'?"),
        (["estimate", "--dates", "cuts"], "; did you mean 'cut'?"),
        (["estimate", "--columns", "cuts"], "; did you mean 'cut'?"),
        (["estimate", "--groups", "whom"], "; did you mean 'who'?"),
        (["matrix", "--by", "cuts"], "; did you mean 'cut'?"),
        (["estimate", "--drop", "who,cut"], ". To leave out each of them, give --drop who --drop cut"),
        (["estimate", "--categories", "who, cut"], ". To take as categories each of them, give --categories who "),
        (["estimate", "--columns", "x,y"], ". To take each of them, give --columns x --columns y"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else None,
)
def test_a_column_that_is_not_there_is_told_with_one_of_a_near_name(
    command: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["t.csv"] if command[0] == "matrix" else ["t.csv", "t.parquet"]
    said = refused(capsys, command[0], *files, *command[1:])
    assert f"; there are x, y, cut, who{words}" in said
    assert "another file" not in said


@pytest.mark.parametrize(
    ("missing", "near"),
    [("May.csv", "may.csv"), ("may.parquet", "may.csv"), ("mai/may.csv", ""), ("w.csv", ""), ("mayy.npz:x", "may.csv")],
)
def test_a_name_is_near_by_what_stands_before_its_ending(missing: str, near: str, tmp_path: Path) -> None:
    for name in ("may.csv", "x.csv"):
        (tmp_path / name).write_text("a\n1\n")
    with pytest.raises(SampleError) as refused:
        refuse_absent([str(tmp_path / missing)], ["x"])
    assert str(refused.value).endswith(f"directory; did you mean {tmp_path / near}?" if near else "directory")


def test_levels_that_are_too_small_are_left_out_as_advised(capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.read_csv("t.csv")
    table.loc[:40, "cut"] = "Very Good"
    table.to_csv("t.csv", index=False)
    given = ["matrix", "t.csv", "--by", "cut", "--drop", "who"]
    said = refused(capsys, *given)
    advised = re.search(r"(--levels .*) leaves them out", said)
    assert advised, said
    assert printed(capsys, *given, *shlex.split(advised[1]))["rows"] == ["Fair", "Good", "Ideal"]


def test_a_verified_sentence_names_the_columns_of_its_units(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--categories", "colour", "--drop", "id", "--missing", "level", "--scale", "standardize"]
    printed(capsys, "estimate", "june.csv", "july.csv", *flags, "--certificate", "c.cert")
    assert main(["verify", "c.cert", "june.csv", "july.csv"]) == 0
    assert re.search(r'select rows: [\d.]+ for "net price"; two levels', capsys.readouterr().out)


def test_flags_change_single_parts_of_a_certificates_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--categories", "colour", "--drop", "id", "--missing", "drop"]
    printed(capsys, "estimate", "june.csv", "july.csv", *flags, "--certificate", "c.cert")
    for name in ("june", "july"):
        pd.read_csv(f"{name}.csv", sep=";", decimal=",").to_csv(f"{name}.txt", index=False, sep="|")
    for ending, more in ((".csv", []), (".txt", ["--separator", "|"])):
        given = ["--certificate", "c.cert", "-o", f"encoded{ending}", *more]
        assert main(["encode", f"june{ending}", f"july{ending}", *given]) == 0, capsys.readouterr().err
    for name in ("june.npy", "july.npy"):
        assert Path("encoded.csv", name).read_bytes() == Path("encoded.txt", name).read_bytes()


def test_a_file_that_is_no_certificate_is_refused_before_tables_are_read_without_its_recipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text("cut\n" + "p\nq\n" * 50)
    (tmp_path / "c.wdist").write_bytes(b"no certificate")
    table = str(tmp_path / "a.csv")
    assert main(["verify", str(tmp_path / "c.wdist"), table, table]) == 1
    printed = capsys.readouterr().out
    assert "FAIL  container" in printed
    assert "--categories" not in printed
