"""Which alarms are on after a series of updates, and since when."""

from dataclasses import dataclass, field

import pytest
from pydantic import ValidationError

from wdist.definitions.alarms import alarms_after, next_alarms
from wdist.definitions.monitoring import Alarm, MonitoredColumn, Thresholds


@dataclass
class Looked:
    """The figures of one update that alarms depend on."""

    number: int
    series_lower_bound: float = 0.0
    columns: list[MonitoredColumn] = field(default_factory=list)
    evidence: float = 1.0
    evidence_limit: float = 100.0
    epoch: int = 1

    @property
    def at(self) -> str:
        return f"2026-01-{self.number:02d}"


def column(name: str, bound: float) -> MonitoredColumn:
    return MonitoredColumn(name=name, value=bound + 0.1, lower_bound=bound, attribution=0.5)


def since(alarms: list[Alarm]) -> dict[tuple[str, str | None], int]:
    return {(alarm.kind, alarm.column): alarm.since for alarm in alarms}


def test_a_bound_above_the_tolerance_is_an_alarm_and_one_equal_to_it_is_not() -> None:
    assert alarms_after([Looked(1, 0.2)], Thresholds(), 0.2, epoch=1) == []
    alarm = alarms_after([Looked(1, 0.21)], Thresholds(), 0.2, epoch=1)[0]
    assert (alarm.kind, alarm.bound, alarm.threshold, alarm.since, alarm.since_at) == (
        "distance", 0.21, 0.2, 1, "2026-01-01",
    )  # fmt: skip


def test_a_threshold_replaces_the_tolerance_even_if_it_is_zero() -> None:
    assert since(alarms_after([Looked(1, 0.1)], Thresholds(distance=0.0), 0.2, epoch=1)) == {("distance", None): 1}
    assert alarms_after([Looked(1, 0.3)], Thresholds(distance=0.4), 0.2, epoch=1) == []


def test_an_alarm_is_on_since_the_last_break() -> None:
    history = [Looked(n, bound) for n, bound in enumerate([0.3, 0.1, 0.4, 0.5, 0.6], start=1)]
    assert since(alarms_after(history[:1], Thresholds(), 0.2, epoch=1)) == {("distance", None): 1}
    assert alarms_after(history[:2], Thresholds(), 0.2, epoch=1) == []
    last = alarms_after(history, Thresholds(), 0.2, epoch=1)[0]
    assert (last.since, last.since_at, last.bound) == (3, "2026-01-03", 0.6)


def test_columns_alarm_one_by_one_and_only_with_a_threshold() -> None:
    history = [
        Looked(1, columns=[column("age", 0.3), column("pay", 0.9)]),
        Looked(2, columns=[column("pay", 0.9), column("age", 0.1), column("none", 5.0)]),
    ]
    thresholds = Thresholds(columns={"age": 0.2, "pay": 0.5, "absent": 0.0})
    assert since(alarms_after(history[:1], thresholds, 0.0, epoch=1)) == {("column", "age"): 1, ("column", "pay"): 1}
    assert since(alarms_after(history, thresholds, 0.0, epoch=1)) == {("column", "pay"): 1}


def test_evidence_stays_until_a_new_epoch() -> None:
    history = [Looked(1, evidence=99.0), Looked(2, evidence=100.0), Looked(3, evidence=2.0)]
    assert since(alarms_after(history, Thresholds(), 0.0, epoch=1)) == {("evidence", None): 2}
    assert alarms_after([*history, Looked(4, epoch=2)], Thresholds(), 0.0, epoch=2) == []


def test_an_epoch_without_an_update_has_no_alarm_of_the_one_before() -> None:
    assert alarms_after([Looked(1, 0.5, evidence=100.0)], Thresholds(), 0.0, epoch=2) == []


@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf")])
def test_a_threshold_is_a_distance(wrong: float) -> None:
    for given in ({"distance": wrong}, {"columns": {"age": wrong}}):
        with pytest.raises(ValidationError):
            Thresholds.model_validate(given)


def test_a_new_epoch_begins_every_alarm_anew() -> None:
    history = [Looked(1, 0.5), Looked(2, 0.5, epoch=2)]
    assert since(alarms_after(history, Thresholds(), 0.0, epoch=2)) == {("distance", None): 2}


@pytest.mark.parametrize("thresholds", [Thresholds(), Thresholds(distance=0.35, columns={"age": 0.3})])
def test_one_by_one_they_are_the_same_as_after_the_whole_history(thresholds: Thresholds) -> None:
    bounds = [0.3, 0.4, 0.0, 0.6, 0.5]
    history = [
        Looked(n, bound, [column("age", bound)], evidence=200 * (n == 2)) for n, bound in enumerate(bounds, start=1)
    ]
    alarms: list[Alarm] = []
    for n, update in enumerate(history, start=1):
        alarms = next_alarms(alarms, update, thresholds, 0.1)
        assert alarms == alarms_after(history[:n], thresholds, 0.1, epoch=1)
