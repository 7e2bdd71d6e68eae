"""`wdist reproduce`: the paper's experiments on the published data."""

from __future__ import annotations

import argparse
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from wdist.cli.output import EX_NO, Commands, fail, remark, say

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

DATASETS = ("mnist", "cifar10")
EX_STOPPED = 130  # as of a shell command that was interrupted


def add(commands: Commands) -> None:
    reproduce = commands.add_parser(
        "reproduce",
        help="run the paper's experiments on the published data",
        description="Run the paper's experiments on the published data; each writes one result file.",
    )
    below = reproduce.add_subparsers(required=True, metavar="EXPERIMENT")
    fetch = below.add_parser("fetch", help="download the published files, with their checksums")
    fetch.add_argument("dataset", choices=DATASETS)
    fetch.add_argument("--data", type=Path, default=Path("data"), help="folder (default: %(default)s)")
    fetch.set_defaults(run=_fetch)
    robustness = below.add_parser(
        "robustness",
        help="train a provably robust classifier and certify it on the test images",
        description="Train a provably robust classifier, certify it on the test images, and attack what was certified. "
        "A run that was stopped goes on from its checkpoint when the same command is given again.",
    )
    robustness.add_argument("dataset", choices=DATASETS)
    robustness.add_argument("--data", type=Path, default=Path("data"), help="published files (default: %(default)s)")
    robustness.add_argument("--out", type=Path, default=Path("results"), help="result files (default: %(default)s)")
    robustness.add_argument("--net", choices=["small", "large", "fc3", "deep"], default="small")
    robustness.add_argument("--layers", choices=["bcop", "rko", "ossn", "svcm"], default="bcop")
    robustness.add_argument("--activation", choices=["maxmin", "relu"], default="maxmin")
    robustness.add_argument("--epochs", type=float, default=30, help="passes over the images (default: %(default)s)")
    robustness.add_argument("--batch", type=int, default=128, help="images in a step (default: %(default)s)")
    robustness.add_argument("--learning-rate", type=float, default=0.02, help="on the manifold (default: %(default)s)")
    robustness.add_argument(
        "--loss", choices=["hinge", "cross-entropy"], default="hinge", help="hinge: the paper's (default)"
    )
    robustness.add_argument("--margin", type=float, help="of the loss, in logits (default: the paper's)")
    robustness.add_argument("--seed", type=int, default=0)
    _add_attack(robustness)
    robustness.set_defaults(run=_robustness)
    check = below.add_parser(
        "check",
        help="certify and attack a classifier of a result file again, from its weights",
        description="Certify the classifier of a result file of `wdist reproduce robustness` again, from the weights "
        "beside it, and attack what is certified. Exit status 1 where the file claims otherwise or an image breaks.",
    )
    check.add_argument("result", type=Path, help="result file NAME.json, beside NAME.safetensors")
    check.add_argument("--data", type=Path, default=Path("data"), help="published files (default: %(default)s)")
    check.add_argument("--update", action="store_true", help="write an attack at least as wide into the result file")
    check.add_argument("--seed", type=int, default=0, help="of the starts of the attack (default: %(default)s)")
    _add_attack(check)
    check.set_defaults(run=_check)
    _add_w1(below)
    _add_train_gan(below)


def _add_attack(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--attack-images",
        type=int,
        default=1000,
        help="test images attacked besides all certified ones (default: %(default)s; 0: no attack)",
    )
    command.add_argument("--attack-certified", type=int, help="certified images attacked (default: all)")
    command.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default: %(default)s)")


def _add_w1(below: Commands) -> None:
    w1 = below.add_parser(
        "w1",
        help="the W1 table: critics of several kinds of layers on published and generated images",
        description="Train critics of one architecture and budget on published against generated images, and certify "
        "each on test images. What is finished is kept: the same command goes on after a stop.",
    )
    w1.add_argument("dataset", choices=DATASETS)
    w1.add_argument("--generated", type=Path, required=True, help="generated images: .npy, or .npz with `images`")
    w1.add_argument("--data", type=Path, default=Path("data"), help="published files (default: %(default)s)")
    w1.add_argument("--out", type=Path, default=Path("results"), help="result files (default: %(default)s)")
    w1.add_argument("--critics", nargs="+", metavar="NAME", help="such as bcop-maxmin, rko-relu, auto (default: all)")
    w1.add_argument("--net", choices=["small", "large", "fc3", "deep"], default="small")
    w1.add_argument("--steps", type=int, default=400, help="of each critic (default: %(default)s)")
    w1.add_argument("--batch", type=int, default=128, help="images a side in a step (default: %(default)s)")
    w1.add_argument("--seeds", type=int, default=3, help="how many, from 0 on (default: %(default)s)")
    w1.add_argument("--auto-steps", type=int, help="of 'auto' (default: as many as the estimator takes by itself)")
    w1.set_defaults(run=_w1)


def _add_train_gan(below: Commands) -> None:
    gan = below.add_parser(
        "train-gan",
        help="train a WGAN-GP on the published images and draw samples from it",
        description="Train a WGAN-GP on the published training images and draw samples, for `wdist reproduce w1`. "
        "The same command goes on after a stop; with more --steps it trains on.",
    )
    gan.add_argument("dataset", choices=DATASETS)
    gan.add_argument("--data", type=Path, default=Path("data"), help="published files (default: %(default)s)")
    gan.add_argument("--out", type=Path, default=Path("results"), help="samples and result (default: %(default)s)")
    gan.add_argument("--size", choices=["small", "full"], default="small", help="channels of both nets: 16 or 64")
    gan.add_argument("--steps", type=int, default=10_000, help="of the generator (default: %(default)s)")
    gan.add_argument("--batch", type=int, default=64, help="images in a step (default: %(default)s)")
    gan.add_argument("--samples", type=int, default=20_000, help="images drawn at the end (default: %(default)s)")
    gan.add_argument("--seed", type=int, default=0)
    gan.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default: %(default)s)")
    gan.set_defaults(run=_train_gan)


T = TypeVar("T", bound="DataclassInstance")
ShouldStop: TypeAlias = Callable[[], bool]


def _print(run: Callable[[ShouldStop], object]) -> int:
    """Print an experiment's result as JSON, or one line if it refuses or is stopped; finished work is kept."""
    from wdist.errors import Stopped, WdistError

    try:
        with _stop_orders() as should_stop:
            found = run(should_stop)
    except Stopped as stop:
        return fail(f"{stop}; the same command goes on", EX_STOPPED)
    except WdistError as error:
        return fail(str(error))
    say(json.dumps(found, indent=1))
    return 0


@contextmanager
def _stop_orders() -> Iterator[ShouldStop]:
    """Whether SIGINT or SIGTERM has arrived; a second signal ends the process at once."""
    came: list[int] = []

    def order(number: int, _: object) -> None:
        came.append(number)
        signal.signal(number, earlier[signal.Signals(number)])
        os.write(2, b"stopping; what is done is kept\n")  # sys.stderr may be in the middle of a line: not reentrant

    earlier = {number: signal.signal(number, order) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _attack_progress(should_stop: ShouldStop) -> Callable[[int, int], None]:
    from wdist.errors import Stopped

    def told(images: int, broken: int) -> None:
        remark(f"attacked {images:,} images: {broken:,} broken")
        if should_stop():
            raise Stopped("stopped in the attack")

    return told


def _chosen(kind: type[T], options: argparse.Namespace) -> T:
    """The options of an experiment: those of its fields that the command line has."""
    return kind(**{name: value for name, value in vars(options).items() if name in kind.__dataclass_fields__})


def _fetch(options: argparse.Namespace) -> int:
    from wdist.errors import WdistError
    from wdist.paper.datasets import fetch

    try:
        for path in fetch(options.dataset, options.data):
            say(path)
    except WdistError as error:
        return fail(str(error))
    return 0


def _robustness(options: argparse.Namespace) -> int:
    from wdist.paper.robustness import ClassifierConfig
    from wdist.paper.robustness_table import RobustnessOptions, robustness

    def told(step: int, steps: int, value: float) -> None:
        remark(f"step {step:,} of {steps:,}: {100 * value:.2f} % certified on validation images")

    def run(should_stop: ShouldStop) -> dict[str, Any]:
        settings = _chosen(RobustnessOptions, options)
        config = ClassifierConfig(options.net, options.layers, options.activation)
        return robustness(
            options.dataset, config, options.data, options.out, settings,
            progress=told, attack_progress=_attack_progress(should_stop), should_stop=should_stop,
        )  # fmt: skip

    return _print(run)


def _check(options: argparse.Namespace) -> int:
    from wdist.paper.result_files import write_figures
    from wdist.paper.robustness_table import RobustnessOptions, check_classifier, read_result

    is_confirmed = False

    def run(should_stop: ShouldStop) -> dict[str, Any]:
        nonlocal is_confirmed
        settings = _chosen(RobustnessOptions, options)
        found = check_classifier(options.result, options.data, settings, progress=_attack_progress(should_stop))
        is_confirmed = found["confirmed"]
        stored, _, _ = read_result(options.result)
        if not is_confirmed:
            remark(f"{options.result} is not confirmed: it claims {stored['test']}")
        elif options.update:
            if _is_as_wide(found["attack"], stored["attack"]):
                write_figures(options.result, stored | {"attack": found["attack"]})
            else:
                remark(f"{options.result} stays as it is: it tells of more attacked images")
        return found

    return _print(run) or (0 if is_confirmed else EX_NO)


def _is_as_wide(attack: dict[str, Any] | None, stored: dict[str, Any] | None) -> bool:
    if attack is None or stored is None:
        return attack is not None
    return all(attack[name] >= stored[name] for name in ("images", "certified_images", "steps", "restarts"))


def _w1(options: argparse.Namespace) -> int:
    from wdist.paper.w1_table import TableOptions, w1_table

    def told(row: dict[str, Any]) -> None:
        remark(f"seed {row['seed']} {row['critic']:<12} {row['value']:.4f}, L {row['lipschitz_bound']:.7f}")

    def run(should_stop: ShouldStop) -> object:
        table = TableOptions(options.net, options.steps, options.batch, options.seeds, options.auto_steps)
        return w1_table(
            options.dataset, options.generated, options.data, options.out, table,
            cells=options.critics, progress=told, should_stop=should_stop,
        )["table"]  # fmt: skip

    return _print(run)


def _train_gan(options: argparse.Namespace) -> int:
    from wdist.paper.generator import GanOptions, train_generator

    def told(step: int, difference: float) -> None:
        remark(f"step {step:,} of {options.steps:,}: mean difference of its own critic {difference:.3f} (no bound)")

    def run(should_stop: ShouldStop) -> dict[str, Any]:
        settings = _chosen(GanOptions, options)
        return train_generator(
            options.dataset, options.data, options.out, settings, progress=told, should_stop=should_stop
        )

    return _print(run)
