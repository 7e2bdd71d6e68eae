"""Authenticate the caller: the tenant behind an API key, and what the key allows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.exc import DatabaseError

from wdist_service.errors import ForbiddenError, UnauthorizedError
from wdist_service.http.dependencies import Services, ServicesDep
from wdist_service.http.rate_limits import RateLimiter, TooManyRequestsError
from wdist_service.keys.known import KnownKeys
from wdist_service.keys.quotas import Quota, quota_of
from wdist_service.tables import LOCAL_TENANT

_UNKNOWN = "this API key is unknown or revoked"


@dataclass(frozen=True)
class Caller:
    """The tenant that a request acts for, and what its key allows. key_digest: None on an open server."""

    tenant_id: str
    role: str
    quota: Quota
    key_digest: str | None = field(repr=False)


_bearer = HTTPBearer(auto_error=False, description="An API key, `wd_...`; none is needed on an open local server.")


async def get_caller(
    request: Request,
    services: ServicesDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller:
    known = services[KnownKeys]
    if await known.is_open():
        return Caller(LOCAL_TENANT, "admin", quota_of(services.settings, None), None)
    if credentials is None:
        raise UnauthorizedError("send an API key in the header Authorization: Bearer wd_...")
    digest = known.digest(credentials.credentials)
    if (key := await known.find(digest)) is None:
        raise UnauthorizedError(_UNKNOWN)
    quota = quota_of(services.settings, key)
    if quota.requests_per_minute is not None:
        allowance, may_pass = services[RateLimiter].take(key.id, quota.requests_per_minute)
        request.scope["rate_limit"] = allowance
        if not may_pass:
            raise TooManyRequestsError(
                f"this key may send {allowance.limit:,} requests a minute; wait", retry_after=allowance.reset_seconds
            )
    return Caller(key.tenant_id, key.role, quota, digest)


CallerDep = Annotated[Caller, Depends(get_caller)]


async def is_still_allowed(services: Services, caller: Caller) -> bool:
    """Whether the caller's key is still valid: what takes long asks again and again.

    While the database is down it counts as valid, for nothing can be read that it should not see.
    """
    try:
        if caller.key_digest is None:
            return await services[KnownKeys].is_open()
        return await services[KnownKeys].find(caller.key_digest, was_let_in=True) is not None
    except DatabaseError:
        return True


async def check_still_allowed(services: Services, caller: Caller) -> None:
    """Raise UnauthorizedError if the caller's key was revoked while its request was under way."""
    if not await is_still_allowed(services, caller):
        raise UnauthorizedError(_UNKNOWN)


async def get_admin(caller: CallerDep) -> Caller:
    if caller.role != "admin":
        raise ForbiddenError("this needs a key with the role admin")
    return caller


AdminDep = Annotated[Caller, Depends(get_admin)]
