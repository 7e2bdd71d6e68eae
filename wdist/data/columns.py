"""Names of columns: which of them count, and whether two tables have the same. Columns are never put in order by name.

Rows without names, such as those of an array or an .npy file, are compared by position with other rows without names
only. The numbers 0, 1, ... that pandas gives to columns are no names; other numbers are, as they tell of columns that
were chosen or put into another order.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from typing import Any

from wdist.errors import SampleError

MAX_NAME = 200  # characters of a name that servers keep
_SHOWN = 300  # characters of a list of names in a message
NAMING = "as in pandas.DataFrame(rows, columns=[...])"
_LONGEST = 2_000  # of a list of names that a message gives as an option


def given_names(data: Any) -> list[str] | None:
    """The names that a frame or an open file has, as text, or None. Levels of pandas' names are joined by "_"."""
    names = getattr(data, "column_names", None)  # pyarrow, whose `columns` are the values
    names = getattr(data, "columns", None) if names is None else names
    if names is None or _are_numbers(names := list(names)):
        return None
    return ["_".join(map(str, each)) if isinstance(each, tuple) else str(each) for each in names]


def _are_numbers(names: list[Any]) -> bool:
    """Whether columns are called 0, 1, ..., as pandas does where nobody gave them names."""
    return all(type(each) is not str and each == k for k, each in enumerate(names)) and len(names) > 0


def names_for(names: Sequence[str] | None, width: int) -> list[str] | None:
    """The names of `width` columns, or None if there are none, or not one for each column."""
    return None if names is None or len(names) != width else list(names)


def repeated(names: Sequence[str]) -> str | None:
    """The first name that stood before, or None."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def kept_name(name: str) -> str:
    """A name as servers keep it: one longer than 200 characters ends in its SHA-256, so that no two become equal."""
    if len(name) <= MAX_NAME:
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
    return f"{name[: MAX_NAME - 1 - len(digest)]}#{digest}"


def check_names(
    source: Sequence[str] | None,
    target: Sequence[str] | None,
    one: str = "source",
    other: str = "target",
    *,
    by_position: bool = False,
    is_fixed: bool = False,
    naming: str = NAMING,
    again: str = "",
) -> None:
    """Raise SampleError if two tables have different columns, or the same in another order: rows would be mixed up.

    `one` and `other` are what messages call the tables. None stands for columns without names: they match names only
    if there is one column, or `by_position`, for rows that a caller puts into the order of a table's columns, such as
    those sent to a critic. is_fixed: the columns of `one` cannot be chosen any more. naming: how a
    table without names gets some. again: what to say of tables that are stored, and so have been read.
    """
    have_names = source is not None and target is not None
    can_choose = have_names and not by_position and not is_fixed
    source, target = _numbered(source, target), _numbered(target, source)
    if source is None or target is None:
        if by_position or (source is None and target is None) or len(source or target or ()) == 1:
            return
        named, bare = (one, other) if target is None else (other, one)
        way = f"name those of {bare}, {naming}, or give both without names, as arrays or .npy files"
        if is_fixed:
            way = (
                f"name those of {other}, {naming}"
                if bare == other
                else f"give {other} without names, as an array or .npy"
            )
        raise SampleError(
            f"{named} names its columns ({_listed(source or target or ())}) and {bare} does not, so that nothing tells "
            f"whether they are in the same order: {way}"
        )
    source, target = [kept_name(name) for name in source], [kept_name(name) for name in target]
    if source == target:
        return
    if sorted(source) == sorted(target):
        raise SampleError(
            f"the columns of {other} are those of {one} in another order ({_listed(target)}); "
            + (
                f"read both with {_chosen(source)}{again}"
                if can_choose
                else f"put them into the order {_listed(source)}"
            )
        )
    missing, more = [each for each in source if each not in target], [each for each in target if each not in source]
    parts = ", ".join(f"{_listed(names)} only in {side}" for side, names in ((one, missing), (other, more)) if names)
    shared = [each for each in source if each in target]
    way = f"give {f'{other} the columns' if is_fixed else 'both'} {_listed(source)}, in that order"
    if have_names and not missing and not can_choose:
        way = f"read {other} with {_chosen(source)}, which leaves out the others{again}"
    elif shared and can_choose:
        way = f"read both with {_chosen(shared)} to compare the columns that they share{again}"
    if (alike := _alike(missing, more)) is not None:
        way = f"{alike}: give both one name if they are one column. Otherwise {way}"
    raise SampleError(f"{one} and {other} have different columns: {parts}; {way}")


def _alike(missing: Sequence[str], more: Sequence[str]) -> str | None:
    """The first names, each in one table only, that a person takes for one name, and what differs."""
    plain = {_plain(name): name for name in missing}
    for name in more:
        if (like := plain.get(_plain(name))) is not None:
            is_form = unicodedata.normalize("NFC", like) == unicodedata.normalize("NFC", name)
            what = "in how Unicode writes an accent (NFC or NFD)" if is_form else "in capitals, spaces or such marks"
            return f"{like!r} and {name!r} differ only {what}"
    return None


def _plain(name: str) -> str:
    """The letters and digits of a name in lower case, each accent a part of its letter."""
    text = unicodedata.normalize("NFC", name).casefold()
    return "".join(each for each in text if each.isalnum()) or text


def check_kinds(
    source: Sequence[int],
    target: Sequence[int],
    one: str,
    other: str,
    names: Sequence[Sequence[str] | None] = (),
) -> None:
    """Raise SampleError if one set is images and the other a table. Shapes are those of the arrays, (n, ...).

    names: of the columns of both, if some have any. Where one table has none, both must have as many columns.
    """
    holding = f"{one} holds {_kind(source)} and {other} {_kind(target)}, which cannot be compared with each other"
    if (len(source) > 2) != (len(target) > 2):
        raise SampleError(
            f"{holding}: give two sets of images of one size, or two tables of the same columns, such as features "
            "computed from the images"
        )
    have_names = [each is not None for each in names]
    if len(source) == len(target) == 2 and source[1] != target[1] and any(have_names) and not all(have_names):
        raise SampleError(f"{holding}: give two tables of the same columns")


def _kind(shape: Sequence[int]) -> str:
    if len(shape) > 2:
        return f"images of {' x '.join(map(str, shape[1:]))}"
    columns = shape[1] if len(shape) == 2 else 1
    return f"a table of {columns} column{'' if columns == 1 else 's'}"


def _chosen(names: Sequence[str]) -> str:
    """The option that takes these columns in this order, written out if it is not too long and names can be chosen by.

    A column of lists is chosen by its own name, not by those of its parts, `name[0]`.
    """
    if any(len(name) >= MAX_NAME or name.endswith("]") for name in names) or len(repr(names)) > _LONGEST:
        return f"columns=[...], in the order {_listed(names)}"
    return f"columns={list(names)!r}"


def _numbered(names: Sequence[str] | None, others: Sequence[str] | None) -> Sequence[str] | None:
    """Numbers from 0 for columns without names, if the others are called by these numbers in some order."""
    numbers = [str(k) for k in range(len(others or ()))]
    return numbers if names is None and others and sorted(others) == sorted(numbers) else names


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(names)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
