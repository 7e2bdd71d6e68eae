"""The certificate's JSON: every field at every depth has its place and its type; the rest is refused."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from .container import CertificateError, Tensors, read_container, shown
from .rows import is_real, require_fields
from .units import METHODS

FORMAT = "wdist certificate"
VERSION = 2
SIDES = ("source", "target")
PARTS = ("train", "select", "test")
MODES = ("random", "blocks", "groups")
SEED_LIMIT = 1 << 128
MOST_GROUPS = 1 << 26  # of all sets together: their order is held in memory
KEYS = {"format", "version", "library", "data", "recipe", "input", "split", "critic", "statement", "upper", "reported"}
STATEMENT = {"value", "lower_bound", "confidence", "p_value", "method", "prior", "clip", "rounding"}
UPPER = {"bound", "cost", "diameter", "ranges"}
PLAN = ("plan.source", "plan.target", "plan.mass")
PAIRS = 16  # of a plan, for each row of both sets; honest plans have up to 5

Certificate = dict[str, Any]
Test = Callable[[Any], bool]


def open_certificate(content: bytes) -> tuple[Certificate, Tensors]:
    """The checked JSON and the tensors of a file. Raises CertificateError for anything that format 2 does not have."""
    certificate, tensors = read_container(content)
    if certificate.get("format") != FORMAT:
        raise CertificateError("this is no wdist certificate")
    library, version = certificate.get("library"), certificate.get("version")
    if not (isinstance(library, str) and re.fullmatch(r"[0-9A-Za-z.+!-]{1,64}", library)):
        raise CertificateError(f"{shown(library)} is no version of wdist")
    if type(version) is int and version == 1:
        raise CertificateError(
            f"written by wdist {library} in format 1, whose bounds did not account for rounding, and could be false "
            "for groups: ask for a new certificate"
        )
    if type(version) is not int or version != VERSION:
        raise CertificateError(
            f"written by wdist {library} in format {shown(version)}; this verifier reads format {VERSION}"
        )
    require_fields("the certificate", certificate, KEYS)
    _check_data(certificate["data"])
    _check_recipe(certificate)
    _check_split(certificate["split"], certificate["data"])
    require_fields("critic", certificate["critic"], {"layers", "lipschitz_bound"})
    _require("critic.lipschitz_bound", certificate["critic"]["lipschitz_bound"], _positive)
    _require("critic.layers", certificate["critic"]["layers"], lambda value: isinstance(value, list))
    _check_statement(certificate["statement"], certificate["split"]["mode"])
    _check_upper(certificate)
    _check_reported(certificate["reported"], is_certified=certificate["upper"] is not None)
    _check_tensors(certificate, tensors)
    return certificate, tensors


def _require(name: str, value: Any, test: Test) -> None:
    if not test(value):
        raise CertificateError(f"{name} is {shown(value)}, which it cannot be")


def _whole(value: Any) -> bool:
    return type(value) is int


def _number(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 32


def _size(value: Any) -> bool:
    return type(value) is int and 1 <= value < 1 << 62


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _positive(value: Any) -> bool:
    return is_real(value) and value > 0


def _not_negative(value: Any) -> bool:
    return is_real(value) and value >= 0


def _or_null(test: Test) -> Test:
    return lambda value: value is None or test(value)


def _list_of(test: Test, *, least: int = 0, most: int = 1 << 20) -> Test:
    return lambda value: isinstance(value, list) and least <= len(value) <= most and all(map(test, value))


def _digest(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _check_data(data: Any) -> None:
    require_fields("data", data, set(SIDES))
    for side in SIDES:
        require_fields(f"data.{side}", data[side], {"sha256", "shape", "dtype", "file_sha256"})
        _require(f"data.{side}.sha256", data[side]["sha256"], _digest)
        _require(f"data.{side}.file_sha256", data[side]["file_sha256"], _or_null(_digest))
        _require(f"data.{side}.shape", data[side]["shape"], _list_of(_size, least=1, most=4))
        _require(
            f"data.{side}.dtype", data[side]["dtype"], lambda value: _text(value) and bool(_DTYPE.fullmatch(value))
        )


_NAMES = _list_of(_text, most=1_000)
# How files were read: none of it enters a computation here, and `wdist verify` reads them so again.
READING: Mapping[str, Test] = {
    **dict.fromkeys(("columns", "drop", "categories", "dates"), _NAMES),
    **dict.fromkeys(("time_unit", "time_start", "missing", "member", "decimal", "separator", "thousands"), _text),
    **dict.fromkeys(("encoding", "sheet", "embedding"), _text),
    **dict.fromkeys(("header", "subfolders"), lambda value: type(value) is bool),
}


def _check_recipe(certificate: Certificate) -> None:
    """The recipe is null, or says how files were read and, of mixed tables, encoded; the input then says the same."""
    recipe, taken = certificate["recipe"], certificate["input"]
    encoded = isinstance(taken, dict) and "kinds" in taken
    if recipe is None:
        if encoded:
            raise CertificateError("rows are encoded, and no recipe says how")
        return
    require_fields("recipe", recipe, {"reading", "encoding", "category_cost"})
    reading, encoding = recipe["reading"], recipe["encoding"]
    if not isinstance(reading, dict) or not set(reading) <= set(READING):
        raise CertificateError(f"recipe.reading has the fields {shown(reading)}, of which some are unknown")
    for name, value in reading.items():
        _require(f"recipe.reading.{name}", value, READING[name])
    _require("recipe.category_cost", recipe["category_cost"], _or_null(_positive))
    if len({encoding is None, recipe["category_cost"] is None, not encoded}) > 1:
        raise CertificateError("of encoding, category_cost and the kinds of columns there are all, or none")
    if encoding is None:
        return
    kinds = _kinds_of(encoding)
    if kinds != taken["kinds"]:
        raise CertificateError("the kinds of columns are not those of the recipe's encoding")
    width = sum(width for _, width in kinds)
    if any(certificate["data"][side]["shape"][1:] != [width] for side in SIDES):  # before anyone encodes rows so
        raise CertificateError(f"the recipe's encoding has {width:,} columns, and the rows have other ones")
    scale = taken.get("scale")
    if not isinstance(scale, dict) or scale.get("category_cost") != recipe["category_cost"]:
        raise CertificateError("the scale has another category_cost than the recipe")


def _kinds_of(encoding: Any) -> list[list[Any]]:
    """What becomes of each column of a table: its kind, and how many columns it has. Checks every field."""
    require_fields("recipe.encoding", encoding, {"columns", "missing"})
    missing = encoding["missing"]
    _require("recipe.encoding.missing", missing, lambda value: type(value) is bool)
    _require("recipe.encoding.columns", encoding["columns"], lambda value: isinstance(value, list) and len(value) > 0)
    kinds: list[list[Any]] = []
    for place, column in enumerate(encoding["columns"]):
        where, kind = f"recipe.encoding.columns.{place}", column.get("kind") if isinstance(column, dict) else None
        if not isinstance(kind, str) or kind not in _OF_KIND:
            raise CertificateError(f"{where} is {shown(column)}, no column of a table")
        require_fields(where, column, {"name", "kind", *_OF_KIND[kind]})
        for name in {"name", *_OF_KIND[kind]} - {"levels"}:
            _require(f"{where}.{name}", column[name], _text)
        if kind == "category":
            levels = column["levels"]
            _require(f"{where}.levels", levels, _list_of(_text))
            if levels != sorted(set(levels)):
                raise CertificateError(f"{where}.levels are not sorted, or not each once")
            kinds.append(["levels", len(levels) + missing])
        elif kind == "boolean":
            kinds.append(["levels", 3] if missing else ["indicator", 1])
        else:
            kinds.append(["optional", 2] if missing else ["number", 1])
    return kinds


_OF_KIND: Mapping[str, set[str]] = {
    "number": set(),
    "boolean": set(),
    "category": {"levels"},
    "time": {"unit", "start"},
}

_DTYPE = re.compile(r"[|<>](b1|[iu][1248]|f[248])")


def _check_split(split: Any, data: Any) -> None:
    require_fields("split", split, {"mode", "seed", "numbers", "groups", *SIDES})
    _require("split.mode", split["mode"], lambda value: _text(value) and value in MODES)
    _require("split.seed", split["seed"], lambda value: _whole(value) and 0 <= value < SEED_LIMIT)
    _require("split.numbers", split["numbers"], _list_of(_number, least=2, most=2))
    if split["numbers"][0] == split["numbers"][1]:
        raise CertificateError("split.numbers are equal: both sets would have the split of one")
    if (split["groups"] is None) == (split["mode"] == "groups"):
        raise CertificateError("split.groups is null unless groups are split, and only then")
    if split["groups"] is not None:
        require_fields("split.groups", split["groups"], {"all", "fewest"})
        _require("split.groups.all", split["groups"]["all"], lambda value: _size(value) and value <= MOST_GROUPS)
        _require("split.groups.fewest", split["groups"]["fewest"], _size)
    for side in SIDES:
        require_fields(f"split.{side}", split[side], set(PARTS))
        for part in PARTS:
            _require(f"split.{side}.{part}", split[side][part], _size)
        if sum(split[side].values()) != data[side]["shape"][0]:
            raise CertificateError(f"split.{side}: the parts do not add up to the rows of the set")


def _check_statement(statement: Any, mode: str) -> None:
    require_fields("statement", statement, STATEMENT)
    _require("statement.value", statement["value"], is_real)
    _require("statement.lower_bound", statement["lower_bound"], _not_negative)
    _require("statement.rounding", statement["rounding"], _not_negative)
    _require("statement.confidence", statement["confidence"], lambda value: is_real(value) and 0.5 <= value < 1)
    _require("statement.method", statement["method"], lambda value: _text(value) and value in METHODS)
    _require("statement.clip", statement["clip"], _list_of(is_real, least=2, most=2))
    low, high = statement["clip"]
    _require("statement.clip", statement["clip"], lambda _: low <= high and math.isfinite(float(high) - float(low)))
    p_value = statement["p_value"]
    if (p_value is None) != (mode == "blocks"):
        raise CertificateError(
            "a p-value is null if rows are split by blocks, which are not exchangeable, and only then"
        )
    _require("statement.p_value", p_value, _or_null(lambda value: _positive(value) and value <= 1))

    def moments(value: Any) -> bool:
        return _list_of(is_real, least=2, most=2)(value) and value[1] >= 0

    _require("statement.prior", statement["prior"], _or_null(_list_of(moments, least=2, most=2)))


def _check_upper(certificate: Certificate) -> None:
    upper = certificate["upper"]
    if upper is None:
        return
    require_fields("upper", upper, UPPER)
    if certificate["split"]["mode"] != "random":
        raise CertificateError(
            "an upper bound is certified of rows that are independent draws alone: upper must be null"
        )
    _require("upper.bound", upper["bound"], _not_negative)
    _require("upper.cost", upper["cost"], _not_negative)
    _require("upper.diameter", upper["diameter"], _or_null(_positive))
    _require("upper.ranges", upper["ranges"], _or_null(_list_of(is_real, least=2, most=1 << 22)))
    ranges = upper["ranges"] or []
    if len(ranges) % 2 or any(low > high for low, high in zip(ranges[::2], ranges[1::2], strict=True)):
        raise CertificateError("upper.ranges are not pairs of a lowest and a highest value")
    if ranges and upper["diameter"] is not None:
        raise CertificateError("upper has both a diameter and ranges, of which it may have one")


_REAL_OR_NULL = _or_null(is_real)

# What is reported without proof is read all the same: each figure has a type, or the names of those it consists of.
REPORTED: Mapping[str, Test | Mapping[str, Test]] = {
    "family": _text,
    "upper_bound": _REAL_OR_NULL,  # one that is not certified
    "units": _text,
    "trivial": {"mean_difference": _REAL_OR_NULL, "max_sliced": _REAL_OR_NULL},
    "empirical": {"lower": _REAL_OR_NULL, "upper": _REAL_OR_NULL, "exact": _REAL_OR_NULL},
    "null_baseline": {"rows": _whole, "between": is_real, "within": is_real},
    "steps": _whole,
    "seconds": is_real,
    "device": _text,
    "warnings": _list_of(_text),
}
MAY_BE_NULL = {"empirical", "null_baseline"}


def _check_reported(reported: Any, *, is_certified: bool) -> None:
    require_fields("reported", reported, set(REPORTED))
    if is_certified and reported["upper_bound"] is not None:
        raise CertificateError("an upper bound that is certified is not reported a second time")
    for name, test in REPORTED.items():
        value = reported[name]
        if callable(test):
            _require(f"reported.{name}", value, test)
        elif value is not None or name not in MAY_BE_NULL:
            require_fields(f"reported.{name}", value, set(test))
            for each, own in test.items():
                _require(f"reported.{name}.{each}", value[each], own)


def _check_tensors(certificate: Certificate, tensors: Tensors) -> None:
    """Refuse tensors that nothing reads; those of layers are checked where the critic is built."""
    grouped = certificate["split"]["mode"] == "groups"
    shapes = [certificate["data"][side]["shape"] for side in SIDES]
    planned = certificate["upper"] is not None and math.prod(shapes[0][1:]) > 1  # on the line, rows are sorted
    expected = {f"groups.{side}" for side in SIDES} if grouped else set(PLAN) if planned else set()
    others = {name for name in tensors if not name.startswith("layers.")}
    if others != expected:
        raise CertificateError(f"tensors {shown(sorted(others ^ expected))} are missing, or belong to nothing")
    if planned:
        _check_plan([tensors[name] for name in PLAN], shapes[0][0] + shapes[1][0])
    for side in SIDES if grouped else ():
        tensor, rows = tensors[f"groups.{side}"], certificate["data"][side]["shape"][0]
        if tensor.dtype.kind != "i" or tensor.shape != (rows,):
            raise CertificateError(f"groups.{side} is not one whole number for each of {rows} rows")
        if tensor.min() < 0 or tensor.max() >= certificate["split"]["groups"]["all"]:
            raise CertificateError(
                f"groups.{side} holds numbers that none of the {certificate['split']['groups']['all']} groups has"
            )


def _check_plan(plan: list[NDArray[Any]], rows: int) -> None:
    if [tensor.dtype.str for tensor in plan] != ["<i8", "<i8", "<f8"] or len({tensor.shape for tensor in plan}) > 1:
        raise CertificateError("a plan has a row of either set and a mass for each pair: I64, I64 and F64")
    shape = plan[0].shape
    if len(shape) != 1 or shape[0] > PAIRS * rows:
        raise CertificateError(f"a plan of shape {shape} between {rows} rows: at most {PAIRS * rows} pairs are read")
