"""Names of the columns of stored sets, and what messages call a set."""

from __future__ import annotations

from wdist.data.columns import kept_name, names_for, repeated
from wdist_service.errors import ConflictError, InvalidError
from wdist_service.tables import SampleSet


def names_of(row: SampleSet) -> list[str] | None:
    """The names of a table's columns if it has some, else None."""
    return names_for(row.column_names, row.shape[1]) if len(row.shape) == 2 else None


def called(row: SampleSet) -> str:
    """What a message calls a set: by the user's name and by its id."""
    return row.id if row.name is None else f"{row.name} ({row.id})"


def name_columns(row: SampleSet, names: list[str] | None) -> None:
    """Give a set names of columns, unless it has the same already.

    Raises ConflictError if the set has other names, because they decide which sets may be compared.
    """
    known = names_of(row)
    if None not in (known, names) and known != names:
        raise ConflictError(
            f"{called(row)} has other names of columns ({', '.join(known or ())[:200]}): send the values again, in a "
            "file that has the names that they shall have"
        )
    row.column_names = names or row.column_names


def checked_names(row: SampleSet, given: list[str]) -> list[str]:
    """Names for the columns of a stored table, as they are kept. Raises InvalidError unless they fit it.

    A coded table has its names from its file, together with the kinds and levels of the columns. Raises ConflictError.
    """
    if row.table_schema is not None:
        raise ConflictError(
            f"the columns of {called(row)} have their names from its file, with their kinds: to change them, change "
            "the file and send it again"
        )
    if len(row.shape) != 2 or len(given) != row.shape[1]:
        raise InvalidError(
            f"{len(given)} names do not fit {called(row)} of shape {tuple(row.shape)}: give one for each column of a "
            "table",
            field="columns",
        )
    kept = [kept_name(name) for name in given]
    if (twice := repeated(kept)) is not None:
        raise InvalidError(f"more than one column is named {twice!r}; give each a name of its own", field="columns")
    return kept
