"""The training loop: batches, schedule, early stopping on held-out rows, progress, stop, recovery, checkpoints.

It knows nothing of Wasserstein distances: the caller supplies the loss of a step and a value to maximise on held-out
rows. Every decision depends on steps, never on seconds, so a run can be repeated or resumed exactly.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from wdist.device import finish_work
from wdist.errors import Stopped
from wdist.stiefel.optimizer import StiefelOptimizer, parameter_groups
from wdist.training.threads import threads_for

_TRIAL_STEPS = 4  # steps timed to convert seconds to steps, after two that warm the caches
_RESTORES = 3  # non-finite steps allowed before training stops with the best weights so far

LossAt = Callable[[nn.Module, int], Tensor]
HeldOutValue = Callable[[nn.Module], float]


@dataclass(frozen=True)
class Schedule:
    """How a critic is trained.

    Attributes:
        steps: number of optimiser steps.
        learning_rate: of parameters on the Stiefel manifold (spectral norm of a step).
        euclidean_learning_rate: of biases and anchors (Adam).
        evaluations: how many times the held-out value is evaluated.
        patience: training stops after this many evaluations without improvement.
    """

    steps: int
    learning_rate: float
    euclidean_learning_rate: float
    evaluations: int = 20
    patience: int = 8

    def factor(self, step: int) -> float:
        """Rate of step 0, 1, ... relative to the base: linear warm-up over 5 % of the steps, then cosine to 0."""
        warm = max(1, round(0.05 * self.steps))
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))


@dataclass
class Record:
    """The state of a training apart from its tensors; `step` counts the steps done.

    schedules: the planned number of steps of each schedule; a training that was continued has more than one.
    """

    step: int = 0
    value: float = -math.inf
    stale: int = 0
    damping: float = 1.0
    restores: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    schedules: list[int] = field(default_factory=list)


class Trainer:
    """One training of one module; `state` and `load_state` move it to another process without changing the result.

    operations: floating-point operations of a step, which say how many of torch's threads it uses; by default all.
    """

    def __init__(
        self,
        module: nn.Module,
        loss_at: LossAt,
        held_out_value: HeldOutValue,
        schedule: Schedule,
        operations: float = math.inf,
    ) -> None:
        self.module, self.loss_at, self.held_out_value, self.schedule = module, loss_at, held_out_value, schedule
        self.operations = operations
        self.optimizer = StiefelOptimizer(
            parameter_groups(module, lr=schedule.learning_rate, euclidean_lr=schedule.euclidean_learning_rate)
        )
        self.base = [float(group["lr"]) for group in self.optimizer.param_groups]
        self.record = Record()
        self.is_cut = False  # whether it ended before it had finished
        self.best: dict[str, Tensor] = {}
        self.good: dict[str, Tensor] = {}
        self._seconds = 0.0
        self._started = 0.0

    @property
    def finished(self) -> bool:
        """Whether training is over: no steps left, no recent improvement, or too many non-finite steps."""
        record = self.record
        return (
            record.step >= self.schedule.steps or record.stale >= self.schedule.patience or record.restores >= _RESTORES
        )

    def run(
        self,
        *,
        on_step: Callable[[int], None] | None = None,
        on_evaluation: Callable[[int, float], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
        should_finish: Callable[[], bool] | None = None,
    ) -> Record:
        """Train to the end and leave the module with the weights of the best held-out value.

        Args:
            on_step: called with the number of steps done, once that step is fully recorded.
            on_evaluation: called with (steps done, held-out value) after each evaluation.
            should_stop: polled before each step.
            should_finish: polled before each step; once it returns true, the end is here.

        Raises:
            Stopped: when should_stop() turns true.
        """
        self.begin()
        while not self.finished:
            self.check(should_stop)
            if should_finish is not None and should_finish():
                break
            self.go_on(self._step(), on_step=on_step, on_evaluation=on_evaluation)
        return self.end()

    def begin(self) -> None:
        """Prepare the first step, fresh or after a checkpoint: start the clock and evaluate a fresh module."""
        if not self.best:
            self.best = self.good = _snapshot(self.module)
            self.record.value = self._value()
            self.record.curve = [{"step": 0, "seconds": 0.0, "value": self.record.value}]
        if self.record.schedules[-1:] != [self.schedule.steps]:
            self.record.schedules.append(self.schedule.steps)
        self._started = time.perf_counter() - self._seconds

    def check(self, should_stop: Callable[[], bool] | None) -> None:
        """Raise Stopped when should_stop() turns true."""
        if should_stop is not None and should_stop():
            raise Stopped(f"stopped after {self.record.step} of {self.schedule.steps} steps")

    def go_on(
        self,
        finite: bool,
        *,
        on_step: Callable[[int], None] | None = None,
        on_evaluation: Callable[[int, float], None] | None = None,
    ) -> None:
        """Record a step that was taken; `finite` says whether its loss was finite and the weights are usable."""
        self.record.step += 1
        self._seconds = time.perf_counter() - self._started
        self._look(finite, on_evaluation)
        if on_step is not None:
            on_step(self.record.step)

    def end(self) -> Record:
        """Leave the module with the weights of the best held-out value.

        A training that ends before it has `finished` evaluates its last step, so that no step is lost.
        """
        self.is_cut = not self.finished
        if self.is_cut and self.record.step > self.record.curve[-1]["step"]:
            self._evaluate(self._value(), on_evaluation=None)
        self.module.load_state_dict(self.best)
        return self.record

    @property
    def rate(self) -> float:
        """Learning rates of the next step, relative to those of the schedule."""
        return self.record.damping * self.schedule.factor(self.record.step)

    def _value(self) -> float:
        with threads_for(self.operations):
            return self.held_out_value(self.module)

    def _step(self) -> bool:
        """Take one optimiser step; false, with nothing changed, when the loss was not finite."""
        for group, base in zip(self.optimizer.param_groups, self.base, strict=True):
            group["lr"] = base * self.rate
        with threads_for(self.operations):
            self.optimizer.zero_grad()
            loss = self.loss_at(self.module, self.record.step)
            finite = bool(torch.isfinite(loss))
            if finite:
                torch.autograd.backward(loss)
                self.optimizer.step()
        return finite

    def _look(self, finite: bool, on_evaluation: Callable[[int, float], None] | None) -> None:
        """Evaluate the held-out value if that is due; go back to the last good weights after a non-finite step."""
        record, every = self.record, max(1, self.schedule.steps // self.schedule.evaluations)
        due = record.step % every == 0 or record.step == self.schedule.steps
        value = self._value() if due and finite else math.nan
        if not finite or (due and not math.isfinite(value)):
            self._go_back()
        elif due:
            self._evaluate(value, on_evaluation)

    def _evaluate(self, value: float, on_evaluation: Callable[[int, float], None] | None) -> None:
        """Record the held-out value of the current weights, unless it is not finite."""
        if not math.isfinite(value):
            return
        record = self.record
        self.good = _snapshot(self.module)
        record.curve.append({"step": record.step, "seconds": self._seconds, "value": value})
        record.stale += 1
        if value > record.value:
            record.value, self.best, record.stale = value, self.good, 0
        if on_evaluation is not None:
            on_evaluation(record.step, value)

    def _go_back(self) -> None:
        """Restore the last good weights with a fresh optimiser state, at half the rate."""
        self.module.load_state_dict(self.good)
        self.optimizer.state.clear()
        self.record.restores += 1
        self.record.damping /= 2
        last = self.record.restores >= _RESTORES
        action = "stopped with the best so far" if last else "restored the last good weights, halved the rate"
        self.record.warnings.append(f"step {self.record.step} was not finite: {action}")

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and plain JSON from which `load_state` continues as if never interrupted."""
        tensors = {f"module.{k}": v for k, v in self.module.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        tensors |= {f"good.{k}": v for k, v in self.good.items()}
        numbers: dict[str, Any] = {}
        for index, entries in self.optimizer.state_dict()["state"].items():
            for name, value in entries.items():
                key = f"optimizer.{index}.{name}"
                if isinstance(value, Tensor):
                    tensors[key] = value
                else:
                    numbers[key] = value
        document = {"record": asdict(self.record), "optimizer": numbers, "seconds": self._seconds}
        return {k: v.detach().clone().contiguous() for k, v in tensors.items()}, document

    def load_state(self, tensors: dict[str, Tensor], document: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        parts: dict[str, dict[str, Tensor]] = {"module": {}, "best": {}, "good": {}, "optimizer": {}}
        for key, tensor in tensors.items():
            part, name = key.split(".", 1)
            parts[part][name] = tensor
        self.module.load_state_dict(parts["module"])
        device = next(self.module.parameters()).device
        self.best, self.good = ({k: v.to(device) for k, v in parts[part].items()} for part in ("best", "good"))
        self.record = Record(**document["record"])
        self._seconds = float(document["seconds"])
        state: dict[int, dict[str, Any]] = {}
        numbers = {key.split(".", 1)[1]: value for key, value in document["optimizer"].items()}
        for key, value in (parts["optimizer"] | numbers).items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = value
        current = self.optimizer.state_dict()
        self.optimizer.load_state_dict({"state": state, "param_groups": current["param_groups"]})


def steps_for_seconds(module: nn.Module, loss_at: LossAt, seconds: float, *, least: int = 20) -> int:
    """How many steps fit into `seconds`, timed on a copy; the module itself is left unchanged."""
    trial = copy.deepcopy(module)
    optimizer = StiefelOptimizer(parameter_groups(trial, lr=1e-3, euclidean_lr=1e-4))
    started = time.perf_counter()
    for step in range(2 + _TRIAL_STEPS):
        if step == 2:
            started = time.perf_counter()
        optimizer.zero_grad()
        torch.autograd.backward(loss_at(trial, step))
        optimizer.step()
    finish_work()
    per_step = (time.perf_counter() - started) / _TRIAL_STEPS
    return max(least, int(seconds / max(per_step, 1e-6)))


def _snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
