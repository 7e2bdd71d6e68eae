"""Flags made from the fields of `wdist.options.Options` and of `wdist.definitions.reading.Reading`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin

from cyclopts import Group, Parameter, Token

from wdist.definitions.reading import Reading
from wdist.options import Options

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

Command = TypeVar("Command", bound=Callable[..., int])
READING = Group("Reading files", sort_key=1)  # after the command's own flags


def options_as_flags(
    model: type[BaseModel] = Options, *, without: Sequence[str] = (), show_default: bool = True
) -> Callable[[Command], Command]:
    """A decorator: the command gets the options of an estimate or a monitor, except some, among its `**arguments`."""
    fields = {name: field for name, field in model.model_fields.items() if name not in without}
    return _with([_flag(name, field, show_default=show_default) for name, field in fields.items()])


def readings_as_flags() -> Callable[[Command], Command]:
    """A decorator: the command gets what says how files are read among its `**arguments`."""
    return _with([_reading_flag(name, field) for name, field in Reading.model_fields.items()])


def _with(flags: Sequence[inspect.Parameter]) -> Callable[[Command], Command]:
    """A decorator: the command takes these flags, too."""

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command)
        named = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        command.__signature__ = signature.replace(parameters=[*named, *flags])  # type: ignore[attr-defined]
        return command

    return decorate


def _flag(name: str, field: FieldInfo, *, show_default: bool) -> inspect.Parameter:
    """The library checks what is given: its message is the same as for a call from Python."""
    kind: Any = field.annotation
    kinds = set(_origins(kind))
    metavar = None if Literal in kinds else name.rpartition("_")[2].upper()
    about = Parameter(help=field.description, metavar=metavar, show_default=show_default)
    if kinds & {list, int, float}:
        # a list that begins with a negative number is no flag: --ranges -1,1
        own = Parameter(converter=numbers, n_tokens=1, allow_leading_hyphen=list in kinds)
        kind, about = Any, Parameter.combine(about, own)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=Annotated[kind, about]
    )


def _reading_flag(name: str, field: FieldInfo) -> inspect.Parameter:
    """A list is a flag that is repeated."""
    kind: Any = field.annotation
    kinds = set(_origins(kind))
    metavar = None if Literal in kinds or bool in kinds else name.rpartition("_")[2].upper()
    said = field.description or ""
    if list in kinds:
        kind, metavar, said = tuple[str, ...] | None, "COLUMN", f"{said} Repeatable."
    negative = None if kind == bool | None else ()  # --header and --no-header
    about = Parameter(help=said, metavar=metavar, group=READING, show_default=False, negative=negative)
    default = () if field.default == [] else field.default
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, about])


def _origins(kind: Any) -> Iterator[Any]:
    """What a type is made of: float, Literal, list, ..."""
    yield get_origin(kind) or kind
    for part in get_args(kind):
        yield from _origins(part)


def numbers(_: type, tokens: Sequence[Token]) -> Any:
    """The text as a number, or several (1,2.5,3); else as it is: the library says what is wrong."""
    found = [_number(part) for part in tokens[0].value.split(",")]
    if any(isinstance(part, str) for part in found):
        return tokens[0].value
    return found[0] if len(found) == 1 else found


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text
