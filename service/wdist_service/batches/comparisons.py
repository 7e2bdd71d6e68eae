"""The comparison of a batch: which of its targets is closest to the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from wdist.definitions.comparison import ComparisonFigures
from wdist.definitions.results.withdrawn import withdrawn
from wdist.errors import OptionError
from wdist.inference.comparison import check_delta, compared_figures, set_names, warnings_of
from wdist_service import tenancy
from wdist_service.database import Database
from wdist_service.errors import ConflictError, InvalidError
from wdist_service.tables import TERMINAL, Batch, Estimate, SampleSet
from wdist_service.text import shown


@dataclass(frozen=True)
class FoundComparison:
    """The comparison of a batch, or why there is none (yet). warnings: (candidate, warning) of each estimate."""

    is_complete: bool
    figures: ComparisonFigures | None = None
    reason: str | None = None
    warnings: Sequence[tuple[str, str]] = ()


def comparison_of(database: Database, batch: Batch, delta: float | None, names: Sequence[str] = ()) -> FoundComparison:
    """Compare the targets of a batch once all its estimates have ended.

    names: what to call its sets, the reference first; otherwise they have the names they are stored under. Raises
    ConflictError for a batch that is no comparison, InvalidError for a delta that is not above 0 or for wrong names.
    """
    if batch.sets is None or not batch.options.get("compare"):
        raise ConflictError(f"{batch.id} is no comparison: submit reference and targets with compare")
    try:
        check_delta(delta)
    except OptionError as error:
        raise InvalidError(str(error), field="delta") from error
    if names and (len(names) != len(batch.sets) or len(set(names)) != len(names)):
        raise InvalidError(f"names: give {len(batch.sets)} different ones, of the reference first", field="names")
    with database.read() as session:
        query = select(Estimate.position, Estimate.status, Estimate.result).where(Estimate.batch_id == batch.id)
        found = {position: (status, result) for position, status, result in session.execute(query).tuples()}
        stored = tenancy.owned(SampleSet, batch.tenant_id).where(SampleSet.id.in_(batch.sets))
        known = {row.id: row.name and shown(row.name) for row in session.execute(stored).scalars()}
    if len(found) < batch.size or any(status not in TERMINAL for status, _ in found.values()):
        over = all(status in TERMINAL for status, _ in found.values())
        return FoundComparison(over, reason="estimates were deleted" if over else "estimates are queued or running")
    results = [found[position][1] for position in range(batch.size)]
    if (mark := next((mark for each in results if each is not None and (mark := withdrawn(each))), None)) is not None:
        return FoundComparison(is_complete=True, reason=f"{mark.reason} {mark.action}")
    reference, *candidates = names or set_names(batch.sets, known)
    try:
        figures = compared_figures(reference, candidates, results, delta)
    except OptionError as error:
        return FoundComparison(is_complete=True, reason=str(error))
    return FoundComparison(is_complete=True, figures=figures, warnings=warnings_of(candidates, results))
