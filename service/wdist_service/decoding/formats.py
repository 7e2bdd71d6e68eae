"""The formats of uploads, and their media types."""

from __future__ import annotations

from typing import Final, Literal, get_args

from wdist.data.readers.selection import Selection
from wdist_service.errors import InvalidError, UnsupportedTypeError

Format = Literal["npy", "npz", "parquet", "csv", "images", "json"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
MEDIA_TYPES: Final[dict[str, Format]] = {
    "application/octet-stream": "npy",
    "application/x-npy": "npy",
    "application/npy": "npy",
    "application/vnd.numpy.npy": "npy",
    "application/x-npz": "npz",
    "application/vnd.numpy.npz": "npz",
    "application/vnd.apache.parquet": "parquet",
    "application/x-parquet": "parquet",
    "text/csv": "csv",
    "application/zip": "images",
    "application/x-zip-compressed": "images",
    "application/json": "json",
}
_ENDINGS: Final[dict[str, Format]] = {
    ".npy": "npy", ".npz": "npz", ".parquet": "parquet", ".csv": "csv", ".zip": "images", ".json": "json",
}  # fmt: skip
_KNOWN = ", ".join(FORMATS)


def choose(content_type: str | None, given: str | None) -> Format:
    """The format of a body: the given one, or else that of its media type. Raises UnsupportedTypeError."""
    if given is not None:
        return named(given)
    kind = (content_type or "application/octet-stream").split(";")[0].strip().lower()
    if kind == "multipart/form-data":
        raise UnsupportedTypeError(
            "forms are not read here; send the file itself as the body (curl --data-binary @FILE)"
        )
    if kind not in MEDIA_TYPES:
        raise UnsupportedTypeError(f"{kind[:100]!r} is not read here; say which it is with ?format={_KNOWN}")
    return MEDIA_TYPES[kind]


def named(given: str) -> Format:
    """The format of that name. Raises UnsupportedTypeError."""
    for known in FORMATS:
        if given == known:
            return known
    raise UnsupportedTypeError(f"format {given[:20]!r} is not read here; choose one of {_KNOWN}", field="format")


def check_selection(take: Selection, kind: Format) -> None:
    """Raise InvalidError if the selection does not apply to this format."""
    if take.of_a_table and kind not in {"csv", "parquet"}:
        field = "drop" if take.labels is None else "labels"
        raise InvalidError(f"only CSV and Parquet have columns to choose, the body is {kind}", field=field)
    if take.labels is not None and take.drop:
        raise InvalidError("labels takes one column only; leave drop out", field="drop")


def of_file_name(name: str) -> Format | None:
    """The format that a file name's extension stands for."""
    return next((known for ending, known in _ENDINGS.items() if name.lower().endswith(ending)), None)
