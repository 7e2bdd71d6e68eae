"""What a server takes and answers; made from its OpenAPI by `make generate`. models.py builds on it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypedDict

from pydantic import BaseModel, Field

from wdist_client.base import Model


class TableColumn(Model):
    """What a column of codes means; NaN is a missing value.

    Attributes:
        kind: number: the value. boolean: 0 or 1. category: the place in levels. time: units since start.
        levels: Of a category.
        unit: Of a time: seconds, minutes, hours or days.
        start: Of a time: when it is 0.
    """

    name: str | None = None
    kind: str | None = None
    levels: list[str] | None = None
    unit: str | None = None
    start: str | None = None


class Table(Model):
    """What the columns of a coded table mean.

    Attributes:
        missing: Missing values are levels of their own.
    """

    columns: list[TableColumn] = Field(default_factory=list)
    missing: bool | None = None


class SampleSet(Model):
    """An uploaded array.

    Attributes:
        table: What the array's columns mean, unless they are plain numbers: it holds codes then.
        notes: What was left out when the file was read.
        file_sha256: Of the bytes that were sent, before they became an array of that sha256.
        reading: How they were read: the parameters that were not the defaults, if any.
    """

    id: str
    name: str | None = None
    sha256: str
    bytes: int
    rows: int
    shape: list[int]
    dtype: str
    columns: list[str] | None = None
    table: Table | None = None
    notes: list[str] = Field(default_factory=list)
    file_sha256: str | None = None
    reading: dict[str, Any] | None = None
    created_at: datetime | None = None
    statistics: dict[str, Any] = Field(default_factory=dict)


class Progress(Model):
    """How far a running estimate is; `value` comes from select rows and is not certified."""

    step: int = 0
    steps: int | None = None
    seconds: float | None = None
    value: float | None = None
    eta_seconds: float | None = None
    trying: str | None = None


class Sides(Model):
    """A number for each set."""

    source: float | None = None
    target: float | None = None


class Draws(Model):
    """Number of independent draws of each set: of rows, or of groups."""

    source: int | None = None
    target: int | None = None


class Upper(Model):
    """What the upper bound consists of: it is cost + deviation.

    Attributes:
        cost: Of a transport plan between the rows it uses: at least their exact distance.
        deviation: What is added for the rows being a sample.
        variance: Total variance of a row (the trace of the covariance), or what stands for it with groups; squared.
        units: Rows or groups that it uses, of each set.
        is_linked: Whether the deviations of the two sets are added, as groups are in both.
    """

    cost: float | None = None
    deviation: float | None = None
    variance: Sides = Sides()
    units: Draws = Draws()
    is_linked: bool | None = None


class Simultaneous(Model):
    """A weaker lower bound, which holds at once with those of all `statements` estimates that are read together.

    Attributes:
        lower_bound: At least this, together with all statements.
        upper_bound: At most this, together with all statements.
    """

    statements: int
    lower_bound: float
    upper_bound: float | None = None


class Critic(Model):
    """Which critic certified the result.

    Attributes:
        config: Its configuration, in the family's own words.
    """

    family: str
    config: dict[str, Any] = Field(default_factory=dict)


class Parts(Model):
    """Number of rows in each part of one set. The test rows are looked at once, for the result."""

    train: int
    select: int
    test: int


class Rows(Model):
    """The parts of both sets."""

    source: Parts
    target: Parts


class Groups(Model):
    """Number of test groups of each set."""

    source: int
    target: int


class Trivial(Model):
    """Simpler estimates on the same test rows, in the same units.

    Attributes:
        mean_difference: Mean difference of the test rows along the direction between the means of the train rows.
        max_sliced: Max-sliced W1 of the test rows; None with groups.
    """

    mean_difference: float | None = None
    max_sliced: float | None = None


class Empirical(Model):
    """A bracket of the W1 between the given rows themselves, as discrete measures.

    Attributes:
        exact: The W1 itself, if it was found.
    """

    lower: float | None = None
    upper: float | None = None
    exact: float | None = None


class NullBaseline(Model):
    """Exact optimal transport on `rows` rows of each set. It ignores groups.

    Attributes:
        between: Between the two sets.
        within: Between two disjoint parts of one set, where the truth is 0: the bias of the empirical distance.
    """

    rows: int
    between: float
    within: float


class Verdict(Model):
    """What an estimate says about two populations, in words.

    Attributes:
        kind: differ: and the distance has a lower bound above 0. size_unknown: they differ, but the lower bound is 0.
            undecided: one of the two tests says that they differ, but not the one that decides. no_evidence: of a
            difference. contradiction: the bounds contradict each other. withdrawn: the bounds of an earlier version
            must not be used.
        headline: The answer in one short sentence.
        distance: Between which bounds the distance lies, or what is known of it.
        size: What to compare the distance with: how far apart two rows of one set are.
        caveat: What else to know: of statements that are read together, groups, blocks of time; else null.
    """

    kind: str | None = None
    headline: str | None = None
    distance: str | None = None
    size: str | None = None
    caveat: str | None = None


class Withdrawn(Model):
    """Which figures of a result are withdrawn, why, and what to do.

    Attributes:
        figures: Names of the figures that must not be used: lower_bound, simultaneous_lower_bound, p_value,
            upper_bound.
        reason: Why, in plain words.
        action: What to do, in plain words.
    """

    figures: list[str]
    reason: str
    action: str


class Result(Model):
    """What is known about W1(P, Q); `meaning` says it in a sentence.

    Attributes:
        value: Held-out mean difference of the critic divided by its proven Lipschitz bound. Its expectation is at most
            W1: it is low on average. Rare scores are clipped for the bound, to an interval fixed without the test rows.
        unclipped: `value` without clipping: larger where rare rows carry part of the distance, and low on average too.
            No bound is computed from it. None for an older result.
        lower_bound: max(0, one-sided confidence bound); above W1 with probability at most 1 - confidence (only
            approximately with split "blocks"). 0 is no evidence of a difference; it does not show that the populations
            are equal.
        upper_bound: One-sided upper confidence bound: the cost of a transport plan, plus a deviation. None: see
            no_upper_bound.
        upper_kind: approximate: by the normal approximation; too low if a part of the population that matters is rarer
            than about 10 rows of a set, or if tails are very heavy. finite-sample: for any number of rows, if diameter
            or ranges hold.
        upper: What the upper bound consists of; None if there is none.
        no_upper_bound: Why there is no upper bound, in words.
        confidence: 1 - alpha, of the lower bound by itself and of the upper bound by itself. Both hold together with 1
            - 2 alpha.
        simultaneous: A bound for one of several estimates that are read together: all their simultaneous bounds hold at
            once with probability confidence (Bonferroni).
        p_value: One-sided test of P = Q on the held-out scores: by permutations of rows, or with groups by bets, which
            is conservative. None with blocks, whose rows are not exchangeable.
        lipschitz_bound: L, proven in float64 from the stored weights.
        score_deviation: Standard deviation of the critic's held-out scores of each set, of groups that of their means,
            divided by L.
        spread: Mean distance of two random rows of the source, in the same units: what to compare a distance with. None
            for an older result, or a source of fewer than two rows.
        rows_needed: Rows of each set, or groups, with which lower_bound would be above 0 in four of five estimates,
            about, if the critic shows the same. Given if the sets differ by the p-value and lower_bound is 0, and if it
            is known.
        critic: The family of the critic, and its configuration.
        seed: Seed of the split, of training and of the permutation test.
        n: Number of rows of each set in the train, select and test parts.
        split: What is independent: random (rows), groups (P and Q are the distributions of a row drawn by first drawing
            a group), or blocks (rows are ordered in time, and the confidence is approximate). Default: 'random'.
        groups: Number of test groups of each set, if whole groups were split.
        scale: Rescaling of the data before distances are computed; None: the data's own units.
        units: The units of value and the bounds.
        trivial: Simpler estimates on the same test rows.
        empirical: A bracket of the W1 between the given rows themselves, where it was asked for or is cheap.
        null_baseline: Exact optimal transport on some rows, and its bias, if baseline_rows is above 0.
        method_version: Version of the statistics that computed the figures; results of wdist 0.1 do not say it and have
            1. Default: 1.
        steps: Training steps of all candidates together.
        planned_steps: Steps that training was planned for; with max_seconds, of each training in turn. Given as
            options, these and `steps` repeat the result, even if training was ended early. None if nothing was trained,
            or for an older result.
        seconds: Elapsed time.
        device: Where the critics were trained.
        warnings: Caveats about the data and the bounds.
        verdict: The answer in plain words.
        meaning: All sentences of the verdict.
        withdrawn: Figures of an earlier version that must not be used any more; null if every figure stands.
    """

    value: float
    unclipped: float | None = None
    lower_bound: float
    upper_bound: float | None = None
    upper_kind: str | None = None
    upper: Upper | None = None
    no_upper_bound: str | None = None
    confidence: float
    simultaneous: Simultaneous | None = None
    p_value: float | None = None
    lipschitz_bound: float
    score_deviation: Sides | None = None
    spread: float | None = None
    rows_needed: Draws | None = None
    critic: Critic
    seed: int
    n: Rows
    split: str = "random"
    groups: Groups | None = None
    scale: Any = None
    units: str | None = None
    trivial: Trivial = Trivial()
    empirical: Empirical | None = None
    null_baseline: NullBaseline | None = None
    method_version: int = 1
    steps: int | None = None
    planned_steps: int | list[int] | None = None
    seconds: float | None = None
    device: str | None = None
    warnings: list[str] = Field(default_factory=list)
    verdict: Verdict = Verdict()
    meaning: str = ""
    withdrawn: Withdrawn | None = None


class Error(Model):
    """Why an estimate failed."""

    type: str | None = None
    message: str = ""


class Estimate(Model):
    """A job comparing two sample sets, and its result.

    Attributes:
        name: Its owner's name for it; null if it has none.
        source_name: Name of the source; null if it has none, or was deleted.
        target_name: Name of the target; null if it has none, or was deleted.
        priority: Tenants share the workers fairly; of one tenant's jobs, those of a higher priority start first.
        finishing: It was asked to end training early and state what it has. Default: False.
    """

    id: str
    name: str | None = None
    status: str
    source: str
    target: str
    source_name: str | None = None
    target_name: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    priority: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempt: int = 0
    finishing: bool = False
    progress: Progress | None = None
    result: Result | None = None
    error: Error | None = None


class EvaluationJob(Model):
    """An evaluation of every row of a stored set; `content` has it once `status` is succeeded.

    Attributes:
        done: Rows that are evaluated.
        bytes: Of the result, an .npy file of float64.
    """

    id: str
    status: str
    estimate: str | None = None
    sample_set: str
    gradient: bool | None = None
    rows: int
    done: int
    bytes: int | None = None
    error: Error | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None


class Counts(Model):
    """Estimates by state."""

    total: int
    queued: int = 0
    running: int = 0
    canceling: int = 0
    succeeded: int = 0
    failed: int = 0
    canceled: int = 0


class Batch(Model):
    """Estimates submitted together. `sets`: of a matrix all; of a reference batch the reference, then the targets.

    Attributes:
        name: Its owner's name for it; null if it has none.
        priority: Tenants share the workers fairly; of one tenant's jobs, those of a higher priority start first.
    """

    id: str
    name: str | None = None
    status: str
    kind: str
    counts: Counts
    sets: list[str] | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    priority: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    created_at: datetime | None = None
    canceled_at: datetime | None = None


class MatrixWarning(Model):
    """What to mind about one pair of a matrix."""

    row: str
    column: str
    warning: str


class MatrixWithdrawn(Model):
    """Which cells of a matrix are withdrawn, why, and what to do.

    Attributes:
        cells: Names of the withdrawn figures, by row and column.
        reason: Why, in plain words.
        action: What to do, in plain words.
    """

    cells: list[list[list[str]]]
    reason: str
    action: str


class Matrix(Model):
    """Figures by row and column: null where there is no result (yet); a set against itself is 0 with p-value 1.

    Attributes:
        complete: No estimate is queued or running.
        confidence: Of each lower bound by itself, and of the simultaneous ones all together.
        lower_bound: Each holds by itself.
        simultaneous_lower_bound: All hold together; null unless the batch was asked for simultaneous bounds or has only
            one pair.
        upper_bound: Each holds by itself, at the same confidence; null where a pair has no upper bound.
        simultaneous_upper_bound: All hold together; null where there is no simultaneous bound or no upper bound.
        upper_kind: Of the upper bounds: approximate if that of any pair is; null if there are none.
        units: The units of all cells; null if pairs have other units, or none has a result.
        split: What is independent, as in each result; null if there is none.
        answer: How many pairs differ, in a sentence; null if no figures say so of all pairs together: of groups and
            blocks of time without simultaneous bounds.
        warnings: Caveats of the pairs.
        p_value: Of each pair by itself.
        adjusted_p_value: Holm's adjustment: all pairs at most alpha differ, with an error of at most alpha in all.
        estimates: Ids of the estimates; null on the diagonal, and where one was deleted.
        statuses: States of the estimates: a pair that failed has no figures.
        withdrawn: Cells of an earlier version that must not be used any more; null if all stand.
    """

    batch: str | None = None
    complete: bool = True
    rows: list[str]
    columns: list[str]
    value: list[list[float | None]]
    confidence: float | None = None
    lower_bound: list[list[float | None]]
    simultaneous_lower_bound: list[list[float | None]] = Field(default_factory=list)
    upper_bound: list[list[float | None]] = Field(default_factory=list)
    simultaneous_upper_bound: list[list[float | None]] = Field(default_factory=list)
    upper_kind: str | None = None
    units: str | None = None
    split: str | None = None
    answer: str | None = None
    warnings: list[MatrixWarning] = Field(default_factory=list)
    p_value: list[list[float | None]]
    adjusted_p_value: list[list[float | None]] = Field(default_factory=list)
    estimates: list[list[str | None]] | None = None
    statuses: list[list[str | None]] | None = None
    withdrawn: MatrixWithdrawn | None = None


class Standing(Model):
    """One candidate: how far it is from the reference, and which places of the ranking it may have.

    Attributes:
        name: Of the candidate.
        position: Where the candidate was given, from 0.
        best: The best place it may have: 1 more than the candidates shown to be closer.
        worst: The worst place it may have. Candidates whose places overlap are not told apart.
        value: What its critic shows on held-out rows: low on average.
        lower_bound: Its distance is at least this, together with all other statements.
        upper_bound: Its distance is at most this, together with all other statements.
    """

    name: str
    position: int
    best: int
    worst: int
    value: float
    lower_bound: float
    upper_bound: float


class Growth(Model):
    """How many times as many rows would do, if the difference is the one that the critics show.

    Attributes:
        least: If all uncertainty falls like that of a mean: the fewest.
        most: If the bias of transport does not fall at all; None: then no number of rows would do.
    """

    least: float
    most: float | None = None


class Difference(Model):
    """Whether the first candidate is closer to the reference than the second, and by how much.  The bounds are of
    W1(reference, second) - W1(reference, first): above 0 the first is closer.

    Attributes:
        first: Name of the first candidate.
        second: Name of the second candidate.
        shown: Difference of the two values.
        lower_bound: The difference is at least this, together with all other statements.
        upper_bound: The difference is at most this, together with all other statements.
        answer: Is the first closer? yes; no: the second is; more-rows: these do not show it; no-number-of-rows: with
            these critics none would show that the first is closer.
        within_delta: Whether both bounds lie within [-delta, delta]: equally near. None if no delta was given.
        growth: How many more rows would tell which is closer; None if that is known, or if the critics show no
            difference.
        sentence: The answer in words.
    """

    first: str
    second: str
    shown: float
    lower_bound: float
    upper_bound: float
    answer: str
    within_delta: bool | None = None
    growth: Growth | None = None
    sentence: str


class ComparisonFigures(Model):
    """Which of several candidates is closer to a reference. All statements hold together with `confidence`.

    Attributes:
        reference: Name of the reference.
        confidence: Of all distances, differences and places of the ranking together.
        kind: approximate: by the normal approximation; bounds are off if a part of a population that matters is rarer
            than about 10 rows of a set, or if tails are very heavy. finite-sample: for any number of rows, if diameter
            or ranges hold.
        delta: Candidates whose distances differ by at most this count as equally near.
        units: The units of all figures.
        ranking: The candidates, closest first as far as these rows tell.
        differences: Of every two candidates, in the order given.
        missing: Candidates that have no result, and are left out.
        sentence: The whole comparison in words.
    """

    reference: str
    confidence: float
    kind: str
    delta: float | None = None
    units: str | None = None
    ranking: list[Standing]
    differences: list[Difference]
    missing: list[str] = Field(default_factory=list)
    sentence: str


class CandidateWarning(Model):
    """What is to be minded about the estimate of one candidate.

    Attributes:
        candidate: Its name.
    """

    candidate: str | None = None
    warning: str | None = None


class BatchComparison(Model):
    """Which target of a batch is closest to its reference, once all estimates have ended.

    Attributes:
        complete: No estimate is queued or running.
        comparison: null until all estimates have ended, or if none can be.
        reason: Why there is no comparison (yet), in words.
        warnings: Caveats of the estimates.
    """

    batch: str
    complete: bool
    comparison: ComparisonFigures | None = None
    reason: str | None = None
    warnings: list[CandidateWarning] = Field(default_factory=list)


class CurvePoint(Model):
    """One point of a training curve.

    Attributes:
        value: On select rows, not certified; null where it is not a finite number.
    """

    step: int
    seconds: float
    value: float | None


class Curve(Model):
    """Training curve: value on select rows, not certified.

    Attributes:
        complete: The estimate has ended.
    """

    data: list[CurvePoint]
    complete: bool = True


class Thresholds(Model):
    """When a monitor raises an alarm. They are compared with lower bounds of the series, never with values.

    Attributes:
        distance: Alarm when the distance of a batch from the reference is shown to be above this; None: the monitor's
            tolerance.
        columns: Alarm when the distance of one column by itself is shown to be above this, by the column's name.
    """

    distance: float | None = None
    columns: dict[str, float] = Field(default_factory=dict)


class Change(Model):
    """How far this batch is from the one before.  The critic of this update scores both, so that `value` is not the
    difference of the two updates' values, which are of two critics.

    Attributes:
        value: Mean score of this batch less that of the one before, both by the critic of this update. The sign is of
            this critic, and means little where it shows no difference from the reference.
        lower_bound: W1 between this batch and the one before is at least this, together with all other bounds of the
            series.
    """

    value: float
    lower_bound: float


class MonitoredColumn(Model):
    """One column of a batch compared with the same column of the reference.

    Attributes:
        name: Of the column.
        value: W1 of this column alone, on held-out rows.
        lower_bound: It is at least this, together with all other bounds of the series.
        attribution: Share of the critic's difference that this column carries.
    """

    name: str
    value: float
    lower_bound: float
    attribution: float | None = None


class UnusualRow(Model):
    """A held-out row of the batch that is least like the reference.

    Attributes:
        row: Its number in the batch, from 0.
        score: The critic's score over its Lipschitz bound, above the reference's mean.
    """

    row: int
    score: float


class Alarm(Model):
    """An alarm that is on.

    Attributes:
        kind: distance: series_lower_bound is above the threshold. column: that of a column. evidence: the evidence of
            the series has reached its limit; it stays on until a new epoch begins.
        column: The column, of kind column.
        bound: The bound that is above the threshold; None for evidence.
        threshold: What it is compared with; None for evidence.
        since: Number of the update from which on it has been on without a break.
        since_at: Time of the batch of that update.
    """

    kind: str
    column: str | None = None
    bound: float | None = None
    threshold: float | None = None
    since: int
    since_at: float | str | None = None


class UpdateFigures(Model):
    """What one batch says: by itself, and as a part of its monitor's series.

    Attributes:
        number: Of this update among all of its monitor, from 1.
        epoch: From 1; a new reference begins a new epoch.
        at: Time of the batch, as it was given.
        name: What the batch is called.
        sha256: Of the batch's content; one that was seen before is refused.
        rows: Rows of the batch in train, select and test.
        value: What the critic shows on held-out rows: low on average.
        lower_bound: The distance is at least this, of this batch alone, at `confidence`.
        upper_bound: It is at most this, of this batch alone, at `confidence`.
        p_value: Of reference and batch being equal, for this batch alone.
        series_lower_bound: The distance is at least this. All bounds of the series hold together, however long it gets,
            with half of the monitor's error.
        series_upper_bound: It is at most this, together with all bounds of the series. Approximate: with heavy tails it
            is too low more often than the other bounds are wrong. It raises no alarm.
        evidence: Of the whole series since its epoch began: that some batch was further from the reference than the
            tolerance. An e-process: 1 / `evidence_limit` bounds the probability that it ever reaches the limit without
            such drift.
        evidence_limit: The evidence at which an alarm is raised, with the other half of the error.
        change: Compared with the batch before; None for the first of an epoch.
        columns: Of tables, the most different ones first.
        unusual: The most unusual held-out rows of the batch.
        alarms: Alarms that are on after this update.
        critic: Family of the critic that was chosen for this batch.
        steps: Steps of training for this update.
        seconds: Duration of this update.
        warnings: What to mind about this update.
        meaning: The update in one sentence.
    """

    number: int
    epoch: int
    at: float | str | None = None
    name: str | None = None
    sha256: str | None = None
    rows: dict[str, int] = Field(default_factory=dict)
    value: float
    lower_bound: float
    upper_bound: float | None = None
    p_value: float | None = None
    series_lower_bound: float
    series_upper_bound: float | None = None
    evidence: float
    evidence_limit: float
    change: Change | None = None
    columns: list[MonitoredColumn] = Field(default_factory=list)
    unusual: list[UnusualRow] = Field(default_factory=list)
    alarms: list[Alarm] = Field(default_factory=list)
    critic: str | None = None
    steps: int | None = None
    seconds: float | None = None
    warnings: list[str] = Field(default_factory=list)
    meaning: str = ""


class Monitor(Model):
    """A monitor: what it compares with, its budget of error, and where it stands.

    Attributes:
        name: Of the monitor.
        reference: What the reference is called.
        reference_rows: Number of its rows.
        confidence: With this probability, no alarm is ever false, however long the monitor runs.
        tolerance: A distance up to this is no drift. Fixed when an epoch begins.
        thresholds: When an alarm is raised; may be changed at any time.
        units: The units of all figures; null before the first update of the epoch.
        epoch: The current epoch, from 1.
        updates: How many updates there are.
        last: The last update.
        alarms: Alarms that are on.
        options: Other options that were given.
        status: A paused monitor takes no updates.
        reference_set: The sample set that is the reference of the current epoch.
        waiting: Updates that are queued or running.
        updated_at: When the last update succeeded.
    """

    name: str
    reference: str | None = None
    reference_rows: int | None = None
    confidence: float
    tolerance: float
    thresholds: Thresholds = Thresholds()
    units: str | None = None
    epoch: int
    updates: int
    last: UpdateFigures | None = None
    alarms: list[Alarm] = Field(default_factory=list)
    options: dict[str, Any] = Field(default_factory=dict)
    id: str
    status: str
    reference_set: str | None = None
    waiting: int | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None


class UpdateProgress(Model):
    """How far a running update is.

    Attributes:
        value: On select rows, not certified.
    """

    step: int | None = 0
    steps: int | None = None
    seconds: float | None = None
    value: float | None = None
    eta_seconds: float | None = None
    trying: str | None = None


class MonitorUpdate(Model):
    """A job that compares one batch with the reference, and what it found.

    Attributes:
        number: Among the successful updates of the monitor, from 1.
        batch: The sample set that is the batch; its rows may have been deleted since.
        name: Of the batch.
        at: Time of the batch, as it was given.
        figures: What the batch says, once the update has succeeded.
        raised: Alarms that are on since this update.
        cleared: Alarms that were on until this update.
    """

    id: str
    status: str
    monitor: str | None = None
    epoch: int | None = None
    number: int | None = None
    batch: str | None = None
    name: str | None = None
    at: float | str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempt: int = 0
    progress: UpdateProgress | None = None
    figures: UpdateFigures | None = None
    raised: list[Alarm] = Field(default_factory=list)
    cleared: list[Alarm] = Field(default_factory=list)
    error: Error | None = None


class NewWebhook(Model):
    """A webhook with its secret, which is shown when it is created or rotated, and never again.

    Attributes:
        disabled_reason: Why nothing is sent to it, in words.
        failing_since: The first failure since its last success; null: none.
        failures: Requests that failed since its last success.
        previous_secret_until: Until when the old secret signs, too; null: no longer.
        secret: Verifies signatures: whsec_ and 32 bytes in base64.
    """

    id: str
    url: str
    events: list[str]
    description: str | None = None
    include_rows: bool | None = None
    status: str
    disabled_at: datetime | None = None
    disabled_reason: str | None = None
    failing_since: datetime | None = None
    failures: int | None = None
    last_success_at: datetime | None = None
    previous_secret_until: datetime | None = None
    created_at: datetime | None = None
    secret: str | None = None


class Webhook(Model):
    """A webhook, without its secret.

    Attributes:
        disabled_reason: Why nothing is sent to it, in words.
        failing_since: The first failure since its last success; null: none.
        failures: Requests that failed since its last success.
        previous_secret_until: Until when the old secret signs, too; null: no longer.
    """

    id: str
    url: str
    events: list[str]
    description: str | None = None
    include_rows: bool | None = None
    status: str
    disabled_at: datetime | None = None
    disabled_reason: str | None = None
    failing_since: datetime | None = None
    failures: int | None = None
    last_success_at: datetime | None = None
    previous_secret_until: datetime | None = None
    created_at: datetime | None = None


class Delivery(Model):
    """One event on its way to one webhook.

    Attributes:
        event: The type of the event.
        event_id: The header webhook-id: the same in every request of this event.
        status: queued: it waits for its next request.
        attempts: Requests that were made.
        response_status: Of the last request.
        reason: Why the last request failed, in words.
    """

    id: str
    webhook: str
    event: str
    event_id: str | None = None
    status: str
    attempts: int
    next_attempt_at: datetime | None = None
    response_status: int | None = None
    reason: str | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None


class DeliveryAttempt(Model):
    """One request of a delivery.

    Attributes:
        response_status: Of HTTP; null: there was no answer.
        reason: Why it failed, in words; null: it succeeded.
    """

    at: str | None = None
    response_status: int | None = None
    reason: str | None = None
    seconds: float | None = None


class DeliveryDetail(Model):
    """A delivery with its payload and its requests.

    Attributes:
        event: The type of the event.
        event_id: The header webhook-id: the same in every request of this event.
        status: queued: it waits for its next request.
        attempts: Requests that were made.
        response_status: Of the last request.
        reason: Why the last request failed, in words.
        payload: What is sent: type, timestamp and data.
        response_body: The first 500 characters of the last answer's body.
        log: The last 30 requests, oldest first.
    """

    id: str
    webhook: str
    event: str
    event_id: str | None = None
    status: str
    attempts: int
    next_attempt_at: datetime | None = None
    response_status: int | None = None
    reason: str | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None
    payload: dict[str, Any] = Field(default_factory=dict)
    response_body: str | None = None
    log: list[DeliveryAttempt] = Field(default_factory=list)


class WitnessRow(Model):
    """A held-out row that is least like the other set.

    Attributes:
        row: Its number, from 0, as `numbering` says.
        score: The critic's score over its Lipschitz bound, not clipped.
    """

    row: int
    score: float


class WitnessRows(Model):
    """The most unusual held-out rows of both sets.

    Attributes:
        source: Those with the lowest scores, the lowest first.
        target: Those with the highest scores, the highest first.
    """

    source: list[WitnessRow]
    target: list[WitnessRow]


class ScoreHistogram(Model):
    """Shares of each set's held-out scores in bins of equal width; edges: one more than bins."""

    edges: list[float]
    source: list[float]
    target: list[float]


class ColumnHistogram(Model):
    """The values of one column: the share of each set's held-out rows in each bin, or of each level.  A set's shares
    sum to 1, that of missing values included. Its categories have levels, other columns have edges.

    Attributes:
        edges: Edges of at most 20 bins: numbers in the table's own units, or times in ISO 8601. A bin holds its left
            edge, not its right one; the outermost bins also hold whatever lies beyond them.
        levels: The most frequent levels of a category, and what the others are together; of a boolean, false and true.
        source: Shares in the bins, or of the levels.
        target: The same, of the target.
        missing: Shares of missing values, where the column may have some.
    """

    edges: list[float] | list[str] = Field(default_factory=list)
    levels: list[str] = Field(default_factory=list)
    source: list[float]
    target: list[float]
    missing: Sides | None = None


class WitnessColumn(Model):
    """What one column of a table contributes to the distance.

    Attributes:
        name: Of the column, or its number.
        attribution: Share of the critic's difference that this column carries, 0 to 1.
        value: W1 of this column alone, on held-out rows.
        lower_bound: W1 of this column is at least this. The bounds of all columns hold at once. Null if rows are not
            independent (groups, blocks of time).
        histogram: Its values in both sets; null in a file of version 0.1.
    """

    name: str
    attribution: float
    value: float
    lower_bound: float | None = None
    histogram: ColumnHistogram | None = None


class WitnessFigures(Model):
    """Where two sets differ, according to the critic, on held-out rows.

    Attributes:
        units: What a score of 1 means.
        means: Mean score of each set, of groups the mean of their means. Target less source is `unclipped` of the
            result.
        numbering: What the numbers of unusual rows count. Rows of a stored set that were left out when it was read have
            no number. Null in a witness of an earlier version, which counts the rows that were kept.
        histogram: The scores of all held-out rows.
        columns: By what they carry; empty for images and for tables of more than 200 columns.
    """

    units: str
    means: Sides | None = None
    numbering: str | None = None
    unusual: WitnessRows
    histogram: ScoreHistogram
    columns: list[WitnessColumn]


class Options(TypedDict, total=False):
    """How to estimate. What is left out gets its default.

    Attributes:
        confidence: 1 - alpha of the bounds. Default: 0.95.
        critic: Family of critics. auto tries several and chooses on the select rows. Default: 'auto'.
        seed: Seeds the split, training and the permutation test. Fix it before you look at a result. Default: 0.
        max_seconds: Seconds of training, about; converted to steps after a timed warm-up.
        planned_steps: Repeats a result, with its other options: its planned_steps, and its steps as steps. The learning
            rates follow the plan, and training ends after so many steps of it.
        steps: Training steps at most, of all critics together that auto tries; training ends earlier where nothing more
            is gained. The result is then reproducible on one machine with as many threads.
        scale: Rescaling before distances are measured: none (the data's own units), standardize (standard deviations of
            each column), robust (medians and quartiles instead, which outliers do not move), one factor to divide by,
            or a factor for each column. Of mixed tables only numbers and times are rescaled.
        category_cost: How far apart two levels of a category are, or a missing value and any other, after scale. With
            standardize, 1 is as far as one standard deviation of a number. Default: 1.0.
        layout: Axes of images, where the shape leaves them open.
        device: Device of the worker. auto takes a free GPU. Default: 'auto'.
        baseline_rows: Rows of each set for the exact transport shown beside the result; 0 leaves it out. Default: 1000.
        method: Method of the lower bound. betting: A bet on each mean (Waudby-Smith and Ramdas), for sets that are not
            independent of each other. empirical_bernstein: A closed form for each mean, from its variance (Maurer and
            Pontil). paired_betting: A bet on differences of rows, whose margin is about a third smaller; it needs
            independent sets. target_stakes: A bet on differences of rows whose stakes aim at the threshold, with the
            smallest margin; it needs independent sets, except for groups. Default: 'target_stakes'.
        split: blocks is for rows ordered in time: the last rows are tested, the bound is approximate, and there is no
            p-value. Default: 'random'.
        upper: How much work the upper bound gets. tight: a better transport plan, for several times the seconds. none:
            no upper bound. Default: 'standard'.
        diameter: Largest possible distance between two rows after scale, an assumption of yours. It makes the upper
            bound hold for any number of rows, instead of approximately. It needs rows that are independent draws, and a
            scale that was not computed from them: not with groups, blocks, standardize or robust.
        ranges: Lowest and highest possible value in the data's own units, of all columns or of each one in turn: an
            assumption of yours, which may stand in for diameter, also with standardize. Of mixed tables it is that of
            numbers and times. Not with groups or blocks.
        empirical: Whether to compute limits of the distance between the given rows themselves; by default if cheap.
        statements: Number of estimates that are read together. The result then has a simultaneous bound; all of these
            hold at once. Default: 1.
        name: Your name for it, by which it is found in lists.
        priority: Tenants share the workers fairly; of one tenant's jobs, those of a higher priority start first.
            Default: 'normal'.
        metadata: Your own labels.
    """

    confidence: float
    critic: Literal["auto", "affine", "sliced", "groupsort", "cone", "bcop"]
    seed: int
    max_seconds: float | None
    planned_steps: int | Sequence[int] | None
    steps: int | None
    scale: Literal["none", "standardize", "robust"] | float | Sequence[float] | None
    category_cost: float
    layout: Literal["nhwc", "nchw"] | None
    device: Literal["auto", "cpu", "cuda"]
    baseline_rows: int
    method: Literal["betting", "empirical_bernstein", "paired_betting", "target_stakes"]
    split: Literal["random", "blocks"]
    upper: Literal["standard", "tight", "none"]
    diameter: float | None
    ranges: Sequence[float] | None
    empirical: bool | None
    statements: int
    name: str | None
    priority: Literal["high", "normal", "low"]
    metadata: Mapping[str, str]


class BatchOptions(Options, total=False):
    """How to estimate each pair of a batch.

    Attributes:
        simultaneous: Adds a simultaneous bound to each result: all of those of the batch hold together (Bonferroni).
            Default: False.
    """

    simultaneous: bool


class MonitorOptions(TypedDict, total=False):
    """How a monitor compares each batch.

    Attributes:
        confidence: 1 - alpha. Half of alpha is for all bounds of the series, and half for its evidence. The bounds of a
            batch alone hold at this confidence, too. Default: 0.95.
        tolerance: A distance up to this is no drift. It is fixed when an epoch begins. Default: 0.0.
        critic: Family of critics. auto tries several and chooses on the select rows. Default: 'auto'.
        seed: Seeds the split, training and the permutation test. Fix it before you look at a result. Default: 0.
        steps: Training steps of the first update of an epoch; by default as many as an estimate takes.
        update_steps: Training steps of each later update, which go on from the last critic; by default a quarter of
            what an estimate takes.
        scale: Rescaling before distances are measured: none (the data's own units), standardize (standard deviations of
            each column), robust (medians and quartiles instead, which outliers do not move), one factor to divide by,
            or a factor for each column. Of mixed tables only numbers and times are rescaled.
        category_cost: How far apart two levels of a category are, or a missing value and any other, after scale. With
            standardize, 1 is as far as one standard deviation of a number. Default: 1.0.
        layout: Axes of images, where the shape leaves them open.
        device: Device of the worker. auto takes a free GPU. Default: 'auto'.
        method: Method of the lower bound. betting: A bet on each mean (Waudby-Smith and Ramdas), for sets that are not
            independent of each other. empirical_bernstein: A closed form for each mean, from its variance (Maurer and
            Pontil). paired_betting: A bet on differences of rows, whose margin is about a third smaller; it needs
            independent sets. target_stakes: A bet on differences of rows whose stakes aim at the threshold, with the
            smallest margin; it needs independent sets, except for groups. Default: 'target_stakes'.
        upper: How much work the upper bound gets. tight: a better transport plan, for several times the seconds. none:
            no upper bound. Default: 'standard'.
    """

    confidence: float
    tolerance: float
    critic: Literal["auto", "affine", "sliced", "groupsort", "cone", "bcop"]
    seed: int
    steps: int | None
    update_steps: int | None
    scale: Literal["none", "standardize", "robust"] | float | Sequence[float] | None
    category_cost: float
    layout: Literal["nhwc", "nchw"] | None
    device: Literal["auto", "cpu", "cuda"]
    method: Literal["betting", "empirical_bernstein", "paired_betting", "target_stakes"]
    upper: Literal["standard", "tight", "none"]


class Reading(TypedDict, total=False):
    """How a file is read.

    Attributes:
        columns: Take these columns of a table only, in this order.
        drop: Leave these columns of a table out.
        categories: Columns whose values are names of levels, such as text: two different levels are category_cost
            apart.
        dates: Columns of text that hold dates or times in ISO 8601.
        time_unit: Unit of dates and times as numbers; tables with such columns need it.
        time_start: The time that is 0, in ISO 8601; by default 1970-01-01.
        missing: What a missing value is. error: a reason to refuse the table. drop: a reason to leave its row out.
            level: a level of its own, category_cost away from every value; a number is then at its column's centre.
            Default: 'error'.
        member: Array to take from an .npz file.
        decimal: Decimal mark of numbers in CSV.
        separator: What separates cells of CSV.
        thousands: What groups the digits of numbers in CSV.
        header: Whether the first line of CSV, or row of a sheet, is names.
        encoding: Encoding of CSV, where it is not UTF-8.
        sheet: Sheet of an Excel file that has several.
        embedding: Rows of an .h5ad file: this entry of obsm instead of X.
        subfolders: Take the images of a folder's subfolders, too. Default: False.
    """

    columns: Collection[str] | None
    drop: Collection[str]
    categories: Collection[str]
    dates: Collection[str]
    time_unit: Literal["seconds", "minutes", "hours", "days"] | None
    time_start: str | None
    missing: Literal["error", "drop", "level"]
    member: str | None
    decimal: Literal[".", ","] | None
    separator: str | None
    thousands: Literal[",", ".", " ", "'", "_"] | None
    header: bool | None
    encoding: str | None
    sheet: str | None
    embedding: str | None
    subfolders: bool


class PairRequest(BaseModel, extra="forbid", strict=True):
    """One comparison."""

    source: Annotated[str, Field(min_length=1, max_length=64)]
    target: Annotated[str, Field(min_length=1, max_length=64)]
    custom_id: (
        Annotated[str, Field(pattern="^[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]*$", min_length=1, max_length=64)]
        | None
    ) = None


Status = Literal["queued", "running", "canceling", "succeeded", "failed", "canceled"]

# Fields of requests, with their defaults, that the library's options lack or that a server limits more.
COMMON_FIELDS: dict[str, Any] = {
    "max_seconds": (Annotated[float, Field(gt=0.0, le=86400.0)] | None, None),
    "device": (Literal["auto", "cpu", "cuda"], "auto"),
    "groups": (
        Annotated[
            dict[
                Annotated[str, Field(min_length=1, max_length=64)], Annotated[str, Field(min_length=1, max_length=64)]
            ],
            Field(min_length=1, max_length=5001),
        ]
        | None,
        None,
    ),
    "name": (Annotated[str, Field(pattern="^[^\\x00-\\x1f\\x7f-\\x9f]*$", min_length=1, max_length=200)] | None, None),
    "priority": (Literal["high", "normal", "low"], "normal"),
    "metadata": (
        Annotated[
            dict[
                Annotated[
                    str, Field(pattern="^[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]*$", min_length=1, max_length=64)
                ],
                Annotated[str, Field(pattern="^[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]*$", max_length=512)],
            ],
            Field(max_length=50),
        ],
        {},
    ),
}
ESTIMATE_FIELDS: dict[str, Any] = {
    "source": (Annotated[str, Field(max_length=64)], ...),
    "target": (Annotated[str, Field(max_length=64)], ...),
}
BATCH_FIELDS: dict[str, Any] = {
    "pairs": (Annotated[list[PairRequest], Field(min_length=1, max_length=5000)] | None, None),
    "matrix": (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(min_length=2, max_length=100)] | None,
        None,
    ),
    "reference": (Annotated[str, Field(min_length=1, max_length=64)] | None, None),
    "targets": (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(min_length=1, max_length=5000)]
        | None,
        None,
    ),
    "simultaneous": (bool, False),
    "compare": (bool, False),
}

SHOWN: tuple[tuple[tuple[str, ...], str, str, str], ...] = (
    (("lower_bound",), "lower_bound", ".5g", "W1 is at least this, with {about}{confidence} confidence"),
    (
        ("simultaneous", "lower_bound"),
        "simultaneous",
        ".5g",
        "{about}at least this, together with all {statements} statements",
    ),
    (("upper_bound",), "upper_bound", ".5g", "W1 is at most this, with {upper_about}{confidence} confidence"),
    (
        ("simultaneous", "upper_bound"),
        "simultaneous",
        ".5g",
        "{upper_about}at most this, together with all {statements} statements",
    ),
    (("value",), "value", ".5g", "what the critic shows on held-out {unit}: low on average"),
    (("unclipped",), "unclipped", ".5g", "value without clipping rare scores, which the bound needs"),
    (("p_value",), "p_value", ".2g", "how often equal populations would show this much"),
    (("lipschitz_bound",), "lipschitz_bound", ".8f", "proven from the weights; value is divided by it"),
    (
        ("trivial", "mean_difference"),
        "mean difference",
        ".5g",
        "a simple estimate on the same held-out {unit}: compare with value",
    ),
    (("empirical", "exact"), "exact OT", ".5g", "of {all_rows}"),
    (
        ("null_baseline", "between"),
        "small-sample OT",
        ".5g",
        "between {rows}; within one set {within}: the bias of so few rows",
    ),
)
"""Path in a result, name, format and meaning of each figure of the printed summary, in order."""
