"""/v1/api-keys: create, list and revoke keys. For admins only."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from wdist_service.errors import InvalidError
from wdist_service.http.dependencies import IdPath, ServicesDep, require_json
from wdist_service.http.executors import BoundedRoute
from wdist_service.http.problems import responses
from wdist_service.http.schemas import Page, page_of
from wdist_service.keys.caller import AdminDep
from wdist_service.keys.known import KnownKeys
from wdist_service.keys.schemas import KeyRequest, KeyView, NewKeyView, key_view
from wdist_service.keys.service import Keys

router = APIRouter(
    prefix="/v1/api-keys",
    tags=["API keys"],
    responses=responses(401, 403, 503),
    route_class=BoundedRoute,
)


@router.post(
    "", status_code=201, dependencies=[Depends(require_json)], responses=responses(400, 408, 413, 415, 422)
)  # fmt: skip
def create_key(body: KeyRequest, _admin: AdminDep, services: ServicesDep) -> NewKeyView:
    """Make a key; its secret is shown this once. The first one closes an open server and must be an admin's."""
    if services[Keys].is_open() and body.role != "admin":
        raise InvalidError("the first key must have the role admin: nobody could make another one", field="role")
    quota = None if body.quota is None else body.quota.model_dump(exclude_none=True)
    key, secret = services[Keys].create(tenant_id=body.tenant, name=body.name, role=body.role, quota=quota)
    return NewKeyView(**key_view(key).model_dump(), secret=secret)


@router.get("")
def list_keys(_admin: AdminDep, services: ServicesDep) -> Page[KeyView]:
    """All keys of all tenants, newest first."""
    return page_of([key_view(key) for key in services[Keys].list()])


@router.delete("/{key_id}", responses=responses(404, 422))
def revoke_key(key_id: IdPath, _admin: AdminDep, services: ServicesDep) -> KeyView:
    """End a key: here at once, on other replicas within two seconds. Its event streams end, too."""
    key = services[Keys].revoke(key_id)
    services[KnownKeys].forget()
    return key_view(key)
