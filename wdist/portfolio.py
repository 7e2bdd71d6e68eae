"""Candidates for the critic of one pair of sample sets, trained on train rows and compared on select rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wdist.critics import (
    AffineConfig,
    BCOPConfig,
    Config,
    Critic,
    CriticInput,
    GroupSortConfig,
    affine,
    build,
    family_of,
    freeze,
)
from wdist.errors import OptionError
from wdist.feed import Feed
from wdist.manifold import polish
from wdist.samples import SampleSet, Scale, Split
from wdist.training import Progress, Schedule, fit, steps_for_seconds

SELECT_ROWS = 20_000  # rows a side on which the held-out value is followed while training
MOMENT_ROWS = 20_000  # train rows a side behind the shift and the unit of training


@dataclass
class Budget:
    """What one estimate may spend: `steps` exactly, or `seconds` (turned into steps once), or neither (a default)."""

    steps: int | None
    seconds: float | None


@dataclass
class Problem:
    """Two sample sets, split and scaled, and how to talk to the caller."""

    source: SampleSet
    target: SampleSet
    source_split: Split
    target_split: Split
    scale: Scale
    seed: int
    device: torch.device
    takes: CriticInput
    progress: Callable[[Progress], None] | None = None
    should_stop: Callable[[], bool] | None = None
    started: float = field(default_factory=time.perf_counter)
    best: float | None = None  # best select value of all candidates so far

    def __post_init__(self) -> None:
        means, squares = [], []
        for samples, split in self._sides():
            rows = self.scale.apply(samples.rows(np.sort(split.train[:MOMENT_ROWS]))).astype(np.float64)
            means.append(rows.mean(axis=0))
            squares.append(rows)
        centre = (means[0] + means[1]) / 2
        spread = np.mean([np.square(rows - centre).reshape(len(rows), -1).sum(axis=1).mean() for rows in squares])
        self.shift = torch.from_numpy(np.asarray(centre))
        # Rows of training have root mean square norm 1: rates then mean the same for every data set.
        self.unit = float(np.sqrt(spread)) or 1.0

    def _sides(self) -> list[tuple[SampleSet, Split]]:
        return [(self.source, self.source_split), (self.target, self.target_split)]

    def feeds(self, part: str, batch: int) -> tuple[Feed, Feed]:
        """Feeds of the 'train' or 'select' rows of both sets, in units of training."""
        first, second = (
            Feed(
                samples,
                getattr(split, part) if part == "train" else getattr(split, part)[:SELECT_ROWS],
                self.scale,
                seed=2 * self.seed + side,
                batch=batch,
                device=self.device,
                shift=self.shift,
                unit=self.unit,
            )
            for side, (samples, split) in enumerate(self._sides())
        )
        return first, second

    def scores(self, critic: Critic, part: str, limit: int | None = None) -> tuple[NDArray[np.float64], ...]:
        """f of the rows of a part of both sets, in the order of the split, float64."""
        out = []
        for samples, split in self._sides():
            index = getattr(split, part)[:limit]
            blocks = [critic.scores(self.scale.apply(rows)) for rows in samples.blocks(index)]
            out.append(np.concatenate(blocks))
        return tuple(out)

    def mean_rows(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Means of all train rows of both sets, streamed."""
        means = []
        for samples, split in self._sides():
            total = np.zeros(samples.row_shape)
            for rows in samples.blocks(np.sort(split.train)):
                total += self.scale.apply(rows).astype(np.float64).sum(axis=0)
            means.append(total / len(split.train))
        return means[0], means[1]

    def tell(self, step: int, steps: int, trying: str, first: float) -> None:
        """Report progress; `first` is when the training of this candidate began."""
        if self.progress is not None:
            now = time.perf_counter()
            eta = (now - first) / step * (steps - step) if step else None
            self.progress(Progress(step, steps, now - self.started, self.best, eta, trying))


@dataclass
class Candidate:
    """A trained, frozen critic and what it does on select rows, in the units of the rescaled data."""

    critic: Critic
    select_value: float
    steps: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def affine_candidate(problem: Problem) -> Candidate:
    """The unit mean difference of the train rows."""
    source, target = problem.mean_rows()
    critic = Critic(AffineConfig(), affine(torch.from_numpy(target - source)), problem.takes)
    critic.module.eval().requires_grad_(False)
    fx, fy = problem.scores(critic, "select", SELECT_ROWS)
    value = float(fy.mean() - fx.mean())
    problem.best = value if problem.best is None else max(problem.best, value)
    return Candidate(critic, value)


def trained_candidate(problem: Problem, config: GroupSortConfig | BCOPConfig, budget: Budget) -> Candidate:
    """Train one critic on the train rows; the weights of the best select value are kept, polished and frozen."""
    name = family_of(config)
    batch = batch_size(config, len(problem.source_split.train), len(problem.target_split.train))
    source, target = problem.feeds("train", batch)
    select_x, select_y = (feed.head(SELECT_ROWS) for feed in problem.feeds("select", batch))
    module = build(config, problem.takes.row_shape, problem.seed).to(problem.device)

    def loss_at(net: nn.Module, step: int) -> Tensor:
        x, y = source.rows(step), target.rows(step)
        scores: Tensor = net(torch.cat([x, y]))
        return scores[: len(x)].mean() - scores[len(x) :].mean()

    def select_value(net: nn.Module) -> float:
        with torch.no_grad():
            return problem.unit * float(_mean(net, select_y) - _mean(net, select_x))

    schedule = _schedule(config, budget, module, loss_at, len(source.index) + len(target.index), batch)
    first = time.perf_counter()

    def on_evaluation(step: int, value: float) -> None:
        problem.best = value if problem.best is None else max(problem.best, value)

    fitted = fit(
        module,
        loss_at,
        select_value,
        schedule,
        on_evaluation=on_evaluation,
        on_step=lambda step: problem.tell(step, schedule.steps, name, first),
        should_stop=problem.should_stop,
    )
    polish(module)
    critic = Critic(config, freeze(module, problem.shift, problem.unit), problem.takes)
    return Candidate(critic, fitted.value, fitted.steps, fitted.curve, fitted.warnings)


def _mean(net: nn.Module, rows: Tensor) -> Tensor:
    """Mean score, in blocks: activations of all select rows at once would not fit for wide nets."""
    return torch.stack([net(part).double().sum() for part in torch.split(rows, 4096)]).sum() / len(rows)


def batch_size(config: Config, train_source: int, train_target: int) -> int:
    """Rows a side in a mini-batch."""
    return min(256, train_source, train_target)


def _schedule(
    config: Config,
    budget: Budget,
    module: nn.Module,
    loss_at: Callable[[nn.Module, int], Tensor],
    rows: int,
    batch: int,
) -> Schedule:
    if budget.steps is not None:
        steps = budget.steps
    elif budget.seconds is not None:
        steps = steps_for_seconds(module, loss_at, budget.seconds)
    else:
        steps = default_steps(rows, batch)
    return Schedule(steps=max(1, steps), learning_rate=0.1, euclidean_learning_rate=2e-3)


def default_steps(rows: int, batch: int) -> int:
    """Steps where the caller names no budget: about 30 passes over the train rows, between 200 and 1,500."""
    return int(min(1500, max(200, 30 * rows / (2 * batch))))


def groupsort_for(row_shape: tuple[int, ...]) -> GroupSortConfig:
    """Width by dimension: 128 units do as well as 256 on tables of 5 to 50 columns, at a third of the time."""
    return GroupSortConfig(width=128 if int(np.prod(row_shape)) <= 64 else 256, depth=3)


def configs_for(critic: str, row_shape: tuple[int, ...]) -> list[Config]:
    """The configurations that an option of `critic` stands for.

    Raises OptionError for an unknown family.
    """
    match critic:
        case "auto":
            return [AffineConfig(), groupsort_for(row_shape)]
        case "affine":
            return [AffineConfig()]
        case "groupsort":
            return [groupsort_for(row_shape)]
        case "bcop":
            return [BCOPConfig()]
    raise OptionError(f"critic {critic!r} is unknown; choose 'auto', 'affine', 'groupsort' or 'bcop'")
