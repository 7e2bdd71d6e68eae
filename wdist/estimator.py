"""`estimate_w1`: split, train critics, choose one, certify it once on rows that nothing has seen."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wdist.bounds import check_confidence, clip_interval, difference_lower_bound, permutation_p_value
from wdist.critics import Critic, CriticInput
from wdist.errors import OptionError
from wdist.exact import max_sliced, null_baseline
from wdist.plain import Clip
from wdist.portfolio import Budget, contenders
from wdist.problem import SELECT_ROWS, Problem
from wdist.result import Result
from wdist.samples import SampleSet, Scale, check_pair, open_samples, split_rows
from wdist.search import Candidate, Search
from wdist.splits import MINIMUM_ROWS
from wdist.training import Progress as Progress

MAX_STEPS = 1_000_000
MAX_BASELINE_ROWS = 5_000  # exact OT on more rows takes minutes and gigabytes
SLICED_ROWS = 4_000  # rows a side behind the max-sliced distance shown for comparison

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Options:
    """The options of `estimate_w1`, checked before any data is read."""

    confidence: float
    critic: str
    seed: int
    device: str
    max_seconds: float | None
    steps: int | None
    baseline_rows: int

    def __post_init__(self) -> None:
        _within("confidence", self.confidence, 0.5, 1, open_end=True)
        _whole("seed", self.seed, 0, 2**63 - 1)
        _whole("baseline_rows", self.baseline_rows, 0, MAX_BASELINE_ROWS)
        if self.steps is not None:
            _whole("steps", self.steps, 1, MAX_STEPS)
        if self.max_seconds is not None:
            _within("max_seconds", self.max_seconds, 0, 1e7)
            if self.steps is not None:
                raise OptionError("give steps or max_seconds, not both: one would contradict the other")


def _within(name: str, value: Any, low: float, high: float, *, open_end: bool = False) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not low <= value <= high or (open_end and value == high):
        raise OptionError(f"{name} is {value!r}; it must be a number from {low:g} to {high:g}")


def _whole(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise OptionError(f"{name} is {value!r}; it must be a whole number from {low:,} to {high:,}")


def estimate_w1(
    x: Any,
    y: Any,
    *,
    confidence: float = 0.95,
    critic: str = "auto",
    seed: int = 0,
    device: str = "auto",
    max_seconds: float | None = None,
    steps: int | None = None,
    scale: Any = None,
    layout: str | None = None,
    baseline_rows: int = 1_000,
    progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    checkpoint: str | Path | None = None,
) -> Result:
    """Lower bound on the Wasserstein-1 distance between the populations behind two sample sets.

    Critics are fitted on 60 % of the rows, chosen on 10 %, and certified on 30 % that nothing has seen; the Lipschitz
    constant is proven from the weights. Kantorovich-Rubinstein: E_Q f - E_P f <= Lip(f) W1(P, Q) for every f.

    Args:
        x: rows of P (source): (n, d), or images (n, h, w), (n, h, w, c), (n, c, h, w); numpy, torch, memory-mapped,
            anything array-like, or the path of a .npy file. Rows are i.i.d. draws; uint8 images are divided by 255.
        y: rows of Q (target), independent of x, rows of the same shape.
        confidence: 1 - alpha, in [0.5, 1).
        critic: 'auto', or one family: 'affine', 'sliced', 'groupsort', 'cone', 'bcop' (images).
        seed: of the split, of training and of the permutation test; fix it before you look at a result.
        device: 'auto' (CUDA where there is one), 'cpu', 'cuda', 'cuda:1', ...
        max_seconds: wall-clock budget of training, turned into steps after a timed warm-up.
        steps: number of training steps; the result is then the same in every run on one machine.
        scale: None (distances in the data's own units), a number or a vector to divide by, or 'standardize'.
        layout: 'nhwc' or 'nchw', for images where it is ambiguous.
        baseline_rows: rows a side for the exact-OT comparison beside the result; 0 leaves it out.
        progress: called with a `Progress` as training goes on; its values are not certified.
        should_stop: polled before each step.
        checkpoint: a file that is kept up to date while training (every few seconds, and on stopping); a later call
            with the same data and options goes on from it, and ends with the result of an uninterrupted run.

    Raises:
        SampleError: the data cannot be used; the message names the set, the row and the column.
        OptionError: an option is unknown or out of range.
        Stopped: should_stop() turned true.
    """
    options = Options(confidence, critic, seed, device, max_seconds, steps, baseline_rows)
    problem, warnings = _open(x, y, options, scale, layout)
    problem.progress, problem.should_stop = progress, should_stop
    chosen, candidates = _train(problem, options, None if checkpoint is None else Path(checkpoint))
    return _certify(problem, chosen, candidates, options, warnings)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise OptionError(f"device {name!r} is unknown; choose 'auto', 'cpu' or 'cuda'") from None
    if device.type not in ("cpu", "cuda"):
        raise OptionError(f"device {name!r} is not supported; choose 'auto', 'cpu' or 'cuda'")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise OptionError(f"device {name!r} was asked for, but no CUDA device is at hand; use 'auto' or 'cpu'")
    return device


def _open(x: Any, y: Any, options: Options, scale: Any, layout: str | None) -> tuple[Problem, list[str]]:
    """Read, check and split both sets."""
    device = _device(options.device)
    source, target = open_samples(x, "source", layout), open_samples(y, "target", layout)
    contenders(options.critic, source.row_shape, MINIMUM_ROWS)  # refuses a family that does not fit the rows
    warnings = check_pair(source, target)
    source_split, target_split = split_rows(source.n, options.seed, 0), split_rows(target.n, options.seed, 1)
    check_confidence(options.confidence, len(source_split.test), len(target_split.test))
    fitted = Scale.fit(scale, source, target, source_split, target_split)
    takes = CriticInput(source.row_shape, source.layout, source.divisor != 1, fitted.to_json())
    problem = Problem(source, target, source_split, target_split, fitted, options.seed, device, takes)
    return problem, warnings


def _train(problem: Problem, options: Options, checkpoint: Path | None) -> tuple[Candidate, list[Candidate]]:
    """Train every candidate and choose by the select value; test rows are not touched."""
    rows = min(len(problem.source_split.train), len(problem.target_split.train))
    configs = contenders(options.critic, problem.source.row_shape, rows)
    candidates = Search(problem, configs, Budget(options.steps, options.max_seconds), checkpoint).run()
    competing = [c for c in candidates if options.critic in ("auto", c.critic.family)]
    return max(competing, key=lambda candidate: candidate.select_value), candidates


def _certify(
    problem: Problem, chosen: Candidate, candidates: list[Candidate], options: Options, warnings: list[str]
) -> Result:
    """Clip the chosen critic, look at the test rows once, and state what follows."""
    alpha = 1 - options.confidence
    n_source, n_target = problem.source_split.sizes(), problem.target_split.sizes()
    critic, (low, high), prior = _clipped(problem, chosen.critic, n_source["test"], n_target["test"], alpha)
    bound = critic.lipschitz_bound
    fx, fy = problem.scores(critic, "test")
    difference = difference_lower_bound(fx, fy, low, high, alpha, "betting", prior)
    affine_x, affine_y = problem.scores(candidates[0].critic, "test")
    baseline = None
    if options.baseline_rows:
        baseline = null_baseline(
            _Rescaled(problem.source, problem.scale),
            _Rescaled(problem.target, problem.scale),
            options.baseline_rows,
            options.seed,
        )
    return Result(
        value=float(fy.mean() - fx.mean()) / bound,
        lower_bound=max(0.0, difference / bound),
        upper_bound=None,
        confidence=options.confidence,
        p_value=permutation_p_value(fx, fy, options.seed),
        lipschitz_bound=bound,
        critic=critic,
        seed=options.seed,
        n={"source": n_source, "target": n_target},
        scale=None if problem.scale.kind == "none" else problem.scale.to_json(),
        units=_units(problem.source, problem.scale),
        trivial={
            "mean_difference": float(affine_y.mean() - affine_x.mean())
            / max(candidates[0].critic.lipschitz_bound, 1.0),
            "max_sliced": _max_sliced(problem),
        },
        empirical=None,
        null_baseline=baseline,
        steps=sum(candidate.record.step for candidate in candidates),
        seconds=time.perf_counter() - problem.started,
        device=str(problem.device),
        warnings=warnings + [w for candidate in candidates for w in candidate.record.warnings],
        curve=chosen.record.curve,
    )


class _Rescaled:
    """Rows of a sample set under the metric of the estimate."""

    def __init__(self, samples: SampleSet, scale: Scale) -> None:
        self.samples, self.scale, self.n = samples, scale, samples.n

    def rows(self, index: NDArray[np.integer[Any]] | slice) -> NDArray[np.float32]:
        return self.scale.apply(self.samples.rows(index))


def _clipped(
    problem: Problem, critic: Critic, n_test_source: int, n_test_target: int, alpha: float
) -> tuple[Critic, tuple[float, float], tuple[tuple[float, float], tuple[float, float]]]:
    """The critic clipped to an interval chosen on train and select rows, that interval, and moments to start the bets.

    The moments come from select rows: scores of train rows are further apart than held-out ones.
    """
    train, select = (problem.scores(critic, part, SELECT_ROWS) for part in ("train", "select"))
    fx, fy = (np.concatenate(side) for side in zip(train, select, strict=True))
    low, high = clip_interval(fx, fy, n_test_source, n_test_target, alpha)
    clipped = Critic(critic.settings, nn.Sequential(*critic.module, Clip(low, high)), critic.takes)
    clipped.module.eval().requires_grad_(False)
    prior_x, prior_y = ((float(side.clip(low, high).mean()), float(side.clip(low, high).std())) for side in select)
    return clipped, (low, high), (prior_x, prior_y)


def _max_sliced(problem: Problem) -> float:
    """Max-sliced W1 of test rows along the direction fitted on train rows (empirical: biased upwards a little)."""
    source, target = _Rescaled(problem.source, problem.scale), _Rescaled(problem.target, problem.scale)
    parts = [
        samples.rows(np.sort(getattr(split, part)[:SLICED_ROWS]))
        for part in ("train", "test")
        for samples, split in ((source, problem.source_split), (target, problem.target_split))
    ]
    x_fit, y_fit, x_test, y_test = parts
    return max_sliced(x_fit, y_fit, x_test, y_test, seed=problem.seed)


def _units(source: SampleSet, scale: Scale) -> str:
    """In words, what a distance of 1 means."""
    match scale.kind:
        case "none" if source.divisor != 1:
            return "Euclidean distance between images with pixels in [0, 1]"
        case "none":
            return "Euclidean distance in the data's own units"
        case "standardize":
            return "Euclidean distance in standard deviations of each column (of the train rows)"
    return "Euclidean distance after division by the given scale"
