"""Request bodies that become sample sets: what is checked before, while and after they come."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from fastapi import Request

from wdist.definitions.reading import Selection
from wdist_service.decoding.formats import Format, check_selection, is_kept_as_sent
from wdist_service.errors import TooLargeError
from wdist_service.http.bodies import incoming, pump
from wdist_service.http.dependencies import Services
from wdist_service.http.executors import Executor
from wdist_service.keys.caller import Caller, check_still_allowed
from wdist_service.keys.quotas import Room
from wdist_service.sample_sets.receiving import Receiving
from wdist_service.sample_sets.service import DigestError, NpyReceiver, SampleSets
from wdist_service.settings import Settings
from wdist_service.storage.files import Incoming
from wdist_service.tables import SampleSet

_DIGEST = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]{1,64}):")


@dataclass(frozen=True)
class Sent:
    """What a body is: its format, the name of the set, how it is read, and its Repr-Digest header."""

    kind: Format
    name: str | None
    take: Selection
    repr_digest: str | None = None


async def receive_set(request: Request, services: Services, caller: Caller, sent: Sent) -> tuple[SampleSet, bool]:
    """Receive the body of a request and store it as a sample set. Returns it, and whether it is new.

    Raises the errors of a body that is too long, damaged, or not what it should be, and QuotaError.
    """
    kind, take = sent.kind, sent.take
    check_selection(take, kind)
    expected = parse_digest(sent.repr_digest)
    room = Room(caller.tenant_id, caller.quota)
    bodies, sets = services.executors["bodies"], services[SampleSets]
    storing = services.executors["storage" if is_kept_as_sent(kind, take) else "decoding"]
    left = await admit(request, services, room, storing)
    async with incoming(services.storage, bodies) as file:
        if is_kept_as_sent(kind, take):
            receiver = NpyReceiver(file, check=partial(_check_room, room, left))
            with services[Receiving].within(room, left, receiver.feed) as feed:
                await pump(request.stream(), feed, bodies)
            row = await bodies.go_on(receiver.finish, caller.tenant_id, sent.name)
            add = partial(sets.add, file, row, room)
        else:
            with services[Receiving].within(room, left, limited(file, services.settings, kind)) as feed:
                await pump(request.stream(), feed, bodies)
            await bodies.go_on(file.seal)
            add = partial(sets.add_decoded, room, sent.name, file, kind, take)
        check_digest(expected, file)
        await check_still_allowed(services, caller)
        return await storing.run(add)


async def admit(request: Request, services: Services, room: Room, storing: Executor) -> int | None:
    """Refuse a body before it comes if it exceeds the quota, or if too many others wait for what would come next.

    Returns how long one without a declared length may become; None: any length.
    """
    storing.check()
    declared = request.headers.get("content-length")
    return await services.executors["reads"].run(_admit_declared, services, room, declared)


def _admit_declared(services: Services, room: Room, declared: str | None) -> int | None:
    with services.database.read() as session:
        room.admit(session, int(declared) if declared and declared.isdigit() else 0)
        return room.left(session)


def _check_room(room: Room, left: int | None, _shape: tuple[int, ...], declared: int) -> None:
    """Reject an .npy file whose header declares more bytes than are left."""
    if left is not None and declared > left:
        raise room.refusal(left)


def limited(file: Incoming, settings: Settings, kind: Format) -> Callable[[memoryview], None]:
    """A writer that enforces the size limit. The limit of inline JSON is low because it is parsed in memory."""
    limit = settings.max_json_bytes if kind == "json" else settings.max_upload_bytes

    def write(data: memoryview) -> None:
        if file.bytes + len(data) > limit:
            raise TooLargeError(
                f"the body ({kind}) is longer than {limit:,} bytes; send the array as .npy", field="body"
            )
        file.write(data)

    return write


def check_digest(expected: str | None, file: Incoming) -> None:
    if expected is not None and expected != file.sha256:
        raise DigestError("the body's sha256 is not the one in Repr-Digest; send it again", field="Repr-Digest")


def parse_digest(header: str | None) -> str | None:
    """The hexadecimal sha256 of a Repr-Digest header (RFC 9530)."""
    if header is None or not (match := _DIGEST.search(header)):
        return None
    try:
        return base64.b64decode(match[1], validate=True).hex()
    except binascii.Error:
        raise DigestError("Repr-Digest is not base64", field="Repr-Digest") from None
