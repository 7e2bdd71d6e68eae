"""/v1/webhooks: where the server tells what has happened. For admins only, each for their own tenant."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from wdist_service import tenancy
from wdist_service.http.dependencies import (
    AfterDelivery,
    AfterWebhook,
    IdPath,
    LimitQuery,
    ServicesDep,
    require_json,
)
from wdist_service.http.problems import responses
from wdist_service.http.routes import BoundedRoute
from wdist_service.http.schemas import Page, page_of
from wdist_service.keys.caller import AdminDep
from wdist_service.tables import Webhook
from wdist_service.webhooks.schemas import (
    DeliveryDetailView,
    DeliveryStatus,
    DeliveryView,
    NewWebhookView,
    WebhookChange,
    WebhookRequest,
    WebhookView,
    delivery_detail_view,
    delivery_view,
    new_webhook_view,
    webhook_view,
)
from wdist_service.webhooks.service import Webhooks

router = APIRouter(
    prefix="/v1/webhooks", tags=["webhooks"], responses=responses(401, 403, 503), route_class=BoundedRoute
)
_LOCATION = {"headers": {"Location": {"schema": {"type": "string"}}}}
StatusQuery = Annotated[DeliveryStatus | None, Query(description="Only those in this state.")]


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(require_json)],
    responses={201: _LOCATION, **responses(400, 408, 409, 413, 415, 422)},
)
def create_webhook(body: WebhookRequest, admin: AdminDep, services: ServicesDep, response: Response) -> NewWebhookView:
    """Register an address for the events of the caller's tenant. Its secret is shown this once."""
    service = services[Webhooks]
    webhook = service.create(admin.tenant_id, body)
    response.headers["Location"] = f"/v1/webhooks/{webhook.id}"
    return new_webhook_view(webhook, time.time(), service.secret(webhook))


@router.get("", response_model=Page[WebhookView], responses=responses(422))
def list_webhooks(
    admin: AdminDep, services: ServicesDep, limit: LimitQuery = 20, after: AfterWebhook = None
) -> Response:
    """The webhooks of the caller's tenant, newest first."""
    with services.database.read() as session:
        rows, following = tenancy.page(session, tenancy.owned(Webhook, admin.tenant_id), Webhook, limit, after)
    now = time.time()
    return page_of(rows, lambda row: webhook_view.json(row, now), following)


@router.get("/{webhook_id}", responses=responses(404, 422))
def get_webhook(webhook_id: IdPath, admin: AdminDep, services: ServicesDep) -> WebhookView:
    """A webhook, and whether what is sent to it arrives."""
    return webhook_view(services[Webhooks].find(admin.tenant_id, webhook_id), time.time())


@router.patch(
    "/{webhook_id}", dependencies=[Depends(require_json)], responses=responses(400, 404, 408, 413, 415, 422)
)  # fmt: skip
def change_webhook(
    webhook_id: IdPath, body: WebhookChange, admin: AdminDep, services: ServicesDep
) -> WebhookView:  # fmt: skip
    """Change what is given. Enabling a webhook that was disabled forgets its failures."""
    return webhook_view(services[Webhooks].change(admin.tenant_id, webhook_id, body), time.time())


@router.delete("/{webhook_id}", status_code=204, responses=responses(404, 422))
def delete_webhook(webhook_id: IdPath, admin: AdminDep, services: ServicesDep) -> None:
    """Forget a webhook and the log of its deliveries."""
    services[Webhooks].delete(admin.tenant_id, webhook_id)


@router.post("/{webhook_id}/rotate", responses=responses(404, 422))
def rotate_webhook_secret(webhook_id: IdPath, admin: AdminDep, services: ServicesDep) -> NewWebhookView:
    """Make a new secret. For a day, unless a setting says otherwise, the old one signs, too."""
    service = services[Webhooks]
    webhook = service.rotate(admin.tenant_id, webhook_id)
    return new_webhook_view(webhook, time.time(), service.secret(webhook))


@router.post("/{webhook_id}/test", status_code=202, responses=responses(404, 409, 422))
def test_webhook(webhook_id: IdPath, admin: AdminDep, services: ServicesDep) -> DeliveryView:
    """Send an event of the type webhook.ping, whatever the webhook's events are."""
    return delivery_view(services[Webhooks].ping(admin.tenant_id, webhook_id))


@router.get("/{webhook_id}/deliveries", response_model=Page[DeliveryView], responses=responses(404, 422))
def list_deliveries(
    webhook_id: IdPath,
    admin: AdminDep,
    services: ServicesDep,
    limit: LimitQuery = 20,
    after: AfterDelivery = None,
    status: StatusQuery = None,
) -> Response:
    """What was sent to a webhook and what waits to be sent, newest first."""
    rows, following = services[Webhooks].deliveries(admin.tenant_id, webhook_id, status, limit, after)
    return page_of(rows, delivery_view.json, following)


@router.get("/{webhook_id}/deliveries/{delivery_id}", responses=responses(404, 422))
def get_delivery(
    webhook_id: IdPath, delivery_id: IdPath, admin: AdminDep, services: ServicesDep
) -> DeliveryDetailView:  # fmt: skip
    """A delivery with its payload and its requests."""
    return delivery_detail_view(services[Webhooks].delivery(admin.tenant_id, webhook_id, delivery_id))


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/retry", status_code=202, responses=responses(404, 409, 422)
)  # fmt: skip
def retry_delivery(webhook_id: IdPath, delivery_id: IdPath, admin: AdminDep, services: ServicesDep) -> DeliveryView:
    """Send it now, whether it waits, failed or succeeded. The event keeps its id."""
    return delivery_view(services[Webhooks].retry(admin.tenant_id, webhook_id, delivery_id))
