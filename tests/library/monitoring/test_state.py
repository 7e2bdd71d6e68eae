"""The file of a monitor's memory: what it keeps, how large it gets, and what is said of one that cannot be used."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
from series_of_batches import normal, opened, run, without_seconds

from wdist.data.content import SAMPLED
from wdist.definitions.monitoring import Thresholds
from wdist.errors import OptionError, WdistError
from wdist.monitoring.state import FORMAT, MonitorState, _file, _read
from wdist.monitoring.update import update


def test_a_monitor_goes_on_from_its_file_as_if_it_had_not_been_written(tmp_path: Path) -> None:
    reference, state = opened(normal(400, 1))
    state, _ = run(reference, state, [normal(200, 2)])
    state.write(tmp_path / "state")
    read = MonitorState.read(tmp_path / "state")
    one, figures = update(state, reference, normal(200, 3, 1.0))
    other, others = update(read, reference, normal(200, 3, 1.0))
    assert one.to_bytes() == other.to_bytes()
    assert without_seconds(figures) == without_seconds(others)


def test_tables_of_every_kind_of_column_are_kept(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)

    def table() -> pd.DataFrame:
        days = pd.Timestamp("2026-01-01") + pd.to_timedelta(generator.integers(0, 9, 200), "D")
        rows = pd.DataFrame(
            {"v": generator.normal(size=200), "kind": generator.choice(["a", "b"], 200), "is": [True, False] * 100}
        )
        rows["day"] = days
        rows.loc[::9, "v"] = np.nan
        return rows

    reference, state = opened(table(), categories=["kind"], missing="level", scale="robust", time_unit="days")
    state, _ = run(reference, state, [table()])
    state.write(tmp_path / "state")
    read = MonitorState.read(tmp_path / "state")
    assert read.to_bytes() == state.to_bytes()
    batch = table()
    (one, _), (other, _) = update(state, reference, batch), update(read, reference, batch)
    assert one.to_bytes() == other.to_bytes()


def test_its_size_grows_by_the_digests_of_each_batch_only() -> None:
    reference, state = opened(normal(200, 1), critic="groupsort")
    sizes = []
    for k in range(5):
        state, _ = update(state, reference, normal(110, 10 + k))
        sizes.append(len(state.to_bytes()))
    assert max(later - earlier for earlier, later in itertools.pairwise(sizes)) < 400 + 8 * SAMPLED


def test_a_damaged_file_and_one_of_a_later_version_are_refused(tmp_path: Path) -> None:
    _, state = opened(normal(300, 1))
    data = state.to_bytes()
    for damaged in (b"", b"no state", data[:-1], data[: len(data) // 2], data.replace(b"alarms", b"alarmz", 1)):
        with pytest.raises(WdistError, match="state of january is damaged"):
            MonitorState.from_bytes(damaged, "state of january")
    arrays, document = _read(data, "this")
    later = _file(arrays, {**document, "format": FORMAT + 1})
    with pytest.raises(WdistError, match="use the version that wrote it"):
        MonitorState.from_bytes(later)
    lacking = {name: value for name, value in document.items() if name != "epoch"}
    with pytest.raises(WdistError, match="no state of a monitor"):
        MonitorState.from_bytes(_file(arrays, lacking))
    tensors = safetensors.numpy.save({"a": np.zeros(2)}, metadata={"state": json.dumps({"document": 1})})
    with pytest.raises(WdistError, match="no state of a monitor"):
        MonitorState.from_bytes(tensors)


def test_thresholds_and_name_may_change() -> None:
    _, state = opened(normal(300, 1))
    assert state.with_thresholds(Thresholds(columns={"1": 0.2})).options.thresholds.columns == {"1": 0.2}
    with pytest.raises(OptionError, match="no column 'price'"):
        state.with_thresholds(Thresholds(columns={"price": 0.2}))
    with pytest.raises(OptionError, match="no column 'price'"):
        opened(normal(300, 1), thresholds=Thresholds(columns={"price": 0.2}))
    assert state.renamed("weekly").figures().name == "weekly"
    with pytest.raises(OptionError, match="name"):
        state.renamed("")
