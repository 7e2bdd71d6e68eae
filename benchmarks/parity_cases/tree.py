"""The checkout under test: what the cases import from it beyond its public names, and its `wdist` command.

Modules move between releases. Where a name has several homes, the newest comes first and the first that exists counts.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import tomllib
from pathlib import Path
from typing import Any

INTERNAL: dict[str, tuple[str, ...]] = {
    "Options": ("wdist.options", "wdist.estimator"),
    "Estimation": ("wdist.estimate", "wdist.estimator"),
    "Stopped": ("wdist.errors",),
    "run_together": ("wdist.training.lockstep", "wdist.together"),
    "ClassifierConfig": ("wdist.paper.robustness", "wdist.robustness"),
    "RobustTraining": ("wdist.paper.robustness", "wdist.robustness"),
    "train_robust_classifier": ("wdist.paper.robustness", "wdist.robustness"),
    "certified_accuracy": ("wdist.paper.robustness", "wdist.robustness"),
    "logits_of": ("wdist.paper.robustness", "wdist.robustness"),
    "pair_bounds": ("wdist.paper.robustness", "wdist.robustness"),
    "attack": ("wdist.paper.attack", "wdist.attack"),
}
PACKAGES = ("wdist", "wdist_service", "wdist_client")


def internal(name: str) -> Any:
    """The object with this key of `INTERNAL`: a module, or module:name where the name has changed too."""
    for home in INTERNAL[name]:
        module, _, renamed = home.partition(":")
        with contextlib.suppress(ModuleNotFoundError):
            if (found := getattr(importlib.import_module(module), renamed or name, None)) is not None:
                return found
    raise ImportError(f"{name} is in none of {', '.join(INTERNAL[name])}: add its new home to INTERNAL in {__file__}")


def check_packages(tree: Path) -> None:
    """Raises ImportError where a package comes from elsewhere: the run would compare a release with itself."""
    for name in PACKAGES:
        file = importlib.import_module(name).__file__
        if file is None or not Path(file).resolve().is_relative_to(tree.resolve()):
            raise ImportError(f"{name} is imported from {file}, not from {tree}")


def wdist_command(tree: Path) -> list[str]:
    """The start of a command line that runs the `wdist` of the checkout, by the entry point that it declares."""
    scripts = tomllib.loads((tree / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts["wdist"].partition(":")
    code = f"import sys; from {module} import {function} as main; sys.argv[0] = 'wdist'; sys.exit(main())"
    return [sys.executable, "-c", code]
