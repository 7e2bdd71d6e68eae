"""Batches of estimates: the code shared by the sync and the async client."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from itertools import combinations
from typing import TYPE_CHECKING, Any

from wdist_client import contract, requests
from wdist_client.base import in_a_line
from wdist_client.display.matrix import NO_RESULT, interval_cells, table_lines, warning_lines
from wdist_client.display.text import percent, watched
from wdist_client.errors import OptionError, WdistError, pip_install
from wdist_client.flows import Flow, Retries, send, until_ended
from wdist_client.models import Batch, Comparison, Estimate, SampleSet
from wdist_client.options import BatchOptions, given, refuse_reading
from wdist_client.requests import Request

if TYPE_CHECKING:
    import numpy as np

    Figures = np.ndarray[Any, np.dtype[np.float64]]

FIGURES = (
    "value", "lower_bound", "simultaneous_lower_bound", "upper_bound", "simultaneous_upper_bound", "p_value",
    "adjusted_p_value",
)  # fmt: skip


@dataclass(frozen=True)
class Matrix:
    """Distances between sets: source in the row, target in the column; nan where there is no result.

    Attributes:
        rows, columns: names of the sets (ids where they have none).
        value, lower_bound, p_value: float64, (rows, columns); a set against itself is 0, with p-value 1. Each bound
            holds by itself, with `confidence`.
        simultaneous_lower_bound: weaker, and all of them hold together with `confidence`; nan unless the batch was
            submitted with simultaneous=True, or has only one pair.
        upper_bound: each holds by itself, with `confidence`; nan where a pair has none.
        simultaneous_upper_bound: weaker, and all of them hold together with `confidence`; nan where a pair has none.
        upper_kind: that of the upper bounds: approximate if that of any pair is; None if there are none.
        units: of all cells; None if they are in different units, as in matrices of earlier versions with
            "standardize", or if there is no result.
        adjusted_p_value: Holm's adjustment for all pairs together: those at most alpha all differ, with error alpha.
        complete: no estimate of the batch is waiting or running.
        split: as in each result; None of an older server.
        answer: how many pairs differ, in a sentence; None if no figures say so of all pairs together.
        warnings: (row, column, warning) of each pair.
        withdrawn: which cells the server has withdrawn (`cells`: names of figures by row and column), why, and what to
            do; None if all stand. Withdrawn figures are nan, because an array has no room for a mark; the record of
            each estimate still has them.
    """

    rows: list[str]
    columns: list[str]
    value: Figures
    lower_bound: Figures
    p_value: Figures
    adjusted_p_value: Figures
    complete: bool
    simultaneous_lower_bound: Figures
    upper_bound: Figures
    confidence: float | None = None
    withdrawn: contract.MatrixWithdrawn | None = None
    simultaneous_upper_bound: Figures | None = None
    upper_kind: str | None = None
    units: str | None = None
    split: str | None = None
    answer: str | None = None
    warnings: list[tuple[str, str, str]] = field(default_factory=list)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Figures:
        """Makes numpy.asarray(matrix) return `value`."""
        import numpy as np

        return np.array(self.value, dtype=dtype) if copy else np.asarray(self.value, dtype=dtype)

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain JSON types, None where there is none; names of sets, units and what is withdrawn."""
        import numpy as np

        record: dict[str, Any] = {
            "rows": self.rows, "columns": self.columns, "confidence": self.confidence, "units": self.units,
            "split": self.split, "upper_kind": self.upper_kind, "pairs": self._count, "answer": self.answer,
            "warnings": [dict(zip(("row", "column", "warning"), each, strict=True)) for each in self.warnings],
        }  # fmt: skip
        for name in FIGURES:
            values = getattr(self, name)
            rows = np.full(self.value.shape, np.nan).tolist() if values is None else values.tolist()
            record[name] = [[None if figure != figure else figure for figure in row] for row in rows]
        return record | {"withdrawn": None if self.withdrawn is None else self.withdrawn.model_dump(mode="json")}

    def to_frame(self) -> Any:
        """A pandas frame with a line a pair: source, target, and a column for each figure; nan where there is none.

        Raises WdistError if pandas is not installed.
        """
        try:
            pandas: Any = import_module("pandas")
        except ImportError as error:
            raise WdistError(f"to_frame() needs pandas: {pip_install('pandas')}") from error
        is_row = len(self.rows) == 1
        pairs = [(0, j) for j in range(len(self.columns))] if is_row else [*combinations(range(len(self.rows)), 2)]
        named = {"source": [self.rows[i] for i, _ in pairs], "target": [self.columns[j] for _, j in pairs]}
        known = {name: values for name in FIGURES if (values := getattr(self, name)) is not None}
        return pandas.DataFrame(named | {name: [values[pair] for pair in pairs] for name, values in known.items()})

    def __repr__(self) -> str:
        names = ", ".join([*self.rows, *self.columns] if len(self.rows) == 1 < len(self.columns) else self.rows)
        state = "" if self.complete else ", not complete"
        return in_a_line(f"<Matrix{state}: {self._count:,} pairs of {names}>")

    def __str__(self) -> str:
        parts = list(filter(None, (self._notice, self.answer)))
        for title, table in self._tables():
            parts.append("\n".join([title, *table_lines(self.rows, self.columns, table)]))
        return "\n".join(["\n\n".join(parts), *warning_lines(self.warnings)])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        parts = [f"<p><b>{html.escape(self._notice)}</b></p>"] if self._notice else []
        parts += [f"<p><b>{html.escape(self.answer)}</b></p>"] if self.answer else []
        for title, table in self._tables():
            body = "".join(
                f"<tr><th>{html.escape(name)}</th>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"
                for name, cells in zip(self.rows, table, strict=True)
            )
            parts.append(f"<table><caption>{html.escape(title)}</caption><tr><th></th>{head}</tr>{body}</table>")
        return "".join([*parts, *(f"<p>{html.escape(line)}</p>" for line in warning_lines(self.warnings))])

    @property
    def _pairs(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """True where two sets are compared: off the diagonal, or everywhere for a reference batch."""
        import numpy as np

        pairs = np.ones(self.value.shape, dtype=np.bool_)
        if len(self.rows) > 1:
            np.fill_diagonal(pairs, val=False)
        return pairs

    @property
    def _notice(self) -> str:
        """Why cells are withdrawn, and what to do."""
        return "" if self.withdrawn is None else f"WITHDRAWN. {self.withdrawn.reason} {self.withdrawn.action}"

    def _cells(self, figure: str, upper: str | None = None) -> list[list[str]]:
        """A figure as text, or an interval; "-" on the diagonal, because 0 means a pair that shows no difference."""
        values = getattr(self, figure).tolist()
        if figure == "adjusted_p_value":
            texts = [[f"{number:.4g}" for number in row] for row in values]
        else:
            judged = self.p_value if figure == "lower_bound" else self.adjusted_p_value
            ends = None if upper is None else getattr(self, upper).tolist()
            texts = interval_cells(values, ends, judged.tolist(), self.confidence, self.split)
        for name in (figure, upper):
            for i, j in self._withdrawn(name):
                texts[i][j] = "withdrawn"
        return [
            [text if is_pair else "-" for text, is_pair in zip(row, pairs, strict=True)]
            for row, pairs in zip(texts, self._pairs.tolist(), strict=True)
        ]

    def _tables(self) -> Iterator[tuple[str, list[list[str]]]]:
        """Title and cells of each table to show."""
        for title, *names in self._shown():
            cells = self._cells(*names)
            has_none = any(cell == NO_RESULT for row in cells for cell in row)
            yield f"{title}{' (nan: no result)' if has_none else ''}", cells

    def _withdrawn(self, figure: str | None) -> list[tuple[int, int]]:
        """Row and column of each cell where a figure is withdrawn."""
        cells = [] if self.withdrawn is None else self.withdrawn.cells
        return [(i, j) for i, row in enumerate(cells) for j, names in enumerate(row) if figure in names]

    def _shown(self) -> list[tuple[str, ...]]:
        """Title and figures of the tables to show: bounds of each pair and of all together, adjusted p-values.

        A table of bounds has two figures if there are upper bounds: its cells are intervals.
        """
        units = "" if self.units is None else f" ({self.units})"
        shown = [(f"{self._claim('each pair by itself', 'upper_bound')}{units}", *self._ends(""))]
        if self._count > 1 and self._is_known("simultaneous_lower_bound"):  # of a single pair: its own
            title = self._claim(f"all {self._count:,} pairs together", "simultaneous_upper_bound")
            shown.append((title, *self._ends("simultaneous_")))
        if self._is_known("adjusted_p_value"):
            together = f", adjusted so that all {self._count:,} pairs together may be judged by it (Holm)"
            title = f"p-value: how often equal populations would show this much{together if self._count > 1 else ''}"
            shown.append((title, "adjusted_p_value"))
        return shown

    def _ends(self, of: str) -> list[str]:
        return [f"{of}lower_bound", *([f"{of}upper_bound"] if self._is_known(f"{of}upper_bound") else [])]

    def _claim(self, who: str, upper: str) -> str:
        """What the cells of a table of bounds say."""
        about = "approximately " if self.split == "blocks" else ""
        sure = "" if self.confidence is None else f" with {about}{percent(self.confidence)} confidence"
        if not self._is_known(upper):
            return f"W1 is at least, {who}{sure}"
        caveat = ", upper ends approximate" if self.upper_kind == "approximate" else ""
        return f"W1 lies between, {who}, each end{sure}{caveat}"

    def _is_known(self, figure: str) -> bool:
        """Whether any pair has this figure, or had it until it was withdrawn."""
        import numpy as np

        values = getattr(self, figure)
        return values is not None and bool(np.isfinite(values[self._pairs]).any() or self._withdrawn(figure))

    @property
    def _count(self) -> int:
        return int(self._pairs.sum()) // (1 if len(self.rows) == 1 else 2)


class BatchRecord:
    """The last known state of a batch; the handles add its methods."""

    def __init__(self, batch: Batch, names: Mapping[str, str]) -> None:
        self.batch = batch
        self._names = names

    @property
    def id(self) -> str:
        return self.batch.id

    @property
    def status(self) -> str:
        """queued, running, canceling, finished or canceled, as last heard."""
        return self.batch.status

    def __repr__(self) -> str:
        counts, where = self.batch.counts, f"{type(self).__name__} {self.id} {self.status}"
        failed = f", {counts.failed:,} failed" if counts.failed else ""
        return f"<{where}: {counts.ended:,} of {counts.total:,} estimates have ended{failed}>"

    def named(self, record: contract.Matrix) -> Matrix:
        import numpy as np

        def figure(name: str, given: list[list[float | None]]) -> Figures:
            unknown: list[list[float | None]] = [[None] * len(record.columns)] * len(record.rows)
            values = np.array(given or unknown, dtype=np.float64)
            if record.withdrawn is not None:
                values[np.array([[name in names for names in row] for row in record.withdrawn.cells])] = np.nan
            return values

        def named(name: str) -> str:
            return self._names.get(name, name)

        rows, columns = ([named(name) for name in names] for names in (record.rows, record.columns))
        return Matrix(
            rows,
            columns,
            value=figure("value", record.value),
            lower_bound=figure("lower_bound", record.lower_bound),
            p_value=figure("p_value", record.p_value),
            adjusted_p_value=figure("adjusted_p_value", record.adjusted_p_value or record.p_value),
            complete=record.complete,
            simultaneous_lower_bound=figure("simultaneous_lower_bound", record.simultaneous_lower_bound),
            upper_bound=figure("upper_bound", record.upper_bound),
            simultaneous_upper_bound=figure("simultaneous_upper_bound", record.simultaneous_upper_bound),
            confidence=record.confidence,
            withdrawn=record.withdrawn,
            upper_kind=record.upper_kind,
            units=record.units,
            split=record.split,
            answer=record.answer,
            warnings=[(named(each.row), named(each.column), each.warning) for each in record.warnings],
        )


Pairs = Iterable[tuple[SampleSet | str, SampleSet | str] | tuple[SampleSet | str, SampleSet | str, str]]


def create(kind: Mapping[str, Any], options: BatchOptions) -> Request:
    """Submits a batch; options that are None get the server's defaults."""
    refuse_reading(options)
    body = given(options)
    key = body.pop("idempotency_key", None)
    return requests.post("/v1/batches", {**kind, **body}, key)


def explicit(pairs: Pairs) -> list[dict[str, str]]:
    """The pairs in the format of the API; a third item is the pair's custom_id."""
    listed = []
    for source, target, *name in pairs:
        source_id, target_id = identifiers([source, target])
        listed.append({"source": source_id, "target": target_id, **({"custom_id": name[0]} if name else {})})
    return listed


def identifiers(sets: Sequence[SampleSet | str]) -> list[str]:
    return [requests.identifier(sample_set, "ss_") for sample_set in sets]


def names_of(sets: Sequence[SampleSet | str]) -> dict[str, str]:
    """Names for the rows and columns of a matrix, for the sets whose records were given."""
    return {s.id: s.name for s in sets if isinstance(s, SampleSet) and s.name}


def wait(
    job: BatchRecord, clock: Callable[[], float], timeout: float | None, progress: bool | None, retries: Retries
) -> Flow[Matrix]:
    """The matrix, once no estimate is waiting or running. Raises WaitTimeout, OptionError where there is no matrix."""
    if job.batch.kind == "pairs":
        raise OptionError(f"{job.id} is a batch of explicit pairs and has no matrix: ask for results(wait=True)")
    yield from ended(job, clock, timeout, progress, retries)
    return (yield from matrix(job, retries))


def ended(
    job: BatchRecord, clock: Callable[[], float], timeout: float | None, progress: bool | None, retries: Retries
) -> Flow[None]:
    """Polls until no estimate is waiting or running; the bar counts estimates. Raises WaitTimeout."""
    from tqdm.auto import tqdm

    shown = watched() if progress is None else progress
    with tqdm(total=job.batch.counts.total, desc="estimates", disable=not shown) as bar:

        def seen(record: Batch) -> None:
            job.batch = record
            bar.update(record.counts.ended - bar.n)

        path = f"/v1/batches/{job.id}"
        yield from until_ended(path, job.batch, clock, timeout, retries, seen, pauses=(0.1, 2.0))


def matrix(job: BatchRecord, retries: Retries) -> Flow[Matrix]:
    answer = yield from send(Request("GET", f"/v1/batches/{job.id}/matrix"), retries)
    return job.named(answer.read(contract.Matrix))


def comparison(
    job: BatchRecord,
    delta: float | None,
    clock: Callable[[], float],
    timeout: float | None,
    progress: bool | None,
    retries: Retries,
) -> Flow[Comparison]:
    """The comparison, once no estimate is waiting or running. Raises WdistError if none can be made."""
    yield from ended(job, clock, timeout, progress, retries)
    params = given({"delta": delta, "names": _names_given(job)})
    answer = yield from send(Request("GET", f"/v1/batches/{job.id}/comparison", params), retries)
    record = answer.read(contract.BatchComparison)
    if record.comparison is None:
        raise WdistError(f"{job.id} has no comparison: {record.reason}")
    warnings = [(each.candidate, each.warning) for each in record.warnings]
    return Comparison.model_validate(record.comparison.model_dump() | {"warnings": warnings})


def _names_given(job: BatchRecord) -> list[str] | None:
    """What the sets are called here, if their records were given and no two have one name."""
    names = [job._names.get(each, each) for each in job.batch.sets or ()]
    return names if job._names and len(set(names)) == len(names) else None


def results(job: BatchRecord, retries: Retries) -> Flow[list[Estimate]]:
    answer = yield from send(Request("GET", f"/v1/batches/{job.id}/results"), retries)
    return [Estimate.model_validate_json(line) for line in answer.body.splitlines() if line.strip()]
