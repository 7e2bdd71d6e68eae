"""The library's file formats, as requests name them: by `?format=`, by media type, or by the name of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wdist.data.readers import registry
from wdist.data.readers.registry import BY_MEDIA_TYPE, FORMATS, NPY, instead_of, of_file_name
from wdist.definitions.reading import Selection
from wdist_service.errors import InvalidError, UnsupportedTypeError

if TYPE_CHECKING:
    Format = str
else:
    Format = Literal[tuple(FORMATS)]  # /openapi.json lists them
MAX_NAMES = 4096  # columns whose names are kept
MAX_TABLE_BYTES = 1 << 20  # of a table's schema as JSON: it is in every answer about the set
MAX_NOTES = 100
_KNOWN = ", ".join(FORMATS)


def choose(content_type: str | None, given: str | None, file_name: str | None = None) -> Format:
    """The format of a body: the given one, or else that of the file's name or of the media type.

    Raises UnsupportedTypeError.
    """
    if given is not None:
        return named(given)
    if file_name is not None:
        if (found := of_file_name(file_name)) is None:
            if (instead := instead_of(file_name)) is not None:
                raise UnsupportedTypeError(f"{file_name[-100:]!r} cannot be read here: {instead}", field="filename")
            endings = ", ".join(suffix for each in FORMATS.values() for suffix in each.suffixes)
            raise UnsupportedTypeError(
                f"{file_name[-100:]!r} ends in none of {endings}; say which format it is with ?format={_KNOWN}",
                field="filename",
            )
        return found.name
    kind = (content_type or "application/octet-stream").split(";")[0].strip().lower()
    if kind == "multipart/form-data":
        raise UnsupportedTypeError(
            "forms are not read here; send the file itself as the body (curl --data-binary @FILE)"
        )
    if kind not in BY_MEDIA_TYPE:
        raise UnsupportedTypeError(f"{kind[:100]!r} is not read here; say which it is with ?format={_KNOWN}")
    return BY_MEDIA_TYPE[kind].name


def named(given: str) -> Format:
    """The format of that name. Raises UnsupportedTypeError."""
    if given not in FORMATS:
        raise UnsupportedTypeError(f"format {given[:20]!r} is not read here; choose one of {_KNOWN}", field="format")
    return given


def check_selection(take: Selection, kind: Format) -> None:
    """Raise InvalidError if the selection does not apply to this format."""
    try:
        registry.check_selection(take, FORMATS[kind])
    except registry.SelectionError as error:
        raise InvalidError(str(error), field=error.field) from error


def is_kept_as_sent(kind: Format, take: Selection) -> bool:
    """Whether a body is stored as it comes: an .npy file, unless NaN stands for a missing value in it."""
    return kind == NPY.name and take.missing == "error"
