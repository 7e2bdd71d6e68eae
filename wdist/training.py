"""The training loop: batches, schedule, early stopping on held-out rows, progress, stop, recovery.

Knows nothing of Wasserstein distances: a caller gives the loss of a step and the value to be maximised on rows that the
training does not see. Every decision counts steps, never seconds, so that a run can be repeated exactly.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from wdist.errors import Stopped
from wdist.manifold import StiefelOptimizer, parameter_groups

_TRIAL_STEPS = 4  # steps timed to turn seconds into steps; two more before them warm the caches
_RESTORES = 3  # non-finite steps forgiven before training stops with the best so far


@dataclass(frozen=True)
class Progress:
    """What a running estimate tells: `value` comes from select rows and is not certified."""

    step: int
    steps: int
    seconds: float
    value: float | None
    eta_seconds: float | None
    trying: str


@dataclass(frozen=True)
class Schedule:
    """How a critic is trained.

    Attributes:
        steps: number of optimiser steps.
        learning_rate: of parameters on the Stiefel manifold (spectral norm of a step).
        euclidean_learning_rate: of biases and anchors (Adam).
        evaluations: how often the held-out value is looked at.
        patience: training stops after this many looks without improvement.
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
class Fitted:
    """What training found: the module carries the best weights."""

    value: float
    steps: int
    curve: list[dict[str, float]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def steps_for_seconds(
    module: nn.Module, loss_at: Callable[[nn.Module, int], Tensor], seconds: float, *, least: int = 20
) -> int:
    """How many steps fit into `seconds`, timed on a copy of the module (which stays as it is)."""
    trial = copy.deepcopy(module)
    optimizer = StiefelOptimizer(parameter_groups(trial, lr=1e-3, euclidean_lr=1e-4))
    started = time.perf_counter()
    for step in range(2 + _TRIAL_STEPS):
        if step == 2:
            started = time.perf_counter()
        optimizer.zero_grad()
        torch.autograd.backward(loss_at(trial, step))
        optimizer.step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    per_step = (time.perf_counter() - started) / _TRIAL_STEPS
    return max(least, int(seconds / max(per_step, 1e-6)))


def fit(
    module: nn.Module,
    loss_at: Callable[[nn.Module, int], Tensor],
    held_out_value: Callable[[nn.Module], float],
    schedule: Schedule,
    *,
    on_evaluation: Callable[[int, float], None] | None = None,
    on_step: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Fitted:
    """Train `module` in place and leave it with the weights of the best held-out value.

    Args:
        loss_at: loss of the module at step k; a pure function of both.
        held_out_value: what is maximised, on rows that the loss never sees.
        on_evaluation: called with (steps done, held-out value) after each look.
        on_step: called with the number of steps done.
        should_stop: polled before each step.

    Raises:
        Stopped: when should_stop() turns true.
    """
    optimizer = StiefelOptimizer(
        parameter_groups(module, lr=schedule.learning_rate, euclidean_lr=schedule.euclidean_learning_rate)
    )
    base = [group["lr"] for group in optimizer.param_groups]
    every = max(1, schedule.steps // schedule.evaluations)
    best_value, best_state = held_out_value(module), _snapshot(module)
    good_state, damping, restores, stale = best_state, 1.0, 0, 0
    fitted = Fitted(value=best_value, steps=0, curve=[{"step": 0, "seconds": 0.0, "value": best_value}])
    started = time.perf_counter()
    for step in range(schedule.steps):
        if should_stop is not None and should_stop():
            raise Stopped(f"stopped after {step} of {schedule.steps} steps")
        for group, rate in zip(optimizer.param_groups, base, strict=True):
            group["lr"] = damping * rate * schedule.factor(step)
        optimizer.zero_grad()
        loss = loss_at(module, step)
        finite = bool(torch.isfinite(loss))
        if finite:
            torch.autograd.backward(loss)
            optimizer.step()
        fitted.steps = step + 1
        if on_step is not None:
            on_step(fitted.steps)
        look = fitted.steps % every == 0 or fitted.steps == schedule.steps
        value = held_out_value(module) if look and finite else math.nan
        if not finite or (look and not math.isfinite(value)):
            restores += 1
            fitted.warnings.append(_restore(module, optimizer, good_state, step, restores))
            damping /= 2
            if restores == _RESTORES:
                break
            continue
        if not look:
            continue
        good_state = _snapshot(module)
        fitted.curve.append({"step": fitted.steps, "seconds": time.perf_counter() - started, "value": value})
        if value > best_value:
            best_value, best_state, stale = value, good_state, 0
        else:
            stale += 1
        if on_evaluation is not None:
            on_evaluation(fitted.steps, value)
        if stale >= schedule.patience:
            break
    module.load_state_dict(best_state)
    fitted.value = best_value
    return fitted


def _snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def _restore(module: nn.Module, optimizer: StiefelOptimizer, state: dict[str, Tensor], step: int, restores: int) -> str:
    """Back to the last good weights with a fresh optimiser state; returns what is told to the user."""
    module.load_state_dict(state)
    optimizer.state.clear()
    action = (
        "stopped with the best so far" if restores == _RESTORES else "restored the last good weights, halved the rate"
    )
    return f"step {step + 1} was not finite: {action}"
