"""Rows that belong together: the result is then about drawing a group, then a row from it.

Labels become int64 codes: equal labels have equal codes, whatever array, frame or file holds them.

A number is compared by its value: 3, 3.0, "3" and "3e0" are one label. Anything else is text: "007" is not 7. Times are
text in ISO 8601, those with a zone in UTC. A label is read by itself, whatever stands beside it.
"""

import datetime
import hashlib
import math
import re
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wdist.errors import OptionError

Codes = NDArray[np.int64]

OWN = 10**18  # smaller whole numbers are their own code
HASHED = 1 << 62  # from here on codes are hashes
_MAX_DIGITS = 400  # a float64 has at most 309 before the point
_FLOAT_DIGITS = 17  # as many tell every float64 from its neighbours
_NUMBER = re.compile(r"\s*[+-]?(?:(?:0|[1-9][0-9]*)(\.[0-9]*)?|(\.[0-9]+))([eE][+-]?[0-9]{1,9})?\s*")
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d)(?::(\d\d)(?:\.(\d+))?)?\s*(Z|[+-]\d\d:?\d\d)?)?", re.ASCII
)  # fmt: skip
_BOOLEANS = {"True": "true", "False": "false"}
KINDS = "labels are whole numbers, text, dates or times"


def checked_labels(given: Any, name: str, n: int, *, may_be_codes: bool = True) -> Codes:
    """Codes (n,) of the group labels of the n rows of the set `name`; the module says which are equal.

    may_be_codes: whether int64 numbers from 2^62 on may be codes already. Raises OptionError if the shape is wrong, a
    label is missing (None, NaN, NaT, NA, masked), or is neither a number nor text nor a time.
    """
    labels = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
    if labels.shape != (n,):
        raise OptionError(f"groups: {name} has {n} rows, but labels of shape {labels.shape}")
    missing = np.ma.getmaskarray(given).copy() if isinstance(given, np.ma.MaskedArray) else np.zeros(n, dtype=bool)
    if labels.dtype == object:
        missing |= np.fromiter((_is_missing(label) for label in labels), dtype=bool, count=n)
    elif labels.dtype.kind in "fcmM":
        missing |= labels != labels  # true only for NaN and NaT
    if missing.any():
        raise OptionError(
            f"groups: the label of row {int(missing.argmax())} of {name} is missing ({int(missing.sum()):,} in all): "
            "leave such rows out, or give each a label of its own"
        )
    try:
        return codes_of(labels, may_be_codes=may_be_codes)
    except OptionError as error:
        raise OptionError(f"groups: {name}: {error}") from error


def comparable(*sets: Codes) -> tuple[Codes, ...]:
    """The codes of two or more sets, equal where the labels are.

    Raises OptionError if one set has only whole numbers and another only text, so that no group could be in both.
    """
    is_own = [(np.abs(codes) < OWN) for codes in sets]
    if any(each.all() for each in is_own) and not all(each.any() for each in is_own):
        raise OptionError(
            "groups: labels are text (or fractions, or of 19 digits) in one set and whole numbers in the other; "
            "give all sets labels of one type"
        )
    return matched(*sets)


def _is_missing(label: Any) -> bool:
    try:
        return label is None or bool(label != label)
    except TypeError:  # pandas.NA has no truth value
        return True


def code_of(label: Any) -> int:
    """The code of one label. Raises OptionError for a value that is no label, such as a tuple or a time span."""
    if isinstance(label, bool | np.bool_):
        return _hashed(str(label).lower())
    if isinstance(label, int | np.integer):
        return _of_whole(int(label))
    if isinstance(label, float | np.floating):
        return _of_float(label)
    if isinstance(label, bytes):
        label = label.decode(errors="surrogateescape")
    if isinstance(label, datetime.date | np.datetime64 | Decimal):  # a datetime is a date, too
        label = str(label)
    if not isinstance(label, str):
        raise OptionError(f"{str(label)[:100]!r} of type {type(label).__name__} is no label; {KINDS}")
    if (found := _NUMBER.fullmatch(label)) and (code := _of_digits(label.strip(), any(found.groups()))) is not None:
        return code
    return _hashed(_iso(label) or _BOOLEANS.get(label, label))


def codes_of(labels: NDArray[Any], *, may_be_codes: bool = True) -> Codes:
    """The codes (n,) of labels (n,), none of them missing.

    may_be_codes: int64 numbers from 2^62 on may be codes that were read from a file; they are kept, and `matched` finds
    out what they are. Raises OptionError for labels that are no numbers, text, dates or times.
    """
    kind = labels.dtype.kind
    if kind == "O":
        seen: dict[Any, int] = {}
        keys = [(type(label), label) for label in labels]
        for key in keys:
            try:
                if key not in seen:
                    seen[key] = code_of(key[1])
            except TypeError:  # it has no hash
                raise OptionError(f"{str(key[1])[:100]!r} is no label; {KINDS}") from None
        return np.fromiter((seen[key] for key in keys), dtype=np.int64, count=len(keys))
    if kind in "iu":
        if not len(labels) or (labels.max() < OWN and labels.min() > -OWN):
            return labels.astype(np.int64)
        distinct, places = np.unique(labels, return_inverse=True)
        keep = (
            distinct >= HASHED if may_be_codes and distinct.dtype == np.int64 else np.zeros(len(distinct), dtype=bool)
        )
        table = [int(v) if kept else _of_whole(int(v)) for v, kept in zip(distinct, keep, strict=True)]
    elif kind in "fbUSTM":
        distinct, places = np.unique(labels, return_inverse=True)
        table = [code_of(label) for label in distinct]
    else:
        raise OptionError(f"values of type {labels.dtype} are no labels; {KINDS}")
    return np.array(table, dtype=np.int64)[places]


def matched(*sets: Codes) -> tuple[Codes, ...]:
    """Codes of all sets, in which a number from 2^62 on is replaced by its code if that code occurs."""
    large = np.unique(np.concatenate([codes[codes >= HASHED] for codes in sets]))
    known = set(large.tolist())
    known_as = {v: code for v in known if (code := _of_whole(v)) in known}
    if not known_as:
        return sets
    return tuple(np.array([known_as.get(v, v) for v in codes.tolist()], dtype=np.int64) for codes in sets)


def _hashed(text: str) -> int:
    """SHA-256 of a text with bit 62 set, as files have been encoded since 0.1."""
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") & (HASHED - 1) | HASHED


def _of_whole(value: int) -> int:
    return value if -OWN < value < OWN else _hashed(str(value))


def _of_float(value: float | np.floating[Any]) -> int:
    if math.isfinite(value) and value == int(value):
        return _of_whole(int(value))
    shown = str(value)
    if math.isfinite(value) and not isinstance(value, float) and float(shown) != float(value):
        raise OptionError(
            f"the {np.asarray(value).dtype} label {shown} is not {shown} exactly; give whole numbers, float64 or text"
        )
    return _hashed(repr(float(value)))


def _of_digits(text: str, has_point: bool) -> int | None:
    """The code of a number written in decimal digits, or None if it is too large or too small to be read as one."""
    if len(text) > _MAX_DIGITS:
        return None
    if not has_point:
        return _of_whole(int(text))
    exact, value = Decimal(text), float(text)
    if not math.isfinite(value) or (value == 0) != (exact == 0):
        return None
    has_fraction = exact != int(exact)
    if exact == Decimal(value):
        return _of_float(value)
    # A float64 is written with up to 17 digits, which need not be its exact value.
    if len(exact.as_tuple().digits) <= _FLOAT_DIGITS and has_fraction == (value != int(value)):
        return _of_float(value)
    return _hashed(format(exact, "f").rstrip("0")) if has_fraction else _of_whole(int(exact))


def _iso(text: str) -> str | None:
    """A date, or a time without trailing zeros: "2026-01-31", "2026-01-31 09:30:00.5"; None if the text is neither."""
    if (found := _TIME.fullmatch(text.strip())) is None:
        return None
    date, minutes, seconds, fraction, zone = found.groups()
    try:
        time = datetime.datetime.fromisoformat(f"{date} {minutes or '00:00'}:{seconds or '00'}{zone or ''}")
        if zone:
            time = time.astimezone(datetime.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    fraction = (fraction or "").rstrip("0")
    shown = time.isoformat(sep=" ") + (f".{fraction}" if fraction else "")
    return shown.removesuffix(" 00:00:00")
