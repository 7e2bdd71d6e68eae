"""Upload data as a sample set. Data is hashed first, never sent twice, and resumed after a broken connection."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from wdist_client import requests
from wdist_client.advice import in_python
from wdist_client.display.text import bytes_bar
from wdist_client.errors import (
    APIConnectionError,
    APIStatusError,
    LeftOutWarning,
    NotFound,
    OptionError,
    UnexpectedAnswerError,
)
from wdist_client.flows import Compute, Flow, Retries, Sleep, fetched, send
from wdist_client.models import SampleSet
from wdist_client.requests import Request, Response
from wdist_client.rows.columns import kept_names
from wdist_client.rows.frames import level_of
from wdist_client.rows.payload import payload, refuse_absent
from wdist_client.rows.reading import not_as_read, read_beside, written

if TYPE_CHECKING:
    from wdist_client.options import SetOptions
    from wdist_client.rows.payload import Payload

RESUMABLE_BYTES = 64 << 20  # from this size, restarting costs more than three extra requests
LOCKED = 423  # the broken connection's request still holds the upload ...
CONFLICT = 409  # the server's offset is another one
LOCKED_SECONDS = 90.0  # ... until the server notices the silence (60 s by default)


def create_sample_set(
    data: Any, name: str | None, part: SetOptions, progress: bool | None, retries: Retries
) -> Flow[SampleSet]:
    """Hashes the data, asks for it by digest, and sends it only if the server does not have the same set yet."""
    if is_id(data):
        data = yield from fetched(f"/v1/sample-sets/{requests.identifier(data, 'ss_')}", SampleSet, retries)
    if isinstance(data, SampleSet):
        refuse_to_read_again([data], part)
        return data
    body: Payload = yield Compute(lambda: payload(data, name, **part))
    tell(body.notes)
    with bytes_bar(f"{body.label}: hashing", body.length, progress) as bar:
        digest: bytes = yield Compute(lambda: body.sha256(bar.update))
    if body.file_name is None and not body.reading:  # what is converted gets another digest
        answer = yield from send(requests.find_sample_set(digest), retries)
        known = answer.read(requests.SampleSetPage).data
        if (found := next((each for each in known if is_the_same(each, name, body.columns)), None)) is not None:
            return (yield from described(found, name, body, retries))
        if known and body.columns is not None:  # the same values under other names: an array would become that set
            body = yield Compute(lambda: payload(data, name, with_names=True, **part))
            digest = yield Compute(body.sha256)
    with called(data, name), bytes_bar(f"{body.label}: sending", body.length, progress) as bar:
        resumed = None
        if body.length >= RESUMABLE_BYTES:
            resumed = yield from send_resumably(body, name, bar, retries)
        if resumed is not None:
            stored = resumed
        else:
            request = requests.create_sample_set(body, digest, name)
            answer = yield from send(requests.watched(request, bar.reset, bar.update), retries)
            stored = answer.read(SampleSet)
    if body.file_name is None and not body.reading and stored.sha256 != digest.hex():
        raise UnexpectedAnswerError(f"{body.label} was changed while it was sent: {stored.id} holds something else")
    return (yield from described(stored, name, body, retries))


def is_id(data: Any) -> bool:
    """Whether this names a stored set, and no file."""
    return isinstance(data, str) and data.startswith("ss_") and not Path(data).exists()


def refuse_to_read_again(data: Iterable[Any], part: Mapping[str, Any]) -> None:
    """Raise OptionError where a stored set among the data is not as these options of a reading ask for.

    It would be used as it is, and the option ignored without a word.
    """
    given = list(data)
    stored = [each for each in given if isinstance(each, SampleSet)]
    beside_data = len(stored) < len(given)
    left: dict[str, Any] = {}
    others = []
    for each in stored:
        asked = not_as_read(each.reading, each.columns, part, beside_data=beside_data)
        if asked:
            left |= asked
            others.append(each)
    if not others:
        return
    first, *more = others
    names = f"{', '.join(each.name or each.id for each in others[:-1])} and {others[-1].name or others[-1].id}"
    columns = ", ".join(first.columns or ())
    shown = f" (its columns are {columns[:300]}{'...' if len(columns) > 300 else ''})" if columns else ""
    what, it, files = (
        (f"{names} are stored as they were read", "them", "their files")
        if more
        else (f"{first.name or first.id} is stored as it was read{shown}", "it", "the file")
    )
    rest = "; if only the other data is to be read so, upload that first" if beside_data else ""
    raise OptionError(f"{what}: {written(left)} would not change {it}. Give {files} again, with {written(left)}{rest}")


def with_records(data: Iterable[Any], part: Mapping[str, Any], retries: Retries) -> Flow[list[Any]]:
    """The data, with records in place of the ids of stored sets; refuses options that would not change these."""
    found = []
    for each in data:
        if is_id(each):
            record = yield from fetched(f"/v1/sample-sets/{requests.identifier(each, 'ss_')}", SampleSet, retries)
            found.append(record)
        else:
            found.append(each)
    refuse_to_read_again(found, part)
    return found


def file_name(data: Any) -> str | None:
    """What a set is called that is sent together with others, or kept by a monitor: as its file, if it is one."""
    return Path(data).name if isinstance(data, str | os.PathLike) else None


def create_each(
    data: Sequence[Any], names: Sequence[str | None], part: Mapping[str, Any], progress: bool | None, retries: Retries
) -> Flow[list[SampleSet]]:
    """The sets of data that belongs together: what stands beside a stored set is read as that was."""
    yield Compute(lambda: refuse_absent(each for each in data if not is_id(each)))
    found = yield from with_records(data, part, retries)
    first = next((each for each in found if isinstance(each, SampleSet)), None)
    made = []
    for each, name in zip(found, names, strict=True):
        if isinstance(each, SampleSet):
            stored = each
        else:
            how: Any = part if first is None else read_beside(first.reading, first.name, part, each)
            stored = yield from create_sample_set(each, name or file_name(each), how, progress, retries)
        made.append(stored if name is None else stored.model_copy(update={"name": name}))
    return made


@contextmanager
def called(data: Any, name: str | None) -> Iterator[None]:
    """Has a refusal of what is sent begin with the name of its file, or of the set."""
    try:
        yield
    except APIStatusError as error:
        error.call_the_body(Path(data).name if isinstance(data, str | os.PathLike) else name or "the data")
        raise


@dataclass(frozen=True)
class Levels:
    """Which sets of one table are compared: those of `chosen` levels of the column `by`, or of all.

    reference: the level that the others are compared with; True, the first one; False, all pairs are compared.
    """

    by: str
    chosen: Sequence[str] | None = None
    reference: str | bool = False

    @classmethod
    def of(cls, by: str | None, chosen: Sequence[Any] | str | None, reference: Any) -> Self | None:
        """None without `by`. Raises OptionError for what means nothing then."""
        if by is not None:
            listed = [chosen] if isinstance(chosen, str) else chosen
            named = reference if isinstance(reference, bool) else level_of(reference)
            return cls(by, None if listed is None else [level_of(each) for each in listed], named)
        if chosen is not None:
            raise OptionError("levels are those of a column of one table: name it as by, or leave levels out")
        if not isinstance(reference, bool):
            raise OptionError(
                f"reference is {reference!r}; it must be True or False, or with by a level. Without by, the first set "
                "is the reference"
            )
        return None

    @property
    def params(self) -> dict[str, Any]:
        """What a server is told: the levels that become sets, the reference among them."""
        if self.chosen is None:
            return {}
        more = [] if isinstance(self.reference, bool) or self.reference in self.chosen else [self.reference]
        return {"levels": [*more, *self.chosen]}

    def in_order(self, sets: Sequence[SampleSet]) -> list[SampleSet]:
        """The sets, the reference first. Raises OptionError if it is no level: another would be taken for it."""
        if isinstance(self.reference, bool):
            return list(sets)
        levels = [str((each.reading or {}).get("level", each.name)) for each in sets]
        place = next((k for k, level in enumerate(levels) if is_level(level, self.reference)), None)
        if place is None:
            raise OptionError(f"no level of {self.by!r} is {self.reference!r}; there are {', '.join(levels)[:300]}")
        return [sets[place], *sets[:place], *sets[place + 1 :]]


def is_level(level: str, named: str) -> bool:
    """Whether a level is the one that is named: as it is written, or as a number."""
    with suppress(ValueError):
        return level == named or float(level) == float(named)
    return False


def create_by(
    data: Any, levels: Levels, part: SetOptions, progress: bool | None, retries: Retries
) -> Flow[list[SampleSet]]:
    """Sends one table, of which the server makes one set for each level of a column."""
    if isinstance(data, SampleSet) or is_id(data):
        raise OptionError("by takes a file or a frame: a stored set has no column by which to divide it")
    if isinstance(data, Mapping | list | tuple):
        raise OptionError("by splits one table: give one frame, or the path of one file")
    body: Payload = yield Compute(lambda: payload(data, None, by=levels.by, **part))
    tell(body.notes)
    digest: bytes = yield Compute(body.sha256)
    with called(data, None), bytes_bar(f"{body.label}: sending", body.length, progress) as bar:
        request = requests.create_sample_set(body, digest, None, requests.BY, levels.params)
        answer = yield from send(requests.watched(request, bar.reset, bar.update), retries)
    return levels.in_order(answer.read(requests.SetsByLevel).data)


def create_all(
    data: Any, levels: Levels | None, part: SetOptions, progress: bool | None, retries: Retries
) -> Flow[list[SampleSet]]:
    """The sets of one table; without `levels`, of a mapping of names to data or of a list.

    Raises OptionError where it is none of these.
    """
    if levels is not None:
        return (yield from create_by(data, levels, part, progress, retries))
    if not isinstance(data, Mapping | list | tuple):
        raise OptionError(
            f"expected a list of sets or a mapping of names to sets, got {type(data).__name__}: for the groups of one "
            "table name their column, by='cut'"
        )
    names = list(data) if isinstance(data, Mapping) else [None] * len(data)
    sets = list(data.values()) if isinstance(data, Mapping) else data
    return (yield from create_each(sets, names, part, progress, retries))


def create_compared(
    data: Any,
    candidates: Any,
    by: str | None,
    levels: Sequence[Any] | None,
    reference: Any,
    part: SetOptions,
    progress: bool | None,
    retries: Retries,
) -> Flow[list[SampleSet]]:
    """The reference and the candidates of a comparison: given one by one, or the levels of one table.

    Raises OptionError where it is neither.
    """
    if by is None:
        Levels.of(None, levels, reference is not None and reference)
        if candidates is None:
            raise OptionError(
                "give a reference and at least two candidates; two sets alone are compared by an estimate"
            )
        if not isinstance(candidates, Mapping | list | tuple):
            return (yield from create_all(candidates, None, part, progress, retries))  # refuses it
        names = list(candidates) if isinstance(candidates, Mapping) else [None] * len(candidates)
        others = candidates.values() if isinstance(candidates, Mapping) else candidates
        return (yield from create_each([data, *others], [None, *names], part, progress, retries))
    if candidates is not None:
        raise OptionError("by makes the candidates of the levels of one table: leave candidates out")
    if reference is None or isinstance(reference, bool):
        raise OptionError(f"say which level of {by!r} is the reference: reference='LEVEL'")
    return (yield from create_all(data, Levels.of(by, levels, reference), part, progress, retries))


def is_the_same(stored: SampleSet, name: str | None, columns: Sequence[str] | None) -> bool:
    """Whether a stored set with the same bytes is the one that an upload would make; without a name, of any name."""
    if (name is not None and stored.name != name) or stored.table is not None or stored.notes:
        return False
    return stored.columns == kept_names(columns)


def described(stored: SampleSet, name: str | None, body: Payload, retries: Retries) -> Flow[SampleSet]:
    """The record with its name, once the server knows the names of a frame's columns, which the bytes do not hold."""
    names = kept_names(body.columns)
    if names is not None and stored.columns != names:
        try:
            answer = yield from send(requests.name_columns(stored, names), retries)
            stored = answer.read(SampleSet)
        except NotFound:  # a server before 0.2, which checks no names of frames
            stored = stored.model_copy(update={"columns": names})
    return stored.model_copy(update={"name": stored.name or name, "notes": [*stored.notes, *body.notes]})


def tell(notes: Sequence[str]) -> None:
    """Warn of what was left out here: the server, whose results say what it left out, does not see it."""
    for note in notes:
        warnings.warn(in_python(note), LeftOutWarning, stacklevel=2)


def send_resumably(body: Payload, name: str | None, bar: Any, retries: Retries) -> Flow[SampleSet | None]:
    """Sends by tus. After a broken connection it resumes at the server's offset.

    Returns None if there are no resumable uploads: a local client has no connection that could break.
    """
    try:
        begun = yield from send(requests.begin_upload(body, name), retries)
    except NotFound:
        return None
    path = requests.place_of(begun.headers["location"])
    offset, failures, locked = 0, 0, 0.0
    while True:
        request = requests.continue_upload(path, body, offset)
        answer: Response | None = None
        try:
            answer = yield requests.watched(request, partial(_move, bar, offset), bar.update)
            if answer.status < 400:
                break
            error: APIConnectionError | APIStatusError = answer.error()
            if answer.status == LOCKED and locked < LOCKED_SECONDS:
                locked += 1.0
                yield Sleep(1.0)
                continue
            # CONFLICT: the request whose connection broke was still being stored when we asked for the offset.
            if answer.status not in retries.statuses and answer.status != CONFLICT:
                raise error
        except APIConnectionError as broken:
            error = broken
        pause = retries.pause(failures, error.retry_after if isinstance(error, APIStatusError) else None)
        if pause is None:
            raise error
        yield Sleep(pause)
        safe = yield from send(Request("HEAD", path, {}, requests.TUS), retries)
        if "wdist-sample-set" in safe.headers:  # everything had arrived, only the response was lost
            answer = safe
            break
        reached = int(safe.headers["upload-offset"])
        failures = 0 if reached > offset else failures + 1
        offset = reached
    found = yield from send(Request("GET", f"/v1/sample-sets/{answer.headers['wdist-sample-set']}"), retries)
    return found.read(SampleSet)


def _move(bar: Any, offset: int) -> None:
    """Sets a bar to the server's offset, which may be less than what was sent."""
    bar.update(offset - bar.n)
