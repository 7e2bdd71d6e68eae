"""How readers' messages name options and columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote

_NAMED = 10  # columns in a message
_AROUND = " \t\r\n\f\v\u00a0\ufeff"  # a byte order mark too, which files that were joined have in the middle


NO_UNICODE = "is no Unicode text, as it has half of a surrogate pair: write the data again as UTF-8"


def asked(option: str, value: str) -> str:
    """How a reader's message names an option; each surface puts it into its own words (`wdist.data.sources.advice`)."""
    return f"?{option}={quote(value, safe='')}"


def others_with_text(text: Iterable[str], dates: Iterable[str] = ()) -> str:
    """What a refusal of one column of text says of the others, so that all can be settled at once.

    dates: those whose text holds dates.
    """
    said = [
        f"{what} in {', '.join(repr(name[:100]) for name in names[:_NAMED])}"
        + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
        for what, names in (("there is text", list(text)), ("there are dates", list(dates)))
        if names
    ]
    return f"; {' and '.join(said)}, too" if said else ""


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
