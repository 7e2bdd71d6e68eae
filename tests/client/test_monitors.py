"""Monitors, on a server and without one: the same answers, the same refusals, for both clients."""

import asyncio
import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from server_process import ServerProcess

from wdist.definitions.monitoring import MonitorFigures, UpdateFigures
from wdist.monitoring.words import monitor_text, update_text
from wdist_client import (
    APIStatusError,
    AsyncClient,
    Client,
    Conflict,
    InvalidRequest,
    Monitor,
    MonitorUpdate,
    NotFound,
    OptionError,
    Thresholds,
    Update,
    UpdateCanceled,
    WaitTimeout,
)
from wdist_client.display.text import JobBar
from wdist_client.monitors.flows import when

pytestmark = pytest.mark.timeout(240)
QUICK = {"critic": "affine", "seed": 3}
LONG = {"critic": "groupsort", "steps": 200_000}


def rows(seed: int, n: int = 300, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3)) + shift


def table(seed: int, n: int = 300, shift: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame(rows(seed, n, shift), columns=["a", "b", "c"])


def bounds_above(monitor: Monitor) -> list[tuple[str, str | None, int, float | None]]:
    """The alarms on bounds that are on."""
    return [(each.kind, each.column, each.since, each.threshold) for each in monitor.alarms if each.kind != "evidence"]


def refused(call: Callable[[], object]) -> APIStatusError:
    with pytest.raises(APIStatusError) as caught:
        call()
    return caught.value


@pytest.fixture
def monitor(client: Client) -> Iterator[Monitor]:
    made = client.monitors.create(table(0, 800), name="orders", **QUICK)
    yield made
    made.delete()


def test_batches_are_compared_and_an_alarm_is_raised_and_ends(monitor: Monitor) -> None:
    assert (monitor.name, monitor.status, monitor.alarms, monitor.last) == ("orders", "active", [], None)
    quiet = monitor.update(table(1), at=date(2026, 1, 5), name="first")
    assert isinstance(quiet, Update)
    assert (quiet.number, quiet.epoch, quiet.at, quiet.name, quiet.alarms) == (1, 1, "2026-01-05", "first", [])
    assert quiet.series_lower_bound <= quiet.lower_bound
    drifted = monitor.update(table(2, shift=1.0), at="2026-01-12")
    distance = np.sqrt(3)
    assert 0 < drifted.series_lower_bound <= distance
    assert drifted.series_upper_bound is not None
    assert drifted.series_upper_bound >= distance
    assert drifted.change is not None
    assert drifted.change.lower_bound > 0
    assert {column.name for column in drifted.columns} == {"a", "b", "c"}
    assert {alarm.kind for alarm in monitor.alarms} == {"distance", "evidence"}
    assert {(alarm.since, alarm.since_at) for alarm in monitor.alarms} == {(2, "2026-01-12")}
    assert monitor.last == drifted
    assert monitor.record.updates == 2
    monitor.update(table(3), at="2026-01-19")
    assert [alarm.kind for alarm in monitor.alarms] == ["evidence"]  # that of the series stays
    assert [update.number for update in monitor.history()] == [1, 2, 3]
    assert monitor.history()[1] == drifted


def test_updates_run_in_the_order_of_submission(monitor: Monitor) -> None:
    jobs = [monitor.update(table(10 + k), at=k, wait=False) for k in range(3)]
    assert jobs[2].wait(timeout=120).number == 3
    assert [job.refresh().status for job in jobs] == ["succeeded"] * 3
    assert [job.figures.at for job in jobs if job.figures] == [0, 1, 2]
    assert [job.id for job in monitor.updates()] == [job.id for job in reversed(jobs)]
    assert monitor.get_update(jobs[1]).figures == jobs[1].figures
    events = list(jobs[0].events())
    assert events[-1].type == "completed"
    assert MonitorUpdate.model_validate(events[-1].data).figures == jobs[0].figures


def test_a_batch_counts_once_and_time_only_goes_on(monitor: Monitor) -> None:
    first = monitor.update(table(20), at=5, wait=False)
    again = refused(lambda: monitor.update(table(20), at=6))
    assert isinstance(again, Conflict)
    assert first.id in again.detail
    for at in (5, 4.5, "2026-01-05"):
        earlier = refused(lambda at=at: monitor.update(table(21), at=at))
        assert isinstance(earlier, Conflict)
        assert [each["field"] for each in earlier.errors] == ["at"]
    assert isinstance(refused(lambda: monitor.update(table(0, 800), at=6)), Conflict)  # the reference itself
    first.wait()
    assert monitor.update(table(21), at=6).number == 2


def test_the_same_key_is_the_same_update(monitor: Monitor) -> None:
    batch = monitor._client.sample_sets.create(table(30))
    first, again = (monitor.update(batch, wait=False, idempotency_key="one") for _ in range(2))
    assert first.id == again.id
    made = [monitor._client.monitors.create(table(0, 800), idempotency_key="two", **QUICK).id for _ in range(2)]
    assert made[0] == made[1]
    first.wait()


def test_what_does_not_fit_is_refused(client: Client, monitor: Monitor) -> None:
    for batch in (rows(1)[:, :2], table(1).rename(columns={"c": "d"}), table(1, 60)):
        error = refused(lambda batch=batch: monitor.update(batch))
        assert isinstance(error, InvalidRequest)
        assert [each["field"] for each in error.errors] == ["batch"]
    wrong = refused(lambda: client.monitors.create(rows(0), confidence=2, steps=0, **{"sharpness": 3}))
    assert isinstance(wrong, InvalidRequest)
    assert {each["field"] for each in wrong.errors} == {"confidence", "steps", "sharpness"}
    assert isinstance(refused(lambda: client.monitors.create("ss_none")), NotFound)
    assert isinstance(refused(lambda: client.monitors.get("mon_none")), NotFound)
    assert isinstance(refused(lambda: monitor.get_update("mu_none")), NotFound)
    with pytest.raises(OptionError, match="critic: options are those of the monitor"):
        monitor.update(table(1), critic="affine")
    for at in ([1], True, np.arange(2)):
        with pytest.raises(OptionError, match="give a number, or a date or time"):
            monitor.update(table(1), at=at)
    assert list(monitor.updates()) == []


def test_thresholds_hold_at_once(monitor: Monitor) -> None:
    found = monitor.update(table(40, shift=0.8))
    assert bounds_above(monitor) == [("distance", None, 1, 0)]
    assert bounds_above(monitor.set_thresholds(distance=found.series_lower_bound + 0.1)) == []
    column = found.columns[0]
    monitor.set_thresholds(distance=100, columns={column.name: column.lower_bound / 2})
    assert bounds_above(monitor) == [("column", column.name, 1, column.lower_bound / 2)]
    assert monitor.refresh().thresholds.columns == {column.name: column.lower_bound / 2}
    monitor.set_thresholds()
    assert bounds_above(monitor) == [("distance", None, 1, 0)]


def test_a_pause_is_told_later(monitor: Monitor) -> None:
    assert monitor.pause().status == "paused"
    assert "paused" in refused(lambda: monitor.update(table(50))).detail
    assert monitor.resume().status == "active"
    assert any("paused" in warning for warning in monitor.update(table(50)).warnings)


def test_an_epoch_begins_with_a_new_reference(monitor: Monitor) -> None:
    monitor.update(table(60, shift=1.0), at=1)
    assert monitor.alarms
    assert isinstance(refused(lambda: monitor.new_epoch(table(0, 800))), Conflict)
    monitor.new_epoch(table(61, 800, shift=1.0), tolerance=0.1, thresholds=Thresholds(distance=0.3))
    assert (monitor.record.epoch, monitor.record.tolerance, monitor.alarms) == (2, 0.1, [])
    assert monitor.thresholds.distance == 0.3
    found = monitor.update(table(62, shift=1.0), at=2)
    assert (found.number, found.epoch, found.change, found.alarms) == (2, 2, None, [])
    assert found.series_lower_bound <= 0.3
    assert isinstance(refused(lambda: monitor.update(table(60, shift=1.0), at=3)), Conflict)


def test_names_labels_and_lists(client: Client) -> None:
    first = client.monitors.create(table(0, 400), metadata={"team": "shop"}, thresholds=0.05, **QUICK)
    assert first.thresholds == Thresholds(distance=0.05)
    second = client.monitors.create(table(0, 400), name="other", metadata={"team": "mail"}, **QUICK)
    first.update(table(70, shift=1.0))
    assert [each.id for each in client.monitors.list()][:2] == [second.id, first.id]
    assert [each.id for each in client.monitors.list(metadata={"team": "shop"})] == [first.id]
    assert first.id in [each.id for each in client.monitors.list(alarm=True)]
    assert first.id not in [each.id for each in client.monitors.list(alarm=False)]
    second.edit(name="renamed", metadata={"team": "shop"})
    assert client.monitors.get(second).name == "renamed"
    assert [each.id for each in client.monitors.list(metadata={"team": "shop"})] == [second.id, first.id]
    reference = first.record.reference_set
    assert reference is not None
    assert isinstance(refused(lambda: client.sample_sets.delete(reference)), Conflict)
    for each in (first, second):
        each.delete()
        assert isinstance(refused(lambda each=each: client.monitors.get(each.id)), NotFound)
    client.sample_sets.delete(reference)


def test_an_export_has_every_update(monitor: Monitor, tmp_path: Path) -> None:
    found = [monitor.update(table(80 + k), at=k) for k in range(2)]
    lines = list(csv.DictReader(io.StringIO(monitor.export())))
    assert [float(line["series_lower_bound"]) for line in lines] == [each.series_lower_bound for each in found]
    text = monitor.export(tmp_path / "all.jsonl")
    assert (tmp_path / "all.jsonl").read_text() == text
    assert [Update.model_validate_json(line) for line in text.splitlines()] == found
    assert monitor.export(format="jsonl") == text


def test_a_canceled_update_leaves_the_series_as_it_was(client: Client) -> None:
    monitor = client.monitors.create(rows(0, 800), **LONG)
    running, waiting = (monitor.update(rows(90 + k), wait=False) for k in range(2))
    while running.refresh().record.progress is None:
        time.sleep(0.05)
    with pytest.raises(WaitTimeout, match=f'get\\("{monitor.id}"\\).get_update\\("{running.id}"\\)'):
        running.wait(timeout=0.1)
    assert isinstance(refused(lambda: monitor.new_epoch(rows(91, 800))), Conflict)
    waiting.cancel()
    running.cancel()
    for job in (running, waiting):
        with pytest.raises(UpdateCanceled, match="series is as it was"):
            job.wait(timeout=60)
    assert monitor.refresh().record.updates == 0
    again = monitor.update(rows(90), wait=False)  # it was no part of the series
    again.cancel()
    monitor.delete()


def test_a_file_is_read_as_the_reference_was(client: Client, tmp_path: Path) -> None:
    def written(seed: int, n: int) -> Path:
        path = tmp_path / f"{seed}.csv"
        table(seed, n).assign(kind=["x", "y"] * (n // 2)).to_csv(path, index=False)
        return path

    monitor = client.monitors.create(written(0, 800), drop=["kind"], **QUICK)
    found = monitor.update(written(1, 300))
    assert {column.name for column in found.columns} == {"a", "b", "c"}
    assert found.name == "1.csv"
    monitor.new_epoch(written(2, 800))
    assert monitor.update(written(3, 300)).epoch == 2
    monitor.delete()


def test_a_server_and_the_library_say_the_same(server: ServerProcess) -> None:
    said = []
    for address in (server.url, ":local:"):
        with Client(address) as client:
            monitor = client.monitors.create(table(0, 800), name="same", critic="auto", steps=60, seed=5)
            found = [monitor.update(table(100 + k, shift=k / 2), at=k, name=f"batch {k}") for k in range(3)]
            said.append(found)
            monitor.delete()
    for one, other in zip(*said, strict=True):
        for name in ("sha256", "rows", "name", "number", "at", "critic", "steps", "warnings", "evidence_limit"):
            assert one[name] == other[name]
        for name in ("value", "upper_bound", "series_lower_bound", "series_upper_bound", "p_value", "evidence"):
            assert one[name] == pytest.approx(other[name], rel=1e-9)  # sums depend on the number of threads


def test_async_does_the_same(address: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncClient(address) as client:
            monitor = await client.monitors.create(table(0, 800), name="async", metadata={"kind": "async"}, **QUICK)
            found = await monitor.update(table(110, shift=1.0), at=1)
            assert found.series_lower_bound > 0
            assert "distance" in {alarm.kind for alarm in monitor.alarms}
            job = await monitor.update(table(111), at=2, wait=False)
            events = [event async for event in job.events()]
            assert events[-1].type == "completed"
            assert (await job.wait()).number == 2
            listed = [each.id async for each in monitor.updates()]
            assert (len(listed), listed[0]) == (2, job.id)
            assert (await monitor.get_update(job)).figures == (await job.refresh()).figures
            assert [each.number for each in await monitor.history()] == [1, 2]
            assert "<svg" in monitor._repr_html_()
            with pytest.raises(Conflict):
                await monitor.update(table(111), at=3)
            await monitor.set_thresholds(distance=0.5)
            assert (await monitor.pause()).status == "paused"
            assert (await monitor.resume()).status == "active"
            await monitor.edit(name="other")
            assert (await monitor.refresh()).name == "other"
            await monitor.new_epoch(table(112, 800), tolerance=0.2)
            assert (await client.monitors.get(monitor)).record.epoch == 2
            assert [each.id async for each in client.monitors.list(metadata={"kind": "async"})] == [monitor.id]
            assert await monitor.export(tmp_path / "all.csv") == (tmp_path / "all.csv").read_text()
            assert (await monitor.plot()).axes
            waiting = await monitor.update(table(113), at=4, wait=False)
            assert (await waiting.cancel()).id == waiting.id
            await monitor.delete()
            with pytest.raises(NotFound):
                await client.monitors.get(monitor.id)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("at", "sent"),
    [
        (date(2026, 1, 5), "2026-01-05"),
        (datetime(2026, 1, 5, 8, tzinfo=UTC), "2026-01-05T08:00:00+00:00"),
        (pd.Timestamp("2026-01-05"), "2026-01-05T00:00:00"),
        (np.datetime64("2026-01-05"), "2026-01-05"),
        (np.datetime64("2026-01-05", "ns"), "2026-01-05T00:00:00.000000000"),
        (np.float32(2.5), 2.5),
        (np.array(3), 3.0),
        (7, 7),
        ("2026-W02", "2026-W02"),
    ],
)
def test_a_time_is_sent_as_a_number_or_as_text(at: object, sent: float | str) -> None:
    assert when(at) == sent


def test_ctrl_c_says_how_to_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    record = MonitorUpdate.model_validate({"id": "mu_1", "monitor": "mon_1", "status": "running"})
    JobBar(record, False).leave(record)
    told = capsys.readouterr().err
    assert "Update mu_1 goes on without you" in told
    assert 'client.monitors.get("mon_1").get_update("mu_1").wait()' in told


def test_a_monitor_is_shown(monitor: Monitor) -> None:
    found = [monitor.update(table(120 + k, shift=k), at=f"2026-02-0{k + 1}") for k in range(2)]
    assert found[1].meaning in str(found[1])
    assert "ALARM: the distance is at least" in str(monitor)
    html = monitor._repr_html_()
    assert "over 2 updates, 1 of them with an alarm on" in html
    assert html.count("<circle") == 2
    assert found[1].meaning.split(":")[0] in found[1]._repr_html_()
    axes = monitor.plot().axes[0]
    assert axes.get_title(loc="left").startswith("orders")
    assert json.loads(monitor.record.model_dump_json())["alarms"]


def test_the_client_says_what_the_library_says(monitor: Monitor) -> None:
    for k in range(2):
        monitor.update(table(130 + k, shift=k), at=f"2026-02-0{k + 1}")
    found = monitor.last
    assert found is not None
    assert str(found) == update_text(UpdateFigures.model_validate(found.model_dump()))
    monitor.set_thresholds(distance=0.25, columns={"a": 0.1})
    own = MonitorFigures.model_validate(
        monitor.record.model_dump(include=set(MonitorFigures.model_fields), exclude={"last"})
    )
    history = [UpdateFigures.model_validate(each.model_dump()) for each in monitor.history()]
    assert str(monitor).split() == monitor_text(own, history).split()
