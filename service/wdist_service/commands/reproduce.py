"""`wdist reproduce`: the paper's experiments on the published data."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from wdist_service.commands.output import Commands, fail, remark, say

DATASETS = ("mnist", "cifar10")


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
    robustness.add_argument("--net", choices=["small", "large", "fc3"], default="small")
    robustness.add_argument("--layers", choices=["bcop", "rko", "ossn", "svcm"], default="bcop")
    robustness.add_argument("--activation", choices=["maxmin", "relu"], default="maxmin")
    robustness.add_argument("--epochs", type=float, default=30, help="passes over the images (default: %(default)s)")
    robustness.add_argument("--learning-rate", type=float, default=0.02, help="on the manifold (default: %(default)s)")
    robustness.add_argument("--seed", type=int, default=0)
    robustness.add_argument("--attack-images", type=int, default=1000, help="test images attacked; 0: none")
    robustness.set_defaults(run=_robustness)


def _fetch(options: argparse.Namespace) -> int:
    from wdist.datasets import fetch
    from wdist.errors import WdistError

    try:
        for path in fetch(options.dataset, options.data):
            say(path)
    except WdistError as error:
        return fail(str(error))
    return 0


def _robustness(options: argparse.Namespace) -> int:
    from wdist.errors import WdistError
    from wdist.reproduce import robustness
    from wdist.robustness import ClassifierConfig

    def told(step: int, steps: int, value: float) -> None:
        remark(f"step {step:,} of {steps:,}: {100 * value:.2f} % certified on validation images")

    try:
        config = ClassifierConfig(options.net, options.layers, options.activation)
        figures = robustness(
            options.dataset,
            config,
            options.data,
            options.out,
            epochs=options.epochs,
            seed=options.seed,
            learning_rate=options.learning_rate,
            attack_images=options.attack_images,
            progress=told,
        )
    except WdistError as error:
        return fail(str(error))
    say(json.dumps(figures, indent=1))
    return 0
