"""Options and reading as flags; made from the server's OpenAPI and the library by `make generate`."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from wdist_client.command.inputs import numbers

READING = Group("Reading files", sort_key=1)
Status = Literal["queued", "running", "canceling", "succeeded", "failed", "canceled"]


@dataclass(frozen=True)
class OptionFlags:
    """How to estimate. Omitted options get the server's defaults."""

    confidence: Annotated[
        Any | None, Parameter(help="1 - alpha of the bounds.", metavar="CONFIDENCE", converter=numbers, n_tokens=1)
    ] = None
    critic: Annotated[
        Literal["auto", "affine", "sliced", "groupsort", "cone", "bcop"] | None,
        Parameter(help="Family of critics. auto tries several and chooses on the select rows."),
    ] = None
    seed: Annotated[
        Any | None,
        Parameter(
            help="Seeds the split, training and the permutation test. Fix it before you look at a result.",
            metavar="SEED",
            converter=numbers,
            n_tokens=1,
        ),
    ] = None
    max_seconds: Annotated[
        Any | None,
        Parameter(
            help="Seconds of training, about; converted to steps after a timed warm-up.",
            metavar="SECONDS",
            converter=numbers,
            n_tokens=1,
        ),
    ] = None
    planned_steps: Annotated[
        Any | None,
        Parameter(
            help="Repeats a result, with its other options: its planned_steps, and its steps as steps. The learning rates follow the plan, and training ends after so many steps of it.",
            metavar="STEPS",
            allow_leading_hyphen=True,
            converter=numbers,
            n_tokens=1,
        ),
    ] = None
    steps: Annotated[
        Any | None,
        Parameter(
            help="Training steps at most, of all critics together that auto tries; training ends earlier where nothing more is gained. The result is then reproducible on one machine with as many threads.",
            metavar="STEPS",
            converter=numbers,
            n_tokens=1,
        ),
    ] = None
    scale: Annotated[
        Any | None,
        Parameter(
            help="Rescaling before distances are measured: none (the data's own units), standardize (standard deviations of each column), robust (medians and quartiles instead, which outliers do not move), one factor to divide by, or a factor for each column. Of mixed tables only numbers and times are rescaled.",
            metavar="SCALE",
            allow_leading_hyphen=True,
            converter=numbers,
            n_tokens=1,
        ),
    ] = None
    category_cost: Annotated[
        Any | None,
        Parameter(
            help="How far apart two levels of a category are, or a missing value and any other, after scale. With standardize, 1 is as far as one standard deviation of a number.",
            metavar="COST",
            converter=numbers,
            n_tokens=1,
        ),
    ] = None
    layout: Annotated[
        Literal["nhwc", "nchw"] | None, Parameter(help="Axes of images, where the shape leaves them open.")
    ] = None
    device: Annotated[
        Literal["auto", "cpu", "cuda"] | None, Parameter(help="Device of the worker. auto takes a free GPU.")
    ] = None
    baseline_rows: Annotated[
        Any | None,
        Parameter(
            help="Rows of each set for the exact transport shown beside the result; 0 leaves it out.",
            metavar="ROWS",
            converter=numbers,
            n_tokens=1,
        ),
    ] = None
    method: Annotated[
        Literal["betting", "empirical_bernstein", "paired_betting", "target_stakes"] | None,
        Parameter(
            help="Method of the lower bound. betting: A bet on each mean (Waudby-Smith and Ramdas), for sets that are not independent of each other. empirical_bernstein: A closed form for each mean, from its variance (Maurer and Pontil). paired_betting: A bet on differences of rows, whose margin is about a third smaller; it needs independent sets. target_stakes: A bet on differences of rows whose stakes aim at the threshold, with the smallest margin; it needs independent sets, except for groups."
        ),
    ] = None
    split: Annotated[
        Literal["random", "blocks"] | None,
        Parameter(
            help="blocks is for rows ordered in time: the last rows are tested, the bound is approximate, and there is no p-value."
        ),
    ] = None
    upper: Annotated[
        Literal["standard", "tight", "none"] | None,
        Parameter(
            help="How much work the upper bound gets. tight: a better transport plan, for several times the seconds. none: no upper bound."
        ),
    ] = None
    diameter: Annotated[
        Any | None,
        Parameter(
            help="Largest possible distance between two rows after scale, an assumption of yours. It makes the upper bound hold for any number of rows, instead of approximately. It needs rows that are independent draws, and a scale that was not computed from them: not with groups, blocks, standardize or robust.",
            metavar="DIAMETER",
            converter=numbers,
            n_tokens=1,
        ),
    ] = None
    ranges: Annotated[
        Any | None,
        Parameter(
            help="Lowest and highest possible value in the data's own units, of all columns or of each one in turn: an assumption of yours, which may stand in for diameter, also with standardize. Of mixed tables it is that of numbers and times. Not with groups or blocks.",
            metavar="RANGES",
            allow_leading_hyphen=True,
            converter=numbers,
            n_tokens=1,
        ),
    ] = None
    empirical: Annotated[
        bool | None,
        Parameter(
            help="Whether to compute limits of the distance between the given rows themselves; by default if cheap.",
            metavar="EMPIRICAL",
        ),
    ] = None
    statements: Annotated[
        Any | None,
        Parameter(
            help="Number of estimates that are read together. The result then has a simultaneous bound; all of these hold at once.",
            metavar="STATEMENTS",
            converter=numbers,
            n_tokens=1,
        ),
    ] = None
    name: Annotated[str | None, Parameter(help="Your name for it, by which it is found in lists.", metavar="NAME")] = (
        None
    )
    priority: Annotated[
        Literal["high", "normal", "low"] | None,
        Parameter(
            help="Tenants share the workers fairly; of one tenant's jobs, those of a higher priority start first."
        ),
    ] = None


@dataclass(frozen=True)
class MonitorFlags:
    """How a monitor compares. Omitted options get the server's defaults."""

    confidence: Annotated[
        Any | None,
        Parameter(
            help="1 - alpha. Half of alpha is for all bounds of the series, and half for its evidence. The bounds of a batch alone hold at this confidence, too.",
            metavar="CONFIDENCE",
            converter=numbers,
            n_tokens=1,
        ),
    ] = None
    tolerance: Annotated[
        Any | None,
        Parameter(
            help="A distance up to this is no drift. It is fixed when an epoch begins.",
            metavar="TOLERANCE",
            converter=numbers,
            n_tokens=1,
        ),
    ] = None
    critic: Annotated[
        Literal["auto", "affine", "sliced", "groupsort", "cone", "bcop"] | None,
        Parameter(help="Family of critics. auto tries several and chooses on the select rows."),
    ] = None
    seed: Annotated[
        Any | None,
        Parameter(
            help="Seeds the split, training and the permutation test. Fix it before you look at a result.",
            metavar="SEED",
            converter=numbers,
            n_tokens=1,
        ),
    ] = None
    steps: Annotated[
        Any | None,
        Parameter(
            help="Training steps of the first update of an epoch; by default as many as an estimate takes.",
            metavar="STEPS",
            converter=numbers,
            n_tokens=1,
        ),
    ] = None
    update_steps: Annotated[
        Any | None,
        Parameter(
            help="Training steps of each later update, which go on from the last critic; by default a quarter of what an estimate takes.",
            metavar="STEPS",
            converter=numbers,
            n_tokens=1,
        ),
    ] = None
    scale: Annotated[
        Any | None,
        Parameter(
            help="Rescaling before distances are measured: none (the data's own units), standardize (standard deviations of each column), robust (medians and quartiles instead, which outliers do not move), one factor to divide by, or a factor for each column. Of mixed tables only numbers and times are rescaled.",
            metavar="SCALE",
            allow_leading_hyphen=True,
            converter=numbers,
            n_tokens=1,
        ),
    ] = None
    category_cost: Annotated[
        Any | None,
        Parameter(
            help="How far apart two levels of a category are, or a missing value and any other, after scale. With standardize, 1 is as far as one standard deviation of a number.",
            metavar="COST",
            converter=numbers,
            n_tokens=1,
        ),
    ] = None
    layout: Annotated[
        Literal["nhwc", "nchw"] | None, Parameter(help="Axes of images, where the shape leaves them open.")
    ] = None
    device: Annotated[
        Literal["auto", "cpu", "cuda"] | None, Parameter(help="Device of the worker. auto takes a free GPU.")
    ] = None
    method: Annotated[
        Literal["betting", "empirical_bernstein", "paired_betting", "target_stakes"] | None,
        Parameter(
            help="Method of the lower bound. betting: A bet on each mean (Waudby-Smith and Ramdas), for sets that are not independent of each other. empirical_bernstein: A closed form for each mean, from its variance (Maurer and Pontil). paired_betting: A bet on differences of rows, whose margin is about a third smaller; it needs independent sets. target_stakes: A bet on differences of rows whose stakes aim at the threshold, with the smallest margin; it needs independent sets, except for groups."
        ),
    ] = None
    upper: Annotated[
        Literal["standard", "tight", "none"] | None,
        Parameter(
            help="How much work the upper bound gets. tight: a better transport plan, for several times the seconds. none: no upper bound."
        ),
    ] = None


NOT_OF_MONITORS = {
    "--groups": "its rows must be independent draws; put one row of each group, drawn at random, into the reference and into each batch, or compare two sets of groups by an estimate",
    "--split": "its rows must be independent draws, and rows of one time depend on their neighbours; put some of them, drawn at random, into the reference and into each batch",
    "--diameter": "its upper bounds are approximate",
    "--ranges": "its upper bounds are approximate",
    "--max-seconds": "give --update-steps, so that an update can be repeated",
    "--planned-steps": "give steps and --update-steps",
    "--statements": "its bounds hold together already",
    "--threshold": "did you mean --alarm-above?",
    "--alarm": "did you mean --alarm-above?",
    "--alarm-over": "did you mean --alarm-above?",
    "--fail-above": "did you mean --alarm-above?",
    "--limit": "did you mean --alarm-above?",
    "--thresholds": "did you mean --alarm-above?",
}
"""Flags that only estimates have, and what to do instead."""


@dataclass(frozen=True)
class ReadingFlags:
    """How files are read. Omitted options get the server's defaults."""

    columns: Annotated[
        list[str] | None,
        Parameter(
            help="Take these columns of a table only, in this order. Repeatable.",
            group=READING,
            negative=(),
            metavar="COLUMN",
        ),
    ] = None
    drop: Annotated[
        list[str] | None,
        Parameter(help="Leave these columns of a table out. Repeatable.", group=READING, negative=(), metavar="COLUMN"),
    ] = None
    categories: Annotated[
        list[str] | None,
        Parameter(
            help="Columns whose values are names of levels, such as text: two different levels are category_cost apart. Repeatable.",
            group=READING,
            negative=(),
            metavar="COLUMN",
        ),
    ] = None
    dates: Annotated[
        list[str] | None,
        Parameter(
            help="Columns of text that hold dates or times in ISO 8601. Repeatable.",
            group=READING,
            negative=(),
            metavar="COLUMN",
        ),
    ] = None
    time_unit: Annotated[
        Literal["seconds", "minutes", "hours", "days"] | None,
        Parameter(help="Unit of dates and times as numbers; tables with such columns need it.", group=READING),
    ] = None
    time_start: Annotated[
        str | None,
        Parameter(help="The time that is 0, in ISO 8601; by default 1970-01-01.", group=READING, metavar="START"),
    ] = None
    missing: Annotated[
        Literal["error", "drop", "level"] | None,
        Parameter(
            help="What a missing value is. error: a reason to refuse the table. drop: a reason to leave its row out. level: a level of its own, category_cost away from every value; a number is then at its column's centre.",
            group=READING,
        ),
    ] = None
    member: Annotated[
        str | None, Parameter(help="Array to take from an .npz file.", group=READING, metavar="MEMBER")
    ] = None
    decimal: Annotated[Literal[".", ","] | None, Parameter(help="Decimal mark of numbers in CSV.", group=READING)] = (
        None
    )
    separator: Annotated[
        str | None, Parameter(help="What separates cells of CSV.", group=READING, metavar="SEPARATOR")
    ] = None
    thousands: Annotated[
        Literal[",", ".", " ", "'", "_"] | None,
        Parameter(help="What groups the digits of numbers in CSV.", group=READING),
    ] = None
    header: Annotated[
        bool | None, Parameter(help="Whether the first line of CSV, or row of a sheet, is names.", group=READING)
    ] = None
    encoding: Annotated[
        str | None, Parameter(help="Encoding of CSV, where it is not UTF-8.", group=READING, metavar="ENCODING")
    ] = None
    sheet: Annotated[
        str | None, Parameter(help="Sheet of an Excel file that has several.", group=READING, metavar="SHEET")
    ] = None
    embedding: Annotated[
        str | None,
        Parameter(help="Rows of an .h5ad file: this entry of obsm instead of X.", group=READING, metavar="EMBEDDING"),
    ] = None
    subfolders: Annotated[
        bool | None, Parameter(help="Take the images of a folder's subfolders, too.", group=READING, negative=())
    ] = None
