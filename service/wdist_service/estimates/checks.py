"""Reject a comparison when it is asked for, which the estimator would reject after a wait in the queue."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from wdist.critics.registry import FAMILIES
from wdist.data.columns import check_kinds, check_names
from wdist.data.samples import SampleSet as OpenedSet
from wdist.data.samples import open_samples
from wdist.data.splits import MINIMUM_ROWS
from wdist.data.tables.encoding import Encoding
from wdist.data.tables.schema import TableSchema
from wdist.errors import OptionError, SampleError
from wdist_service.errors import InvalidError
from wdist_service.sample_sets.columns import called, names_of
from wdist_service.tables import SampleSet


def encoding_of(source: SampleSet, target: SampleSet) -> Encoding | None:
    """How the codes of two sets that are compared become rows; None where both hold plain numbers.

    Raises SampleError, which names the sets and the columns, if their columns differ in name, kind or unit.
    """
    bare = source if names_of(source) is None else target
    names = names_of(source), names_of(target)
    check_kinds(source.shape, target.shape, called(source), called(target), names)
    check_names(
        *names, called(source), called(target),
        naming=f"by PUT /v1/sample-sets/{bare.id}/columns", again="; what is stored must be uploaded again with it",
    )  # fmt: skip
    if source.table_schema is None and target.table_schema is None:
        return None
    schemas = [_schema(source, target), _schema(target, source)]
    return Encoding.of(schemas, [called(source), called(target)])


def _schema(row: SampleSet, other: SampleSet) -> TableSchema:
    """The schema of a set; plain numbers without names take those of the other set, which is a table."""
    if row.table_schema is not None:
        return TableSchema.from_json(row.table_schema)
    width = math.prod(row.shape[1:])
    coded = TableSchema.from_json(other.table_schema or {"columns": [], "missing": False})
    if len(row.shape) != 2 or width != len(coded.columns):
        raise SampleError(
            f"{called(row)} has rows of shape {tuple(row.shape[1:])} and {called(other)} has {len(coded.columns)} "
            "columns; give both the same columns in the same order"
        )
    return TableSchema.of_numbers(names_of(row) or coded.names)


def check_pair(
    source: SampleSet, target: SampleSet, options: dict[str, Any], sides: tuple[str, str] = ("source", "target"),
) -> None:  # fmt: skip
    """Raise InvalidError if two sets cannot be compared with these options. Reads no values.

    sides: what the request calls the two. Errors about both of them name the second.
    """
    for side, row in zip(sides, (source, target), strict=True):
        if row.rows < MINIMUM_ROWS:
            raise InvalidError(
                f"{called(row)} has {row.rows} rows; at least {MINIMUM_ROWS} are needed to train on some and "
                "certify on others",
                field=side,
            )
    try:
        encoding = encoding_of(source, target)
    except SampleError as error:
        raise InvalidError(str(error), field=sides[1]) from error
    one = _opened(sides[0], source, encoding, options)
    other = _opened(sides[1], target, encoding, options)
    if one.row_shape != other.row_shape:
        raise InvalidError(
            f"{sides[0]} has rows of shape {one.row_shape} and {sides[1]} of {other.row_shape}; give both the same "
            "columns in the same order",
            field=sides[1],
        )
    _check_options(one, encoding, options)
    if one.is_image and (one.divisor != other.divisor):
        raise InvalidError(
            f"{sides[0]} is {one.dtype} and {sides[1]} is {other.dtype}: uint8 images are divided by 255 and others "
            "are not; convert both to the same type and range",
            field=sides[1],
        )
    if source.statistics["constant"] and target.statistics["constant"] and (
        source.statistics["columns"] == target.statistics["columns"]
    ) and source.statistics["mean"] == target.statistics["mean"]:  # fmt: skip
        raise InvalidError("every row of both sets is the same; there is nothing to compare", field=sides[1])


def _opened(side: str, row: SampleSet, encoding: Encoding | None, options: dict[str, Any]) -> OpenedSet:
    """A set with the shape and type of its rows but not their values, as the file may be on another machine."""
    shape = row.shape if encoding is None else [row.rows, len(encoding.columns)]
    try:
        return open_samples(np.broadcast_to(np.zeros((), row.dtype), shape), side, options.get("layout"))
    except OptionError as error:
        raise InvalidError(str(error), field="layout") from error
    except SampleError as error:
        raise InvalidError(str(error), field=side) from error


def _check_options(rows: OpenedSet, encoding: Encoding | None, options: dict[str, Any]) -> None:
    """Raise InvalidError for a critic or a scale that does not fit the rows."""
    family = FAMILIES.get(options.get("critic", "auto"))
    if family is not None and not family.fits(rows.row_shape):
        raise InvalidError(
            f"critic {family.name} needs images, the rows have shape {rows.row_shape}; use auto", field="critic"
        )
    scale = options.get("scale")
    if encoding is None:
        if isinstance(scale, list) and len(scale) != rows.dimension:
            raise InvalidError(f"scale has {len(scale)} factors, a row has {rows.dimension} numbers", field="scale")
        return
    numbers = int(encoding.is_number.sum())
    if isinstance(scale, list) and len(scale) != numbers:
        raise InvalidError(
            f"scale has {len(scale)} factors, the tables have {numbers} columns of numbers or times; give one for each "
            "of these",
            field="scale",
        )
    ranges = options.get("ranges")
    if isinstance(ranges, list) and len(ranges) not in (2, 2 * numbers):
        raise InvalidError(
            f"ranges: {len(ranges)} numbers were given; give 2, the lowest and the highest of all, or 2 for each of "
            f"the {numbers} columns of numbers or times",
            field="ranges",
        )


def check_groups(labels: Mapping[str, SampleSet], compared: Iterable[SampleSet]) -> None:
    """Check that group labels, keyed by set id, match the sets. The trainer checks that there are enough groups.

    Raises InvalidError.
    """
    sets = {row.id: row for row in compared}
    if stray := sorted(set(labels) - set(sets)):
        raise InvalidError(f"groups names {stray[0]}, which is not compared here", field="groups")
    for key, row in sets.items():
        if key not in labels:
            raise InvalidError(
                f"groups has no labels for {called(row)}; give them for every set compared", field="groups"
            )
        given = labels[key]
        if given.shape != [row.rows, 1]:
            raise InvalidError(
                f"groups: {called(row)} has {row.rows:,} rows, but {called(given)} has the shape "
                f"{tuple(given.shape)}; give one column with one label for each row, ({row.rows}, 1)",
                field="groups",
            )
