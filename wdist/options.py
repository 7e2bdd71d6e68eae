"""What an estimate can be asked: each option is defined here and nowhere else.

The library checks options by these definitions. The flags of the command line, the server's request model and
/openapi.json, the form of the web page and the keyword arguments of the client are made from them. Nothing here needs
torch or the server. A new option is one field here, and the code that uses it; then run `make generate`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias, TypeVar, Unpack

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from wdist.critics.registry import FAMILIES
from wdist.definitions.arguments import Arguments, OptionArguments
from wdist.definitions.docstrings import shows_fields
from wdist.definitions.forms import words
from wdist.definitions.reading import Reading
from wdist.definitions.refusals import checked
from wdist.inference.registry import METHODS

F = TypeVar("F", bound=Callable[..., Any])

MAX_FACTORS = 1 << 20


def _plain(value: Any) -> Any:
    """A Python number for a scalar of NumPy or torch, a flat list for an array or nested lists; the rest as it is."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    if isinstance(value, list | tuple) and not any(isinstance(part, list | tuple) for part in value):
        return list(value)
    if isinstance(value, list | tuple) or hasattr(value, "tolist"):
        import numpy as np

        try:
            numbers = np.asarray(value)
        except (ValueError, TypeError, RuntimeError):  # ragged lists, tensors that ask for detach()
            return value
        return numbers.astype(np.float64).ravel().tolist() if numbers.dtype.kind in "iuf" else value
    return value


if TYPE_CHECKING:
    Family: TypeAlias = str
    Method: TypeAlias = str
else:  # the choices are the names in the registries
    Family, Method = Literal[("auto", *FAMILIES)], Literal[tuple(METHODS)]


PLAIN = BeforeValidator(_plain)  # after the bounds: before them, pydantic leaves them out of the schema
Number = Annotated[float, PLAIN]
Whole = Annotated[int, PLAIN]
Factor = Annotated[float, Field(gt=0)]
Factors = Annotated[list[Factor], Field(min_length=1, max_length=MAX_FACTORS)]
Ends = Annotated[list[float], Field(min_length=2, max_length=2 * MAX_FACTORS)]
Scale = Annotated[Literal["none", "standardize", "robust"] | Factor | Factors, PLAIN]

Steps = Annotated[int, Field(ge=1, le=1_000_000)]
PlannedSteps = Annotated[Steps | Annotated[list[Steps], Field(min_length=1, max_length=100)], PLAIN]


class Options(BaseModel):
    """How to estimate."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    confidence: Number = Field(default=0.95, ge=0.5, lt=1, description="1 - alpha of the bounds.")
    critic: Family = Field(
        default="auto",
        description="Family of critics. auto tries several and chooses on the select rows.",
        json_schema_extra=words("Critic", **{name: family.help for name, family in FAMILIES.items()}),
    )
    seed: Whole = Field(
        default=0,
        ge=0,
        lt=1 << 63,
        description="Seeds the split, training and the permutation test. Fix it before you look at a result.",
        json_schema_extra=words("Random seed"),
    )
    max_seconds: Annotated[float, Field(gt=0, le=1e7), PLAIN] | None = Field(
        default=None,
        description="Seconds of training, about; converted to steps after a timed warm-up.",
        json_schema_extra=words("Training time"),
    )
    planned_steps: PlannedSteps | None = Field(
        default=None,
        description="Repeats a result, with its other options: its planned_steps, and its steps as steps. The learning "
        "rates follow the plan, and training ends after so many steps of it.",
        json_schema_extra=words("Plan of an earlier result"),
    )
    steps: Annotated[int, Field(ge=1, le=1_000_000), PLAIN] | None = Field(
        default=None,
        description="Training steps at most, of all critics together that auto tries; training ends earlier where "
        "nothing more is gained. The result is then reproducible on one machine with as many threads.",
        json_schema_extra=words("Training steps"),
    )
    scale: Scale | None = Field(
        default=None,
        description="Rescaling before distances are measured: none (the data's own units), standardize (standard "
        "deviations of each column), robust (medians and quartiles instead, which outliers do not move), one factor to "
        "divide by, or a factor for each column. Of mixed tables only numbers and times are rescaled.",
    )
    category_cost: Annotated[float, Field(gt=0, le=1e18), PLAIN] = Field(
        default=1.0,
        description="How far apart two levels of a category are, or a missing value and any other, after scale. With "
        "standardize, 1 is as far as one standard deviation of a number.",
        json_schema_extra=words("Distance of two levels of a category"),
    )
    layout: Literal["nhwc", "nchw"] | None = Field(
        default=None,
        description="Axes of images, where the shape leaves them open.",
        json_schema_extra=words(
            "Axes of images", null="recognise them", nhwc="height, width, channels", nchw="channels, height, width"
        ),
    )
    device: str = Field(default="auto", description="auto (a GPU if there is one), cpu or cuda.")
    baseline_rows: Whole = Field(
        default=1_000,
        ge=0,
        le=5_000,  # exact transport of more rows takes minutes and gigabytes
        description="Rows of each set for the exact transport shown beside the result; 0 leaves it out.",
        json_schema_extra=words("Rows for exact transport"),
    )
    method: Method = Field(
        default="target_stakes",
        description="Method of the lower bound. " + " ".join(f"{name}: {each.help}" for name, each in METHODS.items()),
        json_schema_extra=words("Method of the bound"),
    )
    split: Literal["random", "blocks"] = Field(
        default="random",
        description="blocks is for rows ordered in time: the last rows are tested, the bound is approximate, and there "
        "is no p-value.",
        json_schema_extra=words("The rows of a file", random="are independent draws", blocks="are ordered in time"),
    )
    upper: Literal["standard", "tight", "none"] = Field(
        default="standard",
        description="How much work the upper bound gets. tight: a better transport plan, for several times the "
        "seconds. none: no upper bound.",
        json_schema_extra=words(
            "Upper bound", standard="cheap", tight="tight, for several times the seconds", none="leave it out"
        ),
    )
    diameter: Annotated[float, Field(gt=0, le=1e300), PLAIN] | None = Field(
        default=None,
        description="Largest possible distance between two rows after scale, an assumption of yours. It makes the "
        "upper bound hold for any number of rows, instead of approximately. It needs rows that are independent draws, "
        "and a scale that was not computed from them: not with groups, blocks, standardize or robust.",
        json_schema_extra=words("Largest distance of two rows"),
    )
    ranges: Annotated[Ends, PLAIN] | None = Field(
        default=None,
        description="Lowest and highest possible value in the data's own units, of all columns or of each one in turn: "
        "an assumption of yours, which may stand in for diameter, also with standardize. Of mixed tables it is that of "
        "numbers and times. Not with groups or blocks.",
        json_schema_extra=words("Lowest and highest possible values"),
    )
    empirical: Annotated[bool, PLAIN] | None = Field(
        default=None,
        description="Whether to compute limits of the distance between the given rows themselves; by default if cheap.",
        json_schema_extra=words("Bracket of the rows themselves", null="if it is cheap", true="yes", false="no"),
    )
    statements: Whole = Field(
        default=1,
        ge=1,
        le=1_000_000,
        description="Number of estimates that are read together. The result then has a simultaneous bound; all of "
        "these hold at once.",
        json_schema_extra=words("Estimates read together"),
    )

    @classmethod
    def checked(cls, **given: Unpack[OptionArguments]) -> Self:
        """The options with these values. Raises OptionError, which names the option and what it must be."""
        return checked(cls, given)

    @property
    def alpha(self) -> float:
        """Error of the lower bound, and of the upper bound: each end holds at `confidence` by itself."""
        return 1 - self.confidence

    @field_validator("steps")
    @classmethod
    def _has_one_budget(cls, steps: int | None, others: ValidationInfo) -> int | None:
        is_free = others.data.get("planned_steps") is None
        if steps is not None and others.data.get("max_seconds") is not None and is_free:
            raise ValueError("give steps or max_seconds, not both: one would contradict the other")
        return steps

    @field_validator("diameter", "ranges")
    @classmethod
    def _is_of_independent_rows(cls, given: Any, others: ValidationInfo) -> Any:
        # The finite-sample bounds need rows drawn independently, and a metric that does not depend on them.
        name = others.field_name
        if given is not None and others.data.get("split") == "blocks":
            raise ValueError(f"it needs rows that are independent draws: leave out {name} or split")
        if given is not None and others.data.get("upper") == "none":
            raise ValueError(f"it is for the upper bound, which upper='none' leaves out: leave out {name} or upper")
        return given

    @field_validator("diameter")
    @classmethod
    def _has_a_known_unit(cls, diameter: float | None, others: ValidationInfo) -> float | None:
        if diameter is not None and (scale := others.data.get("scale")) in ("standardize", "robust"):
            raise ValueError(
                f"the largest distance after {scale} depends on the rows: give ranges instead, the lowest and "
                "highest possible values in the data's own units"
            )
        return diameter

    @field_validator("ranges")
    @classmethod
    def _is_pairs(cls, ranges: list[float] | None, others: ValidationInfo) -> list[float] | None:
        if ranges is None:
            return None
        if others.data.get("diameter") is not None:
            raise ValueError("give diameter or ranges, not both: each says how far apart two rows can be")
        if len(ranges) % 2 or any(low > high for low, high in zip(ranges[::2], ranges[1::2], strict=False)):
            raise ValueError("give two numbers for all columns, or two for each column: the lowest, then the highest")
        return ranges


def refuse_groups(split: str | None, diameter: float | None, ranges: Any) -> str | None:
    """Why rows cannot be split by groups with these options, or None if they can.

    Whether the method allows the groups is known from their labels only: `wdist.inference.units.refuse_layout`.
    """
    if split != "random":
        return "groups are split at random: leave out split or groups"
    for name, given in (("diameter", diameter), ("ranges", ranges)):
        if given is not None:
            return f"{name} needs rows that are independent draws: leave out {name} or groups"
    return None


def options_and_reading(given: Mapping[str, Any]) -> tuple[Options, Reading]:
    """What keyword arguments say of the estimate, and of how data is read.

    Raises OptionError for a value out of range and for an unknown name, with the nearest of both.
    """
    fields = Reading.model_fields
    reading = Reading.checked(**{name: value for name, value in given.items() if name in fields})
    options = {name: value for name, value in given.items() if name not in fields}
    return checked(Options, options, [*Options.model_fields, *fields]), reading


def takes_options(function: F) -> F:
    """Shows options and reading in the signature and the docstring of a function that takes them as keyword arguments.

    The lines `{options}` and `{reading}` of the docstring become one entry a field.
    """
    return shows_fields(function, Arguments, reading=Reading, options=Options)
