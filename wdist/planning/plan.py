"""`plan_w1`: how many rows an estimate needs, from two pilot sets."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from numbers import Real
from typing import Any, Literal, Unpack

from wdist.definitions.arguments import Arguments, OptionArguments
from wdist.definitions.figures import percent
from wdist.definitions.results.reprs import in_a_line
from wdist.errors import OptionError
from wdist.estimate import called, compared
from wdist.inference.sample_size.design import Counts, Design, Range, held_out_groups, held_out_rows
from wdist.inference.sample_size.pilot import Pilot
from wdist.options import Options, options_and_reading, takes_options
from wdist.result import Result
from wdist.training.progress import Progress
from wdist.training.progress_line import ProgressLine

Unit = Literal["rows", "groups"]
Rows = dict[Literal["source", "target"], Range]

RATIOS = 1e-3, 1e3
# Figures beside the lower bound, which no plan needs.
NOT_USED: OptionArguments = {"baseline_rows": 0, "empirical": False, "upper": "none"}

NEXT = "Take a larger pilot, or name a distance that matters, such as detect=0.3"
NO_DIFFERENCE = f"the pilot shows no difference. {NEXT}"

# 363 rows planned and about 680 needed for power 0.8: normal rows, 0.25 apart, of two columns (benchmarks/row_plan.py)
TRAINED = (
    "the critic is taken to show the whole distance; one that trains on few rows shows less of a small one, so that up "
    "to twice as many may be needed"
)

# Normal rows, 0.2 apart in each of 16 columns: by its scores, a pilot of 200 rows asked for 100, with which 12 of 30
# estimates had a bound above 0. The pilot's critic had learned from twice as many.
AS_THE_PILOT = (
    "as many as the pilot has, for its critic learned from them: one that learns from fewer shows less, and how much "
    "less is not known; only a smaller pilot tells"
)


@dataclass(frozen=True, eq=False)
class RowPlan:
    """How many rows of each set an estimate needs.

    Attributes:
        sentence: the answer in words, its numbers rounded to two digits.
        rows: for "source" and "target", rows in all (train, select and test): `low`, `about` and `high`. None if the
            number is unknown.
        reason: why the number is unknown; None if it is known.
        unit: what is counted: rows, or with groups whole groups.
        margin, detect, power: what the plan is for, as given; detect is True for the pilot's own distance. power is
            None if a margin was given.
        confidence: of the lower bound that is planned.
        statements: number of estimates read together; the plan is for the simultaneous bound if it is above 1.
        ratio: rows of the target for each row of the source.
        shown: (low, high), from the pilot's lower bound to the most that its critic may show on average.
        caveats: what the numbers take for granted, and the warnings of the pilot.
        pilot: the result of the pilot.
    """

    sentence: str
    rows: Rows | None
    reason: str | None
    unit: Unit
    margin: float | None
    detect: float | bool | None
    power: float | None
    confidence: float
    statements: int
    ratio: float
    shown: tuple[float, float]
    caveats: list[str]
    pilot: Result = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON types, with the figures of the pilot."""
        low, high = self.shown
        rows = None if self.rows is None else {side: asdict(needed) for side, needed in self.rows.items()}
        plan = {each.name: getattr(self, each.name) for each in fields(self)}
        changed = {"rows": rows, "shown": {"low": low, "high": high}, "pilot": self.pilot.to_dict()}
        return plan | changed | {"caveats": list(self.caveats)}

    def __repr__(self) -> str:
        return in_a_line(f"<RowPlan: {self.sentence}>")

    def __str__(self) -> str:
        low, high = self.shown
        rows, groups = self.pilot.n, self.pilot.groups
        tested = (
            (rows["source"]["test"], rows["target"]["test"]) if groups is None else (groups["source"], groups["target"])
        )
        pilot = (
            f"The pilot held out {tested[0]:,} and {tested[1]:,} {self.unit}; its critic shows "
            f"{max(0.0, self.pilot.value):.4g} ({low:.4g} to {high:.4g}), {self.pilot.units}."
        )
        return "\n".join([self.sentence, "", f"  {pilot}", *(f"  note: {caveat}" for caveat in self.caveats)])


@takes_options
def plan_w1(
    pilot_x: Any,
    pilot_y: Any,
    *,
    margin: float | None = None,
    detect: float | bool | None = None,
    power: float = 0.8,
    ratio: float = 1.0,
    groups: tuple[Any, Any] | str | None = None,
    progress: bool | Callable[[Progress], object] | None = None,
    **arguments: Unpack[Arguments],
) -> RowPlan:
    """How many rows `estimate_w1` needs for a margin, or to detect a difference, from a small sample of each set.

    The pilot is estimated as `estimate_w1` does it, with the same options. The deviations of its held-out scores give
    the margin of any other number of rows. Give margin or detect:

    - margin: the lower bound is to lie no further than this below `value`, in half of all estimates.
    - detect=True: the lower bound is to be above 0 with probability `power`, if the critic shows what the pilot's does.
      That is known to lie between the pilot's lower bound and the upper end of the normal interval, and rows go with
      its inverse square: the range is wide. It is unknown if the pilot's lower bound is 0.
    - detect=D: the same for a critic that shows D.

    With s_x and s_y the deviations of the scores divided by L, n and r n held-out rows, and k about 1.05,
    n = (k z_confidence / margin)^2 (s_x^2 + s_y^2 / r), or with k z_confidence + z_power and D instead of the margin. A
    further term is for small samples (`TargetStakes.expected_margin`). Critics that are trained on more rows than the
    pilot's mostly show more: then fewer rows would detect the difference.

    Args:
        pilot_x: rows of P (source), as `estimate_w1` takes them; at least 100, and the more, the closer the plan.
        pilot_y: rows of Q (target).
        margin: largest distance of the bound from the value, in units of the distance.
        detect: True for the pilot's distance, or a distance.
        power: probability that the bound is above 0; it counts only with detect.
        ratio: rows of the target for each row of the source, from 0.001 to 1,000.
        groups: as in `estimate_w1`. The plan is then a number of groups.
        progress: True shows a line on standard error; a function is called with each `Progress`.
        {reading}
        {options}

    By default the plan leaves out `baseline_rows` and `empirical`, which cost time and change nothing. With
    `statements` it is for the simultaneous bound.

    Raises:
        SampleError: the pilot cannot be used, or is too small.
        OptionError: an option is unknown or out of range, or the margin is not below the pilot's value.
    """
    detect = None if detect is False else detect
    _check(margin, detect, power, ratio)
    margin, detect = (each if each is None or each is True else float(each) for each in (margin, detect))
    options, reading = options_and_reading(arguments)
    if options.method != "target_stakes":
        raise OptionError(f"method {options.method!r} has no plan, only 'target_stakes' has: leave out method")
    names = called(pilot_x, "pilot_x"), called(pilot_y, "pilot_y")
    used = options.model_copy(update={name: value for name, value in NOT_USED.items() if name not in arguments})
    if used.upper == "none":  # without an upper bound there is no use for what it assumes
        used = used.model_copy(update={"diameter": None, "ranges": None})
    with ProgressLine(progress or False) as tell:
        result = compared(names, pilot_x, pilot_y, used, reading=reading, groups=groups, progress=tell)
    return _plan(result, options, margin, detect, power, ratio)


def _check(margin: float | None, detect: float | bool | None, power: float, ratio: float) -> None:
    """Raise OptionError for arguments out of range."""
    if (margin is None) == (detect is None):
        way = ", such as margin=0.1 or detect=True" if margin is None else ", not both"
        raise OptionError(f"give margin or detect{way}")
    for name, number in (("margin", margin), ("detect", None if detect is True else detect)):
        if number is not None and not (_is_number(number) and 0 < number < math.inf):
            others = ", or True for the pilot's distance" if name == "detect" else ""
            raise OptionError(f"{name} is {number!r}; it must be a distance above 0{others}")
    if not (_is_number(power) and 0 < power < 1):
        raise OptionError(f"power is {power!r}; it must be a probability between 0 and 1, such as 0.8")
    if not (_is_number(ratio) and RATIOS[0] <= ratio <= RATIOS[1]):
        raise OptionError(
            f"ratio is {ratio!r}; it must be rows of y for each row of x, from {RATIOS[0]} to {RATIOS[1]:g}"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _plan(
    result: Result, options: Options, margin: float | None, detect: float | bool | None, power: float, ratio: float
) -> RowPlan:
    """The plan for the scores of this pilot."""
    units = result._unclipped()
    if units.layout == "own" and ratio != 1:
        raise OptionError(f"ratio is {ratio:g}, but both sets have the same groups: leave out ratio")
    pilot = Pilot.of(units, result.lipschitz_bound, result.value, result.lower_bound)
    unit: Unit = "rows" if units.layout == "rows" else "groups"
    design = Design(options.alpha / options.statements, ratio, held_out_rows if unit == "rows" else held_out_groups)
    shown = pilot.lower_bound, pilot.upper_limit(options.alpha)
    if margin is not None:
        if margin >= pilot.value:
            raise OptionError(
                f"margin {margin:g} is not below what the pilot shows, {max(0.0, pilot.value):.4g}, so that the bound "
                "would be 0: give a smaller margin, or ask with detect how many rows show a difference"
            )
        aim, counts = f"a margin of {margin:g}", design.for_margin(pilot, margin, options.alpha)
    elif detect is True:
        aim, counts = "the pilot's distance", design.to_detect_again(pilot, power, options.alpha)
    else:
        aim, counts = f"a distance of {detect:g}", design.to_detect(pilot, detect or 0.0, power, options.alpha)
    aim += _at(options, None if margin is not None else power)
    rows, reason = _ranges(counts, design), None
    learned = design.as_many_as(pilot, options.alpha) if detect is True else None
    is_fewer = False
    if rows is not None and learned is not None and rows["source"].about < learned:
        is_fewer = True
        rows = _ranges((rows["source"].low, learned, max(learned, rows["source"].high)), design)
    if rows is not None:
        sentence = f"{'For' if margin is not None else 'To detect'} {aim}: {_in_words(rows, design, unit)}."
    else:
        reason = (
            NO_DIFFERENCE if detect is True and shown[1] == 0 else _why_unknown(counts, pilot, design, unit, shown[1])
        )
        sentence = f"How many {unit} {'give' if margin is not None else 'detect'} {aim} is unknown: {reason}."
    caveats = _caveats(pilot, design, rows, unit, has_power=margin is None and not is_fewer)
    if is_fewer:
        caveats.insert(0, AS_THE_PILOT)
    if isinstance(detect, float) and options.critic != "affine":
        caveats.append(TRAINED)
    return RowPlan(
        sentence=sentence, rows=rows, reason=reason, unit=unit, margin=margin, detect=detect,
        power=None if margin is not None else power, confidence=options.confidence, statements=options.statements,
        ratio=ratio, shown=shown, caveats=[*caveats, *result.warnings], pilot=result,
    )  # fmt: skip


def _at(options: Options, power: float | None) -> str:
    """Power and confidence of the plan, in words."""
    with_power = "" if power is None else f" with power {power:g}"
    together = "" if options.statements == 1 else f", together with all {options.statements:,} statements"
    return f"{with_power} at {percent(options.confidence)} confidence{together}"


def _ranges(counts: Counts, design: Design) -> Rows | None:
    """The numbers of both sets, if all are known."""
    low, about, high = counts
    if low is None or about is None or high is None:
        return None
    target = Range(*(design.target(number) for number in (low, about, high)))
    return {"source": Range(low, about, high), "target": target}


def _why_unknown(counts: Counts, pilot: Pilot, design: Design, unit: str, most: float) -> str:
    """Why a number is unknown. most: what the pilot's critic may show on average."""
    if pilot.lower_bound > 0 or counts[0] is None:
        return f"more than 10^12 {unit} may be needed"
    source, target = f"{_rounded(counts[0]):,}", f"{_rounded(design.target(counts[0])):,}"
    each = (
        f"{source} {unit} of each set"
        if design.ratio == 1
        else f"{source} {unit} of the source and {target} of the target"
    )
    return (
        "the pilot's lower bound is 0, so that its critic may show nothing with any number of them. If it shows the "
        f"most that the pilot leaves open, {most:.4g}, about {each} are needed. {NEXT}"
    )


def _in_words(rows: Rows, design: Design, unit: str) -> str:
    """The ranges of both sets."""
    source, target = rows["source"], rows["target"]
    of_each = f"{unit} of each set" if design.ratio == 1 else f"{unit} of the source"
    others = "" if design.ratio == 1 else f" and {_about(target, 'of the target')}"
    if source.high == design.least:
        others = "" if design.ratio == 1 else f" and {target.about:,} of the target"
        return f"{source.about:,} {of_each}{others}, the fewest that can be split"
    return f"about {_about(source, of_each)}{others}"


def _about(needed: Range, what: str) -> str:
    low, about, high = (f"{_rounded(count):,}" for count in (needed.low, needed.about, needed.high))
    return f"{about} {what}" + ("" if low == high else f" ({low} to {high})")


def _rounded(count: int) -> int:
    """To two digits."""
    unit: int = 10 ** max(0, len(str(count)) - 2)
    return round(count / unit) * unit


def _caveats(pilot: Pilot, design: Design, rows: Rows | None, unit: str, *, has_power: bool) -> list[str]:
    """What the numbers take for granted."""
    caveats = ["scores are taken to vary as much with other numbers of rows as they do in the pilot"]
    planned = pilot.tested if rows is None else design.tested(rows["source"].about, rows["target"].about)
    if planned != pilot.tested and has_power:
        if all(number >= tested for number, tested in zip(planned, pilot.tested, strict=True)):
            caveats.append(f"a critic trained on more {unit} than the pilot's mostly shows more: then fewer are enough")
        else:
            caveats.append(f"a critic trained on fewer {unit} than the pilot's may show less: then more are needed")
    if unit == "groups":
        caveats.append("groups are counted, whatever their sizes: more rows in each group do not replace groups")
    return caveats
