"""A file as somebody brings it and what it must become (`Case`), and what writes such files."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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


def linked(file: Any) -> None:
    import h5py

    del file["X"]
    file["X"] = h5py.ExternalLink("/etc/other.h5", "X")


def outside(file: Any) -> None:
    del file["X"]
    file.create_dataset("X", (1, 3), dtype="u1", external=[("/etc/hostname", 0, 3)])


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
