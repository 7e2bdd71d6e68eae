"""Selects a critic by successive halving, one stage after another, resumable at any step."""

from __future__ import annotations

import errno
import json
import math
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wdist.critics.affine import AffineConfig
from wdist.critics.base import CriticConfig, FittedConfig, TrainedConfig
from wdist.critics.cost import default_steps, training_operations
from wdist.critics.critic import Critic, CriticInput
from wdist.critics.frozen import freeze
from wdist.critics.registry import FAMILIES
from wdist.data.pair import SELECT_ROWS, SamplePair
from wdist.definitions.figures import METHOD_VERSION
from wdist.errors import OptionError, WdistError
from wdist.stiefel.optimizer import polish
from wdist.training.checkpoint import read_checkpoint, write_checkpoint
from wdist.training.halving import Budget, Stage, affordable, next_stage, schedule_for
from wdist.training.lockstep import Training, mean_difference
from wdist.training.progress import Reporter
from wdist.training.threads import ONE_THREAD, threads_for
from wdist.training.trainer import Record, Trainer, steps_for_seconds

_OF_THE_SPLIT = frozenset({"unit", "shift", "configs", "method_version"})
"""What differs between versions of the method for the same data and options."""

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
CHECKPOINT_SECONDS = 5.0  # the most work that a crash may cost; checkpoints do not affect the result


@dataclass
class Candidate:
    """A critic and its value on the select rows, in the units of the rescaled data."""

    critic: Critic
    select_value: float
    record: Record = field(default_factory=Record)


@dataclass
class CriticSelection:
    """Trains critics of several configurations on a pair of sample sets within a budget, as candidates to select from.

    The candidate with the best select value wins. warm: weights from which the only trained configuration goes on,
    those that `trained_weights` returned for an earlier pair with the same training units.
    """

    pair: SamplePair
    configs: list[CriticConfig]
    budget: Budget
    reporter: Reporter = field(default_factory=Reporter)
    checkpoint: Path | None = None
    warm: dict[str, Tensor] | None = None

    def __post_init__(self) -> None:
        self.takes = CriticInput.of(self.pair.source, self.pair.target, self.pair.scaling)
        self.stages: list[Stage] = []
        self.planned: list[int] = []  # steps of each stage, fixed when it is first prepared
        self.records: list[Record] = []
        self.weights: list[dict[str, Tensor]] = []  # best weights of each finished stage
        self.spent = 0.0  # seconds of finished stages
        self._fitted: list[Candidate] = []
        self._saved = time.perf_counter()
        trained = [config for config in self.configs if isinstance(config, TrainedConfig)]
        rows = min(len(self.pair.source_split.train), len(self.pair.target_split.train))
        self.steps = self.budget.planned_steps
        if self.steps is None and self.budget.seconds is None and self.budget.planned is None:
            self.steps = default_steps(rows)
        self.is_ended_early = False
        self.trained = affordable(trained, self.steps, self.budget.seconds, self.pair.net_shape)
        self._train_rows = rows

    def run(self) -> list[Candidate]:
        """Run every training here, one after another, and return the candidates."""
        for training in self.trainings():
            training.run()
        return self.candidates()

    def trainings(self) -> Iterator[Training]:
        """Yield the training of each stage; the caller must run it before asking for the next."""
        fitted = [config for config in self.configs if isinstance(config, FittedConfig)]
        # The mean difference comes first, asked for or not: every result is compared with it.
        self._fitted = [self._evaluated(config) for config in dict.fromkeys([AffineConfig(), *fitted])]
        self.reporter.note(max(c.select_value for c in self._fitted))
        pending = self._resume()
        while (stage := next_stage(self.trained, [r.value for r in self.records], self.stages)) is not None:
            if pending is None and (self._is_over() or len(self.stages) == self.budget.stages):
                self.is_ended_early = True
                return
            began = time.perf_counter()
            training = self._prepared(stage, pending)
            yield training
            pending = None
            if training.trainer.is_cut:
                self.is_ended_early = True
                if training.trainer.record.step == 0:  # nothing was trained: another run would not begin this stage
                    self.planned.pop()
                    return
            self.stages.append(stage)
            self.records.append(training.trainer.record)
            weights = training.trainer.module.state_dict()
            self.weights.append({k: v.detach().cpu().clone() for k, v in weights.items()})
            self.spent += time.perf_counter() - began

    def candidates(self) -> list[Candidate]:
        """All candidates, the mean difference first; the last had the largest share of the budget."""
        return self._fitted + [self._frozen(i) for i in range(len(self.stages))]

    def trained_weights(self) -> tuple[TrainedConfig, dict[str, Tensor]] | None:
        """Configuration and weights of the trained candidate with the best select value; None if nothing is trained."""
        if not self.stages:
            return None
        best = max(range(len(self.stages)), key=lambda i: self.records[i].value)
        return self.stages[best].config, self.weights[best]

    def _evaluated(self, config: FittedConfig) -> Candidate:
        critic = Critic(config, config.fit(self.pair).eval().requires_grad_(False), self.takes)
        fx, fy = self.pair.scores(critic, "select", SELECT_ROWS)
        return Candidate(critic, float(fy.mean() - fx.mean()) / max(critic.lipschitz_bound, 1.0))

    def _frozen(self, i: int) -> Candidate:
        module = self._module(self.stages[i].config, i)
        with threads_for(ONE_THREAD):
            polish(module)
        config, record = self.stages[i].config, self.records[i]
        shift, columns = self.pair.shift, self.pair.columns
        if columns is not None:
            shift = shift[columns]
        plain = freeze(module, torch.from_numpy(shift), self.pair.unit, None if columns is None else columns.tolist())
        return Candidate(Critic(config, plain, self.takes), record.value, record)

    def _module(self, config: TrainedConfig, weights_of: int | None) -> nn.Sequential:
        """A net of this configuration, fresh or with the weights at the end of an earlier stage."""
        weights = self.warm if weights_of is None else self.weights[weights_of]
        start = config.start(self.pair) if weights is None else None
        with threads_for(ONE_THREAD):
            module = config.build(self.pair.net_shape, self.pair.seed, start)
        if weights is not None:
            module.load_state_dict(weights)
        return module.to(self.pair.device)

    def _prepared(self, stage: Stage, pending: tuple[dict[str, Tensor], dict[str, Any]] | None) -> Training:
        """The training of a stage, from its start or from a checkpoint in the middle of it."""
        pair, reporter, index = self.pair, self.reporter, len(self.stages)
        batch = min(stage.config.batch_rows, self._train_rows)
        source, target = pair.batches("train", batch)
        select = tuple(batches.head(SELECT_ROWS) for batches in pair.batches("select", batch))
        module = self._module(stage.config, stage.after)
        offset = sum(r.step for r in self.records)

        def rows_at(step: int) -> tuple[Tensor, Tensor]:
            return source.rows(offset + step), target.rows(offset + step)

        def loss_at(net: nn.Module, step: int) -> Tensor:
            return mean_difference(net, *rows_at(step))

        def select_value(net: nn.Module) -> float:
            with torch.no_grad():
                return pair.unit * float(_mean(net, select[1]) - _mean(net, select[0]))

        weights = sum(p.numel() for p in module.parameters())
        step_cost = FAMILIES[stage.config.family].step_cost  # a convolution uses each weight at many pixels
        operations = step_cost * training_operations(source.batch + target.batch, weights)
        if len(self.planned) <= index:
            with threads_for(operations):  # timed as it will be trained
                self.planned.append(self._plan(stage, module, loss_at))
        schedule = schedule_for(stage.config, self.planned[index], self.pair.net_shape, final=stage.is_final)
        trainer = Trainer(module, loss_at, select_value, schedule, operations)
        if pending is not None:
            trainer.load_state(*pending)
        started, resumed = time.perf_counter(), trainer.record.step
        total = self._total(stage)

        def on_step(step: int) -> None:
            seconds = time.perf_counter() - started
            # Steps of other families take other times, so before the final stage the budget in seconds predicts better.
            left = math.inf
            if self.budget.seconds is not None and not stage.is_final:
                left = max(0.0, self.budget.seconds - self.spent - seconds)
            reporter.tell(offset + step, total, stage.config.family, step - resumed, seconds, left)
            if time.perf_counter() - self._saved > CHECKPOINT_SECONDS:
                self._save(trainer)

        def on_wait(seconds: float) -> None:
            nonlocal started
            started += seconds
            reporter.started += seconds
            self.spent -= seconds

        return Training(
            trainer, (stage.config, schedule, pair.net_shape, pair.device, source.batch, target.batch),
            rows_at, on_step=on_step, on_evaluation=lambda _, value: reporter.note(value),
            should_stop=reporter.should_stop, should_finish=lambda: self._is_over(trainer.record.step),
            on_stop=lambda: self._save(trainer), on_wait=on_wait,
        )  # fmt: skip

    def _is_over(self, steps: int = 0) -> bool:
        """Whether training ends here, after `steps` of the current stage. At least one step is taken in all."""
        taken, last = sum(record.step for record in self.records) + steps, self.budget.last_step
        return taken > 0 and (self.reporter.finishes() or (last is not None and taken >= last))

    @property
    def plan(self) -> int | list[int] | None:
        """Planned steps: of all stages together, or of each stage if they were timed; None if nothing is trained."""
        if not self.trained:
            return None
        return self.planned if self.steps is None else self.steps

    def _plan(self, stage: Stage, module: nn.Module, loss_at: Any) -> int:
        """Steps of a stage: its share of the step budget, or of the seconds, as timed on this machine."""
        if self.steps is not None:
            return max(1, round(stage.share * self.steps))
        if isinstance(self.budget.planned, tuple):
            return self.budget.planned[len(self.stages)]
        whole = self.budget.seconds or 0.0
        seconds = stage.share * whole
        if stage.is_final:  # takes what is left
            seconds = max(0.3 * seconds, whole - self.spent)
        return steps_for_seconds(module, loss_at, seconds, least=10)

    def _total(self, stage: Stage) -> int:
        """The total number of steps expected, for progress reports."""
        done = sum(self.planned)
        if self.steps is not None:
            return max(self.steps, done)
        left = max(0.0, 1 - sum(s.share for s in self.stages) - stage.share)
        return round(done + self.planned[-1] * left / stage.share)

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must match to belong to this search; the unit and shift depend on the data."""
        return {
            "configs": [[config.family, config.to_json()] for config in self.configs],
            "budget": self.budget.identity(),
            "seed": self.pair.seed,
            "shape": list(self.takes.row_shape),
            "rows": [self.pair.source.n, self.pair.target.n],
            "unit": self.pair.unit,
            "shift": float(self.pair.shift.sum()),
            "method_version": METHOD_VERSION,
        } | self._metric()

    def _metric(self) -> dict[str, Any]:
        """What decides the distance between encoded rows, and is not seen from unit and shift."""
        encoding = self.pair.source.encoding
        if encoding is None:
            return {}
        return {"encoding": encoding.to_json(), "category_cost": self.pair.scaling.category_cost}

    def _save(self, trainer: Trainer) -> None:
        self._saved = time.perf_counter()
        if self.checkpoint is None:
            return
        tensors, document = trainer.state()
        tensors = {f"current.{k}": v for k, v in tensors.items()}
        for i, weights in enumerate(self.weights):
            tensors |= {f"stage{i}.{k}": v for k, v in weights.items()}
        state = {
            "identity": self._identity(),
            "planned": self.planned,
            "records": [asdict(record) for record in self.records],
            "spent": self.spent,
            "best": self.reporter.best,
            "current": document,
        }
        try:
            write_checkpoint(self.checkpoint, tensors, state)
        except OSError as error:
            if error.errno not in _DISK_FULL:
                raise
            # There may be room again before anything needs the checkpoint; the one before stays until then.
            warnings.warn(f"{self.checkpoint}: {error.strerror}; training goes on", RuntimeWarning, stacklevel=2)

    def _resume(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Restore the finished stages from the checkpoint, and return the state of the unfinished one."""
        found = None if self.checkpoint is None else read_checkpoint(self.checkpoint)
        if found is None:
            return None
        tensors, state = found
        stored, own = state["identity"], json.loads(json.dumps(self._identity()))
        is_older = stored.get("method_version") != METHOD_VERSION
        if any(stored.get(name) != own[name] for name in own if not (is_older and name in _OF_THE_SPLIT)):
            raise OptionError(f"{self.checkpoint} is a checkpoint of other data or options: remove it or name another")
        if is_older:
            return None  # it split the rows in another way, so that some it trained on are test rows now
        self.planned, self.spent = list(state["planned"]), float(state["spent"])
        self.reporter.best = state["best"]
        groups: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            group, key = name.split(".", 1)
            groups.setdefault(group, {})[key] = tensor
        for i, record in enumerate(state["records"]):
            stage = next_stage(self.trained, [r.value for r in self.records], self.stages)
            if stage is None:
                raise WdistError(f"{self.checkpoint} holds more stages than this version trains: remove it")
            self.stages.append(stage)
            self.records.append(Record(**record))
            self.weights.append(groups[f"stage{i}"])
        return groups["current"], state["current"]


def _mean(net: nn.Module, rows: Tensor) -> Tensor:
    """The mean score, computed in blocks: a wide net's activations for all select rows would not fit in memory."""
    return torch.stack([net(part).double().sum() for part in torch.split(rows, 4096)]).sum() / len(rows)
