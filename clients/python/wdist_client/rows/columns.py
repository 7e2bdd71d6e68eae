"""Names of the columns of frames, as servers keep them, and the refusal of tables whose columns differ."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from typing import Any

from wdist_client.advice import NAMING
from wdist_client.errors import SampleError
from wdist_client.rows.frames import are_numbers, name_of

MAX_NAMES = 4096  # columns whose names a server keeps
MAX_NAME = 200  # characters of a name that it keeps
_SHOWN = 300  # characters of a list of names in a message
AGAIN = "; what is stored must be uploaded again with it"  # as a stored set has been read
_LONGEST = 2_000  # of a list of names that a message gives as an option


def names_of(data: Any) -> list[str] | None:
    """The names of a frame's columns as servers keep them, or None. Servers refuse repeated ones.

    The numbers 0, 1, ... that pandas gives to columns without names are none.
    """
    given = getattr(data, "column_names", None)  # pyarrow, whose `columns` are the values
    given = getattr(data, "columns", None) if given is None else given
    if given is None or are_numbers(given):
        return None
    return kept_names([name_of(each) for each in given])


def kept_names(names: Sequence[str] | None) -> list[str] | None:
    """The names that a server keeps."""
    return None if names is None or len(names) > MAX_NAMES else [kept_name(name) for name in names]


def kept_name(name: str) -> str:
    """A name as servers keep it: one longer than 200 characters ends in its SHA-256, so that no two become equal."""
    if len(name) <= MAX_NAME:
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
    return f"{name[: MAX_NAME - 1 - len(digest)]}#{digest}"


def check_names(
    source: Sequence[str] | None,
    target: Sequence[str] | None,
    one: str,
    other: str,
    *,
    by_position: bool = False,
) -> None:
    """Raise SampleError if two tables have different columns, or the same in another order: rows would be mixed up.

    `one` and `other` are what messages call the tables. None stands for columns without names: they match names only
    if there is one column, or `by_position`, for rows that a caller puts into the order of a table's columns, such as
    those sent to a critic.
    """
    have_names = source is not None and target is not None
    can_choose = have_names and not by_position
    source, target = _numbered(source, target), _numbered(target, source)
    if source is None or target is None:
        if by_position or (source is None and target is None) or len(source or target or ()) == 1:
            return
        named, bare = (one, other) if target is None else (other, one)
        raise SampleError(
            f"{named} names its columns ({_listed(source or target or ())}) and {bare} does not, so that nothing tells "
            f"whether they are in the same order: name those of {bare}, {NAMING}, "
            "or give both without names, as arrays or .npy files"
        )
    source, target = [kept_name(name) for name in source], [kept_name(name) for name in target]
    if source == target:
        return
    if sorted(source) == sorted(target):
        raise SampleError(
            f"the columns of {other} are those of {one} in another order ({_listed(target)}); "
            + (
                f"read both with {option_of(source)}{AGAIN}"
                if can_choose
                else f"put them into the order {_listed(source)}"
            )
        )
    missing, more = [each for each in source if each not in target], [each for each in target if each not in source]
    parts = ", ".join(f"{_listed(names)} only in {side}" for side, names in ((one, missing), (other, more)) if names)
    shared = [each for each in source if each in target]
    way = f"give both {_listed(source)}, in that order"
    if have_names and not missing and not can_choose:
        way = f"read {other} with {option_of(source)}, which leaves out the others"
    elif shared and can_choose:
        way = f"read both with {option_of(shared)} to compare the columns that they share{AGAIN}"
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


def check_kinds(source: Sequence[int], target: Sequence[int], one: str, other: str) -> None:
    """Raise SampleError if one set is images and the other a table. Shapes are those of the arrays, (n, ...)."""
    if (len(source) > 2) == (len(target) > 2):
        return
    raise SampleError(
        f"{one} holds {_kind(source)} and {other} {_kind(target)}, which cannot be compared with each other: give two "
        "sets of images of one size, or two tables of the same columns, such as features computed from the images"
    )


def _kind(shape: Sequence[int]) -> str:
    if len(shape) > 2:
        return f"images of {' x '.join(map(str, shape[1:]))}"
    columns = shape[1] if len(shape) == 2 else 1
    return f"a table of {columns} column{'' if columns == 1 else 's'}"


def option_of(names: Sequence[str]) -> str:
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
