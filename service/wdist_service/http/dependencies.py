"""What endpoints ask for, as annotated aliases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from wdist_service.batches.service import Batches
from wdist_service.database import Database
from wdist_service.errors import ForbiddenError, UnauthorizedError, UnsupportedTypeError
from wdist_service.estimates.events import News
from wdist_service.estimates.service import Jobs
from wdist_service.evaluations.evaluator import Evaluations
from wdist_service.evaluations.service import EvaluationJobs
from wdist_service.http.metrics import HttpMetrics
from wdist_service.http.rate_limits import RateLimiter, TooManyRequestsError
from wdist_service.keys.quotas import Quota, quota_of
from wdist_service.keys.service import Keys
from wdist_service.queue.dispatch import Queue
from wdist_service.sample_sets.service import SampleSets
from wdist_service.settings import Settings
from wdist_service.storage.files import Storage
from wdist_service.tables import LOCAL_TENANT
from wdist_service.uploads.service import Uploads


@dataclass(frozen=True)
class Services:
    """Everything an endpoint can use."""

    settings: Settings
    database: Database
    storage: Storage
    queue: Queue
    jobs: Jobs
    sample_sets: SampleSets
    keys: Keys
    uploads: Uploads
    batches: Batches
    news: News
    http_metrics: HttpMetrics
    evaluations: Evaluations
    evaluation_jobs: EvaluationJobs
    rates: RateLimiter = field(default_factory=RateLimiter)


@dataclass(frozen=True)
class Caller:
    """Who calls: the tenant whose data it is, and what the key allows."""

    tenant_id: str
    role: str
    quota: Quota


_bearer = HTTPBearer(auto_error=False, description="An API key, `wd_...`; none is needed on an open local server.")


def get_services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(get_services)]


def get_caller(
    request: Request,
    services: ServicesDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller:
    if services.keys.is_open():
        return Caller(LOCAL_TENANT, "admin", quota_of(services.settings, None))
    if credentials is None:
        raise UnauthorizedError("send an API key in the header Authorization: Bearer wd_...")
    key = services.keys.find(credentials.credentials)
    if key is None:
        raise UnauthorizedError("this API key is unknown or revoked")
    quota = quota_of(services.settings, key)
    if quota.requests_per_minute is not None:
        allowance, may_pass = services.rates.take(key.id, quota.requests_per_minute)
        request.scope["rate_limit"] = allowance
        if not may_pass:
            raise TooManyRequestsError(
                f"this key may send {allowance.limit:,} requests a minute; wait", retry_after=allowance.reset_seconds
            )
    return Caller(key.tenant_id, key.role, quota)


CallerDep = Annotated[Caller, Depends(get_caller)]


def get_admin(caller: CallerDep) -> Caller:
    if caller.role != "admin":
        raise ForbiddenError("this needs a key with the role admin")
    return caller


AdminDep = Annotated[Caller, Depends(get_admin)]


def require_json(content_type: Annotated[str | None, Header(include_in_schema=False)] = None) -> None:
    """JSON endpoints read JSON only."""
    kind = (content_type or "application/json").split(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise UnsupportedTypeError(f"{kind[:100]!r} is not read here; send application/json")


def _cursor(prefix: str) -> Any:
    return Query(
        max_length=64, pattern=f"^{prefix}_[0-9a-z]+$", description="Cursor: `next` of the page before.",
        examples=[f"{prefix}_01jd3v5q3k8e9x7w2m4n6p8r0t"],
    )  # fmt: skip


LimitQuery = Annotated[int, Query(ge=1, le=100, description="Entries per page.")]
AfterSampleSet = Annotated[str | None, _cursor("ss")]
AfterEstimate = Annotated[str | None, _cursor("est")]
AfterBatch = Annotated[str | None, _cursor("batch")]
AfterEvaluation = Annotated[str | None, _cursor("ev")]
IdPath = Annotated[str, Path(max_length=64)]
