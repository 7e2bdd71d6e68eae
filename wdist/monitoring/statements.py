"""What the test rows of reference and batch show: bounds of the batch alone and of the series, columns, evidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wdist.certify import Rescaled, clipped_critic
from wdist.critics.critic import Critic
from wdist.data.pair import SamplePair
from wdist.data.samples import SampleSet
from wdist.data.scaling import Scaling
from wdist.data.seeded import SeededScores
from wdist.definitions.monitoring import Change, MonitoredColumn, UnusualRow
from wdist.errors import SampleError
from wdist.inference.series.budget import Shares
from wdist.inference.series.evidence import Evidence
from wdist.inference.series.schedule import is_replacement
from wdist.inference.units import lower_bound_of, p_value_of, units_of_rows, value_of
from wdist.monitoring.state import MonitorState, PreviousRows
from wdist.streams import Purpose, stream
from wdist.transport.upper import UpperEnd, upper_end_of_rows
from wdist.witness import columns_of

UNUSUAL = 10
TRANSPORTED, TRANSPORTED_LEAST = 2, 10_000  # rows of the reference for each row of a batch, and at least


@dataclass
class Statements:
    """All that is computed from the test rows of one update, each of which is scored once by the critic chosen for it.

    reference, batch: as they were opened. pair: the same in the frame of the epoch. chosen: the unclipped critic.
    """

    state: MonitorState
    reference: SampleSet
    batch: SampleSet
    pair: SamplePair
    chosen: Critic
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        options, state = self.state.options, self.state
        self.shares = Shares.of(options.alpha, state.epoch, state.updates_in_epoch + 1)
        self.critic, (self.low, self.high), self.prior = clipped_critic(
            self.pair, self.chosen, options.alpha, options.method
        )
        self.fx, self.fy = self.pair.test_scores(self.critic)
        self.bound = self.critic.lipschitz_bound

    def figures(self) -> dict[str, Any]:
        """The fields of `UpdateFigures` that follow from the test rows, evidence and alarms apart."""
        options, shares = self.state.options, self.shares
        units = units_of_rows(self.fx, self.fy)

        def lower(alpha: float) -> float:
            found = lower_bound_of(units, self.low, self.high, alpha, options.method, self.prior)
            return max(0.0, found / self.bound)

        upper = self._upper()
        series = {"series_lower_bound": lower(shares.lower), "series_upper_bound": None}
        alone = {"lower_bound": lower(options.alpha), "upper_bound": None}
        if isinstance(upper, UpperEnd):
            series["series_upper_bound"], alone["upper_bound"] = upper.bound(shares.upper), upper.bound(options.alpha)
            self._note_contradiction(series)
        elif options.upper != "none":
            self.warnings.append(f"there is no upper bound: {upper}")
        return {
            "value": value_of(units) / self.bound,
            "p_value": p_value_of(units, self.low, self.high, options.alpha, self.prior, self.pair.seed),
            **series,
            **alone,
            "change": self._change(),
            "columns": self._columns(),
            "unusual": self._unusual(),
        }

    def _note_contradiction(self, series: dict[str, float | None]) -> None:
        low, high = series["series_lower_bound"], series["series_upper_bound"]
        if low is not None and high is not None and high < low:
            self.warnings.append(
                f"the bounds of the series contradict each other: at least {low:.4g} and at most {high:.4g}; one of "
                "them is false, or the rows are no independent draws"
            )

    def _upper(self) -> UpperEnd | str:
        """The upper end of the distance of all rows but those that fixed the unit, the reference's select rows."""
        options = self.state.options
        if options.upper == "none":
            return "upper='none' was asked for"
        source, target, scaling = self.state.frame.together(self.reference, self.batch)
        rows = self._transported(scaling), np.arange(target.n)
        try:
            return upper_end_of_rows(
                Rescaled(source, scaling), Rescaled(target, scaling), rows, options.upper, self.pair.seed
            )
        except SampleError as error:  # numbers beyond double precision; the lower bound stands
            return f"transport failed: {error}"

    def _transported(self, scaling: Scaling) -> NDArray[np.int64]:
        """The rows of the reference in the transport plan, drawn with the seed.

        Of a much larger reference, the plan is worse: measured with 5,000 rows of a batch, the bound is 3.75 with
        10,000 of the reference and 3.86 with 45,000 (20 columns), .235 and .229 (3 columns).
        """
        split, n = self.pair.source_split, self.pair.target.n
        used = np.concatenate([split.train, split.test]) if scaling.is_fitted else np.arange(self.pair.source.n)
        kept = max(TRANSPORTED_LEAST, TRANSPORTED * n)
        return np.sort(stream(self.pair.seed, Purpose.SUBSET).permutation(used)[:kept])

    def _columns(self) -> list[MonitoredColumn]:
        if self.pair.source.is_image:
            return []
        found = columns_of(self.pair, self.chosen, self.shares.columns, with_histograms=False)
        return [
            MonitoredColumn(
                name=each.name, value=each.value, lower_bound=each.lower_bound or 0.0, attribution=each.attribution
            )
            for each in found
        ]

    def _unusual(self) -> list[UnusualRow]:
        """The test rows of the batch with the highest scores, not clipped, above the mean of the reference."""
        target, test = self.pair.target, self.pair.target_split.test
        scores = np.concatenate([self.chosen.scores(self.pair.scaling.apply(rows)) for rows in target.blocks(test)])
        middle = float(self.fx.values.mean())
        order = np.argsort(-scores, kind="stable")[:UNUSUAL]
        rows = target.numbers(test[order])
        return [
            UnusualRow(row=int(row), score=float((score - middle) / self.bound))
            for row, score in zip(rows, scores[order], strict=True)
        ]

    def _change(self) -> Change | None:
        """How far this batch is from the one before: both signs of this critic's difference, half of the share each."""
        if self.state.previous is None:
            return None
        options, before = self.state.options, self._scores_before(self.state.previous)
        forth, back = units_of_rows(before, self.fy), units_of_rows(-before, -self.fy)
        prior = self.prior[1], self.prior[1]
        mirrored = tuple((-mean, deviation) for mean, deviation in prior)
        alpha = self.shares.change / 2
        lower = max(
            lower_bound_of(forth, self.low, self.high, alpha, options.method, prior),
            lower_bound_of(back, -self.high, -self.low, alpha, options.method, (mirrored[0], mirrored[1])),
        )
        return Change(value=value_of(forth) / self.bound, lower_bound=max(0.0, lower / self.bound))

    def _scores_before(self, previous: PreviousRows) -> SeededScores:
        samples = self.state.frame.framed(previous.opened())
        return scores_of(self.critic, samples, self.pair.scaling, np.arange(samples.n))


def scores_of(critic: Critic, samples: SampleSet, scaling: Scaling, order: NDArray[np.int64]) -> SeededScores:
    """Scores of rows and their rounding; order: the numbers of the rows, as a seeded permutation lists them."""
    parts = [
        critic.scores_and_rounding(*scaling.apply_with_rounding(rows, samples.rounding))
        for rows in samples.blocks(order)
    ]
    values, rounding = (np.concatenate(each) for each in zip(*parts, strict=True))
    return SeededScores.of(values, order, order, rounding)


def evidence_after(state: MonitorState, pair: SamplePair, statements: Statements) -> tuple[Evidence, Critic]:
    """The evidence of the series with this batch, and the critic that collects it.

    In the updates of a fixed schedule, the critic of the update takes over and scores only the batch's test rows, as it
    was trained on the others. In all other updates, it is an earlier one, and scores all rows of the batch.
    """
    if state.collector is None or is_replacement(state.updates_in_epoch + 1):
        low, high = statements.low, statements.high
        evidence = state.evidence.replaced(
            statements.fx, low, high, statements.bound, statements.prior[0]
        ).added(statements.fy)  # fmt: skip
        return evidence, statements.critic
    split = pair.target_split
    order = np.concatenate([split.train, split.select, split.test])
    return state.evidence.added(scores_of(state.collector, pair.target, pair.scaling, order)), state.collector
