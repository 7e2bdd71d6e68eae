"""What an estimate answers: each figure is defined here and nowhere else.

The library's result, the printed summary, the fields that a certificate reports, the server's response and
/openapi.json, the client's models and the figures on the web page are made from these definitions. Nothing here needs
torch or the server. A new figure is one field here, and the code that computes it; then run `make generate`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field, with_config
from typing_extensions import TypedDict  # pydantic cannot read typing's before Python 3.12

METHOD_VERSION = 2
"""The version of the statistics: what is computed from scores, and in which order. docs/stability.md says more."""

WITNESS_COLUMNS = 200
"""Wider tables get no figures by column: each bound needs a fit of its own, and at error / 200 it says little."""


def _figure(
    description: str,
    *,
    shown: tuple[int, str] | None = None,
    name: str | None = None,
    digits: int = 5,
    decimals: int | None = None,
    reported: bool = False,
    **field: Any,
) -> Any:
    """A figure.

    shown: (rank, meaning), if a line of the printed summary shows it: lines are sorted by rank, and the meaning stands
    beside the number; {confidence}, {about}, {unit}, {rows}, {within}, {all_rows} and {statements} in it are replaced.
    name: of that line, where it is not the field's own. digits: significant ones; decimals: if given, that many behind
    the point instead.
    reported: whether a certificate lists it among what it reports without proof.
    """
    extra: dict[str, Any] = {}
    if shown is not None:
        precision = {"digits": digits} if decimals is None else {"decimals": decimals}
        extra["x-shown"] = {"rank": shown[0], "meaning": shown[1], **precision} | ({"name": name} if name else {})
    if reported:
        extra["x-reported"] = True
    return Field(description=description, json_schema_extra=extra or None, **field)


_AS_GIVEN = ConfigDict(extra="allow")  # a field of a newer version is kept


@with_config(_AS_GIVEN)
class Parts(TypedDict):
    """Number of rows in each part of one set. The test rows are looked at once, for the result."""

    train: int
    select: int
    test: int


@with_config(_AS_GIVEN)
class Rows(TypedDict):
    """The parts of both sets."""

    source: Parts
    target: Parts


@with_config(_AS_GIVEN)
class Groups(TypedDict):
    """Number of test groups of each set."""

    source: int
    target: int


@with_config(_AS_GIVEN)
class Simultaneous(TypedDict):
    """A weaker lower bound, which holds at once with those of all `statements` estimates that are read together."""

    statements: int
    lower_bound: Annotated[
        float,
        _figure(
            "At least this, together with all statements.",
            shown=(20, "{about}at least this, together with all {statements} statements"),
            name="simultaneous",
        ),
    ]
    upper_bound: NotRequired[
        Annotated[
            float | None,
            _figure(
                "At most this, together with all statements.",
                shown=(31, "{upper_about}at most this, together with all {statements} statements"),
                name="simultaneous",
            ),
        ]
    ]


@with_config(_AS_GIVEN)
class Sides(TypedDict):
    """A number for each set."""

    source: float
    target: float


@with_config(_AS_GIVEN)
class Draws(TypedDict):
    """Number of independent draws of each set: of rows, or of groups."""

    source: int
    target: int


@with_config(_AS_GIVEN)
class Upper(TypedDict):
    """What the upper bound consists of: it is cost + deviation."""

    cost: Annotated[float, _figure("Of a transport plan between the rows it uses: at least their exact distance.")]
    deviation: Annotated[float, _figure("What is added for the rows being a sample.")]
    variance: Annotated[
        Sides,
        _figure("Total variance of a row (the trace of the covariance), or what stands for it with groups; squared."),
    ]
    units: Annotated[Draws, _figure("Rows or groups that it uses, of each set.")]
    is_linked: Annotated[bool, _figure("Whether the deviations of the two sets are added, as groups are in both.")]


@with_config(_AS_GIVEN)
class Trivial(TypedDict):
    """Simpler estimates on the same test rows, in the same units."""

    mean_difference: Annotated[
        float | None,
        _figure(
            "Mean difference of the test rows along the direction between the means of the train rows.",
            shown=(70, "a simple estimate on the same held-out {unit}: compare with value"),
            name="mean difference",
        ),
    ]
    max_sliced: Annotated[float | None, _figure("Max-sliced W1 of the test rows; None with groups.")]


@with_config(_AS_GIVEN)
class Empirical(TypedDict):
    """A bracket of the W1 between the given rows themselves, as discrete measures."""

    lower: float | None
    upper: float | None
    exact: Annotated[
        float | None,
        _figure("The W1 itself, if it was found.", shown=(80, "of {all_rows}"), name="exact OT"),
    ]


@with_config(_AS_GIVEN)
class NullBaseline(TypedDict):
    """Exact optimal transport on `rows` rows of each set. It ignores groups."""

    rows: int
    between: Annotated[
        float,
        _figure(
            "Between the two sets.",
            shown=(90, "between {rows}; within one set {within}: the bias of so few rows"),
            name="small-sample OT",
        ),
    ]
    within: Annotated[
        float,
        _figure("Between two disjoint parts of one set, where the truth is 0: the bias of the empirical distance."),
    ]


class Figures(BaseModel):
    """What is known about W1(P, Q) from n rows of P (source) and m rows of Q (target), Euclidean ground metric."""

    value: float = _figure(
        "Held-out mean difference of the critic divided by its proven Lipschitz bound. Its expectation is at most W1: "
        "it is low on average. Rare scores are clipped for the bound, to an interval fixed without the test rows.",
        shown=(40, "what the critic shows on held-out {unit}: low on average"),
    )
    unclipped: float | None = _figure(
        "`value` without clipping: larger where rare rows carry part of the distance, and low on average too. No bound "
        "is computed from it. None for an older result.",
        shown=(45, "value without clipping rare scores, which the bound needs"),
        default=None,
    )
    lower_bound: float = _figure(
        "max(0, one-sided confidence bound); above W1 with probability at most 1 - confidence (only approximately with "
        'split "blocks"). 0 is no evidence of a difference; it does not show that the populations are equal.',
        shown=(10, "W1 is at least this, with {about}{confidence} confidence"),
    )
    upper_bound: float | None = _figure(
        "One-sided upper confidence bound: the cost of a transport plan, plus a deviation. None: see no_upper_bound.",
        shown=(30, "W1 is at most this, with {upper_about}{confidence} confidence"),
    )
    upper_kind: Literal["approximate", "finite-sample"] | None = _figure(
        "approximate: by the normal approximation; too low if a part of the population that matters is rarer than "
        "about 10 rows of a set, or if tails are very heavy. finite-sample: for any number of rows, if diameter or "
        "ranges hold.",
        default=None,
    )
    upper: Upper | None = _figure("What the upper bound consists of; None if there is none.", default=None)
    no_upper_bound: str | None = _figure("Why there is no upper bound, in words.", default=None)
    confidence: float = _figure(
        "1 - alpha, of the lower bound by itself and of the upper bound by itself. Both hold together with 1 - 2 alpha."
    )
    simultaneous: Simultaneous | None = _figure(
        "A bound for one of several estimates that are read together: all their simultaneous bounds hold at once with "
        "probability confidence (Bonferroni).",
        default=None,
    )
    p_value: float | None = _figure(
        "One-sided test of P = Q on the held-out scores: by permutations of rows, or with groups by bets, which is "
        "conservative. None with blocks, whose rows are not exchangeable.",
        shown=(50, "how often equal populations would show this much"),
        digits=2,
    )
    lipschitz_bound: float = _figure(
        "L, proven in float64 from the stored weights.",
        shown=(60, "proven from the weights; value is divided by it"),
        decimals=8,
    )
    score_deviation: Sides | None = _figure(
        "Standard deviation of the critic's held-out scores of each set, of groups that of their means, divided by L.",
        default=None,
    )
    spread: float | None = _figure(
        "Mean distance of two random rows of the source, in the same units: what to compare a distance with. None for "
        "an older result, or a source of fewer than two rows.",
        default=None,
    )
    rows_needed: Draws | None = _figure(
        "Rows of each set, or groups, with which lower_bound would be above 0 in four of five estimates, about, if the "
        "critic shows the same. Given if the sets differ by the p-value and lower_bound is 0, and if it is known.",
        default=None,
    )
    critic: Any = _figure("The trained potential f.")
    seed: int = _figure("Seed of the split, of training and of the permutation test.")
    n: Rows = _figure("Number of rows of each set in the train, select and test parts.")
    split: Literal["random", "groups", "blocks"] = _figure(
        "What is independent: random (rows), groups (P and Q are the distributions of a row drawn by first drawing a "
        "group), or blocks (rows are ordered in time, and the confidence is approximate).",
        default="random",
    )
    groups: Groups | None = _figure("Number of test groups of each set, if whole groups were split.", default=None)
    scale: Any = _figure("Rescaling of the data before distances are computed; None: the data's own units.")
    units: str = _figure("The units of value and the bounds.", reported=True)
    trivial: Trivial = _figure("Simpler estimates on the same test rows.", reported=True)
    empirical: Empirical | None = _figure(
        "A bracket of the W1 between the given rows themselves, where it was asked for or is cheap.", reported=True
    )
    null_baseline: NullBaseline | None = _figure(
        "Exact optimal transport on some rows, and its bias, if baseline_rows is above 0.", reported=True
    )
    method_version: int = _figure(
        "Version of the statistics that computed the figures; results of wdist 0.1 do not say it and have 1.", default=1
    )
    steps: int = _figure("Training steps of all candidates together.", reported=True)
    planned_steps: int | list[int] | None = _figure(
        "Steps that training was planned for; with max_seconds, of each training in turn. Given as options, these and "
        "`steps` repeat the result, even if training was ended early. None if nothing was trained, or for an older "
        "result.",
        default=None,
    )
    seconds: float = _figure("Elapsed time.", reported=True)
    device: str = _figure("Where the critics were trained.", reported=True)
    warnings: list[str] = _figure("Caveats about the data and the bounds.", reported=True, default_factory=list)


REPORTED = tuple(name for name, prop in Figures.model_json_schema()["properties"].items() if prop.get("x-reported"))
"""The figures that a certificate lists as reported: they are not proven by it."""


def short(number: float) -> str:
    """A number with three digits, without an exponent where it is of a common size: 0.478, 3,810, 1.2e+08."""
    return f"{float(f'{number:.3g}'):,.0f}" if 1e3 <= abs(number) < 1e7 else f"{number:.3g}"


def percent(share: float) -> str:
    """A confidence as an exact percentage: 0.99999999999 is not shown as 100 %."""
    return f"{(100 * Decimal(repr(float(share)))).normalize():f} %"


@cache
def shown_figures() -> list[tuple[int, tuple[str, ...], dict[str, Any]]]:
    """(rank, path, how it is shown) of each figure of the printed summary, in order. The path leads into the result."""
    schema = Figures.model_json_schema()
    return sorted(_shown(schema, schema["properties"], ()), key=lambda line: line[0])


def _shown(
    schema: Mapping[str, Any], properties: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[int, tuple[str, ...], dict[str, Any]]]:
    for name, prop in properties.items():
        if "x-shown" in prop:
            yield prop["x-shown"]["rank"], (*path, name), {"name": name, **prop["x-shown"]}
        for branch in (prop, *prop.get("anyOf", ())):
            if reference := branch.get("$ref"):
                yield from _shown(schema, schema["$defs"][reference.split("/")[-1]]["properties"], (*path, name))


def _all_rows(parts: Mapping[str, Mapping[str, int]]) -> str:
    """The rows of both sets: "all 192 rows of each set". parts: `Figures.n`."""
    source, target = (_size(parts[side]) for side in ("source", "target"))
    return f"all {source:,} rows of each set" if source == target else f"all {source:,} and {target:,} rows"


def rows_in_words(parts: Mapping[str, Any]) -> str:
    """The numbers of rows: "192 and 180 rows, 96 and 90 of them held out". parts: `Figures.n`."""
    sizes, held_out = ([f"{count(parts[side]):,}" for side in ("source", "target")] for count in (_size, _tested))
    return f"{' and '.join(sizes)} rows, {' and '.join(held_out)} of them held out"


def _size(parts: Mapping[str, int]) -> int:
    return parts["train"] + parts["select"] + parts["test"]


def _tested(parts: Mapping[str, int]) -> int:
    return parts["test"]


def summary_lines(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(name, figure, meaning) of each line of the printed summary. result: the figures as plain JSON types."""
    unit = "rows" if result["groups"] is None else "groups"
    few: Mapping[str, Any] = result["null_baseline"] or {}
    not_by_group = "" if unit == "rows" else ", not by group"
    words = {
        "confidence": percent(result["confidence"]),
        "about": "approximately " if result["split"] == "blocks" else "",
        "upper_about": "approximately " if result.get("upper_kind") == "approximate" else "",
        "unit": unit,
        "rows": f"{int(few.get('rows', 0)):,} rows of each set{not_by_group}",
        "within": short(few.get("within", 0.0)),
        "all_rows": f"{_all_rows(result['n'])}{not_by_group}",
        "statements": f"{int((result['simultaneous'] or {}).get('statements', 1)):,}",
    }
    lines = []
    for _, path, shown in shown_figures():
        figure: Any = result
        for name in path:
            figure = figure and figure.get(name)
        if figure is not None:
            form = f".{shown['decimals']}f" if "decimals" in shown else f".{shown['digits']}g"
            lines.append((shown["name"], f"{figure:{form}}", shown["meaning"].format(**words)))
    return lines
