"""The rows of a certificate: read from .npy, digested, and converted to the critic's input."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .container import CannotCheckError, CertificateError, shown
from .order import Parts
from .rounding import NORM_ROUNDING, UNDERFLOW, U, row_norms
from .tables.columns import LARGEST, Columns

OTHER_FILES = "the command `wdist verify` reads tables and other files, and Python functions take arrays"
BLOCK_BYTES = 16 << 20  # of rows held at once
OF_BOTH, OF_THE_FIRST = ("standardize", "robust"), ("reference", "robust_reference")
FITTED = (*OF_BOTH, *OF_THE_FIRST)  # scales whose divisors and centre are of rows: of both sets, or of the first
ROBUST = ("robust", "robust_reference")
TOLERANCE = 1e-9  # of divisors
QUARTILES = 1.349  # what their distance is divided by
QUANTILE_NUMBERS = 1 << 22  # values held at once for quantiles


def open_rows(data: Any) -> NDArray[Any]:
    """An array, or the memory-mapped content of a .npy file. Raises CannotCheckError for anything else."""
    if isinstance(data, str | Path):
        try:
            data = np.lib.format.open_memmap(data, mode="r")
        except OSError as error:
            raise CannotCheckError(f"cannot read rows from {str(data)!r}: {error.strerror or error}") from error
        except ValueError as error:
            raise CannotCheckError(f"{str(data)!r} is not a .npy file of numbers; {OTHER_FILES}") from error
    if np.ma.is_masked(data):
        raise CannotCheckError("the rows have masked values, which are not numbers: remove such rows")
    try:
        array = np.asarray(data)
    except (ValueError, TypeError) as error:
        raise CannotCheckError(f"the rows are not an array: {error}") from error
    if array.dtype.kind not in "fiub" or not 1 <= array.ndim <= 4:
        raise CannotCheckError(f"rows of type {array.dtype} and shape {array.shape} are not an array of real numbers")
    return array.astype(np.float64) if array.dtype.kind == "f" and array.dtype.itemsize > 8 else array


def column_names(data: Any) -> list[str] | None:
    """The names of a frame's columns, or None."""
    given = getattr(data, "column_names", None)  # pyarrow, whose `columns` are the values
    given = getattr(data, "columns", None) if given is None else given
    return None if given is None else [str(each) for each in given]


def rows_digest(array: NDArray[Any]) -> str:
    """SHA-256 of `wdist rows 1 <dtype> <shape>\\n` and the C-ordered little-endian values."""
    stored = array.dtype.newbyteorder("<") if array.dtype.byteorder == ">" else array.dtype
    digest = hashlib.sha256()
    digest.update(f"wdist rows 1 {stored.str} {'x'.join(str(extent) for extent in array.shape)}\n".encode("ascii"))
    step = max(1, BLOCK_BYTES // max(1, array[:1].nbytes))
    for start in range(0, len(array), step):
        digest.update(np.ascontiguousarray(array[start : start + step], dtype=stored).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Input:
    """How stored rows become what the critic takes; the fields of "input" in the certificate.

    Of encoded rows, and only of these: columns; category_cost; missing: (d,), where missing numbers are put, and
    missing_is_of_first: whether that is the mean of the first set's rows alone.
    """

    row_shape: tuple[int, ...]
    layout: str | None
    uint8: bool
    kind: str
    divisor: NDArray[np.float64]
    center: NDArray[np.float64]
    columns: Columns | None = None
    category_cost: float | None = None
    missing: NDArray[np.float64] | None = None
    missing_is_of_first: bool = False

    @property
    def is_fitted(self) -> bool:
        """Whether rows decided something of the distance."""
        return self.kind in FITTED or self.missing is not None

    @property
    def is_of_first(self) -> bool:
        """Whether rows of the first set of a matrix alone did."""
        return self.kind in OF_THE_FIRST or self.missing_is_of_first

    @classmethod
    def from_json(cls, stored: Any) -> "Input":
        """Read and check the fields. Raises CertificateError."""
        encoded = isinstance(stored, dict) and "kinds" in stored
        require_fields(
            "the critic's input", stored, {"row_shape", "layout", "uint8", "scale"} | ({"kinds"} if encoded else set())
        )
        scale, layout, uint8 = stored["scale"], stored["layout"], stored["uint8"]
        own = {"category_cost", "missing"} if encoded else set()
        require_fields("the scale", scale, {"kind", "divisor", "center", "data_divisor"} | own)
        shape, kind = stored["row_shape"], scale["kind"]
        if not (isinstance(shape, list) and len(shape) in (1, 3) and all(type(k) is int and k >= 1 for k in shape)):
            raise CertificateError(f"{shown(shape)} is no shape of a row")
        images = len(shape) == 3
        if type(uint8) is not bool or layout not in (None, "nhwc", "nchw") or (not images and (uint8 or layout)):
            raise CertificateError(f"layout {shown(layout)} and uint8 {shown(uint8)} do not fit rows of {shape}")
        if not isinstance(kind, str) or kind not in ("none", "number", "vector", *FITTED):
            raise CertificateError(f"unknown scale {shown(kind)}")
        if not is_real(scale["data_divisor"]) or scale["data_divisor"] != (255 if uint8 else 1):
            raise CertificateError(f"data_divisor {shown(scale['data_divisor'])} does not fit uint8 {uint8}")
        divisor, center = (_numbers(name, scale[name]) for name in ("divisor", "center"))
        many, centred = encoded or kind in ("vector", *FITTED), kind in FITTED
        if divisor.shape != (tuple(shape) if many else ()) or not np.all(divisor > 0):
            raise CertificateError(f"the divisor is not that of scale {kind!r}: positive, one for each number of a row")
        if kind == "none" and not encoded and divisor != 1:
            raise CertificateError("a divisor other than 1 is given without a scale")
        if center.shape != (tuple(shape) if centred else ()) or (not centred and center != 0):
            raise CertificateError(f"a centre is given where scale {kind!r} has none, or has another shape")
        plain = cls(tuple(shape), layout, uint8, kind, divisor, center)
        return plain._of_encoded_rows(Columns.from_json(stored["kinds"]), scale) if encoded else plain

    def _of_encoded_rows(self, columns: Columns, scale: Any) -> "Input":
        """The same with what encoded rows have besides. Raises CertificateError."""
        is_number, cost, missing = columns.is_number, scale["category_cost"], scale["missing"]
        if self.row_shape != is_number.shape or self.layout is not None or self.uint8:
            raise CertificateError(f"kinds of {len(is_number)} columns do not fit rows of shape {self.row_shape}")
        if not (is_real(cost) and cost > 0):
            raise CertificateError(f"category_cost is {shown(cost)}, which is no distance")
        expected = columns.divisors(float(cost))
        if not np.all(np.abs(self.divisor - expected)[~is_number] <= 4 * U * expected[~is_number]):
            raise CertificateError(f"the divisors of levels are not those of category_cost {cost}")
        given = self.divisor[is_number]
        if (self.kind == "none" and not np.all(given == 1)) or (self.kind == "number" and len(set(given.tolist())) > 1):
            raise CertificateError(f"the divisors of numbers are not those of scale {self.kind!r}")
        if self.kind in FITTED and np.any(self.center[~is_number] != 0):
            raise CertificateError("levels have a centre other than 0")
        if (missing is not None) != bool(columns.is_optional.any()):
            raise CertificateError("a place for missing values is given if and only if there may be some")
        if missing is None:
            return replace(self, columns=columns, category_cost=float(cost))
        require_fields("the place of missing values", missing, {"center", "is_of_first"})
        place, is_of_first = _numbers("missing.center", missing["center"]), missing["is_of_first"]
        if place.shape != self.row_shape or np.any(place[~columns.is_optional] != 0):
            raise CertificateError("missing values have a place where none can be, or not one for each column")
        if type(is_of_first) is not bool or (self.kind in FITTED and is_of_first != (self.kind in OF_THE_FIRST)):
            raise CertificateError(f"is_of_first is {shown(is_of_first)}, which scale {self.kind!r} does not allow")
        if self.kind in FITTED and np.any(place != np.where(columns.is_optional, self.center, 0.0)):
            raise CertificateError("missing values are not at the centre")
        return replace(
            self, columns=columns, category_cost=float(cost), missing=place, missing_is_of_first=is_of_first
        )  # fmt: skip

    def rows(self, block: NDArray[Any]) -> NDArray[np.float64]:
        """Rows (n, ...) as given -> float64 (n, *row_shape) in the user's units, before any scale."""
        image = block.ndim >= 3
        if (image and block.dtype == np.uint8) != self.uint8 or (block.ndim == 4) != (self.layout is not None):
            raise CertificateError(f"rows of type {block.dtype} and {block.ndim} axes are not what this critic takes")
        values = block.astype(np.float64)
        if self.uint8:
            values /= 255.0
        if self.layout == "nhwc":
            values = values.transpose(0, 3, 1, 2)
        shape = (1, *values.shape[1:]) if values.ndim == 3 else values.shape[1:] or (1,)
        if shape != self.row_shape:
            raise CertificateError(f"rows of shape {shape} do not fit a critic of {self.row_shape}")
        return np.ascontiguousarray(values).reshape(len(block), *self.row_shape)

    def convert(self, block: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What the critic takes, (n, *row_shape), and how far from exact arithmetic each row may be, (n,)."""
        values = self.rows(block)
        if self.missing is not None:
            values = np.where(np.isnan(values), self.missing, values)
        rounded = self.uint8 or (block.dtype.kind in "iu" and block.dtype.itemsize == 8)
        error = U * row_norms(values / self.divisor) if rounded else np.zeros(len(block))
        if self.kind != "none" or self.columns is not None:
            values = (values - self.center) / self.divisor
            error = error + 2 * U * row_norms(values)
        return values, NORM_ROUNDING * error + UNDERFLOW

    def blocks(
        self, array: NDArray[Any], index: NDArray[np.int64] | None = None
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """All rows, or those of `index` in its order, as `convert` gives them, in blocks of bounded memory."""
        total = len(array) if index is None else len(index)
        step = max(1, BLOCK_BYTES // (8 * max(1, math.prod(self.row_shape))))
        for start in range(0, total, step):
            stop = min(start + step, total)
            block = np.asarray(array[start:stop] if index is None else array[index[start:stop]])
            if not (self.fits(block) if self.columns is not None else within(block)):
                outside = ~np.array(
                    [self.fits(row[None]) if self.columns is not None else within(row) for row in block]
                )
                row = start + int(outside.argmax())
                row = row if index is None else int(index[row])
                what = "" if self.columns is None else ", or is no encoded row"
                raise CertificateError(
                    f"row {row} holds a value that is not finite, or beyond the range of float32{what}"
                )
            yield self.convert(block)

    def fits(self, block: NDArray[Any], *, every_level_is_known: bool = False) -> bool:
        """Whether all are rows as they were encoded."""
        if self.columns is None or block.ndim != 2 or block.dtype.newbyteorder("=") != np.dtype(np.float64):
            return False
        if block.shape[1] != len(self.columns.is_number):
            return False
        return bool(self.columns.fits(block, every_level_is_known=every_level_is_known).all())

    def moments(self, parts: list[tuple[NDArray[Any], NDArray[np.int64]]]) -> list[NDArray[np.float64]]:
        """Mean, population deviation and largest absolute value of each number of the rows, pooled, in their units.

        The deviation is exactly 0 where all are equal. Missing values are left out; where all are, all three are 0.
        parts: for each side its array and the numbers of its rows.
        """
        blocks = [(array, np.sort(index)[k : k + 4096]) for array, index in parts for k in range(0, len(index), 4096)]
        first = np.full(self.row_shape, np.nan)
        sums, largest, count = np.zeros(self.row_shape), np.zeros(self.row_shape), np.zeros(self.row_shape)
        for array, index in blocks:
            rows = self.rows(np.asarray(array[index]))
            present = ~np.isnan(rows)
            found = np.take_along_axis(rows, present.argmax(axis=0)[None], axis=0)[0]
            first = np.where(np.isnan(first), found, first)
            sums += np.where(present, rows - first, 0.0).sum(axis=0)
            largest = np.maximum(largest, np.where(present, np.abs(rows), 0.0).max(axis=0))
            count += present.sum(axis=0)
        first, count = np.nan_to_num(first), np.maximum(count, 1)
        shift, squares = sums / count, np.zeros(self.row_shape)
        for array, index in blocks:
            rows = self.rows(np.asarray(array[index]))
            squares += np.square(np.where(np.isnan(rows), 0.0, rows - first - shift)).sum(axis=0)
        return [first + shift, np.sqrt(squares / count), largest]

    def quartiles(self, parts: list[tuple[NDArray[Any], NDArray[np.int64]]]) -> NDArray[np.float64]:
        """The quantiles at 1/4, 1/2 and 3/4 of each number of the rows, pooled, interpolated linearly: (3, *row_shape).

        Missing values are left out; where all are, they are 0.
        """
        width, rows = math.prod(self.row_shape), sum(len(index) for _, index in parts)
        out = np.zeros((3, width))
        for start in range(0, width, step := max(1, QUANTILE_NUMBERS // max(1, rows))):
            chosen = slice(start, start + step)
            pieces = [
                self.rows(np.asarray(array[index[k : k + 4096]])).reshape(-1, width)[:, chosen]
                for array, index in ((array, np.sort(index)) for array, index in parts)
                for k in range(0, len(index), 4096)
            ]
            for column, values in enumerate(np.concatenate(pieces).T, start):
                present = values[~np.isnan(values)]
                if len(present):
                    out[:, column] = np.quantile(present, (0.25, 0.5, 0.75))
        return out.reshape(3, *self.row_shape)


def check_scale(certificate: Mapping[str, Any], arrays: list[NDArray[Any]], parts: list[Parts]) -> tuple[str, Input]:
    """How rows become what the critic takes, once all that rows decide of it is derived. Raises CertificateError."""
    takes = Input.from_json(certificate["input"])
    if takes.columns is not None:
        _check_encoded(takes, arrays)
    selected = [(array, part.select) for array, part in zip(arrays, parts, strict=True)]
    if takes.is_of_first:  # the first set of a matrix; if it is none of the two, its rows are not here
        numbers = certificate["split"]["numbers"]
        selected = [each for each, number in zip(selected, numbers, strict=True) if number == 0]
    if not takes.is_fitted or not selected:
        return f"{takes.kind}: as the file says", takes
    mean, deviation, largest = takes.moments(selected)
    size = np.where(deviation > 0, deviation, 1.0)
    if takes.kind not in FITTED:  # only the place of missing values is theirs
        _require_centre(takes, takes.missing, np.ones(takes.row_shape, dtype=bool), (mean, size, largest))
        return f"{takes.kind}: as the file says; missing values are at the means of the select rows", takes
    numbers_of = np.ones(takes.row_shape, dtype=bool) if takes.columns is None else takes.columns.is_number
    divisor, coarse, what = size, np.zeros(takes.row_shape), ("deviations", "means")
    if takes.kind in ROBUST:
        low, mean, high = takes.quartiles(selected)
        apart = (high - low) / QUARTILES
        divisor = np.where(apart > 0, apart, size)
        coarse, what = np.where(apart > 0, 4 * U * largest, 0.0), ("quartile distances", "medians")
    # An offset makes means coarse, but no deviations: an issuer could choose a divisor within what it would cost.
    wrong = (
        ~(np.abs(takes.divisor - divisor) <= np.where(deviation > 0, TOLERANCE * divisor, 0.0) + coarse) & numbers_of
    )
    _require(not wrong.any(), f"{int(wrong.sum())} divisors are not the {what[0]} of the select rows")
    _require_centre(takes, takes.center, numbers_of, (mean, divisor, largest), what[1])
    return "centre and divisors are those of the select rows", takes


def _require_centre(
    takes: Input,
    center: Any,
    where: NDArray[Any],
    found: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    what: str = "means",
) -> None:
    """Refuse a centre other than the one found; found: it, the columns' divisors and their largest values."""
    mean, divisor, largest = found
    if takes.kind not in FITTED and takes.columns is not None:
        mean = np.where(takes.columns.is_optional, mean, 0.0)
    wrong = ~(np.abs(center - mean) <= TOLERANCE * divisor + 64 * U * largest) & where
    _require(not wrong.any(), f"{int(wrong.sum())} numbers of the centre are not the {what} of the select rows")


def _check_encoded(takes: Input, arrays: list[NDArray[Any]]) -> None:
    """Refuse rows that are none of encoded tables, of which every level is known."""
    for side, array in zip(("source", "target"), arrays, strict=True):
        _require(array.ndim == 2 and array.dtype == np.float64, f"{side}: encoded rows are a table of float64")
        step = max(1, BLOCK_BYTES // (8 * max(1, array.shape[1])))
        for start in range(0, len(array), step):
            fits = takes.fits(np.asarray(array[start : start + step]), every_level_is_known=True)
            _require(fits, f"{side}: a row from row {start} on is none of the encoded table")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise CertificateError(message)


def within(block: NDArray[Any]) -> bool:
    """Whether all values are numbers of at most the largest that float32 has; NaN is not."""
    return not block.size or (float(block.min()) >= -LARGEST and float(block.max()) <= LARGEST)


def require_fields(what: str, stored: Any, fields: set[str]) -> None:
    """Raise CertificateError unless `stored` is an object of exactly these fields."""
    if not isinstance(stored, dict) or set(stored) != fields:
        found = sorted(stored) if isinstance(stored, dict) else stored
        raise CertificateError(f"{what} has the fields {shown(found)}, not {sorted(fields)}")


def is_real(value: Any) -> bool:
    """Whether a number of the JSON is one of the reals that a double holds, and no boolean."""
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def _numbers(name: str, value: Any) -> NDArray[np.float64]:
    """A number, or nested lists of numbers, as an array."""
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, list):
            pending.extend(each)
        elif not is_real(each):
            raise CertificateError(f"{name} holds {shown(each)}, which is no number")
    try:
        return np.asarray(value, dtype=np.float64)
    except ValueError as error:
        raise CertificateError(f"{name} is not of one shape") from error
