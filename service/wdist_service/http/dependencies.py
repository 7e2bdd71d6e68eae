"""Dependencies that endpoints of all resources share, as annotated aliases."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Path, Query, Request

from wdist_service.database import Database
from wdist_service.errors import UnsupportedTypeError
from wdist_service.http.executors import Executors
from wdist_service.http.text import check_body
from wdist_service.settings import Settings
from wdist_service.storage.files import Storage
from wdist_service.text import LINE, MAX_LINE

Service = TypeVar("Service")


class Services:
    """Everything that an endpoint can use: settings, database, storage, executors, and services, found by class."""

    def __init__(self, settings: Settings, database: Database, storage: Storage, *others: object) -> None:
        self.settings, self.database, self.storage = settings, database, storage
        self._by_kind = {type(service): service for service in others}
        self.executors = self[Executors]

    def __getitem__(self, kind: type[Service]) -> Service:
        """The service of this class. Raises KeyError if the application was built without it."""
        service = self._by_kind[kind]
        assert isinstance(service, kind)  # noqa: S101 - for the type checker
        return service


async def get_services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(get_services)]


async def require_json(
    request: Request, content_type: Annotated[str | None, Header(include_in_schema=False)] = None
) -> None:
    """Refuse a body that is not JSON, or has text that may not be stored. Every operation with a JSON body needs it."""
    kind = (content_type or "application/json").split(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise UnsupportedTypeError(f"{kind[:100]!r} is not read here; send application/json")
    await check_body(request)


def _cursor(prefix: str) -> Any:
    return Query(
        max_length=64, pattern=f"^{prefix}_[0-9a-z]+$", description="Cursor: `next` of the page before.",
        examples=[f"{prefix}_01jd3v5q3k8e9x7w2m4n6p8r0t"],
    )  # fmt: skip


NameQuery = Annotated[
    str | None, Query(max_length=MAX_LINE, pattern=LINE, description="Only those with exactly this name.")
]
SearchQuery = Annotated[
    str | None,
    Query(
        max_length=MAX_LINE, pattern=LINE,
        description="Only those with this text in their name or in that of one of their sample sets, in upper or lower "
        "case, or with an id that begins with it.",
        examples=["diamonds"],
    ),
]  # fmt: skip
LimitQuery = Annotated[int, Query(ge=1, le=100, description="Entries per page.")]
AfterSampleSet = Annotated[str | None, _cursor("ss")]
AfterEstimate = Annotated[str | None, _cursor("est")]
AfterBatch = Annotated[str | None, _cursor("batch")]
AfterMonitor = Annotated[str | None, _cursor("mon")]
AfterUpdate = Annotated[str | None, _cursor("mu")]
AfterEvaluation = Annotated[str | None, _cursor("ev")]
AfterWebhook = Annotated[str | None, _cursor("wh")]
AfterDelivery = Annotated[str | None, _cursor("dlv")]
IdPath = Annotated[str, Path(max_length=64)]
