"""`Monitor`: one reference, and batch after batch compared with it, in memory or in a folder."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Unpack, get_args

import numpy as np

from wdist.definitions.alarms import alarms_after
from wdist.definitions.arguments import MonitorArguments
from wdist.definitions.docstrings import entries
from wdist.definitions.monitoring import Alarm, MonitorFigures, Thresholds, UpdateFigures, When
from wdist.definitions.reading import Reading, Selection
from wdist.definitions.refusals import checked
from wdist.definitions.results.reprs import in_a_line
from wdist.definitions.updates import ExportFormat, exported
from wdist.errors import OptionError, WdistError
from wdist.files.durable import replace_file
from wdist.monitoring.folder import MonitorFolder, folder_path, refuse_full
from wdist.monitoring.options import monitor_options, takes_monitor_options
from wdist.monitoring.words import in_python, monitor_html, monitor_text, update_html, update_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wdist.data.sources.files import FileRows
    from wdist.monitoring.options import MonitorOptions
    from wdist.monitoring.reference import Reference
    from wdist.monitoring.state import MonitorState
    from wdist.training.progress import Progress


_FORMATS: dict[str, ExportFormat] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


class Update(UpdateFigures):
    """What one batch says: by itself, and as a part of its monitor's series.

    Attributes:
        {figures}
    """

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain JSON types."""
        return self.model_dump(mode="json")

    def __repr__(self) -> str:
        return in_a_line(f"<Update {self.number}: {self.meaning}>")

    def __str__(self) -> str:
        return update_text(self)

    def _repr_html_(self) -> str:
        return update_html(self)


Update.__doc__ = (Update.__doc__ or "").replace("{figures}", entries(UpdateFigures).strip())


class Monitor:
    """Compares batch after batch with one reference, and raises an alarm when the distance is shown to be too large.

    The reference is split once. Each batch trains the last critic on, and is tested on rows of its own. With
    probability `confidence`, all bounds of the series hold and no alarm is ever false, however many batches there are.

    With a folder, each update is saved as a whole before it is answered: after a crash, the folder is as it was before
    an update or as it is after it. Processes that update one folder wait for each other.
    """

    def __init__(
        self, reference: Any, *, folder: str | Path | None = None, **arguments: Unpack[MonitorArguments]
    ) -> None:
        """Begin with a reference; nothing is trained before the first update.

        Args:
            reference: rows, as `estimate_w1` takes them: independent draws, none of which a batch will have.
            folder: a new folder for the monitor and a copy of the reference; None keeps both in memory.
            {options}
            {reading}

        thresholds may be one number, that of the distance. name is by default that of the folder.

        Raises:
            SampleError: the reference cannot be used; the message names the row and the column.
            OptionError: an option is unknown or out of range, or the folder holds something.
        """
        given: dict[str, Any] = dict(arguments)
        if folder is not None:
            folder = folder_path(folder)
            refuse_full(folder)  # now, not after the reference was read
            given.setdefault("name", folder.resolve().name or "monitor")
        options, reading = _checked(given)
        self._lock = RLock()
        self._folder: MonitorFolder | None = None
        self._history: list[Update] = []
        self._generation = 0  # of the folder, from which parts and figures are
        self._rows, self._reading = _rows_of(reference, reading), reading
        state, opened = _begun(self._rows, options, reading)
        self._parts: tuple[MonitorState, Reference] | None = (state, opened)
        self._figures = state.figures(None)
        if folder is not None:
            self.save(folder)
        _warn(opened.warnings)

    @classmethod
    def open(cls, folder: str | Path) -> Monitor:
        """The monitor in a folder.

        Raises WdistError if there is none, if a file is damaged, or if a later version of wdist wrote it.
        """
        monitor = cls.__new__(cls)
        monitor._lock = RLock()
        monitor._folder = MonitorFolder(folder_path(folder))
        monitor._take()
        return monitor

    @property
    def folder(self) -> Path | None:
        """Where the monitor is kept; None for one in memory."""
        return None if self._folder is None else self._folder.path

    @property
    def figures(self) -> MonitorFigures:
        """What the monitor compares with, its error budget, and where it stands."""
        self._catch_up()
        return self._figures.model_copy(deep=True)

    @property
    def reading(self) -> Reading:
        """How the reference was read, and batches are."""
        return self._reading if self._folder is None else self._folder.commit.reference.reading

    @property
    def reading_of_batches(self) -> Reading:
        """How batches are read: as the reference, of which they must have the columns that were taken."""
        columns = self._rows.columns if self._folder is None else self._folder.commit.reference.columns
        return self.reading.for_more(columns)

    @property
    def name(self) -> str:
        return self._figures.name

    @property
    def thresholds(self) -> Thresholds:
        return self.figures.thresholds

    @property
    def alarms(self) -> list[Alarm]:
        """The alarms that are on."""
        return self.figures.alarms

    @property
    def history(self) -> list[Update]:
        """All updates, oldest first, those of earlier epochs included."""
        self._catch_up()
        if self._folder is not None and len(self._history) != self._figures.updates:
            self._history = [Update(**vars(update)) for update in self._folder.history()]
        return list(self._history)

    def update(
        self,
        batch: Any,
        at: When | date | None = None,
        name: str | None = None,
        progress: bool | Callable[[Progress], object] | None = None,
    ) -> Update:
        """Compare one more batch with the reference.

        Args:
            batch: rows with the columns of the reference, read as it was; at least 100, and none that an earlier batch
                or the reference had.
            at: time of the batch, a number or a date or time (ISO 8601), later than that of the batch before. A monitor
                takes one of the two, or none.
            name: what the batch is called; by default its file.
            progress: True shows a line on standard error; a function is called with each `Progress`.

        Raises:
            RepeatedBatchError: a batch with this content was seen before.
            SampleError: the batch cannot be used.
            OptionError: `at` is not later than that of the batch before, or of the other kind.
            WdistError: another process has been changing the folder for ten minutes, or a file of it is damaged.
        """
        from wdist.monitoring.update import update
        from wdist.training.progress_line import ProgressLine

        with self._alone():
            state, reference = self._current()
            with ProgressLine(progress or False) as tell:
                state, figures = update(state, reference, batch, at=at, name=name, progress=tell)
            self._keep((state, reference), figures)
            return Update(**vars(figures))

    def set_thresholds(self, *, distance: float | None = None, columns: Mapping[str, float] | None = None) -> None:
        """Say when an alarm is raised from now on. What is left out goes back to its default.

        Args:
            distance: alarm when the distance is shown to be above this; None: above the tolerance.
            columns: alarm when the distance of a column by itself is shown to be above this, by its name.

        The alarms that are on become those that these thresholds would have raised. No error is spent by a change.
        """
        thresholds = checked(Thresholds, {"distance": distance, "columns": dict(columns or {})})
        with self._alone():
            state, reference = self._current()
            alarms = alarms_after(self.history, thresholds, state.options.tolerance, epoch=state.epoch)
            self._keep((state.with_thresholds(thresholds, alarms), reference))

    @takes_monitor_options
    def new_epoch(self, reference: Any, **arguments: Unpack[MonitorArguments]) -> None:
        """Begin again with a new reference: after a drift that is there to stay, or a change of options.

        Args:
            reference: rows that were no reference of this monitor before.
            {reading}
            {options}

        Options that are left out stay as they are. The error of the monitor is shared with the epochs before and to
        come, so that all bounds of all epochs hold together. Warns if the monitor has seen some of these rows before.
        """
        with self._alone():
            state, _ = self._current()
            given = {**dict(state.options), **self.reading.model_dump(exclude_defaults=True), **arguments}
            options, reading = _checked(given)
            rows = _rows_of(reference, reading)
            begun = _begun(rows, options, reading, after=state)
            self._keep(begun, reference=(rows, reading))
            self._rows, self._reading = rows, reading
        _warn([*begun[0].reference.warnings, *begun[1].warnings])

    def save(self, folder: str | Path) -> None:
        """Keep a monitor in a new folder, together with its reference, from now on. Later updates are saved there.

        Raises OptionError if the folder holds something, or if the monitor has a folder already.
        """
        if self._folder is not None:
            raise OptionError(f"this monitor is kept in {self._folder.path} already: copy that folder")
        with self._lock:
            state, _ = self._current()
            kept = MonitorFolder.create(
                folder_path(folder), state, self._rows, self._reading, self._figures, self._history
            )
            self._folder, self._generation = kept, kept.commit.generation

    def export(self, path: str | Path | None = None, *, format: ExportFormat | None = None) -> str:  # noqa: A002
        """All updates as CSV, one row for each, or as JSON lines with all figures; written to `path` if there is one.

        Args:
            path: of the file; its ending, .csv or .jsonl, says the format.
            format: "csv" or "jsonl"; by default by the ending of `path`, and CSV without a path.

        Returns the text. Text in CSV that a spreadsheet would compute begins with an apostrophe.

        Raises OptionError for another ending or format, WdistError if the file cannot be written.
        """
        wanted = _format_of(path) if format is None else format
        if wanted not in get_args(ExportFormat):
            raise OptionError(f"format is {wanted!r}; it must be 'csv' or 'jsonl'")
        text = "".join(exported(self.history, wanted))
        if path is not None:
            try:
                replace_file(Path(path), text.encode())
            except OSError as error:
                raise WdistError(f"{path} cannot be written: {error.strerror or error}; name another file") from error
        return text

    def plot(self) -> Figure:
        """Plot both ends and the value of each update, the alarm line, and the evidence of the series.

        Returns a matplotlib Figure. Updates of earlier epochs are grey; those with an alarm are red.

        Raises:
            WdistError: if matplotlib is not installed.
        """
        from wdist.monitoring.timeline import draw_timeline

        return draw_timeline(self.figures, self.history)

    def to_dict(self) -> dict[str, Any]:
        """The monitor and its history as plain JSON types."""
        figures = self.figures.model_dump(mode="json")
        return figures | {"history": [update.to_dict() for update in self.history]}

    def __repr__(self) -> str:
        alarm = ", ALARM" if self._figures.alarms else ""
        return in_a_line(f"<Monitor {self.name!r}: {self._figures.updates} updates{alarm}>")

    def __str__(self) -> str:
        return monitor_text(self.figures, self.history)

    def _repr_html_(self) -> str:
        return monitor_html(self.figures, self.history)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let no other thread or process change the monitor meanwhile; what others changed before is read."""
        with self._lock, ExitStack() as held:
            if self._folder is not None:
                held.enter_context(self._folder.locked())
                self._catch_up()
            try:
                yield
            except WdistError as error:
                error.args = (in_python(str(error)), *error.args[1:])
                raise

    def _catch_up(self) -> None:
        """Read what was committed since: by other processes, or by a change of our own that was interrupted."""
        with self._lock:
            if self._folder is not None:
                self._folder.refresh()
                if self._generation != self._folder.commit.generation:
                    self._take()

    def _take(self) -> None:
        """Take what the folder says; state and history are read when they are needed."""
        assert self._folder is not None  # noqa: S101 - its callers know
        commit = self._folder.commit
        self._figures, self._history, self._parts = commit.figures, [], None
        self._generation = commit.generation

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = RLock()

    def _current(self) -> tuple[MonitorState, Reference]:
        """The state and the reference, which a monitor in a folder reads when they are needed."""
        from wdist.monitoring.reference import open_reference
        from wdist.monitoring.state import MonitorState

        if self._parts is None:
            assert self._folder is not None  # noqa: S101 - one in memory has its parts
            state = self._folder.state(MonitorState.read)
            rows = self._folder.reference()
            self._parts = state, open_reference(rows, state.reference.name, state.options, state.reading)
        return self._parts

    def _keep(
        self,
        parts: tuple[MonitorState, Reference],
        update: UpdateFigures | None = None,
        reference: tuple[FileRows, Reading] | None = None,
    ) -> None:
        """What counts from now on; in a folder, it is on the disk when this returns. reference: a new one."""
        figures = parts[0].figures(self._figures.last if update is None else update)
        updates = [] if update is None else [update]
        generation = 0
        if self._folder is not None:
            self._folder.save(parts[0], figures, updates, reference)
            generation = self._folder.commit.generation
        history = self._history
        if self._folder is None or len(history) == self._figures.updates:
            history = [*history, *(Update(**vars(each)) for each in updates)]
        # One statement: Ctrl-C comes before it or after it.
        self._parts, self._figures, self._history, self._generation = parts, figures, history, generation


Monitor.__init__ = takes_monitor_options(Monitor.__init__)  # type: ignore[method-assign]


def _format_of(path: str | Path | None) -> ExportFormat:
    """The format that the ending of a file says. Raises OptionError for another one."""
    ending = ".csv" if path is None else Path(path).suffix.casefold()
    if ending not in _FORMATS:
        raise OptionError(f"{path}: the ending must be .csv or .jsonl; or give format='csv' or 'jsonl'")
    return _FORMATS[ending]


def _warn(texts: Iterable[str]) -> None:
    for text in texts:
        warnings.warn(text, stacklevel=3)  # at the caller of the method


def _checked(given: Mapping[str, Any]) -> tuple[MonitorOptions, Reading]:
    """Options and reading; thresholds may be a number, that of the distance, or a mapping. Raises OptionError."""
    wanted = given.get("thresholds")
    if isinstance(wanted, Thresholds):
        wanted = vars(wanted)
    wanted = checked(Thresholds, wanted if isinstance(wanted, Mapping) else {"distance": wanted})
    return monitor_options({**given, "thresholds": wanted})


def _begun(
    rows: FileRows, options: MonitorOptions, reading: Reading, after: MonitorState | None = None
) -> tuple[MonitorState, Reference]:
    """The first epoch of a monitor, or the next one."""
    from wdist.monitoring.reference import open_reference
    from wdist.monitoring.update import begin

    opened = open_reference(rows, None, options, reading)
    return begin(opened, options, after=after), opened


def _rows_of(reference: Any, reading: Reading) -> FileRows:
    from wdist.data.sources.rows import rows_of

    name = str(reference) if isinstance(reference, str | Path) else "the reference"
    rows = rows_of(reference, name, Selection.of(reading))
    if rows is not reference and isinstance(rows.array, np.ndarray) and not isinstance(rows.array, np.memmap):
        # The user's own array may be changed in place between two updates.
        rows = replace(rows, array=rows.array.copy())
    return rows
