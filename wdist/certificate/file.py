"""The certificate file: everything anyone needs to recompute a result. docs/certificate.md specifies the format."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import wdist
from wdist.data.samples import SampleSet
from wdist.data.splits import Split
from wdist.definitions.figures import REPORTED, percent
from wdist.errors import WdistError
from wdist.files.durable import write_file
from wdist.inference.base import Prior
from wdist.inference.units import Units
from wdist.transport.plans import Plan
from wdist.verify.container import write_container
from wdist.verify.contents import FORMAT, SIDES, VERSION


@dataclass(frozen=True)
class StoredCritic:
    """A frozen critic as the certificate stores it. Its last layer clips to the interval that the bounds use.

    layers: entries {"kind", ...}; tensors: "layers.<i>.<name>" in float32 or float64; lipschitz_bound: proven, with
    respect to the rows after rescaling; takes: {"row_shape", "layout", "uint8", "scale"}, and {"kinds"} of encoded
    rows; recipe: as `wdist.critics.critic.CriticInput` has it.
    """

    family: str
    layers: Sequence[Mapping[str, Any]]
    tensors: Mapping[str, NDArray[Any]]
    lipschitz_bound: float
    takes: Mapping[str, Any]
    recipe: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class HeldOut:
    """What the statement was computed from.

    groups: group codes of all rows of both sets, as `GroupOrder` has them, or None if single rows were split.
    group_counts: how many groups all sets of the matrix have together, and the one with the fewest; None without
    groups. numbers: those of the two sets, which with the seed decide their splits.
    """

    units: Units
    method: str
    prior: Prior | None
    groups: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    group_counts: tuple[int, int] | None = None
    numbers: tuple[int, int] = (0, 1)


@dataclass(frozen=True)
class StoredUpperEnd:
    """An upper bound of rows that are independent draws.

    plan: by numbers of the rows of each set; None for rows of one number, whose order gives the cost. diameter, ranges:
    as declared; at most one of them is.
    """

    bound: float
    cost: float
    plan: Plan | None
    diameter: float | None = None
    ranges: Sequence[float] | None = None

    def to_json(self) -> dict[str, Any]:
        ranges = None if self.ranges is None else [float(end) for end in self.ranges]
        return {"bound": float(self.bound), "cost": float(self.cost), "diameter": self.diameter, "ranges": ranges}


@dataclass(frozen=True)
class Certificate:
    """A certificate: its JSON document and its tensors. `content` is the whole file."""

    document: dict[str, Any]
    tensors: dict[str, NDArray[Any]]

    @cached_property
    def content(self) -> bytes:
        """The bytes of the file. Equal certificates have equal bytes."""
        return write_container(self.document, self.tensors)

    @property
    def sha256(self) -> str:
        """SHA-256 of the file. Pass it on separately from the file itself."""
        return hashlib.sha256(self.content).hexdigest()

    def __repr__(self) -> str:
        stated = self.document["statement"]
        return (
            f"<Certificate: W1 >= {stated['lower_bound']:.4g} with {percent(stated['confidence'])} confidence, "
            f"{len(self.content):,} bytes, sha256 {self.sha256}>"
        )

    def save(self, path: str | Path) -> str:
        """Write the file and return its SHA-256."""
        write_file(Path(path), self.content)
        return self.sha256


def build_certificate(
    result: Mapping[str, Any],
    critic: StoredCritic,
    samples: tuple[SampleSet, SampleSet],
    splits: tuple[Split, Split],
    held_out: HeldOut,
    split_mode: str = "random",
    upper: StoredUpperEnd | None = None,
) -> Certificate:
    """Build a certificate from `Result.to_dict()`, the frozen critic, both sets, their splits and the units of chance.

    split_mode is "random" or "blocks"; it is ignored if `held_out` has groups. upper: without it, the upper bound of
    `result` is among the figures that are reported, and not proven.

    Reads both sets once to compute their digests. Raises WdistError if the critic does not end in a clip layer.
    """
    last, units = critic.layers[-1], held_out.units
    if last["kind"] != "clip":
        raise WdistError("a certified critic ends in a clip layer: the bounds need an interval")
    document = {
        "format": FORMAT,
        "version": VERSION,
        "library": wdist.__version__,
        "data": {side: _data(s) for side, s in zip(SIDES, samples, strict=True)},
        "recipe": _plain(critic.recipe),
        "input": _plain(critic.takes),
        "split": _split(held_out, split_mode, int(result["seed"]))
        | {side: split.sizes() for side, split in zip(SIDES, splits, strict=True)},
        "critic": {
            "layers": [_plain(entry) for entry in critic.layers],
            "lipschitz_bound": float(critic.lipschitz_bound),
        },
        "statement": {name: result[name] for name in ("value", "lower_bound", "confidence", "p_value")}
        | {
            "method": held_out.method,
            "prior": _plain(held_out.prior),
            "clip": [float(last["low"]), float(last["high"])],
            "rounding": float(units.fx.rounding.mean() + units.fy.rounding.mean()) / float(critic.lipschitz_bound),
        },
        "upper": None if upper is None else upper.to_json(),
        "reported": {
            "family": critic.family,
            "upper_bound": _plain(result.get("upper_bound")) if upper is None else None,
        }
        | {name: _plain(result.get(name)) for name in REPORTED},
    }
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in critic.tensors.items()}
    if held_out.groups is not None:
        for side, codes in zip(SIDES, held_out.groups, strict=True):
            tensors[f"groups.{side}"] = np.ascontiguousarray(codes, dtype=np.int64)
    if upper is not None and upper.plan is not None:
        tensors |= {"plan.source": upper.plan.source, "plan.target": upper.plan.target, "plan.mass": upper.plan.mass}
    return Certificate(document, tensors)


def _split(held_out: HeldOut, mode: str, seed: int) -> dict[str, Any]:
    counts = None if held_out.group_counts is None else dict(zip(("all", "fewest"), held_out.group_counts, strict=True))
    mode = mode if held_out.groups is None else "groups"
    return {"mode": mode, "seed": seed, "numbers": list(held_out.numbers), "groups": counts}


def _data(samples: SampleSet) -> dict[str, Any]:
    return {
        "sha256": samples.sha256,
        "shape": list(samples.array.shape),
        "dtype": samples.dtype.str,
        "file_sha256": samples.file_sha256,
    }


def _plain(value: Any) -> Any:
    """Convert to plain JSON types: tuples to lists, numpy scalars to Python ones."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value
