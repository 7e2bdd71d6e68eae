"""What an estimate can be asked: each option is defined here and nowhere else.

The library checks options by these definitions. The flags of the command line, the server's request model and
/openapi.json, the form of the web page and the keyword arguments of the client are made from them. Nothing here needs
torch or the server. A new option is one field here, and the code that uses it; then run `make generate`.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from wdist.errors import OptionError
from wdist.inference.mean_bounds import METHODS
from wdist.refusals import refusals

if TYPE_CHECKING:
    from typing import Unpack

    from wdist.arguments import OptionArguments

F = TypeVar("F", bound=Callable[..., Any])

MAX_COLUMNS = 1 << 20
CRITICS = ("auto", "affine", "sliced", "groupsort", "cone", "bcop")


def _plain(value: Any) -> Any:
    """A Python number for a scalar of NumPy or torch, a flat list for an array or nested lists; the rest as it is."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    if isinstance(value, list | tuple) and not any(isinstance(part, list | tuple) for part in value):
        return list(value)
    if isinstance(value, list | tuple) or hasattr(value, "tolist"):
        import numpy as np

        return np.asarray(value, dtype=np.float64).ravel().tolist()
    return value


if TYPE_CHECKING:
    Family: TypeAlias = str
    Method: TypeAlias = str
else:  # the choices are the names in the registries
    Family, Method = Literal[CRITICS], Literal[METHODS]

Number = Annotated[float, BeforeValidator(_plain)]
Whole = Annotated[int, BeforeValidator(_plain)]
Factor = Annotated[float, Field(gt=0)]
Factors = Annotated[list[Factor], Field(min_length=1, max_length=MAX_COLUMNS)]
Scale = Annotated[Literal["none", "standardize"] | Factor | Factors, BeforeValidator(_plain)]


class Options(BaseModel):
    """How to estimate."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    confidence: Number = Field(default=0.95, ge=0.5, lt=1, description="1 - alpha of the bounds.")
    critic: Family = Field(
        default="auto", description="Family of critics. auto tries several and chooses on the select rows."
    )
    seed: Whole = Field(
        default=0,
        ge=0,
        lt=1 << 63,
        description="Seeds the split, training and the permutation test. Fix it before you look at a result.",
    )
    max_seconds: Number | None = Field(
        default=None, gt=0, le=1e7, description="Seconds of training, about; converted to steps after a timed warm-up."
    )
    steps: Whole | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Training steps, exactly; the result is then reproducible on the same machine.",
    )
    scale: Scale | None = Field(
        default=None,
        description="Rescaling before distances are measured: none (the data's own units), standardize (standard "
        "deviations of each column), one factor to divide by, or a factor for each column.",
    )
    layout: Literal["nhwc", "nchw"] | None = Field(
        default=None, description="Axes of images, where the shape leaves them open."
    )
    device: str = Field(default="auto", description="auto (a GPU if there is one), cpu or cuda.")
    baseline_rows: Whole = Field(
        default=1_000,
        ge=0,
        le=5_000,  # exact transport of more rows takes minutes and gigabytes
        description="Rows of each set for the exact transport shown beside the result; 0 leaves it out.",
    )
    method: Method = Field(
        default="betting",
        description="Method of the lower bound: betting (Waudby-Smith and Ramdas), empirical_bernstein (Maurer and "
        "Pontil), or paired_betting, which is tighter and needs sets that are independent of each other.",
    )
    split: Literal["random", "blocks"] = Field(
        default="random",
        description="blocks is for rows ordered in time: the last rows are tested, the bound is approximate, and there "
        "is no p-value.",
    )
    diameter: Number | None = Field(
        default=None,
        gt=0,
        le=1e300,
        description="Largest possible distance between two rows after scale, an assumption of yours. It adds "
        "upper_bound; both bounds then share the error. It needs rows that are independent draws: not with groups, "
        "blocks or standardize.",
    )
    empirical: bool | None = Field(
        default=None,
        description="Whether to bracket the distance between the given rows themselves. By default only if cheap.",
    )
    statements: Whole = Field(
        default=1,
        ge=1,
        le=1_000_000,
        description="Number of estimates that are read together. The result then has a simultaneous bound; all of "
        "these hold at once.",
    )

    @classmethod
    def checked(cls, **given: Unpack[OptionArguments]) -> Self:
        """The options with these values. Raises OptionError, which names the option and what it must be."""
        try:
            return cls(**given)
        except ValidationError as error:
            said = refusals(error.errors(), given, list(cls.model_fields))
            raise OptionError("; ".join(sentence for _, sentence in said)) from None

    @property
    def alpha(self) -> float:
        """Error of the lower bound. If there is an upper bound too, each gets half of the error."""
        return (1 - self.confidence) / (1 if self.diameter is None else 2)

    @field_validator("steps")
    @classmethod
    def _has_one_budget(cls, steps: int | None, others: ValidationInfo) -> int | None:
        if steps is not None and others.data.get("max_seconds") is not None:
            raise ValueError("give steps or max_seconds, not both: one would contradict the other")
        return steps

    @field_validator("diameter")
    @classmethod
    def _is_of_independent_rows(cls, diameter: float | None, others: ValidationInfo) -> float | None:
        # McDiarmid's inequality needs rows drawn independently, and a metric that does not depend on them.
        if diameter is not None and others.data.get("split") == "blocks":
            raise ValueError("an upper bound needs rows that are independent draws: leave out diameter or split")
        if diameter is not None and others.data.get("scale") == "standardize":
            raise ValueError(
                "the largest distance after standardize depends on the rows: give scale as numbers, or leave out "
                "diameter"
            )
        return diameter


def refuse_groups(split: str | None, method: str | None, diameter: float | None) -> str | None:
    """Why rows cannot be split by groups with these options, or None if they can."""
    if split != "random":
        return "groups are split at random: leave out split or groups"
    if method == "paired_betting":
        return "a group may be in both sets, but paired_betting needs independent sets: use betting"
    if diameter is not None:
        return "an upper bound needs rows that are independent draws: leave out diameter or groups"
    return None


def takes_options(function: F) -> F:
    """Shows the options in the signature and the docstring of a function that passes **options on.

    The line `{options}` of the docstring becomes one entry an option.
    """
    fields = Options.model_fields
    signature = inspect.signature(function)
    given = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    shown = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.annotation)
        for name, field in fields.items()
    ]
    function.__signature__ = signature.replace(parameters=[*given, *shown])  # type: ignore[attr-defined]
    function.__doc__ = (function.__doc__ or "").replace("{options}", "\n".join(_entries()).strip())
    return function


def _entries() -> Iterable[str]:
    for name, field in Options.model_fields.items():
        about = f"{name}: {field.description} Default: {field.default!r}."
        yield textwrap.fill(about, 120, initial_indent=" " * 8, subsequent_indent=" " * 12)
