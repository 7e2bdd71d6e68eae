"""`estimate_w1`: split, train critics, choose one, certify it once on rows that nothing has seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wdist.certify import certify, rescaled
from wdist.data.checks import check_pair, scale_warnings
from wdist.data.duplicates import duplicate_warnings
from wdist.data.groups import checked_labels
from wdist.data.pair import SamplePair
from wdist.data.samples import SampleSet, open_samples
from wdist.data.scaling import Scaling
from wdist.data.splits import MINIMUM_ROWS, Split, split_groups, split_rows
from wdist.errors import OptionError
from wdist.inference.mean_bounds import check_confidence
from wdist.options import Options
from wdist.result import Result
from wdist.training.halving import Budget, contenders
from wdist.training.lockstep import Training
from wdist.training.progress import Progress as Progress
from wdist.training.progress import Reporter
from wdist.training.selection import CriticSelection
from wdist.transport.upper import check_diameter


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
    method: str = "betting",
    split: str = "random",
    groups: tuple[Any, Any] | None = None,
    diameter: float | None = None,
    empirical: bool | None = None,
    statements: int = 1,
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
        method: of the lower bound: 'betting' (Waudby-Smith and Ramdas), 'empirical_bernstein' (Maurer and Pontil), or
            'paired_betting', tighter by about a third of the margin; the sets must then be independent of each other.
        split: 'random', or 'blocks' for rows ordered in time: test rows are then the last ones, the bound is
            approximate, and there is no p-value.
        groups: labels of the rows of x and of y, where rows belong together (a patient, a burst): groups stay whole in
            the split, and the statement is about drawing a group, then a row of it.
        diameter: largest possible distance of two rows of either population, after `scale`, an assumption (columns of
            known ranges: `wdist.transport.diameter_from_ranges`); gives upper_bound too, lower and upper then share the
            error. Rows have to be independent draws: not with groups or blocks, nor with 'standardize', whose units
            depend on the rows.
        empirical: whether the distance of the uploaded rows themselves is bracketed; None: where that is cheap.
        statements: how many estimates are read together (the pairs of a matrix, the better of two models): the result
            then has a `simultaneous` lower bound too, and all of those hold at once with the given confidence.
        progress: called with a `Progress` as training goes on; its values are not certified.
        should_stop: polled before each step.
        checkpoint: a file that is kept up to date while training (every few seconds, and on stopping); a later call
            with the same data and options goes on from it, and ends with the result of an uninterrupted run.

    Raises:
        SampleError: the data cannot be used; the message names the set, the row and the column.
        OptionError: an option is unknown or out of range.
        Stopped: should_stop() turned true.
    """
    options = Options(
        confidence, critic, seed, device, max_seconds, steps, baseline_rows, method, split, diameter, empirical,
        statements,
    )  # fmt: skip
    estimation = Estimation(
        x, y, options, scale=scale, layout=layout, groups=groups, progress=progress, should_stop=should_stop,
        checkpoint=checkpoint,
    )  # fmt: skip
    for training in estimation.trainings():
        training.run()
    return estimation.result()


class Estimation:
    """`estimate_w1` in its parts, for callers that train several at once (`training.lockstep`); same arguments."""

    def __init__(
        self,
        x: Any,
        y: Any,
        options: Options,
        *,
        scale: Any = None,
        layout: str | None = None,
        groups: tuple[Any, Any] | None = None,
        progress: Callable[[Progress], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
        checkpoint: str | Path | None = None,
    ) -> None:
        _check_diameter_applies(options, scale, groups)
        self._options = options
        self._pair, self._warnings = _open(x, y, options, scale, layout, groups)
        self._reporter = Reporter(progress, should_stop)
        if options.diameter is not None:
            check_diameter(*rescaled(self._pair), options.diameter)  # here, and not after the training
        rows = min(len(self._pair.source_split.train), len(self._pair.target_split.train))
        configs = contenders(options.critic, self._pair.source.row_shape, rows)
        budget = Budget(options.steps, options.max_seconds)
        path = None if checkpoint is None else Path(checkpoint)
        self._selection = CriticSelection(self._pair, configs, budget, self._reporter, path)

    def trainings(self) -> Iterator[Training]:
        """Train every candidate: each training has to be run before the next is asked for."""
        return self._selection.trainings()

    def result(self) -> Result:
        """Choose by the select value, then certify: only here test rows are looked at."""
        candidates = self._selection.candidates()
        competing = [c for c in candidates if self._options.critic in ("auto", c.critic.family)]
        chosen = max(competing, key=lambda candidate: candidate.select_value)
        return certify(self._pair, chosen, candidates, self._options.request, self._warnings, self._reporter.started)


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


def _check_diameter_applies(options: Options, scale: Any, groups: tuple[Any, Any] | None) -> None:
    """Raise OptionError where an upper bound would not be one: McDiarmid's inequality needs rows drawn independently
    of each other, and a metric that was there before them.
    """
    if options.diameter is None:
        return
    if groups is not None or options.split == "blocks":
        what = "groups" if groups is not None else "split='blocks'"
        raise OptionError(
            f"diameter bounds W1 from above by rows that are independent draws, which {what} denies: "
            "leave out one of the two"
        )
    if isinstance(scale, str) and scale == "standardize":
        raise OptionError(
            "diameter is the largest distance after rescaling, which nobody knows before 'standardize' has seen the "
            "rows: give scale as numbers, or leave out diameter"
        )


def _open(
    x: Any, y: Any, options: Options, scale: Any, layout: str | None, groups: tuple[Any, Any] | None
) -> tuple[SamplePair, list[str]]:
    """Read, check and split both sets."""
    device = _device(options.device)
    source, target = open_samples(x, "source", layout), open_samples(y, "target", layout)
    contenders(options.critic, source.row_shape, MINIMUM_ROWS)  # refuses a family that does not fit the rows
    warnings = check_pair(source, target)
    source_split, target_split, codes = _split(source, target, options, groups)
    units = [len(split.test) for split in (source_split, target_split)]
    if codes is not None:
        units = [len(np.unique(c[split.test])) for c, split in zip(codes, (source_split, target_split), strict=True)]
    check_confidence(options.confidence, units[0], units[1], options.method)
    warnings += duplicate_warnings(source, target, source_split, target_split)
    fitted = Scaling.fit(scale, source, target, source_split, target_split)
    warnings += scale_warnings(source, target, fitted)
    return SamplePair(source, target, source_split, target_split, fitted, options.seed, device, codes), warnings


def _split(
    source: SampleSet, target: SampleSet, options: Options, groups: tuple[Any, Any] | None
) -> tuple[Split, Split, tuple[NDArray[np.int64], NDArray[np.int64]] | None]:
    """Both splits, by rows, by blocks of time, or by whole groups; group codes of the rows in the last case."""
    if groups is None:
        splits = [split_rows(s.n, options.seed, side, mode=options.split) for side, s in enumerate((source, target))]
        return splits[0], splits[1], None
    if options.split != "random":
        raise OptionError("groups are split at random: leave split='random' out or give no groups")
    if options.method == "paired_betting":
        raise OptionError("a group may be in both sets: method 'paired_betting' needs independent ones; use 'betting'")
    if not isinstance(groups, tuple | list) or len(groups) != 2:
        raise OptionError("groups takes a pair: (labels of the rows of x, labels of the rows of y)")
    labels = [checked_labels(given, s.name, s.n) for given, s in zip(groups, (source, target), strict=True)]
    if len({each.dtype.kind in "US" for each in labels}) > 1:
        raise OptionError("groups: labels of one set are text, of the other numbers: a common group would not be seen")
    return split_groups(labels[0], labels[1], options.seed)
