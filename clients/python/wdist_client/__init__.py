"""Python client of a wdist server.

from wdist_client import Client, w1

print(w1(x, y))                          # one call: upload, estimate, result
with Client() as client:                 # or step by step
    real = client.sample_sets.create(x, name="real")
    fake = client.sample_sets.create("fake.npy")
    result = client.estimates.create(real, fake, confidence=0.99).wait(progress=True)
"""

__version__ = "0.1.0"

from wdist_client.async_client import AsyncBatchJob, AsyncClient, AsyncJob
from wdist_client.batches import Matrix
from wdist_client.client import BatchJob, Client, Job, w1
from wdist_client.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequest,
    Conflict,
    EstimateCanceled,
    EstimateFailed,
    InvalidRequest,
    NotFound,
    OptionError,
    PermissionDenied,
    RateLimited,
    SampleError,
    ServerError,
    StorageFull,
    TooLarge,
    UnexpectedAnswerError,
    UnsupportedFormat,
    WaitTimeout,
    WdistError,
)
from wdist_client.models import Batch, Estimate, Event, Progress, Result, SampleSet

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncBatchJob",
    "AsyncClient",
    "AsyncJob",
    "AuthenticationError",
    "BadRequest",
    "Batch",
    "BatchJob",
    "Client",
    "Conflict",
    "Estimate",
    "EstimateCanceled",
    "EstimateFailed",
    "Event",
    "InvalidRequest",
    "Job",
    "Matrix",
    "NotFound",
    "OptionError",
    "PermissionDenied",
    "Progress",
    "RateLimited",
    "Result",
    "SampleError",
    "SampleSet",
    "ServerError",
    "StorageFull",
    "TooLarge",
    "UnexpectedAnswerError",
    "UnsupportedFormat",
    "WaitTimeout",
    "WdistError",
    "w1",
]
