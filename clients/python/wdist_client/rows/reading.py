"""The options of a reading: what of them a client does itself with a frame, and how a request says the rest."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from wdist_client.advice import options
from wdist_client.errors import OptionError, SampleError

_SUBSETS = ("drop", "categories", "dates")  # a part of what a set was read with asks for nothing else
_DEFAULTS: dict[str, Any] = {"missing": "error", "subfolders": False}
_OF_FILES = frozenset(
    ("member", "decimal", "separator", "thousands", "header", "encoding", "sheet", "embedding", "subfolders")
)  # which say nothing of a frame
_OF_TEXT = frozenset(("decimal", "separator", "thousands", "header", "encoding"))
_TEXT = (".csv", ".tsv", ".txt", ".dat", ".tab", ".gz")
_FORMATS = (*_TEXT, ".npy", ".npz", ".parquet", ".json", ".xlsx", ".xlsm", ".h5ad", ".zip")
_EACH = {"drop": "leave out", "categories": "take as categories", "dates": "read as dates", "columns": "take"}
_LOOKED_AT = 10_000  # columns among which one of a near name is sought
_MOST_TAKEN, _LONGEST_NAME = 1000, 200  # columns that a request names, and characters of a name that is kept whole
_UNNAMED = re.compile(r"(Unnamed: 0(\.\d+)*)?|__index_level_\d+__")  # what pandas and polars call an index in a file


def fields() -> list[str]:
    """The options of a reading, and the column of labels."""
    return [name for name in options() if name not in ("by", "reference", "levels")]


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that ask for something. Raises OptionError for one that is none, or is of another type."""
    return {name: _checked(name, value) for name, value in given.items() if not _is_default(name, value)}


def _is_default(name: str, value: Any) -> bool:
    is_empty = isinstance(value, list | tuple | set | frozenset) and not value and options().get(name) is list
    return value is None or is_empty or (name in _DEFAULTS and value == _DEFAULTS[name])


def _checked(name: str, value: Any) -> Any:
    kind = options().get(name)
    if kind is None:
        close = difflib.get_close_matches(name, fields(), n=1)
        raise OptionError(f"{name} is no option of a reading" + "".join(f"; did you mean {each}?" for each in close))
    if kind is list:
        if isinstance(value, str):
            return [value]
        if isinstance(value, Mapping) or not isinstance(value, Collection):
            raise OptionError(f"{name} is {value!r:.60}; it takes a list of names of columns")
        if wrong := [each for each in value if not isinstance(each, str)]:
            raise OptionError(f"{name} holds {wrong[0]!r:.60}, which is no name of a column: give text")
        return list(value)
    if not isinstance(value, kind):
        raise OptionError(f"{name} is {value!r:.60}; it {'must be True or False' if kind is bool else 'takes text'}")
    return value


def of_a_table(take: Mapping[str, Any]) -> bool:
    """Whether something is asked that an array without names or missing values cannot give."""
    return bool(take.keys() & {"columns", "drop", "categories", "dates", "labels", "missing", "by"})


def are_bookkeeping(names: Sequence[str]) -> bool:
    """Whether a column may be an index that was written as one: the server says so, and leaves it out."""
    return any(_UNNAMED.fullmatch(name) for name in names)


def chosen(names: Sequence[str], take: Mapping[str, Any], *, has_names: bool) -> tuple[list[int], dict[str, Any]]:
    """Places of the columns of a frame that are sent, and what is then left to do of the reading.

    Raises SampleError for a column that is not there.
    """
    left = {name: value for name, value in take.items() if name not in ("columns", "drop")}
    columns, drop, labels, by = (take.get(name) for name in ("columns", "drop", "labels", "by"))
    wanted = [*(columns or ()), *(drop or ()), *take.get("categories", ()), *take.get("dates", ())]
    for name in (*wanted, *(each for each in (labels, by) if each is not None)):
        if not has_names:
            raise SampleError(f"the columns have no names by which to choose {name[:100]!r}")
        if name not in names:
            there, way = ", ".join(names)[:300], _instead(name, names, take)
            raise SampleError(f"no column is named {name[:100]!r}; there are {there}{way}")
    if labels is not None and take.get("missing") != "drop":  # missing values of other columns do not matter
        return [names.index(labels)], {"labels": labels}
    if columns is None and not drop:
        return list(range(len(names))), left
    kept = [name for name in (names if columns is None else columns) if name not in (drop or ())]
    kept += [name for name in (labels, by) if name is not None and name not in kept]
    if not [name for name in kept if name not in (labels, by)]:
        raise SampleError("no column is left; drop fewer")
    return [names.index(name) for name in kept], left


def _instead(name: str, names: Sequence[str], take: Mapping[str, Any]) -> str:
    """What to say of a column that is not there: the one that is called alike, or several that were given as one."""
    parts = [part.strip() for part in name.split(",")]
    option = next((each for each in _EACH if name in take.get(each, ())), None)
    if option is not None and len(parts) > 1 and set(parts) <= set(names):
        return f". To {_EACH[option]} each of them, give {option}={parts!r}"
    lower = {each.lower(): each for each in names[:_LOOKED_AT]}
    near = difflib.get_close_matches(name.lower(), lower, n=1)
    return f"; did you mean {lower[near[0]]!r}?" if near else ""


def not_as_read(
    stored: Mapping[str, Any] | None, columns: Sequence[str] | None, given: Mapping[str, Any], *, beside_data: bool
) -> dict[str, Any]:
    """The options that would have to change a stored set, by its `reading` and the names of its columns.

    beside_data: the options are also those of data that is given with the set. Then they ask nothing of a set that
    has these columns already.
    """
    left = {}
    for name, value in given.items():
        if value is None:
            continue
        wanted, was = _comparable(name, _checked(name, value)), _comparable(name, (stored or {}).get(name))
        if wanted == was or (wanted and name in _SUBSETS and set(wanted) <= set(was or ())):
            continue
        if beside_data and columns is not None:
            has_them = name == "columns" and wanted == list(columns)
            if has_them or (name == "drop" and not set(wanted or ()) & set(columns)):
                continue
        left[name] = value if options()[name] is not list or not isinstance(value, str) else [value]
    return left


def _comparable(name: str, value: Any) -> Any:
    """The value by which two readings are told apart: what is left out is the default."""
    if options()[name] is list and value is not None:
        return (list(value) if name == "columns" else sorted(set(value))) or None
    return _DEFAULTS.get(name) if value is None else value


def written(given: Mapping[str, Any]) -> str:
    """The options as one writes them in Python; `advice.in_flags` makes flags of them."""
    return ", ".join(f"{name}={list(v) if options()[name] is list else v!r}" for name, v in given.items())


def of_more(stored: Any) -> dict[str, Any]:
    """The reading of a stored set for data that is read later, which need not have the columns that it leaves out.

    Columns of lists have other names in the set than in a file, so that they cannot be taken by them.
    """
    kept, columns = dict(stored.reading or {}), stored.columns
    if not kept.get("drop") or kept.get("columns") is not None or kept.get("by") or not columns:
        return kept
    if len(columns) > _MOST_TAKEN or any(name.endswith("]") or len(name) >= _LONGEST_NAME for name in columns):
        return kept
    del kept["drop"]
    return {**kept, "columns": list(columns)}


def read_alike(stored: Mapping[str, Any] | None, given: Mapping[str, Any], data: Any) -> dict[str, Any]:
    """How data is read that belongs to a stored set: as the set was, but for the options that are given.

    stored: `reading` of the set. A file or a frame that goes with one level of a table is taken to hold that level.
    """
    kept = dict(stored or {})
    by = kept.pop("by", None)
    take = {name: kept[name] for name in fields() if name in kept and name != "labels"}
    if by is not None:
        for name in ("columns", "categories"):
            if name in take:
                take[name] = [each for each in take[name] if each != by]
    if not isinstance(data, str | os.PathLike):
        take = {name: value for name, value in take.items() if name not in _OF_FILES}
        names = [str(each) for each in getattr(data, "column_names", getattr(data, "columns", ()))]
        take["drop"] = [each for each in take.get("drop", ()) if each in names]  # it may be left out already
    return {**checked(take), **checked(given)}


def read_beside(stored: Mapping[str, Any] | None, name: str | None, given: Mapping[str, Any], data: Any) -> Any:
    """How data is read that is compared with a stored set called `name`: alike, where the options can be its own."""
    if not stored:
        return given
    if not isinstance(data, str | os.PathLike):
        frame = getattr(data, "column_names", getattr(data, "columns", None))
        return given if frame is None else read_alike(stored, given, data)
    if (ending := Path(data).suffix.lower()) == ".npy":  # it has no names, so nothing is to be read
        return given
    take = read_alike(stored, given, data)
    stored_as = Path(name or "").suffix.lower()
    of_format = set(_OF_FILES)  # another format has other options
    if ending == stored_as:
        of_format = set()
    elif ending in _TEXT and stored_as not in _FORMATS:  # a set with a name that somebody gave it
        of_format -= _OF_TEXT
    return {each: value for each, value in take.items() if each in given or each not in of_format}


def as_params(take: Mapping[str, Any]) -> dict[str, Any]:
    """The options as parameters of a request; a list is repeated."""
    return {name: str(value).lower() if isinstance(value, bool) else value for name, value in take.items()}


def as_lines(take: Mapping[str, Any]) -> dict[str, str]:
    """The options as the metadata of a resumable upload: the names of a list one a line."""
    return {name: "\n".join(value) if isinstance(value, list) else value for name, value in as_params(take).items()}
