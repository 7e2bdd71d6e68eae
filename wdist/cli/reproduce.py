"""`wdist reproduce`: the paper's experiments on the published data."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

from cyclopts import App, Parameter

from wdist.cli.arguments import Switch
from wdist.cli.output import EX_NO, fail, remark, say

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

EX_STOPPED = 130  # as of a shell command that was interrupted

DataSet = Annotated[Literal["mnist", "cifar10"], Parameter(name="DATASET")]
Data = Annotated[Path, Parameter(help="folder of the published files")]
Out = Annotated[Path, Parameter(help="folder of the results")]
Net = Literal["small", "large", "fc3", "deep"]
Seed = Annotated[int, Parameter(help="of all that is random")]
Device = Annotated[str, Parameter(help="cpu, cuda, cuda:1, ...")]
AttackImages = Annotated[int, Parameter(help="test images attacked besides all certified ones; 0: no attack")]
AttackCertified = Annotated[int | None, Parameter(help="certified images attacked (default: all)")]
Batch = Annotated[int, Parameter(help="images a side in a step")]
Names = Parameter(consume_multiple=True, negative=(), metavar="NAME")
Critics = Annotated[list[str] | None, Names, Parameter(help="such as bcop-maxmin, rko-relu, auto (default: all)")]
DATA, OUT = Path("data"), Path("results")

reproduce = App(name="reproduce", help="Run the paper's experiments on the published data; each writes a result file.")

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


def _chosen(kind: type[T], given: Mapping[str, Any]) -> T:
    """The options of an experiment: those of its fields that the command line has."""
    return kind(**{name: value for name, value in given.items() if name in kind.__dataclass_fields__})


@reproduce.command
def fetch(dataset: DataSet, /, *, data: Data = DATA) -> int:
    """Download the published files, with their checksums."""
    from wdist.errors import WdistError
    from wdist.paper import datasets

    try:
        for path in datasets.fetch(dataset, data):
            say(path)
    except WdistError as error:
        return fail(str(error))
    return 0


@reproduce.command
def robustness(
    dataset: DataSet,
    /,
    *,
    data: Data = DATA,
    out: Out = OUT,
    net: Net = "small",
    layers: Literal["bcop", "rko", "ossn", "svcm"] = "bcop",
    activation: Literal["maxmin", "relu"] = "maxmin",
    epochs: Annotated[float, Parameter(help="passes over the images")] = 30,
    batch: Batch = 128,
    learning_rate: Annotated[float, Parameter(help="on the manifold")] = 0.02,
    loss: Annotated[Literal["hinge", "cross-entropy"], Parameter(help="hinge: the paper's")] = "hinge",
    margin: Annotated[float | None, Parameter(help="of the loss, in logits (default: the paper's)")] = None,
    seed: Seed = 0,
    attack_images: AttackImages = 1000,
    attack_certified: AttackCertified = None,
    device: Device = "cpu",
) -> int:
    """Train a provably robust classifier and certify it on the test images.

    What is certified is also attacked. A run that was stopped goes on when the same command is given again.
    """
    given = locals()
    from wdist.paper.robustness import ClassifierConfig
    from wdist.paper.robustness_table import RobustnessOptions
    from wdist.paper.robustness_table import robustness as train

    def told(step: int, steps: int, value: float) -> None:
        remark(f"step {step:,} of {steps:,}: {100 * value:.2f} % certified on validation images")

    def run(should_stop: ShouldStop) -> dict[str, Any]:
        return train(
            dataset, ClassifierConfig(net, layers, activation), data, out, _chosen(RobustnessOptions, given),
            progress=told, attack_progress=_attack_progress(should_stop), should_stop=should_stop
        )  # fmt: skip

    return _print(run)


@reproduce.command
def check(
    result: Annotated[Path, Parameter(name="RESULT", help="result file NAME.json, beside NAME.safetensors")],
    /,
    *,
    data: Data = DATA,
    update: Annotated[Switch, Parameter(help="write an attack at least as wide into the result file")] = False,
    seed: Seed = 0,
    attack_images: AttackImages = 1000,
    attack_certified: AttackCertified = None,
    device: Device = "cpu",
) -> int:
    """Certify and attack a classifier of a result file again, from its weights.

    Exit status 1 where the file claims otherwise or an image breaks.
    """
    given = locals()
    from wdist.paper.result_files import write_figures
    from wdist.paper.robustness_table import RobustnessOptions, check_classifier, read_result

    is_confirmed = False

    def run(should_stop: ShouldStop) -> dict[str, Any]:
        nonlocal is_confirmed
        settings = _chosen(RobustnessOptions, given)
        found = check_classifier(result, data, settings, progress=_attack_progress(should_stop))
        is_confirmed = found["confirmed"]
        stored, _, _ = read_result(result)
        if not is_confirmed:
            remark(f"{result} is not confirmed: it claims {stored['test']}")
        elif update:
            if _is_as_wide(found["attack"], stored["attack"]):
                write_figures(result, stored | {"attack": found["attack"]})
            else:
                remark(f"{result} stays as it is: it tells of more attacked images")
        return found

    return _print(run) or (0 if is_confirmed else EX_NO)


def _is_as_wide(attack: dict[str, Any] | None, stored: dict[str, Any] | None) -> bool:
    if attack is None or stored is None:
        return attack is not None
    return all(attack[name] >= stored[name] for name in ("images", "certified_images", "steps", "restarts"))


@reproduce.command
def w1(
    dataset: DataSet,
    /,
    *,
    generated: Annotated[Path, Parameter(help="generated images: .npy, or .npz with `images`")],
    data: Data = DATA,
    out: Out = OUT,
    critics: Critics = None,
    net: Net = "small",
    steps: Annotated[int, Parameter(help="of each critic")] = 400,
    batch: Batch = 128,
    seeds: Annotated[int, Parameter(help="how many, from 0 on")] = 3,
    auto_steps: Annotated[int | None, Parameter(help="of 'auto' (default: as many as it takes by itself)")] = None,
) -> int:
    """The W1 table: critics of several kinds of layers on published and generated images.

    Each critic is certified on test images. What is finished is kept: the same command goes on after a stop.
    """
    from wdist.paper.w1_table import TableOptions, w1_table

    def told(row: dict[str, Any]) -> None:
        remark(f"seed {row['seed']} {row['critic']:<12} {row['value']:.4f}, L {row['lipschitz_bound']:.7f}")

    def run(should_stop: ShouldStop) -> object:
        return w1_table(
            dataset, generated, data, out, TableOptions(net, steps, batch, seeds, auto_steps),
            cells=critics, progress=told, should_stop=should_stop
        )["table"]  # fmt: skip

    return _print(run)


@reproduce.command
def train_gan(
    dataset: DataSet,
    /,
    *,
    data: Data = DATA,
    out: Out = OUT,
    size: Annotated[Literal["small", "full"], Parameter(help="channels of both nets: 16 or 64")] = "small",
    steps: Annotated[int, Parameter(help="of the generator")] = 10_000,
    batch: Batch = 64,
    samples: Annotated[int, Parameter(help="images drawn at the end")] = 20_000,
    seed: Seed = 0,
    device: Device = "cpu",
) -> int:
    """Train a WGAN-GP on the published images and draw samples from it, for `wdist reproduce w1`.

    The same command goes on after a stop; with more --steps it trains on.
    """
    given = locals()
    from wdist.paper.generator import GanOptions, train_generator

    def told(step: int, difference: float) -> None:
        remark(f"step {step:,} of {steps:,}: mean difference of its own critic {difference:.3f} (no bound)")

    def run(should_stop: ShouldStop) -> dict[str, Any]:
        return train_generator(dataset, data, out, _chosen(GanOptions, given), progress=told, should_stop=should_stop)

    return _print(run)
