"""Authenticate the caller: the tenant behind an API key, and what the key allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from wdist_service.errors import ForbiddenError, UnauthorizedError
from wdist_service.http.dependencies import ServicesDep
from wdist_service.http.rate_limits import RateLimiter, TooManyRequestsError
from wdist_service.keys.quotas import Quota, quota_of
from wdist_service.keys.service import Keys
from wdist_service.tables import LOCAL_TENANT


@dataclass(frozen=True)
class Caller:
    """The tenant that a request acts for, and what its key allows."""

    tenant_id: str
    role: str
    quota: Quota


_bearer = HTTPBearer(auto_error=False, description="An API key, `wd_...`; none is needed on an open local server.")


def get_caller(
    request: Request,
    services: ServicesDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller:
    if services[Keys].is_open():
        return Caller(LOCAL_TENANT, "admin", quota_of(services.settings, None))
    if credentials is None:
        raise UnauthorizedError("send an API key in the header Authorization: Bearer wd_...")
    key = services[Keys].find(credentials.credentials)
    if key is None:
        raise UnauthorizedError("this API key is unknown or revoked")
    quota = quota_of(services.settings, key)
    if quota.requests_per_minute is not None:
        allowance, may_pass = services[RateLimiter].take(key.id, quota.requests_per_minute)
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
