"""Re-derives the statement of a certificate from its critic and the rows, step by step."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import statistics
from .container import CannotCheckError, CertificateError, Tensors
from .contents import (
    SIDES,
    CheckFailed,
    check_data,
    check_fresh_data,
    check_split,
    open_container,
    open_fresh,
    read_file,
    require,
    tensor_names,
)
from .critic import Critic, build_critic
from .groups import GROUP_PERMUTATIONS, group_means, group_p_value, seeded_means
from .report import Check, Report, units
from .rows import open_rows

Values = NDArray[np.float64]

RELATIVE = 1e-9  # tolerance of stated figures: sums in another order differ by far less
SCORE_ROUNDING = 1e-11  # relative to the largest row norm: float64 activations of a deep critic agree to about 1e-13
OLD_ORDER = (
    "; some groups are in both sets, and wdist 0.1 took such groups in an order that gave false bounds: ask for a new "
    "certificate"
)

THE_ISSUERS_WORD = [
    "that the critic was fitted and chosen without the test rows (verify --fresh on rows the issuer never saw needs no "
    "such trust)",
    "that the seed was fixed beforehand and not picked among several by its result",
    "that the rows of each set (or its groups of rows) are independent draws, and the sets independent of each other",
    'the figures under "reported" (trivial bounds, null baseline, upper bound, empirical bracket, times)',
]


def verify_certificate(path: str | Path, source: Any, target: Any, sha256: str | None = None) -> Report:
    """Check a certificate against the two sets of rows it is about: paths of .npy files, or arrays.

    sha256: the file's digest, got separately from the issuer. The report lists every check; the first failure ends it.

    Raises CertificateError if nothing can be checked, because a file cannot be read or does not hold rows of numbers.
    The certificate is then neither verified nor refuted. Tables and other files are read by the command `wdist verify`.
    """
    run, rows = _Run(), [open_rows(data) for data in (source, target)]
    not_checked = list(THE_ISSUERS_WORD)
    if sha256 is None:
        not_checked.insert(0, "that this is the file the issuer gave out (pass its digest with --sha256)")
    with run:
        content = run.step("file", lambda: read_file(path, sha256))
        certificate, tensors = run.step("container", lambda: open_container(content))
        arrays = run.step("data", lambda: check_data(certificate, rows))
        run.step("split", lambda: check_split(certificate, tensors))
        critic = run.step("Lipschitz bound", lambda: _critic(certificate, tensors))
        scores = run.step("held-out scores", lambda: _scores(certificate, tensors, critic, arrays))
        scores, names = _units_of_chance(certificate, tensors, scores)
        run.step("confidence bounds", lambda: _bounds(certificate, scores, names))
        run.step("arithmetic", lambda: _arithmetic(certificate, scores))
        run.step("p-value", lambda: _p_value(certificate, scores, names))
        run.statement = certificate["statement"] | {
            "lipschitz_bound": certificate["critic"]["lipschitz_bound"],
            "units": units(certificate["input"]),
            "split": certificate["split"]["mode"],
            "is_one_of_two_bounds": certificate["reported"].get("upper_bound") is not None,
        }
        if run.statement["split"] == "blocks":
            not_checked.append(
                "the confidence itself: rows ordered in time depend on their neighbours (split by blocks)"
            )
    return Report(run.checks, run.statement, not_checked)


def verify_fresh(path: str | Path, source: Any, target: Any, sha256: str | None = None) -> Report:
    """Evaluate a certificate's critic on rows that the issuer never saw: a statement that needs no trust in the issuer.

    The statement is a new one, about these rows, at the certificate's confidence and with its clipping.

    Raises CertificateError if a file cannot be read, or the rows are not such as the critic takes.
    """
    rows = open_fresh((source, target))
    run, not_checked = _Run(), ["that the rows are independent draws, and were not seen by the issuer"]
    with run:
        content = run.step("file", lambda: read_file(path, sha256))
        certificate, tensors = run.step("container", lambda: open_container(content))
        if (mode := certificate["split"]["mode"]) != "random":
            not_checked.append(
                f"dependence between rows: the certificate respected {mode}, this statement takes rows alone"
            )
        arrays = run.step("fresh data", lambda: check_fresh_data(certificate, rows))
        critic = run.step("Lipschitz bound", lambda: _critic(certificate, tensors))
        run.statement = run.step("fresh statement", lambda: _fresh_statement(certificate, critic, arrays))
    return Report(run.checks, run.statement, not_checked)


class _Run:
    """Collects checks; leaving the block on the first failure is not an error."""

    def __init__(self) -> None:
        self.checks: list[Check] = []
        self.statement: dict[str, Any] = {}
        self._name = ""

    def step(self, name: str, check: Callable[[], tuple[str, Any]]) -> Any:
        """Run one check; it returns (detail, what later checks need) or raises."""
        self._name = name
        detail, value = check()
        self.checks.append(Check(name, True, detail))
        return value

    def __enter__(self) -> "_Run":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        # what a hostile file can raise inside a check: refused by us, or by numpy and Python on nonsense
        if isinstance(error, CannotCheckError):
            return False
        expected = isinstance(
            error, CheckFailed | ValueError | KeyError | TypeError | IndexError | AttributeError | OSError
        )
        if error is not None and (expected or isinstance(error, OverflowError | np.linalg.LinAlgError)):
            plain = str(error) if isinstance(error, CheckFailed | CertificateError | OSError) else repr(error)
            self.checks.append(Check(self._name, False, plain))
            return True
        return False


def _near(stated: float, derived: float, scale: float) -> bool:
    return math.isfinite(stated) and abs(stated - derived) <= RELATIVE * scale


def _critic(certificate: dict[str, Any], tensors: Tensors) -> tuple[str, Critic]:
    stored, statement = certificate["critic"], certificate["statement"]
    weights = {name: tensor for name, tensor in tensors.items() if name.startswith("layers.")}
    extra = set(tensors) - set(weights) - tensor_names(certificate)
    require(not extra, f"unknown tensors {sorted(extra)}")
    critic = build_critic(certificate["input"], stored["layers"], weights)
    bounds = stored["layer_bounds"]
    require(len(bounds) == len(critic.layer_bounds), "there is not one stored bound for each layer")
    for number, (claimed, proven) in enumerate(zip(bounds, critic.layer_bounds, strict=True)):
        require(claimed >= proven * (1 - RELATIVE), f"layer {number} claims norm {claimed}, proven is {proven}")
    total, product = stored["lipschitz_bound"], math.prod(bounds)
    require(total > 0 and _near(total, product, product), f"L = {total} is not the layers' product {product}")
    require(total >= critic.lipschitz_bound * (1 - RELATIVE), f"L = {total}, proven is {critic.lipschitz_bound}")
    last = stored["layers"][-1]
    clip = (last.get("low"), last.get("high"))
    require(
        last["kind"] == "clip" and list(clip) == statement["clip"], "the critic does not end in the stated clipping"
    )
    return f"L = {total:.9g} dominates {critic.lipschitz_bound:.9g}, proven here from {len(bounds)} layers", critic


def _scores(
    certificate: dict[str, Any], tensors: Tensors, critic: Critic, arrays: list[NDArray[Any]]
) -> tuple[str, tuple[Values, Values]]:
    worst, scores = 0.0, []
    for side, array in zip(SIDES, arrays, strict=True):
        index, stored = tensors[f"test_rows.{side}"], tensors[f"scores.{side}"]
        derived, norm = _derive(critic, array, index)
        require(stored.shape == derived.shape and bool(np.isfinite(stored).all()), f"{side}: scores are malformed")
        difference = np.abs(stored - derived)
        row = int(difference.argmax())
        allowed = SCORE_ROUNDING * max(norm, float(np.abs(derived).max()))
        require(
            bool(difference[row] <= allowed),
            f"{side}: the score of row {index[row]} is stored as {stored[row]!r}, the critic gives {derived[row]!r}",
        )
        worst = max(worst, float(difference[row]))
        scores.append(stored)
    return f"recomputed in float64, they differ by at most {worst:.1e}", (scores[0], scores[1])


def _derive(critic: Critic, array: NDArray[Any], index: NDArray[np.int64]) -> tuple[Values, float]:
    """The critic's scores of the test rows, and the largest norm of a row: the size that rounding is relative to."""
    scores, largest = [], 0.0
    for block in critic.takes.blocks(array, index):
        scores.append(critic.scores(block))
        largest = max(largest, float(np.linalg.norm(block.reshape(len(block), -1), axis=1).max()))
    return np.concatenate(scores), largest


def _setting(certificate: dict[str, Any]) -> tuple[float, float, float, str, list[tuple[float, float] | None]]:
    """low, high, alpha, method and the priors of both sides, each checked."""
    statement = certificate["statement"]
    (low, high), confidence, method = statement["clip"], statement["confidence"], statement["method"]
    require(method in statistics.METHODS, f"unknown method {method!r}")
    require(0.5 <= confidence < 1, f"confidence {confidence} is outside [0.5, 1)")
    prior = statement["prior"]
    if prior is None:
        return low, high, 1 - confidence, method, [None, None]
    pairs: list[tuple[float, float] | None] = [(float(mean), float(deviation)) for mean, deviation in prior]
    require(len(pairs) == 2 and all(math.isfinite(v) for pair in pairs for v in pair or ()), "the priors are malformed")
    return low, high, 1 - confidence, method, pairs


def _bounds(
    certificate: dict[str, Any],
    scores: tuple[Values, Values],
    names: tuple[NDArray[np.int64], NDArray[np.int64]] | None,
) -> tuple[str, None]:
    low, high, alpha, method, priors = _setting(certificate)
    statement = certificate["statement"]
    hint = ""
    if names is not None:
        given, scores = scores, seeded_means(scores[0], names[0], scores[1], names[1], certificate["split"]["seed"])
        if scores[0] is not given[0] or scores[1] is not given[1]:
            hint = OLD_ORDER
    for side, values in zip(SIDES, scores, strict=True):
        require(
            len(values) >= 2 and values.min() >= low and values.max() <= high, f"{side}: scores leave [{low}, {high}]"
        )
    if method == "paired_betting":
        require(certificate["split"]["mode"] != "groups", "groups may be on both sides: pairs are not independent")
        differences, prior = statistics.pairs(*scores, priors)
        stated, width = statement["difference_lower"], high - low
        supported = statistics.bound_holds(differences, stated, -width, width, alpha, "betting", prior)
        require(supported, f"the scores do not support a lower bound of {stated} for the mean difference")
        return f"{method}: E f(Y) - E f(X) >= {stated:.6g} at error {alpha:.4g}", None
    upper, lower = statement["source_mean_upper"], statement["target_mean_lower"]
    require(
        statistics.bound_holds(-scores[0], -upper, -high, -low, alpha / 2, method, statistics.mirrored(priors[0])),
        f"the scores do not support an upper bound of {upper} for the source's mean{hint}",
    )
    require(
        statistics.bound_holds(scores[1], lower, low, high, alpha / 2, method, priors[1]),
        f"the scores do not support a lower bound of {lower} for the target's mean{hint}",
    )
    return f"{method}: E f(X) <= {upper:.6g} and E f(Y) >= {lower:.6g}, each at error {alpha / 2:.4g}", None


def _arithmetic(certificate: dict[str, Any], scores: tuple[Values, Values]) -> tuple[str, None]:
    statement, bound = certificate["statement"], certificate["critic"]["lipschitz_bound"]
    low, high = statement["clip"]
    scale = max(abs(low), abs(high), high - low) / bound
    value = float(scores[1].mean() - scores[0].mean()) / bound
    require(_near(statement["value"], value, scale), f"value is stated as {statement['value']}, it is {value}")
    if statement["method"] == "paired_betting":
        difference = statement["difference_lower"]
    else:
        difference = statement["target_mean_lower"] - statement["source_mean_upper"]
    lower = max(0.0, difference / bound)
    stated = statement["lower_bound"]
    require(_near(stated, lower, scale), f"lower_bound is stated as {stated}, it is {lower}")
    return f"value {value:.6g} and lower bound {lower:.6g} follow", None


def _units_of_chance(
    certificate: dict[str, Any], tensors: Tensors, scores: tuple[Values, Values]
) -> tuple[tuple[Values, Values], tuple[NDArray[np.int64], NDArray[np.int64]] | None]:
    """The independent values: scores, or means of whole groups, clipped to the interval against rounding."""
    if certificate["split"]["mode"] != "groups":
        return scores, None
    low, high = certificate["statement"]["clip"]
    sides = [
        group_means(values, tensors[f"groups.{side}"][tensors[f"test_rows.{side}"]])
        for side, values in zip(SIDES, scores, strict=True)
    ]
    (x, names_x), (y, names_y) = sides
    return (np.clip(x, low, high), np.clip(y, low, high)), (names_x, names_y)


def _p_value(
    certificate: dict[str, Any],
    scores: tuple[Values, Values],
    names: tuple[NDArray[np.int64], NDArray[np.int64]] | None,
) -> tuple[str, None]:
    statement, split = certificate["statement"], certificate["split"]
    stated, permutations = statement["p_value"], statement["permutations"]
    if stated is None:
        return "none was stated", None
    require(split["mode"] != "blocks", "rows in blocks of time are not exchangeable: no p-value can be stated")
    if names is None:
        expected = statistics.permutation_count(len(scores[0]), len(scores[1]))
        derived = statistics.permutation_p_value(scores[0], scores[1], split["seed"])
    else:
        expected = GROUP_PERMUTATIONS
        derived = group_p_value(scores[0], names[0], scores[1], names[1], split["seed"])
    require(permutations == expected, f"{permutations!r} permutations; the format takes {expected}")
    require(_near(stated, derived, 1.0), f"p_value is stated as {stated}, {permutations:,} permutations give {derived}")
    return f"{derived:.6g} from {permutations:,} permutations of the seed", None


def _fresh_statement(
    certificate: dict[str, Any], critic: Critic, arrays: list[NDArray[Any]]
) -> tuple[str, dict[str, Any]]:
    low, high, alpha, method, priors = _setting(certificate)
    seed, bound = certificate["split"]["seed"], certificate["critic"]["lipschitz_bound"]
    # betting bounds need an order that does not depend on the scores: the file's own may be sorted
    orders = [
        np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 7, side]))).permutation(len(array))
        for side, array in enumerate(arrays)
    ]
    try:
        fx, fy = (critic.evaluate(array, order) for array, order in zip(arrays, orders, strict=True))
    except CertificateError as error:
        raise CannotCheckError(str(error)) from error
    if method == "paired_betting":
        differences, prior = statistics.pairs(fx, fy, priors)
        difference = statistics.lower_bound(differences, low - high, high - low, alpha, "betting", prior)
    else:
        upper = -statistics.lower_bound(-fx, -high, -low, alpha / 2, method, statistics.mirrored(priors[0]))
        difference = statistics.lower_bound(fy, low, high, alpha / 2, method, priors[1]) - upper
    statement = {
        "value": float(fy.mean() - fx.mean()) / bound,
        "lower_bound": max(0.0, difference / bound),
        "confidence": 1 - alpha,
        "p_value": statistics.permutation_p_value(fx, fy, seed),
        "lipschitz_bound": bound,
        "units": units(certificate["input"]),
        "rows": {"source": len(fx), "target": len(fy)},
    }
    return f"value {statement['value']:.6g}, lower bound {statement['lower_bound']:.6g}", statement
