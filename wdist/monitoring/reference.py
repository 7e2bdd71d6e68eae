"""The reference of a monitor, opened: rows, digests, and the split of an epoch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from wdist.data.checks import identifier_warnings, notes_of
from wdist.data.content import Content, content_of
from wdist.data.samples import SampleSet, open_samples
from wdist.data.sources.advice import in_python, without_advice
from wdist.data.splits import MINIMUM_ROWS
from wdist.definitions.figures import WITNESS_COLUMNS
from wdist.definitions.reading import Reading, Selection
from wdist.errors import SampleError
from wdist.estimate import called
from wdist.monitoring.frame import with_table
from wdist.monitoring.options import MonitorOptions, check_column
from wdist.monitoring.words import NEW_EPOCH, NEW_MONITOR


@dataclass
class Reference:
    """A reference: what batches are compared with.

    samples: its rows. reading: how they were read, as batches will be.
    """

    samples: SampleSet
    reading: Reading

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.samples.name

    @property
    def columns(self) -> list[str]:
        """The columns of a table, which thresholds may name; none of images and of wide tables."""
        if self.samples.is_image:
            return []
        names = self.samples.columns if self.samples.table is None else self.samples.table.names
        return names if len(names) <= WITNESS_COLUMNS else []

    @cached_property
    def sha256(self) -> str:
        """Digest of rows, their order and what they mean, by which an update knows the reference of its monitor."""
        table = None if self.samples.table is None else self.samples.table.to_json()
        return hashlib.sha256(f"{self.samples.sha256}\n{json.dumps(table)}".encode()).hexdigest()

    @cached_property
    def content(self) -> str:
        """Digest of the rows in any order, by which a monitor knows rows that it has used before."""
        return self.rows.sha256

    @cached_property
    def rows(self) -> Content:
        """What the rows are, in any order."""
        return content_of(self.samples)

    @property
    def warnings(self) -> list[str]:
        """What is to be minded before a batch is compared with it."""
        found = [*notes_of(self.samples), *identifier_warnings(self.samples)]
        return [_with_way(text, f"; {NEW_MONITOR}, read so, before its first update") for text in found]


def open_reference(
    reference: Any, name: str | None = None, options: MonitorOptions | None = None, reading: Reading | None = None
) -> Reference:
    """Open the reference of a monitor.

    reference: rows, as `wdist.estimate_w1` takes them. name: what messages call it; by default its file, or "the
    reference". options: of the monitor, for the layout of images. reading: how its files and those of batches are read.

    Raises SampleError if it cannot be used, OptionError if an option does not fit it.
    """
    options, reading = options or MonitorOptions(), reading or Reading()
    samples = open_rows(reference, name or called(reference, "the reference"), options, reading)
    opened = Reference(samples, reading)
    for column in options.thresholds.columns:
        check_column(column, opened.columns)
    return opened


def open_rows(rows: Any, name: str, options: MonitorOptions, reading: Reading) -> SampleSet:
    """A reference or a batch, with a schema if missing values are levels. Raises SampleError for too few rows."""
    samples = with_table(open_samples(rows, name, options.layout, take=Selection.of(reading)))
    if samples.n < MINIMUM_ROWS:
        raise SampleError(
            f"{samples.name}: {samples.n} rows are too few; at least {MINIMUM_ROWS} are needed to train on some and "
            "certify on others"
        )
    return samples


def of_new_epoch(warning: str) -> str:
    """A warning of a pair as one of an update, whose batch is read as the reference was."""
    return _with_way(warning, f"; batches are read as the reference is: {NEW_EPOCH}, read so")


def _with_way(warning: str, way: str) -> str:
    """A warning, and in which way the options of reading that it advises are given, if it advises some."""
    said = in_python(warning)
    return said + way if without_advice(said)[1] else said


@contextmanager
def read_as_reference() -> Iterator[None]:
    """Where a batch is opened: a message that names options of reading says where a monitor takes them."""
    try:
        yield
    except SampleError as error:
        wrong, options = without_advice(str(error))
        if not options:
            raise
        raise SampleError(
            f"{wrong}. Batches are read as the reference was: mend this one, or create the monitor anew, its reference "
            f"and batches read with {options}"
        ) from error


def printable(text: str) -> str:
    r"""Text that every file keeps: half a surrogate, as in names of files that are not UTF-8, becomes \udcff."""
    return text.encode("utf-8", "backslashreplace").decode()
