"""What is taken as an array of numbers, and in which words everything else is refused."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wdist.data.tables.columns import NUMERIC_KINDS
from wdist.errors import SampleError

_FORMS = "give its rows as an array (n, d), a frame, or the path of a file"
_SHORT_FLOATS = ("bfloat16", "float8", "float6", "float4", "int4", "uint4", "int2", "uint2")  # of ml_dtypes
_LOOKED_AT = 10_000  # rows of text or objects in which a message looks for the first that is no number


def as_array(data: Any, name: str, *, masked_is_missing: bool = False) -> NDArray[Any]:
    """View array-like data as an array of real numbers, (n, ...), copied only where its form asks for it.

    `name` is the set's name in messages. masked_is_missing: masked values become NaN instead of being refused. Types
    that NumPy lacks, such as bfloat16 and float8, become float32, which has each of their values. Raises SampleError
    for whatever is no array of real numbers, with what to do about it.
    """
    if isinstance(data, np.ndarray):
        array: NDArray[Any] = data.view(np.ndarray) if isinstance(data, np.matrix) else data
    else:
        _refuse_kind(data, name)
        array = _of_torch(data, name) if _is_torch(data) else _of_others(data, name)
    if array.ndim == 0:
        raise SampleError(f"{name} is one value, {str(array)[:60]}, and no set of rows: {_FORMS}")
    if isinstance(array, np.ma.MaskedArray):
        array = np.ma.filled(array.astype(np.float64), np.nan) if masked_is_missing else _unmasked(array, name)
    if array.dtype.kind == "V" and array.dtype.names is None and array.dtype.name.startswith(_SHORT_FLOATS):
        array = array.astype(np.float32)
    if array.dtype.kind not in NUMERIC_KINDS:
        raise SampleError(f"{name}: {refused_type(array.dtype, array.ndim) or _refused_values(array)}")
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)  # long double: its padding bytes would enter the digest
    return array


def _refuse_kind(data: Any, name: str) -> None:
    """Raise SampleError for objects that NumPy would take for one value, or for other values than were meant."""
    if data is None:
        raise SampleError(f"{name} is None: {_FORMS}")
    kind = type(data).__name__
    if isinstance(data, type | types.ModuleType | types.FunctionType | types.BuiltinFunctionType | types.MethodType):
        what = "a class" if isinstance(data, type) else f"a {kind}"
        raise SampleError(f"{name} is {what}, {getattr(data, '__name__', kind)}, and no data: {_FORMS}")
    if isinstance(data, bytes | bytearray | memoryview):
        raise SampleError(f"{name} is {kind}, whose numbers have no type: read it with numpy.frombuffer(data, dtype)")
    if isinstance(data, Mapping):
        raise SampleError(f"{name} is a {kind}: make a table of its columns, pandas.DataFrame(data)")
    if isinstance(data, set | frozenset):
        raise SampleError(f"{name} is a {kind}, which drops equal rows: give a list of all rows")
    if hasattr(data, "read") and hasattr(data, "close"):
        raise SampleError(f"{name} is an open file: give its path")
    if isinstance(data, Iterator):
        raise SampleError(f"{name} is a {kind}, which can be read once only: give list(data)")
    if isinstance(data, Number | np.generic) and not hasattr(data, "__len__"):
        raise SampleError(f"{name} is one value, {str(data)[:60]}, and no set of rows: {_FORMS}")


def _is_torch(data: Any) -> bool:
    return hasattr(data, "detach") and hasattr(data, "cpu")


def _of_torch(tensor: Any, name: str) -> NDArray[Any]:
    """The array of a tensor on any device; recognised by its methods, without an import of torch."""
    for attribute, what, way in (
        ("is_nested", "nested, with rows of different lengths", "pad it with torch.nested.to_padded_tensor(x, 0.0)"),
        ("is_meta", "on the device meta, which keeps no values", "make it on the CPU"),
        ("is_quantized", "quantized", "give x.dequantize()"),
        ("is_sparse", "sparse", "give x.to_dense()"),
    ):
        if getattr(tensor, attribute, False):
            raise SampleError(f"{name}: the tensor is {what}: {way}")
    if not str(getattr(tensor, "layout", "torch.strided")).endswith("strided"):
        raise SampleError(f"{name}: the tensor is sparse: give x.to_dense()")
    if tensor.is_complex():
        way = "torch.view_as_real(x.resolve_conj()).flatten(1)"
        raise SampleError(f"{name}: complex numbers are not real numbers: give their parts as columns, {way}")
    try:
        here = tensor.detach().cpu()
        if here.dtype.is_floating_point and str(here.dtype) not in _NUMPY_FLOATS:
            here = here.float()
        return np.asarray(here.resolve_conj().resolve_neg())
    except Exception as error:  # whatever torch raises for a type or layout of its own
        kind = getattr(tensor, "dtype", "no type")
        problem = f"a tensor of {kind} cannot be read: {_first_line(error)}; give x.to(torch.float32)"
        raise SampleError(f"{name}: {problem}") from error


_NUMPY_FLOATS = ("torch.float16", "torch.float32", "torch.float64")


def _of_others(data: Any, name: str) -> NDArray[Any]:
    ways: list[Callable[[Any], Any]] = [np.asarray]
    if hasattr(data, "__dlpack__") and not hasattr(data, "__array__"):
        ways = [np.from_dlpack, lambda given: np.from_dlpack(given, device="cpu", copy=True)]
    failure: BaseException | None = None
    for way in ways:
        try:
            array: NDArray[Any] = way(data)
            break
        except (Exception, MemoryError) as error:  # what an object's own __array__ raises
            failure = error
    else:
        if isinstance(data, list | tuple):
            raise SampleError(
                f"{name}: not an array: {_first_line(failure)}; give every row the same number of columns"
            ) from failure
        raise SampleError(
            f"{name}: a {type(data).__name__} cannot be read as an array: {_first_line(failure)}; copy it to a NumPy "
            "array first, as x.get() of CuPy does"
        ) from failure
    if array.dtype == object and array.ndim == 0:
        raise SampleError(f"{name}: an object of type {type(data).__name__} is no data: {_FORMS}")
    return array


def _unmasked(array: np.ma.MaskedArray[Any, Any], name: str) -> NDArray[Any]:
    """The values of a masked array that masks none. Raises SampleError naming the first masked value, if any."""
    if np.ma.is_masked(array):
        row, *rest = (int(i) for i in np.argwhere(np.ma.getmaskarray(array))[0])
        where = f", column {rest[0]}" if len(rest) == 1 else f", at {tuple(rest)}" if rest else ""
        raise SampleError(
            f"{name}: the value in row {row}{where} is masked; remove or impute such rows, or give missing='drop'"
        )
    return np.asarray(array)


def refused_type(dtype: np.dtype[Any], ndim: int) -> str | None:
    """What is wrong with an array `x` of a type that is not of real numbers, and how to make one of it without loss.

    None for text and objects, of which only the values tell.
    """
    if dtype.kind == "c":
        joined = "concatenate([x.real, x.imag], axis=1)" if ndim > 1 else "stack([x.real, x.imag], axis=1)"
        return f"complex numbers are not real numbers: give their parts as columns, numpy.{joined}"
    if dtype.kind == "M":
        count = "(x - numpy.datetime64('1970-01-01')) / numpy.timedelta64(1, 'D')"
        return f"dates and times are not real numbers: count them in a unit, {count} for days"
    if dtype.kind == "m" and np.datetime_data(dtype)[0] in ("Y", "M", "generic"):
        return "spans of time in months, years or no unit are not real numbers: count them, x.astype('int64')"
    if dtype.kind == "m":
        return "spans of time are not real numbers: count them in a unit, x / numpy.timedelta64(1, 's') for seconds"
    if dtype.names is not None:
        return "a structured array is not of real numbers: make a table of its fields, pandas.DataFrame(x)"
    if dtype.kind == "V":
        return f"values of type {dtype} are not real numbers: give their bytes a type, x.view(dtype)"
    return None


def _refused_values(array: NDArray[Any]) -> str:
    """The first value of an array of text or objects that is not a number."""
    for at, value in np.ndenumerate(array[:_LOOKED_AT]):
        is_number = _reads_as_number(value) if array.dtype.kind in "SUT" else isinstance(value, Number | np.bool_)
        if is_number and not isinstance(value, complex | np.complexfloating):
            continue
        where = f"row {at[0]}" + (f", column {at[1]}" if len(at) == 2 else f", at {at[1:]}" if len(at) > 2 else "")
        if isinstance(value, list | tuple | np.ndarray):
            return f"{where} holds {str(value)[:60]!r}; give every row the same number of columns"
        if isinstance(value, str | bytes):
            way = "give text as a column of a table, pandas.DataFrame(x, columns=[...]), and name it in categories"
        else:
            way = "remove such rows, or give numbers in its place"
        return f"{where} holds {str(value)[:60]!r}, not a number; {way}"
    what = "numbers as text" if array.dtype.kind in "SUT" else "numbers as Python objects"
    return f"{what}: convert them with x.astype('float64')"


def _reads_as_number(text: str | bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _first_line(error: BaseException | None) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
