"""/v1/sample-sets: upload, list, inspect, download and delete sample sets."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import FileResponse

from wdist.data.readers.registry import BY_MEDIA_TYPE, FORMATS
from wdist.data.tables.by import reading_by
from wdist.definitions.reading import Reading, Selection
from wdist.errors import OptionError
from wdist_service import tenancy
from wdist_service.decoding import formats
from wdist_service.decoding.formats import Format, check_selection
from wdist_service.decoding.runner import LevelsOf
from wdist_service.errors import InvalidError
from wdist_service.http.bodies import incoming, pump
from wdist_service.http.dependencies import AfterSampleSet, IdPath, LimitQuery, NameQuery, ServicesDep, require_json
from wdist_service.http.files import FILE, stored_file
from wdist_service.http.problems import responses
from wdist_service.http.routes import BoundedRoute, runs_in
from wdist_service.http.schemas import Page, page_of
from wdist_service.keys.caller import CallerDep, check_still_allowed
from wdist_service.keys.quotas import Room
from wdist_service.sample_sets.bodies import Sent, admit, check_digest, limited, parse_digest, receive_set
from wdist_service.sample_sets.columns import called
from wdist_service.sample_sets.receiving import Receiving
from wdist_service.sample_sets.schemas import (
    ColumnNames,
    InlineSamples,
    LevelsView,
    SampleSetView,
    Sending,
    SendingLevels,
    sample_set_view,
)
from wdist_service.sample_sets.service import SampleSets
from wdist_service.tables import SampleSet

router = APIRouter(
    prefix="/v1/sample-sets",
    tags=["sample sets"],
    responses=responses(401, 403, 503),
    route_class=BoundedRoute,
)
_BINARY = {"schema": {"type": "string", "format": "binary"}}
BODIES = {
    **dict.fromkeys(BY_MEDIA_TYPE, _BINARY),
    "text/csv": {"schema": {"type": "string"}, "example": "carat,price\n0.23,326\n0.31,335\n"},
    "application/json": {
        "schema": InlineSamples.model_json_schema(),
        "example": {"columns": ["carat", "price"], "samples": [[0.23, 326], [0.31, 335]]},
    },
}

_TABLES = {kind: BODIES[kind] for kind, each in BY_MEDIA_TYPE.items() if each.has_columns}


@router.post(
    "",
    status_code=201,
    responses={
        200: {"description": "The same set was uploaded before: that one", "model": SampleSetView},
        201: {"headers": {"Location": {"schema": {"type": "string"}}}},
        **responses(400, 408, 409, 413, 415, 422, 507),
    },
    openapi_extra={"requestBody": {"required": True, "content": BODIES}},
)
async def create_sample_set(
    request: Request,
    response: Response,
    caller: CallerDep,
    services: ServicesDep,
    sending: Annotated[Sending, Query()],
    repr_digest: Annotated[str | None, Header(max_length=500, description="sha-256=:base64:, checked.")] = None,
) -> SampleSetView:
    """Store an array, sent as the raw bytes of a file; other formats than .npy are converted to it."""
    kind = formats.choose(request.headers.get("content-type"), sending.format, sending.filename)
    sent = Sent(kind, sending.name, sending.selection, repr_digest)
    row, is_new = await receive_set(request, services, caller, sent)
    response.headers["Location"] = f"/v1/sample-sets/{row.id}"
    response.status_code = 201 if is_new else 200
    return sample_set_view(row)


@router.post(
    "/by",
    status_code=201,
    responses={
        200: {"description": "All of these sets were uploaded before", "model": LevelsView},
        **responses(400, 408, 413, 415, 422, 507),
    },
    openapi_extra={"requestBody": {"required": True, "content": _TABLES}},
)
async def create_sample_sets_by(
    request: Request,
    response: Response,
    caller: CallerDep,
    services: ServicesDep,
    sending: Annotated[SendingLevels, Query()],
    repr_digest: Annotated[str | None, Header(max_length=500, description="sha-256=:base64:, checked.")] = None,
) -> LevelsView:
    """Store the rows of each level of one column as a set of its own, named `NAME: LEVEL`: all of them, or none."""
    kind = formats.choose(request.headers.get("content-type"), sending.format, sending.filename)
    take, levels_of = _reading_of_levels(sending, kind)
    expected = parse_digest(repr_digest)
    room = Room(caller.tenant_id, caller.quota)
    bodies, decoding = services.executors["bodies"], services.executors["decoding"]
    left = await admit(request, services, room, decoding)
    async with incoming(services.storage, bodies) as file:
        with services[Receiving].within(room, left, limited(file, services.settings, kind)) as feed:
            await pump(request.stream(), feed, bodies)
        check_digest(expected, file)
        await bodies.go_on(file.seal)
        await check_still_allowed(services, caller)
        add = services[SampleSets].add_levels
        made = await decoding.run(add, room, sending.name, file, kind, take, levels_of)
    response.status_code = 201 if any(is_new for _, is_new in made) else 200
    return LevelsView(by=sending.by, data=[sample_set_view(row) for row, _ in made])


def _reading_of_levels(sending: SendingLevels, kind: Format) -> tuple[Selection, LevelsOf]:
    """How the table is read, with the column as a category. Raises InvalidError if it cannot be split."""
    if not FORMATS[kind].has_columns:
        raise InvalidError(f"{FORMATS[kind].title} has no columns with names to split it by", field="by")
    if sending.labels is not None:
        raise InvalidError("by stores rows, labels the labels of groups: leave one of them out", field="labels")
    try:
        reading = Reading.model_validate(sending.model_dump(include=set(Reading.model_fields)))
        take = Selection.of(reading_by(reading, sending.by))
    except OptionError as error:
        raise InvalidError(str(error), field="by") from error
    check_selection(take, kind)
    return take, LevelsOf(sending.by, sending.levels)


@router.get("", response_model=Page[SampleSetView], responses=responses(422))
def list_sample_sets(
    caller: CallerDep,
    services: ServicesDep,
    limit: LimitQuery = 20,
    after: AfterSampleSet = None,
    sha256: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$", description="Find sets by their content.")] = None,
    name: NameQuery = None,
) -> Response:
    """The caller's sets, newest first.

    Who asks for the sets with a sha256 wants to know whether to send the content. Where it is damaged or missing the
    answer is none, and sending it repairs the sets that have it.
    """
    query = tenancy.owned(SampleSet, caller.tenant_id)
    if sha256 is not None:
        query = query.where(SampleSet.sha256 == sha256)
    if name is not None:
        query = query.where(SampleSet.name == name)
    with services.database.read() as session:
        rows, following = tenancy.page(session, query, SampleSet, limit, after)
    if sha256 is not None and rows and not services.storage.has(sha256):
        rows, following = [], None
    return page_of(rows, sample_set_view.json, following)


@router.get("/{sample_set_id}", responses=responses(404, 422))
def get_sample_set(sample_set_id: IdPath, caller: CallerDep, services: ServicesDep) -> SampleSetView:
    """Shape, type, size and summary statistics."""
    with services.database.read() as session:
        return sample_set_view(tenancy.find(session, SampleSet, caller.tenant_id, sample_set_id))


@router.put(
    "/{sample_set_id}/columns",
    dependencies=[Depends(require_json)],
    responses=responses(400, 404, 408, 409, 413, 415, 422),
)
def put_columns(sample_set_id: IdPath, body: ColumnNames, caller: CallerDep, services: ServicesDep) -> SampleSetView:
    """Name the columns of a table that came without names (.npy, .npz); those of a set that has names stay."""
    return sample_set_view(services[SampleSets].name_columns(caller.tenant_id, sample_set_id, body.columns))


@router.get("/{sample_set_id}/content", response_class=FileResponse, responses=FILE)
@runs_in("storage")
def get_sample_set_content(
    sample_set_id: IdPath, request: Request, caller: CallerDep, services: ServicesDep
) -> Response:
    """The array as an .npy file."""
    with services.database.read() as session:
        row = tenancy.find(session, SampleSet, caller.tenant_id, sample_set_id)
    what = f"sample set {called(row)}"
    return stored_file(request, services.storage, row.sha256, f"{row.id}.npy", what=what)


@router.delete("/{sample_set_id}", status_code=204, responses=responses(404, 409, 422))
@runs_in("storage")
def delete_sample_set(sample_set_id: IdPath, caller: CallerDep, services: ServicesDep) -> None:
    """Forget a set that no queued or running estimate uses."""
    services[SampleSets].delete(caller.tenant_id, sample_set_id)
