"""Training in lockstep: one forward pass, one gradient and one optimiser step for several trainings of the same kind.

Every net takes the steps that it would take alone. Each training keeps its own batches, held-out values, early stopping
and checkpoints. Training amplifies rounding: two runs that differed by 3e-8 after one step were 0.1 apart after twenty
(GroupSort 64 x 6 on 1,000 x 8). So the first common step is compared with the same step taken alone.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections import Counter
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wdist.device import is_accelerator
from wdist.errors import Stopped
from wdist.nn.torch_state import own_torch_state
from wdist.stiefel.optimizer import StiefelOptimizer, parameter_groups
from wdist.training.stacked import StackedModule, flat_name
from wdist.training.threads import threads_for
from wdist.training.trainer import Trainer

# Speed of lockstep relative to training one after the other, on one CPU thread with 240 to 512 rows a step: for 64 x 6
# critics, 0.94 to 1.05 with 2 at once, 1.2 to 1.5 with 4, 1.3 to 2.3 with 8 and 16; for 256 x 5 critics, 0.56 to 1.04,
# because their time goes into arithmetic, which batching does not save. A GPU idles between the small products of a
# single critic.
LEAST_ON_CPU, LEAST_ON_ACCELERATOR = 4, 2
WIDEST_ON_CPU = 64 * 64  # numbers in the largest parameter


class TogetherError(RuntimeError):
    """A common step failed, and it is unknown which training caused it; each may be retried alone."""


@dataclass(frozen=True)
class Training:
    """One training of a critic, prepared but not yet run; trainings of the same `kind` can run together.

    Attributes:
        rows_at: rows (x, y) of both sets for step 0, 1, ...; the loss is their `mean_difference`.
        should_finish: polled before each step; once it returns true, this training ends with what it has.
        on_stop: called when should_stop has returned true, before Stopped is raised.
        on_wait: called with the seconds spent waiting while others trained, which do not count as this one's.
    """

    trainer: Trainer
    kind: Hashable
    rows_at: Callable[[int], tuple[Tensor, Tensor]]
    on_step: Callable[[int], None]
    on_evaluation: Callable[[int, float], None]
    should_stop: Callable[[], bool] | None
    should_finish: Callable[[], bool]
    on_stop: Callable[[], None]
    on_wait: Callable[[float], None]

    def run(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Train alone to the end, calling `meanwhile` before each step. Raises Stopped."""

        def should_stop() -> bool:
            meanwhile()
            return self.should_stop is not None and self.should_stop()

        try:
            self.trainer.run(
                on_step=self.on_step, on_evaluation=self.on_evaluation, should_stop=should_stop,
                should_finish=self.should_finish,
            )  # fmt: skip
        except Stopped:
            self.on_stop()
            raise

    @property
    def state(self) -> Hashable:
        """What two trainings must have in common to take their next step together."""
        return self.kind, self.trainer.record.step, self.trainer.record.damping


def mean_difference(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """mean f(x) - mean f(y), which training makes small; for (B, n, ...) rows of B nets, (B,)."""
    rows = 1 if isinstance(net, StackedModule) else 0
    scores: Tensor = net(torch.cat([x, y], dim=rows))
    if not rows:
        return scores[: len(x)].mean() - scores[len(x) :].mean()
    n = x.shape[1]
    return scores[:, :n].mean((1, 2)) - scores[:, n:].mean((1, 2))


def is_cheaper(trainings: Sequence[Training]) -> bool:
    """Whether these trainings of one kind finish sooner together than one after the other, by our measurements."""
    parameters = list(trainings[0].trainer.module.parameters())
    if is_accelerator(parameters[0].device):
        return len(trainings) >= LEAST_ON_ACCELERATOR
    return len(trainings) >= LEAST_ON_CPU and max(p.numel() for p in parameters) <= WIDEST_ON_CPU


class Lockstep:
    """Trainers at the same step, whose modules and optimiser states become slices of common tensors.

    With `exactly`, copies of the trainers also take the first step alone. If any gradient of the common pass differs
    from theirs, even in one bit, each net runs its own pass from then on, and only the optimiser's step is common. If
    that step differs too, `has_failed` is set and every trainer takes the state of its copy. One check is enough:
    products of one shape round alike at every step. A trainer that leaves keeps its slices, and the others continue in
    a new Lockstep.
    """

    def __init__(self, trainings: Sequence[Training], *, exactly: bool) -> None:
        self._trainings = trainings
        self._trainers = [training.trainer for training in trainings]
        self._modules = [trainer.module for trainer in self._trainers]
        self._net = StackedModule(self._modules)
        schedule = self._trainers[0].schedule
        groups = parameter_groups(self._net, lr=schedule.learning_rate, euclidean_lr=schedule.euclidean_learning_rate)
        self._optimizer = StiefelOptimizer(groups)
        self._base = [float(group["lr"]) for group in self._optimizer.param_groups]
        self._stacked = {
            name: self._net.get_parameter(flat_name(name)) for name, _ in self._modules[0].named_parameters()
        }
        self._is_shared = False
        for name, stacked in self._stacked.items():
            states = [trainer.optimizer.state.get(p, {}) for trainer, p in self._own(name)]
            if states[0]:
                self._optimizer.state[stacked] = {
                    key: torch.stack([state[key] for state in states]) if isinstance(value, Tensor) else value
                    for key, value in states[0].items()
                }
            for (_, p), part in zip(self._own(name), stacked.detach(), strict=True):
                p.data = part
        self._is_checked = not exactly
        self.is_whole = True  # the passes are common too, not only the optimiser's step
        self.has_failed = False

    def step(self) -> list[bool]:
        """Take one step of all; for each, whether its loss was finite. If not, its weights are no longer usable."""
        step, rate = self._trainers[0].record.step, self._trainers[0].rate
        rows = [training.rows_at(step) for training in self._trainings]
        copies = None if self._is_checked else [_Copy(trainer) for trainer in self._trainers]
        if self.is_whole:
            self._optimizer.zero_grad()
            losses = mean_difference(self._net, *(torch.stack(side) for side in zip(*rows, strict=True)))
            torch.autograd.backward(losses.sum())
        if copies is not None:
            for copy_, (x, y) in zip(copies, rows, strict=True):
                copy_.differentiate(x, y)
            self.is_whole = self._agrees(copies, of_gradients=True)
        if not self.is_whole:
            losses = self._pass_each(rows) if copies is None else self._take_gradients(copies)
        for group, base in zip(self._optimizer.param_groups, self._base, strict=True):
            group["lr"] = base * rate
        self._optimizer.step()
        self._share_state()
        if copies is not None:
            self._check_step(copies, rate)
        finite: list[bool] = torch.isfinite(losses).tolist()
        return finite

    def _own(self, name: str) -> Iterator[tuple[Trainer, nn.Parameter]]:
        for trainer, module in zip(self._trainers, self._modules, strict=True):
            yield trainer, module.get_parameter(name)

    def _pass_each(self, rows: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Run each net's own pass and stack the gradients into the common ones."""
        losses = []
        for module, (x, y) in zip(self._modules, rows, strict=True):
            module.zero_grad()
            losses.append(mean_difference(module, x, y))
            torch.autograd.backward(losses[-1])
        for name, stacked in self._stacked.items():
            stacked.grad = torch.stack([_gradient(p) for _, p in self._own(name)])
        return torch.stack(losses).detach()

    def _take_gradients(self, copies: Sequence[_Copy]) -> Tensor:
        for name, stacked in self._stacked.items():
            stacked.grad = torch.stack([_gradient(copy_.module.get_parameter(name)) for copy_ in copies])
        return torch.stack([copy_.loss for copy_ in copies])

    def _agrees(self, copies: Sequence[_Copy], *, of_gradients: bool) -> bool:
        for name, stacked in self._stacked.items():
            common = _gradient(stacked) if of_gradients else stacked.detach()
            for copy_, part in zip(copies, common, strict=True):
                p = copy_.module.get_parameter(name)
                if not torch.equal(_gradient(p) if of_gradients else p.detach(), part):
                    return False
        return True

    def _check_step(self, copies: Sequence[_Copy], rate: float) -> None:
        """Compare the common step with each copy's own step; if they differ, the copies' results are kept."""
        self._is_checked = True
        for copy_ in copies:
            copy_.step(rate)
        if self._agrees(copies, of_gradients=False):
            return
        self.has_failed = True
        for copy_, trainer in zip(copies, self._trainers, strict=True):
            copy_.give_to(trainer)

    def _share_state(self) -> None:
        """Give each trainer's optimiser its slices of the common state, as if it had taken the step itself."""
        for name, stacked in self._stacked.items():
            state = self._optimizer.state[stacked]
            for b, (trainer, p) in enumerate(self._own(name)):
                own = trainer.optimizer.state[p]
                if self._is_shared:  # the optimiser updates its tensors in place, so the slices are current
                    own["step"] = state["step"]
                else:
                    own.update({key: value[b] if isinstance(value, Tensor) else value for key, value in state.items()})
        self._is_shared = True


class _Copy:
    """A copy of a trainer's net and optimiser that takes one step alone."""

    def __init__(self, trainer: Trainer) -> None:
        self.module = copy.deepcopy(trainer.module)
        schedule = trainer.schedule
        self._optimizer = StiefelOptimizer(
            parameter_groups(self.module, lr=schedule.learning_rate, euclidean_lr=schedule.euclidean_learning_rate)
        )
        for name, p in trainer.module.named_parameters():
            if state := trainer.optimizer.state.get(p):
                self._optimizer.state[self.module.get_parameter(name)] = copy.deepcopy(state)
        self.loss = torch.zeros((), dtype=torch.float32)

    def differentiate(self, x: Tensor, y: Tensor) -> None:
        self._optimizer.zero_grad()
        loss = mean_difference(self.module, x, y)
        torch.autograd.backward(loss)
        self.loss = loss.detach()

    def step(self, rate: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = float(group["lr"]) * rate
        self._optimizer.step()

    def give_to(self, trainer: Trainer) -> None:
        for name, p in trainer.module.named_parameters():
            mine = self.module.get_parameter(name)
            p.data = mine.detach()
            trainer.optimizer.state[p] = self._optimizer.state[mine]


def _gradient(p: Tensor) -> Tensor:
    return p.grad if p.grad is not None else torch.zeros_like(p)


def train_together(
    trainings: Sequence[Training], *, exactly: bool = True, meanwhile: Callable[[], None] = lambda: None
) -> Iterator[tuple[int, Stopped | None]]:
    """Train several of one kind and state to the end; yields (index, Stopped or None) as soon as one has ended.

    A training that falls out of step with the others, because one of its steps was not finite, continues alone after
    them. With `exactly`, only what gives the same numbers as training alone, bit for bit, is done together. Without it
    rounding may differ, and training amplifies the difference to that between two seeds. `meanwhile` is called before
    each step.
    """
    for training in trainings:
        training.trainer.begin()
    members, apart = list(range(len(trainings))), []
    lockstep = Lockstep(trainings, exactly=exactly)
    while len(members) > 1 and not lockstep.has_failed:
        meanwhile()
        common = Counter(trainings[k].state for k in members).most_common(1)[0][0]
        going = []
        for k in members:
            if trainings[k].trainer.finished:
                trainings[k].trainer.end()
                yield k, None
            elif (stopped := _stopped(trainings[k])) is not None:
                yield k, stopped
            elif trainings[k].should_finish():
                trainings[k].trainer.end()
                yield k, None
            elif trainings[k].state != common:
                apart.append(k)
            else:
                going.append(k)
        if going != members:
            members = going
            if len(members) > 1:
                lockstep = Lockstep([trainings[k] for k in members], exactly=exactly)
            continue
        with threads_for(trainings[members[0]].trainer.operations):  # as each would take alone
            finite_steps = lockstep.step()
        for k, finite in zip(members, finite_steps, strict=True):
            trainings[k].trainer.go_on(finite, on_step=trainings[k].on_step, on_evaluation=trainings[k].on_evaluation)
    for k in [*members, *apart]:
        yield k, _alone(trainings[k], meanwhile)


def _stopped(training: Training) -> Stopped | None:
    try:
        training.trainer.check(training.should_stop)
    except Stopped as error:
        training.on_stop()
        return error
    return None


def _alone(training: Training, meanwhile: Callable[[], None]) -> Stopped | None:
    try:
        training.run(meanwhile)
    except Stopped as error:
        return error
    return None


@own_torch_state()
def run_together(
    members: Sequence[Generator[Training, None, None]],
    is_worth_it: Callable[[Sequence[Training]], bool] = is_cheaper,
    *,
    exactly: bool = True,
) -> None:
    """Run estimates to the end: each yields the trainings that it needs, and Stopped is thrown into one that stops.

    Trainings that can run together do so if `is_worth_it` agrees; the others run in turn. An error in a common step is
    raised in every estimate that took part, as TogetherError. An estimate that is waiting can be stopped at once, and
    told to finish once it has taken a step.
    """
    waiting: dict[int, Training] = {}
    since: dict[int, float] = {}

    def go_on(k: int, error: Exception | None = None) -> None:
        waiting.pop(k, None)
        running.discard(k)
        with contextlib.suppress(StopIteration):
            waiting[k] = next(members[k]) if error is None else members[k].throw(error)
            since[k] = time.perf_counter()

    def look_at_others() -> None:
        for k in waiting.keys() - running:
            if (stopped := _stopped(waiting[k])) is not None:
                go_on(k, stopped)
            elif waiting[k].should_finish():
                go_on(k, _alone(waiting[k], lambda: None))

    running: set[int] = set()
    for k in range(len(members)):
        go_on(k)
    while waiting:
        alike = max(_alike(waiting, is_worth_it), key=len)
        for k in alike:
            waiting[k].on_wait(time.perf_counter() - since[k])
        running.update(alike)
        for place, outcome in _outcomes([waiting[k] for k in alike], exactly, look_at_others):
            go_on(alike[place], outcome)


def _alike(waiting: Mapping[int, Training], is_worth_it: Callable[[Sequence[Training]], bool]) -> list[list[int]]:
    """The groups of trainings that can take their next step together; only the first training when there are none."""
    groups: dict[Hashable, list[int]] = {}
    for k, training in waiting.items():
        groups.setdefault(training.state, []).append(k)
    worth = [ks for ks in groups.values() if len(ks) > 1 and is_worth_it([waiting[k] for k in ks])]
    return worth or [[min(waiting)]]


def _outcomes(
    trainings: Sequence[Training], exactly: bool, meanwhile: Callable[[], None]
) -> Iterator[tuple[int, Exception | None]]:
    """The index and outcome of each training, in the order in which they end."""
    left = set(range(len(trainings)))
    try:
        if len(trainings) == 1:
            trainings[0].run(meanwhile)
            yield 0, None
            return
        for k, outcome in train_together(trainings, exactly=exactly, meanwhile=meanwhile):
            left.remove(k)
            yield k, outcome
    except Exception as error:
        for k in left:
            yield k, error if len(trainings) == 1 else TogetherError(f"{type(error).__name__}: {error}")
