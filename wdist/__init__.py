"""wdist: bounds on the Wasserstein-1 distance that can be trusted.

Names are imported on first use, so that `import wdist` (and `wdist --help`) does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wdist.comparison import Comparison as Comparison
    from wdist.comparison import compare_w1 as compare_w1
    from wdist.critics.critic import load_critic as load_critic
    from wdist.data.samples import open_samples as open_samples
    from wdist.errors import OptionError as OptionError
    from wdist.errors import RepeatedBatchError as RepeatedBatchError
    from wdist.errors import SampleError as SampleError
    from wdist.errors import WdistError as WdistError
    from wdist.estimate import estimate_w1 as estimate_w1
    from wdist.matrix import Matrix as Matrix
    from wdist.matrix import matrix_w1 as matrix_w1
    from wdist.monitoring.monitor import Monitor as Monitor
    from wdist.monitoring.monitor import Update as Update
    from wdist.planning.plan import RowPlan as RowPlan
    from wdist.planning.plan import plan_w1 as plan_w1
    from wdist.result import Result as Result
    from wdist.verify import verify_certificate as verify_certificate

__version__ = "0.2.0.dev0"

_HOME = {
    "compare_w1": "wdist.comparison",
    "estimate_w1": "wdist.estimate",
    "load_critic": "wdist.critics.critic",
    "matrix_w1": "wdist.matrix",
    "plan_w1": "wdist.planning.plan",
    "open_samples": "wdist.data.samples",
    "Comparison": "wdist.comparison",
    "Matrix": "wdist.matrix",
    "Monitor": "wdist.monitoring.monitor",
    "Update": "wdist.monitoring.monitor",
    "Result": "wdist.result",
    "RowPlan": "wdist.planning.plan",
    "verify_certificate": "wdist.verify",
    "WdistError": "wdist.errors",
    "SampleError": "wdist.errors",
    "RepeatedBatchError": "wdist.errors",
    "OptionError": "wdist.errors",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'wdist' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
