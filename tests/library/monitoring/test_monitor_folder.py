"""`Monitor` in memory and in a folder: it says the same, keeps what it said, and names what is damaged."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from wdist import Monitor, OptionError, RepeatedBatchError, SampleError, Update, WdistError
from wdist.definitions.monitoring import Thresholds
from wdist.monitoring.folder import FORMAT, MonitorFolder
from wdist.monitoring.lock import locked

QUICK: Any = {"critic": "affine", "upper": "none"}


def rows(seed: int, shift: float = 0.0, n: int = 200) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(n, 2)) + shift


def told(updates: list[Update]) -> list[dict[str, Any]]:
    return [update.to_dict() | {"seconds": 0.0} for update in updates]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A monitor with two updates, of which the second drifted, for tests that copy it."""
    folder = tmp_path_factory.mktemp("made") / "week"
    monitor = Monitor(rows(0), folder=folder, **QUICK)
    monitor.update(rows(1), at="2026-01-05", name="first")
    monitor.update(rows(2, shift=2.0), at="2026-01-12")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "week"))


@pytest.fixture
def in_memory() -> Monitor:
    monitor = Monitor(rows(0), name="week", **QUICK)
    monitor.update(rows(1), at="2026-01-05", name="first")
    return monitor


def test_a_folder_says_what_memory_says(folder: Path, in_memory: Monitor) -> None:
    in_memory.update(rows(2, shift=2.0), at=date(2026, 1, 12))
    kept = Monitor.open(folder)
    assert told(kept.history) == told(in_memory.history)
    assert str(kept).splitlines()[0] == "week: 2 updates, epoch 1"
    later = rows(3, shift=2.0)
    assert told([kept.update(later)]) == told([in_memory.update(later)])
    assert kept.alarms == in_memory.alarms
    assert {alarm.kind for alarm in kept.alarms} == {"distance", "evidence"}


def test_a_monitor_that_is_saved_goes_on_in_its_folder(in_memory: Monitor, tmp_path: Path) -> None:
    in_memory.save(tmp_path / "new")
    assert in_memory.folder == tmp_path / "new"
    in_memory.update(rows(5))
    assert [update.number for update in Monitor.open(tmp_path / "new").history] == [1, 2]
    with pytest.raises(OptionError, match=r"is kept in .* already: copy that folder"):
        in_memory.save(tmp_path / "other")


def test_two_handles_of_one_folder_see_each_others_updates(folder: Path) -> None:
    first, second = Monitor.open(folder), Monitor.open(folder)
    first.update(rows(5))
    assert len(second.history) == 3
    assert second.update(rows(6)).number == 4
    assert [update.number for update in first.history] == [1, 2, 3, 4]


def test_a_refused_batch_changes_nothing(folder: Path) -> None:
    monitor = Monitor.open(folder)
    before = (folder / "monitor.json").read_bytes()
    with pytest.raises(RepeatedBatchError) as refused:
        monitor.update(rows(1)[::-1], at="2026-02-01")  # in whatever order
    assert refused.value.number == 1
    for wrong, at, words in (
        (rows(5), "2026-01-12", "not later"),
        (rows(5), 3.0, "numbers"),
        (rows(5, n=50), None, "50 rows"),
        (rows(5)[:, :1], None, "column"),
        (rows(0), None, "reference"),
    ):
        with pytest.raises((SampleError, OptionError), match=words):
            monitor.update(wrong, at=at)
    assert (folder / "monitor.json").read_bytes() == before
    assert len(monitor.history) == 2


def test_thresholds_change_which_alarms_are_on(folder: Path) -> None:
    monitor = Monitor.open(folder)
    bound = monitor.history[-1].series_lower_bound
    assert bound > 0.5
    monitor.set_thresholds(distance=bound + 1, columns={"0": 0.1})
    alarms = {(alarm.kind, alarm.column): alarm.since for alarm in Monitor.open(folder).alarms}
    assert alarms == {("column", "0"): 2, ("evidence", None): 2}
    monitor.set_thresholds()
    assert {alarm.kind for alarm in monitor.alarms} == {"distance", "evidence"}
    with pytest.raises(OptionError, match="no column 'price'"):
        monitor.set_thresholds(columns={"price": 1.0})
    with pytest.raises(OptionError, match="distance"):
        monitor.set_thresholds(distance=-1.0)


def test_a_new_epoch_ends_alarms_and_keeps_the_history(folder: Path) -> None:
    monitor = Monitor.open(folder)
    with pytest.raises(SampleError, match="was a reference of this monitor before"):
        monitor.new_epoch(rows(0))
    monitor.new_epoch(rows(10, shift=2.0), tolerance=0.1)
    again = Monitor.open(folder)
    assert (again.figures.epoch, again.figures.tolerance, again.alarms) == (2, 0.1, [])
    update = again.update(rows(11, shift=2.0), at="2026-01-19")
    assert (update.number, update.epoch, update.alarms) == (3, 2, [])
    assert [each.epoch for each in again.history] == [1, 1, 2]
    assert len(list(folder.glob("reference-*"))) == len(list(folder.glob("state-*"))) == 1


def test_tables_are_read_as_the_reference_was(tmp_path: Path) -> None:
    def table(seed: int, levels: str, shift: float = 0.0) -> pd.DataFrame:
        random = np.random.default_rng(seed)
        letters = random.choice(list(levels), 300)
        return pd.DataFrame({"price": random.normal(size=300) + shift, "kind": letters, "note": "x"})

    table(0, "abc").to_csv(tmp_path / "reference.csv", index=False)
    monitor = Monitor(
        tmp_path / "reference.csv", folder=tmp_path / "m", categories=["kind"], drop=["note"], thresholds=0.2, **QUICK
    )
    (tmp_path / "reference.csv").unlink()  # the folder has a copy
    monitor.update(table(1, "abc"))
    opened = Monitor.open(tmp_path / "m")
    update = opened.update(table(2, "cd"))  # a level that the reference does not have
    assert {column.name for column in update.columns} == {"price", "kind"}
    assert update.alarms[0].kind == "distance"
    assert opened.reading.drop == ["note"]


def test_images_are_monitored(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 200, size=(600, 5, 5, 3), dtype=np.uint8)
    monitor = Monitor(images[:300], folder=tmp_path / "m", **QUICK)
    monitor.update(images[300:450])
    assert Monitor.open(tmp_path / "m").update(images[450:] + np.uint8(40)).series_lower_bound > 0


def used(folder: Path) -> None:
    """Show a monitor, and update it."""
    monitor = Monitor.open(folder)
    _ = monitor.history
    monitor.update(rows(7))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("monitor.json", lambda content: content[: len(content) // 2]),
        ("monitor.json", lambda content: content.replace(b'"generation"', b'"generations"')),
        ("history.jsonl", lambda content: content[:-10]),
        ("history.jsonl", lambda content: content.replace(b'"epoch":1', b'"epoch":2', 1)),
        ("state", lambda content: content[:-1] + bytes([content[-1] ^ 1])),
        ("reference", lambda content: content[:-1] + bytes([content[-1] ^ 1])),
        ("state", None),
        ("reference", None),
        ("history.jsonl", None),
    ],
)
def test_a_damaged_file_is_named(folder: Path, name: str, change: Any) -> None:
    path = next(folder.glob(f"{name}*"))
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))
    with pytest.raises(WdistError, match=path.name) as refused:
        used(folder)
    assert "backup" in str(refused.value)


def test_an_edited_figure_is_no_figure(folder: Path) -> None:
    path = folder / "monitor.json"
    document = json.loads(path.read_text())
    document["figures"]["last"]["value"] += 0.001
    path.write_text(json.dumps(document))
    with pytest.raises(WdistError, match=r"monitor\.json is damaged, or was edited.*backup"):
        Monitor.open(folder)


def test_files_of_the_user_stay(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "data"
    own.mkdir()
    np.save(own / "reference-1.npy", rows(0))
    with pytest.raises(OptionError, match=r"holds other files, such as reference-1\.npy"):
        Monitor(own / "reference-1.npy", folder=own, **QUICK)
    assert (own / "reference-1.npy").exists()
    names = ["reference-2026.csv", "state-of-things.txt", "history.jsonl.bak", "monitor.json.orig", "lock.txt"]
    for name in names:
        (folder / name).touch()
    (folder / "state-1.safetensors").mkdir()  # and what cannot be removed is no failure of an update
    Monitor.open(folder).update(rows(5))
    assert {entry.name for entry in folder.iterdir()} >= set(names)


def test_what_was_interrupted_after_its_commit_is_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = Monitor.open(folder)

    def interrupted(folder: MonitorFolder, kept: set[str]) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(MonitorFolder, "_clear", interrupted)
        with pytest.raises(KeyboardInterrupt):
            monitor.update(rows(5))
    assert [update.number for update in monitor.history] == [1, 2, 3]
    with pytest.raises(RepeatedBatchError, match="update 3"):
        monitor.update(rows(5))
    assert monitor.update(rows(6)).number == 4
    assert [update.number for update in Monitor.open(folder).history] == [1, 2, 3, 4]


def test_a_new_epoch_has_no_alarm_of_the_one_before(folder: Path) -> None:
    monitor = Monitor.open(folder)
    monitor.new_epoch(rows(10, shift=2.0))
    monitor.set_thresholds(distance=0.1)
    assert monitor.alarms == []
    assert monitor.update(rows(11, shift=2.0)).alarms == []


def test_threads_take_turns(in_memory: Monitor) -> None:
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(in_memory.update, [rows(seed) for seed in (5, 6, 7)]))
    assert sorted(update.number for update in found) == [2, 3, 4]
    assert [update.number for update in in_memory.history] == [1, 2, 3, 4]


def test_what_a_caller_changes_in_place_changes_no_monitor() -> None:
    given, thresholds = rows(0), Thresholds(columns={"0": 1.0})
    monitor = Monitor(given, thresholds=thresholds, **QUICK)
    given += 5
    thresholds.columns["0"] = monitor.thresholds.columns["0"] = 0.0
    assert monitor.update(rows(1)).series_lower_bound == 0
    assert monitor.thresholds.columns == {"0": 1.0}


def test_a_folder_that_cannot_be_used_is_named(folder: Path, tmp_path: Path) -> None:
    monitor = Monitor.open(folder)
    folder.rename(tmp_path / "moved")
    with pytest.raises(WdistError, match="week holds no monitor"):
        monitor.update(rows(5))
    assert not folder.exists()
    assert Monitor.open(tmp_path / "moved").update(rows(5)).number == 3
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    for wrong, words in (
        (5, "folder is 5"),
        ("", "folder is ''"),
        ("a\0b", "folder is"),
        (tmp_path / ("x" * 300), "can be no folder"),
        (tmp_path / "link", "is a link to nothing"),
        (tmp_path / "moved" / "lock" / "x", "Not a directory"),
    ):
        with pytest.raises(WdistError, match=words):
            Monitor(rows(0), folder=wrong, **QUICK)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can be made longer than 2,000 bytes, which is an error of the system as a full disk is."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_monitor_as_it_was(folder: Path) -> None:
    monitor = Monitor.open(folder)
    with full_disk(), pytest.raises(WdistError, match=r"week cannot be written: .*; make room"):
        monitor.update(rows(9))
    assert len(monitor.history) == 2
    assert monitor.update(rows(9)).number == 3


def test_an_export_goes_where_it_can(folder: Path, tmp_path: Path) -> None:
    monitor = Monitor.open(folder)
    for wrong, words in (
        (tmp_path / "x.xlsx", r"x\.xlsx: the ending must be \.csv or \.jsonl"),
        (tmp_path / "none" / "x.csv", r"x\.csv cannot be written: the folder .*none is not there"),
    ):
        with pytest.raises(WdistError, match=words):
            monitor.export(wrong)
    assert monitor.export(tmp_path / "x.JSONL").startswith("{")


def test_a_folder_of_a_later_version_is_refused(folder: Path) -> None:
    path = folder / "monitor.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"wdist_monitor": FORMAT + 1, "library": "9.0"}))
    with pytest.raises(WdistError, match=r"written by wdist 9\.0.*update wdist"):
        Monitor.open(folder)


def test_a_monitor_is_made_in_a_new_folder_only(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        OptionError, match=r"holds a monitor already.*other options, begin a new epoch with monitor\.new"
    ):
        Monitor(rows(0), folder=folder, **QUICK)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").touch()
    with pytest.raises(OptionError, match=r"holds other files, such as todo\.txt"):
        Monitor(rows(0), folder=tmp_path / "notes", **QUICK)
    with pytest.raises(OptionError, match="is a file"):
        Monitor(rows(0), folder=tmp_path / "notes" / "todo.txt", **QUICK)
    with pytest.raises(WdistError, match="holds no monitor"):
        Monitor.open(tmp_path / "notes")


def test_a_folder_whose_first_file_is_gone_is_not_written_over(folder: Path) -> None:
    kept = folder.parent / "monitor.json"
    (folder / "monitor.json").rename(kept)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(WdistError, match=r"monitor\.json is gone, and other files of the monitor are there: restore"):
        Monitor.open(folder)
    with pytest.raises(OptionError, match=r"holds files of a monitor whose monitor\.json is gone: restore it from"):
        Monitor(rows(0), folder=folder, **QUICK)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    kept.rename(folder / "monitor.json")
    assert len(Monitor.open(folder).history) == 2


def test_a_new_epoch_says_at_once_that_some_rows_were_seen(folder: Path) -> None:
    monitor = Monitor.open(folder)
    batch = rows(20, shift=1.0)
    monitor.update(batch)
    with pytest.warns(UserWarning, match="rows that the monitor saw before also occur in the reference"):
        monitor.new_epoch(np.concatenate([batch, rows(21, shift=1.0)]))
    with pytest.raises(SampleError, match="holds the rows of update 3"):
        monitor.new_epoch(batch)


def test_who_waits_too_long_hears_who_holds_the_folder(folder: Path) -> None:
    opened = MonitorFolder(folder)
    said = pytest.raises(WdistError, match=r"is being updated by process \d+ on ")
    with opened.locked(), said, locked(folder / "lock", seconds=0.2):
        pass
    with opened.locked(seconds=0.2):  # it is free again
        pass


def test_options_that_make_no_sense_are_refused_with_what_to_do() -> None:
    with pytest.raises(OptionError, match="groups is no option of a monitor"):
        Monitor(rows(0), groups="who")
    with pytest.raises(OptionError, match="did you mean"):
        Monitor(rows(0), tolerence=0.1)
    with pytest.raises(OptionError, match="confidence"):
        Monitor(rows(0), confidence=1.5)


def test_a_timeline_shows_every_update(folder: Path) -> None:
    monitor = Monitor.open(folder)
    monitor.new_epoch(rows(10, shift=2.0))
    monitor.update(rows(11, shift=2.0), at="2026-01-19")
    figure = monitor.plot()
    distance, evidence = figure.axes
    dots = [line for line in distance.lines if line.get_marker() == "."]
    assert [line.get_ydata()[0] for line in dots] == [update.value for update in monitor.history]
    assert [line.get_color() for line in dots] == ["gray", "gray", "tab:blue"]
    assert len(evidence.lines) == 3  # two epochs and the limit
    assert "<table>" in monitor._repr_html_()


def test_labels_of_a_timeline_do_not_overlap() -> None:
    monitor = Monitor(rows(0), scale="standardize", **QUICK)
    monitor.update(rows(1))
    figure = monitor.plot()
    figure.draw_without_rendering()
    upper, lower = (axes.yaxis.label.get_window_extent() for axes in figure.axes)
    assert lower.y1 < upper.y0
    assert upper.y1 < figure.bbox.y1
