"""Sample sets of a local client: arrays of its own, or files that must not change, read as the library reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wdist_client.requests import Request, Upload
from wdist_client.rows.columns import kept_name
from wdist_client.rows.payload import Payload, payload
from wdist_client.transports.local.records import RefusalError, StoredSet, find, new_id, now, statistics

if TYPE_CHECKING:
    from wdist.data.sources.files import FileRows


class LocalSets:
    """Sets by id."""

    def __init__(self) -> None:
        self._stored: dict[str, StoredSet] = {}

    def records(self, sha256: str | None = None, name: str | None = None) -> list[dict[str, Any]]:
        found = [s.record for s in self._stored.values() if sha256 in (None, s.record["sha256"])]
        return [each for each in found if name in (None, each["name"])]

    def find(self, name: str) -> StoredSet:
        """Raises RefusalError 404."""
        found: StoredSet = find(self._stored, name)
        return found

    def names(self) -> dict[str, str | None]:
        """The names of all sets by id."""
        return {key: stored.record["name"] for key, stored in self._stored.items()}

    def create(self, request: Request) -> tuple[int, dict[str, Any]]:
        """The status and the record: 201 for a new set, 200 for one that is stored already.

        Raises RefusalError for what the library refuses.
        """
        from wdist.definitions.reading import Selection

        with _refused():
            rows = _rows(_payload(request), request.params)
            how = _reading(Selection, request.params).model_dump(exclude_defaults=True)
            return self._add(rows, request.params.get("name"), how or None)

    def create_by(self, request: Request) -> tuple[int, dict[str, Any]]:
        """The records of the sets of one table, one for each level of the column `by`."""
        from wdist.data.sources.rows import partition_of, split_rows
        from wdist.data.tables.by import reading_by
        from wdist.definitions.reading import Reading

        sent, params = _payload(request), request.params
        by = params["by"]
        with _refused():
            take = reading_by(_reading(Reading, params), by)
            rows = _rows(sent, take.model_dump(exclude_none=True))
            if rows.table is None:
                raise RefusalError(422, "Invalid samples", "by names a column of a table: give one with names", "by")
            partition = partition_of(rows, by, params.get("levels"), True)
            parts = split_rows(rows, by, partition)
            how = {**take.model_dump(exclude_defaults=True), "by": by}
            made = [self._add(part, level, {**how, "level": level})[1] for level, part in parts.items()]
            return 201, {"by": by, "data": made}

    def _add(self, rows: FileRows, name: str | None, reading: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
        from wdist.data.samples import open_samples

        # A stored set is rows of its own, as on a server: the numbers of rows count those that were kept.
        rows = replace(rows, columns=rows.columns and [kept_name(each) for each in rows.columns], kept=None)
        opened = open_samples(rows, "the data", "nhwc" if rows.array.ndim == 4 else None)
        found = statistics(opened)
        stored = payload(rows.array)
        shape = rows.array.shape if rows.array.ndim > 1 else (opened.n, 1)
        record: dict[str, Any] = {
            "id": new_id("ss_"), "object": "sample_set", "name": name, "sha256": stored.sha256().hex(),
            "bytes": stored.length, "rows": opened.n, "shape": list(shape), "dtype": rows.array.dtype.str,
            "columns": rows.columns, "table": None if rows.table is None else rows.table.to_json(),
            "notes": list(rows.notes), "reading": reading, "created_at": now(), "statistics": found,
        }  # fmt: skip
        for known in self._stored.values():
            if all(known.record[each] == record[each] for each in ("sha256", "columns", "table", "notes")) and (
                name is None or known.record["name"] == name
            ):
                if rows.table is None:  # the same numbers, however they were read: as they were read last
                    known.record["reading"] = reading or known.record["reading"]
                return 200, known.record
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


@contextmanager
def _refused() -> Iterator[None]:
    """What the library refuses, as the refusal of a request."""
    from wdist.errors import WdistError as LibraryError

    try:
        yield
    except LibraryError as error:
        raise RefusalError(422, "Invalid samples", str(error), "body") from error


def _payload(request: Request) -> Payload:
    assert isinstance(request.content, Upload)  # noqa: S101 - for the type checker
    return request.content.payload


def _reading(model: Any, params: Mapping[str, Any]) -> Any:
    """The parameters of an upload that are those of a reading, `true` and `false` as such."""
    given = {name: value for name, value in params.items() if name in model.model_fields}
    return model.checked(**{n: v == "true" if v in ("true", "false") else v for n, v in given.items()})


def _rows(sent: Payload, params: Mapping[str, Any]) -> FileRows:
    """The selected rows of what a request would send."""
    from wdist.data.readers.registry import NPY, SelectionError, check_selection, instead_of, of_file_name
    from wdist.data.sources.files import open_file
    from wdist.data.sources.rows import rows_of
    from wdist.definitions.reading import Selection
    from wdist.errors import SampleError

    take = _reading(Selection, params)
    if (kind := NPY if sent.file_name is None else of_file_name(sent.file_name)) is None:
        instead = instead_of(sent.file_name or "")
        why = "has an ending that is not read" if instead is None else f"cannot be read here: {instead}"
        raise RefusalError(415, "Unsupported format", f"{sent.file_name!r} {why}", "filename")
    try:
        check_selection(take, kind)
    except SelectionError as error:
        raise RefusalError(422, "Invalid samples", str(error), error.field) from error
    data = _source(sent)
    if isinstance(data, Path):
        return open_file(data, "the data", take)
    if hasattr(data, "read"):  # a frame, as the file that a server would get
        try:
            return open_file(sent.file_name or "", "the data", take, data)
        except SampleError as error:
            raise SampleError(str(error).removeprefix(f"{sent.file_name}: ")) from error
    return rows_of(data, "the data", take)


def _source(sent: Payload) -> Any:
    """The path or the open file, or an array of our own: the user's may change."""
    import numpy as np

    if isinstance(sent.data, np.ndarray):
        return sent.data.copy()
    return sent.data.toarray() if hasattr(sent.data, "toarray") else sent.data


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
