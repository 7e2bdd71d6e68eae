"""Certify the chosen critic: look at the test rows once, and compute the bounds, comparisons and certificate."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from wdist.certificate.file import Certificate, HeldOut, StoredCritic, StoredUpperEnd, build_certificate
from wdist.critics.critic import Critic
from wdist.critics.frozen import describe
from wdist.data.checks import range_ends
from wdist.data.pair import SELECT_ROWS, SamplePair
from wdist.data.samples import SampleSet
from wdist.data.scaling import Scaling, unit_in_words
from wdist.data.seeded import SeededScores
from wdist.data.splits import tested_units
from wdist.definitions.figures import METHOD_VERSION, Draws, Empirical, Rows, Sides, Simultaneous, Upper
from wdist.errors import SampleError
from wdist.inference.base import Prior
from wdist.inference.mean_bounds import clip_interval
from wdist.inference.sample_size.design import Design, held_out_groups, held_out_rows
from wdist.inference.sample_size.pilot import Pilot
from wdist.inference.units import (
    Units,
    layout_of,
    lower_bound_of,
    p_value_of,
    units_of_groups,
    units_of_rows,
    value_of,
)
from wdist.nn.frozen import Clip
from wdist.options import Options
from wdist.result import Later, Result
from wdist.transport.bracket import empirical_bracket
from wdist.transport.exact import null_baseline, one_dimensional_w1, spread_of
from wdist.transport.upper import UpperEnd, diameter_from_ranges, upper_end_of_groups, upper_end_of_rows
from wdist.witness import Column, Witness, columns_of
from wdist.witness.numbering import numbering_of

if TYPE_CHECKING:
    from wdist.training.selection import Candidate

SLICED_ROWS = 4_000  # rows a side for the max-sliced distance shown for comparison
# `rows_needed` is for four of five estimates. It is planned for a little more, because it is asked for only where the
# bound came out as 0: simulated for normal scores of a fixed critic, plans of .8 had .75, those of .85 have .81.
POWER = 0.85
CLIPPED_SHARE = 0.05  # what clipping takes of the mean difference without a word: `unclipped` shows it
EMPIRICAL_ROWS = 1_500  # up to this many rows a side, exact transport takes about a second and is done by default


def certify(
    pair: SamplePair,
    chosen: Candidate,
    candidates: list[Candidate],
    options: Options,
    warnings: list[str],
    started: float,
) -> Result:
    """Clip the chosen critic, score the test rows once, and compute the result from the scores.

    started: the value of `time.perf_counter()` when the estimate began.
    """
    critic, (low, high), prior = clipped_critic(pair, chosen.critic, options.alpha, options.method)
    bound = critic.lipschitz_bound
    scores = pair.test_scores(critic)
    units = _units_of_chance(pair, *scores)
    held_out = HeldOut(units, options.method, prior, pair.groups, pair.group_counts, pair.numbers)

    def lower_end(alpha: float) -> float:
        return lower_bound_of(units, low, high, alpha, options.method, prior) / bound

    least = lower_end(options.alpha)
    upper = upper_end(pair, options)
    simultaneous: Simultaneous | None = None
    if options.statements > 1:  # the same scores and plan at alpha / statements (Bonferroni)
        alpha = options.alpha / options.statements
        simultaneous = {
            "statements": options.statements,
            "lower_bound": max(0.0, lower_end(alpha)),
            "upper_bound": None if isinstance(upper, str) else upper.bound(alpha),
        }
    affine = candidates[0].critic
    affine_units = _units_of_chance(pair, *pair.test_scores(affine))
    source, target = rescaled(pair)
    sizes: Rows = {"source": pair.source_split.sizes(), "target": pair.target_split.sizes()}
    value, lower_bound = value_of(units) / bound, max(0.0, least)
    is_clipping = any(side.values.min() <= low or side.values.max() >= high for side in scores)
    # The test rows are scored again only if the clip changed a score.
    unclipped_scores = pair.test_scores(chosen.critic) if is_clipping else scores
    unclipped_units = _units_of_chance(pair, *unclipped_scores) if is_clipping else units
    unclipped = value_of(unclipped_units) / bound
    mean_difference = value_of(affine_units) / max(affine.lipschitz_bound, 1.0)
    warnings = [
        *warnings,
        *_below(value, unclipped, mean_difference, margin=value - least, is_auto=options.critic == "auto"),
    ]
    p_value = None if options.split == "blocks" else p_value_of(units, low, high, options.alpha, prior, pair.seed)
    result = Result(
        value=value,
        unclipped=unclipped,
        lower_bound=lower_bound,
        **_upper_figures(upper, options.alpha),
        confidence=options.confidence,
        simultaneous=simultaneous,
        p_value=p_value,
        spread=spread_of(source, pair.seed),
        lipschitz_bound=bound,
        score_deviation=_sides(*(float(side.values.std(ddof=1)) / bound for side in (units.fx, units.fy))),
        critic=critic,
        seed=pair.seed,
        n=sizes,
        scale=None if pair.scaling.kind == "none" and pair.source.encoding is None else pair.scaling.to_json(),
        units=unit_in_words(pair.source, pair.scaling),
        trivial={
            "mean_difference": mean_difference,
            "max_sliced": _max_sliced(pair) if pair.groups is None else None,  # it ignores groups
        },
        empirical=_empirical(pair, critic, options),
        null_baseline=null_baseline(source, target, options.baseline_rows, pair.seed)
        if options.baseline_rows
        else None,
        steps=sum(candidate.record.step for candidate in candidates),
        seconds=time.perf_counter() - started,
        device=str(pair.device),
        warnings=[*warnings, *_caveats(options, lower_bound, upper)]
        + [w for c in candidates for w in c.record.warnings],
        curve=chosen.record.curve,
        split=options.split if pair.groups is None else "groups",
        method_version=METHOD_VERSION,
        groups=None if pair.groups is None else {"source": len(units.fx), "target": len(units.fy)},
    )
    result._certificate = Later(lambda: _certificate(pair, result, held_out, upper, options))
    result._unclipped = Later(lambda: unclipped_units)
    result._rows = Later(lambda: (pair.source, pair.target))
    result._witness = Later(
        lambda: _witness(pair, chosen.critic, options, (*unclipped_scores, unclipped_units), result)
    )
    if lower_bound == 0 and p_value is not None and p_value <= options.alpha:
        result.rows_needed = _rows_needed(pair, result, options)
    return result


def _rows_needed(pair: SamplePair, result: Result, options: Options) -> Draws | None:
    """Rows or groups of each set with which the lower bound would be above 0; None if that is not known."""
    units = result._unclipped()
    if options.method != "target_stakes" or units.layout == "mixed":
        return None
    pilot = Pilot.of(units, result.lipschitz_bound, result.value, result.lower_bound)
    tested = held_out_rows if pair.groups is None else held_out_groups
    counts = (pair.source.n, pair.target.n) if pair.groups is None else [len(np.unique(each)) for each in pair.groups]
    ratio = 1.0 if pilot.is_linked else counts[1] / counts[0]
    design = Design(options.alpha, ratio, tested)
    _, about, _ = design.to_detect_again(pilot, POWER, options.alpha)
    # What is here already was not enough; a plan that asks for no more, after an unlikely sample, would help nobody.
    return None if about is None or about <= counts[0] else {"source": about, "target": design.target(about)}


def _units_of_chance(pair: SamplePair, fx: SeededScores, fy: SeededScores) -> Units:
    """The independent values of each side: the scores of the test rows, or their means over whole groups."""
    if pair.groups is None:
        return units_of_rows(fx, fy)
    codes_x, codes_y = pair.groups
    test = codes_x[pair.source_split.test], codes_y[pair.target_split.test]
    return units_of_groups(fx, fy, *test, layout_of(codes_x, codes_y))


def _below(value: float, unclipped: float, mean_difference: float, *, margin: float, is_auto: bool) -> list[str]:
    """Says why `value` is below the mean difference, if it is.

    margin: that of the lower bound. is_auto: whether all kinds of critics competed. The mean difference was then one
    of them, and longer training would not have changed what few select rows prefer.
    """
    if mean_difference <= value or f"{mean_difference:.4g}" == f"{value:.4g}":
        return []
    said = f"value, {value:.4g}, is below the mean difference, {mean_difference:.4g}"
    if mean_difference <= unclipped + 1e-9 * abs(unclipped):  # the mean difference itself is rounded
        if value >= (1 - CLIPPED_SHARE) * mean_difference:
            return []
        return [f"{said}, because rare scores are clipped for the bound; without clipping it is {unclipped:.4g}"]
    if is_auto and value <= margin:
        return [f"{said}: with so few held-out rows, each of them may be chance"]
    if mean_difference <= value + margin:
        return [
            f"{said}, by less than the margin of the bound: the critic found no more than a difference of the means"
        ]
    if is_auto:
        return [f"{said}: train the critic for longer"]
    return [f"{said}: train the critic for longer, or let critic='auto' choose"]


def _caveats(options: Options, lower_bound: float, upper: UpperEnd | str) -> list[str]:
    """Warnings about the assumptions of the bounds."""
    caveats = []
    if options.split == "blocks":
        caveats.append(
            "split by blocks of time: neighbouring rows are dependent, so that lower_bound is approximate and there is "
            "no p-value"
        )
    if isinstance(upper, str):
        return caveats
    if upper.diameter is not None:
        ruler = (
            ""
            if options.ranges is not None or options.scale in (None, "none")
            else ", and that the scale was not computed from these rows"
        )
        caveats.append(
            "upper_bound assumes that no two possible rows of the two populations are more than "
            f"{upper.diameter:.6g} apart{ruler}"
        )
    if (bound := upper.bound(options.alpha)) < lower_bound:
        caveats.append(
            f"the bounds contradict each other: at least {lower_bound:.4g} and at most {bound:.4g}; one of them is "
            "false, which happens by chance in few estimates, or the rows are no independent draws"
        )
    return caveats


def _sides(source: float, target: float) -> Sides:
    return {"source": source, "target": target}


def upper_end(pair: SamplePair, options: Options) -> UpperEnd | str:
    """What the upper bound is computed from, or why there is none.

    After "standardize", every row but the select rows is used: they decide the unit, and an upper bound is false if
    its own rows do.
    """
    if options.upper == "none":
        return "upper='none' was asked for"
    if options.split == "blocks":
        return "rows ordered in time depend on their neighbours, and no variance of theirs is known"
    sides = (pair.source, pair.source_split), (pair.target, pair.target_split)
    is_fitted = pair.scaling.is_fitted
    source, target = (
        np.sort(np.concatenate([split.train, split.test])) if is_fitted else np.arange(samples.n)
        for samples, split in sides
    )
    diameter = options.diameter if options.ranges is None else _diameter_of(options.ranges, pair)
    try:
        if pair.groups is not None:
            return upper_end_of_groups(*rescaled(pair), (source, target), pair.groups, options.upper, pair.seed)
        return upper_end_of_rows(*rescaled(pair), (source, target), options.upper, pair.seed, diameter)
    except SampleError as error:  # numbers beyond double precision; the lower bound stands
        return f"transport failed: {error}"


def _diameter_of(ranges: list[float], pair: SamplePair) -> float:
    """The diameter, as distances are measured, of all rows within the ranges of the data's own units."""
    low, high = range_ends(pair.source, ranges)
    source, scaling, encoding = pair.source, pair.scaling, pair.source.encoding
    divisor = np.broadcast_to(scaling.divisor, source.row_shape).reshape(-1)
    if encoding is None:
        if source.is_image:  # one range for all
            low, high = np.full(source.dimension, low[0]), np.full(source.dimension, high[0])
        widths = (high - low) / source.divisor / divisor  # subtracted first: an offset costs no digit
        return diameter_from_ranges(np.zeros(widths.size), widths)
    if scaling.missing is not None:  # a missing value is one of the points of its column
        optional, at = source.may_be_missing, scaling.missing
        low = np.where(optional, np.minimum(low, at), low)
        high = np.where(optional, np.maximum(high, at), high)
    widths = ((high - low) / divisor)[encoding.is_number]
    levels = len(np.unique(encoding.table_columns[~encoding.is_number]))
    widths = np.concatenate([widths, np.full(levels, scaling.category_cost)])
    return diameter_from_ranges(np.zeros(widths.size), widths)


def _upper_figures(upper: UpperEnd | str, alpha: float) -> dict[str, Any]:
    if isinstance(upper, str):
        return {"no_upper_bound": upper, "upper_bound": None}
    parts: Upper = {
        "cost": upper.cost,
        "deviation": upper.bound(alpha) - upper.cost,
        "variance": _sides(*upper.variance),
        "units": {"source": upper.units[0], "target": upper.units[1]},
        "is_linked": upper.is_linked,
    }
    return {"upper_bound": upper.bound(alpha), "upper_kind": upper.kind, "upper": parts}


def _empirical(pair: SamplePair, critic: Critic, options: Options) -> Empirical | None:
    """The bracket of the empirical distance between all rows, if it was asked for or is cheap."""
    n, m = pair.source.n, pair.target.n
    if options.empirical is False or (options.empirical is None and max(n, m) > EMPIRICAL_ROWS):
        return None
    x, y = (rows.rows(slice(None)) for rows in rescaled(pair))
    return empirical_bracket(x, y, critic.scores(x), critic.scores(y), critic.lipschitz_bound)


def _certificate(
    pair: SamplePair, result: Result, held_out: HeldOut, upper: UpperEnd | str, options: Options
) -> Certificate:
    critic = result.critic
    layers, tensors = describe(critic.module)
    stored = StoredCritic(
        family=critic.family,
        layers=layers,
        tensors={name: tensor.numpy() for name, tensor in tensors.items()},
        lipschitz_bound=critic.lipschitz_bound,
        takes=critic.takes.to_json(),
        recipe=critic.takes.recipe,
    )
    return build_certificate(
        result.to_dict(),
        stored,
        (pair.source, pair.target),
        (pair.source_split, pair.target_split),
        held_out,
        options.split,
        # The spread of groups needs exact transport between groups, which a verifier in numpy alone cannot do.
        None if isinstance(upper, str) or pair.groups is not None else _stored(upper, options),
    )


def _stored(upper: UpperEnd, options: Options) -> StoredUpperEnd:
    return StoredUpperEnd(upper.bound(options.alpha), upper.cost, upper.plan, options.diameter, options.ranges)


def _witness(
    pair: SamplePair, critic: Critic, options: Options, seen: tuple[SeededScores, SeededScores, Units], result: Result
) -> Witness:
    """Scores of the held-out rows by the unclipped critic and, for tables, what each column contributes.

    seen: these scores, and the units of chance that they make.
    """
    bound, (fx, fy, units) = critic.lipschitz_bound, seen
    sets = pair.source, pair.target
    rows = pair.source.numbers(pair.source_split.test), pair.target.numbers(pair.target_split.test)
    means = _sides(*(float(side.values.mean()) / bound for side in (units.fx, units.fy)))
    columns = _columns(pair, critic, options)
    return Witness(*rows, fx.values / bound, fy.values / bound, columns, result.units, means, numbering_of(*sets))


def _columns(pair: SamplePair, critic: Critic, options: Options) -> list[Column]:
    if pair.source.is_image:
        return []
    columns = columns_of(pair, critic, options.alpha)
    if pair.groups is None and options.split != "blocks":
        return columns
    return [replace(column, lower_bound=None) for column in columns]


class Rescaled:
    """The rows of a sample set, rescaled as the estimate measures distances."""

    def __init__(self, samples: SampleSet, scale: Scaling) -> None:
        self.samples, self.scale, self.n = samples, scale, samples.n

    def rows(self, index: NDArray[np.integer[Any]] | slice) -> NDArray[np.float64]:
        return self.scale.apply(self.samples.rows(index))

    def numbers(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.samples.numbers(index)


def rescaled(pair: SamplePair) -> tuple[Rescaled, Rescaled]:
    """Both sets, rescaled as the estimate measures distances."""
    return Rescaled(pair.source, pair.scaling), Rescaled(pair.target, pair.scaling)


def clipped_critic(
    pair: SamplePair, critic: Critic, alpha: float, method: str
) -> tuple[Critic, tuple[float, float], Prior]:
    """The clipped critic, the interval it is clipped to, and the score moments that the bets start from.

    The interval is chosen on train and select rows. The moments come from select rows alone, because scores of train
    rows are further apart than held-out ones.
    """
    train, select = (pair.scores(critic, part, SELECT_ROWS) for part in ("train", "select"))
    fx, fy = (np.concatenate(side) for side in zip(train, select, strict=True))
    splits = pair.source_split, pair.target_split
    low, high = clip_interval(fx, fy, *tested_units(splits, pair.groups), alpha, method)
    clipped = Critic(critic.settings, nn.Sequential(*critic.module, Clip(low, high)), critic.takes)
    clipped.module.eval().requires_grad_(False)
    prior_x, prior_y = (
        (float(means.mean()), float(means.std()))
        for means in (_means(pair, side, scores.clip(low, high)) for side, scores in enumerate(select))
    )
    return clipped, (low, high), (prior_x, prior_y)


def _means(pair: SamplePair, side: int, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores of the first select rows of one side, or their means over groups."""
    if pair.groups is None:
        return scores
    rows = (pair.source_split, pair.target_split)[side].select[: len(scores)]
    means, _ = SeededScores.of(scores, rows, rows).group_means(pair.groups[side][rows])
    return means.values


def _max_sliced(pair: SamplePair) -> float:
    """Empirical W1 of the test rows along the direction fitted on train rows; it is slightly biased upwards."""
    on_x, on_y = (rows.reshape(len(rows), -1) @ pair.direction for rows in pair.rows("test", SLICED_ROWS))
    return one_dimensional_w1(on_x, on_y)
