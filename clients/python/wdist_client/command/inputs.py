"""What commands read and print. Data is a path, - for standard input, or the id or the name of a stored set."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from cyclopts import Parameter

from wdist_client.advice import in_flags
from wdist_client.command import names
from wdist_client.errors import NotFound, OptionError, SampleError

if TYPE_CHECKING:
    from cyclopts import Token

    from wdist_client.client import Client
    from wdist_client.handles.synchronous import BatchJob, Job
    from wdist_client.models import Estimate, SampleSet
    from wdist_client.monitors.synchronous import Monitor

MAGIC = {b"\x93NUMPY": ".npy", b"PAR1": ".parquet", b"\x89HDF": ".h5ad"}


@dataclass
class Session:
    """What a command works with: the client, and the files that stay open until it has ended."""

    client: Client
    files: ExitStack
    as_json: bool
    stored: dict[str, SampleSet | None] = field(default_factory=dict)  # by id; None: was deleted

    def say(self, record: Any, text: object, indent: int | None = 2) -> None:
        """Print what a command found: the record with --json, else the text."""
        if self.as_json:
            self.say_json(record, indent)
        elif str(text):
            sys.stdout.write(f"{in_flags(str(text))}\n")

    def say_json(self, record: Any, indent: int | None = 2) -> None:
        text = json.dumps(record, indent=indent, default=lambda model: model.model_dump(mode="json"))
        sys.stdout.write(f"{text}\n")

    def estimate(self, text: str) -> Job:
        """The estimate with this id, or the only one with this name."""
        return names.estimate(self.client, text)

    def batch(self, text: str) -> BatchJob:
        """The batch with this id, or the only one with this name."""
        return names.batch(self.client, text)

    def monitor(self, text: str) -> Monitor:
        """The monitor with this id, or the only one with this name."""
        return names.monitor(self.client, text)

    def any_of(self, text: str, kinds: Iterable[str]) -> tuple[str, str]:
        """Kind and id of what has this id, or of the only one of these kinds with this name."""
        return names.any_of(self.client, text, kinds)

    def name_of(self, identifier: str) -> str:
        """The name of a set, or its id if it has none or was deleted; asked for once."""
        if identifier not in self.stored:
            try:
                self.sample_set(identifier)
            except NotFound:
                self.stored[identifier] = None
        found = self.stored[identifier]
        return identifier if found is None else found.name or identifier

    def sample_set(self, identifier: str) -> SampleSet:
        """The set of the server with this id; asked for once."""
        found = self.stored.get(identifier)
        if found is None:
            found = self.stored[identifier] = self.client.sample_sets.get(identifier)
        return found

    def change(self, given: Sequence[str], changed: Callable[[str], Any]) -> int:
        """Change one thing after the other, and tell the status of each record. Returns the exit status."""
        for name in given:
            record = changed(name)
            self.say(record, f"{record.id} is {record.status}")
        return 0

    def read_alike(self, identifiers: Iterable[str | None], given: Mapping[str, Any], file: str) -> dict[str, Any]:
        """How a file is read that belongs to stored sets: as the first that is still there, but for what is given."""
        from wdist_client.handles.evaluation import reading_of  # pydantic, for which --help does not wait
        from wdist_client.rows.reading import read_alike

        stored = self.client._run(reading_of(identifiers, self.client._retries))
        return read_alike(stored, {"member": archive_member(file)[1], **given}, file)

    def remark_notes(self, stored: SampleSet) -> None:
        """Tell what was left out when a set was read."""
        for note in stored.notes:
            self.remark(f"{stored.name or stored.id}: {in_flags(note)}")

    def remark(self, text: object) -> None:
        sys.stderr.write(f"{text}\n")

    def send(self, text: str, *, name: str | None = None, progress: bool | None = None, **part: Any) -> SampleSet:
        """Upload the data that `text` names, or look up the set with that id."""
        given = text
        text, member = archive_member(text)
        if member is not None:
            if part.get("member") not in (None, member):
                raise OptionError(f"{given} and --member {part['member']} choose different arrays; leave one out")
            part["member"], name = member, name or Path(given).name
        found = self.files.enter_context(data(text))  # kept open to the end: a local client reads it later
        if isinstance(found, str):
            return self.sample_set(found)
        return self.client.sample_sets.create(found, name=name or found.name, progress=progress, **part)

    def send_rows(self, estimate: Estimate, text: str, how: Mapping[str, Any]) -> SampleSet:
        """Upload rows for the critic of an estimate."""
        from wdist_client.errors import InvalidRequest
        from wdist_client.handles.evaluation import not_needed

        try:
            return self.send(text, **how)
        except (SampleError, InvalidRequest) as error:
            flow = not_needed(error, estimate, Path(text).name, how, self.client._retries)
            if (more := self.client._run(flow)) is None:
                raise
            raise more from error

    def send_all(self, texts: Sequence[str], given: Mapping[str, Any], progress: bool | None) -> list[SampleSet]:
        """Upload or look up data that `located` has found; what stands beside a stored set is read as that was."""
        from wdist_client.rows.reading import read_beside
        from wdist_client.uploads import is_id

        stored = {text: self.sample_set(text) for text in texts if is_id(text)}
        first = next(iter(stored.values()), None)
        sets = []
        for text in texts:
            how = given if first is None else read_beside(first.reading, first.name, given, text)
            sets.append(stored.get(text) or self.send(text, progress=progress, **how))
        return sets

    def located(self, texts: Iterable[str], given: Mapping[str, Any] | None = None) -> list[str]:
        """The data with ids in place of names of stored sets; a file that is here goes before a name.

        given: how the data is to be read. Raises SampleError for what is neither, before anything is sent, and
        OptionError for a name of several sets, and for a stored set that was not read so.
        """
        found = self._found(texts)
        if given:
            from wdist_client.uploads import is_id, refuse_to_read_again

            records = (self.sample_set(text) if is_id(text) else text for text in found)
            refuse_to_read_again(records, given)
        return found

    def _found(self, texts: Iterable[str]) -> list[str]:
        from wdist_client.rows.payload import refuse_absent

        found, texts = [], list(texts)
        for text in texts:
            file, _ = archive_member(text)
            if text != "-" and not file.startswith("ss_") and not Path(file).exists():
                if (named := names.sample_set(self.client, text)) is None:
                    try:
                        refuse_absent([file])
                    except SampleError as error:
                        if str(error).endswith("?"):  # it knows a file that is called alike
                            raise
                        near = names.alike(self.client, ["sample set"], text, without=texts)
                        raise SampleError(
                            f"there is no file {file}, and there is no sample set called {text!r}{near}"
                        ) from error
                text = named or text
            found.append(text)
        return found

    @contextmanager
    def one_table(self, given: Sequence[str]) -> Iterator[Path]:
        """The file whose rows --by divides into sets."""
        if len(given) != 1:
            raise OptionError(f"--by takes one table, not {len(given)} files")
        with data(given[0]) as found:
            if isinstance(found, str):
                raise OptionError("--by takes a file: a stored set has no column by which to divide it")
            yield found


def numbers(_: type, tokens: Sequence[Token]) -> Any:
    """What is written, as numbers where it is one or several (1,2.5,3), else as text: the server says what is wrong."""
    found = [_number(part) for part in tokens[0].value.split(",")]
    if any(isinstance(part, str) for part in found):
        return tokens[0].value
    return found[0] if len(found) == 1 else found


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


if TYPE_CHECKING:
    Here: TypeAlias = Session
else:
    Here = Annotated[Session, Parameter(parse=False)]  # a parameter of each command, and no argument


def table(rows: Iterable[Iterable[object]]) -> str:
    """Rows in aligned columns."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in texts)


def archive_member(text: str) -> tuple[str, str | None]:
    """The file and the array that FILE.npz:NAME stands for; other text as it is, with None."""
    file, _, member = text.rpartition(":")
    if member and file.lower().endswith(".npz") and not Path(text).exists():
        return file, member
    return text, None


@contextmanager
def data(text: str) -> Iterator[str | Path]:
    """An id, a path, or a temporary file with the contents of standard input or of a pipe, such as `<(command)`."""
    given = Path(text)
    if text != "-" and (not given.exists() or given.is_file() or given.is_dir()):
        yield text if text.startswith("ss_") and not given.exists() else given
        return
    if text == "-" and sys.stdin.isatty():
        raise OptionError("- reads standard input, which is your terminal: redirect a file or a pipe to it")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("stdin" if text == "-" else "pipe")
        with path.open("wb") as file, nullcontext(sys.stdin.buffer) if text == "-" else given.open("rb") as source:
            shutil.copyfileobj(source, file)
        yield path.rename(path.with_suffix(ending(path)))


def ending(path: Path) -> str:
    """The extension for a file without a name, from its first bytes. The default is CSV."""
    with path.open("rb") as file:
        start = file.read(6)
    for magic, found in MAGIC.items():
        if start.startswith(magic):
            return found
    if start.startswith(b"PK"):
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if "[Content_Types].xml" in names:
                return ".xlsx"
            return ".npz" if all(name.endswith(".npy") for name in names) else ".zip"
        return ".zip"  # a damaged one, which the server refuses
    return ".csv"
