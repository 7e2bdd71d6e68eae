"""Things that are no sample sets, or odd ones, for library and client alike: what each is, and how it is answered.

`DATA` has what is refused, with words of the message; `ADVICE` what a message advises, followed literally; `TAKEN` odd
forms of the same rows; `OPTIONS` values that are no option.
"""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import fractions
import io
import math
import warnings
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import scipy.sparse as sp
import torch

ROWS = 120


def table(width: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-40, 40, (ROWS, width)) / 8  # every float has them exactly


def quiet(make: Callable[[], Any]) -> Callable[[], Any]:
    """Without warnings of libraries that a form of data is experimental or deprecated."""

    def made() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make()

    return made


class Refuses:
    """An object on another device, as CuPy's arrays are."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")


class Exhausts:
    """An object that asks for more memory than there is."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise MemoryError


class GivesDLPack:
    """An object that can be exchanged by DLPack only."""

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows

    def __dlpack__(self, **options: Any) -> Any:
        return self._rows.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._rows.__dlpack_device__()


def _generator() -> Any:
    yield from table()


def objects(value: Any, row: int = 3) -> np.ndarray:
    rows = table().astype(object)
    rows[row, 1] = value
    return rows


DAYS = np.arange("2020-01-01", "2020-04-30", dtype="M8[D]")
PARTS = table(seed=1) + 1j * table(seed=2)
RECORDS = np.rec.fromarrays(list(table().T), names="a,b")

DATA: dict[str, tuple[Callable[[], Any], str]] = {
    "None": (lambda: None, "is None: give its rows"),
    "a number": (lambda: 3.0, "is one value, 3.0"),
    "a bool": (lambda: True, "is one value, True"),
    "a complex number": (lambda: 1j, "is one value, 1j"),
    "a decimal": (lambda: decimal.Decimal("1.5"), "is one value, 1.5"),
    "a fraction": (lambda: fractions.Fraction(1, 3), "is one value, 1/3"),
    "a huge number": (lambda: 10**400, "is one value"),
    "a numpy scalar": (lambda: np.float32(2), "is one value"),
    "a date": (lambda: datetime.date(2020, 1, 1), "object of type date is no data"),
    "0-d": (lambda: np.array(2.0), "is one value, .*, and no set of rows"),
    "0-d torch": (lambda: torch.tensor(2.0), "is one value, .*, and no set of rows"),
    "5-d": (lambda: np.zeros((2, 2, 2, 2, 2)), "is neither a table"),
    "no rows": (lambda: np.zeros((0, 3)), "holds no values"),
    "no columns": (lambda: np.zeros((200, 0)), "holds no values"),
    "empty list": (lambda: [], "holds no values"),
    "ragged": (lambda: [[1.0, 2.0], [3.0]], "give every row the same number of columns"),
    "ragged objects": (lambda: np.array([[1.0, 2.0], [3.0]], dtype=object), "every row the same number of columns"),
    "dict": (lambda: {"a": [1, 2]}, r"is a dict: make a table of its columns, pandas.DataFrame\(data\)"),
    "mapping": (lambda: collections.ChainMap({"a": 1}), "is a ChainMap: make a table"),
    "dict views": (lambda: {"a": 1}.values(), "object of type dict_values is no data"),
    "set": (lambda: {1.0, 2.0}, "is a set, which drops equal rows: give a list"),
    "frozenset": (lambda: frozenset([1.0]), "is a frozenset, which drops equal rows"),
    "generator": (_generator, r"is a generator, which can be read once only: give list\(data\)"),
    "iterator": (lambda: iter([[1.0]]), r"can be read once only: give list\(data\)"),
    "map": (lambda: map(float, "123"), "is a map, which can be read once only"),
    "bytes": (lambda: b"1,2\n", r"is bytes, .* numpy.frombuffer"),
    "bytearray": (lambda: bytearray(b"12"), r"is bytearray, .* numpy.frombuffer"),
    "memoryview": (lambda: memoryview(b"12"), r"is memoryview, .* numpy.frombuffer"),
    "open file": (lambda: io.BytesIO(b"a,b\n1,2\n"), "is an open file: give its path"),
    "class": (lambda: pd.DataFrame, "is a class, DataFrame, and no data"),
    "module": (lambda: np, "is a module, numpy, and no data"),
    "function": (lambda: table, "is a function, table, and no data"),
    "object": (object, "object of type object is no data"),
    "range": (lambda: range(10**13), "cannot be read as an array|too"),
    "refuses": (Refuses, "a Refuses cannot be read as an array: Implicit conversion .* copy it to a NumPy array first"),
    "exhausts": (Exhausts, "an? Exhausts cannot be read as an array: MemoryError"),
    "empty text": (lambda: "", "'' is no path of a file"),
    "NUL": (lambda: "a\0b.csv", "is no path of a file"),
    "no file": (lambda: "no such file.csv", "no such file.csv: No such file"),
    "long text": (lambda: "x" * 5000 + ".npy", "is no path of a file: File name too long"),
    "URL": (lambda: "https://example.org/x.npy", "No such file"),
    "complex": (lambda: PARTS, r"numpy.concatenate\(\[x.real, x.imag\], axis=1\)"),
    "complex column": (lambda: PARTS[:, 0], r"numpy.stack\(\[x.real, x.imag\], axis=1\)"),
    "complex list": (lambda: PARTS.tolist(), r"numpy.concatenate\(\[x.real, x.imag\], axis=1\)"),
    "dates": (lambda: DAYS, r"count them in a unit, \(x - numpy.datetime64"),
    "spans": (lambda: DAYS - DAYS[0], r"count them in a unit, x / numpy.timedelta64\(1, 's'\)"),
    "months": (lambda: np.arange(ROWS).astype("m8[M]"), r"count them, x.astype\('int64'\)"),
    "records": (lambda: RECORDS, r"make a table of its fields, pandas.DataFrame\(x\)"),
    "void": (lambda: np.zeros((200, 2), dtype="V4"), "not real numbers: give their bytes a type"),
    "text of numbers": (lambda: table().astype(str), r"numbers as text: convert them with x.astype\('float64'\)"),
    "bytes of numbers": (lambda: table().astype("S"), r"numbers as text: convert them with x.astype\('float64'\)"),
    "text": (lambda: np.array([["1", "a"], ["2", "b"]]), "row 0, column 1 holds 'a', not a number; give text as a col"),
    "object text": (lambda: objects("x"), "row 3, column 1 holds 'x', not a number; give text"),
    "object None": (lambda: objects(None), "row 3, column 1 holds 'None', not a number; remove such rows"),
    "object NA": (lambda: objects(pd.NA), "row 3, column 1 holds '<NA>', not a number"),
    "object complex": (lambda: objects(1j), "row 3, column 1 holds '1j', not a number"),
    "objects": (lambda: table().astype(object), r"numbers as Python objects: convert them with x.astype\('float64'\)"),
    "decimals": (lambda: [decimal.Decimal(k) for k in range(200)], r"convert them with x.astype\('float64'\)"),
    "masked": (lambda: np.ma.masked_less(table(), 0), "is masked"),
    "torch complex": (lambda: torch.from_numpy(PARTS), r"torch.view_as_real\(x.resolve_conj\(\)\).flatten\(1\)"),
    "torch conjugate": (lambda: torch.from_numpy(PARTS).conj(), r"torch.view_as_real\(x.resolve_conj\(\)\)"),
    "torch sparse": (lambda: torch.from_numpy(table()).to_sparse(), r"the tensor is sparse: give x.to_dense\(\)"),
    "torch CSR": (
        quiet(lambda: torch.from_numpy(table()).to_sparse_csr()),
        r"the tensor is sparse: give x.to_dense\(\)",
    ),
    "torch meta": (lambda: torch.empty(200, 2, device="meta"), "on the device meta, which keeps no values"),
    "torch nested": (
        quiet(lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])),
        r"pad it with torch.nested.to_padded_tensor\(x, 0.0\)",
    ),
    "torch quantized": (
        quiet(lambda: torch.quantize_per_tensor(torch.ones(200, 2), 0.5, 0, torch.qint8)),
        r"the tensor is quantized: give x.dequantize\(\)",
    ),
    "sparse 1-d": (lambda: sp.coo_array(np.ones(300)), r"is no table \(n, d\): give x.toarray\(\)"),
    "sparse complex": (lambda: sp.csr_array(PARTS), "sparse values of type complex128 are not real numbers"),
    "frame of text": (lambda: frame(b=["a", "b"] * (ROWS // 2)), r"column 'b' holds text: declare it .* drop=\['b'\]"),
    "frame of objects": (
        lambda: frame(b=[decimal.Decimal(k) for k in range(ROWS)]),
        r"column 'b', row 0 .* as a Python object.* frame.astype\(\{'b': 'float64'\}\)",
    ),
    "frame of mixed objects": (
        lambda: frame(b=[1, "x"] * (ROWS // 2)),
        r"column 'b', row 1 \(the first is 0\) holds 'x' of type str: leave the column out with drop=\['b'\]",
    ),
    "frame of complex": (lambda: frame(b=PARTS[:, 0]), "column 'b' is of type complex128"),
    "frame of spans": (lambda: frame(b=pd.to_timedelta(range(ROWS), unit="s")), "column 'b' is of type spans of time"),
    "frame of periods": (lambda: frame(b=pd.period_range("2020", periods=ROWS)), r"column 'b' is of type period\[D\]"),
    "frame of dates": (lambda: frame(b=pd.Series(DAYS)), "column 'b' holds dates or times: .* time_unit='days'"),
    "frame of missing": (lambda: frame(b=pd.array([1, None] * (ROWS // 2), dtype="Int64")), "column 'b', row 1 .*miss"),
    "frame with one name twice": (lambda: frame().rename(columns={"b": "a"}), "more than one column is named 'a'"),
    "frame without rows": (lambda: frame()[:0], "holds no values"),
    "frame without columns": (lambda: frame()[[]], "holds no values"),
    "polars structs": (lambda: pl.DataFrame({"a": [{"b": 1}] * ROWS}), "column 'a' is of type structs"),
    "polars ragged lists": (
        lambda: pl.DataFrame({"a": [[1, 2], [3]] * 60}),
        "column 'a', row 1 .* give all the same l",
    ),
    "polars without values": (lambda: pl.DataFrame({"a": [None] * ROWS}), "column 'a' is of type Null"),
    "arrow missing": (lambda: pa.table({"a": [1, None] * 60}), "column 'a', row 1 .* has a missing value"),
    "arrow times of a day": (
        lambda: pa.table({"a": [datetime.time(1)] * ROWS}),
        "column 'a' is of type times of a day",
    ),
}
"""What is refused: what makes it, and words of the SampleError (or OptionError)."""


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(table(), columns=["a", "b"]).assign(**columns)


def whole(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows, dtype=np.float64)


ADVICE: dict[str, tuple[Callable[[], Any], Callable[[], np.ndarray]]] = {
    "numpy.concatenate([x.real, x.imag], axis=1)": (lambda: PARTS, lambda: np.c_[PARTS.real, PARTS.imag]),
    "numpy.stack([x.real, x.imag], axis=1)": (lambda: PARTS[:, 0], lambda: np.c_[PARTS[:, 0].real, PARTS[:, 0].imag]),
    "(x - numpy.datetime64('1970-01-01')) / numpy.timedelta64(1, 'D')": (
        lambda: DAYS,
        lambda: 18262.0 + np.arange(ROWS),  # 2020-01-01 is 50 years and 12 leap days after 1970-01-01
    ),
    "x / numpy.timedelta64(1, 's')": (lambda: DAYS - DAYS[0], lambda: 86400.0 * np.arange(ROWS)),
    "x.astype('int64')": (lambda: np.arange(ROWS).astype("m8[M]"), lambda: np.arange(ROWS)),
    "pandas.DataFrame(x)": (lambda: RECORDS, table),
    "x.astype('float64')": (lambda: table().astype(str), table),
    "torch.view_as_real(x.resolve_conj()).flatten(1)": (
        lambda: torch.from_numpy(PARTS).conj(),
        lambda: np.stack([PARTS.real, -PARTS.imag], axis=2).reshape(ROWS, -1),
    ),
    "x.to_dense()": (quiet(lambda: torch.from_numpy(table()).to_sparse_csr()), table),
    "x.dequantize()": (
        quiet(lambda: torch.quantize_per_tensor(torch.from_numpy(table()).float(), 0.125, 0, torch.qint8)),
        table,
    ),
    "torch.nested.to_padded_tensor(x, 0.0)": (
        quiet(lambda: torch.nested.nested_tensor([torch.ones(2), *[torch.ones(3)] * 119])),
        lambda: np.array([[1.0, 1.0, 0.0], *[[1.0] * 3] * 119]),
    ),
    "x.toarray()": (lambda: sp.coo_array(table()[:, 0]), lambda: table()[:, 0]),
    "list(data)": (lambda: iter(table().tolist()), table),
    "pandas.DataFrame(data)": (lambda: {"a": table()[:, 0], "b": table()[:, 1]}, table),
    "frame.astype({'b': 'float64'})": (
        lambda: frame(b=[fractions.Fraction(k, 8) for k in range(ROWS)]),
        lambda: np.c_[table()[:, 0], np.arange(ROWS) / 8],
    ),
}
"""What a message advises for x (or data, frame): what makes x, and the rows that the advised expression must give."""


def _negative() -> torch.Tensor:
    return torch.complex(torch.zeros(ROWS, 2, dtype=torch.float64), -torch.from_numpy(table())).conj().imag


TAKEN: dict[str, Callable[[], Any]] = {
    "array": table,
    "list": lambda: table().tolist(),
    "tuple of arrays": lambda: tuple(table()),
    "big-endian": lambda: table().astype(">f8"),
    "float16": lambda: table().astype(np.float16),
    "Fortran": lambda: np.asfortranarray(table()),
    "strided": lambda: np.repeat(table(), 2, axis=0)[::2],
    "read-only": lambda: np.broadcast_to(table()[None], (1, ROWS, 2))[0],
    "matrix": quiet(lambda: np.matrix(table())),
    "unmasked": lambda: np.ma.array(table(), mask=False),
    "long double": lambda: table().astype(np.longdouble),
    "bfloat16": lambda: table().astype(ml_dtypes.bfloat16),
    "DLPack": lambda: GivesDLPack(table()),
    "torch": lambda: torch.from_numpy(table()),
    "torch bfloat16": lambda: torch.from_numpy(table()).to(torch.bfloat16),
    "torch negative bit": _negative,
    "torch requires a gradient": lambda: torch.from_numpy(table()).requires_grad_(),
    "torch parameter": lambda: torch.nn.Parameter(torch.from_numpy(table())),
    "list of tensors": lambda: list(torch.from_numpy(table())),
    "pandas": frame,
    "pandas with an index": lambda: frame().set_index(np.arange(ROWS) + 5000),
    "pandas nullable": lambda: frame().astype("Float64"),
    "pandas with Arrow": lambda: frame().convert_dtypes(dtype_backend="pyarrow"),
    "pandas sparse": lambda: frame().astype(pd.SparseDtype(float, 0.0)),
    "polars": lambda: pl.DataFrame(table(), schema=["a", "b"]),
    "polars lazy": lambda: pl.LazyFrame(table(), schema=["a", "b"]),
    "polars list": lambda: pl.DataFrame({"a": table().tolist()}),
    "polars array": lambda: pl.DataFrame({"a": pl.Series(table().tolist(), dtype=pl.Array(pl.Float64, 2))}),
    "Arrow table": lambda: pa.table(frame()),
    "Arrow batch": lambda: pa.RecordBatch.from_pandas(frame()),
    "sparse rows": lambda: sp.csr_array(table()),
    "sparse columns": lambda: sp.csc_matrix(table()),
    "sparse coordinates": lambda: sp.coo_array(table()),
}
"""Odd forms of the rows of `table()`."""

FLOAT8 = {
    "torch float8": lambda: torch.from_numpy(table()).to(torch.float8_e4m3fn),
    "numpy float8": lambda: table().astype(ml_dtypes.float8_e4m3fn),
}
"""The rows of `table()` rounded to 8 bits, which float32 has exactly."""

OPTIONS: dict[str, dict[str, Any]] = {
    "a dict as scale": {"scale": {"a": 1.0}},
    "a set as scale": {"scale": {1.0, 2.0}},
    "a generator as scale": {"scale": (k for k in (1.0, 2.0))},
    "text as scale": {"scale": "standardise"},
    "ragged scale": {"scale": [[1.0], [1.0, 2.0]]},
    "texts as scale": {"scale": [["a"], ["b"]]},
    "objects as scale": {"scale": np.array([object(), object()])},
    "complex scale": {"scale": np.array([1j, 2.0])},
    "a huge scale": {"scale": 10**400},
    "huge scales": {"scale": [10**400, 1.0]},
    "a bool as scale": {"scale": True},
    "dates as scale": {"scale": np.array(["2020-01-01"], dtype="M8[D]")},
    "a frame as scale": {"scale": frame()},
    "a class as scale": {"scale": dict},
    "zero as scale": {"scale": 0.0},
    "nan as confidence": {"confidence": math.nan},
    "inf as confidence": {"confidence": np.float64("inf")},
    "text as confidence": {"confidence": "0.9"},
    "a bool as confidence": {"confidence": True},
    "a numpy bool as confidence": {"confidence": np.True_},
    "a list as confidence": {"confidence": [0.9]},
    "a complex confidence": {"confidence": 0.9 + 0j},
    "None as confidence": {"confidence": None},
    "a huge number of steps": {"steps": 10**5000},
    "a fraction of steps": {"steps": 2.5},
    "a bool as steps": {"steps": True},
    "nan steps": {"steps": math.nan},
    "a negative seed": {"seed": -1},
    "a huge seed": {"seed": 1 << 70},
    "text as seed": {"seed": "0"},
    "a dict as critic": {"critic": {}},
    "a list as critic": {"critic": ["affine"]},
    "an array as critic": {"critic": np.array(["affine"])},
    "a class as layout": {"layout": int},
    "a number as device": {"device": 0},
    "an unknown device": {"device": "tpu"},
    "text as baseline_rows": {"baseline_rows": "many"},
    "a date as max_seconds": {"max_seconds": datetime.timedelta(seconds=1)},
    "nan as diameter": {"diameter": math.nan},
    "odd ranges": {"ranges": [0.0, 1.0, 2.0]},
    "a set as ranges": {"ranges": {0.0, 1.0}},
    "objects as ranges": {"ranges": [object(), object()]},
    "text as empirical": {"empirical": "yes"},
    "a number as empirical": {"empirical": 1},
    "a float as statements": {"statements": 1.5},
    "an array of statements": {"statements": np.array([1, 2])},
    "an array library's integers": {"planned_steps": array.array("d", [1.5])},
    "an unknown option": {"scael": 1.0},
}
"""Values of options that are refused by name."""
