"""Sample sets of a local client: arrays of its own, or files that must not change, read as the library reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wdist_client.requests import Request, Upload
from wdist_client.rows.columns import kept_name
from wdist_client.rows.payload import Payload, payload
from wdist_client.transports.local.records import RefusalError, StoredSet, find, new_id, now, statistics

if TYPE_CHECKING:
    from wdist.data.files import FileRows


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

    def names(self) -> dict[str, str | None]:
        """The names of all sets by id."""
        return {key: stored.record["name"] for key, stored in self._stored.items()}

    def create(self, request: Request) -> tuple[int, dict[str, Any]]:
        """The status and the record: 201 for a new set, 200 for content that is stored already.

        Raises RefusalError for what the library refuses.
        """
        from wdist.data.samples import open_samples
        from wdist.errors import WdistError as LibraryError

        assert isinstance(request.content, Upload)  # noqa: S101 - for the type checker
        sent = request.content.payload
        try:
            rows = _rows(sent, request.params)
            rows = replace(rows, columns=rows.columns and [kept_name(name) for name in rows.columns])
            opened = open_samples(rows, "the array", "nhwc" if rows.array.ndim == 4 else None)
            found = statistics(opened)
        except LibraryError as error:
            raise RefusalError(422, "Invalid samples", str(error), "body") from error
        stored = sent if sent.file_name is None else payload(rows.array)
        sha256 = stored.sha256().hex()
        for known in self._stored.values():
            if known.record["sha256"] == sha256:
                return 200, _named(known, rows.columns)
        shape = rows.array.shape if rows.array.ndim > 1 else (opened.n, 1)
        record: dict[str, Any] = {
            "id": new_id("ss_"), "object": "sample_set", "name": request.params.get("name"), "sha256": sha256,
            "bytes": stored.length, "rows": opened.n, "shape": list(shape), "dtype": rows.array.dtype.str,
            "columns": rows.columns, "created_at": now(), "statistics": found,
        }  # fmt: skip
        self._stored[record["id"]] = StoredSet(record, rows)
        return 201, record

    def name_columns(self, name: str, request: Request) -> dict[str, Any]:
        """The record of a table with the names of columns that the request gives."""
        assert isinstance(request.content, bytes)  # noqa: S101 - for the type checker
        stored, columns = self.find(name), json.loads(request.content)["columns"]
        if stored.record["shape"][1:] != [len(columns)]:
            detail = f"{len(columns)} names do not fit the shape {stored.record['shape']}: give one for each column"
            raise RefusalError(422, "Invalid samples", detail, "columns")
        if len(set(columns)) < len(columns):
            twice = next(each for k, each in enumerate(columns) if each in columns[:k])
            detail = f"more than one column is named {twice!r}; give each a name of its own"
            raise RefusalError(422, "Invalid samples", detail, "columns")
        return _named(stored, columns)

    def delete(self, name: str) -> None:
        self.find(name)
        del self._stored[name]


def _rows(sent: Payload, params: Mapping[str, Any]) -> FileRows:
    """The selected rows of what a request would send."""
    import numpy as np

    from wdist.data.files import FileRows, open_file
    from wdist.data.readers.registry import NPY, SelectionError, check_selection, of_file_name
    from wdist.definitions.reading import Selection

    take = Selection(member=params.get("member"), labels=params.get("labels"), drop=list(params.get("drop") or ()))
    if (kind := NPY if sent.file_name is None else of_file_name(sent.file_name)) is None:
        raise RefusalError(415, "Unsupported format", f"{sent.file_name!r} has an ending that is not read", "filename")
    try:
        check_selection(take, kind)
    except SelectionError as error:
        raise RefusalError(422, "Invalid samples", str(error), error.field) from error
    if isinstance(sent.data, np.ndarray):
        return FileRows(sent.label, sent.data.copy(), None)
    return open_file(sent.data, "the array", take)


def _named(stored: StoredSet, columns: list[str] | None) -> dict[str, Any]:
    """The record of a set, with these names of columns if it has none. Sets with other names are refused."""
    record = stored.record
    if None not in (record["columns"], columns) and record["columns"] != columns:
        detail = (
            f"these values are stored already, as {record['id']}, with other names of columns: delete that set first"
        )
        raise RefusalError(409, "Conflict", detail)
    if columns is not None:
        record["columns"], stored.rows = columns, replace(stored.rows, columns=columns)
    return record
