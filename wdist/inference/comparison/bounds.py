"""Which of several candidates is closer to a reference, from the figures of their estimates alone.

Each candidate i has one estimate against the reference R: a critic whose held-out mean difference v_i is at most
W1(R, i) on average, a transport plan whose cost c_i is at least W1(R, i) on average, and both ends L_i and U_i at error
alpha / statements. With statements = 2 k, the 2 k ends of k candidates hold together, and all differences follow:

    L_j - U_i <= W1(R, j) - W1(R, i) <= U_j - L_i.                                                              (ends)

For two candidates the difference can be bounded directly. W1(R, j) - W1(R, i) is at least v_j - c_i, less

    z sqrt(s_j^2 / n_j + T_i / m_i + 2 s_j sqrt(T_i) / max(n_j, m_i)
           + s_R^2 / n_R + T_R / m_R + 2 s_R sqrt(T_R) / m_R),                                                  (direct)

where s are the deviations of the critic's scores of n test rows, and T the total variance of the m rows that the plan
uses. The rows of the reference are in both parts. Its n_R test rows are among the m_R rows of the plan, and the critic
is fixed given the others, so that the covariance of the two means is at most that of one row, s_R sqrt(T_R), divided by
m_R. Rows of the two candidates may be linked one to one, such as by the same prompt or seed: the third term bounds the
covariance of their means, and is more than is needed where they are not. This bound is approximate.

Errors: of two candidates, the four ends take half of alpha, and the two directions of the difference the other half. Of
more, k (k - 1) directions would take more of the error than they gain (benchmarks/comparisons.py has the figures), so
that all differences follow from the ends.

The library's `compare_w1`, the server's batches and local batches of the client share this.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import NormalDist
from typing import Any, Final

from wdist.definitions.comparison import Answer, ComparisonFigures, Difference, Standing
from wdist.errors import OptionError
from wdist.inference.comparison.words import Case, difference_sentence, growth_of, whole_sentence

Figures = Mapping[str, Any]
Ends = tuple[float, float]

MAX_CANDIDATES: Final = 100  # 4,950 differences
_DIRECT: Final = 2  # statements that one direction of the direct difference counts as
_WITH_DIRECT: Final = 4 + 2 * _DIRECT  # four ends, and both directions


def statements_needed(candidates: int, options: Figures) -> int:
    """What `statements` the estimates of a comparison need, so that all that is said of it holds together.

    options: those of the estimates, with `groups` if rows belong together. Raises OptionError if there are too few or
    too many candidates, or if estimates with these options have no upper bound.
    """
    if candidates < 2:
        raise OptionError("give at least two candidates: one alone has nothing to be compared with")
    if candidates > MAX_CANDIDATES:
        raise OptionError(f"{candidates} candidates are too many: compare at most {MAX_CANDIDATES}")
    if options.get("upper") == "none":
        raise OptionError("upper: a comparison needs the upper bounds that upper='none' leaves out")
    if options.get("split") == "blocks":
        raise OptionError("split: a comparison needs upper bounds, and rows ordered in time have none")
    is_direct = candidates == 2 and all(options.get(name) is None for name in ("diameter", "ranges", "groups"))
    return _WITH_DIRECT if is_direct else 2 * candidates


def check_delta(delta: float | None) -> None:
    """Raises OptionError unless delta is None or a positive number."""
    if delta is not None and not 0 < delta < math.inf:
        raise OptionError(f"delta: {delta:g} is not above 0; give a distance in the units of the figures")


def compared_figures(
    reference: str, names: Sequence[str], results: Sequence[Figures | None], delta: float | None = None
) -> ComparisonFigures:
    """The comparison, from results as `Result.to_dict` gives them.

    reference: name of the reference. names: of the k candidates. results: of the reference (source) against each
    candidate (target), made with the same options and `statements_needed`; None where there is none.

    Raises OptionError if fewer than two candidates have a result, if one has no upper bound or no simultaneous bounds,
    or if they are not in one unit.
    """
    check_delta(delta)
    where = [k for k, result in enumerate(results) if result is not None]
    found = [result for result in results if result is not None]
    given = [names[k] for k in where]
    _check(given, found)
    is_approximate = any(result["upper_kind"] == "approximate" for result in found)
    confidence = found[0]["confidence"]
    bounds = {(i, j): _bounds(found[i], found[j], len(results)) for i, j in combinations(range(len(found)), 2)}
    case = Case(reference, confidence, is_approximate=is_approximate, delta=delta)
    differences = [
        _difference(case, (given[i], given[j]), (found[i], found[j]), ends) for (i, j), ends in bounds.items()
    ]
    ranking = _ranking(given, where, found, bounds)
    return ComparisonFigures(
        reference=reference,
        confidence=confidence,
        kind="approximate" if is_approximate else "finite-sample",
        delta=delta,
        units=found[0]["units"],
        ranking=ranking,
        differences=differences,
        missing=[name for k, name in enumerate(names) if k not in where],
        sentence=whole_sentence(case, ranking, differences),
    )


def _check(names: Sequence[str], results: Sequence[Figures]) -> None:
    if len(results) < 2:
        raise OptionError("fewer than two candidates have a result: there is nothing to compare")
    for name, result in zip(names, results, strict=True):
        if result.get("upper") is None:
            reason = result.get("no_upper_bound") or "it is of an older version"
            raise OptionError(f"{name} has no upper bound, which a comparison needs: {reason}")
        if (result.get("simultaneous") or {}).get("upper_bound") is None:
            raise OptionError(f"{name} has no simultaneous bounds: estimate it as part of a comparison")
        if any(result[key] != results[0][key] for key in ("units", "scale", "confidence")):
            raise OptionError(f"{name} and {names[0]} are not in one unit, or not at one confidence: compare them anew")


def _bounds(first: Figures, second: Figures, candidates: int) -> Ends:
    """Both bounds of W1(R, second) - W1(R, first)."""
    one, other = first["simultaneous"], second["simultaneous"]
    lower, upper = other["lower_bound"] - one["upper_bound"], other["upper_bound"] - one["lower_bound"]
    if candidates != 2 or not all(_allows_direct(result) for result in (first, second)):
        return lower, upper
    statements = max(one["statements"], other["statements"])
    z = _quantile(first["confidence"], statements / _DIRECT)
    return max(lower, direct_bound(first, second, z)), min(upper, -direct_bound(second, first, z))


def _allows_direct(result: Figures) -> bool:
    """Whether rows are independent draws, and a share of the error is left for the direct bound."""
    is_of_rows = (result["split"], result["upper_kind"]) == ("random", "approximate")
    return is_of_rows and bool(result["simultaneous"]["statements"] >= _WITH_DIRECT)


def direct_bound(nearer: Figures, farther: Figures, z: float) -> float:
    """The direct lower bound of W1(R, farther) - W1(R, nearer), z standard errors below its estimate."""
    scores, tested = farther["score_deviation"], {side: parts["test"] for side, parts in farther["n"].items()}
    plan = nearer["upper"]
    score, total, rows = scores["source"], math.sqrt(plan["variance"]["source"]), plan["units"]["source"]
    of_reference = score**2 / tested["source"] + total**2 / rows + 2 * score * total / rows
    score, total, rows = scores["target"], math.sqrt(plan["variance"]["target"]), plan["units"]["target"]
    n = tested["target"]
    of_candidates = score**2 / n + total**2 / rows + 2 * score * total / max(n, rows)
    return float(farther["value"] - plan["cost"] - z * math.sqrt(of_reference + of_candidates))


def _quantile(confidence: float, statements: float) -> float:
    return NormalDist().inv_cdf(1 - (1 - confidence) / statements)


def _difference(case: Case, names: tuple[str, str], results: tuple[Figures, Figures], ends: Ends) -> Difference:
    first, second = results
    lower, upper = ends
    shown = second["value"] - first["value"]
    answer: Answer
    growth = None
    if lower > 0 or upper < 0:
        answer = "yes" if lower > 0 else "no"
    else:
        # The end that has to pass 0, and the bias of the plan that stands in its way.
        nearer, width = (first, shown - lower) if shown > 0 else (second, upper - shown)
        growth = growth_of(abs(shown), width, max(0.0, nearer["upper"]["cost"] - nearer["value"]))
        answer = "more-rows" if _limit(second) > first["simultaneous"]["lower_bound"] else "no-number-of-rows"
    difference = Difference(
        first=names[0],
        second=names[1],
        shown=shown,
        lower_bound=lower,
        upper_bound=upper,
        answer=answer,
        within_delta=None if case.delta is None else -case.delta <= lower and upper <= case.delta,
        growth=growth,
        sentence="",
    )
    return difference.model_copy(update={"sentence": difference_sentence(case, difference, _rows_of(*results))})


def _rows_of(first: Figures, second: Figures) -> int | None:
    """The number of rows of each set, if all have the same and rows are independent draws."""
    sizes = {sum(parts.values()) for result in (first, second) for parts in result["n"].values()}
    return sizes.pop() if len(sizes) == 1 and first["split"] == "random" else None


def _limit(result: Figures) -> float:
    """What the critic of this result shows at most, however many rows score it."""
    scores, counts = result["score_deviation"], result["groups"] or {s: p["test"] for s, p in result["n"].items()}
    errors = [scores[side] / math.sqrt(counts[side]) for side in ("source", "target")]
    spread = sum(errors) if result["upper"]["is_linked"] else math.hypot(*errors)  # a group may move both, apart
    return float(result["value"] + _quantile(result["confidence"], result["simultaneous"]["statements"]) * spread)


def _ranking(
    names: Sequence[str], positions: Sequence[int], results: Sequence[Figures], bounds: Mapping[tuple[int, int], Ends]
) -> list[Standing]:
    """The candidates by the places they may have, then by what their critics show."""
    best, worst = [1] * len(names), [len(names)] * len(names)
    for (i, j), (lower, upper) in bounds.items():
        if lower > 0 or upper < 0:
            nearer, farther = (i, j) if lower > 0 else (j, i)
            best[farther] += 1
            worst[nearer] -= 1
    standings = [
        Standing(
            name=name,
            position=position,
            best=best[k],
            worst=worst[k],
            value=result["value"],
            lower_bound=result["simultaneous"]["lower_bound"],
            upper_bound=result["simultaneous"]["upper_bound"],
        )
        for k, (name, position, result) in enumerate(zip(names, positions, results, strict=True))
    ]
    return sorted(standings, key=lambda each: (each.best + each.worst, each.value, each.position))
