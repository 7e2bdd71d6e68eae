"""What the numbers of rows in a witness count, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wdist.data.tables.kept import says_left_out

if TYPE_CHECKING:
    from wdist.data.samples import SampleSet

AS_GIVEN = "Rows are numbered from 0, in the order of the data as given."
ALL_COUNTED = f"{AS_GIVEN[:-1]}; rows that were left out are counted, too."
AMONG_KEPT = "Rows are numbered from 0 among those that were kept."
"""Of witnesses of earlier versions."""


def numbering_of(source: SampleSet, target: SampleSet) -> str:
    """What is said of the numbers of both sets' rows.

    Of a set that is stored on a server without the rows that were left out, nobody knows which these were.
    """
    sides = {"source": source, "target": target}
    stored = {side: each for side, each in sides.items() if each.kept is None and says_left_out(each.notes)}
    if not stored:
        return AS_GIVEN if source.kept is None and target.kept is None else ALL_COUNTED
    counts = " and ".join(f"the {each.n:,} rows of the {side}" for side, each in stored.items())
    return f"{AS_GIVEN[:-1]}; the numbers count only {counts} that were kept, not those left out."
