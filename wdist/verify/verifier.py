"""Re-derives the statement of a certificate from its critic and the rows, step by step."""

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import statistics
from .container import CertificateError, Tensors, read_container
from .critic import Critic, build_critic
from .groups import GROUP_PERMUTATIONS, group_means, group_p_value, split_groups
from .report import Check, Report
from .rows import open_rows, rows_digest

Values = NDArray[np.float64]

FORMAT = "wdist certificate"
VERSION = 1
SIDES = ("source", "target")
PARTS = ("train", "select", "test")
RELATIVE = 1e-9  # of stated figures: sums taken in another order differ by far less
SCORE_ROUNDING = 1e-11  # of the largest row norm: float64 activations of a deep critic agree to about 1e-13

KEYS = {"format", "version", "library", "data", "input", "split", "critic", "statement", "reported"}
THE_ISSUERS_WORD = [
    "that the critic was fitted and chosen without the test rows (verify --fresh on rows the issuer never saw needs no "
    "such trust)",
    "that the seed was fixed beforehand and not picked among several by its result",
    "that the rows of each set are independent draws, and the sets independent of each other",
    'the figures under "reported" (trivial bounds, null baseline, upper bound, empirical bracket, times)',
]


class _Failed(Exception):  # noqa: N818 - control flow inside this file
    """A check did not hold."""


def verify_certificate(path: str | Path, source: Any, target: Any, sha256: str | None = None) -> Report:
    """Check a certificate against the two sets of rows it is about: paths of .npy files, or arrays.

    sha256: the file's digest, got separately from the issuer. The report lists every check; the first failure ends it.
    """
    run = _Run()
    not_checked = list(THE_ISSUERS_WORD)
    if sha256 is None:
        not_checked.insert(0, "that this is the file the issuer gave out (pass its digest with --sha256)")
    with run:
        content = run.step("file", lambda: _read(path, sha256))
        certificate, tensors = run.step("container", lambda: _container(content))
        arrays = run.step("data", lambda: _data(certificate, (source, target)))
        run.step("split", lambda: _split(certificate, tensors))
        critic = run.step("Lipschitz bound", lambda: _critic(certificate, tensors))
        scores = run.step("held-out scores", lambda: _scores(certificate, tensors, critic, arrays))
        scores, names = _units_of_chance(certificate, tensors, scores)
        run.step("confidence bounds", lambda: _bounds(certificate, scores))
        run.step("arithmetic", lambda: _arithmetic(certificate, scores))
        run.step("p-value", lambda: _p_value(certificate, scores, names))
        run.statement = certificate["statement"] | {"lipschitz_bound": certificate["critic"]["lipschitz_bound"]}
    return Report(run.checks, run.statement, not_checked)


def verify_fresh(path: str | Path, source: Any, target: Any, sha256: str | None = None) -> Report:
    """Evaluate a certificate's critic on rows that the issuer never saw: a statement that needs no trust in the issuer.

    The statement is a new one, about these rows, at the certificate's confidence and with its clipping.
    """
    run = _Run()
    with run:
        content = run.step("file", lambda: _read(path, sha256))
        certificate, tensors = run.step("container", lambda: _container(content))
        arrays = run.step("fresh data", lambda: _fresh_data(certificate, (source, target)))
        critic = run.step("Lipschitz bound", lambda: _critic(certificate, tensors))
        run.statement = run.step("fresh statement", lambda: _fresh_statement(certificate, critic, arrays))
    return Report(run.checks, run.statement, ["that the rows are independent draws, and were not seen by the issuer"])


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
        expected = isinstance(
            error, _Failed | ValueError | KeyError | TypeError | IndexError | AttributeError | OSError
        )
        if error is not None and (expected or isinstance(error, OverflowError | np.linalg.LinAlgError)):
            plain = str(error) if isinstance(error, _Failed | CertificateError | OSError) else repr(error)
            self.checks.append(Check(self._name, False, plain))
            return True
        return False


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise _Failed(message)


def _near(stated: float, derived: float, scale: float) -> bool:
    return math.isfinite(stated) and abs(stated - derived) <= RELATIVE * scale


def _read(path: str | Path, sha256: str | None) -> tuple[str, bytes]:
    content = Path(path).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    _require(sha256 is None or digest == sha256.strip().strip('"').lower(), f"its SHA-256 is {digest}, not {sha256}")
    return f"SHA-256 {digest}" + (" as given" if sha256 else ""), content


def _container(content: bytes) -> tuple[str, tuple[dict[str, Any], Tensors]]:
    certificate, tensors = read_container(content)
    _require(certificate.get("format") == FORMAT, "this is no wdist certificate")
    version = certificate.get("version")
    _require(
        version == VERSION, f"format version {version!r}; this verifier reads version {VERSION}: use a matching one"
    )
    _require(set(certificate) == KEYS, f"unexpected fields {sorted(set(certificate) ^ KEYS)}")
    needed = _tensor_names(certificate)
    _require(needed <= set(tensors), f"tensors {sorted(needed - set(tensors))} are missing")
    return f"format version {version}, written by wdist {certificate['library']}", (certificate, tensors)


def _tensor_names(certificate: dict[str, Any]) -> set[str]:
    """Tensors beside the critic's weights."""
    kinds = ["scores", "test_rows"] + (["groups"] if certificate["split"]["mode"] == "groups" else [])
    return {f"{kind}.{side}" for kind in kinds for side in SIDES}


def _data(certificate: dict[str, Any], given: tuple[Any, Any]) -> tuple[str, list[NDArray[Any]]]:
    arrays = [open_rows(data) for data in given]
    for side, array in zip(SIDES, arrays, strict=True):
        stored = certificate["data"][side]
        _require(
            list(array.shape) == stored["shape"], f"{side} has shape {array.shape}, certified was {stored['shape']}"
        )
        dtype = np.dtype(stored["dtype"])
        _require(
            array.dtype.newbyteorder("=") == dtype.newbyteorder("="), f"{side} has type {array.dtype}, not {dtype}"
        )
        digest = rows_digest(array)
        _require(digest == stored["sha256"], f"{side} has digest {digest}, certified was {stored['sha256']}")
    return "both sets are the certified ones, by their digests", arrays


def _fresh_data(certificate: dict[str, Any], given: tuple[Any, Any]) -> tuple[str, list[NDArray[Any]]]:
    arrays = [open_rows(data) for data in given]
    known = {certificate["data"][side]["sha256"] for side in SIDES}
    for side, array in zip(SIDES, arrays, strict=True):
        _require(len(array) >= 2, f"{side} has {len(array)} rows; at least 2 are needed")
        _require(rows_digest(array) not in known, f"{side} is one of the certified sets: fresh rows are needed")
    return f"{len(arrays[0]):,} and {len(arrays[1]):,} rows, other than the certified ones", arrays


def _order_digest(order: NDArray[np.int64]) -> str:
    return hashlib.sha256(np.ascontiguousarray(order, dtype="<i8").tobytes()).hexdigest()


def _permutation(n: int, seed: int, side: int, mode: str, sizes: dict[str, int]) -> NDArray[np.int64]:
    """The order of all rows of one side: train, then select, then test."""
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, side])))
    if mode == "random":
        return generator.permutation(n)
    parts = np.split(np.arange(n), [sizes["train"], sizes["train"] + sizes["select"]])
    return np.concatenate([generator.permutation(part) for part in parts])


def _split(certificate: dict[str, Any], tensors: Tensors) -> tuple[str, None]:
    split = certificate["split"]
    mode, seed = split["mode"], split["seed"]
    _require(mode in ("random", "blocks", "groups"), f"unknown split {mode!r}")
    grouped = split_groups(tensors["groups.source"], tensors["groups.target"], seed) if mode == "groups" else None
    for number, side in enumerate(SIDES):
        sizes, n = split[side]["sizes"], certificate["data"][side]["shape"][0]
        counts = [sizes[part] for part in PARTS]
        _require(all(type(c) is int and c > 0 for c in counts) and sum(counts) == n, f"{side}: the parts do not add up")
        if grouped is None:
            order = _permutation(n, seed, number, mode, sizes)
        else:
            order, parts = grouped[number]
            _require(len(order) == n and parts == counts, f"{side}: the parts are not those of whole groups")
        _require(
            _order_digest(order) == split[side]["order_sha256"], f"{side}: the order of rows is not that of the seed"
        )
        test = tensors[f"test_rows.{side}"]
        _require(np.array_equal(test, order[-sizes["test"] :]), f"{side}: the test rows are not those of the split")
    tests = [split[side]["sizes"]["test"] for side in SIDES]
    return f"seed {seed} gives the stored order; {tests[0]:,} and {tests[1]:,} test rows", None


def _critic(certificate: dict[str, Any], tensors: Tensors) -> tuple[str, Critic]:
    stored, statement = certificate["critic"], certificate["statement"]
    weights = {name: tensor for name, tensor in tensors.items() if name.startswith("layers.")}
    extra = set(tensors) - set(weights) - _tensor_names(certificate)
    _require(not extra, f"unknown tensors {sorted(extra)}")
    critic = build_critic(certificate["input"], stored["layers"], weights)
    bounds = stored["layer_bounds"]
    _require(len(bounds) == len(critic.layer_bounds), "there is not one stored bound for each layer")
    for number, (claimed, proven) in enumerate(zip(bounds, critic.layer_bounds, strict=True)):
        _require(claimed >= proven * (1 - RELATIVE), f"layer {number} claims norm {claimed}, proven is {proven}")
    total, product = stored["lipschitz_bound"], math.prod(bounds)
    _require(total > 0 and _near(total, product, product), f"L = {total} is not the layers' product {product}")
    _require(total >= critic.lipschitz_bound * (1 - RELATIVE), f"L = {total}, proven is {critic.lipschitz_bound}")
    last = stored["layers"][-1]
    clip = (last.get("low"), last.get("high"))
    _require(
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
        _require(stored.shape == derived.shape and bool(np.isfinite(stored).all()), f"{side}: scores are malformed")
        difference = np.abs(stored - derived)
        row = int(difference.argmax())
        allowed = SCORE_ROUNDING * max(norm, float(np.abs(derived).max()))
        _require(
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
    _require(method in ("betting", "empirical_bernstein"), f"unknown method {method!r}")
    _require(0.5 <= confidence < 1, f"confidence {confidence} is outside [0.5, 1)")
    prior = statement["prior"]
    if prior is None:
        return low, high, 1 - confidence, method, [None, None]
    pairs: list[tuple[float, float] | None] = [(float(mean), float(deviation)) for mean, deviation in prior]
    _require(
        len(pairs) == 2 and all(math.isfinite(v) for pair in pairs for v in pair or ()), "the priors are malformed"
    )
    return low, high, 1 - confidence, method, pairs


def _bounds(certificate: dict[str, Any], scores: tuple[Values, Values]) -> tuple[str, None]:
    low, high, alpha, method, priors = _setting(certificate)
    statement = certificate["statement"]
    for side, values in zip(SIDES, scores, strict=True):
        _require(
            len(values) >= 2 and values.min() >= low and values.max() <= high, f"{side}: scores leave [{low}, {high}]"
        )
    upper, lower = statement["source_mean_upper"], statement["target_mean_lower"]
    _require(
        statistics.bound_holds(-scores[0], -upper, -high, -low, alpha / 2, method, statistics.mirrored(priors[0])),
        f"the scores do not support an upper bound of {upper} for the source's mean",
    )
    _require(
        statistics.bound_holds(scores[1], lower, low, high, alpha / 2, method, priors[1]),
        f"the scores do not support a lower bound of {lower} for the target's mean",
    )
    return f"{method}: E f(X) <= {upper:.6g} and E f(Y) >= {lower:.6g}, each at error {alpha / 2:.4g}", None


def _arithmetic(certificate: dict[str, Any], scores: tuple[Values, Values]) -> tuple[str, None]:
    statement, bound = certificate["statement"], certificate["critic"]["lipschitz_bound"]
    low, high = statement["clip"]
    scale = max(abs(low), abs(high), high - low) / bound
    value = float(scores[1].mean() - scores[0].mean()) / bound
    _require(_near(statement["value"], value, scale), f"value is stated as {statement['value']}, it is {value}")
    lower = max(0.0, (statement["target_mean_lower"] - statement["source_mean_upper"]) / bound)
    stated = statement["lower_bound"]
    _require(_near(stated, lower, scale), f"lower_bound is stated as {stated}, it is {lower}")
    return f"value {value:.6g} and lower bound {lower:.6g} follow", None


def _units_of_chance(
    certificate: dict[str, Any], tensors: Tensors, scores: tuple[Values, Values]
) -> tuple[tuple[Values, Values], tuple[NDArray[np.int64], NDArray[np.int64]] | None]:
    """What is independent: the scores, or the means of whole groups (clipped to the interval against rounding)."""
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
    _require(split["mode"] != "blocks", "rows in blocks of time are not exchangeable: no p-value can be stated")
    if names is None:
        expected = statistics.permutation_count(len(scores[0]), len(scores[1]))
        derived = statistics.permutation_p_value(scores[0], scores[1], split["seed"])
    else:
        expected = GROUP_PERMUTATIONS
        derived = group_p_value(scores[0], names[0], scores[1], names[1], split["seed"])
    _require(permutations == expected, f"{permutations!r} permutations; the format takes {expected}")
    _require(
        _near(stated, derived, 1.0), f"p_value is stated as {stated}, {permutations:,} permutations give {derived}"
    )
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
    fx, fy = (critic.evaluate(array, order) for array, order in zip(arrays, orders, strict=True))
    upper = -statistics.lower_bound(-fx, -high, -low, alpha / 2, method, statistics.mirrored(priors[0]))
    lower = statistics.lower_bound(fy, low, high, alpha / 2, method, priors[1])
    statement = {
        "value": float(fy.mean() - fx.mean()) / bound,
        "lower_bound": max(0.0, (lower - upper) / bound),
        "confidence": 1 - alpha,
        "p_value": statistics.permutation_p_value(fx, fy, seed),
        "lipschitz_bound": bound,
        "rows": {"source": len(fx), "target": len(fy)},
    }
    return f"value {statement['value']:.6g}, lower bound {statement['lower_bound']:.6g}", statement
