"""Python client of a wdist server.

from wdist_client import Client, w1

print(w1(x, y))                          # one call: upload, estimate, result
with Client() as client:                 # or step by step
    real = client.sample_sets.create(x, name="real")
    fake = client.sample_sets.create("fake.npy")
    result = client.estimates.create(real, fake, confidence=0.99).wait(progress=True)

Names are imported on first use, so that `import wdist_client` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wdist_client.async_client import AsyncClient as AsyncClient
    from wdist_client.batches import Matrix as Matrix
    from wdist_client.client import Client as Client
    from wdist_client.client import w1 as w1
    from wdist_client.contract import Alarm as Alarm
    from wdist_client.contract import Delivery as Delivery
    from wdist_client.contract import DeliveryDetail as DeliveryDetail
    from wdist_client.contract import Progress as Progress
    from wdist_client.contract import Thresholds as Thresholds
    from wdist_client.contract import Webhook as Webhook
    from wdist_client.errors import APIConnectionError as APIConnectionError
    from wdist_client.errors import APIStatusError as APIStatusError
    from wdist_client.errors import APITimeoutError as APITimeoutError
    from wdist_client.errors import AuthenticationError as AuthenticationError
    from wdist_client.errors import BadRequest as BadRequest
    from wdist_client.errors import Conflict as Conflict
    from wdist_client.errors import EstimateCanceled as EstimateCanceled
    from wdist_client.errors import EstimateFailed as EstimateFailed
    from wdist_client.errors import InvalidRequest as InvalidRequest
    from wdist_client.errors import LeftOutWarning as LeftOutWarning
    from wdist_client.errors import NotFound as NotFound
    from wdist_client.errors import OptionError as OptionError
    from wdist_client.errors import PermissionDenied as PermissionDenied
    from wdist_client.errors import RateLimited as RateLimited
    from wdist_client.errors import SampleError as SampleError
    from wdist_client.errors import ServerError as ServerError
    from wdist_client.errors import StorageFull as StorageFull
    from wdist_client.errors import TooLarge as TooLarge
    from wdist_client.errors import UnexpectedAnswerError as UnexpectedAnswerError
    from wdist_client.errors import UnsupportedFormat as UnsupportedFormat
    from wdist_client.errors import UpdateCanceled as UpdateCanceled
    from wdist_client.errors import UpdateFailed as UpdateFailed
    from wdist_client.errors import WaitTimeout as WaitTimeout
    from wdist_client.errors import WdistError as WdistError
    from wdist_client.errors import WithdrawnError as WithdrawnError
    from wdist_client.errors import WithdrawnWarning as WithdrawnWarning
    from wdist_client.handles.asynchronous import AsyncBatchJob as AsyncBatchJob
    from wdist_client.handles.asynchronous import AsyncJob as AsyncJob
    from wdist_client.handles.synchronous import BatchJob as BatchJob
    from wdist_client.handles.synchronous import Job as Job
    from wdist_client.models import Batch as Batch
    from wdist_client.models import Comparison as Comparison
    from wdist_client.models import Estimate as Estimate
    from wdist_client.models import Evaluation as Evaluation
    from wdist_client.models import Event as Event
    from wdist_client.models import MonitorState as MonitorState
    from wdist_client.models import MonitorUpdate as MonitorUpdate
    from wdist_client.models import NewWebhook as NewWebhook
    from wdist_client.models import Result as Result
    from wdist_client.models import SampleSet as SampleSet
    from wdist_client.models import Update as Update
    from wdist_client.monitors.asynchronous import AsyncMonitor as AsyncMonitor
    from wdist_client.monitors.asynchronous import AsyncUpdateJob as AsyncUpdateJob
    from wdist_client.monitors.synchronous import Monitor as Monitor
    from wdist_client.monitors.synchronous import UpdateJob as UpdateJob

__version__ = "0.2.0.dev0"

_HOME = {
    "AsyncClient": "async_client",
    "Matrix": "batches",
    "Client": "client",
    "w1": "client",
    "Alarm": "contract",
    "Delivery": "contract",
    "DeliveryDetail": "contract",
    "Progress": "contract",
    "Thresholds": "contract",
    "Webhook": "contract",
    "APIConnectionError": "errors",
    "APIStatusError": "errors",
    "APITimeoutError": "errors",
    "AuthenticationError": "errors",
    "BadRequest": "errors",
    "Conflict": "errors",
    "EstimateCanceled": "errors",
    "EstimateFailed": "errors",
    "InvalidRequest": "errors",
    "LeftOutWarning": "errors",
    "NotFound": "errors",
    "OptionError": "errors",
    "PermissionDenied": "errors",
    "RateLimited": "errors",
    "SampleError": "errors",
    "ServerError": "errors",
    "StorageFull": "errors",
    "TooLarge": "errors",
    "UnexpectedAnswerError": "errors",
    "UnsupportedFormat": "errors",
    "UpdateCanceled": "errors",
    "UpdateFailed": "errors",
    "WaitTimeout": "errors",
    "WdistError": "errors",
    "WithdrawnError": "errors",
    "WithdrawnWarning": "errors",
    "AsyncBatchJob": "handles.asynchronous",
    "AsyncJob": "handles.asynchronous",
    "BatchJob": "handles.synchronous",
    "Job": "handles.synchronous",
    "Batch": "models",
    "Comparison": "models",
    "Estimate": "models",
    "Evaluation": "models",
    "Event": "models",
    "MonitorState": "models",
    "MonitorUpdate": "models",
    "NewWebhook": "models",
    "Result": "models",
    "SampleSet": "models",
    "Update": "models",
    "AsyncMonitor": "monitors.asynchronous",
    "AsyncUpdateJob": "monitors.asynchronous",
    "Monitor": "monitors.synchronous",
    "UpdateJob": "monitors.synchronous",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'wdist_client' has no attribute {name!r}")
    return getattr(import_module(f"wdist_client.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
