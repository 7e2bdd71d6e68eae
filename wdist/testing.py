"""For test suites and pipelines: assertions about how far apart two populations are, which fail in words.

Each states another claim, fixed before the rows are looked at: `assert_same_distribution` fails where a difference is
shown, `assert_close` where closeness is not, `assert_differ` where a difference is not. For a distance between the two
ends of the interval, the first passes and the other two fail.
"""

from __future__ import annotations

import difflib
import math
from pathlib import Path
from typing import Any, cast

from wdist.definitions.results.numbers import rounded_down
from wdist.errors import OptionError, SampleError, WdistError
from wdist.estimate import estimate_w1
from wdist.options import Options
from wdist.result import Result

_OWN = ("tolerance", "at_most", "at_least", "confidence", "message", "report")  # of the assertions, not of an estimate
_COLUMNS = 5  # in the message of a failure
_ROWS = 5
_LONGEST = 200  # characters of a list in the call that repeats an estimate


class DistributionError(AssertionError):
    """An assertion of this module failed. `result` is the estimate behind it."""

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result


def assert_same_distribution(
    x: Any,
    y: Any,
    *,
    tolerance: float = 0.0,
    confidence: float = 0.99,
    message: str = "",
    report: str | Path | None = None,
    **options: Any,
) -> Result:
    """Fail if, at the given confidence, the populations of x and y are shown to be more than `tolerance` apart.

    Passing does not prove equality: it means that these rows do not show a larger difference. More rows may. A false
    alarm, with the true distance within the tolerance, has at most the probability 1 - confidence. With many rows, even
    an irrelevant difference becomes visible; set a small tolerance to allow it.

    Args:
        x: rows of the reference: anything `estimate_w1` takes, including data frames and paths of files.
        y: rows to compare with it.
        tolerance: largest acceptable distance, in the units of the estimate; not negative. With 0 the p-value decides,
            with more the lower bound.
        confidence: 1 - alpha, where alpha is the largest acceptable share of false alarms.
        message: text that precedes the assertion's own message.
        report: where to write the result as an HTML file if the assertion fails, for the artifacts of a CI job.
        options: options of `estimate_w1` (seed, scale, max_seconds, critic, ...).

    Returns the result, so that a passing test can log how close it came.

    Raises DistributionError, an AssertionError, with the verdict, the columns and rows that carry the difference, and
    how to repeat the estimate; SampleError and OptionError as `estimate_w1` does.
    """
    __tracebackhide__ = True
    _check("tolerance", tolerance)
    result = _estimate(x, y, confidence, options)
    if not (_is_difference_shown(result) and (tolerance == 0 or result.lower_bound > tolerance)):
        return result
    found = f"W1 is at least {_least(result)}, more than the tolerance of {tolerance:g}"
    if tolerance == 0:
        found = "the two sets come from different populations, and no tolerance= is set"
    advice = "If this much does not matter, set tolerance= to the largest distance that does not, once and for all."
    raise _failure(message, found, advice, result, (x, y), options, report)


def assert_close(
    x: Any,
    y: Any,
    *,
    at_most: float,
    confidence: float = 0.99,
    message: str = "",
    report: str | Path | None = None,
    **options: Any,
) -> Result:
    """Fail unless, at the given confidence, the populations of x and y are shown to be at most `at_most` apart.

    Passing is the proof here, and few rows prove little: even two samples of one population are some way apart, and the
    upper bound is not below that. It is approximate, unless `diameter=` or `ranges=` is given. A false pass, with the
    true distance above at_most, has at most the probability 1 - confidence.

    Args:
        x: rows of the reference: anything `estimate_w1` takes, including data frames and paths of files.
        y: rows to compare with it.
        at_most: largest acceptable distance, in the units of the estimate; above 0.
        confidence: 1 - alpha, where alpha is the largest acceptable share of false passes.
        message: text that precedes the assertion's own message.
        report: where to write the result as an HTML file if the assertion fails.
        options: options of `estimate_w1`; `max_seconds` and the critic matter little here, rows matter.

    Returns the result.

    Raises DistributionError, an AssertionError; SampleError and OptionError as `estimate_w1` does, OptionError also if
    there is no upper bound.
    """
    __tracebackhide__ = True
    _check("at_most", at_most, above=True)
    result = _estimate(x, y, confidence, options)
    upper = result.upper_bound
    if upper is None:
        raise OptionError(f"assert_close needs an upper bound, and there is none: {result.no_upper_bound}")
    if result.lower_bound <= upper <= at_most:
        return result
    if upper < result.lower_bound:
        found = "the two bounds contradict each other"
        advice = "Look for rows that are not independent draws: groups=, split="
    elif result.lower_bound > at_most and _is_difference_shown(result):
        found = f"W1 is at least {_least(result)}, more than at_most={at_most:g}"
        advice = "More rows do not help."
    else:
        found = f"it is not shown that W1 is at most {at_most:g}: the upper bound is {upper:.6g}"
        advice = "This shows no large difference either: more rows bring the upper bound down."
    raise _failure(message, found, advice, result, (x, y), options, report)


def assert_differ(
    x: Any,
    y: Any,
    *,
    at_least: float = 0.0,
    confidence: float = 0.99,
    message: str = "",
    report: str | Path | None = None,
    **options: Any,
) -> Result:
    """Fail unless, at the given confidence, the populations of x and y are shown to be at least `at_least` apart.

    For data that must differ: an injected drift that an alarm has to find, a class that a feature has to separate. A
    false pass, with the true distance below at_least, has at most the probability 1 - confidence.

    Args:
        x: rows of the reference: anything `estimate_w1` takes, including data frames and paths of files.
        y: rows to compare with it.
        at_least: smallest distance that is enough, in the units of the estimate. With 0 the p-value decides, with more
            the lower bound.
        confidence: 1 - alpha, where alpha is the largest acceptable share of false passes.
        message: text that precedes the assertion's own message.
        report: where to write the result as an HTML file if the assertion fails.
        options: options of `estimate_w1` (seed, scale, max_seconds, critic, ...).

    Returns the result.

    Raises DistributionError, an AssertionError; SampleError and OptionError as `estimate_w1` does.
    """
    __tracebackhide__ = True
    _check("at_least", at_least)
    result = _estimate(x, y, confidence, options)
    if _is_difference_shown(result) and (at_least == 0 or result.lower_bound >= at_least):
        return result
    found = "no difference is shown"
    if at_least > 0:
        found = f"it is not shown that W1 is at least {at_least:g}: the lower bound is {result.lower_bound:.6g}"
    advice = "More rows, and a longer training (max_seconds=), find smaller differences."
    raise _failure(message, found, advice, result, (x, y), options, report)


def _check(name: str, value: float, *, above: bool = False) -> None:
    __tracebackhide__ = True
    if not (math.isfinite(value) and (value > 0 if above else value >= 0)):
        raise OptionError(f"{name} is {value!r}; it must be a distance, {'above 0' if above else 'not negative'}")


def _estimate(x: Any, y: Any, confidence: float, options: dict[str, Any]) -> Result:
    """The estimate; data or an option that is refused leaves no frames of wdist in the traceback, only its message."""
    __tracebackhide__ = True
    unknown = next((name for name in options if name not in Options.model_fields), "")
    if near := difflib.get_close_matches(unknown, _OWN, 1):
        raise OptionError(f"there is no {unknown!r} here; did you mean {near[0]!r}?")
    try:
        return estimate_w1(x, y, confidence=confidence, **options)
    except (SampleError, OptionError) as error:
        raise error.with_traceback(None) from None


def _is_difference_shown(result: Result) -> bool:
    """What the verdict calls "they differ": by the p-value, which is as often wrong as the confidence admits."""
    if result.p_value is None:
        return result.lower_bound > 0
    return result.p_value <= 1 - result.confidence


def _least(result: Result) -> str:
    about = "approximate " if result.split == "blocks" else ""
    return f"{result.lower_bound:.6g} with {about}confidence {result.confidence:g}"


def _failure(
    message: str,
    found: str,
    advice: str,
    result: Result,
    sets: tuple[Any, Any],
    options: dict[str, Any],
    report: str | Path | None,
) -> DistributionError:
    """What a reader of a CI log needs, most important first."""
    lines = [f"{message}: {found}" if message else found, "", result.verdict.text, ""]
    lines += [f"  {name:<12} {text}" for name, text in _details(result, sets, options)]
    lines += ["", advice]
    if report is not None:
        lines.append(_written(result, report))
    return DistributionError("\n".join(lines), result)


def _details(result: Result, sets: tuple[Any, Any], options: dict[str, Any]) -> list[tuple[str, str]]:
    upper = "none" if result.upper_bound is None else f"{result.upper_bound:.6g} ({result.upper_kind})"
    parts = cast("list[dict[str, int]]", list(result.n.values()))
    sizes = [f"{sum(each.values()):,}" for each in parts]
    held_out = " and ".join(f"{each['test']:,}" for each in parts)
    told = [
        ("lower_bound", f"{result.lower_bound:.6g}"),
        ("value", f"{result.value:.6g}"),
        ("upper_bound", upper),
        ("p_value", "none" if result.p_value is None else f"{result.p_value:.2g}"),
        ("confidence", f"{result.confidence:g}"),
        ("units", str(result.units)),
        ("rows", f"{' and '.join(sizes)}, of which {held_out} were held out"),
    ]
    told += _where(result)
    told += [("warning", warning) for warning in result.warnings]
    return [*told, ("repeat it", _repeat(*sets, result, options))]


def _where(result: Result) -> list[tuple[str, str]]:
    """The columns that carry the difference, largest first, and the rows of y that are least like x."""
    try:
        witness = result.witness
    except WdistError:
        return []
    told = []
    shown = sorted(witness.columns, key=lambda column: (column.lower_bound or 0.0, column.value), reverse=True)
    for column in shown[:_COLUMNS]:
        bound = "" if column.lower_bound is None else f", at least {rounded_down(column.lower_bound)}"
        told.append(("column", f"{column.name}: W1 of it alone {max(0.0, column.value):.3g}{bound}"))
    if (left := len(shown) - _COLUMNS) > 0:
        told.append(("", f"and {left:,} more columns"))
    rows = ", ".join(f"{row.row:,}" for row in witness.unusual(_ROWS)["target"])
    return [*told, ("unusual rows", f"of y, by their numbers: {rows}"), ("", witness.numbering)]


def _repeat(x: Any, y: Any, result: Result, options: dict[str, Any]) -> str:
    """The call that trains as this one did. Where a clock ended training, its steps do instead."""
    given = dict(options)
    if given.pop("max_seconds", None) is not None and result.steps:
        given |= {"steps": result.steps, "planned_steps": result.planned_steps}
    given |= {"confidence": result.confidence, "seed": result.seed}
    texts = {name: _written_out(value) for name, value in given.items()}
    sets = [repr(str(data)) if isinstance(data, str | Path) else name for name, data in (("x", x), ("y", y))]
    shown = [f"{name}={text}" for name, text in texts.items() if text is not None]
    left = [f"{name}=..." for name, text in texts.items() if text is None]
    return f"estimate_w1({', '.join([*sets, *shown, *left])})"


def _written_out(value: Any) -> str | None:
    """A value as one would write it into a call; None for one that is too long for a line, or cannot be written."""
    if hasattr(value, "tolist") and getattr(value, "size", _LONGEST) < _LONGEST:
        value = value.tolist()
    if not _is_plain(value):
        return None
    text = repr(value)
    return text if len(text) <= _LONGEST or isinstance(value, str) else None


def _is_plain(value: Any) -> bool:
    """Whether what `repr` writes of a value makes it again; not of lists that are too long in any case."""
    if isinstance(value, list | tuple | set):
        return len(value) <= _LONGEST and all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float | bool)


def _written(result: Result, path: str | Path) -> str:
    try:
        result.report(path)
    except (OSError, WdistError) as error:  # the failure of the assertion matters more
        return f"The report could not be written: {error}"
    return f"A report with pictures is in {path}."
