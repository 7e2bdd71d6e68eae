"""Progress bars, and results as text and HTML."""

from __future__ import annotations

import html
import math
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from wdist_client.advice import in_python
from wdist_client.contract import SHOWN
from wdist_client.display.numbers import rounded_down, rounded_up, short
from wdist_client.errors import WdistError, in_words, whereabouts

if TYPE_CHECKING:
    from wdist_client.contract import CurvePoint, Parts
    from wdist_client.models import Estimate, Evaluation, MonitorUpdate, Result

J = TypeVar("J", "Estimate", "MonitorUpdate")


def bytes_bar(label: str, total: int, progress: bool | None) -> Any:
    """A bar over bytes; `progress` None shows it above 8 MiB in a terminal or notebook."""
    from tqdm.auto import tqdm

    disable = (total < 8 << 20 or not watched()) if progress is None else not progress
    return tqdm(total=total, desc=label, unit="B", unit_scale=True, unit_divisor=1024, disable=disable, leave=False)


def percent(share: float) -> str:
    """A confidence as an exact percentage: 0.99999999999 is not shown as 100 %."""
    return f"{(100 * Decimal(repr(share))).normalize():f} %"


def watched() -> bool:
    """Whether the output is shown in a terminal or a notebook."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules


class JobBar(Generic[J]):
    """Shows the progress of an estimate or an update: a bar over its steps, the caller's function, or nothing."""

    def __init__(self, estimate: J, progress: bool | Callable[[J], object] | None) -> None:
        self._tell: Callable[[J], object] | None = progress if callable(progress) else None
        self._bar: Any = None
        if not callable(progress) and (watched() if progress is None else progress):
            from tqdm.auto import tqdm

            layout = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} steps [{elapsed}{postfix}]"
            self._bar = tqdm(total=1, desc=estimate.status, bar_format=layout)
            self._bar.n = 0

    def show(self, estimate: J) -> None:
        if self._tell is not None:
            self._tell(estimate)
        if self._bar is None:
            return
        at = estimate.progress
        doing = f" {at.trying}" if at and at.trying and not estimate.ended else ""
        is_proof = bool(at and at.steps and (at.step or 0) >= at.steps and not estimate.ended)
        if is_proof:
            doing = " the proof"  # training is over: held-out scores, Lipschitz bound, exact transport beside it
        self._bar.set_description_str(f"{estimate.status}{doing}", refresh=False)
        if at is not None:
            self._bar.total, self._bar.n = at.steps, at.step or 0
            notes = [] if at.value is None or estimate.ended else [f"so far {at.value:.4g}, not certified"]
            if (at.eta_seconds or 0) >= 1 and not estimate.ended and not is_proof:
                notes.append(f"{at.eta_seconds:.0f} s left")
            self._bar.set_postfix_str(", ".join(notes), refresh=False)
        if estimate.status == "succeeded":  # the last report may have come before the last step
            self._bar.n = self._bar.total = self._bar.total or 1
        self._bar.refresh()

    def no_answer(self) -> None:
        tell = getattr(self._tell, "no_answer", None)
        if tell is not None:
            tell()
        if self._bar is not None:
            self._bar.set_postfix_str("the server does not answer, trying again")

    def leave(self, job: J) -> None:
        """After Ctrl-C: says that the job goes on, and how to come back to it."""
        self.close()
        kind, place = whereabouts(job)
        _tell(
            f"{kind.capitalize()} {job.id} goes on without you. Come back to it with\n"
            f"    {place}.wait()\n"
            f"or stop it with .cancel()."
        )

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class EvaluationBar:
    """A bar over the rows of a stored set that the server scores; `progress` None: where somebody looks."""

    def __init__(self, job: Evaluation, progress: bool | None) -> None:
        from tqdm.auto import tqdm

        disable = not (watched() if progress is None else progress)
        self._bar = tqdm(total=job.rows, desc=job.status, unit=" rows", disable=disable)

    def show(self, job: Evaluation) -> None:
        self._bar.set_description_str(job.status, refresh=False)
        self._bar.update(job.done - self._bar.n)

    def leave(self, job: Evaluation) -> None:
        """After Ctrl-C: says that the job goes on, and what can be done with it."""
        self.close()
        _tell(
            f"Evaluation {job.id} goes on without you: evaluate the same set again to get its scores.\n"
            f'To stop it, call client.estimates.get("{job.estimate}").delete_evaluation("{job.id}").'
        )

    def close(self) -> None:
        self._bar.close()


def _tell(text: str) -> None:
    """The answer to the person who pressed Ctrl-C."""
    sys.stderr.write(f"\n{in_words.get()(text)}\n")


WITHDRAWN = "withdrawn: run again"


def figures(result: Result) -> list[tuple[str, str, str]]:
    """(name, figure, meaning) of each line of the summary: those of the library's own summary.

    The meaning of a withdrawn figure is that it is withdrawn.
    """
    unit = "rows" if result.groups is None else "groups"
    few = result.null_baseline
    not_by_group = "" if unit == "rows" else ", not by group"
    words = {
        "confidence": percent(result.confidence),
        "about": "approximately " if result.split == "blocks" else "",
        "upper_about": "approximately " if result.upper_kind == "approximate" else "",
        "unit": unit,
        "rows": f"{few.rows if few else 0:,} rows of each set{not_by_group}",
        "within": short(few.within if few else 0.0),
        "all_rows": f"{_all_rows(result)}{not_by_group}",
        "statements": f"{result.simultaneous.statements if result.simultaneous else 1:,}",
    }
    lines = []
    for path, name, form, meaning in SHOWN:
        figure: Any = result
        for field in path:
            figure = figure and getattr(figure, field)
        if figure is not None:
            is_withdrawn = result.is_withdrawn("simultaneous_lower_bound" if path[0] == "simultaneous" else path[0])
            lines.append((name, format(figure, form), WITHDRAWN if is_withdrawn else meaning.format(**words)))
    return lines


def _all_rows(result: Result) -> str:
    """The rows of both sets: "all 192 rows of each set"."""
    source, target = _size(result.n.source), _size(result.n.target)
    return f"all {source:,} rows of each set" if source == target else f"all {source:,} and {target:,} rows"


def range_of(result: Result) -> str:
    """Both ends of the distance, or the lower one, as the title of a picture says it."""
    lower, upper = (f" ({WITHDRAWN})" if result.is_withdrawn(name) else "" for name in ("lower_bound", "upper_bound"))
    least = rounded_down(result.lower_bound)
    if result.upper_bound is None:
        return f"W1 is at least {least}{lower}"
    return f"W1 is between {least}{lower} and {rounded_up(result.upper_bound)}{upper}"


def no_upper_text(result: Result) -> list[str]:
    """Why there is no upper bound, if the server is older than the verdict, which says it."""
    is_said = result.no_upper_bound is None or result.verdict.headline is not None
    return [] if is_said else [f"no upper bound: {result.no_upper_bound}"]


def withdrawn_text(result: Result) -> str:
    """What is withdrawn of a result, why, and what to do; empty if every figure stands, or if the verdict says it."""
    if result.withdrawn is None or result.verdict.headline is not None:
        return ""
    names = ", ".join(result.withdrawn.figures)
    return f"WITHDRAWN: {names}. {result.withdrawn.reason} {result.withdrawn.action}"


def names_text(names: tuple[str, str]) -> str:
    """Which set is which, if they have names."""
    return "" if names == ("source", "target") else f"{names[0]} (source), {names[1]} (target)"


def sentences(result: Result) -> list[str]:
    """The verdict, part by part: the answer, the distance, its size, and what else to know.

    Of an older server, which has none, its meaning.
    """
    said = result.verdict
    if said.headline is None:
        earlier = "" if result.withdrawn is None else "The earlier version said: "
        return [earlier + (result.meaning or f"{range_of(result)}.")]
    return [part for part in (said.headline, said.distance, said.size, said.caveat) if part is not None]


def result_text(result: Result) -> str:
    """The result for a terminal, as the library prints its own."""
    lines = [*filter(None, [withdrawn_text(result), names_text(result.names)]), *sentences(result), ""]
    lines += [f"  {name:<16} {figure:>11}   {meaning}" for name, figure, meaning in figures(result)]
    lines += [f"  {trained_text(result)}"] if result.seconds is not None else []
    lines += [f"  {rows_text(result)}"]
    lines += [f"  {note}" for note in no_upper_text(result)]
    lines += [f"  warning: {in_python(warning)}" for warning in result.warnings]
    return "\n".join(lines)


def trained_text(result: Result) -> str:
    """Which critic was trained, for how long, and where."""
    trained = f"{result.steps} steps" if result.steps else "closed form"
    return f"critic {result.critic.family}, {trained}, {result.seconds:.1f} s on {result.device}"


def rows_text(result: Result) -> str:
    """The numbers of rows, as the library prints them."""
    source, target = result.n.source, result.n.target
    sizes = f"{_size(source):,} and {_size(target):,} rows"
    return f"{sizes}, {source.test:,} and {target.test:,} of them held out"


def _size(parts: Parts) -> int:
    return parts.train + parts.select + parts.test


def result_html(result: Result, curve: Sequence[CurvePoint] | None = None) -> str:
    """The result for a notebook: the sentence, the interval on a line from 0, the figures."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{html.escape(n)}</th><td style='text-align:right'>"
        f"{f'<s>{html.escape(f)}</s>' if m == WITHDRAWN else html.escape(f)}</td>"
        f"<td style='text-align:left'>{html.escape(m)}</td></tr>"
        for n, f, m in figures(result)
    )
    notice = f"<p><b>{html.escape(withdrawn_text(result))}</b></p>" if withdrawn_text(result) else ""
    notes = [*no_upper_text(result), *(f"Warning: {in_python(warning)}" for warning in result.warnings)]
    warnings = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    pictures = interval_svg(result) + curve_svg(result, curve=curve)
    headline, *others = (html.escape(each) for each in sentences(result))
    sentence = f"<p>{headline if notice else f'<b>{headline}</b>'}</p>" + "".join(f"<p>{each}</p>" for each in others)
    names = names_text(result.names)
    named = f"<p>{html.escape(names)}</p>" if names else ""
    return f"<div>{notice}{named}{sentence}{pictures}<table>{rows}</table>{warnings}</div>"


def curve_svg(result: Result, width: int = 520, height: int = 90, curve: Sequence[CurvePoint] | None = None) -> str:
    """The training curve, the trivial estimate dotted across it; empty if the curve is not available."""
    try:
        curve = result.curve if curve is None else curve
    except WdistError:  # the server is gone: show the result without the curve
        return ""
    points = [(at.step, at.value) for at in curve if at.value is not None and math.isfinite(at.value)]
    if len(points) < 2:
        return ""
    trivial = result.trivial.mean_difference
    top = 1.1 * max(1e-12, trivial or 0.0, *(value for _, value in points))
    last = max(step for step, _ in points)

    def at(step: float, value: float) -> str:
        return f"{10 + (width - 20) * step / last:.1f},{height - 20 - (height - 25) * max(0.0, value) / top:.1f}"

    line = " ".join(at(step, value) for step, value in points)
    dotted = (
        "" if trivial is None else f"<polyline points='{at(0, trivial)} {at(last, trivial)}' stroke-dasharray='2 3'/>"
    )
    label = "Value on the select rows while training, not certified; dotted: mean difference"
    return (
        f"<svg role='img' aria-label='{label}' width='{width}' height='{height}' font-family='sans-serif' "
        f"font-size='11' fill='none' stroke='currentColor'><polyline points='{line}'/>{dotted}"
        f"<text x='10' y='{height - 4}' fill='currentColor' stroke='none'>{label}</text></svg>"
    )


def interval_svg(result: Result, width: int = 520) -> str:
    """A line from 0 with the certified part solid from the lower bound on, and marks at value and mean difference."""
    marks = [("value", result.value)]
    if result.trivial.mean_difference is not None:
        marks.append(("mean difference", result.trivial.mean_difference))
    furthest = max([result.lower_bound, result.upper_bound or 0.0, *(v for _, v in marks), 1e-12]) * 1.1
    left, right, y = 10.0, width - 10.0, 34.0

    def at(value: float) -> float:
        return left + (right - left) * max(0.0, value) / furthest

    upper = at(result.upper_bound) if result.upper_bound is not None else right
    mark = f" ({WITHDRAWN})" if result.is_withdrawn("lower_bound") else ""
    color = "#888" if mark else "#2b6cb0"
    label = f"{range_of(result)}, value {result.value:.4g}"
    parts = [
        f"<svg role='img' aria-label='{html.escape(label)}' width='{width}' height='62' "
        "font-family='sans-serif' font-size='11'>",
        f"<line x1='{left}' x2='{right}' y1='{y}' y2='{y}' stroke='currentColor' stroke-opacity='0.3'/>",
        f"<line x1='{at(result.lower_bound):.1f}' x2='{upper:.1f}' y1='{y}' y2='{y}' stroke='{color}' stroke-width='6' "
        "stroke-opacity='0.45'/>",
        f"<line x1='{at(result.lower_bound):.1f}' x2='{at(result.lower_bound):.1f}' y1='{y - 10}' y2='{y + 10}' "
        f"stroke='{color}' stroke-width='3'/>",
        f"<text x='{at(result.lower_bound):.1f}' y='18' text-anchor='middle' fill='currentColor'>at least "
        f"{rounded_down(result.lower_bound)}{mark}</text>",
        f"<text x='{left}' y='56' fill='currentColor'>0</text>",
    ]
    for name, value in marks:
        parts.append(
            f"<circle cx='{at(value):.1f}' cy='{y}' r='4' fill='currentColor'>"
            f"<title>{html.escape(name)} {value:.4g}</title></circle>"
        )
    return "".join([*parts, "</svg>"])
