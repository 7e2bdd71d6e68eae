"""Sample sets of a local client: arrays of its own, or paths of files that must not change."""

from __future__ import annotations

from typing import Any

from wdist_client.requests import Request, Upload
from wdist_client.transports.local.records import RefusalError, StoredSet, find, new_id, now, per_column


class LocalSets:
    """Sets by id."""

    def __init__(self) -> None:
        self._stored: dict[str, StoredSet] = {}

    def records(self, sha256: str | None = None) -> list[dict[str, Any]]:
        return [s.record for s in self._stored.values() if sha256 in (None, s.record["sha256"])]

    def find(self, name: str) -> StoredSet:
        """Raises RefusalError 404."""
        found: StoredSet = find(self._stored, name)
        return found

    def create(self, request: Request) -> dict[str, Any]:
        """Opens an array or an .npy file as the library does; raises RefusalError for what it refuses."""
        import numpy as np

        from wdist.data.samples import open_samples
        from wdist.errors import WdistError as LibraryError

        assert isinstance(request.content, Upload)  # noqa: S101 - for the type checker
        payload = request.content.payload
        if payload.format != "npy":
            detail = f"a local client reads arrays and .npy files: load {payload.label} and pass the array"
            raise RefusalError(415, "Unsupported format", detail)
        rows = payload.data if not isinstance(payload.data, np.ndarray) else payload.data.copy()
        try:
            opened = open_samples(rows, "the array")
            statistics = opened.statistics if opened.array.size else None
        except LibraryError as error:
            raise RefusalError(422, "Invalid samples", str(error), "body") from error
        if statistics is None:
            detail = f"an array of shape {opened.array.shape} holds no values"
            raise RefusalError(422, "Invalid samples", detail, "body")
        shape = opened.array.shape if opened.array.ndim > 1 else (opened.n, 1)
        name = new_id("ss_")
        record = {
            "id": name, "object": "sample_set", "name": request.params.get("name"), "sha256": payload.sha256().hex(),
            "bytes": payload.length, "rows": opened.n, "shape": list(shape), "dtype": str(opened.dtype),
            "created_at": now(), "statistics": per_column(statistics),
        }  # fmt: skip
        self._stored[name] = StoredSet(record, rows)
        return record

    def delete(self, name: str) -> None:
        self.find(name)
        del self._stored[name]
