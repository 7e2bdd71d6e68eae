"""`wdist encode` writes what the verifier in numpy proves, and `wdist verify` reads tables as the certificate says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from wdist.cli.main import main

READING = ["--categories", "cut", "--missing", "level"]


def table(path: Path, n: int, shift: float, levels: list[str]) -> str:
    generator = np.random.default_rng(n)
    carat = np.where(generator.random(n) < 0.1, np.nan, generator.normal(shift, 1, n))
    pd.DataFrame({"carat": carat, "cut": generator.choice(levels, n)}).to_csv(path, index=False)
    return str(path)


@pytest.fixture
def certified(tmp_path: Path) -> tuple[str, str, str]:
    a, b = table(tmp_path / "a.csv", 150, 0, ["x", "y"]), table(tmp_path / "b.csv", 160, 2, ["y", "z"])
    quick = ["--steps", "20", "--baseline-rows", "0", "--scale", "robust", "--certificate", str(tmp_path / "c.cert")]
    assert main(["estimate", a, b, *READING, *quick]) == 0
    return str(tmp_path / "c.cert"), a, b


def verified(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    status = main(["verify", *arguments])
    return status, capsys.readouterr().out


def test_verify_reads_tables_by_the_recipe(
    certified: tuple[str, str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    certificate, a, b = certified
    status, said = verified([certificate, a, b], capsys)
    assert status == 0, said
    assert "2 of 2 are the issuer's files" in said
    Path(a).write_text(Path(a).read_text() + "\n")  # the same rows, another file
    status, said = verified([certificate, a, b], capsys)
    assert status == 1
    assert "the first file is not the certified one: it was changed since" in said
    assert "the second is the certified one; the SHA-256 of the first is " in said
    fresh = table(tmp_path / "new.csv", 200, 0, ["x", "never met"]), table(tmp_path / "later.csv", 210, 2, ["z", "q"])
    status, said = verified(["--fresh", certificate, *fresh, "--json"], capsys)
    assert status == 0
    assert json.loads(said)["statement"]["lower_bound"] > 0.3


def test_the_verifier_in_numpy_proves_what_encode_writes(certified: tuple[str, str, str], tmp_path: Path) -> None:
    certificate, a, b = certified
    for given in (["--certificate", certificate], READING):
        assert main(["encode", a, b, *given, "-o", str(tmp_path / "rows")]) == 0
        rows = [str(tmp_path / "rows" / name) for name in ("a.npy", "b.npy")]
        command = [sys.executable, "-m", "wdist.verify", certificate, *rows, "--json"]
        report = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
        assert report["valid"]
        assert any("the recipe" in point for point in report["not_checked"])
        assert json.loads((tmp_path / "rows" / "recipe.json").read_text())["encoding"]["missing"]
    assert np.isnan(np.load(rows[0])).any()


def test_files_that_are_nearly_the_certified_ones_are_told(
    certified: tuple[str, str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    certificate, a, b = certified
    changed = tmp_path / "changed.csv"
    changed.write_text(Path(b).read_text().replace("z", "y", 1))
    others = [table(tmp_path / f"{name}.csv", 170 + k, k, ["x", "y"]) for k, name in enumerate("cd")]
    for given, words in (
        ((b, a), "the two files are exchanged: the first file is the second set of this certificate"),
        ((a, a), "the same file was given twice, the first set of this certificate: give that of the second"),
        ((b, b), "the same file was given twice, the second set of this certificate: give that of the first"),
        ((others[0], others[0]), "the same file was given twice, and is neither set of this certificate"),
        ((b, others[0]), "the first file is the second set of this certificate, and the second file is neither"),
        ((others[0], a), "the second file is the first set of this certificate, and the first file is neither"),
        ((a, str(changed)), "the second file is not the certified one: it was changed since"),
        ((others[0], b), "the first file is not the certified one: it was changed since"),
        (tuple(others), "neither file is a certified one: this certificate is about others"),
    ):
        status, said = verified([certificate, *given], capsys)
        assert status == 1
        assert words in said
    for wrong in ((a, b, certificate), (a, certificate, b)):
        assert main(["verify", *wrong]) == 2
        assert f"{a} is no certificate, and {certificate} is one: give it first" in capsys.readouterr().err
    status, said = verified([certificate, a, b, "--missing", "drop"], capsys)
    assert status == 1
    assert "the files are the certified ones, but were read with other options: leave these out" in said


def test_files_that_cannot_be_read_as_certified_are_told(
    certified: tuple[str, str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    certificate, a, b = certified
    other = tmp_path / "other.csv"
    other.write_text("size,name\n1,x\n2,y\n")
    for given, words in (
        ((a, str(other)), "the second file is not the certified one: it was changed since"),
        ((str(other), str(other)), "the same file was given twice, and is neither set of this certificate"),
        ((a, b, "--drop", "carat"), "the files are the certified ones, but not read as the certificate says"),
    ):
        assert main(["verify", certificate, *given]) == 2
        said = capsys.readouterr().err
        assert words in said
        assert len(said.splitlines()) == 1
