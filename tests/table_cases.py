"""Files as people bring them, and what each must become: rows and names, a note, or a refusal whose advice works.

The same cases are for every surface: the library, the command line, the server and the client.
"""

from __future__ import annotations

import datetime
import gzip
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pa_parquet

Build = Callable[[Path], Path]
Cell = float | str | bool | None


@dataclass(frozen=True)
class Case:
    """A file, how it is read, and the right outcome.

    build: writes the file or files into a folder, and returns the path to open. reading: fields of `Reading`, and
    `labels`. rows: as the file means them: levels of categories as text, None where a value is missing. note: words of
    a note, which every case without one must not have. error: words of the refusal. advice: the options that the
    refusal names, each of which alone must work, unless `together`.
    """

    name: str
    build: Build
    reading: dict[str, Any] = field(default_factory=dict)
    rows: Sequence[Sequence[Cell]] | None = None
    columns: list[str] | None = None
    note: str | None = None
    error: str | None = None
    advice: Sequence[tuple[str, str]] = ()
    together: bool = False


def text(content: str | bytes, name: str = "table.csv") -> Build:
    def build(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return build


def parquet(
    table: pa.Table | pd.DataFrame | Callable[[], pa.Table | pd.DataFrame], name: str = "table.parquet"
) -> Build:
    def build(folder: Path) -> Path:
        path, given = folder / name, table() if callable(table) else table
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(given, pd.DataFrame):
            given.to_parquet(path)
        else:
            pa_parquet.write_table(given, path)
        return path

    return build


def folder_of(parts: dict[str, pa.Table], *others: str) -> Build:
    def build(folder: Path) -> Path:
        for name, table in parts.items():
            parquet(table, f"spark/{name}")(folder)
        for name in others:
            (folder / "spark" / name).write_bytes(b"")
        return folder / "spark"

    return build


def excel(rows: Sequence[Sequence[Any]], change: Callable[[Any, Any], Any] = lambda book, sheet: None) -> Build:
    def build(folder: Path) -> Path:
        from openpyxl import Workbook

        book = Workbook()
        for row in rows:
            book.active.append(row)
        change(book, book.active)
        book.save(folder / "table.xlsx")
        return folder / "table.xlsx"

    return build


def patched(build: Build, old: bytes, new: bytes) -> Build:
    """A file in a zip archive, with these bytes of its members replaced."""

    def patch(folder: Path) -> Path:
        path = build(folder)
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content.replace(old, new))
        return path

    return patch


def array(values: Any, name: str = "table.npy") -> Build:
    def build(folder: Path) -> Path:
        np.save(folder / name, np.array(values))
        return folder / name

    return build


def json_rows(body: Any) -> Build:
    return text(json.dumps(body), "table.json")


CELLS = np.array([[1, 0, 2], [0, 0, 3], [4, 5, 0]], dtype=np.float32)


def h5ad(layout: str = "dense", change: Callable[[Any], Any] = lambda file: None) -> Build:
    """Three cells of three genes g1, g2, g3, of the types T, B, T, with an embedding X_pca."""

    def build(folder: Path) -> Path:
        import h5py
        from scipy import sparse

        with h5py.File(folder / "table.h5ad", "w") as file:
            if layout == "dense":
                file["X"] = CELLS
            else:
                matrix, group = getattr(sparse, layout)(CELLS), file.create_group("X")
                group.attrs.update({"encoding-type": layout, "shape": matrix.shape})
                for part in ("data", "indices", "indptr"):
                    group[part] = getattr(matrix, part)
            var, obs = file.create_group("var"), file.create_group("obs")
            var.attrs["_index"], obs.attrs["_index"] = "_index", "_index"
            var["_index"] = np.array(["g1", "g2", "g3"], dtype=object)
            obs["_index"] = np.array(["a", "b", "c"], dtype=object)
            obs.attrs["column-order"] = ["type", "depth"]
            kinds = obs.create_group("type")
            kinds["codes"], kinds["categories"] = np.array([0, 1, 0], np.int8), np.array(["T", "B"], dtype=object)
            obs["depth"] = np.array([10, 20, 30])
            file.create_group("obsm")["X_pca"] = np.arange(6.0).reshape(3, 2)
            change(file)
        return folder / "table.h5ad"

    return build


def _linked(file: Any) -> None:
    import h5py

    del file["X"]
    file["X"] = h5py.ExternalLink("/etc/other.h5", "X")


def _outside(file: Any) -> None:
    del file["X"]
    file.create_dataset("X", (1, 3), dtype="u1", external=[("/etc/hostname", 0, 3)])


AB, ONE_TWO = ["a", "b"], [[1.0, 2.0], [3.0, 4.0]]
LOST = {"error": "has a missing value", "advice": [("missing", "drop"), ("missing", "level")]}
DAY = datetime.datetime(2026, 1, 31, 12)
MIXED = pa.table({"x": [1.5, 2.5], "cut": ["Ideal", "Fair"]})
COUNTED = "\n".join(["id,v", *(f"{k},{k * k % 7}" for k in range(12))])
COMMA_FAR_DOWN = "a;b\n" + "0.5;2\n" * 123_457 + "1;2,5\n" + "0.5;2\n" * 300_000
ROW_NUMBERS_THAT_STOP = ",v\n" + "".join(f"{k},{k % 7}\n" for k in range(500_000)) + "7,7\n"

SEPARATORS = [
    Case("commas", text("a,b\n1,2\n3,4\n"), rows=ONE_TWO, columns=AB),
    Case("semicolons", text("a;b\n1;2\n3;4\n"), rows=ONE_TWO, columns=AB),
    Case("tabs", text("a\tb\n1\t2\n3\t4\n", "table.tsv"), rows=ONE_TWO, columns=AB),
    Case("bars", text("a|b\n1|2\n3|4\n"), rows=ONE_TWO, columns=AB),
    Case("spaces", text("a b\n1 2\n3 4\n"), rows=ONE_TWO, columns=AB),
    Case("a .txt file", text("a b\n1 2\n3 4\n", "table.txt"), rows=ONE_TWO, columns=AB),
    Case("runs of spaces", text(" 1.5   2\n 3   4.5\n"), error="runs of spaces"),
    Case("a line that says which", text("sep=;\na;b\n1;2\n3;4\n"), rows=ONE_TWO, columns=AB),
    Case(
        "commas inside text",
        text("a;n\n1;x,y\n2;z,w\n"),
        {"categories": ["n"]},
        [[1.0, "x,y"], [2.0, "z,w"]],
        ["a", "n"],
    ),
    Case(
        "two characters that could separate",
        text("1;x,y\n2;z,w\n"),
        error="more than one character could separate",
    ),
    Case("one that is given", text("a~b\n1~2\n3~4\n"), {"separator": "~"}, ONE_TWO, AB),
    Case("one column", text("a\n1\n3\n"), rows=[[1.0], [3.0]], columns=["a"]),
    Case(
        "a separator at the end of each line",
        text("a,b,\n1,2,\n3,4,\n"),
        rows=ONE_TWO,
        columns=AB,
        note="empty last column",
    ),
    Case("a separator at the end of all lines but one", text("a,b\n1,2,\n3,4,\n"), error="but the first does not"),
    Case("names of rows without a name", text("a,b\nx,1,2\ny,3,4\n"), error="names of rows"),
    Case("names of rows without a name, by spaces", text('"a" "b"\n"1" 1 2\n"2" 3 4\n'), error="names of rows"),
    Case("a short line", text("a,b\n1,2\n3\n"), error="line 3 has 1 cells"),
    Case("a long line", text("a,b\n1,2\n\n3,4,5\n"), error="line 4 has 3 cells"),
]
NUMBERS = [
    Case("decimal commas", text("a;b\n1,5;2,5\n3,25;4,0\n"), rows=[[1.5, 2.5], [3.25, 4.0]], columns=AB),
    Case("decimal commas without names", text("1,5;2,5\n3,25;4,5\n"), rows=[[1.5, 2.5], [3.25, 4.5]]),
    Case("decimal commas in one column", text("a\n1,5\n2,25\n"), rows=[[1.5], [2.25]], columns=["a"]),
    Case(
        "a comma that may group",
        text("a;b\n1,234;2\n5,678;3\n"),
        error="column 'a' holds '1,234'",
        advice=[("decimal", ","), ("thousands", ",")],
    ),
    Case("a comma that is said to group", text("a;b\n1,234;2\n"), {"thousands": ","}, [[1234.0, 2.0]], AB),
    Case("a comma that is said to be decimal", text("a;b\n1,234;2\n"), {"decimal": ","}, [[1.234, 2.0]], AB),
    Case(
        "commas that group",
        text('a,b\n"1,234.5",2\n"2,000.25",3\n'),
        error="digits in groups",
        advice=[("thousands", ",")],
    ),
    Case("commas said to group", text('a,b\n"1,234.5",2\n'), {"thousands": ","}, [[1234.5, 2.0]], AB),
    Case(
        "points that group",
        text("a;b\n1.234,5;2\n2.000,25;3\n"),
        error="digits in groups",
        advice=[("thousands", "."), ("decimal", ",")],
        together=True,
    ),
    Case("points said to group", text("a;b\n1.234,5;2\n"), {"thousands": "."}, [[1234.5, 2.0]], AB),
    Case("wrong groups", text("a;b\n12.34,5;2\n"), {"thousands": "."}, error="'12.34,5', which is not a number"),
    Case(
        "points that may group",
        text("a;b\n1.234;2\n5.678;3\n"),
        error="so do all numbers with a point",
        advice=[("decimal", "."), ("thousands", ".")],
    ),
    Case("points among commas", text("a;b\n1.5;2\n3,5;4\n"), error="one decimal mark"),
    Case("points that do not group", text("a;b\n1.234;2\n0.5;3\n"), rows=[[1.234, 2.0], [0.5, 3.0]], columns=AB),
    Case("three digits after a point", text("a,b\n1.234,2\n5.678,3\n"), rows=[[1.234, 2.0], [5.678, 3.0]], columns=AB),
    Case("apostrophes that group", text("a,b\n1'234.5,2\n"), error="digits in groups", advice=[("thousands", "'")]),
    Case("a decimal comma far down", text(COMMA_FAR_DOWN), error="2,5"),
    Case(
        "signs, exponents and spaces", text("a,b\n +1e3 ,-.5\n2., 7 \n"), rows=[[1000.0, -0.5], [2.0, 7.0]], columns=AB
    ),
    Case("infinity", text("a,b\n1,inf\n2,3\n"), error="column 'b', line 2 holds inf"),
    Case(
        "a sign alone among digits in groups",
        text('a;b\n-;1\n"1,234.5";2\n'),
        {"thousands": ","},
        error="holds '-', which",
    ),
    Case("a sign for a missing number", text("a,b\n1,-\n2,3\n"), error="if it stands for a missing value"),
    Case(
        "a missing number as pandas reads it",
        text("a,b\n1,n/a\n2,3\n"),
        {"missing": "drop"},
        [[2.0, 3.0]],
        AB,
        note="1 of 2",
    ),
    Case("spaces for a missing number", text("a,b\n1,  \n2,3\n"), error="line 2 holds spaces around a missing value"),
    Case("a percentage", text("a,b\n1,5%\n2,6%\n"), error="'5%', which is not a number"),
]
BOTH = [("header", "true"), ("header", "false")]
HEADERS = [
    Case("no names", text("1,2\n3,4\n"), rows=ONE_TWO),
    Case(
        "counting rows without names",
        text("0,1,2\n3,4,5\n6,7,8\n"),
        rows=[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]],
    ),
    Case("names that are years", text("2019,2020\n10,20\n30,45\n"), error="2019, 2020", advice=BOTH),
    Case("names that are numbers from 0", text("0,1,2\n.5,.25,.125\n.5,.5,1.5\n"), error="fractions", advice=BOTH),
    Case(
        "names that are years beside a text",
        text("c,2019,2020\nDE,1,2\nFR,3,4\n"),
        {"drop": ["c"]},
        error="looks like",
        advice=[("header", "true")],
    ),
    Case("years said to be names", text("2019,2020\n10,20\n"), {"header": True}, [[10.0, 20.0]], ["2019", "2020"]),
    Case("years said to be values", text("2019,2020\n10,20\n"), {"header": False}, [[2019.0, 2020.0], [10.0, 20.0]]),
    Case("the same name twice", text("a,a\n1,2\n"), error="2 columns are named 'a'"),
    Case("spaces around names", text("a , b\n1,2\n3,4\n"), rows=ONE_TWO, columns=AB),
    Case("only names", text("a,b\n"), error="no rows"),
    Case("nothing", text(""), error="empty"),
    Case("blank lines only", text("\n\n"), error="empty"),
    Case("a name that is no column", text("a,b\n1,2\n"), {"drop": ["q"]}, error="no column is named 'q'"),
    Case("columns in an order", text("a,b\n1,2\n3,4\n"), {"columns": ["b", "a"]}, [[2.0, 1.0], [4.0, 3.0]], ["b", "a"]),
    Case("a column left out", text("a,c,b\n1,x,2\n3,y,4\n"), {"drop": ["c"]}, ONE_TWO, AB),
]
LINES = [
    Case("carriage returns and line feeds", text("a,b\r\n1,2\r\n3,4\r\n"), rows=ONE_TWO, columns=AB),
    Case("carriage returns", text("a,b\r1,2\r3,4\r"), rows=ONE_TWO, columns=AB),
    Case("no end of the last line", text("a,b\n1,2\n3,4"), rows=ONE_TWO, columns=AB),
    Case("blank lines", text("\na,b\n\n1,2\n\n\n3,4\n\n"), rows=ONE_TWO, columns=AB),
    Case("a blank line in one column", text("a\n1\n\n3\n"), error="line 3 is blank", advice=[("missing", "drop")]),
    Case("blank lines at the end of one column", text("a\n1\n3\n\n\n"), rows=[[1.0], [3.0]], columns=["a"]),
    Case("quotes", text('"a","b"\n"1","2"\n3,4\n'), rows=ONE_TWO, columns=AB),
    Case(
        "line ends in quotes",
        text('a,n\n1,"x\ny"\n3,"z, ""w"""\n'),
        {"categories": ["n"]},
        [[1.0, "x\ny"], [3.0, 'z, "w"']],
        ["a", "n"],
    ),
    Case(
        "a line that is wrong after one in quotes",
        text('n,a\n"x\ny",2\nz,w\n'),
        {"categories": ["n"]},
        error="line 4 holds 'w'",
    ),
    Case(
        "comments first",
        text("# made by us\n# twice\na,b\n1,2\n3,4\n"),
        rows=ONE_TWO,
        columns=AB,
        note="2 comment lines",
    ),
    Case("comments between", text("a,b\n1,2\n# here\n3,4\n"), rows=ONE_TWO, columns=AB, note="1 comment line between"),
    Case(
        "a first row that begins as a comment does",
        text("n,a\n#x,1\ny,2\n"),
        {"categories": ["n"]},
        [["#x", 1.0], ["y", 2.0]],
        ["n", "a"],
    ),
    Case(
        "the line of a row behind one that begins as a comment does",
        text("n,a\n#x,1\n# two of them\ny,z\n"),
        {"categories": ["n"]},
        error="line 4 holds 'z'",
    ),
    Case(
        "a blank line first in one column", text("a\n\n1\n3\n"), error="line 2 is blank", advice=[("missing", "drop")]
    ),
    Case(
        "a quote that is not closed",
        text('n,a\nx,1\n"y,2\nz,3\n'),
        {"categories": ["n"]},
        error="line 3 has quotes that do not enclose a whole cell",
    ),
    Case(
        "two quotes that do not belong together",
        text('n,a\n"x,1\ny,2\n5" z,3\n'),
        {"categories": ["n"]},
        error="line 2 has quotes that do not enclose a whole cell",
    ),
    Case(
        "quotes with backslashes",
        text('n,a\n"x \\"y\\"",1\nz,3\n'),
        {"categories": ["n"]},
        error="line 2 has quotes that do not enclose a whole cell",
    ),
    Case(
        "quotes as signs of inches",
        text('n,a\n5" pipe,1\n6" pipe,3\n'),
        {"categories": ["n"]},
        [['5" pipe', 1.0], ['6" pipe', 3.0]],
        ["n", "a"],
    ),
    Case("names in a comment", text("# a,b\n1,2\n3,4\n"), error="names of the columns", advice=BOTH),
    Case("names said to be in a comment", text("# a,b\n1,2\n3,4\n"), {"header": True}, ONE_TWO, AB),
]
ENCODINGS = [
    Case("a byte order mark", text(b"\xef\xbb\xbfa,b\n1,2\n3,4\n"), rows=ONE_TWO, columns=AB),
    Case("UTF-16", text("a,b\n1,2\n3,4\n".encode("utf-16")), rows=ONE_TWO, columns=AB),
    Case(
        "UTF-16 without a mark",
        text("a,b\n1,2\n3,4\n".encode("utf-16-le")),
        error="UTF-16",
        advice=[("encoding", "utf-16-le")],
    ),
    Case(
        "Latin-1",
        text("a,é\n1,2\n3,4\n".encode("latin-1")),
        error="line 1 is not UTF-8",
        advice=[("encoding", "cp1252")],
    ),
    Case(
        "Latin-1 far down",
        text(b"a,n\n" + b"1,x\n" * 400_000 + b"1,\xe9\n"),
        {"categories": ["n"]},
        error="line 400002 is not UTF-8",
        advice=[("encoding", "cp1252")],
    ),
    Case(
        "an encoding that is given",
        text("a,é\n1,2\n3,4\n".encode("cp1252")),
        {"encoding": "cp1252"},
        ONE_TWO,
        ["a", "é"],
    ),
    Case("an encoding that is none", text("a,b\n1,2\n"), {"encoding": "klingon"}, error="'klingon' is unknown"),
    Case("bytes", text(bytes(range(256)) * 9), error="binary"),
    Case("gzip", text(gzip.compress(b"a,b\n1,2\n3,4\n"), "table.csv.gz"), rows=ONE_TWO, columns=AB),
    Case("tabs in gzip", text(gzip.compress(b"a\tb\n1\t2\n3\t4\n"), "table.tsv.gz"), rows=ONE_TWO, columns=AB),
    Case(
        "gzip in parts",
        text(gzip.compress(b"a,b\n1,2\n") + gzip.compress(b"3,4\n"), "t.csv.gz"),
        rows=ONE_TWO,
        columns=AB,
    ),
    Case("gzip twice", text(gzip.compress(gzip.compress(b"a,b\n1,2\n")), "t.csv.gz"), error="compressed twice"),
    Case(
        "an encoding that refuses everything",
        text("a,b\n1,2\n"),
        {"encoding": "undefined"},
        error="not text in undefined",
    ),
    Case("an encoding of other things", text("a,b\n1,2\n"), {"encoding": "punycode"}, error="not text in punycode"),
    Case("two byte order marks", text(b"\xef\xbb\xbf" * 2 + b"a,b\n1,2\n3,4\n"), rows=ONE_TWO, columns=AB),
    Case("half a gzip", text(gzip.compress(b"a,b\n1,2\n3,4\n")[:-9], "table.csv.gz"), error="incomplete or damaged"),
]
KINDS = [
    Case(
        "text",
        text("a,n\n1,x\n2,y\n"),
        error="column 'n', line 2 holds 'x'",
        advice=[("categories", "n"), ("drop", "n")],
    ),
    Case(
        "text with a name in need of quotes",
        text("a,the 'n'\n1,x\n2,y\n"),
        error="holds 'x'",
        advice=[("categories", "the 'n'"), ("drop", "the 'n'")],
    ),
    Case(
        "categories",
        text("a,n\n1,x\n2,y\n3,x\n"),
        {"categories": ["n"]},
        [[1.0, "x"], [2.0, "y"], [3.0, "x"]],
        ["a", "n"],
    ),
    Case("numbers as categories", text("a,n\n1,3\n2,4\n"), {"categories": ["n"]}, [[1.0, "3"], [2.0, "4"]], ["a", "n"]),
    Case(
        "dates",
        text("a,t\n1,2026-01-31\n2,2026-02-01\n"),
        {"dates": ["t"], "time_unit": "days", "time_start": "2026-01-01"},
        [[1.0, 30.0], [2.0, 31.0]],
        ["a", "t"],
    ),
    Case(
        "dates without a unit",
        text("a,t\n1,2026-01-31\n2,2026-02-01\n"),
        {"dates": ["t"]},
        error="in which unit",
        advice=[("time_unit", "days")],
    ),
    Case(
        "dates that are not declared",
        text("a,t\n1,2026-01-31\n2,2026-02-01\n"),
        error="holds '2026-01-31'",
        advice=[("dates", "t"), ("time_unit", "days")],
        together=True,
    ),
    Case(
        "several columns of text",
        text("a,n,m,d\n1,x,u,2026-01-31\n2,y,v,2026-02-01\n"),
        {"drop": ["m"]},
        error="there is text in 'd', too",
    ),
    Case(
        "several columns of text in Parquet",
        parquet(pd.DataFrame({"a": [1.0, 2.0], "n": ["x", "y"], "m": ["u", "v"], "k": ["s", "t"]})),
        {"categories": ["m"]},
        error="there is text in 'k', too",
    ),
    Case(
        "dates that are not ISO",
        text("a,t\n1,31.1.2026\n"),
        {"dates": ["t"], "time_unit": "days"},
        error="'31.1.2026', which is no date",
    ),
    Case(
        "times with zones",
        text("t,a\n2026-01-01T01:00+01:00,1\n2026-01-01T00:30Z,2\n"),
        {"dates": ["t"], "time_unit": "hours", "time_start": "2026-01-01"},
        [[0.0, 1.0], [0.5, 2.0]],
        ["t", "a"],
    ),
    Case(
        "a start out of the calendar",
        text("t,a\n2026-01-01,1\n"),
        {"dates": ["t"], "time_unit": "days", "time_start": "9999-12-31T23:00-05:00"},
        error="not in the years 1 to 9999",
    ),
    Case(
        "times with zones and without",
        text("t,a\n2026-01-01T01:00+01:00,1\n2026-01-01T00:30,2\n"),
        {"dates": ["t"], "time_unit": "hours"},
        error="a zone",
    ),
    Case("a missing number", text("a,b\n1,NA\n3,4\n"), **LOST),
    Case(
        "rows with missing values left out",
        text("a,b\n1,NA\n3,4\n"),
        {"missing": "drop"},
        [[3.0, 4.0]],
        AB,
        note="1 of 2 rows",
    ),
    Case(
        "missing values as levels",
        text("a,n\n1,\n,x\n"),
        {"missing": "level", "categories": ["n"]},
        [[1.0, None], [None, "x"]],
        ["a", "n"],
    ),
    Case("nothing but missing values", text("a,b\n1,NA\n2,\n"), {"missing": "drop"}, error="none is left"),
]
BOOKKEEPING = [
    Case("an index of pandas", text(",a,b\n0,1,2\n1,3,4\n"), rows=ONE_TWO, columns=AB, note="numbers the rows"),
    Case(
        "an index that was read and written again",
        text("Unnamed: 0,a,b\n0,1,2\n1,3,4\n"),
        rows=ONE_TWO,
        columns=AB,
        note="numbers the rows",
    ),
    Case(
        "names of rows from R",
        text('"","a","b"\n"1",1,2\n"2",3,4\n'),
        rows=ONE_TWO,
        columns=AB,
        note="numbers the rows",
    ),
    Case(
        "an index that was written twice",
        text(",Unnamed: 0,a,b\n0,0,1,2\n1,1,3,4\n"),
        rows=ONE_TWO,
        columns=AB,
        note="first 2 columns",
    ),
    Case(
        "indexes of two copies",
        text("Unnamed: 0.1,Unnamed: 0,a,b\n0,0,1,2\n1,1,3,4\n"),
        rows=ONE_TWO,
        columns=AB,
        note="first 2 columns",
    ),
    Case(
        "the second of two indexes does not count",
        text("Unnamed: 0.1,Unnamed: 0,a,b\n0,7,1,2\n1,5,3,4\n"),
        error="its value 1 is 7",
        advice=[("drop", "Unnamed: 0")],
    ),
    Case(
        "columns are chosen beside an index that does not count",
        text(",a,b\n7,1,2\n5,3,4\n"),
        {"columns": ["a", "b"]},
        ONE_TWO,
        AB,
    ),
    Case(
        "an index of pandas that another program wrote as a column",
        text("a,b,__index_level_0__\n1,2,7\n3,4,5\n"),
        rows=ONE_TWO,
        columns=AB,
        note="the index of a pandas frame was left out",
    ),
    Case(
        "a column without a name in Parquet",
        parquet(pa.table({"": [0, 1], "a": [1.0, 3.0], "b": [2.0, 4.0]})),
        rows=ONE_TWO,
        columns=AB,
        note="numbers the rows",
    ),
    Case(
        "a column without a name in Parquet that does not count",
        parquet(pa.table({"": [4, 1], "a": [1.0, 3.0], "b": [2.0, 4.0]})),
        error="its value 1 is 4): give it a name",
    ),
    Case(
        "a column of numbers from 0 in Excel without a name",
        excel([[None, "a", "b"], [0, 1, 2], [1, 3, 4]]),
        rows=ONE_TWO,
        columns=AB,
        note="numbers the rows",
    ),
    Case(
        "an index that is asked for",
        text(",a\n0,1\n1,3\n"),
        {"columns": ["Unnamed: 0", "a"]},
        [[0.0, 1.0], [1.0, 3.0]],
        ["Unnamed: 0", "a"],
    ),
    Case(
        "a column without a name that does not count",
        text(",a\n5,1\n2,3\n"),
        error="does not count the rows",
        advice=[("drop", "Unnamed: 0")],
    ),
    Case(
        "a column of text without a name",
        text(",a\nx,1\ny,3\n"),
        error="does not count the rows",
        advice=[("drop", "Unnamed: 0")],
    ),
    Case(
        "an index that stops counting far down",
        text(ROW_NUMBERS_THAT_STOP),
        error="its value 500001 is 7",
        advice=[("drop", "Unnamed: 0")],
    ),
    Case(
        "a column with a name that counts",
        text(COUNTED),
        rows=[[float(k), float(k * k % 7)] for k in range(12)],
        columns=["id", "v"],
        note="'id' holds 0, 1, ..., 11",
    ),
    Case(
        "an index of labels in Parquet",
        parquet(lambda: pd.DataFrame({"a": [1.0, 3.0], "b": [2.0, 4.0]}, index=["x", "y"])),
        rows=ONE_TWO,
        columns=AB,
        note="index of a pandas frame",
    ),
    Case(
        "an index with a name in Parquet",
        parquet(lambda: pd.DataFrame({"a": [1.0, 3.0], "b": [2.0, 4.0]}, index=pd.Index([7, 5], name="who"))),
        rows=ONE_TWO,
        columns=AB,
        note="'who' is the index",
    ),
    Case(
        "an index in Parquet that is asked for",
        parquet(lambda: pd.DataFrame({"a": [1.0, 3.0]}, index=pd.Index([7.0, 5.0], name="who"))),
        {"columns": ["who", "a"]},
        [[7.0, 1.0], [5.0, 3.0]],
        ["who", "a"],
    ),
    Case(
        "a range as index in Parquet",
        parquet(lambda: pd.DataFrame({"a": [1.0, 3.0], "b": [2.0, 4.0]})),
        rows=ONE_TWO,
        columns=AB,
    ),
]
PARQUET = [
    Case("numbers in Parquet", parquet(pa.table({"a": [1.0, 3.0], "b": [2.0, 4.0]})), rows=ONE_TWO, columns=AB),
    Case(
        "text in Parquet",
        parquet(MIXED),
        error="column 'cut' holds text",
        advice=[("categories", "cut"), ("drop", "cut")],
    ),
    Case(
        "categories in Parquet", parquet(MIXED), {"categories": ["cut"]}, [[1.5, "Ideal"], [2.5, "Fair"]], ["x", "cut"]
    ),
    Case(
        "a dictionary",
        parquet(lambda: pd.DataFrame({"x": [1.5, 2.5], "cut": pd.Categorical(["b", "a"])})),
        rows=[[1.5, "b"], [2.5, "a"]],
        columns=["x", "cut"],
    ),
    Case(
        "a dictionary of numbers",
        parquet(lambda: pa.table({"x": [1.5, 2.5], "n": pa.array([3.0, float("nan")]).dictionary_encode()})),
        {"missing": "level"},
        rows=[[1.5, "3"], [2.5, None]],
        columns=["x", "n"],
    ),
    Case(
        "categories of pandas that are numbers",
        parquet(lambda: pd.DataFrame({"x": [1.5, 2.5, 3.5], "n": pd.Categorical([3, 1, 3])})),
        rows=[[1.5, "3"], [2.5, "1"], [3.5, "3"]],
        columns=["x", "n"],
    ),
    Case(
        "text in Parquet that is not UTF-8",
        parquet(lambda: pa.table({"n": pa.array([b"x", b"\xff"], pa.binary()).view(pa.string()), "x": [1.5, 2.5]})),
        {"categories": ["n"]},
        error="text that is not UTF-8",
    ),
    Case(
        "booleans",
        parquet(pa.table({"x": [1.5, 2.5], "is": [True, False]})),
        rows=[[1.5, True], [2.5, False]],
        columns=["x", "is"],
    ),
    Case(
        "times in Parquet",
        parquet(pa.table({"t": pa.array([DAY], pa.timestamp("us")), "x": [1.0]})),
        {"time_unit": "hours", "time_start": "2026-01-31"},
        [[12.0, 1.0]],
        ["t", "x"],
    ),
    Case(
        "times with a zone in Parquet",
        parquet(pa.table({"t": pa.array([DAY], pa.timestamp("us", "Europe/Berlin")), "x": [1.0]})),
        {"time_unit": "hours", "time_start": "2026-01-31"},
        [[12.0, 1.0]],
        ["t", "x"],
    ),
    Case(
        "times without a unit in Parquet",
        parquet(pa.table({"t": pa.array([DAY], pa.timestamp("us")), "x": [1.0]})),
        error="dates or times",
        advice=[("time_unit", "days"), ("drop", "t")],
    ),
    Case(
        "decimal numbers",
        parquet(pa.table({"d": [Decimal("1.25"), Decimal("2.50")]})),
        rows=[[1.25], [2.5]],
        columns=["d"],
    ),
    Case(
        "lists",
        parquet(pa.table({"e": [[1.0, 2.0], [3.0, 4.0]], "x": [5.0, 6.0]})),
        rows=[[1.0, 2.0, 5.0], [3.0, 4.0, 6.0]],
        columns=["e[0]", "e[1]", "x"],
    ),
    Case("lists of two lengths", parquet(pa.table({"e": [[1.0, 2.0], [3.0]]})), error="different lengths"),
    Case("structs", parquet(pa.table({"s": [{"k": 1}], "x": [1.0]})), error="no distance", advice=[("drop", "s")]),
    Case(
        "time spans",
        parquet(pa.table({"s": [datetime.timedelta(1)], "x": [1.0]})),
        error="no distance",
        advice=[("drop", "s")],
    ),
    Case("missing values in Parquet", parquet(pa.table({"a": [1, None, 3]})), **LOST),
    Case(
        "rows with missing values in Parquet left out",
        parquet(pa.table({"a": [1, None, 3]})),
        {"missing": "drop"},
        [[1.0], [3.0]],
        ["a"],
        note="1 of 3 rows",
    ),
    Case(
        "the same name twice in Parquet",
        parquet(pa.table([[1.0], [2.0]], names=["a", "a"])),
        error="2 columns are named 'a'",
    ),
    Case(
        "whole numbers that float64 rounds",
        parquet(pa.table({"a": [2**53 + 1, 5], "cut": ["x", "y"]})),
        {"categories": ["cut"]},
        error="beyond 2^53",
        advice=[("drop", "a")],
    ),
    Case("an empty table", parquet(pa.table({"a": pa.array([], pa.float64())})), error="holds no values"),
    Case(
        "a folder of Spark",
        folder_of(
            {
                "part-0.parquet": pa.table({"a": [1.0], "b": [2.0]}),
                "part-1.parquet": pa.table({"a": [3.0], "b": [4.0]}),
            },
            "_SUCCESS",
            ".part-0.crc",
        ),
        rows=ONE_TWO,
        columns=AB,
        note="2 files whose names begin with _ or .",
    ),
    Case(
        "a folder with partitions",
        folder_of({"cut=b/part-0.parquet": pa.table({"a": [1.0]}), "cut=a/part-0.parquet": pa.table({"a": [2.0]})}),
        {"categories": ["cut"]},
        [[2.0, "a"], [1.0, "b"]],
        ["a", "cut"],
    ),
    Case(
        "a folder partitioned by numbers",
        folder_of({"year=2026/p.parquet": pa.table({"a": [1.0]}), "year=2025/p.parquet": pa.table({"a": [2.0]})}),
        rows=[[2.0, 2025.0], [1.0, 2026.0]],
        columns=["a", "year"],
    ),
    Case(
        "a folder of other columns",
        folder_of({"p0.parquet": pa.table({"a": [1.0]}), "p1.parquet": pa.table({"b": [1.0]})}),
        error="p1.parquet: its columns are not those of p0.parquet",
    ),
]
OTHERS = [
    Case("Excel", excel([AB, [1, 2], [3, 4]]), rows=ONE_TWO, columns=AB),
    Case(
        "Excel with text",
        excel([["a", "n"], [1, "x"], [2, "y"]]),
        error="column 'n' holds text",
        advice=[("categories", "n"), ("drop", "n")],
    ),
    Case("Excel with a number as text", excel([AB, [1, 2], [2, "3"], [3, 4]]), error="row 3 holds the text '3'"),
    Case(
        "Excel with dates",
        excel([["t", "a"], [DAY, 1]]),
        {"time_unit": "hours", "time_start": "2026-01-31"},
        [[12.0, 1.0]],
        ["t", "a"],
    ),
    Case(
        "Excel with two sheets",
        excel([AB, [1, 2], [3, 4]], lambda book, _: book.create_sheet("Notes")),
        error="it has 2 sheets (Sheet, Notes)",
        advice=[("sheet", "Sheet")],
    ),
    Case("Excel with a sheet that is not there", excel([AB, [1, 2]]), {"sheet": "Data"}, error="no sheet 'Data'"),
    Case(
        "Excel with merged cells",
        excel([AB, [1, 2], [3, 4]], lambda _, sheet: sheet.merge_cells("A2:A3")),
        error="cells A2:A3 are merged",
    ),
    Case("Excel with a formula that was never computed", excel([AB, [1, "=A2+1"]]), error="cell B2 holds a formula"),
    Case("Excel with an error", excel([AB, [1, 2], [3, "#DIV/0!"], [5, 6]]), error="row 3 holds the error #DIV/0!"),
    Case(
        "Excel that begins further down",
        excel([[], [None, "a", "b"], [None, 1, 2], [None, 3, 4]]),
        rows=ONE_TWO,
        columns=AB,
    ),
    Case("Excel with an empty cell", excel([AB, [1, None], [3, 4]]), **LOST),
    Case(
        "Excel with a number beyond float64",
        patched(excel([AB, [1, 2], [3, 4]]), b"<v>4<", b"<v>4%s<" % (b"0" * 400)),
        error="too large",
    ),
    Case("Excel with nothing", excel([]), error="empty"),
    Case("Excel of before 2007", text(b"\xd0\xcf\x11\xe0" + bytes(600), "table.xls"), error="save it as .xlsx"),
    Case("AnnData", h5ad(), rows=CELLS.tolist(), columns=["g1", "g2", "g3"]),
    Case("AnnData by rows", h5ad("csr_matrix"), rows=CELLS.tolist(), columns=["g1", "g2", "g3"]),
    Case("AnnData by columns", h5ad("csc_matrix"), rows=CELLS.tolist(), columns=["g1", "g2", "g3"]),
    Case(
        "AnnData, an embedding",
        h5ad(),
        {"embedding": "X_pca"},
        [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]],
        ["X_pca[0]", "X_pca[1]"],
    ),
    Case("AnnData, an embedding that is not there", h5ad(), {"embedding": "X_umap"}, error="there are X_pca"),
    Case("AnnData, genes", h5ad(), {"columns": ["g3", "g1"]}, [[2.0, 1.0], [3.0, 0.0], [0.0, 4.0]], ["g3", "g1"]),
    Case(
        "AnnData, types of cells",
        h5ad(),
        {"embedding": "X_pca", "categories": ["type"]},
        [[0.0, 1.0, "T"], [2.0, 3.0, "B"], [4.0, 5.0, "T"]],
        ["X_pca[0]", "X_pca[1]", "type"],
    ),
    Case("AnnData that links to another file", h5ad(change=_linked), error="is a link"),
    Case("AnnData that reads another file", h5ad(change=_outside), error="outside the file"),
    Case("JSON", json_rows({"samples": [[1, 2], [3, 4]], "columns": AB}), rows=ONE_TWO, columns=AB),
    Case(
        "JSON with half a surrogate pair in a level",
        text(r'{"samples": [["\ud800", 1], ["b", 2]], "columns": ["n", "a"]}', "table.json"),
        {"categories": ["n"]},
        error="column 'n' holds '\\ud800', which is no Unicode text",
    ),
    Case(
        "JSON with half a surrogate pair in a name",
        text(r'{"samples": [[1], [2]], "columns": ["\udfff"]}', "table.json"),
        error="'\\udfff' is no Unicode text",
    ),
    Case("JSON with null", json_rows({"samples": [[1, None], [3, 4]], "columns": AB}), **LOST),
    Case(
        "JSON with text",
        json_rows({"samples": [[1, "x"], [3, "y"]], "columns": ["a", "n"]}),
        error="column 'n' holds text",
        advice=[("categories", "n"), ("drop", "n")],
    ),
    Case(
        "JSON with categories",
        json_rows({"samples": [[1, "x"], [3, "y"]], "columns": ["a", "n"]}),
        {"categories": ["n"]},
        [[1.0, "x"], [3.0, "y"]],
        ["a", "n"],
    ),
    Case(
        "an array with NaN", array([[1.0, np.nan], [3.0, 4.0]]), {"missing": "drop"}, [[3.0, 4.0]], note="1 of 2 rows"
    ),
    Case(
        "an array with NaN as a level",
        array([[1.0, np.nan], [3.0, 4.0]]),
        {"missing": "level"},
        [[1.0, None], [3.0, 4.0]],
    ),
    Case("a column of an array", array(ONE_TWO), {"drop": ["a"]}, error="no names of columns"),
]
CASES = [*SEPARATORS, *NUMBERS, *HEADERS, *LINES, *ENCODINGS, *KINDS, *BOOKKEEPING, *PARQUET, *OTHERS]


def meant(array: np.ndarray, table: Any) -> list[list[Cell]]:
    """The rows of a file as it means them. table: the schema of their codes, or None."""
    kinds = [("number", ())] * array.shape[1] if table is None else [(each.kind, each.levels) for each in table.columns]
    return [[_meant(value, *kind) for value, kind in zip(row, kinds, strict=True)] for row in array.tolist()]


def _meant(value: float, kind: str, levels: Sequence[str]) -> Cell:
    if np.isnan(value):
        return None
    if kind == "boolean":
        return bool(value)
    return levels[int(value)] if kind == "category" else float(value)


def followed(case: Case, advice: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The reading of a case with the advice of its refusal."""
    reading = dict(case.reading)
    for option, value in advice:
        if option in ("drop", "categories", "dates"):
            reading[option] = [*reading.get(option, ()), value]
        else:
            reading[option] = value == "true" if option == "header" else value
    return reading
