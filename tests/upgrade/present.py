"""Everything that the tests of upgrades need of the present code and its tests, apart from public names of wdist."""

import sys
from pathlib import Path

from service_fixtures import postgres_server, pytest_generate_tests, s3_server, stores
from service_process import Server
from stores import Stores, rows

from wdist.data.scaling import Scaling
from wdist.definitions.figures import METHOD_VERSION
from wdist.paper.robustness import ClassifierConfig, RobustTraining, certified_accuracy, train_robust_classifier

__all__ = [
    "METHOD_VERSION",
    "WDIST",
    "ClassifierConfig",
    "RobustTraining",
    "Scaling",
    "Server",
    "Stores",
    "certified_accuracy",
    "postgres_server",
    "pytest_generate_tests",
    "rows",
    "s3_server",
    "stores",
    "train_robust_classifier",
]
WDIST = Path(sys.executable).with_name("wdist")
