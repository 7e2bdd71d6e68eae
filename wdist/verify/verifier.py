"""Re-derives the statement of a certificate from its critic and the rows, step by step.

Every figure is derived; the stated ones are compared with them, and the derived ones are reported.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .container import CannotCheckError, CertificateError, Tensors
from .contents import SIDES, VERSION, Certificate, open_certificate
from .critic import Critic, build_critic
from .order import FRESH_ORDER, Parts, split_groups, split_rows, stream
from .report import (
    SCALE_OF_ANOTHER_SET,
    Check,
    Report,
    fresh_not_checked,
    not_checked,
    other_than_certified,
    recipe_in_words,
    units_of_distance,
)
from .rounding import U
from .rows import Input, check_scale, column_names, open_rows, rows_digest
from .statistics import Scores
from .units import ROUNDING_SHARE, Priors, Units, layout_of, lower_bound, p_values, units_of_groups, units_of_rows
from .upper import check_upper_bound

Array = NDArray[Any]
Files = tuple[str | None, str | None]  # SHA-256 of two files; None where there is no file
PLACES = ("first", "second")  # of sets, as they are given
TOLERANCE = 1e-9  # of the spread of the scores, and of L


class CheckFailed(Exception):  # noqa: N818 - control flow of a verification
    """A check did not hold."""


def require(condition: bool, message: str) -> None:
    if not condition:
        raise CheckFailed(message)


def verify_certificate(
    path: str | Path, source: Any, target: Any, sha256: str | None = None, files: Files | None = None
) -> Report:
    """Check a certificate against the rows it is about: paths of .npy files, or arrays.

    sha256: the file's digest, got separately from the issuer. files: digests of the two files, where whoever calls has
    made the rows of them by the certificate's recipe, as `wdist verify` does. The report lists every check; the first
    failure ends it.

    Raises CertificateError if nothing can be checked, because a file cannot be read or does not hold rows of numbers.
    The certificate is then neither verified nor refuted. Tables and other files are read by the command `wdist verify`.
    """
    run, rows = _Run(), [open_rows(data) for data in (source, target)]
    points: list[str] = []
    with run:
        content = run.step("file", lambda: _read_file(path, sha256))
        certificate, tensors = run.step("container", lambda: _open(content))
        others = _groups_of_others(certificate, tensors)
        told: dict[str, Any] = {"others": others, "is_issued": sha256 is not None, "is_read": files is not None}
        points = not_checked(certificate, **told)
        if files is not None:
            run.step("files", lambda: _check_files(certificate, files))
        arrays = run.step("data", lambda: _check_data(certificate, rows, files))
        parts = run.step("split", lambda: _split(certificate, tensors))
        takes = run.step("scale", lambda: check_scale(certificate, arrays, parts))
        points = not_checked(certificate, **told, scale=takes.kind)
        if takes.is_of_first and 0 not in certificate["split"]["numbers"]:
            points.insert(-1, SCALE_OF_ANOTHER_SET)
        critic, bound = run.step("Lipschitz bound", lambda: _critic(certificate, tensors, takes))
        scores = run.step("scores", lambda: _scores(certificate, critic, arrays, [part.test for part in parts]))
        units = _units_of(certificate, tensors, scores, parts)
        derived = Statement(certificate, units, bound)
        run.step("value", derived.check_value)
        run.step("lower bound", derived.check_lower_bound)
        run.step("p-value", derived.check_p_value)
        upper = run.step("upper bound", lambda: check_upper_bound(certificate, tensors, takes, arrays, parts))
        run.statement = (
            derived.figures
            | upper
            | {
                "units": units_of_distance(certificate["input"], certificate["recipe"]),
                "recipe": recipe_in_words(certificate["recipe"]),
                "split": certificate["split"]["mode"],
                "is_upper_bound_reported": certificate["reported"]["upper_bound"] is not None,
            }
        )
    return Report(run.checks, run.statement, points)


def verify_fresh(path: str | Path, source: Any, target: Any, sha256: str | None = None) -> Report:
    """Evaluate a certificate's critic on rows that the issuer never saw: a statement that needs no trust in the issuer.

    The statement is a new one, about these rows, at the certificate's confidence and with its method and clipping.

    Raises CertificateError if a file cannot be read, or the rows are not such as the critic takes.
    """
    rows = _open_fresh((source, target))
    run = _Run()
    points: list[str] = []
    with run:
        content = run.step("file", lambda: _read_file(path, sha256))
        certificate, tensors = run.step("container", lambda: _open(content))
        points = fresh_not_checked(certificate["split"]["mode"])
        arrays = run.step("fresh data", lambda: _check_fresh_data(certificate, rows))
        takes = Input.from_json(certificate["input"])
        critic, bound = run.step("Lipschitz bound", lambda: _critic(certificate, tensors, takes))
        run.statement = run.step("fresh statement", lambda: _fresh_statement(certificate, critic, bound, arrays))
    return Report(run.checks, run.statement, points)


class _Run:
    """Collects checks; leaving the block on the first failure is not an error."""

    def __init__(self) -> None:
        self.checks: list[Check] = []
        self.statement: dict[str, Any] = {}
        self._name = ""
        self._errors = np.errstate(all="ignore")  # what is not finite is found where it matters

    def step(self, name: str, check: Callable[[], tuple[str, Any]]) -> Any:
        """Run one check; it returns (detail, what later checks need) or raises."""
        self._name = name
        detail, value = check()
        self.checks.append(Check(name, True, detail))
        return value

    def __enter__(self) -> "_Run":
        self._errors.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        self._errors.__exit__(kind, error, None)
        if not isinstance(error, Exception) or isinstance(error, CannotCheckError):
            return False
        # Whatever else a hostile file makes numpy or Python raise refutes it as well.
        plain = str(error) if isinstance(error, CheckFailed | CertificateError) else repr(error)
        self.checks.append(Check(self._name, False, plain))
        return True


def _read_file(path: str | Path, sha256: str | None) -> tuple[str, bytes]:
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise CannotCheckError(f"cannot read {str(path)!r}: {getattr(error, 'strerror', None) or error}") from error
    digest = hashlib.sha256(content).hexdigest()
    require(sha256 is None or digest == sha256.strip().strip('"').lower(), f"its SHA-256 is {digest}, not {sha256}")
    return f"SHA-256 {digest}" + (" as given" if sha256 else ""), content


def _open(content: bytes) -> tuple[str, tuple[Certificate, Tensors]]:
    certificate, tensors = open_certificate(content)
    return f"format version {VERSION}, written by wdist {certificate['library']}", (certificate, tensors)


def _check_files(certificate: Certificate, digests: Files) -> tuple[str, None]:
    stated = _stated_files(certificate)
    if (said := other_than_certified("file", digests, stated)) is not None:
        shown = [
            f"the SHA-256 of the {place} is {digest}, certified was {known}"
            for place, digest, known in zip(PLACES, digests, stated, strict=True)
            if known is not None and digest is not None and known != digest
        ]
        raise CheckFailed("; ".join([said, *shown]))
    known = sum(None not in pair for pair in zip(digests, stated, strict=True))
    read = "read by the certificate's recipe" if certificate["recipe"] is not None else "read as given"
    return f"{read}; {known} of 2 are the issuer's files, by their digests", None


def _stated_files(certificate: Certificate) -> list[str | None]:
    return [certificate["data"][side]["file_sha256"] for side in SIDES]


def _check_data(certificate: Certificate, arrays: list[Array], files: Files | None) -> tuple[str, list[Array]]:
    digests = [rows_digest(array) for array in arrays]
    certified = [certificate["data"][side] for side in SIDES]
    said = other_than_certified("set", digests, [stored["sha256"] for stored in certified])
    if said is not None and None not in (read := files or (None, None)) and list(read) == _stated_files(certificate):
        said = (
            "the files are the certified ones, but were read with other options: leave these out, as the certificate "
            "says how its files are read"
        )
    wrong = [] if said is None else [said]
    for place, array, digest, stored in zip(PLACES, arrays, digests, certified, strict=True):
        dtype = np.dtype(stored["dtype"])
        if list(array.shape) != stored["shape"]:
            wrong.append(f"the {place} has shape {array.shape}, certified was {tuple(stored['shape'])}")
        elif array.dtype.newbyteorder("=") != dtype.newbyteorder("="):
            wrong.append(f"the {place} has type {array.dtype}, certified was {dtype}")
        elif digest != stored["sha256"]:
            wrong.append(f"the digest of the {place} is {digest}, certified was {stored['sha256']}")
    require(not wrong, "; ".join(wrong))
    return "both sets are the certified ones, by their digests", arrays


def _open_fresh(given: tuple[Any, Any]) -> list[Array]:
    """Both sets as arrays. Raises CannotCheckError if they cannot be compared, or hold too few rows."""
    names = [column_names(data) for data in given]
    if None not in names and names[0] != names[1]:
        raise CannotCheckError(f"the two sets have other columns: {names[0]} and {names[1]}")
    arrays = [open_rows(data) for data in given]
    for side, array in zip(SIDES, arrays, strict=True):
        if len(array) < 2:
            raise CannotCheckError(f"{side} has {len(array)} rows; at least 2 are needed")
    return arrays


def _check_fresh_data(certificate: Certificate, arrays: list[Array]) -> tuple[str, list[Array]]:
    known = {certificate["data"][side]["sha256"] for side in SIDES}
    for side, array in zip(SIDES, arrays, strict=True):
        require(rows_digest(array) not in known, f"{side} is one of the certified sets: fresh rows are needed")
    return f"{len(arrays[0]):,} and {len(arrays[1]):,} rows, other than the certified ones", arrays


def _split(certificate: Certificate, tensors: Tensors) -> tuple[str, list[Parts]]:
    split, seed = certificate["split"], certificate["split"]["seed"]
    if split["mode"] == "groups":
        sides, stated = (tensors["groups.source"], tensors["groups.target"]), split["groups"]
        fewest = min(len(np.unique(side)) for side in sides)
        require(stated["fewest"] <= fewest, f"a set has {fewest} groups, fewer than the stated {stated['fewest']}")
        is_alone = _groups_of_others(certificate, tensors) == 0
        require(not is_alone or stated["fewest"] == fewest, f"no set has only {stated['fewest']} groups")
        parts = list(split_groups(sides, seed, stated["all"], stated["fewest"]))
    else:
        parts = [
            split_rows(certificate["data"][side]["shape"][0], seed, number, split["mode"], split[side])
            for number, side in zip(split["numbers"], SIDES, strict=True)
        ]
    for side, part in zip(SIDES, parts, strict=True):
        require(part.sizes() == split[side], f"{side}: the groups give parts of {part.sizes()}, not {split[side]}")
    x, y = (len(part.test) for part in parts)
    i, j = split["numbers"]
    sets = "" if (i, j) == (0, 1) else f" of the sets {i} and {j}"
    return f"seed {seed} gives {x:,} and {y:,} test rows{sets}", parts


def _groups_of_others(certificate: Certificate, tensors: Tensors) -> int:
    """How many of the groups that were put in order are in neither set, but in others of a matrix."""
    if certificate["split"]["mode"] != "groups":
        return 0
    both = np.union1d(tensors["groups.source"], tensors["groups.target"])
    return int(certificate["split"]["groups"]["all"]) - len(both)


def _critic(certificate: Certificate, tensors: Tensors, takes: Input) -> tuple[str, tuple[Critic, float]]:
    stored = certificate["critic"]
    weights = {name: tensor for name, tensor in tensors.items() if name.startswith("layers.")}
    critic = build_critic(certificate["input"], stored["layers"], weights)
    last, clip = stored["layers"][-1], certificate["statement"]["clip"]
    require(
        last["kind"] == "clip" and [last["low"], last["high"]] == clip, "the critic does not end in the stated clipping"
    )
    proven, stated = critic.lipschitz_bound, float(stored["lipschitz_bound"])
    require(math.isfinite(proven) and proven > 0, f"the proven Lipschitz bound is {proven}")
    require(stated >= proven * (1 - TOLERANCE), f"L = {stated}, proven is {proven}")
    bound = max(stated, proven)
    return f"L = {bound:.9g}; {proven:.9g} is proven here from {len(critic.layers)} layers", (critic, bound)


def _scores(
    certificate: Certificate, critic: Critic, arrays: list[Array], rows: list[NDArray[np.int64]]
) -> tuple[str, list[Scores]]:
    """f less the lower end of the clip, of the rows of each side in their order."""
    low, high = (float(end) for end in certificate["statement"]["clip"])
    scores, worst = [], 0.0
    for array, index in zip(arrays, rows, strict=True):
        values, error = critic.scores_and_rounding(array, index)
        error = np.minimum(error + U * (values - low), high - low)
        scores.append(Scores(values - low, error, 0.0, high - low).clipped())
        worst = max(worst, float(error.max()))
    return f"recomputed in float64; rounding may have moved them by {worst:.1e}", scores


def _units_of(certificate: Certificate, tensors: Tensors, scores: list[Scores], parts: list[Parts]) -> Units:
    x, y = scores
    if parts[0].groups is None or parts[1].groups is None:
        return units_of_rows(x, y)
    layout = layout_of(tensors["groups.source"], tensors["groups.target"])
    return units_of_groups(x, parts[0].groups, y, parts[1].groups, layout)


@dataclass
class Statement:
    """The derived figures, and how the stated ones compare."""

    certificate: Certificate
    units: Units
    bound: float

    def __post_init__(self) -> None:
        stated = self.certificate["statement"]
        low = float(stated["clip"][0])
        self.alpha = 1 - float(stated["confidence"])
        self.priors: Priors = None
        if stated["prior"] is not None:  # scores are those less `low`
            x, y = ((float(mean) - low, float(deviation)) for mean, deviation in stated["prior"])
            self.priors = x, y
        # Issuers choose the clip and the biases: neither a wide interval nor much rounding may make room for a claim.
        self.spread = self.units.spread / self.bound
        self.smallest = TOLERANCE * self.spread
        self.rounding = self.units.rounding / self.bound
        self.allowed = self.smallest + min(self.rounding, ROUNDING_SHARE * self.spread)
        self.figures: dict[str, Any] = {
            "confidence": stated["confidence"],
            "method": stated["method"],
            "lipschitz_bound": self.bound,
            "rounding": self.rounding,
            "spread": self.spread,
        }

    def check_value(self) -> tuple[str, None]:
        stated, value = self.certificate["statement"], self.units.value / self.bound
        require(abs(stated["value"] - value) <= self.allowed, f"value is stated as {stated['value']}, it is {value}")
        require(
            stated["rounding"] >= 0.9 * self.rounding - self.smallest - 2 * U * self.units.width / self.bound,
            f"rounding is stated as {stated['rounding']}, it is {self.rounding}",
        )
        self.figures["value"] = value
        return f"{value:.6g}; rounding may cost {self.rounding:.1e}", None

    def check_lower_bound(self) -> tuple[str, None]:
        stated = self.certificate["statement"]
        derived = lower_bound(self.units, stated["method"], self.alpha, self.priors) / self.bound
        require(
            stated["lower_bound"] <= derived + self.allowed,
            f"lower_bound is stated as {stated['lower_bound']}, it is {derived}",
        )
        self.figures["lower_bound"] = derived
        return f"{derived:.6g} by {stated['method']} at error {self.alpha:.4g}", None

    def check_p_value(self) -> tuple[str, None]:
        stated, split = self.certificate["statement"]["p_value"], self.certificate["split"]
        self.figures["p_value"] = None
        if split["mode"] == "blocks":
            return "none: rows in blocks of time are not exchangeable", None
        derived, least = p_values(self.units, self.alpha, self.priors, split["seed"])
        require(stated >= least, f"p_value is stated as {stated}, it is {derived}")
        self.figures["p_value"] = derived
        return f"{derived:.6g}", None


def _fresh_statement(
    certificate: Certificate, critic: Critic, bound: float, arrays: list[Array]
) -> tuple[str, dict[str, Any]]:
    # betting bounds need an order that does not depend on the scores: the file's own may be sorted
    seed = certificate["split"]["seed"]
    orders = [stream(seed, FRESH_ORDER, side).permutation(len(array)) for side, array in enumerate(arrays)]
    try:
        _, scores = _scores(certificate, critic, arrays, orders)
    except CertificateError as error:
        raise CannotCheckError(str(error)) from error
    units, method = units_of_rows(*scores), certificate["statement"]["method"]
    derived = Statement(certificate, units, bound)
    value = units.value / bound
    statement = derived.figures | {
        "value": value,
        "lower_bound": lower_bound(units, method, derived.alpha, derived.priors) / bound,
        "p_value": p_values(units, derived.alpha, derived.priors, seed)[0],
        "units": units_of_distance(certificate["input"], certificate["recipe"]),
        "recipe": recipe_in_words(certificate["recipe"]),
        "rows": {"source": len(arrays[0]), "target": len(arrays[1])},
        "upper_bound": None,
    }
    return f"value {value:.6g}, lower bound {statement['lower_bound']:.6g}", statement
