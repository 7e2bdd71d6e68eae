"""The memory of a monitor: all that an update needs to know of earlier ones, in one file of constant size.

Beside the digests of each batch and of some of its rows, nothing of it grows with the number of updates.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError

from wdist.critics.base import TrainedConfig
from wdist.critics.critic import Critic, critic_from
from wdist.critics.registry import find_family
from wdist.data.samples import Layout, SampleSet
from wdist.data.tables.schema import TableSchema
from wdist.definitions.monitoring import Alarm, MonitorFigures, Thresholds, UpdateFigures, When
from wdist.definitions.reading import Reading
from wdist.errors import WdistError
from wdist.files.durable import replace_file
from wdist.inference.series.evidence import Evidence
from wdist.monitoring.frame import Frame
from wdist.monitoring.options import MonitorOptions, check_column

FORMAT: Final = 1
PREVIOUS_ROWS: Final = 20_000
PREVIOUS_BYTES: Final = 64 << 20

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class ReferenceRecord:
    """What is remembered of the reference of an epoch.

    warnings: what is to be minded about it in each update.
    """

    name: str
    rows: int
    sha256: str
    units: str
    columns: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class SeenRows:
    """Some rows of a set that the monitor has seen, (64,), by which it is known again in part: see `Content.sample`.

    name: what messages call the set.
    """

    name: str
    sample: NDArray[np.uint64]


@dataclass(frozen=True)
class WarmCritic:
    """The last critic that was trained, in training units: the next update trains on from it."""

    config: TrainedConfig
    weights: Arrays


@dataclass(frozen=True)
class PreviousRows:
    """Test rows of the batch before, (n, ...), as they were stored, in their seeded order, and what they mean."""

    rows: NDArray[Any]
    layout: Layout | None
    names: list[str] | None
    table: TableSchema | None

    @classmethod
    def of(cls, samples: SampleSet, test: NDArray[np.int64]) -> Self:
        """The first of the test rows."""
        row_bytes = max(1, samples.array[:1].nbytes)
        kept = np.array(samples.array[test[: max(100, min(PREVIOUS_ROWS, PREVIOUS_BYTES // row_bytes))]])
        return cls(kept.astype(kept.dtype.newbyteorder("=")), samples.layout, samples.names, samples.table)

    def opened(self) -> SampleSet:
        """The rows as a set."""
        return SampleSet(self.rows, "the batch before", self.layout, self.names, table=self.table)


@dataclass(frozen=True)
class MonitorState:
    """A monitor between two updates. It is never changed: `wdist.monitoring.update.update` returns a new one.

    Attributes:
        options, reading: what was asked for. Name and thresholds may change, see `renamed` and `with_thresholds`.
        epoch: from 1; a new reference begins a new one.
        updates, updates_in_epoch: how many there have been.
        split_of_reference: number of the stream that split the reference; each batch takes the next.
        reference, frame: what the epoch compares with, and how it measures.
        evidence: of the series of this epoch.
        collector: the clipped critic that collects the evidence; None before the first update.
        warm: None before the first update, and if no critic is trained.
        previous: None before the first update of an epoch.
        references, batches: content of all references and batches so far; of a batch with the number of its update.
        seen: some rows of each of them, in the order in which they came.
        last_at: time of the last batch that had one.
        alarms: that are on.
        was_paused: whether the monitor was paused in this epoch.
    """

    options: MonitorOptions
    reading: Reading
    epoch: int
    updates: int
    updates_in_epoch: int
    split_of_reference: int
    reference: ReferenceRecord
    frame: Frame
    evidence: Evidence
    collector: Critic | None = None
    warm: WarmCritic | None = None
    previous: PreviousRows | None = None
    references: tuple[str, ...] = ()
    batches: Mapping[str, int] = field(default_factory=dict)
    seen: tuple[SeenRows, ...] = ()
    last_at: When | None = None
    alarms: tuple[Alarm, ...] = ()
    was_paused: bool = False

    def with_thresholds(self, thresholds: Thresholds, alarms: list[Alarm] | None = None) -> MonitorState:
        """The same with other thresholds; alarms: those that are on under them, as `alarms_after` finds.

        Raises OptionError for a column that the reference does not have.
        """
        for column in thresholds.columns:
            check_column(column, list(self.reference.columns))
        options = self.options.model_copy(update={"thresholds": thresholds})
        return replace(self, options=options, alarms=self.alarms if alarms is None else tuple(alarms))

    def renamed(self, name: str) -> MonitorState:
        """The same under another name."""
        return replace(self, options=MonitorOptions.checked(**dict(self.options) | {"name": name}))

    def paused(self) -> MonitorState:
        """The same, which says from now on in this epoch that it was paused."""
        return replace(self, was_paused=True)

    def figures(self, last: UpdateFigures | None = None) -> MonitorFigures:
        """What the monitor says of itself; last: its last update."""
        options = self.options
        own = options.model_dump(mode="json", exclude={"name", "confidence", "tolerance", "thresholds"})
        return MonitorFigures(
            name=options.name, reference=self.reference.name, reference_rows=self.reference.rows,
            confidence=options.confidence, tolerance=options.tolerance, thresholds=options.thresholds,
            units=self.reference.units, epoch=self.epoch, updates=self.updates, last=last, alarms=list(self.alarms),
            options=own | self.reading.model_dump(mode="json", exclude_defaults=True),
        )  # fmt: skip

    def to_bytes(self) -> bytes:
        """The content of a file, a function of the state alone."""
        arrays: Arrays = {}
        document: dict[str, Any] = {
            "options": self.options.model_dump(mode="json"),
            "reading": self.reading.model_dump(mode="json"),
            "epoch": self.epoch,
            "updates": self.updates,
            "updates_in_epoch": self.updates_in_epoch,
            "split_of_reference": self.split_of_reference,
            "reference": vars(self.reference),
            "frame": self.frame.to_json(),
            "evidence": self.evidence.to_json(),
            "references": list(self.references),
            "seen": [each.name for each in self.seen],
            "batches": dict(self.batches),
            "last_at": self.last_at,
            "alarms": [alarm.model_dump(mode="json") for alarm in self.alarms],
            "was_paused": self.was_paused,
            "collector": None,
            "warm": None,
            "previous": None,
        }
        if self.seen:
            arrays["seen"] = np.stack([each.sample for each in self.seen])
        if self.collector is not None:
            document["collector"], tensors = self.collector.described()
            arrays |= {f"collector.{name}": tensor.numpy() for name, tensor in tensors.items()}
        if self.warm is not None:
            document["warm"] = {"family": self.warm.config.family, "config": self.warm.config.to_json()}
            arrays |= {f"warm.{name}": array for name, array in self.warm.weights.items()}
        if self.previous is not None:
            table = None if self.previous.table is None else self.previous.table.to_json()
            document["previous"] = {"layout": self.previous.layout, "names": self.previous.names, "table": table}
            arrays["previous"] = self.previous.rows
        return _file(arrays, document)

    @classmethod
    def from_bytes(cls, data: bytes, where: str = "this") -> MonitorState:
        """The state that `to_bytes` wrote; `where` is what messages call the file.

        Raises WdistError if it is something else, is damaged, or is of a later version.
        """
        arrays, stored = _read(data, where)
        try:
            return _state(arrays, stored, where)
        except (KeyError, TypeError, ValueError, IndexError, ValidationError) as error:
            raise WdistError(f"{where} is no state of a monitor that this version can read: {error}") from None

    def write(self, path: str | Path) -> None:
        """Write it into a file, atomically and durably: after a crash, there is the old file or the new one."""
        replace_file(Path(path), self.to_bytes())

    @classmethod
    def read(cls, path: str | Path) -> MonitorState:
        """Read what `write` wrote. Raises what `from_bytes` raises."""
        return cls.from_bytes(Path(path).read_bytes(), str(path))


def _state(arrays: Arrays, stored: Mapping[str, Any], where: str) -> MonitorState:
    record, warm, previous, collector = (stored[name] for name in ("reference", "warm", "previous", "collector"))
    return MonitorState(
        options=MonitorOptions.model_validate(stored["options"]),
        reading=Reading.model_validate(stored["reading"]),
        epoch=stored["epoch"],
        updates=stored["updates"],
        updates_in_epoch=stored["updates_in_epoch"],
        split_of_reference=stored["split_of_reference"],
        reference=ReferenceRecord(**record | {name: tuple(record[name]) for name in ("columns", "warnings")}),
        frame=Frame.from_json(stored["frame"]),
        evidence=Evidence.from_json(stored["evidence"]),
        collector=None if collector is None else critic_from(collector, _tensors(arrays, "collector"), where),
        warm=None if warm is None else _warm(warm, _of(arrays, "warm")),
        previous=None if previous is None else _previous(previous, arrays["previous"]),
        references=tuple(stored["references"]),
        seen=tuple(SeenRows(name, arrays["seen"][k]) for k, name in enumerate(stored["seen"])),
        batches=stored["batches"],
        last_at=stored["last_at"],
        alarms=tuple(Alarm.model_validate(each) for each in stored["alarms"]),
        was_paused=stored["was_paused"],
    )


def _warm(stored: Mapping[str, Any], weights: Arrays) -> WarmCritic:
    config = find_family(stored["family"]).load().from_json(stored["config"])
    if not isinstance(config, TrainedConfig):
        raise ValueError(f"critics of family {stored['family']!r} are not trained")
    return WarmCritic(config, weights)


def _previous(stored: Mapping[str, Any], rows: NDArray[Any]) -> PreviousRows:
    table = None if stored["table"] is None else TableSchema.from_json(stored["table"])
    return PreviousRows(rows, stored["layout"], stored["names"], table)


def _of(arrays: Arrays, group: str) -> Arrays:
    return {name.split(".", 1)[1]: array for name, array in arrays.items() if name.startswith(f"{group}.")}


def _tensors(arrays: Arrays, group: str) -> dict[str, Any]:
    return {name: torch.from_numpy(array) for name, array in _of(arrays, group).items()}


def _file(arrays: Arrays, document: Mapping[str, Any]) -> bytes:
    text = json.dumps({"format": FORMAT, **document}, sort_keys=True)
    whole = {name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())}
    # One entry of metadata: safetensors writes several in any order, and equal states are to have equal bytes.
    data: bytes = safetensors.numpy.save(
        whole, metadata={"state": json.dumps({"sha256": _digest(text, whole), "document": text})}
    )
    return data


def _read(data: bytes, where: str) -> tuple[Arrays, dict[str, Any]]:
    """Arrays and document of a file, compared with its digest."""

    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        known = json.loads(header["__metadata__"]["state"])
        document = json.loads(known["document"])
        arrays = safetensors.numpy.load(data)
        is_whole = known["sha256"] == _digest(known["document"], arrays)
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError, RecursionError):
        is_whole = False
    if not is_whole:
        raise WdistError(f"{where} is damaged, or no state of a monitor: take it from a backup")
    if document.get("format") != FORMAT:
        raise WdistError(
            f"{where} holds format {document.get('format')!r} of a monitor's state, and this version of wdist reads "
            f"{FORMAT}: use the version that wrote it, or a later one"
        )
    return arrays, document


def _digest(text: str, arrays: Arrays) -> str:
    hasher = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        hasher.update(f"\0{name}\0{array.dtype}{array.shape}\0".encode())
        hasher.update(np.ascontiguousarray(array).tobytes())
    return hasher.hexdigest()
