"""The paper's W1 experiment: critics of one architecture and several kinds of layers, on real and generated images.

It settles what the published setting left open. Every value is divided by the Lipschitz constant proven from the stored
weights. Test rows of the real side are published test images, which neither a critic nor the generator has seen. No
layer upsamples or couples the rows of a batch. Source: Li et al. (2019), the Wasserstein distance experiment.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wdist import __version__
from wdist.certify import certify
from wdist.critics.affine import AffineConfig
from wdist.critics.bcop import BCOPConfig
from wdist.critics.critic import Critic, CriticInput
from wdist.critics.frozen import freeze
from wdist.data.checks import check_pair
from wdist.data.pair import SamplePair
from wdist.data.samples import open_samples
from wdist.data.scaling import Scaling
from wdist.data.splits import TEST_SHARE, part_sizes, rows_with_test, split_rows
from wdist.errors import OptionError, SampleError
from wdist.estimate import estimate_w1
from wdist.files.durable import replace_file
from wdist.nn.torch_state import own_torch_state
from wdist.options import Options
from wdist.paper.datasets import load_images
from wdist.paper.result_files import make_folder, provenance, write_figures
from wdist.paper.robustness import ACTIVATIONS, CONVOLUTIONS, ClassifierConfig, build_net, clip_singular_values
from wdist.result import Result
from wdist.stiefel.optimizer import polish
from wdist.training.halving import Budget
from wdist.training.selection import Candidate, CriticSelection
from wdist.training.trainer import Schedule, Trainer

Images = NDArray[np.uint8]

CONFIDENCE = 0.95
LEARNING_RATE = 0.1  # on the manifold, as of every critic of `estimate_w1`
ADAM_RATE = 2e-3  # of biases, and of the kernels of OSSN and SVCM, which are free parameters
CELLS = [f"{layers}-{activation}" for layers in CONVOLUTIONS for activation in ACTIVATIONS]


@dataclass(frozen=True)
class TableOptions:
    """What every critic of a table shares.

    net: of `wdist.paper.robustness.NETS`, with one output; steps and batch (rows a side): its budget; auto_steps: of
    `estimate_w1`, None for its own default; baseline_rows: of the exact transport beside it.
    """

    net: str = "small"
    steps: int = 400
    batch: int = 128
    seeds: int = 3
    auto_steps: int | None = None
    baseline_rows: int = 1_000

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.seeds) < 1:
            raise OptionError(f"steps, batch and seeds must be at least 1: {self.steps}, {self.batch}, {self.seeds}")


def read_generated(path: Path) -> Images:
    """Generated images, uint8 (n, h, w) or (n, h, w, 3): an .npy file, or an .npz file with `images`.

    Raises SampleError for a file that is not one.
    """
    try:
        with path.open("rb") as file:
            stored = np.load(file)
            images = stored["images"] if path.suffix == ".npz" else stored
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise SampleError(f"{path} cannot be read: {error}; it must be .npy, or .npz with an array `images`") from error
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise SampleError(f"{path} must hold uint8 images (n, h, w) or (n, h, w, c)")
    return images


def real_images(dataset: str, data: Path, rows: int, seed: int) -> Images:
    """Published images in such an order that a split by blocks has test images, and only those, in its test part.

    `rows` of them, drawn by seed; fewer where there are not enough. Raises SampleError where there are hardly any.
    """
    test, _ = load_images(dataset, data, test=True)
    train, _ = load_images(dataset, data, test=False)
    rows = min(rows, rows_with_test(len(test)), math.floor(len(train) / (1 - TEST_SHARE)))
    first, second, held = part_sizes(rows)
    generator = np.random.default_rng([seed, 21])
    fitted, unseen = (generator.permutation(len(images)) for images in (train, test))
    return np.concatenate([train[fitted[: first + second]], test[unseen[:held]]])


@own_torch_state()
def w1_table(
    dataset: str,
    generated: Path,
    data: Path,
    out: Path,
    options: TableOptions,
    *,
    cells: list[str] | None = None,
    progress: Callable[[dict[str, Any]], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """The table of one pair: published images of a data set (source) against generated ones (target).

    cells: of `CELLS` and 'auto', which is `estimate_w1`; default: all. Each is kept in out/NAME.jsonl as it is
    finished, and a second call with the same options and file computes only what is missing. Writes out/NAME.json.
    progress: called with each finished cell.

    Raises:
        SampleError: a file is missing or does not fit. OptionError: an unknown cell, or other options than the rows
        kept so far. Stopped.
    """
    cells = [*CELLS, "auto"] if cells is None else list(dict.fromkeys(cells))
    if unknown := set(cells) - {*CELLS, "auto"}:
        raise OptionError(f"critic {min(unknown)!r} is unknown; choose of {', '.join([*CELLS, 'auto'])}")
    images = read_generated(generated)
    identity: dict[str, Any] = {
        "experiment": "w1",
        "version": __version__,
        "dataset": dataset,
        "generated": {"file": generated.name, "images": len(images), "sha256": _sha256(images)},
        "options": asdict(options) | {"learning_rate": LEARNING_RATE, "adam_rate": ADAM_RATE},
    }
    identity["options"].pop("seeds")  # more of them go on from those that are there
    make_folder(out)
    kept = out / f"w1-{dataset}-{generated.stem}.jsonl"
    rows = _kept_rows(kept, identity)
    for seed in range(options.seeds):
        left = [cell for cell in cells if not any(r["critic"] == cell and r["seed"] == seed for r in rows)]
        if not left:
            continue
        pair = _pair(dataset, data, images, seed)
        for cell in left:
            row = _cell(cell, pair, options, seed, should_stop)
            with kept.open("a") as file:
                file.write(json.dumps(row) + "\n")
            rows.append(row)
            if progress is not None:
                progress(row)
    figures = identity | {"table": _summary(rows), "rows": rows}
    write_figures(kept.with_suffix(".json"), figures)
    return figures


def _sha256(images: Images) -> str:
    return hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()


def _kept_rows(path: Path, identity: dict[str, Any]) -> list[dict[str, Any]]:
    """Finished cells of an earlier call; a new file begins with what must agree. A line cut off is dropped."""
    if not path.exists():
        replace_file(path, (json.dumps(identity) + "\n").encode())
        return []
    whole = path.read_bytes()[: path.read_bytes().rfind(b"\n") + 1]
    try:
        first, *rows = [json.loads(line) for line in whole.splitlines()]
    except ValueError as error:
        raise OptionError(f"{path} is damaged: remove it or name another folder") from error
    if first != json.loads(json.dumps(identity)):
        raise OptionError(f"{path} holds cells of other options, images or version: remove it or name another folder")
    replace_file(path, whole)
    return rows


def _pair(dataset: str, data: Path, generated: Images, seed: int) -> tuple[Images, Images]:
    """Both sides, to be split by blocks; generated rows have no order, so their blocks are random parts too."""
    order = np.random.default_rng([seed, 22]).permutation(len(generated))
    return real_images(dataset, data, len(generated), seed), generated[order]


def _cell(
    cell: str,
    pair: tuple[Images, Images],
    options: TableOptions,
    seed: int,
    should_stop: Callable[[], bool] | None,
) -> dict[str, Any]:
    began, spent = time.perf_counter(), time.process_time()
    if cell == "auto":
        result = estimate_w1(
            *pair,
            confidence=CONFIDENCE,
            seed=seed,
            steps=options.auto_steps,
            split="blocks",
            baseline_rows=options.baseline_rows,
            empirical=False,
            should_stop=should_stop,
        )
    else:
        layers, activation = cell.split("-")
        result = _critic_of(ClassifierConfig(options.net, layers, activation), pair, options, seed, should_stop)
    return {
        "critic": cell,
        "seed": seed,
        "value": result.value,
        "lower_bound": result.lower_bound,
        "lipschitz_bound": result.lipschitz_bound,
        "mean_difference": result.trivial["mean_difference"],
        "null_baseline": result.null_baseline,
        "family": result.critic.family if cell == "auto" else None,
        "steps": result.steps,
        "rows": result.n,
        "seconds": round(time.perf_counter() - began, 2),
        "cpu_seconds": round(time.process_time() - spent, 2),
        **provenance(),
    }


def _critic_of(
    config: ClassifierConfig,
    pair: tuple[Images, Images],
    options: TableOptions,
    seed: int,
    should_stop: Callable[[], bool] | None,
) -> Result:
    """Train one critic as `estimate_w1` trains its own, and certify it in the same way on the same rows."""
    sets, started = _sample_pair(pair, seed), time.perf_counter()
    source, target = sets.batches("train", options.batch)
    select = tuple(batches.head(2_000) for batches in sets.batches("select", options.batch))
    takes = CriticInput.of(sets.source, sets.target, sets.scaling)
    module = build_net(config, takes.row_shape, 1, seed)  # type: ignore[arg-type]

    def loss_at(net: nn.Module, step: int) -> Tensor:
        x, y = source.rows(step), target.rows(step)
        scores: Tensor = net(torch.cat([x, y]))
        return scores[: len(x)].mean() - scores[len(x) :].mean()

    def select_value(net: nn.Module) -> float:
        with torch.no_grad():
            return sets.unit * float(net(select[1]).double().mean() - net(select[0]).double().mean())

    schedule = Schedule(options.steps, LEARNING_RATE, ADAM_RATE, evaluations=10, patience=10)
    record = Trainer(module, loss_at, select_value, schedule).run(
        on_step=lambda step: clip_singular_values(module, step), should_stop=should_stop
    )
    polish(module)
    # The stored form describes the layers, not how they were trained; BCOPConfig stands for all convolutional critics.
    critic = Critic(BCOPConfig(), freeze(module, torch.from_numpy(sets.shift), sets.unit), takes)
    trivial = CriticSelection(sets, [AffineConfig()], Budget(1, None)).run()
    statement = Options(confidence=CONFIDENCE, split="blocks", baseline_rows=0, empirical=False)
    return certify(
        sets, Candidate(critic, record.value, record), [*trivial, Candidate(critic, 0, record)], statement, [], started
    )


def _sample_pair(pair: tuple[Images, Images], seed: int) -> SamplePair:
    source, target = (open_samples(rows, name) for rows, name in zip(pair, ("source", "target"), strict=True))
    check_pair(source, target)
    splits = [split_rows(samples.n, seed, side, mode="blocks") for side, samples in enumerate((source, target))]
    scaling = Scaling.fit(None, source, target, splits[0], splits[1])
    return SamplePair(source, target, splits[0], splits[1], scaling, seed, torch.device("cpu"))


def _summary(rows: list[dict[str, Any]]) -> dict[str, dict[str, float | int | None]]:
    """Per critic over its seeds: mean and deviation of the value, mean of the bound, largest Lipschitz bound."""
    table: dict[str, dict[str, float | int | None]] = {}
    for critic in dict.fromkeys(row["critic"] for row in rows):
        own = [row for row in rows if row["critic"] == critic]
        values = [row["value"] for row in own]
        table[critic] = {
            "seeds": len(own),
            "value": float(np.mean(values)),
            "deviation": float(np.std(values, ddof=1)) if len(own) > 1 else None,
            "lower_bound": float(np.mean([row["lower_bound"] for row in own])),
            "lipschitz_bound": max(row["lipschitz_bound"] for row in own),
            "cpu_seconds": float(np.mean([row["cpu_seconds"] for row in own])),
        }
    return table
