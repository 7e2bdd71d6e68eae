"""Updates of a monitor: bounds against known distances, the same bits again, and no way from test rows to critics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from series_of_batches import normal, opened, run, without_seconds

from wdist.data.sources.rows import rows_of
from wdist.data.splits import split_rows
from wdist.definitions.monitoring import Thresholds
from wdist.definitions.reading import Selection
from wdist.errors import OptionError, RepeatedBatchError, SampleError, Stopped
from wdist.monitoring.state import MonitorState
from wdist.monitoring.update import PAUSED, begin, update
from wdist.monitoring.words import update_text
from wdist_client import Update as UpdateOfClient
from wdist_client.display.monitor import update_text as update_of_client


@pytest.mark.parametrize("shift", [0.0, 0.4, 2.0])
def test_both_ends_of_the_batch_and_of_the_series_hold_the_distance(shift: float) -> None:
    reference, state = opened(normal(1_200, 1), upper="standard")
    _, history = run(reference, state, [normal(600, 10 + k, shift) for k in range(2)])
    for figures in history:
        assert figures.series_lower_bound <= figures.lower_bound <= shift
        assert figures.upper_bound is not None
        assert figures.series_upper_bound is not None
        assert shift <= figures.upper_bound < figures.series_upper_bound < shift + 1
    if shift:
        assert all(figures.series_lower_bound > 0.5 * shift - 0.2 for figures in history)


def test_bounds_of_the_series_get_wider_as_its_error_is_shared() -> None:
    reference, state = opened(normal(600, 1))
    _, history = run(reference, state, [normal(300, 10 + k, 1.0) for k in range(4)])
    margins = [figures.value - figures.series_lower_bound for figures in history]
    alone = [figures.value - figures.lower_bound for figures in history]
    assert all(series > own for series, own in zip(margins, alone, strict=True))
    assert margins[-1] > margins[0]


def test_drift_is_found_and_nothing_before_it() -> None:
    reference, state = opened(normal(900, 1))
    quiet, drifted = [normal(400, 20 + k) for k in range(2)], [normal(400, 40 + k, 1.5) for k in range(2)]
    state, history = run(reference, state, [*quiet, *drifted])
    assert [bool(figures.alarms) for figures in history] == [False] * 2 + [True] * 2
    assert ("distance", 3) in [(alarm.kind, alarm.since) for alarm in history[-1].alarms]
    assert history[2].change is not None
    assert history[2].change.lower_bound > 0.1
    assert history[3].change is not None
    assert history[3].change.lower_bound == 0
    assert history[-1].meaning.startswith("The batch has moved away from the reference. The distance is at least 1.1")
    assert history[0].meaning.startswith("No evidence of drift in this batch alone. The critic shows ")


def test_a_change_that_no_mean_shows_is_found_by_training_on() -> None:
    reference, state = opened(normal(1_500, 1), update_steps=50)
    batches = [normal(800, 20), *(normal(800, 30 + k, spread=1.5) for k in range(2))]
    _, history = run(reference, state, batches)
    # W1 of two normal distributions with deviations 1 and 1.5 is .5 E|z|, .627 in two columns
    assert not history[0].alarms
    assert history[-1].alarms
    assert 0.25 < history[-1].series_lower_bound <= 0.627


def test_the_change_since_the_last_batch_has_both_signs() -> None:
    reference, state = opened(normal(800, 1))
    _, history = run(reference, state, [normal(800, 5, 2.0), normal(800, 6, 1.0), normal(800, 7, 1.0)])
    first, second, third = (figures.change for figures in history)
    assert first is None
    assert second is not None
    assert third is not None
    assert second.value < -0.8
    assert 0.5 < second.lower_bound <= 1.0
    assert third.lower_bound == 0


def test_the_same_inputs_give_the_same_bytes_and_leave_the_state_alone() -> None:
    data = normal(800, 1)
    reference, state = opened(data)
    state, _ = run(reference, state, [normal(300, 2), normal(300, 3)])
    before = state.to_bytes()
    again = MonitorState.from_bytes(before)
    one, figures = update(state, reference, normal(300, 4, 1.0), at=3)
    assert state.to_bytes() == before == again.to_bytes()
    fresh, _ = opened(data.copy())
    other, others = update(again, fresh, normal(300, 4, 1.0), at=3)
    assert one.to_bytes() == other.to_bytes()
    assert without_seconds(figures) == without_seconds(others)


Change = Callable[[NDArray[np.float64], NDArray[np.int64]], NDArray[np.float64]]


def _moved(rows: NDArray[np.float64], test: NDArray[np.int64]) -> NDArray[np.float64]:
    changed = rows.copy()
    changed[test] = 3 * changed[test] + 7
    return changed


def _decisions(state: MonitorState) -> dict[str, Any]:
    """All that later critics, clips and stakes are made from, but for what was computed from test rows on purpose."""
    assert state.collector is not None
    assert state.warm is not None
    document, tensors = state.collector.described()
    found = {f"collector {name}": tensor.numpy().tobytes() for name, tensor in tensors.items()}
    found |= {f"warm {name}": each.tobytes() for name, each in state.warm.weights.items()}
    return found | {"collector": document, "interval": state.evidence.interval, "frame": state.frame.to_json()}


def test_test_rows_of_reference_and_batches_decide_no_critic_clip_or_ruler() -> None:
    rows, batches = normal(300, 1), [normal(200, 10 + k, 0.3 * k) for k in range(4)]
    plain, state = opened(rows, scale="standardize")
    test = split_rows(300, 0, 0).test
    moved, other = opened(_moved(rows, test), scale="standardize")
    changed = [_moved(batch, split_rows(200, 0, k).test) for k, batch in enumerate(batches, start=1)]
    for batch, with_other_test_rows in zip(batches, changed, strict=True):
        state, figures = update(state, plain, batch)
        other, others = update(other, moved, with_other_test_rows)
        assert _decisions(state) == _decisions(other)
        assert figures.critic == others.critic
        assert figures.value != others.value  # the test rows were different indeed


def test_levels_of_test_rows_decide_no_critic() -> None:
    generator = np.random.default_rng(0)
    rows = pd.DataFrame({"v": generator.normal(size=400), "kind": generator.choice(["a", "b"], 400)})
    other_rows = rows.copy()
    other_rows.loc[split_rows(400, 0, 0).test, "kind"] = "only in test rows"
    batch = rows.sample(200, random_state=1, replace=True).reset_index(drop=True)
    batch["v"] += generator.normal(size=200) / 100
    batch.loc[::2, "kind"] = "only in test rows"
    (plain, state), (changed, other) = opened(rows, categories=["kind"]), opened(other_rows, categories=["kind"])
    state, _ = update(state, plain, batch)
    other, _ = update(other, changed, batch)
    assert _decisions(state) == _decisions(other)


def test_a_new_level_is_seen_and_bounded() -> None:
    generator = np.random.default_rng(0)

    def table(n: int, levels: list[str]) -> pd.DataFrame:
        return pd.DataFrame({"v": generator.normal(size=n), "kind": generator.choice(levels, n)})

    reference, state = opened(table(1_500, ["a", "b"]), categories=["kind"], update_steps=40, upper="standard")
    state, history = run(
        reference, state, [table(600, ["a", "b"]), table(600, ["c", "d"]), table(600, ["b", "e", "a"])]
    )
    # every row of the second batch has another level than those of the reference, and so does a third of the last one
    assert not history[0].alarms
    assert 0.8 < history[1].series_lower_bound <= 1.0 <= (history[1].series_upper_bound or 0)
    by_name = {column.name: column for column in history[1].columns}
    assert 0.8 < by_name["kind"].lower_bound <= 1.0
    assert by_name["v"].lower_bound == 0
    assert history[2].series_lower_bound <= 1 / 3 <= (history[2].series_upper_bound or 0)
    assert state.frame.encoding is not None
    assert state.frame.encoding.names == ["v", "kind=a", "kind=any other level", "kind=b"]


def test_missing_values_that_begin_later_are_drift() -> None:
    generator = np.random.default_rng(0)
    reference, state = opened(pd.DataFrame({"v": generator.normal(size=1_500)}), missing="level", upper="standard")
    batches = [pd.DataFrame({"v": generator.normal(size=600)}) for _ in range(2)]
    batches[1].loc[::2, "v"] = np.nan
    _, history = run(reference, state, batches)
    assert not history[0].alarms
    assert history[1].alarms
    # half of the values are 1 away from all others, beside what the values themselves tell
    assert 0.2 < history[1].series_lower_bound <= (history[1].series_upper_bound or 0)


def test_missing_values_that_the_reference_was_not_read_for_are_refused() -> None:
    reference, state = opened(pd.DataFrame({"v": normal(300, 1)[:, 0]}))
    batch = pd.DataFrame({"v": normal(200, 2)[:, 0]})
    batch.loc[0, "v"] = np.nan
    with pytest.raises(SampleError, match="missing"):
        update(state, reference, batch)


@pytest.mark.parametrize("kind", [["x", "y"], [True, False]])
def test_codes_are_never_compared_with_numbers(kind: list[Any]) -> None:
    reference, state = opened(pd.DataFrame(normal(300, 1), columns=["a", "b"]))
    batch = pd.DataFrame(normal(200, 2), columns=["a", "b"])
    batch["b"] = pd.Categorical(kind * 100) if isinstance(kind[0], str) else kind * 100
    with pytest.raises(SampleError, match=r"column 'b' holds numbers in the reference and .* in batch 1"):
        update(state, reference, batch)


def test_missing_levels_that_the_reference_lacks_are_refused_in_coded_rows() -> None:
    rows = pd.DataFrame({"v": normal(300, 1)[:, 0], "kind": ["a", "b", "b"] * 100})
    reference, state = opened(rows, categories=["kind"])
    batch = rows.iloc[:200].assign(kind=["a", None] * 100)
    coded = rows_of(batch, "coded", Selection.checked(categories=["kind"], missing="level"))
    with pytest.raises(SampleError, match="coded has missing values as levels, and the reference has none"):
        update(state, reference, coded)


def test_what_no_update_could_use_is_refused_at_the_beginning() -> None:
    rows = normal(200, 1)
    rows[5, 1] = np.nan
    with pytest.raises(SampleError, match="nan in row 5, column 1"):
        opened(rows)
    with pytest.raises(OptionError, match="device 'tpu' is unknown"):
        opened(normal(200, 1), device="tpu")


def test_names_of_batches_are_text_that_every_file_keeps() -> None:
    reference, state = opened(normal(200, 1), critic="affine")
    with pytest.raises(OptionError, match="name is 5; it must be text"):
        update(state, reference, normal(200, 2), name=5)  # type: ignore[arg-type]
    _, figures = update(state, reference, normal(200, 2), name="\udcff.csv")
    assert figures.name == "\\udcff.csv"


def test_images() -> None:
    generator = np.random.default_rng(0)
    reference, state = opened(generator.integers(0, 200, (300, 6, 6), dtype=np.uint8), upper="standard")
    batches = [generator.integers(0, 200, (150, 6, 6), dtype=np.uint8) for _ in range(2)]
    batches.append((batches[0] + 50).astype(np.uint8)[::-1])
    batches[2][0, 0, 0] += 1
    _, history = run(reference, MonitorState.from_bytes(state.to_bytes()), batches)
    assert [bool(figures.alarms) for figures in history] == [False, False, True]
    assert 0.6 < history[2].lower_bound <= 50 / 255 * 6 <= (history[2].upper_bound or 0)
    assert history[2].columns == []


def test_columns_name_what_moved_and_raise_alarms_of_their_own() -> None:
    rows = pd.DataFrame(normal(2_000, 1, columns=3), columns=["a", "b", "c"])
    moved = pd.DataFrame(normal(1_000, 2, 1.0, columns=3), columns=["a", "b", "c"])
    reference, state = opened(rows, thresholds=Thresholds(distance=5.0, columns={"a": 0.5, "b": 0.5}))
    _, (figures,) = run(reference, state, [moved])
    assert [(alarm.kind, alarm.column) for alarm in figures.alarms] == [("column", "a"), ("evidence", None)]
    assert figures.columns[0].name == "a"
    assert 0.5 < figures.columns[0].lower_bound <= 1.0
    unusual = figures.unusual[0]
    assert unusual.row in split_rows(1_000, 0, 1).test
    assert unusual.score > 2


def test_a_column_that_shows_less_than_nothing_is_0_for_people() -> None:
    reference, state = opened(pd.DataFrame(normal(300, 1), columns=["a", "b"]))
    _, (figures,) = run(reference, state, [pd.DataFrame(normal(200, 2), columns=["a", "b"])])
    less = figures.columns[0].model_copy(update={"value": -0.1722, "lower_bound": 0.0})
    figures = figures.model_copy(update={"columns": [less]})
    at_client = UpdateOfClient.model_validate(figures.model_dump())
    for text in (update_text(figures), update_of_client(at_client)):
        assert f"{less.name}  0, at least 0" in text


def test_a_tolerated_distance_raises_no_alarm() -> None:
    reference, state = opened(normal(1_000, 1), tolerance=0.6)
    state, history = run(reference, state, [normal(1_000, 10 + k, 0.5) for k in range(2)])
    assert all(figures.series_lower_bound > 0.1 and not figures.alarms for figures in history)
    assert history[-1].evidence < 1
    assert "more than the tolerance, 0.6, is not shown" in history[-1].meaning
    _, (figures,) = run(reference, state, [normal(1_000, 20, 1.5)])
    assert "further from the reference than the tolerance, 0.6" in figures.meaning
    assert {alarm.kind for alarm in figures.alarms} == {"distance", "evidence"}


def test_batches_that_cannot_be_used_leave_the_monitor_as_it_was() -> None:
    rows = normal(400, 1)
    reference, state = opened(rows)
    seen = normal(200, 2)
    state, _ = update(state, reference, seen, at="2026-01-05")
    before = state.to_bytes()
    for again in (seen, seen[::-1].copy(), np.asfortranarray(seen)):
        with pytest.raises(RepeatedBatchError, match="update 1") as refused:
            update(state, reference, again, at="2026-01-05")
        assert refused.value.number == 1
    with pytest.raises(SampleError, match="rows of the reference"):
        update(state, reference, rows[::-1].copy())
    with pytest.raises(SampleError, match="batch 2: 99 rows are too few"):
        update(state, reference, normal(99, 3))
    with pytest.raises(SampleError, match="2 columns and batch 2 has 3"):
        update(state, reference, normal(200, 3, columns=3))
    with pytest.raises(SampleError, match="not the reference of this epoch"):
        update(state, opened(rows[::-1].copy())[0], normal(200, 3))
    with pytest.raises(OptionError, match="not later"):
        update(state, reference, normal(200, 3), at="2026-01-05")
    with pytest.raises(OptionError, match="all times as numbers"):
        update(state, reference, normal(200, 3), at=7)
    with pytest.raises(Stopped):
        update(state, reference, normal(200, 3), should_stop=lambda: True)
    assert state.to_bytes() == before


def test_a_new_epoch_needs_a_new_reference_and_begins_anew() -> None:
    rows, batch = normal(500, 1), normal(200, 2, 2.0)
    reference, state = opened(rows)
    state, (first,) = run(reference, state, [batch])
    assert first.alarms
    options = state.options
    for used, words in ((rows[::-1].copy(), "was a reference"), (batch, "update 1")):
        with pytest.raises(SampleError, match=words):
            begin(opened(used)[0], options, state)
    fresh, _ = opened(normal(500, 3, 2.0))
    with pytest.raises(OptionError, match="share one error"):
        begin(fresh, options.model_copy(update={"confidence": 0.9}), state)
    second = begin(fresh, options.model_copy(update={"tolerance": 0.1}), state)
    assert (second.epoch, second.updates, second.updates_in_epoch, second.alarms) == (2, 1, 0, ())
    assert second.evidence.limit == pytest.approx(4 * state.evidence.limit)
    second, (figures,) = run(fresh, second, [normal(200, 4, 2.0)])
    assert (figures.number, figures.epoch, figures.alarms, figures.change) == (2, 2, [], None)
    with pytest.raises(RepeatedBatchError, match="update 1"):
        update(second, fresh, batch)


def test_after_a_pause_each_update_of_the_epoch_says_so() -> None:
    reference, state = opened(normal(300, 1))
    state, (before,) = run(reference, state, [normal(200, 2)])
    _, after = run(reference, state.paused(), [normal(200, 3), normal(200, 4)])
    assert PAUSED not in before.warnings
    assert all(PAUSED in figures.warnings for figures in after)


def test_files_that_grow_are_warned_of() -> None:
    rows = normal(900, 2)
    reference, state = opened(normal(400, 1))
    _, history = run(reference, state, [rows[:300], rows[300:600], rows[300:]])
    said = [[warning for warning in figures.warnings if "saw before" in warning] for figures in history]
    assert said[:2] == [[], []]
    assert "also occur in batch 3 (about 100% of update 2)" in said[2][0]


def test_rows_of_any_earlier_set_are_known_again() -> None:
    rows, fresh = normal(900, 2), normal(300, 3)
    reference, state = opened(normal(400, 1), critic="affine")
    state, _ = run(reference, state, [rows[:300], rows[300:600], normal(300, 4)])
    state = MonitorState.from_bytes(state.to_bytes())
    _, (half, few, new) = run(
        reference,
        state,
        [np.concatenate([rows[:150], fresh[:150]]), np.concatenate([rows[300:309], fresh[150:]]), rows[600:]],
    )
    assert any("of update 1" in warning and "update 2" not in warning for warning in half.warnings)
    assert not any("saw before" in warning for warning in (*few.warnings, *new.warnings))
    # A reference that was made of batches, and one that differs from the first in a row.
    for used, words in (
        (rows[:600], "100% of update 1, 100% of update 2"),
        (normal(400, 1)[1:], "of the reference of epoch 1"),
    ):
        again, _ = opened(used, critic="affine")
        _, (figures,) = run(again, begin(again, state.options, state), [rows[600:]])
        assert any(words in warning for warning in figures.warnings)


def test_equal_rows_of_discrete_values_are_no_recurrence() -> None:
    generator = np.random.default_rng(0)
    reference, state = opened(generator.integers(0, 3, (400, 2)).astype(float), critic="affine")
    _, history = run(reference, state, [generator.integers(0, 3, (300, 2)).astype(float) for _ in range(2)])
    assert not any("saw before" in warning for figures in history for warning in figures.warnings)


def test_a_column_that_was_constant_in_the_reference_is_warned_of() -> None:
    reference, state = opened(normal(400, 1) * [1.0, 0.0], scale="standardize")
    read = MonitorState.from_bytes(state.to_bytes())
    _, (figures,) = run(reference, read, [normal(300, 2)])
    assert any("column 1 varies" in warning and "the reference" in warning for warning in figures.warnings)


def test_figures_are_those_of_one_unit() -> None:
    rows = normal(2_000, 1) * [100.0, 1.0]
    reference, state = opened(rows, scale="standardize", upper="standard")
    _, history = run(reference, state, [normal(1_000, 2, 1.0) * [100.0, 1.0], normal(1_000, 3, 1.0) * [100.0, 9.0]])
    # the batches do not move the ruler: in the second, the other column is wide
    assert history[0].series_lower_bound <= 1.0 <= (history[0].series_upper_bound or 0)
    assert history[1].series_lower_bound > 2
    assert "of the reference" in state.reference.units
