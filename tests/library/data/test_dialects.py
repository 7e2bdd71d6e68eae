"""Tables written at random in many dialects are read as they were meant, or refused; never as something else."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from wdist import SampleError
from wdist.data.samples import open_samples
from wdist.data.sources.files import open_file
from wdist.definitions.reading import Selection

SEPARATORS = {",": ",", ";": ";", "\t": "\t", "|": "|", " ": " "}
LINE_ENDS = ("\n", "\r\n", "\r")


def written(value: float, style: str, decimal: str, thousands: str) -> str:
    text = {"float": repr(value), "short": f"{value:.3f}", "whole": str(round(value)), "exponent": f"{value:.3e}"}[
        style
    ]
    whole, point, fraction = text.partition(".")
    if thousands and "e" not in text:
        whole = f"{int(whole):,}".replace(",", thousands) if whole not in ("-0", "0") else whole
    return whole + (decimal if point else "") + fraction


def written_row(row: list[float]) -> list[str]:
    return [str(int(value)) if value == int(value) else repr(value) for value in row]


def a_table(seed: int, folder: Path) -> tuple[Path, list[str] | None, np.ndarray]:
    """A file, the names that it gives to its columns, and its values."""
    draw = random.Random(seed)
    rows, width = draw.choice([1, 2, 3, 30, 300]), draw.choice([1, 2, 3, 8])
    separator, decimal = draw.choice(list(SEPARATORS)), draw.choice([".", ".", ","])
    thousands = draw.choice(["", "", "", "." if decimal == "," else ","])
    scale = draw.choice([1, 100, 10_000, 1e7])
    if width == 1:  # 1,5 and 1.234 alone are taken for two cells and for 1 + 234/1000
        decimal, thousands = ".", ""
    styles = [draw.choice(["float", "short", "whole", "exponent"]) for _ in range(width)]
    names = draw.choice([None, None, [f"c{k}" for k in range(width)], [str(k) for k in range(width)],
                         [str(2015 + k) for k in range(width)], [f"{k} m" for k in range(width)]])  # fmt: skip
    values = [[draw.gauss(0, 1) * scale for _ in range(width)] for _ in range(rows)]
    if draw.random() < 0.2:
        values.sort()
    cells = [[written(v, style, decimal, thousands) for v, style in zip(row, styles, strict=True)] for row in values]
    true = [[float(c.replace(thousands or "\0", "").replace(decimal, ".")) for c in row] for row in cells]
    lines = cells if names is None else [names, *cells]
    quoted = [[f'"{c}"' if separator in c else c for c in line] for line in lines]
    end = draw.choice(LINE_ENDS)
    path = folder / f"{seed}.csv"
    path.write_bytes(end.join(separator.join(line) for line in quoted).encode() + end.encode())
    return path, names, np.array(true)


@pytest.mark.parametrize("first", range(0, 2_000, 250))
def test_a_table_in_a_random_dialect_is_read_as_it_was_meant_or_refused(first: int, tmp_path: Path) -> None:
    read = 0
    for seed in range(first, first + 250):
        path, names, values = a_table(seed, tmp_path)
        try:
            rows = open_file(path, "source", Selection())
        except SampleError:
            continue
        if names is not None and any(row == names for row in map(written_row, values.tolist())):
            continue  # the first line is a row like another
        read += 1
        assert rows.columns == names, (seed, path.read_text()[:200])
        np.testing.assert_array_equal(rows.array, values, err_msg=f"{seed}: {path.read_text()[:200]!r}")
    assert read > 100  # some of these dialects are ambiguous, most are not


@pytest.mark.parametrize("names", [None, ["a", "b", "c"]])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("style", ["float", "exponent", "whole"])
def test_a_table_in_a_common_dialect_is_read(
    names: list[str] | None, separator: str, style: str, tmp_path: Path
) -> None:
    for seed in range(40):
        values = np.random.default_rng(seed).normal(size=(50, 3)) * 1000
        lines = [[written(v, style, ".", "") for v in row] for row in values.tolist()]
        path = tmp_path / f"{seed}.csv"
        path.write_text("\n".join(separator.join(line) for line in [*([names] if names else []), *lines]) + "\n")
        rows = open_file(path, "source", Selection())
        assert rows.columns == names
        np.testing.assert_array_equal(rows.array, np.array(lines, dtype=float))


def test_sorted_whole_numbers_are_rows(tmp_path: Path) -> None:
    """The first row is below all others in each column, as names that are numbers may be."""
    path = tmp_path / "sorted.csv"
    path.write_text("".join(f"{k * k},{k}\n" for k in range(3, 200)))
    assert len(open_file(path, "source", Selection()).array) == 197


@pytest.mark.parametrize("encoding", ["undefined", "a\x00b", "zip", "no such"])
def test_encodings_that_decode_nothing_are_refused(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("v\n1\n2\n")
    with pytest.raises(SampleError, match="encoding"):
        open_samples(tmp_path / "a.csv", encoding=encoding)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8"])
@pytest.mark.parametrize("asked", ["cp1252", "latin-1", "mac_roman"])
def test_a_file_of_utf_8_is_read_so_whatever_encoding_was_asked_of_all_files(
    encoding: str, asked: str, tmp_path: Path
) -> None:
    rows = "".join(f"{k},Köln\n{k % 7},Zürich\n" for k in range(200))
    for name, written in (("january", asked), ("february", encoding)):
        (tmp_path / f"{name}.csv").write_text(f"Umsätze,n\n{rows}", encoding=written)
        file = open_samples(tmp_path / f"{name}.csv", take=Selection(encoding=asked, categories=["n"]))
        assert file.names == ["Umsätze", "n"]
        assert file.table is not None
        assert set(file.table.columns[1].levels) == {"Köln", "Zürich"}
        said = [f"it is UTF-8 and was read so, not as {asked}"] if written == "utf-8" else []
        assert file.notes == said


def test_letters_that_latin_1_lacks_are_no_codes_of_terminals(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,Umsatz (€)\n" + "1,2\n" * 50, encoding="cp1252")
    with pytest.raises(SampleError, match=r"line 1 has characters that no text has in latin-1.*encoding='cp1252'"):
        open_samples(tmp_path / "a.csv", take=Selection(encoding="latin-1"))


@pytest.mark.parametrize("given", [",", "\t"])
def test_a_separator_that_the_file_does_not_have_is_told(given: str, tmp_path: Path) -> None:
    for name, rows in (("plain", "1;2\n" * 50), ("commas", "1,5;2,5\n" * 50)):
        (tmp_path / f"{name}.csv").write_text(f"a;b\n{rows}")
        with pytest.raises(SampleError, match="does not separate its cells, ';' gives each line 2: say separator=';'"):
            open_samples(tmp_path / f"{name}.csv", take=Selection(separator=given))
    texts = open_samples(tmp_path / "commas.csv", take=Selection(separator="\t", categories=["a;b"]))
    assert texts.names == ["a;b"]
