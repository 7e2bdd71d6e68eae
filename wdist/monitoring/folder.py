"""A monitor on the disk: a folder in which one small file says what counts of the others.

monitor.json          format, figures, and names, sizes and digests of the other files; replacing it is the commit
state-K.safetensors   what the next update needs: written whole before the commit that names it
reference-K.npy       rows of the reference, as they were read, so that the folder needs no other file
history.jsonl         one line for each update; bytes beyond those that the commit counts do not count
lock                  held during a change

A process that is killed, or a power cut, leaves the folder as it was before a change or as it is after it. What such an
end leaves behind is removed by the next change.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

import wdist
from wdist.definitions.monitoring import MonitorFigures, UpdateFigures
from wdist.definitions.reading import Reading, Selection
from wdist.errors import OptionError, WdistError
from wdist.files.durable import replace_file, sync_folder
from wdist.monitoring.lock import PATIENCE, locked
from wdist.monitoring.words import NEW_EPOCH, in_python

if TYPE_CHECKING:
    from wdist.data.sources.files import FileRows

FORMAT = 1
COMMIT, HISTORY, LOCK = "monitor.json", "history.jsonl", "lock"
_DIGEST = "sha256"  # of monitor.json, in itself
_OURS = re.compile(r"(state-\d+\.safetensors|reference-\d+\.npy|monitor\.json)(\.part)?|history\.jsonl|lock")
_BLOCK_BYTES = 1 << 24
_RESTORE = "restore the folder from a backup, or create the monitor again, in another"

S = TypeVar("S")


class Kept(Protocol):
    """What `write` puts into a file."""

    def write(self, path: Path) -> None: ...


class KeptFile(BaseModel):
    """A file that does not change: its name and the SHA-256 of its bytes."""

    file: str
    sha256: str


class KeptReference(KeptFile):
    """The rows of a reference, what is known of them, and how they were read. See `FileRows`."""

    given: str
    columns: list[str] | None = None
    table: dict[str, Any] | None = None
    notes: list[str] = []
    reading: Reading = Reading()


class Commit(BaseModel):
    """The content of monitor.json."""

    model_config = ConfigDict(frozen=True)

    wdist_monitor: int
    library: str
    generation: int
    figures: MonitorFigures
    state: KeptFile
    reference: KeptReference
    history_bytes: int = 0
    history_sha256: str = ""

    def to_bytes(self) -> bytes:
        """The content of monitor.json: these fields, and a digest of them."""
        document = self.model_dump(mode="json")
        return (json.dumps(document | {_DIGEST: _digest_of(document)}, indent=1, allow_nan=False) + "\n").encode()


class MonitorFolder:
    """A folder that holds a monitor.

    Attributes:
        commit: what counted when it was last read: see `refresh`.
    """

    def __init__(self, path: str | Path) -> None:
        """Raises WdistError if there is no monitor, if it is damaged, or if a later version of wdist wrote it."""
        self.path = Path(path)
        self.commit = self._read()

    @classmethod
    def create(
        cls,
        path: str | Path,
        state: Kept,
        reference: FileRows,
        reading: Reading,
        figures: MonitorFigures,
        history: Sequence[UpdateFigures] = (),
    ) -> MonitorFolder:
        """Make the folder with a monitor.

        Raises OptionError if it holds a monitor already, or anything else; WdistError if it cannot be written.
        """
        folder = cls.__new__(cls)
        folder.path = Path(path)
        refuse_full(folder.path)
        is_new = not folder.path.exists()
        with _saying(folder.path, "no monitor was made"):
            folder.path.mkdir(parents=True, exist_ok=True)
            if is_new:
                sync_folder(folder.path.parent)
        with locked(folder.path / LOCK):
            refuse_full(folder.path)
            folder._clear({LOCK})
            with _saying(folder.path, "no monitor was made"):
                kept = folder._write_reference(reference, reading, 1)
            empty = KeptFile(file="", sha256="")
            folder.commit = _commit(0, figures=figures, state=empty, reference=kept)
            folder.save(state, figures, history)
        return folder

    @contextmanager
    def locked(self, seconds: float = PATIENCE) -> Iterator[None]:
        """Alone with the folder, of which the last commit is read: for a change. Waits for others; see `locked`."""
        self._read()  # a lock makes its file, and is to make none where no monitor is
        with locked(self.path / LOCK, seconds):
            self.refresh()
            yield

    def refresh(self) -> None:
        """Read what counts now."""
        self.commit = self._read()

    def save(
        self,
        state: Kept,
        figures: MonitorFigures,
        updates: Sequence[UpdateFigures] = (),
        reference: tuple[FileRows, Reading] | None = None,
    ) -> None:
        """Commit a state, the updates that led to it, and perhaps a new reference. The lock is held.

        Raises WdistError if it cannot be written.
        """
        with _saying(self.path, "make room or give the right to write there, and try again"):
            self._save(state, figures, updates, reference)
        self._clear({COMMIT, HISTORY, LOCK, self.commit.state.file, self.commit.reference.file})

    def _save(
        self,
        state: Kept,
        figures: MonitorFigures,
        updates: Sequence[UpdateFigures],
        reference: tuple[FileRows, Reading] | None,
    ) -> None:
        before = self.commit
        generation = before.generation + 1
        kept = before.reference if reference is None else self._write_reference(*reference, generation)
        path = self.path / f"state-{generation}.safetensors"
        state.write(path)
        size, digest = self._append(updates)
        self.commit = _commit(
            generation,
            figures=figures,
            state=KeptFile(file=path.name, sha256=_sha256(path)),
            reference=kept,
            history_bytes=size,
            history_sha256=digest,
        )
        try:
            replace_file(self.path / COMMIT, self.commit.to_bytes())
        except BaseException:
            self.commit = before
            raise

    def state(self, read: Callable[[Path], S]) -> S:
        """The state, by its reader. The lock is held. Raises WdistError if it is damaged."""
        return read(self._checked(self.commit.state))

    def reference(self) -> FileRows:
        """The rows of the reference, mapped into memory.

        Raises WdistError if they are damaged.
        """
        from wdist.data.sources.files import FileRows
        from wdist.data.tables.schema import TableSchema

        kept = self.commit.reference
        array = np.load(self._checked(kept), mmap_mode="r", allow_pickle=False)
        table = None if kept.table is None else TableSchema.from_json(kept.table)
        return FileRows(kept.given, array, kept.columns, table, tuple(kept.notes), Selection.of(kept.reading))

    def history(self) -> list[UpdateFigures]:
        """All updates, oldest first. Raises WdistError if their file is damaged."""
        path, size = self.path / HISTORY, self.commit.history_bytes
        try:
            with path.open("rb") as file:
                content = file.read(size)
        except OSError as error:
            raise WdistError(f"{path} cannot be read: {error.strerror or error}; {_RESTORE}") from error
        lines = content.splitlines(keepends=True)
        digest = ""
        for line in lines:
            digest = _chained(digest, line)
        if len(content) != size or digest != self.commit.history_sha256:
            raise WdistError(f"{path} is damaged: {_RESTORE}")
        return [UpdateFigures.model_validate_json(line) for line in lines]

    def _read(self) -> Commit:
        path = self.path / COMMIT
        try:
            document = json.loads(path.read_bytes())
        except NotADirectoryError:
            raise WdistError(
                f"{self.path} is a file, and a monitor is a folder: name it first, then the batch"
            ) from None
        except FileNotFoundError:
            if _holds_updates(self.path):
                raise WdistError(f"{path} is gone, and other files of the monitor are there: {_RESTORE}") from None
            raise WdistError(
                f"{self.path} holds no monitor: name the folder of one, or create one there first"
            ) from None
        except OSError as error:
            raise WdistError(f"{path} cannot be read: {error.strerror or error}") from error
        except ValueError:
            raise WdistError(f"{path} is damaged: {_RESTORE}") from None
        version = document.get("wdist_monitor") if isinstance(document, dict) else None
        if isinstance(version, int) and version > FORMAT:
            by = document.get("library", "a later version")
            raise WdistError(
                f"{self.path} holds a monitor of format {version}, written by wdist {by}; this is wdist "
                f"{wdist.__version__}, which reads format {FORMAT}: update wdist"
            )
        try:
            commit = Commit.model_validate(document)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise WdistError(f"{path} is damaged ({where}: {first['msg']}): {_RESTORE}") from None
        if document.get(_DIGEST) != _digest_of(document):
            raise WdistError(f"{path} is damaged, or was edited: {_RESTORE}")
        return commit

    def _checked(self, kept: KeptFile) -> Path:
        """The path of a file with the content that was committed."""
        path = self.path / kept.file
        try:
            digest = _sha256(path)
        except OSError as error:
            raise WdistError(f"{path} cannot be read: {error.strerror or error}; {_RESTORE}") from error
        if digest != kept.sha256:
            raise WdistError(f"{path} is damaged: {_RESTORE}")
        return path

    def _append(self, updates: Sequence[UpdateFigures]) -> tuple[int, str]:
        """Write further lines behind those that count; the number of bytes and the digest of all."""
        size, digest = self.commit.history_bytes, self.commit.history_sha256
        path = self.path / HISTORY
        if size and (not path.is_file() or path.stat().st_size < size):
            raise WdistError(f"{path} is damaged: {_RESTORE}")
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.truncate(size)
            file.seek(size)
            for update in updates:
                line = update.model_dump_json().encode() + b"\n"
                size, digest = size + len(line), _chained(digest, line)
                file.write(line)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self.path)
        return size, digest

    def _write_reference(self, rows: FileRows, reading: Reading, number: int) -> KeptReference:
        """Write rows in blocks; the file is on the disk when this returns."""
        path = self.path / f"reference-{number}.npy"
        array = rows.array
        with path.open("wb") as file:
            dtype = np.dtype(array.dtype)
            header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": tuple(array.shape)}
            np.lib.format.write_array_header_1_0(file, header)
            bytes_a_row = max(1, dtype.itemsize * int(np.prod(array.shape[1:])))
            step = max(1, _BLOCK_BYTES // bytes_a_row)
            for start in range(0, len(array), step):
                file.write(np.ascontiguousarray(array[start : start + step]).tobytes())
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self.path)
        return KeptReference(
            file=path.name,
            sha256=_sha256(path),
            given=rows.given,
            columns=rows.columns,
            table=None if rows.table is None else rows.table.to_json(),
            notes=list(rows.notes),
            reading=reading,
        )

    def _clear(self, kept: set[str]) -> None:
        """Remove what earlier commits and interrupted changes left, as far as the system lets us: it does not count."""
        with suppress(OSError):
            for path in self.path.iterdir():
                if _OURS.fullmatch(path.name) and path.name not in kept:
                    with suppress(OSError):
                        path.unlink()


def folder_path(given: Any) -> Path:
    """The path of a folder. Raises OptionError for what can be none."""
    if not isinstance(given, str | os.PathLike):
        raise OptionError(f"folder is {given!r:.60}; it must be the path of a folder")
    text = os.fsdecode(given)
    if not text or "\0" in text:
        raise OptionError(f"folder is {text!r:.60}; it must be the path of a folder")
    return Path(text)


def refuse_full(path: Path) -> None:
    """Raise OptionError unless a monitor can be created here: where nothing is, in an empty folder, or in one that a
    killed creation left, which has its lock."""
    try:
        _refuse_full(path)
    except OSError as error:
        shown = str(path) if len(str(path)) <= 200 else f"{str(path)[:200]}..."
        raise OptionError(f"{shown} can be no folder: {error.strerror or error}; name another one") from None


def _refuse_full(path: Path) -> None:
    if path.is_symlink() and not path.exists():
        raise OptionError(f"{path} is a link to nothing: name a new folder for the monitor")
    if (path / COMMIT).exists():
        raise OptionError(
            f"{path} holds a monitor already: go on with that one, name another folder, or, for another reference or "
            f"other options, {in_python(NEW_EPOCH)}"
        )
    if path.exists() and not path.is_dir():
        raise OptionError(f"{path} is a file: name a new folder for the monitor")
    if path.is_dir():
        names = [entry.name for entry in path.iterdir()]
        other = next((name for name in names if LOCK not in names or not _OURS.fullmatch(name)), None)
        if other is not None:
            raise OptionError(f"{path} holds other files, such as {other}: name a new folder for the monitor")
        if _holds_updates(path):
            raise OptionError(
                f"{path} holds files of a monitor whose {COMMIT} is gone: restore it from a backup, or name another "
                "folder"
            )


def _holds_updates(path: Path) -> bool:
    """Whether a folder holds more than a creation that was killed before its first commit can leave."""
    history = path / HISTORY
    later = (each.name != "state-1.safetensors" for each in path.glob("state-*.safetensors"))
    return any(later) or (history.is_file() and history.stat().st_size > 0)


@contextmanager
def _saying(path: Path, advice: str) -> Iterator[None]:
    """Says which folder cannot be written, and what to do."""
    try:
        yield
    except OSError as error:
        raise WdistError(f"{path} cannot be written: {error.strerror or error}; {advice}") from error


def _commit(generation: int, **kept: Any) -> Commit:
    return Commit(wdist_monitor=FORMAT, library=wdist.__version__, generation=generation, **kept)


def _digest_of(document: dict[str, Any]) -> str:
    """SHA-256 of all that monitor.json says, but for this digest."""
    said = {name: value for name, value in document.items() if name != _DIGEST}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _chained(digest: str, line: bytes) -> str:
    """The digest of a history that is one line longer."""
    return hashlib.sha256(digest.encode() + line).hexdigest()
