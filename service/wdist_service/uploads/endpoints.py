"""/v1/uploads: resumable uploads over tus 1.0 with the extensions creation, checksum, expiration, termination."""

from __future__ import annotations

from email.utils import formatdate
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from starlette.datastructures import MutableHeaders
from starlette.types import Message, Receive, Scope, Send

from wdist_service.errors import InvalidError, RequestError, UnsupportedTypeError
from wdist_service.http.bodies import BrokenBodyError, pump
from wdist_service.http.dependencies import IdPath, Services, ServicesDep
from wdist_service.http.executors import BoundedRoute, Executor, runs_in
from wdist_service.http.middleware import BodyTimeoutError, Middleware
from wdist_service.http.problems import MEDIA_TYPE, responses
from wdist_service.keys.caller import CallerDep, check_still_allowed
from wdist_service.tables import Upload
from wdist_service.uploads.schemas import UploadView, upload_view
from wdist_service.uploads.service import CHECKSUMS, Appending, Uploads, describe

VERSION = "1.0.0"
_PATH = "/v1/uploads"
_BODY_TYPE = "application/offset+octet-stream"


class VersionError(RequestError):
    status, type, title = 412, "tus_version", "Another version of the upload protocol"


async def require_version(
    tus_resumable: Annotated[str | None, Header(description="1.0.0", examples=[VERSION])] = None,
) -> None:
    if tus_resumable != VERSION:
        raise VersionError(f"send the header Tus-Resumable: {VERSION}")


router = APIRouter(prefix=_PATH, tags=["uploads"], responses=responses(401, 403, 503), route_class=BoundedRoute)
_versioned = [Depends(require_version)]
_problem = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
_text = {"schema": {"type": "string"}}
_number = {"schema": {"type": "integer"}}
_progress_headers = {"Upload-Offset": _number, "Upload-Expires": _text, "Tus-Resumable": _text}
_appending: dict[str, Any] = {  # shared by PATCH and the POST that overrides its method
    "status_code": 204,
    "response_class": Response,
    "dependencies": _versioned,
    "responses": {
        204: {"description": "Stored; Wdist-Sample-Set names the set once complete", "headers": _progress_headers},
        460: {"description": "Checksum mismatch", **_problem},
        **responses(400, 404, 408, 409, 410, 412, 413, 415, 422, 423, 507),
    },
    "openapi_extra": {
        "requestBody": {"content": {_BODY_TYPE: {"schema": {"type": "string", "format": "binary"}}}},
    },
}
OffsetHeader = Annotated[int, Header(ge=0, lt=1 << 63, description="Where these bytes belong.", examples=[0])]
ChecksumHeader = Annotated[
    str | None,
    Header(max_length=200, description="Algorithm and base64 digest of this body; checked before it counts."),
]


@router.options(
    "", status_code=204, response_class=Response, responses={204: {"description": "What this server can do"}}
)
@router.options("/{upload_id}", status_code=204, include_in_schema=False)
async def describe_uploads(services: ServicesDep) -> Response:
    """Protocol version, extensions and limits; needs no key."""
    return Response(
        status_code=204,
        headers={
            "Tus-Version": VERSION,
            "Tus-Extension": "creation,checksum,expiration,termination",
            "Tus-Max-Size": str(services.settings.max_upload_bytes),
            "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
        },
    )


@router.post(
    "",
    status_code=201,
    dependencies=_versioned,
    response_class=Response,
    responses={
        201: {"description": "Begun", "headers": {"Location": _text, **_progress_headers}},
        **responses(400, 409, 412, 413, 415, 422, 507),
    },
)
@runs_in("storage")
def create_upload(
    caller: CallerDep,
    services: ServicesDep,
    upload_length: Annotated[int, Header(ge=1, lt=1 << 63, description="Bytes of the whole file.", examples=[2528])],
    upload_metadata: Annotated[
        str | None,
        Header(
            description="Pairs `key base64value`: filetype, and the parameters of `POST /v1/sample-sets`, of which a "
            "list has one name a line.",
            examples=["name cmVhbA==,format bnB5"],
        ),
    ] = None,
) -> Response:
    """Begin a resumable upload."""
    upload = services[Uploads].create(caller.tenant_id, upload_length, describe(upload_metadata), caller.quota)
    return Response(status_code=201, headers={"Location": f"{_PATH}/{upload.id}", **_progress(upload, 0)})


@router.head(
    "/{upload_id}",
    dependencies=_versioned,
    response_class=Response,
    responses={
        200: {
            "description": "Where to continue",
            "headers": {"Upload-Length": _number, **_progress_headers},
            "content": {},
        },
        **responses(404, 410, 412, 422),
    },
)
def get_upload_offset(upload_id: IdPath, caller: CallerDep, services: ServicesDep) -> Response:
    """Bytes that are safe, and so where to continue."""
    upload = services[Uploads].get(caller.tenant_id, upload_id)
    headers = {"Upload-Length": str(upload.length), **_progress(upload, upload.offset)}
    if upload.given:
        headers["Upload-Metadata"] = upload.given
    return Response(headers=headers)


@router.get("/{upload_id}", responses=responses(404, 410, 422))
def get_upload(upload_id: IdPath, caller: CallerDep, services: ServicesDep) -> UploadView:
    """How far it is, and the sample set that it became or why it cannot be one."""
    return upload_view(services[Uploads].get(caller.tenant_id, upload_id))


@router.patch("/{upload_id}", **_appending)
async def append_to_upload(
    upload_id: IdPath,
    request: Request,
    caller: CallerDep,
    services: ServicesDep,
    upload_offset: OffsetHeader,
    upload_checksum: ChecksumHeader = None,
) -> Response:
    """Add bytes. After a lost connection ask for the offset (HEAD) and go on from there."""
    if request.headers.get("content-type", "") != _BODY_TYPE:
        raise UnsupportedTypeError(f"send the bytes as {_BODY_TYPE}")
    writes, storage = services.executors["writes"], services.executors["storage"]
    storage.check()
    append = services[Uploads].append
    appending = await writes.run(append, caller.tenant_id, upload_id, upload_offset, upload_checksum)
    try:
        try:
            await pump(request.stream(), appending.feed, storage)
        except (BrokenBodyError, BodyTimeoutError):
            await _finishing(services, appending).go_on(appending.keep)
            raise
        await check_still_allowed(services, caller)
        await _finishing(services, appending).go_on(appending.finish)
    finally:
        await writes.go_on(appending.__exit__)
    upload = await services.executors["reads"].go_on(services[Uploads].get, caller.tenant_id, upload_id)
    return Response(status_code=204, headers=_progress(upload, appending.offset))


def _finishing(services: Services, appending: Appending) -> Executor:
    """Where what has come is recorded: that may take long for the last bytes of a file that is to be decoded."""
    return services.executors["decoding" if appending.is_to_be_decoded() else "storage"]


@router.delete("/{upload_id}", status_code=204, dependencies=_versioned, responses=responses(404, 412, 422))
@runs_in("storage")
def delete_upload(upload_id: IdPath, caller: CallerDep, services: ServicesDep) -> None:
    """Forget an upload; a sample set that it became stays."""
    services[Uploads].terminate(caller.tenant_id, upload_id)


@router.post("/{upload_id}", **_appending)
async def override_upload_method(
    upload_id: IdPath,
    request: Request,
    caller: CallerDep,
    services: ServicesDep,
    x_http_method_override: Annotated[str, Header(pattern="^(PATCH|DELETE|HEAD)$", examples=["PATCH"])],
    upload_offset: Annotated[int | None, Header(ge=0, lt=1 << 63, description="As for PATCH.", examples=[0])] = None,
    upload_checksum: ChecksumHeader = None,
) -> Response:
    """PATCH, HEAD or DELETE for those whose network forbids these methods."""
    if x_http_method_override == "DELETE":
        await services.executors["storage"].run(delete_upload, upload_id, caller, services)
        return Response(status_code=204)
    if x_http_method_override == "HEAD":
        found = await services.executors["reads"].run(get_upload_offset, upload_id, caller, services)
        return Response(status_code=204, headers=dict(found.headers))
    if upload_offset is None:
        raise InvalidError("PATCH needs it", field="Upload-Offset")
    return await append_to_upload(upload_id, request, caller, services, upload_offset, upload_checksum)


def _progress(upload: Upload, offset: int) -> dict[str, str]:
    headers = {"Upload-Offset": str(offset), "Upload-Expires": formatdate(upload.expires_at, usegmt=True)}
    if upload.sample_set_id is not None:
        headers["Wdist-Sample-Set"] = upload.sample_set_id
    return headers


class ProtocolVersion(Middleware):
    """Adds Tus-Resumable to every response of these paths, errors included, as the protocol requires."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_version(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Tus-Resumable"] = VERSION
                if message["status"] == VersionError.status:
                    headers["Tus-Version"] = VERSION
            await send(message)

        await self.app(scope, receive, send_with_version if scope["path"].startswith(_PATH) else send)
