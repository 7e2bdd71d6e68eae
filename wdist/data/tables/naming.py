"""How readers' messages name options and columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from urllib.parse import quote

from wdist.data.columns import kept_name
from wdist.data.tables.found import DecodeError
from wdist.definitions.reading import Selection

NAMED = 10  # columns in a message
_LONGEST = 500  # characters of a list of columns in a message
_LOOKED_AT = 10_000  # columns among which one of a near name is sought
_AROUND = " \t\r\n\f\v\u00a0\ufeff"  # a byte order mark too, which files that were joined have in the middle


ANOTHER = ". If another file has it"  # begins what is of no use where there is one file
NO_CATEGORY = "it is no category"
NO_UNICODE = "is no Unicode text, as it has half of a surrogate pair: write the data again as UTF-8"


def asked(option: str, value: str) -> str:
    """How a reader's message names an option; each surface puts it into its own words (`wdist.data.sources.advice`)."""
    return f"?{option}={quote(value, safe='')}"


def asked_together(options: Sequence[tuple[str, str]]) -> str:
    """How a message names several options that are given at once."""
    return "?" + "&".join(asked(option, value)[1:] for option, value in options)


_SEPARATORS = ";\t|"
LISTS = {"drop": "leave out", "categories": "take as categories", "dates": "read as dates", "columns": "take"}


def instead(name: str, names: Sequence[str], option: str | None = None) -> str:
    """What to say of a column that is not there: the one that is called alike, or several that were given as one.

    option: the list in which the name was given. "" where nothing is near.
    """
    parts = [part.strip() for part in name.split(",")]
    if option is not None and len(parts) > 1 and set(parts) <= set(names):
        return f". To {LISTS[option]} each of them, give {option}={parts!r}"
    lower = {each.lower(): each for each in names[:_LOOKED_AT]}
    near = get_close_matches(name.lower(), lower, 1)
    return f"; did you mean {lower[near[0]]!r}?" if near else ""


def instead_of_naming(name: str, names: Sequence[str], take: Selection) -> str:
    """What to do where only one of the files has a column that the reading names."""
    kept = [each for each in names if each not in take.drop]
    wanted = {*take.drop, *take.categories, *take.dates}
    is_another = len(wanted) > 1 and wanted.isdisjoint(names)  # a file of something else: its columns are in no other
    if not kept or len(repr(kept)) > _LONGEST or take.columns is not None or is_another:
        return ""
    if name not in take.drop:
        return f"{ANOTHER}, take what both have with columns={kept!r}, and leave {name[:100]!r} out here"
    return f"{ANOTHER}, take what both have with columns={kept!r} instead"


def option_of(name: str, take: Selection) -> str | None:
    """The list of a reading in which a column is named."""
    return next((option for option in LISTS if name in (getattr(take, option) or ())), None)


def others_left_out(take: Selection, columns: Mapping[str, Sequence[str]]) -> list[str]:
    """Columns of rows that are read later which the reading leaves out because nobody needs them.

    columns: of the rows, each with the names of what it holds, as a column of lists has one for each of its parts.

    Raises DecodeError if the rows lack columns that are needed, or have more and the reading does not leave these out.
    """
    needed = [*dict.fromkeys(take.needed or ())]
    known, more = {kept_name(name) for name in needed}, []
    if take.columns is None:
        more = [
            name
            for name, parts in columns.items()
            if name not in take.drop and known.isdisjoint(map(kept_name, (name, *parts)))
        ]
    there = {kept_name(name) for name, parts in columns.items() for name in (name, *parts)}
    lacking = [name for name in needed if kept_name(name) not in there]
    if take.leaves_others and not lacking:
        return more
    said = f"it lacks {shown(lacking)}" if lacking else ""
    if more:
        said += f"{', and has' if said else 'it has'} {shown(more)}"
    if said:
        raise DecodeError(f"{said}: give it the columns {', '.join(needed)[:300]}, in that order")
    return []


def refuse_misread(name: str, take: Selection) -> None:
    """Raise DecodeError for one column of text that is named like several: they were read by another separator."""
    mark = next((mark for mark in _SEPARATORS if mark in name), None)
    if mark is not None and name not in (*take.categories, *take.dates, *take.drop, take.labels):
        raise DecodeError(f"the only column is {name[:100]!r}: read the file again, with {mark!r} between its columns")


def others_with_text(text: Iterable[str], dates: Iterable[str] = ()) -> str:
    """What a refusal of one column of text says of the others, so that all can be settled at once.

    dates: those whose text holds dates.
    """
    said = [
        f"{what} in {shown(names)}"
        for what, names in (("there is text", list(text)), ("there are dates", list(dates)))
        if names
    ]
    return f"; {' and '.join(said)}, too" if said else ""


def shown(names: Sequence[str], *, has_names: bool = True) -> str:
    """The first of these columns. has_names: whether they have names, or numbers."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(repr(name[:100]) if has_names else f"column {name}" for name in names[:NAMED]) + more


def is_unicode(text: str) -> bool:
    """Whether text can be written as UTF-8; the halves of a pair of surrogates alone cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def names_of_cells(cells: Sequence[str]) -> list[str]:
    """The names of columns that the first line of a table holds, without spaces around them.

    A column without a name is called as pandas calls it: `Unnamed: 0`, or `Unnamed: 0.1` where another is called so.
    """
    given = [cell.strip(_AROUND) for cell in cells]
    names = []
    for place, name in enumerate(given):
        unnamed, more = f"Unnamed: {place}", 0
        while not name and unnamed in given:
            unnamed, more = f"Unnamed: {place}.{more + 1}", more + 1
        names.append(name or unnamed)
    return names
