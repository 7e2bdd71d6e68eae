"""Resumable uploads. Offset and lock are in the database and bytes in blob storage, so any replica can continue one.

An upload is a row of `uploads` and its parts. A request that appends to it takes the row's lock. Its process gives the
lock back when the request ends, or has been silent for a lease; the lock of a dead process (queue/leases.py) is free.
Every write checks the lock's token, so a request that lost the lock (a frozen process, a dead connection) changes
nothing. The last part is recorded only once the sample set exists, so after a crash in between the upload can still be
resumed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from wdist.data.readers.npy import HEADER_LIMIT
from wdist.data.readers.registry import BY_MEDIA_TYPE, NPY, of_file_name
from wdist.definitions.reading import Selection
from wdist.definitions.refusals import refusals
from wdist.errors import SampleError
from wdist_service import tenancy
from wdist_service.database import Database, retried_after_races
from wdist_service.decoding import formats
from wdist_service.decoding.formats import Format
from wdist_service.errors import InvalidError, RequestError, TooLargeError
from wdist_service.ids import new_id
from wdist_service.keys.quotas import Quota, Room, admit_bytes
from wdist_service.queue.leases import Leases
from wdist_service.sample_sets import npy
from wdist_service.sample_sets.schemas import LISTS, Sending
from wdist_service.sample_sets.service import SampleSets
from wdist_service.settings import Settings
from wdist_service.storage.damage import damage_of
from wdist_service.storage.files import Incoming, Storage
from wdist_service.storage.references import delete_with_files, discard_unused
from wdist_service.tables import SampleSet, Upload, UploadPart
from wdist_service.text import fault_in_text
from wdist_service.uploads.locks import Locks

if TYPE_CHECKING:
    from _hashlib import HASH

PART_BYTES = 16 << 20  # the most that must be sent again after a crash
CHECKSUMS = ("sha1", "sha256", "sha512")
MAX_METADATA = 16_384
_EXPIRED_AT_ONCE = 50


class GoneError(RequestError):
    status, type, title = 410, "gone", "This upload has ended"


class LockedError(RequestError):
    status, type, title = 423, "locked", "Another request is adding to this upload"


class OffsetError(RequestError):
    status, type, title = 409, "offset_mismatch", "The upload continues elsewhere"


class ChecksumError(RequestError):
    status, type, title = 460, "checksum_mismatch", "The bytes were damaged on their way"


@dataclass(frozen=True)
class Description:
    """What Upload-Metadata says about the file."""

    name: str | None
    kind: Format
    take: Selection
    given: str


def describe(header: str | None) -> Description:
    """Parse an Upload-Metadata header: pairs of a key and a base64 value.

    The known keys are filetype and the parameters of an upload in one request (`Sending`); of a list, one name a line.
    Raises InvalidError and UnsupportedTypeError.
    """
    given = header or ""
    if len(given) > MAX_METADATA:
        raise InvalidError(f"more than {MAX_METADATA:,} characters", field="Upload-Metadata")
    values: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in given.split(","))):
        key, _, value = pair.partition(" ")
        try:
            values[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, ValueError):
            raise InvalidError(
                f"the value of {key[:50]!r} is not base64 of UTF-8 text", field="Upload-Metadata"
            ) from None
        if (fault := fault_in_text(values[key])) is not None:
            raise InvalidError(f"{key[:50]} {fault}: leave it out", field="Upload-Metadata")
    sending = _sending(values)
    if sending.format is not None:
        kind = sending.format
    else:
        by_type = BY_MEDIA_TYPE.get(values.get("filetype", "").split(";")[0].strip().lower(), NPY)
        kind = (of_file_name(sending.filename or "") or by_type).name
    take = sending.selection
    formats.check_selection(take, kind)
    # An empty name is none, for which the file's does not stand in.
    return Description(sending.name if "name" in values else sending.filename, kind, take, given)


def _sending(values: Mapping[str, str]) -> Sending:
    """The parameters among the pairs of an Upload-Metadata header. Raises InvalidError, which names the parameter."""
    if "format" in values:
        formats.named(values["format"])
    known = {name: text for name, text in values.items() if name in Sending.model_fields and text}
    listed = {name: text.split("\n") if name in LISTS else text for name, text in known.items()}
    try:
        return Sending.model_validate(listed)
    except ValidationError as error:
        field, sentence = refusals(error.errors(), listed)[0]
        raise InvalidError(sentence, field=field) from None


class Uploads:
    """The resumable uploads of all tenants."""

    def __init__(
        self, database: Database, storage: Storage, sample_sets: SampleSets, settings: Settings, leases: Leases
    ) -> None:
        self._database = database
        self._storage = storage
        self._sample_sets = sample_sets
        self._settings = settings
        self.locks = Locks(database, leases.holder_id, settings.lease_seconds)

    def create(self, tenant_id: str, length: int, description: Description, quota: Quota) -> Upload:
        """Begin an upload of `length` bytes, which count towards the quota. Raises TooLargeError and QuotaError."""
        limit = self._settings.max_json_bytes if description.kind == "json" else self._settings.max_upload_bytes
        if length > limit:
            raise TooLargeError(f"{length:,} bytes are more than the limit of {limit:,}", field="Upload-Length")
        self.expire()
        with self._database.write() as session:
            now = self._database.now(session)
            admit_bytes(session, tenant_id, quota, length + len(description.given), now)
            upload = Upload(
                id=new_id("up"), tenant_id=tenant_id, length=length, offset=0, name=description.name,
                format=description.kind, member=description.take.member, given=description.given,
                created_at=time.time(), expires_at=now + self._settings.upload_expiry_seconds,
            )  # fmt: skip
            session.add(upload)
            return upload

    def get(self, tenant_id: str, upload_id: str) -> Upload:
        """Raises NotFoundError, and GoneError once it has expired."""
        with self._database.read() as session:
            upload = tenancy.find(session, Upload, tenant_id, upload_id)
            if upload.expires_at < self._database.now(session):
                raise GoneError(f"{upload_id} has expired; begin a new upload")
            return upload

    def append(self, tenant_id: str, upload_id: str, offset: int, checksum: str | None, quota: Quota) -> Appending:
        """Acquire the lock to append at `offset`. Raises OffsetError, LockedError, GoneError and NotFoundError.

        quota: of the sample set that the upload becomes.
        """
        hasher, expected = _parse_checksum(checksum)
        upload = self.get(tenant_id, upload_id)
        if upload.error is not None:
            raise GoneError(f"{upload_id} cannot become a sample set: {upload.error}")
        if (token := self.locks.acquire(upload_id, offset)) is None:
            upload = self.get(tenant_id, upload_id)
            if upload.offset != offset:
                raise OffsetError(f"{upload_id} is at offset {upload.offset:,}, not {offset:,}", field="Upload-Offset")
            raise LockedError(f"{upload_id} is being added to; ask for its offset and try again", retry_after=2)
        room = Room(tenant_id, quota, promised=upload.length + len(upload.given))
        return Appending(self, upload, token, room, hasher, expected)

    def terminate(self, tenant_id: str, upload_id: str) -> None:
        """Delete an upload and its bytes. The sample set made from it stays."""

        def rows(session: Session) -> list[str]:
            return _forget(session, [tenancy.find(session, Upload, tenant_id, upload_id).id])

        delete_with_files(self._database, self._storage, rows)

    def expire(self) -> int:
        """Delete expired uploads. Returns their number."""
        with self._database.read() as session:
            now = self._database.now(session)
            query = select(Upload.id).where(Upload.expires_at < now).limit(_EXPIRED_AT_ONCE)
            if not (ids := list(session.execute(query).scalars())):
                return 0
        delete_with_files(self._database, self._storage, lambda session: _forget(session, ids))
        return len(ids)

    # --- used by Appending

    def part(self) -> Incoming:
        return self._storage.incoming()

    @retried_after_races
    def record(self, upload: Upload, token: str, offset: int, files: list[Incoming]) -> None:
        """Record sealed parts that start at `offset`, all or none."""
        for file in files:
            self._storage.send(file)
        with self._database.write() as session:
            self._database.hold(session, *(file.sha256 for file in files))
            end = offset + sum(file.bytes for file in files)
            self._touch(session, upload, token, {"offset": end, "expires_at": self._expiry(session)})
            for file in files:
                self._storage.place(file)
                session.add(UploadPart(upload_id=upload.id, offset=offset, bytes=file.bytes, sha256=file.sha256))
                offset += file.bytes

    def complete(self, upload: Upload, token: str, room: Room, last: list[Incoming]) -> SampleSet:
        """Make a sample set from the recorded parts and the last ones.

        Raises InvalidError if the bytes are not one, and QuotaError if it needs more bytes than the upload promised and
        the quota leaves: another attempt may follow once there is room.
        """
        with self._database.read() as session:
            query = select(UploadPart.sha256).where(UploadPart.upload_id == upload.id).order_by(UploadPart.offset)
            hashes = list(session.execute(query).scalars())
        with damage_of(f"upload {upload.id}", "delete it, then begin a new upload"):
            paths = [self._storage.path(sha256) for sha256 in hashes] + [file.path for file in last]

        def mark(session: Session, row: SampleSet) -> None:
            ended = {"offset": upload.length, "sample_set_id": row.id, "expires_at": self._expiry(session)}
            self._touch(session, upload, token, ended)
            session.execute(delete(UploadPart).where(UploadPart.upload_id == upload.id))

        try:
            with self.locks.busy(token):
                row, _ = self._sample_sets.add_parts(
                    room,
                    upload.name,
                    paths,
                    formats.named(upload.format),
                    describe(upload.given).take,
                    mark,
                )
        except (InvalidError, TooLargeError) as error:
            self._fail(upload, token, error.detail)
            raise
        finally:
            discard_unused(self._database, self._storage, hashes)
        return row

    def refuse(self, upload: Upload, token: str, start: bytes) -> None:
        """Raise InvalidError early for an .npy header that does not match the length of the upload."""
        try:
            header = npy.read_header(start)
            if header is None or npy.total_bytes(header) == upload.length:
                return
            reason = f"its header declares {npy.total_bytes(header):,} bytes, Upload-Length is {upload.length:,}"
        except SampleError as error:
            reason = str(error)
        self._fail(upload, token, reason)
        raise InvalidError(reason, field="body")

    def _fail(self, upload: Upload, token: str, reason: str) -> None:
        def parts(session: Session) -> list[str]:
            self._touch(session, upload, token, {"error": reason})
            query = delete(UploadPart).where(UploadPart.upload_id == upload.id).returning(UploadPart.sha256)
            return list(session.execute(query).scalars())

        delete_with_files(self._database, self._storage, parts)

    def _touch(self, session: Session, upload: Upload, token: str, values: dict[str, object]) -> None:
        if not self.locks.change(session, upload.id, token, values):
            raise LockedError(f"{upload.id} was continued by another request, or ended", retry_after=1)

    def _expiry(self, session: Session) -> float:
        return self._database.now(session) + self._settings.upload_expiry_seconds


class Appending:
    """One request that appends bytes. As a context manager it releases the lock and removes unrecorded parts on exit.

    With a checksum, nothing is recorded until the whole body has been checked. Without one, each part is recorded once
    it is on disk.
    """

    def __init__(
        self, uploads: Uploads, upload: Upload, token: str, room: Room, hasher: HASH | None, expected: bytes
    ) -> None:
        self._uploads, self._upload, self._token, self._room = uploads, upload, token, room
        self._hasher, self._expected = hasher, expected
        self._files = ExitStack()
        self._sealed: list[Incoming] = []
        self._current: Incoming | None = None
        self._received = 0
        self._start = b""
        self.offset = upload.offset
        self.sample_set: SampleSet | None = None

    async def heard(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The stream of the request's body; each piece that arrives shows that the request is not silent."""
        async for chunk in stream:
            self._uploads.locks.heard(self._token)
            yield chunk

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the request's body."""
        if self._upload.offset + self._received + len(data) > self._upload.length:
            raise TooLargeError(f"the body goes beyond Upload-Length, {self._upload.length:,} bytes", field="body")
        if self._upload.format == "npy" and self._upload.offset == 0 and len(self._start) < HEADER_LIMIT:
            self._start += bytes(data[:HEADER_LIMIT])
            self._uploads.refuse(self._upload, self._token, self._start)
        if self._hasher is not None:
            self._hasher.update(data)
        self._received += len(data)
        if self._current is None:
            self._current = self._files.enter_context(self._uploads.part())
        self._current.write(data)
        if self._current.bytes >= PART_BYTES and self._hasher is None:
            self._seal()
            self._record(is_end=False)

    def is_to_be_decoded(self) -> bool:
        """Whether all bytes have come of a file that becomes a sample set by a decoder."""
        is_complete = self._upload.offset + self._received == self._upload.length
        take = describe(self._upload.given).take
        return is_complete and not formats.is_kept_as_sent(formats.named(self._upload.format), take)

    def finish(self) -> None:
        """Record the complete body. Raises ChecksumError, and InvalidError if the file cannot be a sample set."""
        if self._hasher is not None and self._hasher.digest() != self._expected:
            raise ChecksumError("the bytes are not those of Upload-Checksum; send them again", field="Upload-Checksum")
        self._hasher = None
        self._seal()
        self._record(is_end=True)

    def keep(self) -> None:
        """Record what arrived before the connection broke, unless a checksum covers the whole body."""
        if self._hasher is None:
            self._seal()
            self._record(is_end=True)

    def _seal(self) -> None:
        if self._current is not None:
            self._current.seal()
            self._sealed.append(self._current)
            self._current = None

    def _record(self, *, is_end: bool) -> None:
        if self._hasher is not None or not self._sealed:
            return
        end = self._upload.offset + self._received
        if end == self._upload.length:
            if not is_end:
                return  # more bytes may still arrive, which is an error
            self.sample_set = self._uploads.complete(self._upload, self._token, self._room, self._sealed)
        else:
            self._uploads.record(self._upload, self._token, self.offset, self._sealed)
        self._sealed, self.offset = [], end
        self._files.close()

    def __enter__(self) -> Appending:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()
        self._uploads.locks.release(self._token)


def _parse_checksum(header: str | None) -> tuple[HASH | None, bytes]:
    if header is None:
        return None, b""
    algorithm, _, value = header.partition(" ")
    if algorithm not in CHECKSUMS:
        raise RequestError(f"the checksum {algorithm[:20]!r} is not known; use one of {', '.join(CHECKSUMS)}")
    try:
        return hashlib.new(algorithm, usedforsecurity=False), base64.b64decode(value, validate=True)
    except binascii.Error:
        raise RequestError("the checksum is not base64", field="Upload-Checksum") from None


def _forget(session: Session, ids: list[str]) -> list[str]:
    query = delete(UploadPart).where(UploadPart.upload_id.in_(ids)).returning(UploadPart.sha256)
    hashes = list(session.execute(query).scalars())
    session.execute(delete(Upload).where(Upload.id.in_(ids)))
    return hashes
