"""`estimate_w1`: split the rows, train critics, choose one, and certify it once on held-out rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Unpack

from wdist.certify import certify, rescaled
from wdist.data.checks import (
    check_pair,
    check_ranges,
    check_scaled,
    duplicate_warnings,
    reading_warnings,
    scale_warnings,
)
from wdist.data.columns import check_names
from wdist.data.groups import checked_labels, comparable
from wdist.data.pair import SamplePair, Shared
from wdist.data.samples import SampleSet, encode_together, open_samples
from wdist.data.scaling import OF_THE_FIRST_SET, Scaling
from wdist.data.sources.files import FileRows
from wdist.data.sources.rows import labels_of, refuse_absent
from wdist.data.splits import MINIMUM_ROWS, GroupOrder, Split, split_rows, tested_units
from wdist.definitions.arguments import Arguments
from wdist.definitions.reading import Reading, Selection
from wdist.device import chosen_device
from wdist.errors import OptionError, SampleError
from wdist.inference.mean_bounds import check_confidence
from wdist.inference.units import layout_of, refuse_layout
from wdist.nn.torch_state import own_torch_state
from wdist.options import Options, options_and_reading, refuse_groups, takes_options
from wdist.result import Result
from wdist.training.halving import Budget, contenders
from wdist.training.lockstep import Training
from wdist.training.progress import Progress as Progress
from wdist.training.progress import Reporter
from wdist.training.progress_line import ProgressLine
from wdist.training.selection import CriticSelection
from wdist.transport.upper import check_diameter

ENDED_EARLY = "training was ended early: the bound holds, and longer training may give a larger one"


@takes_options
def estimate_w1(
    x: Any,
    y: Any,
    *,
    names: tuple[str, str] | None = None,
    groups: tuple[Any, Any] | str | None = None,
    progress: bool | Callable[[Progress], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
    should_finish: Callable[[], bool] | None = None,
    checkpoint: str | Path | None = None,
    **arguments: Unpack[Arguments],
) -> Result:
    """Bounds on the Wasserstein-1 distance between the populations behind two sample sets.

    The lower bound: critics are fitted on 50 % of the rows, the best is chosen on 10 %, and it is certified on the 40 %
    held out (half of small files). Its Lipschitz constant is proven from the weights. By Kantorovich-Rubinstein
    duality, E_Q f - E_P f <= Lip(f) W1(P, Q) for every f. The upper bound: a transport plan between the rows costs at
    least what the best critic of the populations shows on them, which is W1 on average; a deviation is added.

    Args:
        x: rows of P (source): (n, d), or images (n, h, w), (n, h, w, c), (n, c, h, w); numpy, torch, memory-mapped,
            anything array-like, a pandas or polars frame, or the path of a file: .npy, .npz (or FILE.npz:NAME),
            .parquet, .csv, a .zip or a folder of images. Rows must be i.i.d. draws; uint8 images are divided by 255.
        y: rows of Q (target), of the same shape as those of x and independent of them.
        names: what messages and reports call the two sets, such as ("January", "February"); by default their files, or
            source and target.
        groups: labels of the rows of x and of y, if rows belong together (a patient, a burst), or the name of a column
            that holds them in both tables. The split keeps groups whole, and the result is about drawing a group, then
            a row from it. Labels are numbers, text, dates or times; 3, 3.0 and "3" are one label, "007" is another.
        progress: True shows a line on standard error; a function is called with a `Progress` during training. Its
            values are not certified.
        should_stop: called before each step; once it returns true, training stops and there is no result.
        should_finish: called before each step; once it returns true, training ends and the result states what it has.
            One step is taken at least, and the critics in closed form compete, whatever `critic` is. `planned_steps`
            and `steps` of that result, given as options, repeat it.
        checkpoint: a file that is updated every few seconds during training, and on stopping. A later call with the
            same data and options resumes from it, and gives the result of an uninterrupted run. With another number of
            threads it resumes too; large nets then round differently.
        {reading}
        {options}

    For `diameter` of columns with known ranges, see `wdist.transport.diameter_from_ranges`.

    Raises:
        SampleError: the data cannot be used; the message names the set, the row and the column.
        OptionError: an option is unknown or out of range.
        Stopped: should_stop() returned true.
    """
    options, reading = options_and_reading(arguments)
    with ProgressLine(progress or False) as tell:
        estimation = Estimation(
            x, y, options, names=names, reading=reading, groups=groups, progress=tell, should_stop=should_stop,
            should_finish=should_finish, checkpoint=checkpoint,
        )  # fmt: skip
        return estimation.run()


def compared(names: tuple[str, str], x: Any, y: Any, options: Options, **given: Any) -> Result:
    """An estimate of two sets that results and messages call by their names; further arguments as of `Estimation`."""
    try:
        return Estimation(x, y, options, names=names, **given).run()
    except SampleError as error:
        if any(name in str(error) for name in names):
            raise
        raise SampleError(f"{names[0]} and {names[1]}: {error}") from error


class Estimation:
    """`estimate_w1` in steps, with the same arguments, for callers that train several at once (`training.lockstep`)."""

    @own_torch_state()
    def __init__(
        self,
        x: Any,
        y: Any,
        options: Options,
        *,
        names: tuple[str, str] | None = None,
        reading: Reading | None = None,
        groups: tuple[Any, Any] | str | None = None,
        progress: Callable[[Progress], object] | None = None,
        should_stop: Callable[[], bool] | None = None,
        should_finish: Callable[[], bool] | None = None,
        checkpoint: str | Path | None = None,
        shared: Shared | None = None,
    ) -> None:
        """shared: what the pairs of a matrix share, its group labels included; `groups` is not given then."""
        self._options = options
        self._names = (called(x, "source"), called(y, "target")) if names is None else checked_names(names)
        self._pair, self._warnings = _open(x, y, self._names, options, reading or Reading(), groups, shared)
        self._reporter = Reporter(progress, should_stop, should_finish)
        if options.diameter is not None:
            check_diameter(*rescaled(self._pair), options.diameter, told_apart(self._names))  # now, not after training
        if options.ranges is not None:
            for samples in (self._pair.source, self._pair.target):
                check_ranges(samples, options.ranges)
        rows = min(len(self._pair.source_split.train), len(self._pair.target_split.train))
        configs = contenders(options.critic, self._pair.net_shape, rows)
        planned = options.planned_steps
        budget = Budget(options.steps, options.max_seconds, tuple(planned) if isinstance(planned, list) else planned)
        path = None if checkpoint is None else Path(checkpoint)
        self._selection = CriticSelection(self._pair, configs, budget, self._reporter, path)

    def trainings(self) -> Iterator[Training]:
        """The trainings of all candidates. Run each one before asking for the next."""
        return self._selection.trainings()

    @own_torch_state()
    def run(self) -> Result:
        """Train all candidates, and return the result."""
        for training in self.trainings():
            training.run()
        return self.result()

    @own_torch_state()
    def result(self) -> Result:
        """Choose the best candidate on the select rows and certify it. Only this method looks at the test rows."""
        candidates = self._selection.candidates()
        wanted, is_early = self._options.critic, self._selection.is_ended_early
        # A critic that had no time to train loses to the mean difference, whichever family was asked for.
        competing = [c for c in candidates if is_early or wanted in ("auto", c.critic.family)]
        chosen = max(competing, key=lambda candidate: candidate.select_value)
        warnings = [*self._warnings, *([ENDED_EARLY] if is_early else [])]
        result = certify(self._pair, chosen, candidates, self._options, warnings, self._reporter.started)
        result.names, result.planned_steps = self._names, self._selection.plan
        return result


def called(data: Any, side: str) -> str:
    """What a report calls a set: its file as the user named it, or its side."""
    if isinstance(data, FileRows):
        return data.given
    return str(data) if isinstance(data, str | Path) else side


def checked_names(names: Any) -> tuple[str, str]:
    """The names of the two sets. Raises OptionError if they are not two texts."""
    if not isinstance(names, tuple | list) or len(names) != 2 or not all(isinstance(each, str) for each in names):
        raise OptionError("names takes a pair: (name of x, name of y), each a text")
    return names[0], names[1]


def told_apart(names: tuple[str, str]) -> tuple[str, str]:
    """What messages call the sets, whose names may be equal."""
    return names if names[0] != names[1] else (f"{names[0]} (source)", f"{names[1]} (target)")


def _open(
    x: Any,
    y: Any,
    names: tuple[str, str],
    options: Options,
    reading: Reading,
    groups: tuple[Any, Any] | str | None,
    shared: Shared | None,
) -> tuple[SamplePair, list[str]]:
    """Read, check and split both sets."""
    device = chosen_device(options.device)
    one, other = told_apart(names)
    take = Selection.of(reading, groups=groups if isinstance(groups, str) else None)
    refuse_absent((x, y), (one, other))
    source, target = encode_together(
        *(open_samples(data, name, options.layout, take=take) for name, data in ((one, x), (other, y)))
    )
    if isinstance(groups, str):
        groups = labels_of(x, groups, one, reading), labels_of(y, groups, other, reading)
    contenders(options.critic, source.row_shape, MINIMUM_ROWS)  # raises for a family that does not fit the rows
    warnings = reading_warnings(source, target) + check_pair(source, target)
    numbers = (0, 1) if shared is None else shared.numbers
    order = _group_order(source, target, options, groups, shared)
    if order is None:
        codes = None
        source_split, target_split = (
            split_rows(s.n, options.seed, k, mode=options.split) for s, k in zip((source, target), numbers, strict=True)
        )
    else:
        source_split, target_split, codes = order.pair(*numbers, names=(one, other))
    tested = tested_units((source_split, target_split), codes)
    check_confidence(options.confidence, *tested, options.method, (one, other))
    # First what takes the figures' meaning away: behind remarks about columns it would be overlooked.
    warnings = duplicate_warnings(source, target, source_split, target_split) + warnings
    reference = None if shared is None else _reference(shared, source, options, order)
    fitted = Scaling.fit(options.scale, source, target, source_split, target_split, reference, options.category_cost)
    check_scaled(source, target, fitted)
    warnings += scale_warnings(source, target, fitted)
    counts = None if order is None else order.counts
    pair = SamplePair(
        source, target, source_split, target_split, fitted, options.seed, device, codes, counts, numbers
    )  # fmt: skip
    return pair, warnings


def _group_order(
    source: SampleSet, target: SampleSet, options: Options, groups: tuple[Any, Any] | None, shared: Shared | None
) -> GroupOrder | None:
    """The order of all groups of both sets, or of all sets of a matrix; None if rows are split by themselves."""
    given = groups if shared is None else shared.groups
    if given is None:
        return None
    if (reason := refuse_groups(options.split, options.diameter, options.ranges)) is not None:
        raise OptionError(f"groups: {reason}")
    if not isinstance(given, tuple | list) or (shared is None and len(given) != 2):
        raise OptionError("groups takes a pair: (labels of the rows of x, labels of the rows of y)")
    i, j = (0, 1) if shared is None else shared.numbers
    sides = {i: source, j: target}
    for k, samples in sides.items():
        if samples.take.missing == "drop" and len(given[k]) != samples.n:
            raise OptionError(
                f"groups: missing='drop' keeps {samples.n} rows of {samples.name}, and there are {len(given[k])} "
                "labels: give the name of a column as groups, whose labels are left out with their rows"
            )
    labels = [
        checked_labels(each, sides[k].name, sides[k].n)
        if k in sides
        else checked_labels(each, f"set {k + 1}", len(each))
        for k, each in enumerate(given)
    ]
    codes = comparable(*labels)
    if (reason := refuse_layout(layout_of(codes[i], codes[j]), options.method)) is not None:
        raise OptionError(f"groups: {reason}")
    return GroupOrder.of(codes, options.seed)


def _reference(
    shared: Shared, source: SampleSet, options: Options, order: GroupOrder | None
) -> tuple[SampleSet, Split] | None:
    """The first set of a matrix, whose select rows fix the unit of all its pairs, and its split; None if none do."""
    may_be_missing = source.encoding is not None and bool(source.may_be_missing.any())
    if options.scale not in (*OF_THE_FIRST_SET,) and not may_be_missing:
        return None
    first = open_samples(shared.first, shared.name, options.layout)
    if source.encoding is not None:
        first = first.encoded(source.encoding)
    check_names(first.names, source.names, first.name, source.name)
    if first.row_shape != source.row_shape:
        raise SampleError(f"{first.name} has rows of shape {first.row_shape}, not {source.row_shape}")
    if order is not None:
        return first, order.split(0, first.name)
    return first, split_rows(first.n, options.seed, 0, mode=options.split)
