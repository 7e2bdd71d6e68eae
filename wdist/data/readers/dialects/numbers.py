"""How numbers are written: which mark is the decimal one, and which only groups digits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from wdist.data.tables.found import DecodeError
from wdist.data.tables.naming import asked
from wdist.data.tables.undecided.quantities import DECIMAL_COMMA, GROUPED, PLAIN
from wdist.data.tables.undecided.quantities import is_number as is_number
from wdist.definitions.reading import Selection

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "null", "NULL", "None")
_ONE_GROUP = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")  # 1,234 is 1.234 to one reader and 1234 to another
WHOLE = re.compile(r"\d+")


@dataclass(frozen=True)
class Notation:
    """The decimal mark, and what groups digits, if anything does."""

    decimal: str = "."
    thousands: str | None = None


def is_missing(cell: str) -> bool:
    return cell.strip() in MISSING


def given_notation(take: Selection) -> Notation | None:
    """The notation that the reading gives, or None. Raises DecodeError for one that contradicts itself."""
    if take.decimal is None and take.thousands is None:
        return None
    decimal = take.decimal or ("," if take.thousands == "." else ".")
    if decimal == take.thousands:
        raise DecodeError(f"{decimal!r} cannot both group digits and be the decimal mark; change decimal or thousands")
    return Notation(decimal, take.thousands)


def advice_for(cell: str) -> str | None:
    """The option by which a cell that is not a plain number becomes one, or None."""
    text = cell.strip()
    if _ONE_GROUP.fullmatch(text) and "," in text:
        return f"{asked('decimal', ',')} if it is {text.replace(',', '.')}, {asked('thousands', ',')} if it is " + (
            f"{text.replace(',', '')}, as in all files that are compared"
        )
    for mark, grouped in GROUPED.items():
        if grouped.fullmatch(text):
            more = f" and {asked('decimal', ',')}" if mark != "," and "," in text else ""
            return f"{asked('thousands', mark)}{more}"
    return asked("decimal", ",") if DECIMAL_COMMA.fullmatch(text) else None


@dataclass(frozen=True)
class Cell:
    """A cell of a sample, and what messages call its place."""

    text: str
    place: str


def notation_of(cells: Iterable[Cell], separator: str) -> Notation:
    """The notation of all the numbers of a sample.

    A decimal comma is recognised where some number leaves no doubt (1,5) and none speaks against it. Digits in groups
    are always asked for. Raises DecodeError, which names a cell and the option that settles it.
    """
    comma = one_comma = dot = one_dot = None
    for cell in cells:
        text = cell.text.strip()
        if text.isdecimal() or not is_number(text):
            continue
        if _ONE_GROUP.fullmatch(text):
            one_comma, one_dot = (one_comma or cell, one_dot) if "," in text else (one_comma, one_dot or cell)
        elif DECIMAL_COMMA.fullmatch(text):
            comma = comma or cell
        elif PLAIN.fullmatch(text):
            dot = dot or (cell if "." in text else None)
        else:
            raise DecodeError(f"{cell.place} holds {text!r}, with digits in groups: say so with {advice_for(text)}")
    if comma is not None and (other := dot or one_dot) is not None:
        raise DecodeError(
            f"{comma.place} holds {comma.text.strip()!r} and {other.place} holds {other.text.strip()!r}: write all "
            f"numbers with one decimal mark, or say what the marks are with {asked('decimal', ',')} and "
            f"{asked('thousands', '.')}"
        )
    if comma is not None:
        return Notation(",")
    if one_comma is not None:
        raise DecodeError(f"{one_comma.place} holds {one_comma.text.strip()!r}: say {advice_for(one_comma.text)}")
    if one_dot is not None and dot is None and separator == ";":
        text = one_dot.text.strip()
        raise DecodeError(
            f"{one_dot.place} holds {text!r}, and so do all numbers with a point: say {asked('decimal', '.')} if it is "
            f"{float(text):g}, {asked('thousands', '.')} if it is {text.replace('.', '')}"
        )
    return Notation()
