"""One update of a monitor: train on from the last critic, look at the test rows once, and say what they show."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from wdist.critics.base import CriticConfig, FittedConfig
from wdist.critics.cost import warm_steps
from wdist.data.checks import (
    check_pair,
    check_scaled,
    duplicate_warnings,
    reading_warnings,
    scale_warnings,
)
from wdist.data.columns import check_kinds, check_names
from wdist.data.content import Content, content_of
from wdist.data.pair import SamplePair
from wdist.data.samples import SampleSet, encode_together
from wdist.data.scaling import unit_in_words
from wdist.data.splits import MINIMUM_ROWS, Split, split_rows
from wdist.definitions.alarms import next_alarms
from wdist.definitions.monitoring import UpdateFigures
from wdist.definitions.times import checked_time
from wdist.device import chosen_device
from wdist.errors import OptionError, RepeatedBatchError, SampleError
from wdist.estimate import called
from wdist.inference.mean_bounds import check_confidence
from wdist.inference.series.evidence import Evidence
from wdist.monitoring.frame import Frame
from wdist.monitoring.meaning import meaning_of
from wdist.monitoring.options import MonitorOptions
from wdist.monitoring.reference import Reference, of_new_epoch, open_rows, printable, read_as_reference
from wdist.monitoring.state import MonitorState, PreviousRows, ReferenceRecord, SeenRows, WarmCritic
from wdist.monitoring.statements import Statements, evidence_after
from wdist.nn.torch_state import own_torch_state
from wdist.streams import Purpose, stream
from wdist.training.halving import Budget, contenders
from wdist.training.progress import Progress, Reporter
from wdist.training.selection import Candidate, CriticSelection

RECURRING, MOST_SHOWN = 0.1, 3  # share of an earlier set's rows that is told; how many sets are named
PAUSED = (
    "the monitor was paused in this epoch: the bounds of the series hold if its results did not decide the pause; else "
    "begin a new epoch"
)


def begin(reference: Reference, options: MonitorOptions, after: MonitorState | None = None) -> MonitorState:
    """A monitor before its first update; with `after`, the next epoch of that one.

    The reference is split once for the whole epoch. Its select rows fix the unit, its train rows train every critic,
    and its test rows score every one. An epoch is for a new reference: its rows must be none that the monitor has seen,
    because the test rows of an epoch are fresh. It may change every option but the confidence.

    Raises SampleError for a reference that was one before, or a batch, OptionError for another confidence.
    """
    epoch, stream_number = 1, 0
    if after is not None:
        if options.confidence != after.options.confidence:
            raise OptionError(
                f"confidence is {options.confidence:g}, and the monitor has {after.options.confidence:g}: all epochs "
                "share one error; leave it out"
            )
        epoch, stream_number = after.epoch + 1, after.split_of_reference + after.updates_in_epoch + 1
        _refuse_seen_reference(reference, after)
    split = split_rows(reference.samples.n, options.seed, stream_number)
    frame = Frame.of(reference.samples, split, options.scale, options.category_cost)
    framed = frame.framed(reference.samples)
    _ = framed.statistics  # raises for values that no update could use
    check_scaled(framed, framed, frame.scaling)
    chosen_device(options.device)  # raises for one that there is none of
    contenders(options.critic, framed.row_shape, MINIMUM_ROWS)  # raises for a family that does not fit the rows
    units = unit_in_words(framed, frame.scaling)
    record = ReferenceRecord(
        printable(reference.name), reference.samples.n, reference.sha256, units, tuple(reference.columns),
        () if after is None else tuple(_recurring(after.seen, reference.rows, reference.name)),
    )  # fmt: skip
    state = MonitorState(
        options, reference.reading, epoch, 0, 0, stream_number, record, frame,
        Evidence.begin(options.alpha, epoch, options.tolerance), references=(reference.content,),
        seen=(SeenRows(f"the reference of epoch {epoch}", reference.rows.sample),),
    )  # fmt: skip
    if after is None:
        return state
    return replace(
        state, updates=after.updates, references=(*after.references, reference.content), batches=after.batches,
        seen=(*after.seen, *state.seen), last_at=after.last_at,
    )  # fmt: skip


@own_torch_state()
def update(
    state: MonitorState,
    reference: Reference,
    batch: Any,
    *,
    at: Any = None,
    name: str | None = None,
    progress: Callable[[Progress], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> tuple[MonitorState, UpdateFigures]:
    """Compare a batch with the reference, and return the monitor after that and what the batch says.

    The state that is given stays as it is; the same arguments give the same bits (`seconds` apart). What is stated of
    the series holds if no batch is left out after its figures are known, and no row occurs in two batches.

    Args:
        state: of the monitor before this batch.
        reference: of its epoch.
        batch: its rows, as `wdist.estimate_w1` takes them: independent draws, none of which is in another batch.
        at: time of the batch: a number, or a date or time; later than that of the batch before.
        name: what the batch is called; by default its file, or its number.
        progress: called with a `Progress` during training.
        should_stop: called before each step of training; once it returns true, there is no update.

    Raises:
        RepeatedBatchError: a batch of the same rows was seen before.
        SampleError: the batch cannot be used; the message names the row and the column.
        OptionError: `at` is no time, or not later than the last one.
        Stopped: should_stop() returned true.
    """
    reporter = Reporter(progress, should_stop)
    opened, content = _open(state, reference, batch, name)
    moment = checked_time(at, state.last_at)
    number_of_split = state.split_of_reference + state.updates_in_epoch + 1
    split = split_rows(opened.n, state.options.seed, number_of_split)
    pair, warnings = _pair(state, reference, opened, split, number_of_split)
    present = f"the reference of epoch {state.epoch}"  # it is compared with all rows of the batch
    warnings += _recurring([each for each in state.seen if each.name != present], content, opened.name)
    warnings += state.reference.warnings
    selection = _trained(state, pair, reporter)
    candidates = selection.candidates()
    chosen = max(_competing(candidates, state.options.critic), key=lambda candidate: candidate.select_value)
    statements = Statements(state, reference.samples, opened, pair, chosen.critic)
    evidence, collector = evidence_after(state, pair, statements)
    figures = _with_alarms(
        state,
        UpdateFigures(
            number=state.updates + 1,
            epoch=state.epoch,
            at=moment,
            name=printable(opened.name if name is None else name),
            sha256=content.sha256,
            rows={"train": len(split.train), "select": len(split.select), "test": len(split.test)},
            **statements.figures(),
            evidence=evidence.value,
            evidence_limit=evidence.limit,
            critic=chosen.critic.family,
            steps=sum(candidate.record.step for candidate in candidates),
            seconds=time.perf_counter() - reporter.started,
            warnings=[
                printable(warning)
                for warning in [
                    *warnings,
                    *([PAUSED] if state.was_paused else []),
                    *statements.warnings,
                    *(warning for candidate in candidates for warning in candidate.record.warnings),
                ]
            ],
            meaning="",
        ),
    )
    seen = SeenRows(f"update {figures.number}", content.sample)
    after = replace(
        _after(state, figures), seen=(*state.seen, seen), evidence=evidence, collector=collector, warm=_warm(selection)
    )
    return replace(after, previous=PreviousRows.of(opened, split.test)), figures


def _with_alarms(state: MonitorState, figures: UpdateFigures) -> UpdateFigures:
    """The same with the alarms that are on, and in words."""
    alarms = next_alarms(state.alarms, figures, state.options.thresholds, state.options.tolerance)
    return figures.model_copy(update={"alarms": alarms, "meaning": meaning_of(figures, state)})


def _after(state: MonitorState, figures: UpdateFigures) -> MonitorState:
    """The state after an update, as far as its figures tell it."""
    return replace(
        state, updates=figures.number, updates_in_epoch=state.updates_in_epoch + 1, alarms=tuple(figures.alarms),
        batches={**state.batches, figures.sha256: figures.number},
        last_at=state.last_at if figures.at is None else figures.at,
    )  # fmt: skip


def _warm(selection: CriticSelection) -> WarmCritic | None:
    found = selection.trained_weights()
    return None if found is None else WarmCritic(found[0], {name: each.numpy() for name, each in found[1].items()})


def _open(state: MonitorState, reference: Reference, batch: Any, name: str | None) -> tuple[SampleSet, Content]:
    """The rows of a batch and the digest of what they are. Raises for a batch or a reference that was not meant."""
    if reference.sha256 != state.reference.sha256:
        raise SampleError(
            f"{reference.name} is not the reference of this epoch, {state.reference.name}: to compare with it, begin a "
            "new epoch"
        )
    if name is not None and not isinstance(name, str):
        raise OptionError(f"name is {name!r:.60}; it must be text")
    with read_as_reference():
        reading = state.reading.for_more(reference.samples.names)  # a batch need not have what the reference left out
        opened = open_rows(batch, name or called(batch, f"batch {state.updates + 1}"), state.options, reading)
    content = content_of(opened)
    if (earlier := state.batches.get(content.sha256)) is not None:
        raise RepeatedBatchError(
            f"{opened.name} holds the rows of update {earlier}: no row may occur in two batches, so nothing was "
            "changed; give the next batch",
            earlier,
        )
    if content.sha256 in state.references:
        raise SampleError(f"{opened.name} holds the rows of the reference: give other rows as a batch")
    return opened, content


def _recurring(seen: Sequence[SeenRows], content: Content, name: str) -> list[str]:
    """Warns if rows of a batch or a reference were seen in earlier sets, as in files that grow."""
    found = [(each.name, share) for each in seen if (share := content.share_of(each.sample)) > RECURRING]
    if not found:
        return []
    shown = ", ".join(f"{share:.0%} of {earlier}" for earlier, share in found[:MOST_SHOWN])
    more = f" and of {len(found) - MOST_SHOWN} more" if len(found) > MOST_SHOWN else ""
    return [
        f"rows that the monitor saw before also occur in {name} (about {shown}{more}): bounds and evidence of the "
        "series hold for fresh rows only; give each row in one batch or one reference"
    ]


def _refuse_seen_reference(reference: Reference, after: MonitorState) -> None:
    again = "the test rows of an epoch must be fresh, because earlier figures were made from those of before"
    if reference.content in after.references:
        raise SampleError(f"{reference.name} was a reference of this monitor before: {again}; give new rows")
    if (number := after.batches.get(reference.content)) is not None:
        raise SampleError(f"{reference.name} holds the rows of update {number}: {again}; give new rows")


def _pair(
    state: MonitorState, reference: Reference, opened: SampleSet, split: Split, number: int
) -> tuple[SamplePair, list[str]]:
    """Reference and batch as one pair to train on, and what to mind about them."""
    options, frame = state.options, state.frame
    check_kinds(reference.samples.array.shape, opened.array.shape, "the reference", opened.name)
    check_names(reference.samples.names, opened.names, "the reference", opened.name, is_fixed=True)
    source = frame.framed(reference.samples)
    encode_together(reference.samples, opened)  # raises for columns of other names and kinds
    target = frame.framed(opened)
    # The schemas of the sets as they were given tell which levels only one of them has.
    warnings = [*map(of_new_epoch, reading_warnings(reference.samples, opened) + check_pair(source, target))]
    check_scaled(source, target, frame.scaling)
    source_split = split_rows(source.n, options.seed, state.split_of_reference)
    tested = len(source_split.test), len(split.test)
    check_confidence(options.confidence, *tested, options.method, (source.name, target.name))
    warnings = duplicate_warnings(source, target, source_split, split) + warnings
    warnings += scale_warnings(source, target, frame.scaling)
    seed = int(stream(options.seed, Purpose.UPDATE, number).integers(1 << 62))
    pair = SamplePair(
        source, target, source_split, split, frame.scaling, seed, chosen_device(options.device), numbers=(0, number),
        fixed=frame.training,
    )  # fmt: skip
    return pair, warnings


def _trained(state: MonitorState, pair: SamplePair, reporter: Reporter) -> CriticSelection:
    """All candidates of this update, trained: fresh ones in the first of an epoch, else the last critic once more."""
    options, warm = state.options, state.warm
    rows = min(len(pair.source_split.train), len(pair.target_split.train))
    configs = _configs(options.critic, pair.net_shape, rows)
    if warm is None:
        selection = CriticSelection(pair, configs, Budget(options.steps, None), reporter)
    else:
        fitted = [config for config in configs if isinstance(config, FittedConfig)]
        steps = options.update_steps or warm_steps(rows)
        weights = {name: torch.from_numpy(each) for name, each in warm.weights.items()}
        selection = CriticSelection(pair, [*fitted, warm.config], Budget(steps, None), reporter, warm=weights)
    selection.run()
    return selection


def _configs(critic: str, row_shape: tuple[int, ...], rows: int) -> list[CriticConfig]:
    """What is tried. auto: the closed forms, and the net that can learn whatever comes.

    Cones are placed at the rows of one batch, so that a later drift elsewhere would find none.
    """
    configs = contenders(critic, row_shape, rows)
    return [each for each in configs if critic != "auto" or each.family != "cone"]


def _competing(candidates: list[Candidate], wanted: str) -> list[Candidate]:
    return [candidate for candidate in candidates if wanted in ("auto", candidate.critic.family)]
